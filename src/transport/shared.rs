//! What outlives a call: the pool, and what opens new connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::Call;
use super::connection::{Connection, Opening};
use super::dial::dial;
use super::fail::Fail;
use super::pool::Pool;
use super::proxy::{Proxies, Proxy};
use super::resolve::{self, Resolver};
use super::stream::{Peer, Stream};
use super::target::Target;
use super::tls::{TlsClient, TlsSettings};
use super::{fork, private};
use crate::error::Result;

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

#[derive(Debug)]
pub(super) struct Shared {
    pool: Pool<Arc<Target>, Box<Connection>>,
    resolver: Resolver,
    tls: TlsClient,
    proxies: Proxies,
}

impl Shared {
    pub fn new(settings: Settings) -> Result<Shared> {
        Ok(Shared {
            pool: Pool::new(settings.max_idle_per_host, settings.idle_age),
            resolver: Resolver::new(settings.resolve, resolve::ask_system),
            tls: TlsClient::new(settings.tls)?,
            proxies: settings.proxies,
        })
    }

    /// A connection for the call: an idle one that is alive, or a new one.
    pub fn acquire(&self, call: &Call) -> Result<Box<Connection>, Fail> {
        let (target, terms) = (&call.target, &call.terms);
        terms.check_cancelled()?;
        let proxy = self.proxies.route(target);
        // What a proxy resolves itself, only it knows; what needs no name server, we do.
        if proxy.is_some() && terms.limits.block_private {
            private::literal(&target.host)?;
        }
        // The operator has chosen the proxy: wherever it is, it is no one's trick.
        let public_only = terms.limits.block_private && proxy.is_none();
        if !call.fresh {
            let fits = |t: &Arc<Target>| Arc::ptr_eq(t, target) || t.is_same(target);
            while let Some(mut connection) = self.pool.take(Instant::now(), fork::generation(), fits) {
                // One that was opened by a call which may reach private addresses is not for one that may not.
                let may = !public_only || private::permitted(connection.peer().ip()).is_ok();
                if may && connection.is_usable() {
                    connection.begin(terms, true, call.hold_head, call.output);
                    terms.check_cancelled()?;
                    return Ok(connection);
                }
            }
        }
        let mut connection = Box::new(self.open(call, proxy, public_only)?);
        connection.begin(terms, false, call.hold_head, call.output);
        Ok(connection)
    }

    fn open(&self, call: &Call, proxy: Option<&Proxy>, public_only: bool) -> Result<Connection, Fail> {
        let (target, terms) = (&call.target, &call.terms);
        let patience = terms.connecting();
        let blame = |fail| match proxy {
            Some(proxy) => proxy.blame(fail),
            None => fail,
        };
        let (host, port) = proxy.map_or((&*target.host, target.port), |p| (&p.host, p.port));
        let begun = Instant::now();
        let mut addresses = self.resolver.resolve(terms, patience, host, port).map_err(blame)?;
        if public_only {
            private::permit(&mut addresses)?;
        }
        let resolved = Instant::now();
        let mut stream = Stream::Tcp(dial(terms, patience, &addresses).map_err(blame)?);
        let mut absolute = None;
        if let Some(proxy) = proxy {
            (stream, absolute) = proxy.pass(target, stream, terms, patience, &self.tls).map_err(blame)?;
        }
        let connected = Instant::now();
        let mut opening = Opening { dns: Some(resolved - begun), connect: connected - resolved, tls: None };
        if target.tls {
            let peer = if target.foreign { Peer::Foreign } else { Peer::Origin };
            let mut tls = self.tls.start(&target.host, peer, stream)?;
            tls.handshake(terms, patience).map_err(|fail| match proxy {
                // Whoever speaks there, it is not the server that the tunnel is to lead to.
                Some(proxy) if tls.is_not_tls() => {
                    proxy.blame(Fail::Connect("what came through its tunnel is not TLS".into(), None))
                }
                _ => fail,
            })?;
            stream = Stream::Tls(Box::new(tls));
            opening.tls = Some(connected.elapsed());
        }
        Ok(Connection::new(target.clone(), stream, absolute, opening))
    }

    /// An exchange on it is over, and another one may follow.
    pub fn put(&self, connection: Box<Connection>) {
        let key = connection.target.clone();
        self.pool.put(key, connection, Instant::now(), fork::generation(), |a, b| a.is_same(b));
    }
}
