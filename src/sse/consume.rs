//! A queue between a stream of events and whoever takes them, a chunk at a time.
//!
//! Under `block` there is one thread: what is not taken is not read, and TCP slows the server down. Under a drop policy
//! a thread of the call reads on whatever the caller does; what does not fit into the queue is dropped and counted.

use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::event::{Kind, Owned};
use super::events::Events;
use crate::config::endpoint::DropPolicy;
use crate::errand;
use crate::error::{Error, Kind as Failure, Result};
use crate::response::Response;
use crate::stream::Step;
use crate::transport::Token;

/// The reader says when there is something to take; this is only for when it does not.
const TICK: Duration = Duration::from_secs(3600);

/// Takes a chunk of events; whatever it returns but 0 stops the call.
pub type OnEvents<'e> = &'e mut dyn FnMut(&[Owned]) -> i32;

/// What came of it.
#[derive(Debug)]
pub struct Consumed {
    /// The summary, with the head of the last answer.
    pub response: Response,
    /// Did the callback stop it?
    pub stopped: bool,
}

/// Reads a stream to its end. `token`: the stream's own.
pub fn consume(mut events: Events, token: &Token, on_events: Option<OnEvents<'_>>) -> Result<Consumed> {
    let mut taker = Taker::new(&events, on_events);
    let outcome = match events.settings().drop_policy {
        DropPolicy::Block => taker.block(&mut events),
        policy => taker.drop_some(&mut events, policy, token),
    };
    // Who cancels wants no events any more.
    if !matches!(&outcome, Err(error) if error.kind() == Failure::Cancelled) {
        while taker.take_chunk(true) {}
    }
    taker.close(&events, outcome)
}

/// Events that wait to be taken.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Owned>,
    bytes: u64,
    dropped: u64,
}

impl Queue {
    fn push(&mut self, event: Owned) {
        self.bytes += event.size();
        self.waiting.push_back(event);
    }

    /// Takes the first ones out.
    fn take(&mut self, most: usize) -> Vec<Owned> {
        let taken: Vec<Owned> = self.waiting.drain(..most.min(self.waiting.len())).collect();
        self.bytes -= taken.iter().map(Owned::size).sum::<u64>();
        taken
    }
}

/// Who takes them, and what it has done.
struct Taker<'e> {
    on_events: Option<OnEvents<'e>>,
    queue: Arc<Mutex<Queue>>,
    chunk_size: usize,
    most: usize,
    /// So many bytes are as full as `most` events.
    most_bytes: u64,
    /// Events that are taken together: never more than the queue holds.
    chunk: usize,
    stopped: bool,
    /// The id of the last event that was taken.
    last_id: Option<CString>,
    processed: u64,
    chunks: u64,
    results: Results,
}

/// The chunks themselves, where nobody takes them.
#[derive(Default)]
struct Results {
    json: Vec<Box<RawValue>>,
    size: u64,
    max: u64,
    is_cut: bool,
}

impl<'e> Taker<'e> {
    fn new(events: &Events, on_events: Option<OnEvents<'e>>) -> Taker<'e> {
        let settings = events.settings();
        Taker {
            on_events,
            queue: Arc::default(),
            chunk_size: settings.chunk_size,
            most: settings.queue,
            most_bytes: settings.limits.max_body,
            chunk: settings.chunk_size.min(settings.queue),
            stopped: false,
            last_id: None,
            processed: 0,
            chunks: 0,
            results: Results { max: settings.limits.max_result, ..Results::default() },
        }
    }

    fn block(&mut self, events: &mut Events) -> Result<()> {
        while let Some(event) = next(events)? {
            self.queue.lock().push(event);
            while self.take_chunk(false) {}
            if self.stopped {
                break;
            }
        }
        Ok(())
    }

    fn drop_some(&mut self, events: &mut Events, policy: DropPolicy, token: &Token) -> Result<()> {
        let (queue, most, most_bytes, chunk) = (self.queue.clone(), self.most, self.most_bytes, self.chunk);
        let read = || {
            while let Some(event) = next(events)? {
                let mut queue = queue.lock();
                let has_room = |queue: &Queue| {
                    queue.waiting.len() < most
                        && (queue.waiting.is_empty() || queue.bytes + event.size() <= most_bytes)
                };
                if policy != DropPolicy::DropNewest {
                    while !has_room(&queue) {
                        queue.dropped += queue.take(1).iter().map(count).sum::<u64>();
                    }
                }
                match has_room(&queue) {
                    true => queue.push(event),
                    false => queue.dropped += count(&event),
                }
                let due = queue.waiting.len() >= chunk || queue.bytes >= most_bytes;
                drop(queue);
                if due {
                    errand::knock();
                }
            }
            Ok(())
        };
        let take = || {
            while self.take_chunk(false) {}
            if self.stopped {
                token.cancel();
            }
            Instant::now() + TICK
        };
        errand::employ(read, take, token).unwrap_or_else(|e| {
            let mut error = Error::new(Failure::Io, format!("cannot start a thread: {e}"));
            error.errno = e.raw_os_error();
            Err(error)
        })
    }

    /// Has a chunk taken, if there is one; at the end, `rest`, also a shorter one.
    fn take_chunk(&mut self, rest: bool) -> bool {
        let mut queue = self.queue.lock();
        let there = queue.waiting.len();
        let is_due = there >= self.chunk || queue.bytes >= self.most_bytes || rest;
        if self.stopped || there == 0 || !is_due {
            return false;
        }
        let chunk = queue.take(self.chunk);
        drop(queue);
        self.processed += chunk.iter().map(count).sum::<u64>();
        self.chunks += 1;
        self.last_id = chunk.last().map(|event| event.event().id().to_owned());
        match &mut self.on_events {
            Some(on_events) => self.stopped = on_events(&chunk) != 0,
            None => self.results.add(&chunk),
        }
        true
    }

    fn close(&mut self, events: &Events, outcome: Result<()>) -> Result<Consumed> {
        let mut queue = std::mem::take(&mut *self.queue.lock());
        queue.dropped += queue.waiting.iter().map(count).sum::<u64>();
        let error = outcome.err().filter(|_| !self.stopped);
        let json = serde_json::json!({
            "success": error.is_none(),
            "processed_events": self.processed,
            "chunks_processed": self.chunks,
            "dropped_events": queue.dropped,
            "chunk_size": self.chunk_size,
            "buffer_max_size": self.most,
        });
        let results = serde_json::to_string(&self.results.json).unwrap_or_else(|_| "[]".into());
        let mut body = json.to_string();
        body.truncate(body.len() - 1);
        body += &format!(",\"results\":{results}}}");
        let last = events.response();
        let (head, mut meta) = last.map(|r| (r.head.clone(), r.meta.clone())).unwrap_or_default();
        meta.dropped = Some(queue.dropped);
        // Behind what was taken, not behind what was read.
        meta.checkpoint = match &self.last_id {
            Some(id) => events.checkpoint_behind(id.to_str().unwrap_or_default()),
            None => events.begun_behind(),
        };
        if self.results.is_cut {
            let max = self.results.max;
            meta.warnings.push(format!(
                "results has not all chunks: they are more than {max} bytes (limits.max_result)"
            ));
        }
        let response = Response::new(head, meta, body.into_bytes());
        match error {
            None => Ok(Consumed { response, stopped: self.stopped }),
            Some(mut error) => {
                error.partial = Some(Arc::new(response));
                Err(error)
            }
        }
    }
}

impl Results {
    fn add(&mut self, chunk: &[Owned]) {
        let events: Vec<String> = chunk.iter().map(|event| event.event().json()).collect();
        let json = format!("[{}]", events.join(","));
        self.size += json.len() as u64 + 1;
        self.is_cut |= self.size > self.max;
        if !self.is_cut {
            self.json.extend(RawValue::from_string(json));
        }
    }
}

/// The next event; None: there is none any more.
fn next(events: &mut Events) -> Result<Option<Owned>> {
    loop {
        match events.advance()? {
            Step::Item => return Ok(events.event_now().map(|event| event.to_owned())),
            Step::End => return Ok(None),
            Step::Idle => {}
        }
    }
}

/// Comments and what happened to the connection are handed on, and count as no event.
fn count(event: &Owned) -> u64 {
    u64::from(event.event().kind == Kind::Event)
}
