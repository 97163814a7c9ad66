//! Where log messages go: one sink for the process, which the host sets.
//!
//! The sink runs on the caller's thread, with no lock held. Texts are redacted before they come here.

use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use parking_lot::RwLock;

use crate::errand;

/// How important a message is. The numbers are the C ABI's.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What failed.
    Error = 1,
    /// What the caller should know although nothing failed.
    Warn = 2,
    /// What went wrong and is made good: an attempt that is repeated, a stream or a download that goes on.
    Info = 3,
    /// Each request and its outcome.
    Debug = 4,
    /// Everything: requests and answers as they are on the wire, bodies in part.
    Trace = 5,
}

/// Takes a level and a message.
pub type Sink = Box<dyn Fn(i32, &str) + Send + Sync>;

/// The most detailed level that is wanted; 0: none.
static MAX: AtomicI32 = AtomicI32::new(0);
static SINK: RwLock<Option<Arc<Sink>>> = RwLock::new(None);

thread_local! {
    /// Is this thread in the sink? What it logs there is not delivered.
    static IN_SINK: Cell<bool> = const { Cell::new(false) };
}

/// Sets the sink and the most detailed level it wants (0: off, to 5). The sink that was there is dropped
/// when the last thread has left it: here, or there.
pub fn set(max_level: i32, sink: Option<Sink>) {
    let level = if sink.is_some() { max_level.clamp(0, Level::Trace as i32) } else { 0 };
    let old = {
        let mut place = SINK.write();
        MAX.store(level, Ordering::Relaxed);
        std::mem::replace(&mut *place, sink.map(Arc::new))
    };
    // The lock is released: what is dropped is host code.
    drop(old);
}

/// Is a message of this level wanted? Cheap enough for every place.
pub fn enabled(level: Level) -> bool {
    level as i32 <= MAX.load(Ordering::Relaxed)
}

/// Delivers a message, which is formatted only if it is wanted.
pub fn log(level: Level, message: fmt::Arguments<'_>) {
    if enabled(level) {
        deliver(level, message);
    }
}

#[cold]
fn deliver(level: Level, message: fmt::Arguments<'_>) {
    let message = message.to_string();
    errand::at_caller(|| hand_over(level, &message));
}

fn hand_over(level: Level, message: &str) {
    let Some(_leave) = Visit::enter() else { return };
    let Some(sink) = SINK.read().clone() else { return };
    // A level that was lowered meanwhile does not matter; a sink that panics must not fail the call.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| sink(level as i32, message)));
    // So must one whose last user this is, and whose destructor panics.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(sink)));
}

/// This thread is in the sink.
struct Visit;

impl Visit {
    /// None if it is already there, or if the thread is ending.
    fn enter() -> Option<Visit> {
        let inside = IN_SINK.try_with(|c| c.replace(true)).ok()?;
        // Not `then_some`: a visit that is made is also left.
        (!inside).then(|| Visit)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let _ = IN_SINK.try_with(|c| c.set(false));
    }
}

/// Something failed.
pub fn error(message: fmt::Arguments<'_>) {
    log(Level::Error, message);
}

/// The caller should know, although nothing failed.
pub fn warn(message: fmt::Arguments<'_>) {
    log(Level::Warn, message);
}

/// Something happened.
pub fn info(message: fmt::Arguments<'_>) {
    log(Level::Info, message);
}

/// A detail.
pub fn debug(message: fmt::Arguments<'_>) {
    log(Level::Debug, message);
}

/// The smallest detail.
pub fn trace(message: fmt::Arguments<'_>) {
    log(Level::Trace, message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    /// The sink is the process's: one test at a time.
    static ONE: Mutex<()> = Mutex::new(());

    /// Counts its drops.
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    type Seen = Arc<Mutex<Vec<(i32, String)>>>;

    fn collecting() -> (Sink, Seen) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = seen.clone();
        (Box::new(move |level, text| into.lock().push((level, text.to_owned()))), seen)
    }

    #[test]
    fn only_what_is_wanted_is_formatted_and_delivered() {
        struct Loud(AtomicUsize);
        impl fmt::Display for Loud {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fetch_add(1, Ordering::SeqCst);
                f.write_str("loud")
            }
        }
        let _one = ONE.lock();
        let (sink, seen) = collecting();
        set(Level::Warn as i32, Some(sink));
        let loud = Loud(AtomicUsize::new(0));
        info(format_args!("{loud}"));
        assert_eq!(loud.0.load(Ordering::SeqCst), 0);
        warn(format_args!("very {loud}"));
        error(format_args!("plain"));
        assert_eq!(*seen.lock(), [(2, "very loud".to_owned()), (1, "plain".to_owned())]);
        set(0, None);
        assert!(!enabled(Level::Error));
    }

    #[test]
    fn a_level_out_of_range_is_the_nearest() {
        let _one = ONE.lock();
        set(i32::MAX, Some(collecting().0));
        assert!(enabled(Level::Trace));
        set(i32::MIN, Some(collecting().0));
        assert!(!enabled(Level::Error));
        set(0, None);
    }

    #[test]
    fn a_sink_that_logs_is_not_called_again() {
        let _one = ONE.lock();
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        let sink: Sink = Box::new(move |_, _| {
            counter.fetch_add(1, Ordering::SeqCst);
            error(format_args!("from inside"));
        });
        set(5, Some(sink));
        error(format_args!("once"));
        error(format_args!("twice"));
        set(0, None);
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_sink_that_panics_harms_nobody() {
        let _one = ONE.lock();
        set(5, Some(Box::new(|_, _| panic::resume_unwind(Box::new("sink")))));
        error(format_args!("first"));
        let (sink, seen) = collecting();
        set(5, Some(sink));
        error(format_args!("second"));
        set(0, None);
        assert_eq!(seen.lock().len(), 1);
    }

    #[test]
    fn a_sink_may_set_another_and_is_dropped_when_it_is_left() {
        let _one = ONE.lock();
        let drops = Arc::new(AtomicUsize::new(0));
        let (mine, at_return) = (Dropped(drops.clone()), Arc::new(AtomicUsize::new(9)));
        let (counter, at) = (drops.clone(), at_return.clone());
        let sink: Sink = Box::new(move |_, _| {
            let _mine = &mine;
            set(0, None);
            at.store(counter.load(Ordering::SeqCst), Ordering::SeqCst);
        });
        set(5, Some(sink));
        error(format_args!("replaces itself"));
        assert_eq!(at_return.load(Ordering::SeqCst), 0, "dropped while it ran");
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_sink_in_use_elsewhere_is_dropped_there() {
        let _one = ONE.lock();
        let drops = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Barrier::new(2));
        let (mine, inside) = (Dropped(drops.clone()), gate.clone());
        let sink: Sink = Box::new(move |_, _| {
            let _mine = &mine;
            inside.wait();
            inside.wait();
        });
        set(5, Some(sink));
        let thread = std::thread::spawn(|| error(format_args!("long")));
        gate.wait();
        set(0, None);
        assert_eq!(drops.load(Ordering::SeqCst), 0);
        gate.wait();
        assert!(thread.join().is_ok());
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }
}
