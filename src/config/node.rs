//! The one tree that both languages are read into: every value with its place, numbers as they were written.

use super::Text;
use super::fault::Fault;

/// A place in a text; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pos {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it starts.
    pub pos: Pos,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// null
    Null,
    /// true, false
    Bool(bool),
    /// A JSON number as it was written; also YAML's `.inf` and `.nan`, which no key accepts.
    Number(String),
    /// A string.
    Text(Text),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the text, without duplicates.
    Map(Vec<Entry>),
}

/// A key of a mapping, and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key starts.
    pub pos: Pos,
    /// The value.
    pub node: Node,
}

impl Node {
    /// The value of a mapping's key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.node)
    }

    /// A mapping's entry.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| e.key == key),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn text(&self) -> Option<&Text> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Every string of the tree that has something from `${VAR}`.
    pub fn env_texts(&self) -> Vec<Text> {
        match &self.value {
            Value::Text(t) if t.is_from_env() => vec![t.clone()],
            Value::List(items) => items.iter().flat_map(Node::env_texts).collect(),
            Value::Map(entries) => entries.iter().flat_map(|e| e.node.env_texts()).collect(),
            _ => Vec::new(),
        }
    }

    /// The tree as JSON text, numbers as they were written.
    pub fn to_json(&self) -> Result<String, Fault> {
        let mut out = String::new();
        self.write_json(&mut out)?;
        Ok(out)
    }

    fn write_json(&self, out: &mut String) -> Result<(), Fault> {
        match &self.value {
            Value::Null => out.push_str("null"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Number(n) if n.starts_with(['.', '-', '+']) && n.ends_with(['f', 'F', 'n', 'N']) => {
                return Err(Fault::new("JSON has no such number").at(self.pos));
            }
            Value::Number(n) => out.push_str(n),
            Value::Text(t) => write_text(t.as_str(), out),
            Value::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write_json(out).map_err(|f| f.under(i.to_string()))?;
                }
                out.push(']');
            }
            Value::Map(entries) => {
                out.push('{');
                for (i, entry) in entries.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_text(&entry.key, out);
                    out.push(':');
                    entry.node.write_json(out).map_err(|f| f.under(&entry.key))?;
                }
                out.push('}');
            }
        }
        Ok(())
    }
}

fn write_text(text: &str, out: &mut String) {
    // A string always serializes.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
