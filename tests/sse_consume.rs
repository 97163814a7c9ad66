//! Events taken a chunk at a time: what is lost is counted, and nothing is that need not be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/events.rs"]
mod events;
mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use api::{Answer, Api, CANCELLED, Cancel, Event, Fault, OK, PROTOCOL, STOPPED};
use events::{HEAD, events, numbered, script};
use serde_json::{Value, json};
use support::{Close, Gate, Request, Server, finish, ok_json, read_request, response, rst};

/// Large enough that no socket holds all of them.
const LARGE: usize = 64 * 1024;
const MANY: usize = 400;

fn api(base_url: &str, sse: Value) -> Api {
    api_with(base_url, sse, Value::Null)
}

fn api_with(base_url: &str, sse: Value, rate_limit: Value) -> Api {
    let mut keys = json!({"reconnect_delay": 0.01});
    keys.as_object_mut().unwrap().extend(sse.as_object().unwrap().clone());
    let config = json!({
        "base_url": base_url,
        "timeout": 15,
        "rate_limit": rate_limit,
        "endpoints": {"feed": {"path": "/feed", "sse": keys}, "good": {"path": "/good"}},
    });
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message))
}

fn consume(api: &Api, options: Value, mut take: impl FnMut(&[Event]) -> i32) -> Result<(i32, Answer), Fault> {
    api.consume("feed", &*options.to_string(), Some(&mut take), None)
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(|e| e.data.split(' ').next().unwrap().parse().unwrap()).collect()
}

/// Sends many large events on one connection, as fast as they are read, and counts them.
fn firehose(sent: Arc<AtomicUsize>, all_sent: Gate) -> Server {
    Server::start(move |mut stream, _| {
        if read_request(&mut stream).is_none() {
            return;
        }
        let _ = stream.write_all(HEAD.as_bytes());
        let filler = "x".repeat(LARGE);
        for n in 0..MANY {
            if stream.write_all(format!("id: {n}\ndata: {n} {filler}\n\n").as_bytes()).is_err() {
                return;
            }
            sent.fetch_add(1, SeqCst);
        }
        all_sent.open();
        finish(stream, Close::Keep);
    })
}

#[test]
fn chunks_have_their_size_and_the_summary_counts() {
    for policy in ["block", "drop_oldest", "DROP_NEWEST"] {
        let server = script([events(&numbered(0..7)), events(&numbered(7..12))]);
        let options = json!({"chunk_size": 5, "drop_policy": policy, "max_events": 12});
        let (mut sizes, mut all) = (Vec::new(), Vec::new());
        let caller = std::thread::current().id();
        let (status, summary) = consume(&api(&server.url(), json!({})), options, |events| {
            assert_eq!(std::thread::current().id(), caller, "callbacks run on the caller's thread");
            sizes.push(events.len());
            all.extend(numbers(events));
            0
        })
        .unwrap();
        assert_eq!(status, OK);
        assert_eq!(all, (0..12).collect::<Vec<_>>());
        assert_eq!(sizes, [5, 5, 2]);
        let expected = json!({
            "success": true, "processed_events": 12, "chunks_processed": 3, "dropped_events": 0, "chunk_size": 5,
            "buffer_max_size": 500, "results": [],
        });
        assert_eq!(summary.json(), expected);
        assert_eq!((&summary.meta["dropped"], &summary.meta["reconnects"]), (&json!(0), &json!(1)));
        assert_eq!(summary.status, 200);
    }
}

#[test]
fn without_a_callback_the_summary_has_the_chunks_up_to_a_limit() {
    let server =
        script([events("id: 1\ndata: {\"a\": 1}\n\ndata: b\n\ndata: 3\n\n"), events(&numbered(0..1000))]);
    let api_ = api(&server.url(), json!({"max_events": 3, "chunk_size": 2}));
    let (_, summary) = api_.consume("feed", None, None, None).unwrap();
    let event = |data: Value, raw: &str| json!({"id": "1", "event": "message", "data": data, "retry": null, "raw_data": raw});
    let chunks =
        json!([[event(json!({"a": 1}), "{\"a\": 1}"), event(json!("b"), "b")], [event(json!(3), "3")]]);
    assert_eq!(summary.json()["results"], chunks);
    let options = r#"{"max_events": 1000, "limits": {"max_result": 10000}}"#;
    let (_, summary) = api_.consume("feed", options, None, None).unwrap();
    let results = summary.json()["results"].to_string().len();
    assert!(results > 5000 && results <= 10_000, "{results}");
    assert_eq!(summary.json()["processed_events"], 1000);
    assert!(summary.meta["warnings"].to_string().contains("limits.max_result"), "{}", summary.meta);
}

#[test]
fn under_block_the_server_waits_and_nothing_is_lost() {
    let (sent, all_sent) = (Arc::new(AtomicUsize::new(0)), Gate::new());
    let server = firehose(sent.clone(), all_sent);
    let api_ = api(&server.url(), json!({"chunk_size": 10, "backpressure_buffer_size": 4}));
    let (mut all, mut most, before) = (Vec::new(), 0, resident());
    let (_, summary) = consume(&api_, json!({"max_events": MANY}), |events| {
        assert!(events.len() <= 4, "no more than the buffer holds");
        if all.is_empty() {
            // Until the server cannot go on: its events do not fit into the sockets between us.
            let (mut last, mut since) = (0, Instant::now());
            while since.elapsed() < Duration::from_millis(300) {
                let now = sent.load(SeqCst);
                if now != last {
                    (last, since) = (now, Instant::now());
                }
                std::thread::yield_now();
            }
            assert!(last < MANY * 3 / 4, "{last} of {MANY} were sent while nobody took one");
        }
        all.extend(numbers(events));
        most = most.max(resident());
        0
    })
    .unwrap();
    assert_eq!(all, (0..MANY as u64).collect::<Vec<_>>());
    assert_eq!(summary.json()["dropped_events"], 0);
    assert!(most < before + (16 << 20), "{} KiB more", (most - before) >> 10);
}

#[test]
fn under_a_drop_policy_the_reader_keeps_up_with_a_callback_that_sleeps() {
    for policy in ["drop_oldest", "drop_newest"] {
        let (sent, all_sent) = (Arc::new(AtomicUsize::new(0)), Gate::new());
        let server = firehose(sent, all_sent.clone());
        let api_ = api(&server.url(), json!({"chunk_size": 5, "backpressure_buffer_size": 20}));
        let options = json!({"max_events": MANY, "drop_policy": policy});
        let mut all = Vec::new();
        let (_, summary) = consume(&api_, options, |events| {
            // Everything is sent while the first callback runs: somebody reads it.
            all_sent.wait();
            all.extend(numbers(events));
            0
        })
        .unwrap();
        let summary = summary.json();
        let dropped = summary["dropped_events"].as_u64().unwrap() as usize;
        assert_eq!(summary["processed_events"], all.len());
        assert_eq!(all.len() + dropped, MANY, "delivered and dropped are all that was sent");
        assert!(dropped > MANY / 2 && all.len() >= 20, "{dropped} dropped, {} delivered", all.len());
        assert!(all.is_sorted(), "{all:?}");
        let newest = (MANY - 20) as u64..MANY as u64;
        if policy == "drop_oldest" {
            assert_eq!(all[all.len() - 20..], newest.collect::<Vec<_>>());
        } else {
            // What came first was kept; the sockets' own content may have come later.
            assert_eq!(all[..20], (0..20).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_queue_is_full_of_bytes_too() {
    let most = 4 * (LARGE + 100);
    for policy in ["block", "drop_oldest", "drop_newest"] {
        let all_sent = Gate::new();
        let server = firehose(Arc::new(AtomicUsize::new(0)), all_sent.clone());
        let api = api(&server.url(), json!({"chunk_size": 400}));
        let limits = json!({"max_body": most, "max_event": LARGE + 100});
        let options = json!({"max_events": MANY, "drop_policy": policy, "limits": limits});
        let mut all = Vec::new();
        let (_, summary) = consume(&api, options, |events| {
            if policy != "block" {
                all_sent.wait();
            }
            let bytes: usize = events.iter().map(|event| event.data.len()).sum();
            assert!(bytes <= most + LARGE + 100, "{policy}: {bytes} at once");
            all.extend(numbers(events));
            0
        })
        .unwrap();
        let dropped = summary.json()["dropped_events"].as_u64().unwrap() as usize;
        assert_eq!(all.len() + dropped, MANY, "{policy}");
        match policy {
            "block" => assert_eq!(dropped, 0),
            _ => assert!(dropped > MANY / 2, "{policy}: {dropped} dropped"),
        }
    }
}

#[test]
fn a_chunk_is_taken_as_soon_as_it_is_there() {
    for policy in ["block", "drop_oldest", "drop_newest"] {
        let taken = Gate::new();
        let opened = taken.clone();
        let server = Server::start(move |mut stream, _| {
            if read_request(&mut stream).is_some() {
                let _ = stream.write_all(&events(&numbered(0..3)));
                opened.wait();
                let _ = stream.write_all(numbered(3..5).as_bytes());
                finish(stream, Close::Keep);
            }
        });
        let api_ = api(&server.url(), json!({"chunk_size": 3, "max_events": 5, "drop_policy": policy}));
        let mut all = Vec::new();
        consume(&api_, json!({}), |events| {
            all.push(numbers(events));
            taken.open();
            0
        })
        .unwrap();
        assert_eq!(all, [vec![0, 1, 2], vec![3, 4]], "{policy}");
    }
}

#[test]
fn a_stop_drops_what_waits_and_counts_it() {
    for policy in ["block", "drop_oldest"] {
        let all_sent = Gate::new();
        let sent = all_sent.clone();
        let server = Server::start(move |mut stream, _| {
            if read_request(&mut stream).is_some() {
                let _ = stream.write_all(&events(&numbered(0..10)));
                sent.open();
                finish(stream, Close::Keep);
            }
        });
        let api_ = api(&server.url(), json!({"chunk_size": 3, "drop_policy": policy}));
        let mut calls = 0;
        let (status, summary) = consume(&api_, json!({}), |_| {
            all_sent.wait();
            calls += 1;
            if calls == 2 { 7 } else { 0 }
        })
        .unwrap();
        // Behind what was taken, whatever was read: nothing is lost to who goes on.
        let checkpoint = summary.meta["checkpoint"].as_str().unwrap();
        let again = script([events("")]);
        let _ = api(&again.url(), json!({})).consume(
            "feed",
            &*json!({"checkpoint": checkpoint}).to_string(),
            None,
            None,
        );
        assert_eq!(again.requests()[0].header("Last-Event-ID"), Some("5"), "{policy}");
        let summary = summary.json();
        assert_eq!((status, calls, &summary["success"]), (STOPPED, 2, &json!(true)));
        assert_eq!((&summary["processed_events"], &summary["chunks_processed"]), (&json!(6), &json!(2)));
        let dropped = summary["dropped_events"].as_u64().unwrap();
        // Under `block` nothing was read that was not taken.
        assert!(if policy == "block" { dropped == 0 } else { dropped <= 4 }, "{policy}: {dropped}");
    }
}

#[test]
fn a_failure_comes_behind_the_queue_and_with_the_summary() {
    for policy in ["block", "drop_newest"] {
        let server = script([events(&numbered(0..7))]);
        let api_ = api(&server.url(), json!({"chunk_size": 5, "drop_policy": policy}));
        let mut all = Vec::new();
        let fault = consume(&api_, json!({}), |events| {
            all.extend(numbers(events));
            0
        })
        .unwrap_err();
        assert_eq!(fault.status, PROTOCOL, "{}", fault.message);
        assert_eq!(all, (0..7).collect::<Vec<_>>());
        let partial = fault.partial.unwrap();
        assert_eq!(
            (&partial.json()["success"], &partial.json()["processed_events"]),
            (&json!(false), &json!(7))
        );
        assert!(partial.meta["checkpoint"].as_str().unwrap().starts_with("e1."));
    }
}

#[test]
fn a_cancel_in_the_callback_ends_it_and_what_waits_is_dropped() {
    for policy in ["block", "drop_oldest"] {
        let server = Server::start(|mut stream, _| {
            if read_request(&mut stream).is_some() {
                let _ = stream.write_all(&events(&numbered(0..9)));
                finish(stream, Close::Keep);
            }
        });
        let api_ = api(&server.url(), json!({"chunk_size": 4, "drop_policy": policy}));
        let (cancel, mut calls) = (Cancel::new(), 0);
        let mut take = |_: &[Event]| {
            calls += 1;
            cancel.trigger();
            0
        };
        let fault = api_.consume("feed", None, Some(&mut take), Some(&cancel)).unwrap_err();
        assert_eq!(fault.status, CANCELLED, "{}", fault.message);
        let summary = fault.partial.unwrap().json();
        // A chunk that was complete before the cancel was seen may still be taken.
        let taken = summary["processed_events"].as_u64().unwrap();
        assert_eq!(taken, 4 * calls);
        assert!(taken + summary["dropped_events"].as_u64().unwrap() <= 9);
    }
}

#[test]
fn a_callback_calls_the_same_connector() {
    let server = Server::start(|mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            if request.target() == "/good" {
                stream.write_all(&ok_json("1")).unwrap();
            } else {
                let _ = stream.write_all(&events(&numbered(0..4)));
                return;
            }
        }
    });
    for policy in ["block", "drop_oldest"] {
        let keys = json!({"chunk_size": 2, "max_events": 4, "drop_policy": policy});
        // Also where the stream has the only place there is.
        let api_ = api_with(&server.url(), keys, json!({"strategy": "none", "max_concurrent": 1}));
        let mut fetched = 0;
        consume(&api_, json!({}), |_| {
            fetched += usize::from(api_.fetch("good", None, None).unwrap().text() == "1");
            0
        })
        .unwrap();
        assert_eq!(fetched, 2);
    }
}

/// A server that cuts, stalls, answers 500, and 503 with Retry-After, and at last 204. It sends what comes behind the
/// Last-Event-ID.
fn troubled(last: u64) -> Server {
    Server::start(move |mut stream, number| {
        let Some(request) = read_request(&mut stream) else { return };
        let from = request.header("Last-Event-ID").map_or(0, |id| id.parse::<u64>().unwrap() + 1);
        if from == last {
            let _ = stream.write_all(&response("204 No Content", "", ""));
            return;
        }
        let to = (from + 1 + (number as u64 * 7) % 23).min(last);
        let some = numbered(from..to);
        let chunked =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let cut = format!("id: {to}\ndata: {to}\n");
        match number % 9 {
            0 => drop(stream.write_all(&events(&format!("{some}{cut}")))),
            1 => drop(stream.write_all(&response("500 Broken", "", ""))),
            2 => drop(
                stream.write_all(format!("{chunked}{:x}\r\n{some}\r\nff\r\n{cut}", some.len()).as_bytes()),
            ),
            3 => {
                let _ = stream.write_all(&events(&some));
                rst(stream);
            }
            4 => {
                let _ = stream.write_all(&events(&format!("{some}: and then nothing\n{cut}")));
                finish(stream, Close::Keep);
            }
            5 if number == 5 => drop(stream.write_all(&response("503 Later", "Retry-After: 1\r\n", ""))),
            5 => drop(stream.write_all(&response("503 Later", "retry-after-ms: 30\r\n", ""))),
            6 => drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Ty")),
            7 => drop(stream.write_all(&events(": not an event\n\n"))),
            _ => {
                // In small pieces, with another line's end each.
                let ends = ["\n", "\r", "\r\n"];
                let _ = stream.write_all(HEAD.as_bytes());
                for piece in some.replace('\n', ends[number / 9 % 3]).as_bytes().chunks(3) {
                    let _ = stream.write_all(piece);
                }
            }
        }
    })
}

#[test]
fn every_event_with_an_id_comes_exactly_once_whatever_the_server_does() {
    let begun = Instant::now();
    let server = troubled(400);
    let api_ = api(
        &server.url(),
        json!({"read_timeout": 0.1, "reconnect_delay": 0, "reconnect_clamp": [0.001, 0.05]}),
    );
    let stream = api_.sse("feed", None, None, None).unwrap();
    let mut all = Vec::new();
    let fault = loop {
        match stream.next() {
            Ok(api::Next::Item(_)) => all.push(stream.event().unwrap()),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault.status, PROTOCOL, "{}", fault.message);
    assert_eq!(numbers(&all), (0..400).collect::<Vec<_>>());
    let requests = server.requests().len();
    assert!(requests > 40, "{requests} connections");
    for policy in ["block", "drop_oldest", "drop_newest"] {
        let server = troubled(200);
        let api_ = api(
            &server.url(),
            json!({"read_timeout": 0.1, "reconnect_delay": 0, "reconnect_clamp": [0.001, 0.05]}),
        );
        let mut all = Vec::new();
        let options = json!({"drop_policy": policy, "backpressure_buffer_size": 1000, "chunk_size": 7});
        let fault = consume(&api_, options, |events| {
            all.extend(numbers(events));
            0
        })
        .unwrap_err();
        assert_eq!(fault.status, PROTOCOL, "{}", fault.message);
        assert_eq!(all, (0..200).collect::<Vec<_>>(), "{policy}");
        let last = |r: &Request| r.header("Last-Event-ID").map(str::to_owned);
        assert_eq!(server.requests().last().and_then(last).as_deref(), Some("199"));
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// What this process has in memory, bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
