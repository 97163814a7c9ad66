//! apl: one API connector for C, C++, Go and everything that can call C.
//!
//! The product is the C library (`include/apl.h`); this crate is its inside. Calls flow one way:
//!
//! ```text
//! ffi → connector → (pages | stream | sse | download) → exchange → (request, auth) → transport
//! ```
//!
//! * [`ffi`]: the C ABI and nothing else.
//! * [`connector`]: what a caller can ask for.
//! * [`stream`], [`sse`]: a body as it comes; server-sent events, over as many connections as it takes.
//! * [`pages`]: a listing, page after page.
//! * [`download`]: a resource into a file.
//! * [`send`], [`health`], [`explain`]: what becomes of a list, of a health check, of a question.
//! * [`config`]: what was asked: keys, defaults, checks. No I/O but reading the configuration file.
//! * [`request`]: one request: template, params, headers, body. No I/O.
//! * [`exchange`]: the one pipeline that every request takes, and what each failure means.
//! * [`auth`]: credentials on a request.
//! * [`transport`]: sockets, TLS, the pool, the body reader; the only room that knows ureq.
//! * [`cache`]: answers that are kept, and asked for again under a condition. No I/O.
//! * [`answer`]: what an endpoint's keys make of an answer. No I/O.
//! * [`decode`]: bytes to values: encodings, charsets, JSON, paths, schemas. No I/O.
//! * [`response`], [`error`], [`redact`], [`log`], [`digest`]: the ground floor.

pub mod answer;
pub mod auth;
pub mod cache;
pub mod config;
pub mod connector;
pub mod decode;
pub mod digest;
pub mod download;
mod errand;
pub mod error;
pub mod exchange;
pub mod explain;
pub mod ffi;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod health;
mod hooks;
pub mod log;
pub mod pages;
mod percent;
mod quota;
mod random;
pub mod redact;
pub mod request;
pub mod response;
pub mod send;
pub mod sse;
pub mod stream;
pub mod transfer;
pub mod transport;
