//! Loopback servers for the tests, scripted down to the byte.
//!
//! * [`Server`]: a handler of your own per connection; a log of requests; ends by itself.
//! * [`answering`], [`canned`], [`silent`]: handlers for the common cases.
//! * [`Backlog`]: an address where a connect neither succeeds nor fails.
//! * [`tls`]: certificates, good and bad, and a TLS server.
//! * `api` (a file of its own: `mod api` where it is wanted): the C functions behind safe Rust.
//!
//! Nothing sleeps to wait for something: [`Server::wait_requests`], [`Server::wait_connections`] and [`Gate`]
//! wait for what has happened, and give up, loudly, after [`PATIENCE`].

#![allow(dead_code, unused_imports, missing_docs)] // each test file uses its own part of this
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod tls;

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a test waits for something that must happen before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The request line and the headers, without the empty line. Bytes that are not UTF-8 are replaced.
    pub head: String,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// The connection it came on, from 0.
    pub connection: usize,
}

impl Request {
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or("")
    }

    /// Path and query, as sent.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or("")
    }

    /// The first header of that name.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers(name).next()
    }

    /// Every header of that name, in order.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        pairs.filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub fn body_text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the request's body is UTF-8")
    }
}

/// What a server has seen.
#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<Request>,
    /// The open connections, to be shut down at the end.
    open: Vec<Option<TcpStream>>,
    stopping: bool,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, what: &str, ready: impl Fn(&Seen) -> bool) -> MutexGuard<'_, Seen> {
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, |seen| !ready(seen));
        let (seen, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "waited in vain for {what}; so far: {:#?}", seen.requests);
        seen
    }
}

thread_local! {
    /// The server whose handler runs on this thread, and the connection's number: where requests are logged.
    static CURRENT: RefCell<Option<(Arc<Shared>, usize)>> = const { RefCell::new(None) };
}

/// A loopback server. Every connection gets a thread and the handler; when the handler returns, the connection
/// is closed. Dropping the server shuts every connection down and joins every thread; a handler's panic is
/// passed on then, so that an assertion in a handler fails its test.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<Vec<JoinHandle<()>>>>,
}

impl Server {
    /// `handler` gets the stream and the connection's number, from 0.
    pub fn start(handler: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let acceptor = std::thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared, &Arc::new(handler))
        });
        Server { address, shared, acceptor: Some(acceptor) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Requests read so far, over all connections, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// Waits until `n` requests have been read, and gives all of them.
    pub fn wait_requests(&self, n: usize) -> Vec<Request> {
        self.shared.wait(&format!("{n} requests"), |seen| seen.requests.len() >= n).requests.clone()
    }

    /// Waits until `n` connections have been accepted.
    pub fn wait_connections(&self, n: usize) {
        drop(self.shared.wait(&format!("{n} connections"), |seen| seen.connections >= n));
    }

    /// Waits until every connection accepted so far is over on this side: its handler has returned.
    pub fn wait_closed(&self) {
        drop(self.shared.wait("the connections' end", |seen| seen.open.iter().all(Option::is_none)));
    }

    /// Shuts every open connection down, as a server that restarts does. New ones are still accepted.
    pub fn disconnect(&self) {
        for stream in self.shared.lock().open.iter().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.disconnect();
        // Wakes the acceptor, whatever it is doing.
        let _ = TcpStream::connect(self.address);
        let Some(workers) = self.acceptor.take().map(JoinHandle::join) else { return };
        for worker in workers.unwrap_or_default() {
            if let Err(panic) = worker.join()
                && !std::thread::panicking()
            {
                resume_unwind(panic);
            }
        }
    }
}

fn accept<H>(listener: &TcpListener, shared: &Arc<Shared>, handler: &Arc<H>) -> Vec<JoinHandle<()>>
where
    H: Fn(TcpStream, usize) + Send + Sync + 'static,
{
    let mut workers = Vec::new();
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let mut seen = shared.lock();
        if seen.stopping {
            break;
        }
        let number = seen.connections;
        seen.connections += 1;
        seen.open.push(stream.try_clone().ok());
        drop(seen);
        shared.changed.notify_all();
        let _ = stream.set_nodelay(true);
        let (shared, handler) = (shared.clone(), handler.clone());
        workers.push(std::thread::spawn(move || {
            CURRENT.set(Some((shared.clone(), number)));
            let outcome = catch_unwind(AssertUnwindSafe(|| handler(stream, number)));
            // The clone kept for the end would hold the connection open: it goes before anybody is told.
            shared.lock().open[number] = None;
            shared.changed.notify_all();
            if let Err(panic) = outcome {
                resume_unwind(panic);
            }
        }));
    }
    workers
}

/// Reads one request and logs it with the server whose handler this is. None where the client has closed, or
/// has sent something that is not a request.
pub fn read_request(stream: &mut impl Read) -> Option<Request> {
    let head = read_head(stream)?;
    let mut request = Request { head, body: Vec::new(), connection: 0 };
    request.body = if request.header("Transfer-Encoding").is_some() {
        read_chunks(stream)?
    } else {
        let mut body = vec![0; request.header("Content-Length").map_or(Some(0), |n| n.parse().ok())?];
        stream.read_exact(&mut body).ok()?;
        body
    };
    CURRENT.with_borrow(|current| {
        if let Some((shared, number)) = current {
            request.connection = *number;
            shared.lock().requests.push(request.clone());
            shared.changed.notify_all();
        }
    });
    Some(request)
}

/// Reads up to and with the empty line, and no byte further. None where the stream ends before.
pub fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    head.truncate(head.len() - 4);
    Some(String::from_utf8_lossy(&head).into_owned())
}

fn read_chunks(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            while !read_line(stream)?.is_empty() {}
            return Some(body);
        }
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..]).ok()?;
        read_line(stream)?;
    }
}

fn read_line(stream: &mut impl Read) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    String::from_utf8(line).ok()
}

/// A whole answer: `headers` are lines that end in CR LF; Content-Length is added.
pub fn response(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// 200 with a JSON body.
pub fn ok_json(body: impl AsRef<[u8]>) -> Vec<u8> {
    response("200 OK", "Content-Type: application/json\r\n", body)
}

/// A handler that answers request after request on each connection.
pub fn answering(
    answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
) -> impl Fn(TcpStream, usize) + Send + Sync + 'static {
    move |mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            if stream.write_all(&answer(&request)).is_err() {
                return;
            }
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// In order: FIN.
    Fin,
    /// At once: RST.
    Rst,
    /// Not at all, until the client closes.
    Keep,
}

/// A handler that reads one request, writes the pieces, each in a write of its own, and ends like `close`.
pub fn canned(
    pieces: impl IntoIterator<Item = impl Into<Vec<u8>>>,
    close: Close,
) -> impl Fn(TcpStream, usize) + Send + Sync + 'static {
    let pieces: Vec<Vec<u8>> = pieces.into_iter().map(Into::into).collect();
    move |mut stream, _| {
        if read_request(&mut stream).is_none() {
            return;
        }
        for piece in &pieces {
            if stream.write_all(piece).is_err() {
                return;
            }
        }
        finish(stream, close);
    }
}

/// A handler that says nothing at all until the client closes: no handshake, no head.
pub fn silent() -> impl Fn(TcpStream, usize) + Send + Sync + 'static {
    |stream, _| finish(stream, Close::Keep)
}

/// Ends a connection.
pub fn finish(mut stream: TcpStream, close: Close) {
    match close {
        Close::Fin => {}
        Close::Rst => rst(stream),
        Close::Keep => {
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    }
}

/// Ends a connection with RST: what is unsent is thrown away, and the client's next read or write fails.
pub fn rst(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    // The server keeps a clone to shut down at the end; the reset goes out when the last one is closed.
    CURRENT.with_borrow(|current| {
        if let Some((shared, number)) = current {
            shared.lock().open[*number] = None;
        }
    });
    drop(stream);
}

/// Something that one thread waits for and another lets happen, once.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn new() -> Gate {
        Gate::default()
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub fn is_open(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    /// Waits until it is open.
    pub fn wait(&self) {
        let waited = self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), PATIENCE, |open| !*open).unwrap();
        assert!(!waited.1.timed_out(), "the gate was never opened");
    }
}

/// An address where a connect hangs: its queue of connections is full, and nobody accepts.
pub struct Backlog {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Backlog {
    pub fn new() -> Backlog {
        use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        listen(&socket, 0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        // On loopback a connect that is not done at once is one that hangs.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queued.push(stream);
            assert!(queued.len() < 100, "the queue does not fill up");
        }
        Backlog { address, _listener: listener, _queued: queued }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A loopback address where nobody listens: a connect is refused at once. It stays so: the port is taken, by a
/// socket that lives as long as the process.
pub fn refused_address() -> SocketAddr {
    use rustix::net::{AddressFamily, SocketType, bind, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let holder = TcpListener::from(socket);
    let address = holder.local_addr().unwrap();
    std::mem::forget(holder);
    address
}

/// A folder of the test's own, removed with everything in it at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("apl-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The names of the files in it, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
