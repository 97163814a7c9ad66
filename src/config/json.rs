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
    Reader { text, starts: starts.collect() }.tree(raw)
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

    /// Each level scans its values once more; the depth is capped, so that is bounded. Not recursive: a host's
    /// thread may have little stack.
    fn tree(&self, root: &'a RawValue) -> Result<Node, Fault> {
        let mut open: Vec<Level<'a>> = Vec::new();
        let mut raw = root;
        loop {
            let within = |fault: Fault| open.iter().rev().fold(fault, |f, level| f.under(level.at()));
            let mut whole = match self.begin(raw, open.len()).map_err(within)? {
                Begun::Whole(node) => Some(node),
                Begun::Level(level) => {
                    open.push(level);
                    None
                }
            };
            // A whole value goes into its level; a level without further values is whole itself.
            raw = loop {
                let Some(level) = open.last_mut() else {
                    return whole.ok_or_else(|| Fault::new("not valid JSON"));
                };
                level.add(whole.take());
                match level.next() {
                    Some(raw) => break raw,
                    None => whole = open.pop().map(Level::close),
                }
            };
        }
    }

    fn begin(&self, raw: &'a RawValue, depth: usize) -> Result<Begun<'a>, Fault> {
        let text = raw.get();
        let pos = self.pos(text);
        if depth > MAX_DEPTH {
            return Err(Fault::new(format!("nested deeper than {MAX_DEPTH} levels")).at(pos));
        }
        let left = match text.as_bytes().first() {
            Some(b'{') => Left::Map(self.entries(text, pos)?.into_iter(), Vec::new()),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| syntax(&e).at(pos))?;
                Left::List(items.into_iter(), Vec::new())
            }
            _ => return Ok(Begun::Whole(Node { pos, value: scalar(text, pos)? })),
        };
        Ok(Begun::Level(Level { pos, key: None, left }))
    }

    /// The members of an object, each with the place of its key.
    fn entries(&self, text: &'a str, pos: Pos) -> Result<Vec<Member<'a>>, Fault> {
        let Entries(entries) = serde_json::from_str(text).map_err(|e| syntax(&e).at(pos))?;
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
        let placed = entries.into_iter().map(|(key, value)| {
            let pos = place(&key, value);
            (key, pos, value)
        });
        Ok(placed.collect())
    }
}

/// A key, its place, and the value.
type Member<'a> = (Cow<'a, str>, Pos, &'a RawValue);

/// A value that was met: a whole one, or the begin of a map or a list.
enum Begun<'a> {
    Whole(Node),
    Level(Level<'a>),
}

/// A map or a list that is being read.
struct Level<'a> {
    pos: Pos,
    /// A map's key whose value is being read.
    key: Option<(Cow<'a, str>, Pos)>,
    left: Left<'a>,
}

/// What is still to be read, and what was.
enum Left<'a> {
    Map(std::vec::IntoIter<Member<'a>>, Vec<Entry>),
    List(std::vec::IntoIter<&'a RawValue>, Vec<Node>),
}

impl<'a> Level<'a> {
    fn next(&mut self) -> Option<&'a RawValue> {
        match &mut self.left {
            Left::Map(left, _) => {
                let (key, pos, raw) = left.next()?;
                self.key = Some((key, pos));
                Some(raw)
            }
            Left::List(left, _) => left.next(),
        }
    }

    fn add(&mut self, node: Option<Node>) {
        let Some(node) = node else { return };
        match (&mut self.left, self.key.take()) {
            (Left::Map(_, entries), Some((key, pos))) => {
                entries.push(Entry { key: key.into_owned(), pos, node });
            }
            (Left::List(_, items), _) => items.push(node),
            (Left::Map(..), None) => {}
        }
    }

    /// Where in it the value stands that is being read.
    fn at(&self) -> String {
        match (&self.left, &self.key) {
            (Left::List(_, items), _) => items.len().to_string(),
            (Left::Map(..), key) => key.as_ref().map(|(k, _)| k.to_string()).unwrap_or_default(),
        }
    }

    fn close(self) -> Node {
        let value = match self.left {
            Left::Map(_, entries) => Value::Map(entries),
            Left::List(_, items) => Value::List(items),
        };
        Node { pos: self.pos, value }
    }
}

fn scalar(text: &str, pos: Pos) -> Result<Value, Fault> {
    Ok(match text.as_bytes().first() {
        Some(b'"') => Value::Text(Text::new(
            serde_json::from_str::<String>(text)
                .map_err(|_| Fault::new("not valid JSON: a string that is not Unicode").at(pos))?,
        )),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => Value::Null,
        _ => Value::Number(text.to_owned()),
    })
}
