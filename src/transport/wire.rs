//! The calls on a socket in which the systems differ: Unix here, Windows in `windows/wire.rs`.

use std::time::Duration;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with, socketpair};

use super::fail::Fail;

/// Elsewhere than on Linux a shut-down socket does not wake every wait, so waits are cut into pieces.
pub(super) const TICK: Option<Duration> =
    if cfg!(target_os = "linux") { None } else { Some(Duration::from_millis(100)) };
/// A poll tells of a connect that failed.
pub(super) const FAILURES_ARE_TOLD: bool = true;
/// A connect that goes on by itself.
pub(super) const CONNECTING: [Errno; 2] = [Errno::INPROGRESS, Errno::INTR];
/// The peer does not read any more.
pub(super) const REFUSED: [Errno; 2] = [Errno::PIPE, Errno::CONNRESET];
/// Send what there is room for.
pub(super) const SEND_NOW: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
/// Take what is there.
pub(super) const RECV_NOW: RecvFlags = RecvFlags::DONTWAIT;

/// A stream socket whose connect does not block.
pub(super) fn open(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}

/// After the connect: reads block, with the kernel's timeout.
pub(super) fn connected(fd: &OwnedFd) -> Result<(), Errno> {
    rustix::io::ioctl_fionbio(fd, false)
}

/// Two sockets, each the other's peer.
pub(super) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

/// Waits for bytes.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// The kernel's receive timeout, milliseconds; 0 = none was set yet.
    kernel_timeout: u64,
}

impl Receiver {
    /// Takes the first bytes that come. `None`: none came so far, and the caller looks at its clock.
    pub fn take(
        &mut self,
        fd: &OwnedFd,
        left: Option<Duration>,
        take: impl FnOnce(BorrowedFd<'_>) -> Result<usize, Errno>,
    ) -> Result<Option<usize>, Fail> {
        if let Some(left) = left {
            self.set_kernel_timeout(fd, left)?;
        }
        match take(fd.as_fd()) {
            Ok(n) => Ok(Some(n)),
            Err(Errno::INTR | Errno::AGAIN) => Ok(None),
            Err(e) => Err(Fail::Socket(e)),
        }
    }

    /// The kernel's timeout only wakes us; the clock decides. So it is left alone while it is short enough to
    /// be in time and long enough not to spin: no system call in the steady state.
    fn set_kernel_timeout(&mut self, fd: &OwnedFd, left: Duration) -> Result<(), Fail> {
        let left = (left.as_micros().div_ceil(1000) as u64).max(1);
        let now = self.kernel_timeout;
        if now != 0 && now <= left && (now >= 1000 || now * 4 >= left) {
            return Ok(());
        }
        let timeout = 1u64 << left.ilog2().min(22);
        sockopt::set_socket_timeout(fd, Timeout::Recv, Some(Duration::from_millis(timeout)))
            .map_err(|e| Fail::System("setting a socket's timeout", e))?;
        self.kernel_timeout = timeout;
        Ok(())
    }
}
