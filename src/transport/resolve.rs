//! Names to addresses: a cache, and a detached thread for what is not in it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

use super::call::{Call, Patience};
use super::fail::Fail;
use super::socket::Socket;
use super::target::Target;

/// How long an answer is used again. Failures are not remembered.
const KEEP: Duration = Duration::from_secs(30);
/// What `getaddrinfo` and its plugins need, with room.
const STACK: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Resolver {
    /// `resolve:` of the configuration.
    fixed: HashMap<(String, u16), SocketAddr>,
    cache: Mutex<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    host: Box<str>,
    addresses: Arc<[IpAddr]>,
    at: Instant,
}

type Found = io::Result<Vec<IpAddr>>;

impl Resolver {
    pub fn new(fixed: HashMap<(String, u16), SocketAddr>) -> Resolver {
        Resolver { fixed, cache: Mutex::default() }
    }

    pub fn resolve(&self, call: &Call, patience: Patience, target: &Target) -> Result<Vec<SocketAddr>, Fail> {
        let host = &*target.host;
        let with_port = |a: &IpAddr| SocketAddr::new(*a, target.port);
        if !self.fixed.is_empty()
            && let Some(address) = self.fixed.get(&(host.to_string(), target.port))
        {
            return Ok(vec![*address]);
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![with_port(&address)]);
        }
        if let Some(known) = self.known(host) {
            return Ok(known.iter().map(with_port).collect());
        }
        let found = look_up(call, patience, host)?.map_err(|e| Fail::Resolve(format!("{host}: {e}")))?;
        if found.is_empty() {
            return Err(Fail::Resolve(format!("{host}: the name has no address")));
        }
        let addresses = found.iter().map(with_port).collect();
        let mut cache = self.cache.lock();
        cache.retain(|k| &*k.host != host && k.at.elapsed() < KEEP);
        cache.push(Known { host: host.into(), addresses: found.into(), at: Instant::now() });
        Ok(addresses)
    }

    fn known(&self, host: &str) -> Option<Arc<[IpAddr]>> {
        let cache = self.cache.lock();
        cache.iter().find(|k| &*k.host == host && k.at.elapsed() < KEEP).map(|k| k.addresses.clone())
    }
}

/// Asks the system on a thread of its own, so that a deadline or a cancel need not wait for it. The wait is on
/// a socket, so that a cancel ends it like every other wait.
fn look_up(call: &Call, patience: Patience, host: &str) -> Result<Found, Fail> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let (near, far) = pair.map_err(|e| Fail::System("opening a socket pair", e))?;
    let result: Arc<Mutex<Option<Found>>> = Arc::default();
    let (name, filled) = (host.to_string(), result.clone());
    let spawned = thread::Builder::new().name("apl-resolve".into()).stack_size(STACK).spawn(move || {
        *filled.lock() = Some(ask_system(&name));
        // Nobody may be waiting any more.
        let _ = send(&far, b"!", SendFlags::NOSIGNAL);
    });
    if spawned.is_err() {
        // No thread to be had: better to wait here than to fail.
        return Ok(ask_system(host));
    }
    let mut near = Socket::waiting(call, near);
    call.check_cancelled()?;
    near.recv(call, patience, &mut [0])?;
    let found = result.lock().take();
    found.ok_or_else(|| Fail::Internal("the resolver thread ended without an answer".into()))
}

fn ask_system(host: &str) -> Found {
    Ok((host, 0u16).to_socket_addrs()?.map(|a| a.ip()).collect())
}
