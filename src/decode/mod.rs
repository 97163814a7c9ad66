//! Bytes to values: encodings, JSON, paths. No I/O.

mod encoding;
mod json;
mod path;

pub use encoding::{Coding, codings, decode_content, decode_some};
pub use json::{MAX_DEPTH, Syntax, check};
pub use path::{DottedPath, Missing};
