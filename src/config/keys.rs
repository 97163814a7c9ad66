//! The keys of a connector.

use serde::Deserialize;

use super::auth::Auth;
use super::endpoint::{EndpointKeys, RateLimit};
use super::secret::Text;
use super::settings::{AcceptEncoding, LimitKeys, RedirectKeys, RetryKeys, Timeout};
use super::values::{Delay, Named, Seconds, Statuses};

/// An API connector.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConnectorKeys {
    /// What kind of API it is. Default rest.
    #[serde(rename = "type", alias = "connector_type", default)]
    pub kind: ConnectorType,
    /// The address that paths are appended to.
    pub base_url: Text,
    /// How requests are authenticated.
    #[serde(alias = "auth_config", default)]
    pub auth: Auth,
    /// Headers of every request.
    #[serde(alias = "headers", default)]
    pub default_headers: Named<Text>,
    /// Time limits of one attempt: seconds, or {connect, head, read, total}. Default 30.
    #[serde(default)]
    pub timeout: Option<Timeout>,
    /// A rate limit for all endpoints together.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// Attempts in all. Default 3.
    #[serde(default)]
    pub retry_count: Option<u32>,
    /// Base of the exponential backoff, seconds. Default 1.
    #[serde(default)]
    pub retry_delay: Option<Delay>,
    /// Details of repeating.
    #[serde(default)]
    pub retry: Option<RetryKeys>,
    /// Redirects.
    #[serde(default)]
    pub redirects: Option<RedirectKeys>,
    /// Further origins, or "*", that may be reached, and get the secrets.
    #[serde(default)]
    pub allow_origins: Vec<String>,
    /// Limits on what a server may send.
    #[serde(default)]
    pub limits: Option<LimitKeys>,
    /// TLS.
    #[serde(default)]
    pub tls: Tls,
    /// A proxy's URL (http, https, socks5), `env` or `none`. It resolves the names. An authorization
    /// server on this machine that is asked over plain http is reached without it. Default none.
    #[serde(default)]
    pub proxy: Option<Text>,
    /// Hosts reached without the proxy: names with what is below them, addresses, networks, `*`. Ports do not count.
    #[serde(default)]
    pub no_proxy: Vec<String>,
    /// The connection pool.
    #[serde(default)]
    pub pool: Pool,
    /// Addresses to use instead of the name service's: "host:port" → "address" or "address:port".
    #[serde(default)]
    pub resolve: Named<String>,
    /// The User-Agent. Default apl/VERSION.
    #[serde(default)]
    pub user_agent: Option<Text>,
    /// Keep cookies? Default false.
    #[serde(default)]
    pub cookies: bool,
    /// Which encodings are asked for. Default auto.
    #[serde(default)]
    pub accept_encoding: Option<AcceptEncoding>,
    /// How the API's health is asked for.
    #[serde(default)]
    pub health: Health,
    /// The endpoints.
    #[serde(default)]
    pub endpoints: Named<EndpointKeys>,
}

/// What kind of API it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectorType {
    /// REST.
    #[default]
    Rest,
    /// GraphQL: endpoints with `query` POST it.
    Graphql,
    /// Server-sent events; acts as rest.
    Sse,
}

/// TLS.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// A PEM file of further root certificates.
    pub ca_file: Option<String>,
    /// A PEM file of the client's certificate chain.
    pub client_cert: Option<String>,
    /// A PEM file of the client's key.
    pub client_key: Option<String>,
    /// The lowest version. Default 1.2.
    pub min_version: TlsVersion,
    /// Refuse plain http? Default false.
    pub required: bool,
    /// Accept any certificate? For tests only. Default false.
    pub danger_accept_invalid_certs: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

/// The connection pool.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// Idle connections kept for a host. Default 16; 0 keeps none.
    pub max_idle_per_host: Option<usize>,
    /// Seconds that an idle connection is kept. Default 60.
    pub idle_age: Option<Delay>,
}

impl Pool {
    /// Idle connections kept for a host.
    pub fn max_idle_per_host(&self) -> usize {
        self.max_idle_per_host.unwrap_or(16)
    }

    /// How long an idle connection is kept.
    pub fn idle_age(&self) -> std::time::Duration {
        self.idle_age.map_or(std::time::Duration::from_secs(60), |d| d.0)
    }
}

/// How the API's health is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// The path. Default /.
    pub path: Option<Text>,
    /// The statuses of a healthy API.
    pub expect_status: Option<Statuses>,
    /// Seconds. Default 5.
    pub timeout: Option<Seconds>,
}

impl Health {
    /// The whole call's time limit.
    pub fn timeout(&self) -> std::time::Duration {
        self.timeout.map_or(std::time::Duration::from_secs(5), |s| s.0)
    }
}
