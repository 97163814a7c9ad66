//! Settings that a connector, an endpoint and a call share: timeouts, retries, redirects, limits, encoding.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::values::{Delay, Seconds, Size, Statuses};

/// `timeout`: a number of seconds for connect, head and read each, or a mapping.
#[derive(Clone, Debug, Default)]
pub struct Timeout(pub TimeoutKeys);

/// The time limits of one attempt, seconds each.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutKeys {
    /// Until the connection is there, TLS included.
    pub connect: Option<Seconds>,
    /// From the request to the answer's head.
    pub head: Option<Seconds>,
    /// Between two reads of the body.
    pub read: Option<Seconds>,
    /// One attempt as a whole.
    pub total: Option<Seconds>,
}

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timeout, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Timeout;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds or {connect, head, read, total}")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Timeout, E> {
                self.visit_f64(n as f64)
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Timeout, E> {
                self.visit_f64(n as f64)
            }
            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Timeout, E> {
                let each = Seconds::deserialize(de::value::F64Deserializer::new(n))?;
                let (connect, head, read) = (Some(each), Some(each), Some(each));
                Ok(Timeout(TimeoutKeys { connect, head, read, total: None }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Timeout, A::Error> {
                TimeoutKeys::deserialize(MapAccessDeserializer::new(map)).map(Timeout)
            }
        }
        // As a struct, so that its mapping may have notes as every other one.
        deserializer.deserialize_struct("Timeout", &["connect", "head", "read", "total"], Either)
    }
}

/// Details of repeating a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RetryKeys {
    /// The longest single backoff, seconds. Default 30.
    pub max: Option<Delay>,
    /// The longest wait that a server may ask for, seconds. Default 60.
    pub max_wait: Option<Delay>,
    /// Statuses after which a request is repeated. Default 408, 425, 429, 500, 502, 503, 504.
    pub statuses: Option<Statuses>,
    /// Send an Idempotency-Key with requests that may not be repeated otherwise? Default off.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// Whether an Idempotency-Key is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IdempotencyKey {
    /// No.
    #[default]
    Off,
    /// One for each call.
    Auto,
}

/// Redirects.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RedirectKeys {
    /// Follow them? Default true.
    pub follow: Option<bool>,
    /// At most so many in a row. Default 10.
    pub max: Option<u32>,
}

/// Limits on what a server may send.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LimitKeys {
    /// The largest decoded body. Default 256MiB.
    pub max_body: Option<Size>,
    /// The largest merged result. Default 1GiB.
    pub max_result: Option<Size>,
    /// The largest head of an answer. Default 64KiB.
    pub max_header: Option<Size>,
    /// The largest server-sent event. Default 4MiB.
    pub max_event: Option<Size>,
    /// A listing longer than this is an error. Default 10000.
    pub max_pages_guard: Option<NonZeroU32>,
    /// What is kept of a failure's body. Default 64KiB.
    pub max_error_body: Option<Size>,
    /// Refuse addresses of private networks? The proxy itself is exempt. Default false.
    pub block_private_networks: Option<bool>,
}

/// Which encodings are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AcceptEncoding {
    /// Those that this library decodes.
    #[default]
    Auto,
    /// None; the body is handed on as it comes.
    Identity,
}

/// The time limits of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection is there, TLS included.
    pub connect: Duration,
    /// From the request to the answer's head.
    pub head: Duration,
    /// Between two reads of the body.
    pub read: Duration,
    /// One attempt as a whole.
    pub total: Option<Duration>,
}

/// Limits on what a server may send, bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest decoded body.
    pub max_body: u64,
    /// The largest merged result.
    pub max_result: u64,
    /// The largest head of an answer.
    pub max_header: u64,
    /// The largest server-sent event.
    pub max_event: u64,
    /// A listing of more pages is an error.
    pub max_pages_guard: u32,
    /// What is kept of a failure's body.
    pub max_error_body: u64,
    /// Are addresses of private networks refused?
    pub block_private_networks: bool,
}

/// How a request is repeated.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// The base of the exponential backoff.
    pub delay: Duration,
    /// The longest single backoff.
    pub max: Duration,
    /// The longest wait that a server may ask for.
    pub max_wait: Duration,
    /// Statuses after which a request is repeated.
    pub statuses: Arc<Statuses>,
    /// Is an Idempotency-Key made?
    pub idempotency_key: IdempotencyKey,
}

/// Whether and how far redirects are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirects {
    /// Follow them?
    pub follow: bool,
    /// At most so many in a row.
    pub max: u32,
}

/// All of them, with defaults filled in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The time limits of one attempt.
    pub timeouts: Timeouts,
    /// How a request is repeated.
    pub retry: Retry,
    /// Whether and how far redirects are followed.
    pub redirects: Redirects,
    /// Limits on what a server may send.
    pub limits: Limits,
    /// Which encodings are asked for.
    pub accept_encoding: AcceptEncoding,
}

impl Default for Settings {
    fn default() -> Settings {
        let seconds = Duration::from_secs;
        let timeouts = Timeouts { connect: seconds(30), head: seconds(30), read: seconds(30), total: None };
        Settings {
            timeouts,
            retry: Retry {
                attempts: 3,
                delay: seconds(1),
                max: seconds(30),
                max_wait: seconds(60),
                statuses: Arc::new(Statuses::of(&[408, 425, 429, 500, 502, 503, 504])),
                idempotency_key: IdempotencyKey::Off,
            },
            redirects: Redirects { follow: true, max: 10 },
            limits: Limits {
                max_body: 256 << 20,
                max_result: 1 << 30,
                max_header: 64 << 10,
                max_event: 4 << 20,
                max_pages_guard: 10_000,
                max_error_body: 64 << 10,
                block_private_networks: false,
            },
            accept_encoding: AcceptEncoding::Auto,
        }
    }
}

/// What one level (connector, endpoint, call) says about them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides<'a> {
    /// Its `timeout`.
    pub timeout: Option<&'a Timeout>,
    /// Its `retry_count`.
    pub retry_count: Option<u32>,
    /// Its `retry_delay`.
    pub retry_delay: Option<Delay>,
    /// Its `retry`.
    pub retry: Option<&'a RetryKeys>,
    /// Its `redirects`.
    pub redirects: Option<&'a RedirectKeys>,
    /// Its `limits`.
    pub limits: Option<&'a LimitKeys>,
    /// Its `accept_encoding`.
    pub accept_encoding: Option<AcceptEncoding>,
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

impl Settings {
    /// These settings with a more specific level on top, key by key.
    pub fn with(&self, o: Overrides<'_>) -> Settings {
        let mut s = self.clone();
        if let Some(Timeout(t)) = o.timeout {
            set(&mut s.timeouts.connect, t.connect.map(|v| v.0));
            set(&mut s.timeouts.head, t.head.map(|v| v.0));
            set(&mut s.timeouts.read, t.read.map(|v| v.0));
            set(&mut s.timeouts.total, t.total.map(|v| Some(v.0)));
        }
        set(&mut s.retry.attempts, o.retry_count.map(|n| n.max(1)));
        set(&mut s.retry.delay, o.retry_delay.map(|v| v.0));
        if let Some(r) = o.retry {
            set(&mut s.retry.max, r.max.map(|v| v.0));
            set(&mut s.retry.max_wait, r.max_wait.map(|v| v.0));
            set(&mut s.retry.statuses, r.statuses.clone().map(Arc::new));
            set(&mut s.retry.idempotency_key, r.idempotency_key);
        }
        if let Some(r) = o.redirects {
            set(&mut s.redirects.follow, r.follow);
            set(&mut s.redirects.max, r.max);
        }
        if let Some(l) = o.limits {
            set(&mut s.limits.max_body, l.max_body.map(|v| v.0));
            set(&mut s.limits.max_result, l.max_result.map(|v| v.0));
            set(&mut s.limits.max_header, l.max_header.map(|v| v.0));
            set(&mut s.limits.max_event, l.max_event.map(|v| v.0));
            set(&mut s.limits.max_pages_guard, l.max_pages_guard.map(NonZeroU32::get));
            set(&mut s.limits.max_error_body, l.max_error_body.map(|v| v.0));
            set(&mut s.limits.block_private_networks, l.block_private_networks);
        }
        set(&mut s.accept_encoding, o.accept_encoding);
        s
    }
}
