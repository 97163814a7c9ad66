//! A loopback server that does, by path, what servers do to clients: echo, stall, cut, lie about lengths.
//!
//! It prints its address once it listens and ends when it is told to (SIGTERM), or, with
//! `--until-stdin-closes`, when its standard input does. Nothing but the standard library, and bytes written
//! by hand, so that what is on the wire is what is written here.
//!
//! | path | what comes back |
//! |---|---|
//! | `/echo` | the request as JSON: method, target, headers, body |
//! | `/numbers` | [`NUMBERS`], byte for byte |
//! | `/status/NNN` | that status, with a problem+json body |
//! | `/retry-after/SECONDS` | 429 with Retry-After |
//! | `/gzip` | a small JSON, gzip-encoded |
//! | `/headers` | repeated headers, two cookies, bytes that are not UTF-8 |
//! | `/zero` | 200 and an empty body |
//! | `/text` | 200 and text that is not JSON |
//! | `/big/N` | a JSON string of N letters |
//! | `/hang-head` | nothing, for ever |
//! | `/hang-body` | a head and part of the body, then nothing |
//! | `/drip` | a byte of the body every 50 ms, for ever |
//! | `/truncated` | less than Content-Length says, then the end |
//! | `/close` | the end of the connection instead of an answer |
//! | `/garbage` | bytes that are not HTTP |
//! | `/events/N` | events 1 to N behind the Last-Event-ID, three a connection and half a fourth; then 204 |
//! | `/answer/N` | N events of an answer and the end, without the `[DONE]` that should come before it |
//! | `/arrived/KEY` | waits until a request with `key=KEY` in its query has come, then `{"count": N}` |
//! | `/count/KEY` | how many such requests have come, at once |

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Numbers that a careless client changes.
const NUMBERS: &str = r#"{"id": 123456789012345678901234567890, "x": 0.1234567890123456789, "z": -0}"#;

/// `{"packed": true}`.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x2a, 0x48, 0x4c, 0xce, 0x4e,
    0x4d, 0x51, 0xb2, 0x52, 0x28, 0x29, 0x2a, 0x4d, 0xad, 0x05, 0x00, 0xb9, 0xd0, 0xbb, 0x73, 0x10, 0x00,
    0x00, 0x00,
];

/// The head of a stream of events.
const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/// What one request said.
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Which requests have come, by the key in their query.
#[derive(Default)]
struct Arrivals {
    counts: Mutex<HashMap<String, u64>>,
    changed: Condvar,
}

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, key: &str) {
        *self.lock().entry(key.to_owned()).or_default() += 1;
        self.changed.notify_all();
    }

    fn count(&self, key: &str) -> u64 {
        self.lock().get(key).copied().unwrap_or(0)
    }

    fn wait(&self, key: &str) -> u64 {
        let counts = self.changed.wait_while(self.lock(), |counts| !counts.contains_key(key));
        counts.unwrap_or_else(PoisonError::into_inner).get(key).copied().unwrap_or(0)
    }
}

fn main() -> io::Result<()> {
    let mut until_stdin_closes = false;
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--until-stdin-closes" => until_stdin_closes = true,
            other => return Err(io::Error::other(format!("unknown argument {other}"))),
        }
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("http://{}", listener.local_addr()?);
    if until_stdin_closes {
        std::thread::spawn(|| {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            std::process::exit(0);
        });
    }
    let arrivals = Arc::new(Arrivals::default());
    for stream in listener.incoming() {
        // A client that resets before it is accepted is no reason to end.
        let Ok(stream) = stream else { continue };
        let arrivals = arrivals.clone();
        std::thread::spawn(move || {
            let _ = serve(&stream, &arrivals);
        });
    }
    Ok(())
}

/// One connection: request after request, until either side ends it.
fn serve(stream: &TcpStream, arrivals: &Arrivals) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let (first, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
        let key = query.split('&').find_map(|pair| pair.strip_prefix("key="));
        let arrived = || key.into_iter().for_each(|key| arrivals.add(key));
        // Where the body is what hangs, a request has arrived when its head is answered.
        if !matches!(first, "hang-body" | "drip") {
            arrived();
        }
        match first {
            "echo" => json(stream, "200 OK", "", &echo(&request))?,
            "numbers" => json(stream, "200 OK", "", NUMBERS)?,
            "status" => status(stream, rest)?,
            "retry-after" => problem(stream, "429 Too Many Requests", &format!("Retry-After: {rest}\r\n"))?,
            "gzip" => answer(
                stream,
                "200 OK",
                "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
                GZIP,
            )?,
            "headers" => answer(
                stream,
                "200 OK",
                "Content-Type: application/json\r\nX-Many: one\r\nX-Many: two\r\n\
                 Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Latin: caf\u{e9}\r\n",
                b"{}",
            )?,
            "zero" => answer(stream, "200 OK", "Content-Type: application/json\r\n", b"")?,
            "text" => answer(stream, "200 OK", "Content-Type: text/plain\r\n", b"this is not JSON")?,
            "big" => {
                let letters = rest.parse::<usize>().unwrap_or(0).min(1 << 30);
                json(stream, "200 OK", "", &format!("\"{}\"", "a".repeat(letters)))?;
            }
            "hang-head" => return until_closed(&mut reader),
            "hang-body" => {
                raw(stream, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n[1, 2, ")?;
                arrived();
                return until_closed(&mut reader);
            }
            "drip" => {
                raw(stream, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                arrived();
                loop {
                    raw(stream, b"1\r\n \r\n")?;
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            "truncated" => {
                let head =
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";
                return raw(stream, &[&head[..], b"[1, 2, "].concat());
            }
            "close" => return Ok(()),
            "events" => return events(stream, &request, rest.parse().unwrap_or(0)),
            "answer" => {
                let words: String =
                    (0..rest.parse().unwrap_or(0)).map(|n| format!("data: {{\"word\": {n}}}\n\n")).collect();
                return raw(stream, format!("{EVENTS}{words}").as_bytes());
            }
            "garbage" => return raw(stream, b"\x16\x03\x01 this is no HTTP\r\n\r\n"),
            "arrived" => json(stream, "200 OK", "", &format!("{{\"count\": {}}}", arrivals.wait(rest)))?,
            "count" => json(stream, "200 OK", "", &format!("{{\"count\": {}}}", arrivals.count(rest)))?,
            _ => problem(stream, "404 Not Found", "")?,
        }
    }
    Ok(())
}

/// The next request, or none where the client has ended the connection.
fn read_request(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    if !target.starts_with('/') {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut bytes = Vec::new();
        reader.read_until(b'\n', &mut bytes)?;
        let line = String::from_utf8_lossy(&bytes);
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let header =
        |name: &str| headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let mut body = Vec::new();
    if let Some(length) = header("Content-Length") {
        let length = length.parse().map_err(io::Error::other)?;
        reader.take(length).read_to_end(&mut body)?;
    } else if header("Transfer-Encoding").is_some() {
        read_chunks(reader, &mut body)?;
    }
    Ok(Some(Request { method, target, headers, body }))
}

fn read_chunks(reader: &mut BufReader<&TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        reader.take(size).read_to_end(body)?;
        reader.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// The request as JSON. Bytes that are not UTF-8 are replaced.
fn echo(request: &Request) -> String {
    let headers: Vec<String> =
        request.headers.iter().map(|(name, value)| format!("[{}, {}]", quote(name), quote(value))).collect();
    format!(
        "{{\"method\": {}, \"target\": {}, \"headers\": [{}], \"body\": {}, \"body_length\": {}}}",
        quote(&request.method),
        quote(&request.target),
        headers.join(", "),
        quote(&String::from_utf8_lossy(&request.body)),
        request.body.len()
    )
}

/// The next events of a feed, and a cut.
fn events(stream: &TcpStream, request: &Request, last: u64) -> io::Result<()> {
    let id = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Last-Event-ID"));
    let from = id.map_or(Ok(1), |(_, id)| id.parse::<u64>().map(|id| id + 1)).map_err(io::Error::other)?;
    if from > last {
        return raw(stream, b"HTTP/1.1 204 No Content\r\n\r\n");
    }
    let some: String = (from..=last.min(from + 2))
        .map(|n| format!("id: {n}\nevent: number\ndata: {{\"n\": {n}}}\n\n"))
        .collect();
    raw(
        stream,
        format!("{EVENTS}retry: 10\n: {last} in all\n\n{some}id: {}\ndata: half", last + 1).as_bytes(),
    )
}

/// A text as a JSON string.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if u32::from(c) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn status(stream: &TcpStream, code: &str) -> io::Result<()> {
    match code {
        "204" | "304" => raw(stream, format!("HTTP/1.1 {code} Nothing\r\n\r\n").as_bytes()),
        _ => problem(stream, &format!("{code} As-asked"), ""),
    }
}

fn problem(stream: &TcpStream, status: &str, headers: &str) -> io::Result<()> {
    let code = status.split(' ').next().unwrap_or(status);
    let headers = format!("Content-Type: application/problem+json\r\n{headers}");
    let body = format!("{{\"title\": {}, \"status\": {code}, \"detail\": \"as asked\"}}", quote(status));
    answer(stream, status, &headers, body.as_bytes())
}

fn json(stream: &TcpStream, status: &str, headers: &str, body: &str) -> io::Result<()> {
    answer(stream, status, &format!("Content-Type: application/json\r\n{headers}"), body.as_bytes())
}

/// A complete answer; the headers go out as Latin-1.
fn answer(stream: &TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    let mut bytes: Vec<u8> = head.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
    bytes.extend_from_slice(body);
    raw(stream, &bytes)
}

fn raw(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)
}

/// Says nothing more until the client gives up.
fn until_closed(reader: &mut BufReader<&TcpStream>) -> io::Result<()> {
    io::copy(reader, &mut io::sink()).map(drop)
}
