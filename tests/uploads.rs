//! What a request carries: forms, parts and files arrive as they were given, or nothing pretends that they did.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/alone.rs"]
mod alone;
#[path = "support/api.rs"]
mod api;
#[path = "support/multipart.rs"]
mod multipart;
mod support;

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use api::{Answer, Api, CANCELLED, Cancel, Fault, HTTP_STATUS, INVALID_ARGUMENT, INVALID_CONFIG, TIMEOUT};
use multipart::{Part, escaped, parts};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::tls::{Ca, Leaf, TlsServer};
use support::{Folder, Gate, Request, Server, answering, ok_json, read_head, read_request, response};

const FILE: i32 = 600;
/// Larger than all buffers between the two sides.
const LARGE: u64 = 48 << 20;

fn api(base_url: &str) -> Api {
    let config = json!({
        "base_url": base_url,
        "retry_count": 1,
        "timeout": 15,
        "default_headers": {"X-Any": "1"},
        "endpoints": {
            "good": {"path": "/good"},
            "json": {"path": "/json", "method": "POST", "body_template": {"t": 1}},
            "form": {"path": "/form", "method": "POST", "body": "form"},
            "template": {"path": "/form", "method": "POST", "body": "form", "body_template": {"a": 1.5, "b": "x"}},
            "parts": {"path": "/parts", "method": "POST", "body": "multipart"},
            "put": {"path": "/put", "method": "PUT"},
            "image": {"path": "/put", "method": "PUT", "body": "raw", "content_type": "image/png"},
            "typed": {"path": "/x", "method": "POST", "headers": {"content-type": "application/json"}},
            "get": {"path": "/x"},
            "delete": {"path": "/x", "method": "DELETE"},
            "other": {"path": "/x", "method": "PROPFIND"},
        },
    });
    Api::new(&config.to_string()).expect("the configuration is good")
}

fn server() -> (Server, Api) {
    let server = Server::start(answering(|_| ok_json("true")));
    let api = api(&server.url());
    (server, api)
}

/// The one request that this call makes.
fn request(call: impl FnOnce(&Api) -> Result<Answer, Fault>) -> Request {
    let (server, api) = server();
    call(&api).unwrap_or_else(|fault| panic!("{}", fault.message));
    let mut requests = server.requests();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn send(endpoint: &str, data: &str) -> Request {
    request(|api| api.send(endpoint, data, None))
}

fn fetch(endpoint: &str, options: Value) -> Request {
    request(|api| api.fetch(endpoint, None, &*options.to_string()))
}

/// A call that fails before anything is sent.
fn unsent(status: i32, call: impl FnOnce(&Api) -> Result<Answer, Fault>) -> Fault {
    let (server, api) = server();
    let fault = call(&api).expect_err("the call fails");
    assert_eq!((fault.status, &fault.json["sent"]), (status, &json!("no")), "{}", fault.message);
    assert_eq!(server.connections(), 0, "nothing is sent");
    api.fetch("good", None, None).expect("the next call is a good one");
    fault
}

fn refused(endpoint: &str, options: Value) -> String {
    unsent(INVALID_ARGUMENT, |api| api.fetch(endpoint, None, &*options.to_string())).message
}

fn sparse(folder: &Folder, name: &str, length: u64) -> String {
    let path = folder.write(name, "");
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    path.to_str().unwrap().to_owned()
}

fn file(path: impl AsRef<Path>) -> String {
    json!({"body_file": path.as_ref()}).to_string()
}

// ---- forms ----

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn a_form_is_urlencoded_as_browsers_do_it() {
    let data = r#"{"a b": "x&y=z +%é~*-._", "n": 1.10, "e": 1e5, "z": null, "t": true, "l": ["1", 2, null], "none": []}"#;
    let body = "a+b=x%26y%3Dz+%2B%25%C3%A9%7E*-._&n=1.10&e=1e5&z=&t=true&l=1&l=2&l=";
    let option = format!("{{\"form\": {data}}}");
    for request in [send("form", data), request(|api| api.fetch("json", None, &*option))] {
        assert_eq!(request.body_text(), body);
        assert_eq!(request.headers("Content-Type").collect::<Vec<_>>(), [FORM]);
        assert_eq!(request.header("Content-Length"), Some(&*body.len().to_string()));
    }
    assert_eq!(send("template", r#"{"b": "é"}"#).body_text(), "a=1.5&b=%C3%A9");
    assert_eq!(fetch("template", json!({})).body_text(), "a=1.5&b=x");
    assert_eq!(fetch("template", json!({"form": {"b": 2}})).body_text(), "a=1.5&b=2");
    assert_eq!(fetch("template", json!({"data": {"c": 2}})).body_text(), "a=1.5&b=x&c=2");
    assert_eq!(send("form", "{}").body_text(), "");
    assert_eq!(fetch("form", json!({})).header("Content-Type"), None);
}

#[test]
fn a_form_has_its_own_type_unless_the_call_says_another() {
    let of = |endpoint, options| fetch(endpoint, options).header("Content-Type").unwrap().to_owned();
    assert_eq!(of("typed", json!({"form": {"a": 1}})), FORM);
    assert_eq!(of("typed", json!({"form": {"a": 1}, "content_type": "a/b"})), "a/b");
    assert_eq!(of("typed", json!({"form": {"a": 1}, "extra_headers": {"Content-Type": "c/d"}})), "c/d");
    assert_eq!(of("image", json!({"form": {"a": 1}})), FORM);
}

#[test]
fn what_no_form_can_hold_names_its_key() {
    for endpoint in ["form", "parts"] {
        for data in [r#"{"a": 1, "deep": {"b": 1}}"#, r#"{"deep": [1, {}]}"#, r#"{"deep": [[1]]}"#] {
            let fault = unsent(INVALID_ARGUMENT, |api| api.send(endpoint, data, None));
            assert!(fault.message.contains("/deep: must be a string, number"), "{}", fault.message);
        }
        for data in ["1", "\"x\"", "null"] {
            let fault = unsent(INVALID_ARGUMENT, |api| api.send(endpoint, data, None));
            assert!(fault.message.contains("JSON object"), "{}", fault.message);
        }
    }
    assert!(refused("json", json!({"form": {"x": {"y": 1}}})).contains("options: /form/x: must be a string"));
    assert!(refused("json", json!({"form": [1]})).contains("options: /form: "));
}

#[test]
fn a_template_that_no_form_can_hold_is_refused_when_the_connector_is_made() {
    for (endpoint, says) in [
        (
            json!({"path": "/", "body": "form", "body_template": {"a": {"b": 1}}}),
            "/endpoints/e/body_template/a: must be",
        ),
        (
            json!({"path": "/", "body": "multipart", "body_template": [1]}),
            "/endpoints/e/body_template: a form's fields",
        ),
        (
            json!({"path": "/", "body": "multipart", "content_type": "a/b"}),
            "/endpoints/e/content_type: a multipart body",
        ),
    ] {
        let config = json!({"base_url": "http://127.0.0.1:1", "endpoints": {"e": endpoint}});
        let fault = Api::new(&config.to_string()).unwrap_err();
        assert_eq!(fault.status, INVALID_CONFIG);
        assert!(fault.message.contains(says), "{}", fault.message);
    }
}

// ---- parts ----

fn part(name: &str, filename: Option<&str>, media: Option<&str>, body: impl AsRef<[u8]>) -> Part {
    let own = |text: Option<&str>| text.map(str::to_owned);
    Part { name: name.into(), filename: own(filename), media: own(media), body: body.as_ref().to_vec() }
}

#[test]
fn parts_arrive_as_they_were_given() {
    let folder = Folder::new();
    let bytes: Vec<u8> = (0..200_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let path = folder.write("data é.bin", &bytes);
    let empty = folder.write("empty", "");
    let request = fetch(
        "json",
        json!({"multipart": [
            {"name": "text", "value": "é\r\n--x\n"},
            {"name": "n", "value": 5},
            {"name": "b", "value": false, "content_type": "text/plain; charset=utf-8"},
            {"name": "f", "file": path},
            {"name": "f", "file": empty, "filename": "../\"a\r\nX: 1.txt", "content_type": "text/csv"},
            {"name": "as file", "value": "[1]", "filename": "x.json"},
            {"name": "q\"\r\nq", "value": ""},
        ]}),
    );
    let bin = Some("application/octet-stream");
    let expected = [
        part("text", None, None, "é\r\n--x\n"),
        part("n", None, None, "5"),
        part("b", None, Some("text/plain; charset=utf-8"), "false"),
        part("f", Some("data é.bin"), bin, &bytes),
        part("f", Some("../%22a%0D%0AX: 1.txt"), Some("text/csv"), ""),
        part("as file", Some("x.json"), bin, "[1]"),
        part("q%22%0D%0Aq", None, None, ""),
    ];
    assert_eq!(parts(&request), expected);
    assert_eq!(request.header("Transfer-Encoding"), None);
    assert_eq!(request.header("Content-Length"), Some(&*request.body.len().to_string()));
}

#[test]
fn an_object_is_sent_in_parts() {
    let request = send("parts", r#"{"a": 1.10, "l": ["x", null], "é": "\u0000\"", "none": []}"#);
    let expected = [
        part("a", None, None, "1.10"),
        part("l", None, None, "x"),
        part("l", None, None, ""),
        part("é", None, None, "\0\""),
    ];
    assert_eq!(parts(&request), expected);
    assert_eq!(parts(&send("parts", "{}")), []);
}

#[test]
fn no_header_takes_the_boundary_away() {
    let options =
        json!({"multipart": [{"name": "a", "value": "1"}], "extra_headers": {"content-type": "x/y"}});
    assert_eq!(parts(&fetch("typed", options)).len(), 1);
    let mixed = fetch("json", json!({"multipart": [], "content_type": "multipart/mixed"}));
    assert!(mixed.header("Content-Type").unwrap().starts_with("multipart/mixed; boundary=apl-"));
    for media in ["text/plain", "multipart/form-data; boundary=x"] {
        let said = refused("json", json!({"multipart": [], "content_type": media}));
        assert!(said.contains("options: /content_type: a multipart body cannot be"), "{said}");
    }
    let two = [fetch("json", json!({"multipart": []})), fetch("json", json!({"multipart": []}))];
    assert_ne!(two[0].header("Content-Type"), two[1].header("Content-Type"));
}

#[test]
fn a_part_that_cannot_be_names_its_key() {
    for (part, says) in [
        (json!({"name": "a", "valu": 1}), "options: /multipart/1/valu: unknown key; did you mean \"value\"?"),
        (json!({"name": "a", "value": 1, "x-note": 1}), "options: /multipart/1/x-note: unknown key"),
        (json!({"value": 1}), "options: /multipart/1: the key \"name\" is missing"),
        (json!({"name": "a"}), "options: /multipart/1: needs a \"value\" or a \"file\""),
        (json!({"name": "a", "value": 1, "file": "x"}), "options: /multipart/1: has both"),
        (json!({"name": "a", "value": {"b": 1}}), "options: /multipart/1/value: must be a string"),
        (json!({"name": "a", "file": ""}), "options: /multipart/1/file: must be the path"),
        (json!({"name": "a", "file": 1}), "options: /multipart/1/file: must be a string"),
        (
            json!({"name": "a", "file": "x", "content_type": "a\r\nB: c"}),
            "options: /multipart/1/content_type: must not",
        ),
        (json!("a"), "options: /multipart/1: "),
    ] {
        let said = refused("json", json!({"multipart": [{"name": "ok", "value": "1"}, part]}));
        assert!(said.contains(says), "{said} does not say {says}");
    }
    assert!(refused("json", json!({"multipart": {}})).contains("options: /multipart: must be a list"));
    assert!(refused("json", json!({"body_file": "a\0b"})).contains("options: /body_file: must be the path"));
}

#[test]
fn any_names_and_values_come_through() {
    let (server, api) = server();
    let text = || prop_oneof![any::<String>(), "[a\"\r\n%é=&;\\-]{0,12}"];
    let strategy = proptest::collection::vec((text(), text(), proptest::option::of(text())), 0..6);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(96));
    let outcome = runner.run(&strategy, |given| {
        let list: Vec<Value> = given
            .iter()
            .map(|(name, value, filename)| json!({"name": name, "value": value, "filename": filename}))
            .collect();
        api.fetch("json", None, &*json!({"multipart": list}).to_string()).unwrap();
        let got = parts(server.requests().last().unwrap());
        let expected: Vec<Part> = given
            .iter()
            .map(|(name, value, filename)| {
                let media = filename.as_ref().map(|_| "application/octet-stream");
                part(&escaped(name), filename.as_deref().map(escaped).as_deref(), media, value)
            })
            .collect();
        prop_assert_eq!(got, expected);
        Ok(())
    });
    outcome.unwrap();
}

// ---- files ----

#[test]
fn a_file_arrives_byte_for_byte_with_any_method() {
    let folder = Folder::new();
    for length in [0usize, 1, 16 << 10, (16 << 10) + 1, 64 << 10, (64 << 10) + 1, (3 << 20) + 7] {
        let bytes: Vec<u8> = (0..length).map(|i| (i * 31 % 253) as u8).collect();
        let path = folder.write("file", &bytes);
        for endpoint in ["put", "get", "delete", "other", "json"] {
            let request = request(|api| api.fetch(endpoint, None, &*file(&path)));
            assert!(request.body == bytes, "{endpoint}: {length} bytes");
            assert_eq!(request.headers("Content-Length").collect::<Vec<_>>(), [length.to_string()]);
            assert_eq!(request.header("Transfer-Encoding"), None);
            assert_eq!(request.header("Content-Type"), Some("application/octet-stream"));
        }
    }
    let path = folder.write("file", "png");
    assert_eq!(fetch("image", json!({"body_file": path})).header("Content-Type"), Some("image/png"));
    let said = fetch("image", json!({"body_file": path, "content_type": "a/b"}));
    assert_eq!(said.header("Content-Type"), Some("a/b"));
    // A relative path starts at the folder where the process is at the call.
    let manifest = std::fs::read("Cargo.toml").unwrap();
    assert!(fetch("put", json!({"body_file": "Cargo.toml"})).body == manifest);
}

#[test]
fn a_file_goes_over_tls_byte_for_byte() {
    let (ca, folder) = (Ca::new(), Folder::new());
    let server = TlsServer::start(ca.identity(Leaf::Good), support::tls::answering(|_| ok_json("true")));
    let port = server.address().port();
    let config = json!({
        "base_url": server.url(),
        "resolve": {format!("localhost:{port}"): "127.0.0.1"},
        "tls": {"ca_file": folder.write("ca.pem", ca.pem())},
        "endpoints": {"put": {"path": "/", "method": "PUT"}},
    });
    let api = Api::new(&config.to_string()).unwrap();
    for (i, length) in [0usize, 100, (3 << 20) + 7].into_iter().enumerate() {
        let bytes: Vec<u8> = (0..length).map(|i| (i * 31 % 253) as u8).collect();
        let path = folder.write("file", &bytes);
        api.fetch("put", None, &*file(&path)).unwrap();
        api.fetch("put", None, &*json!({"multipart": [{"name": "f", "file": path}]}).to_string()).unwrap();
        let requests = server.server.requests();
        assert!(requests[2 * i].body == bytes && parts(&requests[2 * i + 1])[0].body == bytes, "{length}");
    }
    assert_eq!(server.server.connections(), 1);
}

#[test]
fn a_small_file_leaves_with_its_head() {
    let folder = Folder::new();
    let path = folder.write("file", [b'x'; 1000]);
    let server = Server::start(|mut stream, _| {
        let request = read_request(&mut stream).unwrap();
        assert_eq!(request.body, [b'x'; 1000]);
        // Whatever was read in one go: the kernel knows in how many packets it came.
        assert_eq!(data_packets(&stream), 1);
        stream.write_all(&ok_json("true")).unwrap();
    });
    api(&server.url()).fetch("put", None, &*file(&path)).unwrap();
    assert_eq!(server.requests().len(), 1);
}

/// How many packets with data have arrived on a connection.
fn data_packets(stream: &TcpStream) -> u32 {
    use std::os::fd::AsRawFd;
    /// `tcpi_data_segs_in` of Linux's `struct tcp_info`, which libc's own ends before.
    const DATA_SEGS_IN: usize = 152;
    let mut info = [0u8; 256];
    let mut len = info.len() as libc::socklen_t;
    // SAFETY: an open socket, and a buffer of the length that is said.
    let got = unsafe {
        let to = info.as_mut_ptr().cast();
        libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, to, &mut len)
    };
    assert!(got == 0 && len as usize >= DATA_SEGS_IN + 4, "the kernel does not tell");
    u32::from_ne_bytes(info[DATA_SEGS_IN..DATA_SEGS_IN + 4].try_into().unwrap())
}

#[test]
fn a_file_that_cannot_be_read_is_said_before_anything_is_sent() {
    let folder = Folder::new();
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    let nowhere = folder.write("plain", "x").join("below").to_str().unwrap().to_owned();
    let pipe = folder.path().join("pipe").to_str().unwrap().to_owned();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut cases = vec![
        (missing, Some(2), "No such file"),
        (nowhere, Some(20), "Not a directory"),
        (folder.path().to_str().unwrap().to_owned(), Some(21), "directory"),
        (pipe, Some(22), "not a regular file"),
    ];
    let locked = folder.write("locked", "x");
    std::fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    // Nothing is locked to root.
    if std::fs::read(&locked).is_err() {
        cases.push((locked.to_str().unwrap().to_owned(), Some(13), "Permission denied"));
    }
    for (path, errno, says) in cases {
        let options = [
            file(&path),
            json!({"multipart": [{"name": "a", "value": "x"}, {"name": "f", "file": path}]}).to_string(),
        ];
        for options in options {
            let fault = unsent(FILE, |api| api.fetch("put", None, &*options));
            assert!(fault.message.contains(&path) && fault.message.contains(says), "{}", fault.message);
            assert_eq!(fault.json["errno"].as_i64(), errno, "{}", fault.json);
        }
    }
}

#[test]
fn a_call_has_one_body() {
    let all = [
        ("data", json!({"a": 1})),
        ("form", json!({"a": 1})),
        ("multipart", json!([])),
        ("body_file", json!("Cargo.toml")),
    ];
    for (i, (one, first)) in all.iter().enumerate() {
        for (other, second) in &all[i + 1..] {
            let said = refused("json", json!({*one: first, *other: second}));
            assert!(said.contains(&format!("{one:?} and the option {other:?} are both bodies")), "{said}");
        }
        let options = json!({*one: first}).to_string();
        for call in [
            unsent(INVALID_ARGUMENT, |api| api.send("json", "{}", &*options)),
            unsent(INVALID_ARGUMENT, |api| api.send_bytes("json", b"x", &*options)),
        ] {
            assert!(call.message.contains(&format!("the option {one:?} are both")), "{}", call.message);
        }
    }
}

// ---- files that change ----

/// Serves `/good`; another request's head and stream go to `f`, and when it says so the connection lives on.
fn scripted(f: impl Fn(&str, &mut TcpStream) -> bool + Send + Sync + 'static) -> (Server, Api) {
    let server = Server::start(move |mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            if head.starts_with("GET /good") {
                stream.write_all(&ok_json("true")).unwrap();
            } else if !f(&head, &mut stream) {
                return;
            }
        }
    });
    let api = api(&server.url());
    (server, api)
}

fn announced(head: &str) -> u64 {
    let line =
        head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    line.unwrap().parse().unwrap()
}

/// Reads and forgets.
fn discard(stream: &mut TcpStream, most: u64) -> u64 {
    let mut buf = vec![0; 256 << 10];
    let mut read = 0;
    while read < most {
        match stream.read(&mut buf[..(most - read).min(256 << 10) as usize]) {
            Ok(n) if n > 0 => read += n as u64,
            _ => break,
        }
    }
    read
}

#[test]
fn a_file_that_shrinks_ends_the_connection() {
    let folder = Folder::new();
    let path = sparse(&folder, "file", LARGE);
    let (server, api) = scripted({
        let path = path.clone();
        move |head, stream| {
            assert!(announced(head) >= LARGE);
            OpenOptions::new().write(true).open(&path).unwrap().set_len(LARGE - 1).unwrap();
            let read = discard(stream, u64::MAX);
            assert!(read < announced(head), "a whole body came out of half a file");
            false
        }
    });
    let behind = json!({"multipart": [{"name": "f", "file": path}, {"name": "b", "value": "behind"}]});
    // The second upload goes out on the connection of the good call before it.
    for (options, connections) in [(file(&path), 2), (behind.to_string(), 3)] {
        OpenOptions::new().write(true).open(&path).unwrap().set_len(LARGE).unwrap();
        let fault = api.fetch("put", None, &*options).unwrap_err();
        assert_eq!((fault.status, fault.json["sent"].as_str()), (FILE, Some("maybe")), "{}", fault.message);
        assert!(fault.message.contains("became shorter while it was sent") && fault.message.contains(&path));
        api.fetch("good", None, None).unwrap();
        // Its connection was never used again.
        assert_eq!(server.connections(), connections);
    }
}

#[test]
fn of_a_file_that_grows_the_announced_length_is_sent() {
    let folder = Folder::new();
    let path = sparse(&folder, "file", LARGE);
    let (server, api) = scripted({
        let path = path.clone();
        move |head, stream| {
            let length = announced(head);
            OpenOptions::new()
                .append(true)
                .open(&path)
                .unwrap()
                .write_all(b"GET /more HTTP/1.1\r\n\r\n")
                .unwrap();
            let mut body = vec![0; length as usize];
            stream.read_exact(&mut body).unwrap();
            assert!(memchr::memmem::find(&body, b"GET /more").is_none(), "more than was announced");
            stream.write_all(&ok_json(length.to_string())).unwrap();
            true
        }
    });
    let parts = json!({"multipart": [{"name": "f", "file": path}, {"name": "b", "value": "behind"}]});
    for options in [file(&path), parts.to_string()] {
        OpenOptions::new().write(true).open(&path).unwrap().set_len(LARGE).unwrap();
        api.fetch("put", None, &*options).unwrap();
        // The next request stands right behind.
        api.fetch("good", None, None).unwrap();
    }
    assert_eq!(server.connections(), 1);
}

// ---- uploads that end early ----

#[test]
fn a_refusal_before_a_streamed_upload_ends_is_the_answer() {
    let folder = Folder::new();
    // More than could ever be read in the time: what nobody wants is not read from the disk either.
    let path = sparse(&folder, "file", 1 << 40);
    for stay in [false, true] {
        let over = Gate::new();
        let (server, api) = scripted({
            let over = over.clone();
            move |_, stream| {
                stream.write_all(&response("413 Content Too Large", "", "too much")).unwrap();
                if stay {
                    over.wait();
                }
                false
            }
        });
        let begun = Instant::now();
        let fault = api.fetch("put", None, &*file(&path)).unwrap_err();
        assert_eq!((fault.status, fault.http_status), (HTTP_STATUS, 413), "{}", fault.message);
        assert_eq!(fault.response_body, b"too much");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        over.open();
        api.fetch("good", None, None).unwrap();
        assert_eq!(server.connections(), 2);
    }
}

#[test]
fn a_cancel_ends_a_streamed_upload() {
    let folder = Folder::new();
    let path = sparse(&folder, "file", 1 << 40);
    for reads in [false, true] {
        let (started, over) = (Gate::new(), Gate::new());
        let (_server, api) = scripted({
            let (started, over) = (started.clone(), over.clone());
            move |_, stream| {
                started.open();
                if reads {
                    discard(stream, u64::MAX);
                } else {
                    over.wait();
                }
                false
            }
        });
        let cancel = Cancel::new();
        let (fault, took) = std::thread::scope(|s| {
            let canceller = s.spawn(|| {
                started.wait();
                let at = Instant::now();
                cancel.trigger();
                at
            });
            let fault = api.fetch_until("put", None, &*file(&path), Some(&cancel)).unwrap_err();
            (fault, canceller.join().unwrap().elapsed())
        });
        assert_eq!(fault.status, CANCELLED, "{}", fault.message);
        assert!(took < Duration::from_secs(1), "{took:?}");
        over.open();
        api.fetch("good", None, None).unwrap();
    }
}

#[test]
fn a_deadline_ends_an_upload_that_never_has_to_wait() {
    let folder = Folder::new();
    let path = sparse(&folder, "file", 1 << 40);
    let (_server, api) = scripted(|_, stream| {
        discard(stream, u64::MAX);
        false
    });
    let begun = Instant::now();
    let options = json!({"body_file": path, "deadline": 0.3}).to_string();
    let fault = api.fetch("put", None, &*options).unwrap_err();
    assert_eq!(fault.status, TIMEOUT, "{}", fault.message);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn an_upload_that_met_a_dead_connection_goes_out_again_whole() {
    let folder = Folder::new();
    let bytes: Vec<u8> = (0..300_000u32).map(|i| (i % 249) as u8).collect();
    let path = folder.write("file", &bytes);
    for size in [bytes.len(), 100] {
        std::fs::write(&path, &bytes[..size]).unwrap();
        let server = Server::start(|mut stream: TcpStream, number| {
            while let Some(_request) = read_request(&mut stream) {
                stream.write_all(&ok_json("true")).unwrap();
                if number == 0 {
                    // The next request finds nobody, after it was sent.
                    read_head(&mut stream);
                    return support::rst(stream);
                }
            }
        });
        let api = api(&server.url());
        api.fetch("good", None, None).unwrap();
        let options = json!({"multipart": [{"name": "f", "file": path}]}).to_string();
        api.fetch("put", None, &*options).unwrap();
        let requests = server.requests();
        assert_eq!((requests.len(), requests[1].connection, server.connections()), (2, 1, 2));
        assert!(parts(&requests[1])[0].body == bytes[..size]);
    }
}

// ---- memory ----

/// The most memory that the process ever had, in KiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// `make nightly` asks for a GiB.
#[test]
fn an_upload_takes_no_memory_however_large_it_is() {
    let mib = std::env::var("APL_TEST_UPLOAD_MIB").unwrap_or_else(|_| "64".into());
    alone::run("uploads_in_flat_memory", [("APL_TEST_UPLOAD_MIB", mib.as_str())]);
}

#[test]
#[ignore = "run by an_upload_takes_no_memory_however_large_it_is"]
fn uploads_in_flat_memory() {
    if !alone::is_alone() {
        return;
    }
    let length = alone::variable("APL_TEST_UPLOAD_MIB").parse::<u64>().unwrap() << 20;
    let folder = Folder::new();
    let small = sparse(&folder, "small", 1 << 20);
    let path = sparse(&folder, "file", length);
    let (_server, api) = scripted(|head, stream| {
        let read = discard(stream, announced(head));
        stream.write_all(&ok_json(read.to_string())).unwrap();
        true
    });
    let upload = |options: &str| -> u64 { api.fetch("put", None, options).unwrap().text().parse().unwrap() };
    upload(&file(small));
    let before = peak();
    assert_eq!(upload(&file(&path)), length);
    let parts = json!({"multipart": [{"name": "f", "file": path}, {"name": "g", "file": path}]}).to_string();
    assert!(upload(&parts) > 2 * length);
    let grown = peak() - before;
    assert!(grown < 8 << 10, "{grown} KiB more");
}
