//! Threads inside one call. They move bytes; what belongs to the caller's thread (the callbacks that the host keeps,
//! and its log sink) they have done there, and wait for it.
#![allow(unsafe_code)]
// Why: what is to be done there borrows from the stack of the thread that waits. Scoped threads lend the same way, but
// only to threads that they start.

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::transport::{Bell, Fail, Token};

/// Between two looks at nothing.
const IDLE: Duration = Duration::from_secs(3600);

thread_local! {
    /// Where this thread has errands done; None: it is a caller's thread.
    static DESK: RefCell<Option<Seat>> = const { RefCell::new(None) };
    /// Where this thread does errands; None: no call of it has threads of its own just now.
    static SERVED: RefCell<Option<Arc<Desk>>> = const { RefCell::new(None) };
}

thread_local! {
    /// What this thread is in the middle of.
    static AMID: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// This thread is in the middle of something, and so is whoever does an errand for it meanwhile: a callback that needs
/// the end of it would wait for ever.
pub struct Amid(usize);

impl Amid {
    /// `what`: told from others by its place in memory.
    pub fn enter<T>(what: &T) -> Amid {
        Amid::enter_all(&[std::ptr::from_ref(what).addr()])
    }

    fn enter_all(all: &[usize]) -> Amid {
        AMID.with_borrow_mut(|amid| {
            let before = amid.len();
            amid.extend_from_slice(all);
            Amid(before)
        })
    }

    /// Is this thread in the middle of it?
    pub fn is_in<T>(what: &T) -> bool {
        AMID.with_borrow(|amid| amid.contains(&std::ptr::from_ref(what).addr()))
    }
}

impl Drop for Amid {
    fn drop(&mut self) {
        AMID.with_borrow_mut(|amid| amid.truncate(self.0));
    }
}

type Work<'a> = dyn FnMut() + Send + 'a;

/// Where the threads of calls leave what the caller's thread is to do for them. A caller's thread has one: within a
/// callback of a call it may make another call, and the threads of both go on.
#[derive(Default)]
struct Desk {
    orders: Mutex<Orders>,
    changed: Condvar,
    /// An errand is done.
    done: Condvar,
}

#[derive(Default)]
struct Orders {
    waiting: VecDeque<(u64, &'static mut Work<'static>)>,
    taken: u64,
    /// Those that are done and not yet seen by who waits for them.
    finished: Vec<u64>,
    /// The calls that have threads, the innermost last.
    calls: Vec<Employed>,
    /// What the caller's thread waits for, where it waits for something else than its own threads.
    bell: Option<Arc<Bell>>,
}

/// A call that has threads.
#[derive(Default)]
struct Employed {
    /// Somebody wants it to tick now.
    knocked: bool,
    /// The thread that was employed has left.
    over: bool,
}

/// A thread of a call: its desk, and which of the desk's calls that is.
#[derive(Clone)]
struct Seat {
    desk: Arc<Desk>,
    call: usize,
}

/// Has something done by the caller's thread, and waits for it. On that thread itself it is just done.
pub fn at_caller<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let Some(Seat { desk, .. }) = seat() else { return work() };
    let (mut work, mut outcome) = (Some(work), None);
    let amid = AMID.with_borrow(Vec::clone);
    desk.lend(&mut || {
        let _amid = Amid::enter_all(&amid);
        outcome = work.take().map(|work| catch_unwind(AssertUnwindSafe(work)));
    });
    match outcome {
        Some(Ok(value)) => value,
        Some(Err(panic)) => resume_unwind(panic),
        // It is always run before `lend` returns.
        None => resume_unwind(Box::new("an errand was not run") as Box<dyn Any + Send>),
    }
}

/// Has the caller's thread tick as soon as it can, and does not wait for it.
pub fn knock() {
    if let Some(seat) = seat() {
        seat.tell(|call| call.knocked = true);
    }
}

/// Waits for a bell, and does the errands of this thread's calls meanwhile: one of their threads may be who rings it.
/// Ends early, as if it were rung, when there were some.
pub fn wait(bell: &Arc<Bell>, until: Option<Instant>) -> Result<bool, Fail> {
    let Some(desk) = SERVED.try_with(|desk| desk.borrow().clone()).ok().flatten() else {
        return bell.wait(until);
    };
    let before = desk.orders.lock().bell.replace(bell.clone());
    let rung = match desk.one() {
        true => Ok(true),
        false => bell.wait(until),
    };
    desk.orders.lock().bell = before;
    rung
}

fn seat() -> Option<Seat> {
    // A thread that is ending has no callers any more.
    DESK.try_with(|seat| seat.borrow().clone()).ok().flatten()
}

/// Does `work` on a thread of its own, while this one does its errands, and `tick` again and again: when `tick` says.
/// Where that unwinds, `halt` ends the work.
pub fn employ<T: Send>(
    work: impl FnOnce() -> T + Send,
    mut tick: impl FnMut() -> Instant,
    halt: &Token,
) -> io::Result<T> {
    let served = Served::enter();
    thread::scope(|scope| {
        let seat = served.seat.clone();
        let thread = thread::Builder::new().name("apl-call".into()).spawn_scoped(scope, move || {
            let _leave = Leave(&seat);
            seat.sit(work)
        })?;
        let mut broken = None;
        served.seat.serve(&mut || {
            if broken.is_none() {
                match catch_unwind(AssertUnwindSafe(&mut tick)) {
                    Ok(next) => return next,
                    Err(panic) => broken = Some(panic),
                }
                halt.cancel();
            }
            Instant::now() + IDLE
        });
        let outcome = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        broken.map_or(Ok(outcome), |panic| resume_unwind(panic))
    })
}

/// Does `work` on a thread of its own, while this one does its errands and nothing else.
pub fn aside<T: Send>(work: impl FnOnce() -> T + Send, halt: &Token) -> io::Result<T> {
    employ(work, || Instant::now() + IDLE, halt)
}

/// For a further thread of the call: its errands go where this thread's go.
pub fn alike<T>(work: impl FnOnce() -> T + Send) -> impl FnOnce() -> T + Send {
    let seat = seat();
    move || match seat {
        Some(seat) => seat.sit(work),
        None => work(),
    }
}

/// This thread does the errands of a call more.
struct Served {
    seat: Seat,
    is_first: bool,
}

impl Served {
    fn enter() -> Served {
        SERVED.with_borrow_mut(|served| {
            let is_first = served.is_none();
            let desk = served.get_or_insert_default().clone();
            let call = {
                let mut orders = desk.orders.lock();
                orders.calls.push(Employed::default());
                orders.calls.len() - 1
            };
            Served { seat: Seat { desk, call }, is_first }
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.seat.desk.orders.lock().calls.truncate(self.seat.call);
        if self.is_first {
            SERVED.with_borrow_mut(|served| *served = None);
        }
    }
}

/// Tells the caller's thread that nobody is left.
struct Leave<'d>(&'d Seat);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.tell(|call| call.over = true);
    }
}

impl Seat {
    fn sit<T>(&self, work: impl FnOnce() -> T) -> T {
        DESK.with_borrow_mut(|seat| *seat = Some(self.clone()));
        work()
    }

    fn tell(&self, what: impl FnOnce(&mut Employed)) {
        if let Some(call) = self.desk.orders.lock().calls.get_mut(self.call) {
            what(call);
        }
        self.desk.changed.notify_one();
    }

    fn serve(&self, tick: &mut impl FnMut() -> Instant) {
        let desk = &self.desk;
        let mut next = tick();
        loop {
            {
                let mut orders = desk.orders.lock();
                while orders.waiting.is_empty() && !orders.calls[self.call].is_news() && Instant::now() < next
                {
                    desk.changed.wait_until(&mut orders, next);
                }
            }
            if desk.one() {
                continue;
            }
            {
                let call = &mut desk.orders.lock().calls[self.call];
                if call.over {
                    return;
                }
                call.knocked = false;
            }
            next = tick();
        }
    }
}

impl Employed {
    fn is_news(&self) -> bool {
        self.knocked || self.over
    }
}

impl Desk {
    /// Leaves an errand, and waits until it is done.
    fn lend(&self, work: &mut Work<'_>) {
        // SAFETY: the reference is used by `one` alone, and no more once the errand is finished; until then this
        // function does not return. Between the threads it is handed over under a lock.
        let work = unsafe { std::mem::transmute::<&mut Work<'_>, &'static mut Work<'static>>(work) };
        let mut orders = self.orders.lock();
        orders.taken += 1;
        let number = orders.taken;
        orders.waiting.push_back((number, work));
        if let Some(bell) = &orders.bell {
            bell.ring();
        }
        self.changed.notify_one();
        loop {
            self.done.wait(&mut orders);
            if let Some(at) = orders.finished.iter().position(|n| *n == number) {
                orders.finished.swap_remove(at);
                return;
            }
        }
    }

    /// Does an errand, if there is one.
    fn one(&self) -> bool {
        let Some((number, work)) = self.orders.lock().waiting.pop_front() else { return false };
        // It catches what unwinds in it.
        work();
        self.orders.lock().finished.push(number);
        self.done.notify_all();
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(1)
    }

    #[test]
    fn errands_of_all_threads_of_a_call_are_done_by_its_callers_thread() {
        let caller = thread::current().id();
        let mut text = String::from("a");
        let work = || {
            assert_ne!(thread::current().id(), caller);
            at_caller(|| {
                assert_eq!(thread::current().id(), caller);
                text.push('b');
            });
            thread::scope(|scope| {
                let others: Vec<_> = (0..4)
                    .map(|n| scope.spawn(alike(move || at_caller(move || (n, thread::current().id())))))
                    .collect();
                others.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
            })
        };
        let done = employ(work, soon, &Token::new()).unwrap();
        assert_eq!(done, (0..4).map(|n| (n, caller)).collect::<Vec<_>>());
        assert_eq!(text, "ab");
        assert_eq!(at_caller(|| thread::current().id()), caller);
    }

    #[test]
    fn the_callers_thread_ticks_while_it_waits() {
        let ticks = AtomicU64::new(0);
        let tick = || {
            ticks.fetch_add(1, SeqCst);
            soon()
        };
        let work = || {
            while ticks.load(SeqCst) < 5 {
                thread::yield_now();
            }
        };
        employ(work, tick, &Token::new()).unwrap();
    }

    #[test]
    fn a_knock_makes_it_tick_and_waits_for_nothing() {
        let (ticks, slow) = (AtomicU64::new(0), AtomicBool::new(true));
        let tick = || {
            // The second one takes long, as a callback that sleeps does.
            if ticks.fetch_add(1, SeqCst) == 1 {
                while slow.load(SeqCst) {
                    thread::yield_now();
                }
            }
            Instant::now() + Duration::from_secs(3600)
        };
        let work = || {
            while ticks.load(SeqCst) < 2 {
                knock();
            }
            // These come through although it is slow, and together they are one tick.
            (0..3).for_each(|_| knock());
            slow.store(false, SeqCst);
            while ticks.load(SeqCst) < 3 {
                thread::yield_now();
            }
        };
        employ(work, tick, &Token::new()).unwrap();
        assert_eq!(ticks.load(SeqCst), 3);
    }

    #[test]
    fn who_waits_for_a_bell_does_the_errands_of_all_calls_that_this_thread_is_in() {
        let caller = thread::current().id();
        let (bell, inner) = (Arc::new(Bell::new(None).unwrap()), AtomicBool::new(false));
        // The outer call's thread rings when its errands are done; the inner call has a thread that waits for it.
        let work = || {
            while !inner.load(SeqCst) {
                thread::yield_now();
            }
            (0..3).for_each(|_| assert_eq!(at_caller(|| thread::current().id()), caller));
            inner.store(false, SeqCst);
            bell.ring();
        };
        let mut is_first = true;
        let tick = || {
            if std::mem::take(&mut is_first) {
                inner.store(true, SeqCst);
                while inner.load(SeqCst) {
                    assert!(wait(&bell, None).unwrap());
                }
                inner.store(true, SeqCst);
            }
            soon()
        };
        employ(work, tick, &Token::new()).unwrap();
        let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let work = || {
            while !begun.load(SeqCst) {
                thread::yield_now();
            }
            at_caller(|| assert_eq!(thread::current().id(), caller));
            done.store(true, SeqCst);
        };
        let within = || {
            let wait_for_it = || {
                begun.store(true, SeqCst);
                while !done.load(SeqCst) {
                    thread::yield_now();
                }
            };
            aside(wait_for_it, &Token::new()).unwrap();
            Instant::now() + IDLE
        };
        employ(work, within, &Token::new()).unwrap();
    }

    #[test]
    fn what_unwinds_in_an_errand_unwinds_where_it_came_from() {
        let work = || catch_unwind(|| at_caller(|| resume_unwind(Box::new("loud")))).is_err();
        assert!(employ(work, soon, &Token::new()).unwrap());
        let unwound = catch_unwind(|| employ(|| resume_unwind(Box::new("loud")), soon, &Token::new()));
        assert!(unwound.is_err());
    }
}
