//! Bytes to values: encodings, charsets, JSON, paths, schemas. No I/O.

#[cfg(target_arch = "x86_64")]
mod block;
mod date;
mod decoder;
mod encoding;
mod grammar;
mod json;
mod ndjson;
mod path;
mod schema;
mod slot;
mod text;
mod value;
mod walk;
mod wide;

pub use date::http_date;
pub use decoder::Decoder;
pub use encoding::{ACCEPTED, Coding, codings, decode_content, decode_some};
pub use grammar::MAX_DEPTH;
pub use json::{Syntax, check};
pub use ndjson::lines_to_array;
pub use path::{Found, Missing, Path};
pub use schema::{Misfit, Schema};
pub use slot::Slot;
pub use text::decode_text;
pub use value::tolerant_value;
pub use walk::{Place, items, member, members, name};
