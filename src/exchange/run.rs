//! One call on its way: what it is, how long it may take, and what became of it so far.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{Hooks, Policy};
use crate::error::{Attempt, Error, Sent};
use crate::redact::{Redactor, ShownUrl};
use crate::request::Prepared;
use crate::response::Response;
use crate::transport::Token;

/// One call on its way.
pub(super) struct Run<'c> {
    pub policy: &'c Policy,
    pub prepared: &'c Prepared<'c>,
    pub cancel: Option<&'c Arc<Token>>,
    pub hooks: &'c Hooks,
    pub begun: Instant,
    pub deadline: Option<Instant>,
    /// Is the body handed on as it comes? Else it is read within the attempt.
    pub streamed: bool,
    /// Is the request only shown? Then nobody is asked for anything.
    pub only_shown: bool,
    /// How often the request that is under way was made once more, with other credentials.
    pub renewals: u32,
    /// Every request that was sent, redirects too.
    pub attempts: Vec<Attempt>,
    /// Where the redirects led that were followed.
    pub redirects: Vec<ShownUrl>,
    /// Attempts, the one that is under way included, redirects not.
    pub tries: u32,
    /// What the next request has waited for.
    pub waited: Duration,
    /// Knows the connector's secrets.
    pub known: Arc<Redactor>,
    /// Knows what this call's signer and cookies have added, too.
    pub redactor: Arc<Redactor>,
    /// Values of secrets at known places, decoded and however short: no other origin is asked for one of them.
    pub bound: Vec<Zeroizing<String>>,
    /// How far the furthest of its requests has come.
    pub sent: Sent,
}

impl<'c> Run<'c> {
    pub fn new(
        policy: &'c Policy,
        prepared: &'c Prepared<'c>,
        cancel: Option<&'c Arc<Token>>,
        hooks: &'c Hooks,
        known: Arc<Redactor>,
    ) -> Run<'c> {
        let begun = Instant::now();
        Run {
            policy,
            prepared,
            cancel,
            hooks,
            begun,
            streamed: false,
            only_shown: false,
            renewals: 0,
            deadline: prepared.deadline.and_then(|d| begun.checked_add(d)),
            attempts: Vec::new(),
            redirects: Vec::new(),
            tries: 1,
            waited: Duration::ZERO,
            redactor: known.clone(),
            known,
            bound: Vec::new(),
            sent: Sent::No,
        }
    }

    /// The connector knows more secrets by now, maybe.
    pub fn learn(&mut self, known: Arc<Redactor>) {
        if !Arc::ptr_eq(&known, &self.known) {
            self.redactor = match Arc::ptr_eq(&self.redactor, &self.known) {
                true => known.clone(),
                false => Arc::new(self.redactor.and(&known)),
            };
            self.known = known;
        }
    }

    /// Notes a request that was sent, or was to be.
    pub fn note(
        &mut self,
        url: &ShownUrl,
        begun: Instant,
        status: Option<u16>,
        sent: Sent,
        error: Option<String>,
    ) {
        self.sent = self.sent.max(sent);
        self.attempts.push(Attempt {
            n: self.attempts.len() as u32 + 1,
            url: url.clone(),
            status,
            error,
            sent,
            wait_ms: std::mem::take(&mut self.waited).as_millis() as u64,
            ms: begun.elapsed().as_millis() as u64,
        });
    }

    /// An answer is the end, and has the history of the call.
    pub fn done(self, mut response: Response) -> Response {
        response.meta.attempts = self.attempts;
        response.meta.redirects = self.redirects;
        response
    }

    /// A failure is the end, and has the history of the call.
    pub fn failed(&mut self, mut error: Error) -> Error {
        // For the caller, the call is one: what an earlier request of it has done, is done.
        error.sent = error.sent.max(self.sent);
        error.repeatable = self.prepared.is_repeatable();
        error.undone &= self.redirects.is_empty();
        if self.tries > 1 {
            error.message += &format!(" (after {} attempts)", self.tries);
        }
        let attempts = std::mem::take(&mut self.attempts);
        if let Some(response) = error.response.as_mut().and_then(Arc::get_mut) {
            response.meta.attempts = attempts.clone();
            response.meta.redirects = std::mem::take(&mut self.redirects);
        }
        error.attempts = attempts;
        error
    }
}
