//! `apl_connector` and the calls that answer once.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::cancel::{apl_cancel, token};
use super::error::apl_error;
use super::handle::{Kept, apl_drop_fn, null};
use super::request::{apl_request_fn, signer};
use super::response::apl_response;
use super::status::apl_status;
use super::{guard, handle, text};
use crate::connector::Connector;
use crate::error::Result;
use crate::exchange::OnToken;

/// An API, described once: base URL, credentials, endpoints, and a pool of connections.
///
/// It is shared: calls that take it as const are thread-safe.
///
/// @since 0.1.0
pub struct apl_connector {
    connector: Arc<Connector>,
}

impl apl_connector {
    fn into_raw(connector: Connector) -> *mut apl_connector {
        Arc::into_raw(Arc::new(apl_connector { connector: Arc::new(connector) })).cast_mut()
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }
}

/// Receives a new token to store, before it is used.
///
/// It runs on the thread whose call got the token, on several threads at once where several calls run, and
/// never while a lock is held. It must not throw or unwind.
///
/// @param token_json  valid until the callback returns
/// @param user_data  what was handed over with the callback
/// @return 0: stored; anything else makes the call fail with APL_STATUS_AUTH
/// @since 0.1.0
pub type apl_token_fn =
    Option<unsafe extern "C" fn(token_json: *const c_char, user_data: *mut c_void) -> i32>;

/// Makes a connector from configuration text: JSON, or YAML if it does not begin with "{".
///
/// Nothing is connected yet. Thread-safe.
///
/// @param config_json  UTF-8, of 8 MiB at most
/// @param out  receives a handle to free with apl_connector_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK, INVALID_CONFIG, or a problem with an argument
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_connector_new(
    config_json: *const c_char,
    out: *mut *mut apl_connector,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            let config = text::required(config_json, "config_json")?;
            Connector::from_text(config).map(apl_connector::into_raw)
        })
    }
}

/// Makes a connector from a configuration file.
///
/// Nothing is connected yet. Thread-safe.
///
/// @param config_path  UTF-8; "file.yaml#source" picks one connector out of a whole apilinker file
/// @param out  receives a handle to free with apl_connector_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK, INVALID_CONFIG, FILE, or a problem with an argument
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_connector_open(
    config_path: *const c_char,
    out: *mut *mut apl_connector,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            let path = text::required(config_path, "config_path")?;
            Connector::open(Path::new(path)).map(apl_connector::into_raw)
        })
    }
}

/// Frees a connector.
///
/// Calls that are already inside finish as if nothing had happened; streams keep what they need.
///
/// @param connector  NULL does nothing
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_connector_free(connector: *mut apl_connector) {
    if !connector.is_null() {
        // SAFETY: the reference that `into_raw` gave away, given back once, by contract.
        guard::or((), || drop(unsafe { Arc::from_raw(connector) }));
    }
}

/// Sets who stores the tokens that calls of this connector receive.
///
/// It is set before the first call; one that was set before is replaced. One thread at a time.
///
/// It runs on the thread of the call that has asked for the token. A call that needs the token and comes from within it
/// is BUSY. From the other callbacks of that call it waits for the token, as those of other threads do.
///
/// A request for a token has the settings of the connector, and of the call its cancel and its deadline alone. It is sent
/// again where it has failed, with its refresh token too: the answer that was lost may have held the next one. A server
/// that takes each refresh token once (RFC 9700 4.14.2) may then refuse it, and so it may where the call that was asking
/// is cancelled: somebody has to sign in again. A call that is to be cancelled often is given a token beforehand, by a
/// call that is not.
///
/// @param connector  before its first call
/// @param on_token  gets each new token as JSON: storage_key, access_token, refresh_token, expires_at, token_type, scope
/// @param user_data  handed to on_token and drop
/// @param drop  runs exactly once, also if this call fails; NULL: nothing to do
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK, BUSY after the first call, or a problem with an argument
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_connector_on_token(
    connector: *mut apl_connector,
    on_token: apl_token_fn,
    user_data: *mut c_void,
    drop: apl_drop_fn,
    error: *mut *mut apl_error,
) -> apl_status {
    let kept = Kept::new(user_data, drop);
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::call(error, || {
            let connector = handle::shared(connector, "connector")?;
            let on_token = on_token.ok_or_else(|| null("on_token"))?;
            connector.connector.on_token(keeper(on_token, kept))?;
            Ok(apl_status::Ok)
        })
    }
}

/// The host's callback as the pipeline calls it.
fn keeper(on_token: unsafe extern "C" fn(*const c_char, *mut c_void) -> i32, kept: Kept) -> OnToken {
    Box::new(move |json| {
        // JSON has no NUL in it: in its strings, it is written out.
        let text = Zeroizing::new([json, &[0]].concat());
        let kept = &kept;
        // SAFETY: the host handed over the two together, to be called on any thread.
        guard::outside(|| unsafe { on_token(text.as_ptr().cast(), kept.user_data) })
    })
}

/// Sets who signs the requests of this connector: each attempt, after its bytes are final.
///
/// It is set before the first call, and never sees a request to another origin; one that was set before is
/// replaced. One thread at a time.
///
/// @param connector  before its first call
/// @param on_request  may read the request and set headers and query parameters, which are shown nowhere
/// @param user_data  handed to on_request and drop
/// @param drop  runs exactly once, also if this call fails; NULL: nothing to do
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK, BUSY after the first call, or a problem with an argument
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_connector_on_request(
    connector: *mut apl_connector,
    on_request: apl_request_fn,
    user_data: *mut c_void,
    drop: apl_drop_fn,
    error: *mut *mut apl_error,
) -> apl_status {
    let kept = Kept::new(user_data, drop);
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::call(error, || {
            let connector = handle::shared(connector, "connector")?;
            let on_request = on_request.ok_or_else(|| null("on_request"))?;
            connector.connector.on_request(signer(on_request, kept))?;
            Ok(apl_status::Ok)
        })
    }
}

/// Asks the API for its health; the verdict is the body, as JSON.
///
/// Blocks until there is a verdict. Thread-safe.
///
/// @param connector  whose API it is
/// @param cancel  cancels the call; NULL: nothing does
/// @param out  receives an answer to free with apl_response_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK whenever there is a verdict, also a bad one
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_check_health(
    connector: *const apl_connector,
    cancel: *const apl_cancel,
    out: *mut *mut apl_response,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            let connector = handle::shared(connector, "connector")?;
            connector.connector.check_health(token(cancel).as_ref()).map(apl_response::into_raw)
        })
    }
}

/// Fetches data from an endpoint; the body of the answer is the data, as JSON.
///
/// A listing of several pages is one array. Where a page fails, or leads nowhere it may go, the error has what came
/// before as its partial, whose meta has a "checkpoint": as an option of a later call, it goes on from there. The
/// same is in the meta of an answer that ended at "max_pages" or "max_records". The option "prefetch" (0) asks for
/// so many pages ahead, where they are counted. Blocks until it is done. Thread-safe.
///
/// @param connector  whose API it is
/// @param endpoint  its name in the configuration
/// @param params_json  query and path parameters, or the variables of a GraphQL query, a JSON object; NULL: none
/// @param options_json  a JSON object; NULL: the defaults
/// @param cancel  cancels the call; NULL: nothing does
/// @param out  receives an answer to free with apl_response_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK; UNKNOWN_ENDPOINT and INVALID_ARGUMENT, before anything is sent; what a request can fail with; DECODE
///   and SCHEMA where the answer is not what the endpoint says; PAGINATION where a listing cannot go on; FILE for a
///   body_file
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_fetch(
    connector: *const apl_connector,
    endpoint: *const c_char,
    params_json: *const c_char,
    options_json: *const c_char,
    cancel: *const apl_cancel,
    out: *mut *mut apl_response,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            let to = Target::new(connector, endpoint, params_json, options_json, cancel)?;
            let answer = to.connector().fetch(to.endpoint, to.params, to.options, to.cancel.as_ref());
            answer.map(apl_response::into_raw)
        })
    }
}

/// Sends data to an endpoint, as JSON; the body of the answer tells what became of it, as JSON.
///
/// Blocks until it is done. Thread-safe. The items of an array are sent one by one, or as the endpoint's `batch` says;
/// with the option `concurrency`, so many requests are under way at once. The answer is a ledger of all items. Where
/// one failed, the call is an error, and apl_error_partial is the ledger; given back as the option `resume` with the
/// same array, it has the call go on: what is done is not sent again. An item that may have been processed is sent
/// again only where that is harmless: by its method, or under the idempotency_key that it was sent with.
///
/// @param connector  whose API it is
/// @param endpoint  its name in the configuration
/// @param data_json  one item, or an array of items
/// @param options_json  a JSON object; NULL: the defaults
/// @param cancel  cancels the call; NULL: nothing does
/// @param out  receives an answer to free with apl_response_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK if all of it is; UNKNOWN_ENDPOINT, INVALID_ARGUMENT and, for request_schema, SCHEMA, before anything is
///   sent; what a request can fail with; DECODE. Of a list, the first failure's
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_send(
    connector: *const apl_connector,
    endpoint: *const c_char,
    data_json: *const c_char,
    options_json: *const c_char,
    cancel: *const apl_cancel,
    out: *mut *mut apl_response,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            let to = Target::new(connector, endpoint, std::ptr::null(), options_json, cancel)?;
            let data = text::required(data_json, "data_json")?;
            let answer = to.connector().send(to.endpoint, data, to.options, to.cancel.as_ref());
            answer.map(apl_response::into_raw)
        })
    }
}

/// Sends a body to an endpoint as it is, with the endpoint's method and Content-Type.
///
/// Blocks until it is done. Thread-safe.
///
/// @param connector  whose API it is
/// @param endpoint  its name in the configuration
/// @param body  borrowed until the call returns; NULL with a body_len of 0 is an empty body
/// @param body_len  in bytes
/// @param options_json  a JSON object; NULL: the defaults
/// @param cancel  cancels the call; NULL: nothing does
/// @param out  receives an answer to free with apl_response_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK; UNKNOWN_ENDPOINT and INVALID_ARGUMENT, before anything is sent; what a request can fail with; DECODE
///   and SCHEMA where the answer is not what the endpoint says
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_send_bytes(
    connector: *const apl_connector,
    endpoint: *const c_char,
    body: *const u8,
    body_len: usize,
    options_json: *const c_char,
    cancel: *const apl_cancel,
    out: *mut *mut apl_response,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            let to = Target::new(connector, endpoint, std::ptr::null(), options_json, cancel)?;
            let body = text::bytes(body, body_len, "body")?;
            let answer = to.connector().send_bytes(to.endpoint, body, to.options, to.cancel.as_ref());
            answer.map(apl_response::into_raw)
        })
    }
}

/// Tells the request that would be sent, also as a curl command, secrets redacted; nothing is sent.
///
/// It is the request of apl_fetch; the body of the answer is JSON: method, url, headers, body, curl and notes.
/// Thread-safe.
///
/// @param connector  whose API it is
/// @param endpoint  its name in the configuration; NULL: tell the resolved configuration
/// @param params_json  query and path parameters, a JSON object; NULL: none
/// @param options_json  a JSON object; NULL: the defaults
/// @param out  receives an answer to free with apl_response_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK; UNKNOWN_ENDPOINT, or a problem with an argument
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_explain(
    connector: *const apl_connector,
    endpoint: *const c_char,
    params_json: *const c_char,
    options_json: *const c_char,
    out: *mut *mut apl_response,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            let connector = handle::shared(connector, "connector")?;
            let endpoint = text::optional(endpoint, "endpoint")?;
            let params = text::optional(params_json, "params_json")?;
            let options = text::optional(options_json, "options_json")?;
            connector.connector.explain(endpoint, params, options).map(apl_response::into_raw)
        })
    }
}

/// The arguments that every call to an endpoint has.
pub(super) struct Target<'a> {
    connector: Arc<apl_connector>,
    pub(super) endpoint: &'a str,
    pub(super) params: Option<&'a str>,
    pub(super) options: Option<&'a str>,
    pub(super) cancel: Option<Arc<crate::transport::Token>>,
}

impl<'a> Target<'a> {
    /// Checks them all, and takes a share in the handles.
    ///
    /// # Safety
    /// Each pointer is NULL or what its type says, and the strings live for `'a`.
    pub(super) unsafe fn new(
        connector: *const apl_connector,
        endpoint: *const c_char,
        params: *const c_char,
        options: *const c_char,
        cancel: *const apl_cancel,
    ) -> Result<Target<'a>> {
        // SAFETY: the caller's promise.
        unsafe {
            Ok(Target {
                connector: handle::shared(connector, "connector")?,
                endpoint: text::required(endpoint, "endpoint")?,
                params: text::optional(params, "params_json")?,
                options: text::optional(options, "options_json")?,
                cancel: token(cancel),
            })
        }
    }

    pub(super) fn connector(&self) -> &Arc<Connector> {
        &self.connector.connector
    }
}
