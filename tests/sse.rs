//! Server-sent events: every event with an id exactly once, in order, whatever becomes of the connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/events.rs"]
mod events;
mod support;

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use api::{
    AUTH, Api, CANCELLED, CONNECT, Cancel, Event, Fault, HTTP_STATUS, INVALID_ARGUMENT, INVALID_CONFIG, Next,
    PROTOCOL, RATE_LIMITED, REDIRECT, Stream, TIMEOUT, TOO_LARGE, TRUNCATED,
};
use events::{HEAD, events, script};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::tls::{Ca, Leaf, TlsClose, TlsServer};
use support::{
    Close, Folder, Gate, Server, answering, finish, ok_json, read_request, refused_address, response,
};

const SLACK: Duration = Duration::from_secs(1);

fn api_of(endpoint: Value, base_url: &str) -> Api {
    let config = json!({
        "base_url": base_url,
        "timeout": 15,
        "auth": {"type": "bearer", "token": "canary-token"},
        "endpoints": {"feed": endpoint, "good": {"path": "/good"}},
    });
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message))
}

fn api(base_url: &str, sse: Value) -> Api {
    let mut keys = json!({"reconnect_delay": 0.01});
    keys.as_object_mut().unwrap().extend(sse.as_object().unwrap().clone());
    api_of(json!({"path": "/feed", "sse": keys}), base_url)
}

/// Reads to the end; how it ended.
fn collect(stream: &Stream) -> (Vec<Event>, Result<(), Fault>) {
    let mut all = Vec::new();
    loop {
        match stream.next() {
            Ok(Next::Item(item)) => {
                let event = stream.event().expect("an item is an event");
                assert_eq!(event.data.as_bytes(), item);
                all.push(event);
            }
            Ok(Next::End) => return (all, Ok(())),
            Ok(Next::Idle) => {}
            Err(fault) => return (all, Err(fault)),
        }
    }
}

fn data(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.data.as_str()).collect()
}

fn fails<T>(outcome: Result<T, Fault>, status: i32, words: &str) -> Fault {
    let Err(fault) = outcome else { panic!("it went well, and not with {words}") };
    assert_eq!(fault.status, status, "{} {}", fault.name, fault.message);
    assert!(fault.message.contains(words), "{words:?} is not in {:?}", fault.message);
    assert!(!fault.everything().contains("canary"), "{}", fault.everything());
    fault
}

/// What a stream of this one connection gives before the 204.
fn one(body: &str, sse: Value) -> (Vec<Event>, Result<(), Fault>) {
    let server = script([events(body)]);
    collect(&api(&server.url(), sse).sse("feed", None, None, None).unwrap())
}

#[test]
fn the_standards_events_come_however_they_are_sent() {
    let body = "\u{feff}: hello\nid: 1\nevent: add\ndata: {\"n\": 1.50}\nretry: 20\r\n\r\ndata: two\rdata: lines\r\rid\ndata: \u{fc}\n\n\
                data\n\nevent: x\n\ndata: never";
    let chunked = |size: usize| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=latin1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in body.as_bytes().chunks(size) {
            bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
            bytes.extend_from_slice(piece);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    };
    let length = response("200 OK", "Content-Type: text/event-stream;\r\n", body);
    for answer in [events(body), length, chunked(1), chunked(7), chunked(1000)] {
        let server = script([answer]);
        let stream = api(&server.url(), json!({})).sse("feed", None, None, None).unwrap();
        let (all, end) = collect(&stream);
        let seen: Vec<_> =
            all.iter().map(|e| (e.name.as_str(), e.id.as_deref(), e.data.as_str(), e.retry_ms)).collect();
        let expected = [
            ("add", Some("1"), "{\"n\": 1.50}", 20),
            ("message", Some("1"), "two\nlines", -1),
            ("message", None, "\u{fc}", -1),
            ("message", None, "", -1),
        ];
        assert_eq!(seen, expected);
        assert_eq!(all[0].json["data"], json!({"n": 1.5}));
        assert_eq!(all[1].json["data"], "two\nlines");
        fails(end, PROTOCOL, "answered 204");
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_request_says_what_it_wants_unless_it_is_told_otherwise() {
    let server = script([events("data: x\n\n"), events("data: x\n\n")]);
    let _ = collect(&api(&server.url(), json!({"max_events": 1})).sse("feed", None, None, None).unwrap());
    let endpoint = json!({"path": "/feed", "headers": {"Accept": "x/y"}, "sse": {"max_events": 1}});
    let options =
        json!({"extra_headers": {"cache-control": "max-age=5", "Accept-Encoding": "br"}}).to_string();
    let _ = collect(&api_of(endpoint, &server.url()).sse("feed", None, &*options, None).unwrap());
    let requests = server.requests();
    let sent = |n: usize| {
        ["Accept", "Cache-Control", "Accept-Encoding", "Last-Event-ID"]
            .map(|name| requests[n].header(name).map(str::to_owned))
    };
    let text = |t: &str| Some(t.to_owned());
    assert_eq!(sent(0), [text("text/event-stream"), text("no-cache"), text("identity"), None]);
    assert_eq!(sent(1), [text("x/y"), text("max-age=5"), text("br"), None]);
}

#[test]
fn a_cut_stream_goes_on_behind_the_last_whole_event() {
    let server = script([
        events("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: cut"),
        events("data: c\n\nid: \u{2026}\ndata: d\n\nid: lost\n"),
        events("id: a\0b\n\nid\ndata: e\n\n"),
        events("data: f\n\n"),
    ]);
    let stream = api(&server.url(), json!({})).sse("feed", None, None, None).unwrap();
    let (all, end) = collect(&stream);
    let ids: Vec<_> = all.iter().map(|e| (e.id.as_deref(), e.data.as_str())).collect();
    let expected = [
        (Some("1"), "a"),
        (Some("2"), "b"),
        (Some("2"), "c"),
        (Some("\u{2026}"), "d"),
        (None, "e"),
        (None, "f"),
    ];
    assert_eq!(ids, expected);
    fails(end, PROTOCOL, "204");
    let sent: Vec<_> =
        server.requests().iter().map(|r| r.header("Last-Event-ID").map(str::to_owned)).collect();
    let text = |t: &str| Some(t.to_owned());
    assert_eq!(sent, [None, text("2"), text("\u{2026}"), None, None]);
    assert_eq!(stream.response().unwrap().meta["reconnects"], 3);
}

#[test]
fn over_tls_every_event_comes_once_however_its_connection_ends() {
    const ALL: usize = 90;
    // Some are larger than a record of TLS, and some share one.
    let event = |n: usize| format!("{n} {}", "x".repeat([0, 40_000, 16_384, 7][n % 4]));
    let ca = Ca::new();
    let server = TlsServer::start(ca.identity(Leaf::Good), move |stream, number| {
        let Some(request) = read_request(stream) else { return TlsClose::Fin };
        let from = request.header("Last-Event-ID").map_or(0, |id| id.parse::<usize>().unwrap() + 1);
        let events = (from..ALL.min(from + 10)).map(|n| format!("id: {n}\ndata: {}\n\n", event(n)));
        let cut = "id: 1000\ndata: cut";
        let _ = stream.write_all(format!("{HEAD}{}{cut}", events.collect::<String>()).as_bytes());
        [TlsClose::Notify, TlsClose::Fin][number % 2]
    });
    let folder = Folder::new();
    let config = json!({
        "base_url": server.url(),
        "tls": {"ca_file": folder.write("ca.pem", ca.pem())},
        "endpoints": {"feed": {"path": "/feed", "sse": {"reconnect_delay": 0.01, "max_events": ALL}}},
    });
    let api = Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message));
    let (all, end) = collect(&api.sse("feed", None, None, None).unwrap());
    end.unwrap_or_else(|e| panic!("{}", e.message));
    assert!(all.iter().map(|e| e.data.clone()).eq((0..ALL).map(event)), "{} events", all.len());
    assert_eq!(server.server.requests().len(), ALL / 10);
}

#[test]
fn what_a_server_refuses_is_not_asked_for_again() {
    let html = response("200 OK", "Content-Type: text/html\r\n", "<p>no");
    let partial =
        response("206 Part", "Content-Type: text/event-stream\r\nContent-Range: bytes 0-0/9\r\n", "x");
    for (answer, status, words) in [
        (response("204 No Content", "", ""), PROTOCOL, "answered 204"),
        (response("205 Reset", "Content-Type: text/event-stream\r\n", ""), PROTOCOL, "answered 205"),
        (partial, PROTOCOL, "answered 206"),
        (html, PROTOCOL, "its type is `text/html`, and a stream of events is text/event-stream"),
        (response("200 OK", "", ""), PROTOCOL, "its type is ``"),
        (response("401 No", "", "who?"), AUTH, "answered 401"),
        (response("403 No", "", ""), AUTH, "answered 403"),
        (response("404 No", "", ""), HTTP_STATUS, "answered 404"),
        (response("410 Gone", "", ""), HTTP_STATUS, "answered 410"),
        (response("304 Not Modified", "", ""), HTTP_STATUS, "304"),
    ] {
        // At once, and after events.
        let server = script([answer.clone()]);
        let api_ = api(&server.url(), json!({}));
        let fault = fails(api_.sse("feed", None, None, None), status, words);
        assert_eq!(fault.http_status.to_string(), String::from_utf8_lossy(&answer)[9..12]);
        assert_eq!(server.requests().len(), 1, "{words}");
        let server = script([events("data: x\n\n"), answer]);
        let stream = api(&server.url(), json!({})).sse("feed", None, None, None).unwrap();
        let (all, end) = collect(&stream);
        assert_eq!(data(&all), ["x"]);
        fails(end, status, words);
        fails(stream.next(), status, words);
        assert!(stream.event().is_none());
        assert_eq!(server.requests().len(), 2, "{words}");
    }
    let server = script([response("200 OK", "Content-Type: text/html\r\n", "<p>no")]);
    let fault = api(&server.url(), json!({})).sse("feed", None, None, None).unwrap_err();
    assert_eq!(fault.response_body, b"<p>no", "what it said instead");
}

#[test]
fn what_may_pass_is_waited_for_and_the_waits_have_their_floors() {
    let begun = Instant::now();
    let server = script([
        response("500 Broken", "", ""),
        response("502 Bad Gateway", "", ""),
        response("408 Slow", "", ""),
        response("425 Early", "", ""),
        response("429 Many", "", ""),
        response("503 Later", "Retry-After: 1\r\n", ""),
        events("retry: 300\n\ndata: x\n\n"),
        events("data: y\n\n"),
    ]);
    let api_ = api(&server.url(), json!({"max_events": 2}));
    let stream = api_.sse("feed", None, None, None).unwrap();
    // The first attempt has failed, and the stream is there.
    assert_eq!(stream.response().unwrap().status, 500);
    let (all, end) = collect(&stream);
    assert_eq!(data(&all), ["x", "y"]);
    end.unwrap();
    // 10, 20, 40, 80, 160 ms of backoff, a second of Retry-After, and the time that the server has named.
    let floor = Duration::from_millis(10 + 20 + 40 + 80 + 160 + 1000 + 300);
    let took = begun.elapsed();
    assert!(took >= floor && took < floor.mul_f64(1.25) + SLACK, "{took:?}");
    assert_eq!(server.requests().len(), 8);
}

#[test]
fn attempts_in_a_row_have_an_end_by_the_last_error_or_by_a_close() {
    let address = format!("http://{}", refused_address());
    let stream = api(&address, json!({"max_reconnect_attempts": 3})).sse("feed", None, None, None).unwrap();
    assert!(stream.response().is_none());
    fails(collect(&stream).1, CONNECT, "refused");
    let none = api(&address, json!({"reconnect": false}));
    fails(none.sse("feed", None, None, None), CONNECT, "refused");
    fails(
        api(&address, json!({"max_reconnect_attempts": 0})).sse("feed", None, None, None),
        CONNECT,
        "refused",
    );
    // A close without an event is a failure, and behind the last attempt an end.
    let server = script(vec![events(": nothing\n\n"); 9]);
    let stream =
        api(&server.url(), json!({"max_reconnect_attempts": 3})).sse("feed", None, None, None).unwrap();
    collect(&stream).1.unwrap();
    assert_eq!(server.requests().len(), 4);
    // An event begins the row again.
    let mut answers = vec![events("data: x\n\n"); 5];
    answers.push(events(""));
    let server = script(answers);
    let stream =
        api(&server.url(), json!({"max_reconnect_attempts": 1})).sse("feed", None, None, None).unwrap();
    let (all, end) = collect(&stream);
    assert_eq!((all.len(), end.is_ok(), server.requests().len()), (5, true, 6));
    let server = script([response("429 Many", "Retry-After: 7\r\n", "")]);
    let fault = fails(
        api(&server.url(), json!({"reconnect": false})).sse("feed", None, None, None),
        RATE_LIMITED,
        "429",
    );
    assert_eq!(fault.retry_after_ms, 7000);
}

#[test]
fn a_time_from_the_server_is_kept_within_the_clamp() {
    for time in ["1000000000000000000", "99999999999999999999999999", "0", "-1", "abc", "1.5"] {
        let begun = Instant::now();
        let server = script([events(&format!("retry: {time}\ndata: x\n\n")), events("data: y\n\n")]);
        let sse = json!({"max_events": 2, "reconnect_clamp": [0.05, 0.2]});
        let (all, end) = collect(&api(&server.url(), sse).sse("feed", None, None, None).unwrap());
        end.unwrap();
        assert_eq!(data(&all), ["x", "y"]);
        let floor = Duration::from_millis(if time.len() > 10 { 200 } else { 50 });
        assert!(begun.elapsed() >= floor && begun.elapsed() < floor + SLACK, "{time}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_redirect_to_another_origin_is_followed_bare() {
    let other = script([events("id: 9\ndata: there\n\n")]);
    let away = format!("{}/elsewhere", other.url());
    let server = script([
        events("id: canary-id\ndata: here\n\n"),
        response("307 Over There", &format!("Location: {away}\r\n"), ""),
    ]);
    let endpoint = json!({
        "path": "/feed", "headers": {"X-Mine": "canary-header"}, "sse": {"reconnect_delay": 0.01, "max_events": 2},
    });
    let (all, end) = collect(&api_of(endpoint, &server.url()).sse("feed", None, None, None).unwrap());
    end.unwrap();
    assert_eq!(data(&all), ["here", "there"]);
    assert_eq!(server.requests()[1].header("Last-Event-ID"), Some("canary-id"));
    let bare = &other.requests()[0];
    assert!(!bare.head.contains("canary") && bare.header("Authorization").is_none(), "{}", bare.head);
    assert_eq!(bare.header("Accept"), Some("text/event-stream"));
    let server = script([response("307 Over There", &format!("Location: {away}\r\n"), "")]);
    let endpoint = json!({"path": "/feed", "method": "POST", "sse": {"reconnect": true}});
    let posting = api_of(endpoint, &server.url());
    fails(posting.sse("feed", None, r#"{"data": {"a": 1}}"#, None), REDIRECT, "not followed");
    assert_eq!((other.requests().len(), server.requests().len()), (1, 1));
}

#[test]
fn an_event_without_an_end_stops_at_its_limit() {
    let endless = |line: &'static str| {
        Server::start(move |mut stream, _| {
            if read_request(&mut stream).is_some() {
                let _ = stream.write_all(format!("{HEAD}data: begin\n").as_bytes());
                let piece = line.repeat(64 * 1024 / line.len());
                // A GiB, if it is taken.
                for _ in 0..16 * 1024 {
                    if stream.write_all(piece.as_bytes()).is_err() {
                        return;
                    }
                }
            }
        })
    };
    for line in ["x", "data: x\n", "data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"] {
        let server = endless(line);
        let before = resident();
        let stream = api(&server.url(), json!({})).sse("feed", None, None, None).unwrap();
        let (all, end) = collect(&stream);
        assert_eq!(all.len(), 0);
        fails(end, TOO_LARGE, "an event of more than 4194304 bytes (limits.max_event)");
        assert_eq!(server.requests().len(), 1, "it would be the same again");
        assert!(resident() < before + (40 << 20), "{} KiB more", (resident() - before) >> 10);
    }
    let large = "x".repeat(1000);
    let server = script([events(&format!("data: {large}\n\ndata: {large}x\n\n"))]);
    let stream = api(&server.url(), json!({}));
    let stream = stream.sse("feed", None, r#"{"limits": {"max_event": 1000}}"#, None).unwrap();
    let (all, end) = collect(&stream);
    assert_eq!(data(&all), [large]);
    fails(end, TOO_LARGE, "more than 1000 bytes");
}

#[test]
fn silence_is_a_failure_and_any_byte_is_none() {
    let server = Server::start(|mut stream, number| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(events(&format!("id: {number}\ndata: {number}\n\n")).as_slice());
            if number < 2 {
                return finish(stream, Close::Keep);
            }
            // Comments alone, for four times as long as silence may last.
            for _ in 0..40 {
                std::thread::sleep(Duration::from_millis(40));
                if stream.write_all(b":\n").is_err() {
                    return;
                }
            }
            let _ = stream.write_all(b"data: last\n\n");
        }
    });
    let sse = json!({"read_timeout": 0.4, "max_events": 4});
    let begun = Instant::now();
    let (all, end) = collect(&api(&server.url(), sse).sse("feed", None, None, None).unwrap());
    end.unwrap();
    assert_eq!(data(&all), ["0", "1", "2", "last"], "comments are nobody's events");
    assert!(begun.elapsed() >= Duration::from_millis(2400), "{:?}", begun.elapsed());
    let ids: Vec<_> =
        server.requests().iter().map(|r| r.header("Last-Event-ID").map(str::to_owned)).collect();
    assert_eq!(ids, [None, Some("0".to_owned()), Some("1".to_owned())]);
    // Where nothing is gone on with, it is the error.
    let server = Server::start(|mut stream, _| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(HEAD.as_bytes());
            finish(stream, Close::Keep);
        }
    });
    let options = r#"{"reconnect": false, "read_timeout": 0.2}"#;
    let stream = api(&server.url(), json!({})).sse("feed", None, options, None).unwrap();
    fails(collect(&stream).1, TIMEOUT, "timed out");
}

/// A server that sends an event and is silent then.
fn one_event() -> Server {
    Server::start(|mut stream, _| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(&events("id: 1\ndata: x\n\n"));
            finish(stream, Close::Keep);
        }
    })
}

#[test]
fn a_cancel_ends_a_read_and_a_wait_at_once() {
    let server = one_event();
    let refused = format!("http://{}", refused_address());
    for (url, delay, close) in [
        (server.url(), 0.01, false),
        (server.url(), 0.01, true),
        (refused.clone(), 60.0, false),
        (refused, 60.0, true),
    ] {
        let api_ = api(&url, json!({"reconnect_delay": delay}));
        let cancel = Cancel::new();
        let stream = api_.sse("feed", None, None, Some(&cancel)).unwrap();
        if delay < 1.0 {
            assert_eq!(stream.next().unwrap(), Next::Item(b"x".to_vec()));
        }
        let (end, took) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| (stream.next_looked_at(), Instant::now()));
            while !stream.is_in_use() && !reader.is_finished() {
                std::thread::yield_now();
            }
            let begun = Instant::now();
            if close {
                stream.close()
            } else {
                cancel.trigger()
            }
            let (end, at) = reader.join().unwrap();
            (end, at.saturating_duration_since(begun))
        });
        fails(end, CANCELLED, "cancelled");
        fails(stream.next(), CANCELLED, "cancelled");
        assert!(took < SLACK, "{took:?}");
        assert_eq!(stream.checkpoint().is_some(), delay < 1.0, "it still answers");
    }
}

#[test]
fn nothing_yet_is_idle_also_between_two_connections() {
    let gate = Gate::new();
    let opened = gate.clone();
    let server = Server::start(move |mut stream, number| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(&events("da"));
            if number == 0 {
                opened.wait();
                let _ = stream.write_all(b"ta: one\n\n");
            }
        }
    });
    let api_ = api(&server.url(), json!({"reconnect_delay": 60}));
    for wait in [0.0, 0.02] {
        let stream = api_.sse("feed", None, &*json!({"wait": wait}).to_string(), None).unwrap();
        if wait == 0.0 {
            for _ in 0..3 {
                assert_eq!(stream.next().unwrap(), Next::Idle);
                assert!(stream.event().is_none());
            }
            gate.open();
            let first = loop {
                match stream.next().unwrap() {
                    Next::Idle => std::thread::yield_now(),
                    other => break other,
                }
            };
            assert_eq!(first, Next::Item(b"one".to_vec()));
        }
        // The server closes, and the next connection is a minute away.
        let begun = Instant::now();
        for _ in 0..5 {
            assert_eq!(stream.next().unwrap(), Next::Idle);
        }
        assert!(begun.elapsed() >= Duration::from_secs_f64(wait) && begun.elapsed() < SLACK);
    }
}

#[test]
fn a_checkpoint_goes_on_in_another_stream() {
    let server = script([
        events("id: first \u{fc}\ndata: a\n\nid: second\ndata: b\n\n"),
        events("data: b\n\n"),
        events("data: c\n\n"),
    ]);
    let api_ = api(&server.url(), json!({"last_event_id": "zero"}));
    let stream = api_.sse("feed", None, None, None).unwrap();
    stream.next().unwrap();
    let checkpoint = stream.checkpoint().unwrap();
    assert!(
        !checkpoint.contains("first")
            && checkpoint.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
    );
    drop(stream);
    let options = json!({"checkpoint": checkpoint, "max_events": 1}).to_string();
    let (all, end) = collect(&api_.sse("feed", None, &*options, None).unwrap());
    end.unwrap();
    assert_eq!((all[0].id.as_deref(), all[0].data.as_str()), (Some("first \u{fc}"), "b"));
    let options = r#"{"last_event_id": "mine", "max_events": 1}"#;
    collect(&api_.sse("feed", None, options, None).unwrap()).1.unwrap();
    let ids: Vec<_> =
        server.requests().iter().map(|r| r.header("Last-Event-ID").unwrap().to_owned()).collect();
    assert_eq!(ids, ["zero", "first \u{fc}", "mine"]);
    fails(api_.sse("feed", None, r#"{"checkpoint": "x"}"#, None), INVALID_ARGUMENT, "/checkpoint");
    fails(
        api_.sse("good", None, &*json!({"checkpoint": checkpoint}).to_string(), None),
        INVALID_ARGUMENT,
        "another endpoint",
    );
}

#[test]
fn a_post_is_sent_again_only_where_that_is_said() {
    for (sse, requests) in [(json!({}), 1), (json!({"reconnect": true, "max_events": 2}), 2)] {
        let server = script([events("id: 1\ndata: x\n\n"), events("data: y\n\n")]);
        let endpoint = json!({"path": "/feed", "method": "POST", "body_template": {"a": 1}, "sse": sse});
        let stream =
            api_of(endpoint, &server.url()).sse("feed", None, r#"{"data": {"b": 2}}"#, None).unwrap();
        let (all, end) = collect(&stream);
        assert_eq!((all.len(), end.is_ok()), (requests, true));
        let sent = server.requests();
        assert_eq!(sent.len(), requests);
        assert!(sent.iter().all(|r| r.body_text() == r#"{"a":1,"b":2}"#));
    }
    // Also one that was never processed: the caller has not said so.
    let server = script([response("503 Later", "", ""), events("data: x\n\n")]);
    let endpoint = json!({"path": "/feed", "method": "POST"});
    fails(api_of(endpoint, &server.url()).sse("feed", None, None, None), HTTP_STATUS, "503");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn comments_and_what_happens_to_connections_come_where_they_are_asked_for() {
    let server = script([
        events(": hello\n\ndata: x\n:\n: in between\ndata: y\n\n"),
        response("503 Later", "", ""),
        events("data: z\n\n"),
    ]);
    let sse = json!({"comments": true, "lifecycle": true});
    let stream = api(&server.url(), sse).sse("feed", None, None, None).unwrap();
    let (all, end) = collect(&stream);
    fails(end, PROTOCOL, "204");
    let seen: Vec<_> = all.iter().map(|e| (e.kind, e.name.as_str(), e.data.as_str())).collect();
    let (connected, closed) = ((2, "connected", ""), (3, "disconnected", "the server closed the stream"));
    let expected = [
        connected,
        (1, "comment", "hello"),
        (1, "comment", ""),
        (1, "comment", "in between"),
        (0, "message", "x\ny"),
        closed,
    ];
    assert_eq!(seen[..6], expected);
    assert!(seen[6].0 == 3 && seen[6].2.contains("answered 503"), "{:?}", seen[6]);
    assert_eq!(seen[7..9], [connected, (0, "message", "z")]);
    assert_eq!(seen[9], closed);
    assert!(seen[10].0 == 3 && seen[10].2.contains("204"), "{:?}", seen[10]);
    assert_eq!(seen.len(), 11);
    // The wait until the next one; behind the last there is none.
    assert!(all[5].retry_ms >= 10 && all[6].retry_ms >= 10 && all[10].retry_ms == -1);
    let (all, _) = one(": hello\n\ndata: x\n\n", json!({}));
    assert_eq!(data(&all), ["x"]);
}

#[test]
fn an_end_after_so_many_events_is_the_callers() {
    let server = script([events("data: 1\n\ndata: 2\n\ndata: 3\n\n")]);
    let api_ = api(&server.url(), json!({"max_events": 9, "decode_json": false}));
    let stream = api_.sse("feed", None, r#"{"max_events": 2}"#, None).unwrap();
    let (all, end) = collect(&stream);
    end.unwrap();
    assert_eq!(data(&all), ["1", "2"]);
    assert_eq!(all[0].json["data"], "1", "decode_json is false");
    assert_eq!(stream.next().unwrap(), Next::End);
    assert!(stream.event().is_none() && stream.progress().unwrap().done);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_is_sent_again_is_delivered_again() {
    let server = script([events("id: 1\ndata: x\n\n"), events("id: 1\ndata: x\n\nid: 2\ndata: y\n\n")]);
    let stream = api(&server.url(), json!({})).sse("feed", None, None, None).unwrap();
    assert_eq!(data(&collect(&stream).0), ["x", "x", "y"]);
}

#[test]
fn a_coding_that_nobody_asked_for_comes_off_as_the_events_come() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"id: 1\ndata: x\n\ndata: y\n\n").unwrap();
    let gzip = encoder.finish().unwrap();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n";
    let whole = [format!("{head}Content-Length: {}\r\n\r\n", gzip.len()).as_bytes(), &gzip].concat();
    let server = script([whole]);
    let (all, _) = collect(&api(&server.url(), json!({})).sse("feed", None, None, None).unwrap());
    assert_eq!(data(&all), ["x", "y"]);
    let broken = format!("{head}Content-Length: 4\r\n\r\nnope");
    let server = script([broken]);
    let stream = api(&server.url(), json!({})).sse("feed", None, None, None).unwrap();
    fails(collect(&stream).1, api::DECODE, "gzip");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn each_connection_is_signed_afresh() {
    let server = script([events("data: 1\n\n"), events("data: 2\n\n"), events("data: 3\n\n")]);
    let api_ = api(&server.url(), json!({"max_events": 3}));
    let count = Mutex::new(0);
    api_.on_request(move |request| {
        let mut count = count.lock().unwrap();
        *count += 1;
        request.set_header("X-Signature", &format!("s{count}")).unwrap();
        0
    })
    .unwrap();
    let mut seen = 0;
    // Also where a thread of the call reads: it is still the caller's thread that signs.
    let options = r#"{"drop_policy": "drop_oldest"}"#;
    let mut take = |events: &[Event]| {
        seen += events.len();
        0
    };
    api_.consume("feed", options, Some(&mut take), None).unwrap();
    assert_eq!(seen, 3);
    let signatures: Vec<_> =
        server.requests().iter().map(|r| r.header("X-Signature").unwrap().to_owned()).collect();
    assert_eq!(signatures, ["s1", "s2", "s3"]);
}

#[test]
fn a_sentinel_ends_an_answer_and_an_end_before_it_is_none() {
    let chunk = |text: &str| format!("data: {{\"delta\":\"{text}\"}}\n\n");
    let endpoint = json!({
        "path": "/chat", "method": "POST", "sse": {"sentinel": "[DONE]", "error_path": "error"},
    });
    let ask = |body: String| {
        let server = script([events(&body)]);
        let stream = api_of(endpoint.clone(), &server.url())
            .sse("feed", None, r#"{"data": {"m": []}}"#, None)
            .unwrap();
        let outcome = collect(&stream);
        assert_eq!(server.requests().len(), 1);
        outcome
    };
    let (all, end) = ask(chunk("Hel") + &chunk("lo") + "data: [DONE]\n\ndata: more\n\n");
    end.unwrap();
    assert_eq!(data(&all), ["{\"delta\":\"Hel\"}", "{\"delta\":\"lo\"}"]);
    let (all, end) = ask(chunk("Hel") + &chunk("lo"));
    assert_eq!(all.len(), 2);
    let fault = fails(end, TRUNCATED, "before the event that ends it (sentinel)");
    assert_eq!(fault.partial.unwrap().text(), "{\"delta\":\"Hel\"}\n{\"delta\":\"lo\"}");
    let (all, end) = ask(chunk("Hel") + "data: {\"error\": {\"message\": \"overloaded canary-token\"}}\n\n");
    assert_eq!(all.len(), 1);
    let fault = end.unwrap_err();
    assert_eq!((fault.status, fault.http_status), (HTTP_STATUS, 200), "{}", fault.message);
    assert!(fault.message.contains("(error_path): overloaded ***"), "{}", fault.message);
    assert_eq!(fault.partial.unwrap().text(), "{\"delta\":\"Hel\"}");
    assert!(fault.response.unwrap().text().contains("overloaded"), "the event itself");
    // Cut by a reset, it is the same.
    let server = Server::start(move |mut stream, _| {
        if read_request(&mut stream).is_some() {
            let body = chunk("Hel");
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = stream.write_all(format!("{head}{:x}\r\n{body}\r\n", body.len()).as_bytes());
        }
    });
    let stream = api_of(endpoint.clone(), &server.url()).sse("feed", None, None, None).unwrap();
    let fault = fails(collect(&stream).1, TRUNCATED, "before the last chunk");
    assert_eq!(fault.partial.unwrap().text(), "{\"delta\":\"Hel\"}");
    // A GET does not begin again by itself: it would give the beginning twice.
    let server = script([events("data: a\n\n"), events("data: a\n\ndata: [DONE]\n\n")]);
    let api_ = api(&server.url(), json!({"sentinel": "[DONE]"}));
    fails(collect(&api_.sse("feed", None, None, None).unwrap()).1, TRUNCATED, "sentinel");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_deadline_is_the_whole_calls() {
    let server = one_event();
    let options = r#"{"deadline": 0.3}"#;
    let begun = Instant::now();
    let stream = api(&server.url(), json!({})).sse("feed", None, options, None).unwrap();
    let (all, end) = collect(&stream);
    assert_eq!(all.len(), 1);
    fails(end, TIMEOUT, "deadline");
    assert!(begun.elapsed() < Duration::from_millis(300) + SLACK);
    // A wait that would be longer is not begun.
    let server = script(vec![events("data: x\n\n")]);
    let begun = Instant::now();
    let api_ = api(&server.url(), json!({"reconnect_delay": 30}));
    let stream = api_.sse("feed", None, r#"{"deadline": 20}"#, None).unwrap();
    fails(collect(&stream).1, TIMEOUT, "the call's deadline comes before the reconnect");
    assert!(begun.elapsed() < SLACK);
}

#[test]
fn keys_that_cannot_be_are_refused_by_name() {
    let api_ = api("http://127.0.0.1:9", json!({}));
    for (options, words) in [
        (r#"{"segments": 2}"#, "/segments"),
        (r#"{"resume_from": 2}"#, "/resume_from"),
        (r#"{"error_path": "$["}"#, "/error_path"),
        (r#"{"last_event_id": "a\nb"}"#, "/last_event_id"),
        (r#"{"reconnect_clamp": [2, 1]}"#, "/reconnect_clamp"),
        (r#"{"chunk_size": "1GiB"}"#, "/chunk_size"),
        (r#"{"drop_policy": "drop"}"#, "/drop_policy"),
        (r#"{"sentinal": "x"}"#, "sentinel"),
    ] {
        fails(api_.sse("feed", None, options, None), INVALID_ARGUMENT, words);
        fails(api_.consume("feed", options, None, None), INVALID_ARGUMENT, words);
    }
    fails(api_.consume("feed", r#"{"wait": 0}"#, None, None), INVALID_ARGUMENT, "/wait");
    for (key, value) in [("error_path", "$["), ("last_event_id", "a\nb")] {
        let config = json!({
            "base_url": "http://127.0.0.1:9", "endpoints": {"feed": {"path": "/x", "sse": {key: value}}},
        });
        fails(Api::new(&config.to_string()), INVALID_CONFIG, key);
    }
}

#[test]
fn an_id_that_no_header_can_carry_is_said_and_not_dropped() {
    let (all, end) = one("id: a\u{1}b\ndata: x\n\n", json!({}));
    assert_eq!(all[0].id.as_deref(), Some("a\u{1}b"));
    fails(end, PROTOCOL, "the id of the last event cannot be sent");
}

#[test]
fn fetch_is_not_disturbed_by_a_stream_on_the_same_connector() {
    let server = Server::start(answering(|request| match request.target() {
        "/good" => ok_json("1"),
        _ => events("data: x\n\n"),
    }));
    let api_ = api(&server.url(), json!({}));
    let stream = api_.sse("feed", None, None, None).unwrap();
    assert_eq!(api_.fetch("good", None, None).unwrap().text(), "1");
    assert_eq!(stream.next().unwrap(), Next::Item(b"x".to_vec()));
}

/// What this process has in memory, bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
