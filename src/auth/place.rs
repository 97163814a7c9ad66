//! A token endpoint: where secrets of the client go, and nothing else of ours.

use std::net::IpAddr;

use crate::config::{Base, Config, Origin, base};
use crate::error::{Error, Result};

/// Where a token endpoint is.
#[derive(Clone)]
pub struct Place {
    /// The whole URL.
    pub url: String,
    /// Its origin.
    pub origin: Origin,
}

/// Its query may hold a secret.
impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Place {
    /// The URL under a key of `auth`. The client's secrets go there, so plain http is for this machine alone, and
    /// goes through no proxy.
    pub fn new(config: &Config, key: &str, url: &str) -> Result<Place> {
        let wrong = |what: &str| Error::config(format!("/auth/{key}: {what}"));
        let Base { origin, path, query } = base(url).map_err(|m| wrong(&m))?;
        if !origin.is_https() && !is_loopback(origin.host()) {
            return Err(wrong("must be https: the client's secrets go there (http is for localhost)"));
        }
        if !origin.is_https() && config.keys.tls.required {
            return Err(wrong("TLS is required (tls.required), but this is plain http"));
        }
        let query = query.map(|q| format!("?{q}")).unwrap_or_default();
        Ok(Place { url: format!("{origin}{path}{query}"), origin })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    // RFC 6761 6.3: localhost and all below it.
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|a| a.is_loopback())
}
