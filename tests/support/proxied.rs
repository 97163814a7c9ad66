//! A connector behind a proxy, and what must not be seen of it.

#![allow(dead_code, missing_docs)] // each test file uses its own part of this
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use crate::api::{Answer, Api, Fault, log_lines};
use crate::support::tls::{self, Ca, Leaf, TlsServer};
use crate::support::{Server, answering, ok_json};

/// The origin's secret, and the proxy's.
pub const CANARY: &str = "canary-b1946ac924";
pub const PASSWORD: &str = "canary-proxy:p@ss";
pub const ENCODED: &str = "canary-proxy%3Ap%40ss";
/// `me:` and the password, in Base64.
pub const BASIC: &str = "Basic bWU6Y2FuYXJ5LXByb3h5OnBAc3M=";
/// A name that only the proxy knows.
pub const ORIGIN: &str = "origin.invalid";

/// A connector behind a proxy, with a good server that needs none.
pub struct Client {
    pub api: Api,
    pub good: Server,
}

impl Client {
    pub fn new(base_url: &str, proxy: &str, keys: Value) -> Client {
        let good = Server::start(answering(|_| ok_json("\"good\"")));
        let mut config = json!({
            "base_url": base_url,
            "proxy": proxy,
            "no_proxy": ["127.0.0.0/8"],
            "retry_count": 1,
            "auth": {"type": "bearer", "token": CANARY},
            "allow_origins": [good.url()],
            "endpoints": {
                "get": {"path": "/x"},
                "put": {"path": "/x", "method": "PUT"},
                "good": {"path": format!("{}/x", good.url())},
            },
        });
        for (key, value) in keys.as_object().unwrap() {
            config[key] = value.clone();
        }
        Client { api: Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message)), good }
    }

    pub fn get(&self) -> Answer {
        self.api.fetch("get", None, None).unwrap_or_else(|e| panic!("{}", e.message))
    }

    /// The call fails with this status and these words, says nothing secret, and the connector goes on.
    pub fn fails(&self, status: i32, words: &str) -> Fault {
        self.fails_with(status, words, None)
    }

    pub fn fails_with(&self, status: i32, words: &str, options: Option<&str>) -> Fault {
        let (outcome, log) = log_lines(|| self.api.fetch("get", None, options));
        let fault = outcome.expect_err("the call went well");
        assert_eq!(fault.status, status, "{} {}", fault.name, fault.message);
        assert!(fault.message.contains(words), "{words:?} is not in {:?}", fault.message);
        nothing_secret(&(fault.everything() + &log.join("\n")));
        assert_eq!(self.api.fetch("good", None, None).unwrap().text(), "\"good\"");
        fault
    }
}

pub fn nothing_secret(text: &str) {
    for secret in [CANARY, PASSWORD, ENCODED, "canary-proxy", &BASIC[6..]] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

pub fn with_login(proxy: &Server) -> String {
    format!("http://me:{ENCODED}@{}", proxy.address())
}

pub fn secure(ca: &Ca) -> TlsServer {
    TlsServer::start(ca.identity(Leaf::Good), tls::answering(|r| ok_json(format!("{:?}", r.target()))))
}
