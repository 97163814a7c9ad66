//! The body reader as a fuzzer drives it: over a real socket, in pieces.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;
use url::Url;

use super::call::Call;
use super::connection::{Connection, Opening};
use super::framing::Framing;
use super::shared::Shared;
use super::socket::Socket;
use super::stream::Stream;
use super::terms::Terms;
use super::{Body, Fail, Got, Limits, Proxies, Settings, Target, TlsSettings};
use crate::config::Origin;

/// How the end of the body is marked.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// After so many bytes.
    Length(u64),
    /// By a last chunk.
    Chunked,
    /// By the end of the connection.
    Close,
}

#[allow(clippy::unwrap_used)]
static SHARED: Lazy<Arc<Shared>> = Lazy::new(|| {
    let settings = Settings {
        tls: TlsSettings::default(),
        max_idle_per_host: 0,
        idle_age: Duration::ZERO,
        resolve: Default::default(),
        proxies: Proxies::default(),
    };
    Arc::new(Shared::new(settings).unwrap())
});

/// Reads a body that comes in pieces, and then the connection's end, `room` bytes at a time. Gives what was read, and
/// how it ended.
#[allow(clippy::unwrap_used)]
pub fn read(end: End, pieces: &[&[u8]], room: usize) -> (Vec<u8>, Result<(), Fail>) {
    let origin = Origin::of(&Url::parse("http://localhost").unwrap()).unwrap();
    let target = Arc::new(Target::of(&origin).unwrap());
    let limits = Limits { max_body: u64::MAX, ..Limits::default() };
    let call = Arc::new(Call::new(target.clone(), Terms::new(limits, None), false, false, 0));
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let stream = Stream::Tcp(Socket::waiting(&call.terms, ours.into()));
    let opening = Opening::default();
    let connection = Box::new(Connection::new(target, stream, None, opening));
    let framing = match end {
        End::Length(n) => Framing::Length(n),
        End::Chunked => Framing::Chunked,
        End::Close => Framing::Close,
    };
    let mut body = Body::new(connection, call, SHARED.clone(), framing, false);
    let (mut got, mut buf) = (Vec::new(), vec![0; room.max(1)]);
    let mut pieces = pieces.iter();
    loop {
        let next = pieces.next();
        match next {
            // Who has all of the body does not read on.
            Some(piece) => drop(theirs.write_all(piece)),
            None => theirs.shutdown(Shutdown::Write).unwrap(),
        }
        let until = next.map(|_| Instant::now());
        loop {
            match body.read(&mut buf, until) {
                Ok(Got::Bytes(0)) => return (got, Ok(())),
                Ok(Got::Bytes(n)) => got.extend_from_slice(&buf[..n]),
                Ok(Got::Nothing) => break,
                Err(fail) => return (got, Err(fail)),
            }
        }
    }
}
