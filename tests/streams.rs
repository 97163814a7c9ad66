//! Streams: every byte once, in chunks of the size that was asked for, and never one from the wrong place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use api::{
    Api, BUSY, CANCELLED, Cancel, DECODE, Fault, HTTP_STATUS, INVALID_ARGUMENT, Next, PROTOCOL, RANGE,
    Stream, TIMEOUT, TRUNCATED,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::tls::{Ca, Leaf, TlsServer};
use support::{
    Close, Folder, Gate, Request, Server, answering, canned, finish, ok_json, read_request, response,
};

const SLACK: Duration = Duration::from_secs(1);
const TAG: &str = "ETag: \"v1\"\r\n";

fn api(base_url: &str, streaming: Value) -> Api {
    let config = json!({
        "base_url": base_url,
        "timeout": 15,
        "retry_delay": 0.001,
        "endpoints": {"get": {"path": "/x", "streaming": streaming}, "good": {"path": "/good"}},
    });
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message))
}

fn data(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Answers as a server of files: with the range that is asked for.
fn file(data: &[u8], fields: &str, request: &Request) -> Vec<u8> {
    let whole = || response("200 OK", fields, data);
    let Some(range) = request.header("Range") else { return whole() };
    let condition = request.header("If-Range");
    if condition.is_some_and(|tag| !fields.contains(tag)) {
        return whole();
    }
    let from: usize = range.strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap();
    if from >= data.len() {
        return response("416 Range", &format!("Content-Range: bytes */{}\r\n", data.len()), "");
    }
    let place = format!("{fields}Content-Range: bytes {from}-{}/{}\r\n", data.len() - 1, data.len());
    response("206 Part", &place, &data[from..])
}

fn serving(data: Vec<u8>, fields: &'static str) -> Server {
    Server::start(answering(move |request| file(&data, fields, request)))
}

fn open(api: &Api, options: Value) -> Result<Stream, Fault> {
    api.stream("get", None, &*options.to_string(), None)
}

fn fails<T>(outcome: Result<T, Fault>, status: i32, words: &str) -> Fault {
    let Err(fault) = outcome else { panic!("it went well, and not with {words}") };
    assert_eq!(fault.status, status, "{} {}", fault.name, fault.message);
    assert!(fault.message.contains(words), "{words:?} is not in {:?}", fault.message);
    fault
}

#[test]
fn chunks_have_the_size_that_was_asked_for_but_for_the_last() {
    let data = data(200_000);
    let chunked = {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in data.chunks(999) {
            bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
            bytes.extend_from_slice(piece);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    };
    let closing = [&b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"[..], &data].concat();
    for bytes in [response("200 OK", "", &data), chunked, closing] {
        let server = Server::start(move |mut stream, _| {
            if read_request(&mut stream).is_some() {
                let _ = stream.write_all(&bytes);
                finish(stream, Close::Fin);
            }
        });
        let api = api(&server.url(), json!({}));
        for size in [1000, 65_536, 200_000, 1 << 20] {
            let (sizes, bytes) = open(&api, json!({"chunk_size": size})).unwrap().all().unwrap();
            assert_eq!(bytes, data, "{size}");
            let (last, others) = sizes.split_last().unwrap();
            assert!(others.iter().all(|n| *n == size) && *last <= size, "{size}: {sizes:?}");
        }
        let (sizes, _) = open(&api, json!({})).unwrap().all().unwrap();
        assert_eq!(sizes, [65_536, 65_536, 65_536, 200_000 - 3 * 65_536]);
    }
}

#[test]
fn head_progress_and_end_are_told() {
    let server = serving(data(2500), "Content-Type: x/y\r\n");
    let api = api(&server.url(), json!({"chunk_size": 1000}));
    let stream = open(&api, json!({})).unwrap();
    let head = stream.response().unwrap();
    assert_eq!((head.status, head.header("content-type"), head.body.len()), (200, Some("x/y"), 0));
    let begin = stream.progress().unwrap();
    assert_eq!((begin.endpoint.as_str(), begin.processed, begin.total, begin.percent), ("get", 0, 2500, 0.0));
    assert_eq!(begin.chunk, 0);
    stream.next().unwrap();
    stream.next().unwrap();
    let middle = stream.progress().unwrap();
    assert_eq!((middle.processed, middle.streamed, middle.percent, middle.chunk), (2000, 2000, 80.0, 2));
    assert!(!middle.done && !middle.resumed && middle.speed > 0.0 && middle.eta_ms >= 0);
    stream.next().unwrap();
    for _ in 0..3 {
        assert_eq!(stream.next().unwrap(), Next::End);
        let end = stream.progress().unwrap();
        assert_eq!((end.processed, end.percent, end.done), (2500, 100.0, true));
    }
    // Read to its end, the connection serves the next call.
    api.fetch("good", None, None).unwrap_err();
    assert_eq!(server.connections(), 1);
    let request = &server.requests()[0];
    assert_eq!(
        (request.header("Accept"), request.header("Accept-Encoding")),
        (Some("*/*"), Some("identity"))
    );
}

#[test]
fn headers_of_the_streaming_block_are_for_streams() {
    let server = serving(data(10), "");
    let api = api(&server.url(), json!({"headers": {"X-A": "block", "X-B": "block"}}));
    open(&api, json!({"headers": {"X-B": "call"}})).unwrap().all().unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!((request.header("X-A"), request.header("X-B")), (Some("block"), Some("call")));
    let _ = api.fetch("get", None, None);
    assert_eq!(server.requests().pop().unwrap().header("X-A"), None);
}

#[test]
fn a_stream_begins_where_it_is_told_to() {
    let all = data(5000);
    let server = serving(all.clone(), TAG);
    let api = api(&server.url(), json!({"chunk_size": 1000}));
    let stream = open(&api, json!({"resume_from": 1234})).unwrap();
    assert_eq!(stream.response().unwrap().status, 206);
    assert!(stream.progress().unwrap().resumed);
    let (_, bytes) = stream.all().unwrap();
    assert_eq!(bytes, all[1234..]);
    let progress = stream.progress().unwrap();
    assert_eq!((progress.processed, progress.streamed, progress.total), (5000, 5000 - 1234, 5000));
    assert_eq!(server.requests()[0].header("Range"), Some("bytes=1234-"));
    // The end is a place too, and behind it is none.
    let end = open(&api, json!({"resume_from": 5000})).unwrap();
    assert_eq!((end.next().unwrap(), end.progress().unwrap().done), (Next::End, true));
    fails(
        open(&api, json!({"resume_from": 5001})),
        RANGE,
        "byte 5001 was asked for, and there are 5000 bytes",
    );
}

#[test]
fn a_416_is_the_end_only_where_it_says_that_it_is() {
    let refusing =
        |fields: &'static str| Server::start(answering(move |_| response("416 Nothing", fields, b"no")));
    let ask = |server: &Server| open(&api(&server.url(), json!({})), json!({"resume_from": 10}));
    // The unit is the one that was asked for, where the server leaves it out.
    for here in ["Content-Range: bytes */10\r\n", "Content-Range: */10\r\n"] {
        assert_eq!(ask(&refusing(here)).unwrap().next().unwrap(), Next::End, "{here}");
    }
    fails(ask(&refusing("Content-Range: */9\r\n")), RANGE, "byte 10 was asked for, and there are 9 bytes");
    for unknown in ["", "Content-Range: bytes */*\r\n", "Content-Range: pages */10\r\n"] {
        fails(ask(&refusing(unknown)), RANGE, "it does not say how many there are (Content-Range)");
    }
}

#[test]
fn byte_0_is_never_taken_for_another() {
    let all = data(5000);
    let wrong = |fields: String| {
        let body = all.clone();
        let server = Server::start(answering(move |_| response("206 Part", &fields, &body)));
        open(&api(&server.url(), json!({})), json!({"resume_from": 100}))
    };
    let server = Server::start(answering(move |_| response("200 OK", "", data(5000))));
    let fault = fails(
        open(&api(&server.url(), json!({})), json!({"resume_from": 100})),
        RANGE,
        "the server sends no parts",
    );
    assert_eq!(fault.http_status, 200);
    fails(wrong("Content-Range: bytes 99-4999/5000\r\n".into()), RANGE, "the bytes from 99 on");
    fails(wrong("Content-Range: bytes 101-4999/5000\r\n".into()), RANGE, "the bytes from 101 on");
    fails(wrong(String::new()), RANGE, "does not say which");
    fails(wrong("Content-Range: bytes 100-x/5000\r\n".into()), RANGE, "does not say which");
}

#[test]
fn a_checkpoint_goes_on_with_the_same_bytes_or_not_at_all() {
    let all = data(5000);
    let server = serving(all.clone(), TAG);
    let first = api(&server.url(), json!({"chunk_size": 1000}));
    let stream = open(&first, json!({})).unwrap();
    stream.next().unwrap();
    stream.next().unwrap();
    let checkpoint = stream.checkpoint().unwrap();
    assert!(checkpoint.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)), "{checkpoint}");
    drop(stream);
    let (_, rest) = open(&first, json!({"checkpoint": checkpoint})).unwrap().all().unwrap();
    assert_eq!(rest, all[2000..]);
    assert_eq!(server.requests().pop().unwrap().header("If-Range"), Some("\"v1\""));
    // Another version of it.
    let changed = serving(data(6000), "ETag: \"v2\"\r\n");
    let other = api(&changed.url(), json!({}));
    fails(open(&other, json!({"checkpoint": checkpoint})), RANGE, "it is not what it was");
    fails(open(&first, json!({"checkpoint": "s1.5.x.0"})), INVALID_ARGUMENT, "/checkpoint: ");
    // Without a strong validator nobody could tell.
    for fields in ["", "ETag: W/\"v1\"\r\n"] {
        let weak = serving(data(10), fields);
        let stream = open(&api(&weak.url(), json!({})), json!({})).unwrap();
        stream.next().unwrap();
        assert_eq!(stream.checkpoint(), None, "{fields}");
    }
}

/// Sends so much of each answer, but of the last, and cuts the connection.
fn cutting(data: Vec<u8>, fields: &'static str, cuts: Vec<usize>) -> Server {
    let cuts = Mutex::new(cuts.into_iter());
    Server::start(move |mut stream: TcpStream, _| {
        while let Some(request) = read_request(&mut stream) {
            let answer = file(&data, fields, &request);
            let head = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
            match cuts.lock().unwrap().next() {
                Some(bytes) => {
                    let _ = stream.write_all(&answer[..head + bytes]);
                    return finish(stream, Close::Fin);
                }
                None => stream.write_all(&answer).unwrap(),
            }
        }
    })
}

#[test]
fn what_came_before_a_cut_is_handed_out_and_then_the_cut() {
    let all = data(5000);
    let server = cutting(all.clone(), TAG, vec![2500]);
    let api = api(&server.url(), json!({"chunk_size": 1000}));
    let stream = open(&api, json!({})).unwrap();
    let mut bytes = Vec::new();
    let fault = loop {
        match stream.next() {
            Ok(Next::Item(item)) => bytes.extend(item),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => break fault,
        }
    };
    assert_eq!(bytes, all[..2500]);
    assert_eq!((fault.status, fault.http_status, &fault.json["sent"]), (TRUNCATED, 200, &json!("yes")));
    // It stays so, and what is known stays too.
    assert_eq!(stream.next().unwrap_err().message, fault.message);
    assert_eq!(stream.progress().unwrap().processed, 2500);
    let (_, rest) = open(&api, json!({"checkpoint": stream.checkpoint().unwrap()})).unwrap().all().unwrap();
    assert_eq!(rest, all[2500..]);
}

#[test]
fn a_cut_stream_goes_on_where_it_is_told_to_and_every_byte_comes_once() {
    let all = data(50_000);
    let server = cutting(all.clone(), TAG, vec![1, 0, 12_345, 7000]);
    let api = api(&server.url(), json!({"chunk_size": 1000, "reconnect": true}));
    let stream = open(&api, json!({"retry_count": 3})).unwrap();
    let (sizes, bytes) = stream.all().unwrap();
    assert_eq!(bytes, all);
    assert!(sizes.iter().all(|n| *n == 1000));
    assert_eq!(stream.response().unwrap().meta["reconnects"], 4);
    let ranges: Vec<_> = server.requests().iter().map(|r| r.header("Range").map(str::to_owned)).collect();
    let range = |from: u32| Some(format!("bytes={from}-"));
    assert_eq!(ranges, [None, range(1), range(1), range(12_346), range(19_346)]);
    assert!(server.requests()[1..].iter().all(|r| r.header("If-Range") == Some("\"v1\"")));
}

#[test]
fn a_cut_stream_ends_where_nobody_can_tell_that_the_rest_is_the_same() {
    let all = data(5000);
    // No validator; and one that has changed meanwhile.
    let server = cutting(all.clone(), "", vec![2500]);
    let stream = open(&api(&server.url(), json!({"reconnect": true})), json!({})).unwrap();
    fails(stream.all(), TRUNCATED, "2500 are missing");
    assert_eq!(server.requests().len(), 1);
    let server = Server::start(move |mut stream, n| {
        if read_request(&mut stream).is_some() {
            let bytes = match n {
                0 => response("200 OK", TAG, data(5000))[..200].to_vec(),
                _ => response("200 OK", "ETag: \"v2\"\r\n", data(5000)),
            };
            let _ = stream.write_all(&bytes);
            finish(stream, Close::Fin);
        }
    });
    let stream = open(&api(&server.url(), json!({"reconnect": true})), json!({})).unwrap();
    fails(stream.all(), RANGE, "it is not what it was");
    // Attempts in a row are counted, where no byte comes between them.
    let server = cutting(all, TAG, vec![10, 0, 0, 0, 0, 0]);
    let stream = open(&api(&server.url(), json!({"reconnect": true})), json!({"retry_count": 3})).unwrap();
    fails(stream.all(), TRUNCATED, "are missing");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn nothing_yet_is_idle_and_no_byte_is_lost_by_it() {
    let gates = [Gate::new(), Gate::new()];
    let opened = gates.clone();
    let server = Server::start(move |mut stream, n| {
        if read_request(&mut stream).is_some() {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").unwrap();
            opened[n].wait();
            stream.write_all(b"defghij").unwrap();
            finish(stream, Close::Fin);
        }
    });
    let api = api(&server.url(), json!({"chunk_size": 5}));
    for (wait, gate) in [0.0, 0.02].into_iter().zip(gates) {
        let stream = open(&api, json!({"wait": wait})).unwrap();
        let begun = Instant::now();
        for _ in 0..5 {
            assert_eq!(stream.next().unwrap(), Next::Idle);
        }
        assert!(begun.elapsed() >= Duration::from_secs_f64(wait * 5.0) && begun.elapsed() < SLACK);
        gate.open();
        assert_eq!(stream.all().unwrap(), (vec![5, 5], b"abcdefghij".to_vec()), "{wait}");
    }
}

#[test]
fn silence_is_a_time_out_also_for_who_looks_in_from_time_to_time() {
    let server = Server::start(|mut stream, _| {
        if read_request(&mut stream).is_some() {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").unwrap();
            finish(stream, Close::Keep);
        }
    });
    let api = api(&server.url(), json!({"chunk_size": 3, "read_timeout": 0.3}));
    for options in [json!({}), json!({"wait": 0.01}), json!({"wait": 5})] {
        let stream = open(&api, options.clone()).unwrap();
        assert_eq!(stream.next().unwrap(), Next::Item(b"abc".to_vec()));
        let begun = Instant::now();
        fails(stream.all(), TIMEOUT, "timeout.read");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(250) && took < SLACK, "{options}: {took:?}");
    }
    let stream = open(&api, json!({"deadline": 0.2, "read_timeout": 10})).unwrap();
    let begun = Instant::now();
    fails(stream.all(), TIMEOUT, "deadline");
    assert!(begun.elapsed() < SLACK);
}

#[test]
fn a_close_or_a_cancel_ends_a_wait_and_is_never_an_end() {
    let server = Server::start(|mut stream, _| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
            finish(stream, Close::Keep);
        }
    });
    let api = api(&server.url(), json!({}));
    for by_token in [false, true] {
        let cancel = Cancel::new();
        let stream = api.stream("get", None, None, Some(&cancel)).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| stream.next());
            std::thread::sleep(Duration::from_millis(50));
            let begun = Instant::now();
            if by_token {
                cancel.trigger()
            } else {
                stream.close()
            }
            let outcome = waits.join().unwrap();
            assert!(begun.elapsed() < SLACK);
            // What came before is handed out first.
            assert_eq!(outcome.unwrap(), Next::Item(b"abc".to_vec()));
        });
        for _ in 0..2 {
            fails(stream.next(), CANCELLED, "cancelled");
        }
        assert_eq!(cancel.is_triggered(), by_token, "a stream's end is its own");
    }
}

#[test]
fn a_second_thread_is_told_that_the_stream_is_in_use() {
    let gate = Gate::new();
    let opened = gate.clone();
    let server = Server::start(move |mut stream, _| {
        if read_request(&mut stream).is_some() {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n").unwrap();
            opened.wait();
            stream.write_all(b"abc").unwrap();
            finish(stream, Close::Keep);
        }
    });
    let stream = open(&api(&server.url(), json!({})), json!({})).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| stream.all());
        // Until the first is inside; before that, this is the first.
        while !stream.is_in_use() {
            std::thread::yield_now();
        }
        fails(stream.next(), BUSY, "in use");
        assert!(stream.response().is_none() && stream.checkpoint().is_none());
        gate.open();
        assert_eq!(first.join().unwrap().unwrap().1, b"abc");
    });
    assert!(stream.progress().unwrap().done);
}

#[test]
fn codings_come_off_as_the_body_comes_and_a_broken_one_is_an_error_behind_its_bytes() {
    let all = data(100_000);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&all).unwrap();
    let gzip = encoder.finish().unwrap();
    let answer = |body: &[u8]| response("200 OK", &format!("{TAG}Content-Encoding: gzip\r\n"), body);
    let whole = answer(&gzip);
    let server = Server::start(answering(move |_| whole.clone()));
    let stream = open(&api(&server.url(), json!({"chunk_size": 1000})), json!({})).unwrap();
    let (sizes, bytes) = stream.all().unwrap();
    assert!(bytes == all && sizes.iter().all(|n| *n == 1000));
    // Its places are not those of the bytes on the wire.
    assert_eq!(stream.checkpoint(), None);
    let broken = answer(&gzip[..gzip.len() - 10]);
    let server = Server::start(answering(move |_| broken.clone()));
    let stream = open(&api(&server.url(), json!({})), json!({})).unwrap();
    assert!(matches!(stream.next(), Ok(Next::Item(item)) if all.starts_with(&item)));
    let fault = loop {
        match stream.next() {
            Ok(Next::Item(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault.status, DECODE, "{}", fault.message);
}

#[test]
fn a_refusal_or_a_dead_server_is_the_open_calls_failure() {
    let server = Server::start(answering(|_| response("404 No", "", "nothing")));
    let fault = fails(open(&api(&server.url(), json!({})), json!({})), HTTP_STATUS, "answered 404");
    assert_eq!(fault.response.unwrap().text(), "nothing");
    // What passes is tried again, as for every other call.
    let first = Mutex::new(true);
    let server = Server::start(answering(move |_| match std::mem::take(&mut *first.lock().unwrap()) {
        true => response("503 Later", "", ""),
        false => ok_json("1"),
    }));
    let stream = open(&api(&server.url(), json!({})), json!({})).unwrap();
    assert_eq!(stream.response().unwrap().meta["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(stream.all().unwrap().1, b"1");
}

#[test]
fn what_is_expected_is_held_against_the_answer() {
    let server = serving(data(100), "Content-Type: application/zip; x=y\r\n");
    let closing = Server::start(canned([&b"HTTP/1.1 200 OK\r\n\r\nabc"[..]], Close::Fin));
    let (sized, unsized_) = (api(&server.url(), json!({})), api(&closing.url(), json!({})));
    let good = json!({"expected_type": "application/ZIP", "expected_size": 100, "require_length": true});
    assert_eq!(open(&sized, good).unwrap().all().unwrap().1.len(), 100);
    fails(open(&sized, json!({"expected_type": "text/html"})), DECODE, "its type is `application/zip`");
    fails(open(&sized, json!({"expected_size": 99})), DECODE, "it has 100 bytes, and 99 are expected");
    fails(open(&unsized_, json!({"require_length": true})), PROTOCOL, "require_length");
    let stream = open(&unsized_, json!({"expected_size": 4})).unwrap();
    assert_eq!(stream.response().unwrap().meta["length_known"], false);
    fails(stream.all(), TRUNCATED, "3 bytes came, and 4 are expected");
    for key in ["segments", "digest", "overwrite", "use_server_name"] {
        let value = if key == "segments" {
            json!(2)
        } else if key == "digest" {
            json!("crc32=AAAAAA==")
        } else {
            json!(true)
        };
        fails(open(&sized, json!({key: value})), INVALID_ARGUMENT, "is for downloads");
    }
    fails(open(&sized, json!({"chunk_size": "2GiB"})), INVALID_ARGUMENT, "/chunk_size");
}

#[test]
fn tls_streams_end_with_close_notify_or_not_at_all() {
    let (ca, folder) = (Ca::new(), Folder::new());
    let file = folder.write("ca.pem", ca.pem());
    for (close, good) in [(support::tls::TlsClose::Notify, true), (support::tls::TlsClose::Fin, false)] {
        let body = [&b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"[..], &data(50_000)].concat();
        let server = TlsServer::start(ca.identity(Leaf::Good), support::tls::canned(body, close));
        let config = json!({
            "base_url": server.url(), "tls": {"ca_file": file}, "endpoints": {"get": {"path": "/x"}},
        });
        let stream = Api::new(&config.to_string()).unwrap().stream("get", None, None, None).unwrap();
        match stream.all() {
            Ok((_, bytes)) => assert!(good && bytes == data(50_000)),
            Err(fault) => assert!(!good && fault.status == TRUNCATED, "{}", fault.message),
        }
    }
}

#[test]
fn a_large_stream_takes_no_more_memory_than_its_chunk() {
    let server = Server::start(|mut stream, _| {
        if read_request(&mut stream).is_some() {
            let piece = vec![b'x'; 1 << 20];
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 256u32 << 20).as_bytes())
                .unwrap();
            for _ in 0..256 {
                stream.write_all(&piece).unwrap();
            }
        }
    });
    let api = api(&server.url(), json!({}));
    let stream = open(&api, json!({"chunk_size": 65_536})).unwrap();
    let before = resident();
    let (mut total, mut most) = (0, 0);
    while let Next::Item(item) = stream.next().unwrap() {
        total += item.len();
        if total % (16 << 20) == 0 {
            most = most.max(resident());
        }
    }
    assert_eq!(total, 256 << 20);
    assert!(most < before + (8 << 20), "{} KiB more", (most - before) >> 10);
}

/// What this process has in memory, bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
