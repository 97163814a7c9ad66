//! Redirects, attempts and limits: what nginx and httpbin see of them.

use serde_json::{Value, json};

use crate::api::{Api, HTTP_STATUS};
use crate::{connector, file, good, httpbin, its, one};

const CANARY: &str = "canary-s3cret/+x";

/// The statuses that nginx has given, by its own log.
fn statuses(log: &str) -> Vec<String> {
    let text = std::fs::read_to_string(file(log)).unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn limited(rate_limit: Value) -> Api {
    let keys = json!({"retry_count": 8, "retry_delay": 0.01, "rate_limit": rate_limit});
    one(&its("https"), json!({"path": "/limited"}), keys)
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn the_adaptive_limit_finishes_fifty_calls_without_a_failed_one() {
    // One after the other: nginx has one limit for all of them.
    for (name, threads, rate_limit) in [
        ("the default rate", 1, json!({"strategy": "adaptive"})),
        ("a rate that is too high", 1, json!({"strategy": "adaptive", "rate": 20})),
        ("eight threads", 8, json!({"strategy": "adaptive", "rate": 20})),
    ] {
        let (before, begun) = (statuses("limited.log").len(), std::time::Instant::now());
        let api = limited(rate_limit);
        std::thread::scope(|scope| {
            for n in 0..threads {
                let api = &api;
                scope.spawn(move || {
                    for _ in (n..50).step_by(threads) {
                        good(api.fetch("x", None, None));
                    }
                });
            }
        });
        // nginx writes its line when the answer is out: a little later than it is read here.
        let refused = loop {
            let seen = statuses("limited.log").split_off(before);
            let (refused, others) = seen.iter().partition::<Vec<_>, _>(|status| *status == "429");
            if others.len() >= 50 || begun.elapsed().as_secs() > 90 {
                assert_eq!(others.len(), 50, "{name}");
                break refused.len();
            }
            std::thread::yield_now();
        };
        println!("{name}: 50 calls in {:.1} s, {refused} refused", begun.elapsed().as_secs_f64());
        // nginx does limit: fifty at ten a second.
        assert!(begun.elapsed().as_secs_f64() > 4.5, "{name}");
        assert!(refused < 50, "{name}: {refused} refused");
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn redirects_are_followed_as_their_status_says() {
    for (path, redirects) in [("/redirect/3", 3), ("/relative-redirect/2", 2), ("/absolute-redirect/2", 2)] {
        let answer = good(httpbin(json!({"path": path})).fetch("x", None, None));
        assert_eq!(answer.json()["url"], format!("{}/get", its("httpbin")), "{path}");
        assert_eq!(answer.meta["redirects"].as_array().unwrap().len(), redirects, "{path}");
    }
    for (status, to, method) in [
        (301, "/get", "GET"),
        (302, "/get", "GET"),
        (303, "/get", "GET"),
        (307, "/post", "POST"),
        (308, "/post", "POST"),
    ] {
        let path = format!("/redirect-to?url={to}&status_code={status}");
        let api = httpbin(json!({"path": path, "method": "POST"}));
        let result = good(api.send("x", r#"{"n": 1}"#, None)).json()["result"].clone();
        assert_eq!(result["url"], format!("{}{to}", its("httpbin")), "{status}");
        let body = if method == "POST" { json!({"n": 1}) } else { Value::Null };
        assert_eq!(result["json"], body, "{status}");
    }
    let api = one(&its("httpbin"), json!({"path": "/cookies/set?a=1"}), json!({"cookies": true}));
    assert_eq!(good(api.fetch("x", None, None)).json(), json!({"cookies": {"a": "1"}}));
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn what_is_refused_for_now_is_asked_again_and_what_is_refused_is_not() {
    for (status, attempts) in [(503, 3), (404, 1)] {
        let keys = json!({"retry_count": 3, "retry_delay": 0.01});
        let api = one(&its("httpbin"), json!({"path": format!("/status/{status}")}), keys);
        let fault = api.fetch("x", None, None).unwrap_err();
        assert_eq!((fault.status, fault.json["attempts"].as_array().unwrap().len()), (HTTP_STATUS, attempts));
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn no_secret_reaches_nginx_by_a_redirect_of_httpbin() {
    // SAFETY: only Rust's std reads the environment of this process, under the lock that this takes too.
    unsafe { std::env::set_var("APL_TEST_CANARY", CANARY) };
    let to = format!("/redirect-to?url={}/told&status_code=302", its("https"));
    let proxied = format!("http://{}:{}@{}", its("user"), "canary-proxy%3Ap%40ss", its("proxy"));
    let mut calls = 0;
    for proxy in ["none", &proxied] {
        for auth in [
            json!({"type": "bearer", "token": CANARY}),
            json!({"type": "basic", "username": "user", "password": CANARY}),
            json!({"type": "api_key", "key": CANARY, "header": "X-Key"}),
            json!({"type": "api_key", "key": CANARY, "in": "query"}),
            json!({"type": "api_key", "key": CANARY, "in": "cookie"}),
            json!({"type": "none"}),
        ] {
            let api = connector(
                &its("httpbin"),
                json!({
                    "auth": auth, "proxy": proxy,
                    "headers": {"X-Extra": "${APL_TEST_CANARY}", "Cookie": format!("c={CANARY}")},
                    "endpoints": {"x": {"path": to}, "get": {"path": "/anything"}},
                }),
            );
            let answer = good(api.fetch("x", None, None));
            assert_eq!(answer.json()["numbers"].as_array().unwrap().len(), 1000, "{auth}");
            // At home they are there.
            assert!(good(api.fetch("get", None, None)).text().contains(CANARY), "{auth}");
            calls += 1;
        }
    }
    let log = std::fs::read_to_string(file("told.log")).unwrap();
    assert_eq!(log.lines().count(), calls);
    for line in log.lines() {
        assert_eq!(line, "200 /told | - | - | - | - |");
    }
}
