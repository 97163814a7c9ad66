//! The terms of one attempt: how long it may take, how much may come, and who may end it. Every wait keeps them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fail::{Fail, Limit};
use super::token::Token;

/// The limits of one attempt. `None`: no limit.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// When the whole call must be over.
    pub deadline: Option<Instant>,
    /// One attempt, from connect to the body's end.
    pub total: Option<Duration>,
    /// Name resolution, TCP and TLS handshake together.
    pub connect: Option<Duration>,
    /// From the request's end to the end of the answer's head.
    pub head: Option<Duration>,
    /// Silence within a body.
    pub read: Option<Duration>,
    /// The longest head, bytes.
    pub max_head: usize,
    /// The longest body on the wire, bytes.
    pub max_body: u64,
    /// Are addresses of private networks refused?
    pub block_private: bool,
}

/// What a wait belongs to, and when it is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    until: Option<Instant>,
    limit: Limit,
}

/// The terms of one attempt.
#[derive(Debug)]
pub(super) struct Terms {
    pub limits: Limits,
    pub token: Option<Arc<Token>>,
    /// The attempt's end: the deadline or `total`, whichever is first.
    end: Patience,
}

impl Terms {
    /// From now.
    pub fn new(limits: Limits, token: Option<Arc<Token>>) -> Terms {
        let total = limits.total.map(|t| Instant::now() + t);
        let end = match (limits.deadline, total) {
            (Some(d), Some(t)) if t < d => Patience { until: Some(t), limit: Limit::Total },
            (None, Some(t)) => Patience { until: Some(t), limit: Limit::Total },
            (d, _) => Patience { until: d, limit: Limit::Deadline },
        };
        Terms { limits, token, end }
    }

    /// Waiting for the connection, from now.
    pub fn connecting(&self) -> Patience {
        self.patience(self.limits.connect, Limit::Connect)
    }

    /// Waiting for the head, from now.
    pub fn heading(&self) -> Patience {
        self.patience(self.limits.head, Limit::Head)
    }

    /// Waiting for the next byte of a body, from now.
    pub fn idling(&self) -> Patience {
        self.patience(self.limits.read, Limit::Read)
    }

    fn patience(&self, limit: Option<Duration>, name: Limit) -> Patience {
        match limit.map(|l| Instant::now() + l) {
            Some(until) if self.end.until.is_none_or(|end| until < end) => {
                Patience { until: Some(until), limit: name }
            }
            _ => self.end,
        }
    }

    /// Waiting as [`Terms::idling`], since then, but not beyond `until`, which is no failure.
    pub fn waiting(&self, since: Instant, until: Instant) -> Patience {
        let read = self.limits.read.map(|l| Patience { until: Some(since + l), limit: Limit::Read });
        let waiting = Patience { until: Some(until), limit: Limit::Wait };
        let earlier = |a: Patience, b: Patience| {
            if b.until.is_some_and(|b| a.until.is_none_or(|a| b < a)) { b } else { a }
        };
        read.into_iter().chain([self.end]).fold(waiting, earlier)
    }

    pub fn check_cancelled(&self) -> Result<(), Fail> {
        match &self.token {
            Some(t) if t.is_cancelled() => Err(Fail::Cancelled),
            _ => Ok(()),
        }
    }

    /// What a failure is for the caller. A cancelled socket fails in many ways, by which step met the cut first.
    pub fn blame(&self, fail: Fail) -> Fail {
        self.check_cancelled().err().unwrap_or(fail)
    }

    /// May we still wait? For how long at most; `None`: as long as it takes.
    pub fn left(&self, patience: Patience) -> Result<Option<Duration>, Fail> {
        self.check_cancelled()?;
        let Some(until) = patience.until else { return Ok(None) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Fail::Timeout(patience.limit)) } else { Ok(Some(left)) }
    }
}
