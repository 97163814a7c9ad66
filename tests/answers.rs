//! What becomes of an answer that came whole: encodings, JSON, paths, statuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/faulty.rs"]
mod faulty;
mod support;

use std::io::Write;

use api::{AUTH, Answer, DECODE, Fault, HTTP_STATUS, RATE_LIMITED, REDIRECT, TOO_LARGE};
use faulty::{Bench, HEADER, KEY, TOKEN, answer, assert_fault, assert_no_secret, fault};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::{Close, Server, answering, ok_json, response};

fn gzip(data: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    response("200 OK", &format!("Content-Encoding: {encoding}\r\n"), body)
}

/// The answer to GET `/bad`, whose endpoint has these further keys.
fn with(wire: Vec<u8>, endpoint: Value) -> Bench {
    Bench::with([wire], Close::Keep, &json!({"endpoints": {"bad": endpoint}}))
}

// ---- encodings ----

const TEXT: &str = r#"{"text":"hello, hello, hello, hello, hello, hello"}"#;

#[test]
fn gzip_is_asked_for_and_taken_off() {
    for name in ["gzip", "GZIP", "x-gzip", "identity, gzip", "gzip, identity"] {
        let bench = Bench::new([encoded(name, gzip(TEXT))], Close::Keep);
        assert_eq!(bench.answer().text(), TEXT, "{name}");
        assert_eq!(bench.server.connections(), 1);
        assert_eq!(bench.server.requests()[0].header("accept-encoding"), Some("gzip, br, zstd, deflate"));
    }
    assert_eq!(answer(encoded("gzip, gzip", gzip(gzip(TEXT))), Close::Keep).text(), TEXT);
}

#[test]
fn two_gzip_members_are_one_body() {
    let body = [gzip(&TEXT[..20]), gzip(&TEXT[20..])].concat();
    assert_eq!(answer(encoded("gzip", body), Close::Keep).text(), TEXT);
}

#[test]
fn the_names_for_no_encoding_are_no_encoding() {
    for name in ["identity", "none", "", "Identity, none"] {
        assert_eq!(answer(encoded(name, TEXT), Close::Keep).text(), TEXT, "{name}");
    }
}

#[test]
fn an_unknown_encoding_is_not_guessed_at() {
    for name in ["sdch", "gzip, foo", "aes128gcm"] {
        let fault = fault(encoded(name, TEXT), Close::Keep);
        assert_fault(&fault, DECODE, "unsupported encoding `");
        assert_eq!((fault.http_status, fault.retryable), (200, false));
    }
    assert_fault(&fault(encoded("gzip, gzip, gzip", TEXT), Close::Keep), DECODE, "on top of each other");
}

#[test]
fn a_broken_gzip_body_is_not_handed_on() {
    let whole = gzip(TEXT);
    let mut bad_crc = whole.clone();
    let at = bad_crc.len() - 6;
    bad_crc[at] ^= 1;
    let mut bad_size = whole.clone();
    let at = bad_size.len() - 1;
    bad_size[at] ^= 1;
    let mut bad_data = whole.clone();
    bad_data[14] ^= 0xff;
    let junk = [&whole[..], b"JUNK"].concat();
    let cut_second = [&whole[..], &whole[..whole.len() - 3]].concat();
    for body in [&bad_crc[..], &bad_size, &bad_data, &junk, &cut_second, TEXT.as_bytes()] {
        assert_fault(&fault(encoded("gzip", body), Close::Keep), DECODE, "the gzip body is broken after ");
    }
    for n in 1..whole.len() {
        assert_fault(
            &fault(encoded("gzip", &whole[..n]), Close::Keep),
            DECODE,
            "the gzip body is broken after ",
        );
    }
}

#[test]
fn no_bytes_are_no_body_whatever_their_encoding() {
    assert_eq!(answer(encoded("gzip", ""), Close::Keep).text(), "null");
}

#[test]
fn a_bomb_stops_at_the_limit_of_the_decoded_body() {
    let member = gzip(vec![b' '; 1 << 20]);
    let bomb = member.repeat(100);
    let bench = Bench::with([encoded("gzip", bomb)], Close::Keep, &json!({"limits": {"max_body": "2MiB"}}));
    assert_fault(&bench.fault(), TOO_LARGE, "a decoded body of more than 2097152 bytes (limits.max_body)");
    let twice = gzip(gzip(vec![b' '; 4 << 20]));
    let bench =
        Bench::with([encoded("gzip, gzip", twice)], Close::Keep, &json!({"limits": {"max_body": "2MiB"}}));
    assert_fault(&bench.fault(), TOO_LARGE, "limits.max_body");
}

#[test]
fn identity_asks_for_the_bytes_as_they_are_and_hands_them_on() {
    let body = gzip(TEXT);
    let bench = with(encoded("gzip", &body), json!({"accept_encoding": "identity", "decode": "bytes"}));
    let answer = bench.answer();
    assert!(answer.body == body, "the body was decoded");
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(bench.server.requests()[0].header("accept-encoding"), Some("identity"));
    let bench = with(encoded("sdch", "?!"), json!({"decode": "bytes"}));
    let answer = bench.api.fetch("bad", None, r#"{"accept_encoding": "identity"}"#).unwrap();
    assert_eq!(answer.text(), "?!");
}

#[test]
fn an_errors_body_is_shown_decoded() {
    let wire = response("404 Not Found", "Content-Encoding: gzip\r\n", gzip(r#"{"message":"no such user"}"#));
    let fault = fault(wire, Close::Keep);
    assert_fault(&fault, HTTP_STATUS, "the server answered 404: no such user");
    assert_eq!(fault.response_body, br#"{"message":"no such user"}"#);
    assert_eq!(fault.json["response_body"], r#"{"message":"no such user"}"#);
}

#[test]
fn an_errors_text_is_decoded_from_its_charset() {
    for (media, body, shown) in [
        ("text/plain; charset=ISO-8859-1", &b"caf\xe9"[..], "café"),
        ("text/plain", "café".as_bytes(), "café"),
        ("text/plain; charset=klingon", b"caf\xe9", "caf\u{fffd}"),
    ] {
        let fault = fault(response("400 Bad", &format!("Content-Type: {media}\r\n"), body), Close::Keep);
        assert_eq!(fault.json["response_body"], shown, "{media}");
        assert_eq!(fault.response_body, body, "{media}");
    }
}

#[test]
fn of_an_errors_body_that_is_too_long_or_broken_the_start_is_shown() {
    let long = "x".repeat(100_000);
    let shown = |headers: &str, body: &[u8]| {
        let fault = fault(response("500 Oops", headers, body), Close::Keep);
        assert_fault(&fault, HTTP_STATUS, "the server answered 500");
        String::from_utf8(fault.response_body).unwrap()
    };
    assert!(shown("", long.as_bytes()) == long[..65536]);
    assert!(shown("Content-Encoding: gzip\r\n", &gzip(&long)) == long[..65536]);
    let noise: String = (0..20_000u32).map(|i| format!("{:08x}", i.wrapping_mul(2_654_435_761))).collect();
    // Longer than what is kept in the encoded form too.
    assert!(gzip(&noise).len() > 65536);
    assert!(noise.starts_with(&shown("Content-Encoding: gzip\r\n", &gzip(&noise))));
    assert!(shown("Content-Encoding: gzip\r\n", &gzip(&noise)).len() > 10_000);
    assert_eq!(shown("Content-Encoding: gzip\r\n", b"not gzip"), "not gzip");
    assert_eq!(shown("Content-Encoding: sdch\r\n", b"not gzip"), "not gzip");
}

#[test]
fn a_refusal_whose_body_is_cut_is_still_that_refusal_and_shows_what_came() {
    for (wire, shown) in [
        ("HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nso far", "so far"),
        ("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nso far\r\n", "so far"),
        ("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nso far\r\nzz\r\n", "so far"),
    ] {
        let fault = fault(wire, Close::Fin);
        assert_fault(&fault, HTTP_STATUS, "the server answered 503");
        assert_eq!(String::from_utf8_lossy(&fault.response_body), shown, "{wire}");
    }
}

// ---- JSON ----

#[test]
fn every_byte_of_json_is_the_servers() {
    for body in [
        r#"{"id": 123456789012345678901234567890, "x": 0.1234567890123456789, "z": -0}"#,
        "[1e999, -1E400, 1.0, 1.10, 9007199254740993, 18446744073709551616]",
        r#"["\ud800", "\u0000", "\/", "\u00e9", "é"]"#,
        "{\"\\u0000\": 1, \"a\": 1, \"a\": 2,\t\"\": null}\r\n",
        " null ",
        "0",
        r#""text""#,
    ] {
        assert_eq!(answer(ok_json(body), Close::Keep).text(), body);
    }
}

#[test]
fn numbers_found_by_a_path_keep_every_digit_and_the_last_duplicate_counts() {
    let body = r#"{"a": 1, "data": {"n": 0}, "data": {"n": 1.10e2, "n":  -0 , "big": 123456789012345678901234567890}}"#;
    for (path, value) in [("data.n", "-0"), ("data.big", "123456789012345678901234567890"), ("a", "1")] {
        assert_eq!(with(ok_json(body), json!({"response_path": path})).answer().text(), value, "{path}");
    }
    let list = r#"{"items": [ {"x": 1E400} , "\ud800" ]}"#;
    assert_eq!(
        with(ok_json(list), json!({"response_path": "items"})).answer().text(),
        r#"[ {"x": 1E400} , "\ud800" ]"#
    );
    assert_eq!(with(ok_json(list), json!({"response_path": "items.0.x"})).answer().text(), "1E400");
}

#[test]
fn a_byte_order_mark_is_taken_off() {
    assert_eq!(answer(ok_json("\u{feff}[1]"), Close::Keep).text(), "[1]");
    let path = json!({"response_path": "a"});
    assert_eq!(with(ok_json("\u{feff}{\"a\": 2}"), path).answer().text(), "2");
    assert_fault(&fault(ok_json("\u{feff}\u{feff}[1]"), Close::Keep), DECODE, "at byte 3");
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (body, says) in [
        (&b"[\"\xff\"]"[..], "invalid UTF-8 at byte 2"),
        (b"\xef\xbb\xbf[\xff]", "invalid UTF-8 at byte 4"),
        (b"caf\xe9", "invalid UTF-8 at byte 3"),
        (b"\"a\xed\xa0\x80\"", "invalid UTF-8 at byte 2"),
        (b"NaN", "at byte 0"),
        (b"[1, Infinity]", "at byte 4"),
        (b"[1,]", "at byte 3"),
        (b"[01]", "at byte 2"),
        (b"[\"a\tb\"]", "at byte 3"),
        (b"[1] x", "at byte 4"),
        (b"{} {}", "at byte 3"),
        (b"{\"a\": 1", "at byte 7"),
        (b"'a'", "at byte 0"),
        (b"   ", "at byte 3"),
        (b"\0", "at byte 0"),
    ] {
        let fault = fault(ok_json(body), Close::Keep);
        assert_fault(&fault, DECODE, "the answer is not JSON: ");
        assert!(fault.message.contains(says), "{}: {}", body.escape_ascii(), fault.message);
        assert_eq!(fault.response_body, body);
        assert_eq!((fault.http_status, fault.retryable), (200, false));
    }
}

#[test]
fn an_empty_body_is_null() {
    for (wire, close) in [
        (ok_json(""), Close::Keep),
        (response("201 Created", "", ""), Close::Keep),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(), Close::Keep),
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), Close::Fin),
    ] {
        let bench = Bench::new([wire], close);
        assert_eq!(bench.answer().text(), "null");
        assert_eq!(bench.api.send("post", "{}", None).unwrap().text(), r#"{"success":true,"result":null}"#);
    }
}

/// Runs on a stack as small as a host's thread may have.
fn on_a_small_stack<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(256 << 10).spawn(f).unwrap().join().unwrap()
}

#[test]
fn a_hostile_depth_is_refused_on_a_small_stack() {
    let closed = "[".repeat(200_000) + &"]".repeat(200_000);
    let objects = r#"{"a":"#.repeat(200_000) + "1" + &"}".repeat(200_000);
    for body in ["[".repeat(200_000), closed, objects] {
        let path = json!({"response_path": "a.a.a"});
        for bench in [Bench::new([ok_json(&body)], Close::Keep), with(ok_json(&body), path)] {
            let fault = on_a_small_stack(move || bench.fault());
            assert_fault(&fault, DECODE, "the answer is not JSON: ");
        }
    }
    // As a refusal's body it is looked at for a message.
    for body in
        ["[".repeat(30_000), r#"{"error":"#.repeat(5_000), format!(r#"{{"error":{}"#, "[".repeat(30_000))]
    {
        let wire = response("500 Oops", "Content-Type: application/problem+json\r\n", &body);
        let bench = Bench::new([wire], Close::Keep);
        let fault = on_a_small_stack(move || bench.fault());
        assert_fault(&fault, HTTP_STATUS, "the server answered 500");
    }
}

#[test]
fn a_depth_of_128_is_fine_and_129_is_not() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert_eq!(answer(ok_json(nested(128)), Close::Keep).text(), nested(128));
    assert_fault(&fault(ok_json(nested(129)), Close::Keep), DECODE, "at byte 128");
}

#[test]
fn a_web_page_in_place_of_json_is_shown_in_part() {
    let page = format!("<html><b>Sign in!</b>\r\n{}", "padding ".repeat(100));
    let fault = fault(response("200 OK", "Content-Type: text/html; charset=utf-8\r\n", &page), Close::Keep);
    assert_fault(&fault, DECODE, "the answer is not JSON: expected value at byte 0");
    assert!(fault.message.contains("`text/html; charset=utf-8`"), "{}", fault.message);
    assert!(fault.message.contains("<html><b>Sign in!</b>"), "{}", fault.message);
    assert!(fault.message.len() < 500 && !fault.message.contains('\n'), "{}", fault.message);
    assert_eq!((fault.http_status, fault.json["status_code"].as_u64()), (200, Some(200)));
    assert!(fault.response_body == page.as_bytes());
}

#[test]
fn on_missing_decides_what_a_path_without_a_goal_is() {
    let body = r#"{"data": {"items": null}, "list": [1]}"#;
    for path in ["items", "data.items.x", "list.1", "list.x", "data.items.0"] {
        let bench = with(ok_json(body), json!({"response_path": path}));
        let fault = bench.fault();
        assert_fault(&fault, DECODE, &format!("response_path `{path}` finds nothing"));
        assert_eq!(fault.response_body, body.as_bytes());
        let null = with(ok_json(body), json!({"response_path": path, "on_missing": "null"})).answer();
        assert_eq!((null.text(), null.status), ("null", 200));
        let whole = with(ok_json(body), json!({"response_path": path, "on_missing": "whole"})).answer();
        assert_eq!(whole.text(), body);
    }
    // What is there and null is found.
    assert_eq!(with(ok_json(body), json!({"response_path": "data.items"})).answer().text(), "null");
}

#[test]
fn bytes_are_handed_on_unseen() {
    let body = b"\0\xff not json";
    let bench = with(response("200 OK", "", body), json!({"decode": "bytes"}));
    assert_eq!(bench.answer().body, body);
}

// ---- statuses ----

fn status(status: &str, headers: &str, body: &str) -> Fault {
    fault(response(status, headers, body), Close::Keep)
}

#[test]
fn a_redirect_that_is_not_followed_is_reported_with_its_answer() {
    for code in [301, 302, 303, 307, 308] {
        let bench = Bench::with(
            [response(&format!("{code} Moved"), "Location: /good\r\nX-A: 1\r\n", "moved")],
            Close::Keep,
            &json!({"redirects": {"follow": false}}),
        );
        // One request, says the bench.
        let fault = bench.fault();
        assert_fault(&fault, REDIRECT, &format!("the server answered {code}, a redirect to /good"));
        assert_eq!((fault.http_status, fault.category.as_str(), fault.retryable), (code, "NETWORK", false));
        let answer = fault.response.unwrap();
        assert_eq!((answer.status, answer.text(), answer.header("x-a")), (code, "moved", Some("1")));
    }
    assert_fault(&status("302 Found", "", ""), REDIRECT, "a redirect to nowhere");
    assert_fault(&status("300 Multiple Choices", "", ""), HTTP_STATUS, "the server answered 300");
    assert_fault(&status("304 Not Modified", "", ""), HTTP_STATUS, "the server answered 304");
}

#[test]
fn each_refusal_has_its_status_and_category() {
    for (code, kind, category, retryable) in [
        ("400 Bad Request", HTTP_STATUS, "VALIDATION", false),
        ("401 Unauthorized", AUTH, "AUTH", false),
        ("403 Forbidden", AUTH, "AUTH", false),
        ("404 Not Found", HTTP_STATUS, "CLIENT", false),
        ("408 Request Timeout", HTTP_STATUS, "CLIENT", true),
        ("409 Conflict", HTTP_STATUS, "CLIENT", false),
        ("422 Unprocessable", HTTP_STATUS, "VALIDATION", false),
        ("429 Too Many Requests", RATE_LIMITED, "RATE_LIMIT", true),
        ("500 Internal Server Error", HTTP_STATUS, "SERVER", true),
        ("501 Not Implemented", HTTP_STATUS, "SERVER", false),
        ("503 Service Unavailable", HTTP_STATUS, "SERVER", true),
        ("599 What", HTTP_STATUS, "SERVER", true),
    ] {
        let retryable = retryable && !code.starts_with("599");
        let fault = status(code, "X-Request-Id: r-1\r\n", r#"{"title": "No", "detail": "not\nnow"}"#);
        let number: i32 = code[..3].parse().unwrap();
        assert_fault(&fault, kind, &format!("the server answered {number}: No: not now"));
        assert_eq!(
            (fault.category.as_str(), fault.http_status, fault.retryable),
            (category, number, retryable)
        );
        assert_eq!(
            (&fault.json["error_category"], &fault.json["status_code"]),
            (&json!(category), &json!(number))
        );
        assert_eq!((&fault.json["sent"], &fault.json["correlation_id"]), (&json!("yes"), &json!("r-1")));
        assert_eq!(fault.retry_after_ms, -1);
    }
}

#[test]
fn a_failed_post_may_not_be_repeated_unless_the_server_asks_for_it() {
    for (code, headers, retryable) in [
        ("500 Oops", "", false),
        ("408 Request Timeout", "", false),
        ("503 Busy", "", false),
        ("503 Busy", "Retry-After: 2\r\n", true),
        ("429 Too Many", "", true),
        ("500 Oops", "Retry-After: 2\r\n", false),
    ] {
        let bench = Bench::new([response(code, headers, "")], Close::Keep);
        let fault = bench.fault_of(|api| api.send("post", "{}", None));
        assert_eq!(fault.retryable, retryable, "{code} {headers}: {}", fault.message);
    }
}

#[test]
fn the_servers_wait_is_reported_in_milliseconds() {
    for (headers, ms) in [
        ("Retry-After: 5\r\n", 5000),
        ("Retry-After: 0\r\n", 0),
        ("retry-after-ms: 250\r\nRetry-After: 5\r\n", 250),
        ("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 0),
        ("Retry-After: soon\r\n", -1),
        ("Retry-After: -1\r\n", -1),
        ("", -1),
    ] {
        let fault = status("429 Too Many", headers, "");
        assert_eq!((fault.status, fault.retry_after_ms), (RATE_LIMITED, ms), "{headers}");
    }
    let huge = status("429 Too Many", "Retry-After: 18446744073709551615\r\n", "");
    assert!(huge.retry_after_ms > 1 << 60, "{}", huge.retry_after_ms);
}

#[test]
fn a_listed_status_is_no_error() {
    let wire = response("404 Not Found", "", r#"{"found": false}"#);
    let answer = with(wire.clone(), json!({"ok_status": [404]})).answer();
    assert_eq!((answer.status, answer.text()), (404, r#"{"found": false}"#));
    let bench = Bench::new([wire], Close::Keep);
    let answer = bench.api.fetch("bad", None, r#"{"ok_status": [404]}"#).unwrap();
    assert_eq!((answer.status, answer.meta["status"].as_i64()), (404, Some(404)));
    assert_fault(&bench.fault(), HTTP_STATUS, "404");
}

// ---- secrets ----

/// A server that says back what it was told, with this status and in this many bytes of padding.
fn echoing(status: &'static str, media: &'static str, padding: usize) -> Server {
    Server::start(answering(move |request| {
        let secrets = format!("{TOKEN} {KEY} {HEADER} {}", request.target());
        let body = format!(r#"{}{{"message": "{secrets}", "title": "{secrets}"}}"#, " ".repeat(padding));
        let headers = format!(
            "Content-Type: {media}\r\nLocation: http://x.example{}\r\nX-Echo: {secrets}\r\nX-Request-Id: {TOKEN}\r\n",
            request.target(),
        );
        response(status, &headers, body)
    }))
}

#[test]
fn secrets_that_a_server_says_back_are_in_no_message_json_meta_or_log() {
    let ((), lines) = api::log_lines(|| {
        for status in ["302 Found", "401 No", "404 Not Found", "429 Slow down", "500 Oops"] {
            for media in ["application/json", "application/problem+json"] {
                let server = echoing(status, media, 0);
                let fault = faulty::api(&server.url(), &json!({})).fetch("bad", None, None).unwrap_err();
                faulty::assert_fault_keeps_secrets(&fault);
                // The server's own bytes are not touched.
                assert!(String::from_utf8_lossy(&fault.response_body).contains(TOKEN));
            }
        }
        let server = echoing("200 OK", "application/json", 0);
        let answer: Answer = faulty::api(&server.url(), &json!({})).fetch("bad", None, None).unwrap();
        assert!(answer.text().contains(TOKEN), "a result is the server's bytes");
        assert_no_secret("meta", &answer.meta.to_string());
    });
    assert!(lines.iter().any(|line| line.contains("/bad")), "nothing was logged: {lines:?}");
    assert_no_secret("log", &lines.join("\n"));
}

#[test]
fn a_secret_at_the_edge_of_an_excerpt_is_not_shown_in_part() {
    // What is cut off must not be a piece of a secret: the excerpt is 200 characters long.
    for before in 150..=200 {
        let page = format!("{}{TOKEN} and more", "<".repeat(before));
        let fault = fault(response("200 OK", "Content-Type: text/html\r\n", &page), Close::Keep);
        assert_fault(&fault, DECODE, "the answer is not JSON");
        assert!(!fault.message.contains("canary"), "{before}: {}", fault.message);
        let told = format!(r#"{{"message": "{}{TOKEN} and more"}}"#, "x".repeat(before));
        let fault = status("500 Oops", "", &told);
        assert!(!fault.message.contains("canary"), "{before}: {}", fault.message);
    }
}
