//! Servers of events, scripted to the byte: `mod events` where it is wanted, beside `mod support`.
#![allow(dead_code, missing_docs)] // each test file uses its own part of this
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;

use crate::support::{Server, read_request, response};

/// The head of a stream that ends with its connection.
pub const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/// An answer with these events.
pub fn events(body: &str) -> Vec<u8> {
    format!("{HEAD}{body}").into_bytes()
}

/// Events with the ids from `from` on, and the same as their data.
pub fn numbered(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|n| format!("id: {n}\ndata: {n}\n\n")).collect()
}

/// Each connection gets the next answer, and is closed behind it; those after the last get a 204.
pub fn script<B: AsRef<[u8]>>(answers: impl IntoIterator<Item = B>) -> Server {
    let answers: Vec<Vec<u8>> = answers.into_iter().map(|a| a.as_ref().to_vec()).collect();
    Server::start(move |mut stream, number| {
        if read_request(&mut stream).is_some() {
            let done = response("204 No Content", "", "");
            let _ = stream.write_all(answers.get(number).unwrap_or(&done));
        }
    })
}
