//! Compiles JSON Schemas (2020-12).
//!
//! A crate of its own for its size alone: the evaluator is generic, and has compiled itself once already, for the
//! schema of schemas. A crate that is optimized for size uses that code again; the library, which is optimized for
//! speed, would hold all of it twice.

use jsonschema::{Draft, PatternOptions};
use serde_json::Value;

pub use jsonschema::{ValidationError, Validator};

/// What a pattern may try on one text before it counts as not matched.
const BACKTRACK_LIMIT: usize = 1_000_000;

/// Reads a schema. Nothing that it refers to is fetched.
pub fn compile(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    let patterns = PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT);
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_pattern_options(patterns)
        .build(schema)
}

/// Every way in which a value does not fit.
pub fn faults<'v>(validator: &'v Validator, value: &'v Value) -> impl Iterator<Item = ValidationError<'v>> {
    validator.iter_errors(value)
}
