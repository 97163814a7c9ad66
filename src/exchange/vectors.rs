//! Other projects' vectors for what is decided here: Retry-After, HTTP dates, and where credentials may follow a
//! redirect. They lie outside of this repository, in the folder that `APL_CONFORMANCE_DIR` names; without it
//! these tests say so and look at the cases of their own.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::Value;

use super::classify::retry_after;
use super::redirect::{Asked, follow};
use crate::config::{Allowed, Origin};
use crate::decode::http_date;
use crate::response::Head;

/// What is decided otherwise here, and why. A case that is no matter of leniency or policy cannot be.
fn decided(id: &str, tags: &[&str]) -> Option<&'static str> {
    if !tags.contains(&"policy") && !tags.contains(&"lenient") {
        return None;
    }
    Some(match id {
        "strip-2" | "strip-3" | "strip-4" => {
            "https on the same host is another origin: allow_origins says so"
        }
        "ra-curl-1596" => "the wait is told as it is; retry.max_wait is the cap",
        _ if id.starts_with("date-") || id.starts_with("ra-urllib3-1") => {
            "RFC 9110 5.6.7 has three forms of a date; what is none of them is no date"
        }
        _ => return None,
    })
}

/// Every case of a file, or None where the folder is not named.
fn cases(file: &str) -> Option<Vec<Value>> {
    let Some(folder) = std::env::var_os("APL_CONFORMANCE_DIR") else {
        eprintln!("skipped: APL_CONFORMANCE_DIR is not set, so {file} is not looked at");
        return None;
    };
    let path = PathBuf::from(folder).join("vectors").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let json: Value = serde_json::from_str(&text).unwrap();
    Some(json["cases"].as_array().unwrap().clone())
}

/// Holds each case's outcome against what it expects; what is decided otherwise is listed, and told.
fn judge(file: &str, outcome: impl Fn(&Value) -> Value) {
    let Some(cases) = cases(file) else { return };
    let (mut wrong, mut otherwise) = (Vec::new(), 0);
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let got = outcome(&case["input"]);
        let tags: Vec<&str> = case["tags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        match decided(id, &tags) {
            _ if got == case["expect"] => {}
            Some(reason) => {
                eprintln!("{id} {}: {reason}", case["input"]);
                otherwise += 1;
            }
            None => wrong.push(format!("{id} {}: {} expected, got {got}", case["input"], case["expect"])),
        }
    }
    assert!(wrong.is_empty(), "{file}: {wrong:#?}");
    assert!(cases.len() > 5);
    eprintln!("{file}: {} cases, {otherwise} decided otherwise", cases.len());
}

fn head(value: &str) -> Head {
    crate::response::head(503, &[("Retry-After", value)])
}

#[test]
fn waits() {
    judge("retry-after.json", |input| {
        let now = UNIX_EPOCH + Duration::from_secs(input["now_unix"].as_u64().unwrap());
        match retry_after(&head(input["value"].as_str().unwrap()), now) {
            Some(wait) => serde_json::json!({"delay_s": wait.as_secs()}),
            None => serde_json::json!({"error": true}),
        }
    });
}

#[test]
fn dates() {
    judge("http-date.json", |input| match http_date(input["value"].as_str().unwrap()) {
        Some(at) => serde_json::json!({"unix": seconds(at)}),
        None => serde_json::json!({"error": true}),
    });
}

fn seconds(at: SystemTime) -> i64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs() as i64,
        Err(before) => -(before.duration().as_secs() as i64),
    }
}

#[test]
fn credentials_after_a_redirect() {
    judge("auth-strip.json", |input| {
        let url = |key: &str| input[key].as_str().unwrap().parse::<url::Url>().unwrap();
        let (from, to) = (url("from"), url("to"));
        let allowed = Allowed::new(Origin::of(&from).unwrap(), Vec::new(), false);
        let from = Asked { method: &Method::GET, url: &from, trusted: true, has_body: false };
        // What is not followed at all gets no credentials either.
        let kept =
            follow(from, 302, Some(to.as_str().as_bytes()), &allowed, |_| false).is_ok_and(|to| to.trusted);
        serde_json::json!({"strip_auth": !kept})
    });
}

#[test]
fn links() {
    judge("link-header.json", |input| {
        let headers: Vec<&str> =
            input["headers"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let header = headers.join(", ");
        // What cannot be read names no page; a listing fails for it.
        let targets = crate::pages::targets(&header, input["rel"].as_str().unwrap()).unwrap_or_default();
        serde_json::json!({"targets": targets})
    });
}
