//! Streams of events: how a connector makes their connections.

use std::sync::Arc;

use super::Connector;
use crate::error::{Error, Result};
use crate::exchange::limit::Inside;
use crate::request::{Body, CallOptions};
use crate::sse::{self, Connect, Consumed, Events, OnEvents, Owned};
use crate::transport::Token;

impl Connector {
    /// Opens a stream of server-sent events. `token`: ends it; it is the stream's own.
    pub fn events(
        self: &Arc<Self>,
        endpoint: &str,
        params: Option<&str>,
        options: Option<&str>,
        token: Arc<Token>,
    ) -> Result<Events> {
        let (_, found) = self.endpoint(endpoint)?;
        let call = CallOptions::parse(options)?;
        let settings = sse::Settings::new(found, &call)?;
        self.check_data(found, &call)?;
        Events::open(self.connect(endpoint, params, options), settings, token)
    }

    /// Takes the events of a stream, a chunk at a time, until it ends.
    pub fn consume(
        self: &Arc<Self>,
        endpoint: &str,
        params: Option<&str>,
        options: Option<&str>,
        on_events: Option<OnEvents<'_>>,
        cancel: Option<Arc<Token>>,
    ) -> Result<Consumed> {
        if CallOptions::parse(options)?.keys.wait.is_some() {
            return Err(Error::argument("options: /wait: is for streams that are read event by event"));
        }
        let token = Arc::new(Token::child(cancel));
        let events = self.events(endpoint, params, options, token.clone())?;
        let (ready, _) = self.endpoint(endpoint)?;
        let mut on_events = on_events.map(|on_events| {
            move |events: &[Owned]| {
                // The stream holds places under the limits: what is called meanwhile needs none.
                let _inside = Inside::enter(&ready.policy.limits);
                on_events(events)
            }
        });
        let on_events = on_events.as_mut().map(|on_events| on_events as OnEvents<'_>);
        sse::consume(events, &token, on_events)
    }

    /// Asks an endpoint for events, again and again. Each time it is signed afresh.
    fn connect(self: &Arc<Self>, endpoint: &str, params: Option<&str>, options: Option<&str>) -> Connect {
        let connector = self.clone();
        let (endpoint, params) = (endpoint.to_owned(), params.map(str::to_owned));
        let options = options.map(str::to_owned);
        Box::new(move |last_id, left, token| {
            let (ready, found) = connector.endpoint(&endpoint)?;
            let options = CallOptions::parse(options.as_deref())?;
            let mut prepared = ready.prototype.prepare(params.as_deref(), &options, Body::Events)?;
            prepared.deadline = left;
            let settings = prepared.settings.to_mut();
            // Whether and when there is another attempt is the stream's to say.
            settings.retry.attempts = 1;
            let read = options.keys.read_timeout;
            if let Some(read) = read.or(found.keys.sse.as_ref().and_then(|s| s.read_timeout)) {
                settings.timeouts.read = read.0;
            }
            if !last_id.is_empty() {
                prepared.set_theirs("Last-Event-ID", last_id.to_owned());
            }
            connector.ask(ready, &prepared, Some(token))
        })
    }
}
