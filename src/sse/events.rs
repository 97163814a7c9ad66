//! A stream of events over one connection after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::checkpoint;
use super::event::{Event, Kind};
use super::llm::{Answer, Meaning};
use super::parser::{Found, Parser, TooLarge};
use super::reconnect::{Ended, Next, Reconnect};
use super::settings::Settings;
use crate::config::header_value;
use crate::error::{Error, Kind as Failure, Result};
use crate::exchange::{Opened, Read};
use crate::response::{Head, Meta, Response};
use crate::stream::Step;
use crate::transfer::Progress;
use crate::transport::{Token, pause};
use crate::{log, random};

const MEDIA_TYPE: &str = "text/event-stream";

/// Asks for the events behind the one with this id (empty: from wherever the server begins), in the time that is left
/// for the whole call: limits, signature and redirects as for every other request, and one attempt.
pub type Connect = Box<dyn Fn(&str, Option<Duration>, &Arc<Token>) -> Result<Opened> + Send + Sync>;

/// Where a stream is.
enum State {
    /// On a connection.
    Open(Box<Opened>),
    /// Between two: the next one is made then.
    Waiting(Instant),
    /// At its end, and why, until that was told.
    Over(Option<Error>),
}

/// What was found last.
enum Current {
    Nothing,
    Event,
    Comment,
    News(News),
}

/// What happened to the connection: a kind, a text with its NUL, the wait until the next one in milliseconds.
struct News(Kind, Vec<u8>, Option<u64>);

/// A stream of events.
pub struct Events {
    connect: Connect,
    settings: Settings,
    token: Arc<Token>,
    state: State,
    parser: Parser,
    reconnect: Reconnect,
    answer: Answer,
    current: Current,
    news: Option<News>,
    /// Head and meta of the last answer.
    response: Option<Response>,
    progress: Progress,
    connections: u64,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl Events {
    /// Asks for it, once. What may pass by itself is no failure yet: the stream waits for it when it is read.
    pub fn open(connect: Connect, settings: Settings, token: Arc<Token>) -> Result<Events> {
        let max = usize::try_from(settings.limits.max_event).unwrap_or(usize::MAX);
        let mut events = Events {
            connect,
            token,
            state: State::Over(None),
            parser: Parser::new(max, settings.comments, &settings.last_id),
            reconnect: Reconnect::new(settings.policy.clone()),
            answer: Answer::new(&settings),
            current: Current::Nothing,
            news: None,
            response: None,
            progress: Progress::new(&settings.endpoint, 0),
            connections: 0,
            settings,
        };
        if events.settings.max_events == Some(0) {
            return Ok(events);
        }
        events.connect();
        match events.state {
            State::Over(Some(error)) => Err(error),
            _ => Ok(events),
        }
    }

    /// How it is read.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn left(&self) -> Option<Duration> {
        self.settings.deadline.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Waits for the next event.
    #[inline]
    pub fn advance(&mut self) -> Result<Step> {
        self.current = Current::Nothing;
        let until = self.settings.wait.and_then(|wait| Instant::now().checked_add(wait));
        // What nearly every call is.
        if self.news.is_none()
            && let Some(step) = self.read(until)
        {
            return Ok(step);
        }
        self.go_on(until)
    }

    #[cold]
    fn go_on(&mut self, until: Option<Instant>) -> Result<Step> {
        loop {
            if let Some(news) = self.news.take() {
                self.current = Current::News(news);
                return Ok(Step::Item);
            }
            match &mut self.state {
                State::Open(_) => {
                    if let Some(step) = self.read(until) {
                        return Ok(step);
                    }
                }
                State::Waiting(at) => {
                    let at = *at;
                    if let Err(fail) = pause(until.map_or(at, |until| until.min(at)), Some(&self.token)) {
                        let kind = if self.token.is_cancelled() { Failure::Cancelled } else { Failure::Io };
                        let what = format!("{}: waiting to reconnect: {fail}", self.settings.endpoint);
                        self.over(Some(self.place(Error::new(kind, what))));
                    } else if Instant::now() >= at {
                        self.connect();
                    } else {
                        return Ok(Step::Idle);
                    }
                }
                State::Over(error) => {
                    return match error.take() {
                        Some(error) => Err(error),
                        None => {
                            self.progress.done = true;
                            Ok(Step::End)
                        }
                    };
                }
            }
        }
    }

    /// Reads on the connection. None: there is none, or the state has changed.
    fn read(&mut self, until: Option<Instant>) -> Option<Step> {
        let State::Open(opened) = &mut self.state else { return None };
        loop {
            match self.parser.advance(opened.piece_mut()) {
                Ok(Found::Nothing) => {}
                Ok(Found::Event) => return self.event(),
                Ok(Found::Comment) => {
                    self.current = Current::Comment;
                    return Some(Step::Item);
                }
                Err(TooLarge) => {
                    self.too_large();
                    return None;
                }
            }
            match opened.next_piece(until) {
                Ok(Read::Bytes(n)) => self.progress.add(n as u64),
                Ok(Read::Nothing) => return Some(Step::Idle),
                Ok(Read::End) => {
                    self.ended(None);
                    return None;
                }
                Err(error) => {
                    self.ended(Some(error));
                    return None;
                }
            }
        }
    }

    /// There is an event. None: it ends the stream, and is not handed out.
    fn event(&mut self) -> Option<Step> {
        self.reconnect.delivered();
        match self.answer.take(self.parser.data(piece(&self.state))) {
            Meaning::Part => {}
            Meaning::End => {
                self.over(None);
                return None;
            }
            Meaning::Failure(words) => {
                let error = self.refused(&words);
                self.over(Some(error));
                return None;
            }
        }
        self.progress.chunks += 1;
        self.current = Current::Event;
        if self.settings.max_events.is_some_and(|max| self.progress.chunks >= max) {
            self.parser.detach(piece(&self.state));
            self.over(None);
        }
        Some(Step::Item)
    }

    #[cold]
    fn too_large(&mut self) {
        let most = self.settings.limits.max_event;
        let what = format!("an event of more than {most} bytes (limits.max_event)");
        let error = Error::new(Failure::TooLarge, what);
        let error = match &mut self.state {
            State::Open(opened) => opened.failed(error),
            _ => self.place(error),
        };
        self.over(Some(error));
    }

    /// A failure that the server tells in an event.
    #[cold]
    fn refused(&mut self, words: &str) -> Error {
        let State::Open(opened) = &mut self.state else {
            return Error::internal("an event without an answer");
        };
        let what = format!("an event tells of a failure (error_path): {words}");
        let mut error = opened.failed(Error::new(Failure::HttpStatus, what));
        let body = self.parser.data(opened.piece()).to_vec();
        error.response = Some(Arc::new(Response::new(opened.head.clone(), opened.meta.clone(), body)));
        error
    }

    /// Asks for the next connection.
    fn connect(&mut self) {
        let last_id = self.parser.last_id();
        let opened = match header_value(last_id) {
            Ok(()) => (self.connect)(last_id, self.left(), &self.token).and_then(accept),
            Err(what) => {
                let what = format!(
                    "{}: it cannot go on, because the id of the last event cannot be sent: it {what}",
                    self.settings.endpoint
                );
                Err(self.place(Error::new(Failure::Protocol, what)))
            }
        };
        match opened {
            Ok(opened) => {
                self.respond(opened.head.clone(), opened.meta.clone(), self.connections);
                self.connections += 1;
                self.parser.restart();
                self.answer.restart();
                self.state = State::Open(Box::new(opened));
                self.tell(Kind::Connected, "", None);
            }
            Err(error) => {
                if let Some(answer) = &error.response {
                    let reconnects = self.connections.saturating_sub(1);
                    self.respond(answer.head.clone(), answer.meta.clone(), reconnects);
                }
                self.ended(Some(error));
            }
        }
    }

    fn respond(&mut self, head: Head, mut meta: Meta, reconnects: u64) {
        meta.reconnects = (reconnects > 0).then_some(reconnects);
        self.response = Some(Response::new(head, meta, Vec::new()));
    }

    /// A connection came to its end, or did not come to be: the stream goes on, or ends too.
    #[cold]
    fn ended(&mut self, error: Option<Error>) {
        if let Some(time) = self.parser.take_time() {
            self.reconnect.asked(time);
        }
        let ended = error.as_ref().map_or(Ended::Closed, Ended::Failed);
        let why = error.as_ref().map_or("the server closed the stream", |e| e.message.as_str());
        match self.reconnect.next(ended, self.left(), random::fraction()) {
            Next::Again(wait) => {
                let ms = wait.as_millis() as u64;
                log::info(format_args!("{}: {why}; it reconnects in {ms} ms", self.settings.endpoint));
                let news = News(Kind::Disconnected, text(why), Some(ms));
                self.news = self.settings.lifecycle.then_some(news);
                self.state = State::Waiting(Instant::now() + wait);
            }
            Next::Late if error.is_none() => {
                let what = format!(
                    "{}: timed out: the server closed the stream, and the call's deadline comes before the reconnect",
                    self.settings.endpoint
                );
                self.over(Some(self.place(Error::new(Failure::Timeout, what))));
            }
            Next::Stop if error.is_none() && self.answer.is_missing() => {
                let what = "the server closed the stream before the event that ends it (sentinel)";
                let error = Error::new(Failure::Truncated, what);
                let error = match &mut self.state {
                    State::Open(opened) => opened.failed(error),
                    _ => self.place(error),
                };
                self.over(Some(error));
            }
            Next::Late | Next::Stop => self.over(error),
        }
    }

    /// It ends. What there is of an answer goes with its failure.
    #[cold]
    fn over(&mut self, mut error: Option<Error>) {
        if let Some(error) = &mut error
            && let Some((text, is_cut)) = self.answer.partial()
        {
            let mut meta = self.response.as_ref().map(|r| r.meta.clone()).unwrap_or_default();
            meta.checkpoint = self.checkpoint();
            if is_cut {
                meta.warnings.push("the partial answer is not all that came (limits.max_result)".into());
            }
            let head = self.response.as_ref().map(|r| r.head.clone()).unwrap_or_default();
            error.partial = Some(Arc::new(Response::new(head, meta, text)));
        }
        let why = error.as_ref().map_or("the stream has ended", |e| e.message.as_str()).to_owned();
        self.tell(Kind::Disconnected, &why, None);
        self.state = State::Over(error);
    }

    fn tell(&mut self, kind: Kind, what: &str, wait: Option<u64>) {
        self.news = self.settings.lifecycle.then(|| News(kind, text(what), wait));
    }

    /// Says where a failure happened that came between two answers.
    fn place(&self, mut error: Error) -> Error {
        error.endpoint = Some(self.settings.endpoint.clone());
        error
    }

    /// The data of what was found last. The byte behind it is NUL.
    #[inline]
    pub fn data(&self) -> &[u8] {
        match &self.current {
            Current::Nothing => &[],
            Current::Event | Current::Comment => self.parser.data(piece(&self.state)),
            Current::News(News(_, text, _)) => &text[..text.len() - 1],
        }
    }

    /// What was found last; None: nothing, or the end.
    #[inline]
    pub fn event_now(&self) -> Option<Event<'_>> {
        let (parser, id) = (&self.parser, self.parser.last_id_nul());
        Some(match &self.current {
            Current::Nothing => return None,
            Current::Event => Event {
                retry: parser.retry(),
                decode_json: self.settings.decode_json,
                ..Event::new(Kind::Event, parser.name(), id, self.data())
            },
            Current::Comment => Event::new(Kind::Comment, "comment", id, self.data()),
            Current::News(News(kind, _, retry)) => {
                let name = if *kind == Kind::Connected { "connected" } else { "disconnected" };
                Event { retry: *retry, ..Event::new(*kind, name, id, self.data()) }
            }
        })
    }

    /// Head and meta of the last answer; None: there was none yet.
    pub fn response(&self) -> Option<&Response> {
        self.response.as_ref()
    }

    /// How far it has come: bytes as they came, events as chunks.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The place behind the last event, for another stream; None: no event had an id.
    pub fn checkpoint(&self) -> Option<String> {
        self.checkpoint_behind(self.parser.last_id())
    }

    /// The place behind the event with this id.
    pub fn checkpoint_behind(&self, id: &str) -> Option<String> {
        (!id.is_empty()).then(|| checkpoint::write(id, &self.settings.endpoint))
    }

    /// The place where the stream began.
    pub fn begun_behind(&self) -> Option<String> {
        self.checkpoint_behind(&self.settings.last_id)
    }
}

/// What is read of the connection, where there is one.
fn piece(state: &State) -> &[u8] {
    match state {
        State::Open(opened) => opened.piece(),
        _ => &[],
    }
}

/// With the NUL that C callers are promised.
fn text(what: &str) -> Vec<u8> {
    format!("{what}\0").into_bytes()
}

/// Is it a stream of events? Else there will be none the next time either (WHATWG HTML 9.2.3).
fn accept(mut opened: Opened) -> Result<Opened> {
    let status = opened.head.status;
    let media = opened.head.get("content-type").map(String::from_utf8_lossy).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim().to_owned();
    let what = match status {
        204 => "the server answered 204: there are no events, and it asks not to be asked again".to_owned(),
        201..=299 => format!("the server answered {status}, and a stream of events is 200"),
        _ if essence.eq_ignore_ascii_case(MEDIA_TYPE) => return Ok(opened),
        _ => format!("its type is `{essence}`, and a stream of events is {MEDIA_TYPE}"),
    };
    let body = beginning(&mut opened);
    let mut error = opened.failed(Error::new(Failure::Protocol, what));
    error.response = Some(Arc::new(Response::new(opened.head, opened.meta, body)));
    Err(error)
}

/// What the server says instead of events, where it is short and has an end.
fn beginning(opened: &mut Opened) -> Vec<u8> {
    const MOST: u64 = 64 << 10;
    let Some(length) = opened.length().filter(|length| *length <= MOST) else { return Vec::new() };
    let (mut body, mut filled) = (vec![0; length as usize], 0);
    while filled < body.len() {
        match opened.read(&mut body[filled..], None) {
            Ok(Read::Bytes(n)) => filled += n,
            _ => break,
        }
    }
    body.truncate(filled);
    body
}
