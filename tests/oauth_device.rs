//! OAuth 2.0: a person signs in on another device (RFC 8628).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/people.rs"]
mod people;
mod support;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use api::{
    AUTH, Api, BUSY, CANCELLED, Cancel, HTTP_STATUS, INVALID_ARGUMENT, INVALID_CONFIG, REDIRECT, TIMEOUT,
    log_lines,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use people::{assert_clean, bearers, forms, hour, pairs, refusal, server};
use serde_json::{Value, json};
use support::{Gate, Server, ok_json, response, silent};

const USER_CODE: &str = "CANA-RYUC";
const FORM: &str = "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code=canary-device-code\
                    &client_id=client-id-1";

fn auth(server: &Server) -> Value {
    json!({
        "type": "oauth2_device_flow", "client_id": "client-id-1", "scope": "read",
        "device_authorization_url": format!("{}/device", server.url()),
        "token_url": format!("{}/token", server.url()),
    })
}

fn connect(server: &Server, further: Value) -> Api {
    people::connect(server, auth(server), further).unwrap()
}

/// A device authorization, whose questions may follow one another as quickly as it goes: each second.
fn codes(interval: u64, expires_in: u64) -> Vec<u8> {
    let codes = json!({
        "device_code": "canary-device-code", "user_code": USER_CODE, "interval": interval,
        "expires_in": expires_in, "verification_uri": "https://as.example/device",
    });
    // A connection that is used again may have been closed meanwhile, which is no failure of a request.
    response("200 OK", "Content-Type: application/json\r\nConnection: close\r\n", codes.to_string())
}

/// A server whose token endpoint gives these answers, and then tokens.
fn answering(said: &[Vec<u8>]) -> Server {
    let said = said.to_vec();
    server(move |place, n, _| match place {
        "device" => codes(1, 600),
        _ => said.get(n - 1).cloned().unwrap_or_else(|| hour(n)),
    })
}

/// Each of them takes a second or more.
fn at_once<T: Send, const N: usize>(rows: [T; N], test: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for row in rows {
            scope.spawn(|| test(row));
        }
    });
}

fn pending() -> Vec<u8> {
    refusal("400 Bad Request", "authorization_pending")
}

#[test]
fn a_person_signs_in_and_calls_carry_the_token() {
    let server = answering(&[pending()]);
    let api = connect(&server, json!({"storage_key": "me"}));
    let begun = Instant::now();
    let (answer, mut log) = log_lines(|| api.auth_begin(None).unwrap().json());
    assert_eq!(
        answer,
        json!({
            "verification_uri": "https://as.example/device", "verification_uri_complete": null,
            "user_code": USER_CODE, "expires_in": 600, "interval": 1,
        })
    );
    let (done, more) = log_lines(|| api.auth_finish(None).unwrap());
    log.extend(more);
    // Two questions, and a second before each.
    assert!(begun.elapsed() >= Duration::from_secs(2));
    let done = done.json();
    assert_eq!(
        (&done["success"], &done["storage_key"], &done["scope"]),
        (&json!(true), &json!("me"), &json!("read"))
    );
    assert_eq!(forms(&server, "/device"), [pairs("scope=read&client_id=client-id-1")]);
    assert_eq!(forms(&server, "/token"), [pairs(FORM), pairs(FORM)]);
    api.fetch("get", None, None).unwrap();
    assert_eq!(bearers(&server), ["Bearer canary-token-2"]);
    assert_clean(&log.join("\n"), &[USER_CODE]);
    let fault = api.auth_finish(None).unwrap_err();
    assert_eq!(fault.status, INVALID_ARGUMENT);
}

#[test]
fn a_server_that_says_so_with_200_is_waited_for_too() {
    let server = answering(&[refusal("200 OK", "authorization_pending")]);
    let api = connect(&server, json!({}));
    api.auth_begin(None).unwrap();
    api.auth_finish(None).unwrap();
    assert_eq!(forms(&server, "/token").len(), 2);
}

#[test]
fn a_server_that_is_asked_too_often_is_asked_five_seconds_later() {
    let server = answering(&[refusal("400 Bad Request", "slow_down")]);
    let api = connect(&server, json!({}));
    api.auth_begin(None).unwrap();
    let begun = Instant::now();
    api.auth_finish(None).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(6900), "{:?}", begun.elapsed());
}

#[test]
fn a_server_in_trouble_is_asked_again_after_twice_the_time() {
    let later = response("503 Later", "", r#"{"error": "temporarily_unavailable"}"#);
    at_once([Vec::new(), later], |trouble| {
        let server = answering(&[trouble]);
        // One attempt at each question, whatever the configuration says of attempts.
        let api = connect(&server, json!({}));
        api.auth_begin(None).unwrap();
        let begun = Instant::now();
        api.auth_finish(None).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(2900), "{:?}", begun.elapsed());
        assert_eq!(forms(&server, "/token").len(), 2);
    });
}

#[test]
fn a_person_who_refuses_and_codes_that_have_ended_end_it() {
    let rows = [
        ("400 Bad Request", "access_denied"),
        ("200 OK", "access_denied"),
        ("403 Forbidden", "access_denied"),
        ("400 Bad Request", "expired_token"),
        ("400 Bad Request", "invalid_grant"),
    ];
    at_once(rows, |(status, word)| {
        let server = answering(&[refusal(status, word)]);
        let api = connect(&server, json!({}));
        api.auth_begin(None).unwrap();
        let fault = api.auth_finish(None).unwrap_err();
        assert_eq!((fault.status, fault.retryable), (AUTH, false));
        assert!(fault.message.contains(&format!("{word}: it is so; begin again")), "{}", fault.message);
        assert_clean(&fault.everything(), &[USER_CODE]);
        assert_eq!(api.auth_finish(None).unwrap_err().status, INVALID_ARGUMENT);
        assert_eq!(forms(&server, "/token").len(), 1);
    });
}

#[test]
fn beyond_their_time_codes_are_not_asked_about() {
    let server = server(|place, _, _| if place == "device" { codes(1, 2) } else { pending() });
    let api = connect(&server, json!({}));
    api.auth_begin(None).unwrap();
    let fault = api.auth_finish(None).unwrap_err();
    assert_eq!(fault.status, AUTH);
    assert!(fault.message.contains("expired_token"), "{}", fault.message);
    assert_eq!(forms(&server, "/token").len(), 1);
    assert_eq!(api.auth_finish(None).unwrap_err().status, INVALID_ARGUMENT);
}

#[test]
fn a_cancel_ends_the_wait_at_once_and_the_sign_in_can_be_finished_later() {
    let server = server(|place, n, _| if place == "device" { codes(300, 1800) } else { hour(n) });
    let (api, cancel) = (connect(&server, json!({})), Cancel::new());
    assert_eq!(api.auth_begin(None).unwrap().json()["interval"], 300);
    thread::scope(|scope| {
        let waits = scope.spawn(|| api.auth_finish_until(None, Some(&cancel)));
        // It has begun when nobody else may.
        while api.auth_finish("?").unwrap_err().status != INVALID_ARGUMENT {
            thread::yield_now();
        }
        let begun = Instant::now();
        cancel.trigger();
        let fault = waits.join().unwrap().unwrap_err();
        assert_eq!(fault.status, CANCELLED);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    });
    assert_eq!(api.auth_finish_until(None, Some(&cancel)).unwrap_err().status, CANCELLED);
    assert_eq!(forms(&server, "/token").len(), 0);
}

#[test]
fn the_interval_is_kept_from_one_finish_to_the_next() {
    let (gate, asked, times) = (Gate::new(), Gate::new(), Arc::new(Mutex::new(Vec::new())));
    let (go, ask, note) = (gate.clone(), asked.clone(), times.clone());
    let server = server(move |place, n, _| {
        if place == "device" {
            return codes(2, 600);
        }
        note.lock().unwrap().push(Instant::now());
        if n == 1 {
            ask.open();
            go.wait();
        }
        hour(n)
    });
    let (api, cancel) = (connect(&server, json!({})), Cancel::new());
    api.auth_begin(None).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| api.auth_finish_until(None, Some(&cancel)));
        asked.wait();
        cancel.trigger();
        assert_eq!(first.join().unwrap().unwrap_err().status, CANCELLED);
    });
    api.auth_finish(None).unwrap();
    gate.open();
    let times = times.lock().unwrap();
    assert!(times[1] - times[0] >= Duration::from_millis(1900), "{:?}", times[1] - times[0]);
}

#[test]
fn a_server_that_wants_to_be_left_alone_is_whatever_its_words() {
    let header = "Retry-After: 3\r\nConnection: close\r\n";
    at_once(
        [
            response("429 Too Many Requests", header, r#"{"error": "rate_limit_exceeded"}"#),
            response("400 Bad Request", header, r#"{"error": "authorization_pending"}"#),
        ],
        |answer| {
            let server = answering(&[answer]);
            let api = connect(&server, json!({}));
            api.auth_begin(None).unwrap();
            let begun = Instant::now();
            api.auth_finish(None).unwrap();
            assert!(begun.elapsed() >= Duration::from_millis(3900), "{:?}", begun.elapsed());
        },
    );
}

#[test]
fn another_begin_ends_the_wait_at_once() {
    let server = server(|place, n, _| match place {
        "device" => codes(if n == 1 { 300 } else { 1 }, 1800),
        _ => hour(n),
    });
    let (api, over) = (connect(&server, json!({})), Cancel::new());
    over.trigger();
    api.auth_begin(None).unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            loop {
                match api.auth_finish(None) {
                    Err(fault) if fault.status == BUSY => thread::yield_now(),
                    outcome => return outcome,
                }
            }
        });
        // It waits when nobody else may.
        while api.auth_finish_until(None, Some(&over)).unwrap_err().status != BUSY {
            thread::yield_now();
        }
        let begun = Instant::now();
        api.auth_begin(None).unwrap();
        let fault = waits.join().unwrap().unwrap_err();
        assert!(fault.message.contains("another sign-in was begun"), "{}", fault.message);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    });
    api.auth_finish(None).unwrap();
}

#[test]
fn one_call_at_a_time_waits_and_the_last_one_begun_counts() {
    let (gate, asked) = (Gate::new(), Gate::new());
    let (go, ask) = (gate.clone(), asked.clone());
    let server = server(move |place, n, _| {
        if place == "device" {
            return codes(1, 600);
        }
        ask.open();
        if n == 1 {
            go.wait();
            return pending();
        }
        hour(n)
    });
    let api = connect(&server, json!({}));
    api.auth_begin(None).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| api.auth_finish(None));
        asked.wait();
        let fault = api.auth_finish(None).unwrap_err();
        assert_eq!(fault.status, BUSY, "{}", fault.message);
        api.auth_begin(None).unwrap();
        gate.open();
        let fault = first.join().unwrap().unwrap_err();
        assert_eq!(fault.status, INVALID_ARGUMENT);
        assert!(fault.message.contains("another sign-in was begun"), "{}", fault.message);
    });
    api.auth_finish(None).unwrap();
}

#[test]
fn another_process_can_finish_what_one_has_begun() {
    let server = answering(&[]);
    let api =
        connect(&server, json!({"device_code": "canary-device-code", "interval": 1, "user_code": USER_CODE}));
    api.auth_finish(None).unwrap();
    assert_eq!(forms(&server, "/token"), [pairs(FORM)]);
    assert_eq!(forms(&server, "/device").len(), 0);
    assert_eq!(api.auth_finish(None).unwrap_err().status, INVALID_ARGUMENT);
}

#[test]
fn the_answer_of_google_is_understood_and_the_longer_interval_counts() {
    let codes = r#"{"device_code": "canary-d", "user_code": "u", "verification_url": "https://www.google.com/device",
        "expires_in": "1800", "interval": "5", "verification_uri_complete": "https://www.google.com/device?u"}"#;
    let server = server(move |_, _, _| ok_json(codes));
    let answer = connect(&server, json!({"interval": 7})).auth_begin(None).unwrap().json();
    assert_eq!(
        answer,
        json!({
            "verification_uri": "https://www.google.com/device", "expires_in": 1800, "interval": 7,
            "verification_uri_complete": "https://www.google.com/device?u", "user_code": "u",
        })
    );
}

#[test]
fn what_a_device_endpoint_refuses_is_told() {
    let other = Server::start(silent());
    let to = format!("Location: {}/device\r\n", other.url());
    let echo = json!({"error": "invalid_client", "error_description": "canary-secret"}).to_string();
    for (status, says, answer) in [
        (
            AUTH,
            "invalid_client: ***",
            response("401 Unauthorized", "Content-Type: application/json\r\n", echo),
        ),
        (AUTH, "RFC 8628", ok_json("<html>canary</html>")),
        (AUTH, "refused: invalid_scope: it is so", refusal("200 OK", "invalid_scope")),
        (AUTH, "verification_uri", ok_json(r#"{"device_code": "canary", "user_code": "canary"}"#)),
        (HTTP_STATUS, "503", response("503 Later", "", "")),
        (REDIRECT, "redirect", response("302 Found", &to, "")),
    ] {
        let server = server(move |_, _, _| answer.clone());
        let api = connect(&server, json!({"client_secret": "canary-secret"}));
        let (fault, log) = log_lines(|| api.auth_begin(None).unwrap_err());
        assert_eq!(fault.status, status, "{}", fault.message);
        assert!(fault.message.contains(says) && fault.message.contains("/device"), "{}", fault.message);
        assert_clean(&format!("{} {}", fault.message, log.join("\n")), &[]);
        assert_eq!(api.auth_finish(None).unwrap_err().status, INVALID_ARGUMENT);
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn the_options_of_a_begin_are_its_own() {
    let server = Server::start(silent());
    let fault = connect(&server, json!({})).auth_begin(r#"{"deadline": 0.05}"#).unwrap_err();
    assert_eq!(fault.status, TIMEOUT, "{}", fault.message);
}

#[test]
fn a_client_with_a_secret_proves_itself_at_both_endpoints() {
    let server = answering(&[]);
    let api = connect(&server, json!({"client_secret": "canary-secret", "client_auth": "basic"}));
    api.auth_begin(None).unwrap();
    api.auth_finish(None).unwrap();
    let basic = format!("Basic {}", STANDARD.encode("client-id-1:canary-secret"));
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.header("Authorization"), Some(&*basic));
        assert!(!request.body_text().contains("client_"), "{}", request.body_text());
    }
}

#[test]
fn what_cannot_work_is_said_when_the_connector_is_made_or_the_call() {
    let server = answering(&[]);
    for (further, says) in [
        (json!({"client_id": null}), "/auth/client_id: the key is missing"),
        (json!({"device_authorization_url": null}), "/auth/device_authorization_url: the key is missing"),
        (
            json!({"device_authorization_url": "http://as.example"}),
            "/auth/device_authorization_url: must be https",
        ),
        (json!({"token_url": "http://as.example/t"}), "/auth/token_url: must be https"),
    ] {
        let fault = people::connect(&server, auth(&server), further).map(drop).unwrap_err();
        assert_eq!(fault.status, INVALID_CONFIG);
        assert!(fault.message.starts_with(says), "{}", fault.message);
    }
    let api = connect(&server, json!({}));
    let fault = api.auth_finish("http://127.0.0.1/cb?code=canary-code").unwrap_err();
    assert_eq!(fault.status, INVALID_ARGUMENT);
    assert!(fault.message.contains("it is NULL") && !fault.message.contains("canary"), "{}", fault.message);
    let fault = api.auth_finish(None).unwrap_err();
    assert!(fault.message.contains("call apl_auth_begin first"), "{}", fault.message);
    assert_eq!(server.connections(), 0);
}
