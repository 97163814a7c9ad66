//! The options of a call.

use std::borrow::Cow;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::form::fields;
use super::params::scalar;
use crate::config::endpoint::DropPolicy;
use crate::config::node::{Entry, Node, Pos, Value};
use crate::config::settings::{AcceptEncoding, LimitKeys, RedirectKeys, RetryKeys, Timeout};
use crate::config::values::{Delay, Named, RawJson, Seconds, Size, Statuses};
use crate::config::{
    Entries, Fault, Overrides, Text, header_count, header_name, header_value, object, read, read_json,
};
use crate::digest::Digest;
use crate::error::{Error, Result};

/// Which call it is: not every option says something in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// fetch
    Fetch,
    /// pages, records, and a fetch of several pages
    Pages,
    /// send
    Send,
    /// send_bytes
    SendBytes,
    /// auth_begin
    SignIn,
}

/// The options that say something in a sign-in.
const SIGN_IN: [&str; 6] = ["deadline", "timeout", "retry_count", "retry_delay", "retry", "limits"];

/// What a call says beside its parameters. `params`, `data` and `ledger` stay the caller's bytes.
#[derive(Clone, Debug, Default)]
pub struct CallOptions<'a> {
    /// Parameters of a send.
    pub params: Option<&'a RawValue>,
    /// A JSON body.
    pub data: Option<&'a RawValue>,
    /// A send's ledger to go on with: `resume` where it is a list or an object. The results in it are a server's bytes.
    pub ledger: Option<&'a RawValue>,
    /// All others.
    pub keys: OptionKeys,
}

/// The call options beside `params` and `data`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptionKeys {
    /// Here only so that a misspelt key finds it.
    params: Option<bool>,
    /// Here only so that a misspelt key finds it.
    data: Option<bool>,
    /// A form's fields.
    pub form: Option<RawJson>,
    /// A multipart body's parts.
    pub multipart: Option<Vec<PartKeys>>,
    /// A file that is the body.
    pub body_file: Option<String>,
    /// The body's Content-Type.
    pub content_type: Option<String>,
    /// Further headers.
    pub extra_headers: Named<Text>,
    /// Streams and downloads: further headers, under `extra_headers`.
    pub headers: Named<Text>,
    /// Seconds for the whole call.
    pub deadline: Option<Seconds>,
    /// Time limits of one attempt.
    pub timeout: Option<Timeout>,
    /// Attempts in all.
    pub retry_count: Option<u32>,
    /// Base of the exponential backoff, seconds.
    pub retry_delay: Option<Delay>,
    /// Details of repeating.
    pub retry: Option<RetryKeys>,
    /// Redirects.
    pub redirects: Option<RedirectKeys>,
    /// Limits on what a server may send.
    pub limits: Option<LimitKeys>,
    /// Which encodings are asked for.
    pub accept_encoding: Option<AcceptEncoding>,
    /// Further statuses that are no error.
    pub ok_status: Option<Statuses>,
    /// The Idempotency-Key.
    pub idempotency_key: Option<String>,
    /// Where to go on.
    pub checkpoint: Option<String>,
    /// A send's requests at once.
    pub concurrency: Option<NonZeroU32>,
    /// Pages fetched ahead.
    pub prefetch: Option<u32>,
    /// Whether a download goes on with a part; a send's is `ledger`.
    pub resume: Option<RawJson>,
    /// Seconds that a stream waits for the next item.
    pub wait: Option<Delay>,
    /// As in `sse`.
    pub max_events: Option<u64>,
    /// As in `sse` and `streaming`.
    pub reconnect: Option<bool>,
    /// As in `sse`.
    pub reconnect_delay: Option<Delay>,
    /// As in `sse`.
    pub max_reconnect_attempts: Option<u32>,
    /// As in `sse` and `streaming`.
    pub read_timeout: Option<Seconds>,
    /// As in `sse`.
    pub decode_json: Option<bool>,
    /// As in `sse` and `streaming`.
    pub chunk_size: Option<Size>,
    /// As in `sse`.
    pub backpressure_buffer_size: Option<NonZeroUsize>,
    /// As in `sse`.
    pub drop_policy: Option<DropPolicy>,
    /// As in `sse`.
    pub sentinel: Option<String>,
    /// As in `sse`.
    pub error_path: Option<String>,
    /// As in `sse`.
    pub comments: Option<bool>,
    /// As in `sse`.
    pub lifecycle: Option<bool>,
    /// As in `sse`.
    pub last_event_id: Option<String>,
    /// As in `sse`.
    pub reconnect_clamp: Option<(Delay, Delay)>,
    /// As in `streaming`.
    pub resume_from: Option<u64>,
    /// As in `streaming`.
    pub segments: Option<NonZeroU32>,
    /// As in `streaming`.
    pub digest: Option<Digest>,
    /// As in `streaming`.
    pub expected_size: Option<u64>,
    /// As in `streaming`.
    pub expected_type: Option<String>,
    /// As in `streaming`.
    pub require_length: Option<bool>,
    /// As in `streaming`.
    pub overwrite: Option<bool>,
    /// As in `streaming`.
    pub use_server_name: Option<bool>,
}

/// A part of a multipart body: a value or a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartKeys {
    /// The field's name.
    pub name: String,
    /// Its value, a scalar.
    #[serde(default)]
    pub value: Option<RawJson>,
    /// The file that is its value.
    #[serde(default)]
    pub file: Option<String>,
    /// The name to give to a file; else the last segment of its path.
    #[serde(default)]
    pub filename: Option<String>,
    /// The part's Content-Type.
    #[serde(default)]
    pub content_type: Option<String>,
}

impl PartKeys {
    /// The value as text; numbers as they were written.
    pub(super) fn text(&self) -> Result<Cow<'_, str>, Fault> {
        let Some(value) = &self.value else { return Ok(Cow::Borrowed("")) };
        let raw: &RawValue = serde_json::from_str(value.get()).map_err(|e| Fault::new(e.to_string()))?;
        scalar(raw).map_err(|_| Fault::new("must be a string, number or boolean").under("value"))
    }

    fn check(&self) -> Result<(), Fault> {
        match (&self.value, &self.file) {
            (Some(_), Some(_)) => {
                return Err(Fault::new("has both \"value\" and \"file\"; a part is one of them"));
            }
            (None, None) => return Err(Fault::new("needs a \"value\" or a \"file\"")),
            (Some(_), None) => drop(self.text()?),
            (None, Some(file)) => path(file).map_err(|f| f.under("file"))?,
        }
        if let Some(media) = &self.content_type {
            header_value(media).map_err(|m| Fault::new(m).under("content_type"))?;
        }
        Ok(())
    }
}

/// Can it be the path of a file at all?
fn path(text: &str) -> Result<(), Fault> {
    match text.is_empty() || text.contains('\0') {
        true => Err(Fault::new("must be the path of a file")),
        false => Ok(()),
    }
}

impl<'a> CallOptions<'a> {
    /// Reads `options_json`; None and `{}` are the defaults.
    pub fn parse(text: Option<&'a str>) -> Result<CallOptions<'a>> {
        let Some(text) = text.filter(|t| *t != "{}") else { return Ok(CallOptions::default()) };
        parse(text).map_err(|f| {
            // A program made the text: its lines say something only where there is no key to name.
            let f = if f.pointer().is_empty() { f } else { f.without_position() };
            Error::argument(format!("options: {f}"))
        })
    }

    /// What this call says about the shared settings.
    pub fn overrides(&self) -> Option<Overrides<'_>> {
        let k = &self.keys;
        let any = k.timeout.is_some()
            || k.retry_count.is_some()
            || k.retry_delay.is_some()
            || k.retry.is_some()
            || k.redirects.is_some()
            || k.limits.is_some()
            || k.accept_encoding.is_some();
        any.then_some(Overrides {
            timeout: k.timeout.as_ref(),
            retry_count: k.retry_count,
            retry_delay: k.retry_delay,
            retry: k.retry.as_ref(),
            redirects: k.redirects.as_ref(),
            limits: k.limits.as_ref(),
            accept_encoding: k.accept_encoding,
        })
    }

    /// The time limit of the whole call.
    pub fn deadline(&self) -> Option<Duration> {
        self.keys.deadline.map(|d| d.0)
    }

    /// Reads them for such a call: an option that would say nothing there is a fault.
    pub fn parse_for(text: Option<&'a str>, call: Call) -> Result<CallOptions<'a>> {
        let options = CallOptions::parse(text)?;
        if let (Call::SignIn, Some(text)) = (call, text) {
            let Entries(entries) = object(text).map_err(|f| Error::argument(format!("options: {f}")))?;
            if let Some((key, _)) = entries.iter().find(|(key, _)| !SIGN_IN.contains(&key.as_ref())) {
                let what = format!("options: /{key}: says nothing in a sign-in; {} do", SIGN_IN.join(", "));
                return Err(Error::argument(what));
            }
        }
        options.check_for(call).map(|()| options)
    }

    /// Is there an option that would say nothing in such a call?
    pub fn check_for(&self, call: Call) -> Result<()> {
        let k = &self.keys;
        let (sends, lists) = (call == Call::Send, call == Call::Pages);
        let listing = "is for listings, and this is none: the endpoint has no `pagination`";
        let rows = [
            (k.checkpoint.is_some() && !lists, "checkpoint", listing),
            (k.prefetch.is_some_and(|n| n > 0) && !lists, "prefetch", listing),
            (
                k.concurrency.is_some_and(|n| n.get() > 1) && !sends,
                "concurrency",
                "is for lists that are sent",
            ),
            (
                (k.resume.is_some() || self.ledger.is_some()) && !sends,
                "resume",
                "is for lists that are sent, and downloads",
            ),
        ];
        match rows.into_iter().find(|(there, ..)| *there) {
            Some((_, key, what)) => Err(Error::argument(format!("options: /{key}: {what}"))),
            None => Ok(()),
        }
    }
}

fn parse(text: &str) -> Result<CallOptions<'_>, Fault> {
    let Entries(entries) = object(text)?;
    let mut options = CallOptions::default();
    let pos = Pos { line: 1, column: 1 };
    let mut rest = Vec::new();
    for (key, raw) in entries {
        match key.as_ref() {
            "params" if raw.get().starts_with('{') => options.params = Some(raw),
            "params" if raw.get() == "null" => {}
            "params" => return Err(Fault::new("must be a mapping").under("params")),
            // null is a body too.
            "data" => options.data = Some(raw),
            "resume" if raw.get().starts_with(['[', '{']) => options.ledger = Some(raw),
            // Notes have their place in a configuration, not here.
            "description" | "name" => return Err(Fault::new("unknown key").under(key)),
            k if k.starts_with("x-") => return Err(Fault::new("unknown key").under(k)),
            k => {
                let node = read_json(raw.get()).map_err(|f| f.under(k))?;
                if k == "multipart" {
                    no_notes(&node).map_err(|f| f.under(k))?;
                }
                rest.push(Entry { key: key.into_owned(), pos, node });
            }
        }
    }
    if !rest.is_empty() {
        options.keys = read(&Node { pos, value: Value::Map(rest) })?;
    }
    let k = &options.keys;
    for (block, headers) in [("extra_headers", &k.extra_headers), ("headers", &k.headers)] {
        header_count(headers.0.len()).map_err(|m| Fault::new(m).under(block))?;
        for (i, (name, value)) in headers.iter().enumerate() {
            let check = header_name(name).and_then(|()| header_value(value.as_str()));
            // A name with a line break in it must not break the message either.
            let place = if name.contains(|c: char| c.is_control()) { i.to_string() } else { name.into() };
            check.map_err(|m| Fault::new(m).under(place).under(block))?;
        }
    }
    if let Some(media) = &k.content_type {
        header_value(media).map_err(|m| Fault::new(m).under("content_type"))?;
    }
    if let Some(key) = &k.idempotency_key {
        let empty = if key.trim().is_empty() { Err("must not be empty".to_owned()) } else { Ok(()) };
        empty.and_then(|()| header_value(key)).map_err(|m| Fault::new(m).under("idempotency_key"))?;
    }
    if let Some(form) = &k.form {
        fields(form.get()).map_err(|f| f.under("form"))?;
    }
    for (i, part) in k.multipart.iter().flatten().enumerate() {
        part.check().map_err(|f| f.under(i.to_string()).under("multipart"))?;
    }
    if let Some(file) = &k.body_file {
        path(file).map_err(|f| f.under("body_file"))?;
    }
    Ok(options)
}

/// Notes have their place in a configuration, not in a part.
fn no_notes(parts: &Node) -> Result<(), Fault> {
    let Value::List(parts) = &parts.value else { return Ok(()) };
    for (i, part) in parts.iter().enumerate() {
        let Value::Map(entries) = &part.value else { continue };
        if let Some(note) = entries.iter().find(|e| e.key == "description" || e.key.starts_with("x-")) {
            return Err(Fault::new("unknown key").under(note.key.as_str()).under(i.to_string()));
        }
    }
    Ok(())
}
