//! Tells the caller how far a download has come: not too often, and not too seldom.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::transfer::Progress;
use crate::transport::Token;

/// At most ten times a second.
const SHORTEST: Duration = Duration::from_millis(100);
/// At least once a second: a little earlier, because nothing is ever in time.
const LONGEST: Duration = Duration::from_millis(900);
const UNKNOWN: u64 = u64::MAX;

/// Receives the progress; whatever it returns but 0 stops the download.
pub type OnProgress<'p> = &'p mut dyn FnMut(&Progress) -> i32;

/// How far it has come, as all threads of the download count it.
#[derive(Debug)]
pub struct Tally {
    there: AtomicU64,
    streamed: AtomicU64,
    total: AtomicU64,
    /// Where the part of an earlier call was gone on with.
    from: AtomicU64,
    done: AtomicBool,
}

impl Tally {
    /// So much is there already.
    pub fn new(there: u64, total: Option<u64>) -> Tally {
        let tally = Tally {
            there: AtomicU64::new(there),
            streamed: AtomicU64::new(0),
            total: AtomicU64::new(UNKNOWN),
            from: AtomicU64::new(0),
            done: AtomicBool::new(false),
        };
        tally.expect(total);
        tally
    }

    /// It begins at the first byte.
    pub fn restart(&self, total: Option<u64>) {
        [&self.there, &self.streamed, &self.from].into_iter().for_each(|n| n.store(0, Relaxed));
        self.expect(total);
    }

    /// It goes on with what is there.
    pub fn resume(&self) {
        self.from.store(self.there.load(Relaxed), Relaxed);
    }

    /// So many bytes there will be.
    pub fn expect(&self, total: Option<u64>) {
        self.total.store(total.unwrap_or(UNKNOWN), Relaxed);
    }

    /// Some more came.
    pub fn add(&self, bytes: u64) {
        self.there.fetch_add(bytes, Relaxed);
        self.streamed.fetch_add(bytes, Relaxed);
    }

    /// So much is there after all.
    pub fn correct(&self, there: u64) {
        let lost = self.there.load(Relaxed).saturating_sub(there);
        self.there.fetch_sub(lost, Relaxed);
        self.streamed.fetch_sub(lost.min(self.streamed.load(Relaxed)), Relaxed);
    }

    /// It is all there.
    pub fn finish(&self) {
        self.done.store(true, Relaxed);
    }

    /// Where the part of an earlier call was gone on with; 0: it was not.
    pub fn resumed_from(&self) -> u64 {
        self.from.load(Relaxed)
    }

    fn show(&self, progress: &mut Progress, chunk_size: u64) {
        progress.processed = self.there.load(Relaxed);
        progress.streamed = self.streamed.load(Relaxed);
        progress.total = Some(self.total.load(Relaxed)).filter(|total| *total != UNKNOWN);
        progress.chunks = progress.streamed.div_ceil(chunk_size.max(1));
        progress.resumed = self.resumed_from() > 0;
        progress.done = self.done.load(Relaxed);
    }
}

/// How far it has come, and who is told.
pub struct Pulse<'p> {
    on_progress: Option<OnProgress<'p>>,
    progress: Progress,
    chunk_size: u64,
    /// When, and how much was there.
    told: Option<(Instant, u64)>,
    stopped: bool,
}

impl<'p> Pulse<'p> {
    /// Nobody is told yet.
    pub fn new(on_progress: Option<OnProgress<'p>>, endpoint: &str, chunk_size: u64) -> Pulse<'p> {
        Pulse { on_progress, progress: Progress::new(endpoint, 0), chunk_size, told: None, stopped: false }
    }

    /// Does anybody want to hear of it?
    pub fn is_wanted(&self) -> bool {
        self.on_progress.is_some()
    }

    /// Did the callback stop it?
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Tells it, where it is time; a stop cancels `halt`. Gives the time to come again.
    pub fn tick(&mut self, tally: &Tally, halt: &Token) -> Instant {
        let now = Instant::now();
        let due = self.told.is_none_or(|(when, there)| match now.duration_since(when) {
            since if since < SHORTEST => false,
            since => since >= LONGEST || tally.there.load(Relaxed) != there,
        });
        if due {
            self.tell(tally);
            if self.stopped {
                halt.cancel();
            }
        }
        now + SHORTEST
    }

    /// Tells it, unless it was stopped before, and shows it.
    pub fn tell(&mut self, tally: &Tally) -> &Progress {
        tally.show(&mut self.progress, self.chunk_size);
        if let Some(on_progress) = self.on_progress.as_mut().filter(|_| !self.stopped) {
            self.told = Some((Instant::now(), self.progress.processed));
            self.stopped = on_progress(&self.progress) != 0;
        }
        &self.progress
    }
}
