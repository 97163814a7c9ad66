//! What a caller can ask for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::auth::{self, Credentials};
use crate::config::endpoint::{Decode, OnMissing};
use crate::config::keys::TlsVersion;
use crate::config::{self, Call, Config, Endpoint};
use crate::decode::{self, DottedPath};
use crate::error::{Error, Kind, Result, Sent};
use crate::exchange::Exchange;
use crate::request::{Body, CallOptions, Prepared, Prototype, items};
use crate::response::Response;
use crate::transport::{Settings, Target, TlsSettings, Token, Transport};
use crate::{health, log};

/// What an answer without a body is, and a path that leads nowhere may be.
const NULL: &str = "null";
/// Characters of an answer that are shown where it is not what it should be.
const EXCERPT: usize = 200;
/// Where they are taken from, in bytes: enough for a secret that begins within them.
const EXCERPT_FROM: usize = 16 * 1024;

/// An API, described once. Shared between threads.
#[derive(Debug)]
pub struct Connector {
    config: Config,
    /// In the order of `config.endpoints`.
    ready: Vec<Ready>,
    health: Ready,
    exchange: Exchange,
}

/// An endpoint with everything that its requests have in common made once.
#[derive(Debug)]
struct Ready {
    prototype: Prototype,
    target: Arc<Target>,
    decode: Decode,
    path: Option<DottedPath>,
    on_missing: OnMissing,
}

impl Ready {
    fn new(config: &Config, endpoint: &Endpoint, credentials: &Credentials) -> Result<Ready> {
        let origin = endpoint.target.absolute.as_ref().unwrap_or(&config.base.origin);
        Ok(Ready {
            prototype: Prototype::new(config, endpoint, credentials)?,
            target: Arc::new(Target::of(origin)?),
            decode: endpoint.keys.decode,
            path: endpoint.keys.response_path.clone().map(DottedPath::new),
            on_missing: endpoint.keys.on_missing,
        })
    }
}

impl Connector {
    /// A connector from configuration text: JSON, or YAML when it does not start with `{`.
    pub fn from_text(text: &str) -> Result<Connector> {
        Connector::new(config::from_text(text, &environment)?)
    }

    /// A connector from a file; `file.yaml#source` picks one connector out of a whole apilinker file.
    pub fn open(path: &Path) -> Result<Connector> {
        Connector::new(config::from_file(path, &environment)?)
    }

    fn new(config: Config) -> Result<Connector> {
        let keys = &config.keys;
        let transport = Transport::new(Settings {
            tls: TlsSettings {
                ca_file: keys.tls.ca_file.as_ref().map(Into::into),
                tls13_only: keys.tls.min_version == TlsVersion::Tls13,
                accept_invalid_certs: keys.tls.danger_accept_invalid_certs,
            },
            max_idle_per_host: keys.pool.max_idle_per_host(),
            idle_age: keys.pool.idle_age(),
            resolve: config
                .resolve
                .iter()
                .map(|(h, p, to)| ((h.clone(), *p), *to))
                .collect::<HashMap<_, _>>(),
        })?;
        let credentials = Credentials::new(&keys.auth)?;
        let ready =
            config.endpoints.iter().map(|e| Ready::new(&config, e, &credentials)).collect::<Result<_>>()?;
        let health = Ready::new(&config, &config.health, &credentials)?;
        let exchange = Exchange::new(transport, auth::redactor(&config));
        for warning in &config.warnings {
            log::warn(format_args!("{}", exchange.redactor().redact(warning)));
        }
        Ok(Connector { config, ready, health, exchange })
    }

    /// Asks the API for its health. OK whenever a verdict was reached.
    pub fn check_health(&self, cancel: Option<&Arc<Token>>) -> Result<Response> {
        let config = &self.config;
        config.health.supports(Call::Fetch)?;
        let options = CallOptions::default();
        let mut prepared = self.health.prototype.prepare(None, &options, Body::Fetch)?;
        prepared.deadline = Some(config.keys.health.timeout());
        let outcome = self.exchange.perform("health", &self.health.target, &prepared, cancel);
        let base_url = self.exchange.redactor().redact(config.keys.base_url.as_str());
        Ok(health::verdict(&base_url, &config.keys.health, outcome))
    }

    /// Fetches data from an endpoint; `params` and `options` are JSON objects.
    pub fn fetch(
        &self,
        endpoint: &str,
        params: Option<&str>,
        options: Option<&str>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        let (ready, endpoint) = self.endpoint(endpoint, Call::Fetch)?;
        let options = parse_options(options)?;
        let prepared = ready.prototype.prepare(params, &options, Body::Fetch)?;
        let response = self.perform(ready, endpoint, &prepared, cancel)?;
        self.data(ready, endpoint, &prepared, response)
    }

    /// Sends one item, a JSON text, to an endpoint.
    pub fn send(
        &self,
        endpoint: &str,
        data: &str,
        options: Option<&str>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        let (ready, endpoint) = self.endpoint(endpoint, Call::Send)?;
        if items(data)?.is_some() {
            return Err(Error::unsupported(format!("endpoint {:?}: send of a list", endpoint.name)));
        }
        let options = parse_options(options)?;
        let prepared = ready.prototype.prepare(None, &options, Body::Send(data))?;
        let response = self.perform(ready, endpoint, &prepared, cancel)?;
        // The reference's result: the whole answer, whatever `response_path` says.
        let result: Cow<'_, str> = match ready.decode {
            Decode::Json => self.json(endpoint, &prepared, &response)?.map_or(NULL, |(_, text)| text).into(),
            _ => self.text(endpoint, &prepared, &response)?.into(),
        };
        let body = format!("{{\"success\":true,\"result\":{result}}}").into_bytes();
        Ok(response.with_body(body))
    }

    /// Sends a body as it is.
    pub fn send_bytes(
        &self,
        endpoint: &str,
        body: &[u8],
        options: Option<&str>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        let (ready, endpoint) = self.endpoint(endpoint, Call::SendBytes)?;
        let options = parse_options(options)?;
        let prepared = ready.prototype.prepare(None, &options, Body::Bytes(body))?;
        let response = self.perform(ready, endpoint, &prepared, cancel)?;
        self.data(ready, endpoint, &prepared, response)
    }

    fn endpoint(&self, name: &str, call: Call) -> Result<(&Ready, &Endpoint)> {
        let Some(at) = self.config.position(name) else {
            return Err(self.unknown_endpoint(name));
        };
        let endpoint = &self.config.endpoints[at];
        endpoint.supports(call)?;
        Ok((&self.ready[at], endpoint))
    }

    fn unknown_endpoint(&self, name: &str) -> Error {
        let names: Vec<&str> = self.config.names().collect();
        let nearest = config::nearest(name, &names);
        let mut message = format!("the configuration has no endpoint {name:?}");
        if let Some(nearest) = nearest {
            message += &format!("; did you mean {nearest:?}?");
        }
        Error::new(Kind::UnknownEndpoint, message)
    }

    fn perform(
        &self,
        ready: &Ready,
        endpoint: &Endpoint,
        prepared: &Prepared<'_>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        let mut response = self.exchange.perform(&endpoint.name, &ready.target, prepared, cancel)?;
        if !self.config.warnings.is_empty() {
            let redactor = self.exchange.redactor();
            response
                .meta
                .warnings
                .extend(self.config.warnings.iter().map(|w| redactor.redact(w).into_owned()));
        }
        Ok(response)
    }

    /// What the endpoint's `decode` and `response_path` make of an answer.
    fn data(
        &self,
        ready: &Ready,
        endpoint: &Endpoint,
        prepared: &Prepared<'_>,
        response: Response,
    ) -> Result<Response> {
        if ready.decode != Decode::Json {
            return Ok(response);
        }
        let (start, json) = match self.json(endpoint, prepared, &response)? {
            Some(text) => text,
            None => return Ok(response.with_body(NULL.into())),
        };
        let end = start + json.len();
        let Some(path) = &ready.path else { return Ok(response.narrowed(start..end)) };
        match path.locate(json) {
            Ok(found) => Ok(response.narrowed(start + found.start..start + found.end)),
            Err(_) if ready.on_missing == OnMissing::Whole => Ok(response.narrowed(start..end)),
            Err(_) if ready.on_missing == OnMissing::Null => Ok(response.with_body(NULL.into())),
            Err(missing) => {
                let message = format!(
                    "response_path `{}` finds nothing: {missing} (on_missing: null or whole would accept that)",
                    path.as_str()
                );
                Err(self.undecodable(endpoint, prepared, &response, message))
            }
        }
    }

    /// The answer as a JSON text, and where it starts in the body. `None`: there is no body.
    fn json<'r>(
        &self,
        endpoint: &Endpoint,
        prepared: &Prepared<'_>,
        response: &'r Response,
    ) -> Result<Option<(usize, &'r str)>> {
        let body = response.body();
        if body.is_empty() {
            return Ok(None);
        }
        decode::check(body).map(Some).map_err(|syntax| {
            let media = response.head.get("content-type").map(String::from_utf8_lossy).unwrap_or_default();
            // Redacted before it is cut: a piece of a secret would not be found any more.
            let start = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_FROM)]);
            let start = self.exchange.redactor().redact(&start);
            let start: String = start.chars().take(EXCERPT).collect();
            let message =
                format!("the answer is not JSON: {syntax}; its type is `{media}`, it starts with {start:?}");
            self.undecodable(endpoint, prepared, response, message)
        })
    }

    /// The answer as a JSON string.
    fn text(&self, endpoint: &Endpoint, prepared: &Prepared<'_>, response: &Response) -> Result<String> {
        let text = std::str::from_utf8(response.body()).map_err(|e| {
            let message = format!(
                "the answer is not UTF-8 from byte {} on; send_bytes hands on any answer",
                e.valid_up_to()
            );
            self.undecodable(endpoint, prepared, response, message)
        })?;
        serde_json::to_string(text).map_err(Error::internal)
    }

    fn undecodable(
        &self,
        endpoint: &Endpoint,
        prepared: &Prepared<'_>,
        response: &Response,
        message: String,
    ) -> Error {
        let redactor = self.exchange.redactor();
        let message = redactor.redact(&message);
        let url = &response.meta.url;
        let mut error =
            Error::new(Kind::Decode, format!("{}: {} {url}: {message}", endpoint.name, prepared.method));
        error.sent = Sent::Yes;
        error.http_status = Some(response.head.status);
        error.endpoint = Some(endpoint.name.clone());
        error.method = Some(prepared.method.to_owned());
        error.url = Some(url.clone());
        error.attempts = response.meta.attempts.clone();
        let kept = (prepared.settings.limits.max_error_body as usize).min(response.body().len());
        let body = response.body()[..kept].to_vec();
        error.response = Some(Arc::new(Response::new(response.head.clone(), response.meta.clone(), body)));
        error
    }
}

fn parse_options(options: Option<&str>) -> Result<CallOptions<'_>> {
    let options = CallOptions::parse(options)?;
    match options.unbuilt() {
        Some(key) => Err(Error::unsupported(format!("the option {key:?}"))),
        None => Ok(options),
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
