//! What a server says about its rate limit, in the fields that are in use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::response::Head;

/// No reset is so many seconds away: a larger number is a point in time.
const EPOCH: f64 = 1e9;

/// The meta's `rate_limit`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Quota {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    /// From now.
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_ms: Option<u64>,
}

impl Quota {
    /// None where the server says nothing.
    pub(crate) fn of(head: &Head, now: SystemTime) -> Option<Quota> {
        let text = |name: &str| std::str::from_utf8(head.get(name)?).ok().map(str::trim);
        let plain = |what: &str| {
            ["x-ratelimit-", "ratelimit-", "x-rate-limit-"]
                .iter()
                .find_map(|prefix| text(&format!("{prefix}{what}")))
        };
        // The IETF's newer form: `RateLimit: "name";r=9;t=30` and `RateLimit-Policy: "name";q=10;w=60`.
        let member = |field: &str, key: &str| {
            let first = text(field)?.split(',').next()?;
            let (_, value) =
                first.split(';').filter_map(|p| p.split_once('=')).find(|(k, _)| k.trim() == key)?;
            value.trim().parse::<f64>().ok()
        };
        let number = |text: &str| text.split([',', ';']).next()?.trim().parse::<f64>().ok();
        let limit = plain("limit").and_then(number).or_else(|| member("ratelimit-policy", "q"));
        let remaining = plain("remaining").and_then(number).or_else(|| member("ratelimit", "r"));
        let reset = plain("reset")
            .and_then(|text| number(text).or_else(|| date(text, now)))
            .map(|s| from_now(s, now))
            .or_else(|| member("ratelimit", "t"));
        let whole = |n: f64| (n >= 0.0).then_some(n as u64);
        let quota = Quota {
            limit: limit.and_then(whole),
            remaining: remaining.and_then(whole),
            reset_ms: reset.map(|s| s * 1000.0).and_then(whole),
        };
        (quota != Quota::default()).then_some(quota)
    }
}

fn from_now(seconds: f64, now: SystemTime) -> f64 {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    // Some count milliseconds.
    let seconds = if seconds > EPOCH * 1000.0 { seconds / 1000.0 } else { seconds };
    if seconds > EPOCH { (seconds - now).max(0.0) } else { seconds }
}

fn date(text: &str, now: SystemTime) -> Option<f64> {
    let at =
        httpdate::parse_http_date(text).or_else(|_| humantime::parse_rfc3339(text).map_err(drop)).ok()?;
    Some(at.duration_since(now).unwrap_or(Duration::ZERO).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(fields: &[(&str, &str)]) -> Option<Quota> {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for (name, value) in fields {
            let at = bytes.len() as u32;
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(value.as_bytes());
            let middle = at + name.len() as u32;
            places.push((at..middle, middle..bytes.len() as u32));
        }
        let head = Head::new(200, 1, bytes.into(), places.into_iter());
        Quota::of(&head, UNIX_EPOCH + Duration::from_secs(1_700_000_000))
    }

    fn of(limit: u64, remaining: u64, reset_ms: u64) -> Option<Quota> {
        Some(Quota { limit: Some(limit), remaining: Some(remaining), reset_ms: Some(reset_ms) })
    }

    #[test]
    fn every_form_in_use_is_read() {
        let x = |reset| {
            quota(&[
                ("X-RateLimit-Limit", "60"),
                ("X-RateLimit-Remaining", "7"),
                ("X-RateLimit-Reset", reset),
            ])
        };
        for (reset, ms) in [
            ("30", 30_000),
            ("1.5", 1500),
            ("1700000030", 30_000),
            ("1700000030000", 30_000),
            ("1600000000", 0),
            ("Tue, 14 Nov 2023 22:13:50 GMT", 30_000),
            ("2023-11-14T22:13:50Z", 30_000),
        ] {
            assert_eq!(x(reset), of(60, 7, ms), "{reset}");
        }
        let draft = [("RateLimit-Policy", "\"a\";q=60;w=60, \"b\";q=9"), ("RateLimit", "\"a\";r=7;t=30")];
        assert_eq!(quota(&draft), of(60, 7, 30_000));
        let older =
            [("RateLimit-Limit", "60, 60;w=60"), ("RateLimit-Remaining", "7"), ("RateLimit-Reset", "30")];
        assert_eq!(quota(&older), of(60, 7, 30_000));
    }

    #[test]
    fn nonsense_is_nothing() {
        assert_eq!(quota(&[]), None);
        assert_eq!(
            quota(&[("X-RateLimit-Limit", "many"), ("X-RateLimit-Reset", "-5"), ("RateLimit", "x")]),
            None
        );
        let part = quota(&[("X-RateLimit-Remaining", "0")]);
        assert_eq!(part, Some(Quota { remaining: Some(0), ..Quota::default() }));
    }
}
