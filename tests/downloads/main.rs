//! Downloads: what stands under a file's name is the whole of one version, whatever happens on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use api::{Api, Fault, Progress};
use serde_json::{Value, json};
use support::{Close, Folder, Request, Server, answering, finish, read_request, response};

const TAG: &str = "ETag: \"v1\"\r\n";

fn api(base_url: &str, streaming: Value) -> Api {
    let config = json!({
        "base_url": base_url,
        "timeout": 15,
        "retry_delay": 0.001,
        "endpoints": {"get": {"path": "/x", "streaming": streaming}},
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
    if request.header("If-Range").is_some_and(|tag| !fields.contains(tag)) {
        return whole();
    }
    let (from, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let from: usize = from.parse().unwrap();
    if from >= data.len() {
        return response("416 Range", &format!("{fields}Content-Range: bytes */{}\r\n", data.len()), "");
    }
    let last = last.parse().unwrap_or(data.len() - 1);
    let place = format!("{fields}Content-Range: bytes {from}-{last}/{}\r\n", data.len());
    response("206 Part", &place, &data[from..=last])
}

fn serving(data: Vec<u8>, fields: &'static str) -> Server {
    Server::start(answering(move |request| file(&data, fields, request)))
}

/// Sends the first `amount` bytes of an answer's body, and closes.
fn cut(mut stream: std::net::TcpStream, answer: &[u8], amount: usize) {
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let _ = stream.write_all(&answer[..(head + amount).min(answer.len())]);
    finish(stream, Close::Fin);
}

fn get(api: &Api, folder: &Folder, options: Value) -> Result<Value, Fault> {
    let done = api.download("get", &folder.path().join("x"), &options.to_string())?;
    assert!(!done.stopped);
    Ok(done.summary.json())
}

fn there(folder: &Folder) -> Vec<u8> {
    std::fs::read(folder.path().join("x")).unwrap()
}

#[test]
fn a_file_arrives_whole_and_nothing_is_left_beside_it() {
    let data = data(3_000_000);
    let server = serving(data.clone(), TAG);
    let folder = Folder::new();
    let summary = get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
    assert_eq!(there(&folder), data);
    assert_eq!(folder.names(), ["x"]);
    let expected = json!({
        "success": true, "path": folder.path().join("x").to_str(), "bytes_written": 3_000_000,
        "total_bytes": 3_000_000, "resumed": false, "resume_from": 0, "chunks_written": 46, "sha256": null,
        "verified": false,
    });
    assert_eq!(summary, expected);
}

#[test]
fn a_download_that_is_cut_goes_on_within_the_call() {
    let data = data(900_000);
    let served = data.clone();
    let server = Server::start(move |mut stream, n| {
        let Some(request) = read_request(&mut stream) else { return };
        cut(stream, &file(&served, TAG, &request), 400_000 * (n + 1));
    });
    let folder = Folder::new();
    let summary = get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
    assert_eq!(there(&folder), data);
    assert_eq!((&summary["resumed"], &summary["bytes_written"]), (&json!(false), &json!(900_000)));
    let requests = server.requests();
    assert_eq!(requests[1].header("Range"), Some("bytes=400000-"));
    assert_eq!(requests[1].header("If-Range"), Some("\"v1\""));
}

#[test]
fn segments_share_one_file() {
    let data = data(20 << 20);
    let server = serving(data.clone(), TAG);
    let folder = Folder::new();
    let seen = AtomicUsize::new(0);
    let mut last = None;
    let mut on_progress = |progress: &Progress| {
        seen.fetch_add(1, SeqCst);
        last = Some(progress.clone());
        0
    };
    let api = api(&server.url(), json!({"segments": 4}));
    let done =
        api.download_until("get", &folder.path().join("x"), "{}", Some(&mut on_progress), None).unwrap();
    assert!(there(&folder) == data);
    assert_eq!(done.summary.json()["bytes_written"], 20 << 20);
    assert!(server.requests().len() >= 4);
    let last = last.unwrap();
    assert!(last.done && last.processed == 20 << 20 && last.percent == 100.0);
    let _ = Arc::new(seen);
}
