//! The request's body: what a call gives, merged over the endpoint's template.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::value::RawValue;

use crate::config::{Entries, MAX_DEPTH};
use crate::error::{Error, Result};

/// What a call gives as its body.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// fetch: the option `data`, the endpoint's `body_template`, or nothing.
    Fetch,
    /// stream and download: the same, for an answer that is handed on as it is.
    Stream,
    /// sse: the same, for a stream of events.
    Events,
    /// send: one item, a JSON text.
    Send(&'a str),
    /// send: several items, in one request.
    Batch(&'a [&'a RawValue]),
    /// send_bytes: these bytes.
    Bytes(&'a [u8]),
}

/// The items of a list to send, each as its bytes; None where it is not a list.
pub fn items(data: &str) -> Result<Option<Vec<&RawValue>>> {
    if !data.trim_start().starts_with('[') {
        return Ok(None);
    }
    serde_json::from_str(data).map(Some).map_err(not_json)
}

pub(super) fn not_json(error: serde_json::Error) -> Error {
    Error::argument(format!("data: not valid JSON: {error}"))
}

/// Reads the data of a call.
pub fn data(text: &str) -> Result<&RawValue> {
    serde_json::from_str(text).map_err(not_json)
}

/// Data over a template: objects are merged, in everything else the data wins. What is not merged keeps its bytes.
pub(super) fn merge<'a>(template: Option<&'a str>, data: &'a RawValue) -> Result<Cow<'a, str>> {
    let Some(template) = template.filter(|t| t.starts_with('{') && data.get().starts_with('{')) else {
        return Ok(Cow::Borrowed(data.get()));
    };
    let mut out = String::with_capacity(template.len() + data.get().len());
    merge_objects(template, data.get(), 0, &mut out).map_err(not_json)?;
    Ok(Cow::Owned(out))
}

/// Data with another object put over it.
pub fn merge_over(data: Option<&RawValue>, over: &str) -> Result<String> {
    let over = self::data(over)?;
    merge(data.map(RawValue::get), over).map(Cow::into_owned)
}

fn merge_objects(template: &str, data: &str, depth: usize, out: &mut String) -> serde_json::Result<()> {
    let Entries(under) = serde_json::from_str(template)?;
    let Entries(over) = serde_json::from_str(data)?;
    let mut taken = vec![false; over.len()];
    out.push('{');
    for (key, below) in &under {
        write_key(key, out)?;
        // The last duplicate is the one that counts, as in every lookup.
        let mut found = None;
        for (i, (name, value)) in over.iter().enumerate() {
            if name == key {
                taken[i] = true;
                found = Some(*value);
            }
        }
        match found {
            None => out.push_str(below.get()),
            Some(v) if depth < MAX_DEPTH && v.get().starts_with('{') && below.get().starts_with('{') => {
                merge_objects(below.get(), v.get(), depth + 1, out)?;
            }
            Some(v) => out.push_str(v.get()),
        }
    }
    for (i, (key, value)) in over.iter().enumerate() {
        if !taken[i] {
            write_member(key, value.get(), out)?;
        }
    }
    out.push('}');
    Ok(())
}

/// Writes one more member of an object that is open.
pub(super) fn write_member(key: &str, value: &str, out: &mut String) -> serde_json::Result<()> {
    write_key(key, out)?;
    out.push_str(value);
    Ok(())
}

fn write_key(key: &str, out: &mut String) -> serde_json::Result<()> {
    let comma = if out.ends_with('{') { "" } else { "," };
    // Writing to a string cannot fail.
    let _ = write!(out, "{comma}{}:", serde_json::to_string(key)?);
    Ok(())
}
