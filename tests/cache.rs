//! The cache: what is kept, what is asked for under a condition, and what is delivered then (RFC 9111).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::{Api, HTTP_STATUS, INVALID_CONFIG, TOO_LARGE, TRUNCATED};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::{Close, Request, Server, answering, canned, read_request, response};

/// A server that gives the nth request the nth answer, and the last one for ever.
fn in_turn(answers: impl IntoIterator<Item = Vec<u8>>) -> Server {
    let answers: Vec<Vec<u8>> = answers.into_iter().collect();
    let next = AtomicUsize::new(0);
    Server::start(answering(move |_| {
        answers[next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone()
    }))
}

fn ok(headers: &str, body: &str) -> Vec<u8> {
    response("200 OK", &format!("Content-Type: application/json\r\n{headers}"), body)
}

/// 304 has no body, and no length of one.
fn not_modified(headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 304 Not Modified\r\n{headers}\r\n").into_bytes()
}

/// The endpoint `x` is GET /x with a cache; `keys` lie over the connector's, `endpoint` over the endpoint's.
fn api_with(base_url: &str, keys: Value, endpoint: Value) -> Api {
    let mut x = json!({"path": "/x", "cache": {}});
    x.as_object_mut().unwrap().extend(endpoint.as_object().unwrap().clone());
    let mut config = json!({
        "base_url": base_url,
        "retry_count": 1,
        "timeout": 15,
        "endpoints": {"x": x, "post": {"path": "/x", "method": "POST"}, "elsewhere": {"path": "/y", "method": "POST"}},
    });
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message))
}

fn api(server: &Server) -> Api {
    api_with(&server.url(), json!({}), json!({}))
}

fn fetch(api: &Api) -> String {
    api.fetch("x", None, None).unwrap_or_else(|e| panic!("{}", e.message)).text().to_owned()
}

/// The conditions of each request.
fn conditions(server: &Server) -> Vec<Option<String>> {
    let of = |r: &Request| r.header("if-none-match").or(r.header("if-modified-since")).map(str::to_owned);
    server.requests().iter().map(of).collect()
}

fn unconditional(server: &Server) -> bool {
    conditions(server).iter().all(Option::is_none)
}

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

// ---- what is kept ----

#[test]
fn what_the_server_confirms_is_delivered_from_memory() {
    let server = in_turn([
        ok(
            &format!("ETag: \"1\"\r\nLast-Modified: {DATE}\r\nX-Count: 1\r\nX-Old: a\r\n"),
            r#"{"n": [1.50]}"#,
        ),
        not_modified("ETag: W/\"1\"\r\nX-Count: 2\r\n"),
    ]);
    let api = api_with(&server.url(), json!({}), json!({"response_path": "n"}));
    let first = api.fetch("x", None, None).unwrap();
    assert_eq!((first.text(), &first.meta["revalidated"]), ("[1.50]", &Value::Null));
    for _ in 0..2 {
        let again = api.fetch("x", None, None).unwrap();
        assert_eq!((again.text(), again.status), ("[1.50]", 200));
        assert_eq!((&again.meta["revalidated"], &again.meta["status"]), (&json!(true), &json!(200)));
        assert_eq!(again.meta["attempts"][0]["status"], 304);
        let header = |name: &str| again.header(name).map(str::to_owned);
        assert_eq!([header("x-count"), header("x-old")], [Some("2".into()), Some("a".into())]);
        assert_eq!(header("content-type"), Some("application/json".into()));
    }
    let requests = server.requests();
    assert_eq!((requests[0].header("if-none-match"), requests[0].header("if-modified-since")), (None, None));
    assert_eq!(requests[1].header("if-none-match"), Some("\"1\""));
    assert_eq!(requests[1].header("if-modified-since"), Some(DATE));
    assert_eq!(requests[2].header("if-none-match"), Some("\"1\""));
}

#[test]
fn every_call_asks_however_fresh_the_answer_is() {
    let server = in_turn([
        ok("ETag: \"1\"\r\nCache-Control: max-age=3600\r\n", "1"),
        ok("ETag: \"2\"\r\n", "2"),
        not_modified(""),
    ]);
    let api = api(&server);
    assert_eq!([fetch(&api), fetch(&api), fetch(&api)], ["1", "2", "2"]);
    assert_eq!(conditions(&server), [None, Some("\"1\"".into()), Some("\"2\"".into())]);
}

#[test]
fn a_body_is_kept_without_its_codings() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(br#"{"a": "b"}"#).unwrap();
    let wire = response("200 OK", "ETag: \"1\"\r\nContent-Encoding: gzip\r\n", encoder.finish().unwrap());
    let server = in_turn([wire, not_modified("")]);
    let api = api(&server);
    assert_eq!([fetch(&api), fetch(&api)], [r#"{"a": "b"}"#; 2]);
    assert_eq!(conditions(&server)[1].as_deref(), Some("\"1\""));
    // As it comes is another form of it.
    api.fetch("x", None, r#"{"accept_encoding": "identity"}"#).unwrap_err();
    assert_eq!(conditions(&server)[2], None);
}

#[test]
fn what_may_not_be_kept_is_not() {
    for answer in [
        ok("", "1"),
        ok("ETag: \"1\"\r\nCache-Control: private, No-Store\r\n", "1"),
        ok("ETag: \"1\"\r\nVary: Accept, *\r\n", "1"),
        ok("ETag: \"1\"\r\nETag: \"2\"\r\n", "1"),
        ok("Last-Modified: yesterday\r\n", "1"),
        response("203 Non-Authoritative Information", "ETag: \"1\"\r\n", "1"),
        response("206 Partial Content", "ETag: \"1\"\r\nContent-Range: bytes 0-0/2\r\n", "1"),
    ] {
        let server = in_turn([answer.clone()]);
        let api = api(&server);
        assert_eq!([fetch(&api), fetch(&api)], ["1", "1"]);
        assert!(unconditional(&server), "{}", answer.escape_ascii());
    }
    // Off unless it is configured.
    let server = in_turn([ok("ETag: \"1\"\r\n", "1")]);
    let api = Api::get(&server.url(), "/x");
    api.fetch("get", None, None).unwrap();
    api.fetch("get", None, None).unwrap();
    assert!(unconditional(&server));
}

#[test]
fn what_may_have_been_cut_is_not_kept() {
    let server = Server::start(canned(["HTTP/1.1 200 OK\r\nETag: \"1\"\r\n\r\n1"], Close::Fin));
    let open_ended = api(&server);
    assert_eq!([fetch(&open_ended), fetch(&open_ended)], ["1", "1"]);
    assert!(unconditional(&server));
    let server =
        Server::start(canned(["HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 9\r\n\r\n1"], Close::Fin));
    let cut = api(&server);
    for _ in 0..2 {
        assert_eq!(cut.fetch("x", None, None).unwrap_err().status, TRUNCATED);
    }
    assert!(unconditional(&server));
}

#[test]
fn who_says_no_store_or_sets_a_condition_has_no_cache() {
    let server = in_turn([ok("ETag: \"1\"\r\n", "1")]);
    let api = api(&server);
    let with = |name: &str, value: &str| {
        api.fetch("x", None, json!({"extra_headers": {name: value}}).to_string().as_str()).unwrap();
        server.requests().pop().unwrap()
    };
    with("Cache-Control", "no-store");
    fetch(&api);
    assert_eq!(conditions(&server)[1], None, "nothing was kept of the first");
    for (name, value) in [
        ("Cache-Control", "no-store"),
        ("If-Match", "\"7\""),
        ("If-Modified-Since", DATE),
        ("If-Unmodified-Since", DATE),
        ("Range", "bytes=0-"),
    ] {
        assert_eq!(with(name, value).header("if-none-match"), None, "{name}");
    }
    assert_eq!(with("if-none-match", "\"7\"").headers("if-none-match").collect::<Vec<_>>(), ["\"7\""]);
    // All the while, it is kept.
    fetch(&api);
    assert_eq!(conditions(&server).pop().unwrap().as_deref(), Some("\"1\""));
}

// ---- whose answer it is ----

#[test]
fn an_answer_is_of_its_url_and_of_what_it_varies_by() {
    let server = Server::start(answering(|request| {
        let language = request.header("accept-language").unwrap_or("none");
        let etag = format!("\"{language}{}\"", request.target());
        match request.header("if-none-match") {
            Some(condition) if condition == etag => not_modified(""),
            Some(_) => response("500 Wrong", "", "the condition of another answer"),
            None => ok(&format!("ETag: {etag}\r\nVary: Accept-Language\r\n"), &json!(etag).to_string()),
        }
    }));
    let api = api(&server);
    let get = |n: u32, language: &str| {
        let options = json!({"extra_headers": {"Accept-Language": language, "X-Request-Id": server.requests().len().to_string()}});
        api.fetch("x", json!({"n": n}).to_string().as_str(), options.to_string().as_str())
            .unwrap()
            .text()
            .to_owned()
    };
    let round = || [get(1, "de"), get(1, "en"), get(2, "de")];
    assert_eq!(round(), round());
    let conditions = conditions(&server);
    assert!(
        conditions[..3].iter().all(Option::is_none) && conditions[3..].iter().all(Option::is_some),
        "{conditions:?}"
    );
}

#[test]
fn nobody_is_told_what_was_kept_for_somebody_else() {
    let server = in_turn([ok("ETag: \"1\"\r\n", "1")]);
    let api = api_with(
        &server.url(),
        json!({"auth": {"type": "api_key", "key": "canary-api-key", "header": "X-Key"}}),
        json!({}),
    );
    let as_ = |name: &str, value: &str| {
        api.fetch("x", None, json!({"extra_headers": {name: value}}).to_string().as_str()).unwrap();
        conditions(&server).pop().unwrap()
    };
    fetch(&api);
    for (name, value) in [
        ("Authorization", "Bearer a"),
        ("Authorization", "Bearer b"),
        ("cookie", "a=b"),
        ("x-key", "canary-other-key"),
    ] {
        assert_eq!(as_(name, value), None, "{name}: {value}");
        assert_eq!(as_(name, value).as_deref(), Some("\"1\""), "{name}: {value}");
    }
}

#[test]
fn what_varies_by_what_is_added_later_is_not_kept() {
    for (keys, signed, vary, kept) in [
        (json!({"cookies": true}), false, "Cookie", false),
        (json!({"cookies": true}), false, "X-Signature", true),
        (json!({}), true, "X-Signature", false),
        (json!({}), true, "Accept-Language", true),
        (json!({}), false, "Cookie, X-Signature", true),
    ] {
        let server = in_turn([ok(&format!("ETag: \"1\"\r\nVary: {vary}\r\n"), "1")]);
        let api = api_with(&server.url(), keys.clone(), json!({}));
        if signed {
            api.on_request(|_| 0).unwrap();
        }
        fetch(&api);
        fetch(&api);
        assert_eq!(!unconditional(&server), kept, "{keys} {signed} {vary}");
    }
}

// ---- a 304 that is about something else ----

#[test]
fn a_304_about_another_answer_is_asked_again_without_a_condition() {
    for wrong in ["ETag: \"2\"\r\n", "ETag: \"1\r\n"] {
        let server = in_turn([
            ok("ETag: \"1\"\r\n", "1"),
            not_modified(wrong),
            ok("ETag: \"2\"\r\n", "2"),
            not_modified(""),
        ]);
        let api = api(&server);
        fetch(&api);
        let answer = api.fetch("x", None, None).unwrap();
        assert_eq!((answer.text(), &answer.meta["revalidated"]), ("2", &Value::Null));
        let attempts = &answer.meta["attempts"];
        let of = |i: usize| (attempts[i]["n"].as_u64(), attempts[i]["status"].as_u64());
        assert_eq!([of(0), of(1)], [(Some(1), Some(304)), (Some(2), Some(200))]);
        assert_eq!(fetch(&api), "2");
        assert_eq!(conditions(&server), [None, Some("\"1\"".into()), None, Some("\"2\"".into())]);
    }
}

#[test]
fn a_304_that_nobody_asked_for_is_no_empty_success() {
    let server = in_turn([not_modified("ETag: \"1\"\r\n")]);
    let fault = api(&server).fetch("x", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status), (HTTP_STATUS, 304));
    assert_eq!(server.requests().len(), 1);
    // And one that stays is asked again once.
    let server = in_turn([ok("ETag: \"1\"\r\n", "1"), not_modified("ETag: \"2\"\r\n")]);
    let api = api(&server);
    fetch(&api);
    let fault = api.fetch("x", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status), (HTTP_STATUS, 304));
    assert_eq!(fault.json["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_redirect_is_neither_kept_nor_confirmed() {
    // What is behind a redirect is not kept under the first URL.
    let server = Server::start(answering(|request| match request.target() {
        "/x" => response("302 Found", "Location: /there\r\n", ""),
        _ => ok("ETag: \"1\"\r\n", "1"),
    }));
    let redirected = api(&server);
    assert_eq!([fetch(&redirected), fetch(&redirected)], ["1", "1"]);
    assert!(unconditional(&server));

    // A resource that has moved since: its validators are not those of where it is now.
    let server = in_turn([
        ok("ETag: \"1\"\r\n", "1"),
        response("302 Found", "Location: /there\r\n", ""),
        not_modified(""),
        response("302 Found", "Location: /there\r\n", ""),
        ok("ETag: \"1\"\r\n", "2"),
    ]);
    let moved = api(&server);
    assert_eq!([fetch(&moved), fetch(&moved)], ["1", "2"]);
    assert_eq!(conditions(&server)[3..], [None, None]);

    // And another origin is not told them.
    let other = in_turn([ok("ETag: \"1\"\r\n", "3")]);
    let there = format!("Location: {}/there\r\n", other.url());
    let server = in_turn([ok("ETag: \"1\"\r\n", "1"), response("302 Found", &there, "")]);
    let left = api(&server);
    assert_eq!([fetch(&left), fetch(&left)], ["1", "3"]);
    assert_eq!(conditions(&server)[1].as_deref(), Some("\"1\""));
    assert!(unconditional(&other));
}

// ---- what becomes of it ----

#[test]
fn a_failure_is_told_and_what_is_kept_stays() {
    let server = in_turn([ok("ETag: \"1\"\r\n", "1"), response("500 Oops", "", ""), not_modified("")]);
    let api = api(&server);
    fetch(&api);
    assert_eq!(api.fetch("x", None, None).unwrap_err().http_status, 500);
    assert_eq!(fetch(&api), "1");
}

#[test]
fn what_was_changed_is_fetched_anew() {
    let server = in_turn([ok("ETag: \"1\"\r\n", "1")]);
    let api = api(&server);
    fetch(&api);
    api.send("elsewhere", "{}", None).unwrap();
    fetch(&api);
    api.send("post", "{}", None).unwrap();
    fetch(&api);
    fetch(&api);
    assert_eq!(
        conditions(&server),
        [None, None, Some("\"1\"".into()), None, None, Some("\"1\"".into())],
        "GET, POST elsewhere, GET, POST, GET, GET"
    );
}

#[test]
fn no_more_is_kept_than_was_said() {
    let server = in_turn([ok("ETag: \"1\"\r\n", "\"0123456789\"")]);
    let conditional = |cache: Value| {
        let api = api_with(&server.url(), json!({}), json!({"cache": cache}));
        let of = |n: u32| {
            api.fetch("x", json!({"n": n}).to_string().as_str(), None).unwrap();
            conditions(&server).pop().unwrap().is_some()
        };
        [of(1), of(2), of(1), of(2), of(2)]
    };
    assert_eq!(conditional(json!({})), [false, false, true, true, true]);
    assert_eq!(conditional(json!({"max_entries": 1})), [false, false, false, false, true]);
    // One has about seventy bytes with its head.
    assert_eq!(conditional(json!({"max_bytes": 200})), [false, false, true, true, true]);
    assert_eq!(conditional(json!({"max_bytes": 100})), [false, false, false, false, true]);
    assert_eq!(conditional(json!({"max_bytes": 20})), [false; 5]);
}

#[test]
fn a_limit_of_the_call_holds_for_what_is_kept() {
    let server = in_turn([ok("ETag: \"1\"\r\n", "\"0123456789\"")]);
    let api = api(&server);
    fetch(&api);
    let fault = api.fetch("x", None, r#"{"limits": {"max_body": 5}}"#).unwrap_err();
    assert_eq!(fault.status, TOO_LARGE, "{}", fault.message);
}

#[test]
fn only_a_get_can_have_one() {
    let config = json!({"base_url": "http://127.0.0.1:9", "endpoints": {"x": {"path": "/", "method": "POST", "cache": {}}}});
    let fault = Api::new(&config.to_string()).unwrap_err();
    assert_eq!(fault.status, INVALID_CONFIG);
    assert!(
        fault.message.contains("/endpoints/x/cache: keeps answers to GET alone, and this is a POST"),
        "{}",
        fault.message
    );
}

#[test]
fn many_threads_share_one_and_each_gets_its_own_answer() {
    let server = Server::start(|mut stream: std::net::TcpStream, _| {
        while let Some(request) = read_request(&mut stream) {
            let etag = format!("\"{}\"", request.target());
            let answer = match request.header("if-none-match") {
                Some(condition) if condition == etag => not_modified(""),
                Some(_) => response("500 Wrong", "", ""),
                None => ok(&format!("ETag: {etag}\r\n"), &json!(request.target()).to_string()),
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    });
    let api = api_with(&server.url(), json!({}), json!({"cache": {"max_entries": 3}}));
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let api = &api;
            threads.spawn(move || {
                for i in 0..50 {
                    let n = (i + thread) % 5;
                    let answer = api.fetch("x", json!({"n": n}).to_string().as_str(), None).unwrap();
                    assert_eq!(answer.json(), json!(format!("/x?n={n}")));
                }
            });
        }
    });
    assert!(!unconditional(&server));
}

#[test]
fn the_pages_of_a_listing_are_confirmed_one_by_one() {
    let server = Server::start(answering(|request| {
        let etag = format!("\"{}\"", request.target());
        match request.header("if-none-match") {
            Some(condition) if condition == etag => not_modified(""),
            Some(_) => response("500 Wrong", "", ""),
            None => {
                let page: u32 = request.target().rsplit('=').next().unwrap().parse().unwrap();
                let body = if page == 3 { "[]".to_owned() } else { format!("[{page}]") };
                ok(&format!("ETag: {etag}\r\n"), &body)
            }
        }
    }));
    let api = api_with(&server.url(), json!({}), json!({"pagination": {"style": "page_number"}}));
    let first = fetch(&api);
    let asked = server.requests().len();
    assert_eq!(fetch(&api), first);
    assert_eq!((asked, server.requests().len()), (3, 6));
    assert!(conditions(&server)[..asked].iter().all(Option::is_none));
    assert!(conditions(&server)[asked..].iter().all(Option::is_some));
}
