//! A request in its final form: where it goes now, and with what. Nothing is added to it any more.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use url::Url;
use zeroize::Zeroizing;

use super::hidden;
use super::jar::Jar;
use super::redirect;
use crate::auth::Signable;
use crate::config::{header_name, header_value};
use crate::error::{Error, Result};
use crate::redact::{Redactor, ShownUrl};
use crate::request::{Content, Prepared, path_and_query, set_parameter};
use crate::transport::Target;

/// Where a request goes now: at first where the caller wants it, then where servers send it.
#[derive(Debug)]
pub(super) struct Hop<'a> {
    pub method: Method,
    pub url: Cow<'a, str>,
    pub target: Arc<Target>,
    /// May it carry what auth, the configuration and the call say? Else only what the library says itself.
    pub trusted: bool,
    pub body: Option<&'a Content<'a>>,
    /// The places of secrets in `url`.
    secret: Cow<'a, [Range<usize>]>,
}

impl<'a> Hop<'a> {
    /// The request that the caller wants.
    pub fn first(target: &Arc<Target>, prepared: &'a Prepared<'a>) -> Result<Hop<'a>> {
        let method = Method::from_bytes(prepared.method.as_bytes());
        Ok(Hop {
            method: method.map_err(|_| Error::argument("the method cannot be sent over HTTP"))?,
            url: Cow::Borrowed(&prepared.url),
            target: target.clone(),
            trusted: true,
            body: prepared.body.as_ref(),
            secret: Cow::Borrowed(&prepared.secret),
        })
    }

    /// The request that a redirect asks for. Credentials are made for it afresh, where it may have them.
    ///
    /// `bound`: values of secrets, which are hidden in its URL too.
    pub fn after(
        &self,
        to: redirect::To,
        prepared: &'a Prepared<'a>,
        bound: &[Zeroizing<String>],
    ) -> Result<Hop<'a>, String> {
        let mut url = String::from(to.url);
        let mut secret = places(&url, |value| bound.iter().any(|b| **b == *value));
        if let Some((name, value)) = prepared.auth_query.filter(|_| to.trusted) {
            (url, secret) = set_parameter(&url, &secret, name, value);
        }
        if url.len() > redirect::LONGEST {
            return Err(format!("its address is {} bytes long", url.len()));
        }
        let target = Target::of(&to.origin).map_err(|_| "its address has a host that no request can name")?;
        let target = if to.trusted { target } else { target.foreign() };
        Ok(Hop {
            method: to.method,
            url: Cow::Owned(url),
            target: Arc::new(target),
            trusted: to.trusted,
            body: self.body.filter(|_| to.keeps_body),
            secret: Cow::Owned(secret),
        })
    }

    /// The fields of the request, but for Host and Content-Length.
    fn fields(&self, prepared: &'a Prepared<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = if self.trusted { &prepared.headers[..] } else { prepared.public_headers() };
        // What described the body goes with it; and a Host that was configured is the configured origin's.
        let lost_body = prepared.body.is_some() && self.body.is_none();
        let other_host = !self.target.is_of(prepared.origin);
        all.iter().map(|(name, value)| (*name, &**value)).filter(move |(name, _)| {
            !(lost_body && describes_body(name) || other_host && name.eq_ignore_ascii_case("host"))
        })
    }

    /// The request with everything that it is sent with. `jar`: the cookies that go along.
    pub fn draft(&self, prepared: &'a Prepared<'a>, jar: Option<&Jar>) -> Result<Draft<'_>> {
        let bad = |what: &str| Error::argument(format!("{what} cannot be sent over HTTP"));
        let mut headers = HeaderMap::with_capacity(prepared.headers.len() + 2);
        // Host comes first (RFC 9110 7.2); one that was configured takes its place.
        headers.insert(header::HOST, self.target.host_header());
        for (name, value) in self.fields(prepared) {
            // UTF-8 goes out as it is (RFC 9110 5.5: obs-text).
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("a header's value"))?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("a header's name"))?;
            headers.try_insert(name, value).map_err(|_| bad("so many headers"))?;
        }
        let mut said = Vec::new();
        if let Some(jar) = jar.filter(|_| self.trusted)
            && let Some(url) = self.parsed()
        {
            let configured = headers.get(header::COOKIE).map(|v| v.as_bytes());
            if let Some(cookies) = jar.join(configured, &url).and_then(|c| HeaderValue::from_bytes(&c).ok()) {
                let text = String::from_utf8_lossy(cookies.as_bytes());
                let values = text.split("; ").filter_map(|pair| Some(pair.split_once('=')?.1.to_owned()));
                said.extend(values.map(Zeroizing::new));
                headers.insert(header::COOKIE, cookies);
            }
        }
        Ok(Draft {
            method: &self.method,
            url: Cow::Borrowed(&self.url),
            headers,
            body: self.body,
            hidden: Vec::new(),
            said,
            secret: Cow::Borrowed(&self.secret),
        })
    }

    /// Its URL for messages.
    pub fn shown_url(&self, redactor: &Arc<Redactor>) -> ShownUrl {
        ShownUrl::new(&self.url, &self.secret, redactor.clone())
    }

    /// Its URL, for whoever has to look into it.
    pub fn parsed(&self) -> Option<Url> {
        Url::parse(&self.url).ok()
    }
}

/// What Content-Length says; None where there is none. The methods that usually have a body say so where it is
/// empty; of one that is made of files, only the transport knows.
pub(super) fn content_length(method: &Method, body: Option<&Content<'_>>) -> Option<usize> {
    match body {
        Some(body) => body.length(),
        None => matches!(*method, Method::POST | Method::PUT | Method::PATCH).then_some(0),
    }
}

/// Where the values of a query lie that are like this, decoded.
fn places(url: &str, is: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let Some(mut at) = url.find('?').map(|at| at + 1) else { return places };
    for pair in url[at..].split('&') {
        let value = pair.find('=').map_or(0, |at| at + 1);
        let decoded = form_urlencoded::parse(&pair.as_bytes()[value..]).next();
        if decoded.is_some_and(|(decoded, _)| is(&decoded)) {
            places.push(at + value..at + pair.len());
        }
        at += pair.len() + 1;
    }
    places
}

/// Fields that say what the body is (RFC 9110 8, RFC 9530).
fn describes_body(name: &str) -> bool {
    let starts = |with: &str| name.get(..with.len()).is_some_and(|n| n.eq_ignore_ascii_case(with));
    starts("content-") || name.eq_ignore_ascii_case("digest") || name.eq_ignore_ascii_case("repr-digest")
}

/// A request whose bytes are final, for whoever signs it.
pub struct Draft<'h> {
    pub(super) method: &'h Method,
    url: Cow<'h, str>,
    pub(super) headers: HeaderMap,
    body: Option<&'h Content<'h>>,
    /// The names of the fields that the signer has set: signatures are not for logs.
    pub(super) hidden: Vec<HeaderName>,
    /// What was added for this request alone, and must not be seen: what the signer has set, and the jar put in.
    pub(super) said: Vec<Zeroizing<String>>,
    /// The places of secrets in the URL.
    secret: Cow<'h, [Range<usize>]>,
}

impl Draft<'_> {
    /// The method in capital letters.
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// The whole URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The value of a field.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        if name.eq_ignore_ascii_case("content-length") {
            return content_length(self.method, self.body).map(|n| Cow::Owned(n.to_string()));
        }
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
    }

    /// The body, where it lies in memory.
    pub fn body(&self) -> Option<&[u8]> {
        match self.body {
            Some(Content::Bytes(bytes)) => Some(bytes),
            Some(Content::Pieces(_)) => None,
            None => Some(&[]),
        }
    }

    /// Sets a field that nobody may see; one of that name is replaced.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<()> {
        let name = self.set(name, value)?;
        self.said.push(Zeroizing::new(value.to_owned()));
        self.hidden.push(name);
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<HeaderName> {
        let wrong = |what: &str, m: String| Error::argument(format!("{what}: {m}"));
        header_name(name).map_err(|m| wrong("name", m))?;
        let bad = |what: &str| wrong(what, "cannot be sent over HTTP".into());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("name"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| header_value(value).map_or_else(|m| wrong("value", m), |()| bad("value")))?;
        self.headers.try_insert(name.clone(), value).map_err(|_| bad("so many headers"))?;
        Ok(name)
    }

    /// Sets a query parameter, not encoded; those of that name are replaced.
    pub fn set_query(&mut self, name: &str, value: &str) -> Result<()> {
        if name.is_empty() {
            return Err(Error::argument("name: a query parameter has one"));
        }
        self.said.push(Zeroizing::new(value.to_owned()));
        let (url, secret) = set_parameter(&self.url, &self.secret, name, value);
        (self.url, self.secret) = (Cow::Owned(url), Cow::Owned(secret));
        Ok(())
    }

    /// The URL for messages.
    pub(super) fn shown_url(&self, redactor: &Arc<Redactor>) -> ShownUrl {
        ShownUrl::new(&self.url, &self.secret, redactor.clone())
    }

    /// The values of all secrets at known places, decoded.
    pub(super) fn bound(&self, prepared: &Prepared<'_>) -> Vec<Zeroizing<String>> {
        let in_url = self.secret.iter().flat_map(|place| {
            let text = &self.url[place.clone()];
            let pairs =
                form_urlencoded::parse(text.as_bytes()).flat_map(|(n, v)| [n.into_owned(), v.into_owned()]);
            pairs.collect::<Vec<_>>()
        });
        let fields = prepared.headers.iter().filter(|(name, _)| {
            prepared.secret_headers.iter().any(|secret| secret.eq_ignore_ascii_case(name))
        });
        let in_fields = fields.flat_map(|(_, value)| hidden::words(value)).map(str::to_owned);
        let added = self.said.iter().flat_map(|value| hidden::words(value)).map(str::to_owned);
        in_url.chain(in_fields).chain(added).filter(|v| !v.is_empty()).map(Zeroizing::new).collect()
    }

    /// Path and query, as they stand in the request line.
    pub(super) fn path_and_query(&self) -> Result<PathAndQuery> {
        path_and_query(&self.url).parse().map_err(|_| Error::argument("the URL cannot be sent over HTTP"))
    }
}

impl Signable for Draft<'_> {
    fn method(&self) -> &str {
        Draft::method(self)
    }
    fn url(&self) -> &str {
        Draft::url(self)
    }
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        Draft::header(self, name)
    }
    fn headers(&self) -> Vec<(&str, Cow<'_, str>)> {
        let all = self.headers.iter();
        all.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect()
    }
    fn body(&self) -> Option<&[u8]> {
        Draft::body(self)
    }
    fn set_header(&mut self, name: &str, value: &str) -> Result<()> {
        Draft::set_header(self, name, value)
    }
    fn set_open_header(&mut self, name: &str, value: &str) -> Result<()> {
        self.set(name, value).map(drop)
    }
    fn set_query(&mut self, name: &str, value: &str) -> Result<()> {
        Draft::set_query(self, name, value)
    }
}

/// Values are secrets, or may be.
impl std::fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("method", &self.method).finish_non_exhaustive()
    }
}
