//! A list on its way: which requests its items go in, and what became of them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::crew;
use super::ledger::{self, Row};
use super::resume::{Before, Earlier};
use super::verdict::Place;
use crate::error::{Error, Kind, Result, Sent};
use crate::response::{Head, Meta, Response};
use crate::transport::Token;

/// What a list is sent within.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// For the whole list.
    pub deadline: Option<Duration>,
    /// The results together, bytes. Requests that are under way when it is passed are not cut.
    pub max_result: u64,
    /// Requests at once.
    pub concurrency: usize,
    /// Ends it.
    pub cancel: Option<&'a Arc<Token>>,
}

/// A list to send.
#[derive(Debug)]
pub struct List<'a> {
    /// The endpoint's name.
    pub endpoint: &'a str,
    /// Its items.
    pub items: &'a [&'a RawValue],
    /// Items in one request, at most.
    pub size: usize,
    /// What an earlier call made of it.
    pub earlier: Earlier<'a>,
    /// Within which it is sent.
    pub limits: Limits<'a>,
}

/// Makes the requests of a list.
pub trait Requests: Sync {
    /// When a request with these items does no harm although they have been sent before.
    fn again(&self, items: &[usize]) -> Result<Again>;

    /// Sends these items in one request, within the time that is left.
    fn send(&self, items: &[usize], left: Option<Duration>) -> Reply;
}

/// When a request may be repeated without harm.
#[derive(Debug, PartialEq, Eq)]
pub enum Again {
    /// Whenever.
    Always,
    /// When it was sent with this Idempotency-Key.
    With(String),
    /// Never.
    Never,
}

/// What came of a request.
#[derive(Debug)]
pub struct Reply {
    /// The Idempotency-Key that it was sent with, where that may be shown.
    pub key: Option<String>,
    /// The answer; or the failure of all its items.
    pub outcome: Result<Answer>,
}

/// An answer, and what it says of each item.
#[derive(Debug)]
pub struct Answer {
    /// As JSON.
    pub text: String,
    /// How it came; its body is of no interest.
    pub response: Response,
    /// What became of each item.
    pub items: Vec<Outcome>,
}

/// What became of an item.
pub type Outcome = Result<(u16, Place)>;

/// What is known so far.
struct Tally<'a> {
    rows: Vec<Option<Row<'a>>>,
    earlier: &'a Earlier<'a>,
    /// Bytes.
    results: u64,
    /// Done by this call.
    done: usize,
    failed: usize,
    /// The answer with the last of the items, and that item.
    last: Option<(usize, Head, Meta)>,
    /// Each once, and the first item of the first request that had it.
    warnings: Vec<(usize, String)>,
    /// The failure of the first item that failed.
    first: Option<Error>,
    retryable: bool,
}

/// Sends what an earlier call has not done. A failure does not stop the others; a cancel, the deadline and the limit of the results
/// do. The answer's body is the ledger, also where it is the partial of an error.
pub fn run(list: &List<'_>, requests: &dyn Requests) -> Result<Response> {
    let end = list.limits.deadline.and_then(|d| Instant::now().checked_add(d));
    let Plan { batches, held } = Plan::new(list, requests)?;
    let tally = Mutex::new(Tally::new(list));
    for index in held {
        tally.lock().hold(list, index);
    }
    crew::work(batches.len(), list.limits.concurrency, &|number| {
        let Some(batch) = batches.get(number) else { return };
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let results = tally.lock().results;
        let reply = match stop(list.limits, left, results) {
            None => requests.send(batch, left),
            Some((kind, why)) => {
                let mut tally = tally.lock();
                for index in batch {
                    tally.fail(*index, unsent(list.endpoint, *index, kind, why), None);
                }
                return;
            }
        };
        tally.lock().add(batch, reply);
    });
    tally.into_inner().close(list)
}

/// Which requests are made.
struct Plan {
    batches: Vec<Vec<usize>>,
    /// Items that are not sent: they may have been processed, and would be a second time.
    held: Vec<usize>,
}

impl Plan {
    /// The list is divided as if nothing was done yet: what is sent again goes in the company that it went in, and so
    /// under the same Idempotency-Key.
    fn new(list: &List<'_>, requests: &dyn Requests) -> Result<Plan> {
        let (mut batches, mut held) = (Vec::new(), Vec::new());
        let (count, size) = (list.items.len(), list.size.max(1));
        for start in (0..count).step_by(size) {
            let end = count.min(start.saturating_add(size));
            let mut batch: Vec<usize> = (start..end).filter(|i| !list.earlier.is_done(*i)).collect();
            let unclear = |index: &usize| matches!(list.earlier.of(*index), Some(Before::Unclear { .. }));
            while batch.iter().any(unclear) {
                let again = requests.again(&batch)?;
                let may_go = |index: &usize| match (&again, list.earlier.of(*index)) {
                    (Again::With(key), Some(Before::Unclear { key: before, .. })) => {
                        before.as_ref() == Some(key)
                    }
                    (Again::Never, Some(Before::Unclear { .. })) => false,
                    _ => true,
                };
                let (go, stay): (Vec<usize>, Vec<usize>) = batch.iter().partition(|index| may_go(index));
                batch = go;
                if stay.is_empty() {
                    break;
                }
                // Without them, it is another request.
                held.extend(stay);
            }
            if !batch.is_empty() {
                batches.push(batch);
            }
        }
        Ok(Plan { batches, held })
    }
}

impl<'a> Tally<'a> {
    fn new(list: &'a List<'a>) -> Tally<'a> {
        let mut tally = Tally {
            earlier: &list.earlier,
            rows: list.items.iter().map(|_| None).collect(),
            results: 0,
            done: 0,
            failed: 0,
            last: None,
            warnings: Vec::new(),
            first: None,
            retryable: true,
        };
        for (index, row) in tally.rows.iter_mut().enumerate() {
            let Some(Before::Done { status, attempts, result, result_at }) = list.earlier.of(index) else {
                continue;
            };
            tally.results += result.len() as u64;
            // A result that is not taken over has another one in its place.
            let result_at = result_at.filter(|at| list.earlier.is_done(*at));
            *row = Some(Row::Done {
                status: *status,
                attempts: *attempts,
                result: Cow::Borrowed(result),
                result_at,
            });
        }
        tally
    }

    /// An item that may have been processed stays one.
    fn hold(&mut self, list: &List<'_>, index: usize) {
        let Some(Before::Unclear { status, attempts, sent, key }) = list.earlier.of(index) else { return };
        let what = format!(
            "{}: item {index} is not sent again: by the ledger in `resume` it may have been processed, and neither \
             the method nor the Idempotency-Key that it was sent with make a second time harmless; where the server \
             does not have it, leave it out of `resume` to send it, and where it has, set its `ok` to true",
            list.endpoint
        );
        let mut error = Error::argument(what);
        error.endpoint = Some(list.endpoint.to_owned());
        (error.http_status, error.sent) = (*status, *sent);
        self.fail(index, error, key.clone());
        if let Some(Some(Row::Failed { attempts: told, .. })) = self.rows.get_mut(index) {
            *told = *attempts;
        }
    }

    fn fail(&mut self, index: usize, mut error: Error, mut key: Option<String>) {
        error.item = Some(index);
        if let (Sent::No, Some(Before::Unclear { sent, key: then, .. })) =
            (error.sent, self.earlier.of(index))
        {
            // That it was not sent now says nothing of what became of it then.
            (error.sent, key) = (*sent, then.clone());
        }
        self.put(index, Row::failed(&error, key));
        self.failed += 1;
        self.retryable &= error.is_retryable();
        if self.first.as_ref().and_then(|e| e.item).is_none_or(|first| index < first) {
            self.first = Some(error);
        }
    }

    fn put(&mut self, index: usize, row: Row<'a>) {
        if let Some(slot) = self.rows.get_mut(index) {
            *slot = Some(row);
        }
    }

    /// What came of a request.
    fn add(&mut self, batch: &[usize], reply: Reply) {
        let Reply { key, outcome } = reply;
        let Answer { text, response, items } = match outcome {
            Ok(answer) => answer,
            Err(error) => {
                return batch.iter().for_each(|index| self.fail(*index, error.clone(), key.clone()));
            }
        };
        let attempts = response.meta.attempts.len() as u64;
        for (index, outcome) in batch.iter().zip(items) {
            let (status, place) = match outcome {
                Ok(done) => done,
                Err(error) => {
                    self.fail(*index, error, key.clone());
                    continue;
                }
            };
            self.done += 1;
            let (result, result_at) = match place {
                Place::Here(place) => (text.get(place).unwrap_or("null").to_owned(), None),
                Place::With(at) => ("null".to_owned(), batch.get(at).copied()),
            };
            self.results += result.len() as u64;
            let (status, result) = (Some(status), Cow::Owned(result));
            self.put(*index, Row::Done { status, attempts, result, result_at });
        }
        let (first, end) = (batch.first().copied().unwrap_or(0), batch.last().copied().unwrap_or(0));
        for warning in &response.meta.warnings {
            match self.warnings.iter_mut().find(|(_, there)| there == warning) {
                Some((at, _)) => *at = first.min(*at),
                None => self.warnings.push((first, warning.clone())),
            }
        }
        if self.last.as_ref().is_none_or(|(at, ..)| *at < end) {
            self.last = Some((end, response.head, response.meta));
        }
    }

    fn close(mut self, list: &List<'_>) -> Result<Response> {
        let total = list.items.len();
        let lost: Vec<usize> =
            (0..total).filter(|index| !matches!(self.rows.get(*index), Some(Some(_)))).collect();
        for index in lost {
            self.fail(index, Error::internal("an item of a list has no outcome"), None);
        }
        let (_, head, mut meta) = self.last.take().unwrap_or_default();
        self.warnings.sort_by_key(|(at, _)| *at);
        meta.warnings = self.warnings.into_iter().map(|(_, warning)| warning).collect();
        meta.items = Some(total as u64);
        let rows: Vec<Row<'_>> = self.rows.into_iter().flatten().collect();
        let answer = Response::new(head, meta, ledger::write(&rows, list.items));
        let Some(mut error) = self.first else { return Ok(answer) };
        let (endpoint, failed) = (list.endpoint, self.failed);
        let what = error.message.strip_prefix(endpoint).and_then(|m| m.strip_prefix(": "));
        let (what, index) = (what.unwrap_or(&error.message), error.item.unwrap_or_default());
        error.message =
            format!("{endpoint}: {failed} of {total} items failed, the first is item {index}: {what}");
        // A repeated call would send again what has arrived.
        error.partly_done = !self.retryable || (self.done > 0 && !error.repeatable);
        error.partial = Some(Arc::new(answer));
        Err(error)
    }
}

/// Why no further item is sent.
fn stop(limits: Limits<'_>, left: Option<Duration>, results: u64) -> Option<(Kind, &'static str)> {
    if limits.cancel.is_some_and(|c| c.is_cancelled()) {
        return Some((Kind::Cancelled, "the call was cancelled"));
    }
    if left.is_some_and(|left| left.is_zero()) {
        return Some((Kind::Timeout, "the call's deadline was over"));
    }
    let full = results > limits.max_result;
    full.then_some((Kind::TooLarge, "the results were larger than limits.max_result"))
}

fn unsent(endpoint: &str, index: usize, kind: Kind, why: &str) -> Error {
    let mut error = Error::new(kind, format!("{endpoint}: item {index} was not sent: {why}"));
    error.endpoint = Some(endpoint.to_owned());
    error
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// Says back what was sent; loses, refuses and does not tell of items by their number. Notes what was sent.
    struct Echo<'a> {
        items: &'a [&'a RawValue],
        sent: Mutex<Vec<usize>>,
        largest: Mutex<usize>,
    }

    impl Requests for Echo<'_> {
        fn again(&self, _: &[usize]) -> Result<Again> {
            Ok(Again::Never)
        }

        fn send(&self, items: &[usize], _: Option<Duration>) -> Reply {
            self.sent.lock().extend(items);
            let mut largest = self.largest.lock();
            *largest = items.len().max(*largest);
            let failed = |sent| {
                let mut error = Error::new(Kind::Io, "lost");
                error.sent = sent;
                error
            };
            if items.contains(&7) {
                return Reply { key: None, outcome: Err(failed(Sent::Maybe)) };
            }
            let (mut text, mut outcomes) = (String::new(), Vec::new());
            for index in items {
                let start = text.len();
                text += self.items[*index].get();
                outcomes.push(if index % 5 == 3 {
                    Err(failed(Sent::No))
                } else {
                    Ok((200, Place::Here(start..text.len())))
                });
            }
            let response = Response::new(Head::default(), Meta::default(), Vec::new());
            Reply { key: None, outcome: Ok(Answer { text, response, items: outcomes }) }
        }
    }

    /// The ledger, and what was sent, sorted.
    fn run_with(
        items: &[&RawValue],
        size: usize,
        concurrency: usize,
        earlier: Earlier<'_>,
    ) -> (String, Vec<usize>) {
        let limits = Limits { deadline: None, max_result: u64::MAX, concurrency, cancel: None };
        let echo = Echo { items, sent: Mutex::default(), largest: Mutex::default() };
        let body = match run(&List { endpoint: "e", items, size, earlier, limits }, &echo) {
            Ok(answer) => answer.body().to_vec(),
            Err(error) => error.partial.as_ref().unwrap().body().to_vec(),
        };
        assert!(*echo.largest.lock() <= size);
        let mut sent = echo.sent.into_inner();
        sent.sort_unstable();
        (String::from_utf8(body).unwrap(), sent)
    }

    proptest! {
        #[test]
        fn no_item_is_lost_and_none_that_may_be_there_is_sent_twice(
            count in 0..30usize,
            size in 1..8usize,
            concurrency in 1..5usize,
        ) {
            let texts: Vec<String> = (0..count).map(|n| format!("{n}.0")).collect();
            let items: Vec<&RawValue> = texts.iter().map(|t| serde_json::from_str(t).unwrap()).collect();
            let (mut before, mut all) = ("[]".to_owned(), vec![0; count]);
            for call in 0..3 {
                let raw: &RawValue = serde_json::from_str(&before).unwrap();
                // It goes on from its own ledger.
                let (ledger, sent) = run_with(&items, size, concurrency, Earlier::read(raw, &items).unwrap());
                sent.iter().for_each(|index| all[*index] += 1);
                let value: serde_json::Value = serde_json::from_str(&ledger).unwrap();
                let rows = value["items"].as_array().unwrap();
                prop_assert_eq!(rows.len(), count);
                for (index, row) in rows.iter().enumerate() {
                    prop_assert_eq!(row["index"].as_u64(), Some(index as u64));
                    let refused = index % 5 == 3 && row["sent"] == "no";
                    prop_assert_eq!(all[index], if refused { call + 1 } else { 1 }, "{}", row);
                    if row["ok"] == true {
                        prop_assert_eq!(row["result"].as_f64(), Some(index as f64));
                    }
                }
                // What is sent does not depend on who comes first.
                if call == 0 {
                    let again = run_with(&items, size, 1, Earlier::default()).1;
                    prop_assert_eq!(again, sent);
                }
                before = ledger;
            }
        }
    }
}
