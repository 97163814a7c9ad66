//! Downloads: what stands under a file's name is the whole of one version, whatever happens on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err, clippy::print_stderr)]

#[path = "../support/alone.rs"]
mod alone;
#[path = "../support/api.rs"]
mod api;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod calls;
mod disk;
mod misbehaving;
mod names;
mod resume;
mod segments;

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use api::{Api, Fault, TRUNCATED};
use serde_json::{Value, json};
use support::{Close, Folder, Request, Server, answering, finish, read_request, response};

const TAG: &str = "ETag: \"v1\"\r\n";
const OTHER_TAG: &str = "ETag: \"v2\"\r\n";
/// Of a download, as most tests have it, and of the part that is left when it is cut.
const WHOLE: usize = 900_000;
const HALF: usize = 400_000;

/// A connector with an endpoint `get`, and others that differ from it in one thing.
fn api_with(base_url: &str, streaming: Value, more: Value) -> Api {
    let mut config = json!({
        "base_url": base_url,
        "timeout": 15,
        "retry_delay": 0.001,
        "endpoints": {
            "get": {"path": "/x", "streaming": streaming},
            "other": {"path": "/y", "streaming": streaming},
            "post": {"path": "/x", "method": "POST", "streaming": streaming},
        },
    });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message))
}

fn api(base_url: &str, streaming: Value) -> Api {
    api_with(base_url, streaming, json!({}))
}

fn data(length: usize) -> Vec<u8> {
    static DATA: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..48_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect());
    DATA[..length].to_vec()
}

/// As long, and everywhere another.
fn other(length: usize) -> Vec<u8> {
    static OTHER: LazyLock<Vec<u8>> = LazyLock::new(|| data(8 << 20).iter().map(|byte| !byte).collect());
    OTHER[..length].to_vec()
}

/// The range that is asked for: the first byte, and the last.
fn range(request: &Request) -> Option<(u64, Option<u64>)> {
    let (from, last) = request.header("Range")?.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    Some((from.parse().unwrap(), last.parse().ok()))
}

/// Answers as a server of files: with the range that is asked for.
fn file(data: &[u8], fields: &str, request: &Request) -> Vec<u8> {
    let whole = || response("200 OK", fields, data);
    let Some((from, last)) = range(request) else { return whole() };
    if request.header("If-Range").is_some_and(|tag| !fields.contains(tag)) {
        return whole();
    }
    let from = from as usize;
    if from >= data.len() {
        return response("416 Range", &format!("{fields}Content-Range: bytes */{}\r\n", data.len()), "");
    }
    let last = last.map_or(data.len() - 1, |last| last as usize);
    let place = format!("{fields}Content-Range: bytes {from}-{last}/{}\r\n", data.len());
    response("206 Part", &place, &data[from..=last])
}

fn serving(data: Vec<u8>, fields: &'static str) -> Server {
    Server::start(answering(move |request| file(&data, fields, request)))
}

/// Answers the requests by their number, from 0: with all of it, or, where it says how many bytes of the body, cut.
fn scripted(answer: impl Fn(&Request, usize) -> (Vec<u8>, Option<usize>) + Send + Sync + 'static) -> Server {
    let number = AtomicUsize::new(0);
    Server::start(move |mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            match answer(&request, number.fetch_add(1, SeqCst)) {
                (answer, Some(amount)) => return cut(stream, &answer, amount),
                (answer, None) if stream.write_all(&answer).is_err() => return,
                _ => {}
            }
        }
    })
}

/// Where the body of an answer begins.
fn body_of(answer: &[u8]) -> usize {
    answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4
}

/// Sends the first `amount` bytes of an answer's body, and closes.
fn cut(mut stream: TcpStream, answer: &[u8], amount: usize) {
    let end = body_of(answer).saturating_add(amount).min(answer.len());
    let _ = stream.write_all(&answer[..end]);
    finish(stream, Close::Fin);
}

fn path(folder: &Folder) -> PathBuf {
    folder.path().join("x")
}

/// Downloads to `x`.
fn get(api: &Api, folder: &Folder, options: Value) -> Result<Value, Fault> {
    let done = api.download("get", &path(folder), &options.to_string())?;
    assert!(!done.stopped);
    Ok(done.summary.json())
}

fn there(folder: &Folder) -> Vec<u8> {
    std::fs::read(path(folder)).unwrap()
}

fn part(folder: &Folder) -> Vec<u8> {
    std::fs::read(folder.path().join("x.part")).unwrap()
}

/// The status, and words of the message. The summary so far is always with it.
fn fails<T>(outcome: Result<T, Fault>, status: i32, words: &str) -> Fault {
    let Err(fault) = outcome else { panic!("it went well, and not with {words}") };
    assert_eq!(fault.status, status, "{} {}", fault.name, fault.message);
    assert!(fault.message.contains(words), "{words:?} is not in {:?}", fault.message);
    fault
}

/// How many attempts the error tells of.
fn attempts(fault: &Fault) -> usize {
    fault.json["attempts"].as_array().map_or(0, Vec::len)
}

fn system_error(fault: &Fault) -> Option<i32> {
    let (_, rest) = fault.message.split_once("(os error ")?;
    rest.split(')').next()?.parse().ok()
}

/// A download that was cut in the middle, by a server that goes on as it is told.
struct Left {
    server: Server,
    api: Api,
    folder: Folder,
}

impl Left {
    /// The first call gets HALF of the data, with these fields; what comes then is answered by `then`.
    fn new(
        fields: &'static str,
        streaming: Value,
        then: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    ) -> Left {
        let server = scripted(move |request, number| match number {
            0 => (file(&data(WHOLE), fields, request), Some(HALF)),
            _ => (then(request), None),
        });
        let api = api(&server.url(), streaming);
        let folder = Folder::new();
        folder.write("x", "old");
        let fault = fails(get(&api, &folder, json!({"retry_count": 1})), TRUNCATED, "");
        assert_eq!(fault.partial.unwrap().json()["bytes_written"], HALF);
        assert_eq!((there(&folder), part(&folder).len()), (b"old".to_vec(), HALF));
        Left { server, api, folder }
    }

    /// The next call, in which no attempt may fail.
    fn again(&self) -> Result<Value, Fault> {
        get(&self.api, &self.folder, json!({"retry_count": 1}))
    }

    /// The requests of the calls since.
    fn asked(&self) -> Vec<Request> {
        self.server.requests().split_off(1)
    }

    /// The next call is well, and has fetched this; it has gone on with so many bytes.
    fn arrives(&self, expected: &[u8], from: usize) {
        let summary = self.again().unwrap_or_else(|e| panic!("{}: {}", e.name, e.message));
        assert!(there(&self.folder) == expected, "other bytes");
        assert_eq!(self.folder.names(), ["x"]);
        assert_eq!(summary["resume_from"], from);
        assert_eq!(summary["resumed"], from > 0);
        assert_eq!(summary["bytes_written"], expected.len() - from);
        assert_eq!(summary["total_bytes"], expected.len());
    }
}

#[test]
fn a_file_arrives_whole_and_nothing_is_left_beside_it() {
    let data = data(3_000_000);
    let server = serving(data.clone(), TAG);
    let folder = Folder::new();
    let target = folder.path().join("new/folders/x");
    let api = api(&server.url(), json!({}));
    let summary = api.download("get", &target, "{}").unwrap().summary;
    assert_eq!(std::fs::read(&target).unwrap(), data);
    let names: Vec<_> = std::fs::read_dir(target.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1);
    let expected = json!({
        "success": true, "path": target.to_str(), "bytes_written": 3_000_000,
        "total_bytes": 3_000_000, "resumed": false, "resume_from": 0, "chunks_written": 46, "sha256": null,
        "verified": false,
    });
    assert_eq!(summary.json(), expected);
    // Nobody asks with HEAD first: not every server knows it.
    let requests = server.requests();
    assert_eq!((requests.len(), requests[0].method()), (1, "GET"));
    assert_eq!(requests[0].header("Accept-Encoding"), Some("identity"));
    assert_eq!(requests[0].header("Range"), None);
}

#[test]
fn an_empty_file_is_a_file() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let server = Server::start(answering(move |_| answer.into()));
        let folder = Folder::new();
        folder.write("x", "old");
        let summary = get(&api(&server.url(), json!({"segments": 4})), &folder, json!({})).unwrap();
        assert_eq!((there(&folder), &summary["total_bytes"]), (Vec::new(), &json!(0)));
        assert_eq!(folder.names(), ["x"]);
    }
}
