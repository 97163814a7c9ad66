//! What an endpoint's `decode`, `response_path` and schema make of an answer.

mod graphql;

use std::ops::Range;
use std::sync::Arc;

use crate::config::Endpoint;
use crate::config::endpoint::{Decode, GraphqlErrors, OnMissing, SchemaPolicy};
use crate::decode::{self, Found, Misfit, Path, Schema};
use crate::error::{Error, Kind, Result};
use crate::response::Response;
use graphql::Judged;

/// What an answer without a body is, and a path that leads nowhere may be.
const NULL: &str = "null";
/// What of a body that is not JSON is shown, characters; and what is looked at for secrets, bytes.
const EXCERPT: usize = 200;
const EXCERPT_FROM: usize = 16 * 1024;

/// How an endpoint's answers are read; made once.
#[derive(Debug)]
pub struct Reading {
    decode: Decode,
    path: Option<Path>,
    on_missing: OnMissing,
    schema: Option<Schema>,
    policy: SchemaPolicy,
    /// What errors in an answer are, where it is one of GraphQL.
    graphql: Option<GraphqlErrors>,
}

/// An answer that cannot be read: the error, which does not know yet where it happened, and the answer.
pub type Unreadable = Box<(Error, Response)>;

impl Reading {
    /// How this endpoint's answers are read.
    pub fn new(endpoint: &Endpoint) -> Reading {
        let keys = &endpoint.keys;
        Reading {
            decode: keys.decode,
            path: endpoint.response_path.clone(),
            on_missing: keys.on_missing,
            schema: endpoint.response_schema.clone().filter(|_| keys.schema_policy != SchemaPolicy::Off),
            policy: keys.schema_policy,
            graphql: endpoint.graphql.as_ref().map(|_| keys.graphql_errors),
        }
    }

    /// The data of an answer.
    pub fn data(&self, response: Response) -> Result<Response, Unreadable> {
        let response = self.without_errors(response, |part| self.json(part).ok())?;
        match self.decode {
            Decode::Bytes => Ok(response),
            Decode::Text => text(response),
            Decode::Json | Decode::Ndjson => self.json(response),
        }
    }

    /// The whole answer as a JSON value, for the reference's result of a send: whatever the path says.
    pub fn whole(&self, response: Response) -> Result<(String, Response), Unreadable> {
        let response = self.without_errors(response, Some)?;
        let response = match self.decode {
            Decode::Json => response,
            Decode::Ndjson => ndjson(response)?,
            Decode::Text | Decode::Bytes => {
                let response = if self.decode == Decode::Text { text(response)? } else { response };
                return match std::str::from_utf8(response.body()) {
                    Ok(body) => Ok((serde_json::json!(body).to_string(), response)),
                    Err(e) => {
                        let from = e.valid_up_to();
                        unreadable(
                            format!("is not UTF-8 from byte {from} on; send_bytes hands on any answer"),
                            response,
                        )
                    }
                };
            }
        };
        match decode::check(response.body()) {
            _ if response.body().is_empty() => Ok((NULL.into(), response)),
            Ok((_, json)) => Ok((json.to_owned(), response)),
            Err(syntax) => not_json(&syntax, response),
        }
    }

    /// An answer without GraphQL errors, or with those that are warnings. `partial`: what there is beside them.
    pub(crate) fn without_errors(
        &self,
        mut response: Response,
        partial: impl FnOnce(Response) -> Option<Response>,
    ) -> Result<Response, Unreadable> {
        let Some(policy) = self.graphql.filter(|_| !response.body().is_empty()) else { return Ok(response) };
        let judged = match decode::check(response.body()) {
            Ok((_, json)) => graphql::judge(json, &response.meta.redactor),
            Err(syntax) => return not_json(&syntax, response),
        };
        match (judged, policy) {
            (Judged::Whole, _) => Ok(response),
            (Judged::Nothing(error), _) => Err(Box::new((error, response))),
            (Judged::Partial(_, texts), GraphqlErrors::Warn) => {
                response.meta.warnings.extend(texts);
                Ok(response)
            }
            (Judged::Partial(mut error, _), GraphqlErrors::Fail) => {
                let body = response.body().to_vec();
                let part = Response::new(response.head.clone(), response.meta.clone(), body);
                error.partial = partial(part).map(Arc::new);
                if error.partial.is_some() {
                    error.message += "; the data beside it is in the error's partial";
                }
                Err(Box::new((error, response)))
            }
        }
    }

    fn json(&self, response: Response) -> Result<Response, Unreadable> {
        let (response, whole) = self.document(response)?;
        let data = match self.find(text_of(&response, &whole)) {
            Ok(Some(found)) => narrow(response, whole.start, found),
            Ok(None) => response.with_body(NULL.into()),
            Err(error) => return Err(Box::new((error, response))),
        };
        self.judged(data)
    }

    /// The whole answer as JSON: checked, and where it lies in the body. None at all is null.
    pub(crate) fn document(&self, response: Response) -> Result<(Response, Range<usize>), Unreadable> {
        let response = if self.decode == Decode::Ndjson { ndjson(response)? } else { response };
        if response.body().is_empty() {
            return Ok((response.with_body(NULL.into()), 0..NULL.len()));
        }
        match decode::check(response.body()) {
            Ok((start, json)) => {
                let whole = start..start + json.len();
                Ok((response, whole))
            }
            Err(syntax) => not_json(&syntax, response),
        }
    }

    /// Is the answer one value a line, so that none is no fault?
    pub(crate) fn is_lines(&self) -> bool {
        self.decode == Decode::Ndjson
    }

    /// Is the whole document the data?
    pub(crate) fn is_whole(&self) -> bool {
        self.path.is_none()
    }

    /// Where the data is in a document. None: nowhere, and that is null.
    pub(crate) fn find(&self, json: &str) -> Result<Option<Found>> {
        let whole = || Ok(Some(Found::One(0..json.len())));
        let Some(path) = &self.path else { return whole() };
        match (path.locate(json), self.on_missing) {
            (Ok(found), _) => Ok(Some(found)),
            (Err(_), OnMissing::Whole) => whole(),
            (Err(_), OnMissing::Null) => Ok(None),
            (Err(missing), OnMissing::Error) => {
                let message = format!(
                    "response_path `{}` finds nothing: {missing} (on_missing: null or whole would accept that)",
                    path.as_str()
                );
                Err(Error::new(Kind::Decode, message))
            }
        }
    }

    /// Holds data against the schema.
    pub(crate) fn judged(&self, mut response: Response) -> Result<Response, Unreadable> {
        let Some(schema) = &self.schema else { return Ok(response) };
        let json = std::str::from_utf8(response.body()).unwrap_or(NULL);
        let Err(misfit) = schema.judge(json) else { return Ok(response) };
        match self.policy {
            SchemaPolicy::Off => Ok(response),
            SchemaPolicy::Warn => {
                response.meta.warnings.push(format!("the data does not fit response_schema: {misfit}"));
                Ok(response)
            }
            SchemaPolicy::DropItem if !misfit.whole => {
                let kept = without(json, &misfit);
                let dropped = misfit.items.len();
                let mut response = response.with_body(kept);
                response.meta.warnings.push(format!("{dropped} items dropped by response_schema: {misfit}"));
                Ok(response)
            }
            SchemaPolicy::DropItem | SchemaPolicy::Fail => {
                let error =
                    Error::new(Kind::Schema, format!("the data does not fit response_schema: {misfit}"));
                Err(Box::new((error, response)))
            }
        }
    }
}

/// A part of a body that was checked to be JSON.
pub(crate) fn text_of<'r>(response: &'r Response, part: &Range<usize>) -> &'r str {
    response.body().get(part.clone()).and_then(|t| std::str::from_utf8(t).ok()).unwrap_or(NULL)
}

/// What was found in the document that begins there, as the body.
pub(crate) fn narrow(response: Response, start: usize, found: Found) -> Response {
    match found {
        Found::One(place) => response.narrowed(start + place.start..start + place.end),
        Found::Many(places) => {
            let text = std::str::from_utf8(response.body()).unwrap_or_default();
            let values = places.into_iter().filter_map(|p| text.get(start + p.start..start + p.end));
            let array = array_of(values);
            response.with_body(array)
        }
    }
}

fn text(response: Response) -> Result<Response, Unreadable> {
    let (response, body) = response.take_body();
    match decode::decode_text(&response.head, body) {
        Ok((text, replaced)) => {
            let mut response = response.with_body(text);
            if replaced {
                let warning = "bytes that the answer's charset does not have were replaced by U+FFFD";
                response.meta.warnings.push(warning.into());
            }
            Ok(response)
        }
        Err(error) => Err(Box::new((error, response))),
    }
}

fn ndjson(response: Response) -> Result<Response, Unreadable> {
    match decode::lines_to_array(response.body()) {
        Ok(array) => Ok(response.with_body(array)),
        Err((line, syntax)) => unreadable(format!("has a line {line} that is not JSON: {syntax}"), response),
    }
}

fn not_json<T>(syntax: &decode::Syntax, response: Response) -> Result<T, Unreadable> {
    let body = response.body();
    let media = response.head.get("content-type").map(String::from_utf8_lossy).unwrap_or_default();
    // Redacted before it is cut: a piece of a secret would not be found any more.
    let start = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_FROM)]);
    let start: String = response.meta.redactor.redact(&start).chars().take(EXCERPT).collect();
    unreadable(format!("is not JSON: {syntax}; its type is `{media}`, it starts with {start:?}"), response)
}

fn unreadable<T>(what: String, response: Response) -> Result<T, Unreadable> {
    Err(Box::new((Error::new(Kind::Decode, format!("the answer {what}")), response)))
}

pub(crate) fn array_of<'j>(values: impl Iterator<Item = &'j str>) -> Vec<u8> {
    let mut array = vec![b'['];
    for value in values {
        if array.len() > 1 {
            array.push(b',');
        }
        array.extend_from_slice(value.trim_ascii().as_bytes());
    }
    array.push(b']');
    array
}

/// The array without the items that do not fit.
fn without(json: &str, misfit: &Misfit) -> Vec<u8> {
    let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(json).unwrap_or_default();
    let kept = items.iter().enumerate().filter(|(at, _)| !misfit.items.contains(at));
    array_of(kept.map(|(_, item)| item.get()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use jsonschema::Validator;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::endpoint::SchemaPolicy::{DropItem, Fail, Warn};
    use crate::response::{Head, Meta};

    /// What an endpoint with this schema makes of a body.
    fn read(schema: &Value, policy: SchemaPolicy, body: &str) -> Result<Response, Unreadable> {
        let schema = Some(Schema::new(&schema.to_string()).unwrap());
        let reading = Reading {
            decode: Decode::Json,
            path: None,
            on_missing: OnMissing::Error,
            schema,
            policy,
            graphql: None,
        };
        reading.data(Response::new(Head::default(), Meta::default(), body.into()))
    }

    /// The crate's own evaluator.
    fn evaluator(schema: &Value) -> Validator {
        jsonschema::draft202012::new(schema).unwrap()
    }

    /// Where it finds faults.
    fn pointers(schema: &Value, value: &Value) -> Vec<String> {
        evaluator(schema).iter_errors(value).map(|e| e.instance_path().to_string()).collect()
    }

    /// JSON texts, each value in one of the ways in which it can be written.
    fn text() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1",
            "1.0",
            "10e-1",
            "2.50",
            "-3",
            "123456789012345678901234567890",
            "\"\"",
            "\"a\"",
            "\"\\u0061\"",
            "\"ab\"",
            "\"long and \u{e9} wide\"",
            "[]",
            "{ }",
        ]);
        let space = || prop::sample::select(vec!["", " ", "\n  "]);
        leaf.prop_map(str::to_owned).prop_recursive(3, 24, 4, move |inner| {
            let key = prop::sample::select(vec!["a", "b", "c", "x~/y"]);
            let member = (key, space(), inner.clone()).prop_map(|(k, s, v)| format!("\"{k}\"{s}:{s}{v}"));
            prop_oneof![
                (space(), prop::collection::vec(inner, 0..5))
                    .prop_map(|(s, items)| format!("[{s}{}{s}]", items.join(&format!("{s},{s}")))),
                (space(), prop::collection::vec(member, 0..4))
                    .prop_map(|(s, members)| format!("{{{s}{}{s}}}", members.join(&format!("{s},{s}")))),
            ]
        })
    }

    fn schema() -> impl Strategy<Value = Value> {
        let types = ["null", "boolean", "integer", "number", "string", "array", "object"];
        let leaf = prop_oneof![
            3 => prop::sample::select(types.to_vec()).prop_map(|t| json!({"type": t})),
            2 => prop::sample::subsequence(types.to_vec(), 1..6).prop_map(|t| json!({"type": t})),
            5 => prop::sample::select(vec![
                json!(true), json!(false), json!({"const": 1}), json!({"enum": ["a", 2.5, null, {}]}),
                json!({"minimum": 1}), json!({"exclusiveMaximum": 1}), json!({"multipleOf": 0.5}),
                json!({"maxLength": 1}), json!({"pattern": "^a(?!b)"}), json!({"minItems": 2}),
                json!({"uniqueItems": true}), json!({"required": ["a"]}), json!({"maxProperties": 1}),
                json!({"dependentRequired": {"a": ["b"]}}), json!({"propertyNames": {"pattern": "^[ab]$"}}),
            ]),
        ];
        leaf.prop_recursive(3, 12, 3, |s| {
            let pair = (s.clone(), s.clone());
            prop_oneof![
                pair.clone().prop_map(|(a, b)| json!({"properties": {"a": a, "x~/y": b}})),
                pair.clone().prop_map(|(a, b)| json!({"properties": {"a": a}, "additionalProperties": b})),
                pair.clone().prop_map(|(a, b)| json!({"prefixItems": [a], "items": b})),
                pair.clone().prop_map(|(a, b)| json!({"anyOf": [a, b]})),
                pair.clone().prop_map(|(a, b)| json!({"allOf": [a, b]})),
                pair.clone().prop_map(|(a, b)| json!({"oneOf": [a, b]})),
                (s.clone(), pair).prop_map(|(i, (t, e))| json!({"if": i, "then": t, "else": e})),
                s.clone().prop_map(|a| json!({"not": a})),
                s.clone().prop_map(|a| json!({"items": a})),
                s.clone().prop_map(|a| json!({"contains": a})),
                s.clone().prop_map(|a| json!({"$ref": "#/$defs/a", "$defs": {"a": a}})),
                s.prop_map(|a| json!({"allOf": [{"properties": {"a": a}}], "unevaluatedProperties": false})),
            ]
            // A `$ref` is to the schema around it, wherever that comes to stand.
            .prop_map(|mut schema| {
                if let Some(object) = schema.as_object_mut()
                    && object.contains_key("$ref")
                {
                    object.insert("$id".into(), json!("urn:inner"));
                }
                schema
            })
        })
    }

    /// Every fault that is told: at most twenty, each with the pointer to something that is there.
    fn check_told(misfit: &Misfit, value: &Value, expected: &[String]) -> Result<(), TestCaseError> {
        prop_assert_eq!(misfit.count, expected.len());
        prop_assert_eq!(misfit.faults.len(), expected.len().min(20));
        for (fault, pointer) in misfit.faults.iter().zip(expected) {
            let told = fault.split(": ").next().unwrap_or_default();
            prop_assert_eq!(told, if pointer.is_empty() { "/" } else { pointer });
            prop_assert!(value.pointer(pointer).is_some(), "{}", fault);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn data_is_judged_as_the_crates_evaluator_judges_it_and_stays_as_it_came(schema in schema(), body in text()) {
            let (evaluator, value) = (evaluator(&schema), serde_json::from_str::<Value>(&body).unwrap());
            let valid = evaluator.is_valid(&value);
            let pointers = pointers(&schema, &value);
            match Schema::new(&schema.to_string()).unwrap().judge(&body) {
                Ok(()) => prop_assert!(valid),
                Err(misfit) => {
                    prop_assert!(!valid);
                    check_told(&misfit, &value, &pointers)?;
                }
            }
            let warned = read(&schema, Warn, &body).map_err(|_| TestCaseError::fail("warn is no failure"))?;
            prop_assert_eq!(warned.body(), body.as_bytes());
            prop_assert_eq!(warned.meta.warnings.len(), usize::from(!valid));
            match read(&schema, Fail, &body) {
                Ok(response) => {
                    prop_assert!(valid);
                    prop_assert_eq!(response.body(), body.as_bytes());
                }
                Err(unreadable) => {
                    prop_assert!(!valid);
                    prop_assert_eq!(unreadable.0.kind(), Kind::Schema);
                    prop_assert_eq!(unreadable.1.body(), body.as_bytes());
                }
            }
            // There is something to drop only in a list whose every fault lies within an item.
            let droppable = value.is_array() && pointers.iter().all(|p| !p.is_empty());
            prop_assert_eq!(read(&schema, DropItem, &body).is_ok(), valid || droppable);
        }

        #[test]
        fn the_items_dropped_are_those_that_the_evaluator_refuses_and_the_others_are_the_servers_bytes(
            schema in schema(),
            items in prop::collection::vec(text(), 0..40),
            space in prop::sample::select(vec!["", " ", "\n\t"]),
        ) {
            let evaluator = evaluator(&schema);
            let fits = |item: &&String| evaluator.is_valid(&serde_json::from_str(item).unwrap());
            let kept: Vec<&str> = items.iter().filter(fits).map(String::as_str).collect();
            let refused: BTreeSet<usize> = (0..items.len()).filter(|i| !fits(&&items[*i])).collect();
            let body = format!("{space}[{space}{}{space}]{space}", items.join(&format!("{space},{space}")));
            let schema = json!({"items": schema});
            let Ok(response) = read(&schema, DropItem, &body) else {
                return Err(TestCaseError::fail("every fault lies within an item"));
            };
            if refused.is_empty() {
                prop_assert_eq!(response.body(), body.as_bytes());
                prop_assert!(response.meta.warnings.is_empty());
                return Ok(());
            }
            prop_assert_eq!(std::str::from_utf8(response.body()).unwrap(), format!("[{}]", kept.join(",")));
            let warning = response.meta.warnings.concat();
            let dropped = format!("{} items dropped by response_schema: ", refused.len());
            prop_assert!(warning.starts_with(&dropped), "{}", warning);
            let misfit = Schema::new(&schema.to_string()).unwrap().judge(&body).unwrap_err();
            prop_assert_eq!(&misfit.items, &refused);
            prop_assert!(!misfit.whole);
            let whole: Value = serde_json::from_str(&body).unwrap();
            check_told(&misfit, &whole, &pointers(&schema, &whole))?;
            prop_assert!(warning.ends_with(&misfit.faults.join("; ")), "{}", warning);
        }
    }
}
