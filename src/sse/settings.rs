//! How a stream of events is read: what the call says over what its endpoint says.

use std::time::{Duration, Instant};

use super::checkpoint;
use super::reconnect::Policy;
use crate::config::Endpoint;
use crate::config::endpoint::{DropPolicy, Sse};
use crate::config::{self, header_value};
use crate::decode::Path;
use crate::error::{Error, Result};
use crate::request::CallOptions;

/// A longer queue, or chunk, is a mistake.
const MOST_EVENTS: u64 = 1 << 24;

/// How a stream of events is read.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The endpoint's name.
    pub endpoint: String,
    pub(super) policy: Policy,
    /// The end after so many events.
    pub(super) max_events: Option<u64>,
    /// The id of the event that was the last one; empty: there is none.
    pub(super) last_id: String,
    /// How long a call waits for an event; None: as long as it takes.
    pub(super) wait: Option<Duration>,
    /// When all of it must be over.
    pub(super) deadline: Option<Instant>,
    pub(super) comments: bool,
    pub(super) lifecycle: bool,
    pub(super) decode_json: bool,
    /// The data that ends it.
    pub(super) sentinel: Option<String>,
    /// Where an event has an error.
    pub(super) error_path: Option<Path>,
    pub(super) limits: config::Limits,
    /// For who consumes it: events in a chunk and in the queue, and what goes when that is full.
    pub(super) chunk_size: usize,
    pub(super) queue: usize,
    pub(super) drop_policy: DropPolicy,
}

impl Settings {
    /// What a call says over what its endpoint says.
    pub fn new(endpoint: &Endpoint, call: &CallOptions<'_>) -> Result<Settings> {
        let keys = &call.keys;
        let none = Sse::default();
        let block = endpoint.keys.sse.as_ref().unwrap_or(&none);
        let wrong = |key: &str, what: &str| Error::argument(format!("options: /{key}: {what}"));
        let foreign = [
            (keys.resume.is_some() || call.ledger.is_some(), "resume"),
            (keys.resume_from.is_some(), "resume_from"),
            (keys.segments.is_some(), "segments"),
            (keys.digest.is_some(), "digest"),
            (keys.expected_size.is_some(), "expected_size"),
            (keys.expected_type.is_some(), "expected_type"),
            (keys.require_length.is_some(), "require_length"),
            (keys.overwrite.is_some(), "overwrite"),
            (keys.use_server_name.is_some(), "use_server_name"),
        ];
        if let Some((_, key)) = foreign.into_iter().find(|(there, _)| *there) {
            return Err(wrong(key, "is for streams of bytes and downloads"));
        }
        let events = |value: Option<u64>, key: &str, otherwise: usize| match value {
            Some(n) if n > MOST_EVENTS => Err(wrong(key, "must be at most 16777216 events")),
            Some(n) => Ok(n as usize),
            None => Ok(otherwise),
        };
        let chunk_size = keys.chunk_size.map(|n| n.0).or(block.chunk_size.map(|n| n.get() as u64));
        let queue = keys.backpressure_buffer_size.or(block.backpressure_buffer_size);
        let settings = match call.overrides() {
            Some(overrides) => endpoint.settings.with(overrides),
            None => endpoint.settings.clone(),
        };
        let clamp = keys.reconnect_clamp.or(block.reconnect_clamp);
        let clamp = clamp.map_or((Duration::from_millis(10), Duration::from_secs(300)), |(a, b)| (a.0, b.0));
        if clamp.0 > clamp.1 {
            return Err(wrong("reconnect_clamp", "the first is longer than the second"));
        }
        if let Some(id) = &keys.last_event_id {
            header_value(id).map_err(|m| wrong("last_event_id", &m))?;
        }
        let error_path = keys.error_path.as_deref().map(Path::parse).transpose();
        let error_path = error_path.map_err(|m| wrong("error_path", &m))?;
        let error_path = match (error_path, &block.error_path) {
            (None, Some(path)) => Some(Path::parse(path).map_err(Error::config)?),
            (path, _) => path,
        };
        let sentinel = keys.sentinel.clone().or_else(|| block.sentinel.clone());
        // A second POST is a second order, and an answer that was cut begins from its first word again.
        let by_itself = matches!(endpoint.method.as_str(), "GET" | "HEAD") && sentinel.is_none();
        let last_id = match &keys.checkpoint {
            Some(text) => checkpoint::read(text, &endpoint.name)?,
            None => keys.last_event_id.clone().or_else(|| block.last_event_id.clone()).unwrap_or_default(),
        };
        Ok(Settings {
            endpoint: endpoint.name.clone(),
            policy: Policy {
                reconnect: keys.reconnect.or(block.reconnect).unwrap_or(by_itself),
                delay: keys.reconnect_delay.or(block.reconnect_delay).map_or(Duration::from_secs(1), |d| d.0),
                clamp,
                most: keys.max_reconnect_attempts.or(block.max_reconnect_attempts),
            },
            max_events: keys.max_events.or(block.max_events),
            last_id,
            wait: keys.wait.map(|d| d.0),
            deadline: call.deadline().and_then(|d| Instant::now().checked_add(d)),
            comments: keys.comments.or(block.comments).unwrap_or(false),
            lifecycle: keys.lifecycle.or(block.lifecycle).unwrap_or(false),
            decode_json: keys.decode_json.or(block.decode_json).unwrap_or(true),
            sentinel,
            error_path,
            limits: settings.limits,
            chunk_size: events(chunk_size, "chunk_size", 50)?,
            queue: events(queue.map(|n| n.get() as u64), "backpressure_buffer_size", 500)?,
            drop_policy: keys.drop_policy.or(block.drop_policy).unwrap_or_default(),
        })
    }
}
