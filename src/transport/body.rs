//! The one body reader: by length, by chunks or to the end of the connection; under the call's limits.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::call::Call;
use super::chunked::{Chunked, Next};
use super::connection::Connection;
use super::fail::{Fail, Limit};
use super::framing::Framing;
use super::hook;
use super::shared::Shared;
use super::splice::{Moved, Splice, Unmoved};
use super::terms::Terms;

mod pieces;

/// Memory that is set aside at once for a body whose length the server names.
const ALLOCATE: u64 = 1 << 20;

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(Chunked),
    Close,
    Done,
}

/// The body of an answer. Whole, its connection goes back to the pool; dropped before, the connection is
/// closed.
#[derive(Debug)]
pub struct Body {
    connection: Option<Box<Connection>>,
    call: Arc<Call>,
    shared: Arc<Shared>,
    state: State,
    received: u64,
    reusable: bool,
    length_known: bool,
    /// Where the last piece lies in the connection's input.
    piece: Range<usize>,
    /// Since when nothing comes, as long as the caller does not wait for it in one go.
    quiet_since: Option<Instant>,
}

/// What a read of a body gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// So many bytes; none: the body is complete.
    Bytes(usize),
    /// Nothing came in time.
    Nothing,
}

impl Body {
    pub(super) fn new(
        connection: Box<Connection>,
        call: Arc<Call>,
        shared: Arc<Shared>,
        framing: Framing,
        reusable: bool,
    ) -> Body {
        let length_known = framing != Framing::Close || connection.is_tls();
        let state = match framing {
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::Close => State::Close,
        };
        let mut body = Body {
            connection: Some(connection),
            call,
            shared,
            state,
            received: 0,
            reusable,
            length_known,
            piece: 0..0,
            quiet_since: None,
        };
        if matches!(body.state, State::Length(0)) {
            body.finish();
        }
        body
    }

    /// Is the end certain? Not where a plain connection's end is the body's end.
    pub fn length_known(&self) -> bool {
        self.length_known
    }

    /// The length that is still to come, where the server named it.
    pub fn length(&self) -> Option<u64> {
        match self.state {
            State::Length(n) => Some(n),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Reads into `buf`, which is not empty: what there is, at least a byte. `until`: no longer than that; the next
    /// read goes on where this one was.
    pub fn read(&mut self, buf: &mut [u8], until: Option<Instant>) -> Result<Got, Fail> {
        match self.read_up_to(buf, until) {
            Ok(n) => Ok(Got::Bytes(n)),
            Err(Fail::Timeout(Limit::Wait)) => Ok(Got::Nothing),
            Err(fail) => Err(self.abandon(fail)),
        }
    }

    fn read_up_to(&mut self, buf: &mut [u8], until: Option<Instant>) -> Result<usize, Fail> {
        // Straight into its place, where nobody has to look at it first.
        if until.is_none()
            && let State::Length(left) = &mut self.state
            && *left > 0
            && let Some(connection) = &mut self.connection
            && connection.input().is_empty()
        {
            let room = (*left).min(buf.len() as u64) as usize;
            let (terms, buf) = (&self.call.terms, &mut buf[..room]);
            let got = connection.read(terms, terms.idling(), buf).map_err(cut)?;
            if got == 0 {
                return Err(ended(self.received, Some(*left)));
            }
            *left -= got as u64;
            self.received += got as u64;
            if *left == 0 {
                self.finish();
            }
            return Ok(got);
        }
        let Some(range) = self.advance_up_to(buf.len(), until)? else { return Ok(0) };
        let Some(connection) = &self.connection else { return Ok(0) };
        let (first, rest) = buf.split_at_mut(range.len());
        first.copy_from_slice(connection.taken(range));
        Ok(first.len() + self.read_at_hand(rest))
    }

    /// Further chunks that are there already, so that many small ones are one read. What is no data, a failure too, is
    /// for the next one.
    fn read_at_hand(&mut self, buf: &mut [u8]) -> usize {
        let (State::Chunked(decoder), Some(connection)) = (&mut self.state, &mut self.connection) else {
            return 0;
        };
        let left = self.call.terms.limits.max_body.saturating_sub(self.received);
        let room = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut filled = 0;
        while filled < room && !connection.input().is_empty() {
            let mut ahead = decoder.clone();
            let Ok(Next::Data { skip, len }) = ahead.next(connection.input(), room - filled) else { break };
            connection.take(skip);
            let piece = connection.take(len);
            buf[filled..filled + len].copy_from_slice(connection.taken(piece));
            *decoder = ahead;
            filled += len;
        }
        self.received += filled as u64;
        filled
    }

    /// Moves up to `most` bytes to that place of a file. Gives how many are there.
    pub fn splice(
        &mut self,
        splice: &mut Splice,
        file: &File,
        at: u64,
        most: u64,
    ) -> (u64, Result<Moved, Unmoved>) {
        let left = match self.state {
            State::Length(left) => left,
            State::Close => u64::MAX,
            State::Chunked(_) => return (0, Ok(Moved::Never)),
            State::Done => return (0, Ok(Moved::End)),
        };
        let Some(connection) = &mut self.connection else { return (0, Ok(Moved::End)) };
        if !connection.input().is_empty() {
            return (0, Ok(Moved::NotNow));
        }
        let terms = &self.call.terms;
        let Some(socket) = connection.plain() else { return (0, Ok(Moved::Never)) };
        let got = match splice.fill(socket, terms, terms.idling(), left.min(most)) {
            Ok(Some(got)) => got,
            Ok(None) => return (0, Ok(Moved::Never)),
            Err(fail) => return (0, Err(Unmoved::Body(self.abandon(cut(fail))))),
        };
        if got == 0 {
            if left != u64::MAX {
                let fail = ended(self.received, Some(left));
                return (0, Err(Unmoved::Body(self.abandon(fail))));
            }
            self.finish();
            return (0, Ok(Moved::End));
        }
        let drained = splice.drain(file, at, got);
        let Ok(fits) = drained.as_ref().copied() else {
            // What is in the pipe is lost.
            self.connection = None;
            self.state = State::Done;
            return (0, drained.map(|_| Moved::Never).map_err(Unmoved::File));
        };
        self.received += got as u64;
        if let State::Length(left) = &mut self.state {
            *left -= got as u64;
            if *left == 0 {
                self.finish();
            }
        }
        (got as u64, Ok(if fits { Moved::Some } else { Moved::Never }))
    }

    /// The whole body; room for one more byte is left behind it.
    pub fn read_all(&mut self) -> Result<Vec<u8>, Fail> {
        let mut whole = Vec::new();
        match self.read_into(&mut whole) {
            Ok(()) => Ok(whole),
            Err(fail) => Err(self.abandon(fail)),
        }
    }

    /// What can be had of the first `limit` bytes, for a body that is looked at, and why there is no more of them. A
    /// longer one is there to be read on.
    pub fn read_some(&mut self, limit: usize) -> (Vec<u8>, Option<Fail>) {
        let mut some = Vec::new();
        while some.len() < limit {
            match self.advance_up_to(limit - some.len(), None) {
                Ok(Some(range)) => {
                    if let Some(connection) = &self.connection {
                        some.extend_from_slice(connection.taken(range));
                    }
                }
                Ok(None) => break,
                Err(fail) => return (some, Some(self.abandon(fail))),
            }
        }
        (some, None)
    }

    fn read_into(&mut self, whole: &mut Vec<u8>) -> Result<(), Fail> {
        if let State::Length(length) = self.state {
            let max = self.call.terms.limits.max_body;
            if length > max {
                return Err(too_large(max));
            }
            whole.reserve_exact(length.min(ALLOCATE) as usize + 1);
        }
        while let Some(range) = self.advance()? {
            if let Some(connection) = &self.connection {
                whole.extend_from_slice(connection.taken(range));
            }
            self.read_direct(whole)?;
        }
        Ok(())
    }

    /// The rest of a body of known length goes straight into its place.
    fn read_direct(&mut self, whole: &mut Vec<u8>) -> Result<(), Fail> {
        let (State::Length(left), Some(connection)) = (&mut self.state, &mut self.connection) else {
            return Ok(());
        };
        while *left > 0 && connection.input().is_empty() {
            let at = whole.len();
            let room = (*left).min(ALLOCATE) as usize;
            whole.resize(at + room, 0);
            let got =
                connection.read(&self.call.terms, self.call.terms.idling(), &mut whole[at..]).map_err(cut);
            whole.truncate(at + *got.as_ref().unwrap_or(&0));
            let got = got? as u64;
            if got == 0 {
                return Err(ended(self.received, Some(*left)));
            }
            *left -= got;
            self.received += got;
        }
        if *left == 0 {
            self.finish();
        }
        Ok(())
    }

    /// Where the next piece lies. `None`: complete.
    fn advance(&mut self) -> Result<Option<Range<usize>>, Fail> {
        self.advance_up_to(usize::MAX, None)
    }

    /// The same for a piece of at most `most` bytes, waiting until then.
    fn advance_up_to(&mut self, most: usize, until: Option<Instant>) -> Result<Option<Range<usize>>, Fail> {
        loop {
            if matches!(self.state, State::Length(0)) {
                self.finish();
            }
            let Some(connection) = &mut self.connection else { return Ok(None) };
            let have = connection.input().len();
            let range = match &mut self.state {
                State::Done => return Ok(None),
                State::Length(left) if have > 0 => {
                    let n = (*left).min(have.min(most) as u64) as usize;
                    *left -= n as u64;
                    Some(connection.take(n))
                }
                State::Close if have > 0 => Some(connection.take(have.min(most))),
                State::Chunked(decoder) if have > 0 => match decoder.next(connection.input(), most)? {
                    Next::Data { skip, len } => {
                        connection.take(skip);
                        Some(connection.take(len))
                    }
                    Next::More { skip } => {
                        connection.take(skip);
                        None
                    }
                    Next::Done { skip } => {
                        connection.take(skip);
                        self.finish();
                        return Ok(None);
                    }
                },
                _ => None,
            };
            if let Some(range) = range {
                self.received += range.len() as u64;
                let max = self.call.terms.limits.max_body;
                if self.received > max {
                    return Err(too_large(max));
                }
                // Complete or not, the piece lies in the connection's buffer: it stays until the next look.
                return Ok(Some(range));
            }
            let terms = &self.call.terms;
            let got = match until {
                None => connection.fill(terms, terms.idling()),
                Some(until) => fill_until(connection, terms, &mut self.quiet_since, until),
            };
            let got = got.map_err(cut)?;
            match &self.state {
                _ if got > 0 => {}
                State::Close => {
                    self.finish();
                    return Ok(None);
                }
                State::Length(left) => return Err(ended(self.received, Some(*left))),
                _ => return Err(ended(self.received, None)),
            }
        }
    }

    /// The connection goes back to the pool, where it may.
    fn finish(&mut self) {
        self.state = State::Done;
        let Some(mut connection) = self.connection.take() else { return };
        let clean = connection.end();
        hook::pass("body");
        // After the release of the socket: a cancel before it has shut the socket down.
        if clean && self.reusable && self.call.terms.check_cancelled().is_ok() {
            self.shared.put(connection);
        }
    }

    fn abandon(&mut self, fail: Fail) -> Fail {
        self.connection = None;
        self.state = State::Done;
        self.call.terms.blame(fail)
    }
}

/// Waits for more input, but not beyond `until`: what is there already needs no wait.
fn fill_until(
    connection: &mut Connection,
    terms: &Terms,
    quiet_since: &mut Option<Instant>,
    until: Instant,
) -> Result<usize, Fail> {
    terms.check_cancelled()?;
    let there = connection.fill_now();
    // A cancelled socket reads like a closed one.
    terms.check_cancelled()?;
    let got = match there? {
        Some(got) => got,
        None => {
            let since = *quiet_since.get_or_insert_with(Instant::now);
            connection.fill(terms, terms.waiting(since, until))?
        }
    };
    *quiet_since = None;
    Ok(got)
}

fn too_large(max: u64) -> Fail {
    Fail::TooLarge(format!("a body of more than {max} bytes (limits.max_body)").into())
}

fn ended(received: u64, missing: Option<u64>) -> Fail {
    Fail::truncated(match missing {
        Some(n) => format!("the connection ended after {received} bytes of its body, {n} are missing"),
        None => format!("the connection ended after {received} bytes of its body, before the last chunk"),
    })
}

/// A connection that fails within a body has cut it.
fn cut(fail: Fail) -> Fail {
    match fail {
        Fail::Socket(e) => Fail::truncated(format!("the connection failed within its body: {e}")),
        fail => fail,
    }
}
