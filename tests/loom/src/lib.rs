//! The library's own token and pool, compiled on top of a model checker's primitives: every interleaving of a
//! few threads is tried. `make loom` runs it.
#![cfg(all(test, loom))]

#[path = "../../../src/transport/pool.rs"]
mod pool;
#[path = "../../../src/transport/token.rs"]
mod token;

/// What the token and the pool stand on, in the model.
mod sync {
    pub(super) use loom::sync::Arc;
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
    pub(super) use loom::thread::yield_now;

    pub(super) use once_cell::race::OnceBox;

    /// As parking_lot's: no poisoning.
    #[derive(Debug)]
    pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

/// The system in the model: one socket, which belongs to a call, and is shut down or not.
mod wake {
    use std::cell::RefCell;

    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    /// Socket 7.
    #[derive(Debug)]
    pub(super) struct Socket {
        /// Whose it is.
        pub owner: AtomicUsize,
        /// How often it was shut down while call 1 owned it, and while another did.
        pub hit: AtomicUsize,
        pub hurt: AtomicUsize,
    }

    loom::thread_local! {
        static SOCKET: RefCell<Option<Arc<Socket>>> = RefCell::new(None);
    }

    impl Socket {
        pub fn new() -> Arc<Socket> {
            let (owner, hit, hurt) = (AtomicUsize::new(1), AtomicUsize::new(0), AtomicUsize::new(0));
            Arc::new(Socket { owner, hit, hurt })
        }

        /// The socket that this thread's `wake` meets.
        pub fn show(socket: &Arc<Socket>) {
            SOCKET.with(|s| *s.borrow_mut() = Some(socket.clone()));
        }
    }

    pub(super) fn wake(fd: u32) {
        assert_eq!(fd, 7);
        SOCKET.with(|s| {
            let socket = s.borrow();
            let socket = socket.as_ref().unwrap();
            let counter = if socket.owner.load(SeqCst) == 1 { &socket.hit } else { &socket.hurt };
            counter.fetch_add(1, SeqCst);
        });
    }
}

use std::time::{Duration, Instant};

use loom::sync::Arc;
use loom::sync::atomic::Ordering::SeqCst;
use loom::thread;

use pool::Pool;
use token::{Registration, Token};
use wake::Socket;

fn canceller(token: &Arc<Token>, socket: &Arc<Socket>) -> thread::JoinHandle<()> {
    let (token, socket) = (token.clone(), socket.clone());
    thread::spawn(move || {
        Socket::show(&socket);
        token.cancel();
    })
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(f);
}

#[test]
fn a_cancel_is_never_lost() {
    model(|| {
        let (token, socket) = (Arc::new(Token::new()), Socket::new());
        let cancel = canceller(&token, &socket);
        let registered = Registration::new(&token, 7);
        // The call looks at the flag, then waits on the socket.
        let saw = token.is_cancelled();
        cancel.join().unwrap();
        assert!(saw || socket.hit.load(SeqCst) == 1, "the call would wait for ever");
        drop(registered);
    });
}

/// Call 1 ends and puts its socket into the pool, or closes it and the number is given out again; call 2 gets
/// it. A cancel of call 1 comes at any moment.
fn late_cancel(cancellers: usize) {
    model(move || {
        let (token, socket) = (Arc::new(Token::new()), Socket::new());
        let pool = Arc::new(Pool::new(1, Duration::from_secs(60)));
        let now = Instant::now();
        let cancels: Vec<_> = (0..cancellers).map(|_| canceller(&token, &socket)).collect();
        let registered = Registration::new(&token, 7);
        drop(registered);
        if !token.is_cancelled() {
            assert_eq!(socket.hit.load(SeqCst), 0, "a dead socket went into the pool");
            pool.put("origin", socket.clone(), now, 0, |a, b| a == b);
        }
        let taken = pool.take(now, 0, |k| *k == "origin").unwrap_or_else(|| socket.clone());
        taken.owner.store(2, SeqCst);
        for cancel in cancels {
            cancel.join().unwrap();
        }
        assert_eq!(socket.hurt.load(SeqCst), 0, "a late cancel hurt the next call");
    });
}

#[test]
fn a_late_cancel_never_touches_the_next_call() {
    late_cancel(1);
}

#[test]
fn two_late_cancels_never_touch_the_next_call() {
    late_cancel(2);
}

#[test]
fn a_pooled_connection_is_taken_once() {
    model(|| {
        let pool = Arc::new(Pool::new(2, Duration::from_secs(60)));
        let now = Instant::now();
        pool.put("origin", 1, now, 0, |a, b| a == b);
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.take(now, 0, |_| true))
        };
        let mine = pool.take(now, 0, |_| true);
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some(), "{mine:?} {theirs:?}");
    });
}
