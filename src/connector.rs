//! What a caller can ask for.

mod events;
mod pages;
mod send;
mod sign_in;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::answer::Reading;
use crate::auth::{self, Credentials, Sources};
use crate::cache::{Cache, Unseen};
use crate::config::keys::TlsVersion;
use crate::config::{self, Config, Endpoint};
use crate::download::{self, Downloaded, OnProgress};
use crate::error::{Error, Kind, Result, Sent};
use crate::exchange::limit::{Inside, Limiter};
use crate::exchange::{Exchange, OnRequest, OnToken, Opened, Policy};
use crate::hooks::HooksCell;
use crate::request::{Body, Call, CallOptions, Generate, Prepared, Prototype};
use crate::response::{Head, Meta, Response};
use crate::send::check;
use crate::stream::{self, Stream};
use crate::transfer::{Opener, Progress};
use crate::transport::{Proxies, Settings, Target, TlsSettings, Token, Transport};
use crate::{explain, health, log, random, redact};

const GENERATE: Generate = Generate { boundary: random::boundary, key: random::key };
const SOURCES: Sources = Sources { now: SystemTime::now, nonce: random::nonce };

/// An API, described once. Shared between threads.
#[derive(Debug)]
pub struct Connector {
    config: Config,
    /// In the order of `config.endpoints`.
    ready: Vec<Ready>,
    health: Ready,
    exchange: Exchange,
    hooks: HooksCell,
}

/// An endpoint with everything that its requests have in common made once.
#[derive(Debug)]
struct Ready {
    prototype: Prototype,
    policy: Policy,
    reading: Reading,
}

impl Ready {
    /// `limit`: the connector's own.
    fn new(
        config: &Config,
        endpoint: &Endpoint,
        credentials: &Credentials,
        limit: Option<&Arc<Limiter>>,
    ) -> Result<Ready> {
        let origin = endpoint.target.absolute.as_ref().unwrap_or(&config.base.origin);
        let own = endpoint.keys.rate_limit.as_ref().and_then(Limiter::new).map(Arc::new);
        let policy = Policy {
            endpoint: endpoint.name.clone(),
            target: Arc::new(Target::of(origin)?),
            rules: endpoint.rules.clone(),
            limits: own.into_iter().chain(limit.cloned()).collect(),
            cache: endpoint.keys.cache.as_ref().map(|keys| Arc::new(Cache::new(keys))),
        };
        let prototype = Prototype::new(config, endpoint, credentials, GENERATE)?;
        Ok(Ready { prototype, policy, reading: Reading::new(endpoint) })
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

    fn new(mut config: Config) -> Result<Connector> {
        let keys = &config.keys;
        let proxy = keys.proxy.as_ref().map(|p| p.as_str());
        let proxies = Proxies::new(proxy, &keys.no_proxy, &environment)?;
        let redactor = auth::redactor(&config, proxies.secrets());
        let transport = Transport::new(Settings {
            tls: TlsSettings {
                ca_file: keys.tls.ca_file.as_ref().map(Into::into),
                identity: keys
                    .tls
                    .client_cert
                    .as_ref()
                    .zip(keys.tls.client_key.as_ref())
                    .map(|(c, k)| (c.into(), k.into())),
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
            proxies,
        })?;
        let credentials = Credentials::new(&keys.auth)?;
        let limit = keys.rate_limit.as_ref().and_then(Limiter::new).map(Arc::new);
        let make = |e: &Endpoint| Ready::new(&config, e, &credentials, limit.as_ref());
        let ready = config.endpoints.iter().map(make).collect::<Result<_>>()?;
        let mut health = make(&config.health)?;
        health.policy.endpoint = "health".into();
        let exchange = Exchange::new(
            transport,
            redactor,
            config.allowed.clone(),
            keys.cookies,
            auth::scheme(&config, SOURCES)?,
            &config.settings,
        );
        // Every answer has them.
        for warning in &mut config.warnings {
            *warning = exchange.redactor().redact(warning).into_owned();
            log::warn(format_args!("{warning}"));
        }
        Ok(Connector { config, ready, health, exchange, hooks: HooksCell::new() })
    }

    /// Sets who signs each request to the configured origins; BUSY after the first call.
    pub fn on_request(&self, on_request: OnRequest) -> Result<()> {
        self.hooks.set("on_request", |hooks| hooks.on_request.replace(on_request))
    }

    /// Sets who stores the tokens that calls receive; BUSY after the first call.
    pub fn on_token(&self, on_token: OnToken) -> Result<()> {
        self.hooks.set("on_token", |hooks| hooks.on_token.replace(on_token))
    }

    /// Asks the API for its health. OK whenever a verdict was reached.
    pub fn check_health(&self, cancel: Option<&Arc<Token>>) -> Result<Response> {
        let config = &self.config;
        let options = CallOptions::default();
        let mut prepared = self.health.prototype.prepare(None, &options, Body::Fetch)?;
        prepared.deadline = Some(config.keys.health.timeout());
        let outcome = self.exchange.perform(&self.health.policy, &prepared, cancel, self.hooks.fix());
        let base_url = self.exchange.redactor().redact(config.keys.base_url.as_str());
        Ok(health::verdict(&base_url, &config.keys.health, outcome))
    }

    /// Fetches data from an endpoint; `params` and `options` are JSON objects.
    pub fn fetch(
        self: &Arc<Self>,
        endpoint: &str,
        params: Option<&str>,
        options: Option<&str>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        let (ready, endpoint) = self.endpoint(endpoint)?;
        if endpoint.paging.is_some() {
            return self.fetch_pages(&endpoint.name, params, options, cancel);
        }
        let options = CallOptions::parse_for(options, Call::Fetch)?;
        self.check_data(endpoint, &options)?;
        let prepared = ready.prototype.prepare(params, &options, Body::Fetch)?;
        let response = self.perform(&ready.policy, &prepared, cancel)?;
        ready.reading.data(response).map_err(|u| self.unreadable(endpoint, &prepared, *u))
    }

    /// Tells the request that a fetch would send, or the configuration. Nothing is sent.
    pub fn explain(
        &self,
        endpoint: Option<&str>,
        params: Option<&str>,
        options: Option<&str>,
    ) -> Result<Response> {
        let (config, redactor) = (&self.config, self.exchange.redactor());
        let body = match endpoint {
            None => explain::configuration(config, &redactor),
            Some(name) => {
                let (ready, endpoint) = self.endpoint(name)?;
                let options = CallOptions::parse(options)?;
                let first = Connector::first_parameters(ready, endpoint, params, &options)?;
                let prepared =
                    ready.prototype.prepare_with(first.as_deref(), params, &options, Body::Fetch)?;
                let shown = self.exchange.show(&ready.policy, &prepared)?;
                let call = if endpoint.paging.is_some() { Call::Pages } else { Call::Fetch };
                let unfit = options.check_for(call).err();
                let misfit = options
                    .data
                    .and_then(|data| check(name, endpoint.request_schema.as_ref(), data.get()).err());
                explain::request(config, endpoint, &prepared, shown, unfit.or(misfit), &redactor)
            }
        };
        Ok(Response::new(Head::default(), Meta::default(), body))
    }

    /// Sends a body as it is.
    pub fn send_bytes(
        &self,
        endpoint: &str,
        body: &[u8],
        options: Option<&str>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        let (ready, endpoint) = self.endpoint(endpoint)?;
        let options = CallOptions::parse_for(options, Call::SendBytes)?;
        let prepared = ready.prototype.prepare(None, &options, Body::Bytes(body))?;
        let response = self.perform(&ready.policy, &prepared, cancel)?;
        ready.reading.data(response).map_err(|u| self.unreadable(endpoint, &prepared, *u))
    }

    /// Opens the body of an answer as a stream. `token`: ends it; it is the stream's own.
    pub fn stream(
        self: &Arc<Self>,
        endpoint: &str,
        params: Option<&str>,
        options: Option<&str>,
        token: Arc<Token>,
    ) -> Result<Stream> {
        let (_, found) = self.endpoint(endpoint)?;
        let call = CallOptions::parse(options)?;
        let settings = stream::Settings::new(found, &call)?;
        self.check_data(found, &call)?;
        Stream::open(self.opener(endpoint, params, options), settings, token)
    }

    /// Downloads a resource into a file.
    pub fn download(
        self: &Arc<Self>,
        endpoint: &str,
        destination: &str,
        params: Option<&str>,
        options: Option<&str>,
        on_progress: Option<OnProgress<'_>>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Downloaded> {
        let (ready, found) = self.endpoint(endpoint)?;
        let call = CallOptions::parse(options)?;
        let settings = download::Settings::new(found, &call)?;
        self.check_data(found, &call)?;
        let prepared = ready.prototype.prepare(params, &call, Body::Stream)?;
        // What is asked for: the URL, and which form of it (RFC 9110 12.5). Other fields may change with every call.
        let mut source = redact::blank(&prepared.url, &prepared.secret);
        for (name, value) in &prepared.headers {
            let is_choice = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("accept"));
            if is_choice && !name.eq_ignore_ascii_case("accept-encoding") {
                source += &format!("\n{name}: {value}");
            }
        }
        let job = download::Job {
            opener: self.opener(endpoint, params, options),
            settings,
            destination,
            source: &self.exchange.redactor().redact(&source),
            ranges: prepared.method == "GET" && prepared.body.is_none(),
            cancel,
        };
        let mut on_progress = on_progress.map(|on_progress| {
            move |progress: &Progress| {
                // The download holds places under the limits: what is called meanwhile needs none.
                let _inside = Inside::enter(&ready.policy.limits);
                on_progress(progress)
            }
        });
        let on_progress = on_progress.as_mut().map(|on_progress| on_progress as OnProgress<'_>);
        download::run(&job, on_progress)
    }

    /// Holds what a call sends along against the endpoint's schema.
    fn check_data(&self, endpoint: &Endpoint, call: &CallOptions<'_>) -> Result<()> {
        let Some(data) = call.data else { return Ok(()) };
        let checked = check(&endpoint.name, endpoint.request_schema.as_ref(), data.get());
        checked.map(drop).map_err(|e| self.redacted(e))
    }

    /// Asks, and hands the answer's body on as it comes.
    fn ask(&self, ready: &Ready, prepared: &Prepared<'_>, cancel: Option<&Arc<Token>>) -> Result<Opened> {
        let mut opened = self.exchange.open(&ready.policy, prepared, cancel, self.hooks.fix())?;
        self.changed(prepared);
        opened.meta.warnings.extend_from_slice(&self.config.warnings);
        Ok(opened)
    }

    /// Asks an endpoint for a part of what it has, again and again.
    fn opener(self: &Arc<Self>, endpoint: &str, params: Option<&str>, options: Option<&str>) -> Opener {
        let connector = self.clone();
        let (endpoint, params) = (endpoint.to_owned(), params.map(str::to_owned));
        let options = options.map(str::to_owned);
        Box::new(move |ask, cancel| {
            let (ready, found) = connector.endpoint(&endpoint)?;
            let options = CallOptions::parse(options.as_deref())?;
            let mut prepared = ready.prototype.prepare(params.as_deref(), &options, Body::Stream)?;
            prepared.deadline = ask.left;
            if ask.tried > 0 {
                let retry = &mut prepared.settings.to_mut().retry;
                retry.attempts = retry.attempts.saturating_sub(ask.tried).max(1);
            }
            let read = options.keys.read_timeout;
            if let Some(read) = read.or(found.keys.streaming.as_ref().and_then(|s| s.read_timeout)) {
                prepared.settings.to_mut().timeouts.read = read.0;
            }
            // A range is one of the bytes as they are (RFC 9110 14.2).
            prepared.set_own("Accept-Encoding", "identity".to_owned());
            if let Some(range) = ask.range() {
                prepared.set_own("Range", range);
                if let Some(validator) = &ask.if_range {
                    prepared.set_own("If-Range", validator.clone());
                }
            }
            connector.ask(ready, &prepared, cancel)
        })
    }

    fn endpoint(&self, name: &str) -> Result<(&Ready, &Endpoint)> {
        match self.config.position(name) {
            Some(at) => Ok((&self.ready[at], &self.config.endpoints[at])),
            None => Err(self.unknown_endpoint(name)),
        }
    }

    fn unknown_endpoint(&self, name: &str) -> Error {
        let names: Vec<&str> = self.config.names().collect();
        let nearest = config::nearest(name, &names);
        let mut message = format!("the configuration has no endpoint {name:?}");
        match nearest {
            Some(nearest) => message += &format!("; did you mean {nearest:?}?"),
            None if !names.is_empty() && names.len() <= 12 => {
                message += &format!("; it has {}", names.join(", "));
            }
            None => {}
        }
        Error::new(Kind::UnknownEndpoint, message)
    }

    fn perform(
        &self,
        policy: &Policy,
        prepared: &Prepared<'_>,
        cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        let hooks = self.hooks.fix();
        let ask = |prepared: &Prepared<'_>| self.exchange.perform(policy, prepared, cancel, hooks);
        let unseen = Unseen { signed: hooks.on_request.is_some(), cookies: self.config.keys.cookies };
        let mut response = match &policy.cache {
            Some(cache) => cache.through(prepared, unseen, ask)?,
            None => ask(prepared)?,
        };
        self.changed(prepared);
        response.meta.warnings.extend_from_slice(&self.config.warnings);
        Ok(response)
    }

    /// What a request may have changed is not kept any longer, whichever endpoint it was kept for.
    fn changed(&self, prepared: &Prepared<'_>) {
        if !prepared.changes_nothing() {
            self.ready
                .iter()
                .filter_map(|ready| ready.policy.cache.as_ref())
                .for_each(|c| c.forget(&prepared.url));
        }
    }

    /// A misfit names keys of the data, and somebody may have put a secret there.
    fn redacted(&self, mut error: Error) -> Error {
        error.message = self.exchange.redactor().redact(&error.message).into_owned();
        error
    }

    /// An answer that cannot be read: where it happened, and what it was.
    fn unreadable(
        &self,
        endpoint: &Endpoint,
        prepared: &Prepared<'_>,
        (mut error, response): (Error, Response),
    ) -> Error {
        let what = response.meta.redactor.redact(&error.message).into_owned();
        let url = response.meta.url.clone();
        error.message = format!("{}: {} {url}: {what}", endpoint.name, prepared.method);
        error.sent = Sent::Yes;
        error.http_status = Some(response.head.status);
        error.endpoint = Some(endpoint.name.clone());
        error.method = Some(prepared.method.to_owned());
        error.url = Some(url);
        error.attempts = response.meta.attempts.clone();
        let (response, mut body) = response.take_body();
        body.truncate(prepared.settings.limits.max_error_body as usize);
        error.response = Some(Arc::new(response.with_body(body)));
        error
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
