//! OAuth 2.0 with a person: in a browser (PKCE), and on another device.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use api::{
    AUTH, Answer, Api, BUSY, CANCELLED, CONNECT, Cancel, Fault, HTTP_STATUS, INVALID_ARGUMENT,
    INVALID_CONFIG, REDIRECT, TIMEOUT, TOO_LARGE, TRUNCATED, log_lines,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use support::{Gate, Request, Server, answering, ok_json, refused_address, response};

/// A server whose `/token` and `/device` answer like this, each by the number of the question from 1; everything else
/// with 1 where the token is one of `canary-token-…`, and with 401 otherwise.
fn server(said: impl Fn(&str, usize, &Request) -> Vec<u8> + Send + Sync + 'static) -> Server {
    let asked = [AtomicUsize::new(0), AtomicUsize::new(0)];
    Server::start(answering(move |request| match request.target() {
        "/token" => said("token", asked[0].fetch_add(1, SeqCst) + 1, request),
        "/device" => said("device", asked[1].fetch_add(1, SeqCst) + 1, request),
        _ => match request.header("Authorization") {
            Some(token) if token.starts_with("Bearer canary-token-") => ok_json("1"),
            _ => response("401 Unauthorized", "", ""),
        },
    }))
}

fn token(n: usize, further: Value) -> Vec<u8> {
    let mut token = json!({"access_token": format!("canary-token-{n}"), "token_type": "Bearer"});
    token.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    ok_json(token.to_string())
}

/// Tokens for an hour, with refresh tokens.
fn hour(n: usize) -> Vec<u8> {
    token(n, json!({"expires_in": 3600, "refresh_token": format!("canary-refresh-{n}"), "scope": "read"}))
}

fn refusal(status: &str, error: &str) -> Vec<u8> {
    let body = json!({"error": error, "error_description": "it is so"}).to_string();
    response(status, "Content-Type: application/json\r\n", body)
}

fn config(server: &Server, auth: Value, further: Value) -> Value {
    let mut auth = auth;
    auth.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    json!({
        "base_url": server.url(),
        "retry_delay": 0.001,
        "auth": auth,
        "endpoints": {"get": {"path": "/x"}},
    })
}

const BACK: &str = "http://127.0.0.1:7777/cb";

fn browser(server: &Server, further: Value) -> Api {
    let auth = json!({
        "type": "oauth2_pkce", "client_id": "client-id-1", "redirect_uri": BACK, "scope": "read write",
        "authorization_url": format!("{}/authorize?prompt=consent", server.url()),
        "token_url": format!("{}/token", server.url()),
    });
    Api::new(&config(server, auth, further).to_string()).unwrap()
}

fn device(server: &Server, further: Value) -> Api {
    let auth = json!({
        "type": "oauth2_device_flow", "client_id": "client-id-1", "scope": "read",
        "device_authorization_url": format!("{}/device", server.url()),
        "token_url": format!("{}/token", server.url()),
    });
    Api::new(&config(server, auth, further).to_string()).unwrap()
}

/// A device authorization, whose questions may follow one another as quickly as it goes: each second.
fn codes() -> Vec<u8> {
    ok_json(
        json!({
            "device_code": "canary-device-code", "user_code": "CANA-RYUC", "interval": 1, "expires_in": 600,
            "verification_uri": "https://as.example/device",
        })
        .to_string(),
    )
}

fn pairs(query: &str) -> HashMap<String, String> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Begins a sign-in in a browser: what the browser is asked to say.
fn begin(api: &Api) -> HashMap<String, String> {
    let answer = api.auth_begin(None).unwrap().json();
    let said = pairs(answer["authorization_url"].as_str().unwrap().split_once('?').unwrap().1);
    assert_eq!(answer["state"], said["state"]);
    said
}

/// Where the browser comes back to.
fn back(said: &HashMap<String, String>) -> String {
    format!("{BACK}?code=canary-code-1&state={}", said["state"])
}

fn sign_in(api: &Api) -> Answer {
    let back = back(&begin(api));
    api.auth_finish(&*back).unwrap()
}

/// The forms that a place got.
fn forms(server: &Server, place: &str) -> Vec<HashMap<String, String>> {
    let requests = server.requests();
    let asked = requests.iter().filter(|r| r.target() == place);
    asked.map(|r| pairs(r.body_text())).collect()
}

/// What the API's requests were signed with.
fn bearers(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let signed = requests.iter().filter(|r| r.target() == "/x");
    signed.map(|r| r.header("Authorization").unwrap_or("none").to_owned()).collect()
}

/// Nothing secret is in the text, in any of the forms it travels in.
fn assert_clean(text: &str, secrets: &[&str]) {
    for secret in secrets.iter().chain(&["canary"]) {
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        for form in [secret.to_string(), encoded, STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)] {
            assert!(!text.to_lowercase().contains(&form.to_lowercase()), "{form} is in {text}");
        }
    }
}

// --- in a browser -------------------------------------------------------------------------------------------

#[test]
fn a_person_signs_in_in_a_browser() {
    let server = server(|_, n, _| hour(n));
    let api = browser(&server, json!({"storage_key": "me"}));
    let (said, log) = log_lines(|| begin(&api));
    assert_eq!(server.connections(), 0);
    let one = |name: &str| said[name].as_str();
    assert_eq!((one("prompt"), one("response_type"), one("client_id")), ("consent", "code", "client-id-1"));
    assert_eq!(
        (one("redirect_uri"), one("scope"), one("code_challenge_method")),
        (BACK, "read write", "S256")
    );
    let (answer, more) = log_lines(|| api.auth_finish(&*back(&said)).unwrap());
    let forms = forms(&server, "/token");
    let form = &forms[0];
    // RFC 7636 4.6
    let challenge = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
    assert_eq!(URL_SAFE_NO_PAD.encode(challenge), said["code_challenge"]);
    assert!(form["code_verifier"].len() >= 43);
    let sent = ["grant_type", "code", "redirect_uri", "client_id"].map(|name| form[name].as_str());
    assert_eq!((sent, form.len()), (["authorization_code", "canary-code-1", BACK, "client-id-1"], 5));
    let mut answer = answer.json();
    assert!(answer.as_object_mut().unwrap().remove("expires_at").unwrap().is_u64());
    assert_eq!(
        answer,
        json!({"success": true, "token_type": "Bearer", "scope": "read", "storage_key": "me"})
    );
    api.fetch("get", None, None).unwrap();
    assert_eq!(bearers(&server), ["Bearer canary-token-1"]);
    assert_clean(&(log.join("\n") + &more.join("\n")), &[&said["state"], &form["code_verifier"]]);
}

#[test]
fn a_person_signs_in_on_another_device() {
    let server = server(|place, n, _| match (place, n) {
        ("device", _) => codes(),
        (_, 1) => refusal("400 Bad Request", "authorization_pending"),
        (_, n) => hour(n),
    });
    let api = device(&server, json!({}));
    let begun = Instant::now();
    let answer = api.auth_begin(None).unwrap().json();
    assert_eq!(
        answer,
        json!({
            "verification_uri": "https://as.example/device", "verification_uri_complete": null,
            "user_code": "CANA-RYUC", "expires_in": 600, "interval": 1,
        })
    );
    let (done, log) = log_lines(|| api.auth_finish(None).unwrap());
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(done.json()["success"], true);
    assert_eq!(forms(&server, "/device"), [pairs("scope=read&client_id=client-id-1")]);
    let form = pairs(
        "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code=canary-device-code&client_id=client-id-1",
    );
    assert_eq!(forms(&server, "/token"), [form.clone(), form]);
    api.fetch("get", None, None).unwrap();
    assert_eq!(bearers(&server), ["Bearer canary-token-2"]);
    assert_clean(&log.join("\n"), &["CANA-RYUC"]);
}
