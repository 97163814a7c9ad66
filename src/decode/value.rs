//! A tree of a JSON text, for those who judge it: path queries and schemas. What is delivered is never made
//! from it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// The tree of a valid text. A number that no `f64` holds becomes the nearest one that there is, a lone
/// surrogate U+FFFD: both are legal in JSON, and no reason to refuse an answer.
pub fn tolerant_value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| tolerate(json))
}

fn tolerate(json: &str) -> Value {
    let json = json.trim_ascii();
    match json.as_bytes().first() {
        Some(b'{' | b'[') => {
            Tree.deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap_or_default()
        }
        Some(b'"') => Value::String(text(json)),
        _ => serde_json::from_str(json).unwrap_or_else(|_| nearest_number(json)),
    }
}

/// The text of a string; what is not Unicode in it is replaced.
pub(super) fn text(json: &str) -> String {
    Text.deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap_or_default()
}

fn nearest_number(json: &str) -> Value {
    let number = json.parse::<f64>().unwrap_or_default().clamp(f64::MIN, f64::MAX);
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// An object or an array, value by value.
struct Tree;

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key_seed(Text)? {
            object.insert(key, tolerate(map.next_value::<&RawValue>()?.get()));
        }
        Ok(Value::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(value) = seq.next_element::<&RawValue>()? {
            array.push(tolerate(value.get()));
        }
        Ok(Value::Array(array))
    }
}

/// A string; what is not Unicode in it is replaced.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, text: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_tree_cannot_hold_is_no_reason_to_refuse_it() {
        let value = tolerant_value(r#"{"a": [1e999, -1e999, "x\ud800y", {"b\ud800": 1}], "c": 2}"#);
        let top = &value["a"];
        assert_eq!(top[0], json!(f64::MAX));
        assert_eq!(top[1], json!(f64::MIN));
        assert!(top[2].as_str().is_some_and(|s| s.starts_with('x') && s.ends_with('y')));
        assert_eq!(value["c"], 2);
    }

    #[test]
    fn an_ordinary_text_is_the_ordinary_tree() {
        let text = r#"{"a":[1,2.5,"x",null,true,{"b":{}}]}"#;
        assert_eq!(tolerate(text), serde_json::from_str::<Value>(text).unwrap_or_default());
    }
}
