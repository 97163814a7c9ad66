//! `apl_progress`: how far a stream or a download has come.

use std::ffi::{CString, c_char, c_void};
use std::ptr;

use super::guard;
use crate::transfer::Progress;

/// How far a transfer has come.
///
/// It is borrowed: in a callback until that returns, from a stream until the next apl_stream_next. Its
/// getters belong to the thread that received it.
///
/// @since 0.1.0
pub struct apl_progress {
    endpoint: CString,
    progress: Progress,
}

impl apl_progress {
    pub(super) fn new(progress: &Progress) -> apl_progress {
        // A name with NUL in it cannot be asked for through C.
        let endpoint = CString::new(progress.endpoint.as_str()).unwrap_or_default();
        apl_progress { endpoint, progress: progress.clone() }
    }
}

/// Receives the progress of a call.
///
/// It runs on the thread inside the call, at most 10 times a second, at least once a second also while
/// nothing arrives, and always first and last. It must not throw or unwind.
///
/// @param progress  valid until the callback returns
/// @param user_data  what was handed to the call
/// @return 0: go on; anything else stops the call with APL_STATUS_STOPPED
/// @since 0.1.0
pub type apl_progress_fn =
    Option<unsafe extern "C" fn(progress: *const apl_progress, user_data: *mut c_void) -> i32>;

/// What a getter says of a progress, or the neutral value of NULL.
///
/// # Safety
/// `progress` is NULL or alive.
unsafe fn get<T>(progress: *const apl_progress, neutral: T, of: impl FnOnce(&Progress) -> T) -> T {
    // SAFETY: the caller's promise.
    match unsafe { progress.as_ref() } {
        Some(handle) => guard::or(neutral, || of(&handle.progress)),
        None => neutral,
    }
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The endpoint that is transferred.
///
/// @param progress  from a callback or a stream, or NULL
/// @return borrowed like the progress; NULL if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_endpoint(progress: *const apl_progress) -> *const c_char {
    // SAFETY: NULL or alive, by contract.
    unsafe { progress.as_ref() }.map_or(ptr::null(), |handle| handle.endpoint.as_ptr())
}

/// The bytes that are there, those of an earlier part included.
///
/// @param progress  from a callback or a stream, or NULL
/// @return 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_bytes_processed(progress: *const apl_progress) -> i64 {
    // SAFETY: NULL or alive, by contract.
    unsafe { get(progress, 0, |p| bytes(p.processed)) }
}

/// The bytes that came in this call.
///
/// @param progress  from a callback or a stream, or NULL
/// @return 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_bytes_streamed(progress: *const apl_progress) -> i64 {
    // SAFETY: NULL or alive, by contract.
    unsafe { get(progress, 0, |p| bytes(p.streamed)) }
}

/// The bytes there will be in all.
///
/// @param progress  from a callback or a stream, or NULL
/// @return -1 if unknown, or progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_total_bytes(progress: *const apl_progress) -> i64 {
    // SAFETY: NULL or alive, by contract.
    unsafe { get(progress, -1, |p| p.total.map_or(-1, bytes)) }
}

/// How much is there, from 0 to 100.
///
/// @param progress  from a callback or a stream, or NULL
/// @return -1 if unknown, or progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_percent(progress: *const apl_progress) -> f64 {
    // SAFETY: NULL or alive, by contract.
    unsafe { get(progress, -1.0, |p| p.percent().unwrap_or(-1.0)) }
}

/// How many chunks have come; the number of the last one, from 1.
///
/// @param progress  from a callback or a stream, or NULL
/// @return 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_chunk_index(progress: *const apl_progress) -> i64 {
    // SAFETY: NULL or alive, by contract.
    unsafe { get(progress, 0, |p| bytes(p.chunks)) }
}

/// Tells whether the transfer goes on from an earlier part.
///
/// @param progress  from a callback or a stream, or NULL
/// @return 1 or 0; 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_resumed(progress: *const apl_progress) -> i32 {
    // SAFETY: NULL or alive, by contract.
    unsafe { get(progress, 0, |p| i32::from(p.resumed)) }
}

/// Tells whether everything is there.
///
/// @param progress  from a callback or a stream, or NULL
/// @return 1 or 0; 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_done(progress: *const apl_progress) -> i32 {
    // SAFETY: NULL or alive, by contract.
    unsafe { get(progress, 0, |p| i32::from(p.done)) }
}

/// The speed, in bytes per second.
///
/// @param progress  from a callback or a stream, or NULL
/// @return 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_bytes_per_second(progress: *const apl_progress) -> f64 {
    // SAFETY: NULL or alive, by contract.
    unsafe { get(progress, 0.0, Progress::speed) }
}

/// How long it will still take, in milliseconds.
///
/// @param progress  from a callback or a stream, or NULL
/// @return -1 if unknown, or progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_eta_ms(progress: *const apl_progress) -> i64 {
    // SAFETY: NULL or alive, by contract.
    unsafe { get(progress, -1, |p| p.eta().map_or(-1, |t| bytes(t.as_millis() as u64))) }
}
