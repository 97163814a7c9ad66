//! Credentials that are made for each request. What makes them sees the request and can ask a token endpoint; it knows
//! nothing of how requests travel.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::response::{Head, Response};
use crate::transport::Token;

/// A request whose bytes are final, but for its credentials.
pub trait Signable {
    /// The method in capital letters.
    fn method(&self) -> &str;
    /// The whole URL.
    fn url(&self) -> &str;
    /// The value of a field.
    fn header(&self, name: &str) -> Option<Cow<'_, str>>;
    /// The body, where it lies in memory.
    fn body(&self) -> Option<&[u8]>;
    /// Sets a field, which is shown nowhere; one of that name is replaced.
    fn set_header(&mut self, name: &str, value: &str) -> Result<()>;
    /// Sets a query parameter, not encoded, whose value is shown nowhere; those of that name are replaced.
    fn set_query(&mut self, name: &str, value: &str) -> Result<()>;
    /// Another secret that the server may say back: it is shown nowhere either.
    fn hide(&mut self, secret: &str);
}

/// What a scheme may ask of the call that it works for.
pub trait Ask {
    /// Sends a form to a token endpoint, through the one pipeline: without credentials, never redirected, at most 1 MiB
    /// of answer.
    fn send(&self, form: &Form<'_>) -> Result<Response>;
    /// Has the host store a new token: its callback runs on the caller's thread. A refusal is an error.
    fn store(&self, token_json: &str) -> Result<()>;
    /// Ends every wait.
    fn cancel(&self) -> Option<&Arc<Token>>;
    /// The call is over then.
    fn deadline(&self) -> Option<Instant>;
}

/// A request to a token endpoint.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    /// Where it goes.
    pub to: &'a super::Place,
    /// In application/x-www-form-urlencoded.
    pub body: &'a str,
    /// The value of Authorization, where the client proves itself by it.
    pub authorization: Option<&'a str>,
    /// What is in it that nobody may see.
    pub secrets: &'a [&'a str],
}

/// Credentials that are made for each request, after its bytes are final.
pub trait Scheme: Debug + Send + Sync {
    /// Puts them on a request, on every attempt that goes to a place they are for. Gives their number, so that it can be
    /// said later which ones were refused.
    ///
    /// `ask`: None where nothing may be sent, because the request is only to be shown.
    fn sign(&self, draft: &mut dyn Signable, ask: Option<&dyn Ask>) -> Result<u64>;

    /// The server has refused a request with the credentials of that number: 401, or a rule that says refresh_token.
    /// True: the next request would carry other ones.
    fn refused(&self, number: u64, head: &Head) -> bool;
}
