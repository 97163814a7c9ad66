//! Server-sent events: a stream of them that reconnects, and what consumes it.

pub mod parser;
