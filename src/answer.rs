//! What an endpoint's `decode`, `response_path` and schema make of an answer.

use crate::config::Endpoint;
use crate::config::endpoint::{Decode, OnMissing, SchemaPolicy};
use crate::decode::{self, Found, Misfit, Path, Schema};
use crate::error::{Error, Kind, Result};
use crate::response::Response;

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
        }
    }

    /// The data of an answer.
    pub fn data(&self, response: Response) -> Result<Response, Unreadable> {
        match self.decode {
            Decode::Bytes => return Ok(response),
            Decode::Text => return text(response),
            Decode::Json => {}
            Decode::Ndjson => return self.json(ndjson(response)?),
        }
        self.json(response)
    }

    /// The whole answer as a JSON value, for the reference's result of a send: whatever the path says.
    pub fn whole(&self, response: Response) -> Result<(String, Response), Unreadable> {
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

    fn json(&self, response: Response) -> Result<Response, Unreadable> {
        if response.body().is_empty() {
            return self.judged(response.with_body(NULL.into()));
        }
        let (start, json) = match decode::check(response.body()) {
            Ok(text) => text,
            Err(syntax) => return not_json(&syntax, response),
        };
        let end = start + json.len();
        let found = match &self.path {
            None => Ok(Found::One(0..json.len())),
            Some(path) => path.locate(json).map_err(|missing| (path, missing)),
        };
        let data = match found {
            Ok(Found::One(place)) => response.narrowed(start + place.start..start + place.end),
            Ok(Found::Many(places)) => {
                let array = array_of(places.into_iter().map(|p| &json[p]));
                response.with_body(array)
            }
            Err(_) if self.on_missing == OnMissing::Whole => response.narrowed(start..end),
            Err(_) if self.on_missing == OnMissing::Null => response.with_body(NULL.into()),
            Err((path, missing)) => {
                let message = format!(
                    "response_path `{}` finds nothing: {missing} (on_missing: null or whole would accept that)",
                    path.as_str()
                );
                return Err(Box::new((Error::new(Kind::Decode, message), response)));
            }
        };
        self.judged(data)
    }

    /// Holds data against the schema.
    fn judged(&self, mut response: Response) -> Result<Response, Unreadable> {
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

fn array_of<'j>(values: impl Iterator<Item = &'j str>) -> Vec<u8> {
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
