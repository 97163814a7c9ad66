//! JSON Schema 2020-12. The schema judges a tree; what is delivered is the text.

use std::collections::BTreeSet;

use apl_schema::Validator;
use serde_json::Value;

use super::value::tolerant_value;

/// So many faults are told; there may be more.
const MOST: usize = 20;

/// A schema, read once. Nothing that it refers to is fetched.
#[derive(Clone, Debug)]
pub struct Schema(std::sync::Arc<Validator>);

/// How data does not fit its schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misfit {
    /// `pointer: what`, at most 20.
    pub faults: Vec<String>,
    /// All of them.
    pub count: usize,
    /// Where the data is an array: the items that have a fault.
    pub items: BTreeSet<usize>,
    /// Has the data a fault that is not within one of its items?
    pub whole: bool,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} fault{}: {}",
            self.count,
            if self.count == 1 { "" } else { "s" },
            self.faults.join("; ")
        )
    }
}

impl Schema {
    /// Reads a schema. A fault says what is wrong with it: that it is not one, that a pattern of it is no
    /// regular expression, or that it refers to something outside of itself.
    pub fn new(json: &str) -> Result<Schema, String> {
        let schema: Value = serde_json::from_str(json).map_err(|e| e.to_string())?;
        let validator = apl_schema::compile(&schema).map_err(|e| e.to_string())?;
        Ok(Schema(std::sync::Arc::new(validator)))
    }

    /// Does a valid JSON text fit?
    pub fn judge(&self, json: &str) -> Result<(), Misfit> {
        let value = tolerant_value(json);
        let mut misfit = Misfit::default();
        for error in apl_schema::faults(&self.0, &value) {
            let pointer = error.instance_path().to_string();
            if misfit.faults.len() < MOST {
                // Without the value: it may be large, or nobody else's business.
                misfit.faults.push(format!(
                    "{}: {}",
                    if pointer.is_empty() { "/" } else { &pointer },
                    error.masked()
                ));
            }
            misfit.count += 1;
            let item = value.is_array().then(|| pointer.split('/').nth(1)?.parse().ok()).flatten();
            match item {
                Some(item) => drop(misfit.items.insert(item)),
                None => misfit.whole = true,
            }
        }
        if misfit.count == 0 { Ok(()) } else { Err(misfit) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn faults_have_pointers_and_no_values() {
        let schema = Schema::new(r#"{"properties": {"a": {"type": "string"}}, "required": ["b"]}"#).unwrap();
        assert_eq!(schema.judge(r#"{"a": "x", "b": 1}"#), Ok(()));
        let misfit = schema.judge(r#"{"a": 123456}"#).unwrap_err();
        assert_eq!(misfit.count, 2);
        assert!(misfit.faults.iter().any(|f| f.starts_with("/a: ")), "{misfit}");
        assert!(!misfit.to_string().contains("123456"), "{misfit}");
    }

    #[test]
    fn many_faults_are_counted_and_twenty_told() {
        let schema = Schema::new(r#"{"items": {"type": "integer"}}"#).unwrap();
        let misfit = schema.judge(&format!("[{}1]", r#""x","#.repeat(50))).unwrap_err();
        assert_eq!((misfit.faults.len(), misfit.count, misfit.items.len()), (20, 50, 50));
        assert!(!misfit.whole && !misfit.items.contains(&50));
    }

    #[test]
    fn a_fault_of_the_whole_is_told_from_one_of_an_item() {
        let schema =
            Schema::new(r#"{"type": "array", "minItems": 2, "items": {"type": "integer"}}"#).unwrap();
        let misfit = schema.judge(r#"["x"]"#).unwrap_err();
        assert!(misfit.whole && misfit.items.contains(&0));
    }

    #[test]
    fn nothing_is_fetched() {
        for reference in ["http://127.0.0.1:1/schema.json", "file:///etc/hostname", "other.json"] {
            let schema = format!(r#"{{"$ref": "{reference}"}}"#);
            assert!(Schema::new(&schema).is_err(), "{reference}");
        }
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for bad in ["[", r#"{"type": "strng"}"#, r#"{"pattern": "("}"#, "7"] {
            assert!(Schema::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_recursive_schema_ends() {
        let schema = Schema::new(r##"{"properties": {"next": {"$ref": "#"}}, "required": ["v"]}"##).unwrap();
        assert_eq!(schema.judge(r#"{"v": 1, "next": {"v": 2}}"#), Ok(()));
        assert!(schema.judge(r#"{"v": 1, "next": {"next": {}}}"#).is_err());
    }

    #[test]
    fn a_catastrophic_pattern_is_a_fault_and_never_a_pass() {
        let schema = Schema::new(r#"{"pattern": "^(?=(a+)+$)(a|a)*\\1b$"}"#).unwrap();
        let text = format!("\"{}\"", "a".repeat(40));
        assert!(schema.judge(&text).is_err());
    }
}
