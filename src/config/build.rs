//! From keys to a configuration: every check that needs more than one value, and what later rooms ask for.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::check;
use super::endpoint::{Decode, EndpointKeys};
use super::fault::Fault;
use super::graphql::{self, Operation};
use super::keys::ConnectorKeys;
use super::node::{Node, Value};
use super::origin::{Allowed, Origin};
use super::pagination::{Items, Paging};
use super::rules::Rules;
use super::secret::{Secret, Text};
use super::settings::{Overrides, RedirectKeys, Settings};
use super::url::{self, Base};
use super::values::{Named, RawJson};
use crate::decode::{Path, Schema};
use crate::error::Result;

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The keys as they were set, without the endpoints.
    pub keys: ConnectorKeys,
    /// base_url.
    pub base: Base,
    /// The origins that may be reached with secrets.
    pub allowed: Allowed,
    /// The connector's settings over the defaults.
    pub settings: Settings,
    /// `resolve`: host in lower case, port, and the address to use.
    pub resolve: Vec<(String, u16, SocketAddr)>,
    /// Every value that must not be seen.
    pub secrets: Vec<Secret>,
    /// Has base_url's query something from `${VAR}` in it?
    pub secret_base_query: bool,
    /// What the user should know although nothing is wrong.
    pub warnings: Vec<String>,
    /// What the API's health is asked from, as an endpoint without a name.
    pub health: Endpoint,
    /// The endpoints, in the order of the text.
    pub endpoints: Vec<Endpoint>,
    index: HashMap<String, usize>,
}

/// One endpoint of a checked configuration.
#[derive(Debug)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its keys as they were set.
    pub keys: EndpointKeys,
    /// Its method in capital letters.
    pub method: String,
    /// Where it is.
    pub target: Target,
    /// Its settings over the connector's.
    pub settings: Settings,
    /// Where the data lies in an answer.
    pub response_path: Option<Path>,
    /// What the data must be.
    pub response_schema: Option<Schema>,
    /// What is sent must be.
    pub request_schema: Option<Schema>,
    /// What its answers mean.
    pub rules: Rules,
    /// The operation, where it is one of GraphQL.
    pub graphql: Option<Operation>,
    /// How its listings go on; None: it has none.
    pub paging: Option<Paging>,
}

/// Where an endpoint is.
#[derive(Clone)]
pub struct Target {
    /// The origin, where the path is a whole URL; None: below base_url.
    pub absolute: Option<Origin>,
    /// The template of path and query.
    pub template: String,
    /// Has its query something from `${VAR}` in it?
    pub secret_query: bool,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let template = if self.secret_query { "***" } else { &self.template };
        f.debug_struct("Target").field("absolute", &self.absolute).field("template", &template).finish()
    }
}

impl Config {
    /// The endpoint of that name.
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.position(name).map(|i| &self.endpoints[i])
    }

    /// The endpoint's place in `endpoints`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// The names of the endpoints, in the order of the text.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.endpoints.iter().map(|e| e.name.as_str())
    }
}

/// Makes faults that know where their place is in the text.
struct Places<'a>(&'a Node);

impl Places<'_> {
    fn fault(&self, path: &[&str], message: impl Into<String>) -> Fault {
        let mut node = self.0;
        let mut fault = Fault::new(message);
        for key in path {
            let next = match &node.value {
                Value::List(items) => key.parse().ok().and_then(|i: usize| items.get(i)),
                _ => node.get(key),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        fault = fault.at(node.pos);
        for key in path.iter().rev() {
            fault = fault.under(*key);
        }
        fault
    }
}

/// Checks the keys and resolves what later rooms ask for.
pub(super) fn build(
    mut keys: ConnectorKeys,
    root: &Node,
    mut warnings: Vec<String>,
) -> Result<Config, Fault> {
    let places = Places(root);
    let base = url::base(keys.base_url.as_str()).map_err(|m| places.fault(&["base_url"], m))?;
    let mut secrets: Vec<Secret> = keys.auth.secrets().into_iter().cloned().collect();

    let (mut further, mut any) = (Vec::new(), false);
    for (i, text) in keys.allow_origins.iter().enumerate() {
        match text.as_str() {
            "*" => any = true,
            text => further
                .push(url::origin(text).map_err(|m| places.fault(&["allow_origins", &i.to_string()], m))?),
        }
    }
    let allowed = Allowed::new(base.origin.clone(), further, any);

    let block = if root.get("headers").is_some() { "headers" } else { "default_headers" };
    headers(&keys.default_headers, &places, &[block], &mut secrets)?;
    if let Some(agent) = &keys.user_agent {
        check::header_value(agent.as_str()).map_err(|m| places.fault(&["user_agent"], m))?;
        text_secrets(agent, &mut secrets);
    }

    if keys.tls.required && !base.origin.is_https() {
        return Err(places.fault(&["tls", "required"], "TLS is required, but base_url is plain http"));
    }
    if keys.tls.client_cert.is_some() != keys.tls.client_key.is_some() {
        return Err(places.fault(&["tls"], "client_cert and client_key go together"));
    }
    if !base.origin.is_https() && !keys.auth.is_none() {
        warnings.push(format!("credentials go to {} over plain http", base.origin));
    }
    if keys.tls.danger_accept_invalid_certs {
        warnings.push("tls.danger_accept_invalid_certs is on: certificates are not checked".into());
    }
    if let Some(proxy) = &keys.proxy {
        let text = proxy.as_str();
        if !text.eq_ignore_ascii_case("none") && !text.eq_ignore_ascii_case("env") {
            check::proxy(text).map_err(|m| places.fault(&["proxy"], m))?;
            if let Some(password) = ::url::Url::parse(text).ok().and_then(|u| u.password().map(str::to_owned))
            {
                secrets.push(Secret::new(password));
            }
        }
        text_secrets(proxy, &mut secrets);
    }
    let mut resolve = Vec::new();
    for (name, to) in keys.resolve.iter() {
        resolve.push(check::resolve(name, to).map_err(|m| places.fault(&["resolve", name], m))?);
    }

    let settings = Settings::default().with(Overrides {
        timeout: keys.timeout.as_ref(),
        retry_count: keys.retry_count,
        retry_delay: keys.retry_delay,
        retry: keys.retry.as_ref(),
        redirects: keys.redirects.as_ref(),
        limits: keys.limits.as_ref(),
        accept_encoding: keys.accept_encoding,
    });
    let secret_base_query = query_secrets(&keys.base_url, &mut secrets);
    for url in keys.auth.urls() {
        query_secrets(url, &mut secrets);
    }

    let health = EndpointKeys {
        path: Some(keys.health.path.clone().unwrap_or_else(|| Text::new("/"))),
        // Whatever comes is fine: only the status counts.
        decode: Decode::Bytes,
        // One answer is the verdict, and a redirect is one.
        retry_count: Some(1),
        redirects: Some(RedirectKeys { follow: Some(false), max: None }),
        ..EndpointKeys::default()
    };
    let health = build_endpoint("", health, &allowed, &settings, &mut secrets)
        .map_err(|(_, m)| places.fault(&["health", "path"], m))?;

    let mut endpoints = Vec::new();
    let mut index = HashMap::new();
    for (name, endpoint) in std::mem::take(&mut keys.endpoints).0 {
        let built = build_endpoint(&name, endpoint, &allowed, &settings, &mut secrets).map_err(
            |(path, message)| {
                let mut full = vec!["endpoints", name.as_str()];
                full.extend(path.iter().map(String::as_str));
                places.fault(&full, message)
            },
        )?;
        index.insert(name, endpoints.len());
        endpoints.push(built);
    }
    Ok(Config {
        keys,
        base,
        allowed,
        settings,
        resolve,
        secrets,
        secret_base_query,
        warnings,
        health,
        endpoints,
        index,
    })
}

/// Where below the endpoint, and what.
type EndpointFault = (Vec<String>, String);

fn build_endpoint(
    name: &str,
    keys: EndpointKeys,
    allowed: &Allowed,
    settings: &Settings,
    secrets: &mut Vec<Secret>,
) -> Result<Endpoint, EndpointFault> {
    let at = |path: &[&str]| path.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
    let is_graphql = keys.query.is_some();
    let path = match &keys.path {
        Some(path) => path.clone(),
        // The whole API of GraphQL is often the base URL itself.
        None if is_graphql => Text::default(),
        None => return Err((at(&[]), "the key \"path\" is missing".into())),
    };
    let method = keys.method.as_deref().unwrap_or(if is_graphql { "POST" } else { "GET" });
    let method = check::method(method).map_err(|m| (at(&["method"]), m))?;
    let paging = keys.pagination.as_ref().map(|p| Paging::new(p, keys.decode)).transpose();
    let paging = paging.map_err(|(key, m)| (at(&["pagination", key]), m))?;
    let is_relay = paging.as_ref().is_some_and(|p| matches!(p.items, Items::Connection(_)));
    let graphql = graphql::build(&keys, &method, is_relay)?;
    if keys.cache.is_some() && method != "GET" {
        return Err((at(&["cache"]), format!("keeps answers to GET alone, and this is a {method}")));
    }
    let target = target(&path, allowed, secrets).map_err(|m| (at(&["path"]), m))?;
    endpoint_headers(&keys.headers, &["headers"], secrets)?;
    if let Some(streaming) = &keys.streaming {
        endpoint_headers(&streaming.headers, &["streaming", "headers"], secrets)?;
    }
    if let Some(media) = &keys.content_type {
        check::header_value(media).map_err(|m| (at(&["content_type"]), m))?;
    }
    for (param, value) in keys.params.iter() {
        // A variable of GraphQL may be anything.
        if graphql.is_none() {
            flat(value).map_err(|m| (at(&["params", param]), m))?;
        }
        secrets.extend(value.env().map(Secret::new));
    }
    if is_graphql && method == "GET" {
        // They go into the query.
        secrets.extend(keys.variables.iter().flat_map(RawJson::env).map(Secret::new));
    }
    // An empty one is the whole answer, for the reference as for RFC 6901.
    let response_path = keys.response_path.as_deref().filter(|p| !p.is_empty());
    let response_path = response_path.map(Path::parse).transpose();
    let response_path = response_path.map_err(|m| (at(&["response_path"]), m))?;
    let schema = |key: &str, schema: &Option<RawJson>| {
        schema.as_ref().map(|s| Schema::new(s.get())).transpose().map_err(|m| (at(&[key]), m))
    };
    let response_schema = schema("response_schema", &keys.response_schema)?;
    let request_schema = schema("request_schema", &keys.request_schema)?;
    let rules = Rules::new(&keys.responses).map_err(|(mut place, message)| {
        place.insert(0, "responses".into());
        (place, message)
    })?;
    let sse = keys.sse.as_ref();
    if let Some(path) = sse.and_then(|s| s.error_path.as_deref()) {
        Path::parse(path).map_err(|m| (at(&["sse", "error_path"]), m))?;
    }
    if let Some(id) = sse.and_then(|s| s.last_event_id.as_deref()) {
        check::header_value(id).map_err(|m| (at(&["sse", "last_event_id"]), m))?;
    }
    let clamp = sse.and_then(|s| s.reconnect_clamp);
    if clamp.is_some_and(|(low, high)| low.0 > high.0) {
        return Err((at(&["sse", "reconnect_clamp"]), "the first is longer than the second".into()));
    }
    let settings = settings.with(Overrides {
        timeout: keys.timeout.as_ref(),
        retry_count: keys.retry_count,
        retry_delay: keys.retry_delay,
        retry: keys.retry.as_ref(),
        redirects: keys.redirects.as_ref(),
        limits: keys.limits.as_ref(),
        accept_encoding: keys.accept_encoding,
    });
    Ok(Endpoint {
        name: name.to_owned(),
        keys,
        method,
        target,
        settings,
        response_path,
        response_schema,
        request_schema,
        rules,
        graphql,
        paging,
    })
}

/// A parameter is a scalar or a list of them.
fn flat(value: &RawJson) -> Result<(), String> {
    let nested = match value.get().as_bytes().first() {
        Some(b'{') => true,
        Some(b'[') => serde_json::from_str::<Vec<&serde_json::value::RawValue>>(value.get())
            .map_or(true, |items| items.iter().any(|i| i.get().starts_with(['{', '[']))),
        _ => false,
    };
    if nested { Err("must be a string, number, boolean, null, or a list of these".into()) } else { Ok(()) }
}

fn endpoint_headers(
    headers: &Named<Text>,
    place: &[&str],
    secrets: &mut Vec<Secret>,
) -> Result<(), EndpointFault> {
    let block = || place.iter().copied().map(str::to_owned).collect();
    check::header_count(headers.0.len()).map_err(|m| (block(), m))?;
    for (name, value) in headers.iter() {
        let at = || place.iter().copied().chain([name]).map(str::to_owned).collect::<Vec<_>>();
        check::header_name(name).map_err(|m| (at(), m))?;
        check::header_value(value.as_str()).map_err(|m| (at(), m))?;
        text_secrets(value, secrets);
    }
    Ok(())
}

fn headers(
    headers: &Named<Text>,
    places: &Places<'_>,
    place: &[&str],
    secrets: &mut Vec<Secret>,
) -> Result<(), Fault> {
    endpoint_headers(headers, place, secrets)
        .map_err(|(path, m)| places.fault(&path.iter().map(String::as_str).collect::<Vec<_>>(), m))
}

/// What came through `${VAR}`, and the string that it stands in.
fn text_secrets(text: &Text, secrets: &mut Vec<Secret>) {
    if text.is_from_env() {
        secrets.push(Secret::new(text.as_str()));
        secrets.extend(text.env().map(Secret::new));
    }
}

/// In a URL, only what came through `${VAR}` into its query is a secret.
fn query_secrets(url: &Text, secrets: &mut Vec<Secret>) -> bool {
    let Some((_, query)) = url.as_str().split_once('?') else { return false };
    let mut found = false;
    for value in url.env().filter(|v| !v.is_empty()) {
        // A variable may bring the `?` itself.
        let part = value.split_once('?').map_or(value, |(_, q)| q);
        if query.contains(part) {
            secrets.push(Secret::new(part));
            found = true;
        }
    }
    found
}

fn target(path: &Text, allowed: &Allowed, secrets: &mut Vec<Secret>) -> Result<Target, String> {
    let text = path.as_str();
    let (absolute, template) = match url::split_absolute(text) {
        Some((origin, rest)) => {
            if rest.starts_with('{') {
                return Err("the host of a whole URL must not have variables in it".into());
            }
            let origin = url::origin(origin)?;
            if !allowed.contains(&origin) {
                return Err(format!("{origin} is neither the origin of base_url nor in allow_origins"));
            }
            (Some(origin), rest)
        }
        None => (None, text),
    };
    if template.contains(|c: char| c.is_control() || c == '\\') {
        return Err("must not have backslashes or control characters in it".into());
    }
    let template = url::encode_literals(template);
    check::template(&template)?;
    let secret_query = query_secrets(path, secrets);
    Ok(Target { absolute, template, secret_query })
}
