//! Connects to the first address that answers: Happy Eyeballs (RFC 8305).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::call::{Call, Patience};
use super::fail::Fail;
use super::socket::{Socket, connecting, wait};

/// How long one address has a head start over the next (RFC 8305, 5: Connection Attempt Delay).
const HEAD_START: Duration = Duration::from_millis(250);

/// Tries the addresses in turn, each a little after the one before, until one is connected.
pub(super) fn dial(call: &Call, patience: Patience, addresses: &[SocketAddr]) -> Result<Socket, Fail> {
    let mut waiting = interleave(addresses).into_iter();
    let mut pending: Vec<Socket> = Vec::new();
    let mut failure = Fail::Connect("the name has no address".into(), None);
    let mut next_start = Instant::now();
    loop {
        let now = Instant::now();
        if (pending.is_empty() || now >= next_start) && waiting.len() > 0 {
            next_start = now + HEAD_START;
            match waiting.next().map(|address| Socket::start(call, address)) {
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
        let left = call.left(patience)?;
        let until_next = (waiting.len() > 0).then(|| next_start.saturating_duration_since(now));
        let left = left.into_iter().chain(until_next).min();
        let ready: Vec<bool> = {
            let mut fds: Vec<_> = pending.iter().map(connecting).collect();
            wait(&mut fds, left)?;
            fds.iter().map(|f| !f.revents().is_empty()).collect()
        };
        // A cancelled connect looks like a finished one.
        call.check_cancelled()?;
        for at in (0..pending.len()).rev().filter(|at| ready[*at]) {
            let socket = pending.remove(at);
            match socket.connect_result() {
                Ok(()) => return connected(socket),
                Err(e) => {
                    failure = Fail::Connect(format!("{}: {e}", socket.peer), Some(e));
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
    use super::*;

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
