//! Attempts: which failures are followed by another one, when, and how often a request reaches the server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use api::{
    Answer, Api, CANCELLED, CONNECT, Cancel, Fault, HTTP_STATUS, INVALID_ARGUMENT, IO, RATE_LIMITED, TIMEOUT,
    TLS, TRUNCATED, log_lines,
};
use serde_json::{Value, json};
use support::{
    Close, Folder, PATIENCE, Server, answering, canned, finish, ok_json, read_request, refused_address,
    response,
};

/// Nobody waits so long by accident, and no machine is so slow.
const SLACK: Duration = Duration::from_secs(1);

/// GET `get`, POST `post` and so on of `/x`, with hardly a wait between attempts; `keys` are laid over it.
fn api(base_url: &str, keys: Value) -> Api {
    let mut config = json!({
        "base_url": base_url,
        "timeout": 15,
        "retry_delay": 0.001,
        "endpoints": {
            "get": {"path": "/x"},
            "put": {"path": "/x", "method": "PUT"},
            "delete": {"path": "/x", "method": "DELETE"},
            "post": {"path": "/x", "method": "POST"},
            "patch": {"path": "/x", "method": "PATCH"},
        },
    });
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message))
}

fn call(api: &Api, endpoint: &str, options: Option<&str>) -> Result<Answer, Fault> {
    match endpoint {
        "get" | "delete" => api.fetch(endpoint, None, options),
        _ => api.send(endpoint, r#"{"n": 1}"#, options),
    }
}

fn busy(retry_after: &str) -> Vec<u8> {
    response("503 Busy", &format!("Retry-After: {retry_after}\r\n"), "busy")
}

/// A server that answers so, one after the other, and then well.
fn answers(first: impl IntoIterator<Item = Vec<u8>>) -> Server {
    let first = Mutex::new(first.into_iter().collect::<Vec<_>>().into_iter());
    Server::start(answering(move |_| first.lock().unwrap().next().unwrap_or_else(|| ok_json("\"good\""))))
}

fn always(answer: Vec<u8>) -> Server {
    Server::start(answering(move |_| answer.clone()))
}

fn attempts(json: &Value) -> Vec<(Value, Value, Value)> {
    let all = json["attempts"].as_array().unwrap();
    all.iter().map(|a| (a["n"].clone(), a["status"].clone(), a["sent"].clone())).collect()
}

#[test]
fn a_listed_status_is_asked_again_where_the_method_allows_it() {
    let failed = |status: &str| response(status, "", "failed");
    for status in ["408 T", "425 E", "500 I", "502 B", "503 S", "504 G"] {
        for (endpoint, requests) in [("get", 3), ("put", 3), ("delete", 3), ("post", 1), ("patch", 1)] {
            let server = always(failed(status));
            let fault = call(&api(&server.url(), json!({})), endpoint, None).unwrap_err();
            assert_eq!(server.requests().len(), requests, "{endpoint} {status}");
            assert_eq!(fault.json["attempts"].as_array().unwrap().len(), requests);
            assert_eq!(fault.status, HTTP_STATUS, "{endpoint} {status}");
            assert_eq!(fault.response.unwrap().text(), "failed");
        }
    }
    for status in ["400 B", "401 U", "403 F", "404 N", "409 C", "410 G", "422 U", "501 N", "505 V"] {
        for endpoint in ["get", "post"] {
            let server = always(failed(status));
            call(&api(&server.url(), json!({})), endpoint, None).unwrap_err();
            assert_eq!(server.requests().len(), 1, "{endpoint} {status}");
        }
    }
}

#[test]
fn the_second_answer_is_the_calls_and_its_meta_has_the_first() {
    let server = answers([response("500 Broken", "", "no")]);
    let answer = call(&api(&server.url(), json!({})), "get", None).unwrap();
    assert_eq!(answer.text(), "\"good\"");
    let yes = || json!("yes");
    assert_eq!(attempts(&answer.meta), [(json!(1), json!(500), yes()), (json!(2), json!(200), yes())]);
    // On one connection: a short refusal is read to its end.
    assert_eq!(server.connections(), 1);
}

#[test]
fn an_attempt_that_is_repeated_is_told_at_info() {
    let server = answers([response("500 Broken", "", "no")]);
    let api = api(&server.url(), json!({}));
    let (answer, lines) = log_lines(|| call(&api, "get", None));
    answer.unwrap();
    let info: Vec<_> = lines.iter().filter(|line| line.starts_with("3 ")).collect();
    let [line] = info[..] else { panic!("{info:?}") };
    assert!(line.contains("answered 500") && line.contains("attempt 2 of 3 follows in"), "{line}");
}

#[test]
fn a_post_that_says_too_many_requests_or_later_was_not_done_and_is_sent_again() {
    for answer in [busy("0"), response("429 Slow", "Retry-After: 0\r\n", ""), response("429 Slow", "", "")] {
        for endpoint in ["post", "patch", "get"] {
            let server = answers([answer.clone(), answer.clone()]);
            call(&api(&server.url(), json!({})), endpoint, None).unwrap();
            let requests = server.requests();
            assert_eq!(requests.len(), 3, "{endpoint}");
            if endpoint != "get" {
                assert!(requests.iter().all(|r| r.body_text() == r#"{"n": 1}"#));
            }
        }
    }
}

#[test]
fn with_an_idempotency_key_a_post_is_repeated_and_the_key_stays_the_same() {
    let server = always(response("500 Broken", "", ""));
    let api = api(&server.url(), json!({"retry": {"idempotency_key": "auto"}}));
    call(&api, "post", None).unwrap_err();
    call(&api, "post", None).unwrap_err();
    call(&api, "get", None).unwrap_err();
    let keys: Vec<_> =
        server.requests().iter().map(|r| r.header("Idempotency-Key").map(str::to_owned)).collect();
    assert_eq!(keys.len(), 9);
    assert!(keys[0].as_ref().unwrap().len() == 36 && keys[..3].iter().all(|k| *k == keys[0]), "{keys:?}");
    assert!(keys[3..6].iter().all(|k| *k == keys[3]) && keys[3] != keys[0], "{keys:?}");
    // A GET needs none.
    assert!(keys[6..].iter().all(Option::is_none), "{keys:?}");
    // The call's own stands over the automatic one; a header of that name is one too.
    for options in [r#"{"idempotency_key": "mine"}"#, r#"{"extra_headers": {"idempotency-key": "mine"}}"#] {
        let before = server.requests().len();
        call(&api, "post", Some(options)).unwrap_err();
        let requests = &server.requests()[before..];
        assert_eq!(requests.len(), 3);
        assert!(requests.iter().all(|r| r.headers("Idempotency-Key").eq(["mine"])));
    }
    for bad in [r#"{"idempotency_key": ""}"#, r#"{"idempotency_key": "a\nb"}"#] {
        assert_eq!(call(&api, "post", Some(bad)).unwrap_err().status, INVALID_ARGUMENT);
    }
}

#[test]
fn a_blank_idempotency_key_is_none_and_is_sent_as_it_is() {
    for mode in ["off", "auto"] {
        for blank in ["", " \t"] {
            let server = always(response("500 Broken", "", ""));
            let api = api(&server.url(), json!({"retry": {"idempotency_key": mode}}));
            let options = json!({"extra_headers": {"idempotency-key": blank}}).to_string();
            let fault = call(&api, "post", Some(&options)).unwrap_err();
            let requests = server.requests();
            assert_eq!((requests.len(), fault.retryable), (1, false), "{mode} {blank:?}");
            assert_eq!(requests[0].header("Idempotency-Key").map(str::trim), Some(""));
        }
    }
}

#[test]
fn each_item_of_a_list_has_a_key_of_its_own() {
    let server = answers([response("500 Broken", "", "")]);
    let api = api(&server.url(), json!({}));
    api.send("post", "[1, 2]", r#"{"idempotency_key": "mine"}"#).unwrap();
    let keys: Vec<_> =
        server.requests().iter().map(|r| r.header("Idempotency-Key").unwrap().to_owned()).collect();
    assert_eq!(keys, ["mine-0", "mine-0", "mine-1"]);
}

/// Reads a request and ends like this, without an answer; `/good` is answered.
fn cutting(close: Close) -> Server {
    Server::start(move |mut stream: TcpStream, _| {
        if read_request(&mut stream).is_some() {
            finish(stream, close);
        }
    })
}

#[test]
fn a_request_that_may_have_been_done_is_repeated_only_where_that_does_no_harm() {
    for close in [Close::Fin, Close::Rst] {
        for (endpoint, requests) in [("get", 3), ("put", 3), ("post", 1), ("patch", 1)] {
            let server = cutting(close);
            let fault = call(&api(&server.url(), json!({})), endpoint, None).unwrap_err();
            assert_eq!(fault.status, IO, "{endpoint}: {}", fault.message);
            assert_eq!(server.requests().len(), requests, "{endpoint}");
            assert_eq!(fault.json["sent"], "maybe");
            assert_eq!(fault.retryable, requests > 1, "{endpoint}");
        }
        let server = cutting(close);
        let options = r#"{"idempotency_key": "k"}"#;
        call(&api(&server.url(), json!({})), "post", Some(options)).unwrap_err();
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn a_request_that_nobody_took_is_repeated_whatever_its_method() {
    let address = refused_address();
    for endpoint in ["get", "post"] {
        let fault = call(&api(&format!("http://{address}"), json!({})), endpoint, None).unwrap_err();
        assert_eq!((fault.status, fault.json["attempts"].as_array().unwrap().len()), (CONNECT, 3));
        assert!(fault.json["attempts"].as_array().unwrap().iter().all(|a| a["sent"] == "no"));
        assert!(fault.message.ends_with("(after 3 attempts)"), "{}", fault.message);
    }
    // A handshake that was cut passes; a certificate that nobody knows does not.
    let cut = Server::start(|mut stream, _| {
        // Not before it has begun: else it may be the connect that is cut.
        let _ = std::io::Read::read(&mut stream, &mut [0]);
        finish(stream, Close::Rst);
    });
    let url = cut.url().replace("http://127.0.0.1", "https://localhost");
    let fault = call(&api(&url, json!({})), "post", None).unwrap_err();
    assert_eq!((fault.status, cut.connections()), (TLS, 3), "{}", fault.message);
    let ca = support::tls::Ca::new();
    let unknown = support::tls::TlsServer::start(
        ca.identity(support::tls::Leaf::Good),
        support::tls::answering(|_| ok_json("1")),
    );
    let fault = call(&api(&unknown.url(), json!({})), "get", None).unwrap_err();
    assert_eq!((fault.status, unknown.server.connections()), (TLS, 1), "{}", fault.message);
}

#[test]
fn a_body_that_was_cut_is_fetched_again_and_a_posts_is_not() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1, 2".to_vec();
    for (endpoint, requests) in [("get", 2), ("post", 1)] {
        let first = canned([cut.clone()], Close::Fin);
        let server = Server::start(move |stream, n| match n {
            0 => first(stream, n),
            _ => answering(|_| ok_json("[1, 2]"))(stream, n),
        });
        match call(&api(&server.url(), json!({})), endpoint, None) {
            Ok(answer) => assert_eq!(answer.text(), "[1, 2]"),
            Err(fault) => assert_eq!((fault.status, fault.retryable), (TRUNCATED, false)),
        }
        assert_eq!(server.requests().len(), requests, "{endpoint}");
    }
}

#[test]
fn a_file_is_sent_whole_each_time() {
    let folder = Folder::new();
    let body = vec![b'x'; 300_000];
    let file = folder.write("body", &body);
    let server = answers([busy("0"), busy("0")]);
    let options = json!({"body_file": file}).to_string();
    api(&server.url(), json!({})).fetch("post", None, &*options).unwrap();
    let requests = server.requests();
    assert!(requests.len() == 3 && requests.iter().all(|r| r.body == body));
}

#[test]
fn the_server_says_when_and_no_attempt_comes_earlier() {
    let server = answers([busy("1")]);
    let begun = Instant::now();
    let answer = call(&api(&server.url(), json!({})), "get", None).unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(1) + SLACK, "{took:?}");
    assert!(answer.meta["attempts"][1]["wait_ms"].as_u64().unwrap() >= 1000, "{}", answer.meta);
    assert_eq!(server.requests().len(), 2);
    // In milliseconds too, as some servers have it; it stands over the other.
    let server = answers([response("429 Slow", "Retry-After: 60\r\nretry-after-ms: 150\r\n", "")]);
    let begun = Instant::now();
    call(&api(&server.url(), json!({})), "get", None).unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(150) && took < SLACK, "{took:?}");
}

#[test]
fn a_wait_that_is_too_long_is_told_at_once() {
    for (status, keys, options, most) in [
        (429, json!({}), None, "retry.max_wait is 60 s"),
        (503, json!({}), None, "retry.max_wait is 60 s"),
        (503, json!({"retry": {"max_wait": 7}}), None, "retry.max_wait is 7 s"),
        (503, json!({"retry": {"max_wait": 9999}}), Some(r#"{"deadline": 5}"#), "the deadline is in "),
    ] {
        let server = always(response(&format!("{status} No"), "Retry-After: 3600\r\n", "later"));
        let begun = Instant::now();
        let fault = call(&api(&server.url(), keys), "get", options).unwrap_err();
        assert!(begun.elapsed() < SLACK);
        assert_eq!((fault.status, fault.http_status), (RATE_LIMITED, status), "{}", fault.message);
        assert_eq!(fault.retry_after_ms, 3_600_000);
        assert!(
            fault.message.contains("it asks to wait 3600 s") && fault.message.contains(most),
            "{}",
            fault.message
        );
        assert_eq!(fault.response.unwrap().text(), "later");
        assert_eq!(server.requests().len(), 1);
    }
    // Where there is no other attempt anyway, the answer is what it is.
    let server = always(busy("3600"));
    let fault = call(&api(&server.url(), json!({"retry_count": 1})), "get", None).unwrap_err();
    assert_eq!((fault.status, fault.retry_after_ms), (HTTP_STATUS, 3_600_000));
}

#[test]
fn a_wish_that_cannot_be_read_is_none() {
    for value in ["-1", "soon", "²", "1.5", "", "Mon, 99 Foo 2019 00:00:00 GMT"] {
        let server = answers([busy(value)]);
        let begun = Instant::now();
        call(&api(&server.url(), json!({})), "get", None).unwrap();
        assert!(begun.elapsed() < SLACK, "{value}");
        assert_eq!(server.requests().len(), 2, "{value}");
    }
    // A time that is over is no wait.
    let server = answers([busy("Sun, 06 Nov 1994 08:49:37 GMT")]);
    call(&api(&server.url(), json!({})), "post", None).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn too_many_requests_for_ever_end_with_the_last_attempt() {
    for (count, requests) in [(0, 1), (1, 1), (2, 2), (5, 5)] {
        let server = always(response("429 Slow", "", "slow"));
        let fault = call(&api(&server.url(), json!({"retry_count": count})), "get", None).unwrap_err();
        assert_eq!((fault.status, server.requests().len()), (RATE_LIMITED, requests), "{count}");
        assert!(fault.retryable);
    }
}

#[test]
fn the_call_says_over_the_endpoint_over_the_connector_how_often() {
    let server = always(response("500 Broken", "", ""));
    let keys = json!({"retry_count": 2, "endpoints": {
        "get": {"path": "/x"},
        "own": {"path": "/x", "retry_count": 4},
        "listed": {"path": "/x", "retry": {"statuses": ["4xx"]}},
    }});
    let api = api(&server.url(), keys);
    for (endpoint, options, requests) in [
        ("get", None, 2),
        ("own", None, 4),
        ("own", Some(r#"{"retry_count": 1}"#), 1),
        ("listed", None, 1),
        ("listed", Some(r#"{"retry": {"statuses": [500]}}"#), 2),
    ] {
        let before = server.requests().len();
        api.fetch(endpoint, None, options).unwrap_err();
        assert_eq!(server.requests().len() - before, requests, "{endpoint} {options:?}");
    }
}

#[test]
fn a_deadline_is_for_all_attempts_together() {
    // Every attempt takes its time, and then fails.
    let server = Server::start(|mut stream, _| {
        while read_request(&mut stream).is_some() {
            std::thread::sleep(Duration::from_millis(150));
            let _ = std::io::Write::write_all(&mut stream, &response("500 Broken", "", "broken"));
        }
    });
    let begun = Instant::now();
    let options = r#"{"deadline": 0.7, "retry_count": 1000}"#;
    let fault = call(&api(&server.url(), json!({})), "get", Some(options)).unwrap_err();
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(700) + SLACK, "{took:?}");
    assert!([HTTP_STATUS, TIMEOUT].contains(&fault.status), "{}", fault.message);
    let attempts = fault.json["attempts"].as_array().unwrap().len();
    assert!((2..=5).contains(&attempts), "{attempts}");
    // A backoff that does not fit is not begun: the failure says more than a time-out.
    let server = always(response("500 Broken", "", "broken"));
    let keys = json!({"retry_delay": 1000, "retry": {"max": 1e6}});
    let begun = Instant::now();
    let fault = call(&api(&server.url(), keys), "get", Some(r#"{"deadline": 0.001}"#)).unwrap_err();
    assert!(begun.elapsed() < SLACK && [HTTP_STATUS, TIMEOUT].contains(&fault.status), "{}", fault.message);
}

#[test]
fn a_cancel_ends_the_wait_for_the_next_attempt() {
    let server = always(busy("50"));
    let (api, cancel) = (api(&server.url(), json!({})), Cancel::new());
    std::thread::scope(|scope| {
        let outcome = scope.spawn(|| api.fetch_until("get", None, None, Some(&cancel)));
        server.wait_requests(1);
        // Long enough for the answer to be read on any machine; if not, the cancel meets it, which is as good.
        std::thread::sleep(Duration::from_millis(100));
        let begun = Instant::now();
        cancel.trigger();
        let fault = outcome.join().unwrap().unwrap_err();
        assert!(begun.elapsed() < SLACK);
        assert_eq!(fault.status, CANCELLED, "{}", fault.message);
        assert_eq!(fault.json["attempts"].as_array().unwrap().len(), 1);
    });
    assert_eq!(server.requests().len(), 1);
    assert!(PATIENCE > SLACK);
}

#[test]
fn a_kept_connection_that_had_been_closed_costs_no_attempt() {
    // Says that it stays, and goes, behind every answer.
    let server = Server::start(|mut stream, _| {
        if read_request(&mut stream).is_some() {
            let _ = std::io::Write::write_all(&mut stream, &busy("0"));
        }
    });
    let fault = call(&api(&server.url(), json!({})), "get", None).unwrap_err();
    assert_eq!(fault.status, HTTP_STATUS);
    let attempts = fault.json["attempts"].as_array().unwrap();
    assert!(attempts.len() == 3 && attempts.iter().all(|a| a["status"] == 503), "{attempts:?}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_hop_that_fails_is_repeated_and_not_what_led_there() {
    let server = Server::start(answering({
        let tries = Mutex::new(0);
        move |request| {
            if request.target() == "/x" {
                return response("303 See Other", "Location: /result\r\n", "");
            }
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            if *tries < 3 { response("500 Broken", "", "") } else { ok_json("\"done\"") }
        }
    }));
    let answer = api(&server.url(), json!({})).send("post", "{}", None).unwrap();
    assert_eq!(answer.json()["result"], "done");
    let targets: Vec<_> =
        server.requests().iter().map(|r| format!("{} {}", r.method(), r.target())).collect();
    assert_eq!(targets, ["POST /x", "GET /result", "GET /result", "GET /result"]);
}

#[test]
fn what_rules_say_of_an_answer_stands_over_its_status() {
    let rules = json!([
        {"status": 404, "then": "ignore"},
        {"status": 409, "then": "success"},
        {"status": 202, "then": "retry"},
        {"status": 200, "path": "error", "equals": "quota", "then": "rate_limited"},
        {"status": 200, "path": "error", "then": "fail"},
        {"header": {"X-Expired": "^yes$"}, "then": "refresh_token"},
        {"text": "try (again|later)", "then": "retry"},
    ]);
    let keys = json!({"endpoints": {
        "get": {"path": "/x", "responses": rules},
        "post": {"path": "/x", "method": "POST", "responses": rules},
    }});
    let fetch = |endpoint: &str, answer: Vec<u8>| {
        let server = always(answer);
        let outcome = call(&api(&server.url(), keys.clone()), endpoint, None);
        (outcome, server.requests().len())
    };
    let (outcome, requests) = fetch("get", response("404 No", "", "<html>"));
    let answer = outcome.unwrap();
    assert_eq!((answer.text(), answer.status, requests), ("null", 404, 1));
    let (outcome, _) = fetch("get", response("409 There", "", r#"{"there": true}"#));
    assert_eq!(outcome.unwrap().text(), r#"{"there": true}"#);
    let (outcome, _) = fetch("get", ok_json(r#"{"data": 1}"#));
    assert_eq!(outcome.unwrap().text(), r#"{"data": 1}"#);
    for (answer, status, requests) in [
        (ok_json(r#"{"error": "quota"}"#), RATE_LIMITED, 3),
        (ok_json(r#"{"error": "x"}"#), HTTP_STATUS, 1),
        (response("202 Not Yet", "", "{}"), HTTP_STATUS, 3),
        (response("400 Bad", "X-Expired: yes\r\n", ""), api::AUTH, 1),
        (response("400 Bad", "", "please try later"), HTTP_STATUS, 3),
    ] {
        for endpoint in ["get", "post"] {
            let (outcome, sent) = fetch(endpoint, answer.clone());
            let fault = outcome.unwrap_err();
            assert_eq!((fault.status, sent), (status, requests), "{endpoint}: {}", fault.message);
            assert!(fault.response.is_some());
        }
    }
}

#[test]
fn whether_the_call_may_be_made_again_is_about_all_of_its_requests() {
    // A key that was made for this call would be another one in the next.
    let server = cutting(Close::Fin);
    let auto = json!({"retry": {"idempotency_key": "auto"}});
    let fault = call(&api(&server.url(), auto), "post", None).unwrap_err();
    assert_eq!((&fault.json["sent"], fault.retryable), (&json!("maybe"), false));
    let fault =
        call(&api(&server.url(), json!({})), "post", Some(r#"{"idempotency_key": "k"}"#)).unwrap_err();
    assert!(fault.retryable);
    // The POST was done, whatever became of the page that it led to.
    for answer in [response("500 Broken", "", ""), response("429 Slow", "", "")] {
        let server = Server::start(answering(move |request| match request.target() {
            "/x" => response("303 See Other", "Location: /result\r\n", ""),
            _ => answer.clone(),
        }));
        let fault = call(&api(&server.url(), json!({})), "post", None).unwrap_err();
        assert!(!fault.retryable, "{}", fault.message);
    }
    // What the first attempt may have done, the second does not undo by not being sent.
    let server = Server::start(|mut stream, _| drop(read_request(&mut stream)));
    let address = server.address();
    let taken = std::sync::Arc::new(Mutex::new(Some(server)));
    let api = api(&format!("http://{address}"), json!({"retry_count": 2, "retry_delay": 0.3}));
    std::thread::scope(|scope| {
        let outcome = scope.spawn(|| call(&api, "put", None));
        taken.lock().unwrap().as_ref().unwrap().wait_requests(1);
        drop(taken.lock().unwrap().take());
        let fault = outcome.join().unwrap().unwrap_err();
        let sent: Vec<_> = fault.json["attempts"].as_array().unwrap().iter().map(|a| &a["sent"]).collect();
        assert!(sent[0] == "maybe", "{sent:?}");
        assert_eq!(fault.json["sent"], "maybe", "{}", fault.json);
    });
}

#[test]
fn a_wish_is_as_long_as_a_number_can_be_and_a_date_is_by_the_servers_clock() {
    let server = always(busy("18446744073709551615"));
    let fault = call(&api(&server.url(), json!({})), "get", None).unwrap_err();
    assert_eq!((fault.status, server.requests().len()), (RATE_LIMITED, 1), "{}", fault.message);
    let ahead = "Date: Fri, 01 Jan 2100 00:00:00 GMT\r\nRetry-After: Fri, 01 Jan 2100 00:00:01 GMT\r\n";
    let server = answers([response("503 Busy", ahead, "")]);
    let answer = call(&api(&server.url(), json!({})), "get", None).unwrap();
    let wait = answer.meta["attempts"][1]["wait_ms"].as_u64().unwrap();
    assert!((1000..2000).contains(&wait), "{}", answer.meta);
}

#[test]
fn a_rule_about_the_body_takes_no_more_of_a_refusal_than_is_shown() {
    let keys =
        json!({"endpoints": {"get": {"path": "/x", "responses": [{"text": "busy", "then": "retry"}]}}});
    let fetch = |first: Vec<u8>, close| {
        let first = canned([first], close);
        let server = Server::start(move |stream, n| match n {
            0 => first(stream, n),
            _ => answering(|_| ok_json("\"good\""))(stream, n),
        });
        let outcome = api(&server.url(), keys.clone()).fetch("get", None, r#"{"retry": {"max_wait": 5}}"#);
        (outcome, server)
    };
    let endless = |head: &str| [head.as_bytes(), &vec![b'x'; 200_000]].concat();
    let (outcome, _server) =
        fetch(endless("HTTP/1.1 302 F\r\nLocation: /y\r\nContent-Length: 9999999999\r\n\r\n"), Close::Keep);
    assert_eq!(outcome.unwrap().text(), "\"good\"");
    let (outcome, server) = fetch(response("500 B", "Content-Encoding: odd\r\n", "x"), Close::Fin);
    assert_eq!((outcome.unwrap().text(), server.requests().len()), ("\"good\"", 2));
    let cut = b"HTTP/1.1 429 S\r\nRetry-After: 3600\r\nContent-Length: 100\r\n\r\nshort".to_vec();
    let (outcome, server) = fetch(cut, Close::Fin);
    let fault = outcome.unwrap_err();
    assert_eq!((fault.status, fault.retry_after_ms, server.requests().len()), (RATE_LIMITED, 3_600_000, 1));
    // A refusal that a rule takes for a success is whole, or it is none.
    let rules = json!([{"text": "^xx", "then": "success"}]);
    let keys = json!({"endpoints": {"get": {"path": "/x", "decode": "bytes", "responses": rules}}});
    for (close, missing) in [(Close::Keep, 0), (Close::Fin, 1)] {
        let body = response("404 N", "", vec![b'x'; 200_000]);
        let server = Server::start(canned([body[..body.len() - missing].to_vec()], close));
        match api(&server.url(), keys.clone()).fetch("get", None, r#"{"retry_count": 1}"#) {
            Ok(answer) => assert!(missing == 0 && answer.body.len() == 200_000),
            Err(fault) => assert!(missing == 1 && fault.status == TRUNCATED, "{}", fault.message),
        }
    }
}
