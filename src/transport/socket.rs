//! A TCP socket under a call's limits: it never waits longer, and a cancel wakes it.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, connect, recv, send, sockopt};

use super::fail::Fail;
use super::terms::{Patience, Terms};
use super::token::Registration;
use super::wire::{self, RECV_NOW, Receiver, SEND_NOW};

#[derive(Debug)]
pub(super) struct Socket {
    // Dropped before the socket is closed, so that a late cancel cannot meet another socket of this number.
    registration: Option<Registration>,
    fd: OwnedFd,
    receiver: Receiver,
    pub peer: SocketAddr,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it.
    All,
    /// The peer has stopped reading; so many bytes were taken.
    Refused(usize),
    /// No room now; so many bytes were taken.
    Full(usize),
}

impl Socket {
    /// Starts a connect that does not block. `true`: already connected.
    pub fn start(terms: &Terms, peer: SocketAddr) -> Result<(Socket, bool), Fail> {
        let family = if peer.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let fd = wire::open(family).map_err(|e| unopened(peer, e))?;
        let mut socket = Socket { registration: None, fd, receiver: Receiver::default(), peer };
        socket.attach(terms);
        // After the registration: a cancel before it is seen here, one after it wakes the socket.
        terms.check_cancelled()?;
        match connect(&socket.fd, &peer) {
            Ok(()) => Ok((socket, true)),
            Err(e) if wire::CONNECTING.contains(&e) => Ok((socket, false)),
            Err(e) => Err(Fail::Connect(format!("{peer}: {e}"), Some(e))),
        }
    }

    /// One end of a socket pair, to wait on.
    pub fn waiting(terms: &Terms, fd: OwnedFd) -> Socket {
        let peer = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut socket = Socket { registration: None, fd, receiver: Receiver::default(), peer };
        socket.attach(terms);
        socket
    }

    /// After the connect: reads wait, and small packets do not.
    pub fn finish_connect(&self) -> Result<(), Fail> {
        let os = |e| Fail::System("setting up a socket", e);
        wire::connected(&self.fd).map_err(os)?;
        sockopt::set_tcp_nodelay(&self.fd, true).map_err(os)
    }

    /// The result of a connect that was pending.
    pub fn connect_result(&self) -> Result<(), Errno> {
        sockopt::socket_error(&self.fd).and_then(|r| r)
    }

    /// Belongs to this call from now on: its cancel wakes the socket.
    pub fn attach(&mut self, terms: &Terms) {
        self.registration = terms.token.as_ref().map(|t| Registration::new(t, self.fd.as_raw_fd() as u32));
    }

    /// Belongs to no call any more.
    pub fn detach(&mut self) {
        self.registration = None;
    }

    /// Waits for the first bytes and takes them. `Ok(0)`: the peer closed in good order.
    pub fn recv(&mut self, terms: &Terms, patience: Patience, buf: &mut [u8]) -> Result<usize, Fail> {
        self.wait_for(terms, patience, |fd| recv(fd, &mut *buf, RecvFlags::empty()).map(|(n, _)| n))
    }

    /// The same for any system call that takes bytes and keeps the socket's receive timeout.
    pub fn wait_for(
        &mut self,
        terms: &Terms,
        patience: Patience,
        mut take: impl FnMut(BorrowedFd<'_>) -> Result<usize, Errno>,
    ) -> Result<usize, Fail> {
        loop {
            let left = tick(terms.left(patience)?);
            let got = self.receiver.take(&self.fd, left, &mut take);
            // A cancelled socket reads like a closed one, or like a broken one: the flag decides.
            terms.check_cancelled()?;
            if let Some(n) = got? {
                return Ok(n);
            }
        }
    }

    /// What is there now. `None`: nothing.
    pub fn recv_now(&self, buf: &mut [u8]) -> Result<Option<usize>, Errno> {
        loop {
            match recv(&self.fd, &mut *buf, RECV_NOW) {
                Ok((n, _)) => return Ok(Some(n)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Is the peer silent and the connection open?
    pub fn is_quiet(&self) -> bool {
        let mut byte = [0u8];
        matches!(recv(&self.fd, &mut byte[..], RecvFlags::PEEK | RECV_NOW), Err(Errno::AGAIN))
    }

    /// Sends what fits now.
    pub fn send_now(&self, data: &[u8]) -> Result<Written, Fail> {
        let mut sent = 0;
        while sent < data.len() {
            match send(&self.fd, &data[sent..], SEND_NOW) {
                Ok(n) => sent += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Written::Full(sent)),
                Err(e) if wire::REFUSED.contains(&e) => return Ok(Written::Refused(sent)),
                Err(e) => return Err(Fail::Socket(e)),
            }
        }
        Ok(Written::All)
    }

    /// Sends all of it.
    pub fn send_all(&self, terms: &Terms, patience: Patience, mut data: &[u8]) -> Result<(), Fail> {
        loop {
            match self.send_now(data)? {
                Written::All => return Ok(()),
                Written::Refused(_) => return Err(terms.blame(Fail::Closed)),
                Written::Full(n) => data = &data[n..],
            }
            self.wait_for_room(terms, patience, false)?;
        }
    }

    /// Waits until there is room to send, or, where `or_input`, something to read. `true`: something to read.
    pub fn wait_for_room(&self, terms: &Terms, patience: Patience, or_input: bool) -> Result<bool, Fail> {
        let mut events = PollFlags::OUT;
        events.set(PollFlags::IN, or_input);
        loop {
            let left = terms.left(patience)?;
            let mut fds = [PollFd::new(&self.fd, events)];
            wait(&mut fds, left)?;
            terms.check_cancelled()?;
            let seen = fds[0].revents();
            if seen.intersects(PollFlags::IN) {
                return Ok(true);
            }
            if !seen.is_empty() {
                return Ok(false);
            }
        }
    }
}

/// No socket: where the system has no such address family (a kernel without IPv6), it is only this address that
/// cannot be reached, and the next one may do.
fn unopened(peer: SocketAddr, errno: Errno) -> Fail {
    match errno {
        Errno::AFNOSUPPORT => Fail::Connect(format!("{peer}: {errno}"), Some(errno)),
        errno => Fail::System("opening a socket", errno),
    }
}

/// A wait that may last so long.
fn tick(left: Option<Duration>) -> Option<Duration> {
    left.into_iter().chain(wire::TICK).min()
}

/// Polls for at most `left`; an interrupted wait is a wait that is over.
pub(super) fn wait(fds: &mut [PollFd<'_>], left: Option<Duration>) -> Result<(), Fail> {
    let left = tick(left).map(|l| Timespec { tv_sec: l.as_secs() as _, tv_nsec: l.subsec_nanos() as _ });
    match poll(fds, left.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(e) => Err(Fail::System("waiting for a socket", e)),
    }
}

/// A poll entry for a socket that is connecting.
pub(super) fn connecting(socket: &Socket) -> PollFd<'_> {
    PollFd::from_borrowed_fd(socket.fd.as_fd(), PollFlags::OUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_that_the_system_does_not_know_rules_out_one_address_and_a_lack_of_descriptors_all() {
        let peer = SocketAddr::from(([0u16; 8], 1));
        assert!(matches!(unopened(peer, Errno::AFNOSUPPORT), Fail::Connect(_, Some(Errno::AFNOSUPPORT))));
        assert_eq!(unopened(peer, Errno::MFILE), Fail::System("opening a socket", Errno::MFILE));
    }
}
