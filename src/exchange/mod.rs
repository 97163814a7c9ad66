//! The one pipeline that every request takes, and what each failure means.
//!
//! sign → send → classify → content codings. One attempt is made; only a request that met a dead idle
//! connection, and may be sent again, goes out a second time.

mod classify;
mod jar;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use jar::Jar;
use url::Url;

use crate::config::settings::AcceptEncoding;
use crate::error::{Attempt, Error, Kind, Result, Sent};
use crate::redact::{Redactor, ShownUrl};
use crate::request::{Content, Piece, Prepared};
use crate::response::{Head, Meta, Response, Timings};
use crate::transport::{
    Answer, Failure, Limits, Part, Payload, Request, Source, Target, Token, Trace, Transport,
};
use crate::{decode, log};

pub use wire::Shown;

/// A request that carries its credentials: nothing is added to it any more.
#[derive(Debug)]
struct Signed<'a> {
    endpoint: &'a str,
    target: &'a Arc<Target>,
    prepared: &'a Prepared<'a>,
    method: Method,
    path_and_query: PathAndQuery,
    /// All fields but Host and Content-Length.
    headers: HeaderMap,
    /// Where cookies go and come from; None where none are kept.
    jar_url: Option<Url>,
    /// The URL as it may be shown.
    shown_url: ShownUrl,
    limits: Limits,
    begun: Instant,
}

/// The pipeline of one connector.
#[derive(Debug)]
pub struct Exchange {
    transport: Transport,
    redactor: Arc<Redactor>,
    jar: Option<Jar>,
}

impl Exchange {
    /// A pipeline over a transport; texts go through the redactor. `cookies`: those of the answers are kept.
    pub fn new(transport: Transport, redactor: Redactor, cookies: bool) -> Exchange {
        Exchange { transport, redactor: Arc::new(redactor), jar: cookies.then(Jar::default) }
    }

    /// The redactor of the connector's secrets.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Carries a request out. The answer's body is whole, without content codings, and not looked at.
    ///
    /// `endpoint` is named in messages; `target` is the prepared request's origin.
    pub fn perform(
        &self,
        endpoint: &str,
        target: &Arc<Target>,
        prepared: &Prepared<'_>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        let signed = self.sign(endpoint, target, prepared)?;
        let answer = match self.open(&signed).and_then(|source| self.send(&signed, source.as_ref(), cancel)) {
            Ok(answer) => answer,
            Err(failure) => {
                let error = classify::transport_failure(&failure);
                return Err(self.placed(error, &signed, None));
            }
        };
        if let (Some(jar), Some(url)) = (&self.jar, &signed.jar_url) {
            jar.keep(&answer.head, url);
        }
        let outcome = if prepared.is_ok(answer.head.status) {
            self.accept(answer, &signed)
        } else {
            Err(self.refuse(answer, &signed))
        };
        log::debug(format_args!(
            "{endpoint}: {} {}: {} in {} ms",
            signed.method,
            signed.shown_url,
            outcome.as_ref().map_or_else(|e| e.http_status, |r| Some(r.head.status)).unwrap_or_default(),
            signed.begun.elapsed().as_millis(),
        ));
        outcome
    }

    /// The request that would be sent, as it may be shown.
    pub fn show(&self, endpoint: &str, target: &Arc<Target>, prepared: &Prepared<'_>) -> Result<Shown> {
        Ok(Shown::of(&self.sign(endpoint, target, prepared)?, &self.redactor))
    }

    /// The request in its final form. Static credentials are part of the prepared request already.
    fn sign<'a>(
        &self,
        endpoint: &'a str,
        target: &'a Arc<Target>,
        prepared: &'a Prepared<'a>,
    ) -> Result<Signed<'a>> {
        let bad = |what: &str| Error::argument(format!("{endpoint}: {what} cannot be sent over HTTP"));
        let mut headers = HeaderMap::with_capacity(prepared.headers.len() + 2);
        // Host comes first (RFC 9110 7.2); one that was configured takes its place.
        headers.insert(header::HOST, target.host_header());
        for (name, value) in &prepared.headers {
            // UTF-8 goes out as it is (RFC 9110 5.5: obs-text).
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("a header's value"))?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("a header's name"))?;
            headers.insert(name, value);
        }
        let jar_url = self.jar.as_ref().and_then(|_| Url::parse(&prepared.url).ok());
        if let (Some(jar), Some(url)) = (&self.jar, &jar_url) {
            let configured = headers.get(header::COOKIE).map(|v| v.as_bytes());
            if let Some(cookies) = jar.join(configured, url).and_then(|c| HeaderValue::from_bytes(&c).ok()) {
                headers.insert(header::COOKIE, cookies);
            }
        }
        let settings = &prepared.settings;
        let timeouts = &settings.timeouts;
        let begun = Instant::now();
        Ok(Signed {
            endpoint,
            target,
            prepared,
            method: Method::from_bytes(prepared.method.as_bytes()).map_err(|_| bad("the method"))?,
            path_and_query: prepared.path_and_query().parse().map_err(|_| bad("the URL"))?,
            headers,
            jar_url,
            shown_url: prepared.shown_url(self.redactor.clone()),
            limits: Limits {
                deadline: prepared.deadline.and_then(|d| begun.checked_add(d)),
                total: timeouts.total,
                connect: Some(timeouts.connect),
                head: Some(timeouts.head),
                read: Some(timeouts.read),
                max_head: settings.limits.max_header as usize,
                max_body: settings.limits.max_body,
                block_private: settings.limits.block_private_networks,
            },
            begun,
        })
    }

    /// Opens the files of the body, before anything is sent.
    fn open<'a>(&self, signed: &Signed<'a>) -> Result<Option<Source<'a>>, Failure> {
        let Some(Content::Pieces(pieces)) = &signed.prepared.body else { return Ok(None) };
        let parts = pieces.iter().map(|piece| match piece {
            Piece::Bytes(bytes) => Part::Bytes(bytes),
            Piece::File(path) => Part::File(path),
        });
        Source::open(parts).map(Some).map_err(|fail| Failure { fail, sent: Sent::No, stale: false })
    }

    /// One attempt. An idle connection may be closed by the server in the very moment in which it is used;
    /// that is no failure of the request, which goes out once more on a new one, if it may.
    fn send(
        &self,
        signed: &Signed<'_>,
        source: Option<&Source<'_>>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Answer, Failure> {
        let body = match (source, &signed.prepared.body) {
            (Some(source), _) => Payload::Stream(source),
            (None, Some(Content::Bytes(bytes))) => Payload::Bytes(bytes),
            (None, _) => Payload::None,
        };
        let request = Request {
            method: &signed.method,
            target: signed.target,
            path_and_query: signed.path_and_query.clone(),
            headers: &signed.headers,
            body,
        };
        let outgoing = wire::Outgoing(signed, &self.redactor);
        log::trace(format_args!("{outgoing}"));
        match self.transport.send(&request, &signed.limits, cancel, false) {
            Err(failure) if failure.stale && (failure.sent == Sent::No || repeatable(&signed.method)) => {
                log::trace(format_args!("the idle connection had been closed; once more: {outgoing}"));
                self.transport.send(&request, &signed.limits, cancel, true)
            }
            outcome => outcome,
        }
    }

    /// `size`: of the body on the wire, where it came.
    fn log_answer(&self, signed: &Signed<'_>, head: &Head, size: Option<usize>) {
        let incoming = wire::Incoming { endpoint: signed.endpoint, head, size, redactor: &self.redactor };
        log::trace(format_args!("{incoming}"));
    }

    fn accept(&self, answer: Answer, signed: &Signed<'_>) -> Result<Response> {
        let Answer { head, mut body, trace } = answer;
        let placed = |error: Error| self.placed(error, signed, Some(head.status));
        let bare = is_bare(&head, signed);
        // Looked at first: what cannot be decoded need not be read.
        let codings = if bare { Ok(Vec::new()) } else { decode::codings(&head) };
        let codings = codings.inspect_err(|_| self.log_answer(signed, &head, None)).map_err(placed)?;
        let read_begun = Instant::now();
        let whole = body.read_all();
        self.log_answer(signed, &head, whole.as_ref().ok().map(Vec::len));
        let whole = whole.map_err(|fail| {
            let failure = Failure { fail, sent: Sent::Yes, stale: false };
            placed(classify::transport_failure(&failure))
        })?;
        let whole = decode::decode_content(&codings, whole, signed.limits.max_body).map_err(placed)?;
        let timings = Timings {
            dns: trace.dns.map(millis),
            connect: trace.connect.map(millis),
            tls: trace.tls.map(millis),
            head: millis(trace.head),
            body: millis(read_begun.elapsed()),
            total: millis(signed.begun.elapsed()),
        };
        let attempts = vec![self.attempt(signed, Some(head.status), Sent::Yes, None)];
        let meta = Meta { attempts, timings, ..self.meta(signed, &trace, body.length_known()) };
        Ok(Response::new(head, meta, whole))
    }

    /// A status that is a failure. What can be had of the body goes with it; a body that fails too does not
    /// hide the status, but a cancel does: the caller wants no answer any more.
    fn refuse(&self, answer: Answer, signed: &Signed<'_>) -> Error {
        let Answer { head, mut body, trace } = answer;
        let max = signed.prepared.settings.limits.max_error_body;
        let text = body.read_some(max as usize);
        self.log_answer(signed, &head, text.as_ref().ok().map(Vec::len));
        let mut text = match text {
            Ok(text) => text,
            Err(fail) => {
                let failure = Failure { fail, sent: Sent::Yes, stale: false };
                return self.placed(classify::transport_failure(&failure), signed, Some(head.status));
            }
        };
        if !is_bare(&head, signed)
            && let Ok(codings) = decode::codings(&head)
        {
            text = decode::decode_some(&codings, text, max);
        }
        let error = classify::refused(&head, &text, &self.redactor);
        let mut error = self.placed(error, signed, Some(head.status));
        let attempts = error.attempts.clone();
        let meta = Meta { attempts, ..self.meta(signed, &trace, body.length_known()) };
        error.response = Some(Arc::new(Response::new(head, meta, text)));
        error
    }

    /// Says where an error happened, and takes the secrets out of it.
    fn placed(&self, mut error: Error, signed: &Signed<'_>, status: Option<u16>) -> Error {
        let what = self.redactor.redact(&error.message).into_owned();
        error.message = format!("{}: {} {}: {what}", signed.endpoint, signed.method, signed.shown_url);
        if status.is_some() {
            error.sent = Sent::Yes;
            error.http_status = status;
        }
        error.endpoint = Some(signed.endpoint.into());
        error.method = Some(signed.method.as_str().into());
        error.url = Some(signed.shown_url.clone());
        error.repeatable = repeatable(&signed.method);
        let refused =
            matches!(error.kind, Kind::HttpStatus | Kind::Auth | Kind::RateLimited | Kind::Redirect);
        let failed = (!refused).then_some(what);
        error.attempts = vec![self.attempt(signed, status, error.sent, failed)];
        error
    }

    fn attempt(
        &self,
        signed: &Signed<'_>,
        status: Option<u16>,
        sent: Sent,
        error: Option<String>,
    ) -> Attempt {
        let ms = signed.begun.elapsed().as_millis() as u64;
        Attempt { n: 1, url: signed.shown_url.clone(), status, error, sent, wait_ms: 0, ms }
    }

    fn meta(&self, signed: &Signed<'_>, trace: &Trace, length_known: bool) -> Meta {
        Meta {
            url: signed.shown_url.clone(),
            length_known,
            remote_addr: Some(trace.peer),
            reused: trace.reused,
            received: Some(SystemTime::now()),
            redactor: self.redactor.clone(),
            ..Meta::default()
        }
    }
}

/// Does the request say how long its body is? The methods that usually have one say so where it is empty.
fn has_length(signed: &Signed<'_>) -> bool {
    signed.prepared.body.is_some() || matches!(signed.method, Method::POST | Method::PUT | Method::PATCH)
}

/// Is there no content coding to take off? An answer to HEAD has no body, a 206 only a part of one; and
/// `identity` asks for the body as it comes.
fn is_bare(head: &Head, signed: &Signed<'_>) -> bool {
    signed.method == Method::HEAD
        || matches!(head.status, 204 | 206 | 304)
        || signed.prepared.settings.accept_encoding == AcceptEncoding::Identity
}

/// Methods that may be repeated without harm (RFC 9110 9.2.2).
fn repeatable(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    )
}

fn millis(duration: Duration) -> f64 {
    // To the microsecond.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
