//! One connection: its stream and its buffers in one box, which moves whole between the pool, ureq and the body.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fail::Fail;
use super::head::{Scanner, parse};
use super::proxy::Absolute;
use super::socket::{Socket, Written};
use super::stream::Stream;
use super::target::Target;
use super::terms::{Patience, Terms};
use crate::response::Head;

const INPUT: usize = 16 * 1024;
/// The same for a body that comes faster than it is taken.
const BULK_INPUT: usize = 64 * 1024;
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
    stream: Stream,
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
    sealed: Vec<u8>,
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
    hold_head: bool,
    first_write_done: bool,
    /// Interim heads so far.
    interims: u32,
}

impl Connection {
    /// Where there is a proxy that is told the whole URL, it is told `absolute`.
    pub fn new(
        target: Arc<Target>,
        stream: Stream,
        absolute: Option<Absolute>,
        opening: Opening,
    ) -> Connection {
        Connection {
            target,
            stream,
            absolute,
            input: Vec::new(),
            start: 0,
            end: 0,
            output: Vec::new(),
            held: Vec::new(),
            sealed: Vec::new(),
            ended: false,
            opening: Some(opening),
            exchange: Exchange::default(),
        }
    }

    /// For an https origin? TLS to a proxy does not count.
    pub fn is_tls(&self) -> bool {
        self.target.tls
    }

    /// Its socket, where what comes from it is what the server has sent.
    pub fn plain(&mut self) -> Option<&mut Socket> {
        match &mut self.stream {
            Stream::Tcp(socket) => Some(socket),
            Stream::Tls(_) => None,
        }
    }

    pub fn peer(&self) -> SocketAddr {
        self.stream.socket().peer
    }

    /// Taken from the pool: can it carry another request? One system call where it can.
    pub fn is_usable(&mut self) -> bool {
        self.stream.is_quiet()
    }

    /// A new exchange begins, on these terms. `hold_head`: the head is held back and leaves with the body in one
    /// packet. `output`: room for the longest piece that ureq writes.
    pub fn begin(&mut self, terms: &Terms, reused: bool, hold_head: bool, output: usize) {
        if reused {
            self.stream.socket_mut().attach(terms);
            self.opening = None;
        }
        self.exchange = Exchange { reused, hold_head, ..Exchange::default() };
        let output = output.max(OUTPUT);
        if self.output.len() < output {
            self.output.resize(output, 0);
        }
    }

    /// The exchange is over. `true`: nothing speaks against another one.
    pub fn end(&mut self) -> bool {
        self.stream.socket_mut().detach();
        if self.input.len() > IDLE_BUFFER {
            self.input = Vec::new();
            (self.start, self.end) = (0, 0);
        }
        if self.output.len() > IDLE_BUFFER {
            self.output = Vec::new();
        }
        self.sealed = Vec::new();
        self.stream.trim();
        // Records that wait to be decrypted are looked at when the connection is taken again.
        !self.ended && self.start == self.end
    }

    // ---- sending ----

    /// Sends `output[..amount]`, ureq's next piece. The first piece holds the request line and is held back
    /// where a small body follows.
    pub fn transmit(&mut self, terms: &Terms, amount: usize) -> Result<bool, Fail> {
        let first = !std::mem::replace(&mut self.exchange.first_write_done, true);
        if first && let Some(absolute) = &self.absolute {
            // As if it had been held back: what is held leaves in front.
            self.held = absolute.rewrite(&self.output[..amount]);
            return if self.exchange.hold_head { Ok(true) } else { self.flush(terms) };
        }
        if first && self.exchange.hold_head {
            self.held.clear();
            self.held.extend_from_slice(&self.output[..amount]);
            return Ok(true);
        }
        let output = std::mem::take(&mut self.output);
        let all = if self.held.is_empty() {
            self.write(terms, &output[..amount])
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(&output[..amount]);
            let all = self.write(terms, &held);
            held.clear();
            self.held = held;
            all
        };
        self.output = output;
        all
    }

    /// Sends what is still held back.
    pub fn flush(&mut self, terms: &Terms) -> Result<bool, Fail> {
        if self.held.is_empty() {
            return Ok(true);
        }
        let held = std::mem::take(&mut self.held);
        self.write(terms, &held)
    }

    /// `Ok(false)`: the peer stopped reading, or has answered already; its answer is to be read.
    fn write(&mut self, terms: &Terms, data: &[u8]) -> Result<bool, Fail> {
        let mut out = std::mem::take(&mut self.sealed);
        out.clear();
        let sealed = self.stream.seal(data, &mut out)?;
        let all = self.send(terms, sealed);
        self.sealed = out;
        all
    }

    fn send(&mut self, terms: &Terms, mut data: &[u8]) -> Result<bool, Fail> {
        terms.check_cancelled()?;
        loop {
            let written = self.stream.socket().send_now(data)?;
            self.exchange.sent |= !matches!(written, Written::Refused(0) | Written::Full(0));
            match written {
                Written::All => return Ok(true),
                Written::Refused(_) => {
                    terms.check_cancelled()?;
                    return Ok(false);
                }
                Written::Full(n) => data = &data[n..],
            }
            if self.stream.socket().wait_for_room(terms, terms.idling(), true)?
                && self.answered_early(terms)?
            {
                return Ok(false);
            }
        }
    }

    /// Something can be read before the request is out: is it a final answer, or the end? Interim heads and,
    /// under TLS, records without data are neither.
    fn answered_early(&mut self, terms: &Terms) -> Result<bool, Fail> {
        self.make_room();
        match self.stream.recv_now(&mut self.input[self.end..]) {
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
        if self.take_head(terms)? {
            return Ok(true);
        }
        // The status is byte 9 of the status line; 1xx: go on sending.
        Ok(self.input[self.start..self.end].get(9).is_some_and(|digit| *digit != b'1'))
    }

    // ---- receiving ----

    /// Waits for the final head; interim heads are skipped.
    pub fn read_head(&mut self, terms: &Terms) -> Result<(), Fail> {
        let patience = terms.heading();
        self.exchange.sent_at = Some(Instant::now());
        while self.exchange.head.is_none() && !self.take_head(terms)? {
            let before = self.end - self.start;
            let got = if self.ended { Ok(0) } else { self.fill(terms, patience) };
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
    fn take_head(&mut self, terms: &Terms) -> Result<bool, Fail> {
        let too_large = || {
            let limit = terms.limits.max_head;
            Fail::TooLarge(format!("a response head of more than {limit} bytes (limits.max_header)").into())
        };
        loop {
            let input = &self.input[self.start..self.end];
            let Some(length) = self.exchange.scanner.scan(input)? else {
                return if input.len() > terms.limits.max_head { Err(too_large()) } else { Ok(false) };
            };
            if length > terms.limits.max_head {
                return Err(too_large());
            }
            let head = parse(&input[..length])?;
            self.start += length;
            self.exchange.scanner = Scanner::default();
            if head.status >= 200 {
                self.exchange.head = Some(head);
                return Ok(true);
            }
            self.exchange.interims += 1;
            if self.exchange.interims > MAX_INTERIMS {
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

    /// The same, to be changed.
    pub fn taken_mut(&mut self, range: std::ops::Range<usize>) -> &mut [u8] {
        &mut self.input[range]
    }

    /// Waits for more input. `Ok(0)`: the peer ended in good order.
    pub fn fill(&mut self, terms: &Terms, patience: Patience) -> Result<usize, Fail> {
        self.make_room();
        let got = self.stream.recv(terms, patience, &mut self.input[self.end..])?;
        self.end += got;
        self.ended |= got == 0;
        Ok(got)
    }

    /// More input, where it is there. `Ok(None)`: nothing is. `Ok(Some(0))`: the peer ended in good order.
    pub fn fill_now(&mut self) -> Result<Option<usize>, Fail> {
        self.make_room();
        let got = self.stream.recv_now(&mut self.input[self.end..])?;
        self.end += got.unwrap_or(0);
        self.ended |= got == Some(0);
        Ok(got)
    }

    /// Waits for bytes and puts them straight where they belong; the input must be empty.
    pub fn read(&mut self, terms: &Terms, patience: Patience, buf: &mut [u8]) -> Result<usize, Fail> {
        let got = self.stream.recv(terms, patience, buf)?;
        self.ended |= got == 0;
        Ok(got)
    }

    /// Room for some more input behind `end`.
    fn make_room(&mut self) {
        if self.start == self.end {
            // All of it was filled the last time.
            if self.end == self.input.len() && (INPUT..BULK_INPUT).contains(&self.end) {
                self.input = vec![0; BULK_INPUT];
            }
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
