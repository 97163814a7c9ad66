//! What an endpoint's requests have in common, encoded once; and one request out of it and a call.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::body::Body;
use super::bulk::Bulk;
use super::content::{Bodies, Content, Media, Typed};
use super::graphql::{self, Graphql};
use super::options::CallOptions;
use super::params::{Param, Params};
use super::path::Template;
use super::prepared::{Key, Prepared};
use crate::auth::Credentials;
use crate::config::endpoint::{BodyKind, Decode};
use crate::config::settings::{AcceptEncoding, IdempotencyKey, Retry};
use crate::config::values::Statuses;
use crate::config::{Config, Endpoint, Fault, Origin, Paging, Secret, Settings, Style, Way};
use crate::decode::ACCEPTED;
use crate::error::{Error, Result};
use crate::percent::encode_component;

/// No server takes a longer URL, and the HTTP stack underneath counts it in 16 bits.
const MAX_URL: usize = 60_000;

/// The field of draft-ietf-httpapi-idempotency-key-header.
pub(super) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// What a request accepts of an answer that is JSON.
const JSON: &str = "application/json";

/// What an endpoint's requests have in common.
#[derive(Clone)]
pub struct Prototype {
    method: String,
    origin: Origin,
    /// Origin and base path, without a slash at the end.
    start: String,
    /// The base path as it was configured, for an endpoint without a path.
    base_path: String,
    base_query: Option<String>,
    template: Template,
    /// Do base_url's query, and the path's, hold something from `${VAR}`?
    secret_query: (bool, bool),
    params: Vec<Static>,
    auth_query: Option<(String, Secret)>,
    headers: Vec<(String, Secret)>,
    /// Further ones, of streams and downloads.
    streaming_headers: Vec<(String, Secret)>,
    /// The names of those of them whose values are secrets.
    secret_headers: Vec<String>,
    user_agent: Option<String>,
    accept: &'static str,
    bodies: Bodies,
    graphql: Option<Graphql>,
    generate: Generate,
    settings: Settings,
    ok_status: Statuses,
}

/// What is made up for a request.
#[derive(Clone, Copy, Debug)]
pub struct Generate {
    /// The boundary of a multipart body, which is in no value.
    pub boundary: fn() -> String,
    /// An Idempotency-Key that nobody has used.
    pub key: fn() -> String,
}

/// Parameters and queries may hold secrets.
impl std::fmt::Debug for Prototype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prototype")
            .field("method", &self.method)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// A parameter of the configuration.
#[derive(Clone)]
struct Static {
    name: String,
    value: Param<'static>,
    secret: bool,
}

/// What a request wants of its answer, by the kind of call.
struct Wanted {
    accept: &'static str,
    encoding: &'static str,
    cache_control: Option<&'static str>,
    /// Is it a stream of bytes, with the headers of the block `streaming`?
    streaming: bool,
}

impl Wanted {
    fn of(body: Body<'_>, accept: &'static str, encoding: AcceptEncoding) -> Wanted {
        let encoding = match encoding {
            AcceptEncoding::Auto => ACCEPTED,
            AcceptEncoding::Identity => "identity",
        };
        match body {
            Body::Stream => Wanted { accept: "*/*", encoding, cache_control: None, streaming: true },
            // What is compressed comes late: whoever compresses waits for more (WHATWG HTML 9.2.7 warns of it).
            Body::Events => Wanted {
                accept: "text/event-stream",
                encoding: "identity",
                cache_control: Some("no-cache"),
                streaming: false,
            },
            _ => Wanted { accept, encoding, cache_control: None, streaming: false },
        }
    }
}

/// Sets a header, whatever the case of its name.
fn set<N: AsRef<str>, V>(headers: &mut Vec<(N, V)>, name: N, value: V) {
    match headers.iter_mut().find(|(n, _)| n.as_ref().eq_ignore_ascii_case(name.as_ref())) {
        Some(there) => *there = (name, value),
        None => headers.push((name, value)),
    }
}

/// Has the body room for a listing's token? It would take the place of what is no object, and nobody would notice.
fn check_cursor(endpoint: &Endpoint, template: Option<&str>) -> Result<(), Fault> {
    let Some(Paging { style: Style::Marks { way: Way::Body(slot), .. }, .. }) = &endpoint.paging else {
        return Ok(());
    };
    let place = |what: String| Fault::new(what).under("cursor_body_path").under("pagination");
    if endpoint.graphql.is_some() {
        return Err(place("says nothing with `query`: cursor_param names a variable".into()));
    }
    if !matches!(endpoint.keys.body, BodyKind::Json | BodyKind::Form) {
        return Err(place("needs a JSON body".into()));
    }
    let room = slot.room_in(template.unwrap_or("{}"));
    room.map_err(|there| place(format!("leads through {there} of body_template, which is not an object")))
}

impl Prototype {
    /// Reads what an endpoint's requests have in common.
    pub fn new(
        config: &Config,
        endpoint: &Endpoint,
        credentials: &Credentials,
        generate: Generate,
    ) -> Result<Prototype> {
        let keys = &endpoint.keys;
        let absolute = endpoint.target.absolute.as_ref();
        let origin = absolute.unwrap_or(&config.base.origin).clone();
        let base_path = if absolute.is_some() { "/" } else { &config.base.path };
        let template = Template::new(&endpoint.target.template)?;

        let graphql = Graphql::new(endpoint, |name| template.has(name))?;
        let mut params = Vec::new();
        for (name, json) in keys.params.iter() {
            if graphql.is_some() && !template.has(name) {
                continue;
            }
            let wrong = |m: String| Error::config(format!("/endpoints/{}/params/{name}: {m}", endpoint.name));
            let raw: &RawValue = serde_json::from_str(json.get()).map_err(|e| wrong(e.to_string()))?;
            let value = Param::read(raw).map_err(wrong)?.into_owned();
            params.push(Static { name: name.to_owned(), value, secret: json.is_from_env() });
        }

        // auth stands over the configured headers, as in the reference; a call's own stand over auth.
        let mut headers: Vec<(String, Secret)> = Vec::new();
        let mut secret_headers: Vec<String> = Vec::new();
        for (name, value) in config.keys.default_headers.iter().chain(keys.headers.iter()) {
            set(&mut headers, name.to_owned(), Secret::new(value.as_str()));
            if value.is_from_env() {
                secret_headers.push(name.to_owned());
            }
        }
        if config.keys.auth.signs() {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        }
        let mut streaming_headers = Vec::new();
        for (name, value) in keys.streaming.iter().flat_map(|s| s.headers.iter()) {
            set(&mut streaming_headers, name.to_owned(), Secret::new(value.as_str()));
            if value.is_from_env() {
                secret_headers.push(name.to_owned());
            }
        }
        if let Some((name, value)) = &credentials.header {
            set(&mut headers, name.clone(), value.clone());
            secret_headers.push(name.clone());
        }
        if let Some((name, value)) = &credentials.cookie {
            // Beside the configured ones: all of them share one header (RFC 6265 5.4).
            let there = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("cookie"));
            let before = there.map(|(_, v)| format!("{}; ", v.expose())).unwrap_or_default();
            let pair = Secret::new(format!("{before}{name}={}", value.expose()));
            set(&mut headers, "Cookie".to_owned(), pair);
        }
        let user_agent = match &config.keys.user_agent {
            // It may hold a secret: then it is not for every origin.
            Some(agent) if agent.is_from_env() => {
                if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("user-agent")) {
                    headers.push(("User-Agent".into(), Secret::new(agent.as_str())));
                    secret_headers.push("User-Agent".into());
                }
                None
            }
            Some(agent) => Some(agent.as_str().to_owned()),
            None => Some(concat!("apl/", env!("CARGO_PKG_VERSION")).to_owned()),
        };
        let mut bodies = Bodies {
            kind: keys.body,
            // One without members is none, as in the reference: a GET would carry a body that nobody meant.
            template: keys.body_template.as_ref().map(|t| t.get().to_owned()).filter(|t| t != "{}"),
            content_type: keys.content_type.clone(),
            bulk: None,
            boundary: generate.boundary,
        };
        let wrong = |f: Fault| Error::config(f.under(endpoint.name.as_str()).under("endpoints").to_string());
        bodies.check().map_err(wrong)?;
        check_cursor(endpoint, bodies.template.as_deref()).map_err(wrong)?;
        if let Some(batch) = &keys.batch {
            let bulk = match keys.query {
                Some(_) => Err(Fault::new("does not go with `query`: GraphQL has no list of items")),
                None => Bulk::new(batch, keys.body, bodies.template.as_deref()),
            };
            bodies.bulk = Some(bulk.map_err(|f| wrong(f.under("batch")))?);
        }
        Ok(Prototype {
            method: endpoint.method.clone(),
            start: format!("{origin}{}", base_path.trim_end_matches('/')),
            base_path: base_path.to_owned(),
            base_query: config.base.query.clone().filter(|_| absolute.is_none()),
            origin,
            template,
            secret_query: (config.secret_base_query, endpoint.target.secret_query),
            params,
            auth_query: credentials.query.clone(),
            headers,
            streaming_headers,
            secret_headers,
            user_agent: user_agent.filter(|a| !a.is_empty()),
            accept: match keys.decode {
                Decode::Json if graphql.is_some() => graphql::ACCEPT,
                Decode::Json => JSON,
                Decode::Ndjson => "application/x-ndjson",
                Decode::Text | Decode::Bytes => "*/*",
            },
            bodies,
            graphql,
            generate,
            settings: endpoint.settings.clone(),
            ok_status: keys.ok_status.clone(),
        })
    }

    /// One request. `params` is a JSON object; it wins over the option `params`, and that over the endpoint's.
    pub fn prepare<'a>(
        &'a self,
        params: Option<&str>,
        options: &'a CallOptions<'_>,
        body: Body<'a>,
    ) -> Result<Prepared<'a>> {
        self.prepare_with(None, params, options, body)
    }

    /// The same, with parameters that win over all others: a JSON object.
    pub fn prepare_with<'a>(
        &'a self,
        over: Option<&str>,
        params: Option<&str>,
        options: &'a CallOptions<'_>,
        body: Body<'a>,
    ) -> Result<Prepared<'a>> {
        let mut call = Params::default();
        let (mut further, mut typed) = (Vec::new(), None);
        match &self.graphql {
            Some(graphql) => {
                let in_path = |name: &str| self.template.has(name);
                let variables = graphql.variables([over, params], options, body, in_path, &mut call)?;
                if graphql.by_get {
                    further = graphql.query(variables);
                    typed = Some(Typed { content: None, media: None });
                } else {
                    let content = Content::Bytes(graphql.body(&variables)?.into_bytes().into());
                    typed =
                        Some(Typed { content: Some(content), media: Some((JSON.into(), Media::Default)) });
                }
            }
            None => {
                if let Some(over) = over {
                    call.add(over)?;
                }
                let count = call.0.len();
                for text in [params, options.params.map(RawValue::get)].into_iter().flatten() {
                    call.add(text)?;
                }
                // They win, and stand at the end.
                call.0.rotate_left(count);
            }
        }
        let (url, secret) = self.url(&call, &further)?;
        let settings = match options.overrides() {
            Some(o) => Cow::Owned(self.settings.with(o)),
            None => Cow::Borrowed(&self.settings),
        };
        let wanted = Wanted::of(body, self.accept, settings.accept_encoding);
        let typed = typed.map_or_else(|| self.bodies.make(options, body), Ok)?;
        let Typed { content: body, media } = typed;
        let (mut headers, own_headers) = self.headers(options, media, &wanted);
        let key = self.key(options, &settings.retry, &mut headers);
        Ok(Prepared {
            method: &self.method,
            origin: &self.origin,
            url,
            headers,
            own_headers,
            body,
            settings,
            deadline: options.deadline(),
            secret_headers: &self.secret_headers,
            auth_query: self.auth_query.as_ref().map(|(name, value)| (name.as_str(), value.expose())),
            key,
            is_safe: self.graphql.as_ref().is_some_and(Graphql::is_safe),
            is_conditional: false,
            ok_status: options.keys.ok_status.as_ref().unwrap_or(&self.ok_status),
            secret,
        })
    }

    /// The value of a parameter, as the call or the endpoint says it. Of a list, there is none.
    pub fn parameter(
        &self,
        name: &str,
        params: Option<&str>,
        options: &CallOptions<'_>,
    ) -> Result<Option<String>> {
        let mut call = Params::default();
        for text in [params, options.params.map(RawValue::get)].into_iter().flatten() {
            call.add_some(text, |n| n == name)?;
        }
        let fixed = self.params.iter().find(|p| p.name == name).map(|p| &p.value);
        Ok(call.get(name).or(fixed).and_then(Param::one).map(str::to_owned))
    }

    /// The whole URL, and where secrets stand in it. `further`: parameters beside those of the call, and whether each
    /// holds a secret.
    fn url(
        &self,
        call: &Params<'_>,
        further: &[(&str, Param<'_>, bool)],
    ) -> Result<(String, Vec<std::ops::Range<usize>>)> {
        let fixed = |name: &str| self.params.iter().find(|p| p.name == name).map(|p| &p.value);
        let expanded = self.template.expand(|name| call.get(name).or_else(|| fixed(name)))?;
        let (path, query) = expanded.split_once('?').unwrap_or((expanded.as_ref(), ""));
        let mut url = String::with_capacity(self.start.len() + expanded.len() + 64);
        url.push_str(&self.start);
        match path.trim_start_matches('/') {
            "" if path.is_empty() && self.base_path.ends_with('/') => url.push('/'),
            // An endpoint without a path is the base URL itself.
            "" if path.is_empty() => {}
            path => {
                url.push('/');
                url.push_str(path);
            }
        }
        let (mut first, mut secret) = (true, Vec::new());
        let whole = [(self.base_query.as_deref().unwrap_or_default(), self.secret_query.0)];
        for (query, hidden) in whole.into_iter().chain([(query, self.secret_query.1)]) {
            if !query.is_empty() {
                url.push(if std::mem::take(&mut first) { '?' } else { '&' });
                let from = url.len();
                url.push_str(query);
                if hidden {
                    secret.push(from..url.len());
                }
            }
        }
        let in_auth = |name: &str| self.auth_query.as_ref().is_some_and(|(n, _)| n == name);
        for Static { name, value, secret: hidden } in &self.params {
            if self.template.has(name) || in_auth(name) {
                continue;
            }
            match call.get(name) {
                Some(value) => value.encode(name, &mut first, &mut url),
                None => {
                    let from = url.len() + 1;
                    value.encode(name, &mut first, &mut url);
                    if *hidden && url.len() > from {
                        let shown = url[from..].find('=').map_or(from, |i| from + i + 1);
                        secret.push(shown..url.len());
                    }
                }
            }
        }
        for (name, value) in &call.0 {
            if fixed(name).is_none() && !self.template.has(name) && !in_auth(name) {
                value.encode(name, &mut first, &mut url);
            }
        }
        for (name, value, hidden) in further {
            // One byte for `?` or `&`, one for `=`.
            let from = url.len() + name.len() + 2;
            value.encode(name, &mut first, &mut url);
            if *hidden {
                secret.push(from..url.len());
            }
        }
        if let Some((name, value)) = &self.auth_query {
            url.push(if first { '?' } else { '&' });
            encode_component(name, &mut url);
            url.push('=');
            let from = url.len();
            encode_component(value.expose(), &mut url);
            secret.push(from..url.len());
        }
        if url.len() > MAX_URL {
            return Err(Error::argument(format!(
                "the URL is {} bytes long; more than {MAX_URL} cannot be sent",
                url.len()
            )));
        }
        Ok((url, secret))
    }

    /// Adds the Idempotency-Key that the call names or the configuration wants.
    fn key<'a>(
        &self,
        options: &'a CallOptions<'_>,
        retry: &Retry,
        headers: &mut Vec<(&'a str, Cow<'a, str>)>,
    ) -> Key {
        let is_key = |(name, _): &(&str, Cow<'_, str>)| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY);
        if let Some(key) = &options.keys.idempotency_key {
            headers.retain(|header| !is_key(header));
            headers.push((IDEMPOTENCY_KEY, key.as_str().into()));
            return Key::Given;
        }
        if let Some((_, key)) = headers.iter().find(|header| is_key(header)) {
            // By a blank one no server knows a request again; it is sent as it is.
            return if key.trim().is_empty() { Key::None } else { Key::Given };
        }
        // What may be repeated anyway needs none.
        let wants = matches!(self.method.as_str(), "POST" | "PATCH");
        if wants && retry.idempotency_key == IdempotencyKey::Auto {
            headers.push((IDEMPOTENCY_KEY, (self.generate.key)().into()));
            return Key::Generated;
        }
        Key::None
    }

    /// The library's own headers, then the others; and how many are the library's own.
    fn headers<'a>(
        &'a self,
        options: &'a CallOptions<'_>,
        media: Option<(Cow<'a, str>, Media)>,
        wanted: &Wanted,
    ) -> (Vec<(&'a str, Cow<'a, str>)>, usize) {
        let keys = &options.keys;
        let over = media.as_ref().map_or(Media::Default, |(_, over)| *over);
        let is_type = |name: &str| name.eq_ignore_ascii_case("content-type");
        let mut theirs: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(self.headers.len() + 8);
        let configured = self.headers.iter().filter(|(n, _)| over == Media::Default || !is_type(n));
        theirs.extend(configured.map(|(n, v)| (n.as_str(), v.expose().into())));
        for (name, value) in self.streaming_headers.iter().filter(|_| wanted.streaming) {
            set(&mut theirs, name, value.expose().into());
        }
        for (name, value) in keys.headers.iter().chain(keys.extra_headers.iter()) {
            set(&mut theirs, name, value.as_str().into());
        }
        if keys.content_type.is_some() || over == Media::Fixed {
            // What the call says about its body wins.
            theirs.retain(|(n, _)| !is_type(n));
        }
        let own = [
            self.user_agent.as_deref().map(|agent| ("User-Agent", agent.into())),
            Some(("Accept", wanted.accept.into())),
            Some(("Accept-Encoding", wanted.encoding.into())),
            wanted.cache_control.map(|value| ("Cache-Control", value.into())),
            media.map(|(media, _)| ("Content-Type", media)),
        ];
        let is_set = |name: &str| theirs.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let mut headers: Vec<_> = own.into_iter().flatten().filter(|(n, _)| !is_set(n)).collect();
        let count = headers.len();
        headers.extend(theirs);
        (headers, count)
    }
}
