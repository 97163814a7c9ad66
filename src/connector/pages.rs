//! Listings: how a connector asks for their pages.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use url::Url;

use super::{Connector, Ready};
use crate::config::{Counting, Endpoint, Origin, Paging, Style, Way, header_value};
use crate::error::{Error, Kind, Result};
use crate::exchange::Policy;
use crate::pages::{self, By, Listing, Page, Reader, Source, Turn};
use crate::redact;
use crate::request::{Body, Call, CallOptions, Content, Prepared, merge_over};
use crate::response::Response;
use crate::transport::{Target, Token};

/// More at once would only wait for each other.
const MOST_AHEAD: u32 = 64;

/// Asks for the pages of one endpoint.
pub struct Asker {
    connector: Arc<Connector>,
    /// The endpoint's place in the configuration.
    at: usize,
    paging: Paging,
    params: Option<String>,
    options: Option<String>,
}

impl Connector {
    /// Opens a listing, which is handed on page by page or record by record.
    pub fn pages(
        self: &Arc<Self>,
        endpoint: &str,
        params: Option<&str>,
        options: Option<&str>,
        by: By,
        token: Arc<Token>,
    ) -> Result<Reader<Asker>> {
        let listing = self.listing(endpoint, params, options, Some(token))?;
        Ok(Reader::new(listing, by))
    }

    /// Fetches a whole listing.
    pub(super) fn fetch_pages(
        self: &Arc<Self>,
        endpoint: &str,
        params: Option<&str>,
        options: Option<&str>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        pages::merge(self.listing(endpoint, params, options, cancel.cloned())?)
    }

    fn listing(
        self: &Arc<Self>,
        endpoint: &str,
        params: Option<&str>,
        options: Option<&str>,
        token: Option<Arc<Token>>,
    ) -> Result<Listing<Asker>> {
        let (ready, found) = self.endpoint(endpoint)?;
        let call = CallOptions::parse_for(options, Call::Pages)?;
        let wrong = |key: &str, what: &str| Error::argument(format!("options: /{key}: {what}"));
        if call.keys.wait.is_some() {
            return Err(wrong(
                "wait",
                "is for streams of chunks and events; a page has the time limits of its request",
            ));
        }
        self.check_data(found, &call)?;
        let mut paging = found.paging.clone().unwrap_or_else(Paging::single);
        let first = counted_by_the_call(&mut paging, ready, params, &call)?;
        let prefetch = call.keys.prefetch.unwrap_or(0);
        if prefetch > 0 && !paging.is_counted() {
            return Err(wrong(
                "prefetch",
                "is for the styles page_number, and offset with a limit: others say in each page where the next one is",
            ));
        }
        if prefetch > MOST_AHEAD {
            return Err(wrong("prefetch", &format!("must be at most {MOST_AHEAD}")));
        }
        let asker = Asker {
            connector: self.clone(),
            at: self.config.position(endpoint).unwrap_or_default(),
            paging: paging.clone(),
            params: params.map(str::to_owned),
            options: options.map(str::to_owned),
        };
        let limits = call.overrides().map_or(found.settings.limits, |o| found.settings.with(o).limits);
        let settings = pages::Settings {
            endpoint: endpoint.to_owned(),
            identity: asker.identity(&call)?,
            first,
            paging,
            checkpoint: call.keys.checkpoint.clone(),
            prefetch,
            guard: limits.max_pages_guard,
            max_result: limits.max_result,
            deadline: call.deadline().and_then(|d| Instant::now().checked_add(d)),
            token,
        };
        Listing::new(asker, settings)
    }

    /// The parameters of a listing's first page, for whoever shows it.
    pub(super) fn first_parameters(
        ready: &Ready,
        endpoint: &Endpoint,
        params: Option<&str>,
        options: &CallOptions<'_>,
    ) -> Result<Option<String>> {
        let Some(mut paging) = endpoint.paging.clone() else { return Ok(None) };
        let first = counted_by_the_call(&mut paging, ready, params, options)?;
        Ok(match &paging.style {
            Style::Numbers(c) | Style::Offsets(c) => {
                parameters(&paging, &Turn::Number(first.unwrap_or(c.first)))
            }
            Style::Marks { initial: Some(mark), .. } => parameters(&paging, &Turn::Mark(mark.clone())),
            _ => None,
        })
    }
}

/// A call that names the page to begin with, or the size of pages, is counted by that.
fn counted_by_the_call(
    paging: &mut Paging,
    ready: &Ready,
    params: Option<&str>,
    call: &CallOptions<'_>,
) -> Result<Option<u64>> {
    if let Style::Marks { initial, way, .. } = &mut paging.style {
        // What the call says goes first.
        let is_said = match way {
            Way::Parameter(name) => ready.prototype.parameter(name, params, call)?.is_some(),
            Way::Body(slot) => {
                let data = call.data.map_or("{}", RawValue::get);
                slot.room_in(data).map_err(|place| {
                    Error::argument(format!(
                        "data: {place} is not an object, and the next page's token goes into it"
                    ))
                })?;
                let other = [
                    (call.keys.form.is_some(), "form"),
                    (call.keys.multipart.is_some(), "multipart"),
                    (call.keys.body_file.is_some(), "body_file"),
                ];
                if let Some((_, key)) = other.into_iter().find(|(there, _)| *there) {
                    return Err(Error::argument(format!(
                        "options: /{key}: the next page's token goes into a JSON body (cursor_body_path)"
                    )));
                }
                slot.is_filled_in(data)
            }
            Way::Header(_) | Way::Address | Way::Either(_) => false,
        };
        if is_said {
            *initial = None;
        }
    }
    let (Style::Numbers(counting) | Style::Offsets(counting)) = &mut paging.style else { return Ok(None) };
    let number = |name: &str| {
        let Some(text) = ready.prototype.parameter(name, params, call)? else { return Ok(None) };
        let wrong = |_| {
            Error::argument(format!(
                "params: {name:?}: must be a whole number, since pages are counted by it"
            ))
        };
        text.parse::<u64>().map(Some).map_err(wrong)
    };
    if let Some((name, size)) = &mut counting.size
        && let Some(said) = number(name)?
    {
        *size = said.max(1);
    }
    number(&counting.param)
}

/// The parameters that make a request one for this page: a JSON object.
fn parameters(paging: &Paging, turn: &Turn) -> Option<String> {
    let key = |name: &str| serde_json::Value::from(name).to_string();
    match (&paging.style, turn) {
        (
            Style::Numbers(Counting { param, size, .. }) | Style::Offsets(Counting { param, size, .. }),
            Turn::Number(n),
        ) => {
            let size = size.as_ref().map(|(name, size)| format!(",{}:{size}", key(name))).unwrap_or_default();
            Some(format!("{{{}:{n}{size}}}", key(param)))
        }
        (Style::Marks { way: Way::Parameter(param) | Way::Either(param), .. }, Turn::Mark(mark)) => {
            Some(format!("{{{}:{mark}}}", key(param)))
        }
        _ => None,
    }
}

impl Asker {
    fn ready(&self) -> (&Ready, &Endpoint) {
        (&self.connector.ready[self.at], &self.connector.config.endpoints[self.at])
    }

    /// What identifies a listing: the request for its first page, without secrets, and how it goes on.
    fn identity(&self, call: &CallOptions<'_>) -> Result<u64> {
        let (ready, endpoint) = self.ready();
        let prepared = ready.prototype.prepare(self.params.as_deref(), call, Body::Fetch)?;
        let Paging { items, style, has_more, .. } = &endpoint.paging.clone().unwrap_or_else(Paging::single);
        let url = redact::blank(&prepared.url, &prepared.secret);
        let path = &endpoint.keys.response_path;
        let mut text = format!("{} {url}\n{items:?} {style:?} {has_more:?} {path:?}\n", prepared.method);
        if let Some(Content::Bytes(body)) = &prepared.body {
            text += &String::from_utf8_lossy(body);
        }
        Ok(pages::identity(&self.connector.exchange.redactor().redact(&text)))
    }

    /// The request for a page, and what it is subject to.
    fn prepare<T>(
        &self,
        turn: &Turn,
        then: impl FnOnce(&Ready, &Endpoint, Cow<'_, Policy>, Prepared<'_>) -> Result<T>,
    ) -> Result<T> {
        let (ready, endpoint) = self.ready();
        let mut options = CallOptions::parse(self.options.as_deref())?;
        let data;
        let mut in_header = None;
        if let (Style::Marks { way, .. }, Turn::Mark(mark)) = (&self.paging.style, turn) {
            match way {
                Way::Body(slot) => {
                    data = merge_over(options.data, &slot.around(mark))?;
                    options.data = Some(serde_json::from_str::<&RawValue>(&data).map_err(Error::internal)?);
                }
                Way::Header(name) => {
                    let header = serde_json::from_str::<String>(mark).unwrap_or_else(|_| mark.clone());
                    header_value(&header).map_err(|m| {
                        Error::new(
                            Kind::Pagination,
                            format!("the next page's token cannot be sent in {name}: {m}"),
                        )
                    })?;
                    in_header = Some((name.as_str(), header));
                }
                Way::Parameter(_) | Way::Either(_) | Way::Address => {}
            }
        }
        let over = parameters(&self.paging, turn);
        let mut prepared =
            ready.prototype.prepare_with(over.as_deref(), self.params.as_deref(), &options, Body::Fetch)?;
        if let Some((name, value)) = in_header {
            prepared.set_theirs(name, value);
        }
        let mut policy = Cow::Borrowed(&ready.policy);
        if let Turn::Address(address) = turn {
            let origin = Url::parse(address).ok().and_then(|url| Origin::of(&url));
            let origin = origin.ok_or_else(|| Error::internal("a page's address is no URL"))?;
            if origin != *prepared.origin {
                policy.to_mut().target = Arc::new(Target::of(&origin)?);
            }
            prepared.go_to(address);
        }
        then(ready, endpoint, policy, prepared)
    }
}

impl Source for Asker {
    fn page(&self, turn: &Turn, left: Option<Duration>, token: Option<&Arc<Token>>) -> Result<Page> {
        self.prepare(turn, |ready, endpoint, policy, mut prepared| {
            prepared.deadline = left;
            if *turn != Turn::First {
                prepared.key_page(pages::identity(&format!("{turn:?}")));
            }
            // As for the reference; where the listing is one already, it would hide a failure.
            let either =
                matches!(self.paging.style, Style::Single | Style::Marks { way: Way::Either(_), .. });
            let alone = either && *turn == Turn::First;
            let response = self.connector.perform(&policy, &prepared, token)?;
            pages::read(&ready.reading, &self.paging, alone, response)
                .map_err(|unreadable| self.connector.unreadable(endpoint, &prepared, *unreadable))
        })
    }

    fn follow(&self, base: &str, link: &str) -> Result<(String, Option<String>), String> {
        self.connector.exchange.follow_link(base, link)
    }

    fn public(&self, turn: &Turn) -> Option<Turn> {
        let text = match turn {
            Turn::First | Turn::Number(_) => return Some(turn.clone()),
            Turn::Mark(mark) => mark.clone(),
            Turn::Address(address) => {
                let cleaned =
                    self.prepare(&Turn::First, |_, _, _, prepared| Ok(prepared.without_secrets(address)));
                cleaned.ok()?
            }
        };
        if self.connector.exchange.redactor().finds(&text) {
            return None;
        }
        Some(if matches!(turn, Turn::Mark(_)) { Turn::Mark(text) } else { Turn::Address(text) })
    }
}
