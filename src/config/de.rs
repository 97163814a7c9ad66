//! From the tree to the types: a serde deserializer whose errors know the place and the nearest key.

use std::fmt::Display;

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::fault::{Fault, nearest};
use super::node::{Entry, Node, Value};
use super::secret::TEXT;
use super::values::RAW;

/// Reads a typed value from a tree.
pub fn read<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, Fault> {
    T::deserialize(node).map_err(|f| f.at(node.pos))
}

/// Values never stand in a message: any string may be a secret in the wrong place.
impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Fault {
        Fault::new(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        let found = match unexpected {
            Unexpected::Bool(_) => "a boolean",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
            Unexpected::Str(_) => "a string",
            Unexpected::Seq => "a list",
            Unexpected::Map => "a mapping",
            Unexpected::Unit | Unexpected::Option => "null",
            _ => "something else",
        };
        Fault::new(format!("must be {}, not {found}", wanted(expected)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::new(format!("out of range; must be {}", wanted(expected)))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Fault {
        Fault::new(match nearest(field, known) {
            Some(key) => format!("unknown key; did you mean \"{key}\"?"),
            None => format!("unknown key; the keys here are {}", known.join(", ")),
        })
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Fault {
        Fault::new(match nearest(variant, known) {
            Some(name) => format!("unknown value {variant:?}; did you mean \"{name}\"?"),
            None => format!("unknown value {variant:?}; it is one of {}", known.join(", ")),
        })
    }

    fn duplicate_field(field: &'static str) -> Fault {
        Fault::new(format!("the key \"{field}\" is set twice, once under another name"))
    }

    fn missing_field(field: &'static str) -> Fault {
        Fault::new(format!("the key \"{field}\" is missing"))
    }
}

/// What was expected, in the configuration's words instead of Rust's.
fn wanted(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => "a whole number, 1 or more".to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        t if t.starts_with("struct ") || t.starts_with("a map") || t.starts_with("enum ") => {
            "a mapping".to_owned()
        }
        _ => text,
    }
}

fn visit_number<'de, V: Visitor<'de>>(text: &str, visitor: V) -> Result<V::Value, Fault> {
    if let Ok(n) = text.parse::<u64>() {
        return visitor.visit_u64(n);
    }
    if let Ok(n) = text.parse::<i64>() {
        return visitor.visit_i64(n);
    }
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() => visitor.visit_f64(n),
        _ => Err(Fault::new("must be a finite number")),
    }
}

/// A number or boolean that came through `${VAR}` is a string in the tree: it is read by what is wanted.
fn visit_scalar<'de, V: Visitor<'de>>(node: &'de Node, visitor: V) -> Result<V::Value, Fault> {
    match node.text() {
        Some(t) if t.is_filled() => match t.as_str().trim() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            n if n.parse::<f64>().is_ok_and(f64::is_finite) => visit_number(n, visitor),
            text => visitor.visit_str(text),
        },
        _ => node.deserialize_any(visitor),
    }
}

macro_rules! scalars {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visit_scalar(self, visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Number(n) => visit_number(n, visitor),
            Value::Text(t) => visitor.visit_borrowed_str(t.as_str()),
            Value::List(items) => visitor.visit_seq(List { items: items.iter(), index: 0 }),
            Value::Map(entries) => {
                visitor.visit_map(Map { entries: entries.iter(), fields: None, tagged: false, value: None })
            }
        }
    }

    scalars! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let parts: Vec<String> = match (name, &self.value) {
            (TEXT, Value::Text(t)) => std::iter::once(t.as_str()).chain(t.env()).map(str::to_owned).collect(),
            // As they were written: `X-Version: 1.0` means these three characters.
            (TEXT, Value::Number(n)) => vec![n.clone()],
            (TEXT, Value::Bool(b)) => vec![b.to_string()],
            (TEXT, _) => return self.deserialize_any(visitor_of_text()).map(|n: Never| match n {}),
            (RAW, _) => {
                let env = self.env_texts();
                let env = env.iter().flat_map(|t| std::iter::once(t.as_str()).chain(t.env()));
                std::iter::once(self.to_json()?).chain(env.map(str::to_owned)).collect()
            }
            _ => return visitor.visit_newtype_struct(self),
        };
        visitor.visit_seq(de::value::SeqDeserializer::new(parts.into_iter()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Map(entries) => visitor.visit_map(Map {
                entries: entries.iter(),
                fields: Some(fields),
                tagged: false,
                value: None,
            }),
            _ => visit_scalar(self, visitor),
        }
    }

    /// A string names a unit variant; a mapping names its variant by its key `type`.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (tag, rest) = match &self.value {
            Value::Map(_) => match self.entry("type") {
                Some(entry) => (&entry.node, Some(self)),
                None => return Err(Fault::new("the key \"type\" is missing")),
            },
            // What stands there may be a secret.
            _ if name == "Auth" => {
                return Err(Fault::new("must be a mapping, as {type: bearer, token: …}"));
            }
            _ => (self, None),
        };
        let (name, env) = match &tag.value {
            Value::Text(t) => (t.as_str(), t.is_from_env()),
            Value::Number(n) => (n.as_str(), false),
            Value::Null => ("null", false),
            Value::Bool(true) => ("true", false),
            Value::Bool(false) => ("false", false),
            _ => return Err(Fault::new(format!("must be one of {}", variants.join(", "))).at(tag.pos)),
        };
        let known = variants.iter().find(|v| v.eq_ignore_ascii_case(name));
        let name = known.map_or_else(|| name.to_ascii_lowercase(), |v| (*v).to_owned());
        if known.is_none() && env {
            return Err(Fault::new(format!("must be one of {}", variants.join(", "))).at(tag.pos));
        }
        visitor.visit_enum(Variant { name, tag, rest })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier
    }
}

/// Makes the "must be a string" fault of a value of another kind.
enum Never {}

fn visitor_of_text<'de>() -> impl Visitor<'de, Value = Never> {
    struct Refuse;
    impl<'de> Visitor<'de> for Refuse {
        type Value = Never;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string")
        }
    }
    Refuse
}

struct List<'de> {
    items: std::slice::Iter<'de, Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for List<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        self.index += 1;
        let value = seed.deserialize(item);
        value.map(Some).map_err(|f| f.at(item.pos).under((self.index - 1).to_string()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Map<'de> {
    entries: std::slice::Iter<'de, Entry>,
    /// The keys of the type that is read; None for a mapping with free keys.
    fields: Option<&'static [&'static str]>,
    /// Has the key `type` been read already?
    tagged: bool,
    value: Option<&'de Entry>,
}

impl Map<'_> {
    /// Is the entry as if it were not there? Notes are, and keys that are null and do not mean something by it.
    fn skips(&self, entry: &Entry) -> bool {
        let Some(fields) = self.fields else { return false };
        if self.tagged && entry.key == "type" {
            return true;
        }
        let known = fields.contains(&entry.key.as_str());
        let note = matches!(entry.key.as_str(), "description" | "name") || entry.key.starts_with("x-");
        let null = matches!(entry.node.value, Value::Null);
        (note && !known) || (null && known && !matches!(entry.key.as_str(), "on_missing" | "equals"))
    }
}

impl<'de> MapAccess<'de> for Map<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let entry = loop {
            let Some(entry) = self.entries.next() else { return Ok(None) };
            if !self.skips(entry) {
                break entry;
            }
        };
        self.value = Some(entry);
        let key = StrDeserializer::<Fault>::new(&entry.key);
        seed.deserialize(key).map(Some).map_err(|f| f.at(entry.pos).under(&entry.key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let Some(entry) = self.value.take() else { return Err(Fault::new("a value without a key")) };
        seed.deserialize(&entry.node).map_err(|f| f.at(entry.node.pos).under(&entry.key))
    }
}

struct Variant<'de> {
    name: String,
    tag: &'de Node,
    /// The mapping whose key `type` names the variant.
    rest: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Content<'de>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Content<'de>), Fault> {
        let name: StringDeserializer<Fault> = self.name.into_deserializer();
        let under = |f: Fault| if self.rest.is_some() { f.at(self.tag.pos).under("type") } else { f };
        Ok((seed.deserialize(name).map_err(under)?, Content(self.rest)))
    }
}

/// What belongs to a variant.
struct Content<'de>(Option<&'de Node>);

impl<'de> VariantAccess<'de> for Content<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        match self.0 {
            Some(node) => seed.deserialize(Tagged(node)),
            None => Err(Fault::new("must be a mapping with the key \"type\"")),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(Fault::new("must be a mapping"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Fault> {
        Err(Fault::new("must be a mapping"))
    }
}

/// A mapping without its key `type`.
struct Tagged<'de>(&'de Node);

impl<'de> Deserializer<'de> for Tagged<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Value::Map(entries) = &self.0.value else { return self.0.deserialize_any(visitor) };
        visitor.visit_map(Map { entries: entries.iter(), fields: Some(fields), tagged: true, value: None })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
