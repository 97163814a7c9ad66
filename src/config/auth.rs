//! The keys of `auth`, one type per scheme.

use serde::Deserialize;

use super::secret::{Secret, Text};
use super::values::RawJson;

/// How requests are authenticated.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(tag = "type"))]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Not at all.
    #[default]
    #[serde(skip_deserializing)]
    #[cfg_attr(test, schemars(skip))]
    Absent,
    /// Not at all.
    None(NoAuth),
    /// A key in a header, a query parameter or a cookie.
    ApiKey(ApiKey),
    /// `Authorization: Bearer <token>`.
    Bearer(Bearer),
    /// User name and password.
    Basic(UserPassword),
    /// User name and password, which are not sent: HTTP Digest, by SHA-256, SHA-512-256 or MD5, as the server asks.
    Digest(UserPassword),
    /// OAuth 2.0 client credentials.
    #[serde(alias = "oauth2_client_credentials")]
    Oauth2(Box<Oauth2>),
    /// OAuth 2.0 with a refresh token.
    Oauth2Refresh(Box<Oauth2>),
    /// OAuth 2.0 authorization code with PKCE.
    Oauth2Pkce(Box<Pkce>),
    /// OAuth 2.0 device authorization.
    Oauth2DeviceFlow(Box<DeviceFlow>),
    /// AWS Signature Version 4, in headers, for every request afresh.
    Sigv4(Box<Sigv4>),
}

/// `none` has no keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NoAuth {}

/// Where an API key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// A header.
    Header,
    /// A query parameter.
    Query,
    /// A cookie.
    Cookie,
}

/// An API key.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The key.
    pub key: Secret,
    /// Where it goes. Default header.
    #[serde(rename = "in")]
    pub place: Option<KeyPlace>,
    /// The header's name. Default X-API-Key.
    #[serde(alias = "header_name")]
    pub header: Option<String>,
    /// The query parameter's or cookie's name. Default api_key.
    #[serde(alias = "query_param")]
    pub param_name: Option<String>,
    /// Send it in a header? Default true; `in` says it better.
    pub in_header: Option<bool>,
    /// Send it in the query? Default false; `in` says it better.
    pub in_query: Option<bool>,
}

/// A bearer token.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// The token.
    pub token: Secret,
}

/// User name and password.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UserPassword {
    /// The user name.
    pub username: Secret,
    /// The password.
    pub password: Secret,
}

/// How the client proves itself to the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// With its secret in the body.
    #[default]
    Post,
    /// With its secret by HTTP Basic.
    Basic,
    /// With a JWT signed by its private key.
    PrivateKeyJwt,
}

/// How the client's JWT is signed (RFC 7518 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

/// OAuth 2.0 client credentials, or a refresh token.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Oauth2 {
    /// The client's identifier.
    pub client_id: Option<Secret>,
    /// The client's secret.
    pub client_secret: Option<Secret>,
    /// Where tokens come from.
    pub token_url: Option<Text>,
    /// The scope to ask for.
    pub scope: Option<String>,
    /// A token that is there already.
    pub token: Option<Secret>,
    /// A refresh token.
    pub refresh_token: Option<Secret>,
    /// When the token expires.
    pub expires_at: Option<RawJson>,
    /// How the client proves itself. Default post; a client without a secret says who it is, and no more.
    pub client_auth: Option<ClientAuth>,
    /// private_key_jwt: the file of its private key, in PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key_file: Option<String>,
    /// private_key_jwt: the key's identifier.
    pub key_id: Option<String>,
    /// private_key_jwt: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA. Default, by the key: RS256, ES256,
    /// ES384 or EdDSA.
    pub algorithm: Option<Algorithm>,
    /// Comes back in the token callback.
    pub storage_key: Option<String>,
}

/// OAuth 2.0 authorization code with PKCE.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Pkce {
    /// The client's identifier.
    pub client_id: Option<Secret>,
    /// The client's secret, where it has one.
    pub client_secret: Option<Secret>,
    /// Where the browser comes back to.
    pub redirect_uri: Option<String>,
    /// Where the browser is sent.
    pub authorization_url: Option<Text>,
    /// The authorization server's identifier, which must come back as `iss` then (RFC 9207). Without it, an `iss` that
    /// comes has the origin of authorization_url.
    pub issuer: Option<String>,
    /// Where tokens come from.
    pub token_url: Option<Text>,
    /// The scope to ask for.
    pub scope: Option<String>,
    /// The code verifier (RFC 7636 4.1). Default: a new one for each sign-in. With `state`, a sign-in that another
    /// process began can be finished.
    pub code_verifier: Option<Secret>,
    /// The code challenge: S256 of code_verifier, which it says nothing without.
    pub code_challenge: Option<Secret>,
    /// The state. Default: a new one for each sign-in.
    pub state: Option<Secret>,
    /// An authorization code, which the first call exchanges for a token.
    pub authorization_code: Option<Secret>,
    /// A token that is there already.
    pub token: Option<Secret>,
    /// A refresh token.
    pub refresh_token: Option<Secret>,
    /// When the token expires.
    pub expires_at: Option<RawJson>,
    /// How the client proves itself. Default post; a client without a secret says who it is, and no more.
    pub client_auth: Option<ClientAuth>,
    /// private_key_jwt: the file of its private key, in PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key_file: Option<String>,
    /// private_key_jwt: the key's identifier.
    pub key_id: Option<String>,
    /// private_key_jwt: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA. Default, by the key: RS256, ES256,
    /// ES384 or EdDSA.
    pub algorithm: Option<Algorithm>,
    /// Comes back in the token callback.
    pub storage_key: Option<String>,
}

/// OAuth 2.0 device authorization.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DeviceFlow {
    /// The client's identifier.
    pub client_id: Option<Secret>,
    /// The client's secret, where it has one.
    pub client_secret: Option<Secret>,
    /// Where device codes come from.
    pub device_authorization_url: Option<Text>,
    /// Where tokens come from.
    pub token_url: Option<Text>,
    /// The scope to ask for.
    pub scope: Option<String>,
    /// The device code of a sign-in that was begun elsewhere: it can be finished here, within half an hour.
    pub device_code: Option<Secret>,
    /// The code that the user types in: a note beside device_code, shown nowhere.
    pub user_code: Option<Secret>,
    /// Where the user types it in: a note beside device_code.
    pub verification_uri: Option<String>,
    /// The same with the code in it: a note beside device_code.
    pub verification_uri_complete: Option<String>,
    /// Seconds between two questions, at least; the server may ask for more. Never less than 1. Default:
    /// what the server says, or 5.
    pub interval: Option<super::values::Delay>,
    /// A token that is there already.
    pub token: Option<Secret>,
    /// A refresh token.
    pub refresh_token: Option<Secret>,
    /// When the token expires.
    pub expires_at: Option<RawJson>,
    /// How the client proves itself. Default post; a client without a secret says who it is, and no more.
    pub client_auth: Option<ClientAuth>,
    /// private_key_jwt: the file of its private key, in PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key_file: Option<String>,
    /// private_key_jwt: the key's identifier.
    pub key_id: Option<String>,
    /// private_key_jwt: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA. Default, by the key: RS256, ES256,
    /// ES384 or EdDSA.
    pub algorithm: Option<Algorithm>,
    /// Comes back in the token callback.
    pub storage_key: Option<String>,
}

/// AWS Signature Version 4.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Sigv4 {
    /// The access key's identifier.
    pub access_key_id: Option<Secret>,
    /// The secret access key.
    pub secret_access_key: Option<Secret>,
    /// The session token of temporary credentials.
    pub session_token: Option<Secret>,
    /// The region, as eu-central-1.
    pub region: Option<String>,
    /// The service as it stands in signatures: s3, execute-api, es …
    pub service: Option<String>,
}

/// What every type of OAuth 2.0 has in common.
pub struct OauthKeys<'a> {
    /// The client's identifier.
    pub client_id: &'a Option<Secret>,
    /// Its secret.
    pub client_secret: &'a Option<Secret>,
    /// How it proves itself.
    pub client_auth: ClientAuth,
    /// Its private key's file.
    pub key_file: &'a Option<String>,
    /// That key's identifier.
    pub key_id: &'a Option<String>,
    /// What the key signs by.
    pub algorithm: Option<Algorithm>,
    /// Where tokens come from.
    pub token_url: &'a Option<Text>,
    /// The scope to ask for.
    pub scope: &'a Option<String>,
    /// A token that is there already.
    pub token: &'a Option<Secret>,
    /// A refresh token.
    pub refresh_token: &'a Option<Secret>,
    /// When the token expires.
    pub expires_at: &'a Option<RawJson>,
    /// Comes back in the token callback.
    pub storage_key: &'a Option<String>,
}

macro_rules! oauth_keys {
    ($keys:expr) => {
        OauthKeys {
            client_id: &$keys.client_id,
            client_secret: &$keys.client_secret,
            token_url: &$keys.token_url,
            scope: &$keys.scope,
            token: &$keys.token,
            refresh_token: &$keys.refresh_token,
            expires_at: &$keys.expires_at,
            client_auth: $keys.client_auth.unwrap_or_default(),
            key_file: &$keys.key_file,
            key_id: &$keys.key_id,
            algorithm: $keys.algorithm,
            storage_key: &$keys.storage_key,
        }
    };
}

impl Auth {
    /// What all types of OAuth 2.0 have in common; None for the others.
    pub fn oauth(&self) -> Option<OauthKeys<'_>> {
        match self {
            Auth::Oauth2(keys) | Auth::Oauth2Refresh(keys) => Some(oauth_keys!(keys)),
            Auth::Oauth2Pkce(keys) => Some(oauth_keys!(keys)),
            Auth::Oauth2DeviceFlow(keys) => Some(oauth_keys!(keys)),
            _ => None,
        }
    }

    /// The addresses of its authorization server.
    pub fn urls(&self) -> impl Iterator<Item = &Text> {
        let own = match self {
            Auth::Oauth2Pkce(keys) => keys.authorization_url.as_ref(),
            Auth::Oauth2DeviceFlow(keys) => keys.device_authorization_url.as_ref(),
            _ => None,
        };
        self.oauth().and_then(|keys| keys.token_url.as_ref()).into_iter().chain(own)
    }

    /// Are there credentials?
    pub fn is_none(&self) -> bool {
        matches!(self, Auth::Absent | Auth::None(_))
    }

    /// Does it sign each request for itself?
    pub fn signs(&self) -> bool {
        matches!(self, Auth::Digest(_) | Auth::Sigv4(_))
    }

    /// The scheme's name in a configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Auth::Absent | Auth::None(_) => "none",
            Auth::ApiKey(_) => "api_key",
            Auth::Bearer(_) => "bearer",
            Auth::Basic(_) => "basic",
            Auth::Digest(_) => "digest",
            Auth::Oauth2(_) => "oauth2",
            Auth::Oauth2Refresh(_) => "oauth2_refresh",
            Auth::Oauth2Pkce(_) => "oauth2_pkce",
            Auth::Oauth2DeviceFlow(_) => "oauth2_device_flow",
            Auth::Sigv4(_) => "sigv4",
        }
    }

    /// Every credential in it.
    pub fn secrets(&self) -> Vec<&Secret> {
        match self {
            Auth::Absent | Auth::None(_) => Vec::new(),
            Auth::ApiKey(a) => vec![&a.key],
            Auth::Bearer(a) => vec![&a.token],
            Auth::Basic(a) | Auth::Digest(a) => vec![&a.username, &a.password],
            Auth::Oauth2(a) | Auth::Oauth2Refresh(a) => {
                present([&a.client_id, &a.client_secret, &a.token, &a.refresh_token])
            }
            Auth::Oauth2Pkce(a) => present([
                &a.client_id,
                &a.client_secret,
                &a.code_verifier,
                &a.code_challenge,
                &a.state,
                &a.authorization_code,
                &a.token,
                &a.refresh_token,
            ]),
            Auth::Oauth2DeviceFlow(a) => present([
                &a.client_id,
                &a.client_secret,
                &a.device_code,
                &a.user_code,
                &a.token,
                &a.refresh_token,
            ]),
            Auth::Sigv4(a) => present([&a.access_key_id, &a.secret_access_key, &a.session_token]),
        }
    }
}

fn present<const N: usize>(all: [&Option<Secret>; N]) -> Vec<&Secret> {
    all.into_iter().flatten().collect()
}
