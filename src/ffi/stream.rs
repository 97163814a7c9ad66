//! `apl_stream`: what comes piece by piece.

use std::cell::UnsafeCell;
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::cancel::apl_cancel;
use super::connector::{Target, apl_connector};
use super::error::apl_error;
use super::progress::apl_progress;
use super::response::apl_response;
use super::sse::apl_event;
use super::status::apl_status;
use super::text::c_string;
use super::{guard, handle};
use crate::error::{Error, Kind, Result};
use crate::pages::{By, Reader, Source};
use crate::response::Response;
use crate::sse::Events;
use crate::stream::{Step, Stream};
use crate::transfer::Progress;
use crate::transport::Token;

/// Something that comes piece by piece: chunks, events, pages or records.
///
/// One thread at a time; apl_stream_close is for the others.
///
/// @since 0.1.0
pub struct apl_stream {
    /// Ends it: by itself, or with the token it was opened with.
    token: Arc<Token>,
    /// Is a thread inside?
    busy: AtomicBool,
    inner: UnsafeCell<Inner>,
    /// The event that came last, made with it: who asks for it needs no turn. NULL: none.
    event: AtomicPtr<apl_event>,
    /// Its place. It borrows from what is inside.
    place: UnsafeCell<apl_event>,
}

/// What comes piece by piece, whatever the pieces are.
pub(super) trait Pieces {
    /// None: it has failed, and that is put into `failure`. So what nearly every call gives fits into a register.
    fn advance(&mut self, failure: &mut Option<Error>) -> Option<Step>;
    /// The piece that came last, and whether it is an event, which is then put into its handle. The byte behind it is
    /// NUL.
    ///
    /// # Safety
    /// The handle is not asked any more when the next step begins.
    unsafe fn show(&self, handle: &mut apl_event) -> (&[u8], bool);
    fn response(&self) -> Option<&Response>;
    fn progress(&self) -> &Progress;
    fn checkpoint(&self) -> Option<String>;
}

impl Pieces for Stream {
    fn advance(&mut self, failure: &mut Option<Error>) -> Option<Step> {
        self.advance().map_err(|error| *failure = Some(error)).ok()
    }
    unsafe fn show(&self, _: &mut apl_event) -> (&[u8], bool) {
        (self.chunk(), false)
    }
    fn response(&self) -> Option<&Response> {
        Some(self.response())
    }
    fn progress(&self) -> &Progress {
        self.progress()
    }
    fn checkpoint(&self) -> Option<String> {
        self.checkpoint()
    }
}

impl Pieces for Events {
    fn advance(&mut self, failure: &mut Option<Error>) -> Option<Step> {
        self.advance().map_err(|error| *failure = Some(error)).ok()
    }
    unsafe fn show(&self, handle: &mut apl_event) -> (&[u8], bool) {
        let Some(event) = self.event_now() else { return (&[], false) };
        let data = event.data();
        // SAFETY: the caller's promise.
        unsafe { handle.fill(event) };
        (data, true)
    }
    fn response(&self) -> Option<&Response> {
        self.response()
    }
    fn progress(&self) -> &Progress {
        self.progress()
    }
    fn checkpoint(&self) -> Option<String> {
        self.checkpoint()
    }
}

impl<S: Source> Pieces for Reader<S> {
    fn advance(&mut self, failure: &mut Option<Error>) -> Option<Step> {
        self.advance().map_err(|error| *failure = Some(error)).ok()
    }
    unsafe fn show(&self, _: &mut apl_event) -> (&[u8], bool) {
        (self.piece(), false)
    }
    fn response(&self) -> Option<&Response> {
        self.response()
    }
    fn progress(&self) -> &Progress {
        self.progress()
    }
    fn checkpoint(&self) -> Option<String> {
        self.checkpoint()
    }
}

impl Target<'_> {
    fn pages(&self, by: By) -> Result<*mut apl_stream> {
        let token = Arc::new(Token::child(self.cancel.clone()));
        let reader = self.connector().pages(self.endpoint, self.params, self.options, by, token.clone())?;
        Ok(apl_stream::into_raw(reader, token))
    }
}

struct Inner {
    stream: Box<dyn Pieces>,
    /// How it ended: from then on, each call says so.
    end: Option<std::result::Result<apl_status, Error>>,
    // What was handed out since the last piece, made when it was asked for.
    response: Option<Box<apl_response>>,
    progress: Option<Box<apl_progress>>,
    checkpoint: Option<Option<CString>>,
}

/// The one thread that is inside.
struct Inside<'s>(&'s apl_stream);

impl apl_stream {
    pub(super) fn into_raw(stream: impl Pieces + 'static, token: Arc<Token>) -> *mut apl_stream {
        let stream = Box::new(stream);
        let inner = Inner { stream, end: None, response: None, progress: None, checkpoint: None };
        Box::into_raw(Box::new(apl_stream {
            token,
            busy: AtomicBool::new(false),
            inner: UnsafeCell::new(inner),
            event: AtomicPtr::default(),
            place: UnsafeCell::new(apl_event::none()),
        }))
    }

    fn enter(&self) -> Option<Inside<'_>> {
        let was = self.busy.swap(true, Ordering::Acquire);
        // Not `then_some`: a guard that is made and dropped would let the next one in.
        (!was).then(|| Inside(self))
    }
}

impl Inside<'_> {
    fn inner(&mut self) -> &mut Inner {
        // SAFETY: `busy` lets one thread in at a time, and this guard, of which there is one, is borrowed as long.
        unsafe { &mut *self.0.inner.get() }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

impl Inner {
    fn next(&mut self, token: &Token) -> Result<apl_status> {
        if let Some(end) = &self.end {
            return end.clone();
        }
        (self.response, self.progress, self.checkpoint) = (None, None, None);
        let outcome = if token.is_cancelled() {
            let mut error = Error::new(Kind::Cancelled, "the stream was closed, or cancelled by the caller");
            error.endpoint = Some(self.stream.progress().endpoint.clone());
            Err(error)
        } else {
            let mut failure = None;
            guard::caught(|| self.stream.advance(&mut failure)).and_then(|step| {
                step.ok_or_else(|| failure.unwrap_or_else(|| Error::internal("a failure without a reason")))
            })
        };
        let outcome = outcome.map(|step| match step {
            Step::Item => apl_status::Ok,
            Step::End => apl_status::End,
            Step::Idle => apl_status::Idle,
        });
        if matches!(outcome, Err(_) | Ok(apl_status::End)) {
            self.end = Some(outcome.clone());
        }
        outcome
    }
}

/// What a getter of a stream says, or NULL: to another thread while one is inside.
///
/// # Safety
/// `stream` is NULL or alive.
unsafe fn get<T>(stream: *mut apl_stream, of: impl FnOnce(&mut Inner) -> *const T) -> *const T {
    // SAFETY: the caller's promise. Only shared: another thread may be closing it.
    let Some(stream) = (unsafe { stream.as_ref() }) else { return ptr::null() };
    guard::or(ptr::null(), || stream.enter().map_or(ptr::null(), |mut inside| of(inside.inner())))
}

/// Opens the body of an answer as a stream: apl_stream_next returns a chunk of it at a time.
///
/// Blocks until the head of the answer is there. Chunks have the option "chunk_size" (65536 bytes), but for the
/// last one. Thread-safe.
///
/// @param connector  whose API it is
/// @param endpoint  its name in the configuration
/// @param params_json  query and path parameters, a JSON object; NULL: none
/// @param options_json  a JSON object; NULL: the defaults
/// @param cancel  cancels the stream, which keeps what it needs of it; NULL: nothing does
/// @param out  receives a stream to free with apl_stream_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK; UNKNOWN_ENDPOINT, INVALID_ARGUMENT; what a request can fail with; RANGE for another part than the one
///   that was asked for; CHECKSUM for another expected_size or expected_type
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_open(
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
            let stream = to.connector().stream(to.endpoint, to.params, to.options, token.clone())?;
            Ok(apl_stream::into_raw(stream, token))
        })
    }
}

/// Opens a listing page by page: apl_stream_next returns the items of one page, as a JSON array.
///
/// Nothing is asked for before the first apl_stream_next. Pages without items are passed over. A failure names the page;
/// what came before it was returned, and apl_stream_checkpoint, as the option "checkpoint" of a later call, goes on
/// from there. An endpoint without "pagination" is a listing of one page. Thread-safe.
///
/// @param connector  whose API it is
/// @param endpoint  its name in the configuration
/// @param params_json  query and path parameters, a JSON object; NULL: none
/// @param options_json  a JSON object; NULL: the defaults
/// @param cancel  cancels the stream, which keeps what it needs of it; NULL: nothing does
/// @param out  receives a stream to free with apl_stream_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK; UNKNOWN_ENDPOINT, INVALID_ARGUMENT, also for a checkpoint of another listing; all else comes from
///   apl_stream_next
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_pages_open(
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
            Target::new(connector, endpoint, params_json, options_json, cancel)?.pages(By::Page)
        })
    }
}

/// Opens a listing record by record: apl_stream_next returns one record, as JSON.
///
/// As apl_pages_open, of which a page at a time is held; apl_stream_checkpoint names the place behind the record.
/// Thread-safe.
///
/// @param connector  whose API it is
/// @param endpoint  its name in the configuration
/// @param params_json  query and path parameters, a JSON object; NULL: none
/// @param options_json  a JSON object; NULL: the defaults
/// @param cancel  cancels the stream, which keeps what it needs of it; NULL: nothing does
/// @param out  receives a stream to free with apl_stream_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK; UNKNOWN_ENDPOINT, INVALID_ARGUMENT, also for a checkpoint of another listing; all else comes from
///   apl_stream_next
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_records_open(
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
            Target::new(connector, endpoint, params_json, options_json, cancel)?.pages(By::Record)
        })
    }
}

/// Waits for the next piece of a stream.
///
/// What came before a failure is returned first. END, errors and a panic are final: from then on each call returns
/// the same. One thread at a time; from a second one: APL_STATUS_BUSY.
///
/// @param stream  from a function that opens one, or NULL
/// @param data  receives the piece, borrowed until the next apl_stream_next; a NUL byte follows; NULL: not
///   wanted
/// @param len  receives the number of bytes; NULL: not wanted
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK with a piece, END without one, IDLE if nothing came within the option "wait"
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_next(
    stream: *mut apl_stream,
    data: *mut *const u8,
    len: *mut usize,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        handle::set(data, ptr::null());
        handle::set(len, 0);
        guard::call(error, || {
            let stream = handle::required(stream.cast_const(), "stream")?;
            let Some(mut inside) = stream.enter() else {
                return Err(Error::new(Kind::Busy, "the stream is in use by another thread"));
            };
            // What borrows from the last piece goes before it.
            stream.event.store(ptr::null_mut(), Ordering::Relaxed);
            let inner = inside.inner();
            let status = inner.next(&stream.token)?;
            if status == apl_status::Ok {
                let place = stream.place.get();
                // Inside there is one thread, and the event from before is nobody's any more, by contract. This one is
                // shown no longer than it is there: until the stream goes on, and it is freed as a whole.
                let (piece, is_event) = inner.stream.show(&mut *place);
                handle::set(data, piece.as_ptr());
                handle::set(len, piece.len());
                if is_event {
                    stream.event.store(place, Ordering::Relaxed);
                }
            }
            Ok(status)
        })
    }
}

/// The head of the current answer: its HTTP status, headers and meta.
///
/// It belongs to the thread that calls apl_stream_next.
///
/// @param stream  from a function that opens one, or NULL
/// @return borrowed until the next apl_stream_next, not to be freed; NULL if there is none, or stream is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_response(stream: *mut apl_stream) -> *const apl_response {
    let make = |inner: &mut Inner| {
        let Inner { stream, response, .. } = inner;
        let Some(now) = stream.response() else { return ptr::null() };
        let made = response.get_or_insert_with(|| {
            let copy = Response::new(now.head.clone(), now.meta.clone(), Vec::new());
            Box::new(apl_response::new(Arc::new(copy)))
        });
        ptr::from_ref(&**made)
    };
    // SAFETY: NULL or alive, by contract.
    unsafe { get(stream, make) }
}

/// The event that apl_stream_next returned, of a stream that apl_sse_open has opened.
///
/// It belongs to the thread that calls apl_stream_next.
///
/// @param stream  from a function that opens one, or NULL
/// @return borrowed until the next apl_stream_next; NULL if there is none, or stream is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_event(stream: *mut apl_stream) -> *const apl_event {
    // SAFETY: NULL or alive, by contract. Nothing here can panic.
    let Some(stream) = (unsafe { stream.as_ref() }) else { return ptr::null() };
    if stream.busy.load(Ordering::Acquire) { ptr::null() } else { stream.event.load(Ordering::Relaxed) }
}

/// How far a stream has come.
///
/// It belongs to the thread that calls apl_stream_next.
///
/// @param stream  from a function that opens one, or NULL
/// @return borrowed until the next apl_stream_next; NULL if stream is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_progress(stream: *mut apl_stream) -> *const apl_progress {
    let make = |inner: &mut Inner| {
        let Inner { stream, progress, .. } = inner;
        let made = progress.get_or_insert_with(|| Box::new(apl_progress::new(stream.progress())));
        ptr::from_ref(&**made)
    };
    // SAFETY: NULL or alive, by contract.
    unsafe { get(stream, make) }
}

/// The place after the item that was returned last, made of [A-Za-z0-9._~-] only.
///
/// It belongs to the thread that calls apl_stream_next.
///
/// @param stream  from a function that opens one, or NULL
/// @return borrowed until the next apl_stream_next; NULL if there is none, or stream is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_checkpoint(stream: *mut apl_stream) -> *const c_char {
    let make = |inner: &mut Inner| {
        let Inner { stream, checkpoint, .. } = inner;
        let made = checkpoint.get_or_insert_with(|| stream.checkpoint().map(c_string));
        made.as_ref().map_or(ptr::null(), |text| text.as_ptr())
    };
    // SAFETY: NULL or alive, by contract.
    unsafe { get(stream, make) }
}

/// Ends a stream from another thread: an apl_stream_next that waits returns APL_STATUS_CANCELLED.
///
/// The stream is still to be freed. Thread-safe.
///
/// @param stream  NULL does nothing
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_close(stream: *const apl_stream) {
    // SAFETY: NULL or alive, by contract.
    if let Some(stream) = unsafe { stream.as_ref() } {
        guard::or((), || stream.token.cancel());
    }
}

/// Frees a stream, and with it everything borrowed from it.
///
/// @param stream  NULL does nothing
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_free(stream: *mut apl_stream) {
    if !stream.is_null() {
        // SAFETY: the box that `into_raw` gave away, given back once, by contract.
        guard::or((), || drop(unsafe { Box::from_raw(stream) }));
    }
}
