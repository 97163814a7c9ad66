//! A request and an answer as they travel, for the log and for whoever asks: without secrets.

use std::fmt::{self, Display, Formatter};

use crate::redact::{HIDDEN, Redactor};
use crate::request::Content;
use crate::response::Head;

use super::attempt::Signed;
use super::sign::content_length;

/// A request as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// In capital letters.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Every field, in the order of the wire.
    pub headers: Vec<(String, String)>,
}

impl Shown {
    pub(super) fn of(signed: &Signed<'_>, redactor: &Redactor) -> Shown {
        let mut headers = Vec::new();
        each_header(signed, redactor, |name, value| headers.push((name.to_owned(), value.to_owned())));
        Shown { method: signed.method.to_string(), url: signed.shown_url.to_string(), headers }
    }
}

fn each_header(signed: &Signed<'_>, redactor: &Redactor, mut with: impl FnMut(&str, &str)) {
    for (name, value) in &signed.draft.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        // Of an Authorization the scheme may be seen, whoever has set it.
        let hidden = name != http::header::AUTHORIZATION && signed.draft.hidden.contains(name);
        let value = match hidden {
            true => HIDDEN.into(),
            false => signed.prepared.redacted_header(name.as_str(), &value),
        };
        with(name.as_str(), &redactor.redact(&value));
    }
    if let Some(length) = content_length(signed.method, signed.body) {
        with("content-length", &length.to_string());
    }
}

/// The log's text of a request. Nothing is made before it is written.
pub(super) struct Outgoing<'a>(pub &'a Signed<'a>, pub &'a Redactor);

impl Display for Outgoing<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Outgoing(signed, redactor) = self;
        let url = signed.shown_url.as_str();
        let start = url.find("://").map_or(0, |i| i + 3);
        let target = url[start..].find('/').map_or("/", |i| &url[start + i..]);
        writeln!(f, "{}\n> {} {target} HTTP/1.1", signed.endpoint, signed.method)?;
        let mut outcome = Ok(());
        each_header(signed, redactor, |name, value| {
            outcome = outcome.and_then(|()| writeln!(f, "> {name}: {value}"));
        });
        outcome?;
        match signed.body.map_or(Some(0), Content::length) {
            Some(length) => write!(f, "> {length} bytes of body"),
            None => f.write_str("> a body with files in it"),
        }
    }
}

/// The log's text of an answer.
pub(super) struct Incoming<'a> {
    pub endpoint: &'a str,
    pub head: &'a Head,
    /// What came of its body, before content codings were taken off; None where the body failed.
    pub size: Option<usize>,
    pub redactor: &'a Redactor,
}

impl Display for Incoming<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Incoming { endpoint, head, size, redactor } = self;
        writeln!(f, "{endpoint}\n< HTTP/1.{} {}", head.minor_version, head.status)?;
        for (name, value) in head.iter() {
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            // A session is as good as a password, and no redactor knows it.
            let value = if name.eq_ignore_ascii_case("set-cookie") { HIDDEN.into() } else { value };
            writeln!(f, "< {name}: {}", redactor.redact(&value))?;
        }
        match size {
            Some(size) => write!(f, "< {size} bytes of body"),
            None => f.write_str("< the body was not read whole"),
        }
    }
}
