//! `apl_log_set`: where log messages go, for C.

use std::ffi::{c_char, c_void};

use super::guard;
use super::handle::{Kept, apl_drop_fn};
use super::text::c_string;
use crate::log;

/// Receives a log message.
///
/// It runs on the thread whose call logs, on several threads at once where several calls run, and never
/// while a lock is held. What it does inside apl is not logged to it again. It must not throw or unwind.
///
/// @param level  one of apl_log_level
/// @param message  valid until the callback returns; secrets are redacted
/// @param user_data  what was handed over to apl_log_set
/// @since 0.1.0
pub type apl_log_fn =
    Option<unsafe extern "C" fn(level: i32, message: *const c_char, user_data: *mut c_void)>;

/// Sets where log messages of the whole process go; nothing is logged before.
///
/// Thread-safe. The callback that was set before is dropped as soon as no thread is inside it any more.
///
/// @param max_level  one of apl_log_level; a number out of range counts as the nearest
/// @param log  NULL: log nothing
/// @param user_data  handed to log and drop
/// @param drop  runs exactly once, when log is replaced; at once if log is NULL; NULL: nothing to do
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_log_set(
    max_level: i32,
    log: apl_log_fn,
    user_data: *mut c_void,
    drop: apl_drop_fn,
) {
    let kept = Kept::new(user_data, drop);
    guard::or((), move || {
        let sink = log.map(|callback| {
            Box::new(move |level: i32, message: &str| {
                let (kept, message) = (&kept, c_string(message));
                // SAFETY: the host handed over the callback and its `user_data` together, for any thread.
                guard::outside(|| unsafe { callback(level, message.as_ptr(), kept.user_data) });
            }) as log::Sink
        });
        log::set(max_level, sink);
    });
}
