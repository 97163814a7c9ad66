//! One request: let go by the limits, signed, sent; what its answer means is for [`judge`](super::judge).

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::Method;
use http::uri::PathAndQuery;

use super::ask::Asker;
use super::judge::Accept;
use super::limit::{self, Patience, Permit, Refused};
use super::run::Run;
use super::sign::{Draft, Hop};
use super::{Exchange, classify, wire};
use crate::auth::{Ask, Scheme};
use crate::errand;
use crate::error::{Error, Kind, Result, Sent};
use crate::log;
use crate::redact::ShownUrl;
use crate::request::{Content, Key, Piece, Prepared};
use crate::response::{Head, Meta};
use crate::transport::{Answer, Body, Failure, Limits, Part, Payload, Request, Source, Target, Trace};

/// What came of a request that did not fail.
pub(super) enum Outcome<'c, T> {
    Answer(T),
    Redirect(Box<Hop<'c>>),
}

/// What came of one that did.
pub(super) struct Failed {
    pub error: Error,
    /// Does a rule of the configuration ask for another attempt?
    pub ruled: bool,
    /// Would the same request carry other credentials now?
    pub renewed: bool,
    /// Would another attempt end the same way?
    pub is_final: bool,
}

/// A request that carries its credentials: nothing is added to it any more.
#[derive(Debug)]
pub(super) struct Signed<'h> {
    pub endpoint: &'h str,
    pub prepared: &'h Prepared<'h>,
    pub method: &'h Method,
    pub target: &'h Arc<Target>,
    pub body: Option<&'h Content<'h>>,
    path_and_query: PathAndQuery,
    /// Its fields, but for Content-Length, and which of them nobody may see.
    pub draft: Draft<'h>,
    /// The number of the credentials that were made for it.
    pub credentials: Option<u64>,
    /// The URL as it may be shown.
    pub shown_url: ShownUrl,
    pub limits: Limits,
    pub begun: Instant,
}

impl Exchange {
    /// Sends one request and reads its answer.
    pub(super) fn attempt<'c, T>(
        &self,
        run: &mut Run<'c>,
        hop: &Hop<'c>,
        accept: Accept<T>,
    ) -> Result<Outcome<'c, T>, Failed> {
        let permits = self.admit(run, hop)?;
        // Callbacks run from here on; what they call needs no place of its own.
        let _inside = (!permits.is_empty()).then(|| limit::Inside::enter(&run.policy.limits));
        let signed = match self.sign(run, hop) {
            Ok(signed) => signed,
            Err(error) => {
                permits.into_iter().for_each(Permit::give_back);
                return Err(self.unsent(run, hop, error));
            }
        };
        let answer = self.body_of(&signed).and_then(|source| self.send(&signed, source.as_ref(), run));
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                if failure.sent == Sent::No {
                    permits.into_iter().for_each(Permit::give_back);
                }
                return Err(self.failed(run, &signed, classify::transport_failure(&failure), None, false));
            }
        };
        if let Some(jar) = self.jar.as_ref().filter(|_| hop.trusted)
            && let Some(url) = hop.parsed()
        {
            jar.keep(&answer.head, &url);
        }
        let outcome = self.judge(run, hop, &signed, answer, permits, accept);
        log::debug(format_args!(
            "{}: {} {}: {} in {} ms",
            signed.endpoint,
            signed.method,
            signed.shown_url,
            run.attempts.last().and_then(|a| a.status).unwrap_or_default(),
            signed.begun.elapsed().as_millis(),
        ));
        outcome
    }

    /// Waits until the limits let a request go.
    fn admit(&self, run: &mut Run<'_>, hop: &Hop<'_>) -> Result<Vec<Permit>, Failed> {
        if run.policy.limits.is_empty() {
            return Ok(Vec::new());
        }
        let begun = Instant::now();
        let max_wait = run.prepared.settings.retry.max_wait;
        let patience = Patience { deadline: run.deadline, max_wait, cancel: run.cancel };
        let permits = limit::admit(&run.policy.limits, &patience);
        run.waited += begun.elapsed();
        permits.map_err(|refused| self.unsent(run, hop, held(refused, &patience)))
    }

    /// The request in its final form.
    pub(super) fn sign<'h, 'c: 'h>(&self, run: &mut Run<'c>, hop: &'h Hop<'c>) -> Result<Signed<'h>> {
        let prepared = run.prepared;
        let mut draft = hop.draft(prepared, self.jar.as_ref())?;
        let scheme = self.scheme.as_deref().filter(|_| hop.trusted);
        let covers = scheme.is_some_and(Scheme::covers_request);
        let mut credentials = None;
        if let Some(scheme) = scheme.filter(|_| !covers) {
            credentials = Some(self.credentials(run, scheme, &mut draft)?);
        }
        if let Some(on_request) = run.hooks.on_request.as_ref().filter(|_| hop.trusted) {
            let limits = &run.policy.limits;
            let refusal = errand::at_caller(|| {
                // Whichever thread holds the places.
                let _inside = limit::Inside::enter(limits);
                on_request(&mut draft)
            });
            if refusal != 0 {
                let what =
                    format!("the request callback (apl_connector_on_request) refused: it returned {refusal}");
                return Err(Error::new(Kind::Auth, what));
            }
        }
        // An Authorization that is there by now is the call's own, or the callback's.
        if let Some(scheme) = scheme.filter(|_| covers && draft.header("authorization").is_none()) {
            credentials = Some(self.credentials(run, scheme, &mut draft)?);
        }
        let path_and_query = draft.path_and_query()?;
        if credentials.is_some() {
            run.learn(self.redactor());
        }
        if !draft.said.is_empty() {
            run.redactor = self.hidden.with(&run.redactor, &draft.said);
        }
        let settings = &prepared.settings;
        let timeouts = &settings.timeouts;
        Ok(Signed {
            endpoint: &run.policy.endpoint,
            prepared,
            method: &hop.method,
            target: &hop.target,
            body: hop.body,
            path_and_query,
            shown_url: draft.shown_url(&run.redactor),
            draft,
            credentials,
            limits: Limits {
                deadline: run.deadline,
                total: timeouts.total,
                connect: Some(timeouts.connect),
                head: Some(timeouts.head),
                read: Some(timeouts.read),
                max_head: settings.limits.max_header as usize,
                // A stream is bounded by its chunks.
                max_body: if run.streamed { u64::MAX } else { settings.limits.max_body },
                block_private: settings.limits.block_private_networks,
            },
            begun: Instant::now(),
        })
    }

    /// Has a scheme make the credentials of a request.
    fn credentials(&self, run: &Run<'_>, scheme: &dyn Scheme, draft: &mut Draft<'_>) -> Result<u64> {
        let asker = Asker { exchange: self, run, settings: &self.token_settings };
        scheme.sign(draft, (!run.only_shown).then_some(&asker as &dyn Ask))
    }

    /// Opens the files of the body, before anything is sent.
    fn body_of<'h>(&self, signed: &Signed<'h>) -> Result<Option<Source<'h>>, Failure> {
        let Some(Content::Pieces(pieces)) = signed.body else { return Ok(None) };
        let parts = pieces.iter().map(|piece| match piece {
            Piece::Bytes(bytes) => Part::Bytes(bytes),
            Piece::File(path) => Part::File(path),
        });
        Source::open(parts).map(Some).map_err(|fail| Failure { fail, sent: Sent::No, stale: false })
    }

    /// An idle connection may be closed by the server in the very moment in which it is used; that is no
    /// failure of the request, which goes out once more on a new one, if it may.
    fn send(
        &self,
        signed: &Signed<'_>,
        source: Option<&Source<'_>>,
        run: &Run<'_>,
    ) -> Result<Answer, Failure> {
        let body = match (source, signed.body) {
            (Some(source), _) => Payload::Stream(source),
            (None, Some(Content::Bytes(bytes))) => Payload::Bytes(bytes),
            (None, _) => Payload::None,
        };
        let request = Request {
            method: signed.method,
            target: signed.target,
            path_and_query: signed.path_and_query.clone(),
            headers: &signed.draft.headers,
            body,
        };
        let outgoing = wire::Outgoing(signed, &run.redactor);
        log::trace(format_args!("{outgoing}"));
        match self.transport.send(&request, &signed.limits, run.cancel, false) {
            Err(failure) if failure.stale && (failure.sent == Sent::No || repeatable(signed)) => {
                log::trace(format_args!("the idle connection had been closed; once more: {outgoing}"));
                // One attempt has one limit.
                let total = signed.limits.total.map(|t| t.saturating_sub(signed.begun.elapsed()));
                let limits = Limits { total, ..signed.limits.clone() };
                self.transport.send(&request, &limits, run.cancel, true)
            }
            outcome => outcome,
        }
    }

    /// Says where a failure happened, takes the secrets out of it, and notes it.
    pub(super) fn failed(
        &self,
        run: &mut Run<'_>,
        signed: &Signed<'_>,
        mut error: Error,
        status: Option<u16>,
        ruled: bool,
    ) -> Failed {
        let what = run.redactor.redact(&error.message).into_owned();
        if status.is_some() {
            error.sent = Sent::Yes;
            error.http_status = status;
        }
        error.repeatable = repeatable(signed);
        let answered =
            matches!(error.kind, Kind::HttpStatus | Kind::Auth | Kind::RateLimited | Kind::Redirect);
        let text = (!answered).then(|| what.clone());
        run.note(&signed.shown_url, signed.begun, status, error.sent, text);
        place(&mut error, run, signed.method, &signed.shown_url, &what);
        Failed { error, ruled, renewed: false, is_final: false }
    }

    /// A request that was not made: limits, a signer or its own bytes are against it. It is no attempt.
    fn unsent(&self, run: &Run<'_>, hop: &Hop<'_>, mut error: Error) -> Failed {
        let what = run.redactor.redact(&error.message).into_owned();
        let url = hop.shown_url(&run.redactor);
        place(&mut error, run, &hop.method, &url, &what);
        Failed { error, ruled: false, renewed: false, is_final: true }
    }

    pub(super) fn meta(&self, run: &Run<'_>, signed: &Signed<'_>, trace: &Trace, body: &Body) -> Meta {
        Meta {
            url: signed.shown_url.clone(),
            length_known: body.length_known(),
            remote_addr: Some(trace.peer),
            reused: trace.reused,
            received: Some(SystemTime::now()),
            redactor: run.redactor.clone(),
            ..Meta::default()
        }
    }

    /// `size`: of the body on the wire, where it came.
    pub(super) fn log_answer(&self, run: &Run<'_>, signed: &Signed<'_>, head: &Head, size: Option<usize>) {
        let incoming = wire::Incoming { endpoint: signed.endpoint, head, size, redactor: &run.redactor };
        log::trace(format_args!("{incoming}"));
    }
}

/// A longer URL is shown in part.
const SHOWN_URL: usize = 2000;

/// Says where an error happened.
fn place(error: &mut Error, run: &Run<'_>, method: &Method, url: &ShownUrl, what: &str) {
    let endpoint = &run.policy.endpoint;
    let shown: String = url.as_str().chars().take(SHOWN_URL).collect();
    let rest = if shown.len() < url.as_str().len() { "…" } else { "" };
    let first = match run.redirects.is_empty() {
        true => String::new(),
        false => {
            let first = ShownUrl::new(&run.prepared.url, &run.prepared.secret, run.redactor.clone());
            format!(" (redirected from {first})")
        }
    };
    error.message = format!("{endpoint}: {method} {shown}{rest}{first}: {what}");
    error.endpoint = Some(endpoint.clone());
    error.method = Some(method.as_str().into());
    error.url = Some(url.clone());
}

/// A request that the limits hold back.
fn held(refused: Refused, patience: &Patience<'_>) -> Error {
    match refused {
        Refused::Cancelled => {
            Error::new(Kind::Cancelled, "cancelled by the caller while rate_limit held it back")
        }
        Refused::Deadline => {
            Error::new(Kind::Timeout, "timed out: the call's deadline ran out while rate_limit held it back")
        }
        Refused::TooLong(wait) => {
            let most = match patience.deadline {
                Some(end) if end.saturating_duration_since(Instant::now()) < wait => {
                    "the deadline is earlier"
                }
                _ => "retry.max_wait is shorter",
            };
            let what = format!("not sent: rate_limit holds it back for {}, and {most}", super::seconds(wait));
            let mut error = Error::new(Kind::RateLimited, what);
            error.undone = true;
            error.retry_after = Some(wait);
            error
        }
        Refused::Failed(fail) => Error::new(classify::kind(&fail), fail.to_string()),
    }
}

/// Does repeating the request do no harm? By its method (RFC 9110 9.2.2), by what it is, or by an Idempotency-Key.
pub(super) fn repeatable(signed: &Signed<'_>) -> bool {
    let by_method = matches!(
        *signed.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    );
    by_method || signed.prepared.is_safe || signed.prepared.key != Key::None
}
