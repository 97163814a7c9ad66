//! Authorization servers, and an API that wants their tokens, for people who sign in.
#![allow(dead_code, missing_docs)] // each test file uses its own part of this
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::api::{Api, Fault};
use crate::support::{Request, Server, ok_json, read_request, response};

/// A server whose `/token` and `/device` answer like this, each by the number of the question from 1; nothing said ends
/// the connection. Everything else is 1 where the token is one of `canary-token-…`, and 401 otherwise.
pub fn server(said: impl Fn(&str, usize, &Request) -> Vec<u8> + Send + Sync + 'static) -> Server {
    let asked = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let answer = move |request: &Request| match request.target() {
        "/token" => said("token", asked[0].fetch_add(1, SeqCst) + 1, request),
        "/device" => said("device", asked[1].fetch_add(1, SeqCst) + 1, request),
        _ => match request.header("Authorization") {
            Some(token) if token.starts_with("Bearer canary-token-") => ok_json("1"),
            _ => response("401 Unauthorized", "", ""),
        },
    };
    Server::start(move |mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            let answer = answer(&request);
            if answer.is_empty() || stream.write_all(&answer).is_err() {
                return;
            }
        }
    })
}

/// The token `canary-token-N`.
pub fn token(n: usize, further: Value) -> Vec<u8> {
    ok_json(laid_over(json!({"access_token": format!("canary-token-{n}"), "token_type": "Bearer"}), further))
}

/// The same for an hour, with `canary-refresh-N`.
pub fn hour(n: usize) -> Vec<u8> {
    token(n, json!({"expires_in": 3600, "refresh_token": format!("canary-refresh-{n}"), "scope": "read"}))
}

/// An answer that refuses (RFC 6749 5.2).
pub fn refusal(status: &str, error: &str) -> Vec<u8> {
    let body = json!({"error": error, "error_description": "it is so"}).to_string();
    response(status, "Content-Type: application/json\r\n", body)
}

fn laid_over(mut below: Value, above: Value) -> String {
    below.as_object_mut().unwrap().extend(above.as_object().unwrap().clone());
    below.to_string()
}

/// A connector with these keys under `auth`.
pub fn connect(server: &Server, auth: Value, further: Value) -> Result<Api, Fault> {
    let auth: Value = serde_json::from_str(&laid_over(auth, further)).unwrap();
    let config = json!({
        "base_url": server.url(),
        "retry_delay": 0.001,
        "auth": auth,
        "endpoints": {"get": {"path": "/x"}},
    });
    Api::new(&config.to_string())
}

pub fn pairs(query: &str) -> HashMap<String, String> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The forms that a place got.
pub fn forms(server: &Server, place: &str) -> Vec<HashMap<String, String>> {
    let requests = server.requests();
    let asked = requests.iter().filter(|r| r.target() == place);
    asked.map(|r| pairs(r.body_text())).collect()
}

/// What the API's requests were signed with.
pub fn bearers(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let signed = requests.iter().filter(|r| r.target() == "/x");
    signed.map(|r| r.header("Authorization").unwrap_or("none").to_owned()).collect()
}

/// None of these secrets is in a text, and no canary, in any of the forms they travel in.
pub fn assert_clean(text: &str, secrets: &[&str]) {
    let text = text.to_lowercase();
    for secret in secrets.iter().chain(&["canary"]) {
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        for form in [secret.to_string(), encoded, STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)] {
            assert!(!text.contains(&form.to_lowercase()), "{form} is in {text}");
        }
    }
}
