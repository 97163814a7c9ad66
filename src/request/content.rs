//! What a request carries, and its media type: made from the call's one body and what the endpoint says of it.

use std::borrow::Cow;
use std::path::Path;

use serde_json::value::RawValue;

use super::body::{Body, data, merge, not_json};
use super::bulk::Bulk;
use super::form::{Multipart, fields, urlencoded};
use super::options::CallOptions;
use crate::config::Fault;
use crate::config::endpoint::BodyKind;
use crate::error::{Error, Result};

pub(super) const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// What a request carries.
#[derive(Clone)]
pub enum Content<'a> {
    /// These bytes.
    Bytes(Cow<'a, [u8]>),
    /// These pieces, one after the other; at least one is a file.
    Pieces(Vec<Piece<'a>>),
}

impl Content<'_> {
    /// Its length, bytes; `None`: a file has to be opened first.
    pub fn length(&self) -> Option<usize> {
        match self {
            Content::Bytes(bytes) => Some(bytes.len()),
            Content::Pieces(_) => None,
        }
    }
}

/// Data stays out of logs.
impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Content::Pieces(pieces) => pieces.fmt(f),
        }
    }
}

/// A piece of a body.
#[derive(Clone)]
pub enum Piece<'a> {
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A file's content. It is opened when the request is about to be sent.
    File(&'a Path),
}

/// Data stays out of logs.
impl std::fmt::Debug for Piece<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Piece::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Piece::File(path) => write!(f, "{path:?}"),
        }
    }
}

/// What a Content-Type that the configuration or the call sets by hand means beside the body's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// It wins.
    Default,
    /// It wins only when the call itself sets it: a connector's header was not meant for a form.
    OverConfigured,
    /// It is dropped.
    Fixed,
}

/// A body and its media type.
pub(super) struct Typed<'a> {
    pub content: Option<Content<'a>>,
    pub media: Option<(Cow<'a, str>, Media)>,
}

/// What an endpoint says about its bodies.
#[derive(Clone, Debug)]
pub(super) struct Bodies {
    pub kind: BodyKind,
    pub template: Option<String>,
    pub content_type: Option<String>,
    /// How several items stand in one.
    pub bulk: Option<Bulk>,
    /// Makes a boundary that is in no value.
    pub boundary: fn() -> String,
}

impl Bodies {
    /// Can the endpoint's calls have such a body at all? The fault lies under the endpoint's keys.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if let (BodyKind::Form | BodyKind::Multipart, Some(template)) = (self.kind, &self.template) {
            fields(template).map_err(|f| f.under("body_template"))?;
        }
        match (self.kind, &self.content_type) {
            (BodyKind::Multipart, Some(media)) => multipart_type(media).map_err(|f| f.under("content_type")),
            _ => Ok(()),
        }
    }

    /// The body of a call.
    pub(super) fn make<'a>(&'a self, options: &'a CallOptions<'_>, body: Body<'a>) -> Result<Typed<'a>> {
        only_one(options, body)?;
        let keys = &options.keys;
        let wrong = |key: &'static str| move |f: Fault| Error::argument(format!("options: {}", f.under(key)));
        if let Some(form) = &keys.form {
            let json: Cow<'_, str> = match &self.template {
                Some(template) if self.kind == BodyKind::Form => merge(Some(template), data(form.get())?)?,
                _ => Cow::Borrowed(form.get()),
            };
            return Ok(self.form(options, urlencoded(&json).map_err(wrong("form"))?));
        }
        if let Some(parts) = &keys.multipart {
            return self.multipart(options, |m| m.parts(parts).map_err(wrong("multipart")));
        }
        if let Some(path) = &keys.body_file {
            let content = Content::Pieces(vec![Piece::File(Path::new(path))]);
            return Ok(self.typed(options, content, BYTES));
        }
        let given = match body {
            Body::Bytes(bytes) => {
                return Ok(self.typed(options, Content::Bytes(Cow::Borrowed(bytes)), BYTES));
            }
            Body::Send(text) => Some(data(text)?),
            Body::Batch(items) => return self.batch(options, items),
            Body::Fetch | Body::Stream | Body::Events => options.data,
        };
        let template = self.template.as_deref();
        let json = match (given, template) {
            (Some(given), _) => merge(template, given)?,
            (None, Some(template)) => Cow::Borrowed(template),
            (None, None) => return Ok(Typed { content: None, media: None }),
        };
        let wrong = |f: Fault| Error::argument(format!("data: {f}"));
        match self.kind {
            BodyKind::Json => Ok(self.typed(options, text(json), JSON)),
            BodyKind::Form => Ok(self.form(options, urlencoded(&json).map_err(wrong)?)),
            BodyKind::Multipart => self.multipart(options, |m| m.object(&json).map_err(wrong)),
            // A raw body that is given as a JSON string is the string's text.
            BodyKind::Raw if json.starts_with('"') => {
                let inside = serde_json::from_str::<String>(&json).map_err(not_json)?;
                Ok(self.typed(options, text(Cow::Owned(inside)), BYTES))
            }
            BodyKind::Raw => Ok(self.typed(options, text(json), BYTES)),
        }
    }

    fn batch<'a>(&'a self, options: &'a CallOptions<'_>, items: &[&RawValue]) -> Result<Typed<'a>> {
        let bulk =
            self.bulk.as_ref().ok_or_else(|| Error::internal("a batch for an endpoint without `batch`"))?;
        let body = bulk.body(self.template.as_deref(), items)?;
        let (usual, over) = bulk.media();
        let typed = self.typed(options, text(Cow::Owned(body)), usual);
        Ok(Typed { media: typed.media.map(|(media, _)| (media, over)), ..typed })
    }

    fn typed<'a>(
        &'a self,
        options: &'a CallOptions<'_>,
        content: Content<'a>,
        usual: &'static str,
    ) -> Typed<'a> {
        let said = options.keys.content_type.as_deref().or(self.content_type.as_deref());
        Typed { content: Some(content), media: Some((Cow::Borrowed(said.unwrap_or(usual)), Media::Default)) }
    }

    /// The type that was said for a body of this kind; the endpoint's is of the endpoint's kind.
    fn said<'a>(&'a self, options: &'a CallOptions<'_>, kind: BodyKind) -> Option<&'a str> {
        let endpoint = self.content_type.as_deref().filter(|_| self.kind == kind);
        options.keys.content_type.as_deref().or(endpoint)
    }

    fn form<'a>(&'a self, options: &'a CallOptions<'_>, content: Content<'a>) -> Typed<'a> {
        let media = self.said(options, BodyKind::Form).unwrap_or(FORM);
        Typed { content: Some(content), media: Some((Cow::Borrowed(media), Media::OverConfigured)) }
    }

    fn multipart<'a>(
        &'a self,
        options: &'a CallOptions<'_>,
        make: impl FnOnce(Multipart<'a>) -> Result<Content<'a>>,
    ) -> Result<Typed<'a>> {
        let media = self.said(options, BodyKind::Multipart).unwrap_or(MULTIPART);
        multipart_type(media)
            .map_err(|f| Error::argument(format!("options: {}", f.under("content_type"))))?;
        let boundary = (self.boundary)();
        // Without the boundary nobody could read the body: no other header may stand in its place.
        let media = (Cow::Owned(format!("{media}; boundary={boundary}")), Media::Fixed);
        Ok(Typed { content: Some(make(Multipart::new(boundary))?), media: Some(media) })
    }
}

fn multipart_type(media: &str) -> Result<(), Fault> {
    let small = media.to_ascii_lowercase();
    if small.starts_with("multipart/") && !small.contains("boundary") {
        return Ok(());
    }
    Err(Fault::new(format!(
        "a multipart body cannot be {media:?}; it is multipart/… without a boundary, which is made for each request"
    )))
}

fn text(text: Cow<'_, str>) -> Content<'_> {
    Content::Bytes(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// A call has one body, wherever it is given.
fn only_one(options: &CallOptions<'_>, body: Body<'_>) -> Result<()> {
    let keys = &options.keys;
    let places = [
        (!matches!(body, Body::Fetch | Body::Stream | Body::Events), "what the call itself sends"),
        (options.data.is_some(), "the option \"data\""),
        (keys.form.is_some(), "the option \"form\""),
        (keys.multipart.is_some(), "the option \"multipart\""),
        (keys.body_file.is_some(), "the option \"body_file\""),
    ];
    let mut given = places.into_iter().filter(|(there, _)| *there).map(|(_, what)| what);
    match (given.next(), given.next()) {
        (Some(one), Some(other)) => {
            Err(Error::argument(format!("{one} and {other} are both bodies; a call has one")))
        }
        _ => Ok(()),
    }
}
