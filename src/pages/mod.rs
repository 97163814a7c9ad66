//! Listings: page after page, whole or with an error that says where to go on.
//!
//! [`course`] decides what is asked for next, [`read`] reads a page; both are pure. A [`Listing`] asks for the pages,
//! [`merge`] makes one array of them, and a [`Reader`] hands them on piece by piece.

mod checkpoint;
mod course;
mod link;
mod merge;
mod read;
mod reader;

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::config::Paging;
use crate::errand;
use crate::error::{Error, Kind, Result, Sent};
use crate::transport::Token;

use checkpoint::Checkpoint;
use course::{Course, Facts, hash};

pub use course::Turn;
#[cfg(test)]
pub(crate) use link::targets;
pub use merge::merge;
pub use read::{Next, Page, read};
pub use reader::{By, Reader};

/// A short name for a long text.
pub fn identity(text: &str) -> u64 {
    hash(text.as_bytes()) as u64
}

/// Where the pages come from.
pub trait Source: Send + Sync {
    /// Asks for a page. `left`: of the time for the whole call.
    fn page(&self, turn: &Turn, left: Option<Duration>, token: Option<&Arc<Token>>) -> Result<Page>;
    /// The whole address that a link leads to, from the address of its page, and what the user should know of it; else
    /// why it is not followed.
    fn follow(&self, base: &str, link: &str) -> Result<(String, Option<String>), String>;
    /// A page without secrets of ours, which are put in again when it is asked for; None: they would be seen.
    fn public(&self, turn: &Turn) -> Option<Turn>;
}

/// What a listing is asked for with.
#[derive(Debug)]
pub struct Settings {
    /// The endpoint's name.
    pub endpoint: String,
    /// How it goes on.
    pub paging: Paging,
    /// The number of its first page, or item, where the call says it.
    pub first: Option<u64>,
    /// What identifies it, so that a checkpoint is not taken for one of another listing.
    pub identity: u64,
    /// Where to go on.
    pub checkpoint: Option<String>,
    /// Pages asked for ahead.
    pub prefetch: u32,
    /// Pages in one call, before nobody believes in an end any more.
    pub guard: u32,
    /// Bytes of a merged result.
    pub max_result: u64,
    /// The end of the time for the whole call.
    pub deadline: Option<Instant>,
    /// Ends it.
    pub token: Option<Arc<Token>>,
}

/// A listing on its way.
pub struct Listing<S> {
    source: S,
    settings: Settings,
    course: Course,
    /// What an earlier call has handed out of the page that comes next: how many records, and what identifies them.
    handed_out: Option<(u64, Option<u128>)>,
    /// Why it cannot go on behind the page that was given last.
    pending: Option<Error>,
    /// Is the course not behind that page, because it leads nowhere?
    is_stuck: bool,
    /// In this call.
    pages: u64,
    records: u64,
    ahead: VecDeque<(Turn, Result<Page>)>,
    /// Have the caller's own limits ended it?
    is_stopped: bool,
}

/// A page, and the part of it that is to be handed out.
pub struct Given {
    /// The page.
    pub page: Page,
    /// The first record that is not handed out yet.
    pub from: usize,
    /// Behind the last one that is to be.
    pub to: usize,
    turn: Turn,
    /// What was there before it.
    before: (u64, u64, Option<u128>),
}

impl Given {
    /// The records that are to be handed out, with what stands between them.
    fn records(&self) -> &[u8] {
        self.page.records(self.from..self.to).unwrap_or_default()
    }
}

impl<S: Source> Listing<S> {
    /// A listing from its beginning, or from its checkpoint on. Nothing is asked for yet.
    pub fn new(source: S, settings: Settings) -> Result<Listing<S>> {
        let (mut course, mut handed_out) = (Course::new(&settings.paging, settings.first), None);
        if let Some(text) = &settings.checkpoint {
            let place = Checkpoint::read(text, &settings.endpoint, settings.identity)?;
            if let Some(Turn::Address(address)) = &place.turn {
                // Whoever wrote it: it is followed where a link would be.
                let followed = source.follow(address, address);
                followed.map_err(|why| Error::argument(format!("options: /checkpoint: {why}")))?;
            }
            let last = place.hash.filter(|_| place.skip == 0);
            course = Course::at(place.turn, place.pages, place.records, last);
            handed_out = (place.skip > 0).then_some((place.skip, place.hash));
        }
        Ok(Listing {
            source,
            settings,
            course,
            handed_out,
            pending: None,
            is_stuck: false,
            pages: 0,
            records: 0,
            ahead: VecDeque::new(),
            is_stopped: false,
        })
    }

    /// The next page; None where the listing is over, or as long as the caller wants it. Its part may be empty.
    pub fn next_page(&mut self) -> Result<Option<Given>> {
        if let Some(error) = self.pending.clone() {
            return Err(error);
        }
        let Some(turn) = self.course.turn.clone().filter(|_| !self.is_stopped) else { return Ok(None) };
        if self.pages >= u64::from(self.settings.guard) {
            let what = format!("{} pages, and there are more (limits.max_pages_guard)", self.pages);
            return Err(self.lost(Error::new(Kind::Pagination, what), None));
        }
        let mut page = self.ask(&turn).map_err(|mut error| {
            error.message += &format!("; it was page {} of the listing", self.course.pages + 1);
            error.page = Some(self.course.pages + 1);
            error
        })?;
        self.pages += 1;
        if turn == Turn::First {
            let address = page.response.meta.url.expose();
            self.course.came_from(address);
            if let Some(Turn::Address(address)) = self.source.public(&Turn::Address(address.to_owned())) {
                self.course.came_from(&address);
            }
        }
        let hash = page.hash;
        self.course.check(page.came, hash).map_err(|error| self.lost(error, Some(&page)))?;
        let from = match self.handed_out {
            Some(handed_out) => self.skipped(handed_out, &page)?,
            None => 0,
        };
        self.handed_out = None;
        let before = (self.course.pages, self.course.records, self.course.last);
        // Its own records are good, whatever is wrong with where it leads.
        if let Err(error) = self.go_on(&mut page, hash) {
            self.pending = Some(self.lost(error, Some(&page)));
            self.is_stuck = true;
        }
        let mut to = page.kept;
        if let Some(most) = self.settings.paging.max_records {
            let left = usize::try_from(most - self.records).unwrap_or(usize::MAX);
            to = to.min(from.saturating_add(left));
        }
        self.records += (to - from) as u64;
        let mut given = Given { page, from, to, turn, before };
        self.stop(&mut given);
        Ok(Some(given))
    }

    /// Takes the course behind a page.
    fn go_on(&mut self, page: &mut Page, hash: u128) -> Result<()> {
        let mut says = page.says.clone();
        if let Some(Next::Address(link)) = &says.next {
            let meta = &mut page.response.meta;
            let (address, warning) = self.source.follow(meta.url.expose(), link).map_err(|why| {
                let why = meta.redactor.redact(&why).into_owned();
                Error::new(Kind::Pagination, format!("the next page is not asked for: {why}"))
            })?;
            meta.warnings.extend(warning);
            says.next = Some(Next::Address(address));
        }
        let facts = Facts { came: page.came, hash, says };
        let warning = self.course.take(&self.settings.paging, &facts)?;
        page.response.meta.warnings.extend(warning);
        Ok(())
    }

    /// How many records of a page an earlier call has handed out: it must be the same page still.
    fn skipped(&self, (count, hashed): (u64, Option<u128>), page: &Page) -> Result<usize> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if page.records(0..count).map(hash) == hashed {
            return Ok(count);
        }
        let what = format!(
            "it has changed since the checkpoint: its first {count} records are others now, so that nobody can tell \
             which were handed out; start again without the checkpoint"
        );
        Err(self.lost(Error::new(Kind::Pagination, what), Some(page)))
    }

    /// Notes where the caller's own limits end it.
    fn stop(&mut self, given: &mut Given) {
        let paging = &self.settings.paging;
        let more = self.course.turn.is_some() || given.to < given.page.kept;
        if !more {
            return;
        }
        let reached = |key: &str, most: u64, what: &str| {
            format!("stopped after {most} {what} ({key}), and there may be more")
        };
        let warning = match (paging.max_records, paging.max_pages) {
            (Some(most), _) if self.records >= most => reached("max_records", most, "records"),
            (_, Some(most)) if self.pages >= u64::from(most) => {
                reached("max_pages", u64::from(most), "pages")
            }
            _ => return,
        };
        // Nobody would have asked for what is behind it.
        self.pending = None;
        given.page.response.meta.warnings.push(warning);
        self.is_stopped = true;
    }

    /// The place behind the first `count` records of the page that was given last, and `hash` what identifies them; None
    /// where it would show a secret.
    pub fn checkpoint(
        &self,
        given: Option<&Given>,
        count: usize,
        hash: impl Fn(&Given) -> Option<u128>,
    ) -> Option<String> {
        let course = &self.course;
        let (turn, pages, records, skip, last) = match given {
            Some(given) if count < given.page.kept || self.is_stuck => {
                let (pages, records, before) = given.before;
                let last = if count == 0 { before } else { hash(given) };
                (Some(&given.turn), pages, records, count as u64, last)
            }
            _ => match self.handed_out {
                Some((skip, hash)) => (course.turn.as_ref(), course.pages, course.records, skip, hash),
                None => (course.turn.as_ref(), course.pages, course.records, 0, course.last),
            },
        };
        let turn = turn.map(|turn| self.source.public(turn).ok_or(())).transpose().ok()?;
        let place = Checkpoint { listing: self.settings.identity, pages, records, turn, skip, hash: last };
        Some(place.write(&self.settings.endpoint))
    }

    /// Says where the listing was lost.
    fn lost(&self, mut error: Error, page: Option<&Page>) -> Error {
        let number = self.course.pages + u64::from(page.is_some());
        let endpoint = &self.settings.endpoint;
        error.message = match page {
            Some(page) => format!("{endpoint}: page {number}, {}: {}", page.response.meta.url, error.message),
            None => format!("{endpoint}: the listing was stopped after {}", error.message),
        };
        error.endpoint = Some(endpoint.clone());
        error.page = Some(number);
        if let Some(page) = page {
            error.sent = Sent::Yes;
            error.url = Some(page.response.meta.url.clone());
            error.http_status = Some(page.response.head.status);
            error.attempts = page.response.meta.attempts.clone();
        }
        error
    }

    fn left(&self) -> Option<Duration> {
        self.settings.deadline.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// The page, which may have been asked for already.
    fn ask(&mut self, turn: &Turn) -> Result<Page> {
        if let Some((there, page)) = self.ahead.pop_front()
            && there == *turn
        {
            return page;
        }
        // What was asked for ahead is not what follows.
        self.ahead.clear();
        let mut most = u64::from(self.settings.prefetch) + 1;
        let paging = &self.settings.paging;
        for limit in [Some(self.settings.guard), paging.max_pages].into_iter().flatten() {
            most = most.min(u64::from(limit).saturating_sub(self.pages));
        }
        if let (Some(records), Some(size)) = (paging.max_records, paging.size()) {
            most = most.min(records.saturating_sub(self.records).div_ceil(size));
        }
        let turns = self.course.ahead(&self.settings.paging, most);
        if turns.len() > 1 {
            self.ahead = self.together(turns);
        }
        match self.ahead.pop_front() {
            Some((_, page)) => page,
            None => self.source.page(turn, self.left(), self.settings.token.as_ref()),
        }
    }

    /// Asks for several pages at once; gives them in order, up to the first that fails.
    fn together(&self, turns: Vec<Turn>) -> VecDeque<(Turn, Result<Page>)> {
        let (source, left) = (&self.source, self.left());
        let halt = Arc::new(Token::child(self.settings.token.clone()));
        let work = || {
            thread::scope(|scope| {
                let mut others = Vec::new();
                for turn in &turns[1..] {
                    let ask = errand::alike(|| source.page(turn, left, Some(&halt)));
                    // With fewer threads it takes longer, and that is all.
                    let Ok(thread) = thread::Builder::new().name("apl-page".into()).spawn_scoped(scope, ask)
                    else {
                        break;
                    };
                    others.push(thread);
                }
                let mut pages = VecDeque::from([source.page(&turns[0], left, Some(&halt))]);
                for thread in others {
                    if pages.back().is_some_and(Result::is_err) {
                        // Nobody wants what follows.
                        halt.cancel();
                        break;
                    }
                    pages.push_back(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                }
                pages
            })
        };
        let pages = errand::aside(work, &halt).unwrap_or_default();
        turns.into_iter().zip(pages).collect()
    }
}
