//! What a connection's bytes go over: TCP, or TLS over another stream.
//!
//! What is received comes up through the layers; what is sent is sealed by all of them and leaves the socket at the
//! bottom, where every wait is.

use std::io::{self, Read, Write};

use rustls::{AlertDescription, ClientConnection, InvalidMessage};

use super::fail::Fail;
use super::socket::Socket;
use super::terms::{Patience, Terms};

/// One record and its overhead.
const CIPHER_BUFFER: usize = 16 * 1024 + 512;
/// For a reader of large blocks.
const BULK_BUFFER: usize = 64 * 1024;
/// Who reads so much at once is one.
const BULK: usize = 32 * 1024;
/// As much as rustls takes at once: over another session there is no system call to be saved, but memory.
const NESTED_BUFFER: usize = 4 * 1024;

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(Socket),
    Tls(Box<Tls>),
}

impl Stream {
    pub fn socket(&self) -> &Socket {
        match self {
            Stream::Tcp(socket) => socket,
            Stream::Tls(tls) => tls.below.socket(),
        }
    }

    pub fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Stream::Tcp(socket) => socket,
            Stream::Tls(tls) => tls.below.socket_mut(),
        }
    }

    /// Waits for the first bytes and takes them. `Ok(0)`: the peer ended in good order.
    pub fn recv(&mut self, terms: &Terms, patience: Patience, buf: &mut [u8]) -> Result<usize, Fail> {
        match self {
            Stream::Tcp(socket) => socket.recv(terms, patience, buf),
            Stream::Tls(tls) => tls.recv(terms, patience, buf),
        }
    }

    /// Gives back what only a large body has needed.
    pub fn trim(&mut self) {
        if let Stream::Tls(tls) = self {
            tls.trim();
        }
    }

    /// What is there now. `None`: nothing.
    pub fn recv_now(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Fail> {
        match self {
            Stream::Tcp(socket) => socket.recv_now(buf).map_err(Fail::Socket),
            Stream::Tls(tls) => tls.recv_now(buf),
        }
    }

    /// Is the peer silent and the connection open? Records without data (late session tickets, key updates)
    /// are silence.
    pub fn is_quiet(&mut self) -> bool {
        match self {
            Stream::Tcp(socket) => socket.is_quiet(),
            Stream::Tls(tls) => matches!(tls.recv_now(&mut [0]), Ok(None)),
        }
    }

    /// What the socket is to send for `data`: that itself, or its records, which are put into `out`.
    pub fn seal<'a>(&mut self, data: &'a [u8], out: &'a mut Vec<u8>) -> Result<&'a [u8], Fail> {
        let Stream::Tls(tls) = self else { return Ok(data) };
        tls.seal(data, out)?;
        Ok(out)
    }

    /// Sends all of it, in the dialogues before the first request.
    pub fn send(&mut self, terms: &Terms, patience: Patience, data: &[u8]) -> Result<(), Fail> {
        let mut out = Vec::new();
        let data = self.seal(data, &mut out)?;
        self.socket().send_all(terms, patience, data)
    }
}

/// Who the other side of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// The server that the request is for.
    Origin,
    /// A proxy on the way.
    Proxy,
    /// An origin that no credentials are for.
    Foreign,
}

/// A session. Ciphertext that was received but not yet decrypted waits in `cipher[start..end]`.
#[derive(Debug)]
pub(super) struct Tls {
    session: ClientConnection,
    peer: Peer,
    below: Stream,
    cipher: Vec<u8>,
    start: usize,
    end: usize,
    /// Did the other side begin with something that is not TLS?
    not_tls: bool,
    /// The failure behind the last bytes.
    failed: Option<Fail>,
}

impl Tls {
    pub fn new(session: ClientConnection, peer: Peer, below: Stream) -> Tls {
        Tls { session, peer, below, cipher: Vec::new(), start: 0, end: 0, not_tls: false, failed: None }
    }

    pub fn handshake(&mut self, terms: &Terms, patience: Patience) -> Result<(), Fail> {
        loop {
            let mut out = Vec::new();
            self.seal(&[], &mut out)?;
            let done = !self.session.is_handshaking();
            self.below.socket().send_all(terms, patience, &out).map_err(in_handshake)?;
            if done {
                return Ok(());
            }
            if self.start == self.end && self.fill(terms, patience).map_err(in_handshake)? == 0 {
                return Err(in_handshake(Fail::Closed));
            }
            if let Err(fail) = self.feed() {
                // Tell the server why, as far as it still listens.
                let mut alert = Vec::new();
                if self.seal(&[], &mut alert).is_ok() {
                    let _ = self.below.socket().send_now(&alert);
                }
                return Err(fail);
            }
        }
    }

    /// Did the other side send something that is not TLS?
    pub fn is_not_tls(&self) -> bool {
        self.not_tls
    }

    /// Plain bytes; waits for the first. `Ok(0)`: the peer said that it is done.
    fn recv(&mut self, terms: &Terms, patience: Patience, buf: &mut [u8]) -> Result<usize, Fail> {
        loop {
            if let Some(n) = self.plain(buf)? {
                return Ok(n);
            }
            if buf.len() >= BULK && self.cipher.len() < BULK_BUFFER && matches!(self.below, Stream::Tcp(_)) {
                self.cipher.resize(BULK_BUFFER, 0);
            }
            if self.fill(terms, patience)? == 0 {
                self.feed_end()?;
            }
        }
    }

    /// Plain bytes that are there without waiting. `None`: nothing.
    fn recv_now(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Fail> {
        loop {
            if let Some(n) = self.plain(buf)? {
                return Ok(Some(n));
            }
            self.reserve();
            match self.below.recv_now(&mut self.cipher)? {
                None => return Ok(None),
                Some(0) => self.feed_end()?,
                Some(n) => (self.start, self.end) = (0, n),
            }
        }
    }

    /// Decrypts what was received, as far as `buf` has room. `None`: more ciphertext is needed.
    fn plain(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Fail> {
        if let Some(fail) = self.failed.take() {
            return Err(fail);
        }
        let mut got = 0;
        loop {
            match self.session.reader().read(&mut buf[got..]) {
                // close_notify: the end, behind what came before it.
                Ok(0) if got < buf.len() => return Ok(Some(got)),
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) if got > 0 => return Ok(Some(got)),
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Fail::truncated("TLS ended without close_notify"));
                }
                Err(e) => return Err(tls(e)),
            }
            if got == buf.len() || self.start == self.end {
                return Ok((got > 0).then_some(got));
            }
            match self.feed() {
                // What came before it is the caller's.
                Err(fail) if got > 0 => {
                    self.failed = Some(fail);
                    return Ok(Some(got));
                }
                outcome => outcome?,
            }
        }
    }

    fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Fail> {
        let Stream::Tls(below) = &mut self.below else { return encrypt(&mut self.session, data, out) };
        let mut records = Vec::new();
        encrypt(&mut self.session, data, &mut records)?;
        below.seal(&records, out)
    }

    fn reserve(&mut self) {
        if self.cipher.is_empty() {
            let nested = matches!(self.below, Stream::Tls(_));
            self.cipher.resize(if nested { NESTED_BUFFER } else { CIPHER_BUFFER }, 0);
        }
    }

    fn trim(&mut self) {
        if self.cipher.len() > CIPHER_BUFFER && self.start == self.end {
            self.cipher = Vec::new();
        }
    }

    /// Waits for more ciphertext; there must be none left.
    fn fill(&mut self, terms: &Terms, patience: Patience) -> Result<usize, Fail> {
        self.reserve();
        let n = self.below.recv(terms, patience, &mut self.cipher)?;
        (self.start, self.end) = (0, n);
        Ok(n)
    }

    /// Gives the session one bite of ciphertext.
    fn feed(&mut self) -> Result<(), Fail> {
        let mut bytes = &self.cipher[self.start..self.end];
        self.start += self.session.read_tls(&mut bytes).map_err(tls)?;
        self.session.process_new_packets().map_err(|error| {
            self.not_tls |=
                matches!(error, rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType));
            broken(error, self.peer)
        })?;
        Ok(())
    }

    /// Tells the session that the connection ended.
    fn feed_end(&mut self) -> Result<(), Fail> {
        self.session.read_tls(&mut io::empty()).map_err(tls)?;
        self.session.process_new_packets().map_err(tls)?;
        Ok(())
    }
}

/// The records of `data`, behind those that the session has to send of itself.
fn encrypt(session: &mut ClientConnection, mut data: &[u8], out: &mut Vec<u8>) -> Result<(), Fail> {
    loop {
        while session.wants_write() {
            session.write_tls(out).map_err(tls)?;
        }
        if data.is_empty() {
            return Ok(());
        }
        let n = session.writer().write(data).map_err(tls)?;
        data = &data[n..];
    }
}

/// What a failure of the stream below is in a handshake.
fn in_handshake(fail: Fail) -> Fail {
    match fail {
        Fail::Socket(e) => Fail::HandshakeCut(format!("the connection failed in the handshake: {e}")),
        Fail::Closed | Fail::Truncated(_) => {
            Fail::HandshakeCut("the server closed the connection in the handshake".into())
        }
        fail => fail,
    }
}

fn tls(error: impl std::fmt::Display) -> Fail {
    Fail::Tls(error.to_string())
}

/// What came is no record that can be believed.
fn broken(error: rustls::Error, peer: Peer) -> Fail {
    match error {
        // The usual mistake, which rustls' own words do not give away.
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Fail::Tls("the server does not speak TLS here; is it plain http on this port?".into())
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => Fail::Tls(match peer {
            Peer::Origin => {
                "the server demands a certificate of the client (tls.client_cert and tls.client_key)".into()
            }
            Peer::Proxy => {
                "the proxy demands a certificate of the client, and none is shown to a proxy".into()
            }
            Peer::Foreign => {
                "the server demands a certificate of the client, and none is shown to an origin that is not in \
                 allow_origins"
                    .into()
            }
        }),
        error => tls(error),
    }
}
