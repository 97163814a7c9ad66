//! Who is let in: passwords, tokens, keys and certificates.

use serde_json::{Value, json};

use crate::api::{AUTH, HTTP_STATUS, TLS, log_lines};
use crate::{file, good, its, one};

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn credentials_are_what_the_server_asks_for() {
    let ask = |auth: Value, path: &str| {
        one(&its("httpbin"), json!({"path": path}), json!({"auth": auth})).fetch("x", None, None)
    };
    let basic = |password: &str| json!({"type": "basic", "username": "ü ser", "password": password});
    let answer = good(ask(basic("canary:ß"), "/basic-auth/%C3%BC%20ser/canary:%C3%9F"));
    assert_eq!(answer.json(), json!({"authenticated": true, "user": "ü ser"}));
    let (outcome, log) = log_lines(|| ask(basic("canary-wrong"), "/basic-auth/%C3%BC%20ser/x"));
    let fault = outcome.expect_err("a wrong password");
    assert_eq!((fault.status, fault.http_status), (AUTH, 401));
    assert!(!(fault.everything() + &log.join("\n")).contains("canary-wrong"));
    let answer = good(ask(json!({"type": "bearer", "token": "canary-token"}), "/bearer"));
    assert_eq!(answer.json(), json!({"authenticated": true, "token": "canary-token"}));
    assert_eq!(ask(json!({"type": "none"}), "/bearer").unwrap_err().status, AUTH);
    let key = |more: Value| {
        let mut auth = json!({"type": "api_key", "key": "canary-key="});
        more.as_object().unwrap().iter().for_each(|(k, v)| auth[k] = v.clone());
        good(ask(auth, "/anything")).json()
    };
    assert_eq!(key(json!({}))["headers"]["X-Api-Key"], "canary-key=");
    assert_eq!(key(json!({"header": "X-Mine"}))["headers"]["X-Mine"], "canary-key=");
    assert_eq!(key(json!({"in": "query"}))["args"], json!({"api_key": "canary-key="}));
    assert_eq!(key(json!({"in": "cookie", "param_name": "sid"}))["headers"]["Cookie"], "sid=canary-key=");
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn httpbins_digest_is_answered_in_each_of_its_forms() {
    for (quality, algorithm) in [("auth", "MD5"), ("auth", "SHA-256"), ("auth-int", "MD5")] {
        let ask = |password: &str| {
            let auth = json!({"type": "digest", "username": "canary-user", "password": password});
            let path = format!("/digest-auth/{quality}/canary-user/canary-password/{algorithm}");
            one(&its("httpbin"), json!({"path": path}), json!({"auth": auth, "cookies": true}))
        };
        let api = ask("canary-password");
        let known = json!({"authenticated": true, "user": "canary-user"});
        assert_eq!(good(api.fetch("x", None, None)).json(), known, "{quality} {algorithm}");
        assert_eq!(good(api.fetch("x", None, None)).json(), known, "{quality} {algorithm}");
        let (outcome, log) = log_lines(|| ask("canary-wrong").fetch("x", None, None));
        let fault = outcome.expect_err("a wrong password");
        assert_eq!((fault.status, fault.http_status), (AUTH, 401));
        assert!(!(fault.everything() + &log.join("\n")).contains("canary-wrong"));
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn nginx_knows_a_client_by_its_certificate_and_refuses_the_others_with_a_400() {
    let client = |server: &str, name: Option<&str>| {
        let mut tls = json!({"ca_file": file("ca.pem")});
        if let Some(name) = name {
            tls["client_cert"] = json!(file(&format!("{name}.pem")));
            tls["client_key"] = json!(file(&format!("{name}.key")));
        }
        one(&its(server), json!({"path": "/"}), json!({"tls": tls})).fetch("x", None, None)
    };
    for (server, protocol) in [("clients", "TLSv1.3"), ("clients_1_2", "TLSv1.2")] {
        let known = good(client(server, Some("client")));
        assert_eq!(known.json(), json!({"subject": "CN=a client,O=Example", "protocol": protocol}));
        // nginx ends the handshake well, and says no in HTTP.
        for (name, words) in [
            (None, "<title>400 No required SSL certificate was sent</title>"),
            (Some("stranger"), "<title>400 The SSL certificate error</title>"),
        ] {
            let fault = client(server, name).expect_err("nobody it knows");
            assert_eq!((fault.status, fault.http_status), (HTTP_STATUS, 400), "{}", fault.message);
            assert!(String::from_utf8_lossy(&fault.response_body).contains(words));
        }
    }
    // Without the authority, it is the server who is refused.
    let fault =
        one(&its("clients"), json!({"path": "/"}), json!({"tls": {}})).fetch("x", None, None).unwrap_err();
    assert_eq!(fault.status, TLS, "{}", fault.message);
}
