//! Wakes whoever waits on a socket, by the socket's number: the one place where a number stands for a socket.
#![allow(unsafe_code)]

use rustix::fd::{BorrowedFd, RawFd};
use rustix::net::{Shutdown, shutdown};

/// Shuts the socket down in both directions. A thread that waits on it in `recv`, `poll` or a pending
/// connect returns at once (on Linux). Async-signal-safe: one system call, `errno` untouched.
///
/// The caller has pinned the number in a token's slot, so that the socket cannot be closed, and the number
/// cannot be given to another, before this returns.
pub(super) fn wake(fd: u32) {
    // What is cut off of a socket of Windows is nothing: it is a handle, of which 32 bits count.
    // SAFETY: the slot is pinned (see `Token::cancel`); `Registration::drop`, which runs before the socket is
    // closed, waits for the pin. So the number is an open socket for as long as it is borrowed here.
    let socket = unsafe { BorrowedFd::borrow_raw(fd as RawFd) };
    // A socket that is not connected any more has nobody to wake.
    let _ = shutdown(socket, Shutdown::Both);
}
