//! What is sent: held against the request schema; and a list of items, one by one or in batches, with its ledger.

mod crew;
mod ledger;
mod list;
mod resume;
mod verdict;

use serde_json::value::RawValue;

use crate::decode::Schema;
use crate::error::{Error, Kind, Result};

pub use list::{Again, Answer, Limits, List, Outcome, Reply, Requests, run};
pub use resume::{Before, Earlier};
pub use verdict::{Asked, Place, Verdict, read as verdicts};

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
