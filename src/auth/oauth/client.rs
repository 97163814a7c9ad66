//! What a token is asked for with, and how the client proves who it is (RFC 6749 2.3).

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::answer::{self, Granted, Refusal};
use super::filled;
use super::jwt::{self, Key};
use crate::auth::{Ask, Form, Place, Repeat, Sources};
use crate::config::auth::{ClientAuth, OauthKeys};
use crate::config::{Config, Secret, Text};
use crate::error::{Error, Kind, Result};
use crate::response::Response;

/// What a token is asked for with.
#[derive(Clone, Copy)]
pub(super) enum Grant<'a> {
    /// The client's own credentials (RFC 6749 4.4).
    ClientCredentials { scope: Option<&'a str> },
    /// A refresh token (RFC 6749 6).
    RefreshToken { token: &'a Secret, scope: Option<&'a str> },
    /// An authorization code (RFC 6749 4.1.3), and the verifier of its challenge (RFC 7636 4.5).
    Code { code: &'a Secret, redirect_uri: &'a str, verifier: Option<&'a Secret> },
    /// A device code (RFC 8628 3.4), again and again.
    DeviceCode(&'a Secret),
}

impl<'a> Grant<'a> {
    fn fields(self) -> Vec<(&'static str, &'a str)> {
        let mut fields = match self {
            Grant::ClientCredentials { .. } => vec![("grant_type", "client_credentials")],
            Grant::RefreshToken { token, .. } => {
                vec![("grant_type", "refresh_token"), ("refresh_token", token.expose())]
            }
            Grant::Code { code, redirect_uri, .. } => vec![
                ("grant_type", "authorization_code"),
                ("code", code.expose()),
                ("redirect_uri", redirect_uri),
            ],
            Grant::DeviceCode(code) => vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                ("device_code", code.expose()),
            ],
        };
        match self {
            Grant::ClientCredentials { scope: Some(scope) }
            | Grant::RefreshToken { scope: Some(scope), .. }
                if !scope.is_empty() =>
            {
                fields.push(("scope", scope));
            }
            Grant::Code { verifier: Some(verifier), .. } => fields.push(("code_verifier", verifier.expose())),
            _ => {}
        }
        fields
    }

    fn secrets(self) -> Vec<&'a str> {
        match self {
            Grant::ClientCredentials { .. } => Vec::new(),
            Grant::RefreshToken { token, .. } => vec![token.expose()],
            Grant::Code { code, verifier, .. } => {
                [code.expose()].into_iter().chain(verifier.map(Secret::expose)).collect()
            }
            Grant::DeviceCode(code) => vec![code.expose()],
        }
    }

    /// May it be presented again, when nobody knows whether it was looked at? A refresh token has to be: the answer may
    /// be lost, and the session with it. A code has not: who sees it twice may end all that was granted for it (RFC 6749
    /// 4.1.2).
    fn repeat(self) -> Repeat {
        match self {
            Grant::ClientCredentials { .. } | Grant::RefreshToken { .. } => Repeat::Same,
            Grant::Code { .. } => Repeat::Unsent,
            Grant::DeviceCode(_) => Repeat::Never,
        }
    }
}

/// A token endpoint, and who asks it.
pub(super) struct Client {
    token_url: Place,
    id: Secret,
    proof: Proof,
    sources: Sources,
}

/// How the client proves itself.
enum Proof {
    /// Not at all: it is a public client.
    None,
    /// With its secret in the body.
    Post(Secret),
    /// With its secret in a header, as RFC 6749 2.3.1 writes it.
    Basic { pair: Secret, authorization: Secret },
    /// With a JWT.
    Key(Key),
}

/// A token that was not got.
pub(super) struct Denied {
    pub error: Error,
    /// Why, in RFC 6749's words, where the endpoint has said it.
    pub word: Option<String>,
}

impl From<Error> for Denied {
    fn from(error: Error) -> Denied {
        Denied { error, word: None }
    }
}

impl Denied {
    /// Is it the endpoint's decision? Else asking again with the same may do.
    pub fn is_final(&self) -> bool {
        // A proxy on the way decides nothing.
        let is_proxys = self.error.http_status == Some(407);
        let is_refusal = self.word.is_some() || self.error.kind() == Kind::Auth;
        is_refusal && !is_proxys && !self.error.is_transient()
    }
}

impl Client {
    /// As `auth` says.
    pub fn new(config: &Config, keys: &OauthKeys<'_>, sources: Sources) -> Result<Client> {
        let wrong = |key: &str, what: &str| Error::config(format!("/auth/{key}: {what}"));
        let token_url = keys
            .token_url
            .as_ref()
            .map(Text::as_str)
            .ok_or_else(|| wrong("token_url", "the key is missing"))?;
        let id = filled(keys.client_id).ok_or_else(|| wrong("client_id", "the key is missing"))?;
        let secret = filled(keys.client_secret);
        if keys.client_auth != ClientAuth::PrivateKeyJwt {
            let given = [
                ("key_file", keys.key_file.is_some()),
                ("key_id", keys.key_id.is_some()),
                ("algorithm", keys.algorithm.is_some()),
            ];
            if let Some((key, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
                return Err(wrong(key, "only client_auth: private_key_jwt uses it"));
            }
        }
        let proof = match (keys.client_auth, secret) {
            (ClientAuth::PrivateKeyJwt, Some(_)) => {
                return Err(wrong("client_secret", "client_auth: private_key_jwt uses a key, and no secret"));
            }
            (ClientAuth::PrivateKeyJwt, None) => Proof::Key(Key::new(keys)?),
            (_, None) => Proof::None,
            (ClientAuth::Post, Some(secret)) => Proof::Post(secret),
            (ClientAuth::Basic, Some(secret)) => {
                // RFC 6749 2.3.1: both are encoded as in a form before they are Basic's.
                let encoded =
                    |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = Secret::new(format!("{}:{}", encoded(id.expose()), encoded(secret.expose())));
                let authorization = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
                Proof::Basic { pair, authorization }
            }
        };
        Ok(Client { token_url: Place::new(config, "token_url", token_url)?, id, proof, sources })
    }

    /// Who asks.
    pub fn id(&self) -> &str {
        self.id.expose()
    }

    /// Does it prove who it is?
    pub fn is_public(&self) -> bool {
        matches!(self.proof, Proof::None)
    }

    /// The token endpoint.
    pub fn token_url(&self) -> &Place {
        &self.token_url
    }

    /// Asks for a token.
    pub fn token(&self, grant: Grant<'_>, ask: &dyn Ask) -> Result<Granted, Denied> {
        let (fields, secrets) = (grant.fields(), grant.secrets());
        let (response, body) = self.ask(&self.token_url, &fields, &secrets, grant.repeat(), ask)?;
        answer::granted(&body).map_err(|what| unusable(&response, &body, what))
    }

    /// Sends a form to a place, with what proves who sends it.
    pub fn ask(
        &self,
        to: &Place,
        fields: &[(&str, &str)],
        secrets: &[&str],
        repeat: Repeat,
        ask: &dyn Ask,
    ) -> Result<(Response, Zeroizing<Vec<u8>>), Denied> {
        let repeat = match (&self.proof, repeat) {
            // RFC 7523 3: a JWT is good for one request.
            (Proof::Key(_), Repeat::Same) => Repeat::Made,
            _ => repeat,
        };
        let answer = ask.send(to, repeat, &|| self.form(fields, secrets)).map_err(refused)?;
        let (response, body) = answer.take_body();
        Ok((response, Zeroizing::new(body)))
    }

    /// A form, with what proves who sends it.
    fn form(&self, fields: &[(&str, &str)], secrets: &[&str]) -> Result<Form> {
        let (mut proof, mut secrets, mut authorization) = (Vec::new(), secrets.to_vec(), None);
        let assertion;
        match &self.proof {
            Proof::None => {}
            Proof::Post(secret) => proof.push(("client_secret", secret.expose())),
            Proof::Basic { pair, authorization: value } => {
                secrets.push(pair.expose());
                authorization = Some(Zeroizing::new(value.expose().to_owned()));
            }
            Proof::Key(key) => {
                let (now, nonce): (SystemTime, _) = ((self.sources.now)(), (self.sources.nonce)());
                assertion = key.assertion(self.id(), &self.token_url.url, &nonce, now)?;
                secrets.push(&assertion);
                proof.push(("client_assertion_type", jwt::KIND));
                proof.push(("client_assertion", &assertion));
            }
        }
        let id = authorization.is_none().then_some(("client_id", self.id()));
        let all = || fields.iter().copied().chain(id).chain(proof.iter().copied());
        // Room for all of it, every byte escaped: what grows leaves copies behind.
        let room = all().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(room));
        let body = Zeroizing::new(form.extend_pairs(all()).finish());
        let secrets = secrets.into_iter().map(|secret| Zeroizing::new(secret.to_owned())).collect();
        Ok(Form { body, authorization, secrets })
    }
}

/// A refusal by status: 4xx is about the credentials, but for those that pass by themselves.
fn refused(mut error: Error) -> Denied {
    let Some(response) = error.response.clone() else { return error.into() };
    let status = error.http_status.unwrap_or_default();
    if error.kind() == Kind::HttpStatus && (400..500).contains(&status) && !error.is_transient() {
        error.kind = Kind::Auth;
    }
    let Some(refusal) = Refusal::read(response.body()) else { return error.into() };
    if let Some(description) = refusal.error_description.filter(|description| !description.is_empty()) {
        // The error itself is in the message already.
        error.message += &format!(": {}", response.meta.redactor.excerpt(&description));
    }
    Denied { error, word: Some(refusal.error) }
}

/// An answer of an endpoint that gives nothing. Some say with 200 that they refuse.
pub(super) fn unusable(response: &Response, body: &[u8], what: &str) -> Denied {
    let refusal = Refusal::read(body);
    let words = match &refusal {
        Some(refusal) => {
            format!("refused: {}", answer::words(&refusal.error, refusal.error_description.as_deref()))
        }
        None => what.to_owned(),
    };
    let url = &response.meta.url;
    let mut error = Error::new(
        Kind::Auth,
        format!("auth: POST {url}: the endpoint {}", response.meta.redactor.excerpt(&words)),
    );
    error.http_status = Some(response.head.status);
    Denied { error, word: refusal.map(|refusal| refusal.error) }
}
