//! OAuth 2.0: a person signs in in a browser (RFC 6749 4.1, with PKCE, RFC 7636).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/people.rs"]
mod people;
mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

use api::{
    AUTH, Answer, Api, BUSY, CANCELLED, Cancel, HTTP_STATUS, INVALID_ARGUMENT, INVALID_CONFIG, IO, REDIRECT,
    TOO_LARGE, log_lines,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use people::{assert_clean, bearers, forms, hour, pairs, refusal, server, token};
use serde_json::{Value, json};
use support::{Gate, Server, ok_json, response};

const BACK: &str = "http://127.0.0.1:7777/cb";

fn auth(server: &Server) -> Value {
    json!({
        "type": "oauth2_pkce", "client_id": "client-id-1", "redirect_uri": BACK, "scope": "read write",
        "authorization_url": format!("{}/authorize?prompt=consent", server.url()),
        "token_url": format!("{}/token", server.url()),
    })
}

fn connect(server: &Server, further: Value) -> Api {
    people::connect(server, auth(server), further).unwrap()
}

/// Begins a sign-in: what the browser is asked to say.
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

#[test]
fn a_person_signs_in_and_calls_carry_the_token() {
    let server = server(|_, n, _| hour(n));
    let api = connect(&server, json!({"storage_key": "me"}));
    let (said, log) = log_lines(|| begin(&api));
    assert_eq!(server.connections(), 0);
    let one = |name: &str| said[name].as_str();
    assert_eq!((one("prompt"), one("response_type"), one("client_id")), ("consent", "code", "client-id-1"));
    assert_eq!((one("redirect_uri"), one("scope")), (BACK, "read write"));
    assert_eq!(one("code_challenge_method"), "S256");
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
fn a_client_with_a_secret_proves_itself() {
    let server = server(|_, n, _| hour(n));
    sign_in(&connect(&server, json!({"client_secret": "canary-secret"})));
    assert_eq!(forms(&server, "/token")[0]["client_secret"], "canary-secret");
    sign_in(&connect(&server, json!({"client_secret": "canary-secret", "client_auth": "basic"})));
    let asked = server.requests().remove(1);
    let basic = format!("Basic {}", STANDARD.encode("client-id-1:canary-secret"));
    assert_eq!(asked.header("Authorization"), Some(&*basic));
    assert_eq!(forms(&server, "/token")[1].get("client_secret"), None);
}

#[test]
fn before_a_person_has_signed_in_nothing_is_sent() {
    let server = server(|_, n, _| hour(n));
    let api = connect(&server, json!({}));
    for fault in [
        api.fetch("get", None, None).unwrap_err(),
        api.send("get", "{}", None).unwrap_err(),
        api.download("get", &support::Folder::new().path().join("file"), "{}").unwrap_err(),
    ] {
        assert_eq!((fault.status, fault.retryable), (AUTH, false));
        assert!(fault.message.contains("no one has signed in"), "{}", fault.message);
        assert!(fault.message.contains("apl_auth_begin"), "{}", fault.message);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn an_address_that_does_not_fit_is_refused_and_the_code_not_sent() {
    let server = server(|_, n, _| hour(n));
    let api = connect(&server, json!({}));
    let said = begin(&api);
    let state = &said["state"];
    let origin = server.url();
    for (status, url) in [
        (AUTH, format!("{BACK}?code=canary-code-1")),
        (AUTH, format!("{BACK}?code=canary-code-1&state=canary-state")),
        (AUTH, format!("{BACK}?code=canary-code-1&state={state}&state={state}")),
        (AUTH, format!("{BACK}?code=canary-code-1&code=canary-code-2&state={state}")),
        (AUTH, format!("{BACK}?code=canary-code-1&state={state}&iss=https://canary.example")),
        (AUTH, format!("?code=canary-code-1&state={state}&iss={origin}0")),
        (AUTH, format!("{BACK}?state={state}")),
        (AUTH, BACK.into()),
        (INVALID_ARGUMENT, format!("http://127.0.0.1:7778/cb?code=canary-code-1&state={state}")),
        (INVALID_ARGUMENT, format!("http://127.0.0.1:7777/canary?code=canary-code-1&state={state}")),
        (INVALID_ARGUMENT, format!("https://canary.example/cb?code=canary-code-1&state={state}")),
        (INVALID_ARGUMENT, "canary".into()),
        (INVALID_ARGUMENT, String::new()),
    ] {
        let (fault, log) = log_lines(|| api.auth_finish(&*url).unwrap_err());
        assert_eq!(fault.status, status, "{url}: {}", fault.message);
        assert_clean(&(fault.everything() + &log.join("\n")), &[state]);
    }
    assert_eq!(server.connections(), 0);
    // And it can be finished still; whoever it comes from.
    api.auth_finish(&*format!("/cb?code=canary-code-1&state={state}&iss={origin}")).unwrap();
}

#[test]
fn an_issuer_that_is_named_has_to_come_back() {
    let server = server(|_, n, _| hour(n));
    let api = connect(&server, json!({"issuer": "https://as.example/tenant"}));
    let state = begin(&api).remove("state").unwrap();
    for iss in ["", "&iss=https://as.example", "&iss=https://as.example/tenant/"] {
        let fault = api.auth_finish(&*format!("?code=c&state={state}{iss}")).unwrap_err();
        assert_eq!(fault.status, AUTH);
        assert!(fault.message.contains("RFC 9207"), "{}", fault.message);
    }
    api.auth_finish(&*format!("?code=c&state={state}&iss=https%3A%2F%2Fas.example%2Ftenant")).unwrap();
}

#[test]
fn what_the_authorization_server_says_is_told_without_what_is_secret() {
    let server = server(|_, n, _| hour(n));
    let api = connect(&server, json!({"client_secret": "canary-secret"}));
    let said = begin(&api);
    let state = &said["state"];
    let long = "x".repeat(5000);
    let words = format!("no%0d%0a{state}%20canary-secret%20{long}");
    let url = format!("{BACK}?error=access_denied&error_description={words}&state={state}");
    let (fault, log) = log_lines(|| api.auth_finish(&*url).unwrap_err());
    assert_eq!((fault.status, server.connections()), (AUTH, 0));
    assert!(fault.message.contains("access_denied: no  *** ***"), "{}", fault.message);
    assert!(fault.message.len() < 400, "{}", fault.message);
    assert_clean(&(fault.everything() + &log.join("\n")), &[state]);
}

#[test]
fn a_sign_in_is_finished_once_and_after_it_was_begun() {
    let server = server(|_, n, _| hour(n));
    let api = connect(&server, json!({}));
    let fault = api.auth_finish(&*format!("{BACK}?code=canary-code-1&state=canary-state")).unwrap_err();
    assert_eq!(fault.status, INVALID_ARGUMENT);
    assert!(fault.message.contains("call apl_auth_begin first"), "{}", fault.message);
    let said = begin(&api);
    let fault = api.auth_finish(None).unwrap_err();
    assert_eq!(fault.status, INVALID_ARGUMENT);
    assert!(fault.message.contains("not NULL"), "{}", fault.message);
    api.auth_finish(&*back(&said)).unwrap();
    assert_eq!(api.auth_finish(&*back(&said)).unwrap_err().status, INVALID_ARGUMENT);
    assert_eq!(forms(&server, "/token").len(), 1);
}

#[test]
fn one_that_is_begun_takes_the_place_of_the_one_before() {
    let server = server(|_, n, _| hour(n));
    let api = connect(&server, json!({}));
    let (first, second) = (begin(&api), begin(&api));
    assert!(first["state"] != second["state"] && first["code_challenge"] != second["code_challenge"]);
    assert_eq!(api.auth_finish(&*back(&first)).unwrap_err().status, AUTH);
    api.auth_finish(&*back(&second)).unwrap();
}

#[test]
fn a_network_that_fails_leaves_the_sign_in_to_be_finished() {
    for trouble in [Vec::new(), response("503 Later", "", "")] {
        let server = server(move |_, n, _| if n == 1 { trouble.clone() } else { hour(n) });
        let api = connect(&server, json!({}));
        let said = begin(&api);
        let fault = api.auth_finish(&*back(&said)).unwrap_err();
        assert!([IO, HTTP_STATUS].contains(&fault.status) && !fault.retryable, "{}", fault.message);
        assert_clean(&fault.everything(), &[&said["state"]]);
        // Nobody knows what became of the code: whether it is sent once more is for who called.
        assert_eq!(forms(&server, "/token").len(), 1);
        api.auth_finish(&*back(&said)).unwrap();
        assert_eq!(forms(&server, "/token").len(), 2);
    }
}

#[test]
fn a_code_is_sent_again_only_if_it_was_never_sent() {
    for said in ["500 Oops", "503 Later", "429 Slow", "408 Late"] {
        let answer = response(said, "Retry-After: 0\r\n", "");
        let server = server(move |_, n, _| if n == 1 { answer.clone() } else { hour(n) });
        let api = connect(&server, json!({}));
        let fault = api.auth_finish(&*back(&begin(&api))).unwrap_err();
        assert_eq!(forms(&server, "/token").len(), 1, "{}", fault.message);
    }
    // A connection that never came about has carried no code.
    let nobody = format!("http://{}/token", support::refused_address());
    let server = server(|_, n, _| hour(n));
    let api = connect(&server, json!({ "token_url": nobody }));
    let fault = api.auth_finish(&*back(&begin(&api))).unwrap_err();
    assert!(fault.message.contains("after 3 attempts"), "{}", fault.message);
}

#[test]
fn a_proxy_that_refuses_leaves_the_sign_in_to_be_finished() {
    let proxy = Server::start(support::answering(|_| response("407 Proxy Authentication Required", "", "")));
    let nobody = server(|_, n, _| hour(n));
    let mut auth = auth(&nobody);
    auth["token_url"] = "https://auth.example/token".into();
    let config = json!({"base_url": nobody.url(), "auth": auth, "proxy": proxy.url()});
    let api = Api::new(&config.to_string()).unwrap();
    let back = back(&begin(&api));
    for _ in 0..2 {
        let fault = api.auth_finish(&*back).unwrap_err();
        assert_eq!((fault.status, fault.http_status), (AUTH, 407), "{}", fault.message);
    }
    assert_eq!((proxy.requests().len(), nobody.connections()), (2, 0));
}

#[test]
fn a_cancel_leaves_the_sign_in_to_be_finished() {
    let gate = Gate::new();
    let go = gate.clone();
    let server = server(move |_, n, _| {
        if n == 1 {
            go.wait();
        }
        hour(n)
    });
    let (api, cancel) = (connect(&server, json!({})), Cancel::new());
    let back = back(&begin(&api));
    thread::scope(|scope| {
        let waits = scope.spawn(|| api.auth_finish_until(&*back, Some(&cancel)));
        server.wait_requests(1);
        cancel.trigger();
        assert_eq!(waits.join().unwrap().unwrap_err().status, CANCELLED);
        gate.open();
    });
    api.auth_finish(&*back).unwrap();
}

#[test]
fn a_code_that_is_refused_is_used_up_and_the_error_says_what_to_do() {
    for status in ["400 Bad Request", "200 OK"] {
        let server = server(move |_, _, request| {
            let form = request.body_text();
            let words = json!({"error": "invalid_grant", "error_description": form}).to_string();
            response(status, "Content-Type: application/json\r\n", words)
        });
        let api = connect(&server, json!({"client_secret": "canary-secret"}));
        let said = begin(&api);
        let (fault, log) = log_lines(|| api.auth_finish(&*back(&said)).unwrap_err());
        assert_eq!((fault.status, fault.retryable), (AUTH, false));
        assert!(fault.message.contains("invalid_grant"), "{}", fault.message);
        assert!(fault.message.ends_with("begin again: apl_auth_begin"), "{}", fault.message);
        let verifier = &forms(&server, "/token")[0]["code_verifier"];
        // But for the bytes of the answer, which are the server's own.
        let said_of_it = format!("{} {} {}", fault.message, fault.json, log.join("\n"));
        assert_clean(&said_of_it, &[&said["state"], verifier]);
        assert_eq!(api.auth_finish(&*back(&said)).unwrap_err().status, INVALID_ARGUMENT);
        assert_eq!(forms(&server, "/token").len(), 1);
    }
}

#[test]
fn a_token_endpoint_that_sends_elsewhere_or_too_much_is_an_error() {
    let other = Server::start(support::answering(|_| hour(1)));
    let to = format!("Location: {}/token\r\n", other.url());
    let long = ok_json(format!(r#"{{"access_token": "t", "x": "{}"}}"#, "x".repeat(1 << 20)));
    for (status, answer) in [(REDIRECT, response("307 Temporary Redirect", &to, "")), (TOO_LARGE, long)] {
        let server = server(move |_, _, _| answer.clone());
        let api = connect(&server, json!({}));
        let said = begin(&api);
        assert_eq!(api.auth_finish(&*back(&said)).unwrap_err().status, status);
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn another_process_can_finish_what_one_has_begun() {
    let server = server(|_, n, _| hour(n));
    let verifier = "canary-0123456789-0123456789-0123456789-0123456789";
    let further = json!({"code_verifier": verifier, "state": "canary-state"});
    let (first, second) = (connect(&server, further.clone()), connect(&server, further));
    let said = begin(&first);
    assert_eq!(said["state"], "canary-state");
    second.auth_finish(&*back(&said)).unwrap();
    assert_eq!(forms(&server, "/token")[0]["code_verifier"], verifier);
    second.fetch("get", None, None).unwrap();
    assert_eq!(second.auth_finish(&*back(&said)).unwrap_err().status, INVALID_ARGUMENT);
}

#[test]
fn a_configured_code_is_exchanged_by_the_first_call_once() {
    let gate = Gate::new();
    let go = gate.clone();
    let server = server(move |_, n, _| {
        go.wait();
        hour(n)
    });
    let verifier = "canary-0123456789-0123456789-0123456789-0123456789";
    let further = json!({"authorization_code": "canary-code-0", "code_verifier": verifier});
    let (api, start) = (connect(&server, further), Barrier::new(10));
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                start.wait();
                api.fetch("get", None, None).unwrap();
            });
        }
        server.wait_requests(1);
        gate.open();
    });
    let forms = forms(&server, "/token");
    assert_eq!((forms.len(), bearers(&server).len()), (1, 10));
    assert_eq!((&*forms[0]["code"], &*forms[0]["code_verifier"]), ("canary-code-0", verifier));
}

#[test]
fn a_configured_code_that_is_refused_is_not_sent_again() {
    let server = server(|_, _, _| refusal("400 Bad Request", "invalid_grant"));
    let api = connect(&server, json!({"authorization_code": "canary-code-0"}));
    let fault = api.fetch("get", None, None).unwrap_err();
    assert_eq!(fault.status, AUTH);
    assert!(fault.message.contains("invalid_grant: it is so; sign in again"), "{}", fault.message);
    assert!(api.fetch("get", None, None).unwrap_err().message.contains("no one has signed in"));
    assert_eq!((forms(&server, "/token").len(), bearers(&server).len()), (1, 0));
    assert_clean(&fault.everything(), &[]);
}

#[test]
fn a_token_is_refreshed_before_it_ends_and_where_it_is_refused() {
    let server = server(|_, n, _| match n {
        // Ends at once.
        1 => token(n, json!({"expires_in": 0, "refresh_token": "canary-refresh-1"})),
        _ => hour(n),
    });
    let api = connect(&server, json!({}));
    sign_in(&api);
    api.fetch("get", None, None).unwrap();
    let forms = forms(&server, "/token");
    assert_eq!(
        (&*forms[1]["refresh_token"], &*forms[1]["grant_type"]),
        ("canary-refresh-1", "refresh_token")
    );
    // The person may have granted less than was asked for.
    assert_eq!(forms[1].get("scope"), None);
    assert_eq!(bearers(&server), ["Bearer canary-token-2"]);
}

/// An API that refuses the first token, and a token endpoint that answers like this from the second question on.
fn refusing(first: Value, then: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Server {
    let asked = AtomicI32::new(0);
    Server::start(support::answering(move |request| {
        if request.target() == "/token" {
            return match asked.fetch_add(1, SeqCst) + 1 {
                1 => token(1, first.clone()),
                n => then(n as usize),
            };
        }
        match request.header("Authorization") {
            Some("Bearer canary-token-1") => response("401 Unauthorized", "", ""),
            _ => ok_json("1"),
        }
    }))
}

#[test]
fn a_refused_token_is_replaced_once() {
    let server = refusing(json!({"expires_in": 3600, "refresh_token": "canary-refresh-1"}), hour);
    let api = connect(&server, json!({}));
    sign_in(&api);
    api.fetch("get", None, None).unwrap();
    assert_eq!(bearers(&server), ["Bearer canary-token-1", "Bearer canary-token-2"]);
}

#[test]
fn a_refresh_token_that_is_refused_ends_the_sign_in() {
    let server = refusing(json!({"expires_in": 3600, "refresh_token": "canary-refresh-1"}), |_| {
        refusal("400 Bad Request", "invalid_grant")
    });
    let api = connect(&server, json!({}));
    sign_in(&api);
    let fault = api.fetch("get", None, None).unwrap_err();
    assert_eq!(fault.status, AUTH);
    assert!(fault.message.ends_with("sign in again: apl_auth_begin"), "{}", fault.message);
    // From here on nobody is asked.
    assert_eq!(api.fetch("get", None, None).unwrap_err().status, AUTH);
    assert_eq!((forms(&server, "/token").len(), bearers(&server).len()), (2, 1));
}

#[test]
fn a_refused_token_without_a_refresh_token_is_no_storm() {
    let server = refusing(json!({"expires_in": 3600}), hour);
    let api = connect(&server, json!({}));
    sign_in(&api);
    let fault = api.fetch("get", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status), (AUTH, 401));
    assert!(fault.message.contains("sign in again: apl_auth_begin"), "{}", fault.message);
    assert_eq!((forms(&server, "/token").len(), bearers(&server).len()), (1, 1));
}

#[test]
fn a_token_that_has_ended_without_a_refresh_token_asks_for_a_person() {
    let server = server(|_, n, _| token(n, json!({"expires_in": 0})));
    let api = connect(&server, json!({}));
    sign_in(&api);
    assert_eq!(api.fetch("get", None, None).unwrap_err().status, AUTH);
    assert_eq!(bearers(&server).len(), 0);
}

#[test]
fn the_token_in_use_stays_until_the_new_one_is_there() {
    let server = server(|_, n, _| if n == 2 { refusal("400 Bad Request", "invalid_grant") } else { hour(n) });
    let api = connect(&server, json!({}));
    sign_in(&api);
    let said = begin(&api);
    api.fetch("get", None, None).unwrap();
    api.auth_finish(&*back(&said)).unwrap_err();
    api.fetch("get", None, None).unwrap();
    sign_in(&api);
    api.fetch("get", None, None).unwrap();
    assert_eq!(bearers(&server), [1, 1, 3].map(|n| format!("Bearer canary-token-{n}")));
}

#[test]
fn the_token_is_stored_before_it_is_used_and_offered_again_where_it_was_not() {
    let server = server(|_, n, _| hour(n));
    let api = connect(&server, json!({"storage_key": "me"}));
    let (says, seen) = (Arc::new(AtomicI32::new(-7)), Arc::new(Mutex::new(Vec::new())));
    let (say, see) = (says.clone(), seen.clone());
    api.on_token(move |json| {
        see.lock().unwrap().push(serde_json::from_str::<Value>(json).unwrap());
        say.load(SeqCst)
    })
    .unwrap();
    let fault = api.auth_finish(&*back(&begin(&api))).unwrap_err();
    assert_eq!(fault.status, AUTH);
    let message = &fault.message;
    assert!(message.contains("apl_connector_on_token") && message.ends_with("it returned -7"), "{message}");
    assert_clean(&fault.everything(), &[]);
    assert_eq!(api.fetch("get", None, None).unwrap_err().status, AUTH);
    assert_eq!(bearers(&server).len(), 0);
    says.store(0, SeqCst);
    api.fetch("get", None, None).unwrap();
    api.fetch("get", None, None).unwrap();
    let mut seen = seen.lock().unwrap().clone();
    assert_eq!((seen.len(), forms(&server, "/token").len(), bearers(&server).len()), (3, 1, 2));
    assert!(seen[0] == seen[1] && seen[1] == seen[2]);
    assert!(seen[0].as_object_mut().unwrap().remove("expires_at").unwrap().is_u64());
    assert_eq!(
        seen[0],
        json!({
            "storage_key": "me", "access_token": "canary-token-1", "refresh_token": "canary-refresh-1",
            "token_type": "Bearer", "scope": "read",
        })
    );
}

#[test]
fn a_callback_may_begin_but_not_wait_for_itself() {
    let server = server(|_, n, _| hour(n));
    let api = Arc::new(connect(&server, json!({})));
    let inner: Arc<OnceLock<[i32; 3]>> = Arc::default();
    let (same, saw) = (Arc::downgrade(&api), inner.clone());
    api.on_token(move |_| {
        let api = same.upgrade().unwrap();
        let fetched = api.fetch("get", None, None).unwrap_err().status;
        let finished = api.auth_finish("?code=c&state=s").unwrap_err().status;
        let begun = api.auth_begin(None).map_or_else(|fault| fault.status, |_| 0);
        saw.set([fetched, finished, begun]).unwrap();
        0
    })
    .unwrap();
    sign_in(&api);
    assert_eq!(inner.get(), Some(&[BUSY, BUSY, 0]));
}

#[test]
fn one_call_at_a_time_finishes_a_sign_in() {
    let gate = Gate::new();
    let go = gate.clone();
    let server = server(move |_, n, _| {
        go.wait();
        hour(n)
    });
    let api = connect(&server, json!({}));
    let back = back(&begin(&api));
    thread::scope(|scope| {
        let first = scope.spawn(|| api.auth_finish(&*back));
        server.wait_requests(1);
        let fault = api.auth_finish(&*back).unwrap_err();
        assert_eq!(fault.status, BUSY, "{}", fault.message);
        gate.open();
        first.join().unwrap().unwrap();
    });
    assert_eq!(forms(&server, "/token").len(), 1);
}

#[test]
fn signing_in_is_for_the_types_where_a_person_does() {
    let server = server(|_, n, _| hour(n));
    for auth in [
        json!({"type": "none"}),
        json!({"type": "bearer", "token": "canary-token-1"}),
        json!({
            "type": "oauth2", "client_id": "c", "client_secret": "canary-secret",
            "token_url": "https://as.example/t",
        }),
    ] {
        let api = people::connect(&server, auth, json!({})).unwrap();
        for fault in [api.auth_begin(None).unwrap_err(), api.auth_finish(None).unwrap_err()] {
            assert_eq!(fault.status, INVALID_ARGUMENT);
            assert!(fault.message.contains("oauth2_pkce and oauth2_device_flow"), "{}", fault.message);
        }
    }
    let api = connect(&server, json!({}));
    api.auth_begin(r#"{"deadline": 3, "timeout": 2, "retry_count": 1, "retry_delay": 1}"#).unwrap();
    for (options, says) in [
        (r#"{"deadlin": 3}"#, r#"did you mean "deadline"?"#),
        (r#"{"extra_headers": {"X": "y"}}"#, "/extra_headers: says nothing in a sign-in"),
        (r#"{"wait": 1}"#, "/wait: says nothing in a sign-in"),
        ("[]", "options: "),
    ] {
        let fault = api.auth_begin(options).unwrap_err();
        assert_eq!(fault.status, INVALID_ARGUMENT);
        assert!(fault.message.contains(says), "{}", fault.message);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn what_cannot_work_is_said_when_the_connector_is_made() {
    let server = server(|_, n, _| hour(n));
    for (further, says) in [
        (json!({"client_id": ""}), "/auth/client_id: the key is missing"),
        (json!({"redirect_uri": null}), "/auth/redirect_uri: the key is missing"),
        (json!({"redirect_uri": "/cb"}), "/auth/redirect_uri: is not an absolute URL"),
        (json!({"redirect_uri": "https://a.example/cb#x"}), "/auth/redirect_uri: must not have a fragment"),
        (json!({"authorization_url": null}), "/auth/authorization_url: the key is missing"),
        (json!({"authorization_url": "http://as.example/a"}), "/auth/authorization_url: must be https"),
        (json!({"token_url": null}), "/auth/token_url: the key is missing"),
        (json!({"token_url": "http://as.example/t"}), "/auth/token_url: must be https"),
        (json!({"code_verifier": "canary"}), "/auth/code_verifier: must be 43 to 128"),
        (json!({"token": "canary\n"}), "/auth/token: must be visible ASCII"),
        (json!({"expires_at": "canary"}), "/auth/expires_at: must be seconds"),
        (json!({"key_file": "key.pem"}), "/auth/key_file: only client_auth: private_key_jwt"),
        (json!({"client_auth": "private_key_jwt"}), "/auth/key_file: the key is missing"),
    ] {
        let fault = people::connect(&server, auth(&server), further).map(drop).unwrap_err();
        assert_eq!(fault.status, INVALID_CONFIG);
        assert!(fault.message.starts_with(says) && !fault.message.contains("canary"), "{}", fault.message);
    }
}

#[test]
fn nothing_of_a_sign_in_that_is_under_way_is_shown() {
    let server = Server::start(support::answering(|request| match request.target() {
        "/token" => hour(1),
        target => {
            let said = target.split_once("said=").map_or("", |(_, said)| said);
            response("400 Bad Request", "", json!({"message": said}).to_string())
        }
    }));
    let api = connect(&server, json!({"code_verifier": "v".repeat(43)}));
    sign_in(&api);
    let state = begin(&api).remove("state").unwrap();
    // A server that says it back, whatever tells it.
    let params = json!({"said": state}).to_string();
    let ((fault, shown), log) = log_lines(|| {
        let fault = api.fetch("get", &*params, r#"{"retry_count": 1}"#).unwrap_err();
        (fault, api.explain("get", None, None).unwrap())
    });
    assert!(fault.message.ends_with(": ***"), "{}", fault.message);
    let said_of_it = format!("{} {} {}", fault.message, shown.text(), log.join("\n"));
    assert_clean(&said_of_it, &[&state, &"v".repeat(43)]);
    assert_clean(api.explain(None, None, None).unwrap().text(), &[&state, &"v".repeat(43)]);
}

#[test]
fn a_token_of_a_sign_in_that_was_replaced_does_not_take_the_place_of_the_newer_one() {
    let (gate, asked) = (Gate::new(), Gate::new());
    let (go, ask) = (gate.clone(), asked.clone());
    let server = server(move |_, n, _| {
        if n == 1 {
            ask.open();
            go.wait();
        }
        hour(n)
    });
    let api = connect(&server, json!({}));
    let stored = Arc::new(Mutex::new(Vec::new()));
    let store = stored.clone();
    api.on_token(move |json| {
        store.lock().unwrap().push(serde_json::from_str::<Value>(json).unwrap()["access_token"].clone());
        0
    })
    .unwrap();
    let older = back(&begin(&api));
    thread::scope(|scope| {
        let first = scope.spawn(|| api.auth_finish(&*older));
        asked.wait();
        sign_in(&api);
        gate.open();
        let fault = first.join().unwrap().unwrap_err();
        assert_eq!(fault.status, INVALID_ARGUMENT);
        assert!(fault.message.contains("another sign-in was begun"), "{}", fault.message);
    });
    api.fetch("get", None, None).unwrap();
    assert_eq!(bearers(&server), ["Bearer canary-token-2"]);
    assert_eq!(*stored.lock().unwrap(), ["canary-token-2"]);
}

#[test]
fn what_a_sign_in_under_way_keeps_secret_stays_hidden_while_another_one_begins() {
    let (gate, asked, said) = (Gate::new(), Gate::new(), Arc::new(OnceLock::<String>::new()));
    let (go, ask, says) = (gate.clone(), asked.clone(), said.clone());
    let server = Server::start(support::answering(move |request| match request.target() {
        "/token" => {
            ask.open();
            go.wait();
            hour(1)
        }
        _ => response("400 Bad Request", "", json!({"message": says.get().unwrap()}).to_string()),
    }));
    let api = connect(&server, json!({"token": "canary-token-8"}));
    let first = begin(&api);
    said.set(first["state"].clone()).unwrap();
    thread::scope(|scope| {
        let finishes = scope.spawn(|| api.auth_finish(&*back(&first)));
        asked.wait();
        begin(&api);
        let fault = api.fetch("get", None, None).unwrap_err();
        assert!(fault.message.ends_with(": ***"), "{}", fault.message);
        gate.open();
        finishes.join().unwrap().unwrap_err();
    });
}

#[test]
fn a_cancel_after_the_token_came_leaves_its_storing_to_the_next_call() {
    let (gate, asked) = (Gate::new(), Gate::new());
    let (go, ask) = (gate.clone(), asked.clone());
    let server = server(|_, n, _| hour(n));
    let api = connect(&server, json!({"refresh_token": "canary-refresh-0"}));
    let (stored, cancel) = (Arc::new(Mutex::new(Vec::new())), Cancel::new());
    let store = stored.clone();
    api.on_token(move |json| {
        store.lock().unwrap().push(serde_json::from_str::<Value>(json).unwrap()["access_token"].clone());
        if store.lock().unwrap().len() == 1 {
            ask.open();
            go.wait();
        }
        0
    })
    .unwrap();
    let back = back(&begin(&api));
    thread::scope(|scope| {
        // The callback is busy with the token of the session before.
        let fetch = scope.spawn(|| api.fetch("get", None, None));
        asked.wait();
        let finishes = scope.spawn(|| api.auth_finish_until(&*back, Some(&cancel)));
        server.wait_requests(2);
        // Another call may not finish it while its code is being exchanged, nor when it is used up.
        while api.auth_finish(&*back).unwrap_err().status == BUSY {
            thread::yield_now();
        }
        cancel.trigger();
        assert_eq!(finishes.join().unwrap().unwrap().json()["success"], true);
        gate.open();
        fetch.join().unwrap().unwrap();
    });
    api.fetch("get", None, None).unwrap();
    assert_eq!(*stored.lock().unwrap(), ["canary-token-1", "canary-token-2"]);
    assert_eq!(bearers(&server).last().unwrap(), "Bearer canary-token-2");
}

#[test]
fn a_code_that_was_not_used_yet_replaces_a_configured_token_that_is_refused() {
    let server = server(|_, n, _| hour(n));
    let further = json!({"token": "refused", "authorization_code": "canary-code-1"});
    let api = connect(&server, further);
    api.fetch("get", None, None).unwrap();
    assert_eq!(bearers(&server), ["Bearer refused", "Bearer canary-token-1"]);
}

#[test]
fn secrets_in_the_clear_stay_on_this_machine_also_where_there_is_a_proxy() {
    let proxy = Server::start(support::answering(|_| ok_json("1")));
    let tokens = server(|_, n, _| hour(n));
    let config = json!({
        "base_url": "http://api.example",
        "proxy": proxy.url(),
        "endpoints": {"get": {"path": "/x"}},
        "auth": {"type": "oauth2", "client_id": "client-id-1", "client_secret": "canary-secret",
            "token_url": format!("{}/token", tokens.url())},
    });
    let api = Api::new(&config.to_string()).unwrap();
    assert_eq!(api.fetch("get", None, None).unwrap().status, 200);
    assert_eq!(forms(&tokens, "/token").len(), 1);
    let seen = proxy.requests();
    assert_eq!(seen.iter().map(|r| r.target()).collect::<Vec<_>>(), ["http://api.example/x"]);
}
