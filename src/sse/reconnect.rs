//! Is a stream gone on with, and when? Pure: it is told what happened, the time that is left, and a random number.

use std::time::Duration;

use crate::error::{Error, Kind};

/// Jitter adds at most so much of a wait: less than the quarter that servers and tests of others bear with, since the
/// connection comes on top.
const JITTER: f64 = 0.2;

/// How a stream is gone on with.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// Is it gone on with at all?
    pub reconnect: bool,
    /// The reconnection time, until the server names one.
    pub delay: Duration,
    /// The shortest and the longest wait.
    pub clamp: (Duration, Duration),
    /// Attempts in a row; None: as many as it takes.
    pub most: Option<u32>,
}

/// How a connection came to its end, or did not come to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended<'e> {
    /// The server closed in good order.
    Closed,
    /// It failed.
    Failed(&'e Error),
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another connection, so much later.
    Again(Duration),
    /// There would be one, but the deadline comes before it.
    Late,
    /// None: the stream ends as the connection did.
    Stop,
}

/// What is known of a stream's connections.
#[derive(Debug)]
pub(super) struct Reconnect {
    policy: Policy,
    /// The reconnection time.
    time: Duration,
    /// Attempts since the last event.
    attempts: u32,
    /// Failures since the last event: a connection that was closed without one, too.
    failures: u32,
    /// Was there an event on this connection?
    delivered: bool,
}

impl Reconnect {
    pub fn new(policy: Policy) -> Reconnect {
        let time = policy.delay;
        Reconnect { policy, time, attempts: 0, failures: 0, delivered: false }
    }

    /// The server names the reconnection time.
    pub fn asked(&mut self, milliseconds: u64) {
        self.time = Duration::from_millis(milliseconds);
    }

    /// An event came: what failed before it is forgotten.
    pub fn delivered(&mut self) {
        (self.attempts, self.failures, self.delivered) = (0, 0, true);
    }

    /// What follows a connection's end. `left`: until the deadline; `random`: 0 to 1.
    pub fn next(&mut self, ended: Ended<'_>, left: Option<Duration>, random: f64) -> Next {
        let silent = !std::mem::take(&mut self.delivered);
        let floor = match ended {
            Ended::Closed => {
                self.failures += u32::from(silent);
                Duration::ZERO
            }
            Ended::Failed(error) => {
                self.failures += 1;
                if !passes(error) {
                    return Next::Stop;
                }
                error.retry_after.unwrap_or_default()
            }
        };
        if !self.policy.reconnect || self.policy.most.is_some_and(|most| self.attempts >= most) {
            return Next::Stop;
        }
        let wait = self.wait(floor, random);
        if left.is_some_and(|left| wait >= left) {
            return Next::Late;
        }
        self.attempts = self.attempts.saturating_add(1);
        Next::Again(wait)
    }

    /// The reconnection time and the server's wish are floors; what grows, and is spread, lies above them.
    fn wait(&self, floor: Duration, random: f64) -> Duration {
        let (shortest, longest) = self.policy.clamp;
        let time = self.time.clamp(shortest, longest);
        let factor = 1u32.checked_shl(self.failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let wait = time.saturating_mul(factor).max(floor).min(longest);
        wait + wait.mul_f64(JITTER * random)
    }
}

/// Is it a failure that may pass by itself? What the server refuses stays refused.
fn passes(error: &Error) -> bool {
    match (error.kind(), error.http_status) {
        (Kind::HttpStatus | Kind::RateLimited, Some(status)) => {
            matches!(status, 408 | 425 | 429 | 500..=599)
        }
        _ => error.is_transient(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::error::Sent;

    fn seconds(n: f64) -> Duration {
        Duration::from_secs_f64(n)
    }

    fn policy() -> Policy {
        let clamp = (seconds(0.01), seconds(300.0));
        Policy { reconnect: true, delay: seconds(1.0), clamp, most: None }
    }

    fn answered(status: u16, retry_after: Option<f64>) -> Error {
        let kind = match status {
            401 | 403 | 407 => Kind::Auth,
            429 => Kind::RateLimited,
            _ => Kind::HttpStatus,
        };
        let mut error = Error::new(kind, "");
        error.http_status = Some(status);
        error.retry_after = retry_after.map(seconds);
        error
    }

    fn cut() -> Error {
        let mut error = Error::new(Kind::Truncated, "");
        (error.sent, error.http_status) = (Sent::Yes, Some(200));
        error
    }

    fn again(reconnect: &mut Reconnect, ended: Ended<'_>, random: f64) -> Duration {
        match reconnect.next(ended, None, random) {
            Next::Again(wait) => wait,
            other => panic!("{other:?} at {ended:?}"),
        }
    }

    #[test]
    fn what_passes_is_gone_on_with_and_what_is_refused_is_not() {
        for (status, expected) in [
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (407, false),
            (408, true),
            (410, false),
            (422, false),
            (425, true),
            (429, true),
            (500, true),
            (501, true),
            (502, true),
            (503, true),
            (599, true),
            (301, false),
        ] {
            assert_eq!(passes(&answered(status, None)), expected, "{status}");
        }
        use Kind::*;
        for kind in [Dns, Connect, Timeout, Io, Truncated, RateLimited] {
            assert!(passes(&Error::new(kind, "")), "{kind:?}");
        }
        for kind in
            [Tls, Protocol, TooLarge, Redirect, Decode, Cancelled, Panic, Internal, InvalidArgument, Auth]
        {
            assert!(!passes(&Error::new(kind, "")), "{kind:?}");
        }
        // An address that is blocked stays blocked, and a handshake that was cut may not be the next time.
        let mut blocked = Error::new(Connect, "");
        blocked.transient = Some(false);
        let mut handshake = Error::new(Tls, "");
        handshake.transient = Some(true);
        assert!(!passes(&blocked) && passes(&handshake));
    }

    #[test]
    fn the_reconnection_time_is_a_floor_and_the_second_failure_in_a_row_adds_to_it() {
        let mut reconnect = Reconnect::new(policy());
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0] {
            assert_eq!(again(&mut reconnect, Ended::Failed(&cut()), 0.0), seconds(expected));
        }
        // The first event that is delivered ends the row.
        reconnect.delivered();
        assert_eq!(again(&mut reconnect, Ended::Failed(&cut()), 0.0), seconds(1.0));
        // A close behind an event is no failure, a close without one is.
        for _ in 0..5 {
            reconnect.delivered();
            assert_eq!(again(&mut reconnect, Ended::Closed, 0.0), seconds(1.0));
        }
        for expected in [1.0, 2.0, 4.0] {
            assert_eq!(again(&mut reconnect, Ended::Closed, 0.0), seconds(expected));
        }
    }

    #[test]
    fn the_servers_time_is_kept_within_the_clamp() {
        let mut reconnect = Reconnect::new(policy());
        for (asked, expected) in [(0, 0.01), (1, 0.01), (20, 0.02), (5000, 5.0), (u64::MAX, 300.0)] {
            reconnect.delivered();
            reconnect.asked(asked);
            assert_eq!(again(&mut reconnect, Ended::Closed, 0.0), seconds(expected), "{asked}");
        }
        let mut narrow = Reconnect::new(Policy { clamp: (seconds(2.0), seconds(3.0)), ..policy() });
        assert_eq!(again(&mut narrow, Ended::Failed(&cut()), 0.0), seconds(2.0));
        assert_eq!(again(&mut narrow, Ended::Failed(&cut()), 0.0), seconds(3.0));
    }

    #[test]
    fn retry_after_is_a_floor_too() {
        let mut reconnect = Reconnect::new(policy());
        assert_eq!(again(&mut reconnect, Ended::Failed(&answered(503, Some(7.0))), 0.0), seconds(7.0));
        assert_eq!(again(&mut reconnect, Ended::Failed(&answered(503, Some(0.0))), 0.0), seconds(2.0));
        assert_eq!(again(&mut reconnect, Ended::Failed(&answered(429, Some(1.0))), 0.0), seconds(4.0));
        assert_eq!(again(&mut reconnect, Ended::Failed(&answered(503, Some(9000.0))), 0.0), seconds(300.0));
    }

    #[test]
    fn attempts_are_counted_in_a_row() {
        for most in [0, 1, 3] {
            let mut reconnect = Reconnect::new(Policy { most: Some(most), ..policy() });
            for _ in 0..2 {
                for _ in 0..most {
                    again(&mut reconnect, Ended::Failed(&cut()), 0.0);
                }
                assert_eq!(reconnect.next(Ended::Failed(&cut()), None, 0.0), Next::Stop);
                reconnect.delivered();
            }
            // A server that closes behind each event is gone on with for ever.
            for _ in 0..10 * most {
                reconnect.delivered();
                again(&mut reconnect, Ended::Closed, 0.0);
            }
        }
        let mut never = Reconnect::new(Policy { reconnect: false, ..policy() });
        assert_eq!(never.next(Ended::Closed, None, 0.0), Next::Stop);
    }

    #[test]
    fn a_wait_beyond_the_deadline_is_not_begun() {
        let mut reconnect = Reconnect::new(policy());
        assert_eq!(reconnect.next(Ended::Closed, Some(seconds(1.0)), 0.0), Next::Late);
        assert_eq!(reconnect.next(Ended::Closed, Some(seconds(2.5)), 0.0), Next::Again(seconds(2.0)));
    }

    /// A day of a server that is away for some hours, closes now and then, and is overloaded in between.
    #[test]
    fn a_day_of_trouble_takes_few_attempts_and_no_long_silence() {
        let mut reconnect = Reconnect::new(policy());
        let (mut clock, mut attempts, mut longest) = (0.0, 0u32, 0.0f64);
        let mut random = 0.0;
        while clock < 86_400.0 {
            random = (random + 0.618_034) % 1.0;
            let away = (3600.0..4.0 * 3600.0).contains(&clock) || (clock % 7200.0) < 60.0;
            let wait = if away {
                again(&mut reconnect, Ended::Failed(&cut()), random)
            } else {
                reconnect.delivered();
                // It serves a while, and closes.
                clock += 30.0;
                again(&mut reconnect, Ended::Closed, random)
            };
            assert!(wait >= seconds(1.0) && wait <= seconds(375.0), "{wait:?} at {clock}");
            if !away {
                assert!(
                    wait <= seconds(1.0 + JITTER),
                    "the first wait after an event is the reconnection time: {wait:?}"
                );
            }
            longest = longest.max(wait.as_secs_f64());
            clock += wait.as_secs_f64();
            attempts += 1;
        }
        assert!(attempts < 3000, "{attempts} attempts");
        assert!(longest > 200.0, "it never backed off: {longest}");
    }

    #[test]
    fn clients_that_were_cut_together_come_back_spread_over_the_jitter() {
        let mut quarters = [0; 4];
        for client in 0..1000 {
            let mut reconnect = Reconnect::new(policy());
            reconnect.delivered();
            let wait = again(&mut reconnect, Ended::Closed, f64::from(client) / 1000.0).as_secs_f64();
            quarters[((wait - 1.0) / (JITTER / 4.0)) as usize] += 1;
        }
        assert!(quarters.iter().all(|n| (240..=260).contains(n)), "{quarters:?}");
    }

    proptest! {
        #[test]
        fn no_wait_is_below_its_floors_or_far_above_the_clamp(
            delay in 0.0..1e6f64, shortest in 0.0..10.0f64, longer in 0.0..1e3f64, random in 0.0..1.0f64,
            steps in proptest::collection::vec((any::<bool>(), any::<bool>(), proptest::option::of(0.0..1e4f64),
                proptest::option::of(any::<u64>())), 1..60),
        ) {
            let clamp = (seconds(shortest), seconds(shortest + longer));
            let mut reconnect = Reconnect::new(Policy { delay: seconds(delay), clamp, ..policy() });
            let mut time = seconds(delay);
            for (delivered, closed, retry_after, asked) in steps {
                if let Some(ms) = asked {
                    reconnect.asked(ms);
                    time = Duration::from_millis(ms);
                }
                if delivered {
                    reconnect.delivered();
                }
                let error = answered(503, retry_after);
                let ended = if closed { Ended::Closed } else { Ended::Failed(&error) };
                let wait = again(&mut reconnect, ended, random);
                prop_assert!(wait >= time.clamp(clamp.0, clamp.1));
                if let (false, Some(floor)) = (closed, retry_after) {
                    prop_assert!(wait >= seconds(floor).min(clamp.1));
                }
                prop_assert!(wait <= clamp.1.mul_f64(1.0 + JITTER) + Duration::from_nanos(1));
                if delivered {
                    let floor = retry_after.filter(|_| !closed).map_or(Duration::ZERO, seconds);
                    let most = time.clamp(clamp.0, clamp.1).max(floor.min(clamp.1));
                    prop_assert!(wait <= most.mul_f64(1.0 + JITTER) + Duration::from_nanos(1));
                }
            }
        }
    }
}
