//! A person signs in: the two calls around it.

use std::ffi::c_char;

use super::cancel::{apl_cancel, token};
use super::connector::apl_connector;
use super::error::apl_error;
use super::response::apl_response;
use super::status::apl_status;
use super::{guard, handle, text};

/// Begins a sign-in that needs a person, for the auth types oauth2_pkce and oauth2_device_flow.
///
/// The body of the answer is JSON, for the eyes of that person alone:
///
/// - oauth2_pkce (RFC 6749 4.1, RFC 7636): {"authorization_url", "state"}. Nothing is sent. Open the address in the
///   system's browser, and hand the one that the browser comes back to, at redirect_uri, to apl_auth_finish.
/// - oauth2_device_flow (RFC 8628): {"verification_uri", "verification_uri_complete", "user_code", "expires_in",
///   "interval"}: the address to visit on any device, the same with the code in it or null, the code to type in there,
///   and seconds: how long it can be used, and between two questions of apl_auth_finish. The device authorization
///   endpoint is asked.
///
/// A connector has one sign-in at a time: a new one takes the place of one that was not finished, and a call of
/// apl_auth_finish that works on that one ends with INVALID_ARGUMENT, at once where it waits for the person. A token
/// that is in use stays in use until the new one is there. Blocks; thread-safe.
///
/// @param connector  whose API it is
/// @param options_json  a JSON object: deadline, timeout, retry_count, retry_delay, retry, limits; NULL: the defaults
/// @param cancel  cancels the call; NULL: nothing does
/// @param out  receives an answer to free with apl_response_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK; INVALID_ARGUMENT for a connector that nobody signs in to, and for an option that says nothing here; AUTH
///   where the endpoint refuses the client, or its answer is none; REDIRECT: it is never followed; and what a request
///   can fail with
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_auth_begin(
    connector: *const apl_connector,
    options_json: *const c_char,
    cancel: *const apl_cancel,
    out: *mut *mut apl_response,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            let connector = handle::shared(connector, "connector")?;
            let options = text::optional(options_json, "options_json")?;
            connector.connector().auth_begin(options, token(cancel).as_ref()).map(apl_response::into_raw)
        })
    }
}

/// Finishes the sign-in that apl_auth_begin began: gets its token, and has it stored.
///
/// With oauth2_pkce, the address that the browser came back to is checked (its state, RFC 9207's iss), and its code
/// exchanged. With oauth2_device_flow, the call waits for the person: it asks the token endpoint again and again, as
/// RFC 8628 3.5 says, until the person is done or the codes have ended; give it a cancel. Between two questions it keeps
/// the server's interval, from one call to the next too, and leaves the server alone for as long as its Retry-After says.
///
/// The token goes to the callback of apl_connector_on_token before it is used. Where that refuses, the call fails, and
/// the token is offered again before the next request. A cancel that comes when the token is there already does not undo
/// the sign-in: the call succeeds, and the next request has the token stored before it uses it. From here on, calls
/// carry it; it is replaced with its refresh token, early, and once where a server refuses it. Where that cannot be done
/// early, the token is used until it ends. Where there is no refresh token, or it is refused, calls fail with AUTH from
/// then on, until somebody signs in again.
///
/// The body of the answer is JSON without the token: {"success": true, "token_type": "Bearer", "expires_at": seconds
/// since 1970 or null, "scope": what was granted or null, "storage_key": the configuration's or null}.
///
/// A sign-in is used up when its token endpoint has decided. Before, after a failure of the network, a CANCELLED, or an address
/// that does not fit, the same sign-in can be finished with another call. The code of a browser is not sent again by
/// itself unless nothing of it was sent (RFC 6749 4.1.2: it is good for once, and a server that sees it twice may end
/// what it granted); another call sends it again. One that another process has begun is finished here where the
/// configuration has its code_verifier and state, or its device_code. Blocks; thread-safe; one call at a time finishes a
/// sign-in.
///
/// @param connector  whose API it is
/// @param redirect_url  oauth2_pkce: the address that the browser came back to, all of it, its path and query, or its
///   query ("?code=...&state=..."); oauth2_device_flow: NULL
/// @param cancel  cancels the call, and ends its waits at once; NULL: nothing does
/// @param out  receives an answer to free with apl_response_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK; INVALID_ARGUMENT where no sign-in was begun, or another one meanwhile, for an address that is not
///   redirect_uri's, and where redirect_url is NULL and should not be, or is not and should; AUTH for an address that is not the answer to what
///   was begun, where the person or the server refuses (access_denied, invalid_grant and others), where the codes have ended
///   (expired_token), and where the callback refuses; BUSY while another call finishes it, and from callbacks within
///   one; CANCELLED; and what a request can fail with
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_auth_finish(
    connector: *const apl_connector,
    redirect_url: *const c_char,
    cancel: *const apl_cancel,
    out: *mut *mut apl_response,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            let connector = handle::shared(connector, "connector")?;
            let redirect_url = text::optional(redirect_url, "redirect_url")?;
            connector
                .connector()
                .auth_finish(redirect_url, token(cancel).as_ref())
                .map(apl_response::into_raw)
        })
    }
}
