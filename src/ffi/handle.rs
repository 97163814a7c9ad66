//! Handles: how a pointer from C becomes a reference, and where ownership changes hands.

use std::ffi::c_void;
use std::sync::Arc;

use super::guard;
use crate::error::{Error, Kind, Result};

/// The error of a required argument that is NULL.
pub(super) fn null(name: &str) -> Error {
    Error::new(Kind::NullArgument, format!("{name} is NULL"))
}

/// Writes to an out-parameter; NULL means "not wanted".
///
/// # Safety
/// `out` is NULL or may be written to.
pub(super) unsafe fn set<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: the caller's promise. What was there is not ours to drop.
        unsafe { out.write(value) }
    }
}

/// A handle that must be there.
///
/// # Safety
/// `handle` is NULL or lives for `'a`.
pub(super) unsafe fn required<'a, T>(handle: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { handle.as_ref() }.ok_or_else(|| null(name))
}

/// A share in a reference-counted handle: it lives until the call is done, also if it is freed meanwhile.
///
/// # Safety
/// `handle` is NULL or came from [`Arc::into_raw`] and is alive now.
pub(super) unsafe fn shared<T>(handle: *const T, name: &str) -> Result<Arc<T>> {
    if handle.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller's promise; the new count is the one `from_raw` takes over.
    unsafe {
        Arc::increment_strong_count(handle);
        Ok(Arc::from_raw(handle))
    }
}

/// Called once when a kept callback is not needed any more; NULL: nothing to do.
///
/// It runs exactly once for every call it was handed to, whether that call succeeds or not, on the thread
/// that lets go of the callback last, and never while the callback runs.
///
/// @param user_data  what was handed over with the callback
/// @since 0.1.0
pub type apl_drop_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// The `user_data` of a kept callback, and the duty to run its `drop` exactly once.
pub(super) struct Kept {
    pub(super) user_data: *mut c_void,
    drop: apl_drop_fn,
}

impl Kept {
    pub(super) fn new(user_data: *mut c_void, drop: apl_drop_fn) -> Kept {
        Kept { user_data, drop }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(drop) = self.drop.take() {
            // SAFETY: the host handed over the two together, to be called once, on any thread.
            guard::outside(|| unsafe { drop(self.user_data) });
        }
    }
}

// SAFETY: the contract of a kept callback is that it may be called and dropped on any thread.
unsafe impl Send for Kept {}
// SAFETY: as above; the callback may run on several threads at once.
unsafe impl Sync for Kept {}

/// Handles whose getters are for every thread at once.
const _: () = {
    const fn for_every_thread<T: Send + Sync>() {}
    for_every_thread::<super::apl_connector>();
    for_every_thread::<super::apl_response>();
    for_every_thread::<super::apl_error>();
    for_every_thread::<super::apl_cancel>();
};
