//! A server that misbehaves on one path, a connector full of secrets, and what must hold after every fault.
//!
//! ```ignore
//! #[path = "support/api.rs"]
//! mod api;
//! #[path = "support/faulty.rs"]
//! mod faulty;
//! mod support;
//! ```

#![allow(dead_code, missing_docs)] // each test file uses its own part of this
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

use std::io::Write;
use std::net::TcpStream;
use std::sync::Once;

use serde_json::{Value, json};

use crate::api::{Answer, Api, Fault};
use crate::support::{Close, Server, finish, ok_json, read_request};

pub const TOKEN: &str = "canary-bearer-5f0c";
pub const KEY: &str = "canary query/key-77";
pub const HEADER: &str = "canary-header-3e1d";

/// The forms in which the secrets travel; none of them may be said.
const SECRETS: [&str; 4] = [TOKEN, KEY, "canary%20query%2Fkey-77", HEADER];

/// A connector whose requests carry a bearer token, a query parameter and a header that are secrets.
/// `/bad` is GET `bad`, POST `post` and PUT `put`; `/good` is GET `good`. `more` is laid over it.
pub fn api(base_url: &str, more: &Value) -> Api {
    static ENVIRONMENT: Once = Once::new();
    ENVIRONMENT.call_once(|| {
        // SAFETY: only Rust's std reads the environment of this process, under the lock that this takes too.
        unsafe {
            std::env::set_var("APL_TEST_QUERY_KEY", KEY);
            std::env::set_var("APL_TEST_HEADER", HEADER);
        }
    });
    let mut config = json!({
        "base_url": base_url,
        "retry_count": 1,
        "timeout": 15,
        "auth": {"type": "bearer", "token": TOKEN},
        "headers": {"X-Secret": "${APL_TEST_HEADER}"},
        "endpoints": {
            "bad": {"path": "/bad", "params": {"key": "${APL_TEST_QUERY_KEY}"}},
            "post": {"path": "/bad", "method": "POST", "params": {"key": "${APL_TEST_QUERY_KEY}"}},
            "put": {"path": "/bad", "method": "PUT"},
            "good": {"path": "/good"},
        },
    });
    lay_over(&mut config, more);
    Api::new(&config.to_string()).expect("the configuration is good")
}

fn lay_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

/// A handler that answers `/good` as it should, and every other path with the pieces, each in a write of its
/// own. `Keep` goes on with the next request.
pub fn misbehaving(
    pieces: impl IntoIterator<Item = impl Into<Vec<u8>>>,
    close: Close,
) -> impl Fn(TcpStream, usize) + Send + Sync + 'static {
    let pieces: Vec<Vec<u8>> = pieces.into_iter().map(Into::into).collect();
    move |mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            if request.target() == "/good" {
                if stream.write_all(&ok_json(r#"{"good":true}"#)).is_err() {
                    return;
                }
                continue;
            }
            for piece in &pieces {
                // The client may have seen enough, and gone.
                if stream.write_all(piece).is_err() {
                    return;
                }
            }
            if close != Close::Keep {
                return finish(stream, close);
            }
        }
    }
}

/// A text that anybody may read.
pub fn assert_no_secret(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "a secret is in the {what}: {text}");
    }
}

/// Everything a failure says beside the server's own bytes, which are nobody else's business.
pub fn assert_fault_keeps_secrets(fault: &Fault) {
    assert_no_secret("message", &fault.message);
    assert_no_secret("error's JSON", &fault.json.to_string());
    if let Some(answer) = &fault.response {
        assert_no_secret("refused answer's meta", &answer.meta.to_string());
    }
}

/// The same connector is as good as before.
pub fn assert_still_works(api: &Api) {
    let answer = api.fetch("good", None, None).expect("the next call is a good one");
    assert_eq!(answer.text(), r#"{"good":true}"#);
}

/// A server that answers `/bad` like this, and a connector to it.
pub struct Bench {
    pub server: Server,
    pub api: Api,
}

impl Bench {
    pub fn new(pieces: impl IntoIterator<Item = impl Into<Vec<u8>>>, close: Close) -> Bench {
        Bench::with(pieces, close, &json!({}))
    }

    pub fn with(pieces: impl IntoIterator<Item = impl Into<Vec<u8>>>, close: Close, more: &Value) -> Bench {
        let server = Server::start(misbehaving(pieces, close));
        let api = api(&server.url(), more);
        Bench { server, api }
    }

    /// GETs `/bad`, which fails; one request goes out, no secret is said, and the connector works on.
    pub fn fault(&self) -> Fault {
        self.fault_of(|api| api.fetch("bad", None, None))
    }

    /// As [`Bench::fault`], for any call that makes one request.
    pub fn fault_of(&self, call: impl FnOnce(&Api) -> Result<Answer, Fault>) -> Fault {
        let before = self.server.requests().len();
        let fault = call(&self.api).expect_err("the call fails");
        assert_eq!(self.server.requests().len(), before + 1, "one request: {}", fault.message);
        assert_fault_keeps_secrets(&fault);
        assert_still_works(&self.api);
        assert_eq!(self.server.requests().len(), before + 2, "one more request");
        fault
    }

    /// GETs `/bad`, which is well; so is the next call.
    pub fn answer(&self) -> Answer {
        let before = self.server.requests().len();
        let answer = self.api.fetch("bad", None, None).expect("the call succeeds");
        assert_no_secret("meta", &answer.meta.to_string());
        assert_still_works(&self.api);
        assert_eq!(self.server.requests().len(), before + 2, "two requests");
        answer
    }
}

/// The fault that GET `/bad` is, answered like this.
pub fn fault(answer: impl Into<Vec<u8>>, close: Close) -> Fault {
    Bench::new([answer], close).fault()
}

/// The answer that GET `/bad` is.
pub fn answer(answer: impl Into<Vec<u8>>, close: Close) -> Answer {
    Bench::new([answer], close).answer()
}

/// Status and a part of the message.
pub fn assert_fault(fault: &Fault, status: i32, says: &str) {
    let Fault { name, message, .. } = fault;
    assert_eq!(fault.status, status, "{name}: {message}");
    assert!(message.contains(says), "{message:?} does not say {says:?}");
}
