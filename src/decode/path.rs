//! Dotted paths (`data.items`), found by place in the raw text: the bytes stay the server's.

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A path of object keys and array indices, parted by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DottedPath {
    text: String,
}

/// The first step of a path that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The step.
    pub step: String,
    /// What stood there instead of something that has this step.
    pub found: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not in the {} there", self.step, self.found)
    }
}

impl DottedPath {
    /// A path as the configuration writes it.
    pub fn new(text: impl Into<String>) -> DottedPath {
        DottedPath { text: text.into() }
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the value lies in a valid JSON text. Of a duplicate key, the last counts.
    pub fn locate(&self, json: &str) -> Result<Range<usize>, Missing> {
        let mut place = 0..json.len();
        for step in self.text.split('.') {
            let value = json[place.clone()].trim_ascii_start();
            let missing = |found| Missing { step: step.into(), found };
            let found = match value.as_bytes().first() {
                Some(b'{') => step_into(value, Key(step.as_bytes())).ok_or_else(|| missing("object"))?,
                Some(b'[') => match step.parse() {
                    Ok(index) => step_into(value, Index(index)).ok_or_else(|| missing("array"))?,
                    Err(_) => return Err(missing("array")),
                },
                Some(b'"') => return Err(missing("string")),
                Some(b't' | b'f') => return Err(missing("boolean")),
                Some(b'n') => return Err(missing("null")),
                _ => return Err(missing("number")),
            };
            // Both are slices of `json`.
            let start = found.as_ptr() as usize - json.as_ptr() as usize;
            place = start..start + found.len();
        }
        Ok(place)
    }
}

fn step_into<'a>(
    value: &'a str,
    step: impl DeserializeSeed<'a, Value = Option<&'a RawValue>>,
) -> Option<&'a str> {
    step.deserialize(&mut serde_json::Deserializer::from_str(value)).ok().flatten().map(RawValue::get)
}

/// The value of a key.
struct Key<'k>(&'k [u8]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(hit) = map.next_key_seed(IsKey(self.0))? {
            if hit {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a key. As bytes: a key with a lone surrogate is legal, and just not ours.
struct IsKey<'k>(&'k [u8]);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<bool, E> {
        Ok(key == self.0)
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key.as_bytes() == self.0)
    }
}

/// The value at an index.
struct Index(usize);

impl<'de> DeserializeSeed<'de> for Index {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Index {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut at = 0;
        loop {
            if at == self.0 {
                match seq.next_element()? {
                    Some(value) => found = Some(value),
                    None => return Ok(found),
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn at(path: &str, json: &'static str) -> Result<&'static str, Missing> {
        DottedPath::new(path).locate(json).map(|r| &json[r])
    }

    #[test]
    fn the_value_is_the_servers_own_text() {
        let json = r#" {"data": {"n" : 1.10e2 , "items":[ 1 , {"z":-0} ]}} "#;
        assert_eq!(at("data.n", json).unwrap(), "1.10e2");
        assert_eq!(at("data.items", json).unwrap(), r#"[ 1 , {"z":-0} ]"#);
        assert_eq!(at("data.items.1.z", json).unwrap(), "-0");
    }

    #[test]
    fn of_a_duplicate_key_the_last_counts() {
        assert_eq!(at("a", r#"{"a":1,"b":2,"a":3}"#).unwrap(), "3");
    }

    #[test]
    fn odd_keys_are_found_or_passed_over() {
        assert_eq!(at("a", r#"{"\ud800":1,"\u0061":2}"#).unwrap(), "2");
        assert_eq!(at("é", r#"{"\u00e9":7}"#).unwrap(), "7");
        assert_eq!(at("0", r#"{"0":8}"#).unwrap(), "8");
    }

    #[test]
    fn a_step_that_leads_nowhere_is_named() {
        let json = r#"{"a": [1], "s": "x", "n": null}"#;
        for (path, step, found) in [
            ("b", "b", "object"),
            ("a.1", "1", "array"),
            ("a.x", "x", "array"),
            ("a.0.y", "y", "number"),
            ("s.t", "t", "string"),
            ("n.t", "t", "null"),
        ] {
            assert_eq!(at(path, json).unwrap_err(), Missing { step: step.into(), found }, "{path}");
        }
    }

    proptest! {
        #[test]
        fn the_place_found_holds_what_a_tree_holds(
            keys in proptest::collection::vec("[a-c]", 1..4),
            value in any::<i32>(),
            noise in proptest::collection::vec("[a-c]", 0..3),
        ) {
            let mut tree = serde_json::json!(value);
            for key in keys.iter().rev() {
                let mut object = serde_json::Map::new();
                for n in &noise {
                    object.insert(n.clone(), serde_json::json!([n]));
                }
                object.insert(key.clone(), tree);
                tree = object.into();
            }
            let text = serde_json::to_string_pretty(&tree).unwrap();
            let place = DottedPath::new(keys.join(".")).locate(&text).unwrap();
            prop_assert_eq!(text[place].parse::<i32>().unwrap(), value);
        }
    }
}
