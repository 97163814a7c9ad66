//! Several requests at once, within one call.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use crate::errand;
use crate::transport::Token;

/// Does all pieces of work, each once, begun in their order, on so many threads; on fewer where one cannot be started.
/// With one it is the caller's own.
pub(super) fn work(count: usize, threads: usize, one: &(dyn Fn(usize) + Sync)) {
    let next = AtomicUsize::new(0);
    let lane = || {
        let _end = End { next: &next, count };
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= count {
                return;
            }
            one(number);
        }
    };
    let threads = threads.min(count);
    if threads <= 1 {
        return lane();
    }
    let lanes = || {
        thread::scope(|scope| {
            for _ in 1..threads {
                let thread = thread::Builder::new().name("apl-send".into());
                if thread.spawn_scoped(scope, errand::alike(lane)).is_err() {
                    break;
                }
            }
            lane();
        });
    };
    // What belongs to the caller's thread is done there.
    if errand::aside(lanes, &Token::new()).is_err() {
        lane();
    }
}

/// When one unwinds, the others begin nothing more.
struct End<'a> {
    next: &'a AtomicUsize,
    count: usize,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.next.store(self.count, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::Barrier;

    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn each_piece_is_done_once_by_as_many_as_are_wanted() {
        for (count, threads) in [(0, 4), (1, 4), (7, 1), (50, 4), (3, 100)] {
            let done = Mutex::new(vec![0; count]);
            work(count, threads, &|n| done.lock()[n] += 1);
            assert_eq!(done.into_inner(), vec![1; count]);
        }
        // They meet only where all of them are at work at once.
        let (barrier, caller) = (Barrier::new(3), thread::current().id());
        work(3, 3, &|_| {
            barrier.wait();
            assert_ne!(thread::current().id(), caller);
            assert_eq!(errand::at_caller(|| thread::current().id()), caller);
        });
        work(1, 3, &|_| assert_eq!(thread::current().id(), caller));
    }

    #[test]
    fn one_that_unwinds_is_the_end_of_all() {
        let begun = Mutex::new(0);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            work(1_000_000, 2, &|n| {
                *begun.lock() += 1;
                if n == 5 {
                    resume_unwind(Box::new("loud"));
                }
            });
        }));
        assert!(unwound.is_err());
        assert!(*begun.lock() < 1_000_000);
    }
}
