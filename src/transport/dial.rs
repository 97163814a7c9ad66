//! Connects to the first address that answers: Happy Eyeballs (RFC 8305).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::fail::Fail;
use super::socket::{Socket, connecting, wait};
use super::terms::{Patience, Terms};
use super::wire;

/// How long one address has a head start over the next (RFC 8305, 5: Connection Attempt Delay).
const HEAD_START: Duration = Duration::from_millis(250);

/// Tries the addresses in turn, each a little after the one before, until one is connected.
pub(super) fn dial(terms: &Terms, patience: Patience, addresses: &[SocketAddr]) -> Result<Socket, Fail> {
    let mut waiting = interleave(addresses).into_iter();
    let mut pending: Vec<Socket> = Vec::new();
    let mut failure = Fail::Connect("the name has no address".into(), None);
    let mut next_start = Instant::now();
    loop {
        let now = Instant::now();
        if (pending.is_empty() || now >= next_start) && waiting.len() > 0 {
            next_start = now + HEAD_START;
            match waiting.next().map(|address| Socket::start(terms, address)) {
                Some(Ok((socket, true))) => return connected(socket),
                Some(Ok((socket, false))) => pending.push(socket),
                Some(Err(fail @ Fail::Connect(..))) => {
                    failure = fail;
                    next_start = now;
                    continue;
                }
                Some(Err(fail)) => return Err(fail),
                None => {}
            }
        }
        if pending.is_empty() {
            return Err(failure);
        }
        let left = terms.left(patience)?;
        let until_next = (waiting.len() > 0).then(|| next_start.saturating_duration_since(now));
        let left = left.into_iter().chain(until_next).min();
        let ready: Vec<bool> = {
            let mut fds: Vec<_> = pending.iter().map(connecting).collect();
            wait(&mut fds, left)?;
            fds.iter().map(|f| !f.revents().is_empty()).collect()
        };
        // A cancelled connect looks like a finished one.
        terms.check_cancelled()?;
        for at in (0..pending.len()).rev().filter(|at| ready[*at] || !wire::FAILURES_ARE_TOLD) {
            match pending[at].connect_result() {
                Ok(()) if ready[at] => return connected(pending.remove(at)),
                Ok(()) => {}
                Err(e) => {
                    failure = Fail::Connect(format!("{}: {e}", pending.remove(at).peer), Some(e));
                    next_start = now;
                }
            }
        }
    }
}

fn connected(socket: Socket) -> Result<Socket, Fail> {
    socket.finish_connect()?;
    Ok(socket)
}

/// The families in turn, each in the resolver's order, beginning with the family of its first choice.
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else { return Vec::new() };
    let (mut ours, mut others): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().rev().copied().partition(|a| a.is_ipv4() == first.is_ipv4());
    let mut order = Vec::with_capacity(addresses.len());
    while !(ours.is_empty() && others.is_empty()) {
        order.extend(ours.pop());
        order.extend(others.pop());
    }
    order
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;

    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

    use super::super::fail::Limit;
    use super::super::terms::Limits;
    use super::super::token::Token;
    use super::*;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// A port where nobody listens: a connect is refused at once, on every loopback address.
    fn refused_port() -> u16 {
        listener().1.port()
    }

    /// An address where a connect neither succeeds nor fails: its queue is full, and nobody accepts.
    fn black_hole() -> ((TcpListener, Vec<TcpStream>), SocketAddr) {
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&fd, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listen(&fd, 0).unwrap();
        let listener = TcpListener::from(fd);
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queued.push(stream);
        }
        ((listener, queued), address)
    }

    fn limits(connect: u64) -> Limits {
        Limits { connect: Some(Duration::from_millis(connect)), ..Limits::default() }
    }

    /// Dials, and says where it ended and how long it took.
    fn dialled(terms: &Terms, addresses: &[SocketAddr]) -> (Result<SocketAddr, Fail>, Duration) {
        let begun = Instant::now();
        let outcome = dial(terms, terms.connecting(), addresses).map(|socket| socket.peer);
        (outcome, begun.elapsed())
    }

    #[test]
    fn dead_addresses_are_passed_over_at_once_however_many_there_are() {
        let (port, (_good, good)) = (refused_port(), listener());
        let mut addresses: Vec<SocketAddr> = (1..32).map(|n| ([127, 0, 1, n], port).into()).collect();
        addresses.extend((0..32).map(|_| SocketAddr::new([0, 0, 0, 0, 0, 0, 0, 1].into(), port)));
        addresses.push(good);
        assert_eq!(addresses.len(), 64);
        let (outcome, took) = dialled(&Terms::new(limits(5000), None), &addresses);
        assert_eq!(outcome, Ok(good));
        // Far less than a head start for each.
        assert!(took < Duration::from_secs(2), "{took:?}");
        addresses.pop();
        let (outcome, took) = dialled(&Terms::new(limits(5000), None), &addresses);
        let Err(Fail::Connect(why, errno)) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("refused") && why.contains(&port.to_string()), "{why}");
        assert!(matches!(errno, Some(Errno::CONNREFUSED | Errno::ADDRNOTAVAIL)), "{errno:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }

    #[test]
    fn a_silent_address_only_has_a_head_start() {
        let ((_hole, silent), (_good, good)) = (black_hole(), listener());
        let (outcome, took) = dialled(&Terms::new(limits(5000), None), &[silent, silent, good]);
        assert_eq!(outcome, Ok(good));
        assert!(took >= 2 * HEAD_START && took < 2 * HEAD_START + Duration::from_secs(1), "{took:?}");
        // A dead one behind it does not wait for the next one's turn. The quickest of a few: a busy machine is
        // no fault of ours.
        let refused = SocketAddr::from(([127, 0, 0, 1], refused_port()));
        let times = [(); 3].map(|()| {
            let (outcome, took) = dialled(&Terms::new(limits(5000), None), &[silent, refused, good]);
            assert_eq!(outcome, Ok(good));
            took
        });
        let took = times.into_iter().min().unwrap();
        assert!(took >= HEAD_START && took < 2 * HEAD_START, "{took:?}");
    }

    #[test]
    fn silent_addresses_end_at_the_limit_or_by_a_cancel_and_no_address_at_once() {
        let (_hole, silent) = black_hole();
        let (outcome, took) = dialled(&Terms::new(limits(400), None), &[silent, silent]);
        assert_eq!(outcome, Err(Fail::Timeout(Limit::Connect)));
        assert!(took >= Duration::from_millis(400) && took < Duration::from_millis(1400), "{took:?}");
        let token = Arc::new(Token::new());
        let cancelled = Terms::new(limits(20_000), Some(token.clone()));
        std::thread::scope(|scope| {
            let dialled = scope.spawn(|| dialled(&cancelled, &[silent, silent]));
            token.cancel();
            let (outcome, took) = dialled.join().unwrap();
            assert_eq!(outcome, Err(Fail::Cancelled));
            assert!(took < Duration::from_secs(1), "{took:?}");
        });
        let (outcome, _) = dialled(&Terms::new(limits(5000), None), &[]);
        assert!(matches!(outcome, Err(Fail::Connect(_, None))), "{outcome:?}");
    }

    #[test]
    fn families_take_turns() {
        let all: Vec<SocketAddr> = ["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"]
            .map(|a| a.parse().unwrap())
            .into();
        let order: Vec<String> = interleave(&all).iter().map(|a| a.to_string()).collect();
        assert_eq!(order, ["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"]);
        assert_eq!(interleave(&[]), []);
    }
}
