//! Keys that are accepted, but whose engine is not there yet: the call that needs one says so.

use super::auth::{Auth, ClientAuth};
use super::endpoint::EndpointKeys;
use super::keys::ConnectorKeys;

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// fetch
    Fetch,
    /// pages, records, and a fetch of several pages
    Pages,
    /// send
    Send,
    /// send_bytes
    SendBytes,
    /// stream, download
    Stream,
}

/// Which calls need a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Every call.
    All,
    /// A call that gives a JSON body.
    Json,
    /// fetch alone.
    Fetch,
}

impl Needs {
    pub(super) fn by(self, call: Call) -> bool {
        match self {
            Needs::All => true,
            Needs::Json => matches!(call, Call::Fetch | Call::Pages | Call::Send),
            Needs::Fetch => matches!(call, Call::Fetch | Call::Pages),
        }
    }
}

/// The keys that act on an endpoint's calls and are not built. A row goes away when its engine is there.
pub(super) fn unbuilt(connector: &ConnectorKeys, endpoint: &EndpointKeys) -> Vec<(&'static str, Needs)> {
    let auth = match &connector.auth {
        Auth::Oauth2(keys) | Auth::Oauth2Refresh(keys)
            if keys.client_auth == Some(ClientAuth::PrivateKeyJwt) =>
        {
            Some("auth: client_auth: private_key_jwt")
        }
        Auth::Oauth2Pkce(_) => Some("auth: oauth2_pkce"),
        Auth::Oauth2DeviceFlow(_) => Some("auth: oauth2_device_flow"),
        _ => None,
    };
    let e = endpoint;
    let rows = [
        (auth.is_some(), auth.unwrap_or_default(), Needs::All),
        (e.cache.is_some(), "cache", Needs::Fetch),
        (e.query.is_some(), "query", Needs::Json),
    ];
    rows.into_iter().filter(|(there, _, _)| *there).map(|(_, key, needs)| (key, needs)).collect()
}
