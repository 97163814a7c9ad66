//! Server-sent events: `apl_consume_sse`, `apl_sse_open` and `apl_event`.

use std::cell::OnceCell;
use std::ffi::{CString, c_char, c_void};
use std::ptr;
use std::sync::Arc;

use super::cancel::apl_cancel;
use super::connector::{Target, apl_connector};
use super::error::apl_error;
use super::response::apl_response;
use super::status::apl_status;
use super::stream::apl_stream;
use super::text::c_string;
use super::{guard, handle};
use crate::sse::{Event, OnEvents, Owned};
use crate::transport::Token;

/// An event of a stream of server-sent events.
///
/// It is borrowed: in a callback until that returns, from a stream until the next apl_stream_next. Its
/// getters belong to the thread that received it.
///
/// @since 0.1.0
pub struct apl_event {
    event: Event<'static>,
    // Made when they are asked for.
    name: OnceCell<CString>,
    json: OnceCell<CString>,
}

impl apl_event {
    /// One that is not there yet.
    pub(super) fn none() -> apl_event {
        apl_event { event: Event::none(), name: OnceCell::new(), json: OnceCell::new() }
    }

    /// Makes it the handle of another event.
    ///
    /// # Safety
    /// As for [`apl_event::lend`].
    pub(super) unsafe fn fill(&mut self, event: Event<'_>) {
        // SAFETY: as in `lend`.
        self.event = unsafe { std::mem::transmute::<Event<'_>, Event<'static>>(event) };
        if self.name.get().is_some() {
            self.name = OnceCell::new();
        }
        if self.json.get().is_some() {
            self.json = OnceCell::new();
        }
    }

    /// A handle for an event.
    ///
    /// # Safety
    /// It goes before what the event borrows from.
    pub(super) unsafe fn lend(event: Event<'_>) -> apl_event {
        // SAFETY: only the lifetime changes, and the caller's promise is what it says.
        let event = unsafe { std::mem::transmute::<Event<'_>, Event<'static>>(event) };
        apl_event { event, name: OnceCell::new(), json: OnceCell::new() }
    }
}

/// What a getter says of an event, or the neutral value of NULL.
///
/// # Safety
/// `event` is NULL, or alive for `'e`.
unsafe fn get<'e, T>(event: *const apl_event, neutral: T, of: impl FnOnce(&'e apl_event) -> T) -> T {
    // SAFETY: the caller's promise.
    match unsafe { event.as_ref() } {
        Some(event) => guard::or(neutral, || of(event)),
        None => neutral,
    }
}

/// The same for what cannot panic: it only reads.
///
/// # Safety
/// As for [`get`].
unsafe fn read<'e, T>(event: *const apl_event, neutral: T, of: impl FnOnce(&'e Event<'static>) -> T) -> T {
    // SAFETY: the caller's promise.
    unsafe { event.as_ref() }.map_or(neutral, |event| of(&event.event))
}

/// Receives events, a chunk at a time.
///
/// It runs on the thread inside the call, never twice at once. It must not throw or unwind. Calls of the same
/// connector are allowed in it.
///
/// @param events  count pointers, valid until the callback returns
/// @param count  how many they are, at least 1
/// @param user_data  what was handed to the call
/// @return 0: go on; anything else stops the call with APL_STATUS_STOPPED
/// @since 0.1.0
pub type apl_events_fn = Option<
    unsafe extern "C" fn(events: *const *const apl_event, count: usize, user_data: *mut c_void) -> i32,
>;

/// Consumes server-sent events; the body of the answer is a summary, as JSON.
///
/// Blocks until the stream ends, which one that reconnects does by max_events, max_reconnect_attempts, a deadline,
/// on_events or cancel. on_events gets chunk_size events at a time, and at the end the rest. Under drop_policy
/// "block" it slows the server down; under "drop_oldest" and "drop_newest" the server is read on while it runs, and
/// what does not fit into backpressure_buffer_size, or into limits.max_body bytes, is dropped and counted. Thread-safe.
///
/// @param connector  whose API it is
/// @param endpoint  its name in the configuration
/// @param params_json  query and path parameters, a JSON object; NULL: none
/// @param options_json  a JSON object; NULL: the defaults
/// @param on_events  NULL: the summary holds the chunks
/// @param user_data  handed to on_events
/// @param cancel  cancels the call; NULL: nothing does
/// @param out  receives an answer to free with apl_response_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK, or STOPPED with the summary so far if on_events stopped it; a failure has the summary so far as
///   apl_error_partial
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_consume_sse(
    connector: *const apl_connector,
    endpoint: *const c_char,
    params_json: *const c_char,
    options_json: *const c_char,
    on_events: apl_events_fn,
    user_data: *mut c_void,
    cancel: *const apl_cancel,
    out: *mut *mut apl_response,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce_with(out, error, || {
            let t = Target::new(connector, endpoint, params_json, options_json, cancel)?;
            let mut hand_on = on_events.map(|on_events| {
                move |events: &[Owned]| {
                    let events: Vec<apl_event> = events.iter().map(|e| apl_event::lend(e.event())).collect();
                    let pointers: Vec<*const apl_event> = events.iter().map(ptr::from_ref).collect();
                    guard::outside(|| on_events(pointers.as_ptr(), pointers.len(), user_data))
                }
            });
            let hand_on = hand_on.as_mut().map(|hand_on| hand_on as OnEvents<'_>);
            let done = t.connector().consume(t.endpoint, t.params, t.options, hand_on, t.cancel.clone())?;
            let status = if done.stopped { apl_status::Stopped } else { apl_status::Ok };
            Ok((apl_response::into_raw(done.response), status))
        })
    }
}

/// Opens a stream of server-sent events: apl_stream_next returns the data of one at a time, apl_stream_event the rest
/// of it.
///
/// Blocks until the server has answered, or until a first attempt has failed in a way that may pass: then
/// apl_stream_next goes on. A GET reconnects by itself, after the time that the server or reconnect_delay says, and
/// tells the id of the last event; another method, and a stream with a sentinel, where "reconnect" is true. Events
/// that a server sends again are delivered again. Thread-safe.
///
/// @param connector  whose API it is
/// @param endpoint  its name in the configuration
/// @param params_json  query and path parameters, a JSON object; NULL: none
/// @param options_json  a JSON object; NULL: the defaults
/// @param cancel  cancels the stream, which keeps what it needs of it; NULL: nothing does
/// @param out  receives a stream to free with apl_stream_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK; UNKNOWN_ENDPOINT, INVALID_ARGUMENT; what a request can fail with, where that does not pass by itself;
///   PROTOCOL for an answer that is no event stream
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_sse_open(
    connector: *const apl_connector,
    endpoint: *const c_char,
    params_json: *const c_char,
    options_json: *const c_char,
    cancel: *const apl_cancel,
    out: *mut *mut apl_stream,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            let to = Target::new(connector, endpoint, params_json, options_json, cancel)?;
            let token = Arc::new(Token::child(to.cancel.clone()));
            let events = to.connector().events(to.endpoint, to.params, to.options, token.clone())?;
            Ok(apl_stream::into_raw(events, token))
        })
    }
}

/// The kind of an event, one of apl_kind: comments only with the option "comments", connects and disconnects only with
/// "lifecycle".
///
/// @param event  from a callback or a stream, or NULL
/// @return 0 if event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_kind(event: *const apl_event) -> i32 {
    // SAFETY: NULL or alive, by contract.
    unsafe { read(event, 0, |e| e.kind as i32) }
}

/// The type of an event, "message" where the server gave none; of the other kinds "comment", "connected" and
/// "disconnected".
///
/// @param event  from a callback or a stream, or NULL
/// @return borrowed like the event; NULL if event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_type(event: *const apl_event) -> *const c_char {
    // SAFETY: NULL or alive, by contract.
    unsafe { get(event, ptr::null(), |e| e.name.get_or_init(|| c_string(e.event.name)).as_ptr()) }
}

/// The id of an event: its own, or that of the last event that had one.
///
/// @param event  from a callback or a stream, or NULL
/// @return borrowed like the event; NULL if there is none, or event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_id(event: *const apl_event) -> *const c_char {
    // SAFETY: NULL or alive, by contract.
    unsafe { read(event, ptr::null(), |e| e.id_begin().unwrap_or(ptr::null())) }
}

/// The data of an event, as the server sent it: UTF-8, its lines joined by line feeds. Of a comment, its text; of a
/// disconnect, why.
///
/// @param event  from a callback or a stream, or NULL
/// @param len  receives the number of bytes; NULL: not wanted
/// @return borrowed like the event; a NUL byte follows; NULL only if event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_data(event: *const apl_event, len: *mut usize) -> *const u8 {
    // SAFETY: NULL or alive, by contract.
    let data: &[u8] = unsafe { read(event, &[][..], |e| e.data()) };
    // SAFETY: `len` is NULL or may be written to, by contract.
    unsafe { handle::set(len, data.len()) };
    if event.is_null() { ptr::null() } else { data.as_ptr() }
}

/// An event as a JSON object: id, event, data, retry, raw_data. data is JSON where it is some and the option
/// "decode_json" is not false, else the same text as raw_data.
///
/// @param event  from a callback or a stream, or NULL
/// @param len  receives the number of bytes; NULL: not wanted
/// @return borrowed like the event; a NUL byte follows; NULL if event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_json(event: *const apl_event, len: *mut usize) -> *const c_char {
    // SAFETY: NULL or alive, by contract.
    let json =
        unsafe { get(event, None, |e| Some(e.json.get_or_init(|| c_string(e.event.json())).as_c_str())) };
    // SAFETY: `len` is NULL or may be written to, by contract.
    unsafe { handle::set(len, json.map_or(0, |json| json.count_bytes())) };
    json.map_or(ptr::null(), |json| json.as_ptr())
}

/// The wait before the next reconnect that an event asked for, in milliseconds; of a disconnect, how long it will be.
///
/// @param event  from a callback or a stream, or NULL
/// @return -1 if there is none, or event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_retry_ms(event: *const apl_event) -> i64 {
    // SAFETY: NULL or alive, by contract.
    unsafe { read(event, -1, |e| e.retry.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX))) }
}
