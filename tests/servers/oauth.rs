//! oidc-provider, an authorization server that is certified, and oauth2-mock-server, which can be told to fail. The tokens
//! of both live for 2 seconds.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{AUTH, Answer, Api, HTTP_STATUS};
use crate::witness::Witness;
use crate::{connector, file, good, its, one};

/// A client of oidc-provider.
fn client(auth: Value) -> Api {
    let mut all = json!({"type": "oauth2", "token_url": format!("{}/token", its("oidc"))});
    if auth["client_auth"] != "private_key_jwt" {
        all["client_secret"] = its("client_secret").into();
    }
    all.as_object_mut().unwrap().extend(auth.as_object().unwrap().clone());
    let endpoints = json!({"x": {"path": "/api"}, "cut": {"path": "/api", "params": {"cut": true}}});
    connector(&its("oidc"), json!({"auth": all, "endpoints": endpoints}))
}

/// What our part of a server says of a client.
pub fn ask(server: &str, path: &str, client: &str) -> Value {
    let endpoint = json!({"path": format!("{path}{{?client}}")});
    good(one(&its(server), endpoint, json!({})).fetch("x", &*json!({"client": client}).to_string(), None))
        .json()
}

/// A refresh token, as if a user had agreed long ago.
fn refresh_token(client: &str) -> String {
    ask("oidc", "/seed", client)["refresh_token"].as_str().unwrap().to_owned()
}

fn tries(answer: &Answer) -> Vec<Value> {
    answer.meta["attempts"].as_array().unwrap().iter().map(|attempt| attempt["status"].clone()).collect()
}

/// So many calls, one after the other, at even distances; and how long they took.
pub fn paced(calls: u32, distance: Duration, call: impl Fn()) -> Duration {
    let begun = Instant::now();
    for n in 0..calls {
        // Nothing is waited for here: it is the pace of a caller, over the lives of many tokens.
        thread::sleep((distance * n).saturating_sub(begun.elapsed()));
        call();
    }
    begun.elapsed()
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn tokens_of_two_seconds_are_asked_for_as_often_as_they_end_and_no_call_fails() {
    let secret = its("client_secret");
    let first = refresh_token("rotating");
    let clients = [
        ("by basic: +", json!({"client_auth": "basic", "scope": "read"})),
        ("by-post", json!({"client_auth": "post", "scope": "read write"})),
        (
            "by-key",
            json!({"client_auth": "private_key_jwt", "key_file": file("assertion.key"), "key_id": "key-1"}),
        ),
        // The provider takes the grant back when a refresh token comes twice.
        ("rotating", json!({"type": "oauth2_refresh", "client_auth": "basic", "refresh_token": first})),
    ];
    let key = std::fs::read_to_string(file("assertion.key")).unwrap();
    let witness = Witness::new([&*secret, &first, key.lines().nth(1).unwrap()]);
    witness.listen(|| {
        thread::scope(|scope| {
            for (id, mut auth) in clients {
                let witness = &witness;
                scope.spawn(move || {
                    auth["client_id"] = id.into();
                    let before = ask("oidc", "/seen", id);
                    let api = client(auth);
                    witness.learns_from(&api);
                    let took = paced(50, Duration::from_millis(400), || {
                        let answer = good(witness.outcome(api.fetch("x", None, None)));
                        assert_eq!(answer.json()["client"], id);
                    });
                    let after = ask("oidc", "/seen", id);
                    let count =
                        |what: &str| after[what].as_u64().unwrap_or(0) - before[what].as_u64().unwrap_or(0);
                    println!("{id}: {after} in {took:?}");
                    assert_eq!(count("let in"), 50);
                    // The provider counts whole seconds, so that a token may end before its time; then the API says so.
                    let (tokens, refused) = (count("token"), count("refused"));
                    let lives = took.as_secs_f64() / 1.8;
                    assert!(
                        tokens <= lives as u64 + 1 + refused,
                        "{tokens} tokens in {took:?}, {refused} refused"
                    );
                    assert!(
                        tokens >= 8 && refused <= tokens / 2,
                        "{tokens} tokens in {took:?}, {refused} refused"
                    );
                    assert_eq!(after.get("invalid_grant"), before.get("invalid_grant"));
                    witness.explained(&api, "x");
                    witness.left_behind(&api, "cut");
                });
            }
        });
    });
    witness.is_content();
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn what_oidc_provider_refuses_is_said_in_its_words() {
    let wrong = "canary-wrong secret";
    for (auth, secret, words) in [
        (json!({"client_id": "narrow", "client_secret": wrong}), wrong, "invalid_client"),
        (
            json!({"client_id": "by basic: +", "client_auth": "basic", "client_secret": wrong}),
            wrong,
            "invalid_client",
        ),
        (json!({"client_id": "nobody-known", "client_secret": wrong}), wrong, "invalid_client"),
        (json!({"client_id": "narrow", "scope": "write"}), &its("client_secret"), "invalid_scope"),
        (
            json!({"type": "oauth2_refresh", "client_id": "robbed", "client_auth": "basic", "refresh_token": "canary-unknown"}),
            "canary-unknown",
            "invalid_grant: grant request is invalid",
        ),
    ] {
        let witness = Witness::new([secret, &its("client_secret")]);
        let api = client(auth);
        let fault = witness.listen(|| witness.outcome(api.fetch("x", None, None))).unwrap_err();
        assert_eq!((fault.status, fault.retryable), (AUTH, false), "{}", fault.message);
        assert!(fault.message.contains(words) && fault.message.contains("/token"), "{}", fault.message);
        assert!([400, 401].contains(&fault.http_status), "{}", fault.message);
        witness.is_content();
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_refresh_token_in_two_hands_ends_with_both_refused() {
    let first = refresh_token("robbed");
    let witness = Witness::new([&*its("client_secret"), &first]);
    let connect = || {
        let api = client(
            json!({"type": "oauth2_refresh", "client_id": "robbed", "client_auth": "basic", "refresh_token": first}),
        );
        witness.learns_from(&api);
        api
    };
    witness.listen(|| {
        let (mine, theirs) = (connect(), connect());
        assert_eq!(good(witness.outcome(mine.fetch("x", None, None))).json()["account"], "ann");
        // It was used: who comes with it is a thief, or was robbed.
        for api in [theirs, mine] {
            let fault = witness.outcome(api.fetch("x", None, None)).unwrap_err();
            assert_eq!((fault.status, fault.http_status), (AUTH, 400), "{}", fault.message);
            assert!(fault.message.contains("invalid_grant"), "{}", fault.message);
        }
    });
    witness.is_content();
}

/// A client of oauth2-mock-server that nobody has used, and its faults, for tokens and for the API.
fn mocked(name: &str, token_faults: &str, api_faults: &str, keys: Value) -> (Api, String) {
    let id = format!("{name} {}", std::process::id());
    let server = its("oauth2_mock");
    let mut all = json!({
        "auth": {
            "type": "oauth2_refresh", "token_url": format!("{server}/token?faults={token_faults}"),
            "client_id": id, "client_secret": its("client_secret"), "refresh_token": "canary-refresh-0",
        },
        "retry_count": 3, "retry_delay": 0.001,
        "endpoints": {"x": {"path": "/userinfo", "params": {"faults": api_faults}}},
    });
    all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    (connector(&server, all), id)
}

/// Runs it while everything is listened to, and looks around then.
fn witnessed(api: &Api, f: impl FnOnce(&Witness)) {
    let witness = Witness::new([&*its("client_secret"), "canary-refresh-0"]);
    witness.learns_from(api);
    witness.listen(|| f(&witness));
    witness.is_content();
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_refresh_token_is_used_once_and_the_next_one_is_the_newest() {
    let (api, id) = mocked("rotating", "ok", "ok", json!({}));
    witnessed(&api, |witness| {
        let took = paced(20, Duration::from_millis(250), || {
            assert_eq!(good(witness.outcome(api.fetch("x", None, None))).json()["sub"], "johndoe");
        });
        let seen = ask("oauth2_mock", "/seen", &id);
        let tokens = seen["token"].as_array().unwrap();
        assert!(tokens.iter().all(|status| status == 200), "{seen}");
        assert!((2..=took.as_secs_f64() as usize / 2 + 1).contains(&tokens.len()), "{seen} in {took:?}");
        assert_eq!(seen["api"], json!(vec![200; 20]));
        witness.explained(&api, "x");
    });
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_401_of_the_api_is_answered_with_another_token_and_the_call_goes_well() {
    let (api, id) = mocked("refused", "ok", "401,ok,ok,401", json!({}));
    witnessed(&api, |witness| {
        let answers = [(); 3].map(|()| good(witness.outcome(api.fetch("x", None, None))));
        assert_eq!(
            answers.each_ref().map(tries),
            [vec![json!(401), json!(200)], vec![json!(200)], vec![json!(401), json!(200)]]
        );
        let seen = ask("oauth2_mock", "/seen", &id);
        let api = json!(["invalid_token", 200, 200, "invalid_token", 200]);
        assert_eq!(seen, json!({"token": [200, 200, 200], "api": api}));
    });
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_token_endpoint_that_fails_is_asked_again_and_one_that_refuses_is_not() {
    let (api, id) = mocked("troubled", "500,500", "ok", json!({}));
    witnessed(&api, |witness| {
        good(witness.outcome(api.fetch("x", None, None)));
        let seen = ask("oauth2_mock", "/seen", &id);
        assert_eq!(seen, json!({"token": ["server_error", "server_error", 200], "api": [200]}));
    });

    let (api, id) = mocked("broken", "500,500,500", "ok", json!({}));
    witnessed(&api, |witness| {
        let fault = witness.outcome(api.fetch("x", None, None)).unwrap_err();
        assert_eq!(
            (fault.status, fault.http_status, fault.retryable),
            (HTTP_STATUS, 500, true),
            "{}",
            fault.message
        );
        assert!(fault.message.contains("server_error, as it was wished"), "{}", fault.message);
        // The refresh token is not lost over it.
        good(witness.outcome(api.fetch("x", None, None)));
        let seen = ask("oauth2_mock", "/seen", &id);
        assert_eq!(
            seen,
            json!({"token": ["server_error", "server_error", "server_error", 200], "api": [200]})
        );
    });

    let (api, id) = mocked("gone", "ok,invalid_grant", "ok,401", json!({}));
    witnessed(&api, |witness| {
        good(witness.outcome(api.fetch("x", None, None)));
        let fault = witness.outcome(api.fetch("x", None, None)).unwrap_err();
        assert_eq!(
            (fault.status, fault.http_status, fault.retryable),
            (AUTH, 400, false),
            "{}",
            fault.message
        );
        assert!(fault.message.contains("invalid_grant, as it was wished"), "{}", fault.message);
        let seen = ask("oauth2_mock", "/seen", &id);
        assert_eq!(seen, json!({"token": [200, "invalid_grant"], "api": [200, "invalid_token"]}));
    });
}
