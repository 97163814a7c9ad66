//! The C ABI and nothing else: every function converts its arguments, calls, and converts back.
//!
//! The comments on what is exported are the C headers' text: `include/apl.h`, `include/apl.hpp` and
//! `bindings/go/apl.h` are generated from this folder, and a test compares them with what is committed.

// The names are C's. The safety rules of a C function are in its comment, in C's words.
#![allow(non_camel_case_types, clippy::missing_safety_doc, clippy::too_many_arguments)]

mod cancel;
mod connector;
mod download;
mod error;
pub mod guard;
mod handle;
mod log;
mod progress;
mod request;
mod response;
mod sign_in;
mod sse;
mod status;
#[cfg_attr(windows, path = "windows/stay.rs")]
mod stay;
mod stream;
mod text;
mod version;

pub use cancel::*;
pub use connector::*;
pub use download::*;
pub use error::*;
pub use log::*;
pub use progress::*;
pub use request::*;
pub use response::*;
pub use sign_in::*;
pub use sse::*;
pub use status::*;
pub use stream::*;
pub use version::*;
