//! One request and its answer: what came of it, without a decision about another one.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use http::uri::PathAndQuery;
use url::Url;

use super::limit::{self, Patience, Permit, Refused};
use super::redirect::{self, is_redirect};
use super::run::Run;
use super::sign::{Draft, Hop};
use super::{Exchange, classify, wire};
use crate::config::Judgement;
use crate::config::endpoint::Then;
use crate::config::settings::AcceptEncoding;
use crate::error::{Error, Kind, Result, Sent};
use crate::redact::ShownUrl;
use crate::request::{Content, Key, Piece, Prepared};
use crate::response::{Head, Meta, Response, Timings};
use crate::transport::{Answer, Body, Fail, Failure, Limits, Part, Payload, Request, Source, Target, Trace};
use crate::{decode, log};

/// So much of a redirect's body is read, for the sake of its connection.
const REDIRECT_BODY: u64 = 64 << 10;

/// What came of a request that did not fail.
pub(super) enum Outcome<'c, T> {
    Answer(T),
    Redirect(Box<Hop<'c>>),
}

/// An answer that is what was wanted.
pub(super) struct Accepted {
    pub answer: Answer,
    /// Its body, where it was read already, and how long that took.
    pub whole: Option<(Vec<u8>, Duration)>,
    /// What it was let go by: places that it takes until it is read.
    pub permits: Vec<Permit>,
}

/// What is made of an answer that is what was wanted.
pub(super) type Accept<T> = fn(&Exchange, &mut Run<'_>, &Signed<'_>, Accepted) -> Result<T, Failed>;

/// What came of one that did.
pub(super) struct Failed {
    pub error: Error,
    /// Does a rule of the configuration ask for another attempt?
    pub ruled: bool,
    /// Would another attempt end the same way?
    pub is_final: bool,
}

/// Why a redirect is not followed.
struct Unfollowed {
    why: String,
    /// Has its address something in it that nobody may see?
    is_private: bool,
}

/// What was read of a body in order to judge the answer.
enum Seen {
    Nothing,
    /// All of it, without content codings, and how long that took.
    Whole(Vec<u8>, Duration),
    /// Of a refusal as much as is shown, as it came, and why there is no more.
    Start(Vec<u8>, Option<Fail>),
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
    /// The URL as it may be shown.
    pub shown_url: ShownUrl,
    limits: Limits,
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
        if let Some((jar, url)) = self.jar.as_ref().filter(|_| hop.trusted).zip(hop.parsed()) {
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
        if let Some(on_request) = run.on_request.filter(|_| hop.trusted) {
            let refusal = on_request(&mut draft);
            if refusal != 0 {
                let what =
                    format!("the request callback (apl_connector_on_request) refused: it returned {refusal}");
                return Err(Error::new(Kind::Auth, what));
            }
        }
        let path_and_query = draft.path_and_query()?;
        if draft.added().next().is_some() {
            run.redactor = Arc::new(run.redactor.with(draft.added()));
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

    /// What an answer means: by the endpoint's rules, as a redirect, by its status.
    fn judge<'c, T>(
        &self,
        run: &mut Run<'c>,
        hop: &Hop<'c>,
        signed: &Signed<'_>,
        mut answer: Answer,
        permits: Vec<Permit>,
        accept: Accept<T>,
    ) -> Result<Outcome<'c, T>, Failed> {
        let status = answer.head.status;
        let mut judgement = run.policy.rules.judge(&answer.head, None);
        let seen = match judgement {
            // The body of a stream is not there to be looked at.
            Judgement::NeedsBody if run.streamed && run.prepared.is_ok(status) => Seen::Nothing,
            Judgement::NeedsBody => {
                let seen = self.look(run, signed, &mut answer);
                let seen = seen.inspect_err(|_| learn(hop, &permits, &answer.head, status == 429));
                let seen = seen.map_err(|e| self.failed(run, signed, e, Some(status), false))?;
                judgement = run.policy.rules.judge(&answer.head, Some(&seen.text(&answer.head, signed)));
                seen
            }
            _ => Seen::Nothing,
        };
        let ruled = match judgement {
            Judgement::Is(then) => Some(then),
            _ => None,
        };
        learn(hop, &permits, &answer.head, status == 429 || ruled == Some(Then::RateLimited));
        let location = redirect::location(&answer.head);
        let location = location.map_err(|what| {
            let error = Error::new(Kind::Protocol, format!("the server broke HTTP: {what}"));
            self.failed(run, signed, error, Some(status), false)
        })?;
        let mut unfollowed = None;
        if ruled.is_none() && is_redirect(status) {
            match self.follow(run, hop, signed, status, location) {
                Ok(next) => return self.leave(run, signed, answer, next),
                Err(why) => unfollowed = Some(why),
            }
        }
        let whole = match ruled {
            Some(Then::Ignore) => Some((Vec::new(), Duration::ZERO)),
            _ if ruled == Some(Then::Success) || (ruled.is_none() && run.prepared.is_ok(status)) => {
                let whole = self.rest(signed, &mut answer, seen);
                whole.map_err(|e| self.failed(run, signed, e, Some(status), false))?
            }
            _ => return Err(self.refuse(run, signed, answer, seen, ruled, unfollowed.as_ref())),
        };
        accept(self, run, signed, Accepted { answer, whole, permits }).map(Outcome::Answer)
    }

    /// Reads what a rule looks at: of an answer that is a success all, of another one what is shown of it.
    fn look(&self, run: &Run<'_>, signed: &Signed<'_>, answer: &mut Answer) -> Result<Seen> {
        if run.prepared.is_ok(answer.head.status) {
            let (whole, took) = self.read(run, signed, answer)?;
            return Ok(Seen::Whole(whole, took));
        }
        let max = signed.prepared.settings.limits.max_error_body as usize;
        let (start, fail) = answer.body.read_some(max);
        self.log_answer(run, signed, &answer.head, Some(start.len()));
        match fail {
            Some(Fail::Cancelled) => Err(answered(Fail::Cancelled)),
            fail => Ok(Seen::Start(start, fail)),
        }
    }

    /// The rest of what was looked at, for an answer that is what was wanted. None: nothing was.
    fn rest(
        &self,
        signed: &Signed<'_>,
        answer: &mut Answer,
        seen: Seen,
    ) -> Result<Option<(Vec<u8>, Duration)>> {
        let (mut raw, fail) = match seen {
            Seen::Nothing => return Ok(None),
            Seen::Whole(whole, took) => return Ok(Some((whole, took))),
            Seen::Start(raw, fail) => (raw, fail),
        };
        if let Some(fail) = fail {
            return Err(answered(fail));
        }
        let begun = Instant::now();
        raw.extend(answer.body.read_all().map_err(answered)?);
        let codings = if is_bare(&answer.head, signed) { Vec::new() } else { decode::codings(&answer.head)? };
        Ok(Some((decode::decode_content(&codings, raw, signed.limits.max_body)?, begun.elapsed())))
    }

    /// The request that a redirect asks for; else why it is not followed.
    fn follow<'c>(
        &self,
        run: &mut Run<'c>,
        hop: &Hop<'c>,
        signed: &Signed<'_>,
        status: u16,
        location: Option<&[u8]>,
    ) -> Result<Box<Hop<'c>>, Unfollowed> {
        let plain = |why: String| Unfollowed { why, is_private: false };
        let redirects = run.prepared.settings.redirects;
        if !redirects.follow {
            return Err(plain("redirects.follow is false".into()));
        }
        if hop.trusted {
            run.bound.extend(signed.draft.bound(run.prepared));
        }
        let url = hop.parsed().ok_or_else(|| plain("the request's own URL cannot be read".into()))?;
        let has_body = hop.body.is_some();
        let asked = redirect::Asked { method: &hop.method, url: &url, trusted: hop.trusted, has_body };
        let is_private = Cell::new(false);
        let has_secret = |url: &Url| {
            let has = self.has_secret(run, url, location.unwrap_or_default());
            is_private.set(has);
            has
        };
        let to = redirect::follow(asked, status, location, &self.allowed, has_secret);
        let to = to.map_err(|refused| Unfollowed {
            why: refused,
            is_private: is_private.get() || location.is_some_and(|l| l.contains(&b'@')),
        })?;
        if run.redirects.len() as u64 >= u64::from(redirects.max) {
            return Err(plain(format!("too many redirects (redirects.max is {})", redirects.max)));
        }
        hop.after(to, run.prepared, &run.bound).map(Box::new).map_err(plain)
    }

    /// Is there something of ours in the address that a server wants to be asked, in any form?
    fn has_secret(&self, run: &Run<'_>, url: &Url, location: &[u8]) -> bool {
        let own = |(name, value): (&str, &str)| url.query_pairs().any(|(n, v)| n == name && v == value);
        let is_bound = |text: &str| run.bound.iter().any(|bound| **bound == *text);
        let decoded =
            |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (whole, raw) = (decoded(url.as_str()), String::from_utf8_lossy(location));
        run.prepared.auth_query.is_some_and(own)
            || url.query_pairs().any(|(name, value)| is_bound(&value) || is_bound(&name))
            || url.path_segments().into_iter().flatten().any(|segment| is_bound(&decoded(segment)))
            || [url.as_str(), &whole, &whole.replace('+', " "), &raw, &decoded(&raw)]
                .iter()
                .any(|text| run.redactor.finds(text))
    }

    /// Leaves an answer for where it leads. A short body is read for the sake of its connection; a long one, or
    /// one without end, is not worth it.
    fn leave<'c, T>(
        &self,
        run: &mut Run<'c>,
        signed: &Signed<'_>,
        answer: Answer,
        next: Box<Hop<'c>>,
    ) -> Result<Outcome<'c, T>, Failed> {
        let Answer { head, mut body, .. } = answer;
        self.log_answer(run, signed, &head, None);
        if body.length().is_some_and(|length| length <= REDIRECT_BODY)
            && let (_, Some(Fail::Cancelled)) = body.read_some(REDIRECT_BODY as usize)
        {
            return Err(self.failed(run, signed, answered(Fail::Cancelled), Some(head.status), false));
        }
        run.note(&signed.shown_url, signed.begun, Some(head.status), Sent::Yes, None);
        Ok(Outcome::Redirect(next))
    }

    /// The whole body, without content codings, and how long it took.
    fn read(&self, run: &Run<'_>, signed: &Signed<'_>, answer: &mut Answer) -> Result<(Vec<u8>, Duration)> {
        let Answer { head, body, .. } = answer;
        // Looked at first: what cannot be decoded need not be read.
        let codings = if is_bare(head, signed) { Ok(Vec::new()) } else { decode::codings(head) };
        let codings = codings.inspect_err(|_| self.log_answer(run, signed, head, None))?;
        let begun = Instant::now();
        let whole = body.read_all();
        self.log_answer(run, signed, head, whole.as_ref().ok().map(Vec::len));
        let whole = whole
            .map_err(|fail| classify::transport_failure(&Failure { fail, sent: Sent::Yes, stale: false }))?;
        let took = begun.elapsed();
        Ok((decode::decode_content(&codings, whole, signed.limits.max_body)?, took))
    }

    /// Reads the body, within the attempt.
    pub(super) fn accept(
        &self,
        run: &mut Run<'_>,
        signed: &Signed<'_>,
        accepted: Accepted,
    ) -> Result<Response, Failed> {
        let Accepted { mut answer, whole, permits: _permits } = accepted;
        let status = answer.head.status;
        let whole = match whole {
            Some(whole) => Ok(whole),
            None => self.read(run, signed, &mut answer),
        };
        let (whole, took) = whole.map_err(|e| self.failed(run, signed, e, Some(status), false))?;
        let Answer { head, body, trace } = answer;
        run.note(&signed.shown_url, signed.begun, Some(status), Sent::Yes, None);
        let timings = timings(&trace, took, run);
        let meta = Meta { timings, ..self.meta(run, signed, &trace, &body) };
        Ok(Response::new(head, meta, whole))
    }

    /// An answer that is a failure. What can be had of the body goes with it; a body that fails too does not
    /// hide the status, but a cancel does: the caller wants no answer any more.
    fn refuse(
        &self,
        run: &mut Run<'_>,
        signed: &Signed<'_>,
        answer: Answer,
        seen: Seen,
        ruled: Option<Then>,
        unfollowed: Option<&Unfollowed>,
    ) -> Failed {
        let Answer { head, mut body, trace } = answer;
        let max = signed.prepared.settings.limits.max_error_body;
        let seen = match seen {
            Seen::Nothing => {
                let (start, fail) = body.read_some(max as usize);
                self.log_answer(run, signed, &head, Some(start.len()));
                if let Some(Fail::Cancelled) = fail {
                    return self.failed(run, signed, answered(Fail::Cancelled), Some(head.status), false);
                }
                Seen::Start(start, fail)
            }
            seen => seen,
        };
        let mut text = seen.text(&head, signed).into_owned();
        text.truncate(max as usize);
        let unfollowed = unfollowed.map(|u| (u.why.as_str(), u.is_private));
        let error = classify::refused(&head, &text, ruled, unfollowed, &run.redactor);
        let asks = matches!(ruled, Some(Then::Retry | Then::RateLimited));
        let mut failed = self.failed(run, signed, error, Some(head.status), asks);
        let meta = self.meta(run, signed, &trace, &body);
        failed.error.response = Some(Arc::new(Response::new(head, meta, text)));
        failed
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
        Failed { error, ruled, is_final: false }
    }

    /// A request that was not made: limits, a signer or its own bytes are against it. It is no attempt.
    fn unsent(&self, run: &Run<'_>, hop: &Hop<'_>, mut error: Error) -> Failed {
        let what = run.redactor.redact(&error.message).into_owned();
        let url = hop.shown_url(&run.redactor);
        place(&mut error, run, &hop.method, &url, &what);
        Failed { error, ruled: false, is_final: true }
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

impl Seen {
    /// What is shown of it, without content codings.
    fn text(&self, head: &Head, signed: &Signed<'_>) -> Cow<'_, [u8]> {
        match self {
            Seen::Nothing => Cow::Borrowed(&[]),
            Seen::Whole(whole, _) => Cow::Borrowed(whole),
            Seen::Start(start, _) => match decode::codings(head) {
                Ok(codings) if !is_bare(head, signed) && !codings.is_empty() => {
                    let max = signed.prepared.settings.limits.max_error_body;
                    Cow::Owned(decode::decode_some(&codings, start.clone(), max))
                }
                _ => Cow::Borrowed(start),
            },
        }
    }
}

/// The limits learn from an answer of the server that they are for; of another one they learn nothing.
fn learn(hop: &Hop<'_>, permits: &[Permit], head: &Head, limited: bool) {
    if !permits.is_empty() && hop.trusted {
        let now = SystemTime::now();
        let retry_after = classify::retry_after(head, now);
        permits.iter().for_each(|p| p.answered(head, limited, retry_after, now));
    }
}

/// A transport's failure behind the head of an answer.
fn answered(fail: Fail) -> Error {
    classify::transport_failure(&Failure { fail, sent: Sent::Yes, stale: false })
}

/// A longer URL is shown in part.
const SHOWN_URL: usize = 2000;

/// Says where an error happened.
fn place(error: &mut Error, run: &Run<'_>, method: &Method, url: &ShownUrl, what: &str) {
    let endpoint = &run.policy.endpoint;
    let shown: String = url.as_str().chars().take(SHOWN_URL).collect();
    let rest = if shown.len() < url.as_str().len() { "…" } else { "" };
    error.message = format!("{endpoint}: {method} {shown}{rest}: {what}");
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

/// Is there no content coding to take off? An answer to HEAD has no body, a 206 only a part of one; and
/// `identity` asks for the body as it comes.
pub(super) fn is_bare(head: &Head, signed: &Signed<'_>) -> bool {
    *signed.method == Method::HEAD
        || matches!(head.status, 204 | 206 | 304)
        || signed.prepared.settings.accept_encoding == AcceptEncoding::Identity
}

/// Does repeating the request do no harm? By its method (RFC 9110 9.2.2), or by an Idempotency-Key.
pub(super) fn repeatable(signed: &Signed<'_>) -> bool {
    let by_method = matches!(
        *signed.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    );
    by_method || signed.prepared.key != Key::None
}

/// Where the time of a call went.
pub(super) fn timings(trace: &Trace, body: Duration, run: &Run<'_>) -> Timings {
    Timings {
        dns: trace.dns.map(millis),
        connect: trace.connect.map(millis),
        tls: trace.tls.map(millis),
        head: millis(trace.head),
        body: millis(body),
        total: millis(run.begun.elapsed()),
    }
}

fn millis(duration: Duration) -> f64 {
    // To the microsecond.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
