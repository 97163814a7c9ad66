//! Rate limits: who may go, and who waits, in the order of coming.
//!
//! [`Pace`] knows when the next one may go; the queue here knows whose turn that is. Only the head of the queue
//! waits for a time; the others wait until they are the head.

mod bucket;
mod pace;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod threads;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, MutexGuard};

use crate::config::endpoint::RateLimit;
use crate::quota;
use crate::response::Head;
use crate::transport::{Bell, Fail, Token, pause};
use pace::{Pace, Said, Ticket, Turn};

/// One rate limit: a connector's or an endpoint's. Shared between threads.
#[derive(Debug)]
pub(crate) struct Limiter {
    is_adaptive: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    /// Those who wait, in the order of coming.
    queue: VecDeque<Arc<Bell>>,
}

/// How long a caller waits for its turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience<'a> {
    /// The call is over then.
    pub deadline: Option<Instant>,
    /// The longest wait that a server may ask for; the configured rate may make it wait longer.
    pub max_wait: Duration,
    /// Ends every wait.
    pub cancel: Option<&'a Arc<Token>>,
}

/// Why a request may not go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The caller cancelled.
    Cancelled,
    /// Its turn is so far away: beyond the deadline, or further than it would wait for the server.
    TooLong(Duration),
    /// The deadline came before a place was free.
    Deadline,
    /// It could not wait.
    Failed(Fail),
}

impl Limiter {
    /// None where nothing is limited.
    pub fn new(config: &RateLimit) -> Option<Limiter> {
        let pace = Pace::new(config, Instant::now())?;
        let is_adaptive = pace.is_adaptive();
        Some(Limiter { is_adaptive, state: Mutex::new(State { pace, queue: VecDeque::new() }) })
    }

    /// Waits until a request may go. A wait that would be in vain is not begun.
    pub fn admit(self: &Arc<Self>, patience: &Patience<'_>) -> Result<Permit, Refused> {
        if patience.cancel.is_some_and(|token| token.is_cancelled()) {
            return Err(Refused::Cancelled);
        }
        if Inside::is_in(self) {
            return self.admit_nested(patience);
        }
        {
            let mut state = self.state.lock();
            let now = Instant::now();
            let others = state.queue.len();
            match state.pace.turn(now, others) {
                Turn::Now if others == 0 => return Ok(self.permit(&mut state, now)),
                turn => drop(patience.until(turn, now)?),
            }
        }
        let bell = Arc::new(Bell::new(patience.cancel).map_err(Refused::from)?);
        self.state.lock().queue.push_back(bell.clone());
        let waiting = Waiting { limiter: self, bell, is_over: Cell::new(false) };
        loop {
            match waiting.look(patience)? {
                Ok(permit) => return Ok(permit),
                Err(until) => drop(waiting.bell.wait(until).map_err(Refused::from)?),
            }
        }
    }

    /// Goes at once, where the pace lets it: before those who wait here, when it has waited elsewhere.
    fn try_admit(self: &Arc<Self>) -> Option<Permit> {
        let mut state = self.state.lock();
        let now = Instant::now();
        (state.pace.turn(now, 0) == Turn::Now).then(|| self.permit(&mut state, now))
    }

    /// For a call from within a callback of a call that holds a place here: it needs none of its own, and does not
    /// wait behind those who wait for that one. The rate is for it too.
    fn admit_nested(self: &Arc<Self>, patience: &Patience<'_>) -> Result<Permit, Refused> {
        loop {
            let until = {
                let mut state = self.state.lock();
                let now = Instant::now();
                match state.pace.turn(now, 0) {
                    Turn::Now | Turn::Full => return Ok(self.permit(&mut state, now)),
                    turn => patience.until(turn, now)?,
                }
            };
            let Some(until) = until else { return Err(Refused::Deadline) };
            pause(until, patience.cancel).map_err(Refused::from)?;
        }
    }

    fn permit(self: &Arc<Self>, state: &mut State, now: Instant) -> Permit {
        let ticket = state.pace.admit(now);
        Permit { limiter: self.clone(), ticket, is_open: Cell::new(true) }
    }

    /// Changes the pace, and wakes the head where that may have changed its turn.
    fn change(&self, change: impl FnOnce(&mut Pace, Instant) -> bool) {
        let mut state = self.state.lock();
        let may_matter = change(&mut state.pace, Instant::now());
        if may_matter {
            wake(state);
        }
    }
}

/// Waits until a request may go under all limits, and takes from all or from none: who waits under one of them holds
/// nothing of the other meanwhile.
pub(crate) fn admit(limits: &[Arc<Limiter>], patience: &Patience<'_>) -> Result<Vec<Permit>, Refused> {
    let mut first = 0;
    loop {
        let Some(limiter) = limits.get(first) else { return Ok(Vec::new()) };
        let mut permits = vec![limiter.admit(patience)?];
        let mut holds_back = None;
        for (at, other) in limits.iter().enumerate().filter(|(at, _)| *at != first) {
            match if Inside::is_in(other) { Some(other.admit(patience)?) } else { other.try_admit() } {
                Some(permit) => permits.push(permit),
                None => holds_back = Some(at),
            }
        }
        let Some(at) = holds_back else { return Ok(permits) };
        permits.into_iter().for_each(Permit::give_back);
        first = at;
    }
}

thread_local! {
    /// The limiters under which this thread holds a place just now.
    static INSIDE: RefCell<Vec<*const Limiter>> = const { RefCell::new(Vec::new()) };
}

/// This thread holds places: what it calls from a callback meanwhile needs none.
pub(crate) struct Inside(usize);

impl Inside {
    pub fn enter(limits: &[Arc<Limiter>]) -> Inside {
        INSIDE.with_borrow_mut(|inside| {
            let before = inside.len();
            inside.extend(limits.iter().map(Arc::as_ptr));
            Inside(before)
        })
    }

    fn is_in(limiter: &Arc<Limiter>) -> bool {
        INSIDE.with_borrow(|inside| inside.contains(&Arc::as_ptr(limiter)))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with_borrow_mut(|inside| inside.truncate(self.0));
    }
}

/// Rings the head of the queue.
fn wake(state: MutexGuard<'_, State>) {
    let head = state.queue.front().cloned();
    // It wants the lock.
    drop(state);
    if let Some(head) = head {
        head.ring();
    }
}

impl Patience<'_> {
    /// When to look again, where nobody rings; refused, where that would be in vain.
    fn until(&self, turn: Turn, now: Instant) -> Result<Option<Instant>, Refused> {
        let left = self.deadline.map(|d| d.saturating_duration_since(now));
        match turn {
            Turn::Wait { wait, server } => {
                if left.is_some_and(|left| wait > left) || (server && wait > self.max_wait) {
                    return Err(Refused::TooLong(wait));
                }
                // So far away that there is no such time: until somebody rings.
                Ok(now.checked_add(wait))
            }
            Turn::Full if left == Some(Duration::ZERO) => Err(Refused::Deadline),
            Turn::Full | Turn::Now => Ok(self.deadline),
        }
    }
}

impl From<Fail> for Refused {
    fn from(fail: Fail) -> Refused {
        match fail {
            Fail::Cancelled => Refused::Cancelled,
            fail => Refused::Failed(fail),
        }
    }
}

/// A place in the queue. Left in any way, it leaves the queue in order.
struct Waiting<'a> {
    limiter: &'a Arc<Limiter>,
    bell: Arc<Bell>,
    /// It has left the queue.
    is_over: Cell<bool>,
}

impl Waiting<'_> {
    /// Goes, where it may; else, when to look again.
    fn look(&self, patience: &Patience<'_>) -> Result<Result<Permit, Option<Instant>>, Refused> {
        let mut state = self.limiter.state.lock();
        let now = Instant::now();
        if state.queue.front().is_some_and(|head| Arc::ptr_eq(head, &self.bell)) {
            let turn = state.pace.turn(now, 0);
            if turn == Turn::Now {
                let permit = self.limiter.permit(&mut state, now);
                state.queue.pop_front();
                self.is_over.set(true);
                wake(state);
                return Ok(Ok(permit));
            }
            patience.until(turn, now).map(Err)
        } else if patience.deadline.is_some_and(|d| d <= now) {
            Err(Refused::Deadline)
        } else {
            Ok(Err(patience.deadline))
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_over.get() {
            return;
        }
        let mut state = self.limiter.state.lock();
        let Some(at) = state.queue.iter().position(|w| Arc::ptr_eq(w, &self.bell)) else { return };
        state.queue.remove(at);
        if at == 0 {
            wake(state);
        }
    }
}

/// One request that may go. It holds its place under `max_concurrent` until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
    ticket: Ticket,
    /// Neither answered nor given back.
    is_open: Cell<bool>,
}

impl Permit {
    /// The request's answer. `status_is_limit`: it refuses for a rate limit, by its status or by a rule.
    pub fn answered(
        &self,
        head: &Head,
        status_is_limit: bool,
        retry_after: Option<Duration>,
        received: SystemTime,
    ) {
        if !self.is_open.replace(false) || !self.limiter.is_adaptive {
            return;
        }
        let asks = status_is_limit || head.status == 503;
        let said = Said {
            windows: quota::windows(head, received),
            limited: status_is_limit,
            well: head.status < 500,
            retry_after: retry_after.filter(|_| asks),
        };
        self.limiter.change(|pace, now| {
            let before = pace.turn(now, 0);
            pace.answered(now, self.ticket, &said);
            before != pace.turn(now, 0)
        });
    }

    /// The request was not sent: what it took goes to the next one, as far as the limit allows.
    pub fn give_back(self) {
        if self.is_open.replace(false) {
            self.limiter.change(|pace, _| {
                pace.give_back(self.ticket);
                true
            });
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let is_open = self.is_open.get();
        self.limiter.change(|pace, _| {
            if is_open {
                pace.given_up();
            }
            pace.leave();
            pace.has_places()
        });
    }
}
