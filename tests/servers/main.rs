//! The library and servers that others wrote: httpbin, nginx, caddy, squid and microsocks,
//! GraphQL Yoga, and some that give lists page by page. `make test-servers` starts them
//! (`run`, beside this) and says in `SERVERS` where they are; without them a test here fails.
//!
//! What httpbin was sent comes back in its answer, so that one comparison is of both ways.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, clippy::print_stdout)]

#[path = "../support/alone.rs"]
mod alone;
#[path = "../support/api.rs"]
mod api;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod bodies;
mod credentials;
mod downloads;
mod graphql;
mod llms;
mod pages;
mod policy;
mod proxies;

use std::sync::LazyLock;

use api::{Answer, Api, Fault};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

/// Every byte, many times, in an order that no text has.
static BINARY: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..300_000_u32).map(|i| (i.wrapping_mul(i) / 7) as u8).collect());

/// What the harness says of this: an address, a folder, a password.
fn its(name: &str) -> String {
    static SERVERS: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(&alone::variable("SERVERS")).expect("SERVERS is JSON"));
    SERVERS[name].as_str().unwrap_or_else(|| panic!("SERVERS has no {name}")).to_owned()
}

fn file(name: &str) -> String {
    format!("{}/{name}", its("folder"))
}

/// A connector that trusts the servers' authority, with these keys on top.
fn connector(base_url: &str, keys: Value) -> Api {
    let mut config = json!({"base_url": base_url, "retry_count": 1, "tls": {"ca_file": file("ca.pem")}});
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message))
}

/// The one endpoint is called `x`.
fn one(base_url: &str, endpoint: Value, keys: Value) -> Api {
    let mut keys = keys;
    keys["endpoints"] = json!({"x": endpoint});
    connector(base_url, keys)
}

fn httpbin(endpoint: Value) -> Api {
    one(&its("httpbin"), endpoint, json!({}))
}

fn good(outcome: Result<Answer, Fault>) -> Answer {
    outcome.unwrap_or_else(|fault| panic!("{}: {}", fault.name, fault.message))
}

fn get(api: &Api) -> Answer {
    good(api.fetch("x", None, None))
}

/// How httpbin shows bytes that are no text.
fn shown(bytes: &[u8]) -> String {
    format!("data:application/octet-stream;base64,{}", BASE64.encode(bytes))
}
