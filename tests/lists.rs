//! What is sent: lists, item by item, with their ledger; and the request schema.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/faulty.rs"]
mod faulty;
mod support;

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use std::io::Write;

use api::{AUTH, Api, CANCELLED, Cancel, HTTP_STATUS, INVALID_ARGUMENT, IO, SCHEMA, TIMEOUT, TOO_LARGE};
use faulty::{TOKEN, assert_fault, assert_fault_keeps_secrets, assert_no_secret};
use serde_json::{Value, json};
use support::{Request, Server, answering, ok_json, read_request, response};

/// Says an item's own words back; one with `refuse` is refused with that status.
fn echo(request: &Request) -> Vec<u8> {
    let item: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    match item["refuse"].as_str() {
        Some(status) => {
            response(status, "Content-Type: application/json\r\n", r#"{"message":"not this one"}"#)
        }
        None => ok_json(&request.body),
    }
}

fn api(server: &Server) -> Api {
    faulty::api(&server.url(), &json!({}))
}

fn bodies(server: &Server) -> Vec<String> {
    server.requests().iter().map(|r| r.body_text().to_owned()).collect()
}

#[test]
fn a_list_is_one_request_for_each_item_in_order() {
    let server = Server::start(answering(echo));
    let answer = api(&server).send("post", r#" [ {"n": 1.10} , 2, "drei" , null,[4]]"#, None).unwrap();
    assert_eq!(bodies(&server), [r#"{"n": 1.10}"#, "2", r#""drei""#, "null", "[4]"]);
    assert_eq!(server.connections(), 1);
    assert_eq!(
        answer.text(),
        concat!(
            r#"{"success":true,"sent_count":5,"failed_count":0,"results":[{"n": 1.10},2,"drei",null,[4]],"#,
            r#""failures":[],"items":["#,
            r#"{"index":0,"ok":true,"status":200,"attempts":1,"sent":"yes","hash":"9bcd00be","result":{"n": 1.10}},"#,
            r#"{"index":1,"ok":true,"status":200,"attempts":1,"sent":"yes","hash":"d4735e3a","result":2},"#,
            r#"{"index":2,"ok":true,"status":200,"attempts":1,"sent":"yes","hash":"95799a7d","result":"drei"},"#,
            r#"{"index":3,"ok":true,"status":200,"attempts":1,"sent":"yes","hash":"74234e98","result":null},"#,
            r#"{"index":4,"ok":true,"status":200,"attempts":1,"sent":"yes","hash":"46b18841","result":[4]}]}"#
        )
    );
    // Head and meta are the last answer's.
    assert_eq!((answer.status, &answer.meta["items"]), (200, &json!(5)));
    assert_eq!(answer.meta["warnings"].as_array().unwrap().len(), 1, "{}", answer.meta);
    assert_no_secret("meta", &answer.meta.to_string());
}

#[test]
fn the_results_are_the_servers_bytes() {
    let body = r#"{"big": 123456789012345678901234567890, "z": -0, "a": 1, "a": 2, "s": "\ud800"}"#;
    let server = Server::start(answering(move |_| ok_json(body)));
    let answer = api(&server).send("post", "[{},{}]", None).unwrap();
    assert_eq!(answer.text().matches(body).count(), 4, "{}", answer.text());
}

#[test]
fn an_empty_list_is_success_and_nothing_is_sent() {
    let server = Server::start(answering(echo));
    let answer = api(&server).send("post", "[ ]", None).unwrap();
    let all = r#"{"success":true,"sent_count":0,"failed_count":0,"results":[],"failures":[],"items":[]}"#;
    assert_eq!(answer.text(), all);
    assert_eq!(answer.meta, json!({"items": 0, "warnings": []}));
    assert_eq!((answer.status, server.connections()), (0, 0));
}

#[test]
fn a_failing_item_does_not_stop_the_others_and_is_the_calls_failure() {
    let server = Server::start(answering(echo));
    let data = r#"[{"n":0},{"refuse":"422 No"},{"n":2},{"refuse":"500 Oops"},{"n":4}]"#;
    let fault = api(&server).send("post", data, None).unwrap_err();
    assert_eq!(server.requests().len(), 5);
    assert_fault(
        &fault,
        HTTP_STATUS,
        "post: 2 of 5 items failed, the first is item 1: POST http://127.0.0.1",
    );
    assert_fault(&fault, HTTP_STATUS, "the server answered 422: not this one");
    assert_eq!((fault.http_status, fault.category.as_str(), fault.retryable), (422, "VALIDATION", false));
    assert_eq!(fault.response_body, br#"{"message":"not this one"}"#);
    assert_eq!(fault.json["additional_context"], json!({"endpoint": "post", "item_index": 1}));
    assert_fault_keeps_secrets(&fault);

    let partial = fault.partial.expect("the ledger");
    let ledger = partial.json();
    assert_eq!(partial.status, 200);
    assert_eq!(
        (&ledger["success"], &ledger["sent_count"], &ledger["failed_count"]),
        (&json!(false), &json!(3), &json!(2))
    );
    assert_eq!(ledger["results"], json!([{"n": 0}, {"n": 2}, {"n": 4}]));
    let indices: Vec<_> = ledger["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["additional_context"]["item_index"])
        .collect();
    assert_eq!(indices, [1, 3]);
    let failure = &ledger["failures"][1];
    assert_eq!(
        (&failure["error_category"], &failure["status_code"], &failure["request_method"]),
        (&json!("SERVER"), &json!(500), &json!("POST"))
    );
    assert_eq!(failure["response_body"], r#"{"message":"not this one"}"#);
    let items = ledger["items"].as_array().unwrap();
    let brief: Vec<_> =
        items.iter().map(|i| (i["index"].as_u64(), i["ok"].as_bool(), i["status"].as_u64())).collect();
    let row = |index, ok, status| (Some(index), Some(ok), Some(status));
    assert_eq!(
        brief,
        [row(0, true, 200), row(1, false, 422), row(2, true, 200), row(3, false, 500), row(4, true, 200)]
    );
    assert_eq!((&items[3]["sent"], &items[3]["attempts"]), (&json!("yes"), &json!(1)));
    assert_eq!(items[3]["error"], ledger["failures"][1]);
    assert!(items[3].get("result").is_none() && items[0].get("error").is_none());
    assert_no_secret("ledger", partial.text());
}

#[test]
fn a_ledger_holds_little_of_a_long_refusal_and_no_piece_of_a_secret() {
    let server = Server::start(answering(|_| {
        let long = format!("{}{TOKEN}{}", "é".repeat(990), "x".repeat(50_000));
        response("500 Oops", "Content-Type: text/plain\r\n", long)
    }));
    let fault = api(&server).send("post", "[1,2]", None).unwrap_err();
    let partial = fault.partial.as_ref().unwrap();
    let shown = partial.json()["failures"][1]["response_body"].as_str().unwrap().to_owned();
    assert_eq!(shown.chars().count(), 1000);
    assert!(shown.contains("***xx") && !partial.text().contains("canary"), "{shown}");
    assert!(partial.body.len() < 20_000);
    // The error has all that is kept of it.
    assert!(fault.response_body.len() > 50_000);
}

#[test]
fn whether_a_list_may_be_sent_again_depends_on_what_has_arrived() {
    let server = Server::start(answering(echo));
    let api = api(&server);
    let busy = r#"{"refuse":"503 Busy"}"#;
    // POST: what has arrived would arrive twice. PUT may be repeated. A 400 stays one.
    for (endpoint, data, retryable) in [
        ("post", format!("[{busy},1]"), false),
        ("post", format!("[{busy}]"), false),
        ("put", format!("[1,{busy},2]"), true),
        ("put", format!(r#"[{busy},{{"refuse":"400 Bad"}}]"#), false),
        ("post", r#"[{"refuse":"429 Slow"}]"#.into(), true),
        ("post", r#"[{"refuse":"429 Slow"},1]"#.into(), false),
    ] {
        let fault = api.send(endpoint, &data, None).unwrap_err();
        assert_eq!(fault.retryable, retryable, "{endpoint} {data}");
    }
}

#[test]
fn an_item_whose_connection_dies_may_have_been_processed() {
    let server = Server::start(|mut stream: TcpStream, _| {
        while let Some(request) = read_request(&mut stream) {
            if request.body == b"1" || stream.write_all(&ok_json("{}")).is_err() {
                return;
            }
        }
    });
    let fault = api(&server).send("post", "[0,1,2]", None).unwrap_err();
    assert_fault(&fault, IO, "1 of 3 items failed, the first is item 1: ");
    let ledger = fault.partial.unwrap().json();
    assert_eq!(
        (&ledger["items"][1]["sent"], &ledger["items"][1]["status"], &ledger["items"][2]["ok"]),
        (&json!("maybe"), &Value::Null, &json!(true))
    );
}

#[test]
fn a_cancel_ends_a_list_and_tells_what_was_not_sent() {
    let cancel = Arc::new(Cancel::new());
    let trigger = cancel.clone();
    let server = Server::start(answering(move |request| {
        if request.body == b"2" {
            trigger.trigger();
        }
        ok_json(&request.body)
    }));
    let fault = api(&server).send_until("post", "[1,2,3,4]", None, Some(&cancel)).unwrap_err();
    assert_fault(&fault, CANCELLED, " of 4 items failed, the first is item ");
    assert!(server.requests().len() == 2, "{:?}", bodies(&server));
    let ledger = fault.partial.unwrap().json();
    let items = ledger["items"].as_array().unwrap();
    assert_eq!(items.len(), 4);
    for item in &items[2..] {
        assert_eq!((&item["ok"], &item["sent"], &item["attempts"]), (&json!(false), &json!("no"), &json!(0)));
        assert!(item["error"]["message"].as_str().unwrap().contains("was not sent: the call was cancelled"));
    }
    assert_eq!(ledger["results"][0], 1);
    // Nothing is sent where it comes before the call.
    let fault = api(&server).send_until("post", "[1]", None, Some(&cancel)).unwrap_err();
    assert_fault(&fault, CANCELLED, "1 of 1 items failed, the first is item 0: item 0 was not sent");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_deadline_is_the_whole_lists() {
    let server = Server::start(|mut stream: TcpStream, _| {
        while let Some(request) = read_request(&mut stream) {
            if request.body == b"2" {
                return support::finish(stream, support::Close::Keep);
            }
            // It takes most of the list's time.
            if request.body == b"1" {
                std::thread::sleep(Duration::from_millis(1500));
            }
            let _ = stream.write_all(&ok_json(&request.body));
        }
    });
    let begun = Instant::now();
    let fault = api(&server).send("post", "[1,2,3,4]", r#"{"deadline": 2}"#).unwrap_err();
    // With a deadline for each, the second one alone would have lasted until 3.5 s.
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_fault(&fault, TIMEOUT, "3 of 4 items failed, the first is item 1: ");
    assert_eq!(server.requests().len(), 2);
    let items = fault.partial.unwrap().json()["items"].clone();
    assert_eq!(
        (&items[1]["sent"], &items[2]["sent"], &items[3]["sent"]),
        (&json!("maybe"), &json!("no"), &json!("no"))
    );
    assert!(items[3]["error"]["message"].as_str().unwrap().contains("the call's deadline was over"));
    // An attempt's own limit is no end of the list.
    let fault = api(&server).send("post", "[5,2,6]", r#"{"timeout": {"head": 0.2}}"#).unwrap_err();
    assert_fault(&fault, TIMEOUT, "1 of 3 items failed, the first is item 1: ");
}

#[test]
fn results_beyond_the_limit_end_a_list() {
    let server = Server::start(answering(|_| ok_json(format!("\"{}\"", "x".repeat(1000)))));
    let fault = api(&server).send("post", "[1,2,3,4]", r#"{"limits": {"max_result": 1500}}"#).unwrap_err();
    assert_fault(&fault, TOO_LARGE, "2 of 4 items failed, the first is item 2: ");
    assert_fault(&fault, TOO_LARGE, "limits.max_result");
    assert_eq!(server.requests().len(), 2);
    assert_eq!(fault.partial.unwrap().json()["sent_count"], 2);
}

#[test]
fn what_no_item_could_be_sent_with_is_said_once_and_nothing_is_sent() {
    let server = Server::start(answering(echo));
    let api = api(&server);
    for (data, options) in
        [("[1,2,", "{}"), ("[1,2]", r#"{"params": {"x": {}}}"#), ("[1]", r#"{"dedline": 1}"#)]
    {
        let fault = api.send("post", data, options).unwrap_err();
        assert_fault(&fault, INVALID_ARGUMENT, "");
        assert!(fault.partial.is_none());
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn credentials_that_are_refused_are_refused_for_each_item() {
    let server = Server::start(answering(|_| response("401 No", "", "")));
    let fault = api(&server).send("post", "[1,2]", None).unwrap_err();
    assert_fault(&fault, AUTH, "2 of 2 items failed, the first is item 0: ");
    assert_eq!(fault.partial.unwrap().json()["items"][1]["status"], 401);
}

#[test]
fn parameters_and_a_template_are_every_items() {
    let server = Server::start(answering(echo));
    let more = json!({"endpoints": {"post": {"path": "/t/{team}", "body_template": {"kind": "user"}}}});
    let api = faulty::api(&server.url(), &more);
    api.send("post", r#"[{"n":1},{"n":2}]"#, r#"{"params": {"team": "core"}}"#).unwrap();
    assert_eq!(bodies(&server), [r#"{"kind":"user","n":1}"#, r#"{"kind":"user","n":2}"#]);
    assert!(server.requests().iter().all(|r| r.target().starts_with("/t/core?")));
}

// ---- the request schema ----

fn with_schema(server: &Server, policy: &str) -> Api {
    let schema = json!({
        "type": "object", "required": ["name"],
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    });
    let keys = json!({"request_schema": schema, "schema_policy": policy});
    faulty::api(&server.url(), &json!({"endpoints": {"post": keys, "bad": keys}}))
}

#[test]
fn what_does_not_fit_the_request_schema_is_not_sent_whatever_the_policy() {
    let server = Server::start(answering(echo));
    for policy in ["warn", "off", "drop_item", "fail"] {
        let api = with_schema(&server, policy);
        let fault = api.send("post", r#"{"name": 123456, "age": "x"}"#, None).unwrap_err();
        assert_fault(
            &fault,
            SCHEMA,
            "post: nothing was sent: the data does not fit request_schema: 2 faults: ",
        );
        assert!(fault.message.contains("/name: ") && fault.message.contains("/age: "), "{}", fault.message);
        assert!(!fault.message.contains("123456"), "values are not shown: {}", fault.message);
        assert_eq!((fault.category.as_str(), fault.retryable, fault.http_status), ("VALIDATION", false, 0));
        assert_eq!((&fault.json["sent"], &fault.json["endpoint"]), (&json!("no"), &json!("post")));
        assert!(fault.response.is_none() && fault.partial.is_none());
        let fault = api.fetch("bad", None, r#"{"data": {}}"#).unwrap_err();
        assert_fault(
            &fault,
            SCHEMA,
            "bad: nothing was sent: the data does not fit request_schema: 1 fault: /: ",
        );
        api.send_bytes("post", b"{}", None).expect("bytes are nobody's business");
        api.fetch("bad", None, None).expect("no data is no misfit");
    }
    assert_eq!(server.requests().len(), 8);
    // A key may be one, too.
    let closed =
        json!({"endpoints": {"post": {"request_schema": {"additionalProperties": {"type": "string"}}}}});
    let fault =
        faulty::api(&server.url(), &closed).send("post", &json!({TOKEN: 1}).to_string(), None).unwrap_err();
    assert_fault(&fault, SCHEMA, "***");
    assert_fault_keeps_secrets(&fault);
}

#[test]
fn every_item_is_checked_before_the_first_is_sent() {
    let server = Server::start(answering(echo));
    let api = with_schema(&server, "warn");
    let fault = api.send("post", r#"[{"name":"a"},{"name":"b"},{"name":1},{"age":1}]"#, None).unwrap_err();
    assert_fault(
        &fault,
        SCHEMA,
        "post: nothing was sent: 2 of 4 items do not fit request_schema: item 2: /name: ",
    );
    assert!(fault.message.contains("; item 3: /: "), "{}", fault.message);
    assert_eq!(fault.json["additional_context"], json!({"endpoint": "post", "item_index": 2}));
    assert_eq!(server.connections(), 0);
    let many = format!("[{}{{}}]", r#"{"name":1},"#.repeat(50));
    let fault = api.send("post", &many, None).unwrap_err();
    assert_fault(&fault, SCHEMA, "51 of 51 items");
    assert_eq!(fault.message.matches(": item ").count() + fault.message.matches("; item ").count(), 20);
    let answer = api.send("post", r#"[{"name":"a"},{"name":"b"}]"#, None).unwrap();
    assert_eq!(answer.json()["sent_count"], 2);
    assert_eq!(api.send("post", r#"{"name":"a"}"#, None).unwrap().json()["success"], true);
}
