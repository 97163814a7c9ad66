//! Credentials that are made for each request. What makes them sees the request and can ask a token endpoint; it knows
//! nothing of how requests travel.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use zeroize::Zeroizing;

use super::Place;
use crate::config::Secret;
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
    /// All fields, with Host and without those that the transport sets.
    fn headers(&self) -> Vec<(&str, Cow<'_, str>)>;
    /// The body, where it lies in memory.
    fn body(&self) -> Option<&[u8]>;
    /// Sets a field, which is shown nowhere; one of that name is replaced.
    fn set_header(&mut self, name: &str, value: &str) -> Result<()>;
    /// Sets a field that everybody may see; one of that name is replaced.
    fn set_open_header(&mut self, name: &str, value: &str) -> Result<()>;
    /// Sets a query parameter, not encoded, whose value is shown nowhere; those of that name are replaced.
    fn set_query(&mut self, name: &str, value: &str) -> Result<()>;
}

/// What a scheme may ask of the call that it works for.
pub trait Ask {
    /// Sends a form to a token endpoint, through the one pipeline: without credentials, never redirected, at most 1 MiB
    /// of answer. `form`: makes it, for each attempt.
    fn send(&self, to: &Place, repeat: Repeat, form: &dyn Fn() -> Result<Form>) -> Result<Response>;
    /// Has the host store a new token: its callback runs on the caller's thread. A refusal is an error.
    fn store(&self, token_json: &[u8]) -> Result<()>;
    /// What a server says, for a message: without these secrets and those that the call knows, in one line, not long.
    fn excerpt(&self, text: &str, secrets: &[&str]) -> String;
    /// Ends every wait.
    fn cancel(&self) -> Option<&Arc<Token>>;
    /// The call is over then.
    fn deadline(&self) -> Option<Instant>;
}

/// What a token endpoint is asked.
pub struct Form {
    /// In application/x-www-form-urlencoded.
    pub body: Zeroizing<String>,
    /// The value of Authorization, where the client proves itself by it.
    pub authorization: Option<Zeroizing<String>>,
    /// What is in it that nobody may see.
    pub secrets: Vec<Zeroizing<String>>,
}

/// May a form be sent again after a failure?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Yes, also the very same one.
    Same,
    /// Yes, but a new one is made: the endpoint takes none twice.
    Made,
    /// Only where nothing of it was sent.
    Unsent,
    /// No: whoever sends it decides about another attempt.
    Never,
}

/// A sign-in that needs a person.
pub trait SignIn {
    /// Begins one: what the person is to be shown, as JSON. One that was begun before cannot be finished any more.
    fn begin(&self, ask: &dyn Ask) -> Result<Vec<u8>>;

    /// Finishes it: what came of it, as JSON, and nothing secret. `redirect_url`: where the browser came back to; None:
    /// there is no browser, and the person is waited for.
    fn finish(&self, redirect_url: Option<&str>, ask: &dyn Ask) -> Result<Vec<u8>>;
}

/// Credentials that are made for each request, after its bytes are final.
pub trait Scheme: Debug + Send + Sync {
    /// Puts them on a request, on every attempt that goes to a place they are for. Gives their number, so that it can be
    /// said later which ones were refused.
    ///
    /// `ask`: None where nothing may be sent, because the request is only to be shown.
    fn sign(&self, draft: &mut dyn Signable, ask: Option<&dyn Ask>) -> Result<u64>;

    /// The server has refused a request with the credentials of that number: 401, or a rule that says refresh_token.
    fn refused(&self, number: u64, refusal: &Refusal<'_>) -> Verdict;

    /// What it has learned that nobody may see: tokens, and what a sign-in is finished with.
    fn secrets(&self) -> Vec<Secret> {
        Vec::new()
    }

    /// How often it has learned something, so far.
    fn learned(&self) -> u64 {
        0
    }

    /// How a person signs in; None: nobody does.
    fn sign_in(&self) -> Option<&dyn SignIn> {
        None
    }

    /// Are they made of the request's bytes? Then the host's callback comes first, and what it sets is signed too.
    fn covers_request(&self) -> bool {
        false
    }
}

/// A request that was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'r> {
    /// The whole URL.
    pub url: &'r str,
    /// How often it was made once more already, with other credentials.
    pub renewals: u32,
    /// The answer.
    pub head: &'r Head,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is made once more: it would carry other credentials now.
    Again,
    /// It stands.
    Stands,
    /// It stands, and this is why. The server's words may be in it.
    Because(String),
}

/// Where schemes take the time and what nobody can guess from.
#[derive(Clone, Copy, Debug)]
pub struct Sources {
    /// The time.
    pub now: fn() -> SystemTime,
    /// Text that nobody can guess.
    pub nonce: fn() -> String,
}
