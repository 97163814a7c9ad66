//! Sockets, TLS, the pool and the body reader: the only room that knows ureq.
//!
//! ureq writes the request; all else is here. One request goes
//! `Transport::send` → ureq → `connect` (pool, or resolve, dial, handshake) → [`loan`] → [`Body`].

mod bell;
mod body;
mod call;
mod chunked;
mod connection;
mod dial;
mod fail;
mod fork;
mod framing;
mod head;
mod hook;
mod loan;
mod no_proxy;
mod pem;
mod pool;
mod private;
mod proxy;
mod resolve;
mod socket;
mod socks;
mod sync;
mod target;
mod tls;
mod token;
mod upload;
mod wake;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Method, header};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as UreqResolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};
use ureq::{Agent, SendBody};

pub use bell::{Bell, pause};
pub use body::Body;
pub use call::Limits;
pub use fail::{Fail, Limit};
#[cfg(feature = "test-hooks")]
pub use hook::panic_at;
pub use proxy::Proxies;
pub use target::Target;
pub use tls::TlsSettings;
pub use token::Token;
pub use upload::{Part, Payload, Source};

use call::{Call, Slot};
use connection::{Connection, Opening};
use framing::{connection_says, framing};
use loan::Loan;
use pool::Pool;
use proxy::{Proxy, Through};
use resolve::Resolver;
use tls::{Peer, TlsClient};
use upload::Upload;

use crate::error::{Result, Sent};
use crate::response::Head;

/// Bodies up to this size leave in one packet with their head.
const SMALL_BODY: usize = 16 * 1024;
/// The pieces in which larger ones leave.
const PIECE: usize = 64 * 1024;

/// What a transport is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// TLS.
    pub tls: TlsSettings,
    /// Idle connections kept per origin.
    pub max_idle_per_host: usize,
    /// How long a connection may be idle.
    pub idle_age: Duration,
    /// Addresses that are not asked of the system.
    pub resolve: HashMap<(String, u16), SocketAddr>,
    /// The way out.
    pub proxies: Proxies,
}

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
    agent: Agent,
}

/// What outlives a call: the pool, and what makes new connections.
#[derive(Debug)]
struct Shared {
    pool: Pool<Arc<Target>, Box<Connection>>,
    resolver: Resolver,
    tls: TlsClient,
    proxies: Proxies,
}

thread_local! {
    /// The call for which this thread is inside ureq. Read in `Plug::connect` and nowhere else.
    static CURRENT: RefCell<Option<Arc<Call>>> = const { RefCell::new(None) };
}

impl Transport {
    /// A transport; of the files it names, it reads the PEM files.
    pub fn new(settings: Settings) -> Result<Transport> {
        let shared = Arc::new(Shared {
            pool: Pool::new(settings.max_idle_per_host, settings.idle_age),
            resolver: Resolver::new(settings.resolve, resolve::ask_system),
            tls: TlsClient::new(settings.tls)?,
            proxies: settings.proxies,
        });
        // Whatever ureq would do of itself is off: it only writes the request.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .allow_non_standard_methods(true)
            .user_agent("")
            .accept("")
            .accept_encoding("")
            .build();
        let agent = Agent::with_parts(config, Plug { shared: shared.clone() }, NoResolver);
        Ok(Transport { shared, agent })
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
            limits.clone(),
            token.cloned(),
            fresh,
            hold_head,
            output,
        ));
        let outcome = self.run(request, &call);
        let Slot { connection, fail } = call.take();
        let fail = match (outcome, fail) {
            (_, Some(fail)) => Some(fail),
            (Err(e), None) => Some(Fail::Internal(format!("ureq refused the request: {e}"))),
            (Ok(()), None) => None,
        };
        match (fail, connection) {
            (None, Some(connection)) => self.answer(request, call, connection),
            (Some(fail), connection) => Err(failure(call.blame(fail), connection.as_deref())),
            (None, None) => Err(failure(Fail::Internal("no connection came back".into()), None)),
        }
    }

    /// Lets ureq write the request.
    fn run(&self, request: &Request<'_>, call: &Arc<Call>) -> Result<(), ureq::Error> {
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
        let _current = Current::set(call.clone());
        // Without an explicit empty body, ureq would send these chunked.
        let usual = matches!(*request.method, Method::POST | Method::PUT | Method::PATCH);
        let response = match request.body {
            Payload::Bytes(body) => self.agent.run(head.map(|()| body))?,
            Payload::Stream(source) => {
                // ureq would send it chunked.
                head.headers_mut().insert(header::CONTENT_LENGTH, source.length().into());
                let mut upload = Upload::new(source, call.clone());
                self.agent.run(head.map(|()| SendBody::from_reader(&mut upload)))?
            }
            Payload::None if usual => self.agent.run(head.map(|()| &b""[..]))?,
            Payload::None => self.agent.run(head)?,
        };
        drop(response);
        Ok(())
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

impl Shared {
    /// A connection for the call: an idle one that is alive, or a new one.
    fn acquire(&self, call: &Call) -> Result<Box<Connection>, Fail> {
        call.check_cancelled()?;
        let proxy = self.proxies.route(&call.target);
        if let Some(proxy) = proxy {
            proxy.can_reach(&call.target)?;
            // What it resolves itself, only it knows; what needs no name server, we do.
            if call.limits.block_private {
                private::literal(&call.target.host)?;
            }
        }
        // The operator has chosen the proxy: wherever it is, it is no one's trick.
        let public_only = call.limits.block_private && proxy.is_none();
        if !call.fresh {
            let fits = |t: &Arc<Target>| Arc::ptr_eq(t, &call.target) || t.is_same(&call.target);
            while let Some(mut connection) = self.pool.take(Instant::now(), fork::generation(), fits) {
                // One that was opened by a call which may reach private addresses is not for one that may not.
                let may = !public_only || private::permitted(connection.peer().ip()).is_ok();
                if may && connection.is_usable() {
                    connection.begin(call, true);
                    call.check_cancelled()?;
                    return Ok(connection);
                }
            }
        }
        let mut connection = Box::new(self.open(call, proxy, public_only)?);
        connection.begin(call, false);
        Ok(connection)
    }

    fn open(&self, call: &Call, proxy: Option<&Proxy>, public_only: bool) -> Result<Connection, Fail> {
        let patience = call.connecting();
        let target = &call.target;
        let blame = |fail| match proxy {
            Some(proxy) => proxy.blame(fail),
            None => fail,
        };
        let (host, port) = proxy.map_or((&*target.host, target.port), |p| (&p.host, p.port));
        let begun = Instant::now();
        let mut addresses = self.resolver.resolve(call, patience, host, port).map_err(blame)?;
        if public_only {
            private::permit(&mut addresses)?;
        }
        let resolved = Instant::now();
        let mut socket = dial::dial(call, patience, &addresses).map_err(blame)?;
        let through = match proxy {
            Some(proxy) => proxy.pass(call, patience, &mut socket, &self.tls).map_err(blame)?,
            None => Through::default(),
        };
        let connected = Instant::now();
        let mut opening = Opening { dns: Some(resolved - begun), connect: connected - resolved, tls: None };
        let tls = if target.tls {
            let mut tls = self.tls.start(&target.host, Peer::Origin)?;
            tls.handshake(&mut socket, call, patience).map_err(|fail| match proxy {
                // Whoever speaks there, it is not the server that the tunnel is to lead to.
                Some(proxy) if tls.is_foreign() => {
                    proxy.blame(Fail::Connect("what came through its tunnel is not TLS".into(), None))
                }
                _ => fail,
            })?;
            opening.tls = Some(connected.elapsed());
            Some(tls)
        } else {
            through.tls
        };
        Ok(Connection::new(target.clone(), socket, tls, opening).through(through.absolute))
    }

    fn put(&self, connection: Box<Connection>) {
        let key = connection.target.clone();
        self.pool.put(key, connection, Instant::now(), fork::generation(), |a, b| a.is_same(b));
    }
}

/// Where ureq asks for a connection.
struct Plug {
    shared: Arc<Shared>,
}

impl fmt::Debug for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plug")
    }
}

impl Connector for Plug {
    type Out = Loan;

    fn connect(&self, _: &ConnectionDetails, _: Option<()>) -> Result<Option<Loan>, ureq::Error> {
        let Some(call) = CURRENT.with(|c| c.borrow().clone()) else {
            return Err(ureq::Error::ConnectionFailed);
        };
        match self.shared.acquire(&call) {
            Ok(connection) => {
                hook::pass("connect");
                Ok(Some(Loan::new(connection, call)))
            }
            Err(fail) => Err(call.fail(fail)),
        }
    }
}

/// Names the call for as long as it lives, then whatever was named before.
struct Current(Option<Arc<Call>>);

impl Current {
    fn set(call: Arc<Call>) -> Current {
        Current(CURRENT.with(|c| c.replace(Some(call))))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.with(|c| c.replace(self.0.take()));
    }
}

/// ureq resolves nothing: the pool is asked first.
#[derive(Debug)]
struct NoResolver;

impl UreqResolver for NoResolver {
    fn resolve(
        &self,
        _: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}
