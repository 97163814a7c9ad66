//! Where a request goes: the origin as the transport needs it.

use http::HeaderValue;
use http::uri::{Authority, Scheme};

use crate::error::{Error, Result};

/// Scheme, host and port, with everything about them that a request needs, made once.
#[derive(Clone, Debug)]
pub struct Target {
    /// Is it https?
    pub tls: bool,
    /// The host as a name or an address, without brackets.
    pub host: Box<str>,
    /// The port, the scheme's default included.
    pub port: u16,
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) host_header: HeaderValue,
}

impl Target {
    /// The origin of an http or https URL.
    pub fn of(url: &url::Url) -> Result<Target> {
        let bad =
            || Error::config(format!("`{}` is no http or https origin", url.origin().ascii_serialization()));
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(bad()),
        };
        let host = url.host_str().ok_or_else(bad)?;
        let port = url.port_or_known_default().ok_or_else(bad)?;
        // `url` leaves a default port out, which is what Host wants (RFC 9110 7.2).
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        Ok(Target {
            tls,
            host: host.trim_start_matches('[').trim_end_matches(']').into(),
            port,
            scheme: if tls { Scheme::HTTPS } else { Scheme::HTTP },
            host_header: HeaderValue::from_str(&authority).map_err(|_| bad())?,
            authority: authority.parse().map_err(|_| bad())?,
        })
    }

    /// May a connection to the other serve this one?
    pub(super) fn is_same(&self, other: &Target) -> bool {
        self.tls == other.tls && self.port == other.port && self.host == other.host
    }
}
