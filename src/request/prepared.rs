//! A request that only needs to be sent.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use super::content::Content;
use super::prototype::IDEMPOTENCY_KEY;
use super::query::{add_parameter, pairs, remove_parameters, set_parameter};
use crate::config::values::Statuses;
use crate::config::{Origin, Settings};
use crate::digest::sha256;
use crate::redact::{HIDDEN, blank};

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
    /// What auth puts into the query, name and value, not encoded. It is in `url` already.
    pub auth_query: Option<(&'a str, &'a str)>,
    /// Its Idempotency-Key.
    pub key: Key,
    /// Does it change nothing, although its method does not say so? A GraphQL query.
    pub is_safe: bool,
    /// Was it given a condition by the library, so that 304 is an answer to it?
    pub is_conditional: bool,
    /// Further statuses that are no error.
    pub ok_status: &'a Statuses,
    /// The places of secrets in `url`.
    pub secret: Vec<Range<usize>>,
}

/// Whether there is an Idempotency-Key, so that repeating does no harm whatever the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// There is none.
    None,
    /// The caller, or the configuration, has named one.
    Given,
    /// It was made for this call: another one would have another key.
    Generated,
}

/// A URL's path and query, as they stand in the request line.
pub fn path_and_query(url: &str) -> &str {
    let start = url.find("://").map_or(0, |i| i + 3);
    url[start..].find('/').map_or("/", |i| &url[start + i..])
}

impl<'a> Prepared<'a> {
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

    /// Sets one of the library's own headers, which every origin may see; what the caller says under that name
    /// goes.
    pub fn set_own(&mut self, name: &'static str, value: String) {
        self.remove(name);
        self.headers.insert(self.own_headers, (name, value.into()));
        self.own_headers += 1;
    }

    /// Sets a header as if the caller had said it: no other origin sees it.
    pub fn set_theirs(&mut self, name: &'a str, value: String) {
        let own = self.own_headers;
        let mut at = 0;
        self.headers.retain(|(n, _)| {
            at += 1;
            at <= own || !n.eq_ignore_ascii_case(name)
        });
        self.headers.push((name, value.into()));
    }

    /// Sends it to another address, which may be of another origin that is allowed. The secrets of its own query go
    /// along where the address has none of that name: a server leaves them out of the links it makes.
    pub fn go_to(&mut self, address: &str) {
        let (mut url, mut secret) = (address.to_owned(), Vec::new());
        let own = self.secret_pairs();
        for (place, name, _) in pairs(address) {
            if own.iter().any(|(n, _)| *n == name) {
                let value = address[place.clone()].find('=').map_or(place.start, |at| place.start + at + 1);
                secret.push(value..place.end);
            }
        }
        for (name, value) in &own {
            if self.is_auth(name) {
                (url, secret) = set_parameter(&url, &secret, name, value);
            } else if !pairs(address).any(|(_, n, _)| n == *name) {
                add_parameter(&mut url, &mut secret, name, value);
            }
        }
        (self.url, self.secret) = (url, secret);
    }

    /// An address without the secrets that [`go_to`](Prepared::go_to) puts in.
    pub fn without_secrets(&self, address: &str) -> String {
        let own = self.secret_pairs();
        remove_parameters(address, |name, value| {
            own.iter().any(|(n, v)| n == name && (self.is_auth(name) || v == value))
        })
    }

    fn is_auth(&self, name: &str) -> bool {
        self.auth_query.is_some_and(|(auth, _)| auth == name)
    }

    /// The parameters of its query whose values are secrets, decoded.
    fn secret_pairs(&self) -> Vec<(String, String)> {
        let is_secret =
            |pair: &Range<usize>| self.secret.iter().any(|s| s.start < pair.end && pair.start < s.end);
        let own = pairs(&self.url).filter(|(place, ..)| is_secret(place));
        own.map(|(_, name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    /// Makes the request for one page known by a key of its own, as [`key_items`](Prepared::key_items).
    pub fn key_page(&mut self, page: u64) {
        let key = self.headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY));
        if let Some((_, value)) = key {
            value.to_mut().push_str(&format!("-{page:x}"));
        }
    }

    /// Takes a header out.
    fn remove(&mut self, name: &str) {
        let (mut at, own, mut gone) = (0, self.own_headers, 0);
        self.headers.retain(|(n, _)| {
            let stays = !n.eq_ignore_ascii_case(name);
            gone += usize::from(!stays && at < own);
            at += 1;
            stays
        });
        self.own_headers = own - gone;
    }

    /// May the caller make the same call again without harm? By its method (RFC 9110 9.2.2), by what it is, or
    /// by a key that would be the same.
    pub fn is_repeatable(&self) -> bool {
        self.is_idempotent() || self.key == Key::Given
    }

    /// Is it safe (RFC 9110 9.2.1)?
    pub fn changes_nothing(&self) -> bool {
        self.is_safe || matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
    }

    /// Is it one by its method, or by what it is, whatever its key?
    pub fn is_idempotent(&self) -> bool {
        self.is_safe || matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "TRACE")
    }

    /// Makes the request with these items of a list, in ascending order, known by a key of its own: under the same
    /// one, the server would take it for a repetition of the request before. The same items have the same key in
    /// every call.
    pub fn key_items(&mut self, items: &[usize]) {
        let key = self.headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY));
        let (Some((_, value)), Some(first), Some(last)) = (key, items.first(), items.last()) else { return };
        let key = value.to_mut();
        key.push_str(&format!("-{first}"));
        if first != last {
            key.push_str(&format!("-{last}"));
        }
        if last - first + 1 != items.len() {
            // Which are left out, in a length that any server takes.
            let which: Vec<String> = items.iter().map(usize::to_string).collect();
            key.push_str(&format!("-{}", &sha256(which.join(" ").as_bytes())[..16]));
        }
    }

    /// Its Idempotency-Key.
    pub fn idempotency_key(&self) -> Option<&str> {
        let key = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY));
        key.filter(|_| self.key != Key::None).map(|(_, value)| &**value)
    }

    /// The headers that another origin may see.
    pub fn public_headers(&self) -> &[(&'a str, Cow<'a, str>)] {
        &self.headers[..self.own_headers]
    }

    /// Is it a status that is no failure?
    pub fn is_ok(&self, status: u16) -> bool {
        let is_confirmed = self.is_conditional && status == 304;
        (200..300).contains(&status) || is_confirmed || self.ok_status.contains(status)
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
