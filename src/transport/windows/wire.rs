//! The calls on a socket, as Windows has them: no socket ever blocks, and every wait is a poll.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags};
use socket2::{Domain, Socket, Type};

use super::fail::Fail;
use super::socket::wait;

/// A shut-down socket does not wake every wait, so waits are cut into pieces.
pub(super) const TICK: Option<Duration> = Some(Duration::from_millis(100));
/// Before Windows 10 2004, a poll is silent about a connect that failed.
pub(super) const FAILURES_ARE_TOLD: bool = false;
/// A connect that goes on by itself.
pub(super) const CONNECTING: [Errno; 1] = [Errno::AGAIN];
/// The peer does not read any more.
pub(super) const REFUSED: [Errno; 3] = [Errno::CONNRESET, Errno::CONNABORTED, Errno::SHUTDOWN];
/// Send what there is room for.
pub(super) const SEND_NOW: SendFlags = SendFlags::empty();
/// Take what is there.
pub(super) const RECV_NOW: RecvFlags = RecvFlags::empty();

/// A stream socket that does not block.
pub(super) fn open(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let domain = if family == AddressFamily::INET { Domain::IPV4 } else { Domain::IPV6 };
    // Not rustix's: that one would be inherited by every process that the host starts.
    let socket = Socket::new(domain, Type::STREAM, None).map_err(errno)?;
    socket.set_nonblocking(true).map_err(errno)?;
    Ok(socket.into())
}

/// After the connect: nothing changes.
pub(super) fn connected(_: &OwnedFd) -> Result<(), Errno> {
    Ok(())
}

/// Two sockets, each the other's peer. There is no `socketpair`, so it is a connection over the loopback address.
pub(super) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (near, far) = connect_to_ourselves().map_err(errno)?;
    Ok((near.into(), far.into()))
}

fn connect_to_ourselves() -> io::Result<(Socket, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    // Another process may have been quicker.
    let far = loop {
        let (far, from) = listener.accept()?;
        if from == near.local_addr()? {
            break far;
        }
    };
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    let near = Socket::from(near);
    // It ends with a reset, which leaves no port in TIME_WAIT.
    near.set_linger(Some(Duration::ZERO))?;
    Ok((near, far))
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw_os_error(error.raw_os_error().unwrap_or_default())
}

/// Waits for bytes.
#[derive(Debug, Default)]
pub(super) struct Receiver;

impl Receiver {
    /// Takes the first bytes that come. `None`: none came so far, and the caller looks at its clock.
    pub fn take(
        &mut self,
        fd: &OwnedFd,
        left: Option<Duration>,
        take: impl FnOnce(BorrowedFd<'_>) -> Result<usize, Errno>,
    ) -> Result<Option<usize>, Fail> {
        match take(fd.as_fd()) {
            Ok(n) => return Ok(Some(n)),
            Err(Errno::AGAIN) => {}
            Err(e) => return Err(Fail::Socket(e)),
        }
        wait(&mut [PollFd::new(fd, PollFlags::IN)], left)?;
        Ok(None)
    }
}
