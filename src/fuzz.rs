//! What fuzzers reach into, and nobody else: it is there only when they build it.

pub use crate::download::fuzz as download;
pub use crate::transport::fuzz as transport;

use crate::response::Head;
use crate::transfer::ContentRange;

/// Reads a Content-Range: first, last and total.
pub fn content_range(value: &str) -> Option<(Option<(u64, u64)>, Option<u64>)> {
    let range = ContentRange::of(&head("content-range", value))?;
    Some((range.bytes, range.total))
}

/// A head with this field.
pub fn head(name: &str, value: &str) -> Head {
    let bytes = format!("{name}{value}");
    let (middle, end) = (name.len() as u32, bytes.len() as u32);
    Head::new(200, 1, bytes.into_bytes().into(), [(0..middle, middle..end)].into_iter())
}
