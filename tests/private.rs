//! `limits.block_private_networks`: no spelling of a host leads into a private network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use api::{Api, CONNECT, Fault, log_lines};
use serde_json::{Value, json};
use support::{Server, answering, ok_json};

/// The secret of every connector here.
const CANARY: &str = "canary-77ab20d1e4";

fn connector(base_url: &str, keys: Value) -> Api {
    let mut config = json!({
        "base_url": base_url,
        "retry_count": 1,
        "auth": {"type": "bearer", "token": CANARY},
        "limits": {"block_private_networks": true},
        "endpoints": {
            "get": {"path": "/x"},
            "open": {"path": "/x", "limits": {"block_private_networks": false}},
        },
    });
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{base_url}: {}", e.message))
}

fn blocked(api: &Api, options: Option<&str>, what: &str) -> Fault {
    let (outcome, log) = log_lines(|| api.fetch("get", None, options));
    let fault = outcome.expect_err(what);
    assert_eq!(fault.status, CONNECT, "{} {}", fault.name, fault.message);
    let words = format!("blocked address {what}; limits.block_private_networks)");
    assert!(fault.message.contains(&words), "{words:?} is not in {:?}", fault.message);
    assert_eq!(fault.json["sent"], "no");
    assert!(!(fault.everything() + &log.join("\n")).contains(CANARY));
    fault
}

#[test]
fn a_private_address_is_refused_however_it_is_spelt_and_not_a_byte_is_sent() {
    let server = Server::start(answering(|_| ok_json("1")));
    let port = server.address().port();
    for (host, what) in [
        ("127.0.0.1", "127.0.0.1 (loopback"),
        ("0x7f.1", "127.0.0.1 (loopback"),
        ("2130706433", "127.0.0.1 (loopback"),
        ("0177.0.0.1", "127.0.0.1 (loopback"),
        ("127.1", "127.0.0.1 (loopback"),
        ("0.0.0.0", "0.0.0.0 (unspecified"),
        ("169.254.169.254", "169.254.169.254 (link-local"),
        ("[::1]", "::1 (loopback"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1 (loopback"),
        ("[::ffff:a9fe:a9fe]", "::ffff:169.254.169.254 (link-local"),
        ("[::127.0.0.1]", "::7f00:1 (loopback"),
        ("[64:ff9b::7f00:1]", "64:ff9b::7f00:1 (loopback"),
        ("[fd00::1]", "fd00::1 (unique local"),
    ] {
        blocked(&connector(&format!("http://{host}:{port}"), json!({})), None, what);
    }
    // Names: by the look-up, and by `resolve`.
    let name = format!("http://localhost:{port}");
    let outcome = connector(&name, json!({})).fetch("get", None, None).unwrap_err();
    assert!(outcome.status == CONNECT && outcome.message.contains("blocked address"), "{}", outcome.message);
    let fixed = json!({"resolve": {format!("api.example:{port}"): "127.0.0.1"}});
    blocked(&connector(&format!("http://api.example:{port}"), fixed), None, "127.0.0.1 (loopback");
    assert_eq!(server.connections(), 0);
}

#[test]
fn the_block_is_of_the_connector_the_endpoint_or_the_call() {
    let server = Server::start(answering(|_| ok_json("1")));
    let api = connector(&server.url(), json!({}));
    let allowed = r#"{"limits": {"block_private_networks": false}}"#;
    let forbidden = Some(r#"{"limits": {"block_private_networks": true}}"#);
    blocked(&api, None, "127.0.0.1 (loopback");
    api.fetch("open", None, None).unwrap();
    assert_eq!(server.requests().len(), 1);
    // The connection that lies idle now was opened by a call that might: it is not for one that may not.
    blocked(&api, None, "127.0.0.1 (loopback");
    let fault = api.fetch("open", None, forbidden).unwrap_err();
    assert!(fault.message.contains("blocked address"), "{}", fault.message);
    api.fetch("get", None, allowed).unwrap();
    assert_eq!(server.requests().len(), 2);
    // Without the key nothing is blocked.
    connector(&server.url(), json!({"limits": {}})).fetch("get", None, None).unwrap();
}
