//! One item, or a list.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::{Connector, Ready};
use crate::config::Endpoint;
use crate::error::{Error, Kind, Result, Sent};
use crate::exchange::words;
use crate::request::{self, Body, Call, CallOptions, Prepared, items};
use crate::response::Response;
use crate::send::{self, Again, Answer, Asked, Earlier, Outcome, Place, Reply, Requests, Verdict};
use crate::transport::Token;

/// At once, in one call; each takes a thread. More is a mistake.
const MOST_REQUESTS: u32 = 1024;

/// RFC 4918 13.
const MULTI_STATUS: u16 = 207;

impl Connector {
    /// Sends one item, or each item of a list, to an endpoint; the data is a JSON text.
    pub fn send(
        &self,
        endpoint: &str,
        data: &str,
        options: Option<&str>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        let (ready, endpoint) = self.endpoint(endpoint)?;
        let options = CallOptions::parse_for(options, Call::Send)?;
        if options.keys.resume.is_some() {
            return Err(Error::argument("options: /resume: of a send, it is a ledger, or a ledger's items"));
        }
        let concurrency = options.keys.concurrency.map_or(1, NonZeroU32::get);
        if concurrency > MOST_REQUESTS {
            return Err(Error::argument(format!("options: /concurrency: must be at most {MOST_REQUESTS}")));
        }
        let schema = endpoint.request_schema.as_ref();
        let Some(items) = items(data)? else {
            if options.ledger.is_some() {
                return Err(Error::argument("options: /resume: goes with a list; what is sent is one item"));
            }
            let data = request::data(data)?.get();
            send::check(&endpoint.name, schema, data).map_err(|e| self.redacted(e))?;
            let prepared = ready.prototype.prepare(None, &options, Body::Send(data))?;
            let (result, response) = self.send_one(ready, endpoint, &prepared, cancel)?;
            let body = format!("{{\"success\":true,\"result\":{result}}}").into_bytes();
            return Ok(response.with_body(body));
        };
        send::check_all(&endpoint.name, schema, &items).map_err(|e| self.redacted(e))?;
        let earlier = match options.ledger {
            // A message may quote what should be a number.
            Some(ledger) => Earlier::read(ledger, &items).map_err(|e| self.redacted(e))?,
            None => Earlier::default(),
        };
        let mut limits = send::Limits {
            deadline: options.deadline(),
            max_result: endpoint.settings.limits.max_result,
            concurrency: concurrency as usize,
            cancel,
        };
        let sender = Sender { connector: self, ready, endpoint, options: &options, items: &items, cancel };
        if !items.is_empty() {
            // What no item could be sent with is said before one is.
            let first = sender.these(&[0]);
            limits.max_result = sender.prepare(&[0], &first)?.settings.limits.max_result;
        }
        let size = endpoint.keys.batch.as_ref().map_or(1, |batch| batch.size());
        send::run(&send::List { endpoint: &endpoint.name, items: &items, size, earlier, limits }, &sender)
    }

    fn send_one(
        &self,
        ready: &Ready,
        endpoint: &Endpoint,
        prepared: &Prepared<'_>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<(String, Response)> {
        let response = self.perform(&ready.policy, prepared, cancel)?;
        ready.reading.whole(response).map_err(|u| self.unreadable(endpoint, prepared, *u))
    }
}

/// Makes the requests of a list.
struct Sender<'s> {
    connector: &'s Connector,
    ready: &'s Ready,
    endpoint: &'s Endpoint,
    options: &'s CallOptions<'s>,
    items: &'s [&'s RawValue],
    cancel: Option<&'s Arc<Token>>,
}

impl Requests for Sender<'_> {
    fn again(&self, items: &[usize]) -> Result<Again> {
        let these = self.these(items);
        let prepared = self.prepare(items, &these)?;
        Ok(match prepared.idempotency_key() {
            _ if prepared.is_idempotent() => Again::Always,
            Some(key) => Again::With(key.to_owned()),
            None => Again::Never,
        })
    }

    fn send(&self, items: &[usize], left: Option<Duration>) -> Reply {
        let these = self.these(items);
        let mut prepared = match self.prepare(items, &these) {
            Ok(prepared) => prepared,
            Err(error) => return Reply { key: None, outcome: Err(error) },
        };
        prepared.deadline = left;
        let redactor = self.connector.exchange.redactor();
        let key = prepared.idempotency_key().filter(|key| redactor.redact(key) == *key).map(str::to_owned);
        let outcome = self.connector.send_one(self.ready, self.endpoint, &prepared, self.cancel);
        let outcome = match outcome {
            Ok((text, response)) => Ok(self.answer(&prepared, items, &these, text, response)),
            Err(mut error) => {
                if self.endpoint.keys.batch.is_some()
                    && (error.kind(), error.http_status) == (Kind::Decode, Some(MULTI_STATUS))
                {
                    // What would tell what became of them cannot be read.
                    error.sent = Sent::Maybe;
                }
                Err(error)
            }
        };
        Reply { key, outcome }
    }
}

impl<'s> Sender<'s> {
    fn these(&self, items: &[usize]) -> Vec<&'s RawValue> {
        items.iter().filter_map(|index| self.items.get(*index).copied()).collect()
    }

    fn prepare<'p>(&'p self, items: &[usize], these: &'p [&'p RawValue]) -> Result<Prepared<'p>> {
        let body = match (&self.endpoint.keys.batch, these) {
            (None, [item]) => Body::Send(item.get()),
            _ => Body::Batch(these),
        };
        let mut prepared = self.ready.prototype.prepare(None, self.options, body)?;
        prepared.key_items(items);
        Ok(prepared)
    }

    /// What an answer says of each item.
    fn answer(
        &self,
        prepared: &Prepared<'_>,
        items: &[usize],
        these: &[&RawValue],
        text: String,
        response: Response,
    ) -> Answer {
        let status = response.head.status;
        if self.endpoint.keys.batch.is_none() {
            let whole = Place::Here(0..text.len());
            return Answer { text, response, items: vec![Ok((status, whole))] };
        }
        let is_ok = |status| prepared.is_ok(status);
        let asked = Asked { items: these, multi_status: status == MULTI_STATUS, is_ok: &is_ok };
        let verdicts = send::verdicts(&text, asked);
        let outcome = |(verdict, index): (Verdict, &usize)| -> Outcome {
            match verdict {
                Verdict::Done(own, place) => Ok((own.unwrap_or(status), place)),
                Verdict::Refused(own, place) => {
                    let said = text.get(place).unwrap_or_default();
                    Err(self.refused(prepared, *index, own, said, &response))
                }
                Verdict::Unknown(why) => {
                    let mut what =
                        format!("the answer, {status}, does not tell what became of item {index}: {why}");
                    if let Some(words) = words(text.as_bytes(), &response.meta.redactor) {
                        what += &format!(": {words}");
                    }
                    let mut error = self.located(Error::new(Kind::Decode, what), prepared, &response);
                    (error.sent, error.http_status) = (Sent::Maybe, Some(status));
                    Err(error)
                }
            }
        };
        let outcomes = verdicts.into_iter().zip(items).map(outcome).collect();
        Answer { text, response, items: outcomes }
    }

    /// An item that the server refused, in an answer that is no refusal.
    fn refused(
        &self,
        prepared: &Prepared<'_>,
        index: usize,
        own: Option<u16>,
        said: &str,
        response: &Response,
    ) -> Error {
        let kind = match own {
            Some(401 | 403) => Kind::Auth,
            Some(429) => Kind::RateLimited,
            _ => Kind::HttpStatus,
        };
        let mut what = format!("the server refused item {index}");
        if let Some(status) = own {
            what += &format!(" with {status}");
        }
        if let Some(words) = words(said.as_bytes(), &response.meta.redactor) {
            what += &format!(": {words}");
        }
        let mut error = self.located(Error::new(kind, what), prepared, response);
        (error.sent, error.http_status) = (Sent::Yes, Some(own.unwrap_or(response.head.status)));
        error.undone = own == Some(429);
        let (head, meta) = (response.head.clone(), response.meta.clone());
        error.response = Some(Arc::new(Response::new(head, meta, said.as_bytes().to_vec())));
        error
    }

    fn located(&self, mut error: Error, prepared: &Prepared<'_>, response: &Response) -> Error {
        let url = response.meta.url.clone();
        error.message = format!("{}: {} {url}: {}", self.endpoint.name, prepared.method, error.message);
        error.endpoint = Some(self.endpoint.name.clone());
        error.method = Some(prepared.method.to_owned());
        error.url = Some(url);
        error.repeatable = prepared.is_repeatable();
        error.attempts = response.meta.attempts.clone();
        error
    }
}
