//! People who sign in at oidc-provider, in a browser or on another device.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{AUTH, Api, Fault, INVALID_ARGUMENT};
use crate::browser::Browser;
use crate::oauth::{ask, paced};
use crate::support::Server;
use crate::witness::Witness;
use crate::{between, good, its, one};

const BACK: &str = "http://127.0.0.1/back";

/// A connector for somebody who signs in, and who sees what it asks the token endpoint.
fn connect(auth: Value, witness: &Witness) -> (Api, Server) {
    let (server, between) = (its("oidc"), between(&its("oidc"), |_, _| None));
    let mut all = json!({
        "token_url": format!("{}/token", between.url()), "scope": "openid offline_access read", "storage_key": "ann",
    });
    all.as_object_mut().unwrap().extend(auth.as_object().unwrap().clone());
    let api = one(&server, json!({"path": "/api"}), json!({"auth": all}));
    witness.learns_from(&api);
    (api, between)
}

fn in_a_browser(witness: &Witness) -> (Api, Server) {
    let server = its("oidc");
    let auth = json!({
        "type": "oauth2_pkce", "client_id": "public", "redirect_uri": BACK, "issuer": server,
        "authorization_url": format!("{server}/auth?prompt=consent"),
    });
    connect(auth, witness)
}

/// What a token endpoint was sent that nobody else is to see.
fn keep_sent(witness: &Witness, between: &Server, wanted: &str) {
    let mut is_there = false;
    for request in between.requests() {
        for (name, value) in form_urlencoded::parse(&request.body) {
            if ["code", "code_verifier", "device_code", "refresh_token"].contains(&&*name) {
                witness.keep(&value);
                is_there |= name == wanted;
            }
        }
    }
    assert!(is_there, "no {wanted} was sent");
}

/// Begins a sign-in: the address to open; its secrets are kept.
fn begin(api: &Api, witness: &Witness) -> String {
    let begun = good(witness.outcome(api.auth_begin(None))).json();
    witness.keep(begun["state"].as_str().unwrap());
    begun["authorization_url"].as_str().unwrap().to_owned()
}

/// A parameter of an address.
fn parameter(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').unwrap();
    let mut pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
    pairs.find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name} in {url}")).1
}

/// The same address with another value.
fn with(url: &str, name: &str, value: &str) -> String {
    let old = parameter(url, name);
    let encoded: String = form_urlencoded::byte_serialize(old.as_bytes()).collect();
    let changed = url.replace(&format!("{name}={encoded}"), &format!("{name}={value}"));
    assert_ne!(url, changed);
    changed
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn somebody_signs_in_in_a_browser_and_the_tokens_follow_one_another() {
    let witness = Witness::default();
    witness.listen(|| {
        let (api, between) = in_a_browser(&witness);
        let before = ask("oidc", "/seen", "public");
        let back = Browser::default().agrees(&begin(&api, &witness));
        assert!(back.starts_with(BACK), "{back}");
        assert_eq!(parameter(&back, "iss"), its("oidc"));
        let done = good(witness.outcome(api.auth_finish(&*back))).json();
        assert_eq!((&done["success"], &done["scope"]), (&json!(true), &json!("openid offline_access read")));
        // The provider takes everything back when a refresh token comes twice.
        let took = paced(12, Duration::from_millis(500), || {
            assert_eq!(good(witness.outcome(api.fetch("x", None, None))).json()["account"], "ann");
        });
        let count = |seen: &Value, what: &str| seen[what].as_u64().unwrap_or(0);
        let after = ask("oidc", "/seen", "public");
        let tokens = count(&after, "token") - count(&before, "token");
        let refused = count(&after, "refused") - count(&before, "refused");
        assert!(
            tokens >= 3 && tokens <= (took.as_secs_f64() / 1.8) as u64 + 1 + refused,
            "{after} in {took:?}"
        );
        witness.explained(&api, "x");
        keep_sent(&witness, &between, "code_verifier");
    });
    witness.is_content();
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn an_address_that_answers_something_else_is_refused_and_the_right_one_still_works() {
    let witness = Witness::default();
    witness.listen(|| {
        let (api, between) = in_a_browser(&witness);
        let back = Browser::default().agrees(&begin(&api, &witness));
        for (wrong, status, words) in [
            (with(&back, "state", "canary-another-state"), AUTH, "state"),
            (with(&back, "iss", "https%3A%2F%2Fevil.example"), AUTH, "iss"),
            (back.replace(BACK, "http://127.0.0.1/elsewhere"), INVALID_ARGUMENT, "redirect_uri"),
        ] {
            let fault = witness.outcome(api.auth_finish(&*wrong)).unwrap_err();
            assert_eq!(fault.status, status, "{}", fault.message);
            assert!(fault.message.contains(words), "{words}: {}", fault.message);
        }
        assert_eq!(between.connections(), 0);
        good(witness.outcome(api.auth_finish(&*back)));
        assert_eq!(good(witness.outcome(api.fetch("x", None, None))).json()["account"], "ann");
        keep_sent(&witness, &between, "code");
    });
    witness.is_content();
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn who_refuses_in_the_browser_and_a_code_that_is_none_are_told_in_the_providers_words() {
    let witness = Witness::default();
    witness.listen(|| {
        let (api, between) = in_a_browser(&witness);
        let back = Browser::default().refuses(&begin(&api, &witness));
        assert!(back.starts_with(BACK), "{back}");
        let fault = witness.outcome(api.auth_finish(&*back)).unwrap_err();
        assert_eq!(fault.status, AUTH, "{}", fault.message);
        assert!(fault.message.contains("access_denied: End-User aborted interaction"), "{}", fault.message);

        let back = Browser::default().agrees(&begin(&api, &witness));
        let fault = witness.outcome(api.auth_finish(&*with(&back, "code", "canary-no-code"))).unwrap_err();
        assert_eq!((fault.status, fault.http_status), (AUTH, 400), "{}", fault.message);
        assert!(fault.message.contains("invalid_grant"), "{}", fault.message);
        let fault = witness.outcome(api.fetch("x", None, None)).unwrap_err();
        assert_eq!(fault.status, AUTH, "{}", fault.message);
        keep_sent(&witness, &between, "code");
    });
    witness.is_content();
}

/// Somebody with another device, and what is done with the code there, once the token endpoint has been asked: what
/// comes of it, and what that endpoint has answered.
fn on_a_device(
    client: &str,
    witness: &Witness,
    then: impl FnOnce(&str),
) -> (Result<Api, Fault>, Vec<&'static str>) {
    let auth = json!({
        "type": "oauth2_device_flow", "client_id": client,
        "device_authorization_url": format!("{}/device/auth", its("oidc")),
    });
    let (api, between) = connect(auth, witness);
    let count = |what: &str| ask("oidc", "/seen", client)[what].as_u64().unwrap_or(0);
    let answers = ["authorization_pending", "slow_down", "access_denied", "expired_token", "token"];
    let before = answers.map(count);
    let begun = good(witness.outcome(api.auth_begin(None))).json();
    witness.keep(begun["user_code"].as_str().unwrap());
    assert_eq!(begun["interval"], 1);
    let outcome = thread::scope(|scope| {
        let done = scope.spawn(|| witness.outcome(api.auth_finish(None)));
        between.wait_requests(1);
        then(begun["verification_uri_complete"].as_str().unwrap());
        done.join().unwrap()
    });
    keep_sent(witness, &between, "device_code");
    let after = answers.map(count);
    let seen = (0..answers.len()).flat_map(|n| vec![answers[n]; (after[n] - before[n]) as usize]).collect();
    (outcome.map(|answer| assert_eq!(answer.json()["success"], true)).map(|()| api), seen)
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn somebody_signs_in_on_another_device_or_does_not() {
    let witness = Witness::default();
    witness.listen(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let (done, seen) = on_a_device("device", &witness, |url| {
                    let page = Browser::default().agrees(url);
                    assert!(page.contains("Sign-in Success"), "{page}");
                });
                let api = done.unwrap();
                assert!(
                    seen.first() == Some(&"authorization_pending") && seen.last() == Some(&"token"),
                    "{seen:?}"
                );
                assert_eq!(good(witness.outcome(api.fetch("x", None, None))).json()["account"], "ann");
                witness.explained(&api, "x");
            });
            scope.spawn(|| {
                let begun = Instant::now();
                let (done, seen) =
                    on_a_device("hasty-device", &witness, |url| drop(Browser::default().agrees(url)));
                done.unwrap();
                // A second, and 5 more.
                assert_eq!(seen, ["slow_down", "token"]);
                assert!(begun.elapsed() >= Duration::from_secs(7), "{:?}", begun.elapsed());
            });
            scope.spawn(|| {
                let (done, seen) =
                    on_a_device("refused-device", &witness, |url| drop(Browser::default().refuses(url)));
                let fault = done.map(drop).unwrap_err();
                assert_eq!(fault.status, AUTH, "{}", fault.message);
                assert!(
                    fault.message.contains("access_denied: End-User aborted interaction"),
                    "{}",
                    fault.message
                );
                assert_eq!(seen.last(), Some(&"access_denied"));
            });
            scope.spawn(|| {
                let (done, seen) = on_a_device("short-device", &witness, |_| ());
                let fault = done.map(drop).unwrap_err();
                assert_eq!(fault.status, AUTH, "{}", fault.message);
                assert!(fault.message.contains("expired"), "{}", fault.message);
                println!("{seen:?} {}", fault.message);
            });
        });
    });
    witness.is_content();
}
