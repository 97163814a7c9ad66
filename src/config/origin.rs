//! An origin: scheme, host and port. What decides where a secret may travel.

use std::fmt;

use url::Url;

/// Scheme, host and port; equal whatever the case of the host, and with the default port said or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an `http` or `https` URL; None for every other one.
    pub fn of(url: &Url) -> Option<Origin> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        // The URL standard has lower-cased the host, and made it ASCII.
        let host = url.host_str().filter(|h| !h.is_empty())?.to_owned();
        Some(Origin { https, host, port: url.port_or_known_default()? })
    }

    /// Is it https?
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host in lower case; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, default) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == default { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// The origins that may be reached with secrets: the one of base_url, and `allow_origins`.
#[derive(Clone, Debug)]
pub struct Allowed {
    origins: Vec<Origin>,
    any: bool,
}

impl Allowed {
    /// The configured origin, further ones, and whether `*` was among them.
    pub fn new(own: Origin, further: Vec<Origin>, any: bool) -> Allowed {
        let mut origins = vec![own];
        origins.extend(further);
        Allowed { origins, any }
    }

    /// Is it one of them?
    pub fn contains(&self, origin: &Origin) -> bool {
        self.any || self.origins.contains(origin)
    }
}
