//! Parameters: JSON values as strings for path and query.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::config::{Entries, object};
use crate::error::{Error, Result};
use crate::percent::encode_component;

/// A parameter's value: a scalar, or a list of them that repeats the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Param<'a> {
    /// A scalar.
    One(Cow<'a, str>),
    /// A list.
    Many(Vec<Cow<'a, str>>),
}

impl<'a> Param<'a> {
    /// Reads a JSON value. Numbers stay as they were written; null is the empty string.
    pub(super) fn read(raw: &'a RawValue) -> Result<Param<'a>, String> {
        if raw.get().starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|e| e.to_string())?;
            return items.into_iter().map(scalar).collect::<Result<_, _>>().map(Param::Many);
        }
        scalar(raw).map(Param::One)
    }

    /// The scalar, where it is one.
    pub(super) fn one(&self) -> Option<&str> {
        match self {
            Param::One(one) => Some(one),
            Param::Many(_) => None,
        }
    }

    /// Every string of it.
    pub(super) fn values(&self) -> &[Cow<'a, str>] {
        match self {
            Param::One(one) => std::slice::from_ref(one),
            Param::Many(many) => many,
        }
    }

    /// The same on its own feet.
    pub(super) fn into_owned(self) -> Param<'static> {
        let own = |c: Cow<'_, str>| Cow::Owned(c.into_owned());
        match self {
            Param::One(one) => Param::One(own(one)),
            Param::Many(many) => Param::Many(many.into_iter().map(own).collect()),
        }
    }

    /// Adds `name=value`, once for each value; `&` comes before each but the query's first.
    pub(super) fn encode(&self, name: &str, first: &mut bool, out: &mut String) {
        for value in self.values() {
            out.push(if std::mem::take(first) { '?' } else { '&' });
            encode_component(name, out);
            out.push('=');
            encode_component(value, out);
        }
    }
}

/// A scalar as text.
pub(super) fn scalar(raw: &RawValue) -> Result<Cow<'_, str>, String> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'n') => Ok(Cow::Borrowed("")),
        Some(b'"') => {
            let inside = &text[1..text.len() - 1];
            if !inside.contains('\\') {
                return Ok(Cow::Borrowed(inside));
            }
            serde_json::from_str(text).map(Cow::Owned).map_err(|_| "a string that is not Unicode".into())
        }
        Some(b'{' | b'[') => Err("must be a string, number, boolean, null, or a list of these".into()),
        _ => Ok(Cow::Borrowed(text)),
    }
}

/// The parameters of a call.
#[derive(Default)]
pub(super) struct Params<'a>(pub(super) Vec<(Cow<'a, str>, Param<'a>)>);

impl<'a> Params<'a> {
    /// Adds the members of a JSON object; a name that is there already keeps its value.
    pub(super) fn add(&mut self, text: &'a str) -> Result<()> {
        self.add_some(text, |_| true)
    }

    /// The same, but for the names that are not wanted.
    pub(super) fn add_some(&mut self, text: &'a str, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
        let wrong = |f: crate::config::Fault| Error::argument(format!("params: {f}"));
        let Entries(entries) = object(text).map_err(wrong)?;
        let before = self.0.len();
        for (name, raw) in entries {
            if !is_wanted(&name) || self.0[..before].iter().any(|(n, _)| *n == name) {
                continue;
            }
            let param = Param::read(raw).map_err(|m| Error::argument(format!("params: {name:?}: {m}")))?;
            self.0.push((name, param));
        }
        Ok(())
    }

    /// The value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Param<'a>> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, p)| p)
    }
}
