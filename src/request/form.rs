//! The fields of a form, and how they travel: urlencoded (WHATWG) or multipart (RFC 7578).

use std::borrow::Cow;
use std::path::Path;

use super::content::{Content, Piece};
use super::options::PartKeys;
use super::params::Param;
use crate::config::{Entries, Fault};

const BYTES: &str = "application/octet-stream";

/// The members of a JSON object as a form's fields.
pub(super) fn fields(json: &str) -> Result<Vec<(Cow<'_, str>, Param<'_>)>, Fault> {
    if !json.starts_with('{') {
        return Err(Fault::new("a form's fields are a JSON object"));
    }
    let Entries(entries) = serde_json::from_str(json).map_err(|e| Fault::new(e.to_string()))?;
    let field = |(name, raw)| {
        let _: &serde_json::value::RawValue = raw;
        match Param::read(raw) {
            Ok(value) => Ok((name, value)),
            Err(message) => Err(Fault::new(message).under(name)),
        }
    };
    entries.into_iter().map(field).collect()
}

/// application/x-www-form-urlencoded.
pub(super) fn urlencoded(json: &str) -> Result<Content<'static>, Fault> {
    let mut out = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields(json)? {
        for value in value.values() {
            out.append_pair(&name, value);
        }
    }
    Ok(Content::Bytes(Cow::Owned(out.finish().into_bytes())))
}

/// A multipart body in the making. Text is gathered; a file is a piece of its own.
pub(super) struct Multipart<'a> {
    boundary: String,
    text: Vec<u8>,
    pieces: Vec<Piece<'a>>,
}

impl<'a> Multipart<'a> {
    pub(super) fn new(boundary: String) -> Multipart<'a> {
        Multipart { boundary, text: Vec::new(), pieces: Vec::new() }
    }

    /// Each member of a JSON object is a part, each item of a list too.
    pub(super) fn object(mut self, json: &str) -> Result<Content<'a>, Fault> {
        for (name, value) in fields(json)? {
            for value in value.values() {
                self.open(&name, None, None);
                self.text.extend_from_slice(value.as_bytes());
                self.close();
            }
        }
        Ok(self.finish())
    }

    /// The parts that the option `multipart` gives; they have been checked.
    pub(super) fn parts(mut self, parts: &'a [PartKeys]) -> Result<Content<'a>, Fault> {
        for part in parts {
            let file = part.file.as_deref();
            let last = |path: &'a str| path.rsplit('/').next().unwrap_or(path);
            let filename = part.filename.as_deref().or(file.map(last));
            // A file without a type is bytes, as browsers have it.
            let media = part.content_type.as_deref().or(filename.map(|_| BYTES));
            self.open(&part.name, filename, media);
            match file {
                Some(path) => {
                    self.pieces.push(Piece::Bytes(Cow::Owned(std::mem::take(&mut self.text))));
                    self.pieces.push(Piece::File(Path::new(path)));
                }
                None => self.text.extend_from_slice(part.text()?.as_bytes()),
            }
            self.close();
        }
        Ok(self.finish())
    }

    fn open(&mut self, name: &str, filename: Option<&str>, media: Option<&str>) {
        let text = &mut self.text;
        text.extend_from_slice(format!("--{}\r\n", self.boundary).as_bytes());
        text.extend_from_slice(b"Content-Disposition: form-data; name=\"");
        escape(name, text);
        if let Some(filename) = filename {
            text.extend_from_slice(b"\"; filename=\"");
            escape(filename, text);
        }
        text.extend_from_slice(b"\"\r\n");
        if let Some(media) = media {
            text.extend_from_slice(format!("Content-Type: {media}\r\n").as_bytes());
        }
        text.extend_from_slice(b"\r\n");
    }

    fn close(&mut self) {
        self.text.extend_from_slice(b"\r\n");
    }

    fn finish(mut self) -> Content<'a> {
        self.text.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        if self.pieces.is_empty() {
            return Content::Bytes(Cow::Owned(self.text));
        }
        self.pieces.push(Piece::Bytes(Cow::Owned(self.text)));
        Content::Pieces(self.pieces)
    }
}

/// What would end a quoted name is escaped as the HTML standard has it; all else goes out as UTF-8.
fn escape(name: &str, out: &mut Vec<u8>) {
    for byte in name.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"%22"),
            b'\r' => out.extend_from_slice(b"%0D"),
            b'\n' => out.extend_from_slice(b"%0A"),
            other => out.push(other),
        }
    }
}
