//! A listing, handed on piece by piece: one page, or one record, at a time.

use std::cell::RefCell;
use std::ops::Range;

use twox_hash::XxHash3_128;

use super::{Given, Listing, Source};
use crate::decode::Place;
use crate::error::Result;
use crate::response::Response;
use crate::stream::Step;
use crate::transfer::Progress;

/// What is handed on at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The items of a page, as an array.
    Page,
    /// A record.
    Record,
}

/// Hands a listing on piece by piece.
pub struct Reader<S> {
    listing: Listing<S>,
    by: By,
    /// The page that is being handed on, and how many of its records were.
    given: Option<(Given, usize)>,
    place: Place,
    piece: Range<usize>,
    /// What is handed on of a page, where that is not all of it.
    part: Option<Vec<u8>>,
    /// Where a byte of the page is NUL, so that a record ends with one, and what it was.
    ended: Option<(usize, u8)>,
    progress: Progress,
    /// The end of the record that was handed on last, from the beginning of the page's first one.
    behind: usize,
    hashed: RefCell<Hashed>,
}

/// What was hashed of a page.
#[derive(Default)]
struct Hashed {
    hasher: XxHash3_128,
    upto: usize,
}

impl<S: Source> Reader<S> {
    /// Before the first piece.
    pub fn new(listing: Listing<S>, by: By) -> Reader<S> {
        let progress = Progress::new(&listing.settings.endpoint, 0);
        let place = Place::first(&[]);
        Reader {
            listing,
            by,
            given: None,
            place,
            piece: 0..0,
            part: None,
            ended: None,
            progress,
            behind: 0,
            hashed: RefCell::default(),
        }
    }

    /// Goes on to the next piece. Pages without records are passed over.
    pub fn advance(&mut self) -> Result<Step> {
        (self.piece, self.part) = (0..0, None);
        if self.by == By::Record && self.next_record() {
            return Ok(Step::Item);
        }
        loop {
            let Some(given) = self.listing.next_page()? else {
                self.progress.done = true;
                return Ok(Step::End);
            };
            let (from, to) = (given.from, given.to);
            self.place = Place::first(given.page.response.body());
            self.hashed = RefCell::default();
            let done = if self.by == By::Page { to } else { from };
            self.behind = given.page.records(0..done).map_or(0, <[u8]>::len);
            self.given = Some((given, from));
            if from < to {
                let is_item = match self.by {
                    By::Page => self.whole_page(),
                    By::Record => self.pass(from) && self.next_record(),
                };
                if is_item {
                    return Ok(Step::Item);
                }
            }
        }
    }

    /// The piece that came last. The byte behind it is NUL.
    pub fn piece(&self) -> &[u8] {
        let body = self.given.as_ref().map_or(&[][..], |(given, _)| given.page.response.body());
        let body = self.part.as_deref().unwrap_or(body);
        body.get(self.piece.clone()).unwrap_or_default()
    }

    /// The answer that the piece came with.
    pub fn response(&self) -> Option<&Response> {
        self.given.as_ref().map(|(given, _)| &given.page.response)
    }

    /// How far it has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The place behind the piece that came last.
    pub fn checkpoint(&self) -> Option<String> {
        let given = self.given.as_ref();
        let count = given.map_or(0, |(_, count)| *count);
        self.listing.checkpoint(given.map(|(given, _)| given), count, |given| Some(self.hash(given)))
    }

    /// What identifies the records of the page so far. Each is looked at once, however often somebody asks.
    fn hash(&self, given: &Given) -> u128 {
        let Hashed { hasher, upto } = &mut *self.hashed.borrow_mut();
        let start = given.page.inside.start;
        hasher.write(&given.page.response.body()[start + *upto..start + self.behind]);
        *upto = self.behind;
        hasher.finish_128()
    }

    /// Passes over records that were handed out before.
    fn pass(&mut self, count: usize) -> bool {
        let Some((given, _)) = &self.given else { return false };
        (0..count).all(|_| self.place.next(given.page.response.body()).is_some())
    }

    fn next_record(&mut self) -> bool {
        let Some((given, count)) = &mut self.given else { return false };
        let to = given.to;
        let body = given.page.response.body_mut();
        if let Some((at, byte)) = self.ended.take() {
            body[at] = byte;
        }
        let Some(record) = (*count < to).then(|| self.place.next(body)).flatten() else { return false };
        // The place lies behind it already.
        if let Some(byte) = body.get_mut(record.end) {
            self.ended = Some((record.end, std::mem::replace(byte, 0)));
        }
        *count += 1;
        self.behind = record.end - given.page.inside.start;
        self.came(record);
        true
    }

    fn whole_page(&mut self) -> bool {
        let Some((given, count)) = &mut self.given else { return false };
        *count = given.to;
        let body = given.page.response.body();
        if given.from == 0 && given.to == given.page.kept {
            let all = 0..body.len();
            self.came(all);
            return true;
        }
        // The page's own bytes stay: a checkpoint tells them by their hash.
        let part = [b"[", given.records(), b"]\0"].concat();
        let all = 0..part.len() - 1;
        self.part = Some(part);
        self.came(all);
        true
    }

    fn came(&mut self, piece: Range<usize>) {
        self.progress.add(piece.len() as u64);
        self.progress.chunks += 1;
        self.piece = piece;
    }
}
