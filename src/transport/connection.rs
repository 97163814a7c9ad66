//! One connection: socket, TLS and buffers in one box, which moves whole between the pool, ureq and the body.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{Call, Patience};
use super::fail::Fail;
use super::head::{Scanner, parse};
use super::proxy::Absolute;
use super::socket::{Socket, Written};
use super::target::Target;
use super::tls::Tls;
use crate::response::Head;

const INPUT: usize = 16 * 1024;
const OUTPUT: usize = 4 * 1024;
/// What an idle connection may keep of either buffer.
const IDLE_BUFFER: usize = 16 * 1024;
/// Interim answers (1xx) before the final one.
const MAX_INTERIMS: u32 = 16;

/// How long the parts of opening a connection took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Opening {
    pub dns: Option<Duration>,
    pub connect: Duration,
    pub tls: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub target: Arc<Target>,
    socket: Socket,
    tls: Option<Tls>,
    /// The other side is a proxy that is told the whole URL.
    absolute: Option<Absolute>,
    /// Received plain bytes that nobody has taken yet are `input[start..end]`.
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// Where ureq writes its next piece of the request.
    pub output: Vec<u8>,
    /// A piece that waits for the next one, to leave in one packet.
    held: Vec<u8>,
    cipher_out: Vec<u8>,
    /// The peer has ended its side.
    ended: bool,
    pub opening: Option<Opening>,
    /// The exchange that is going on.
    pub exchange: Exchange,
}

/// One request and its answer.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Did the connection serve another request before?
    pub reused: bool,
    /// Did a byte of the request leave?
    pub sent: bool,
    /// Did a byte come back?
    pub received: bool,
    /// When the request was out.
    pub sent_at: Option<Instant>,
    pub head: Option<Head>,
    scanner: Scanner,
    first_write_done: bool,
}

impl Connection {
    pub fn new(target: Arc<Target>, socket: Socket, tls: Option<Tls>, opening: Opening) -> Connection {
        Connection {
            target,
            socket,
            tls,
            absolute: None,
            input: Vec::new(),
            start: 0,
            end: 0,
            output: Vec::new(),
            held: Vec::new(),
            cipher_out: Vec::new(),
            ended: false,
            opening: Some(opening),
            exchange: Exchange::default(),
        }
    }

    /// By way of a proxy that is told the whole URL, where there is one.
    pub fn through(self, absolute: Option<Absolute>) -> Connection {
        Connection { absolute, ..self }
    }

    /// For an https origin? TLS to a proxy does not count.
    pub fn is_tls(&self) -> bool {
        self.target.tls
    }

    pub fn peer(&self) -> SocketAddr {
        self.socket.peer
    }

    /// Taken from the pool: can it carry another request? One system call where it can.
    pub fn is_usable(&mut self) -> bool {
        match &mut self.tls {
            Some(tls) => tls.is_quiet(&self.socket),
            None => self.socket.is_quiet(),
        }
    }

    /// A new exchange of this call begins.
    pub fn begin(&mut self, call: &Call, reused: bool) {
        if reused {
            self.socket.attach(call);
            self.opening = None;
        }
        self.exchange = Exchange { reused, ..Exchange::default() };
        let output = call.output.max(OUTPUT);
        if self.output.len() < output {
            self.output.resize(output, 0);
        }
    }

    /// The exchange is over. `true`: nothing speaks against another one.
    pub fn end(&mut self) -> bool {
        self.socket.detach();
        if self.input.len() > IDLE_BUFFER {
            self.input = Vec::new();
            (self.start, self.end) = (0, 0);
        }
        if self.output.len() > IDLE_BUFFER {
            self.output = Vec::new();
        }
        self.cipher_out = Vec::new();
        // Records that wait to be decrypted are looked at when the connection is taken again.
        !self.ended && self.start == self.end
    }

    // ---- sending ----

    /// Sends `output[..amount]`, ureq's next piece. The first piece holds the request line and is held back
    /// where a small body follows.
    pub fn transmit(&mut self, call: &Call, amount: usize) -> Result<bool, Fail> {
        let first = !std::mem::replace(&mut self.exchange.first_write_done, true);
        if first && let Some(absolute) = &self.absolute {
            // As if it had been held back: what is held leaves in front.
            self.held = absolute.rewrite(&self.output[..amount]);
            return if call.hold_head { Ok(true) } else { self.flush(call) };
        }
        if first && call.hold_head {
            self.held.clear();
            self.held.extend_from_slice(&self.output[..amount]);
            return Ok(true);
        }
        let output = std::mem::take(&mut self.output);
        let all = if self.held.is_empty() {
            self.write(call, &output[..amount])
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(&output[..amount]);
            let all = self.write(call, &held);
            held.clear();
            self.held = held;
            all
        };
        self.output = output;
        all
    }

    /// Sends what is still held back.
    pub fn flush(&mut self, call: &Call) -> Result<bool, Fail> {
        if self.held.is_empty() {
            return Ok(true);
        }
        let held = std::mem::take(&mut self.held);
        self.write(call, &held)
    }

    /// `Ok(false)`: the peer stopped reading, or has answered already; its answer is to be read.
    fn write(&mut self, call: &Call, data: &[u8]) -> Result<bool, Fail> {
        let Some(tls) = &mut self.tls else { return self.send(call, data) };
        let mut cipher = std::mem::take(&mut self.cipher_out);
        cipher.clear();
        tls.encrypt(data, &mut cipher)?;
        let all = self.send(call, &cipher);
        self.cipher_out = cipher;
        all
    }

    fn send(&mut self, call: &Call, mut data: &[u8]) -> Result<bool, Fail> {
        call.check_cancelled()?;
        loop {
            let written = self.socket.send_now(data)?;
            self.exchange.sent |= !matches!(written, Written::Refused(0) | Written::Full(0));
            match written {
                Written::All => return Ok(true),
                Written::Refused(_) => {
                    call.check_cancelled()?;
                    return Ok(false);
                }
                Written::Full(n) => data = &data[n..],
            }
            if self.socket.wait_for_room(call, call.idling(), true)? && self.answered_early(call)? {
                return Ok(false);
            }
        }
    }

    /// Something can be read before the request is out: is it a final answer, or the end? Interim heads and,
    /// under TLS, records without data are neither.
    fn answered_early(&mut self, call: &Call) -> Result<bool, Fail> {
        self.make_room();
        let space = &mut self.input[self.end..];
        let got = match &mut self.tls {
            Some(tls) => tls.read_now(&self.socket, space),
            None => self.socket.recv_now(space).map_err(Fail::Socket),
        };
        match got {
            Ok(None) => return Ok(false),
            // An alert says why the server reads no more.
            Err(fail @ Fail::Tls(_)) => return Err(fail),
            Ok(Some(0)) | Err(_) => {
                self.ended = true;
                return Ok(true);
            }
            Ok(Some(n)) => self.end += n,
        }
        self.exchange.received = true;
        if self.take_head(call)? {
            return Ok(true);
        }
        // The status is byte 9 of the status line; 1xx: go on sending.
        Ok(self.input[self.start..self.end].get(9).is_some_and(|digit| *digit != b'1'))
    }

    // ---- receiving ----

    /// Waits for the final head; interim heads are skipped.
    pub fn read_head(&mut self, call: &Call) -> Result<(), Fail> {
        let patience = call.heading();
        self.exchange.sent_at = Some(Instant::now());
        while self.exchange.head.is_none() && !self.take_head(call)? {
            let before = self.end - self.start;
            let got = if self.ended { Ok(0) } else { self.fill(call, patience) };
            match got {
                Ok(0) if self.exchange.received => {
                    return Err(Fail::truncated(format!(
                        "the connection ended after {before} bytes of its head"
                    )));
                }
                Ok(0) => return Err(Fail::Closed),
                Ok(_) => self.exchange.received = true,
                Err(Fail::Socket(e)) if self.exchange.received => {
                    return Err(Fail::truncated(format!("the connection failed within its head: {e}")));
                }
                // TLS without close_notify, before anything was said.
                Err(Fail::Truncated(_)) if !self.exchange.received => return Err(Fail::Closed),
                Err(fail) => return Err(fail),
            }
        }
        Ok(())
    }

    /// Takes complete heads from the input; `true`: the final one.
    fn take_head(&mut self, call: &Call) -> Result<bool, Fail> {
        let too_large = || {
            let limit = call.limits.max_head;
            Fail::TooLarge(format!("a response head of more than {limit} bytes (limits.max_header)").into())
        };
        loop {
            let input = &self.input[self.start..self.end];
            let Some(length) = self.exchange.scanner.scan(input)? else {
                return if input.len() > call.limits.max_head { Err(too_large()) } else { Ok(false) };
            };
            if length > call.limits.max_head {
                return Err(too_large());
            }
            let head = parse(&input[..length])?;
            self.start += length;
            self.exchange.scanner = Scanner::default();
            if head.status >= 200 {
                self.exchange.head = Some(head);
                return Ok(true);
            }
            let before = call.interims.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if before >= MAX_INTERIMS {
                return Err(Fail::protocol(format!("more than {MAX_INTERIMS} interim (1xx) answers")));
            }
        }
    }

    /// Received plain bytes that nobody has taken yet.
    pub fn input(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Takes bytes away from the input and says where they lie; they stay there until the next [`fill`].
    ///
    /// [`fill`]: Connection::fill
    pub fn take(&mut self, amount: usize) -> std::ops::Range<usize> {
        let start = self.start;
        self.start = (self.start + amount).min(self.end);
        start..self.start
    }

    /// Bytes that were taken.
    pub fn taken(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.input[range]
    }

    /// Waits for more input. `Ok(0)`: the peer ended in good order.
    pub fn fill(&mut self, call: &Call, patience: Patience) -> Result<usize, Fail> {
        self.make_room();
        let got = read(&mut self.tls, &mut self.socket, call, patience, &mut self.input[self.end..])?;
        self.end += got;
        self.ended |= got == 0;
        Ok(got)
    }

    /// Waits for bytes and puts them straight where they belong; the input must be empty.
    pub fn read(&mut self, call: &Call, patience: Patience, buf: &mut [u8]) -> Result<usize, Fail> {
        let got = read(&mut self.tls, &mut self.socket, call, patience, buf)?;
        self.ended |= got == 0;
        Ok(got)
    }

    /// Room for some more input behind `end`.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.input.len() - self.end >= 1024 {
            return;
        }
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.input.len() - self.end < 1024 {
            let size = (self.input.len() * 2).max(INPUT);
            self.input.resize(size, 0);
        }
    }
}

fn read(
    tls: &mut Option<Tls>,
    socket: &mut Socket,
    call: &Call,
    patience: Patience,
    buf: &mut [u8],
) -> Result<usize, Fail> {
    match tls {
        Some(tls) => tls.read(socket, call, patience, buf),
        None => socket.recv(call, patience, buf),
    }
}
