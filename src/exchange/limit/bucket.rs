//! The configured rate: GCRA, the leaky bucket as a meter (ITU-T I.371), in whole numbers.

use std::time::{Duration, Instant};

/// A rate is kept in attoseconds for one request: a billion a second and one in a year are equally exact.
const ATTO: u128 = 1_000_000_000;
/// No interval, and no number of stored requests, is longer: 300 years. Sums of them stay within the type.
const LONGEST: u128 = 10u128.pow(28);
/// The full speed. A slow-down halves it down to 1/1024, a recovery step is a tenth, and near the speed that was
/// refused last it is that 1024th.
const FULL: u32 = 10 * 1024;
const SLOWEST: u32 = FULL / 1024;

/// So many requests in a time, some of them at once. Times are attoseconds since `origin`.
#[derive(Debug)]
pub(super) struct Bucket {
    origin: Instant,
    /// From one request to the next, at full speed.
    interval: u128,
    /// How much earlier than by the steady rate a request may go.
    ahead: u128,
    /// When the next request would go by the steady rate.
    due: u128,
    speed: u32,
    /// The speed at which a request was refused last.
    refused: u32,
    /// Since when `due` has been later than every request, and by how much at least: what a request that is
    /// given back may lower it by.
    streak: u64,
    slack: u128,
    last: u64,
}

/// A request that the bucket let go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    number: u64,
    streak: u64,
}

impl Bucket {
    /// `rate` a second, `burst` of them at once. A full bucket.
    pub fn new(rate: f64, burst: f64, now: Instant) -> Bucket {
        let interval = ((1e18 / rate) as u128).clamp(1, LONGEST);
        let ahead = ((burst - 1.0) as u128).saturating_mul(interval).min(LONGEST);
        Bucket {
            origin: now,
            interval,
            ahead,
            due: 0,
            speed: FULL,
            refused: FULL,
            streak: 0,
            slack: 0,
            last: 0,
        }
    }

    fn at(&self, now: Instant) -> u128 {
        now.saturating_duration_since(self.origin).as_nanos() * ATTO
    }

    fn interval(&self) -> u128 {
        if self.speed == FULL {
            self.interval
        } else {
            self.interval * u128::from(FULL) / u128::from(self.speed)
        }
    }

    fn ahead(&self) -> u128 {
        if self.speed == FULL { self.ahead } else { 0 }
    }

    /// When the next one would go. A wait ends at a whole nanosecond, and what that was too long is not lost.
    fn due(&self, now: u128) -> u128 {
        self.due.max(now.saturating_sub(ATTO - 1))
    }

    /// How long the one with so many others before it waits.
    pub fn wait(&self, now: Instant, others: usize) -> Duration {
        let now = self.at(now);
        let due = self.due(now).saturating_add(self.interval().saturating_mul(others as u128));
        let nanos = due.saturating_sub(self.ahead()).saturating_sub(now).div_ceil(ATTO);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// One goes.
    pub fn take(&mut self, now: Instant) -> Taken {
        let now = self.at(now);
        if self.due <= now {
            // The bucket is full: what was not used until now is lost, and cannot be given back later.
            self.streak += 1;
            self.slack = u128::MAX;
        } else {
            self.slack = self.slack.min(self.due - now);
        }
        self.due = self.due(now) + self.interval();
        self.last += 1;
        Taken { number: self.last, streak: self.streak }
    }

    /// It did not go after all.
    ///
    /// The last one leaves no trace. One before it has held the later ones up by the slack at most; to give back
    /// more than that would let more go than if it had never been there.
    pub fn give_back(&mut self, taken: Taken) {
        if taken.streak != self.streak {
            return;
        }
        let full = self.interval();
        if taken.number == self.last {
            self.due = self.due.saturating_sub(full);
            self.last -= 1;
        } else {
            let part = full.min(self.slack);
            self.due = self.due.saturating_sub(part);
            self.slack -= part;
        }
    }

    /// Half the rate, and nothing at once.
    pub fn slow_down(&mut self, now: Instant) {
        self.refused = self.speed;
        self.speed = (self.speed / 2).max(SLOWEST);
        self.due = self.due.min(self.at(now) + self.interval());
        self.streak += 1;
    }

    /// A tenth of the rate more; but from nine tenths of the speed that was refused to eleven it goes slowly, for
    /// the server's limit is likely to be where it was. A bucket that is back at full speed is empty.
    pub fn recover(&mut self, now: Instant) {
        if self.speed == FULL {
            return;
        }
        let (near, past) = (self.refused * 9 / 10, self.refused * 11 / 10);
        self.speed = match self.speed {
            speed if speed < near => (speed + FULL / 10).min(near),
            speed if speed < past => speed + SLOWEST,
            speed => speed + FULL / 10,
        }
        .min(FULL);
        if self.speed == FULL {
            self.due = self.due.max(self.at(now)).saturating_add(self.ahead);
        }
        self.streak += 1;
    }
}
