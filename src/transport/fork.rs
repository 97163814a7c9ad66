//! Counts the forks of this process, so that a child never uses its parent's connections.
#![allow(unsafe_code)]

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static FORKS: AtomicU32 = AtomicU32::new(0);
static WATCH: Once = Once::new();

extern "C" fn forked() {
    FORKS.fetch_add(1, Relaxed);
}

/// A number that differs between a process and its forked children. No system call.
pub(super) fn generation() -> u32 {
    WATCH.call_once(|| {
        // SAFETY: the handler only adds to an atomic, which is async-signal-safe; it stays loaded, because the
        // library is linked with -z nodelete.
        unsafe {
            libc::pthread_atfork(None, None, Some(forked));
        }
    });
    FORKS.load(Relaxed)
}
