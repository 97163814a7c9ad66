//! What lies in the kernel's queues of a loopback connection: how a server knows what its client has done,
//! without a guess about time.

#![allow(dead_code, missing_docs)] // each test file uses its own part of this
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::support::PATIENCE;

/// The client's queues, seen from the server's side of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// Sent by the client, and not taken over by the server's kernel.
    pub unsent: usize,
    /// Received by the client's kernel, and not read by the client.
    pub unread: usize,
}

/// Waits until the client's queues are as wanted.
pub fn wait_for(server_side: &TcpStream, what: &str, wanted: impl Fn(Queues) -> bool) {
    let (client, server) = (server_side.peer_addr().unwrap(), server_side.local_addr().unwrap());
    let begun = Instant::now();
    loop {
        let queues = queues(client, server);
        if queues.is_some_and(&wanted) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}: {queues:?}");
        std::thread::yield_now();
    }
}

/// Waits until the client has read everything that was sent to it.
pub fn wait_until_read(server_side: &TcpStream) {
    wait_for(server_side, "the client to read", |queues| queues.unread == 0);
}

fn queues(client: SocketAddr, server: SocketAddr) -> Option<Queues> {
    let (client, server) = (kernel_name(client), kernel_name(server));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let row = table.lines().find(|row| {
        let mut columns = row.split_whitespace().skip(1);
        columns.next() == Some(&client) && columns.next() == Some(&server)
    })?;
    let (unsent, unread) = row.split_whitespace().nth(4)?.split_once(':')?;
    let number = |hex| usize::from_str_radix(hex, 16).unwrap();
    Some(Queues { unsent: number(unsent), unread: number(unread) })
}

/// An address as /proc/net/tcp writes it.
fn kernel_name(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else { panic!("{address} is not IPv4") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}
