//! Sockets, TLS, the pool and the body reader: the only room that knows ureq.
//!
//! ureq writes the request; all else is here. One request goes
//! [`Transport::send`] → `writer` (ureq) → `shared` (pool, or resolve, dial, proxy, handshake) → `loan` → [`Body`].
//! What waits keeps the `terms`; only what hands connections around knows the `call`.

mod bell;
mod body;
mod call;
mod chunked;
mod connection;
mod dial;
mod fail;
#[cfg_attr(windows, path = "windows/file.rs")]
mod file;
#[cfg_attr(windows, path = "windows/fork.rs")]
mod fork;
mod framing;
#[cfg(fuzzing)]
pub mod fuzz;
mod head;
mod hook;
mod loan;
mod no_proxy;
mod pem;
mod pool;
mod private;
mod proxy;
mod resolve;
mod shared;
mod socket;
mod socks;
mod splice;
mod stream;
mod sync;
mod target;
mod terms;
mod tls;
mod token;
mod upload;
mod wake;
#[cfg_attr(windows, path = "windows/wire.rs")]
mod wire;
mod writer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Method, header};

pub use bell::{Bell, pause};
pub use body::{Body, Got};
pub use fail::{Fail, Limit};
#[cfg(feature = "test-hooks")]
pub use hook::panic_at;
pub use pem::signing_key;
pub use proxy::Proxies;
pub use shared::Settings;
pub use splice::{Moved, Splice, Unmoved};
pub use target::Target;
pub use terms::Limits;
pub use tls::TlsSettings;
pub use token::Token;
pub use upload::{Part, Payload, Source};

use call::{Call, Slot};
use connection::Connection;
use framing::{connection_says, framing};
use shared::Shared;
use terms::Terms;
use writer::Writer;

use crate::error::{Result, Sent};
use crate::response::Head;

/// Bodies up to this size leave in one packet with their head.
const SMALL_BODY: usize = 16 * 1024;
/// The pieces in which larger ones leave.
const PIECE: usize = 64 * 1024;

/// One request, ready to be sent.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// Where it goes.
    pub target: &'a Arc<Target>,
    /// The request target (RFC 9112 3.2.1).
    pub path_and_query: PathAndQuery,
    /// All fields but Content-Length.
    pub headers: &'a HeaderMap,
    /// The body. None on a method that usually has one goes out with `Content-Length: 0`.
    pub body: Payload<'a>,
}

/// An answer whose body is still on the way.
#[derive(Debug)]
pub struct Answer {
    /// The final head.
    pub head: Head,
    /// The body.
    pub body: Body,
    /// How the answer came.
    pub trace: Trace,
}

/// How an answer came.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The peer's address.
    pub peer: SocketAddr,
    /// Did the connection serve another request before?
    pub reused: bool,
    /// Name resolution, where a name was resolved.
    pub dns: Option<Duration>,
    /// TCP connect, on a new connection.
    pub connect: Option<Duration>,
    /// The handshake, on a new TLS connection.
    pub tls: Option<Duration>,
    /// From the request's end to the head.
    pub head: Duration,
}

/// A request that got no answer.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub fail: Fail,
    /// Did it reach the server?
    pub sent: Sent,
    /// It went out on an idle connection that turned out to be dead, and not a byte came back: the usual fate
    /// of a keep-alive connection, which says nothing about the server.
    pub stale: bool,
}

/// The transport of one connector. Shared between threads.
#[derive(Debug)]
pub struct Transport {
    shared: Arc<Shared>,
    writer: Writer,
}

impl Transport {
    /// A transport; of the files it names, it reads the PEM files.
    pub fn new(settings: Settings) -> Result<Transport> {
        let shared = Arc::new(Shared::new(settings)?);
        Ok(Transport { writer: Writer::new(shared.clone()), shared })
    }

    /// Sends a request and waits for the head of its answer. Never twice: `fresh` leaves the idle connections
    /// alone, for the request that met a dead one.
    pub fn send(
        &self,
        request: &Request<'_>,
        limits: &Limits,
        token: Option<&Arc<Token>>,
        fresh: bool,
    ) -> Result<Answer, Failure> {
        let length = usize::try_from(request.body.length()).unwrap_or(usize::MAX);
        let longest = request.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 8).max().unwrap_or(0);
        // The request line, and whichever is longer: a field's line or a piece of the body.
        let line = request.path_and_query.as_str().len() + request.method.as_str().len() + 256;
        let output = line.max(longest).max(length.min(PIECE));
        let hold_head = (1..=SMALL_BODY).contains(&length);
        let call = Arc::new(Call::new(
            request.target.clone(),
            Terms::new(limits.clone(), token.cloned()),
            fresh,
            hold_head,
            output,
        ));
        let outcome = self.write(request, &call);
        let Slot { connection, fail } = call.take();
        let fail = match (outcome, fail) {
            (_, Some(fail)) => Some(fail),
            (Err(e), None) => Some(Fail::Internal(format!("ureq refused the request: {e}"))),
            (Ok(()), None) => None,
        };
        match (fail, connection) {
            (None, Some(connection)) => self.answer(request, call, connection),
            (Some(fail), connection) => Err(failure(call.terms.blame(fail), connection.as_deref())),
            (None, None) => Err(failure(Fail::Internal("no connection came back".into()), None)),
        }
    }

    fn write(&self, request: &Request<'_>, call: &Arc<Call>) -> Result<(), ureq::Error> {
        let target = request.target;
        let uri = Uri::builder()
            .scheme(target.scheme.clone())
            .authority(target.authority.clone())
            .path_and_query(request.path_and_query.clone())
            .build()?;
        let mut head = http::Request::new(());
        *head.method_mut() = request.method.clone();
        *head.uri_mut() = uri;
        *head.headers_mut() = request.headers.clone();
        self.writer.write(head, request.body, call)
    }

    fn answer(
        &self,
        request: &Request<'_>,
        call: Arc<Call>,
        mut connection: Box<Connection>,
    ) -> Result<Answer, Failure> {
        let Some(head) = connection.exchange.head.take() else {
            return Err(failure(Fail::Internal("no head came back".into()), Some(&connection)));
        };
        let (framing, keeps_alive) = match framing(&head, request.method == Method::HEAD) {
            Ok(framing) => framing,
            Err(fail) => return Err(failure(fail, Some(&connection))),
        };
        let asked_to_close = connection_says(
            request.headers.get_all(header::CONNECTION).iter().map(|v| v.as_bytes()),
            "close",
        );
        let reusable = keeps_alive && !asked_to_close && !call.write_failed();
        let opening = connection.opening;
        let trace = Trace {
            peer: connection.peer(),
            reused: connection.exchange.reused,
            dns: opening.and_then(|o| o.dns),
            connect: opening.map(|o| o.connect),
            tls: opening.and_then(|o| o.tls),
            head: connection.exchange.sent_at.map(|t| t.elapsed()).unwrap_or_default(),
        };
        let body = Body::new(connection, call, self.shared.clone(), framing, reusable);
        Ok(Answer { head, body, trace })
    }
}

fn failure(fail: Fail, connection: Option<&Connection>) -> Failure {
    let Some(exchange) = connection.map(|c| &c.exchange) else {
        return Failure { fail, sent: Sent::No, stale: false };
    };
    let sent = match (exchange.sent, &exchange.head) {
        (_, Some(_)) => Sent::Yes,
        (true, None) => Sent::Maybe,
        (false, None) => Sent::No,
    };
    let dead = matches!(fail, Fail::Closed | Fail::Socket(_));
    let stale = dead && exchange.reused && !exchange.received;
    Failure { fail, sent, stale }
}
