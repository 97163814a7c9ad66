//! The one error, and the one mapping to status, category and "may I try again?".

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

pub use crate::response::{Attempt, Sent};

use crate::decode::decode_text;
use crate::redact::ShownUrl;
use crate::response::Response;

/// What went wrong. The numbers are the C ABI's statuses: pinned, never reused.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A required pointer was NULL.
    NullArgument = 100,
    /// An argument or a call option is not acceptable.
    InvalidArgument = 101,
    /// The configuration is not acceptable.
    InvalidConfig = 102,
    /// The handle is in use by another call.
    Busy = 103,
    /// The configuration has no endpoint of that name.
    UnknownEndpoint = 104,
    /// Known, but not built or not possible here.
    Unsupported = 105,
    /// The name did not resolve.
    Dns = 200,
    /// No connection to any address.
    Connect = 201,
    /// The TLS handshake or a certificate failed.
    Tls = 202,
    /// A time limit ran out.
    Timeout = 203,
    /// A socket failed.
    Io = 204,
    /// The peer broke HTTP.
    Protocol = 205,
    /// More bytes than a limit allows.
    TooLarge = 206,
    /// A redirect that may not be followed.
    Redirect = 207,
    /// The answer is a failure: by its status, or by `errors` in it (GraphQL).
    HttpStatus = 300,
    /// 429, or a limiter's wait that is longer than allowed.
    RateLimited = 301,
    /// 401, 403, or no credentials to be had.
    Auth = 302,
    /// The caller cancelled.
    Cancelled = 400,
    /// The body is not what the endpoint says it is.
    Decode = 500,
    /// The data does not fit its schema.
    Schema = 501,
    /// The listing cannot go on.
    Pagination = 502,
    /// The body ended early.
    Truncated = 503,
    /// The digest does not match.
    Checksum = 504,
    /// The server's range is not the one asked for.
    Range = 505,
    /// A local file failed.
    File = 600,
    /// A panic was caught.
    Panic = 900,
    /// A fault of this library.
    Internal = 901,
}

/// The reference's error categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Category {
    /// The input or the data is wrong.
    Validation,
    /// The network or the protocol failed.
    Network,
    /// A time limit ran out.
    Timeout,
    /// Credentials.
    Auth,
    /// Too many requests.
    #[serde(rename = "RATE_LIMIT")]
    RateLimit,
    /// Another failure on the caller's side.
    Client,
    /// A failure on the server's side.
    Server,
    /// The rest.
    Unknown,
}

impl Category {
    /// The name as the reference writes it.
    pub fn name(self) -> &'static str {
        match self {
            Category::Validation => "VALIDATION",
            Category::Network => "NETWORK",
            Category::Timeout => "TIMEOUT",
            Category::Auth => "AUTH",
            Category::RateLimit => "RATE_LIMIT",
            Category::Client => "CLIENT",
            Category::Server => "SERVER",
            Category::Unknown => "UNKNOWN",
        }
    }
}

/// The one error. Its texts are redacted before they are put in.
#[derive(Clone)]
pub struct Error(Box<Detail>);

/// What an [`Error`] knows.
#[derive(Clone)]
pub struct Detail {
    /// What went wrong.
    pub kind: Kind,
    /// One sentence: what failed, where, and what to do.
    pub message: String,
    /// Did the request reach the server?
    pub sent: Sent,
    /// The answer's status, where there was an answer.
    pub http_status: Option<u16>,
    /// The server's own wish, from Retry-After.
    pub retry_after: Option<Duration>,
    /// The endpoint's name.
    pub endpoint: Option<String>,
    /// The request's URL, redacted.
    pub url: Option<ShownUrl>,
    /// The request's method.
    pub method: Option<String>,
    /// True where the method may be repeated without harm (RFC 9110 9.2.2), or an Idempotency-Key says so.
    pub repeatable: bool,
    /// The page that failed, from 1.
    pub page: Option<u64>,
    /// The item of a sent list that failed, from 0.
    pub item: Option<usize>,
    /// True where the server has said that it did nothing yet.
    pub undone: bool,
    /// Where somebody knows better than the kind of the error whether it passes by itself.
    pub transient: Option<bool>,
    /// Where somebody knows better than the kind and the status what sort of failure it is.
    pub category: Option<Category>,
    /// True where a part of the call was done, so that the whole of it must not be repeated.
    pub partly_done: bool,
    /// Every attempt so far.
    pub attempts: Vec<Attempt>,
    /// The answer that was refused.
    pub response: Option<Arc<Response>>,
    /// What came before the failure.
    pub partial: Option<Arc<Response>>,
    /// When it happened.
    pub timestamp: SystemTime,
    /// The system's error number, where there is one.
    pub errno: Option<i32>,
}

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error; `sent` is [`Sent::No`] until somebody knows better.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error(Box::new(Detail {
            kind,
            message: message.into(),
            sent: Sent::No,
            http_status: None,
            retry_after: None,
            endpoint: None,
            url: None,
            method: None,
            repeatable: false,
            undone: false,
            transient: None,
            category: None,
            page: None,
            item: None,
            partly_done: false,
            attempts: Vec::new(),
            response: None,
            partial: None,
            timestamp: SystemTime::now(),
            errno: None,
        }))
    }

    /// An argument or call option that is not acceptable.
    pub fn argument(message: impl Into<String>) -> Error {
        Error::new(Kind::InvalidArgument, message)
    }

    /// A configuration that is not acceptable.
    pub fn config(message: impl Into<String>) -> Error {
        Error::new(Kind::InvalidConfig, message)
    }

    /// Something known whose engine is not there.
    pub fn unsupported(what: impl fmt::Display) -> Error {
        Error::new(Kind::Unsupported, format!("{what} is not supported by this version of apl"))
    }

    /// A fault of this library.
    pub fn internal(what: impl fmt::Display) -> Error {
        Error::new(Kind::Internal, format!("internal error: {what}; please report it"))
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The reference's category.
    pub fn category(&self) -> Category {
        use Kind::*;
        if let Some(category) = self.0.category {
            return category;
        }
        match self.0.kind {
            Busy => Category::Client,
            NullArgument | InvalidArgument | InvalidConfig | UnknownEndpoint | Unsupported | Schema => {
                Category::Validation
            }
            Dns | Connect | Tls | Io | Protocol | Redirect | Truncated => Category::Network,
            Timeout => Category::Timeout,
            RateLimited => Category::RateLimit,
            Auth => Category::Auth,
            HttpStatus => match self.0.http_status {
                Some(400 | 422) => Category::Validation,
                Some(401 | 403) => Category::Auth,
                Some(429) => Category::RateLimit,
                Some(400..=499) => Category::Client,
                Some(500..=599) => Category::Server,
                _ => Category::Unknown,
            },
            TooLarge | Cancelled | Decode | Pagination | Checksum | Range | File | Panic | Internal => {
                Category::Unknown
            }
        }
    }

    /// May this very call be repeated now? True for a transient failure of a request that was either not
    /// sent or may be repeated without harm.
    pub fn is_retryable(&self) -> bool {
        let d = &self.0;
        if d.partly_done {
            return false;
        }
        d.undone || (self.is_transient() && (d.sent == Sent::No || d.repeatable))
    }

    /// Is it a failure that may pass by itself?
    pub fn is_transient(&self) -> bool {
        let d = &self.0;
        d.transient.unwrap_or(match d.kind {
            Kind::Dns | Kind::Connect | Kind::Timeout | Kind::Io | Kind::Truncated | Kind::Busy => true,
            Kind::RateLimited => true,
            Kind::HttpStatus => matches!(d.http_status, Some(408 | 425 | 429 | 500 | 502 | 503 | 504)),
            _ => false,
        })
    }

    /// The error as the JSON text of `apl_error_json`: the reference's fields and ours.
    pub fn to_json(&self) -> String {
        self.json(usize::MAX)
    }

    /// The same for a ledger, which may hold many: of the answer's body there are 1000 characters, as in the
    /// reference.
    pub fn to_ledger_json(&self) -> String {
        self.json(1000)
    }

    /// `most`: characters of the answer's body.
    fn json(&self, most: usize) -> String {
        #[derive(Serialize)]
        struct Json<'a> {
            message: &'a str,
            error_category: Category,
            status_code: Option<u16>,
            response_body: Option<String>,
            request_url: Option<&'a str>,
            request_method: Option<&'a str>,
            timestamp: String,
            operation_id: Option<&'a str>,
            /// What the server calls the exchange, in the two fields that are common for it.
            correlation_id: Option<String>,
            additional_context: Context<'a>,
            status: i32,
            #[serde(skip_serializing_if = "Option::is_none")]
            endpoint: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            page: Option<u64>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            attempts: &'a [Attempt],
            sent: Sent,
            #[serde(skip_serializing_if = "Option::is_none")]
            errno: Option<i32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            problem: Option<Box<serde_json::value::RawValue>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_ms: Option<u64>,
        }
        #[derive(Serialize)]
        struct Context<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            endpoint: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            item_index: Option<usize>,
        }
        let d = &self.0;
        // A server may say back what it was told: its words are redacted here, its bytes in the response are not.
        let shown =
            |r: &Response, bytes: &[u8]| r.meta.redactor.redact(&String::from_utf8_lossy(bytes)).into_owned();
        let problem = d.response.as_ref().and_then(|r| {
            let media = r.head.get("content-type")?;
            let media = media.split(|b| *b == b';').next()?.trim_ascii();
            // RFC 9457
            media
                .eq_ignore_ascii_case(b"application/problem+json")
                .then(|| serde_json::value::RawValue::from_string(shown(r, r.body())).ok())?
                .filter(|problem| problem.get().len() <= most)
        });
        let json = Json {
            message: &d.message,
            error_category: self.category(),
            status_code: d.http_status,
            response_body: d.response.as_ref().map(|r| {
                // A charset that nobody knows hides nothing.
                let text = decode_text(&r.head, r.body().to_vec()).map(|(text, _)| text);
                let mut body = shown(r, text.as_deref().unwrap_or(r.body()));
                if let Some((end, _)) = body.char_indices().nth(most) {
                    body.truncate(end);
                }
                body
            }),
            request_url: d.url.as_ref().map(ShownUrl::as_str),
            request_method: d.method.as_deref(),
            timestamp: humantime::format_rfc3339_millis(d.timestamp).to_string(),
            // The reference's callers set it; there is none here.
            operation_id: None,
            correlation_id: d.response.as_ref().and_then(|r| {
                let id = r.head.get("x-correlation-id").or_else(|| r.head.get("x-request-id"))?;
                Some(shown(r, id))
            }),
            additional_context: Context { endpoint: d.endpoint.as_deref(), item_index: d.item },
            status: d.kind as i32,
            endpoint: d.endpoint.as_deref(),
            page: d.page,
            attempts: &d.attempts,
            sent: d.sent,
            errno: d.errno,
            problem,
            retry_after_ms: d.retry_after.map(|t| t.as_millis() as u64),
        };
        serde_json::to_string(&json).unwrap_or_else(|_| "{}".into())
    }
}

impl std::ops::Deref for Error {
    type Target = Detail;
    fn deref(&self) -> &Detail {
        &self.0
    }
}

impl std::ops::DerefMut for Error {
    fn deref_mut(&mut self) -> &mut Detail {
        &mut self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("sent", &self.0.sent)
            .field("http_status", &self.0.http_status)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {}
