//! Reads a stream of events as the WHATWG HTML standard says (9.2.6), piece by piece. Pure.
//!
//! The bytes are read into the parser's own buffer, and an event's data stays where it came: further lines of it are
//! moved up behind the first, and what is handed out has its NUL where the line's end was.

use std::ffi::CStr;
use std::ops::Range;

use memchr::{memchr, memchr2};

/// Room for what comes, as long as no event is longer.
const ROOM: usize = 16 * 1024;
/// So many times in a row the room above was enough, before more of it is given back.
const SHRINK_AFTER: u32 = 100;
/// What stands before a value at most, so that an event of exactly the largest size is not too large.
const PREFIX: usize = "data: ".len();

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What the parser has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// An event: see [`Parser::data`] and the others.
    Event,
    /// A comment, where they are wanted: [`Parser::data`] is its text.
    Comment,
    /// Nothing more in what came so far.
    Nothing,
}

/// An event, or a line, is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// A parser of one stream, which may come over several connections.
#[derive(Debug)]
pub struct Parser {
    /// What came lies in `..end`. It is as long as there is room.
    buf: Vec<u8>,
    end: usize,
    /// Where the line begins that has no end yet, and how far it was looked through.
    line: usize,
    scan: usize,
    /// The last line ended with CR: an LF right behind it belongs to that end.
    after_cr: bool,
    /// No byte of this connection was looked at yet: there may be a byte order mark.
    at_start: bool,
    /// The data buffer. Its end lies before `line`.
    data: Option<Range<usize>>,
    /// The event type buffer.
    name: String,
    /// The last event ID buffer, and whether it differs from the string.
    id: String,
    new_id: bool,
    /// The last event ID string, and a NUL behind it: what a reconnect tells.
    last_id: String,
    /// What `retry` says in this block, and what it said since somebody asked.
    retry: Option<u64>,
    time: Option<u64>,
    found: Found,
    item: Range<usize>,
    /// What is handed out where the server's bytes are not UTF-8.
    replaced: Option<Vec<u8>>,
    max: usize,
    comments: bool,
    /// How often in a row less room was enough.
    quiet: u32,
}

impl Parser {
    /// For events of at most `max` bytes, after the one with `last_id`; empty: from the first.
    pub fn new(max: usize, comments: bool, last_id: &str) -> Parser {
        Parser {
            buf: Vec::new(),
            end: 0,
            line: 0,
            scan: 0,
            after_cr: false,
            at_start: true,
            data: None,
            name: String::new(),
            id: last_id.to_owned(),
            new_id: false,
            last_id: format!("{last_id}\0"),
            retry: None,
            time: None,
            found: Found::Nothing,
            item: 0..0,
            replaced: None,
            max,
            comments,
            quiet: 0,
        }
    }

    /// Another connection begins: what was not complete on the last one is discarded. The id stays, so that events
    /// without one keep it.
    pub fn restart(&mut self) {
        (self.end, self.line, self.scan) = (0, 0, 0);
        (self.after_cr, self.at_start) = (false, true);
        self.clear();
        self.id.replace_range(.., &self.last_id[..self.last_id.len() - 1]);
        self.new_id = false;
    }

    /// Where the next bytes go: as many as there are may be written to its beginning, and then [`Parser::filled`].
    /// What was found before is gone.
    pub fn space(&mut self) -> &mut [u8] {
        debug_assert_eq!(self.found, Found::Nothing);
        if self.line == self.end && self.data.is_none() {
            self.empty();
        }
        if self.buf.len() - self.end <= self.buf.len() / 4 {
            self.make_room();
        }
        &mut self.buf[self.end..]
    }

    /// So many bytes came.
    pub fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// Takes bytes that came elsewhere; the same as reading them into [`Parser::space`].
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            self.filled(n);
            bytes = &bytes[n..];
        }
    }

    /// Nothing is kept: what comes next is written to the beginning.
    fn empty(&mut self) {
        self.quiet = if self.end <= ROOM { self.quiet.saturating_add(1) } else { 0 };
        if self.buf.len() > ROOM && self.quiet >= SHRINK_AFTER {
            self.buf = vec![0; ROOM];
        }
        (self.end, self.line, self.scan) = (0, 0, 0);
    }

    /// Moves what is kept to the beginning, and doubles the buffer where that is not enough.
    fn make_room(&mut self) {
        let mut at = 0;
        if let Some(data) = &mut self.data {
            self.buf.copy_within(data.clone(), 0);
            *data = 0..data.len();
            // Behind it there is a byte for a line feed or for the NUL.
            at = data.end + 1;
        }
        self.buf.copy_within(self.line..self.end, at);
        let by = self.line - at;
        (self.line, self.scan, self.end) = (at, self.scan - by, self.end - by);
        if self.buf.len() < self.end * 2 || self.buf.is_empty() {
            let room = (self.buf.len() * 2).max(ROOM);
            self.buf.resize(room, 0);
        }
    }

    /// Looks for the next event in what came. After [`Found::Nothing`] more has to come.
    pub fn advance(&mut self) -> Result<Found, TooLarge> {
        match std::mem::replace(&mut self.found, Found::Nothing) {
            Found::Event => self.clear(),
            Found::Comment => self.replaced = None,
            Found::Nothing => {}
        }
        if self.at_start && !self.pass_bom() {
            return Ok(Found::Nothing);
        }
        loop {
            if self.after_cr && self.line < self.end {
                self.after_cr = false;
                self.line += usize::from(self.buf[self.line] == b'\n');
                self.scan = self.line;
            }
            let rest = &self.buf[self.scan..self.end];
            let at = match rest.first() {
                // The empty line behind an event.
                Some(b'\n') => Some(0),
                _ => memchr2(b'\n', b'\r', rest),
            };
            let Some(at) = at else {
                self.scan = self.end;
                self.check(self.end - self.line)?;
                return Ok(Found::Nothing);
            };
            let line = self.line..self.scan + at;
            let mut next = line.end + 1;
            if self.buf[line.end] == b'\r' {
                match self.buf[..self.end].get(next) {
                    Some(b'\n') => next += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            (self.line, self.scan) = (next, next);
            if line.is_empty() {
                self.dispatch()?;
            } else {
                self.check(line.len())?;
                self.field(line);
            }
            if self.found != Found::Nothing {
                return Ok(self.found);
            }
        }
    }

    /// Passes over a byte order mark. False: too little came to know.
    fn pass_bom(&mut self) -> bool {
        let begin = &self.buf[..self.end.min(BOM.len())];
        if begin.len() < BOM.len() && BOM.starts_with(begin) {
            return false;
        }
        if begin == BOM {
            (self.line, self.scan) = (BOM.len(), BOM.len());
        }
        self.at_start = false;
        true
    }

    /// Is there still room in the event for such a line?
    fn check(&self, line: usize) -> Result<(), TooLarge> {
        let data = self.data.as_ref().map_or(0, Range::len);
        if data + line > self.max.saturating_add(PREFIX) { Err(TooLarge) } else { Ok(()) }
    }

    fn field(&mut self, line: Range<usize>) {
        let bytes = &self.buf[line.clone()];
        // What nearly every line is.
        if bytes.starts_with(b"data:") {
            return self.add_data(self.value(line.start + 5, line.end));
        }
        if bytes.starts_with(b"id:") {
            return self.set_id(self.value(line.start + 3, line.end));
        }
        let (name, from) = match memchr(b':', bytes) {
            Some(at) => (&bytes[..at], line.start + at + 1),
            None => (bytes, line.end),
        };
        let value = self.value(from, line.end);
        match name {
            b"id" => self.set_id(value),
            b"event" => set(&mut self.name, &self.buf[value]),
            b"data" => self.add_data(value),
            b"retry" => {
                if let Some(time) = number(&self.buf[value]) {
                    (self.retry, self.time) = (Some(time), Some(time));
                }
            }
            b"" if self.comments => self.hand_out(value, Found::Comment),
            _ => {}
        }
    }

    /// A value without the one space that may stand before it.
    fn value(&self, from: usize, to: usize) -> Range<usize> {
        from + usize::from(self.buf[from..to].first() == Some(&b' '))..to
    }

    fn set_id(&mut self, value: Range<usize>) {
        let value = &self.buf[value];
        if !value.contains(&0) {
            set(&mut self.id, value);
            self.new_id = true;
        }
    }

    fn add_data(&mut self, value: Range<usize>) {
        let Some(data) = &mut self.data else {
            self.data = Some(value);
            return;
        };
        self.buf[data.end] = b'\n';
        let to = data.end + 1;
        data.end = to + value.len();
        self.buf.copy_within(value, to);
    }

    /// An empty line: the event is complete, if there is one.
    fn dispatch(&mut self) -> Result<(), TooLarge> {
        if std::mem::take(&mut self.new_id) {
            self.last_id.clone_from(&self.id);
            self.last_id.push('\0');
        }
        match self.data.clone() {
            Some(data) if data.len() > self.max => return Err(TooLarge),
            Some(data) => self.hand_out(data, Found::Event),
            None => self.clear(),
        }
        Ok(())
    }

    /// Decoded line by line or as a whole, UTF-8 gives the same: a line's end belongs to no longer sequence.
    fn hand_out(&mut self, item: Range<usize>, found: Found) {
        let bytes = &self.buf[item.clone()];
        // The first look is the faster one, by far.
        if !bytes.is_ascii() && std::str::from_utf8(bytes).is_err() {
            let mut text = String::from_utf8_lossy(bytes).into_owned().into_bytes();
            text.push(0);
            self.replaced = Some(text);
        }
        self.buf[item.end] = 0;
        (self.item, self.found) = (item, found);
    }

    fn clear(&mut self) {
        (self.data, self.retry, self.replaced, self.found) = (None, None, None, Found::Nothing);
        self.name.clear();
    }

    /// The data of an event, or the text of a comment: UTF-8. The byte behind it is NUL.
    pub fn data(&self) -> &[u8] {
        match &self.replaced {
            Some(text) => &text[..text.len() - 1],
            None => &self.buf[self.item.clone()],
        }
    }

    /// The type of an event.
    pub fn name(&self) -> &str {
        if self.name.is_empty() { "message" } else { &self.name }
    }

    /// The id of the last event, its own or that of one before; empty: none.
    pub fn last_id(&self) -> &str {
        &self.last_id[..self.last_id.len() - 1]
    }

    /// The same as C takes it: there is never a NUL in an id.
    pub fn last_id_c(&self) -> &CStr {
        CStr::from_bytes_with_nul(self.last_id.as_bytes()).unwrap_or_default()
    }

    /// The reconnection time that an event brought along, milliseconds.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// The reconnection time that was asked for since the last look, in an event or not.
    pub fn take_time(&mut self) -> Option<u64> {
        self.time.take()
    }
}

/// Sets a text to bytes, decoded.
fn set(text: &mut String, bytes: &[u8]) {
    text.clear();
    match std::str::from_utf8(bytes) {
        Ok(valid) => text.push_str(valid),
        Err(_) => text.push_str(&String::from_utf8_lossy(bytes)),
    }
}

/// Digits only; a number that no integer holds is the largest one.
fn number(value: &[u8]) -> Option<u64> {
    let digit = |n: u64, b: &u8| n.saturating_mul(10).saturating_add(u64::from(b - b'0'));
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| value.iter().fold(0, digit))
}

#[cfg(test)]
mod tests;
