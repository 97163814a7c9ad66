//! The one pipeline that every request takes, and what each failure means.
//!
//! sign → send → classify → content codings. One attempt is made; only a request that met a dead idle
//! connection, and may be sent again, goes out a second time.

mod classify;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderMap, Method};

use crate::auth::Redactor;
use crate::decode;
use crate::error::{Attempt, Error, Kind, Result, Sent};
use crate::response::{Meta, Response, Timings};
use crate::transport::{Answer, Failure, Limits, Request, Target, Token, Transport};

/// A request that carries its credentials: nothing is added to it any more.
#[derive(Debug)]
pub struct Signed<'a> {
    /// The endpoint's name, for messages.
    pub endpoint: &'a str,
    /// The method.
    pub method: &'a Method,
    /// Where it goes.
    pub target: &'a Arc<Target>,
    /// The request target.
    pub path_and_query: PathAndQuery,
    /// All fields but Host and Content-Length.
    pub headers: Cow<'a, HeaderMap>,
    /// The body.
    pub body: Option<Cow<'a, [u8]>>,
    /// The URL as it may be shown.
    pub shown_url: Arc<str>,
}

/// How a request is carried out.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// The attempt's limits.
    pub limits: Limits,
    /// Statuses outside 2xx that are no failure.
    pub ok_status: &'a [u16],
    /// What is kept of a refused answer's body, bytes.
    pub max_error_body: u64,
    /// Hand the body on as it came, with its content codings.
    pub keep_codings: bool,
}

/// The pipeline of one connector.
#[derive(Debug)]
pub struct Exchange {
    transport: Transport,
    redactor: Redactor,
}

impl Exchange {
    /// A pipeline over a transport; texts go through the redactor.
    pub fn new(transport: Transport, redactor: Redactor) -> Exchange {
        Exchange { transport, redactor }
    }

    /// The redactor of the connector's secrets.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Carries a request out. The answer's body is whole, without content codings, and not looked at.
    pub fn perform(
        &self,
        signed: &Signed<'_>,
        rules: &Rules<'_>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        let begun = Instant::now();
        let answer = match self.send(signed, rules, cancel) {
            Ok(answer) => answer,
            Err(failure) => {
                let error = classify::transport_failure(&failure);
                return Err(self.placed(error, signed, begun, None));
            }
        };
        let status = answer.head.status;
        if (200..300).contains(&status) || rules.ok_status.contains(&status) {
            self.accept(answer, signed, rules, begun)
        } else {
            Err(self.refuse(answer, signed, rules, begun))
        }
    }

    /// One attempt. An idle connection may be closed by the server in the very moment in which it is used;
    /// that is no failure of the request, which goes out once more on a new one, if it may.
    fn send(
        &self,
        signed: &Signed<'_>,
        rules: &Rules<'_>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Answer, Failure> {
        let request = Request {
            method: signed.method,
            target: signed.target,
            path_and_query: signed.path_and_query.clone(),
            headers: &signed.headers,
            body: signed.body.as_deref(),
        };
        match self.transport.send(&request, &rules.limits, cancel, false) {
            Err(failure) if failure.stale && (failure.sent == Sent::No || repeatable(signed.method)) => {
                self.transport.send(&request, &rules.limits, cancel, true)
            }
            outcome => outcome,
        }
    }

    fn accept(
        &self,
        answer: Answer,
        signed: &Signed<'_>,
        rules: &Rules<'_>,
        begun: Instant,
    ) -> Result<Response> {
        let Answer { head, mut body, trace } = answer;
        let placed = |error: Error| self.placed(error, signed, begun, Some(head.status));
        // Looked at first: what cannot be decoded need not be read.
        let bare =
            rules.keep_codings || *signed.method == Method::HEAD || matches!(head.status, 204 | 206 | 304);
        let codings = if bare { Vec::new() } else { decode::codings(&head).map_err(placed)? };
        let read_begun = Instant::now();
        let whole = body.read_all().map_err(|fail| {
            let failure = Failure { fail, sent: Sent::Yes, stale: false };
            placed(classify::transport_failure(&failure))
        })?;
        let whole = decode::decode_content(&codings, whole, rules.limits.max_body).map_err(placed)?;
        let meta = Meta {
            url: signed.shown_url.clone(),
            length_known: body.length_known(),
            attempts: vec![self.attempt(signed, begun, Some(head.status), None)],
            timings: Timings {
                dns: trace.dns.map(millis),
                connect: trace.connect.map(millis),
                tls: trace.tls.map(millis),
                head: millis(trace.head),
                body: millis(read_begun.elapsed()),
                total: millis(begun.elapsed()),
            },
            remote_addr: Some(trace.peer),
            reused: trace.reused,
            warnings: Vec::new(),
        };
        Ok(Response::new(head, meta, whole))
    }

    /// A status that is a failure. What can be had of the body goes with it; a body that fails too does not
    /// hide the status.
    fn refuse(&self, answer: Answer, signed: &Signed<'_>, rules: &Rules<'_>, begun: Instant) -> Error {
        let Answer { head, mut body, trace } = answer;
        let max = rules.max_error_body;
        let mut text = body.read_some(max as usize).unwrap_or_default();
        if let Ok(codings) = decode::codings(&head)
            && !codings.is_empty()
            && let Ok(plain) = decode::decode_content(&codings, text.clone(), max)
        {
            text = plain;
        }
        let error = classify::refused(&head, &text);
        let mut error = self.placed(error, signed, begun, Some(head.status));
        let meta = Meta {
            url: signed.shown_url.clone(),
            length_known: body.length_known(),
            attempts: error.attempts.clone(),
            remote_addr: Some(trace.peer),
            reused: trace.reused,
            ..Meta::default()
        };
        error.response = Some(Arc::new(Response::new(head, meta, text)));
        error
    }

    /// Says where an error happened, and takes the secrets out of it.
    fn placed(&self, mut error: Error, signed: &Signed<'_>, begun: Instant, status: Option<u16>) -> Error {
        let what = std::mem::take(&mut error.message);
        let what = self.redactor.redact(&what).into_owned();
        error.message = format!("{}: {} {}: {what}", signed.endpoint, signed.method, signed.shown_url);
        if status.is_some() {
            error.sent = Sent::Yes;
        }
        error.http_status = status;
        error.endpoint = Some(signed.endpoint.into());
        error.method = Some(signed.method.as_str().into());
        error.url = Some(signed.shown_url.clone());
        error.repeatable = repeatable(signed.method);
        let failed =
            (!matches!(error.kind, Kind::HttpStatus | Kind::Auth | Kind::RateLimited | Kind::Redirect))
                .then_some(what);
        let mut attempt = self.attempt(signed, begun, status, failed);
        attempt.sent = error.sent;
        error.attempts = vec![attempt];
        error
    }

    fn attempt(
        &self,
        signed: &Signed<'_>,
        begun: Instant,
        status: Option<u16>,
        error: Option<String>,
    ) -> Attempt {
        let ms = begun.elapsed().as_millis() as u64;
        Attempt { n: 1, url: signed.shown_url.clone(), status, error, sent: Sent::Yes, wait_ms: 0, ms }
    }
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
