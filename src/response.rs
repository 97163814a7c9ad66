//! An answer: its head as it came, its body, and what is known about how it came.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::quota::Quota;
use crate::redact::{Redactor, ShownUrl};

/// The head of an answer: the bytes as they came, and where its fields lie in them.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The status code, 100 to 599.
    pub status: u16,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    bytes: Box<[u8]>,
    fields: Box<[Field]>,
}

#[derive(Clone, Debug)]
struct Field {
    name: Range<u32>,
    value: Range<u32>,
}

impl Head {
    /// A head whose fields are `(name, value)` ranges of `bytes`, in the order of the wire.
    pub fn new(
        status: u16,
        minor_version: u8,
        bytes: Box<[u8]>,
        fields: impl Iterator<Item = (Range<u32>, Range<u32>)>,
    ) -> Head {
        let fields = fields.map(|(name, value)| Field { name, value }).collect();
        Head { status, minor_version, bytes, fields }
    }

    /// A head with these fields.
    pub fn of<'f>(
        status: u16,
        minor_version: u8,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Head {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for (name, value) in fields {
            let at = bytes.len() as u32;
            bytes.extend_from_slice(name);
            let middle = bytes.len() as u32;
            bytes.extend_from_slice(value);
            places.push((at..middle, middle..bytes.len() as u32));
        }
        Head::new(status, minor_version, bytes.into(), places.into_iter())
    }

    /// All fields in the order of the wire, names as they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let at = |r: &Range<u32>| &self.bytes[r.start as usize..r.end as usize];
        self.fields.iter().map(move |f| (at(&f.name), at(&f.value)))
    }

    /// Every value of a field; the name's case does not matter.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }

    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }
}

/// A head with these fields, for tests.
#[cfg(test)]
pub(crate) fn head(status: u16, fields: &[(&str, &str)]) -> Head {
    Head::of(status, 1, fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

/// The field list of `meta.headers`: `[[name, value], …]`, bytes that are not UTF-8 replaced.
struct Shown<'a> {
    head: &'a Head,
    redactor: &'a Redactor,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.head.fields.len()))?;
        for (name, value) in self.head.iter() {
            let value = String::from_utf8_lossy(value);
            list.serialize_element(&(String::from_utf8_lossy(name), self.redactor.redact(&value)))?;
        }
        list.end()
    }
}

/// Did the request reach the server? It decides whether it may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sent {
    /// Not a byte of it was accepted by a connection to the server.
    No,
    /// It was (partly) handed over and no complete answer came: it may have been processed.
    Maybe,
    /// The server answered.
    Yes,
}

/// One attempt at a request, as the meta and the error report it.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// 1 for the first.
    pub n: u32,
    /// The URL, redacted.
    pub url: ShownUrl,
    /// The answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The failure, where there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Did the request reach the server?
    pub sent: Sent,
    /// The wait before this attempt, milliseconds.
    pub wait_ms: u64,
    /// The attempt itself, milliseconds.
    pub ms: u64,
}

/// Milliseconds spent in each part of the last attempt.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timings {
    /// Name resolution; absent when no name was resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<f64>,
    /// TCP connect; absent on a reused connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<f64>,
    /// TLS handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<f64>,
    /// From the request's first byte to the answer's head.
    pub head: f64,
    /// The body.
    pub body: f64,
    /// The whole call.
    pub total: f64,
}

/// One page of a listing that was merged.
#[derive(Clone, Debug, Serialize)]
pub struct PageNote {
    /// Where it was, redacted.
    pub url: ShownUrl,
    /// Its status.
    pub status: u16,
    /// Its items.
    pub items: u64,
}

/// How an answer came: the JSON of `apl_response_meta`.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// The final URL, redacted.
    pub url: ShownUrl,
    /// Is the end of the body certain? False for a close-delimited body on plain HTTP.
    pub length_known: bool,
    /// Every attempt.
    pub attempts: Vec<Attempt>,
    /// The redirects that were followed: where each led, redacted.
    pub redirects: Vec<ShownUrl>,
    /// Milliseconds.
    pub timings: Timings,
    /// The peer's address.
    pub remote_addr: Option<std::net::SocketAddr>,
    /// Did the connection come from the pool?
    pub reused: bool,
    /// Did the server confirm an answer that was kept? Then the body, and most of the head, are that answer's.
    pub revalidated: bool,
    /// When the head came.
    pub received: Option<SystemTime>,
    /// The pages of a listing that were merged.
    pub pages: Vec<PageNote>,
    /// How many items were sent, or are in the pages.
    pub items: Option<u64>,
    /// How often a stream was gone on with; None: never.
    pub reconnects: Option<u64>,
    /// How many events were dropped because the caller was too slow; None where none is ever dropped.
    pub dropped: Option<u64>,
    /// The place to go on from, where there is one.
    pub checkpoint: Option<String>,
    /// What the caller should know although nothing failed.
    pub warnings: Vec<String>,
    /// Takes the secrets out of what the server says back, wherever that is shown.
    pub redactor: Arc<Redactor>,
}

/// A finished answer.
#[derive(Debug, Default)]
pub struct Response {
    /// Status and fields.
    pub head: Head,
    /// How it came.
    pub meta: Meta,
    body: Vec<u8>,
    data: Range<usize>,
}

impl Response {
    /// An answer whose body is all of `body`.
    pub fn new(head: Head, meta: Meta, body: Vec<u8>) -> Response {
        let all = 0..body.len();
        Response::with_data(head, meta, body, all)
    }

    /// An answer whose body is `data`, a range of `buffer`. The byte behind it becomes NUL, which is what C
    /// callers are promised; nothing behind it is kept.
    pub fn with_data(head: Head, meta: Meta, mut buffer: Vec<u8>, data: Range<usize>) -> Response {
        buffer.truncate(data.end);
        buffer.push(0);
        Response { head, meta, body: buffer, data }
    }

    /// The body. The byte behind it is NUL.
    pub fn body(&self) -> &[u8] {
        &self.body[self.data.clone()]
    }

    /// The body, for whoever marks a place in it.
    pub(crate) fn body_mut(&mut self) -> &mut [u8] {
        &mut self.body[self.data.clone()]
    }

    /// The same answer with a part of its body, without a copy.
    pub(crate) fn narrowed(self, part: Range<usize>) -> Response {
        Response::with_data(self.head, self.meta, self.body, part)
    }

    /// The answer without its body, and the body.
    pub(crate) fn take_body(mut self) -> (Response, Vec<u8>) {
        let mut body = std::mem::take(&mut self.body);
        body.truncate(self.data.end);
        body.drain(..self.data.start);
        (self.with_body(Vec::new()), body)
    }

    /// The same answer with another body.
    pub(crate) fn with_body(self, body: Vec<u8>) -> Response {
        Response::new(self.head, self.meta, body)
    }

    /// The JSON text of `apl_response_meta`.
    pub fn meta_json(&self) -> String {
        #[derive(Serialize)]
        struct Json<'a> {
            #[serde(skip_serializing_if = "str::is_empty")]
            url: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            http_version: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            status: Option<u16>,
            #[serde(skip_serializing_if = "Option::is_none")]
            headers: Option<Shown<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            length_known: Option<bool>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            attempts: &'a [Attempt],
            #[serde(skip_serializing_if = "Option::is_none")]
            timings: Option<&'a Timings>,
            #[serde(skip_serializing_if = "Option::is_none")]
            remote_addr: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reused: Option<bool>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            redirects: &'a [ShownUrl],
            #[serde(skip_serializing_if = "Option::is_none")]
            rate_limit: Option<Quota>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            pages: &'a [PageNote],
            #[serde(skip_serializing_if = "Option::is_none")]
            items: Option<u64>,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            revalidated: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            reconnects: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            dropped: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            checkpoint: Option<&'a str>,
            warnings: &'a [String],
        }
        let answered = self.head.status != 0;
        let json = Json {
            url: self.meta.url.as_str(),
            http_version: answered.then_some(if self.head.minor_version == 0 { "1.0" } else { "1.1" }),
            status: answered.then_some(self.head.status),
            headers: answered.then_some(Shown { head: &self.head, redactor: &self.meta.redactor }),
            length_known: answered.then_some(self.meta.length_known),
            attempts: &self.meta.attempts,
            timings: answered.then_some(&self.meta.timings),
            remote_addr: self.meta.remote_addr.map(|a| a.to_string()),
            reused: answered.then_some(self.meta.reused),
            redirects: &self.meta.redirects,
            rate_limit: self.meta.received.and_then(|at| Quota::of(&self.head, at)),
            pages: &self.meta.pages,
            items: self.meta.items,
            revalidated: self.meta.revalidated,
            reconnects: self.meta.reconnects,
            dropped: self.meta.dropped,
            checkpoint: self.meta.checkpoint.as_deref(),
            warnings: &self.meta.warnings,
        };
        serde_json::to_string(&json).unwrap_or_else(|_| "{}".into())
    }
}
