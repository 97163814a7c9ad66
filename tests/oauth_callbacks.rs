//! OAuth 2.0: a callback of a call asks for a token while a thread of that call is getting one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/people.rs"]
mod people;
mod support;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use api::{Api, Event, Fault, Progress};
use people::{bearers, hour, token};
use serde_json::{Value, json};
use support::{Folder, Gate, Request, Server, ok_json, read_request};

/// Within this a call ends well, or it hangs.
const PATIENCE: &str = r#"{"deadline": 10}"#;

fn connect(server: &Server, further: Value) -> Api {
    let mut config = json!({
        "base_url": server.url(),
        "auth": {
            "type": "oauth2_refresh", "client_id": "client-id-1", "refresh_token": "canary-refresh-0",
            "token_url": format!("{}/token", server.url()),
        },
        "endpoints": {
            "get": {"path": "/x"},
            "pages": {"path": "/x", "pagination": {"style": "page_number", "page_size": 1, "data_path": "data"}},
            "events": {"path": "/events", "sse": {
                "reconnect_delay": 0.001, "chunk_size": 1, "max_events": 3, "drop_policy": "drop_oldest",
            }},
        },
    });
    config.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    Api::new(&config.to_string()).unwrap()
}

/// A token endpoint that says when it was asked, and answers only when a callback has begun.
#[derive(Clone, Default)]
struct Meeting {
    asked: Gate,
    begun: Gate,
}

impl Meeting {
    fn of_token(&self, n: usize) -> Vec<u8> {
        self.asked.open();
        self.begun.wait();
        hour(n)
    }

    /// In a callback, while the token is on its way.
    fn fetch(&self, api: &Api) -> Result<i32, Fault> {
        self.asked.wait();
        self.begun.open();
        api.fetch("get", None, PATIENCE).map(|answer| answer.status)
    }
}

/// Downloads, with a progress callback that fetches, in that way, once.
fn download(api: &Api, fetch: impl Fn(&Api) -> Result<i32, Fault>) -> Result<i32, Fault> {
    let (folder, mut inner) = (Folder::new(), None);
    let mut progress = |_: &Progress| {
        inner.get_or_insert_with(|| fetch(api));
        0
    };
    api.download_until("get", &folder.path().join("file"), PATIENCE, Some(&mut progress), None).unwrap();
    inner.unwrap()
}

#[test]
fn a_progress_callback_waits_for_the_token_that_its_own_download_asks_for() {
    let meeting = Meeting::default();
    let there = meeting.clone();
    let server = people::server(move |_, n, _| there.of_token(n));
    let api = connect(&server, json!({}));
    api.on_token(|_| 0).unwrap();
    assert_eq!(download(&api, |api| meeting.fetch(api)).unwrap(), 200);
    assert_eq!(bearers(&server), ["Bearer canary-token-1"; 2]);
}

#[test]
fn a_download_within_a_callback_of_a_download_waits_for_the_token_of_the_outer_one() {
    let meeting = Meeting::default();
    let there = meeting.clone();
    let server = people::server(move |_, n, _| there.of_token(n));
    let api = connect(&server, json!({}));
    api.on_token(|_| 0).unwrap();
    let within = |api: &Api| {
        meeting.asked.wait();
        meeting.begun.open();
        download(api, |api| meeting.fetch(api))
    };
    assert_eq!(download(&api, within).unwrap(), 200);
    assert_eq!(bearers(&server), ["Bearer canary-token-1"; 3]);
}

#[test]
fn a_callback_that_gets_events_waits_for_the_token_of_the_connection_that_follows() {
    let meeting = Meeting::default();
    let (there, asked) = (meeting.clone(), AtomicUsize::new(0));
    // Each connection has one event, and wants a token of its own.
    let server = Server::start(move |mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            let answer = match request.target() {
                "/events" => {
                    let head =
                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
                    let _ = stream.write_all(format!("{head}data: 1\n\n").as_bytes());
                    return;
                }
                "/token" => match asked.fetch_add(1, SeqCst) + 1 {
                    1 => token(1, json!({"expires_in": 0})),
                    n => there.of_token(n),
                },
                _ => ok_json("1"),
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    });
    let api = connect(&server, json!({}));
    api.on_token(|_| 0).unwrap();
    let mut inner = Vec::new();
    let mut events = |_: &[Event]| {
        inner.push(meeting.fetch(&api).unwrap());
        0
    };
    api.consume("events", PATIENCE, Some(&mut events), None).unwrap();
    assert_eq!(inner, [200; 3]);
}

/// A server that gives the first token for one request, and lets the second one meet a callback; and a connector whose
/// first request callback fetches.
fn signing(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> (Server, Arc<Api>, Inner) {
    let meeting = Meeting::default();
    let (there, asked) = (meeting.clone(), AtomicUsize::new(0));
    let server = Server::start(support::answering(move |request| match request.target() {
        "/token" => match asked.fetch_add(1, SeqCst) + 1 {
            1 => token(1, json!({"expires_in": 0})),
            n => there.of_token(n),
        },
        _ => answer(request),
    }));
    let api = Arc::new(connect(&server, json!({})));
    let inner = Inner::default();
    let (same, saw, count) = (Arc::downgrade(&api), inner.clone(), AtomicUsize::new(0));
    api.on_token(|_| 0).unwrap();
    api.on_request(move |_| {
        if count.fetch_add(1, SeqCst) == 0 {
            let status = meeting.fetch(&same.upgrade().unwrap());
            saw.lock().unwrap().push(status.map_err(|fault| fault.message));
        }
        0
    })
    .unwrap();
    (server, api, inner)
}

type Inner = Arc<Mutex<Vec<Result<i32, String>>>>;

#[test]
fn a_request_callback_of_one_lane_waits_for_the_token_that_another_lane_asks_for() {
    let (_server, api, inner) = signing(|_| ok_json("1"));
    api.send("get", "[{}, {}, {}]", r#"{"concurrency": 3, "deadline": 10}"#).unwrap();
    assert_eq!(*inner.lock().unwrap(), [Ok(200)]);
}

#[test]
fn a_request_callback_of_one_page_waits_for_the_token_that_another_page_asks_for() {
    let (_server, api, inner) = signing(|request| {
        let page = request.target().split("page=").nth(1).unwrap_or_default().chars().next();
        ok_json(match page {
            Some(page @ '1'..='3') => format!(r#"{{"data": [{page}]}}"#),
            _ => r#"{"data": []}"#.into(),
        })
    });
    let answer = api.fetch("pages", None, r#"{"prefetch": 3, "deadline": 10}"#).unwrap();
    assert_eq!(answer.json(), json!([1, 2, 3]));
    assert_eq!(*inner.lock().unwrap(), [Ok(200)]);
}
