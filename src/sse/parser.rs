//! Reads a stream of events as the WHATWG HTML standard says (9.2.6), piece by piece. Pure.
//!
//! A piece is read where it lies, and an event's data stays there: further lines of it are moved up behind the first,
//! and what is handed out has its NUL where the line's end was. The parser itself keeps only what a piece has begun and
//! not ended.

use std::ops::Range;

use memchr::memchr;

use super::scan::{Width, line_end};

mod plain;

/// Room for what is kept, as long as no event is longer.
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
    /// Nothing more in this piece.
    Nothing,
}

/// An event, or a line, is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Where a text lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the piece that is read.
    Piece,
    /// In the line that an earlier piece has begun.
    Line,
    /// In the data that was begun in an earlier piece.
    Kept,
    /// It is not what the server has sent, which was not UTF-8.
    Replaced,
}

/// A parser of one stream, which may come over several connections.
#[derive(Clone, Debug)]
pub struct Parser {
    width: Width,
    /// How far the piece was read.
    at: usize,
    /// A line that earlier pieces have begun.
    line: Vec<u8>,
    /// The last line ended with CR: an LF right behind it belongs to that end.
    after_cr: bool,
    /// No line of this connection was begun yet: there may be a byte order mark.
    at_start: bool,
    /// The data buffer: where it lies, and whether it is known to be ASCII.
    data: Option<(Place, Range<usize>)>,
    ascii: bool,
    kept: Vec<u8>,
    /// The event type buffer.
    name: String,
    /// The last event ID buffer, UTF-8 with a NUL behind it; it counts where it differs from the string.
    id: Vec<u8>,
    new_id: bool,
    /// The last event ID string, the same way: what a reconnect tells.
    last_id: Vec<u8>,
    /// What `retry` says in this block, and what it said since somebody asked.
    retry: Option<u64>,
    time: Option<u64>,
    found: Found,
    item: (Place, Range<usize>),
    /// What is handed out where the server's bytes are not UTF-8.
    replaced: Vec<u8>,
    max: usize,
    comments: bool,
    /// How often in a row less room was enough.
    quiet: u32,
}

impl Parser {
    /// For events of at most `max` bytes, after the one with `last_id`; empty: from the first.
    pub fn new(max: usize, comments: bool, last_id: &str) -> Parser {
        Parser {
            width: Width::widest(),
            at: 0,
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            data: None,
            ascii: true,
            kept: Vec::new(),
            name: String::new(),
            id: Vec::new(),
            new_id: false,
            last_id: format!("{last_id}\0").into_bytes(),
            retry: None,
            time: None,
            found: Found::Nothing,
            item: (Place::Piece, 0..0),
            replaced: Vec::new(),
            max,
            comments,
            quiet: 0,
        }
    }

    /// Another connection begins: what was not complete on the last one is discarded, and what was not read of its
    /// piece. The id stays, so that events without one keep it.
    pub fn restart(&mut self) {
        self.let_go();
        self.at = 0;
        self.line.clear();
        self.kept.clear();
        (self.after_cr, self.at_start) = (false, true);
        self.clear();
        self.new_id = false;
    }

    /// Looks for the next event in a piece of the stream. After [`Found::Nothing`] all of it was read, and the next
    /// piece is due; else the same one comes again, untouched.
    pub fn advance(&mut self, piece: &mut [u8]) -> Result<Found, TooLarge> {
        self.let_go();
        if self.at_start {
            self.pass_bom(piece);
        }
        if self.line.is_empty() && self.data.is_none() {
            if self.at == piece.len() && !self.is_roomy() {
                self.at = 0;
                return Ok(Found::Nothing);
            }
            if !self.after_cr && self.plain_event(piece) {
                return Ok(Found::Event);
            }
        }
        loop {
            if self.after_cr && self.at < piece.len() {
                self.after_cr = false;
                self.at += usize::from(piece[self.at] == b'\n');
            }
            let from = self.at;
            let (end, ascii) = match piece.get(from) {
                // The empty line behind an event.
                Some(b'\n') => (from, true),
                Some(_) => line_end(self.width, piece, from),
                None => (from, true),
            };
            let Some(&byte) = piece.get(end) else {
                self.keep(piece)?;
                return Ok(Found::Nothing);
            };
            self.at = end + 1;
            if byte == b'\r' {
                match piece.get(end + 1) {
                    Some(b'\n') => self.at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if !self.line.is_empty() {
                self.end_line(&piece[from..end])?;
            } else if from == end {
                self.dispatch(piece)?;
            } else {
                self.check(end - from)?;
                self.field(piece, from..end, Place::Piece, ascii);
            }
            if self.found != Found::Nothing {
                return Ok(self.found);
            }
        }
    }

    /// What was found before is gone.
    fn let_go(&mut self) {
        if self.item.0 != Place::Piece {
            match std::mem::replace(&mut self.item, (Place::Piece, 0..0)).0 {
                Place::Line => self.line.clear(),
                Place::Replaced => self.replaced = Vec::new(),
                Place::Piece | Place::Kept => {}
            }
        }
        if std::mem::replace(&mut self.found, Found::Nothing) == Found::Event {
            self.clear();
        }
    }

    /// Passes over a byte order mark. What only begins like one is a line.
    fn pass_bom(&mut self, piece: &[u8]) {
        while let Some(byte) = piece.get(self.at) {
            if *byte != BOM[self.line.len()] {
                self.at_start = false;
                return;
            }
            self.at += 1;
            self.line.push(*byte);
            if self.line.len() == BOM.len() {
                self.line.clear();
                self.at_start = false;
                return;
            }
        }
    }

    /// The piece is over: what it has begun is kept.
    fn keep(&mut self, piece: &[u8]) -> Result<(), TooLarge> {
        let rest = &piece[std::mem::take(&mut self.at)..];
        if !rest.is_empty() || !self.line.is_empty() || self.data.is_some() {
            self.check(self.line.len() + rest.len())?;
            self.line.extend_from_slice(rest);
        }
        match &mut self.data {
            Some((Place::Kept, _)) => {}
            Some((place, range)) => {
                self.kept.clear();
                self.kept.extend_from_slice(&piece[range.clone()]);
                (*place, *range) = (Place::Kept, 0..range.len());
            }
            None => self.kept.clear(),
        }
        if self.is_roomy() {
            self.shrink();
        }
        Ok(())
    }

    /// Has it the room of a large event?
    fn is_roomy(&self) -> bool {
        self.line.capacity() + self.kept.capacity() > 2 * ROOM
    }

    /// Gives back the room of a large event where it is not needed any more.
    fn shrink(&mut self) {
        let is_enough = self.line.len() <= ROOM && self.kept.len() <= ROOM;
        self.quiet = if is_enough { self.quiet + 1 } else { 0 };
        if self.quiet >= SHRINK_AFTER {
            self.line.shrink_to(ROOM);
            self.kept.shrink_to(ROOM);
        }
    }

    /// The line that was begun earlier ends with these bytes.
    fn end_line(&mut self, rest: &[u8]) -> Result<(), TooLarge> {
        let length = self.line.len() + rest.len();
        self.check(length)?;
        self.line.extend_from_slice(rest);
        // It is read as if it were a piece, with the end that it has there.
        self.line.push(b'\n');
        let mut line = std::mem::take(&mut self.line);
        self.field(&mut line, 0..length, Place::Line, false);
        match &mut self.data {
            Some((place @ Place::Line, _)) => {
                *place = Place::Kept;
                self.line = std::mem::replace(&mut self.kept, line);
            }
            _ => self.line = line,
        }
        if self.item.0 != Place::Line {
            self.line.clear();
        }
        Ok(())
    }

    /// Is there still room in the event for such a line?
    fn check(&self, line: usize) -> Result<(), TooLarge> {
        let data = self.data.as_ref().map_or(0, |(_, range)| range.len());
        if data + line > self.max.saturating_add(PREFIX) { Err(TooLarge) } else { Ok(()) }
    }

    /// Takes a line of these bytes, which are the piece or the line that was kept.
    fn field(&mut self, bytes: &mut [u8], line: Range<usize>, place: Place, ascii: bool) {
        let text = &bytes[line.clone()];
        // What nearly every line is.
        let (name, from) = if text.starts_with(b"data:") {
            (&b"data"[..], b"data:".len())
        } else if text.starts_with(b"id:") {
            (&b"id"[..], b"id:".len())
        } else {
            match memchr(b':', text) {
                Some(at) => (&text[..at], at + 1),
                None => (text, text.len()),
            }
        };
        let value = value(bytes, line.start + from, line.end);
        match name {
            b"data" => self.add_data(bytes, value, place, ascii),
            b"id" => self.set_id(&bytes[value], ascii),
            b"event" => {
                self.name.clear();
                self.name.push_str(&String::from_utf8_lossy(&bytes[value]));
            }
            b"retry" => {
                if let Some(time) = number(&bytes[value]) {
                    (self.retry, self.time) = (Some(time), Some(time));
                }
            }
            b"" if self.comments => {
                self.hand_out(bytes, (place, value), ascii);
                self.found = Found::Comment;
            }
            _ => {}
        }
    }

    #[inline]
    fn set_id(&mut self, value: &[u8], ascii: bool) {
        if value.contains(&0) {
            return;
        }
        self.id.clear();
        if ascii {
            self.id.extend_from_slice(value);
        } else {
            self.id.extend_from_slice(String::from_utf8_lossy(value).as_bytes());
        }
        self.id.push(0);
        self.new_id = true;
    }

    /// The block is over: its id is that of the last event.
    fn commit_id(&mut self) {
        if std::mem::take(&mut self.new_id) {
            std::mem::swap(&mut self.last_id, &mut self.id);
        }
    }

    fn add_data(&mut self, bytes: &mut [u8], value: Range<usize>, place: Place, ascii: bool) {
        self.ascii &= ascii;
        match &mut self.data {
            None => self.data = Some((place, value)),
            Some((Place::Kept, range)) => {
                self.kept.truncate(range.end);
                self.kept.push(b'\n');
                self.kept.extend_from_slice(&bytes[value]);
                range.end = self.kept.len();
                self.ascii = false;
            }
            // It lies further in front in the same bytes.
            Some((_, range)) => {
                bytes[range.end] = b'\n';
                let to = range.end + 1;
                range.end = to + value.len();
                bytes.copy_within(value, to);
            }
        }
    }

    /// An empty line: the event is complete, if there is one.
    fn dispatch(&mut self, piece: &mut [u8]) -> Result<(), TooLarge> {
        self.commit_id();
        match self.data.take() {
            Some((_, data)) if data.len() > self.max => return Err(TooLarge),
            Some(data) => {
                self.hand_out(piece, data, self.ascii);
                self.found = Found::Event;
            }
            None => self.clear(),
        }
        Ok(())
    }

    /// Decoded line by line or as a whole, UTF-8 gives the same: a line's end belongs to no longer sequence.
    #[inline]
    fn hand_out(&mut self, bytes: &mut [u8], (place, range): (Place, Range<usize>), ascii: bool) {
        if place == Place::Kept {
            self.kept.truncate(range.end);
            self.kept.push(0);
        } else {
            bytes[range.end] = 0;
        }
        self.item = (place, range);
        if ascii {
            return;
        }
        self.decode(bytes);
    }

    /// Puts a replacement there where what is handed out is not UTF-8.
    #[cold]
    fn decode(&mut self, bytes: &[u8]) {
        let (place, range) = self.item.clone();
        let text = if place == Place::Kept { &self.kept[range] } else { &bytes[range] };
        if std::str::from_utf8(text).is_err() {
            self.replaced = String::from_utf8_lossy(text).into_owned().into_bytes();
            self.item = (Place::Replaced, 0..self.replaced.len());
            self.replaced.push(0);
        }
    }

    fn clear(&mut self) {
        (self.data, self.ascii, self.retry) = (None, true, None);
        self.name.clear();
    }

    /// The data of an event, or the text of a comment: UTF-8. The byte behind it is NUL. `piece`: the one that it was
    /// found in.
    pub fn data<'d>(&'d self, piece: &'d [u8]) -> &'d [u8] {
        self.bytes(piece).get(self.item.1.clone()).unwrap_or_default()
    }

    fn bytes<'d>(&'d self, piece: &'d [u8]) -> &'d [u8] {
        match self.item.0 {
            Place::Piece => piece,
            Place::Line => &self.line,
            Place::Kept => &self.kept,
            Place::Replaced => &self.replaced,
        }
    }

    /// Keeps what was found, because its piece goes.
    pub fn detach(&mut self, piece: &[u8]) {
        if self.item.0 == Place::Piece {
            self.kept.clear();
            self.kept.extend_from_slice(&piece[self.item.1.clone()]);
            self.item = (Place::Kept, 0..self.kept.len());
            self.kept.push(0);
        }
    }

    /// The type of an event.
    pub fn name(&self) -> &str {
        if self.name.is_empty() { "message" } else { &self.name }
    }

    /// The id of the last event, its own or that of one before; empty: none.
    pub fn last_id(&self) -> &str {
        str::from_utf8(&self.last_id[..self.last_id.len() - 1]).unwrap_or_default()
    }

    /// The same with the NUL behind it; there is no other in an id.
    pub(super) fn last_id_nul(&self) -> &[u8] {
        &self.last_id
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

/// Where the value lies that begins there or behind the one space that may stand before it.
fn value(bytes: &[u8], from: usize, to: usize) -> Range<usize> {
    from + usize::from(bytes[from..to].first() == Some(&b' '))..to
}

/// Digits only; a number that no integer holds is the largest one.
fn number(value: &[u8]) -> Option<u64> {
    let digit = |n: u64, b: &u8| n.saturating_mul(10).saturating_add(u64::from(b - b'0'));
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| value.iter().fold(0, digit))
}

#[cfg(test)]
mod tests;
