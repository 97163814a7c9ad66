//! What comes back: bodies, encodings, charsets, statuses, headers and cookies.

use serde_json::{Value, json};

use crate::api::{AUTH, HTTP_STATUS, RATE_LIMITED};
use crate::{connector, file, get, good, httpbin, its, one};

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn an_answer_s_body_comes_back_whole() {
    let text = |path: &str, decode: &str| get(&httpbin(json!({"path": path, "decode": decode})));
    // The same bytes, with a length and in chunks.
    let plain = text("/bytes/100000?seed=7", "bytes");
    let chunked = text("/stream-bytes/100000?seed=7&chunk_size=999", "bytes");
    assert_eq!((plain.header("Content-Length"), plain.header("Transfer-Encoding")), (Some("100000"), None));
    assert_eq!(
        (chunked.header("Content-Length"), chunked.header("Transfer-Encoding")),
        (None, Some("chunked"))
    );
    assert_eq!((plain.body.len(), plain.body == chunked.body), (100_000, true));
    let alphabet: Vec<u8> = (b'a'..=b'z').cycle().take(100_000).collect();
    assert!(text("/range/100000", "bytes").body == alphabet);
    // Lines become an array.
    let lines = text("/stream/20", "ndjson").json();
    let ids: Vec<i64> = lines.as_array().unwrap().iter().map(|line| line["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (0..20).collect::<Vec<_>>());
    assert!(
        lines.as_array().unwrap().iter().all(|line| line["url"] == format!("{}/stream/20", its("httpbin")))
    );
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn every_encoding_is_decoded_and_left_as_it_is_for_identity() {
    let document = std::fs::read(file("document.json")).unwrap();
    for (server, path, coding, magic) in [
        ("httpbin", "gzip", "gzip", &[0x1f, 0x8b, 8][..]),
        ("httpbin", "deflate", "deflate", &[0x78]),
        ("httpbin", "brotli", "br", &[]),
        ("https", "zstd", "zstd", &[0x28, 0xb5, 0x2f, 0xfd]),
    ] {
        let x = |accept: &str| {
            let endpoint = json!({"path": format!("/{path}"), "accept_encoding": accept, "decode": "bytes"});
            get(&one(&its(server), endpoint, json!({})))
        };
        let (decoded, raw) = (x("auto"), x("identity"));
        for answer in [&decoded, &raw] {
            assert_eq!(answer.header("Content-Encoding"), Some(coding));
        }
        if path == "zstd" {
            assert!(decoded.body == document);
        } else {
            let flag = if path == "gzip" { "gzipped".to_owned() } else { path.replace("ate", "ated") };
            let said = decoded.json();
            assert_eq!((&said[flag], &said["method"]), (&json!(true), &json!("GET")), "{said}");
            assert_eq!(said["headers"]["Accept-Encoding"], "gzip, br, zstd, deflate");
        }
        assert!(raw.body.starts_with(magic) && raw.body.len() < decoded.body.len());
        assert!(serde_json::from_slice::<Value>(&raw.body).is_err(), "{path}: not encoded");
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn an_encoding_is_agreed_on_with_the_server() {
    for (accept, coding) in [("auto", Some("gzip")), ("identity", None)] {
        let endpoint = json!({"path": "/range/100000", "accept_encoding": accept, "decode": "bytes"});
        let answer = get(&one(&its("https"), endpoint, json!({})));
        assert_eq!(answer.header("Content-Encoding"), coding);
        assert!(answer.body.iter().copied().eq((b'a'..=b'z').cycle().take(100_000)));
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_text_is_read_in_its_charset() {
    let text = get(&httpbin(json!({"path": "/encoding/utf8", "decode": "text"})));
    let bytes = get(&httpbin(json!({"path": "/encoding/utf8", "decode": "bytes"})));
    assert_eq!(text.header("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(text.body == bytes.body && text.text().contains("∮ E⋅da = Q,  n → ∞, ∑ f(i) = ∏ g(i)"));
    let latin1 =
        |decode: &str| get(&one(&its("https"), json!({"path": "/latin1", "decode": decode}), json!({})));
    assert_eq!(latin1("bytes").body, b"Gr\xf6\xdfe: \xbd\n");
    assert_eq!(latin1("text").text(), "Größe: ½\n");
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn every_status_becomes_data_or_its_error() {
    let call = |code: i32, more: Value| {
        let mut endpoint = json!({"path": format!("/status/{code}")});
        more.as_object().unwrap().iter().for_each(|(k, v)| endpoint[k] = v.clone());
        httpbin(endpoint).fetch("x", None, None)
    };
    for code in [200, 201, 202, 204] {
        let answer = good(call(code, json!({})));
        assert_eq!((answer.status, answer.text()), (code, "null"));
    }
    for (code, status) in [
        (304, HTTP_STATUS),
        (400, HTTP_STATUS),
        (401, AUTH),
        (403, AUTH),
        (404, HTTP_STATUS),
        (418, HTTP_STATUS),
        (429, RATE_LIMITED),
        (500, HTTP_STATUS),
        (503, HTTP_STATUS),
    ] {
        let fault = call(code, json!({})).expect_err("a failure");
        assert_eq!((fault.status, fault.http_status), (status, code), "{}", fault.message);
        let answer = fault.response.unwrap();
        assert_eq!(answer.status, code);
        match code {
            418 => assert!(fault.response_body.starts_with(b"\n    -=[ teapot ]=-\n")),
            _ => assert_eq!(fault.response_body, b"", "{code}"),
        }
        let fine = good(call(code, json!({"ok_status": [code], "decode": "text"})));
        assert_eq!(fine.status, code);
    }
    let health = httpbin(json!({"path": "/x"})).health().unwrap().json();
    assert_eq!(
        (&health["status"], &health["details"]["status_code"]),
        (&json!("healthy"), &json!(200)),
        "{health}"
    );
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn the_headers_of_an_answer_are_all_there() {
    let answer =
        get(&httpbin(json!({"path": "/response-headers", "params": {"X-A": ["1", "2, 3"], "X-B": "b c"}})));
    let of = |name: &str| -> Vec<&str> {
        answer.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    };
    assert_eq!((of("X-A"), of("X-B")), (vec!["1", "2, 3"], vec!["b c"]));
    assert_eq!((&answer.json()["X-A"], &answer.json()["X-B"]), (&json!(["1", "2, 3"]), &json!("b c")));
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn cookies_that_a_server_sets_are_brought_back_where_it_is_asked_for() {
    for (keys, wanted) in [(json!({"cookies": true}), json!({"a": "1", "b": "x y"})), (json!({}), json!({}))]
    {
        let mut keys = keys;
        keys["endpoints"] = json!({
            "set": {"path": "/response-headers", "params": {"Set-Cookie": ["a=1; Path=/", "b=\"x y\"; Path=/"]}},
            "unset": {"path": "/response-headers", "params": {"Set-Cookie": "a=; Path=/; Max-Age=0"}},
            "get": {"path": "/cookies"},
        });
        let api = connector(&its("httpbin"), keys);
        let ask = |endpoint: &str| good(api.fetch(endpoint, None, None)).json();
        ask("set");
        assert_eq!(ask("get"), json!({"cookies": wanted}));
        ask("unset");
        let mut wanted = wanted;
        wanted.as_object_mut().unwrap().remove("a");
        assert_eq!(ask("get"), json!({"cookies": wanted}));
    }
}
