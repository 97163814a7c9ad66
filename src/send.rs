//! What is sent: held against the request schema, and a list of items sent one by one, with its ledger.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use crate::decode::Schema;
use crate::error::{Error, Kind, Result, Sent};
use crate::response::{Head, Meta, Response};
use crate::transport::Token;

/// So many faults are told; there may be more.
const MOST_FAULTS: usize = 20;

/// One item of a call, or all there is.
pub fn check(endpoint: &str, schema: Option<&Schema>, data: &str) -> Result<()> {
    let Some(Err(misfit)) = schema.map(|s| s.judge(data)) else { return Ok(()) };
    Err(unfit(endpoint, format!("the data does not fit request_schema: {misfit}")))
}

/// Every item of a list, before the first is sent.
pub fn check_all(endpoint: &str, schema: Option<&Schema>, items: &[&RawValue]) -> Result<()> {
    let Some(schema) = schema else { return Ok(()) };
    let (mut faults, mut first, mut count) = (Vec::new(), None, 0);
    for (index, item) in items.iter().enumerate() {
        let Err(misfit) = schema.judge(item.get()) else { continue };
        first.get_or_insert(index);
        count += 1;
        let left = MOST_FAULTS - faults.len();
        faults.extend(misfit.faults.iter().take(left).map(|f| format!("item {index}: {f}")));
    }
    if first.is_none() {
        return Ok(());
    }
    let total = items.len();
    let what = format!("{count} of {total} items do not fit request_schema: {}", faults.join("; "));
    let mut error = unfit(endpoint, what);
    error.item = first;
    Err(error)
}

fn unfit(endpoint: &str, what: String) -> Error {
    let mut error = Error::new(Kind::Schema, format!("{endpoint}: nothing was sent: {what}"));
    error.endpoint = Some(endpoint.to_owned());
    error
}

/// What a list is sent with.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// For the whole list.
    pub deadline: Option<Duration>,
    /// The results together, bytes.
    pub max_result: u64,
    /// Ends it.
    pub cancel: Option<&'a Arc<Token>>,
}

/// Sends every item, in order. A failure does not stop the others; a cancel, the deadline and the limit of the
/// results do. The answer's body is the ledger, also where it is the partial of an error.
///
/// `one` sends an item within the time that is left, and gives what the server made of it.
pub fn list(
    endpoint: &str,
    items: &[&RawValue],
    limits: Limits<'_>,
    mut one: impl FnMut(usize, &str, Option<Duration>) -> Result<(String, Response)>,
) -> Result<Response> {
    let end = limits.deadline.and_then(|d| Instant::now().checked_add(d));
    let mut ledger = Ledger::default();
    let mut last = (Head::default(), Meta::default());
    let mut first: Option<Error> = None;
    let mut retryable = true;
    for (index, item) in items.iter().enumerate() {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let outcome = match stop(limits, left, ledger.results.len()) {
            Some((kind, why)) => Err(unsent(endpoint, index, kind, why)),
            None => one(index, item.get(), left),
        };
        match outcome {
            Ok((result, response)) => {
                ledger.sent(index, &result, &response);
                let mut warnings = last.1.warnings;
                last = (response.head, response.meta);
                warnings.retain(|w| !last.1.warnings.contains(w));
                last.1.warnings.splice(0..0, warnings);
            }
            Err(mut error) => {
                error.item = Some(index);
                ledger.failed(index, &error);
                retryable &= error.is_retryable();
                first.get_or_insert(error);
            }
        }
    }
    last.1.items = Some(items.len() as u64);
    let (done, failed) = (ledger.done, ledger.failed);
    let answer = Response::new(last.0, last.1, ledger.finish());
    let Some(mut error) = first else { return Ok(answer) };
    let what = error.message.strip_prefix(endpoint).and_then(|m| m.strip_prefix(": "));
    let (what, index, total) = (what.unwrap_or(&error.message), error.item.unwrap_or_default(), items.len());
    error.message =
        format!("{endpoint}: {failed} of {total} items failed, the first is item {index}: {what}");
    // A repeated call would send again what has arrived.
    error.partly_done = !retryable || (done > 0 && !error.repeatable);
    error.partial = Some(Arc::new(answer));
    Err(error)
}

/// Why no further item is sent.
fn stop(limits: Limits<'_>, left: Option<Duration>, results: usize) -> Option<(Kind, &'static str)> {
    if limits.cancel.is_some_and(|c| c.is_cancelled()) {
        return Some((Kind::Cancelled, "the call was cancelled"));
    }
    if left.is_some_and(|left| left.is_zero()) {
        return Some((Kind::Timeout, "the call's deadline was over"));
    }
    let full = results as u64 > limits.max_result;
    full.then_some((Kind::TooLarge, "the results were larger than limits.max_result"))
}

fn unsent(endpoint: &str, index: usize, kind: Kind, why: &str) -> Error {
    let mut error = Error::new(kind, format!("{endpoint}: item {index} was not sent: {why}"));
    error.endpoint = Some(endpoint.to_owned());
    error
}

/// What became of each item, as JSON. It is written as it grows: results are the server's bytes.
#[derive(Default)]
struct Ledger {
    results: String,
    failures: String,
    items: String,
    done: usize,
    failed: usize,
}

impl Ledger {
    fn sent(&mut self, index: usize, result: &str, response: &Response) {
        self.done += 1;
        let (status, attempts) = (response.head.status, response.meta.attempts.len());
        add(&mut self.results, format_args!("{result}"));
        add(
            &mut self.items,
            format_args!(
                r#"{{"index":{index},"ok":true,"status":{status},"attempts":{attempts},"sent":"yes","result":{result}}}"#
            ),
        );
    }

    fn failed(&mut self, index: usize, error: &Error) {
        self.failed += 1;
        let json = error.to_ledger_json();
        let status = error.http_status.map_or_else(|| "null".to_owned(), |s| s.to_string());
        let attempts = error.attempts.len();
        let sent = match error.sent {
            Sent::No => "no",
            Sent::Maybe => "maybe",
            Sent::Yes => "yes",
        };
        add(&mut self.failures, format_args!("{json}"));
        add(
            &mut self.items,
            format_args!(
                r#"{{"index":{index},"ok":false,"status":{status},"attempts":{attempts},"sent":"{sent}","error":{json}}}"#
            ),
        );
    }

    fn finish(self) -> Vec<u8> {
        let Ledger { results, failures, items, done, failed } = self;
        let success = failed == 0;
        format!(
            r#"{{"success":{success},"sent_count":{done},"failed_count":{failed},"results":[{results}],"failures":[{failures}],"items":[{items}]}}"#
        )
        .into_bytes()
    }
}

fn add(list: &mut String, value: std::fmt::Arguments<'_>) {
    let comma = if list.is_empty() { "" } else { "," };
    // Writing to a string cannot fail.
    let _ = write!(list, "{comma}{value}");
}
