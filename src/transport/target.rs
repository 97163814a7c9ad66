//! Where a request goes: the origin as the transport needs it.

use http::HeaderValue;
use http::uri::{Authority, Scheme};

use crate::config::Origin;
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
    /// Is it a place that no credentials are for?
    pub foreign: bool,
    /// Is it never asked through a proxy?
    pub direct: bool,
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    host_header: HeaderValue,
}

impl Target {
    /// What a request needs to know of an origin.
    pub fn of(origin: &Origin) -> Result<Target> {
        let host = origin.host();
        let scheme = if origin.is_https() { Scheme::HTTPS } else { Scheme::HTTP };
        // The port is left out where it is the scheme's own, as Host wants it (RFC 9110 7.2).
        let written = origin.to_string();
        let authority = written.split_once("://").map_or("", |(_, authority)| authority);
        let bad = || Error::config(format!("`{origin}` is not an origin that HTTP can name"));
        Ok(Target {
            tls: origin.is_https(),
            host: host.trim_start_matches('[').trim_end_matches(']').into(),
            port: origin.port(),
            foreign: false,
            direct: false,
            scheme,
            host_header: HeaderValue::from_str(authority).map_err(|_| bad())?,
            authority: authority.parse().map_err(|_| bad())?,
        })
    }

    /// The same place as another origin's: no certificate of the client is shown there.
    pub fn foreign(self) -> Target {
        Target { foreign: true, ..self }
    }

    /// The same place, never through a proxy: what goes there in the clear stays on this machine.
    pub fn direct(self) -> Target {
        Target { direct: true, ..self }
    }

    /// Is it this origin?
    pub fn is_of(&self, origin: &Origin) -> bool {
        let host = origin.host().trim_start_matches('[').trim_end_matches(']');
        self.tls == origin.is_https() && self.port == origin.port() && *self.host == *host
    }

    /// The value of Host.
    pub fn host_header(&self) -> HeaderValue {
        self.host_header.clone()
    }

    /// May a connection to the other serve this one?
    pub(super) fn is_same(&self, other: &Target) -> bool {
        let same_place = self.tls == other.tls && self.port == other.port && self.host == other.host;
        same_place && self.foreign == other.foreign && self.direct == other.direct
    }
}
