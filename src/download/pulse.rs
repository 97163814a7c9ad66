//! Tells the caller how far a download has come: not too often, and not too seldom.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::transfer::Progress;

/// At most ten times a second.
const SHORTEST: Duration = Duration::from_millis(100);
/// At least once a second: a little earlier, because nothing is ever in time.
const LONGEST: Duration = Duration::from_millis(900);

/// Receives the progress; whatever it returns but 0 stops the download.
pub type OnProgress<'p> = &'p mut dyn FnMut(&Progress) -> i32;

/// Why a download ends early.
#[derive(Debug)]
pub enum End {
    /// The progress callback wants it.
    Stopped,
    /// It fails.
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Failed(error)
    }
}

/// How far it has come, and who is told.
pub struct Pulse<'p> {
    on_progress: Option<OnProgress<'p>>,
    /// How far it has come.
    pub progress: Progress,
    chunk_size: u64,
    told: Option<Instant>,
}

impl<'p> Pulse<'p> {
    /// Nobody is told yet.
    pub fn new(on_progress: Option<OnProgress<'p>>, endpoint: &str, chunk_size: u64) -> Pulse<'p> {
        Pulse { on_progress, progress: Progress::new(endpoint, 0), chunk_size: chunk_size.max(1), told: None }
    }

    /// So many bytes are there, and this is how many there will be.
    pub fn begin(&mut self, from: u64, total: Option<u64>) {
        let endpoint = std::mem::take(&mut self.progress.endpoint);
        self.progress = Progress { total, ..Progress::new(&endpoint, from) };
    }

    /// Some more came.
    pub fn add(&mut self, bytes: u64) {
        self.progress.add(bytes);
        self.progress.chunks = self.progress.streamed.div_ceil(self.chunk_size);
    }

    /// When the caller must hear of it again; None: he does not want to.
    pub fn until(&self) -> Option<Instant> {
        self.on_progress.as_ref()?;
        Some(self.told.unwrap_or_else(Instant::now) + LONGEST)
    }

    /// Tells it, where it is time.
    pub fn beat(&mut self) -> Result<(), End> {
        if self.on_progress.is_none() || self.told.is_some_and(|told| told.elapsed() < SHORTEST) {
            return Ok(());
        }
        self.tell()
    }

    /// Tells it.
    pub fn tell(&mut self) -> Result<(), End> {
        let Some(on_progress) = &mut self.on_progress else { return Ok(()) };
        self.told = Some(Instant::now());
        if on_progress(&self.progress) == 0 { Ok(()) } else { Err(End::Stopped) }
    }
}
