//! Keys that are accepted, but whose engine is not there yet: the call that needs one says so.

use super::auth::{Auth, ClientAuth};
use super::keys::ConnectorKeys;

/// The key that is not built, where there is one: what is left is about every call.
pub(super) fn unbuilt(connector: &ConnectorKeys) -> Option<&'static str> {
    match &connector.auth {
        Auth::Oauth2(keys) | Auth::Oauth2Refresh(keys)
            if keys.client_auth == Some(ClientAuth::PrivateKeyJwt) =>
        {
            Some("auth: client_auth: private_key_jwt")
        }
        Auth::Oauth2Pkce(_) => Some("auth: oauth2_pkce"),
        Auth::Oauth2DeviceFlow(_) => Some("auth: oauth2_device_flow"),
        _ => None,
    }
}
