//! A request that only needs to be sent.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::content::Content;
use crate::config::values::Statuses;
use crate::config::{Origin, Settings};
use crate::redact::{HIDDEN, Redactor, ShownUrl, blank};

/// A request that only needs to be sent. It borrows from its prototype and from the call.
#[derive(Clone)]
pub struct Prepared<'a> {
    /// The method in capital letters.
    pub method: &'a str,
    /// Scheme, host and port.
    pub origin: &'a Origin,
    /// The whole URL, encoded.
    pub url: String,
    /// Names and values. The first `own_headers` are the library's own; the rest came from auth, the
    /// configuration or the call, and goes to no other origin.
    pub headers: Vec<(&'a str, Cow<'a, str>)>,
    /// How many of `headers` are the library's own.
    pub own_headers: usize,
    /// The body; None where there is none.
    pub body: Option<Content<'a>>,
    /// Time limits, retries, redirects, limits: the call's over the endpoint's.
    pub settings: Cow<'a, Settings>,
    /// The time limit of the whole call.
    pub deadline: Option<Duration>,
    /// The names of the headers whose values are secrets.
    pub secret_headers: &'a [String],
    /// Further statuses that are no error.
    pub ok_status: &'a Statuses,
    /// The places of secrets in `url`.
    pub(super) secret: Vec<Range<usize>>,
}

impl<'a> Prepared<'a> {
    /// Path and query, as they stand in the request line.
    pub fn path_and_query(&self) -> &str {
        let start = self.url.find("://").map_or(0, |i| i + 3);
        self.url[start..].find('/').map_or("/", |i| &self.url[start + i..])
    }

    /// The URL for messages.
    pub fn shown_url(&self, redactor: Arc<Redactor>) -> ShownUrl {
        ShownUrl::new(&self.url, &self.secret, redactor)
    }

    /// A header's value for messages: hidden where its place says that it is a secret. The scheme of an
    /// Authorization may be seen. A redactor still has to look at it.
    pub fn redacted_header<'v>(&self, name: &str, value: &'v str) -> Cow<'v, str> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let authorization = is("authorization") || is("proxy-authorization");
        if !authorization && !is("cookie") && !self.secret_headers.iter().any(|s| is(s)) {
            return Cow::Borrowed(value);
        }
        match value.split_once(' ') {
            Some((scheme, _)) if authorization && ["Basic", "Bearer", "Digest"].contains(&scheme) => {
                Cow::Owned(format!("{scheme} {HIDDEN}"))
            }
            _ => Cow::Borrowed(HIDDEN),
        }
    }

    /// The headers that another origin may see.
    pub fn public_headers(&self) -> &[(&'a str, Cow<'a, str>)] {
        &self.headers[..self.own_headers]
    }

    /// Is it a status that the caller takes for success?
    pub fn is_ok(&self, status: u16) -> bool {
        (200..300).contains(&status) || self.ok_status.contains(status)
    }
}

impl std::fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("method", &self.method)
            .field("url", &blank(&self.url, &self.secret))
            .finish_non_exhaustive()
    }
}
