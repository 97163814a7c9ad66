//! `apl_cancel`: stops calls from another thread, or from a signal handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::transport::Token;

/// A token that cancels every call it is handed to.
///
/// One token may serve many calls, one after the other or at once. What is cancelled stays cancelled.
///
/// @since 0.1.0
pub struct apl_cancel {
    token: Arc<Token>,
    /// How many threads are using `token` through this handle right now. Freeing waits for them, since a
    /// reference count would have the last one free memory, which a signal handler must not.
    visitors: AtomicUsize,
}

/// A visit to a cancel handle.
struct Visit<'a>(&'a apl_cancel);

impl<'a> Visit<'a> {
    fn new(cancel: &'a apl_cancel) -> Visit<'a> {
        cancel.visitors.fetch_add(1, Ordering::SeqCst);
        Visit(cancel)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.visitors.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The token of a call: it lives as long as the call needs it, also if the handle is freed meanwhile.
///
/// # Safety
/// `cancel` is NULL or a live handle.
pub(super) unsafe fn token(cancel: *const apl_cancel) -> Option<Arc<Token>> {
    // SAFETY: the caller's promise.
    let visit = Visit::new(unsafe { cancel.as_ref() }?);
    Some(visit.0.token.clone())
}

/// Makes a cancel token.
///
/// Thread-safe.
///
/// @return a handle to free with apl_cancel_free, never NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn apl_cancel_new() -> *mut apl_cancel {
    let token = Arc::new(Token::new());
    Box::into_raw(Box::new(apl_cancel { token, visitors: AtomicUsize::new(0) }))
}

/// Cancels every call that uses this token, now and later.
///
/// It does not wait for them; they return APL_STATUS_CANCELLED. Thread-safe, and async-signal-safe on POSIX.
///
/// @param cancel  NULL does nothing
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_cancel_trigger(cancel: *const apl_cancel) {
    // No guard: it is for code that may panic or allocate, and this must do neither.
    // SAFETY: NULL or a live handle, by contract.
    if let Some(cancel) = unsafe { cancel.as_ref() } {
        Visit::new(cancel).0.token.cancel();
    }
}

/// Tells whether a token was triggered.
///
/// Thread-safe, and async-signal-safe on POSIX.
///
/// @param cancel  a token, or NULL
/// @return 1 or 0; 0 if cancel is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_cancel_is_triggered(cancel: *const apl_cancel) -> i32 {
    // SAFETY: NULL or a live handle, by contract.
    unsafe { cancel.as_ref() }.map_or(0, |c| Visit::new(c).0.token.is_cancelled().into())
}

/// Frees a cancel token.
///
/// Calls that are already inside keep what they need of it, and finish.
///
/// @param cancel  NULL does nothing
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_cancel_free(cancel: *mut apl_cancel) {
    if cancel.is_null() {
        return;
    }
    // SAFETY: a handle made by `apl_cancel_new`, freed once, by contract. The reference ends before the box.
    while unsafe { (*cancel).visitors.load(Ordering::SeqCst) } != 0 {
        std::thread::yield_now();
    }
    // SAFETY: as above, and nobody is inside.
    drop(unsafe { Box::from_raw(cancel) });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn freeing_waits_for_those_inside() {
        let cancel = apl_cancel_new();
        // SAFETY: a live handle.
        let visit = Visit::new(unsafe { &*cancel });
        let address = cancel.expose_provenance();
        let freeing = std::thread::spawn(move || {
            // SAFETY: the handle above, freed once.
            unsafe { apl_cancel_free(std::ptr::with_exposed_provenance_mut(address)) }
        });
        std::thread::sleep(Duration::from_millis(30));
        assert!(!freeing.is_finished());
        drop(visit);
        assert!(freeing.join().is_ok());
    }

    #[test]
    fn a_call_keeps_its_token_when_the_handle_is_freed() {
        let cancel = apl_cancel_new();
        // SAFETY: a live handle, freed once.
        let kept = unsafe {
            let kept = token(cancel);
            apl_cancel_trigger(cancel);
            apl_cancel_free(cancel);
            kept
        };
        assert!(kept.is_some_and(|t| t.is_cancelled()));
    }
}
