//! What a server says about its rate limits, in the fields that are in use.
//!
//! Two families: fields of one number each (`X-RateLimit-Remaining` and its many spellings, told apart by the words
//! in their names), and the IETF's structured fields `RateLimit` and `RateLimit-Policy`.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parser};

use crate::decode::http_date;
use crate::response::Head;

/// Nobody means a longer one.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// By a clock that was never set, everything is longer than the time since 1970; but what is longer than this
/// is a point in time.
const NEVER_A_WAIT: Duration = Duration::from_secs(50_000_000);

/// A server has few limits; what names more than these is not read.
const MOST: usize = 32;

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
    /// The tightest of what the server says. None where it says nothing.
    pub(crate) fn of(head: &Head, received: SystemTime) -> Option<Quota> {
        let windows = windows(head, received).into_iter();
        let tightest = windows.min_by_key(|w| (w.remaining.unwrap_or(u64::MAX), Reverse(w.reset)))?;
        let reset_ms = tightest.reset.map(|r| r.as_millis() as u64);
        Some(Quota { limit: tightest.limit, remaining: tightest.remaining, reset_ms })
    }
}

/// What a server says about one of its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// Tells it from the others of the same server.
    pub name: String,
    pub limit: Option<u64>,
    pub remaining: Option<u64>,
    /// From the answer's arrival.
    pub reset: Option<Duration>,
    /// How long it is.
    pub span: Option<Duration>,
}

/// Every limit that the answer speaks of.
pub(crate) fn windows(head: &Head, received: SystemTime) -> Vec<Window> {
    let mut windows = Windows::default();
    let fields = head.iter().filter_map(|(name, value)| {
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let value = std::str::from_utf8(value).ok()?.trim();
        name.contains("rate").then_some((name, value))
    });
    let (mut rates, mut policies, mut scope) = (String::new(), String::new(), String::new());
    let join = |list: &mut String, value: &str| {
        // The lines of one list (RFC 9110 5.3).
        list.extend([if list.is_empty() { "" } else { ", " }, value]);
    };
    let clock = Clock::of(head, received);
    for (name, value) in fields {
        match name.as_str() {
            "ratelimit" => join(&mut rates, value),
            "ratelimit-policy" => join(&mut policies, value),
            name => match Meaning::of(name) {
                Some((Meaning::Scope, _)) => scope = format!(" of {value}"),
                Some((meaning, limit)) => meaning.note(value, &clock, windows.named(&limit)),
                None => {}
            },
        }
    }
    // One path may count for another limit than the next one, under the same names (GitHub, Discord).
    windows.0.iter_mut().for_each(|w| w.name.push_str(&scope));
    windows.structured(&rates);
    windows.structured(&policies);
    windows.0.retain(|w| w.limit.is_some() || w.remaining.is_some() || w.reset.is_some());
    windows.0.iter_mut().for_each(|w| w.reset = w.reset.map(|r| r.min(LONGEST)));
    windows.0
}

/// What a field of one number is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Limit,
    Remaining,
    Reset,
    ResetAfter,
    /// Which of several limits the others are about.
    Scope,
}

impl Meaning {
    /// The meaning of a field, and the limit that it is about: `x-ratelimit-reset-tokens` is the reset of `tokens`.
    fn of(name: &str) -> Option<(Meaning, String)> {
        let name = name.replace("rate-limit", "ratelimit");
        let (mut meaning, mut limit, mut is_one) = (None, String::new(), false);
        for word in name.split('-') {
            let here = match word {
                "ratelimit" => {
                    is_one = true;
                    continue;
                }
                "x" => continue,
                "limit" => Meaning::Limit,
                "remaining" => Meaning::Remaining,
                "reset" => Meaning::Reset,
                "after" if meaning == Some(Meaning::Reset) => Meaning::ResetAfter,
                "resource" | "bucket" => Meaning::Scope,
                other => {
                    limit.extend([if limit.is_empty() { "" } else { "-" }, other]);
                    continue;
                }
            };
            if meaning.is_some() && here != Meaning::ResetAfter {
                return None;
            }
            meaning = Some(here);
        }
        meaning.filter(|_| is_one).map(|meaning| (meaning, limit))
    }

    /// The first field of a kind counts; a reset that needs no clock is better than one that does.
    fn note(self, value: &str, clock: &Clock, window: &mut Window) {
        // `100, 100;w=60`: the number that counts now, then the policies.
        let first = value.split([',', ';']).next().unwrap_or_default().trim();
        let count = || seconds(first).map(|n| n as u64);
        match self {
            Meaning::Limit => window.limit = window.limit.or_else(count),
            Meaning::Remaining => window.remaining = window.remaining.or_else(count),
            Meaning::Reset => window.reset = window.reset.or_else(|| clock.until(value)),
            Meaning::ResetAfter => window.reset = span(first).or(window.reset),
            Meaning::Scope => {}
        }
    }
}

/// Limits by their names.
#[derive(Default)]
struct Windows(Vec<Window>);

impl Windows {
    fn named(&mut self, name: &str) -> &mut Window {
        let at = self.0.iter().position(|w| w.name == name).unwrap_or_else(|| {
            self.0.push(Window { name: name.into(), ..Window::default() });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// `"name";r=50;t=30` and `"name";q=100;w=60`: a list of named limits. What is no list of that kind is no
    /// field at all (RFC 9651 4.2). An earlier draft had `limit=100, remaining=50, reset=30`.
    fn structured(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Ok(list) = Parser::new(text).parse::<List>() {
            list.iter().take(MOST).for_each(|member| self.member(member));
        } else if let Ok(fields) = Parser::new(text).parse::<Dictionary>() {
            let number = |key| match fields.get(key)? {
                ListEntry::Item(item) => whole(&item.bare_item),
                ListEntry::InnerList(_) => None,
            };
            let (limit, remaining) = (number("limit"), number("remaining"));
            let reset = number("reset").map(Duration::from_secs);
            *self.named("\"\"") =
                Window { name: "\"\"".into(), limit, remaining, reset, ..Window::default() };
        }
    }

    fn member(&mut self, member: &ListEntry) {
        let ListEntry::Item(Item { bare_item, params }) = member else { return };
        let name = match bare_item {
            BareItem::String(name) => name.as_str(),
            BareItem::Token(name) => name.as_str(),
            _ => return,
        };
        // The share of one client or tenant is a limit of its own.
        let share = match params.get("pk") {
            Some(BareItem::ByteSequence(key)) => format!(" {key:?}"),
            _ => String::new(),
        };
        let number = |key| params.get(key).and_then(whole);
        let window = self.named(&format!("{name:?}{share}"));
        window.limit = window.limit.or(number("q"));
        window.remaining = window.remaining.or(number("r"));
        window.reset = window.reset.or(number("t").map(Duration::from_secs));
        window.span = window.span.or(number("w").map(Duration::from_secs));
    }
}

fn whole(item: &BareItem) -> Option<u64> {
    match item {
        BareItem::Integer(n) => u64::try_from(i64::from(*n)).ok(),
        _ => None,
    }
}

/// The clock by which the server tells the time.
struct Clock {
    now: SystemTime,
}

impl Clock {
    /// The answer's own, where it has a Date: ours may be wrong.
    fn of(head: &Head, received: SystemTime) -> Clock {
        let date = head.get("date").and_then(|d| http_date(std::str::from_utf8(d).ok()?));
        Clock { now: date.unwrap_or(received) }
    }

    /// How long until `text`: a time to come in seconds (or with units), a point in time in seconds or a finer
    /// unit since 1970, an HTTP date, an RFC 3339 timestamp.
    fn until(&self, text: &str) -> Option<Duration> {
        let at = match span(text.split([',', ';']).next()?.trim()) {
            Some(length) => match self.point(length) {
                Some(at) => at,
                None => return Some(length),
            },
            None => date(text)?,
        };
        Some(at.duration_since(self.now).unwrap_or_default())
    }

    /// A number so large that it is a point in time: nobody has to wait half of the time since 1970.
    fn point(&self, number: Duration) -> Option<SystemTime> {
        let now = self.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let least = (now / 2).max(NEVER_A_WAIT);
        let unit = [1_000_000_000, 1_000_000, 1000, 1].into_iter().find(|unit| number / *unit >= least)?;
        UNIX_EPOCH.checked_add(number / unit)
    }
}

/// `30`, `1.5`, `6m0s`, `20ms`, `1h2m3.5s`.
fn span(text: &str) -> Option<Duration> {
    if let Some(number) = seconds(text) {
        return Duration::try_from_secs_f64(number).ok();
    }
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number = seconds(&rest[..digits])?;
        rest = &rest[digits..];
        let (unit, after) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        sum += number * factor;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(sum).ok()).flatten()
}

/// A number as servers write it; not `inf`, `1e9` or `-1`.
fn seconds(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse::<f64>().ok().filter(|n| plain && n.is_finite())
}

fn date(text: &str) -> Option<SystemTime> {
    if let Some(at) = http_date(text) {
        return Some(at);
    }
    // An offset is not read by the parser: the date without it, and the offset taken off.
    let (date, ahead, behind) = match text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)) {
        Some((date, offset)) if date.contains(':') && offset.starts_with(['+', '-']) => {
            let (hours, minutes) = offset[1..].split_once(':')?;
            let offset_of = |t: &str| seconds(t).filter(|n| *n < 60.0).map(|n| n as u64);
            let by = Duration::from_secs(offset_of(hours)? * 3600 + offset_of(minutes)? * 60);
            if offset.starts_with('+') { (date, by, Duration::ZERO) } else { (date, Duration::ZERO, by) }
        }
        _ => (text, Duration::ZERO, Duration::ZERO),
    };
    humantime::parse_rfc3339_weak(date).ok()?.checked_sub(ahead)?.checked_add(behind)
}

#[cfg(test)]
mod tests;
