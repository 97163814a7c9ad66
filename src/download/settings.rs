//! How a download goes: what the call says over what its endpoint says.

use std::num::NonZeroU32;
use std::time::Instant;

use crate::config::Endpoint;
use crate::config::endpoint::Streaming;
use crate::config::settings::Retry;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::request::CallOptions;

/// More connections than that are a burden to every server.
const MOST_SEGMENTS: u32 = 64;

/// How a download goes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The endpoint's name.
    pub endpoint: String,
    /// Bytes in a chunk, as the progress counts them.
    pub chunk_size: u64,
    /// May a part that is there be gone on with?
    pub resume: bool,
    /// Ranges in parallel.
    pub segments: Option<NonZeroU32>,
    /// What the file's digest must be.
    pub digest: Option<Digest>,
    /// What its media type must be.
    pub expected_type: Option<String>,
    /// What its size must be.
    pub expected_size: Option<u64>,
    /// Must the server say how long it is?
    pub require_length: bool,
    /// Is a file that is there replaced?
    pub overwrite: bool,
    /// Is the target a folder, in which the server names the file?
    pub use_server_name: bool,
    /// How often, and when.
    pub retry: Retry,
    /// When all of it must be over.
    pub deadline: Option<Instant>,
}

impl Settings {
    /// What a call says over what its endpoint says.
    pub fn new(endpoint: &Endpoint, call: &CallOptions<'_>) -> Result<Settings> {
        let keys = &call.keys;
        let none = Streaming::default();
        let block = endpoint.keys.streaming.as_ref().unwrap_or(&none);
        let foreign = [
            (keys.resume_from.is_some(), "resume_from"),
            (keys.reconnect.is_some(), "reconnect"),
            (keys.checkpoint.is_some(), "checkpoint"),
            (keys.wait.is_some(), "wait"),
        ];
        if let Some((_, key)) = foreign.into_iter().find(|(there, _)| *there) {
            return Err(Error::argument(format!("options: /{key}: is for streams")));
        }
        if call.ledger.is_some() {
            return Err(Error::argument("options: /resume: must be true or false"));
        }
        let resume = match keys.resume.as_ref().map(|resume| resume.get()) {
            None => block.resume.unwrap_or(true),
            Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(Error::argument("options: /resume: must be true or false")),
        };
        let segments = keys.segments.or(block.segments);
        if segments.is_some_and(|n| n.get() > MOST_SEGMENTS) {
            return Err(Error::argument(format!("options: /segments: must be at most {MOST_SEGMENTS}")));
        }
        let settings = match call.overrides() {
            Some(overrides) => endpoint.settings.with(overrides),
            None => endpoint.settings.clone(),
        };
        let use_server_name = keys.use_server_name.or(block.use_server_name).unwrap_or(false);
        Ok(Settings {
            endpoint: endpoint.name.clone(),
            chunk_size: keys.chunk_size.or(block.chunk_size).map_or(65_536, |s| s.0),
            resume,
            segments,
            digest: keys.digest.clone().or_else(|| block.digest.clone()),
            expected_type: keys.expected_type.clone().or_else(|| block.expected_type.clone()),
            expected_size: keys.expected_size.or(block.expected_size),
            require_length: keys.require_length.or(block.require_length).unwrap_or(false),
            // A server must not choose what it replaces.
            overwrite: keys.overwrite.or(block.overwrite).unwrap_or(!use_server_name),
            use_server_name,
            retry: settings.retry,
            deadline: call.deadline().and_then(|d| Instant::now().checked_add(d)),
        })
    }
}
