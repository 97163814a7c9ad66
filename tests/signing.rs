//! The callback that signs requests: what it sees, what it may change, and when it is called.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use api::{AUTH, Api, BUSY, INVALID_ARGUMENT, log_lines};
use serde_json::json;
use support::{Folder, Server, answering, ok_json, response};

fn api(base_url: &str) -> Api {
    let config = json!({
        "base_url": base_url,
        "retry_delay": 0.001,
        "auth": {"type": "bearer", "token": "canary-token"},
        "endpoints": {
            "get": {"path": "/x", "params": {"b": 2}},
            "post": {"path": "/x", "method": "POST"},
        },
    });
    Api::new(&config.to_string()).unwrap()
}

fn good() -> Server {
    Server::start(answering(|_| ok_json("1")))
}

#[test]
fn it_sees_the_request_as_it_goes_out_and_what_it_sets_goes_with_it() {
    let server = good();
    let api = api(&server.url());
    let seen: Arc<Mutex<Vec<_>>> = Arc::default();
    let see = seen.clone();
    api.on_request(move |request| {
        let header = |name: &str| request.header(name);
        see.lock().unwrap().push((
            (request.method(), request.url()),
            (header("host"), header("AUTHORIZATION"), header("Content-Length"), header("X-None")),
            request.body(),
        ));
        request.set_header("x-signature", "canary-signature").unwrap();
        request.set_header("Authorization", "Scheme canary-other").unwrap();
        request.set_query("sig", "canary query").unwrap();
        request.set_query("b", "3").unwrap();
        assert!(request.url().ends_with("?sig=canary%20query&b=3"), "{}", request.url());
        assert_eq!(request.header("X-Signature").as_deref(), Some("canary-signature"));
        0
    })
    .unwrap();
    let (_, log) = log_lines(|| {
        api.fetch("get", None, None).unwrap();
        api.send("post", r#"{"n": 1}"#, None).unwrap()
    });
    let host = Some(server.address().to_string());
    let token = Some("Bearer canary-token".to_owned());
    let url = |query: &str| format!("{}/x{query}", server.url());
    let post = (host.clone(), token.clone(), Some("8".to_owned()), None);
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (("GET".to_owned(), url("?b=2")), (host, token, None, None), Some(Vec::new())),
            (("POST".to_owned(), url("")), post, Some(br#"{"n": 1}"#.to_vec())),
        ]
    );
    for (request, target) in server.requests().iter().zip(["/x?sig=canary%20query&b=3"; 2]) {
        assert_eq!(request.target(), target);
        assert_eq!(request.header("X-Signature"), Some("canary-signature"));
        assert!(request.headers("Authorization").eq(["Scheme canary-other"]));
    }
    assert!(!log.join("\n").contains("canary"), "{log:#?}");
}

#[test]
fn it_is_asked_again_before_each_attempt_and_each_hop_at_home() {
    let server = Server::start(answering({
        let tries = AtomicUsize::new(0);
        move |request| match (request.target(), tries.fetch_add(1, SeqCst)) {
            ("/y?n=2", _) => ok_json("1"),
            (_, 0) => response("503 Later", "", ""),
            _ => response("302 Found", "Location: /y\r\n", ""),
        }
    }));
    let api = api(&server.url());
    let calls = AtomicUsize::new(0);
    api.on_request(move |request| {
        request.set_query("n", &calls.fetch_add(1, SeqCst).to_string()).unwrap();
        0
    })
    .unwrap();
    api.fetch("get", None, None).unwrap();
    let targets: Vec<_> = server.requests().iter().map(|r| r.target().to_owned()).collect();
    assert_eq!(targets, ["/x?b=2&n=0", "/x?b=2&n=1", "/y?n=2"]);
}

#[test]
fn a_refusal_is_an_auth_error_that_names_the_callback_and_its_number() {
    let server = good();
    let api = api(&server.url());
    api.on_request(|_| -17).unwrap();
    let fault = api.fetch("get", None, None).unwrap_err();
    assert_eq!(fault.status, AUTH);
    let message = &fault.message;
    assert!(
        message.contains("apl_connector_on_request") && message.ends_with("it returned -17"),
        "{message}"
    );
    assert_eq!((server.connections(), &fault.json["sent"], fault.retryable), (0, &json!("no"), false));
}

#[test]
fn what_would_break_the_request_is_refused_and_it_goes_out_unbroken() {
    let server = good();
    let api = api(&server.url());
    api.on_request(|request| {
        for (name, value) in [
            ("Content-Length", "5"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"),
            ("X Y", "1"),
            ("", "1"),
            ("X", "a\r\nInjected: b"),
        ] {
            let fault = request.set_header(name, value).unwrap_err();
            assert_eq!(fault.status, INVALID_ARGUMENT, "{name}");
        }
        assert_eq!(request.set_query("", "1").unwrap_err().status, INVALID_ARGUMENT);
        request.set_query("q\r\n", "a&b=c#\r\nX: y").unwrap();
        0
    })
    .unwrap();
    api.fetch("get", None, None).unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!(request.target(), "/x?b=2&q%0D%0A=a%26b%3Dc%23%0D%0AX%3A%20y");
    assert_eq!(request.header("Injected"), None);
}

#[test]
fn a_body_of_files_is_not_in_memory() {
    let (server, folder) = (good(), Folder::new());
    let api = api(&server.url());
    api.on_request(|request| {
        i32::from(request.body().is_some() || request.header("Content-Length").is_some())
    })
    .unwrap();
    let options = json!({"body_file": folder.write("body", "text")}).to_string();
    api.fetch("post", None, &*options).unwrap();
    assert_eq!(server.requests()[0].body_text(), "text");
}

#[test]
fn it_is_set_before_the_first_call_replaced_until_then_and_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let server = good();
    let api = api(&server.url());
    let drops = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let set = |which: usize| {
        let counted = Counted(drops[which].clone());
        api.on_request(move |request| {
            let _ = &counted;
            request.set_header("X-Which", &which.to_string()).unwrap();
            0
        })
    };
    let counts = || drops.each_ref().map(|d| d.load(SeqCst));
    set(0).unwrap();
    set(1).unwrap();
    assert_eq!(counts(), [1, 0, 0]);
    api.fetch("get", None, None).unwrap();
    assert_eq!(set(2).unwrap_err().status, BUSY);
    assert_eq!(counts(), [1, 0, 1]);
    api.fetch("get", None, None).unwrap();
    assert!(server.requests().iter().all(|r| r.header("X-Which") == Some("1")));
    drop(api);
    assert_eq!(counts(), [1, 1, 1]);
}

#[test]
fn the_same_connector_may_be_called_from_within() {
    let server = good();
    let api = Arc::new(api(&server.url()));
    let (inner, depth) = (Arc::downgrade(&api), AtomicUsize::new(0));
    api.on_request(move |request| {
        if depth.fetch_add(1, SeqCst) == 0 {
            let api = inner.upgrade().unwrap();
            request.set_header("X-Token", api.fetch("get", None, None).unwrap().text()).unwrap();
        }
        0
    })
    .unwrap();
    api.fetch("get", None, None).unwrap();
    let tokens: Vec<_> = server.requests().iter().map(|r| r.header("X-Token").map(str::to_owned)).collect();
    assert_eq!(tokens, [None, Some("1".to_owned())]);
}

#[test]
fn explaining_asks_nobody() {
    let api = api("http://127.0.0.1:9");
    api.on_request(|_| panic!("it was asked")).unwrap();
    api.explain("get", None, None).unwrap();
}
