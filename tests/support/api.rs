//! The library's C functions behind a thin, safe Rust client, as the tests want to write it.
//!
//! The declarations are the C contract's, written out again: what the tests call is the ABI that a C program
//! calls, through exported symbols, not through the crate's Rust types. Each call also checks what holds for
//! every call: a status below 100 has no error, one from 100 on has an error and no result.
//!
//! ```ignore
//! #[path = "support/api.rs"]
//! mod api;
//! ```

#![allow(dead_code, missing_docs)] // each test file uses its own part of this
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use apl as _; // the exported functions are in there
use serde_json::Value;

pub const OK: i32 = 0;
pub const END: i32 = 1;
pub const STOPPED: i32 = 2;
pub const IDLE: i32 = 3;
pub const NULL_ARGUMENT: i32 = 100;
pub const INVALID_ARGUMENT: i32 = 101;
pub const INVALID_CONFIG: i32 = 102;
pub const BUSY: i32 = 103;
pub const UNKNOWN_ENDPOINT: i32 = 104;
pub const UNSUPPORTED: i32 = 105;
pub const DNS: i32 = 200;
pub const CONNECT: i32 = 201;
pub const TLS: i32 = 202;
pub const TIMEOUT: i32 = 203;
pub const IO: i32 = 204;
pub const PROTOCOL: i32 = 205;
pub const TOO_LARGE: i32 = 206;
pub const REDIRECT: i32 = 207;
pub const HTTP_STATUS: i32 = 300;
pub const RATE_LIMITED: i32 = 301;
pub const AUTH: i32 = 302;
pub const CANCELLED: i32 = 400;
pub const DECODE: i32 = 500;
pub const SCHEMA: i32 = 501;
pub const PAGINATION: i32 = 502;
pub const TRUNCATED: i32 = 503;
pub const CHECKSUM: i32 = 504;
pub const RANGE: i32 = 505;
pub const FILE: i32 = 600;
pub const PANIC: i32 = 900;
pub const INTERNAL: i32 = 901;

/// The declarations of `apl.h` that are used here; handles are opaque.
mod c {
    use super::{c_char, c_void};

    type Handle = c_void;

    /// A call of an endpoint: its parameters, or the data, are what stands behind it.
    pub type Asking = unsafe extern "C" fn(
        *const Handle,
        *const c_char,
        *const c_char,
        *const c_char,
        *const Handle,
        *mut *mut Handle,
        *mut *mut Handle,
    ) -> i32;

    unsafe extern "C" {
        pub fn apl_connector_new(
            config: *const c_char,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_connector_open(path: *const c_char, out: *mut *mut Handle, error: *mut *mut Handle)
        -> i32;
        pub fn apl_connector_free(connector: *mut Handle);
        pub fn apl_connector_on_request(
            connector: *mut Handle,
            on_request: Option<unsafe extern "C" fn(*mut Handle, *mut c_void) -> i32>,
            user_data: *mut c_void,
            drop: Option<unsafe extern "C" fn(*mut c_void)>,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_connector_on_token(
            connector: *mut Handle,
            on_token: Option<unsafe extern "C" fn(*const c_char, *mut c_void) -> i32>,
            user_data: *mut c_void,
            drop: Option<unsafe extern "C" fn(*mut c_void)>,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_request_method(request: *const Handle) -> *const c_char;
        pub fn apl_request_url(request: *const Handle) -> *const c_char;
        pub fn apl_request_header(request: *const Handle, name: *const c_char) -> *const c_char;
        pub fn apl_request_body(request: *const Handle, len: *mut usize) -> *const u8;
        pub fn apl_request_set_header(
            request: *mut Handle,
            name: *const c_char,
            value: *const c_char,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_request_set_query(
            request: *mut Handle,
            name: *const c_char,
            value: *const c_char,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_auth_begin(
            connector: *const Handle,
            options: *const c_char,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_auth_finish(
            connector: *const Handle,
            redirect_url: *const c_char,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_check_health(
            connector: *const Handle,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_fetch(
            connector: *const Handle,
            endpoint: *const c_char,
            params: *const c_char,
            options: *const c_char,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_send(
            connector: *const Handle,
            endpoint: *const c_char,
            data: *const c_char,
            options: *const c_char,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_send_bytes(
            connector: *const Handle,
            endpoint: *const c_char,
            body: *const u8,
            body_len: usize,
            options: *const c_char,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_explain(
            connector: *const Handle,
            endpoint: *const c_char,
            params: *const c_char,
            options: *const c_char,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_download(
            connector: *const Handle,
            endpoint: *const c_char,
            destination_path: *const c_char,
            params_json: *const c_char,
            options_json: *const c_char,
            on_progress: Option<unsafe extern "C" fn(*const Handle, *mut c_void) -> i32>,
            user_data: *mut c_void,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_stream_open(
            connector: *const Handle,
            endpoint: *const c_char,
            params: *const c_char,
            options: *const c_char,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_pages_open(
            connector: *const Handle,
            endpoint: *const c_char,
            params: *const c_char,
            options: *const c_char,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_records_open(
            connector: *const Handle,
            endpoint: *const c_char,
            params: *const c_char,
            options: *const c_char,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_sse_open(
            connector: *const Handle,
            endpoint: *const c_char,
            params: *const c_char,
            options: *const c_char,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_consume_sse(
            connector: *const Handle,
            endpoint: *const c_char,
            params: *const c_char,
            options: *const c_char,
            on_events: Option<unsafe extern "C" fn(*const *const Handle, usize, *mut c_void) -> i32>,
            user_data: *mut c_void,
            cancel: *const Handle,
            out: *mut *mut Handle,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_stream_event(stream: *mut Handle) -> *const Handle;
        pub fn apl_event_kind(event: *const Handle) -> i32;
        pub fn apl_event_type(event: *const Handle) -> *const c_char;
        pub fn apl_event_id(event: *const Handle) -> *const c_char;
        pub fn apl_event_data(event: *const Handle, len: *mut usize) -> *const u8;
        pub fn apl_event_json(event: *const Handle, len: *mut usize) -> *const c_char;
        pub fn apl_event_retry_ms(event: *const Handle) -> i64;
        pub fn apl_stream_next(
            stream: *mut Handle,
            data: *mut *const u8,
            len: *mut usize,
            error: *mut *mut Handle,
        ) -> i32;
        pub fn apl_stream_response(stream: *mut Handle) -> *const Handle;
        pub fn apl_stream_progress(stream: *mut Handle) -> *const Handle;
        pub fn apl_stream_checkpoint(stream: *mut Handle) -> *const c_char;
        pub fn apl_stream_close(stream: *const Handle);
        pub fn apl_stream_free(stream: *mut Handle);
        pub fn apl_progress_endpoint(progress: *const Handle) -> *const c_char;
        pub fn apl_progress_bytes_processed(progress: *const Handle) -> i64;
        pub fn apl_progress_bytes_streamed(progress: *const Handle) -> i64;
        pub fn apl_progress_total_bytes(progress: *const Handle) -> i64;
        pub fn apl_progress_percent(progress: *const Handle) -> f64;
        pub fn apl_progress_chunk_index(progress: *const Handle) -> i64;
        pub fn apl_progress_resumed(progress: *const Handle) -> i32;
        pub fn apl_progress_done(progress: *const Handle) -> i32;
        pub fn apl_progress_bytes_per_second(progress: *const Handle) -> f64;
        pub fn apl_progress_eta_ms(progress: *const Handle) -> i64;
        pub fn apl_response_body(response: *const Handle, len: *mut usize) -> *const u8;
        pub fn apl_response_http_status(response: *const Handle) -> i32;
        pub fn apl_response_header(response: *const Handle, name: *const c_char) -> *const c_char;
        pub fn apl_response_meta(response: *const Handle) -> *const c_char;
        pub fn apl_response_free(response: *mut Handle);
        pub fn apl_cancel_new() -> *mut Handle;
        pub fn apl_cancel_trigger(cancel: *const Handle);
        pub fn apl_cancel_is_triggered(cancel: *const Handle) -> i32;
        pub fn apl_cancel_free(cancel: *mut Handle);
        pub fn apl_error_status(error: *const Handle) -> i32;
        pub fn apl_error_message(error: *const Handle) -> *const c_char;
        pub fn apl_error_category(error: *const Handle) -> *const c_char;
        pub fn apl_error_http_status(error: *const Handle) -> i32;
        pub fn apl_error_is_retryable(error: *const Handle) -> i32;
        pub fn apl_error_retry_after_ms(error: *const Handle) -> i64;
        pub fn apl_error_response(error: *const Handle) -> *const Handle;
        pub fn apl_error_partial(error: *const Handle) -> *const Handle;
        pub fn apl_error_json(error: *const Handle) -> *const c_char;
        pub fn apl_error_free(error: *mut Handle);
        pub fn apl_status_name(status: i32) -> *const c_char;
        pub fn apl_log_set(
            max_level: i32,
            log: Option<unsafe extern "C" fn(i32, *const c_char, *mut c_void)>,
            user_data: *mut c_void,
            drop: Option<unsafe extern "C" fn(*mut c_void)>,
        );
    }
}

/// A response, copied out.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: i32,
    pub body: Vec<u8>,
    pub meta: Value,
    /// In wire order, from the meta.
    pub headers: Vec<(String, String)>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// An error, copied out.
#[derive(Clone, Debug)]
pub struct Fault {
    pub status: i32,
    /// The status by name.
    pub name: String,
    pub message: String,
    pub category: String,
    pub http_status: i32,
    pub retryable: bool,
    pub retry_after_ms: i64,
    pub json: Value,
    /// The answer that was refused.
    pub response: Option<Answer>,
    /// The same answer's body; empty where there is none.
    pub response_body: Vec<u8>,
    pub partial: Option<Answer>,
}

impl Fault {
    /// Everything the error says, in one text: where a secret must not be found.
    pub fn everything(&self) -> String {
        format!("{self:?} {}", self.json)
    }
}

fn c_text(text: &str) -> CString {
    CString::new(text).expect("a text without NUL")
}

/// A text for a pointer that may be NULL.
fn optional(text: Option<&str>) -> Option<CString> {
    text.map(c_text)
}

fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(null(), |text| text.as_ptr())
}

/// A borrowed C string, copied.
fn owned(text: *const c_char) -> String {
    assert!(!text.is_null(), "a text is NULL");
    // SAFETY: the library hands out NUL-terminated texts that live as long as their handle.
    unsafe { CStr::from_ptr(text) }.to_str().expect("texts are UTF-8").to_owned()
}

fn answer(response: *const c_void) -> Answer {
    assert!(!response.is_null(), "OK without a response");
    let mut len = 0;
    // SAFETY: the response is alive; the bytes are borrowed from it and copied.
    let body = unsafe {
        let data = c::apl_response_body(response, &mut len);
        assert!(!data.is_null(), "a response without a body");
        assert_eq!(*data.add(len), 0, "a body is NUL-terminated beyond its length");
        std::slice::from_raw_parts(data, len).to_vec()
    };
    // SAFETY: the response is alive.
    let (status, meta) =
        unsafe { (c::apl_response_http_status(response), owned(c::apl_response_meta(response))) };
    let meta: Value = serde_json::from_str(&meta).expect("the meta is JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pairs = meta["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let headers = pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
    Answer { status, body, meta, headers }
}

fn fault(error: *mut c_void) -> Fault {
    // SAFETY: the error is alive until the last line; the texts are copied.
    unsafe {
        let status = c::apl_error_status(error);
        let some = |response: *const c_void| (!response.is_null()).then(|| answer(response));
        let response = some(c::apl_error_response(error));
        let fault = Fault {
            status,
            name: owned(c::apl_status_name(status)),
            message: owned(c::apl_error_message(error)),
            category: owned(c::apl_error_category(error)),
            http_status: c::apl_error_http_status(error),
            retryable: c::apl_error_is_retryable(error) != 0,
            retry_after_ms: c::apl_error_retry_after_ms(error),
            json: serde_json::from_str(&owned(c::apl_error_json(error))).expect("the error is JSON"),
            response_body: response.as_ref().map(|answer| answer.body.clone()).unwrap_or_default(),
            response,
            partial: some(c::apl_error_partial(error)),
        };
        c::apl_error_free(error);
        fault
    }
}

/// Makes a call and turns what it leaves behind into a result. Out-pointers start as garbage that must go.
fn call(f: impl FnOnce(*mut *mut c_void, *mut *mut c_void) -> i32) -> Result<*mut c_void, Fault> {
    let garbage = std::ptr::without_provenance_mut(8);
    let (mut out, mut error) = (garbage, garbage);
    let status = f(&mut out, &mut error);
    if status < 100 {
        assert!(error.is_null(), "status {status} with an error");
        assert!(!out.is_null(), "status {status} without a result");
        return Ok(out);
    }
    assert!(!error.is_null(), "status {status} without an error");
    assert!(out.is_null(), "status {status} with a result");
    let fault = fault(error);
    assert_eq!(fault.status, status, "the error's own status");
    Err(fault)
}

fn response(f: impl FnOnce(*mut *mut c_void, *mut *mut c_void) -> i32) -> Result<Answer, Fault> {
    let response = call(f)?;
    let answer = answer(response);
    // SAFETY: it is ours and not used again.
    unsafe { c::apl_response_free(response) };
    Ok(answer)
}

/// A cancel token.
pub struct Cancel(*mut c_void);

// SAFETY: a token is made to be used from several threads.
unsafe impl Send for Cancel {}
// SAFETY: as above.
unsafe impl Sync for Cancel {}

impl Cancel {
    pub fn new() -> Cancel {
        // SAFETY: no condition.
        Cancel(unsafe { c::apl_cancel_new() })
    }

    pub fn trigger(&self) {
        // SAFETY: the token is alive.
        unsafe { c::apl_cancel_trigger(self.0) }
    }

    pub fn is_triggered(&self) -> bool {
        // SAFETY: the token is alive.
        unsafe { c::apl_cancel_is_triggered(self.0) != 0 }
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        // SAFETY: freed once.
        unsafe { c::apl_cancel_free(self.0) }
    }
}

fn token(cancel: Option<&Cancel>) -> *const c_void {
    cancel.map_or(null(), |cancel| cancel.0.cast_const())
}

/// A connector.
#[derive(Debug)]
pub struct Api(*mut c_void);

// SAFETY: a connector is thread-safe (`const T *` comes first in its functions).
unsafe impl Send for Api {}
// SAFETY: as above.
unsafe impl Sync for Api {}

impl Drop for Api {
    fn drop(&mut self) {
        // SAFETY: freed once.
        unsafe { c::apl_connector_free(self.0) }
    }
}

impl Api {
    /// From configuration text, JSON or YAML.
    pub fn new(config: &str) -> Result<Api, Fault> {
        let config = c_text(config);
        // SAFETY: the text lives through the call; the out-pointers are valid.
        call(|out, error| unsafe { c::apl_connector_new(config.as_ptr(), out, error) }).map(Api)
    }

    /// From a file, or `file#section`.
    pub fn open(path: &str) -> Result<Api, Fault> {
        let path = c_text(path);
        // SAFETY: as in `new`.
        call(|out, error| unsafe { c::apl_connector_open(path.as_ptr(), out, error) }).map(Api)
    }

    /// A GET of one `path`, called `get`, against `base_url`; no retries.
    pub fn get(base_url: &str, path: &str) -> Api {
        let config =
            serde_json::json!({"base_url": base_url, "retry_count": 1, "endpoints": {"get": {"path": path}}});
        Api::new(&config.to_string()).expect("a plain configuration")
    }

    /// Sets who signs each request.
    pub fn on_request(
        &self,
        on_request: impl Fn(&mut Outgoing) -> i32 + Send + Sync + 'static,
    ) -> Result<(), Fault> {
        type Signer = Box<dyn Fn(&mut Outgoing) -> i32 + Send + Sync>;

        unsafe extern "C" fn call_back(request: *mut c_void, user_data: *mut c_void) -> i32 {
            // SAFETY: `on_drop` has not run: a callback that runs keeps its user data.
            let signer = unsafe { &*user_data.cast::<Signer>() };
            signer(&mut Outgoing(request))
        }

        unsafe extern "C" fn on_drop(user_data: *mut c_void) {
            // SAFETY: it came from `into_raw` and is given back once.
            drop(unsafe { Box::from_raw(user_data.cast::<Signer>()) });
        }

        let signer: Box<Signer> = Box::new(Box::new(on_request));
        let user_data = Box::into_raw(signer).cast();
        // SAFETY: the user data lives until `on_drop`; the out-pointer is valid.
        status(|error| unsafe {
            c::apl_connector_on_request(self.0, Some(call_back), user_data, Some(on_drop), error)
        })
    }

    pub fn on_token(&self, on_token: impl Fn(&str) -> i32 + Send + Sync + 'static) -> Result<(), Fault> {
        type Keeper = Box<dyn Fn(&str) -> i32 + Send + Sync>;

        unsafe extern "C" fn call_back(json: *const c_char, user_data: *mut c_void) -> i32 {
            // SAFETY: `on_drop` has not run: a callback that runs keeps its user data; the text lives until it returns.
            let (keeper, json) = unsafe { (&*user_data.cast::<Keeper>(), CStr::from_ptr(json)) };
            keeper(json.to_str().unwrap())
        }

        unsafe extern "C" fn on_drop(user_data: *mut c_void) {
            // SAFETY: it came from `into_raw` and is given back once.
            drop(unsafe { Box::from_raw(user_data.cast::<Keeper>()) });
        }

        let keeper: Box<Keeper> = Box::new(Box::new(on_token));
        let user_data = Box::into_raw(keeper).cast();
        // SAFETY: the user data lives until `on_drop`; the out-pointer is valid.
        status(|error| unsafe {
            c::apl_connector_on_token(self.0, Some(call_back), user_data, Some(on_drop), error)
        })
    }

    pub fn fetch<'a>(
        &self,
        endpoint: &str,
        params: impl Into<Option<&'a str>>,
        options: impl Into<Option<&'a str>>,
    ) -> Result<Answer, Fault> {
        self.fetch_until(endpoint, params, options, None)
    }

    pub fn auth_begin<'a>(&self, options: impl Into<Option<&'a str>>) -> Result<Answer, Fault> {
        let options = optional(options.into());
        // SAFETY: the text and the connector live through the call; the out-pointers are valid.
        response(|out, error| unsafe {
            c::apl_auth_begin(self.0, pointer(&options), token(None), out, error)
        })
    }

    pub fn auth_finish<'a>(&self, redirect_url: impl Into<Option<&'a str>>) -> Result<Answer, Fault> {
        self.auth_finish_until(redirect_url, None)
    }

    /// `auth_finish` with a cancel token.
    pub fn auth_finish_until<'a>(
        &self,
        redirect_url: impl Into<Option<&'a str>>,
        cancel: Option<&Cancel>,
    ) -> Result<Answer, Fault> {
        let redirect_url = optional(redirect_url.into());
        // SAFETY: the text, the connector and the token live through the call; the out-pointers are valid.
        response(|out, error| unsafe {
            c::apl_auth_finish(self.0, pointer(&redirect_url), token(cancel), out, error)
        })
    }

    /// What `call` makes: a call of one of the functions that take an endpoint, its parameters or data, and options.
    fn asking(
        &self,
        function: c::Asking,
        endpoint: &str,
        second: Option<&str>,
        options: Option<&str>,
        cancel: Option<&Cancel>,
    ) -> impl FnOnce(*mut *mut c_void, *mut *mut c_void) -> i32 {
        let (endpoint, second, options) = (c_text(endpoint), optional(second), optional(options));
        // SAFETY: the texts, the connector and the token live through the call; the out-pointers are valid.
        move |out, error| unsafe {
            let (second, options) = (pointer(&second), pointer(&options));
            function(self.0, endpoint.as_ptr(), second, options, token(cancel), out, error)
        }
    }

    /// `fetch` with a cancel token.
    pub fn fetch_until<'a>(
        &self,
        endpoint: &str,
        params: impl Into<Option<&'a str>>,
        options: impl Into<Option<&'a str>>,
        cancel: Option<&Cancel>,
    ) -> Result<Answer, Fault> {
        response(self.asking(c::apl_fetch, endpoint, params.into(), options.into(), cancel))
    }

    pub fn send<'a>(
        &self,
        endpoint: &str,
        data: &str,
        options: impl Into<Option<&'a str>>,
    ) -> Result<Answer, Fault> {
        self.send_until(endpoint, data, options, None)
    }

    /// `send` with a cancel token.
    pub fn send_until<'a>(
        &self,
        endpoint: &str,
        data: &str,
        options: impl Into<Option<&'a str>>,
        cancel: Option<&Cancel>,
    ) -> Result<Answer, Fault> {
        response(self.asking(c::apl_send, endpoint, Some(data), options.into(), cancel))
    }

    pub fn send_bytes<'a>(
        &self,
        endpoint: &str,
        body: &[u8],
        options: impl Into<Option<&'a str>>,
    ) -> Result<Answer, Fault> {
        self.send_bytes_until(endpoint, body, options, None)
    }

    /// `send_bytes` with a cancel token.
    pub fn send_bytes_until<'a>(
        &self,
        endpoint: &str,
        body: &[u8],
        options: impl Into<Option<&'a str>>,
        cancel: Option<&Cancel>,
    ) -> Result<Answer, Fault> {
        let (endpoint, options) = (c_text(endpoint), optional(options.into()));
        // SAFETY: as in `asking`; the bytes are borrowed for the call.
        response(|out, error| unsafe {
            let (body, len) = (body.as_ptr(), body.len());
            c::apl_send_bytes(
                self.0,
                endpoint.as_ptr(),
                body,
                len,
                pointer(&options),
                token(cancel),
                out,
                error,
            )
        })
    }

    /// Opens a stream.
    pub fn stream<'a>(
        &self,
        endpoint: &str,
        params: impl Into<Option<&'a str>>,
        options: impl Into<Option<&'a str>>,
        cancel: Option<&Cancel>,
    ) -> Result<Stream, Fault> {
        call(self.asking(c::apl_stream_open, endpoint, params.into(), options.into(), cancel)).map(Stream)
    }

    /// Opens a listing page by page.
    pub fn pages<'a>(
        &self,
        endpoint: &str,
        params: impl Into<Option<&'a str>>,
        options: impl Into<Option<&'a str>>,
        cancel: Option<&Cancel>,
    ) -> Result<Stream, Fault> {
        call(self.asking(c::apl_pages_open, endpoint, params.into(), options.into(), cancel)).map(Stream)
    }

    /// Opens a listing record by record.
    pub fn records<'a>(
        &self,
        endpoint: &str,
        params: impl Into<Option<&'a str>>,
        options: impl Into<Option<&'a str>>,
        cancel: Option<&Cancel>,
    ) -> Result<Stream, Fault> {
        call(self.asking(c::apl_records_open, endpoint, params.into(), options.into(), cancel)).map(Stream)
    }

    /// Downloads without a progress callback.
    pub fn download(&self, endpoint: &str, path: &Path, options: &str) -> Result<Downloaded, Fault> {
        self.download_until(endpoint, path, options, None, None)
    }

    /// Downloads; `on_progress` stops it by what it returns.
    pub fn download_until(
        &self,
        endpoint: &str,
        path: &Path,
        options: &str,
        on_progress: Option<&mut dyn FnMut(&Progress) -> i32>,
        cancel: Option<&Cancel>,
    ) -> Result<Downloaded, Fault> {
        unsafe extern "C" fn tell(handle: *const c_void, user_data: *mut c_void) -> i32 {
            // SAFETY: the handle is alive in the callback, and so is what the caller's frame holds.
            unsafe { (*user_data.cast::<&mut dyn FnMut(&Progress) -> i32>())(&progress(handle)) }
        }
        let (endpoint, options) = (c_text(endpoint), c_text(options));
        let path = c_text(path.to_str().unwrap());
        let (mut out, mut error) = (std::ptr::without_provenance_mut(8), std::ptr::without_provenance_mut(8));
        let mut on_progress = on_progress;
        let wanted = on_progress.is_some();
        let user_data = on_progress.as_mut().map_or(null_mut(), |f| std::ptr::from_mut(f).cast());
        // SAFETY: as in `asking`; the callback's data lives through the call.
        let status = unsafe {
            let (endpoint, path, options) = (endpoint.as_ptr(), path.as_ptr(), options.as_ptr());
            let callback = wanted.then_some(tell as unsafe extern "C" fn(*const c_void, *mut c_void) -> i32);
            let (params, cancel) = (null(), token(cancel));
            c::apl_download(
                self.0, endpoint, path, params, options, callback, user_data, cancel, &mut out, &mut error,
            )
        };
        if status >= 100 {
            assert!(out.is_null(), "status {status} with a result");
            let fault = fault(error);
            assert_eq!(fault.status, status, "the error's own status");
            return Err(fault);
        }
        assert!(error.is_null() && matches!(status, OK | STOPPED), "status {status}");
        let summary = answer(out);
        // SAFETY: freed once.
        unsafe { c::apl_response_free(out) };
        Ok(Downloaded { stopped: status == STOPPED, summary })
    }

    /// Opens a stream of events.
    pub fn sse<'a>(
        &self,
        endpoint: &str,
        params: impl Into<Option<&'a str>>,
        options: impl Into<Option<&'a str>>,
        cancel: Option<&Cancel>,
    ) -> Result<Stream, Fault> {
        call(self.asking(c::apl_sse_open, endpoint, params.into(), options.into(), cancel)).map(Stream)
    }

    /// Takes the events of a stream, and gives the status too; without `on_events` the summary has them.
    pub fn consume<'a>(
        &self,
        endpoint: &str,
        options: impl Into<Option<&'a str>>,
        on_events: Option<OnEvents<'_>>,
        cancel: Option<&Cancel>,
    ) -> Result<(i32, Answer), Fault> {
        unsafe extern "C" fn call_back(
            events: *const *const c_void,
            count: usize,
            user_data: *mut c_void,
        ) -> i32 {
            // SAFETY: it lives through the call, and is used by one callback at a time; the events are copied.
            unsafe {
                let on_events = &mut *user_data.cast::<OnEvents<'_>>();
                let events: Vec<Event> =
                    std::slice::from_raw_parts(events, count).iter().map(|e| event(*e)).collect();
                on_events(&events)
            }
        }

        let (endpoint, options) = (c_text(endpoint), optional(options.into()));
        let mut on_events = on_events;
        let (function, user_data): (Option<unsafe extern "C" fn(_, _, _) -> _>, _) = match &mut on_events {
            Some(on_events) => (Some(call_back), std::ptr::from_mut(on_events).cast()),
            None => (None, null_mut()),
        };
        let mut status = 0;
        // SAFETY: as in `asking`; the callback lives through the call.
        let answer = response(|out, error| unsafe {
            let options = pointer(&options);
            status = c::apl_consume_sse(
                self.0,
                endpoint.as_ptr(),
                null(),
                options,
                function,
                user_data,
                token(cancel),
                out,
                error,
            );
            status
        })?;
        Ok((status, answer))
    }

    /// What would be asked; without an endpoint, the configuration.
    pub fn explain<'a>(
        &self,
        endpoint: impl Into<Option<&'a str>>,
        params: impl Into<Option<&'a str>>,
        options: impl Into<Option<&'a str>>,
    ) -> Result<Answer, Fault> {
        let (endpoint, params, options) =
            (optional(endpoint.into()), optional(params.into()), optional(options.into()));
        // SAFETY: as in `asking`.
        response(|out, error| unsafe {
            let (endpoint, params, options) = (pointer(&endpoint), pointer(&params), pointer(&options));
            c::apl_explain(self.0, endpoint, params, options, out, error)
        })
    }

    pub fn health(&self) -> Result<Answer, Fault> {
        self.health_until(None)
    }

    /// `health` with a cancel token.
    pub fn health_until(&self, cancel: Option<&Cancel>) -> Result<Answer, Fault> {
        // SAFETY: as in `asking`.
        response(|out, error| unsafe { c::apl_check_health(self.0, token(cancel), out, error) })
    }
}

/// What came of a download.
#[derive(Debug)]
pub struct Downloaded {
    pub stopped: bool,
    pub summary: Answer,
}

/// A stream.
#[derive(Debug)]
pub struct Stream(*mut c_void);

// SAFETY: a stream may go from thread to thread, and `close` is for all of them.
unsafe impl Send for Stream {}
// SAFETY: misuse by two threads is detected.
unsafe impl Sync for Stream {}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: freed once.
        unsafe { c::apl_stream_free(self.0) }
    }
}

/// What a stream gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Item(Vec<u8>),
    End,
    Idle,
}

/// Takes a chunk of events.
pub type OnEvents<'t> = &'t mut dyn FnMut(&[Event]) -> i32;

/// An event, copied out.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: i32,
    pub name: String,
    pub id: Option<String>,
    pub data: String,
    pub json: Value,
    pub retry_ms: i64,
}

/// An event, copied out.
///
/// # Safety
/// The handle is alive.
unsafe fn event(handle: *const c_void) -> Event {
    assert!(!handle.is_null(), "no event");
    let (mut len, mut json_len) = (7, 7);
    // SAFETY: the caller's promise.
    unsafe {
        let data = c::apl_event_data(handle, &mut len);
        assert_eq!(*data.add(len), 0, "data is NUL-terminated beyond its length");
        let data =
            std::str::from_utf8(std::slice::from_raw_parts(data, len)).expect("data is UTF-8").to_owned();
        let json = owned(c::apl_event_json(handle, &mut json_len));
        assert_eq!(json.len(), json_len);
        let id = c::apl_event_id(handle);
        let event = Event {
            kind: c::apl_event_kind(handle),
            name: owned(c::apl_event_type(handle)),
            id: (!id.is_null()).then(|| owned(id)),
            json: serde_json::from_str(&json).expect("an event is JSON"),
            retry_ms: c::apl_event_retry_ms(handle),
            data,
        };
        assert_eq!(event.json["raw_data"], event.data.as_str());
        assert_eq!(event.json["event"], event.name.as_str());
        assert_eq!(event.json["id"].as_str(), event.id.as_deref());
        event
    }
}

/// How far a transfer has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub endpoint: String,
    pub processed: i64,
    pub streamed: i64,
    pub total: i64,
    pub percent: f64,
    pub chunk: i64,
    pub resumed: bool,
    pub done: bool,
    pub speed: f64,
    pub eta_ms: i64,
}

/// A progress, copied out.
///
/// # Safety
/// The handle is alive.
pub unsafe fn progress(handle: *const c_void) -> Progress {
    assert!(!handle.is_null(), "no progress");
    // SAFETY: the caller's promise.
    unsafe {
        Progress {
            endpoint: owned(c::apl_progress_endpoint(handle)),
            processed: c::apl_progress_bytes_processed(handle),
            streamed: c::apl_progress_bytes_streamed(handle),
            total: c::apl_progress_total_bytes(handle),
            percent: c::apl_progress_percent(handle),
            chunk: c::apl_progress_chunk_index(handle),
            resumed: c::apl_progress_resumed(handle) != 0,
            done: c::apl_progress_done(handle) != 0,
            speed: c::apl_progress_bytes_per_second(handle),
            eta_ms: c::apl_progress_eta_ms(handle),
        }
    }
}

impl Stream {
    /// The next piece, copied out.
    pub fn next(&self) -> Result<Next, Fault> {
        let (mut data, mut len) = (std::ptr::without_provenance(8), 7);
        let mut error = std::ptr::without_provenance_mut(8);
        // SAFETY: the stream is alive; the out-pointers are valid.
        let status = unsafe { c::apl_stream_next(self.0, &mut data, &mut len, &mut error) };
        if status != OK {
            assert!(data.is_null() && len == 0, "status {status} with data");
        }
        if status >= 100 {
            assert!(!error.is_null(), "status {status} without an error");
            let fault = fault(error);
            assert_eq!(fault.status, status, "the error's own status");
            return Err(fault);
        }
        assert!(error.is_null(), "status {status} with an error");
        Ok(match status {
            OK => {
                // SAFETY: the piece is alive until the next call; a NUL is behind it.
                unsafe {
                    assert_eq!(*data.add(len), 0, "a piece is NUL-terminated beyond its length");
                    Next::Item(std::slice::from_raw_parts(data, len).to_vec())
                }
            }
            END => Next::End,
            IDLE => Next::Idle,
            other => panic!("status {other}"),
        })
    }

    /// The sizes of all pieces, and their bytes.
    pub fn all(&self) -> Result<(Vec<usize>, Vec<u8>), Fault> {
        let (mut sizes, mut bytes) = (Vec::new(), Vec::new());
        loop {
            match self.next_looked_at()? {
                Next::Item(item) => {
                    sizes.push(item.len());
                    bytes.extend(item);
                }
                Next::End => return Ok((sizes, bytes)),
                Next::Idle => {}
            }
        }
    }

    /// The event that came last, copied out.
    pub fn event(&self) -> Option<Event> {
        // SAFETY: the stream is alive; what it hands out is copied.
        unsafe {
            let handle = c::apl_stream_event(self.0);
            (!handle.is_null()).then(|| event(handle))
        }
    }

    pub fn response(&self) -> Option<Answer> {
        // SAFETY: the stream is alive; what it hands out is copied.
        let response = unsafe { c::apl_stream_response(self.0) };
        (!response.is_null()).then(|| answer(response))
    }

    /// Is another thread inside? Nothing of what a getter hands out is looked at: it would be that thread's.
    pub fn is_in_use(&self) -> bool {
        // SAFETY: the stream is alive.
        unsafe { c::apl_stream_response(self.0) }.is_null()
    }

    /// `next`, beside a thread that looks whether it is in use: to look is to use it for a moment.
    pub fn next_looked_at(&self) -> Result<Next, Fault> {
        loop {
            match self.next() {
                Err(fault) if fault.status == BUSY => std::thread::yield_now(),
                outcome => return outcome,
            }
        }
    }

    pub fn progress(&self) -> Option<Progress> {
        // SAFETY: as above.
        unsafe {
            let handle = c::apl_stream_progress(self.0);
            (!handle.is_null()).then(|| progress(handle))
        }
    }

    pub fn checkpoint(&self) -> Option<String> {
        // SAFETY: as above.
        let text = unsafe { c::apl_stream_checkpoint(self.0) };
        (!text.is_null()).then(|| owned(text))
    }

    pub fn close(&self) {
        // SAFETY: the stream is alive.
        unsafe { c::apl_stream_close(self.0) }
    }
}

/// A request that is about to be sent, in the callback that signs it.
pub struct Outgoing(*mut c_void);

impl Outgoing {
    pub fn method(&self) -> String {
        // SAFETY: the request is alive while the callback runs.
        owned(unsafe { c::apl_request_method(self.0) })
    }

    pub fn url(&self) -> String {
        // SAFETY: as above.
        owned(unsafe { c::apl_request_url(self.0) })
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let name = c_text(name);
        // SAFETY: as above; the name lives through the call.
        let value = unsafe { c::apl_request_header(self.0, name.as_ptr()) };
        (!value.is_null()).then(|| owned(value))
    }

    pub fn body(&self) -> Option<Vec<u8>> {
        let mut len = 0;
        // SAFETY: as above; the bytes are copied, and NUL-terminated beyond their length.
        unsafe {
            let body = c::apl_request_body(self.0, &mut len);
            if body.is_null() {
                return None;
            }
            assert_eq!(*body.add(len), 0, "a body is NUL-terminated beyond its length");
            Some(std::slice::from_raw_parts(body, len).to_vec())
        }
    }

    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        let (name, value) = (c_text(name), c_text(value));
        // SAFETY: as above.
        status(|error| unsafe { c::apl_request_set_header(self.0, name.as_ptr(), value.as_ptr(), error) })
    }

    pub fn set_query(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        let (name, value) = (c_text(name), c_text(value));
        // SAFETY: as above.
        status(|error| unsafe { c::apl_request_set_query(self.0, name.as_ptr(), value.as_ptr(), error) })
    }
}

/// A call that answers with a status only.
fn status(f: impl FnOnce(*mut *mut c_void) -> i32) -> Result<(), Fault> {
    let mut error = std::ptr::without_provenance_mut(8);
    let status = f(&mut error);
    if status < 100 {
        assert!(error.is_null(), "status {status} with an error");
        return Ok(());
    }
    let fault = fault(error);
    assert_eq!(fault.status, status, "the error's own status");
    Err(fault)
}

/// Runs `f` and gives every log line of the process meanwhile. One at a time: the log is the process's.
pub fn log_lines<T>(f: impl FnOnce() -> T) -> (T, Vec<String>) {
    let (result, lines) = logged(f);
    (result, lines.into_iter().map(|(line, _)| line).collect())
}

/// The same, but for the threads on which the lines were told.
pub fn log_threads<T>(f: impl FnOnce() -> T) -> (T, Vec<ThreadId>) {
    let (result, lines) = logged(f);
    (result, lines.into_iter().map(|(_, thread)| thread).collect())
}

type Line = (String, ThreadId);

fn logged<T>(f: impl FnOnce() -> T) -> (T, Vec<Line>) {
    static ONE: Mutex<()> = Mutex::new(());

    unsafe extern "C" fn on_log(level: i32, message: *const c_char, user_data: *mut c_void) {
        // SAFETY: `on_drop` has not run: a callback that runs keeps its user data.
        let lines = unsafe { &*user_data.cast::<Mutex<Vec<Line>>>() };
        let line = (format!("{level} {}", owned(message)), std::thread::current().id());
        lines.lock().unwrap().push(line);
    }

    unsafe extern "C" fn on_drop(user_data: *mut c_void) {
        // SAFETY: it came from `into_raw` and is given back once.
        drop(unsafe { Arc::from_raw(user_data.cast::<Mutex<Vec<Line>>>().cast_const()) });
    }

    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let lines: Arc<Mutex<Vec<Line>>> = Arc::default();
    let kept = Arc::into_raw(lines.clone()).cast_mut().cast();
    // SAFETY: the user data lives until `on_drop`.
    unsafe { c::apl_log_set(5, Some(on_log), kept, Some(on_drop)) };
    let result = f();
    // SAFETY: no callback, no condition.
    unsafe { c::apl_log_set(0, None, null_mut(), None) };
    let lines = lines.lock().unwrap().clone();
    (result, lines)
}
