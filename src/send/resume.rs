//! A ledger of an earlier call, to go on with.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ledger::mark;
use crate::config::Entries;
use crate::error::{Error, Kind, Result, Sent};

/// What an earlier call made of the items of the same list.
#[derive(Debug, Default)]
pub struct Earlier<'a>(Vec<Option<Before<'a>>>);

/// What became of an item before.
#[derive(Debug)]
pub enum Before<'a> {
    /// It is done.
    Done {
        /// The answer's status.
        status: Option<u16>,
        /// How often it was sent.
        attempts: u64,
        /// What the server made of it.
        result: &'a str,
        /// The item whose result that is, where it is another one.
        result_at: Option<usize>,
    },
    /// It failed, and the server has said so, or never saw it.
    Failed,
    /// It may have been processed.
    Unclear {
        /// The answer's status.
        status: Option<u16>,
        /// How often it was sent.
        attempts: u64,
        /// Did it reach the server?
        sent: Sent,
        /// The Idempotency-Key that it was sent with.
        key: Option<String>,
    },
}

/// An item of a ledger. Keys that are not known are a later version's.
#[derive(Deserialize)]
struct Item<'a> {
    index: usize,
    ok: bool,
    status: Option<u16>,
    #[serde(default)]
    attempts: u64,
    sent: Option<String>,
    hash: Option<String>,
    idempotency_key: Option<String>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    result_at: Option<usize>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> Earlier<'a> {
    /// Reads the option `resume`: a ledger's items, or a whole ledger. It has to fit the list.
    pub fn read(ledger: &'a RawValue, list: &[&RawValue]) -> Result<Earlier<'a>> {
        let (items, place) = items(ledger)?;
        let wrong = |at: usize, what: String| Error::argument(format!("options: {place}/{at}: {what}"));
        if items.len() > list.len() {
            let (there, sent) = (items.len(), list.len());
            let what = format!("the ledger has {there} items, the list {sent}: it is another list's");
            return Err(Error::argument(format!("options: {place}: {what}")));
        }
        let mut all: Vec<Option<Before<'_>>> = list.iter().map(|_| None).collect();
        for (at, raw) in items.into_iter().enumerate() {
            let item: Item<'_> = serde_json::from_str(raw.get()).map_err(|e| {
                let what = e.to_string();
                let what = what.split(" at line ").next().unwrap_or_default();
                wrong(at, format!("is no item of a ledger: {what}"))
            })?;
            let index = item.index;
            let Some((slot, data)) = all.get_mut(index).zip(list.get(index)) else {
                let count = list.len();
                return Err(wrong(at, format!("the list has {count} items and none with the index {index}")));
            };
            if item.hash.as_ref().is_some_and(|hash| *hash != mark(data.get())) {
                let what =
                    format!("item {index} of the list is not the one that was sent then (`hash` differs)");
                return Err(wrong(at, what));
            }
            let before = item.before().map_err(|what| wrong(at, what))?;
            if slot.replace(before).is_some() {
                return Err(wrong(at, format!("item {index} is there twice")));
            }
        }
        Ok(Earlier(all))
    }

    /// What became of an item; None: nobody knows of it.
    pub fn of(&self, index: usize) -> Option<&Before<'a>> {
        self.0.get(index)?.as_ref()
    }

    /// Is it done?
    pub fn is_done(&self, index: usize) -> bool {
        matches!(self.of(index), Some(Before::Done { .. }))
    }
}

/// The items, and the pointer to them.
fn items(ledger: &RawValue) -> Result<(Vec<&RawValue>, &'static str)> {
    let wrong = |place: &str, what: &str| Error::argument(format!("options: {place}: {what}"));
    let (list, place) = match ledger.get().starts_with('{') {
        false => (ledger, "/resume"),
        true => {
            let Entries(members) = serde_json::from_str(ledger.get())
                .map_err(|_| wrong("/resume", "must be a ledger, or its items"))?;
            let items = members.into_iter().rev().find(|(key, _)| key == "items");
            let items = items.ok_or_else(|| wrong("/resume", "is no ledger: it has no `items`"))?;
            (items.1, "/resume/items")
        }
    };
    let list =
        serde_json::from_str(list.get()).map_err(|_| wrong(place, "must be a ledger's items, a list"))?;
    Ok((list, place))
}

impl<'a> Item<'a> {
    fn before(self) -> Result<Before<'a>, String> {
        let Item { status, attempts, .. } = self;
        if self.ok {
            let result = self.result.map_or("null", RawValue::get);
            return Ok(Before::Done { status, attempts, result, result_at: self.result_at });
        }
        let sent = match self.sent.as_deref() {
            None | Some("no") => Sent::No,
            Some("maybe") => Sent::Maybe,
            Some("yes") => Sent::Yes,
            Some(_) => return Err("`sent` must be no, maybe or yes".into()),
        };
        let is_clear = match sent {
            Sent::No => true,
            Sent::Maybe => false,
            Sent::Yes => self.is_refused(),
        };
        Ok(match is_clear {
            true => Before::Failed,
            false => Before::Unclear { status, attempts, sent, key: self.idempotency_key },
        })
    }

    /// Has the server said no, and done nothing? What it has taken, and only its answer could not be read, is done all
    /// the same. One that fails (5xx) may have done it before, as for a retry: 501 and 503 with Retry-After have not.
    fn is_refused(&self) -> bool {
        #[derive(Deserialize)]
        struct Told {
            status: i32,
            retry_after_ms: Option<u64>,
        }
        let told = self.error.and_then(|e| serde_json::from_str::<Told>(e.get()).ok());
        let by_kind = [Kind::HttpStatus, Kind::RateLimited, Kind::Auth].map(|kind| kind as i32);
        let Some(told) = told.filter(|told| by_kind.contains(&told.status)) else { return false };
        match self.status {
            None => false,
            Some(501) => true,
            Some(503) => told.retry_after_ms.is_some(),
            Some(status) => !(500..600).contains(&status),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIST: &str = "[10,11,12]";

    fn refused(ledger: &str) -> String {
        let list: Vec<&RawValue> = serde_json::from_str(LIST).unwrap();
        Earlier::read(serde_json::from_str(ledger).unwrap(), &list).unwrap_err().to_string()
    }

    fn before(item: &str) -> String {
        let list: Vec<&RawValue> = serde_json::from_str(LIST).unwrap();
        let ledger = format!("[{item}]");
        let earlier = Earlier::read(serde_json::from_str(&ledger).unwrap(), &list).unwrap();
        match earlier.of(1).unwrap() {
            Before::Done { result, .. } => format!("done {result}"),
            Before::Failed => "failed".into(),
            Before::Unclear { .. } => "unclear".into(),
        }
    }

    #[test]
    fn a_ledger_that_does_not_fit_is_refused_with_its_place() {
        for (ledger, says) in [
            (r#"[{"index":0}]"#, "options: /resume/0: is no item of a ledger: missing field `ok`"),
            (r#"[{"ok":true}]"#, "options: /resume/0: is no item of a ledger: missing field `index`"),
            (r#"{"items":[{"index":0,"ok":true},7]}"#, "options: /resume/items/1: is no item of a ledger: "),
            (
                r#"[{"index":3,"ok":true}]"#,
                "options: /resume/0: the list has 3 items and none with the index 3",
            ),
            (r#"[{"index":-1,"ok":true}]"#, "options: /resume/0: is no item of a ledger: "),
            (r#"[{"index":1,"ok":true},{"index":1,"ok":true}]"#, "options: /resume/1: item 1 is there twice"),
            (
                r#"[{},{},{},{}]"#,
                "options: /resume: the ledger has 4 items, the list 3: it is another list's",
            ),
            (
                r#"[{"index":1,"ok":true,"hash":"00000000"}]"#,
                "options: /resume/0: item 1 of the list is not the one",
            ),
            (r#"[{"index":1,"ok":false,"sent":"so"}]"#, "options: /resume/0: `sent` must be"),
            (r#"{"item":[]}"#, "options: /resume: is no ledger: it has no `items`"),
            (r#"{"items":7}"#, "options: /resume/items: must be a ledger's items, a list"),
        ] {
            let message = refused(ledger);
            assert!(message.starts_with(says), "{message}");
        }
    }

    #[test]
    fn what_may_have_been_processed_is_told_from_what_was_refused() {
        for (keys, what) in [
            (r#""ok":true,"result":{"a":1.0}"#, r#"done {"a":1.0}"#),
            (r#""ok":true"#, "done null"),
            (r#""ok":false"#, "failed"),
            (r#""ok":false,"sent":"no""#, "failed"),
            (r#""ok":false,"sent":"maybe","status":500"#, "unclear"),
            (r#""ok":false,"sent":"yes","status":422,"error":{"status":300}"#, "failed"),
            (r#""ok":false,"sent":"yes","status":422"#, "unclear"),
            (r#""ok":false,"sent":"yes","status":500,"error":{"status":300}"#, "unclear"),
            (r#""ok":false,"sent":"yes","status":501,"error":{"status":300}"#, "failed"),
            (r#""ok":false,"sent":"yes","status":503,"error":{"status":300}"#, "unclear"),
            (r#""ok":false,"sent":"yes","status":503,"error":{"status":300,"retry_after_ms":0}"#, "failed"),
            (r#""ok":false,"sent":"yes","status":504,"error":{"status":300,"retry_after_ms":9}"#, "unclear"),
            (r#""ok":false,"sent":"yes","status":null,"error":{"status":300}"#, "unclear"),
            (r#""ok":false,"sent":"yes","status":200,"error":{"status":503}"#, "unclear"),
            (r#""ok":false,"sent":"yes","status":200,"error":{"status":300}"#, "failed"),
            (r#""ok":false,"sent":"yes","status":409,"error":{"status":500}"#, "unclear"),
            (r#""ok":false,"sent":"yes","status":303,"error":{"status":207}"#, "unclear"),
            (r#""ok":false,"sent":"yes","status":401,"error":{"status":302}"#, "failed"),
            (r#""ok":false,"sent":"yes","status":429,"error":{"status":301}"#, "failed"),
        ] {
            assert_eq!(before(&format!(r#"{{"index":1,{keys},"later":1}}"#)), what, "{keys}");
        }
    }
}
