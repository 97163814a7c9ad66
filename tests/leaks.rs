//! No fault costs a descriptor or keeps memory. A file of its own with one test: both belong to the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/faulty.rs"]
mod faulty;
mod support;

use std::io::Write;

use faulty::{Bench, assert_fault};
use serde_json::json;
use support::{Close, response};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The most memory that the process ever had, in KiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_hundred_of_each_fault_cost_no_descriptor_no_memory_and_no_secret() {
    let length = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[1,2".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n[1,2\r\n".to_vec();
    let bad_chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec();
    let two_lengths = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_vec();
    let poisoned = b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let long_head = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 70_000]].concat();
    // A quarter of a GiB in a quarter of a MiB.
    let bomb = gzip(&vec![b' '; 1 << 20]).repeat(256);
    let faults: Vec<(&str, Vec<u8>, Close, i32)> = vec![
        ("cut length, FIN", length.clone(), Close::Fin, api::TRUNCATED),
        ("cut length, RST", length, Close::Rst, api::TRUNCATED),
        ("cut chunk", chunked, Close::Fin, api::TRUNCATED),
        ("no answer, FIN", vec![], Close::Fin, api::IO),
        ("no answer, RST", vec![], Close::Rst, api::IO),
        ("bad chunk", bad_chunk, Close::Keep, api::PROTOCOL),
        ("two lengths", two_lengths, Close::Keep, api::PROTOCOL),
        ("garbage", b"garbage".to_vec(), Close::Keep, api::PROTOCOL),
        ("bytes behind the body", poisoned, Close::Keep, api::HTTP_STATUS),
        ("long head", long_head, Close::Keep, api::TOO_LARGE),
        ("bomb", response("200 OK", "Content-Encoding: gzip\r\n", bomb), Close::Keep, api::TOO_LARGE),
        ("not JSON", response("200 OK", "", "<html>"), Close::Keep, api::DECODE),
        ("refused", response("500 Oops", "", "oops"), Close::Keep, api::HTTP_STATUS),
        ("redirect", response("302 Found", "Location: file:///x\r\n", ""), Close::Keep, api::REDIRECT),
    ];
    let before = peak();
    let ((), lines) = api::log_lines(|| {
        for (name, wire, close, status) in faults {
            let all = descriptors();
            let bench = Bench::with([wire], close, &json!({"limits": {"max_body": "128KiB"}}));
            // POST: a GET that meets a dying connection would go out twice.
            let fault = |bench: &Bench| bench.fault_of(|api| api.send("post", "{}", None));
            assert_fault(&fault(&bench), status, "");
            for _ in 0..100 {
                assert_fault(&fault(&bench), status, "");
            }
            drop(bench);
            assert_eq!(descriptors(), all, "{name}");
        }
    });
    assert!(!lines.is_empty(), "nothing was logged");
    faulty::assert_no_secret("log", &lines.join("\n"));
    let grown = peak() - before;
    assert!(grown < 64 << 10, "{grown} KiB more");
}
