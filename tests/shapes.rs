//! Answers of every shape: content codings, charsets, lines, paths and schemas.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/faulty.rs"]
mod faulty;
mod support;

use std::io::Write;

use api::{Api, DECODE, Fault, INVALID_CONFIG, SCHEMA, TOO_LARGE};
use faulty::{Bench, TOKEN, assert_fault};
use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use serde_json::{Value, json};
use support::{Close, Server, answering, ok_json, response};

/// The answer to GET `/bad`, whose endpoint has these further keys.
fn with(wire: Vec<u8>, endpoint: Value) -> Bench {
    Bench::with([wire], Close::Keep, &json!({"endpoints": {"bad": endpoint}}))
}

fn encoded(encoding: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    response("200 OK", &format!("Content-Encoding: {encoding}\r\n"), body)
}

fn br(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    brotli::CompressorWriter::new(&mut out, 4096, 5, 20).write_all(data).unwrap();
    out
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

type Encoder = fn(&[u8]) -> Vec<u8>;
const CODINGS: [(&str, Encoder); 4] =
    [("br", br), ("zstd", zstd), ("deflate", zlib), ("deflate", raw_deflate)];

// ---- content codings ----

#[test]
fn every_coding_that_is_asked_for_is_taken_off() {
    let text = format!(r#"{{"n": 1.10, "text": "{}"}}"#, "hello ".repeat(5000));
    for (name, encode) in CODINGS {
        let body = encode(text.as_bytes());
        assert!(body.len() < text.len() / 2, "{name} did not shrink it");
        assert!(with(encoded(name, &body), json!({})).answer().text() == text, "{name}");
        assert!(with(encoded(&name.to_uppercase(), &body), json!({})).answer().text() == text, "{name}");
        let path = json!({"response_path": "n"});
        assert_eq!(with(encoded(name, &body), path).answer().text(), "1.10", "{name}");
        // One on top of the other; the last one named is the outermost.
        let both = zlib(&body);
        assert!(
            with(encoded(&format!("{name}, deflate"), both), json!({})).answer().text() == text,
            "{name}"
        );
    }
}

#[test]
fn a_body_whose_coding_is_broken_or_cut_is_not_handed_on() {
    let text: String = (0..2000u32).map(|i| format!("{:08x}", i.wrapping_mul(2_654_435_761))).collect();
    let text = format!("\"{text}\"");
    for (name, encode) in CODINGS {
        let whole = encode(text.as_bytes());
        let cut = &whole[..whole.len() - whole.len() / 3];
        for body in [cut, b"certainly not".as_slice()] {
            let fault = with(encoded(name, body), json!({})).fault();
            assert_fault(&fault, DECODE, &format!("the {name} body is broken after "));
            assert_eq!((fault.http_status, fault.retryable), (200, false));
        }
        let behind = [&whole[..], b"JUNK"].concat();
        assert_fault(&with(encoded(name, behind), json!({})).fault(), DECODE, &format!("the {name} body "));
    }
}

#[test]
fn a_bomb_in_any_coding_stops_at_the_limit() {
    let much = vec![b' '; 20 << 20];
    for (name, encode) in CODINGS {
        let limit = json!({"limits": {"max_body": "1MiB"}});
        let fault = with(encoded(name, encode(&much)), limit).fault();
        assert_fault(&fault, TOO_LARGE, "a decoded body of more than 1048576 bytes (limits.max_body)");
    }
}

// ---- text ----

#[test]
fn a_text_is_decoded_from_its_charset() {
    for (charset, body, text) in [
        ("", &b"plain"[..], "plain"),
        ("; charset=utf-8", "\u{e4}\u{20ac}".as_bytes(), "\u{e4}\u{20ac}"),
        ("; charset=iso-8859-1", b"caf\xe9 \x80", "caf\u{e9} \u{20ac}"),
        ("; charset=\"windows-1251\"", b"\xcf\xf0\xe8", "\u{41f}\u{440}\u{438}"),
        ("; x=y; CHARSET=Shift_JIS", b"\x93\xfa\x96\x7b", "\u{65e5}\u{672c}"),
        ("; charset=utf-16le", b"h\0i\0", "hi"),
        // A byte order mark knows better than the header.
        ("; charset=iso-8859-1", b"\xef\xbb\xbf\xc3\xa4", "\u{e4}"),
        ("", b"\xfe\xff\0h\0i", "hi"),
        ("", b"", ""),
    ] {
        let wire = response("200 OK", &format!("Content-Type: text/plain{charset}\r\n"), body);
        let bench = with(wire, json!({"decode": "text"}));
        let answer = bench.answer();
        assert_eq!(answer.text(), text, "{charset}");
        assert!(!answer.meta.to_string().contains("U+FFFD"), "{charset}");
        assert_eq!(bench.server.requests()[0].header("accept"), Some("*/*"));
    }
}

#[test]
fn bytes_that_a_charset_does_not_have_are_replaced_and_told() {
    let wire = response("200 OK", "Content-Type: text/plain\r\n", b"a\xffb");
    let answer = with(wire, json!({"decode": "text"})).answer();
    assert_eq!(answer.text(), "a\u{fffd}b");
    assert!(answer.meta["warnings"].to_string().contains("replaced by U+FFFD"), "{}", answer.meta);
    let wire = response("200 OK", "Content-Type: text/plain; charset=klingon\r\n", "x");
    assert_fault(&with(wire, json!({"decode": "text"})).fault(), DECODE, "the charset `klingon`");
}

#[test]
fn a_sent_item_s_answer_may_be_a_text() {
    let server = Server::start(answering(|_| response("200 OK", "", "it's \"done\"\n")));
    let api = faulty::api(&server.url(), &json!({"endpoints": {"post": {"decode": "text"}}}));
    assert_eq!(
        api.send("post", "1", None).unwrap().json(),
        json!({"success": true, "result": "it's \"done\"\n"})
    );
    assert_eq!(api.send("post", "[1,2]", None).unwrap().json()["results"][1], "it's \"done\"\n");
}

// ---- lines ----

#[test]
fn lines_become_one_array_of_the_servers_bytes() {
    for (body, array) in [
        ("{\"a\": 1.0}\n[2]\r\n\n  -0 \n\"\\ud800\"", r#"[{"a": 1.0},[2],-0,"\ud800"]"#),
        ("", "[]"),
        ("\n\r\n", "[]"),
        ("\u{feff}1\n2\n", "[1,2]"),
    ] {
        let bench = with(response("200 OK", "", body), json!({"decode": "ndjson"}));
        assert_eq!(bench.answer().text(), array, "{body:?}");
        assert_eq!(bench.server.requests()[0].header("accept"), Some("application/x-ndjson"));
    }
    let keys = json!({"decode": "ndjson", "response_path": "$[?@.n > 1].n"});
    let lines = "{\"n\": 1}\n{\"n\": 2.50}\n{\"n\": 3}\n";
    assert_eq!(with(response("200 OK", "", lines), keys).answer().text(), "[2.50,3]");
}

#[test]
fn a_line_that_is_not_json_is_named() {
    for (body, says) in [
        ("{}\n{\"a\":}\n{}\n", "a line 2 that is not JSON: "),
        ("1\n2\nthree", "a line 3 that is not JSON: "),
        ("1 2\n", "a line 1 that is not JSON: "),
        ("1\n\u{feff}2\n", "a line 2 that is not JSON: a byte order mark"),
    ] {
        let fault = with(response("200 OK", "", body), json!({"decode": "ndjson"})).fault();
        assert_fault(&fault, DECODE, "bad: GET http://127.0.0.1:");
        assert_fault(&fault, DECODE, says);
        assert_eq!(fault.response_body, body.as_bytes());
    }
}

// ---- paths ----

const DEEP: &str =
    r#"{"data": {"items": [ {"id": 1.0, "tags": ["x"]} , {"id": -0} ], "a/b~c": 1e2, "": [7]}, "n": null}"#;

#[test]
fn a_path_in_any_of_the_three_languages_finds_the_servers_bytes() {
    for (path, found) in [
        ("data.items.1.id", "-0"),
        ("/data/items/0/id", "1.0"),
        ("/data/a~1b~0c", "1e2"),
        ("/data//0", "7"),
        ("/n", "null"),
        ("$.data.items", r#"[ {"id": 1.0, "tags": ["x"]} , {"id": -0} ]"#),
        ("$['data']['a/b~c']", "1e2"),
        ("$.data.items[-1].id", "-0"),
        ("$", DEEP),
        // What may find many is an array, also of one or none.
        ("$.data.items[*].id", "[1.0,-0]"),
        ("$..id", "[1.0,-0]"),
        ("$.data.items[?@.tags].id", "[1.0]"),
        ("$.data.items[5:]", "[]"),
    ] {
        assert_eq!(with(ok_json(DEEP), json!({"response_path": path})).answer().text(), found, "{path}");
    }
}

#[test]
fn a_path_in_any_language_may_lead_nowhere() {
    for path in ["/data/items/2", "/data/items/01", "/data/x", "/n/x", "$.data.x", "$.data.items[2]"] {
        let fault = with(ok_json(DEEP), json!({"response_path": path})).fault();
        assert_fault(&fault, DECODE, &format!("response_path `{path}` finds nothing: "));
        let null = json!({"response_path": path, "on_missing": "null"});
        assert_eq!(with(ok_json(DEEP), null).answer().text(), "null");
        let whole = json!({"response_path": path, "on_missing": "whole"});
        assert_eq!(with(ok_json(DEEP), whole).answer().text(), DEEP);
    }
}

// ---- schemas ----

const USERS: &str =
    r#"{"users": [{"id": 1.0, "name": "a"}, {"id": "secret-value"}, {"id": 3, "name": "c"}, 4]}"#;

fn users(policy: Option<&str>) -> Bench {
    let mut keys = json!({
        "response_path": "users",
        "response_schema": {"type": "array", "items": {
            "type": "object", "required": ["name"], "properties": {"id": {"type": "integer"}},
        }},
    });
    if let Some(policy) = policy {
        keys["schema_policy"] = json!(policy);
    }
    with(ok_json(USERS), keys)
}

const ALL: &str = r#"[{"id": 1.0, "name": "a"}, {"id": "secret-value"}, {"id": 3, "name": "c"}, 4]"#;

/// The warnings beside the one about credentials over plain http.
fn warnings(answer: &api::Answer) -> Vec<String> {
    let all = answer.meta["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_owned());
    all.filter(|w| !w.contains("plain http")).collect()
}

#[test]
fn data_that_does_not_fit_is_warned_of_unless_told_otherwise() {
    for policy in [None, Some("warn"), Some("WARN")] {
        let answer = users(policy).answer();
        assert_eq!(answer.text(), ALL);
        let [warning] = &warnings(&answer)[..] else { panic!("{}", answer.meta) };
        assert!(warning.starts_with("the data does not fit response_schema: 3 faults: "), "{warning}");
        for pointer in ["/1: ", "/1/id: ", "/3: "] {
            assert!(warning.contains(pointer), "{pointer}: {warning}");
        }
        assert!(!warning.contains("secret-value"), "{warning}");
    }
}

#[test]
fn a_schema_that_is_off_says_nothing() {
    let answer = users(Some("off")).answer();
    assert_eq!((answer.text(), warnings(&answer).len()), (ALL, 0));
}

#[test]
fn items_that_do_not_fit_are_dropped_and_counted() {
    let answer = users(Some("drop_item")).answer();
    assert_eq!(answer.text(), r#"[{"id": 1.0, "name": "a"},{"id": 3, "name": "c"}]"#);
    let [warning] = &warnings(&answer)[..] else { panic!("{}", answer.meta) };
    assert!(warning.starts_with("2 items dropped by response_schema: "), "{warning}");
    // A fault of the whole is no item's: nothing that could be dropped would mend it.
    for (schema, body) in [
        (json!({"type": "array", "minItems": 3, "items": {"type": "integer"}}), r#"[1,"x"]"#),
        (json!({"type": "object"}), "[]"),
        (json!({"type": "array"}), "{}"),
    ] {
        let keys = json!({"response_schema": schema, "schema_policy": "drop_item"});
        assert_fault(&with(ok_json(body), keys).fault(), SCHEMA, "the data does not fit response_schema: ");
    }
}

#[test]
fn data_that_must_fit_is_an_error_with_the_answer() {
    let fault = users(Some("fail")).fault();
    assert_fault(&fault, SCHEMA, "the data does not fit response_schema: 3 faults: ");
    assert!(fault.message.starts_with("bad: GET http://") && fault.message.contains("/1/id: "));
    assert!(!fault.message.contains("secret-value"), "{}", fault.message);
    assert_eq!((fault.category.as_str(), fault.http_status, fault.retryable), ("VALIDATION", 200, false));
    assert_eq!((&fault.json["sent"], &fault.json["status_code"]), (&json!("yes"), &json!(200)));
    let answer = fault.response.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("secret-value"), "the answer is the server's bytes");
}

#[test]
fn many_faults_are_counted_and_twenty_are_told() {
    let keys = json!({"response_schema": {"items": {"type": "integer"}}, "schema_policy": "fail"});
    let body = format!("[{}1]", r#""x","#.repeat(500));
    let fault = with(ok_json(body), keys).fault();
    assert_fault(&fault, SCHEMA, "500 faults: /0: ");
    assert!(fault.message.contains("/19: ") && !fault.message.contains("/20: "), "{}", fault.message);
}

#[test]
fn a_schema_judges_what_no_tree_of_rust_can_hold() {
    // Numbers beyond f64, lone surrogates, and the last of duplicates.
    let body = r#"{"n": 1e999, "s": "\ud800", "d": "x", "d": 2}"#;
    let schema = json!({"properties": {
        "n": {"type": "number"}, "s": {"type": "string"}, "d": {"type": "integer"},
    }});
    let keys = json!({"response_schema": schema, "schema_policy": "fail"});
    assert_eq!(with(ok_json(body), keys).answer().text(), body);
}

#[test]
fn recursive_schemas_and_hostile_patterns_end() {
    let tree = json!({"$ref": "#/$defs/node", "$defs": {"node": {
        "type": "array", "items": {"$ref": "#/$defs/node"},
    }}});
    let deep = "[".repeat(100) + &"]".repeat(100);
    let keys = json!({"response_schema": tree, "schema_policy": "fail"});
    assert_eq!(with(ok_json(&deep), keys.clone()).answer().text(), deep);
    assert_fault(&with(ok_json("[[[1]]]"), keys).fault(), SCHEMA, "/0/0/0: ");
    let pattern = json!({"pattern": "^(?=(a+)+$)(a|a)*\\1b$"});
    let keys = json!({"response_schema": pattern, "schema_policy": "fail"});
    let begun = std::time::Instant::now();
    assert_fault(&with(ok_json(format!("\"{}\"", "a".repeat(40))), keys).fault(), SCHEMA, "1 fault: /: ");
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    let huge = json!({"maxItems": 1e300, "minLength": 0, "items": {"maxLength": 9007199254740991i64}});
    let keys = json!({"response_schema": huge, "schema_policy": "fail"});
    assert_eq!(with(ok_json(r#"["x"]"#), keys).answer().text(), r#"["x"]"#);
}

// ---- configuration ----

#[test]
fn an_empty_path_is_the_whole_answer() {
    let body = r#"{"": 1, "a": 2}"#;
    assert_eq!(with(ok_json(body), json!({"response_path": ""})).answer().text(), body);
}

fn refused(endpoint: Value) -> Fault {
    let config = json!({"base_url": "https://a.example", "auth": {"type": "bearer", "token": TOKEN},
        "endpoints": {"e": endpoint}});
    let fault = Api::new(&config.to_string()).unwrap_err();
    assert!(!fault.everything().contains(TOKEN));
    fault
}

#[test]
fn a_path_that_is_none_is_refused_when_the_connector_is_made() {
    for (path, says) in [
        ("a..b", "must not have an empty step"),
        ("/a~2", "is not a JSON Pointer"),
        ("$.a[", "is not a JSONPath"),
        ("$..", "is not a JSONPath"),
        ("$[?nope(@)]", "is not a JSONPath"),
    ] {
        let fault = refused(json!({"path": "/e", "response_path": path}));
        assert_fault(&fault, INVALID_CONFIG, "/endpoints/e/response_path");
        assert_fault(&fault, INVALID_CONFIG, says);
    }
}

#[test]
fn a_schema_that_is_none_or_lies_elsewhere_is_refused_when_the_connector_is_made() {
    // Whoever fetched it would be seen here.
    let server = Server::start(answering(|_| ok_json("{}")));
    let remote = format!("{}/schema.json", server.url());
    for key in ["response_schema", "request_schema"] {
        for schema in [
            json!({"type": "nonsense"}),
            json!({"minItems": -1}),
            json!({"pattern": "("}),
            json!({"$ref": "#/$defs/nowhere"}),
            json!({"$ref": remote}),
            json!({"properties": {"a": {"$ref": "https://a.example/schema.json"}}}),
            json!({"$ref": "file:///etc/hostname"}),
            json!({"$ref": "other.json"}),
            json!({"$id": remote, "$ref": "next.json"}),
            json!({"$dynamicRef": format!("{remote}#x")}),
            json!("text"),
            json!(7),
        ] {
            let fault = refused(json!({"path": "/e", key: schema}));
            assert_fault(&fault, INVALID_CONFIG, &format!("/endpoints/e/{key}"));
        }
    }
    assert_eq!(server.connections(), 0);
}
