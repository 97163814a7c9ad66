//! The call context: the limits of one attempt, and where ureq's side hands the connection back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connection::Connection;
use super::fail::{Fail, Limit};
use super::target::Target;
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

/// One attempt.
#[derive(Debug)]
pub(super) struct Call {
    pub target: Arc<Target>,
    pub limits: Limits,
    pub token: Option<Arc<Token>>,
    /// The attempt's end: the deadline or `total`, whichever is first.
    end: Patience,
    /// Take no idle connection: the one before turned out to be dead.
    pub fresh: bool,
    /// Hold the head back and send it with the body in one packet.
    pub hold_head: bool,
    /// Room for the longest header line: ureq fails a request whose line does not fit.
    pub output: usize,
    /// The peer stopped reading: the rest of the body is dropped, its answer is read.
    pub write_failed: AtomicBool,
    /// Interim heads so far.
    pub interims: AtomicU32,
    slot: Mutex<Slot>,
}

/// What comes back from ureq's side.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub connection: Option<Box<Connection>>,
    pub fail: Option<Fail>,
}

impl Call {
    pub fn new(
        target: Arc<Target>,
        limits: Limits,
        token: Option<Arc<Token>>,
        fresh: bool,
        hold_head: bool,
        output: usize,
    ) -> Call {
        let total = limits.total.map(|t| Instant::now() + t);
        let end = match (limits.deadline, total) {
            (Some(d), Some(t)) if t < d => Patience { until: Some(t), limit: Limit::Total },
            (None, Some(t)) => Patience { until: Some(t), limit: Limit::Total },
            (d, _) => Patience { until: d, limit: Limit::Deadline },
        };
        Call {
            target,
            limits,
            token,
            end,
            fresh,
            hold_head,
            output,
            write_failed: AtomicBool::new(false),
            interims: AtomicU32::new(0),
            slot: Mutex::default(),
        }
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

    pub fn write_failed(&self) -> bool {
        self.write_failed.load(Relaxed)
    }

    /// Notes the exact failure and gives ureq one to pass along.
    pub fn fail(&self, fail: Fail) -> ureq::Error {
        self.slot.lock().fail.get_or_insert(fail);
        ureq::Error::ConnectionFailed
    }

    /// The connection comes home.
    pub fn hand_over(&self, connection: Box<Connection>) {
        self.slot.lock().connection = Some(connection);
    }

    pub fn take(&self) -> Slot {
        std::mem::take(&mut *self.slot.lock())
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Origin;

    /// A call to nowhere in particular.
    pub fn call(limits: Limits, token: Option<Arc<Token>>) -> Call {
        Call::new(Arc::new(target("http://nowhere.example")), limits, token, false, false, 0)
    }

    /// The target of a URL.
    pub fn target(url: &str) -> Target {
        Target::of(&Origin::of(&url.parse().unwrap()).unwrap()).unwrap()
    }
}
