//! Where in an object a value is put, by the same paths as those by which one is found.

use std::fmt;

use super::path::Path;
use super::walk::member;

/// A place for a value: member after member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot(Vec<String>);

impl Slot {
    /// Reads a dotted path or a JSON Pointer.
    pub fn parse(path: &str) -> Result<Slot, String> {
        let path = Path::parse(path)?;
        let steps = path
            .steps()
            .ok_or("must be a dotted path or a JSON Pointer: a query says where to find, not where to put")?;
        Ok(Slot(steps.to_vec()))
    }

    /// An object that has the value there, and nothing else.
    pub fn around(&self, value: &str) -> String {
        let mut object = String::with_capacity(value.len() + 64);
        for step in &self.0 {
            object += &format!("{{{}:", serde_json::Value::from(step.as_str()));
        }
        object += value;
        object.extend(self.0.iter().map(|_| '}'));
        object
    }

    /// Has an object room there? What is no object on the way would be replaced, and nobody would notice: then, where
    /// that is.
    pub fn room_in(&self, object: &str) -> Result<(), String> {
        let mut here = object.trim_ascii();
        for (depth, step) in self.0.iter().enumerate() {
            if !here.starts_with('{') {
                return Err(format!("/{}", self.0[..depth].join("/")));
            }
            match member(here, step) {
                Some(value) => here = value,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Has an object something there?
    pub fn is_filled_in(&self, object: &str) -> bool {
        let end = self.0.iter().try_fold(object.trim_ascii(), |here, step| member(here, step));
        end.is_some_and(|value| value != "null")
    }
}

/// As a JSON Pointer (RFC 6901).
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_is_put_where_the_path_says() {
        assert_eq!(Slot::parse("a.b").unwrap().around("[1]"), r#"{"a":{"b":[1]}}"#);
        assert_eq!(Slot::parse("/a~1\"b").unwrap().around("1"), r#"{"a/\"b":1}"#);
        assert_eq!(Slot::parse("/a~1~0b/c").unwrap().to_string(), "/a~1~0b/c");
        assert!(Slot::parse("$.a").unwrap_err().contains("where to put"));
    }

    #[test]
    fn room_is_where_nothing_but_objects_is_on_the_way() {
        let slot = Slot::parse("a.b.c").unwrap();
        for (object, room) in [
            ("{}", Ok(())),
            (r#" {"a": {"b": {"c": 1}}}"#, Ok(())),
            (r#"{"a": {"b": []}}"#, Err("/a/b".to_owned())),
            (r#"{"a": null}"#, Err("/a".to_owned())),
            ("[]", Err("/".to_owned())),
        ] {
            assert_eq!(slot.room_in(object), room, "{object}");
        }
        assert!(slot.is_filled_in(r#"{"a": {"b": {"c": 1}}}"#));
        assert!(!slot.is_filled_in(r#"{"a": {"b": {"c": null}}}"#) && !slot.is_filled_in("{}"));
    }
}
