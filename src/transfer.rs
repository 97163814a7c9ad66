//! What streams and downloads share: a resource asked for from a byte on, what identifies it, and how far it has
//! come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::decode::http_date;
use crate::error::Result;
use crate::exchange::Opened;
use crate::response::Head;
use crate::transport::Token;

/// A part of a resource, or all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The first byte; 0 without a `last` asks for all of it, without a Range.
    pub from: u64,
    /// The last byte that is wanted; None: to the end.
    pub last: Option<u64>,
    /// The resource must still be this one, else all of it is wanted (RFC 9110 13.1.5).
    pub if_range: Option<String>,
    /// The time that is left for the whole call.
    pub left: Option<Duration>,
    /// Attempts that the call has made already.
    pub tried: u32,
}

impl Ask {
    /// The value of Range; None: all of it.
    pub fn range(&self) -> Option<String> {
        match (self.from, self.last) {
            (0, None) => None,
            (from, None) => Some(format!("bytes={from}-")),
            (from, Some(last)) => Some(format!("bytes={from}-{last}")),
        }
    }
}

/// Asks for it: limits, signature, redirects and attempts as for every other request. The answer is a success; what
/// is not comes as an error with the answer in it, 416 too.
pub type Opener = Box<dyn Fn(&Ask, Option<&Arc<Token>>) -> Result<Opened> + Send + Sync>;

/// What a Content-Range says (RFC 9110 14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// First and last byte; None in an answer to a range that is not there.
    pub bytes: Option<(u64, u64)>,
    /// The length of the whole; None where the server does not know it.
    pub total: Option<u64>,
}

impl ContentRange {
    /// None where there is none that can be read, and exactly one.
    pub fn of(head: &Head) -> Option<ContentRange> {
        let mut all = head.get_all("content-range");
        let text = std::str::from_utf8(all.next()?).ok()?.trim();
        if all.next().is_some() {
            return None;
        }
        ContentRange::parse(text)
    }

    fn parse(text: &str) -> Option<ContentRange> {
        // Some servers leave the unit out where they have no range; it is the one that was asked for.
        let (unit, rest) = if text.starts_with("*/") { ("bytes", text) } else { text.split_once(' ')? };
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (bytes, total) = rest.trim().split_once('/')?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        if bytes == "*" {
            return Some(ContentRange { bytes: None, total });
        }
        let (first, last) = bytes.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let is_range = first <= last && total.is_none_or(|total| last < total);
        is_range.then_some(ContentRange { bytes: Some((first, last)), total })
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// What tells that a resource is the same byte for byte, as If-Range wants it: a strong entity tag, else a
/// modification time that is strong (RFC 9110 8.8.2.2): it lies a second or more before the answer.
pub fn strong_validator(head: &Head) -> Option<String> {
    let text = |name: &str| head.get(name).and_then(|v| std::str::from_utf8(v).ok()).map(str::trim);
    if let Some(tag) = text("etag") {
        let is_strong = tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"');
        return is_strong.then(|| tag.to_owned());
    }
    let modified = text("last-modified")?;
    let date = http_date(text("date")?)?;
    let age = date.duration_since(http_date(modified)?).ok()?;
    (age >= Duration::from_secs(1)).then(|| modified.to_owned())
}

/// How far a transfer has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The endpoint's name.
    pub endpoint: String,
    /// Bytes that are there, those of an earlier part included.
    pub processed: u64,
    /// Bytes that came in this call.
    pub streamed: u64,
    /// Bytes there will be in all.
    pub total: Option<u64>,
    /// Chunks that came in this call.
    pub chunks: u64,
    /// Did it begin behind the first byte?
    pub resumed: bool,
    /// Is it all there?
    pub done: bool,
    begun: Instant,
}

impl Progress {
    /// From now; `from` bytes are there already.
    pub fn new(endpoint: &str, from: u64) -> Progress {
        Progress {
            endpoint: endpoint.to_owned(),
            processed: from,
            streamed: 0,
            total: None,
            chunks: 0,
            resumed: from > 0,
            done: false,
            begun: Instant::now(),
        }
    }

    /// Some more came.
    pub fn add(&mut self, bytes: u64) {
        self.processed += bytes;
        self.streamed += bytes;
    }

    /// From 0 to 100; None: unknown.
    pub fn percent(&self) -> Option<f64> {
        match self.total {
            Some(0) => Some(100.0),
            Some(total) => Some((self.processed as f64 / total as f64 * 100.0).min(100.0)),
            None => self.done.then_some(100.0),
        }
    }

    /// Bytes a second, in this call; 0 while nothing came.
    pub fn speed(&self) -> f64 {
        let seconds = self.begun.elapsed().as_secs_f64();
        if seconds > 0.0 { self.streamed as f64 / seconds } else { 0.0 }
    }

    /// The time that is left at this speed; None: unknown.
    pub fn eta(&self) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.processed);
        let speed = self.speed();
        match left {
            0 => Some(Duration::ZERO),
            _ if speed > 0.0 => Duration::try_from_secs_f64(left as f64 / speed).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Head {
        crate::response::head(206, fields)
    }

    #[test]
    fn a_content_range_is_read_strictly() {
        let range = |bytes, total| Some(ContentRange { bytes, total });
        for (text, expected) in [
            ("bytes 0-9/10", range(Some((0, 9)), Some(10))),
            ("bytes 5-9/*", range(Some((5, 9)), None)),
            ("bytes */10", range(None, Some(10))),
            ("*/10", range(None, Some(10))),
            ("Bytes 0-0/1", range(Some((0, 0)), Some(1))),
            ("bytes 9-5/10", None),
            ("bytes 0-10/10", None),
            ("bytes 0-9", None),
            ("0-9/10", None),
            ("bytes +0-9/10", None),
            ("bytes 0-99999999999999999999/*", None),
            ("items 0-9/10", None),
            ("bytes=0-9/10", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::of(&head(&[("Content-Range", text)])), expected, "{text}");
        }
        let two = head(&[("Content-Range", "bytes 0-9/10"), ("Content-Range", "bytes 0-9/10")]);
        assert_eq!(ContentRange::of(&two), None);
    }

    #[test]
    fn only_what_is_strong_is_a_validator() {
        let of = |fields: &[(&str, &str)]| strong_validator(&head(fields));
        let (day, late) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(of(&[("ETag", "\"a\"")]).as_deref(), Some("\"a\""));
        assert_eq!(of(&[("ETag", "W/\"a\"")]), None);
        assert_eq!(of(&[("ETag", "a")]), None);
        // A weak tag says that the bytes may differ, whatever the date says.
        assert_eq!(of(&[("ETag", "W/\"a\""), ("Last-Modified", day), ("Date", late)]), None);
        assert_eq!(of(&[("Last-Modified", day), ("Date", late)]).as_deref(), Some(day));
        assert_eq!(of(&[("Last-Modified", day), ("Date", day)]), None);
        assert_eq!(of(&[("Last-Modified", day)]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_percentage_is_known_where_the_total_is() {
        let mut progress = Progress::new("e", 25);
        assert_eq!((progress.percent(), progress.eta()), (None, None));
        progress.total = Some(100);
        progress.add(25);
        assert_eq!((progress.percent(), progress.processed, progress.streamed), (Some(50.0), 50, 25));
        assert!(progress.resumed && progress.eta().is_some());
    }
}
