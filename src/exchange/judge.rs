//! What an answer means: by the endpoint's rules, as a redirect, by its status; and what becomes of its body.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use url::Url;

use super::attempt::{Failed, Outcome, Signed};
use super::limit::Permit;
use super::redirect::{self, is_redirect};
use super::run::Run;
use super::sign::Hop;
use super::{Exchange, classify};
use crate::auth::{Refusal, Verdict};
use crate::config::Judgement;
use crate::config::endpoint::Then;
use crate::config::settings::AcceptEncoding;
use crate::decode;
use crate::error::{Error, Kind, Result, Sent};
use crate::response::{Head, Meta, Response, Timings};
use crate::transport::{Answer, Fail, Failure, Trace};

/// So much of a redirect's body is read, for the sake of its connection.
const REDIRECT_BODY: u64 = 64 << 10;

/// So often the same request is made once more, with other credentials.
const MAX_RENEWALS: u32 = 3;

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

impl Exchange {
    /// What an answer means: by the endpoint's rules, as a redirect, by its status.
    pub(super) fn judge<'c, T>(
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
        let mut error = classify::refused(&head, &text, ruled, unfollowed, &run.redactor);
        let asks = matches!(ruled, Some(Then::Retry | Then::RateLimited));
        let refused = ruled == Some(Then::RefreshToken) || (ruled.is_none() && head.status == 401);
        let credentials = signed.credentials.filter(|_| refused).zip(self.scheme.as_ref());
        let refusal = Refusal { url: signed.draft.url(), renewals: run.renewals, head: &head };
        let verdict = match credentials {
            // So that a server which refuses whatever comes is not asked for ever.
            Some((number, scheme)) if run.renewals < MAX_RENEWALS => scheme.refused(number, &refusal),
            _ => Verdict::Stands,
        };
        if let Verdict::Because(why) = &verdict {
            error.message += &format!("; {why}");
        }
        let renewed = verdict == Verdict::Again;
        let mut failed = Failed { renewed, ..self.failed(run, signed, error, Some(head.status), asks) };
        let meta = self.meta(run, signed, &trace, &body);
        failed.error.response = Some(Arc::new(Response::new(head, meta, text)));
        failed
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

/// Is there no content coding to take off? An answer to HEAD has no body, a 206 only a part of one; and
/// `identity` asks for the body as it comes.
pub(super) fn is_bare(head: &Head, signed: &Signed<'_>) -> bool {
    *signed.method == Method::HEAD
        || matches!(head.status, 204 | 206 | 304)
        || signed.prepared.settings.accept_encoding == AcceptEncoding::Identity
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
