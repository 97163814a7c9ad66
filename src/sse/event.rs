//! One event, as it is handed out.

use std::borrow::Cow;
use std::ffi::{CStr, c_char};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::decode;

/// What it is. The numbers are the C ABI's.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An event of the server.
    Event = 0,
    /// A comment of the server.
    Comment = 1,
    /// A connection was made.
    Connected = 2,
    /// A connection has ended, or none could be made.
    Disconnected = 3,
}

/// An event, a comment, or what happened to the connection.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its type; of what is no event, the kind's name.
    pub name: &'a str,
    /// The id of the last event that had one, UTF-8, and a NUL behind it.
    pub(super) id: &'a [u8],
    /// UTF-8, and a NUL behind it.
    pub(super) data: &'a [u8],
    /// The reconnection time that it brought along, milliseconds; of a disconnect, the wait.
    pub retry: Option<u64>,
    /// Is its data decoded as JSON, where it is some?
    pub decode_json: bool,
}

impl<'a> Event<'a> {
    /// `data` has a NUL behind it, and `id` ends with its.
    pub(super) fn new(kind: Kind, name: &'a str, id: &'a [u8], data: &'a [u8]) -> Event<'a> {
        Event { kind, name, id, data, retry: None, decode_json: false }
    }

    /// Nothing yet.
    pub fn none() -> Event<'static> {
        Event::new(Kind::Event, "", b"\0", b"\0".split_at(0).0)
    }

    /// The id of the last event that had one, UTF-8; empty: there is none.
    pub fn id(&self) -> &'a CStr {
        CStr::from_bytes_with_nul(self.id).unwrap_or_default()
    }

    /// Where the same begins for C; None: there is none.
    pub fn id_begin(&self) -> Option<*const c_char> {
        (self.id.len() > 1).then(|| self.id.as_ptr().cast())
    }

    /// Its data, a comment's text, or why a connection has ended. The byte behind it is NUL.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The same as text.
    pub fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.data)
    }

    /// As the reference's dictionary: `id`, `event`, `data`, `retry`, `raw_data`.
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Json<'a> {
            id: Option<&'a str>,
            event: &'a str,
            data: Data<'a>,
            retry: Option<u64>,
            raw_data: &'a str,
        }
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Data<'a> {
            /// The server's bytes, untouched.
            Json(&'a RawValue),
            Text(&'a str),
        }
        let raw_data = self.text();
        let decoded = self.decode_json.then(|| decode::check(self.data).ok()).flatten();
        let decoded = decoded.and_then(|(_, json)| serde_json::from_str::<&RawValue>(json).ok());
        let json = Json {
            id: self.id().to_str().ok().filter(|id| !id.is_empty()),
            event: self.name,
            data: decoded.map_or(Data::Text(&raw_data), Data::Json),
            retry: self.retry,
            raw_data: &raw_data,
        };
        serde_json::to_string(&json).unwrap_or_else(|_| "{}".into())
    }

    /// A copy that outlives the stream's next step.
    pub fn to_owned(&self) -> Owned {
        let mut data = Vec::with_capacity(self.data.len() + 1);
        data.extend_from_slice(self.data);
        data.push(0);
        Owned {
            kind: self.kind,
            name: self.name.into(),
            id: self.id.into(),
            data,
            retry: self.retry,
            decode_json: self.decode_json,
        }
    }
}

/// An event by itself.
#[derive(Clone, Debug)]
pub struct Owned {
    kind: Kind,
    name: Box<str>,
    /// With the NUL.
    id: Box<[u8]>,
    /// With the NUL.
    data: Vec<u8>,
    retry: Option<u64>,
    decode_json: bool,
}

impl Owned {
    /// The event.
    pub fn event(&self) -> Event<'_> {
        Event {
            kind: self.kind,
            name: &self.name,
            id: &self.id,
            data: &self.data[..self.data.len() - 1],
            retry: self.retry,
            decode_json: self.decode_json,
        }
    }

    /// The bytes that it holds.
    pub fn size(&self) -> u64 {
        (self.name.len() + self.id.len() + self.data.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(id: &CStr, data: &str, decode_json: bool) -> String {
        let event = Event {
            retry: Some(5),
            decode_json,
            ..Event::new(Kind::Event, "message", id.to_bytes_with_nul(), data.as_bytes())
        };
        assert_eq!(event.to_owned().event().json(), event.json());
        event.json()
    }

    #[test]
    fn data_that_is_json_is_the_servers_json_and_other_data_is_text() {
        let of = |data| json(c"7", data, true);
        let expected = |data: &str, raw: &str| {
            format!(r#"{{"id":"7","event":"message","data":{data},"retry":5,"raw_data":{raw}}}"#)
        };
        assert_eq!(of(r#"{"a":1.50}"#), expected(r#"{"a":1.50}"#, r#""{\"a\":1.50}""#));
        assert_eq!(of("12345678901234567890"), expected("12345678901234567890", r#""12345678901234567890""#));
        assert_eq!(of("[1,\n2]"), expected("[1,\n2]", r#""[1,\n2]""#));
        for text in ["", "x", "{\"a\":", "[DONE]", "NaN", "1 2"] {
            let text_json = serde_json::json!(text).to_string();
            assert_eq!(of(text), expected(&text_json, &text_json));
        }
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        assert_eq!(of(&deep), expected(&format!("\"{deep}\""), &format!("\"{deep}\"")));
        assert_eq!(
            json(c"", "1", false),
            r#"{"id":null,"event":"message","data":"1","retry":5,"raw_data":"1"}"#
        );
    }
}
