//! Around every entry point: the out-parameters, the panic that must not cross, the silence.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use super::error::apl_error;
use super::status::apl_status;
use super::{handle, stay};
use crate::error::{Error, Kind, Result};

thread_local! {
    /// Is this thread inside one of our entry points, and not in host code called from there?
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Takes [`INSIDE`] back for a scope, however that ends.
struct Outside {
    before: bool,
}

impl Outside {
    fn enter() -> Outside {
        Outside { before: INSIDE.replace(false) }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}

/// Wraps the process's panic hook once: silent for our own panics, unchanged for everybody else's. The
/// threads this library starts carry a name that begins with `apl-`, and count as ours.
fn silence() {
    static ONCE: Once = Once::new();
    // The hook cannot be exchanged while this thread panics: the next call does it.
    if ONCE.is_completed() || std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        stay::loaded();
        let host = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let ours = INSIDE.try_with(Cell::get).unwrap_or(false)
                || std::thread::current().name().is_some_and(|n| n.starts_with("apl-"));
            if !ours {
                host(info);
            }
        }));
    });
}

/// The error of a caught panic.
fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let message = match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(payload) => {
                // Its destructor could panic again.
                std::mem::forget(payload);
                "no message".to_owned()
            }
        },
    };
    Error::new(Kind::Panic, format!("a panic was caught: {message}; please report it"))
}

/// Runs our code; a panic becomes an error.
pub(super) fn run<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    silence();
    // Looked up once: in a shared library that is a call. It has no destructor, so it is there as long as its thread.
    INSIDE.with(|inside| {
        let before = inside.replace(true);
        let outcome = caught(body);
        inside.set(before);
        outcome.unwrap_or_else(Err)
    })
}

/// The same where [`run`] is under way already, which then goes on.
pub(super) fn caught<T>(body: impl FnOnce() -> T) -> Result<T> {
    panic::catch_unwind(AssertUnwindSafe(body)).map_err(panicked)
}

/// Runs our code where no error can be told: a panic becomes the neutral value.
pub(super) fn or<T>(neutral: T, body: impl FnOnce() -> T) -> T {
    run(|| Ok(body())).unwrap_or(neutral)
}

/// Runs host code from inside an entry point. What it does is its own business, its panics too.
pub(super) fn outside<T>(host: impl FnOnce() -> T) -> T {
    let _outside = Outside::enter();
    host()
}

/// A call that answers with a status only.
///
/// # Safety
/// `error` is NULL or may be written to.
pub(super) unsafe fn call(
    error: *mut *mut apl_error,
    body: impl FnOnce() -> Result<apl_status>,
) -> apl_status {
    // SAFETY: the caller's promise.
    unsafe { handle::set(error, std::ptr::null_mut()) };
    let failure = match run(body) {
        Ok(status) => return status,
        Err(failure) => failure,
    };
    let status = failure.kind().into();
    if !error.is_null() {
        // SAFETY: the caller's promise.
        unsafe { handle::set(error, apl_error::into_raw(failure)) };
    }
    status
}

/// A call that answers with a handle.
///
/// # Safety
/// `out` and `error` are NULL or may be written to.
pub(super) unsafe fn produce<T>(
    out: *mut *mut T,
    error: *mut *mut apl_error,
    body: impl FnOnce() -> Result<*mut T>,
) -> apl_status {
    // SAFETY: the caller's promise.
    unsafe { produce_with(out, error, || Ok((body()?, apl_status::Ok))) }
}

/// The same for a call with a status of its own, below 100.
///
/// # Safety
/// As for [`produce`].
pub(super) unsafe fn produce_with<T>(
    out: *mut *mut T,
    error: *mut *mut apl_error,
    body: impl FnOnce() -> Result<(*mut T, apl_status)>,
) -> apl_status {
    // SAFETY: the caller's promise.
    unsafe {
        handle::set(out, std::ptr::null_mut());
        call(error, || {
            if out.is_null() {
                return Err(handle::null("out"));
            }
            let (made, status) = body()?;
            handle::set(out, made);
            Ok(status)
        })
    }
}

/// An entry point that panics with `message`. For tests; not exported to C.
///
/// # Safety
/// As for every entry point: `out` and `error` are NULL or may be written to.
#[cfg(any(test, feature = "test-hooks"))]
pub unsafe fn panicking_call(
    message: String,
    out: *mut *mut super::apl_response,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: the caller's promise.
    unsafe { produce(out, error, || panic::panic_any(message)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let of = |payload: Box<dyn Any + Send>| run(|| -> Result<()> { panic::resume_unwind(payload) });
        for payload in [Box::new("broken") as Box<dyn Any + Send>, Box::new("broken".to_owned())] {
            let error = of(payload).unwrap_err();
            assert_eq!(error.kind(), Kind::Panic);
            assert!(error.message.contains("broken"), "{error}");
        }
    }

    #[test]
    fn a_payload_whose_destructor_panics_does_no_harm() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert_eq!(run(|| -> Result<()> { panic::panic_any(Bomb) }).unwrap_err().kind(), Kind::Panic);
    }

    #[test]
    fn a_getter_that_panics_answers_neutrally() {
        assert_eq!(or(7, || panic!("broken")), 7);
    }

    #[test]
    fn host_code_is_outside_and_what_surrounds_it_is_not() {
        let inside = || INSIDE.get();
        assert!(!inside());
        let seen = run(|| Ok((inside(), outside(inside), inside()))).unwrap();
        assert_eq!(seen, (true, false, true));
        assert!(!inside());
    }
}
