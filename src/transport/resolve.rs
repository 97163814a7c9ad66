//! Names to addresses: a cache, and a detached thread for what is not in it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::net::send;

use super::fail::Fail;
use super::socket::Socket;
use super::terms::{Patience, Terms};
use super::wire::{self, SEND_NOW};

/// How long an answer is used again. Failures are not remembered.
const KEEP: Duration = Duration::from_secs(30);
/// What `getaddrinfo` and its plugins need, with room.
const STACK: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Resolver {
    /// `resolve:` of the configuration.
    fixed: HashMap<(String, u16), SocketAddr>,
    look_up: LookUp,
    cache: Mutex<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    host: Box<str>,
    addresses: Arc<[IpAddr]>,
    at: Instant,
}

type Found = io::Result<Vec<IpAddr>>;
/// A look-up that may take as long as it likes.
pub(super) type LookUp = fn(&str) -> Found;

impl Resolver {
    pub fn new(fixed: HashMap<(String, u16), SocketAddr>, look_up: LookUp) -> Resolver {
        Resolver { fixed, look_up, cache: Mutex::default() }
    }

    pub fn resolve(
        &self,
        terms: &Terms,
        patience: Patience,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, Fail> {
        let with_port = |a: &IpAddr| SocketAddr::new(*a, port);
        if !self.fixed.is_empty()
            && let Some(address) = self.fixed.get(&(host.to_string(), port))
        {
            return Ok(vec![*address]);
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![with_port(&address)]);
        }
        if let Some(known) = self.known(host) {
            return Ok(known.iter().map(with_port).collect());
        }
        let found = detached(self.look_up, terms, patience, host)?
            .map_err(|e| Fail::Resolve(format!("{host}: {e}")))?;
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

/// Looks up on a thread of its own, so that a deadline or a cancel need not wait for it. The wait is on
/// a socket, so that a cancel ends it like every other wait.
fn detached(look_up: LookUp, terms: &Terms, patience: Patience, host: &str) -> Result<Found, Fail> {
    let (near, far) = wire::pair().map_err(|e| Fail::System("opening a socket pair", e))?;
    let result: Arc<Mutex<Option<Found>>> = Arc::default();
    let (name, filled) = (host.to_string(), result.clone());
    let spawned = thread::Builder::new().name("apl-resolve".into()).stack_size(STACK).spawn(move || {
        *filled.lock() = Some(look_up(&name));
        // Nobody may be waiting any more.
        let _ = send(&far, b"!", SEND_NOW);
    });
    if spawned.is_err() {
        // No thread to be had: better to wait here than to fail.
        return Ok(look_up(host));
    }
    let mut near = Socket::waiting(terms, near);
    terms.check_cancelled()?;
    near.recv(terms, patience, &mut [0])?;
    let found = result.lock().take();
    found.ok_or_else(|| Fail::Internal("the resolver thread ended without an answer".into()))
}

/// The system's own look-up.
pub(super) fn ask_system(host: &str) -> Found {
    Ok((host, 0u16).to_socket_addrs()?.map(|a| a.ip()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use parking_lot::MutexGuard;

    use super::super::fail::Limit;
    use super::super::terms::Limits;
    use super::super::token::Token;
    use super::*;

    fn resolve(resolver: &Resolver, terms: &Terms, host: &str) -> Result<Vec<SocketAddr>, Fail> {
        resolver.resolve(terms, terms.connecting(), host.trim_matches(['[', ']']), 81)
    }

    /// Held by a test for as long as the resolver below is to be silent.
    static SILENCE: Mutex<()> = Mutex::new(());

    fn never_in_time(_: &str) -> Found {
        drop(SILENCE.lock());
        Ok(vec![[127, 0, 0, 1].into()])
    }

    fn silence() -> MutexGuard<'static, ()> {
        SILENCE.lock()
    }

    #[test]
    fn a_slow_look_up_does_not_outlast_a_limit_or_a_cancel() {
        let silence = silence();
        let resolver = Resolver::new(HashMap::new(), never_in_time);
        let limit = Duration::from_millis(100);
        let begun = Instant::now();
        let deadline = Limits { deadline: Some(begun + limit), ..Limits::default() };
        assert_eq!(
            resolve(&resolver, &Terms::new(deadline, None), "slow.example"),
            Err(Fail::Timeout(Limit::Deadline))
        );
        let connect = Limits { connect: Some(limit), ..Limits::default() };
        assert_eq!(
            resolve(&resolver, &Terms::new(connect, None), "slow.example"),
            Err(Fail::Timeout(Limit::Connect))
        );
        let token = Arc::new(Token::new());
        let cancelled = Terms::new(Limits::default(), Some(token.clone()));
        thread::scope(|scope| {
            let resolved = scope.spawn(|| resolve(&resolver, &cancelled, "slow.example"));
            token.cancel();
            assert_eq!(resolved.join().unwrap(), Err(Fail::Cancelled));
        });
        let took = begun.elapsed();
        assert!(took >= 2 * limit && took < 2 * limit + Duration::from_secs(1), "{took:?}");
        // Nothing that came too late is believed or kept, and the resolver is as good as before.
        assert!(resolver.known("slow.example").is_none());
        drop(silence);
        let found = resolve(&resolver, &Terms::new(Limits::default(), None), "slow.example");
        assert_eq!(found, Ok(vec![([127, 0, 0, 1], 81).into()]));
    }

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    /// Fails at first, finds nothing then, and something at last.
    fn third_time_lucky(_: &str) -> Found {
        match ASKED.fetch_add(1, SeqCst) {
            0 => Err(io::Error::other("no such name")),
            1 => Ok(Vec::new()),
            _ => Ok(vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]),
        }
    }

    #[test]
    fn an_answer_is_kept_for_a_while_and_a_failure_is_not() {
        let resolver = Resolver::new(HashMap::new(), third_time_lucky);
        let terms = Terms::new(Limits::default(), None);
        let failed = |why: &str| Err(Fail::Resolve(format!("a.example: {why}")));
        assert_eq!(resolve(&resolver, &terms, "a.example"), failed("no such name"));
        assert_eq!(resolve(&resolver, &terms, "a.example"), failed("the name has no address"));
        let both = Ok(vec![([10, 0, 0, 1], 81).into(), ([10, 0, 0, 2], 81).into()]);
        for _ in 0..100 {
            assert_eq!(resolve(&resolver, &terms, "a.example"), both);
        }
        assert_eq!(ASKED.load(SeqCst), 3);
        // Old enough, it is asked for again; and another name has its own answer.
        resolver.cache.lock()[0].at -= KEEP;
        assert_eq!(resolve(&resolver, &terms, "a.example"), both);
        assert_eq!(ASKED.load(SeqCst), 4);
        assert_eq!(resolve(&resolver, &terms, "b.example"), both);
        assert_eq!(ASKED.load(SeqCst), 5);
        assert_eq!(resolver.cache.lock().len(), 2);
    }

    fn must_not_be_asked(host: &str) -> Found {
        panic!("{host} was looked up")
    }

    #[test]
    fn fixed_names_and_addresses_are_not_looked_up() {
        let to = SocketAddr::from(([10, 0, 0, 9], 82));
        let resolver = Resolver::new([(("a.example".into(), 81), to)].into(), must_not_be_asked);
        let terms = Terms::new(Limits::default(), None);
        assert_eq!(resolve(&resolver, &terms, "a.example"), Ok(vec![to]));
        assert_eq!(resolve(&resolver, &terms, "10.0.0.7"), Ok(vec![([10, 0, 0, 7], 81).into()]));
        assert_eq!(resolve(&resolver, &terms, "[::1]").unwrap()[0].to_string(), "[::1]:81");
    }
}
