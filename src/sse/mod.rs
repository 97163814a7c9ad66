//! Server-sent events: a stream of them that goes on over many connections, and what consumes it.
//!
//! [`Events`] reads one connection after the other by a [`Parser`](parser::Parser), which is the standard's and pure;
//! whether and when another connection is made is for `reconnect`, pure too. [`consume`] stands a queue between a
//! stream and whoever is slower than the server.

mod checkpoint;
mod consume;
mod event;
mod events;
mod llm;
#[doc(hidden)] // Public for who feeds it bytes that no server sends.
pub mod parser;
mod reconnect;
mod scan;
mod settings;

pub use consume::{Consumed, OnEvents, consume};
pub use event::{Event, Kind, Owned};
pub use events::{Connect, Events};
pub use settings::Settings;
