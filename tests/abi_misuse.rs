//! What a caller of the C functions can do wrong, and what must happen then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cmp_null, clippy::unit_cmp)]

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use apl::ffi::*;

/// Text of a borrowed C string.
fn text(borrowed: *const c_char) -> String {
    assert!(!borrowed.is_null());
    // SAFETY: every string the library returns is NUL-terminated.
    unsafe { CStr::from_ptr(borrowed) }.to_str().unwrap().to_owned()
}

/// A handle that is never touched: out-parameters start with it, to see that they are set.
fn garbage<T>() -> *mut T {
    std::ptr::without_provenance_mut(8)
}

/// The message of an error of that status; frees it.
fn message(status: apl_status, expected: apl_status, error: *mut apl_error) -> String {
    assert_eq!(status, expected);
    assert!(!error.is_null(), "{expected:?} sets an error");
    // SAFETY: an error that the call before returned.
    unsafe {
        assert_eq!(apl_error_status(error), expected);
        let message = text(apl_error_message(error));
        assert!(text(apl_error_json(error)).contains(&format!("\"status\":{}", expected as i32)));
        apl_error_free(error);
        message
    }
}

/// Runs a call with out-parameters full of garbage, and returns its error's message.
fn refused<T>(expected: apl_status, call: impl Fn(*mut *mut T, *mut *mut apl_error) -> apl_status) -> String {
    let (mut out, mut error) = (garbage::<T>(), garbage::<apl_error>());
    let status = call(&mut out, &mut error);
    assert!(out.is_null(), "*out is NULL after an error");
    // Nobody has to want the error.
    assert_eq!(call(&mut out, null_mut()), expected);
    message(status, expected, error)
}

/// As [`refused`], for calls without `out`.
fn refused_call(expected: apl_status, call: impl Fn(*mut *mut apl_error) -> apl_status) -> String {
    refused::<c_void>(expected, |out, error| {
        // SAFETY: `out` is the local of `refused`.
        unsafe { *out = null_mut() };
        call(error)
    })
}

const NULL: apl_status = apl_status::NullArgument;
const INVALID: apl_status = apl_status::InvalidArgument;

#[test]
fn null_to_every_function() {
    let mut called = BTreeSet::new();
    // The functions that can fail name the parameter.
    macro_rules! fails {
        ($name:ident, $parameter:literal, $($argument:expr),*) => {{
            called.insert(stringify!($name).to_owned());
            // SAFETY: NULL is allowed everywhere.
            let said = refused(NULL, |out, error| unsafe { $name($($argument,)* out, error) });
            assert!(said.contains($parameter), "{}: {said}", stringify!($name));
        }};
    }
    macro_rules! fails_call {
        ($name:ident, $parameter:literal, $($argument:expr),*) => {{
            called.insert(stringify!($name).to_owned());
            // SAFETY: NULL is allowed everywhere.
            let said = refused_call(NULL, |error| unsafe { $name($($argument,)* error) });
            assert!(said.contains($parameter), "{}: {said}", stringify!($name));
        }};
    }
    macro_rules! answers {
        ($name:ident($($argument:expr),*), $neutral:expr) => {{
            called.insert(stringify!($name).to_owned());
            // SAFETY: NULL is allowed everywhere.
            #[allow(unused_unsafe)]
            let answer = unsafe { $name($($argument),*) };
            assert!(answer == $neutral, stringify!($name));
        }};
    }
    fails!(apl_connector_new, "config_json", null());
    fails!(apl_connector_open, "config_path", null());
    fails_call!(apl_connector_on_token, "connector", null_mut(), None, null_mut(), None);
    fails_call!(apl_connector_on_request, "connector", null_mut(), None, null_mut(), None);
    fails!(apl_auth_begin, "connector", null(), null(), null());
    fails!(apl_auth_finish, "connector", null(), null(), null());
    fails!(apl_check_health, "connector", null(), null());
    fails!(apl_fetch, "connector", null(), null(), null(), null(), null());
    fails!(apl_send, "connector", null(), null(), null(), null(), null());
    fails!(apl_send_bytes, "connector", null(), null(), null(), 0, null(), null());
    fails!(apl_download, "connector", null(), null(), null(), null(), null(), None, null_mut(), null());
    fails!(apl_consume_sse, "connector", null(), null(), null(), null(), None, null_mut(), null());
    fails!(apl_explain, "connector", null(), null(), null(), null());
    fails!(apl_stream_open, "connector", null(), null(), null(), null(), null());
    fails!(apl_sse_open, "connector", null(), null(), null(), null(), null());
    fails!(apl_pages_open, "connector", null(), null(), null(), null(), null());
    fails!(apl_records_open, "connector", null(), null(), null(), null(), null());
    fails_call!(apl_stream_next, "stream", null_mut(), null_mut(), null_mut());
    fails_call!(apl_request_set_header, "request", null_mut(), null(), null());
    fails_call!(apl_request_set_query, "request", null_mut(), null(), null());

    answers!(apl_request_method(null()), null());
    answers!(apl_request_url(null()), null());
    answers!(apl_request_header(null(), null()), null());
    answers!(apl_request_body(null(), null_mut()), null());
    answers!(apl_response_body(null(), null_mut()), null());
    answers!(apl_response_http_status(null()), 0);
    answers!(apl_response_header(null(), null()), null());
    answers!(apl_response_meta(null()), null());
    answers!(apl_stream_response(null_mut()), null());
    answers!(apl_stream_event(null_mut()), null());
    answers!(apl_stream_progress(null_mut()), null());
    answers!(apl_stream_checkpoint(null_mut()), null());
    answers!(apl_event_kind(null()), 0);
    answers!(apl_event_type(null()), null());
    answers!(apl_event_id(null()), null());
    answers!(apl_event_data(null(), null_mut()), null());
    answers!(apl_event_json(null(), null_mut()), null());
    answers!(apl_event_retry_ms(null()), -1);
    answers!(apl_progress_endpoint(null()), null());
    answers!(apl_progress_bytes_processed(null()), 0);
    answers!(apl_progress_bytes_streamed(null()), 0);
    answers!(apl_progress_total_bytes(null()), -1);
    answers!(apl_progress_percent(null()), -1.0);
    answers!(apl_progress_chunk_index(null()), 0);
    answers!(apl_progress_resumed(null()), 0);
    answers!(apl_progress_done(null()), 0);
    answers!(apl_progress_bytes_per_second(null()), 0.0);
    answers!(apl_progress_eta_ms(null()), -1);
    answers!(apl_cancel_is_triggered(null()), 0);
    answers!(apl_error_status(null()), apl_status::Ok);
    answers!(apl_error_message(null()), null());
    answers!(apl_error_category(null()), null());
    answers!(apl_error_http_status(null()), 0);
    answers!(apl_error_is_retryable(null()), 0);
    answers!(apl_error_retry_after_ms(null()), -1);
    answers!(apl_error_response(null()), null());
    answers!(apl_error_partial(null()), null());
    answers!(apl_error_json(null()), null());
    answers!(apl_connector_free(null_mut()), ());
    answers!(apl_response_free(null_mut()), ());
    answers!(apl_stream_close(null()), ());
    answers!(apl_stream_free(null_mut()), ());
    answers!(apl_cancel_trigger(null()), ());
    answers!(apl_cancel_free(null_mut()), ());
    answers!(apl_error_free(null_mut()), ());
    {
        let _one = LOG.lock().unwrap();
        answers!(apl_log_set(0, None, null_mut(), None), ());
    }

    let take_none =
        ["apl_abi_version", "apl_version", "apl_version_number", "apl_status_name", "apl_cancel_new"];
    called.extend(take_none.map(str::to_owned));
    let all: BTreeSet<String> = include_str!("abi/symbols.txt").lines().map(str::to_owned).collect();
    assert_eq!(called, all, "every exported function is called with NULL here");
}

#[test]
fn a_getter_of_null_empties_the_length() {
    // SAFETY: NULL handles, and a local for the length.
    unsafe {
        for get in [
            |len: *mut usize| apl_response_body(null(), len),
            |len| apl_event_data(null(), len),
            |len| apl_request_body(null(), len),
            |len| apl_event_json(null(), len).cast(),
        ] {
            let mut len = 7;
            assert!(get(&mut len).is_null());
            assert_eq!(len, 0);
        }
        let (mut data, mut len) = (garbage::<u8>().cast_const(), 7);
        assert_eq!(apl_stream_next(null_mut(), &mut data, &mut len, null_mut()), NULL);
        assert!(data.is_null());
        assert_eq!(len, 0);
    }
}

#[test]
fn no_place_for_the_answer_is_an_error_too() {
    let said = refused_call(NULL, |error| {
        // SAFETY: NULL is allowed everywhere.
        unsafe { apl_connector_new(c"{}".as_ptr(), null_mut(), error) }
    });
    assert!(said.contains("out"), "{said}");
}

#[test]
fn text_that_is_not_utf_8_names_the_parameter() {
    let bad = c"caf\xe9".as_ptr();
    // SAFETY: C strings, and locals for what is returned.
    let said = refused(INVALID, |out, error| unsafe { apl_connector_new(bad, out, error) });
    assert!(said.contains("config_json") && said.contains('3'), "{said}");
    // SAFETY: as above.
    let said = refused(INVALID, |out, error| unsafe { apl_connector_open(bad, out, error) });
    assert!(said.contains("config_path"), "{said}");
}

#[test]
fn errors_are_complete() {
    let mut error = null_mut();
    let mut out = garbage();
    // SAFETY: NULL arguments, and locals for what is returned.
    unsafe {
        assert_eq!(apl_fetch(null(), null(), null(), null(), null(), &mut out, &mut error), NULL);
        assert_eq!(text(apl_error_category(error)), "VALIDATION");
        assert_eq!(apl_error_http_status(error), 0);
        assert_eq!(apl_error_is_retryable(error), 0);
        assert_eq!(apl_error_retry_after_ms(error), -1);
        assert!(apl_error_response(error).is_null());
        assert!(apl_error_partial(error).is_null());
        // The same pointer each time, from many threads at once.
        let shared = error.expose_provenance();
        let json: BTreeSet<usize> = std::thread::scope(|s| {
            let get = move || {
                let error = std::ptr::with_exposed_provenance::<apl_error>(shared);
                apl_error_json(error).expose_provenance()
            };
            let threads: Vec<_> = (0..8).map(|_| s.spawn(get)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(json.len(), 1);
        apl_error_free(error);
    }
}

#[test]
fn versions_and_names_need_nothing() {
    assert_eq!(apl_abi_version(), 1);
    assert_eq!(text(apl_version()), env!("CARGO_PKG_VERSION"));
    let parts: Vec<u32> = env!("CARGO_PKG_VERSION").split('.').map(|p| p.parse().unwrap()).collect();
    assert_eq!(apl_version_number(), parts[0] << 16 | parts[1] << 8 | parts[2]);
    assert_eq!(text(apl_status_name(0)), "OK");
    assert_eq!(text(apl_status_name(apl_status::InvalidConfig as i32)), "INVALID_CONFIG");
    assert_eq!(text(apl_status_name(apl_status::Internal as i32)), "INTERNAL");
    for unknown in [-1, 4, 99, 106, i32::MAX, i32::MIN] {
        assert_eq!(text(apl_status_name(unknown)), "UNKNOWN");
    }
}

#[test]
fn a_handle_made_in_one_thread_is_freed_in_another() {
    let cancel = apl_cancel_new().expose_provenance();
    let there = move || {
        let cancel = std::ptr::with_exposed_provenance_mut::<apl_cancel>(cancel);
        // SAFETY: a live token; nobody else uses it any more.
        unsafe {
            assert_eq!(apl_cancel_is_triggered(cancel), 0);
            apl_cancel_trigger(cancel);
            apl_cancel_trigger(cancel);
            assert_eq!(apl_cancel_is_triggered(cancel), 1);
            apl_cancel_free(cancel);
        }
    };
    std::thread::spawn(there).join().unwrap();
}

/// The log is the process's: one test at a time.
static LOG: Mutex<()> = Mutex::new(());

/// What a log callback is told of, and what it counts.
#[derive(Default)]
struct Host {
    calls: AtomicUsize,
    drops: AtomicUsize,
    level: AtomicI32,
}

impl Host {
    fn user_data(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    fn counts(&self) -> (usize, usize) {
        (self.calls.load(Ordering::SeqCst), self.drops.load(Ordering::SeqCst))
    }
}

/// Calls back in: a call that fails and logs, and the log itself.
unsafe extern "C" fn on_log(level: i32, message: *const c_char, user_data: *mut c_void) {
    // SAFETY: the `Host` of the test, which outlives the callback.
    let host = unsafe { &*user_data.cast::<Host>() };
    // Other tests of this process may log at the same time.
    if !text(message).starts_with("probe") {
        return;
    }
    host.calls.fetch_add(1, Ordering::SeqCst);
    host.level.store(level, Ordering::SeqCst);
    apl::log::error(format_args!("probe: from the callback"));
    // SAFETY: NULL is allowed everywhere.
    unsafe { apl_connector_new(null(), null_mut(), null_mut()) };
}

unsafe extern "C" fn on_drop(user_data: *mut c_void) {
    // SAFETY: as for `on_log`.
    unsafe { &*user_data.cast::<Host>() }.drops.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn a_log_callback_is_called_once_a_message_and_dropped_once() {
    let _one = LOG.lock().unwrap();
    let (first, second, none) = (Host::default(), Host::default(), Host::default());
    // SAFETY: the hosts outlive their callbacks.
    unsafe {
        apl_log_set(apl_log_level::Warn as i32, Some(on_log), first.user_data(), Some(on_drop));
        apl::log::warn(format_args!("probe\0 {}", 1));
        apl::log::info(format_args!("probe: not wanted"));
        assert_eq!(first.counts(), (1, 0), "the callback's own messages are not delivered");
        assert_eq!(first.level.load(Ordering::SeqCst), apl_log_level::Warn as i32);

        apl_log_set(i32::MAX, Some(on_log), second.user_data(), Some(on_drop));
        assert_eq!(first.counts(), (1, 1));
        apl::log::trace(format_args!("probe: everything"));
        assert_eq!(second.counts(), (1, 0));

        // Without a callback there is nothing to wait for.
        apl_log_set(5, None, none.user_data(), Some(on_drop));
        assert_eq!(none.counts(), (0, 1));
        assert_eq!(second.counts(), (1, 1));
        apl::log::error(format_args!("probe: nobody"));
        apl_log_set(-5, None, null_mut(), None);
        assert_eq!((first.counts(), second.counts(), none.counts()), ((1, 1), (1, 1), (0, 1)));
    }
}

#[test]
fn a_kept_callback_is_dropped_once_when_the_call_fails() {
    unsafe extern "C" fn on_token(_: *const c_char, _: *mut c_void) -> i32 {
        0
    }
    unsafe extern "C" fn on_request(_: *mut apl_request, _: *mut c_void) -> i32 {
        0
    }
    let host = Host::default();
    let data = host.user_data();
    // SAFETY: NULL is allowed everywhere, and the host outlives the callbacks.
    unsafe {
        assert_eq!(apl_connector_on_token(null_mut(), Some(on_token), data, Some(on_drop), null_mut()), NULL);
        assert_eq!(host.counts(), (0, 1));
        let drop = Some(on_drop as unsafe extern "C" fn(*mut c_void));
        assert_eq!(apl_connector_on_request(null_mut(), Some(on_request), data, drop, null_mut()), NULL);
        assert_eq!(host.counts(), (0, 2));
    }
}

/// Panics on demand are in a build with the feature `test-hooks` only.
#[cfg(feature = "test-hooks")]
mod panics {
    use super::*;
    use apl::ffi::guard::panicking_call;

    #[test]
    fn a_panic_is_an_error() {
        let said = refused(apl_status::Panic, |out, error| {
            // SAFETY: locals for what is returned.
            unsafe { panicking_call("on demand".to_owned(), out, error) }
        });
        assert!(said.contains("on demand"), "{said}");
    }

    /// Not a test by itself: the child of the next one.
    #[test]
    #[ignore = "run by a_panic_inside_prints_nothing"]
    fn child() {
        // SAFETY: nothing is wanted back.
        unsafe { panicking_call("INSIDE".to_owned(), null_mut(), null_mut()) };
        let mut out = null_mut();
        // SAFETY: a local for the answer.
        assert_eq!(unsafe { panicking_call("INSIDE".to_owned(), &mut out, null_mut()) }, apl_status::Panic);
        assert!(std::panic::catch_unwind(|| panic!("OUTSIDE")).is_err());
    }

    #[test]
    fn a_panic_inside_prints_nothing_and_the_host_s_own_is_untouched() {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "panics::child", "--ignored", "--nocapture"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{said}");
        assert!(said.contains("OUTSIDE"), "{said}");
        assert!(!said.contains("INSIDE"), "{said}");
    }
}
