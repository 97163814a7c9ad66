//! Every kind of proxy, for origins with TLS and without.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::api::{AUTH, Answer, Api, Fault, log_lines};
use crate::{BINARY, alone, get, good, its, one, shown};

/// With `user:password@`, encoded.
fn proxy(scheme: &str, name: &str, password: Option<&str>) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let login = password.map(|p| format!("{}:{}@", its("user"), encoded(p)));
    format!("{scheme}://{}{}", login.unwrap_or_default(), its(name))
}

fn by(proxy: &str, base: &str) -> Api {
    let endpoint = json!({"path": "/post", "method": "POST"});
    let keys = json!({"proxy": proxy, "auth": {"type": "bearer", "token": "canary-token"}});
    one(&its(base), endpoint, keys)
}

/// Asks httpbin for what arrived.
fn ask(api: &Api) -> Result<Answer, Fault> {
    api.send_bytes("x", &BINARY, None)
}

/// Who asked, as the origin sees it: each proxy has an address of its own to go out by.
const BY_SQUID: &str = "127.0.0.2";
const BY_SOCKS: &str = "127.0.0.3";
const BY_OPEN_SOCKS: &str = "127.0.0.4";

/// Twice, over one connection.
fn goes(proxy: &str, base: &str, origin: &str) {
    let api = by(proxy, base);
    for reused in [false, true] {
        let (outcome, log) = log_lines(|| ask(&api));
        let answer = good(outcome);
        let echo = answer.json();
        assert_eq!(echo["origin"], origin, "{proxy} {base}");
        assert!(echo["data"] == shown(&BINARY), "{proxy} {base}: the body");
        assert_eq!(echo["url"], format!("{}/post", its(base)));
        assert_eq!(echo["headers"]["Authorization"], "Bearer canary-token");
        assert_eq!(echo["headers"]["Proxy-Authorization"], Value::Null);
        assert_eq!(answer.meta["reused"], reused, "{proxy} {base}");
        // squid says so where it speaks HTTP with us; through a tunnel there is nothing of it.
        assert_eq!(answer.header("Via").is_some(), origin == BY_SQUID && base == "httpbin");
        nothing_secret(&format!("{} {}", answer.meta, log.join("\n")));
    }
}

fn nothing_secret(text: &str) {
    let password = its("password");
    let basic = BASE64.encode(format!("{}:{password}", its("user")));
    for secret in [&*password, &basic, "canary-", "canary%2D"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn an_http_proxy_forwards_http_and_tunnels_https() {
    let squid = proxy("http", "proxy", Some(&its("password")));
    goes(&squid, "httpbin", BY_SQUID);
    goes(&squid, "https", BY_SQUID);
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn an_https_proxy_forwards_http_and_tunnels_https() {
    goes(&proxy("https", "secure_proxy", Some(&its("password"))), "httpbin", BY_SQUID);
    goes(&proxy("https", "secure_proxy", Some(&its("password"))), "https", BY_SQUID);
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_socks_proxy_carries_both_with_a_password_and_without() {
    for base in ["httpbin", "https"] {
        goes(&proxy("socks5", "socks", Some(&its("password"))), base, BY_SOCKS);
        goes(&proxy("socks5", "open_socks", None), base, BY_OPEN_SOCKS);
        // A password that nobody asks for is kept.
        goes(&proxy("socks5h", "open_socks", Some("canary-unasked")), base, BY_OPEN_SOCKS);
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_wrong_password_for_a_proxy_is_an_auth_error() {
    for password in [Some("canary-wrong"), None] {
        for (scheme, name, base, http_status) in [
            ("http", "proxy", "httpbin", 407),
            ("http", "proxy", "https", 407),
            ("https", "secure_proxy", "httpbin", 407),
            ("https", "secure_proxy", "https", 407),
            ("socks5", "socks", "httpbin", 0),
            ("socks5", "socks", "https", 0),
        ] {
            let (outcome, log) = log_lines(|| ask(&by(&proxy(scheme, name, password), base)));
            let fault = outcome.expect_err("the proxy lets nobody in");
            assert_eq!(
                (fault.status, fault.http_status),
                (AUTH, http_status),
                "{scheme} {base}: {}",
                fault.message
            );
            assert!(fault.message.contains("proxy"), "{}", fault.message);
            nothing_secret(&(fault.everything() + &log.join("\n")));
        }
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn the_environment_s_proxy_is_taken_but_for_what_no_proxy_names() {
    let variables = [
        ("http_proxy", proxy("http", "proxy", Some(&its("password")))),
        ("https_proxy", proxy("socks5", "socks", Some(&its("password")))),
        ("no_proxy", "localhost".to_owned()),
    ];
    alone::run("proxies::alone_by_the_environment_s_proxy", variables.iter().map(|(n, v)| (*n, v.as_str())));
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn alone_by_the_environment_s_proxy() {
    if !alone::is_alone() {
        return;
    }
    let origin =
        |base: &str, keys: Value| get(&one(base, json!({"path": "/ip"}), keys)).json()["origin"].take();
    let (httpbin, https) = (its("httpbin"), its("https"));
    let env = json!({"proxy": "env"});
    assert_eq!(origin(&httpbin, env.clone()), BY_SQUID);
    assert_eq!(origin(&https, env.clone()), BY_SOCKS);
    assert_eq!(origin(&httpbin.replace("127.0.0.1", "localhost"), env), "127.0.0.1");
    // Nobody asked for it.
    assert_eq!(origin(&httpbin, json!({})), "127.0.0.1");
    // The configuration's list, with a proxy of its own.
    let configured = |list: Value| json!({"proxy": proxy("socks5", "open_socks", None), "no_proxy": list});
    assert_eq!(origin(&httpbin, configured(json!(["10.0.0.0/8"]))), BY_OPEN_SOCKS);
    assert_eq!(origin(&httpbin, configured(json!(["127.0.0.0/8"]))), "127.0.0.1");
}
