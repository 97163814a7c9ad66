//! May a request be sent again, and when? Pure: it is told what happened, the time that is left, and a random
//! number.

use std::time::Duration;

use crate::config::settings::Retry;
use crate::error::{Error, Kind, Sent};

/// A failed attempt, as far as it decides about another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed<'a> {
    pub error: &'a Error,
    /// Does repeating the request do no harm: by its method (RFC 9110 9.2.2), or by an Idempotency-Key?
    pub repeatable: bool,
    /// Does a rule of the configuration say that this answer asks for another attempt?
    pub ruled: bool,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another attempt, so much later.
    Again(Duration),
    /// There would be one, but the server asks for a longer wait than the caller allows.
    TooLong(Duration),
    /// None: the failure stands.
    Stop,
}

/// What follows the failure of attempt number `tries`. `left`: until the call's deadline; `random`: 0 to 1.
pub(crate) fn next(
    retry: &Retry,
    tries: u32,
    failed: Failed<'_>,
    left: Option<Duration>,
    random: f64,
) -> Next {
    if tries >= retry.attempts || !may_repeat(retry, failed) {
        return Next::Stop;
    }
    let fits = |wait: Duration| left.is_none_or(|left| wait < left);
    let backoff = backoff(retry, tries, random);
    match failed.error.retry_after {
        Some(floor) if floor > retry.max_wait || !fits(floor) => Next::TooLong(floor),
        // The server's wish is a floor; the jitter above it must not cost the attempt its time.
        Some(floor) => Next::Again(Some(floor.max(backoff)).filter(|wait| fits(*wait)).unwrap_or(floor)),
        None if fits(backoff) => Next::Again(backoff),
        None => Next::Stop,
    }
}

/// Full jitter: somewhere between nothing and the exponential backoff, so that clients which failed together do not
/// come back together.
fn backoff(retry: &Retry, tries: u32, random: f64) -> Duration {
    let factor = 1u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
    retry.delay.saturating_mul(factor).min(retry.max).mul_f64(random)
}

fn may_repeat(retry: &Retry, failed: Failed<'_>) -> bool {
    let Failed { error, repeatable, ruled } = failed;
    if ruled {
        return true;
    }
    match error.kind() {
        Kind::HttpStatus | Kind::RateLimited | Kind::Auth => {
            let Some(status) = error.http_status else { return false };
            retry.statuses.contains(status) && (repeatable || error.undone)
        }
        _ => error.is_transient() && (repeatable || error.sent == Sent::No),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::config::Settings;

    fn seconds(n: f64) -> Duration {
        Duration::from_secs_f64(n)
    }

    fn policy() -> Retry {
        Settings::default().retry
    }

    fn answered(status: u16, retry_after: Option<f64>) -> Error {
        let kind = match status {
            401 | 403 => Kind::Auth,
            429 => Kind::RateLimited,
            _ => Kind::HttpStatus,
        };
        let mut error = Error::new(kind, "");
        error.http_status = Some(status);
        error.sent = Sent::Yes;
        error.retry_after = retry_after.map(seconds);
        error.undone = status == 429 || (status == 503 && retry_after.is_some());
        error
    }

    fn unanswered(kind: Kind, sent: Sent) -> Error {
        let mut error = Error::new(kind, "");
        error.sent = sent;
        error
    }

    fn again(error: &Error, repeatable: bool) -> bool {
        let failed = Failed { error, repeatable, ruled: false };
        next(&policy(), 1, failed, None, 0.5) != Next::Stop
    }

    #[test]
    fn what_may_be_repeated_is_decided_by_what_the_server_may_have_done() {
        use Sent::{Maybe, No, Yes};
        for (error, safe, unsafe_) in [
            (answered(500, None), true, false),
            (answered(503, None), true, false),
            (answered(503, Some(1.0)), true, true),
            (answered(429, None), true, true),
            (answered(429, Some(0.0)), true, true),
            (answered(408, None), true, false),
            (answered(404, None), false, false),
            (answered(404, Some(1.0)), false, false),
            (answered(401, None), false, false),
            (answered(501, None), false, false),
            (unanswered(Kind::Dns, No), true, true),
            (unanswered(Kind::Connect, No), true, true),
            (unanswered(Kind::Io, No), true, true),
            (unanswered(Kind::Io, Maybe), true, false),
            (unanswered(Kind::Timeout, Maybe), true, false),
            (unanswered(Kind::Truncated, Yes), true, false),
            (unanswered(Kind::Protocol, Yes), false, false),
            (unanswered(Kind::TooLarge, Yes), false, false),
            (unanswered(Kind::Cancelled, No), false, false),
            (unanswered(Kind::Tls, No), false, false),
            (unanswered(Kind::Redirect, Yes), false, false),
            (unanswered(Kind::File, No), false, false),
        ] {
            assert_eq!((again(&error, true), again(&error, false)), (safe, unsafe_), "{error:?}");
        }
    }

    #[test]
    fn what_cannot_pass_is_not_repeated_although_nothing_was_sent() {
        let mut blocked = unanswered(Kind::Connect, Sent::No);
        blocked.transient = Some(false);
        assert!(!again(&blocked, true));
        let mut cut = unanswered(Kind::Tls, Sent::No);
        cut.transient = Some(true);
        assert!(again(&cut, false));
    }

    #[test]
    fn a_rule_may_ask_for_another_attempt_whatever_the_status() {
        let error = answered(200, None);
        let ruled = Failed { error: &error, repeatable: false, ruled: true };
        assert_eq!(next(&policy(), 1, ruled, None, 1.0), Next::Again(seconds(1.0)));
        assert_eq!(next(&policy(), 3, ruled, None, 1.0), Next::Stop);
    }

    #[test]
    fn a_wait_that_is_too_long_is_told_and_not_begun() {
        let (hour, short) = (answered(503, Some(3600.0)), answered(503, Some(5.0)));
        let of =
            |error, left| next(&policy(), 1, Failed { error, repeatable: true, ruled: false }, left, 1.0);
        assert_eq!(of(&hour, None), Next::TooLong(seconds(3600.0)));
        assert_eq!(of(&short, Some(seconds(4.0))), Next::TooLong(seconds(5.0)));
        assert_eq!(of(&short, Some(seconds(6.0))), Next::Again(seconds(5.0)));
        // Nobody asked for this wait: the failure itself says more.
        assert_eq!(of(&answered(500, None), Some(seconds(0.5))), Next::Stop);
    }

    #[test]
    fn the_jitter_above_the_servers_wish_gives_way_to_the_deadline() {
        let error = answered(503, Some(1.0));
        let policy = Retry { delay: seconds(10.0), ..policy() };
        let failed = Failed { error: &error, repeatable: true, ruled: false };
        assert_eq!(next(&policy, 1, failed, None, 0.5), Next::Again(seconds(5.0)));
        assert_eq!(next(&policy, 1, failed, Some(seconds(2.0)), 0.5), Next::Again(seconds(1.0)));
    }

    #[test]
    fn clients_that_failed_together_come_back_spread_over_the_whole_backoff() {
        // A fixed sequence of numbers that are spread evenly stands for many clients' random ones.
        let error = answered(500, None);
        let failed = Failed { error: &error, repeatable: true, ruled: false };
        let mut histogram = [0u32; 10];
        for client in 0..10_000u32 {
            let random = f64::from(client.wrapping_mul(2_654_435_761) >> 8) / f64::from(1u32 << 24);
            let Next::Again(wait) = next(&policy(), 2, failed, None, random) else { panic!() };
            histogram[(wait.as_secs_f64() / 0.2) as usize] += 1;
        }
        assert!(histogram.iter().all(|n| (900..=1100).contains(n)), "{histogram:?}");
    }

    proptest! {
        #[test]
        fn no_attempt_is_too_early_too_late_or_too_many(
            delay in 0.0..1e6f64, max in 0.0..1e6f64, max_wait in 0.0..1e6f64, attempts in 1u32..100,
            floor in proptest::option::of(0.0..1e6f64), left in proptest::option::of(0.0..1e6f64),
            random in 0.0..1.0f64, tries in 1u32..200,
        ) {
            let policy = Retry {
                attempts, delay: seconds(delay), max: seconds(max), max_wait: seconds(max_wait), ..policy()
            };
            let error = answered(503, floor);
            let failed = Failed { error: &error, repeatable: true, ruled: false };
            let (floor, left) = (floor.map(seconds), left.map(seconds));
            match next(&policy, tries, failed, left, random) {
                Next::Again(wait) => {
                    prop_assert!(tries < attempts);
                    prop_assert!(wait >= floor.unwrap_or_default(), "before the server's time");
                    prop_assert!(wait <= floor.unwrap_or_default().max(seconds(max)), "over the cap");
                    prop_assert!(left.is_none_or(|left| wait < left), "beyond the deadline");
                }
                Next::TooLong(wait) => {
                    prop_assert_eq!(Some(wait), floor);
                    prop_assert!(wait > seconds(max_wait) || left.is_some_and(|left| wait >= left));
                }
                Next::Stop => prop_assert!(tries >= attempts || (floor.is_none() && left.is_some())),
            }
        }
    }
}
