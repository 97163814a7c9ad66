//! Answers that break HTTP, end early or say too much: each is told apart, none hurts the next call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/faulty.rs"]
mod faulty;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::{AUTH, Answer, Api, Fault, HTTP_STATUS, IO, PROTOCOL, TOO_LARGE, TRUNCATED};
use faulty::{Bench, answer, assert_fault, assert_still_works, fault};
use serde_json::json;
use support::{
    Close, Gate, Request, Server, answering, finish, ok_json, read_head, read_request, response, rst,
};

/// An answer with these header lines (each ends in CR LF) and a body.
fn raw(headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}").into_bytes()
}

/// PROTOCOL, said at once: the server keeps the connection open.
fn assert_protocol(wire: impl Into<Vec<u8>>, says: &str) {
    let wire = wire.into();
    let shown = wire[..wire.len().min(80)].escape_ascii().to_string();
    let fault = fault(wire, Close::Keep);
    assert_eq!(fault.status, PROTOCOL, "{shown}: {} {}", fault.name, fault.message);
    assert!(fault.message.contains("the server broke HTTP: "), "{shown}: {}", fault.message);
    assert!(fault.message.contains(says), "{shown}: {}", fault.message);
    assert_eq!((fault.category.as_str(), fault.retryable), ("NETWORK", false), "{shown}");
}

// ---- lengths and chunks ----

#[test]
fn contradicting_lengths_are_refused() {
    assert_protocol(raw("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), "two Content-Lengths, 2 and 3");
    assert_protocol(raw("Content-Length: 5, 6\r\n", "{}"), "two Content-Lengths, 5 and 6");
}

#[test]
fn one_length_said_twice_is_one_length() {
    assert_eq!(answer(raw("Content-Length: 2\r\nContent-Length: 2\r\n", "{}"), Close::Keep).text(), "{}");
    assert_eq!(answer(raw("Content-Length: 2, 2\r\n", "[]"), Close::Keep).text(), "[]");
}

#[test]
fn a_length_that_is_no_number_is_refused() {
    for bad in ["+5", "-1", "10000000000000000000000", "", "0x5", "5 6", "5;", "1e3"] {
        assert_protocol(raw(&format!("Content-Length: {bad}\r\n"), "{}"), "is not a number");
    }
}

#[test]
fn a_long_bad_length_is_not_repeated_in_full() {
    let fault = fault(raw(&format!("Content-Length: {}\r\n", "9".repeat(50_000)), "{}"), Close::Keep);
    assert_fault(&fault, PROTOCOL, "is not a number");
    assert!(fault.message.len() < 1000, "{} bytes", fault.message.len());
}

#[test]
fn with_length_and_chunks_the_chunks_count_and_the_connection_is_not_used_again() {
    let wire = raw("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "4\r\n1234\r\n0\r\n\r\n");
    let bench = Bench::new([wire], Close::Keep);
    assert_eq!(bench.answer().text(), "1234");
    assert_eq!(bench.server.connections(), 2);
}

#[test]
fn a_bad_chunk_size_is_refused() {
    for bad in ["zz", "-5", "+5", "0x5", "123456789012345678", "", " 5", "5 x\ry"] {
        let wire = raw("Transfer-Encoding: chunked\r\n", &format!("{bad}\r\nhello\r\n0\r\n\r\n"));
        let fault = fault(wire, Close::Keep);
        assert_fault(&fault, PROTOCOL, "a chunk size");
        assert_eq!(fault.http_status, 200, "{bad}");
    }
    let wire = raw("Transfer-Encoding: chunked\r\n", "3\r\nhello\r\n0\r\n\r\n");
    assert_fault(&fault(wire, Close::Keep), PROTOCOL, "longer than its size says");
}

#[test]
fn other_transfer_codings_are_refused() {
    for bad in ["gzip, chunked", "chunked, identity", "chunked\r\nTransfer-Encoding: gzip", "identityx", ""] {
        assert_protocol(raw(&format!("Transfer-Encoding: {bad}\r\n"), "0\r\n\r\n"), "Transfer-Encoding");
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_protocol(old, "Transfer-Encoding in an HTTP/1.0 answer");
}

#[test]
fn chunked_said_twice_is_chunked_and_the_end_of_the_connection() {
    for twice in ["chunked, chunked", "chunked\r\nTransfer-Encoding: chunked", "identity, chunked"] {
        let wire = raw(&format!("Transfer-Encoding: {twice}\r\n"), "4\r\n1234\r\n0\r\n\r\n");
        let bench = Bench::new([wire], Close::Keep);
        assert_eq!(bench.answer().text(), "1234", "{twice}");
        assert_eq!(bench.server.connections(), 2, "{twice}");
    }
    let wire = raw("Transfer-Encoding: identity\r\nContent-Length: 4\r\n", "1234");
    let bench = Bench::new([wire], Close::Keep);
    assert_eq!(bench.answer().text(), "1234");
    assert_eq!(bench.server.connections(), 2);
}

#[test]
fn a_control_character_in_a_trailer_is_refused() {
    for bad in ["X: a\0b", "X: \x7f", "\x0bX: a"] {
        let wire = raw("Transfer-Encoding: chunked\r\n", &format!("2\r\n{{}}\r\n0\r\n{bad}\r\n\r\n"));
        assert_fault(&fault(wire, Close::Keep), PROTOCOL, "a control character in a trailer");
    }
    let wire = raw("Transfer-Encoding: chunked\r\n", "2\r\n[]\r\n0\r\nX:\té\r\n\r\n");
    assert_eq!(answer(wire, Close::Keep).text(), "[]");
}

// ---- cuts and splits ----

const HEAD_LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n";
const HEAD_CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const HEAD_CLOSE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
const HEAD_OLD: &str = "HTTP/1.0 200 OK\r\nX: y\r\n\r\n";

/// Name, head, the body's bytes on the wire, and the data in them; `None`: it ends with the connection.
const FRAMINGS: [(&str, &str, &str, bool); 4] = [
    ("length", HEAD_LENGTH, r#"{"whole":"yes"}"#, true),
    ("chunked", HEAD_CHUNKED, "5;x=y\r\n{\"who\r\n00a \r\nle\":\"yes\"}\r\n0\r\nX-Sum: 1\r\n\r\n", true),
    ("close", HEAD_CLOSE, r#"{"whole":"yes"}"#, false),
    ("old", HEAD_OLD, r#"{"whole":"yes"}"#, false),
];

fn wire(name: &str) -> (String, usize, bool) {
    let (_, head, body, framed) = FRAMINGS.into_iter().find(|(n, ..)| *n == name).unwrap();
    (format!("{head}{body}"), head.len(), framed)
}

/// `/NAME/cut/N/fin`: the first N bytes, and FIN. `/NAME/split/N/keep`: all, in two writes. `/NAME/bytes/0/keep`.
fn cutting(mut stream: TcpStream, _: usize) {
    while let Some(request) = read_request(&mut stream) {
        let target = request.target().to_owned();
        let parts: Vec<&str> = target.split('/').skip(1).collect();
        let [name, what, n, how] = parts[..] else {
            stream.write_all(&ok_json(r#"{"good":true}"#)).unwrap();
            continue;
        };
        let (wire, ..) = wire(name);
        let n: usize = n.parse().unwrap();
        let pieces: Vec<&[u8]> = match what {
            "cut" => vec![&wire.as_bytes()[..n]],
            "split" => vec![&wire.as_bytes()[..n], &wire.as_bytes()[n..]],
            "bytes" => wire.as_bytes().chunks(1).collect(),
            other => panic!("{other}"),
        };
        for piece in pieces {
            stream.write_all(piece).unwrap();
            std::thread::yield_now();
        }
        match how {
            "fin" => return,
            "rst" => return rst(stream),
            _ => {}
        }
    }
}

fn cutting_api(server: &Server) -> Api {
    faulty::api(
        &server.url(),
        &json!({"endpoints": {"cut": {"path": "/{name}/{what}/{n}/{how}"}, "bad": {"params": null}}}),
    )
}

fn get(api: &Api, name: &str, what: &str, n: usize, how: &str) -> Result<Answer, Fault> {
    let params = json!({"name": name, "what": what, "n": n, "how": how}).to_string();
    api.fetch("cut", params.as_str(), None)
}

#[test]
fn an_answer_that_ends_early_is_truncated_wherever_it_ends() {
    let server = Server::start(cutting);
    let api = cutting_api(&server);
    for (name, ..) in FRAMINGS {
        let (wire, head, framed) = wire(name);
        for how in ["fin", "rst"] {
            for n in 0..wire.len() {
                let at = format!("{name} {how} after {n} of {head}+{}", wire.len() - head);
                let fault = match get(&api, name, "cut", n, how) {
                    Err(fault) => fault,
                    // On a plain connection, its end in good order is the end of such a body: also an early one.
                    Ok(answer) => {
                        assert!(!framed && how == "fin" && n == head, "{at}: {}", answer.text());
                        assert_eq!((answer.text(), &answer.meta["length_known"]), ("null", &json!(false)));
                        continue;
                    }
                };
                let sent = fault.json["sent"].as_str().unwrap();
                match n {
                    0 => {
                        assert_eq!((fault.status, sent), (IO, "maybe"), "{at}: {}", fault.message);
                    }
                    _ if n > head && !framed && how == "fin" => {
                        // It is taken for whole, and then is no JSON.
                        assert_eq!((fault.status, sent), (api::DECODE, "yes"), "{at}: {}", fault.message);
                    }
                    _ => {
                        assert_fault(&fault, TRUNCATED, "the answer was cut");
                        assert_eq!(sent, if n < head { "maybe" } else { "yes" }, "{at}");
                        assert!(fault.retryable, "{at}");
                    }
                }
                faulty::assert_fault_keeps_secrets(&fault);
            }
        }
        assert_still_works(&api);
    }
}

#[test]
fn a_reset_within_a_close_delimited_body_is_not_its_end() {
    let server = Server::start(cutting);
    let api = cutting_api(&server);
    for name in ["close", "old"] {
        let (wire, ..) = wire(name);
        let whole = get(&api, name, "cut", wire.len(), "fin").unwrap();
        assert_eq!((whole.text(), &whole.meta["length_known"]), (r#"{"whole":"yes"}"#, &json!(false)));
        assert_fault(
            &get(&api, name, "cut", wire.len(), "rst").unwrap_err(),
            TRUNCATED,
            "the answer was cut",
        );
    }
}

#[test]
fn the_bytes_that_came_are_counted_in_the_message() {
    let wire = raw("Content-Length: 10\r\n", "[1,2");
    assert_fault(&fault(wire, Close::Fin), TRUNCATED, "after 4 bytes of its body, 6 are missing");
    let wire = raw("Transfer-Encoding: chunked\r\n", "4\r\n[1,2\r\n");
    assert_fault(&fault(wire, Close::Fin), TRUNCATED, "after 4 bytes of its body, before the last chunk");
}

#[test]
fn an_answer_in_any_pieces_is_whole_and_its_connection_is_used_again() {
    for name in ["length", "chunked"] {
        let server = Server::start(cutting);
        let api = cutting_api(&server);
        let (wire, ..) = wire(name);
        for n in 0..=wire.len() {
            let answer = get(&api, name, "split", n, "keep").unwrap();
            assert_eq!(answer.text(), r#"{"whole":"yes"}"#, "{name} split at {n}");
            assert_eq!(answer.meta["length_known"], true);
        }
        assert_eq!(get(&api, name, "bytes", 0, "keep").unwrap().text(), r#"{"whole":"yes"}"#, "{name}");
        assert_eq!(server.connections(), 1, "{name}");
    }
}

#[test]
fn a_body_without_a_length_in_any_pieces_is_whole() {
    let server = Server::start(cutting);
    let api = cutting_api(&server);
    for name in ["close", "old"] {
        let (wire, ..) = wire(name);
        for n in 0..=wire.len() {
            let answer = get(&api, name, "split", n, "fin").unwrap();
            assert_eq!(answer.text(), r#"{"whole":"yes"}"#, "{name} split at {n}");
            assert_eq!(answer.meta["length_known"], false);
        }
        assert_eq!(get(&api, name, "bytes", 0, "fin").unwrap().text(), r#"{"whole":"yes"}"#, "{name}");
    }
}

#[test]
fn a_body_over_many_reads_is_the_same_in_every_framing() {
    let list: Vec<u32> = (0..40_000).collect();
    let body = serde_json::to_string(&list).unwrap();
    let chunks: String = body.as_bytes().chunks(7001).fold(String::new(), |all, chunk| {
        all + &format!("{:X}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap())
    });
    for (wire, close) in [
        (response("200 OK", "", &body), Close::Keep),
        (raw("Transfer-Encoding: chunked\r\n", &format!("{chunks}0\r\n\r\n")), Close::Keep),
        (raw("", &body), Close::Fin),
    ] {
        assert!(answer(wire, close).text() == body, "{close:?}: the body is another");
    }
}

// ---- what is no answer ----

#[test]
fn what_is_not_http_is_refused_at_once() {
    for bad in [
        "<html>hello</html>",
        "\x16\x03\x01\x02\x00\x01",
        "HTTP/2 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "garbage",
    ] {
        assert_protocol(bad, "the answer is not HTTP/1.x");
    }
}

#[test]
fn a_close_without_an_answer_may_have_been_processed() {
    for close in [Close::Fin, Close::Rst] {
        let bench = Bench::new([""; 0], close);
        let fault = bench.fault();
        assert_eq!(fault.status, IO, "{}", fault.message);
        assert_eq!((&fault.json["sent"], fault.retryable), (&json!("maybe"), true), "{close:?}");
        let fault = bench.fault_of(|api| api.send("post", "{}", None));
        assert_eq!(fault.status, IO, "{}", fault.message);
        assert_eq!((&fault.json["sent"], fault.retryable), (&json!("maybe"), false), "{close:?}");
    }
}

#[test]
fn a_broken_field_is_refused() {
    for bad in ["A: b\0c", "A : b", "nocolon", "A\x01: b", ": b"] {
        assert_protocol(raw(&format!("{bad}\r\nContent-Length: 2\r\n"), "{}"), "the response head");
    }
}

#[test]
fn a_folded_field_becomes_spaces_and_bare_line_feeds_are_line_ends() {
    let folded = answer(raw("X-Long: one\r\n  two\r\nContent-Length: 2\r\n", "{}"), Close::Keep);
    assert_eq!(folded.header("x-long").unwrap().split_whitespace().collect::<Vec<_>>(), ["one", "two"]);
    let bare = answer("HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 2\n\n{}", Close::Keep);
    assert_eq!((bare.text(), bare.header("x-a")), ("{}", Some("1")));
    let chunked = answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\n{}\n0\n\n", Close::Keep);
    assert_eq!(chunked.text(), "{}");
}

#[test]
fn a_field_in_latin_1_neither_fails_nor_spoils_the_others() {
    let wire = b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n{}".to_vec();
    let answer = answer(wire, Close::Keep);
    assert_eq!((answer.header("x-name"), answer.header("x-a")), (Some("caf\u{fffd}"), Some("1")));
}

#[test]
fn a_status_outside_100_to_599_is_refused() {
    for bad in ["999", "600", "099", "000", "0", "20", "2000", "abc"] {
        let wire = format!("HTTP/1.1 {bad} X\r\nContent-Length: 2\r\n\r\n{{}}");
        assert_protocol(wire, "");
    }
}

#[test]
fn a_protocol_switch_that_nobody_asked_for_is_refused() {
    assert_protocol("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "101");
}

// ---- interim answers ----

#[test]
fn interim_answers_are_skipped() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
    let bench = Bench::new(
        [early.repeat(3), "HTTP/1.1 100 Continue\r\n\r\n".into(), String::from_utf8(ok_json("[1]")).unwrap()],
        Close::Keep,
    );
    let answer = bench.answer();
    assert_eq!((answer.text(), answer.status, answer.header("link")), ("[1]", 200, None));
    assert_eq!(bench.server.connections(), 1);
    let most =
        "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(16) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
    assert_eq!(faulty::answer(most, Close::Keep).text(), "[]");
}

#[test]
fn more_than_sixteen_interim_answers_are_an_attack() {
    for n in [17, 1000] {
        let wire =
            "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(n) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
        assert_protocol(wire, "more than 16 interim");
    }
}

// ---- limits ----

#[test]
fn a_head_beyond_64_kib_is_too_large() {
    let padded = |n: usize| raw(&format!("X-Pad: {}\r\nContent-Length: 2\r\n", "x".repeat(n)), "{}");
    assert_eq!(answer(padded(65_000), Close::Keep).text(), "{}");
    for n in [65_536, 300_000] {
        assert_fault(&fault(padded(n), Close::Keep), TOO_LARGE, "limits.max_header");
    }
    let bench = Bench::with([padded(2000)], Close::Keep, &json!({"limits": {"max_header": "1KiB"}}));
    assert_fault(&bench.fault(), TOO_LARGE, "more than 1024 bytes (limits.max_header)");
}

#[test]
fn thousands_of_fields_are_too_many_and_hundreds_are_not() {
    let fields = |n: usize| (0..n).map(|i| format!("x{i}: {i}\r\n")).collect::<String>();
    let many = answer(raw(&format!("{}Content-Length: 2\r\n", fields(900)), "{}"), Close::Keep);
    assert_eq!(many.header("x899"), Some("899"));
    assert_fault(&fault(raw(&fields(2000), "{}"), Close::Keep), TOO_LARGE, "header fields");
}

/// A handler that repeats a piece until the client has had enough.
fn endless(start: &'static str, piece: &'static str) -> impl Fn(TcpStream, usize) + Send + Sync + 'static {
    move |mut stream, _| {
        let Some(request) = read_request(&mut stream) else { return };
        if request.target() == "/good" {
            stream.write_all(&ok_json(r#"{"good":true}"#)).unwrap();
            return finish(stream, Close::Keep);
        }
        stream.write_all(start.as_bytes()).unwrap();
        let block = piece.repeat(1024);
        let mut written = 0u64;
        while stream.write_all(block.as_bytes()).is_ok() {
            written += block.len() as u64;
            assert!(written < 1 << 30, "the client reads on for ever");
        }
    }
}

#[test]
fn what_never_ends_is_stopped_at_its_limit() {
    for (start, piece, says) in [
        ("HTTP/1.1 200 OK\r\n", "X-Again: and again\r\n", "header fields"),
        ("HTTP/1.1 200 OK\r\nX: ", "xxxxxxxxxxxxxxxx", "limits.max_header"),
        ("", "\r\n", "limits.max_header"),
        ("HTTP/1.1 200 OK\r\n\r\n", "0123456789abcdef", "limits.max_body"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", "limits.max_body"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "xxxx",
            "limits.max_body",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "xxxx", "chunk extension"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n", "trailers"),
    ] {
        let server = Server::start(endless(start, piece));
        let api = faulty::api(&server.url(), &json!({"limits": {"max_body": "100KB"}}));
        let fault = api.fetch("bad", None, None).unwrap_err();
        assert_fault(&fault, TOO_LARGE, says);
        assert_eq!(server.requests().len(), 1);
        assert_still_works(&api);
    }
}

#[test]
fn a_body_whose_length_is_beyond_the_limit_is_refused_unread() {
    let limit = json!({"limits": {"max_body": 1000}});
    // Not a byte of it ever comes.
    let bench = Bench::with([raw("Content-Length: 18446744073709551615\r\n", "")], Close::Keep, &limit);
    assert_fault(&bench.fault(), TOO_LARGE, "a body of more than 1000 bytes (limits.max_body)");
    for (n, fits) in [(1000, true), (1001, false)] {
        let body = format!("{:1$}", "[]", n);
        for (wire, close) in [
            (response("200 OK", "", &body), Close::Keep),
            (raw("Transfer-Encoding: chunked\r\n", &format!("{n:x}\r\n{body}\r\n0\r\n\r\n")), Close::Keep),
            (raw("", &body), Close::Fin),
        ] {
            let bench = Bench::with([wire], close, &limit);
            if fits {
                assert_eq!(bench.answer().text(), body, "{n}");
            } else {
                assert_fault(&bench.fault(), TOO_LARGE, "limits.max_body");
            }
        }
    }
}

// ---- whose bytes are they? ----

#[test]
fn bytes_behind_a_body_are_nobodys_answer() {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let bench = Bench::new([format!("{whole}{poison}")], Close::Keep);
    assert_eq!(bench.answer().text(), "{}");
    assert_eq!(bench.server.connections(), 2);
    // In a write of its own, it may come before or after the connection went back to the pool.
    let bench = Bench::new([whole.to_owned() + "\r\n", poison.to_owned()], Close::Keep);
    assert_eq!(bench.answer().text(), "{}");
    assert_eq!(bench.server.connections(), 2);
}

#[test]
fn bytes_that_come_while_a_connection_is_idle_are_nobodys_answer() {
    let (poisoned, send) = (Gate::new(), Gate::new());
    let server = Server::start({
        let (poisoned, send) = (poisoned.clone(), send.clone());
        move |mut stream: TcpStream, number| {
            while let Some(_request) = read_request(&mut stream) {
                stream.write_all(&ok_json(r#"{"good":true}"#)).unwrap();
                if number == 0 {
                    send.wait();
                    stream.write_all(&response("200 OK", "", "poison")).unwrap();
                    // On loopback, what is written has arrived.
                    poisoned.open();
                }
            }
        }
    });
    let api = faulty::api(&server.url(), &json!({}));
    assert_still_works(&api);
    send.open();
    poisoned.wait();
    assert_still_works(&api);
    assert_eq!((server.connections(), server.requests().len()), (2, 2));
}

#[test]
fn a_body_where_none_can_be_is_not_the_next_answer() {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
    for (status, headers) in [
        ("204 No Content", format!("Content-Length: {}\r\n", poison.len())),
        ("304 Not Modified", format!("Content-Length: {}\r\n", poison.len())),
        ("204 No Content", "Transfer-Encoding: chunked\r\n".into()),
    ] {
        let wire = format!("HTTP/1.1 {status}\r\n{headers}\r\n{poison}");
        let more = json!({"endpoints": {"bad": {"ok_status": [304]}}});
        let bench = Bench::with([wire], Close::Keep, &more);
        assert_eq!(bench.answer().text(), "null", "{status}");
        assert_eq!(bench.server.connections(), 2, "{status}");
    }
}

#[test]
fn a_204_alone_leaves_its_connection_to_the_next_call() {
    let bench = Bench::new(["HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n"], Close::Keep);
    assert_eq!(bench.answer().text(), "null");
    assert_eq!(bench.server.connections(), 1);
}

// ---- an answer before the request is over ----

/// Large enough never to fit into the sockets' buffers.
const UPLOAD: usize = 48 << 20;

fn upload(api: &Api) -> Result<Answer, Fault> {
    api.send_bytes("post", &vec![b'x'; UPLOAD], None)
}

fn uploading(f: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> (Server, Api, Arc<AtomicUsize>) {
    let uploads = Arc::new(AtomicUsize::new(0));
    let server = Server::start({
        let uploads = uploads.clone();
        move |mut stream: TcpStream, _| {
            while let Some(head) = read_head(&mut stream) {
                if head.starts_with("GET /good") {
                    stream.write_all(&ok_json(r#"{"good":true}"#)).unwrap();
                    continue;
                }
                uploads.fetch_add(1, Ordering::Relaxed);
                return f(&mut stream);
            }
        }
    });
    let api = faulty::api(&server.url(), &json!({"endpoints": {"post": {"decode": "bytes"}}}));
    (server, api, uploads)
}

#[test]
fn a_refusal_before_the_upload_ends_is_the_answer() {
    let over = Gate::new();
    for how in ["close", "stay", "half", "reset"] {
        let (server, api, uploads) = uploading({
            let over = over.clone();
            move |stream| {
                stream.write_all(&response("413 Content Too Large", "", "too much")).unwrap();
                match how {
                    // With unread bytes, the close is a reset.
                    "close" => {}
                    // Open, and nothing is read.
                    "stay" => over.wait(),
                    "half" => {
                        stream.shutdown(std::net::Shutdown::Write).unwrap();
                        over.wait();
                    }
                    _ => {
                        let linger = Some(std::time::Duration::ZERO);
                        rustix::net::sockopt::set_socket_linger(&*stream, linger).unwrap();
                    }
                }
            }
        });
        let fault = upload(&api).unwrap_err();
        assert_fault(&fault, HTTP_STATUS, "the server answered 413");
        assert_eq!((fault.http_status, fault.response_body.as_slice()), (413, &b"too much"[..]), "{how}");
        assert_eq!(fault.json["sent"], "yes", "{how}");
        faulty::assert_fault_keeps_secrets(&fault);
        over.open();
        assert_still_works(&api);
        assert_eq!((uploads.load(Ordering::Relaxed), server.connections()), (1, 2), "{how}");
    }
}

#[test]
fn a_success_before_the_upload_ends_is_the_answer_too() {
    let (server, api, uploads) = uploading(|stream| stream.write_all(&ok_json("[1]")).unwrap());
    assert_eq!(upload(&api).unwrap().text(), "[1]");
    assert_still_works(&api);
    assert_eq!((uploads.load(Ordering::Relaxed), server.connections()), (1, 2));
}

#[test]
fn an_early_interim_answer_does_not_end_the_upload() {
    let (server, api, _) = uploading(|stream| {
        let mut left = UPLOAD;
        let mut buf = vec![0; 64 << 10];
        // Each is in pieces, while the client waits for room to send.
        for piece in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103",
            " Early Hints\r\nLink: x\r\n",
            "\r\nHTTP/1",
            ".1 103 Early\r\n\r\n",
        ] {
            stream.write_all(piece.as_bytes()).unwrap();
            for _ in 0..16 {
                left -= stream.read(&mut buf).unwrap();
            }
        }
        while left > 0 {
            let n = stream.read(&mut buf).unwrap();
            assert!(n > 0, "{left} bytes of the upload are missing");
            left -= n;
        }
        stream.write_all(&ok_json(r#"{"got":"all"}"#)).unwrap();
        let mut rest = [0];
        assert_eq!(stream.read(&mut rest).unwrap_or(0), 0, "more than the upload");
    });
    let answer = upload(&api).unwrap();
    assert_eq!(answer.text(), r#"{"got":"all"}"#);
    assert_eq!(server.connections(), 1);
}

#[test]
fn an_upload_that_nobody_takes_and_nobody_answers_may_have_been_processed() {
    let (_server, api, uploads) = uploading(|_| {});
    let fault = upload(&api).unwrap_err();
    assert_eq!((fault.status, &fault.json["sent"]), (IO, &json!("maybe")), "{}", fault.message);
    assert!(!fault.retryable);
    assert_still_works(&api);
    assert_eq!(uploads.load(Ordering::Relaxed), 1);
}

// ---- connections that the server has closed ----

/// A server whose first connection dies on its second request, `how` it is told.
fn dying(how: impl Fn(TcpStream) + Send + Sync + 'static) -> Server {
    Server::start(move |mut stream, number| {
        let mut served = 0;
        while let Some(_request) = read_request(&mut stream) {
            served += 1;
            if number == 0 && served == 2 {
                return how(stream);
            }
            stream.write_all(&ok_json(r#"{"good":true}"#)).unwrap();
        }
    })
}

fn on_the_wire(requests: &[Request]) -> Vec<(String, usize)> {
    requests.iter().map(|r| (r.method().to_owned(), r.connection)).collect()
}

#[test]
fn a_connection_closed_while_idle_is_replaced_for_every_method() {
    for rude in [false, true] {
        let server = Server::start(move |mut stream, _| {
            let Some(_) = read_request(&mut stream) else { return };
            stream.write_all(&ok_json(r#"{"good":true}"#)).unwrap();
            if rude {
                rst(stream);
            }
        });
        let api = faulty::api(&server.url(), &json!({}));
        assert_still_works(&api);
        server.wait_closed();
        assert_still_works(&api);
        server.wait_closed();
        api.send("post", "{}", None).unwrap();
        let seen = on_the_wire(&server.requests());
        assert_eq!(seen, [("GET".into(), 0), ("GET".into(), 1), ("POST".into(), 2)], "{rude}");
    }
}

#[test]
fn a_get_that_meets_a_dying_connection_goes_out_once_more() {
    for close in [Close::Fin, Close::Rst] {
        let server = dying(move |stream| finish(stream, close));
        let api = faulty::api(&server.url(), &json!({}));
        assert_still_works(&api);
        let answer = api.fetch("bad", None, None).unwrap();
        assert_eq!((answer.text(), &answer.meta["reused"]), (r#"{"good":true}"#, &json!(false)));
        let seen = on_the_wire(&server.requests());
        assert_eq!(seen, [("GET".into(), 0), ("GET".into(), 0), ("GET".into(), 1)], "{close:?}");
        assert_eq!(server.connections(), 2);
        assert_still_works(&api);
    }
}

#[test]
fn a_put_may_be_repeated_like_a_get() {
    let server = dying(|stream| finish(stream, Close::Fin));
    let api = faulty::api(&server.url(), &json!({}));
    assert_still_works(&api);
    api.send("put", r#"{"a":1}"#, None).unwrap();
    let requests = server.requests();
    assert_eq!(on_the_wire(&requests), [("GET".into(), 0), ("PUT".into(), 0), ("PUT".into(), 1)]);
    assert_eq!((requests[1].body_text(), requests[2].body_text()), (r#"{"a":1}"#, r#"{"a":1}"#));
}

#[test]
fn a_post_that_meets_a_dying_connection_is_not_repeated() {
    for close in [Close::Fin, Close::Rst] {
        let server = dying(move |stream| finish(stream, close));
        let api = faulty::api(&server.url(), &json!({}));
        assert_still_works(&api);
        let fault = api.send("post", "{}", None).unwrap_err();
        assert_eq!(fault.status, IO, "{}", fault.message);
        assert_eq!((&fault.json["sent"], fault.retryable), (&json!("maybe"), false));
        assert_eq!(fault.json["attempts"].as_array().unwrap().len(), 1);
        faulty::assert_fault_keeps_secrets(&fault);
        assert_eq!(on_the_wire(&server.requests()), [("GET".into(), 0), ("POST".into(), 0)], "{close:?}");
        assert_still_works(&api);
    }
}

#[test]
fn a_get_is_repeated_once_and_not_more() {
    let server = Server::start(|mut stream: TcpStream, number| {
        let mut served = 0;
        while let Some(_request) = read_request(&mut stream) {
            served += 1;
            if (number, served) != (0, 1) {
                return;
            }
            stream.write_all(&ok_json(r#"{"good":true}"#)).unwrap();
        }
    });
    let api = faulty::api(&server.url(), &json!({}));
    assert_still_works(&api);
    let fault = api.fetch("bad", None, None).unwrap_err();
    assert_eq!((fault.status, &fault.json["sent"]), (IO, &json!("maybe")), "{}", fault.message);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn an_answer_that_has_begun_is_not_asked_for_again() {
    let server = dying(|mut stream| stream.write_all(b"HTTP/1.1 200 OK\r\nConte").unwrap());
    let api = faulty::api(&server.url(), &json!({}));
    assert_still_works(&api);
    assert_fault(&api.fetch("bad", None, None).unwrap_err(), TRUNCATED, "bytes of its head");
    assert_eq!(server.requests().len(), 2);
    assert_still_works(&api);
}

#[test]
fn a_connection_that_the_server_will_close_is_not_used_again() {
    for headers in ["Connection: close\r\n", "Connection: x, Close\r\n"] {
        let server = Server::start(answering(move |_| response("200 OK", headers, r#"{"good":true}"#)));
        let api = faulty::api(&server.url(), &json!({}));
        assert_still_works(&api);
        assert_still_works(&api);
        assert_eq!(server.connections(), 2);
    }
}

#[test]
fn a_refused_answer_leaves_its_connection_to_the_next_call() {
    let bench = Bench::new([response("401 Unauthorized", "", "who?")], Close::Keep);
    assert_fault(&bench.fault(), AUTH, "401");
    assert_eq!(bench.server.connections(), 1);
}
