//! The device flow (RFC 8628): what the server says about a sign-in, and when it is asked whether the person is done.
//! Pure: it is told the time.

use std::time::{Duration, Instant};

use url::Url;

use super::answer::Members;
use crate::auth::is_visible;
use crate::config::Secret;

/// RFC 8628 3.2: where the server says none.
const INTERVAL: Duration = Duration::from_secs(5);

/// No server is asked more often.
const SHORTEST: Duration = Duration::from_secs(1);

/// A server in trouble is not left alone for longer, unless it says so.
const LONGEST: Duration = Duration::from_secs(300);

/// RFC 8628 3.5: so much more for good, each time that the server says slow_down.
const SLOWER: Duration = Duration::from_secs(5);

/// A sign-in ends some time, also where nobody has said when.
const LIFE: Duration = Duration::from_secs(1800);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What a device authorization endpoint says (RFC 8628 3.2).
#[derive(Debug)]
pub(super) struct Codes {
    pub device_code: Secret,
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: Option<String>,
    pub expires_in: Duration,
    /// None: it has not said.
    pub interval: Option<Duration>,
}

/// Reads its answer. A fault says nothing of what is in it.
pub(super) fn codes(body: &[u8]) -> Result<Codes, &'static str> {
    let answer = Members::read(body).ok_or("answered with something that RFC 8628 3.2 does not know")?;
    // A person will see them, or a browser be sent there.
    let shown = |name: &str| answer.text(name).filter(|t| !t.is_empty() && !t.contains(char::is_control));
    let address = |name: &str| {
        shown(name).filter(|t| Url::parse(t).is_ok_and(|url| matches!(url.scheme(), "https" | "http")))
    };
    let device_code = answer.text("device_code").filter(|code| !code.is_empty() && is_visible(code));
    let life = answer.seconds("expires_in").map_or(LIFE, |life| duration(life, LONGEST_LIFE));
    Ok(Codes {
        device_code: device_code
            .map(Secret::new)
            .ok_or("answered without a device_code that can be sent (RFC 8628 3.2)")?,
        user_code: shown("user_code").ok_or("answered without a user_code (RFC 8628 3.2)")?,
        verification_uri: address("verification_uri")
            // Google's name for it, from before the RFC.
            .or_else(|| address("verification_url"))
            .ok_or("answered without a verification_uri that is an address (RFC 8628 3.2)")?,
        verification_uri_complete: address("verification_uri_complete")
            .or_else(|| address("verification_url_complete")),
        expires_in: life,
        interval: answer.seconds("interval").map(|interval| duration(interval, LONGEST_LIFE)),
    })
}

fn duration(seconds: f64, most: Duration) -> Duration {
    let long = Duration::try_from_secs_f64(seconds.max(0.0));
    long.map_or(most, |long| long.min(most))
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// authorization_pending
    Pending,
    /// slow_down
    SlowDown,
    /// Nothing, or a server in trouble.
    Trouble,
}

/// When the token endpoint is asked.
#[derive(Clone, Debug)]
pub(super) struct Polling {
    interval: Duration,
    /// In a row.
    troubles: u32,
    next: Instant,
    ends: Instant,
}

impl Polling {
    /// From now on for so long. `said`: by the server; `least`: by the configuration.
    pub fn new(said: Option<Duration>, least: Option<Duration>, life: Duration, now: Instant) -> Polling {
        let interval = said.max(least).unwrap_or(INTERVAL).clamp(SHORTEST, LONGEST_LIFE);
        Polling { interval, troubles: 0, next: now + interval, ends: now + life }
    }

    /// The same for a device code from elsewhere, of which nobody knows how long it lives.
    pub fn of_unknown(least: Option<Duration>, now: Instant) -> Polling {
        Polling::new(None, least, LIFE, now)
    }

    /// Between two questions.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// When the next question is due; None: the codes end before.
    pub fn next(&self) -> Option<Instant> {
        (self.next < self.ends).then_some(self.next)
    }

    /// A question is asked. Whether or not its answer is waited for, the next one keeps its distance.
    pub fn asks(&mut self, now: Instant) {
        self.next = now + self.interval;
    }

    /// A question was answered, or not. `left_alone`: for so long the server does not want to be asked.
    pub fn came(&mut self, came: Came, left_alone: Option<Duration>, now: Instant) {
        self.troubles = if came == Came::Trouble { self.troubles.saturating_add(1) } else { 0 };
        if came == Came::SlowDown {
            self.interval += SLOWER;
        }
        // RFC 8628 3.5: twice as long each time, where the server does not answer.
        let longer = self.interval.saturating_mul(1 << self.troubles.min(16)).min(LONGEST.max(self.interval));
        // A wish that would outlast the codes is none: they would be lost.
        let asked_for = left_alone.unwrap_or_default();
        let left = self.ends.saturating_duration_since(now);
        let asked_for = if asked_for < left { asked_for } else { LONGEST };
        self.next = now.checked_add(longer.max(asked_for)).unwrap_or(self.ends);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Plays what comes against a clock of its own: the times of the questions, in seconds.
    fn play(
        said: Option<u64>,
        least: Option<u64>,
        life: u64,
        mut came: impl FnMut(usize) -> (Came, Option<Duration>),
    ) -> Vec<u64> {
        let begun = Instant::now();
        let mut polling = Polling::new(said.map(s), least.map(s), s(life), begun);
        let mut times = Vec::new();
        while let Some(at) = polling.next() {
            times.push((at - begun).as_secs());
            polling.asks(at);
            let (came, left_alone) = came(times.len());
            polling.came(came, left_alone, at);
        }
        times
    }

    #[test]
    fn who_has_not_said_is_asked_every_five_seconds_until_the_code_ends() {
        assert_eq!(play(None, None, 20, |_| (Came::Pending, None)), [5, 10, 15]);
    }

    #[test]
    fn the_longer_of_the_two_intervals_counts_and_none_is_silly() {
        assert_eq!(play(Some(2), Some(7), 20, |_| (Came::Pending, None)), [7, 14]);
        assert_eq!(play(Some(7), Some(2), 20, |_| (Came::Pending, None)), [7, 14]);
        assert_eq!(play(None, Some(2), 5, |_| (Came::Pending, None)), [2, 4]);
        assert_eq!(play(Some(0), Some(0), 4, |_| (Came::Pending, None)), [1, 2, 3]);
    }

    #[test]
    fn no_question_comes_earlier_than_the_server_says() {
        assert_eq!(play(Some(5), None, 8, |_| (Came::Pending, None)), [5]);
        assert_eq!(play(Some(900), None, 2000, |_| (Came::Pending, None)), [900, 1800]);
        // Where its codes end before, there is none.
        assert!(play(Some(1 << 30), None, 1800, |_| (Came::Pending, None)).is_empty());
        assert!(play(Some(u64::MAX / 2), None, 60, |_| (Came::Pending, None)).is_empty());
    }

    #[test]
    fn a_question_without_an_answer_moves_the_next_one_too() {
        let begun = Instant::now();
        let mut polling = Polling::new(Some(s(5)), None, s(60), begun);
        polling.asks(begun + s(7));
        assert_eq!(polling.next(), Some(begun + s(12)));
    }

    #[test]
    fn slow_down_is_for_good() {
        let came = |n| (if n < 3 { Came::SlowDown } else { Came::Pending }, None);
        assert_eq!(play(Some(5), None, 60, came), [5, 15, 30, 45]);
    }

    #[test]
    fn trouble_doubles_the_wait_until_there_is_an_answer() {
        let came = |n| (if (2..5).contains(&n) { Came::Trouble } else { Came::Pending }, None);
        assert_eq!(play(Some(5), None, 120, came), [5, 10, 20, 40, 80, 85, 90, 95, 100, 105, 110, 115]);
        // And does not grow for ever.
        let times = play(Some(5), None, 4000, |_| (Came::Trouble, None));
        assert_eq!(times.windows(2).map(|w| w[1] - w[0]).max(), Some(300));
        let asked = |_| (Came::Trouble, Some(s(30)));
        assert_eq!(play(Some(5), None, 100, asked), [5, 35, 65]);
        // Whatever it says besides.
        assert_eq!(play(Some(5), None, 1100, |_| (Came::Pending, Some(s(500)))), [5, 505, 1005]);
        // A wish that would outlast the code is none.
        assert_eq!(play(Some(5), None, 400, |_| (Came::Trouble, Some(s(1 << 30)))), [5, 305]);
    }

    #[test]
    fn the_answer_of_a_server_is_read_with_the_leniencies_that_are_needed() {
        let read = |further: &str| {
            codes(format!(r#"{{"device_code": "d", "user_code": "WDJB-MJHT"{further}}}"#).as_bytes())
        };
        let c = read(r#", "verification_uri": "https://a.example/d", "expires_in": "1800", "interval": 5"#)
            .unwrap();
        assert_eq!((c.expires_in, c.interval, c.verification_uri_complete), (s(1800), Some(s(5)), None));
        let c = read(r#", "verification_url": "https://www.google.com/device", "interval": -1"#).unwrap();
        assert_eq!((c.verification_uri.as_str(), c.expires_in), ("https://www.google.com/device", LIFE));
        assert_eq!(c.interval, Some(s(0)));
        let both = r#", "verification_uri": "https://a.example", "verification_url": "https://b.example""#;
        assert_eq!(read(both).unwrap().verification_uri, "https://a.example");
        let c = read(r#", "verification_uri": "https://a.example", "expires_in": 1e99, "interval": 1e99"#)
            .unwrap();
        assert_eq!((c.expires_in, c.interval), (LONGEST_LIFE, Some(LONGEST_LIFE)));
        let c = read(
            r#", "verification_uri": "https://a.example", "verification_uri_complete": "javascript:canary()""#,
        );
        assert_eq!(c.unwrap().verification_uri_complete, None);
    }

    #[test]
    fn what_nobody_could_sign_in_with_is_refused_unseen() {
        for body in [
            "<html>canary</html>",
            r#"{"user_code": "canary", "verification_uri": "https://a.example"}"#,
            r#"{"device_code": "canary\n", "user_code": "u", "verification_uri": "https://a.example"}"#,
            r#"{"device_code": "canary", "verification_uri": "https://a.example"}"#,
            r#"{"device_code": "d", "user_code": "canary\u001b[2J", "verification_uri": "https://a.example"}"#,
            r#"{"device_code": "d", "user_code": "canary"}"#,
            r#"{"device_code": "d", "user_code": "u", "verification_uri": "javascript:canary()"}"#,
        ] {
            let what = codes(body.as_bytes()).unwrap_err();
            assert!(!what.contains("canary"), "{what}");
        }
    }
}
