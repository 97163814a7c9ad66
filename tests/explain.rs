//! What is told of a request before it is sent, while it is under way, and afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/faulty.rs"]
mod faulty;
mod support;

use std::path::Path;
use std::process::Command;

use api::{Api, INVALID_ARGUMENT, UNKNOWN_ENDPOINT};
use faulty::{HEADER, KEY, TOKEN, assert_fault, assert_no_secret};
use serde_json::{Value, json};
use support::{Request, Server, answering, ok_json, response};

fn explained(api: &Api, endpoint: &str, params: Option<&str>, options: Option<&str>) -> Value {
    let answer = api.explain(endpoint, params, options).unwrap();
    assert_no_secret("explanation", answer.text());
    answer.json()
}

#[test]
fn a_request_is_explained_and_not_sent() {
    let server = Server::start(answering(|_| ok_json("{}")));
    let api = faulty::api(&server.url(), &json!({}));
    let told = explained(&api, "post", Some(r#"{"q": "a b"}"#), Some(r#"{"data": {"n": 1.10}}"#));
    assert_eq!(server.connections(), 0);
    let keys: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["method", "url", "headers", "body", "curl", "notes"]);
    assert_eq!(told["method"], "POST");
    assert_eq!(told["url"], format!("{}/bad?key=***&q=a%20b", server.url()));
    assert_eq!(told["body"], r#"{"n": 1.10}"#);
    let header = |name: &str| {
        let all = told["headers"].as_array().unwrap();
        all.iter().find(|h| h[0] == name).map(|h| h[1].as_str().unwrap().to_owned())
    };
    assert_eq!(header("authorization").as_deref(), Some("Bearer ***"));
    assert_eq!(header("x-secret").as_deref(), Some("***"));
    assert_eq!(header("content-type").as_deref(), Some("application/json"));
    assert_eq!(header("content-length").as_deref(), Some("11"));
    assert_eq!(header("host"), Some(server.address().to_string()));
    let notes = told["notes"].to_string();
    assert!(notes.contains("secrets are shown as ***") && notes.contains("over plain http"), "{notes}");

    let told = explained(&api, "bad", None, None);
    assert_eq!((&told["method"], told.get("body")), (&json!("GET"), None));
    assert_fault(&api.explain("nowhere", None, None).unwrap_err(), UNKNOWN_ENDPOINT, "nowhere");
    let few = Api::new(
        r#"{"base_url": "http://127.0.0.1:9", "endpoints": {"orders": {"path": "/o"}, "users": {"path": "/u"}}}"#,
    );
    let fault = few.unwrap().explain("nowhere", None, None).unwrap_err();
    assert_fault(&fault, UNKNOWN_ENDPOINT, "\"nowhere\"; it has orders, users");
    assert_fault(&api.explain("bad", "{", None).unwrap_err(), INVALID_ARGUMENT, "params");
    assert_fault(&api.explain("bad", None, r#"{"dat": 1}"#).unwrap_err(), INVALID_ARGUMENT, "dat");
    assert_eq!(server.connections(), 0);
}

#[test]
fn what_the_call_would_fail_with_is_a_note() {
    let more = json!({"endpoints": {
        "checked": {"path": "/c", "method": "POST", "request_schema": {"type": "object"}},
    }});
    let api = faulty::api("http://127.0.0.1:9", &more);
    let notes =
        |endpoint: &str, options: Option<&str>| explained(&api, endpoint, None, options)["notes"].to_string();
    assert!(
        notes("bad", Some(r#"{"checkpoint": "x"}"#))
            .contains("the call would fail: options: /checkpoint: is for listings")
    );
    assert!(notes("checked", Some(r#"{"data": 1}"#)).contains("request_schema: 1 fault"));
    assert!(!notes("checked", Some(r#"{"data": {}}"#)).contains("would fail"));
}

#[test]
fn short_secrets_are_hidden_by_their_place() {
    for (auth, name, shown) in [
        (json!({"type": "bearer", "token": "qzq"}), "authorization", "Bearer ***"),
        (json!({"type": "api_key", "key": "qzq"}), "x-api-key", "***"),
        (json!({"type": "basic", "username": "qz", "password": "qzq"}), "authorization", "Basic ***"),
    ] {
        let config =
            json!({"base_url": "http://127.0.0.1:9", "auth": auth, "endpoints": {"e": {"path": "/e"}}});
        let api = Api::new(&config.to_string()).unwrap();
        let told = api.explain("e", None, None).unwrap();
        assert!(
            told.json()["headers"].as_array().unwrap().contains(&json!([name, shown])),
            "{}",
            told.text()
        );
        assert!(!told.text().contains("qzq") && !told.text().contains("cXo6"), "{}", told.text());
        let (_, lines) = api::log_lines(|| api.fetch("e", None, r#"{"timeout": 1}"#));
        assert!(!lines.join("").contains("qzq") && !lines.join("").contains("cXo6"), "{lines:?}");
    }
    let config = json!({"base_url": "http://127.0.0.1:9", "auth": {"type": "api_key", "key": "q'q", "in": "query"},
        "endpoints": {"e": {"path": "/e"}}});
    let told = Api::new(&config.to_string()).unwrap().explain("e", None, None).unwrap();
    assert_eq!(told.json()["url"], "http://127.0.0.1:9/e?api_key=***");
    // What a call says of its own credentials is theirs.
    let config = json!({"base_url": "http://127.0.0.1:9", "endpoints": {"e": {"path": "/e"}}});
    let own = r#"{"extra_headers": {"Authorization": "Bearer mine", "Cookie": "a=b"}}"#;
    let told = Api::new(&config.to_string()).unwrap().explain("e", None, own).unwrap();
    assert!(!told.text().contains("mine") && !told.text().contains("a=b"), "{}", told.text());
}

// ---- the curl command ----

/// What the server saw of a request: the line, the headers in any order, the body.
fn seen(request: &Request) -> (String, Vec<String>, Vec<u8>) {
    let mut lines = request.head.lines();
    let line = lines.next().unwrap().to_owned();
    let mut headers: Vec<String> = lines
        .map(|l| {
            let (name, value) = l.split_once(':').unwrap();
            format!("{}: {}", name.to_ascii_lowercase(), value.trim())
        })
        .collect();
    headers.sort();
    (line, headers, request.body.clone())
}

#[test]
fn the_curl_command_sends_the_same_request() {
    let version = Command::new("curl").arg("--version").output();
    assert!(version.is_ok_and(|v| v.status.success()), "curl is missing: .ci/need curl installs it");
    let server = Server::start(answering(|request| match request.method() {
        "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => ok_json("{}"),
    }));
    let more = json!({
        "user_agent": "it's apl; $(touch /tmp/apl-never) `id` \"quoted\" \\ !",
        "endpoints": {
            "raw": {"path": "/raw", "method": "POST", "body": "raw", "content_type": "text/plain"},
            "head": {"path": "/head", "method": "HEAD"},
            "delete": {"path": "/d/{id}", "method": "delete", "headers": {"X-Empty": "", "X-Uml": "é'"}},
            "patch": {"path": "/p", "method": "PATCH", "accept_encoding": "identity"},
            "weird": {"path": "/{a}/[x]{?q}", "decode": "text"},
        },
    });
    let api = faulty::api(&server.url(), &more);
    let long = format!(r#"{{"data": "{}"}}"#, "y".repeat(100_000));
    for (endpoint, params, options) in [
        ("bad", None, None),
        ("bad", Some(r#"{"q": "it's $HOME {1,2} [a-b] ä%"}"#), None),
        ("post", None, Some(r#"{"data": {"text": "it's\n'quoted' \\ $(id) `id` @file ä"}}"#)),
        ("post", None, Some(r#"{"data": "@/etc/hostname"}"#)),
        ("post", None, None),
        ("raw", None, Some(r#"{"data": "@/etc/hostname"}"#)),
        ("raw", None, Some(r#"{"data": "a\u0000'b\n"}"#)),
        ("raw", None, Some(r#"{"data": ""}"#)),
        ("raw", None, Some(r#"{"data": "x", "content_type": "application/x-é"}"#)),
        ("raw", None, Some(&long)),
        ("head", None, None),
        ("delete", Some(r#"{"id": "a/b"}"#), None),
        ("put", None, Some(r#"{"data": [1], "deadline": 5.5}"#)),
        (
            "patch",
            None,
            Some(r#"{"data": {}, "extra_headers": {"Host": "other.example", "user-agent": "me"}}"#),
        ),
        ("weird", Some(r#"{"a": "..a", "q": "[*]"}"#), None),
    ] {
        api.fetch(endpoint, params, options).unwrap();
        let told = explained(&api, endpoint, params, options);
        let command = told["curl"].as_str().unwrap();
        // The secrets go back where they were taken out.
        let command = command
            .replace("key=***", "key=canary%20query%2Fkey-77")
            .replace("authorization: Bearer ***", &format!("authorization: Bearer {TOKEN}"))
            .replace("x-secret: ***", &format!("x-secret: {HEADER}"));
        assert!(!command.contains("***"), "{command}");
        let ran = Command::new("sh").args(["-c", &command]).env("HOME", "/nonexistent").output().unwrap();
        assert!(ran.status.success(), "{command}\n{}", String::from_utf8_lossy(&ran.stderr));
        let requests = server.requests();
        let [.., ours, theirs] = &requests[..] else { panic!("two requests") };
        assert_eq!(seen(ours), seen(theirs), "{command}");
        // What is told is what was sent.
        assert_eq!(told["method"], ours.method());
        let mut headers: Vec<String> = told["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|h| format!("{}: {}", h[0].as_str().unwrap(), h[1].as_str().unwrap()))
            .map(|h| h.replace("Bearer ***", &format!("Bearer {TOKEN}")).replace("***", HEADER))
            .collect();
        headers.sort();
        assert_eq!(headers, seen(ours).1, "{endpoint}");
        assert!(KEY.len() > 6 && told["url"].as_str().unwrap().starts_with(&server.url()));
        if let Some(body) = told["body"].as_str() {
            assert_eq!(body.as_bytes(), ours.body);
        }
    }
    assert!(!Path::new("/tmp/apl-never").exists(), "the shell ran what it should have quoted");
}

#[test]
fn the_curl_command_has_the_options_that_matter() {
    let command = |config: Value, options: Option<&str>| {
        let api = Api::new(&config.to_string()).unwrap();
        api.explain("e", None, options).unwrap().json()["curl"].as_str().unwrap().to_owned()
    };
    let mut config = json!({
        "base_url": "https://api.example:8443", "endpoints": {"e": {"path": "/e"}},
        "resolve": {"api.example:8443": "127.0.0.1:9"},
        "timeout": {"connect": 2.5, "total": 9},
        "tls": {"min_version": "1.3", "danger_accept_invalid_certs": true},
    });
    let told = command(config.clone(), Some(r#"{"deadline": 4}"#));
    for option in [
        "--http1.1",
        "--tlsv1.3",
        "--insecure",
        "--connect-to 'api.example:8443:127.0.0.1:9'",
        "--connect-timeout '2.5'",
        "--max-time '4'",
        "--noproxy '*'",
        "--compressed",
        "--request 'GET'",
        "--url 'https://api.example:8443/e'",
    ] {
        assert!(told.contains(option), "{option}: {told}");
    }
    config["accept_encoding"] = json!("identity");
    let told = command(config, None);
    assert!(!told.contains("--compressed") && told.contains("--max-time '9'"), "{told}");
}

// ---- the configuration ----

#[test]
fn without_an_endpoint_the_resolved_configuration_is_told() {
    let more = json!({"timeout": 7, "endpoints": {
        "post": {"path": "/v/{id}?fixed=1", "timeout": 3, "response_path": "a.b"},
        "short": {"path": "/s", "params": {"n": 1, "k": "${APL_TEST_QUERY_KEY}"}, "headers": {"X-E": "${APL_TEST_HEADER}"}},
    }});
    let api = faulty::api("http://127.0.0.1:9/v1/", &more);
    let answer = api.explain(None, None, None).unwrap();
    assert_no_secret("configuration", answer.text());
    let told = answer.json();
    assert_eq!((&told["type"], &told["base_url"]), (&json!("rest"), &json!("http://127.0.0.1:9/v1/")));
    assert_eq!(told["auth"], json!({"type": "bearer"}));
    assert_eq!(told["default_headers"], json!({"X-Secret": "***"}));
    assert_eq!(told["settings"]["timeout"], json!({"connect": 7.0, "head": 7.0, "read": 7.0, "total": null}));
    assert_eq!(told["settings"]["retry"]["statuses"], json!([408, 425, 429, 500, 502, 503, 504]));
    let post = &told["endpoints"]["post"];
    assert_eq!(
        (&post["method"], &post["url"]),
        (&json!("POST"), &json!("http://127.0.0.1:9/v1/v/{id}?fixed=1"))
    );
    assert_eq!((&post["settings"]["timeout"]["head"], &post["response_path"]), (&json!(3.0), &json!("a.b")));
    assert_eq!(post["settings"]["retry_count"], 1);
    let short = &told["endpoints"]["short"];
    assert_eq!((&short["params"], &short["headers"]), (&json!({"n": 1, "k": "***"}), &json!({"X-E": "***"})));
    assert_eq!(told["endpoints"].as_object().unwrap().len(), 5);
}

#[test]
fn how_listings_go_on_is_told_in_the_words_of_the_configuration() {
    for (pagination, told) in [
        (
            json!({"max_pages": 3}),
            json!({"style": "page_number", "page_param": "page", "base_page": 1, "stop_on_short_page": false, "max_pages": 3}),
        ),
        (
            json!({"limit": 5, "data_path": "items"}),
            json!({"style": "offset", "offset_param": "offset", "limit_param": "limit", "limit": 5,
                "stop_on_short_page": false, "data_path": "items"}),
        ),
        (
            json!({"cursor_path": "next", "cursor_body_path": "page.after", "initial": 7, "max_records": 9}),
            json!({"style": "cursor", "cursor_path": "next", "cursor_body_path": "/page/after", "initial": 7,
                "max_empty_pages": 3, "max_records": 9}),
        ),
        (
            json!({"cursor_header": "X-Next", "has_more_path": "more"}),
            json!({"style": "cursor", "cursor_header": "X-Next", "cursor_param": "cursor",
                "max_empty_pages": 3, "has_more_path": "more"}),
        ),
        (
            json!({"next_page_path": "next", "max_pages": 3}),
            json!({"next_page_path": "next", "page_param": "page", "max_empty_pages": 3, "max_pages": 3}),
        ),
        (
            json!({"next_url_path": "links.next"}),
            json!({"style": "json_link", "next_url_path": "links.next", "max_empty_pages": 3}),
        ),
        (json!({"style": "header_link"}), json!({"style": "header_link", "max_empty_pages": 3})),
        (json!({"style": "single_page"}), json!({"style": "single_page"})),
    ] {
        let endpoint = json!({"path": "/l", "method": "POST", "body_template": {}, "pagination": pagination});
        let config =
            json!({"base_url": "http://127.0.0.1:9", "endpoints": {"list": endpoint, "one": {"path": "/1"}}});
        let api = api::Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message));
        let answer = api.explain(None, None, None).unwrap().json();
        assert_eq!(answer["endpoints"]["list"]["pagination"], told, "{pagination}");
        assert_eq!(answer["endpoints"]["one"]["pagination"], Value::Null);
    }
}

// ---- the wire log ----

#[test]
fn the_wire_is_logged_in_full_and_without_secrets() {
    let server = Server::start(answering(|request| {
        let echo = format!("{TOKEN} {HEADER} {}", request.target());
        match request.target().starts_with("/bad") && request.method() == "POST" {
            true => response("500 Oops", &format!("X-Echo: {echo}\r\n"), "12345"),
            false => {
                response("200 OK", &format!("X-Echo: {echo}\r\nSet-Cookie: sid=s3ss10n\r\n"), r#"{"a":1}"#)
            }
        }
    }));
    let api = faulty::api(&server.url(), &json!({}));
    let ((), lines) = api::log_lines(|| {
        api.fetch("bad", None, None).unwrap();
        api.send("post", r#"{"n":1}"#, None).unwrap_err();
    });
    // Other tests of this file may log meanwhile.
    let port = server.address().port().to_string();
    let wire: Vec<&String> = lines.iter().filter(|l| l.starts_with("5 ") && l.contains(['>', '<'])).collect();
    let requests: Vec<_> =
        wire.iter().filter(|l| l.contains(&format!("> host: 127.0.0.1:{port}\n"))).collect();
    assert_eq!(requests.len(), 2, "{wire:#?}");
    assert!(requests[0].starts_with("5 bad\n> GET /bad?key=*** HTTP/1.1\n> host: "), "{}", requests[0]);
    assert!(
        requests[0].contains("\n> authorization: Bearer ***\n")
            && requests[0].ends_with("\n> 0 bytes of body")
    );
    assert!(
        requests[1].starts_with("5 post\n> POST /bad?key=*** HTTP/1.1\n")
            && requests[1].ends_with("> 7 bytes of body")
    );
    let answers: Vec<_> = wire.iter().filter(|l| l.contains("< X-Echo: *** *** /bad?key=***\n")).collect();
    assert_eq!(answers.len(), 2, "{wire:#?}");
    assert!(answers[0].starts_with("5 bad\n< HTTP/1.1 200\n") && answers[0].ends_with("\n< 7 bytes of body"));
    assert!(answers[0].contains("\n< Set-Cookie: ***\n"), "{}", answers[0]);
    assert!(
        answers[1].starts_with("5 post\n< HTTP/1.1 500\n") && answers[1].ends_with("\n< 5 bytes of body")
    );
    assert_no_secret("log", &lines.join("\n"));
}

#[test]
fn an_answer_whose_body_fails_is_logged_too() {
    let server = Server::start(support::canned(
        ["HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-Cut: 1\r\n\r\nabc"],
        support::Close::Fin,
    ));
    let api = faulty::api(&server.url(), &json!({}));
    let ((), lines) = api::log_lines(|| drop(api.fetch("bad", None, None).unwrap_err()));
    let line = lines.iter().find(|l| l.contains("< X-Cut: 1\n")).expect("the answer is logged");
    assert!(line.ends_with("\n< the body was not read whole"), "{line}");
}

// ---- meta and error ----

#[test]
fn the_meta_has_every_field_that_applies_and_no_other() {
    let server = Server::start(answering(|_| {
        response(
            "200 OK",
            "X-RateLimit-Limit: 100\r\nX-RateLimit-Remaining: 7\r\nX-RateLimit-Reset: 30\r\n",
            "[1]",
        )
    }));
    let api = faulty::api(&server.url(), &json!({}));
    api.fetch("good", None, None).unwrap();
    let meta = api.fetch("good", None, None).unwrap().meta;
    let keys: Vec<_> = meta.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "url",
            "http_version",
            "status",
            "headers",
            "length_known",
            "attempts",
            "timings",
            "remote_addr",
            "reused",
            "rate_limit",
            "warnings"
        ]
    );
    assert_eq!(
        (&meta["url"], &meta["http_version"]),
        (&json!(format!("{}/good", server.url())), &json!("1.1"))
    );
    assert_eq!(
        (&meta["status"], &meta["length_known"], &meta["reused"]),
        (&json!(200), &json!(true), &json!(true))
    );
    assert_eq!(meta["headers"][0], json!(["X-RateLimit-Limit", "100"]));
    assert_eq!(meta["remote_addr"], server.address().to_string());
    assert_eq!(meta["rate_limit"], json!({"limit": 100, "remaining": 7, "reset_ms": 30000}));
    let attempt = &meta["attempts"][0];
    assert_eq!(
        (&attempt["n"], &attempt["status"], &attempt["sent"]),
        (&json!(1), &json!(200), &json!("yes"))
    );
    assert_eq!((&attempt["url"], &attempt["wait_ms"]), (&meta["url"], &json!(0)));
    assert!(attempt["ms"].is_u64() && attempt.get("error").is_none());
    let timings: Vec<_> = meta["timings"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(timings, ["head", "body", "total"], "a kept connection has no connect");
    assert!(meta["warnings"][0].as_str().unwrap().contains("over plain http"));
}

#[test]
fn the_error_has_the_references_fields_and_ours() {
    let server = Server::start(answering(|_| {
        response(
            "429 Slow",
            "Content-Type: application/problem+json\r\nRetry-After: 2\r\nX-Correlation-Id: c-9\r\n",
            r#"{"title":"Slow","detail":"down"}"#,
        )
    }));
    let fault = faulty::api(&server.url(), &json!({})).fetch("good", None, None).unwrap_err();
    let keys: Vec<_> = fault.json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "message",
            "error_category",
            "status_code",
            "response_body",
            "request_url",
            "request_method",
            "timestamp",
            "operation_id",
            "correlation_id",
            "additional_context",
            "status",
            "endpoint",
            "attempts",
            "sent",
            "problem",
            "retry_after_ms"
        ]
    );
    assert_eq!(fault.json["message"], fault.message);
    assert_eq!(
        (&fault.json["error_category"], &fault.json["status_code"]),
        (&json!("RATE_LIMIT"), &json!(429))
    );
    assert_eq!(fault.json["response_body"], r#"{"title":"Slow","detail":"down"}"#);
    assert_eq!(fault.json["request_url"], format!("{}/good", server.url()));
    assert_eq!((&fault.json["request_method"], &fault.json["operation_id"]), (&json!("GET"), &Value::Null));
    assert_eq!((&fault.json["correlation_id"], &fault.json["status"]), (&json!("c-9"), &json!(301)));
    assert_eq!(fault.json["additional_context"], json!({"endpoint": "good"}));
    assert_eq!((&fault.json["endpoint"], &fault.json["retry_after_ms"]), (&json!("good"), &json!(2000)));
    assert_eq!(fault.json["problem"], json!({"title": "Slow", "detail": "down"}));
    assert_eq!(fault.json["attempts"][0]["status"], 429);
    assert!(fault.json["timestamp"].as_str().unwrap().ends_with('Z'));
}
