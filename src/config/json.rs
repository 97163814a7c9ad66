//! The JSON reader: strict, duplicate keys refused, numbers as they were written, every value with its place.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::MAX_DEPTH;
use super::fault::Fault;
use super::node::{Entry, Node, Pos, Value};
use super::secret::Text;

/// The members of a JSON object in order, duplicates included, values untouched.
pub struct Entries<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A key, borrowed where it has no escapes: then its place is known.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

/// The members of a JSON object; duplicates are a fault that names the key.
pub fn object(text: &str) -> Result<Entries<'_>, Fault> {
    let entries: Entries<'_> = serde_json::from_str(text)
        .map_err(|e| if e.is_data() { Fault::new("not a JSON object") } else { syntax(&e) })?;
    match duplicate(entries.0.iter().map(|(k, _)| k.as_ref())) {
        Some(i) => Err(Fault::new("duplicate key").under(entries.0[i].0.as_ref())),
        None => Ok(entries),
    }
}

/// The place of the first key that was there before.
pub(super) fn duplicate<'k>(keys: impl Iterator<Item = &'k str> + Clone) -> Option<usize> {
    // Few keys are compared directly: call parameters come here on every call.
    if keys.clone().take(9).count() < 9 {
        let mut seen = [""; 8];
        for (i, key) in keys.enumerate() {
            if seen[..i].contains(&key) {
                return Some(i);
            }
            seen[i] = key;
        }
        return None;
    }
    let mut seen = HashSet::new();
    keys.enumerate().find(|(_, k)| !seen.insert(*k)).map(|(i, _)| i)
}

/// Reads a text into a tree.
pub fn read(text: &str) -> Result<Node, Fault> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|e| syntax(&e))?;
    let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|i| i + 1));
    Reader { text, starts: starts.collect() }.node(raw, 0)
}

fn syntax(error: &serde_json::Error) -> Fault {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let pos = Pos { line: error.line() as u32, column: error.column() as u32 };
    Fault::new(format!("not valid JSON: {message}")).at(pos)
}

struct Reader<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Reader<'a> {
    /// The place of a part of the text.
    fn pos(&self, part: &str) -> Pos {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize).min(self.text.len());
        let line = self.starts.partition_point(|s| *s <= offset);
        let before = self.text.get(self.starts[line - 1]..offset).unwrap_or_default();
        // Characters on a line that a person wrote; bytes on a machine's, where counting would be quadratic.
        let column = if before.len() < 4096 { before.chars().count() } else { before.len() };
        Pos { line: line as u32, column: column as u32 + 1 }
    }

    /// Each level scans its values once more; the depth is capped, so that is bounded.
    fn node(&self, raw: &'a RawValue, depth: usize) -> Result<Node, Fault> {
        let text = raw.get();
        let pos = self.pos(text);
        if depth > MAX_DEPTH {
            return Err(Fault::new(format!("nested deeper than {MAX_DEPTH} levels")).at(pos));
        }
        let fault = |e: serde_json::Error| syntax(&e).at(pos);
        let value = match text.as_bytes().first() {
            Some(b'{') => {
                let Entries(entries) = serde_json::from_str(text).map_err(fault)?;
                // The key stands one quote behind where it starts; one with escapes borrows nothing.
                let place = |key: &Cow<'_, str>, value: &RawValue| match key {
                    Cow::Borrowed(k) => {
                        let p = self.pos(k);
                        Pos { line: p.line, column: p.column.saturating_sub(1) }
                    }
                    Cow::Owned(_) => self.pos(value.get()),
                };
                if let Some(i) = duplicate(entries.iter().map(|(k, _)| k.as_ref())) {
                    let (key, value) = &entries[i];
                    return Err(Fault::new("duplicate key").under(key.as_ref()).at(place(key, value)));
                }
                let mut map = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let pos = place(&key, value);
                    let node = self.node(value, depth + 1).map_err(|f| f.under(key.as_ref()))?;
                    map.push(Entry { key: key.into_owned(), pos, node });
                }
                Value::Map(map)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(fault)?;
                let node = |(i, raw): (usize, &'a RawValue)| {
                    self.node(raw, depth + 1).map_err(|f| f.under(i.to_string()))
                };
                Value::List(items.into_iter().enumerate().map(node).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Value::Text(Text::new(
                serde_json::from_str::<String>(text)
                    .map_err(|_| Fault::new("not valid JSON: a string that is not Unicode").at(pos))?,
            )),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') => Value::Null,
            _ => Value::Number(text.to_owned()),
        };
        Ok(Node { pos, value })
    }
}
