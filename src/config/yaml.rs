//! The YAML 1.2 reader: one document, the core schema, anchors with a budget, duplicate keys refused.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::fault::Fault;
use super::node::{Entry, Node, Pos, Value};
use super::secret::Text;
use super::{MAX_DEPTH, MAX_TEXT};

/// What aliases may add to a document, so that a few lines cannot become gigabytes.
const MAX_ALIAS_NODES: usize = 100_000;
const MAX_ALIAS_BYTES: usize = MAX_TEXT;

/// Reads a text into a tree.
pub fn read(text: &str) -> Result<Node, Fault> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| scan_fault(&e))?;
        builder.event(event, span)?;
    }
    builder.root.ok_or_else(|| Fault::new("the configuration is empty"))
}

fn scan_fault(error: &ScanError) -> Fault {
    Fault::new(format!("not valid YAML: {}", error.info())).at(pos(*error.marker()))
}

fn pos(marker: saphyr_parser::Marker) -> Pos {
    Pos { line: marker.line() as u32, column: marker.col() as u32 + 1 }
}

/// A collection whose end has not come yet.
struct Open {
    pos: Pos,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        keys: HashSet<String>,
        /// The key whose value comes next.
        key: Option<(String, Pos)>,
        /// What `<<` brings; the mapping's own keys win.
        merged: Vec<Entry>,
    },
}

/// A node that an alias may repeat, and what that costs.
struct Anchor {
    node: Node,
    cost: Cost,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
    height: usize,
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    documents: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    spent: Cost,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let at = pos(span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Fault::new("a second document; a configuration is one").at(at));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let merge = style == ScalarStyle::Plain && text == "<<";
                let value = scalar(&text, style, tag.as_deref()).map_err(|f| f.at(at))?;
                if self.expects_key() {
                    let key = if merge { MERGE.to_owned() } else { text.into_owned() };
                    self.remember(anchor, &Node { pos: at, value });
                    return self.key(key, at);
                }
                self.value(Node { pos: at, value }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq").map_err(|f| f.at(at))?;
                self.start(Open { pos: at, anchor, items: Items::List(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map").map_err(|f| f.at(at))?;
                let items =
                    Items::Map { entries: Vec::new(), keys: HashSet::new(), key: None, merged: Vec::new() };
                self.start(Open { pos: at, anchor, items })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(found) = self.anchors.get(&anchor) else {
                    return Err(Fault::new("an alias that refers to nothing, or to what it stands in").at(at));
                };
                let cost = found.cost;
                self.spent.nodes = self.spent.nodes.saturating_add(cost.nodes);
                self.spent.bytes = self.spent.bytes.saturating_add(cost.bytes);
                if self.spent.nodes > MAX_ALIAS_NODES || self.spent.bytes > MAX_ALIAS_BYTES {
                    return Err(Fault::new("aliases expand to too much").at(at));
                }
                self.depth(self.open.len() + cost.height, at)?;
                let node = found.node.clone();
                if self.expects_key() {
                    let Value::Text(text) = &node.value else {
                        return Err(Fault::new("a key that is not a string").at(at));
                    };
                    return self.key(text.as_str().to_owned(), at);
                }
                self.value(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { items: Items::Map { key: None, .. }, .. }))
    }

    fn depth(&self, depth: usize, at: Pos) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::new(format!("nested deeper than {MAX_DEPTH} levels")).at(at));
        }
        Ok(())
    }

    fn start(&mut self, open: Open) -> Result<(), Fault> {
        self.depth(self.open.len() + 1, open.pos)?;
        if self.expects_key() {
            return Err(Fault::new("a key that is not a string").at(open.pos));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.items {
            Items::List(items) => Value::List(items),
            Items::Map { mut entries, mut keys, merged, .. } => {
                for entry in merged {
                    if keys.insert(entry.key.clone()) {
                        entries.push(entry);
                    }
                }
                Value::Map(entries)
            }
        };
        self.value(Node { pos: open.pos, value }, open.anchor)
    }

    fn key(&mut self, name: String, at: Pos) -> Result<(), Fault> {
        if let Some(Open { items: Items::Map { key, keys, .. }, .. }) = self.open.last_mut() {
            // `<<` may stand more than once; nothing else may.
            if name != MERGE && !keys.insert(name.clone()) {
                return Err(self.located(Fault::new("duplicate key").under(name).at(at)));
            }
            *key = Some((name, at));
        }
        Ok(())
    }

    /// Adds the keys of the collections that are open.
    fn located(&self, mut fault: Fault) -> Fault {
        for open in self.open.iter().rev() {
            match &open.items {
                Items::Map { key: Some((key, _)), .. } => fault = fault.under(key),
                Items::List(items) => fault = fault.under(items.len().to_string()),
                Items::Map { key: None, .. } => {}
            }
        }
        fault
    }

    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor > 0 {
            self.anchors.insert(anchor, Anchor { node: node.clone(), cost: cost(node) });
        }
    }

    fn value(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        self.remember(anchor, &node);
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { items: Items::List(items), .. }) => items.push(node),
            Some(Open { items: Items::Map { entries, key, merged, .. }, .. }) => {
                let Some((name, at)) = key.take() else { return Ok(()) };
                if name == MERGE {
                    merge(node, merged)?;
                } else {
                    entries.push(Entry { key: name, pos: at, node });
                }
            }
        }
        Ok(())
    }
}

/// A plain `<<` key, which no ordinary key can look like.
const MERGE: &str = "\0<<";

/// `<<: *defaults` is no longer in YAML 1.2, but many files use it, and nothing else can be meant by it.
fn merge(node: Node, merged: &mut Vec<Entry>) -> Result<(), Fault> {
    match node.value {
        Value::Map(entries) => merged.extend(entries),
        Value::List(items) => {
            for item in items {
                merge(item, merged)?;
            }
        }
        _ => return Err(Fault::new("`<<` takes a mapping or a list of them").at(node.pos)),
    }
    Ok(())
}

fn cost(node: &Node) -> Cost {
    let mut sum = Cost { nodes: 1, bytes: 0, height: 1 };
    let mut add = |key: usize, c: Cost| {
        sum.nodes += c.nodes;
        sum.bytes += c.bytes + key;
        sum.height = sum.height.max(c.height + 1);
    };
    match &node.value {
        Value::List(items) => items.iter().for_each(|n| add(0, cost(n))),
        Value::Map(entries) => entries.iter().for_each(|e| add(e.key.len(), cost(&e.node))),
        Value::Text(t) => sum.bytes = t.as_str().len(),
        Value::Number(n) => sum.bytes = n.len(),
        Value::Null | Value::Bool(_) => {}
    }
    sum
}

fn collection_tag(tag: Option<&Tag>, wanted: &str) -> Result<(), Fault> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == wanted) => Err(foreign(tag)),
        _ => Ok(()),
    }
}

fn foreign(tag: &Tag) -> Fault {
    Fault::new(format!("the tag {}{} is not one of YAML's own", tag.handle, tag.suffix))
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Fault> {
    let string = || Value::Text(Text::new(text));
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain { resolve(text) } else { string() });
    };
    if !tag.is_yaml_core_schema() {
        return Err(foreign(tag));
    }
    let value = resolve(text);
    let fits = match (tag.suffix.as_str(), &value) {
        ("str", _) => return Ok(string()),
        ("null", Value::Null) | ("bool", Value::Bool(_)) | ("float", Value::Number(_)) => true,
        ("int", Value::Number(n)) => n.bytes().all(|b| b.is_ascii_digit() || b == b'-'),
        _ => false,
    };
    if fits { Ok(value) } else { Err(Fault::new(format!("not a value of !!{}", tag.suffix))) }
}

/// What a plain scalar is by the core schema (YAML 1.2.2, 10.3.2).
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    match number(text) {
        Some(number) => Value::Number(number),
        None => Value::Text(Text::new(text)),
    }
}

/// A number of the core schema in JSON's spelling; as written wherever JSON can spell it so.
fn number(text: &str) -> Option<String> {
    let radix = |digits: &str, radix| u128::from_str_radix(digits, radix).ok().map(|n| n.to_string());
    if let Some(hex) = text.strip_prefix("0x") {
        return hex.bytes().all(|b| b.is_ascii_hexdigit()).then(|| radix(hex, 16))?;
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return octal.bytes().all(|b| b.is_ascii_digit()).then(|| radix(octal, 8))?;
    }
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    if matches!(rest, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(text.to_owned());
    }
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(i) => (&rest[..i], &rest[i..]),
        None => (rest, ""),
    };
    if let Some(exponent) = exponent.get(1..) {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction.unwrap_or_default()) {
        return None;
    }
    if whole.is_empty() && fraction.unwrap_or_default().is_empty() {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = match fraction {
        None => String::new(),
        Some("") => ".0".to_owned(),
        Some(f) => format!(".{f}"),
    };
    Some(format!("{sign}{whole}{fraction}{exponent}"))
}
