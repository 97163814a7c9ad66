//! What became of each item of a list.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::value::RawValue;

use crate::digest::sha256;
use crate::error::{Error, Sent};

/// What became of one item.
#[derive(Debug)]
pub(super) enum Row<'a> {
    Done {
        status: Option<u16>,
        attempts: u64,
        result: Cow<'a, str>,
        /// The item that has the result, where another one has it.
        result_at: Option<usize>,
    },
    Failed {
        status: Option<u16>,
        attempts: u64,
        sent: Sent,
        /// The Idempotency-Key that it was sent with.
        key: Option<String>,
        /// As JSON.
        error: String,
    },
}

impl Row<'_> {
    pub(super) fn failed<'a>(error: &Error, key: Option<String>) -> Row<'a> {
        Row::Failed {
            status: error.http_status,
            attempts: error.attempts.len() as u64,
            sent: error.sent,
            key,
            error: error.to_ledger_json(),
        }
    }
}

/// By which an item is known again. It is for mistakes: another list, another order.
pub(super) fn mark(item: &str) -> String {
    let mut mark = sha256(item.as_bytes());
    mark.truncate(8);
    mark
}

/// The ledger as JSON; results are the server's bytes.
pub(super) fn write(rows: &[Row<'_>], items: &[&RawValue]) -> Vec<u8> {
    let (mut results, mut failures, mut lines) = (String::new(), String::new(), String::new());
    let (mut done, mut failed) = (0, 0);
    for (index, (row, item)) in rows.iter().zip(items).enumerate() {
        let hash = mark(item.get());
        let number = |status: &Option<u16>| status.map_or_else(|| "null".to_owned(), |s| s.to_string());
        match row {
            Row::Done { status, attempts, result, result_at } => {
                done += 1;
                let status = number(status);
                let at = result_at.map(|at| format!(r#","result_at":{at}"#)).unwrap_or_default();
                if result_at.is_none() {
                    add(&mut results, format_args!("{result}"));
                }
                add(
                    &mut lines,
                    format_args!(
                        r#"{{"index":{index},"ok":true,"status":{status},"attempts":{attempts},"sent":"yes","hash":"{hash}","result":{result}{at}}}"#
                    ),
                );
            }
            Row::Failed { status, attempts, sent, key, error } => {
                failed += 1;
                let status = number(status);
                let sent = match sent {
                    Sent::No => "no",
                    Sent::Maybe => "maybe",
                    Sent::Yes => "yes",
                };
                let key = key
                    .as_deref()
                    .map(|key| format!(r#","idempotency_key":{}"#, serde_json::Value::from(key)));
                let key = key.unwrap_or_default();
                add(&mut failures, format_args!("{error}"));
                add(
                    &mut lines,
                    format_args!(
                        r#"{{"index":{index},"ok":false,"status":{status},"attempts":{attempts},"sent":"{sent}","hash":"{hash}"{key},"error":{error}}}"#
                    ),
                );
            }
        }
    }
    let success = failed == 0;
    format!(
        r#"{{"success":{success},"sent_count":{done},"failed_count":{failed},"results":[{results}],"failures":[{failures}],"items":[{lines}]}}"#
    )
    .into_bytes()
}

fn add(list: &mut String, value: std::fmt::Arguments<'_>) {
    let comma = if list.is_empty() { "" } else { "," };
    // Writing to a string cannot fail.
    let _ = write!(list, "{comma}{value}");
}
