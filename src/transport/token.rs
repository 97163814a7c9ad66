//! The cancel token: a flag, and the sockets to wake.

use std::sync::atomic::{AtomicBool, Ordering};

/// A sticky cancel flag that any thread, or a signal handler, may set.
#[derive(Debug, Default)]
pub struct Token {
    flag: AtomicBool,
}

impl Token {
    /// A token that is not triggered.
    pub fn new() -> Token {
        Token::default()
    }

    /// Cancels every call that uses this token, now and later. Async-signal-safe.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::SeqCst);
    }

    /// Was it cancelled?
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }
}
