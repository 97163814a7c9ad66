//! The library and servers that others wrote: httpbin, nginx, caddy, squid and microsocks,
//! GraphQL Yoga, oidc-provider and oauth2-mock-server, moto, which speaks as AWS does, and some that give lists page by
//! page. `make test-servers` starts them
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
mod aws;
mod bodies;
mod browser;
mod clock;
mod credentials;
mod downloads;
mod graphql;
mod llms;
mod oauth;
mod pages;
mod policy;
mod proxies;
mod sign_in;
mod witness;

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use api::{Answer, Api, Fault};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use support::{Request, Server, read_request};

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

/// Between a client and a server; it keeps what is asked for. `look` sees each request, by its number from 0: it may
/// change it, and where it gives an answer, the server never sees it.
fn between(
    server: &str,
    look: impl Fn(usize, &mut Request) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Server {
    let to = server.trim_start_matches("http://").to_owned();
    let count = AtomicUsize::new(0);
    Server::start(move |mut client, _| {
        let mut server = TcpStream::connect(&to).unwrap();
        let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let to_end = Ending(server.try_clone().unwrap());
        std::thread::scope(|scope| {
            // Also where `look` panics: the other thread waits for it.
            let _to_end = to_end;
            scope.spawn(move || {
                let _ = std::io::copy(&mut answers, &mut back);
                let _ = back.shutdown(Shutdown::Both);
            });
            while let Some(mut request) = read_request(&mut client) {
                let sent = match look(count.fetch_add(1, SeqCst), &mut request) {
                    Some(answer) => client.write_all(&answer),
                    None => server.write_all(&[request.head.as_bytes(), b"\r\n\r\n", &request.body].concat()),
                };
                if sent.is_err() {
                    break;
                }
            }
        });
    })
}

/// Ends a connection when it goes.
struct Ending(TcpStream);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
