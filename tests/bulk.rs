//! Lists in batches, several requests at once, and on from an earlier ledger.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/faulty.rs"]
mod faulty;
mod support;

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use std::io::Write;

use api::{
    Answer, Api, CANCELLED, Cancel, DECODE, Fault, HTTP_STATUS, INVALID_ARGUMENT, INVALID_CONFIG, IO,
    TOO_LARGE, TRUNCATED,
};
use faulty::{TOKEN, assert_fault, assert_fault_keeps_secrets, assert_no_secret};
use serde_json::{Value, json};
use support::{Close, Gate, Request, Server, answering, finish, ok_json, read_request, response};

/// `post` and `put` send so many items in one request.
fn api(server: &Server, batch: &Value) -> Api {
    let keys = json!({"batch": batch});
    faulty::api(&server.url(), &json!({"endpoints": {"post": keys, "put": keys}}))
}

fn plain(server: &Server) -> Api {
    faulty::api(&server.url(), &json!({}))
}

fn multi_status(body: &str) -> Vec<u8> {
    response("207 Multi-Status", "Content-Type: application/json\r\n", body)
}

fn bodies(server: &Server) -> Vec<String> {
    server.requests().iter().map(|r| r.body_text().to_owned()).collect()
}

fn ledger(outcome: &Result<Answer, Fault>) -> Value {
    match outcome {
        Ok(answer) => answer.json(),
        Err(fault) => fault.partial.as_ref().expect("the ledger").json(),
    }
}

/// Of each item: its status, whether it is ok, whether it was sent.
fn brief(ledger: &Value) -> Vec<String> {
    let items = ledger["items"].as_array().unwrap();
    for (at, item) in items.iter().enumerate() {
        assert_eq!(item["index"], at, "in order");
        assert_ne!(item.get("error").is_some(), item["ok"].as_bool().unwrap(), "{item}");
    }
    let word = |item: &Value| {
        let ok = if item["ok"] == true { "ok" } else { "no" };
        format!("{} {ok} {}", item["status"], item["sent"].as_str().unwrap())
    };
    items.iter().map(word).collect()
}

// ---- batches ----

#[test]
fn a_list_goes_in_batches_in_each_form() {
    let forms = [
        (json!({"size": 2}), "application/json", [r#"[{"n": 1.10},2]"#, r#"[null]"#]),
        (json!({"size": 2, "as": "ndjson"}), "application/x-ndjson", ["{\"n\": 1.10}\n2\n", "null\n"]),
        (
            json!({"size": 2, "as": "items_at", "path": "data.records"}),
            "application/json",
            [r#"{"data":{"records":[{"n": 1.10},2]}}"#, r#"{"data":{"records":[null]}}"#],
        ),
    ];
    for (batch, media, expected) in forms {
        let server = Server::start(answering(|_| ok_json("{}")));
        let api = api(&server, &batch);
        api.send("post", r#"[ {"n": 1.10} , 2, null ]"#, None).unwrap();
        assert_eq!(bodies(&server), expected);
        assert!(server.requests().iter().all(|r| r.header("content-type") == Some(media)), "{media}");
        // What is no list is sent as ever.
        api.send("post", "7", None).unwrap();
        assert_eq!(server.requests()[2].body, b"7");
        assert_eq!(server.requests()[2].header("content-type"), Some("application/json"));
    }
}

#[test]
fn a_batch_has_a_hundred_items_where_nothing_is_said() {
    let server = Server::start(answering(|request| ok_json(&request.body)));
    let all: Vec<usize> = (0..250).collect();
    let answer = api(&server, &json!({})).send("post", &json!(all).to_string(), None).unwrap();
    let sizes: Vec<usize> = server
        .requests()
        .iter()
        .map(|r| serde_json::from_slice::<Vec<usize>>(&r.body).unwrap().len())
        .collect();
    assert_eq!(sizes, [100, 100, 50]);
    let ledger = answer.json();
    assert_eq!(
        (&ledger["sent_count"], &ledger["results"], &answer.meta["items"]),
        (&json!(250), &json!(all), &json!(250))
    );
}

#[test]
fn a_template_is_under_each_item_or_around_all() {
    for (batch, expected) in [
        (json!({}), r#"[{"kind":"user","n":1},{"kind":"user","n":2}]"#),
        (json!({"as": "items_at", "path": "all"}), r#"{"kind":"user","all":[{"n":1},{"n":2}]}"#),
    ] {
        let server = Server::start(answering(|_| ok_json("{}")));
        let more = json!({"endpoints": {"post": {"body_template": {"kind": "user"}, "batch": batch}}});
        faulty::api(&server.url(), &more).send("post", r#"[{"n":1},{"n":2}]"#, None).unwrap();
        assert_eq!(bodies(&server), [expected]);
    }
}

#[test]
fn an_array_of_as_many_results_is_split_and_another_answer_is_kept_once() {
    let server = Server::start(answering(|request| match &request.body[..] {
        b"[1,2]" => ok_json(r#"[{"id": 1.0},{"id": -0}]"#),
        _ => ok_json(r#"{"took": 5.0}"#),
    }));
    let answer = api(&server, &json!({"size": 2})).send("post", "[1,2,3,4,5]", None).unwrap();
    let text = answer.text();
    assert!(text.contains(r#""results":[{"id": 1.0},{"id": -0},{"took": 5.0},{"took": 5.0}]"#), "{text}");
    let ledger = answer.json();
    assert_eq!(brief(&ledger), ["200 ok yes"; 5]);
    let items = &ledger["items"];
    assert_eq!((&items[1]["result"], &items[1]["result_at"]), (&json!({"id": -0.0}), &Value::Null));
    assert_eq!((&items[2]["result"], &items[2]["result_at"]), (&json!({"took": 5.0}), &Value::Null));
    assert_eq!((&items[3]["result"], &items[3]["result_at"]), (&Value::Null, &json!(2)));
    // One batch, one answer.
    assert_eq!((&items[4]["result"], &items[4]["result_at"]), (&json!({"took": 5.0}), &Value::Null));
}

#[test]
fn a_multi_status_is_read_item_by_item() {
    let server = Server::start(answering(|_| {
        multi_status(&format!(
            r#"[{{"status":201,"id":1.0}},{{"status":422,"message":"not {TOKEN}"}},{{"status":"429 Slow"}}]"#
        ))
    }));
    let fault = api(&server, &json!({})).send("post", "[1,2,3]", None).unwrap_err();
    assert_fault(
        &fault,
        HTTP_STATUS,
        "post: 2 of 3 items failed, the first is item 1: POST http://127.0.0.1",
    );
    assert_fault(&fault, HTTP_STATUS, "the server refused item 1 with 422: not ***");
    assert_eq!((fault.http_status, fault.category.as_str(), fault.retryable), (422, "VALIDATION", false));
    assert_fault_keeps_secrets(&fault);
    let partial = fault.partial.as_ref().unwrap();
    assert_no_secret("ledger", partial.text());
    let ledger = partial.json();
    assert_eq!(brief(&ledger), ["201 ok yes", "422 no yes", "429 no yes"]);
    assert_eq!(ledger["results"], json!([{"status": 201, "id": 1.0}]));
    assert_eq!(ledger["failures"][1]["error_category"], "RATE_LIMIT");
    assert_eq!(ledger["failures"][0]["response_body"], r#"{"status":422,"message":"not ***"}"#);
    assert_eq!(ledger["items"][2]["error"]["additional_context"]["item_index"], 2);
}

#[test]
fn a_multi_status_that_lies_is_no_success() {
    let lies = [
        (r#"[{"status":200}]"#, "it has 1 results for 2 items"),
        (r#"[{"status":200},{"status":200},{"status":200}]"#, "it has 3 results for 2 items"),
        (r#"[{"id":1},{"id":2}]"#, "its result has no status"),
        (r#"{"done":2}"#, "it is no list of results"),
        ("", "it is no list of results"),
        (r#"[{"index":1,"status":200},{"index":2,"status":200}]"#, "a result for item 2 of the batch"),
    ];
    for (lie, says) in lies {
        let server = Server::start(answering(move |_| multi_status(lie)));
        let outcome = api(&server, &json!({})).send("post", "[1,2]", None);
        assert_eq!(brief(&ledger(&outcome)), ["207 no maybe"; 2], "{lie}");
        let fault = outcome.unwrap_err();
        assert_fault(&fault, DECODE, "the answer, 207, does not tell what became of item 0: ");
        assert_fault(&fault, DECODE, says);
        assert!(!fault.retryable);
    }
    // One of them is known.
    let server =
        Server::start(answering(|_| multi_status(r#"[{"index":1,"status":200},{"index":1,"status":201}]"#)));
    let outcome = api(&server, &json!({})).send("post", "[1,2]", None);
    assert_eq!(brief(&ledger(&outcome)), ["207 no maybe"; 2]);
    assert!(ledger(&outcome)["failures"][1]["message"].as_str().unwrap().contains("it has two results"));
    let server = Server::start(answering(|_| multi_status("<multistatus/>")));
    let outcome = api(&server, &json!({})).send("post", "[1,2]", None);
    assert_eq!(brief(&ledger(&outcome)), ["207 no maybe"; 2]);
    assert_fault(&outcome.unwrap_err(), DECODE, "the answer is not JSON");
}

#[test]
fn a_plain_success_does_not_hide_a_failed_item() {
    let bulk = r#"{"took":1,"errors":true,"items":[{"index":{"status":201}},{"index":{"status":409}}]}"#;
    for (answer, expected) in [
        (r#"[{"success":true},{"success":false,"errors":["x"]}]"#, ["200 ok yes", "200 no yes"]),
        (r#"[{"id":1},{"status":500}]"#, ["200 ok yes", "500 no yes"]),
        (bulk, ["201 ok yes", "409 no yes"]),
        (r#"{"errors":true}"#, ["200 no maybe", "200 no maybe"]),
        (r#"[{"status":500}]"#, ["200 no maybe", "200 no maybe"]),
        (r#"[{"status":"Rejected"},{"status":"active"}]"#, ["200 no yes", "200 ok yes"]),
        (r#"{"items":[1,2],"results":[{"error":"x"},{}]}"#, ["200 no yes", "200 ok yes"]),
        (r#"[{"\ud800":1,"error":"x"},{}]"#, ["200 no yes", "200 ok yes"]),
    ] {
        let server = Server::start(answering(move |_| ok_json(answer)));
        let outcome = api(&server, &json!({})).send("post", "[1,2]", None);
        assert_eq!(brief(&ledger(&outcome)), expected, "{answer}");
        assert!(outcome.is_err());
    }
    // What comes back as it was sent is a record, and no result.
    let server = Server::start(answering(|request| ok_json(&request.body)));
    let log = r#"[{"status":500,"error":"x"},{"status":404,"ok":false}]"#;
    let answer = api(&server, &json!({})).send("post", log, None).unwrap();
    assert_eq!(brief(&answer.json()), ["200 ok yes"; 2]);
}

#[test]
fn a_batch_whose_answer_says_failed_has_no_item_that_is_ok() {
    for answer in [
        r#"{"success":false,"message":"quota"}"#,
        r#"{"ok":false,"error":"x"}"#,
        r#"{"success":false,"results":[]}"#,
        r#"{"insertErrors":[{"index":0,"errors":[{"reason":"invalid"}]}]}"#,
    ] {
        let server = Server::start(answering(move |_| ok_json(answer)));
        let api = api(&server, &json!({}));
        let outcome = api.send("post", "[1,2]", None);
        assert_eq!(brief(&ledger(&outcome)), ["200 no maybe"; 2], "{answer}");
        let fault = outcome.unwrap_err();
        assert_fault(&fault, DECODE, "item 0: it says that something failed, and not of which items");
        assert!(!fault.retryable);
        // One item that is no list is judged by its status alone.
        assert_eq!(api.send("post", "1", None).unwrap().json()["success"], true);
    }
    let server =
        Server::start(answering(|_| ok_json(format!(r#"{{"success":false,"message":"quota of {TOKEN}"}}"#))));
    let fault = api(&server, &json!({})).send("post", "[1,2]", None).unwrap_err();
    assert_fault(&fault, DECODE, "and not of which items: quota of ***");
    assert_fault_keeps_secrets(&fault);
    assert_no_secret("ledger", fault.partial.as_ref().unwrap().text());
    // A record may be one of a failure, and come back alone.
    let log = r#"{"success":false,"error":"x","parse_errors":[1]}"#;
    let server = Server::start(answering(move |_| ok_json(log)));
    let answer = api(&server, &json!({})).send("post", &format!("[{log}]"), None).unwrap();
    assert_eq!(brief(&answer.json()), ["200 ok yes"]);
}

#[test]
fn results_that_speak_of_some_items_leave_the_others_unknown() {
    for (answer, expected) in [
        (r#"{"results":[{"index":0,"status":201}]}"#, ["201 ok yes", "200 no maybe"]),
        (r#"[{"status":201}]"#, ["200 no maybe"; 2]),
        (r#"{"results":[{"ok":true},{"ok":true},{"ok":true}]}"#, ["200 no maybe"; 2]),
        // What says nothing of any item is a record of all.
        (r#"{"results":[{"id":1}]}"#, ["200 ok yes"; 2]),
    ] {
        let server = Server::start(answering(move |_| ok_json(answer)));
        let outcome = api(&server, &json!({})).send("post", "[1,2]", None);
        assert_eq!(brief(&ledger(&outcome)), expected, "{answer}");
    }
}

#[test]
fn a_refused_batch_is_the_failure_of_its_items_and_of_no_others() {
    let server = Server::start(|mut stream: TcpStream, _| {
        while let Some(request) = read_request(&mut stream) {
            let answer = match &request.body[..] {
                b"[3,4]" => response("422 No", "Content-Type: application/json\r\n", r#"{"message":"m"}"#),
                b"[5,6]" => return,
                _ => ok_json("{}"),
            };
            stream.write_all(&answer).unwrap();
        }
    });
    let fault = api(&server, &json!({"size": 2})).send("post", "[1,2,3,4,5,6,7]", None).unwrap_err();
    assert_fault(&fault, HTTP_STATUS, "post: 4 of 7 items failed, the first is item 2: ");
    let ledger = fault.partial.unwrap().json();
    let (ok, no, lost) = ("200 ok yes", "422 no yes", "null no maybe");
    assert_eq!(brief(&ledger), [ok, ok, no, no, lost, lost, ok]);
    let index = |at: usize| &ledger["failures"][at]["additional_context"]["item_index"];
    assert_eq!([index(0), index(1), index(3)], [2, 3, 5]);
}

#[test]
fn each_batch_has_a_key_of_its_own() {
    let server = Server::start(answering(|_| ok_json("{}")));
    let api = api(&server, &json!({"size": 2}));
    api.send("post", "[1,2,3,4,5]", Some(r#"{"idempotency_key": "mine"}"#)).unwrap();
    let keys: Vec<_> =
        server.requests().iter().map(|r| r.header("Idempotency-Key").unwrap().to_owned()).collect();
    assert_eq!(keys, ["mine-0-1", "mine-2-3", "mine-4"]);
}

#[test]
fn what_a_batch_cannot_be_is_said_when_the_connector_is_made() {
    for (keys, says) in [
        (json!({"batch": {"as": "items_at"}}), "/endpoints/e/batch: items_at needs `path`"),
        (json!({"batch": {"path": "a"}}), "/endpoints/e/batch/path: goes with `as: items_at` alone"),
        (
            json!({"batch": {"as": "items_at", "path": "$.a"}}),
            "/endpoints/e/batch/path: must be a dotted path or a JSON Pointer",
        ),
        (
            json!({"batch": {"as": "items_at", "path": "a..b"}}),
            "/endpoints/e/batch/path: must not have an empty step",
        ),
        (json!({"batch": {}, "body": "form"}), "/endpoints/e/batch: is for JSON"),
        (json!({"batch": {}, "query": "{a}"}), "/endpoints/e/batch: does not go with `query`"),
        (
            json!({"batch": {"as": "items_at", "path": "a.b"}, "body_template": {"a": 5}}),
            "/endpoints/e/batch/path: leads through /a of body_template",
        ),
        (json!({"batch": {"size": 0}}), "/endpoints/e/batch/size: "),
    ] {
        let mut endpoint = json!({"path": "/x", "method": "POST"});
        endpoint.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let kind = if endpoint.get("query").is_some() { "graphql" } else { "rest" };
        let config = json!({"type": kind, "base_url": "http://127.0.0.1:9", "endpoints": {"e": endpoint}});
        let fault = Api::new(&config.to_string()).map(|_| ()).expect_err(says);
        assert_fault(&fault, INVALID_CONFIG, says);
    }
}

// ---- several requests at once ----

/// Lets nobody go before so many have come.
struct Meeting {
    wanted: usize,
    come: AtomicUsize,
    gate: Gate,
}

impl Meeting {
    fn of(wanted: usize) -> Meeting {
        Meeting { wanted, come: AtomicUsize::new(0), gate: Gate::new() }
    }

    fn wait(&self) {
        if self.come.fetch_add(1, SeqCst) + 1 == self.wanted {
            self.gate.open();
        }
        self.gate.wait();
    }
}

#[test]
fn as_many_requests_are_under_way_as_the_call_wants() {
    let meeting = Meeting::of(3);
    let server = Server::start(answering(move |request| {
        meeting.wait();
        match &request.body[..] {
            b"2" => response("422 No", "", ""),
            body => response("200 OK", &format!("X-Item: {}\r\n", request.body_text()), body),
        }
    }));
    let options = r#"{"concurrency": 3}"#;
    let fault = plain(&server).send("post", "[0,1,2,3,4,5,6]", Some(options)).unwrap_err();
    assert_fault(&fault, HTTP_STATUS, "post: 1 of 7 items failed, the first is item 2: ");
    let partial = fault.partial.unwrap();
    assert_eq!(partial.json()["results"], json!([0, 1, 3, 4, 5, 6]));
    assert_eq!(server.connections(), 3);
    // The head is that of the last item, whoever comes last.
    assert_eq!(partial.header("x-item"), Some("6"));
    assert_eq!(partial.meta["warnings"].as_array().unwrap().len(), 1);
    let answer = plain(&server).send("post", "[7]", Some(options)).unwrap();
    assert_eq!(answer.json()["results"], json!([7]));
}

#[test]
fn the_head_is_the_last_items_although_another_comes_later() {
    let last = Gate::new();
    let server = Server::start(answering(move |request| {
        match &request.body[..] {
            b"1" => last.open(),
            _ => last.wait(),
        }
        response("200 OK", &format!("X-Item: {}\r\n", request.body_text()), &request.body)
    }));
    let answer = plain(&server).send("post", "[0,1]", Some(r#"{"concurrency": 2}"#)).unwrap();
    assert_eq!(answer.header("x-item"), Some("1"));
    assert_eq!(answer.json()["results"], json!([0, 1]));
}

#[test]
fn batches_go_at_once_too() {
    let meeting = Meeting::of(2);
    let server = Server::start(answering(move |request| {
        meeting.wait();
        ok_json(&request.body)
    }));
    let api = api(&server, &json!({"size": 2}));
    let answer = api.send("post", "[0,1,2,3]", Some(r#"{"concurrency": 9}"#)).unwrap();
    assert_eq!(answer.json()["results"], json!([0, 1, 2, 3]));
}

#[test]
fn the_request_callback_is_the_callers_thread_however_many_requests_there_are() {
    let meeting = Meeting::of(2);
    let server = Server::start(answering(move |_| {
        meeting.wait();
        ok_json("{}")
    }));
    let api = plain(&server);
    let threads: Arc<Mutex<Vec<_>>> = Arc::default();
    let seen = threads.clone();
    api.on_request(move |_| {
        seen.lock().unwrap().push(thread::current().id());
        0
    })
    .unwrap();
    api.send("post", "[0,1,2,3]", Some(r#"{"concurrency": 2}"#)).unwrap();
    assert_eq!(*threads.lock().unwrap(), [thread::current().id(); 4]);
}

#[test]
fn the_limits_of_the_endpoint_hold_for_all_of_them() {
    let (meeting, under_way) = (Meeting::of(2), Arc::new((AtomicUsize::new(0), AtomicUsize::new(0))));
    let seen = under_way.clone();
    let server = Server::start(answering(move |_| {
        let now = seen.0.fetch_add(1, SeqCst) + 1;
        seen.1.fetch_max(now, SeqCst);
        meeting.wait();
        seen.0.fetch_sub(1, SeqCst);
        ok_json("{}")
    }));
    let limit = json!({"rate": 10000, "max_concurrent": 2});
    let api = faulty::api(&server.url(), &json!({"endpoints": {"post": {"rate_limit": limit}}}));
    api.send("post", "[0,1,2,3,4,5,6,7]", Some(r#"{"concurrency": 4}"#)).unwrap();
    assert_eq!(under_way.1.load(SeqCst), 2);
}

#[test]
fn a_cancel_ends_all_of_them() {
    let (cancel, meeting) = (Arc::new(Cancel::new()), Meeting::of(2));
    let trigger = cancel.clone();
    let server = Server::start(move |mut stream: TcpStream, _| {
        if read_request(&mut stream).is_some() {
            meeting.wait();
            trigger.trigger();
            finish(stream, Close::Keep);
        }
    });
    let outcome =
        plain(&server).send_until("post", "[1,2,3,4]", Some(r#"{"concurrency": 2}"#), Some(&cancel));
    let (cut, unsent) = ("null no maybe", "null no no");
    assert_eq!(brief(&ledger(&outcome)), [cut, cut, unsent, unsent]);
    assert_fault(&outcome.unwrap_err(), CANCELLED, "4 of 4 items failed, the first is item 0: ");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn results_beyond_the_limit_end_all_of_them() {
    let server = Server::start(answering(|_| ok_json(format!("\"{}\"", "x".repeat(1000)))));
    let options = r#"{"concurrency": 2, "limits": {"max_result": 1500}}"#;
    let all = json!(vec![1; 20]).to_string();
    let fault = plain(&server).send("post", &all, Some(options)).unwrap_err();
    assert_eq!(fault.status, TOO_LARGE, "{}", fault.message);
    // One more may have been under way.
    let sent = server.requests().len();
    assert!((2..=3).contains(&sent), "{sent}");
    assert_eq!(fault.partial.unwrap().json()["sent_count"], sent);
}

// ---- on from an earlier ledger ----

/// Refuses what is in the list with that answer, once; the rest, and every second time, is well.
fn once(refused: &'static [(&'static str, Option<&'static str>)]) -> Server {
    let seen: Mutex<Vec<Vec<u8>>> = Mutex::default();
    Server::start(move |mut stream: TcpStream, _| {
        while let Some(request) = read_request(&mut stream) {
            let again = {
                let mut seen = seen.lock().unwrap();
                let again = seen.contains(&request.body);
                seen.push(request.body.clone());
                again
            };
            let found = refused.iter().find(|(body, _)| body.as_bytes() == request.body && !again);
            let answer = match found {
                Some((_, Some(status))) => response(status, "", ""),
                Some((_, None)) => return,
                None => ok_json(&request.body),
            };
            stream.write_all(&answer).unwrap();
        }
    })
}

fn resume(ledger: &Value) -> String {
    json!({"resume": ledger}).to_string()
}

#[test]
fn what_is_done_is_not_sent_again_and_what_failed_is() {
    let server = once(&[("11", Some("501 No")), ("13", Some("422 No"))]);
    let api = plain(&server);
    let first = ledger(&api.send("post", "[10,11,12,13]", None));
    assert_eq!(brief(&first), ["200 ok yes", "501 no yes", "200 ok yes", "422 no yes"]);
    for given in [&first, &first["items"]] {
        let before = server.requests().len();
        let second = api.send("post", "[10,11,12,13]", Some(&*resume(given))).unwrap();
        assert_eq!(bodies(&server)[before..], ["11", "13"]);
        let second = second.json();
        assert_eq!(brief(&second), ["200 ok yes"; 4]);
        assert_eq!((&second["results"], &second["sent_count"]), (&json!([10, 11, 12, 13]), &json!(4)));
    }
    // What is all done sends nothing, and what the ledger does not know is sent.
    let done = json!({"index": 0, "ok": true, "status": 201, "attempts": 7, "sent": "yes", "result": "r"});
    let (before, one) = (server.requests().len(), resume(&json!([done])));
    let answer = api.send("post", "[10]", Some(&*one)).unwrap();
    let item = answer.json()["items"][0].clone();
    assert_eq!((&item["status"], &item["attempts"], &item["result"]), (&json!(201), &json!(7), &json!("r")));
    assert_eq!((server.requests().len(), answer.status), (before, 0));
    api.send("post", "[10,99]", Some(&*one)).unwrap();
    assert_eq!(bodies(&server)[before..], ["99"]);
}

#[test]
fn results_are_taken_over_byte_by_byte() {
    let body = r#"{"big": 123456789012345678901234567890, "z": -0, "a": 1, "a": 2, "s": "\ud800"}"#;
    let server = Server::start(answering(move |_| ok_json(body)));
    let api = plain(&server);
    let first = api.send("post", "[1,2]", None).unwrap();
    let options = format!(r#"{{"resume": {}}}"#, first.text());
    let second = api.send("post", "[1,2]", Some(&*options)).unwrap();
    assert_eq!(second.text(), first.text());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn what_may_have_been_processed_is_not_sent_a_second_time() {
    let server = once(&[("11", None), ("12", Some("422 No")), ("13", Some("504 Late"))]);
    let api = plain(&server);
    let first = ledger(&api.send("post", "[10,11,12,13]", None));
    let (ok, lost) = ("200 ok yes", "null no maybe");
    assert_eq!(brief(&first), [ok, lost, "422 no yes", "504 no yes"]);
    let before = server.requests().len();
    // A key that it was not sent with makes nothing harmless.
    let options = json!({"resume": first, "idempotency_key": "late"}).to_string();
    let outcome = api.send("post", "[10,11,12,13]", Some(&*options));
    assert_eq!(bodies(&server)[before..], ["12"]);
    let second = ledger(&outcome);
    assert_eq!(brief(&second), [ok, lost, ok, "504 no yes"]);
    assert_eq!(second["items"][1]["attempts"], 1);
    let fault = outcome.unwrap_err();
    assert_fault(
        &fault,
        INVALID_ARGUMENT,
        "post: 2 of 4 items failed, the first is item 1: item 1 is not sent again: ",
    );
    assert_fault(&fault, INVALID_ARGUMENT, "leave it out of `resume` to send it");
    assert!(!fault.retryable);
    // It stays so, until somebody says otherwise.
    let third = ledger(&api.send("post", "[10,11,12,13]", Some(&*resume(&second))));
    assert_eq!(brief(&third), [ok, lost, ok, "504 no yes"]);
    let mut items = third["items"].as_array().unwrap().clone();
    items[3]["ok"] = json!(true);
    items.remove(1);
    let before = server.requests().len();
    let fourth = api.send("post", "[10,11,12,13]", Some(&*resume(&json!(items)))).unwrap();
    assert_eq!(bodies(&server)[before..], ["11"]);
    assert_eq!(fourth.json()["sent_count"], 4);
}

#[test]
fn a_post_that_met_a_failing_server_is_sent_again_only_where_the_server_did_nothing() {
    let seen = AtomicUsize::new(0);
    let server =
        Server::start(answering(move |request| match (seen.fetch_add(1, SeqCst), &request.body[..]) {
            (0..4, b"0") => response("500 Oops", "", ""),
            (0..4, b"1") => response("503 Later", "", ""),
            (0..4, b"2") => response("503 Later", "Retry-After: 9\r\n", ""),
            (0..4, _) => response("501 No", "", ""),
            (_, body) => ok_json(body),
        }));
    let api = plain(&server);
    let keyed = json!({"idempotency_key": "k"}).to_string();
    let first = ledger(&api.send("post", "[0,1,2,3]", Some(&*keyed)));
    assert_eq!(brief(&first), ["500 no yes", "503 no yes", "503 no yes", "501 no yes"]);
    let outcome = api.send("post", "[0,1,2,3]", Some(&*resume(&first)));
    assert_eq!(bodies(&server)[4..], ["2", "3"]);
    let second = ledger(&outcome);
    assert_eq!(brief(&second), ["500 no yes", "503 no yes", "200 ok yes", "200 ok yes"]);
    let fault = outcome.unwrap_err();
    assert_fault(&fault, INVALID_ARGUMENT, "item 0 is not sent again: ");
    assert_fault(&fault, INVALID_ARGUMENT, "leave it out of `resume` to send it");
    // The same key makes it harmless.
    let options = json!({"resume": second, "idempotency_key": "k"}).to_string();
    api.send("post", "[0,1,2,3]", Some(&*options)).unwrap();
    assert_eq!(bodies(&server)[6..], ["0", "1"]);
}

#[test]
fn an_answer_that_is_taken_for_success_and_cannot_be_read_is_no_refusal() {
    let server = Server::start(answering(|_| response("409 Taken", "", "it is there")));
    let api = faulty::api(&server.url(), &json!({"endpoints": {"post": {"ok_status": [409]}}}));
    let outcome = api.send("post", "[1]", None);
    let first = ledger(&outcome);
    assert_eq!(brief(&first), ["409 no yes"]);
    assert_eq!(outcome.unwrap_err().status, DECODE);
    let fault = api.send("post", "[1]", Some(&*resume(&first))).unwrap_err();
    assert_fault(&fault, INVALID_ARGUMENT, "item 0 is not sent again: ");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_answer_that_was_cut_is_that_of_an_item_that_is_done() {
    let server = Server::start(|mut stream: TcpStream, _| {
        if read_request(&mut stream).is_some() {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{").unwrap();
        }
    });
    let api = plain(&server);
    let outcome = api.send("post", "[1]", None);
    let first = ledger(&outcome);
    assert_eq!(outcome.unwrap_err().status, TRUNCATED);
    api.send("post", "[1]", Some(&*resume(&first))).unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_may_be_repeated_is_sent_again_under_the_same_key() {
    // The lost one is the first on its connection: no other one is tried at once.
    let server = once(&[("0", None)]);
    let api = plain(&server);
    let first = ledger(&api.send("put", "[0,1]", None));
    assert_eq!(brief(&first)[0], "null no maybe");
    api.send("put", "[0,1]", Some(&*resume(&first))).unwrap();
    assert_eq!(bodies(&server), ["0", "1", "0"]);

    let server = once(&[("0", None)]);
    let api = plain(&server);
    let first = ledger(&api.send("post", "[0,1]", Some(r#"{"idempotency_key": "k"}"#)));
    assert_eq!(first["items"][0]["idempotency_key"], "k-0");
    let options = json!({"resume": first, "idempotency_key": "k"}).to_string();
    api.send("post", "[0,1]", Some(&*options)).unwrap();
    let keys: Vec<_> =
        server.requests().iter().map(|r| r.header("Idempotency-Key").unwrap().to_owned()).collect();
    assert_eq!(keys, ["k-0", "k-1", "k-0"]);
}

#[test]
fn that_a_second_time_did_not_go_out_does_not_make_the_first_one_undone() {
    let server = once(&[("0", None)]);
    let api = plain(&server);
    let options = |resume: &Value, key| json!({"resume": resume, "idempotency_key": key}).to_string();
    let first = ledger(&api.send("post", "[0]", Some(&*options(&json!([]), "k"))));
    let cancel = Cancel::new();
    cancel.trigger();
    let second = ledger(&api.send_until("post", "[0]", Some(&*options(&first, "k")), Some(&cancel)));
    assert_eq!(brief(&second), ["null no maybe"]);
    api.send("post", "[0]", Some(&*options(&second, "other"))).unwrap_err();
    assert_eq!(server.requests().len(), 1);
    api.send("post", "[0]", Some(&*options(&second, "k"))).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_batch_is_gone_on_with_in_the_company_it_was_sent_in() {
    // The first batch is lost whole; of the second, one item is refused; of the third, one is not told of.
    let seen = AtomicUsize::new(0);
    let server = Server::start(move |mut stream: TcpStream, _| {
        while let Some(request) = read_request(&mut stream) {
            let answer = match seen.fetch_add(1, SeqCst) {
                0 => return,
                1 => multi_status(r#"[{"status":200},{"status":400}]"#),
                2 => multi_status(r#"[{"status":200},{}]"#),
                _ => ok_json(&request.body),
            };
            stream.write_all(&answer).unwrap();
        }
    });
    let api = api(&server, &json!({"size": 2}));
    let first = ledger(&api.send("post", "[0,1,2,3,4,5]", Some(r#"{"idempotency_key": "k"}"#)));
    let (ok, lost, unknown) = ("200 ok yes", "null no maybe", "207 no maybe");
    assert_eq!(brief(&first), [lost, lost, ok, "400 no yes", ok, unknown]);
    let options = json!({"resume": first, "idempotency_key": "k"}).to_string();
    let second = ledger(&api.send("post", "[0,1,2,3,4,5]", Some(&*options)));
    let sent: Vec<_> = server.requests()[3..]
        .iter()
        .map(|r| (r.header("Idempotency-Key").unwrap().to_owned(), r.body_text().to_owned()))
        .collect();
    // Alone, the last one would go under another key: the server would not know it again.
    assert_eq!(sent, [("k-0-1".into(), "[0,1]".into()), ("k-3".into(), "[3]".into())]);
    assert_eq!(brief(&second), [ok, ok, ok, ok, ok, unknown]);
    assert_eq!(second["items"][2]["result"], json!({"status": 200}));
}

#[test]
fn items_with_others_between_them_have_a_key_that_is_theirs() {
    let answers = AtomicUsize::new(0);
    let server = Server::start(answering(move |request| match answers.fetch_add(1, SeqCst) {
        0 => multi_status(r#"[{"status":400},{"status":200},{"status":400},{"status":400}]"#),
        1 => multi_status(r#"[{"status":400},{"status":200},{"status":400}]"#),
        _ => ok_json(&request.body),
    }));
    let api = api(&server, &json!({}));
    let mut before = json!([]);
    for _ in 0..3 {
        let options = json!({"resume": before, "idempotency_key": "k"}).to_string();
        before = ledger(&api.send("post", "[0,1,2,3]", Some(&*options)));
    }
    assert_eq!(bodies(&server), ["[0,1,2,3]", "[0,2,3]", "[0,3]"]);
    let keys: Vec<_> =
        server.requests().iter().map(|r| r.header("Idempotency-Key").unwrap().to_owned()).collect();
    assert_eq!(keys[0], "k-0-3");
    assert!(keys[1].starts_with("k-0-3-") && keys[2].starts_with("k-0-3-"), "{keys:?}");
    assert_ne!(keys[1], keys[2]);
}

#[test]
fn the_result_of_another_item_is_taken_over_with_it() {
    let server = Server::start(answering(|request| match &request.body[..] {
        b"[2,3]" => response("400 No", "", ""),
        _ => ok_json(r#"{"took":1}"#),
    }));
    let api = api(&server, &json!({"size": 2}));
    let first = ledger(&api.send("post", "[0,1,2,3]", None));
    let second = ledger(&api.send("post", "[0,1,2,3]", Some(&*resume(&first))));
    assert_eq!(second["results"], json!([{"took": 1}]));
    assert_eq!(second["items"][1]["result_at"], 0);
    // Where that item is sent again, its new result is not the old one.
    let mut items = first["items"].as_array().unwrap().clone();
    items.remove(0);
    let third = ledger(&api.send("post", "[0,1,2,3]", Some(&*resume(&json!(items)))));
    assert_eq!((&third["items"][1]["result"], &third["items"][1]["result_at"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_ledger_that_does_not_fit_is_refused_and_nothing_is_sent() {
    let server = Server::start(answering(|request| ok_json(&request.body)));
    let api = plain(&server);
    let first = api.send("post", "[1,2]", None).unwrap().json();
    for (list, given, says) in [
        ("[1]", first.clone(), "options: /resume/items: the ledger has 2 items, the list 1"),
        ("[2,1]", first["items"].clone(), "options: /resume/0: item 0 of the list is not the one"),
        ("[1,2]", json!([{"index": 2, "ok": true}]), "options: /resume/0: the list has 2 items"),
        ("[1,2]", json!([{"index": 0, "ok": TOKEN}]), "options: /resume/0: is no item of a ledger: "),
        ("[1,2]", json!([{"index": 0}]), "missing field `ok`"),
        ("[1,2]", json!({"success": true}), "options: /resume: is no ledger"),
        ("[1,2]", json!(true), "options: /resume: of a send, it is a ledger"),
        ("1", json!([]), "options: /resume: goes with a list"),
    ] {
        let fault = api.send("post", list, Some(&*resume(&given))).unwrap_err();
        assert_fault(&fault, INVALID_ARGUMENT, says);
        assert_fault_keeps_secrets(&fault);
        assert!(fault.partial.is_none());
    }
    let fault = api.send("post", "[1]", r#"{"concurrency": 1025}"#).unwrap_err();
    assert_fault(&fault, INVALID_ARGUMENT, "options: /concurrency: must be at most 1024");
    let fault = api.fetch("good", None, Some(&*resume(&json!([])))).unwrap_err();
    assert_fault(&fault, INVALID_ARGUMENT, "/resume");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn whether_a_resumed_list_may_be_sent_again_depends_on_what_arrived_in_this_call() {
    let server = Server::start(answering(|request: &Request| match &request.body[..] {
        b"1" => response("429 Slow", "", ""),
        body => ok_json(body),
    }));
    let api = plain(&server);
    let fault = api.send("post", "[0,1]", None).unwrap_err();
    assert!(!fault.retryable);
    let first = fault.partial.unwrap().json();
    assert!(api.send("post", "[0,1]", Some(&*resume(&first))).unwrap_err().retryable);
}

#[test]
fn an_item_that_is_lost_while_others_go_at_once_is_the_only_one() {
    let server = once(&[("3", None)]);
    let outcome = plain(&server).send("post", "[0,1,2,3,4,5,6,7]", Some(r#"{"concurrency": 4}"#));
    let first = ledger(&outcome);
    assert_fault(&outcome.unwrap_err(), IO, "1 of 8 items failed, the first is item 3: ");
    assert_eq!(first["results"], json!([0, 1, 2, 4, 5, 6, 7]));
}
