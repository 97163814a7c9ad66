//! When the next request may go. Pure: it is told the time, and what the answers said.

use std::time::{Duration, Instant};

use super::bucket::{Bucket, Taken};
use crate::config::endpoint::{RateLimit, RateStrategy};
use crate::quota::Window;

/// By so much two answers may differ about the end of one window: both the reset and the clock that it is
/// measured by come in whole seconds.
const SLACK: Duration = Duration::from_secs(2);
/// A server that asks for less without a time.
const A_MOMENT: Duration = Duration::from_secs(1);
/// A server has few limits; one that invents names does not fill our memory.
const MOST_WINDOWS: usize = 16;
/// Further away than anybody waits, and still a time.
const FAR: Duration = Duration::from_secs(30 * 366 * 24 * 3600);

/// One limit's state.
#[derive(Debug)]
pub(super) struct Pace {
    bucket: Option<Bucket>,
    /// `max_concurrent`.
    places: usize,
    taken: usize,
    server: Option<Server>,
}

/// What the answers said.
#[derive(Debug, Default)]
struct Server {
    windows: Vec<Known>,
    closed_until: Option<Instant>,
    /// Requests that went, and the answers that came, so far.
    sent: u64,
    answered: u64,
    /// Requests that went and are neither answered nor given up.
    open: u64,
    /// The requests up to this one went before the last slow-down, and know nothing of it.
    slowed: u64,
}

/// A window of the server's that has not ended.
#[derive(Debug)]
struct Known {
    name: Box<str>,
    ends: Instant,
    /// What may still go before it ends. Less than nothing: more is under way than the server has left.
    left: i64,
    /// The last of the requests whose answer spoke of it, in the order of sending.
    newest: u64,
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    taken: Option<Taken>,
    number: u64,
    /// The answers that had come when it went.
    answered: u64,
}

/// An answer, as far as it matters here.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub windows: Vec<Window>,
    /// It refuses for a rate limit.
    pub limited: bool,
    /// The server is at its work: the answer says nothing against more of them.
    pub well: bool,
    /// It asks to be left alone for so long.
    pub retry_after: Option<Duration>,
}

/// May it go?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Now,
    /// Not before this time.
    Wait {
        wait: Duration,
        /// It is the server's wish, not the configured rate.
        server: bool,
    },
    /// When a place becomes free.
    Full,
}

impl Pace {
    /// None where nothing is limited.
    pub fn new(config: &RateLimit, now: Instant) -> Option<Pace> {
        let strategy = config.strategy();
        let bucket = match strategy {
            RateStrategy::None => None,
            _ => Some(Bucket::new(config.rate(), config.burst(), now)),
        };
        let server = (strategy == RateStrategy::Adaptive).then(Server::default);
        let places = config.max_concurrent.map(|n| n.get() as usize);
        if bucket.is_none() && places.is_none() {
            return None;
        }
        Some(Pace { bucket, places: places.unwrap_or(usize::MAX), taken: 0, server })
    }

    /// Does it learn from answers?
    pub fn is_adaptive(&self) -> bool {
        self.server.is_some()
    }

    /// The turn of a request with so many others before it.
    pub fn turn(&self, now: Instant, others: usize) -> Turn {
        let rate = self.bucket.as_ref().map_or(Duration::ZERO, |b| b.wait(now, others));
        let server = self.server.as_ref().map_or(Duration::ZERO, |s| s.wait(now, others));
        let wait = rate.max(server);
        if !wait.is_zero() {
            Turn::Wait { wait, server: server > rate }
        } else if self.taken.saturating_add(others) >= self.places {
            Turn::Full
        } else {
            Turn::Now
        }
    }

    /// One goes; its turn is now.
    pub fn admit(&mut self, now: Instant) -> Ticket {
        self.taken += 1;
        let taken = self.bucket.as_mut().map(|b| b.take(now));
        let Some(server) = &mut self.server else { return Ticket { taken, number: 0, answered: 0 } };
        server.sent += 1;
        server.open += 1;
        server.windows.iter_mut().for_each(|w| w.left -= 1);
        Ticket { taken, number: server.sent, answered: server.answered }
    }

    /// It is answered.
    pub fn answered(&mut self, now: Instant, ticket: Ticket, said: &Said) {
        let (Some(server), Some(bucket)) = (&mut self.server, &mut self.bucket) else { return };
        server.open -= 1;
        for window in &said.windows {
            server.learn(now, ticket, window);
        }
        server.answered += 1;
        if said.limited {
            let asked = said.retry_after.or(explanation(&said.windows));
            server.close(now, asked.unwrap_or(A_MOMENT));
            // The server's limit is not known: find it. Those that went before the last step say nothing of it.
            if explanation(&said.windows).is_none() && ticket.number > server.slowed {
                bucket.slow_down(now);
                server.slowed = server.sent;
            }
        } else if let Some(wait) = said.retry_after {
            server.close(now, wait);
        } else if said.well && ticket.number > server.slowed {
            bucket.recover(now);
        }
    }

    /// It will not be answered.
    pub fn given_up(&mut self) {
        if let Some(server) = &mut self.server {
            server.open -= 1;
        }
    }

    /// It did not go after all, and will not be answered.
    pub fn give_back(&mut self, ticket: Ticket) {
        self.given_up();
        if let (Some(bucket), Some(taken)) = (&mut self.bucket, ticket.taken) {
            bucket.give_back(taken);
        }
        if let Some(server) = &mut self.server {
            // Each window has counted it: as one that went, or as one that was under way.
            server.windows.iter_mut().for_each(|w| w.left += 1);
        }
    }

    /// Its place is free.
    pub fn leave(&mut self) {
        self.taken -= 1;
    }

    /// Is the number of places limited?
    pub fn has_places(&self) -> bool {
        self.places != usize::MAX
    }
}

impl Server {
    fn wait(&self, now: Instant, others: usize) -> Duration {
        let others = i64::try_from(others).unwrap_or(i64::MAX);
        let full = self.windows.iter().filter(|w| w.left <= others).map(|w| w.ends);
        let until = full.chain(self.closed_until).max();
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn close(&mut self, now: Instant, wait: Duration) {
        self.closed_until = self.closed_until.max(now.checked_add(wait.min(FAR)));
    }

    /// What the answer to one request says about a window.
    fn learn(&mut self, now: Instant, ticket: Ticket, said: &Window) {
        self.windows.retain(|w| w.ends > now);
        let Some((remaining, reset)) = measures(said) else { return };
        let Some(ends) = now.checked_add(reset.min(FAR)).filter(|e| *e > now) else { return };
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX / 4);
        // The server may not have counted those under way.
        let left = count(remaining.min(1 << 60)) - count(self.open);
        let Some(known) = self.windows.iter_mut().find(|w| *w.name == *said.name) else {
            let known = Known { name: said.name.as_str().into(), ends, left, newest: ticket.number };
            if self.windows.len() < MOST_WINDOWS {
                self.windows.push(known);
            } else if let Some(first) = self.windows.iter_mut().min_by_key(|w| w.ends) {
                *first = known;
            }
            return;
        };
        let is_same = ends <= known.ends + SLACK && known.ends <= ends + SLACK;
        if ticket.number < known.newest {
            // Overtaken on the way: it may know of something that we do not, but it gives nothing.
            if ends + SLACK >= known.ends {
                known.left = known.left.min(left);
                known.ends = known.ends.max(ends);
            }
            return;
        }
        known.newest = ticket.number;
        if is_same {
            // Nor those, in the order of the server, that were answered since it went.
            let sure = left - count(self.answered - ticket.answered);
            known.left = if left < known.left { left } else { known.left.max(sure) };
            known.ends = known.ends.max(ends);
        } else {
            known.left = left;
            known.ends = ends;
        }
    }
}

/// What can be reckoned with: a number, and the time until which it counts. Nothing left, without a time, counts
/// for the whole length.
fn measures(window: &Window) -> Option<(u64, Duration)> {
    let remaining = window.remaining?;
    let length = window.span.filter(|_| remaining == 0);
    Some((remaining, window.reset.or(length)?))
}

/// When a refused request may be repeated: when every limit that can have refused it has ended.
fn explanation(windows: &[Window]) -> Option<Duration> {
    let used_up = windows.iter().filter(|w| w.remaining.is_none_or(|r| r == 0));
    used_up.filter_map(|w| w.reset.or(measures(w).map(|m| m.1))).max()
}
