//! Redirects: where they may lead, as which request, and that no secret goes along to another origin.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::sync::{Arc, Mutex, Once};

use api::{Answer, Api, Fault, HTTP_STATUS, PROTOCOL, REDIRECT, log_lines};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::tls::{Ca, Leaf, TlsServer};
use support::{Close, Folder, Request, Server, answering, canned, ok_json, response};

/// With characters that every encoding has another form for.
const CANARY: &str = "canary-s3cret/+x";

fn environment() {
    static ONCE: Once = Once::new();
    // SAFETY: only Rust's std reads the environment of this process, under the lock that this takes too.
    ONCE.call_once(|| unsafe { std::env::set_var("APL_TEST_CANARY", CANARY) });
}

/// The forms in which the secret could travel.
fn forms() -> Vec<String> {
    let pairs = [CANARY.to_owned(), format!("user:{CANARY}"), format!("{CANARY}:pass")];
    let base64 = pairs.iter().map(|p| STANDARD.encode(p));
    let percent = CANARY.replace('/', "%2F").replace('+', "%2B");
    base64.chain([CANARY.to_owned(), percent.to_lowercase(), percent]).collect()
}

fn has_secret(text: &str) -> bool {
    forms().iter().any(|form| text.contains(form.as_str()))
}

fn text_of(request: &Request) -> String {
    format!("{}\n\n{}", request.head, String::from_utf8_lossy(&request.body))
}

/// An answer that leads elsewhere.
fn moved(status: u16, location: &str) -> Vec<u8> {
    response(&format!("{status} Moved"), &format!("Location: {location}\r\n"), "moved")
}

/// A connector with GET `get`, POST `post` and so on, all of `/start`; `keys` are laid over it.
fn api(base_url: &str, keys: Value) -> Api {
    environment();
    let mut config = json!({
        "base_url": base_url,
        "retry_count": 1,
        "timeout": 15,
        "endpoints": {
            "get": {"path": "/start"},
            "head": {"path": "/start", "method": "HEAD", "decode": "bytes"},
            "post": {"path": "/start", "method": "POST"},
            "put": {"path": "/start", "method": "PUT"},
            "delete": {"path": "/start", "method": "DELETE"},
        },
    });
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message))
}

/// A server whose `/start` leads there, and which answers everything else.
fn leading(status: u16, location: impl Fn() -> String + Send + Sync + 'static) -> Server {
    Server::start(answering(move |request| match request.target().split('?').next() {
        Some("/start") => moved(status, &location()),
        _ => ok_json("\"here\""),
    }))
}

fn fails(outcome: Result<Answer, Fault>, status: i32, words: &str) -> Fault {
    let fault = outcome.expect_err("the call went well");
    assert_eq!(fault.status, status, "{} {}", fault.name, fault.message);
    assert!(fault.message.contains(words), "{words:?} is not in {:?}", fault.message);
    fault
}

/// Every way in which a secret gets into a request.
fn ways() -> Vec<(&'static str, Value, Option<&'static str>)> {
    let auth = |auth: Value| json!({"auth": auth});
    let headers = |headers: Value| json!({"headers": headers});
    vec![
        ("api_key in a header", auth(json!({"type": "api_key", "key": CANARY, "header": "X-Key"})), None),
        ("api_key in the query", auth(json!({"type": "api_key", "key": CANARY, "in": "query"})), None),
        ("api_key in a cookie", auth(json!({"type": "api_key", "key": CANARY, "in": "cookie"})), None),
        ("bearer", auth(json!({"type": "bearer", "token": CANARY})), None),
        ("basic, password", auth(json!({"type": "basic", "username": "user", "password": CANARY})), None),
        ("basic, user", auth(json!({"type": "basic", "username": CANARY, "password": "pass"})), None),
        ("a literal Authorization", headers(json!({"Authorization": format!("Token {CANARY}")})), None),
        ("a header from the environment", headers(json!({"X-Some": "${APL_TEST_CANARY}"})), None),
        ("a cookie header", headers(json!({"Cookie": format!("session={CANARY}")})), None),
        ("a user agent from the environment", json!({"user_agent": "x/${APL_TEST_CANARY}"}), None),
        ("extra_headers", json!({}), Some(r#"{"extra_headers": {"X-Extra": "canary-s3cret/+x"}}"#)),
        ("an Idempotency-Key", json!({}), Some(r#"{"idempotency_key": "canary-s3cret/+x"}"#)),
    ]
}

/// Where another origin is: another port, another host, another scheme.
enum Elsewhere {
    Port(Server),
    /// The same server under its other name.
    Host,
    Scheme(TlsServer),
}

#[test]
fn no_secret_goes_to_another_origin_by_a_redirect_or_a_retry_there() {
    let (ca, folder) = (Ca::new(), Folder::new());
    let ca_file = folder.write("ca.pem", ca.pem());
    for (way, mut keys, options) in ways() {
        keys["tls"] = json!({"ca_file": ca_file});
        for elsewhere in ["port", "host", "scheme"] {
            // The first request to the other origin fails, so that it is repeated there.
            let tries = Arc::new(Mutex::new(0));
            let answer = move |_: &Request| {
                let mut tries = tries.lock().unwrap();
                *tries += 1;
                match *tries {
                    1 => response("503 Later", "Retry-After: 0\r\n", ""),
                    2 => moved(307, "/next"),
                    _ => ok_json("\"there\""),
                }
            };
            let (other, location) = match elsewhere {
                "port" => {
                    let server = Server::start(answering(answer));
                    let url = server.url();
                    (Elsewhere::Port(server), Some(format!("{url}/other")))
                }
                "host" => (Elsewhere::Host, None),
                _ => {
                    let server = TlsServer::start(ca.identity(Leaf::Good), support::tls::answering(answer));
                    let url = server.url();
                    (Elsewhere::Scheme(server), Some(format!("{url}/other")))
                }
            };
            let own: Server = Server::start(answering(move |request| {
                let host = request.header("Host").unwrap();
                let other = format!("http://localhost:{}/other", host.rsplit(':').next().unwrap());
                match request.target().split('?').next() {
                    Some("/start") => moved(302, location.as_ref().unwrap_or(&other)),
                    _ => ok_json("\"there\""),
                }
            }));
            keys["retry_count"] = json!(3);
            let api = api(&own.url(), keys.clone());
            let (outcome, log) = log_lines(|| api.fetch("get", None, options));
            let outcome = outcome.unwrap_or_else(|e| panic!("{way}, {elsewhere}: {}", e.message));
            assert_eq!(outcome.text(), "\"there\"", "{way}, {elsewhere}");
            let (own_host, all) = (own.address().to_string(), own.requests());
            let (at_home, mut away): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|r| r.header("Host") == Some(&own_host));
            match &other {
                Elsewhere::Port(server) => away.extend(server.requests()),
                Elsewhere::Host => {}
                Elsewhere::Scheme(server) => away.extend(server.server.requests()),
            }
            assert_eq!(at_home.len(), 1, "{way}, {elsewhere}");
            assert!(has_secret(&text_of(&at_home[0])), "{way}: {}", at_home[0].head);
            assert_eq!(away.len(), if elsewhere == "host" { 1 } else { 3 }, "{way}, {elsewhere}");
            for request in &away {
                assert!(!has_secret(&text_of(request)), "{way}, {elsewhere}: {}", request.head);
                let names: Vec<_> =
                    request.head.lines().skip(1).filter_map(|l| Some(l.split_once(':')?.0)).collect();
                for name in names {
                    let own = ["host", "user-agent", "accept", "accept-encoding"];
                    assert!(own.contains(&name.to_ascii_lowercase().as_str()), "{way}: {name}");
                }
            }
            // What a call says in plain text is its own.
            if options.is_none() {
                assert!(!has_secret(&log.join("\n")), "{way}, {elsewhere}: {log:#?}");
            }
            assert!(!has_secret(&outcome.meta.to_string()), "{way}, {elsewhere}: {}", outcome.meta);
        }
    }
}

#[test]
fn what_a_callback_or_a_jar_adds_goes_to_no_other_origin() {
    let other = Server::start(answering(|_| ok_json("1")));
    let there = other.url();
    let own = Server::start(answering(move |request| match request.target() {
        t if t.starts_with("/login") => response("200 OK", "Set-Cookie: s=canary-s3cret/+x; Path=/\r\n", "1"),
        _ => moved(302, &format!("{there}/x")),
    }));
    let api = api(
        &own.url(),
        json!({"cookies": true, "endpoints": {"login": {"path": "/login"}, "get": {"path": "/start"}}}),
    );
    api.on_request(|request| {
        request.set_header("X-Signature", CANARY).unwrap();
        request.set_query("sig", CANARY).unwrap();
        0
    })
    .unwrap();
    api.fetch("login", None, None).unwrap();
    let (outcome, log) = log_lines(|| api.fetch("get", None, None));
    let outcome = outcome.unwrap();
    let sent = own.requests().pop().unwrap();
    assert_eq!(
        (sent.header("Cookie"), sent.header("X-Signature")),
        (Some("s=canary-s3cret/+x"), Some(CANARY))
    );
    assert_eq!(sent.target(), "/start?sig=canary-s3cret%2F%2Bx");
    let bare = other.requests().pop().unwrap();
    assert!(!has_secret(&text_of(&bare)) && bare.target() == "/x", "{}", bare.head);
    assert!(!has_secret(&log.join("\n")), "{log:#?}");
    assert!(!has_secret(&outcome.meta.to_string()));
}

#[test]
fn a_proxy_on_the_way_sees_no_secret_of_a_request_to_another_origin() {
    // The proxy answers by itself, for whatever host it is asked.
    let proxy = Server::start(answering(|request| match request.target() {
        t if t.starts_with("http://own.invalid/start") => moved(302, "http://other.invalid/x"),
        _ => ok_json("1"),
    }));
    for (way, mut keys, options) in ways() {
        keys["proxy"] = json!(proxy.url());
        let before = proxy.requests().len();
        api("http://own.invalid", keys).fetch("get", None, options).unwrap();
        let requests = &proxy.requests()[before..];
        assert_eq!(requests.len(), 2, "{way}");
        assert!(has_secret(&text_of(&requests[0])) && !has_secret(&text_of(&requests[1])), "{way}");
        assert_eq!(requests[1].target(), "http://other.invalid/x");
    }
}

#[test]
fn a_redirect_to_the_same_origin_keeps_the_credentials() {
    for (way, keys, options) in ways() {
        let own = leading(302, || "/next?a=b".into());
        let answer = api(&own.url(), keys).fetch("get", None, options).unwrap();
        let requests = own.requests();
        assert_eq!(requests.len(), 2, "{way}");
        assert!(requests.iter().all(|r| has_secret(&text_of(r))), "{way}: {}", requests[1].head);
        assert!(requests[1].target().starts_with("/next?a=b"), "{way}: {}", requests[1].head);
        let redirects = answer.meta["redirects"].to_string();
        assert!(redirects.contains("/next?a=b") && !has_secret(&answer.meta.to_string()), "{}", answer.meta);
        let attempts: Vec<_> =
            answer.meta["attempts"].as_array().unwrap().iter().map(|a| &a["status"]).collect();
        assert_eq!(attempts, [302, 200], "{way}");
    }
}

#[test]
fn a_failure_behind_a_redirect_says_what_led_there() {
    let server = Server::start(support::answering(|request: &Request| match request.target() {
        "/moved" => response("404 Not Found", "", ""),
        _ => moved(302, "/moved"),
    }));
    let fault = api(&server.url(), json!({})).fetch("get", None, None).unwrap_err();
    let (from, to) = (server.requests()[0].target().to_owned(), server.url() + "/moved");
    assert!(
        fault.message.contains(&format!("GET {to} (redirected from {}", server.url())),
        "{}",
        fault.message
    );
    assert!(fault.message.contains(from.split('?').next().unwrap()), "{}", fault.message);
}

#[test]
fn credentials_go_to_allowed_origins_and_an_absolute_location_of_the_own() {
    let other = Server::start(answering(|_| ok_json("1")));
    let there = other.url();
    let own = leading(307, move || format!("{there}/x"));
    let keys = json!({"auth": {"type": "bearer", "token": CANARY}, "allow_origins": [other.url()]});
    api(&own.url(), keys.clone()).send("post", r#"{"n": 1}"#, None).unwrap();
    let request = other.requests().pop().unwrap();
    assert_eq!((request.method(), request.body_text()), ("POST", r#"{"n": 1}"#));
    assert!(has_secret(&request.head));
    assert_eq!(request.header("Host").unwrap(), other.address().to_string());
}

#[test]
fn a_chain_that_has_left_gets_no_secret_back_at_home() {
    let own: Arc<Mutex<String>> = Arc::default();
    let back = own.clone();
    let other = Server::start(answering(move |_| moved(302, &format!("{}/again", back.lock().unwrap()))));
    let there = other.url();
    let server = leading(302, move || format!("{there}/x"));
    *own.lock().unwrap() = server.url();
    let api = api(&server.url(), json!({"auth": {"type": "bearer", "token": CANARY}}));
    api.fetch("get", None, None).unwrap();
    let requests = server.requests();
    assert_eq!(requests[1].target(), "/again");
    assert!(has_secret(&requests[0].head) && !has_secret(&requests[1].head), "{}", requests[1].head);
}

#[test]
fn an_address_that_says_a_secret_back_is_not_followed_to_another_origin() {
    let other = Server::start(answering(|_| ok_json("1")));
    for (key, value) in [
        (CANARY, "canary-s3cret/%2Bx"),
        (CANARY, "canary-s3cret%2f%2bx"),
        (CANARY, "%63anary-s3cret%2F%2Bx"),
        // Too short to be looked for in texts, but its name gives it away.
        ("k1", "k1"),
    ] {
        let there = other.url();
        let own = leading(302, move || format!("{there}/x?api_key={value}"));
        let api = api(&own.url(), json!({"auth": {"type": "api_key", "key": key, "in": "query"}}));
        let fault = fails(api.fetch("get", None, None), REDIRECT, "its address has a secret in it");
        assert!(!has_secret(&fault.message) && !has_secret(&fault.json.to_string()), "{}", fault.message);
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn https_never_leads_to_plain_http() {
    let (ca, folder) = (Ca::new(), Folder::new());
    let plain = Server::start(answering(|_| ok_json("1")));
    let to = plain.url();
    let server = TlsServer::start(
        ca.identity(Leaf::Good),
        support::tls::answering(move |_| moved(302, &format!("{to}/x"))),
    );
    let keys = json!({"tls": {"ca_file": folder.write("ca.pem", ca.pem())}, "allow_origins": [plain.url()]});
    fails(api(&server.url(), keys).fetch("get", None, None), REDIRECT, "from https to plain http");
    assert_eq!(plain.connections(), 0);
}

#[test]
fn a_body_goes_to_no_other_origin_and_the_refusal_has_the_answer() {
    let other = Server::start(answering(|_| ok_json("1")));
    for status in [307, 308] {
        let there = other.url();
        let own = leading(status, move || format!("{there}/x"));
        let fault = fails(api(&own.url(), json!({})).send("post", "{}", None), REDIRECT, "to another origin");
        let answer = fault.response.as_ref().unwrap();
        assert_eq!(
            (fault.http_status, answer.status, answer.text()),
            (i32::from(status), i32::from(status), "moved")
        );
        assert!(!fault.retryable);
        assert_eq!(own.requests().len(), 1);
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_post_becomes_a_get_and_loses_what_described_its_body() {
    for status in [301, 302, 303] {
        let own = leading(status, || "/next".into());
        let options = r#"{"extra_headers": {"Content-Language": "en", "X-Mine": "1"}}"#;
        api(&own.url(), json!({})).send("post", r#"{"n": 1}"#, options).unwrap();
        let next = own.requests().pop().unwrap();
        assert_eq!((next.method(), next.target(), next.body.len()), ("GET", "/next", 0));
        assert_eq!(next.header("X-Mine"), Some("1"));
        for name in ["Content-Type", "Content-Length", "Content-Language", "Transfer-Encoding", "Referer"] {
            assert_eq!(next.header(name), None, "{status} {name}");
        }
    }
}

#[test]
fn a_body_is_sent_again_where_the_method_stays() {
    let folder = Folder::new();
    let file = folder.write("body.bin", vec![b'x'; 100_000]);
    for (call, status) in [("post", 307), ("post", 308), ("put", 301), ("put", 307)] {
        let own = leading(status, || "/next".into());
        let api = api(&own.url(), json!({}));
        api.send(call, r#"{"n": 1}"#, None).unwrap();
        let next = own.requests().pop().unwrap();
        assert_eq!((next.target(), next.body_text()), ("/next", r#"{"n": 1}"#), "{status} {call}");
        assert_eq!(next.header("Content-Type"), Some("application/json"));
        let options = json!({"body_file": file}).to_string();
        api.fetch(call, None, &*options).unwrap();
        let next = own.requests().pop().unwrap();
        assert_eq!((next.target(), next.body.len()), ("/next", 100_000));
    }
}

#[test]
fn head_stays_head_and_a_303_after_delete_is_a_get() {
    let own = leading(303, || "/next".into());
    let api = api(&own.url(), json!({}));
    api.fetch("head", None, None).unwrap();
    assert_eq!(own.requests().pop().unwrap().method(), "HEAD");
    api.fetch("delete", None, None).unwrap();
    assert_eq!(own.requests().pop().unwrap().method(), "GET");
}

#[test]
fn no_more_redirects_than_allowed_are_followed() {
    let own = Server::start(answering(|request| {
        let n: u32 = request.target().trim_start_matches("/start").parse().unwrap_or(0);
        moved(302, &format!("/start{}", n + 1))
    }));
    for (redirects, requests) in [(json!({}), 11), (json!({"max": 2}), 3), (json!({"max": 0}), 1)] {
        let before = own.requests().len();
        let api = api(&own.url(), json!({"redirects": redirects}));
        let fault = fails(api.fetch("get", None, None), REDIRECT, "too many redirects (redirects.max is ");
        assert_eq!(own.requests().len() - before, requests);
        assert_eq!(fault.json["attempts"].as_array().unwrap().len(), requests);
    }
    let api = api(&own.url(), json!({}));
    fails(
        api.fetch("get", None, r#"{"redirects": {"follow": false}}"#),
        REDIRECT,
        "redirects.follow is false",
    );
}

#[test]
fn a_location_that_leads_nowhere_plainly_is_refused_with_its_answer() {
    for location in [
        "",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//evil.invalid/x",
        "\\\\evil.invalid/x",
        "http:evil",
        "http://api@evil.invalid/",
        "http://[::1",
        "ftp://evil.invalid/",
    ] {
        let own = leading(302, || location.into());
        let fault =
            fails(api(&own.url(), json!({})).fetch("get", None, None), REDIRECT, "was not followed: ");
        assert_eq!(fault.response.unwrap().text(), "moved", "{location}");
        assert_eq!(own.requests().len(), 1, "{location}");
        // Whoever takes the status for success gets the answer.
        let answer = api(
            &own.url(),
            json!({"endpoints": {"get": {"path": "/start", "decode": "text", "ok_status": [302]}}}),
        )
        .fetch("get", None, None)
        .unwrap();
        assert_eq!((answer.status, answer.text()), (302, "moved"), "{location}");
    }
    let none = Server::start(answering(|_| response("302 Found", "", "")));
    fails(api(&none.url(), json!({})).fetch("get", None, None), REDIRECT, "it leads nowhere");
}

#[test]
fn several_locations_that_differ_break_http() {
    let two = |a: &str, b: &str| response("302 Found", &format!("Location: {a}\r\nLocation: {b}\r\n"), "");
    let (differ, same) = (two("/a", "/b"), two("/next", "/next"));
    let own = Server::start(answering(move |_| differ.clone()));
    fails(api(&own.url(), json!({})).fetch("get", None, None), PROTOCOL, "several Location fields");
    let own =
        Server::start(answering(move |r| if r.target() == "/start" { same.clone() } else { ok_json("1") }));
    api(&own.url(), json!({})).fetch("get", None, None).unwrap();
}

#[test]
fn statuses_that_are_no_redirects_are_not_followed() {
    for status in [300, 304, 305, 306] {
        let own = leading(status, || "/next".into());
        fails(
            api(&own.url(), json!({})).fetch("get", None, None),
            HTTP_STATUS,
            &format!("answered {status}"),
        );
        assert_eq!(own.requests().len(), 1);
    }
}

#[test]
fn the_endless_body_of_a_redirect_is_not_waited_for() {
    let endless =
        [&b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 99999999999\r\n\r\n"[..], &[0; 9999]];
    let first = canned(endless.map(<[u8]>::to_vec), Close::Keep);
    let own = Server::start(move |stream, n| match n {
        0 => first(stream, n),
        _ => answering(|_| ok_json("\"here\""))(stream, n),
    });
    let answer = api(&own.url(), json!({})).fetch("get", None, None).unwrap();
    assert_eq!((answer.text(), own.connections()), ("\"here\"", 2));
}

#[test]
fn the_connection_of_a_redirect_with_a_short_body_is_used_again() {
    let own = leading(302, || "/next".into());
    api(&own.url(), json!({})).fetch("get", None, None).unwrap();
    assert_eq!(own.connections(), 1);
}

#[test]
fn a_redirect_to_a_private_address_is_blocked_where_they_are() {
    // The first server is reached through a proxy, which is the operator's own choice.
    let proxy = Server::start(answering(|_| moved(302, "http://169.254.169.254/latest/meta-data")));
    let keys = json!({"proxy": proxy.url(), "limits": {"block_private_networks": true}});
    let fault =
        fails(api("http://own.invalid", keys).fetch("get", None, None), api::CONNECT, "blocked address");
    assert!(!fault.retryable);
    assert_eq!(proxy.requests().len(), 1);
}

#[test]
fn health_takes_a_redirect_for_an_answer() {
    let own = Server::start(answering(|_| moved(302, "/next")));
    let health = api(&own.url(), json!({})).health().unwrap().json();
    assert_eq!((&health["status"], own.requests().len()), (&json!("healthy"), 1));
}

/// Leads from `/start` to where the query's `{}` is what the request said, with its whole query.
fn echoing(to: String) -> Server {
    Server::start(answering(move |request| {
        let query = request.target().split_once('?').map_or("", |(_, query)| query);
        match request.target().starts_with("/start") {
            true => moved(302, &to.replace("{}", query)),
            false => ok_json("1"),
        }
    }))
}

#[test]
fn what_a_signer_or_a_short_secret_put_into_a_request_is_not_said_back_to_another_origin() {
    environment();
    // SAFETY: as in `environment`.
    unsafe { std::env::set_var("APL_TEST_PIN", "p1n9") };
    let other = Server::start(answering(|_| ok_json("1")));
    let own = echoing(format!("{}/done?{{}}", other.url()));
    let pin = json!({"endpoints": {"get": {"path": "/start", "params": {"pin": "${APL_TEST_PIN}"}}}});
    let fault = fails(api(&own.url(), pin.clone()).fetch("get", None, None), REDIRECT, "a secret in it");
    assert!(!fault.message.contains("p1n9"), "{}", fault.message);
    let signed = api(&own.url(), json!({}));
    signed.on_request(|request| i32::from(request.set_query("sig", "canary-signature").is_err())).unwrap();
    let (outcome, log) = log_lines(|| signed.fetch("get", None, None));
    let fault = fails(outcome, REDIRECT, "a secret in it");
    let everything = format!("{} {} {}", fault.message, fault.json, log.join("\n"));
    assert!(!everything.contains("canary-signature"), "{everything}");
    assert_eq!(other.connections(), 0);
    // At home it may go on, and is shown nowhere.
    let home = echoing("/done?{}".into());
    let signed = api(&home.url(), json!({}));
    signed.on_request(|request| i32::from(request.set_query("sig", "canary-signature").is_err())).unwrap();
    let (outcome, log) = log_lines(|| signed.fetch("get", None, None));
    let shown = format!("{} {}", outcome.unwrap().meta, log.join("\n"));
    assert!(!shown.contains("canary-signature"), "{shown}");
    assert!(!api(&home.url(), pin).fetch("get", None, None).unwrap().meta.to_string().contains("p1n9"));
    // A host has no upper case.
    let host = leading(302, || "http://canary-s3cret.evil.invalid/".into());
    let keys = json!({"auth": {"type": "bearer", "token": "Canary-S3cret"}});
    fails(api(&host.url(), keys).fetch("get", None, None), REDIRECT, "a secret in it");
}

#[test]
fn a_location_that_no_request_can_name_is_the_servers_fault() {
    for location in ["https://a{b/", "https://a\"b/", &format!("/{}", "ü".repeat(15_000))] {
        let to = location.to_owned();
        let own = leading(302, move || to.clone());
        let fault = fails(api(&own.url(), json!({})).fetch("get", None, None), REDIRECT, "was not followed");
        assert_eq!((fault.http_status, fault.response.is_some()), (302, true));
        assert!(fault.message.len() < 3000, "{} bytes", fault.message.len());
    }
    let own = leading(302, || "https://user:hunter2secret@api.invalid/".into());
    let fault = fails(api(&own.url(), json!({})).fetch("get", None, None), REDIRECT, "user information");
    assert!(!fault.message.contains("hunter2secret"), "{}", fault.message);
}
