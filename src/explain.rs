//! What would be asked, for people: a request, its curl command, or the whole configuration; without secrets.

mod paging;

use std::fmt::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::config::endpoint::{RateLimit, RateStrategy};
use crate::config::keys::{ConnectorType, TlsVersion};
use crate::config::settings::{AcceptEncoding, IdempotencyKey};
use crate::config::{Auth, Config, Endpoint, Named, RawJson, Settings, Text};
use crate::error::Error;
use crate::exchange::Shown;
use crate::redact::{HIDDEN, Redactor};
use crate::request::{Content, Piece, Prepared};

/// A request that would be sent, and what the reader should know about it, as JSON.
pub(crate) fn request(
    config: &Config,
    endpoint: &Endpoint,
    prepared: &Prepared<'_>,
    shown: Shown,
    failure: Option<Error>,
    redactor: &Redactor,
) -> Vec<u8> {
    #[derive(Serialize)]
    struct Explained {
        method: String,
        url: String,
        headers: Vec<(String, String)>,
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        curl: String,
        notes: Vec<String>,
    }
    let mut notes = Vec::new();
    notes.extend(failure.map(|e| format!("the call would fail: {}", e.message)));
    notes.extend(config.warnings.iter().cloned());
    // What `${VAR}` brought into a body is no header, query or cookie; here it is hidden all the same.
    let template = endpoint.keys.body_template.iter().chain(&endpoint.keys.variables);
    let of_template = Redactor::of(template.flat_map(RawJson::env));
    let files = files(prepared);
    if let [_, ..] = files[..] {
        let names: Vec<_> = files.iter().map(|f| format!("{f:?}")).collect();
        let left = if whole_file(prepared).is_some() { "" } else { "; the curl command leaves it out" };
        notes.push(format!("the body is made of files: {}{left}", names.join(", ")));
    }
    let bytes = match &prepared.body {
        Some(Content::Bytes(bytes)) => Some(bytes.as_ref()),
        _ => None,
    };
    let body = bytes.map(|bytes| match std::str::from_utf8(bytes) {
        Ok(text) => {
            let text = redactor.redact(text);
            (of_template.redact(&text).into_owned(), false)
        }
        Err(_) => {
            notes.push("the body is not UTF-8: it is shown in Base64".into());
            (STANDARD.encode(bytes), true)
        }
    });
    let curl = curl(config, prepared, &shown, body.as_ref().map(|(b, encoded)| (b.as_str(), *encoded)));
    if config.keys.auth.signs() {
        notes.push(format!("auth {}: every request is signed when it is sent", config.keys.auth.name()));
    }
    if curl.contains(HIDDEN) {
        notes.push(format!("secrets are shown as {HIDDEN}: put them in before you run the curl command"));
    }
    let explained = Explained {
        method: shown.method,
        url: shown.url,
        headers: shown.headers,
        body: body.map(|(text, _)| text),
        // Once more: an option of its own may have brought one.
        curl: redactor.redact(&curl).into_owned(),
        notes: notes.iter().map(|n| redactor.redact(n).into_owned()).collect(),
    };
    serde_json::to_vec(&explained).unwrap_or_default()
}

/// The files in a body.
fn files<'p>(prepared: &'p Prepared<'_>) -> Vec<&'p Path> {
    let Some(Content::Pieces(pieces)) = &prepared.body else { return Vec::new() };
    let file = |piece: &'p Piece<'_>| match piece {
        Piece::File(path) => Some(*path),
        Piece::Bytes(_) => None,
    };
    pieces.iter().filter_map(file).collect()
}

/// The file that is the whole body.
fn whole_file<'p>(prepared: &'p Prepared<'_>) -> Option<&'p Path> {
    match &prepared.body {
        Some(Content::Pieces(pieces)) => match pieces[..] {
            [Piece::File(path)] => Some(path),
            _ => None,
        },
        _ => None,
    }
}

/// The command that sends the same request. Everything in it has been redacted before it is quoted: a secret
/// with a quote in it would not be found any more.
fn curl(config: &Config, prepared: &Prepared<'_>, shown: &Shown, body: Option<(&str, bool)>) -> String {
    let keys = &config.keys;
    // curl would otherwise speak HTTP/2 where it can, tidy up the path, and see patterns in brackets.
    let mut out = String::from("curl --http1.1 --path-as-is --globoff");
    let mut add = |option: &str, value: &str| {
        out.push(' ');
        out.push_str(option);
        if !value.is_empty() {
            out.push(' ');
            quote(value, &mut out);
        }
    };
    match shown.method.as_str() {
        // With -X HEAD it would wait for a body.
        "HEAD" if body.is_none() => add("--head", ""),
        method => add("--request", method),
    }
    match keys.proxy.as_ref().map(Text::as_str) {
        Some(proxy) if proxy.eq_ignore_ascii_case("env") => {}
        Some(proxy) if !proxy.eq_ignore_ascii_case("none") => add("--proxy", &without_password(proxy)),
        _ => add("--noproxy", "*"),
    }
    if prepared.settings.accept_encoding == AcceptEncoding::Auto {
        add("--compressed", "");
    }
    if prepared.origin.is_https() {
        let tls = &keys.tls;
        add(if tls.min_version == TlsVersion::Tls13 { "--tlsv1.3" } else { "--tlsv1.2" }, "");
        if tls.danger_accept_invalid_certs {
            add("--insecure", "");
        }
        for (option, file) in
            [("--cacert", &tls.ca_file), ("--cert", &tls.client_cert), ("--key", &tls.client_key)]
        {
            if let Some(file) = file {
                add(option, file);
            }
        }
    }
    let (host, port) = (prepared.origin.host(), prepared.origin.port());
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Some((.., to)) = config.resolve.iter().find(|(h, p, _)| h == bare && *p == port) {
        add("--connect-to", &format!("{host}:{port}:{to}"));
    }
    let timeouts = &prepared.settings.timeouts;
    add("--connect-timeout", &timeouts.connect.as_secs_f64().to_string());
    if let Some(most) = [prepared.deadline, timeouts.total].into_iter().flatten().min() {
        add("--max-time", &most.as_secs_f64().to_string());
    }
    // curl signs as the library does.
    if !shown.headers.iter().any(|(name, _)| name == "authorization") {
        let both = format!("{HIDDEN}:{HIDDEN}");
        match &keys.auth {
            Auth::Digest(_) => {
                add("--digest", "");
                add("--user", &both);
            }
            Auth::Sigv4(auth) => {
                let part = |part: &Option<String>| part.clone().unwrap_or_default();
                add("--aws-sigv4", &format!("aws:amz:{}:{}", part(&auth.region), part(&auth.service)));
                add("--user", &both);
                if auth.session_token.is_some() {
                    add("--header", &format!("x-amz-security-token: {HIDDEN}"));
                }
            }
            _ => {}
        }
    }
    let authority = shown.url.split("://").nth(1).and_then(|rest| rest.split(['/', '?']).next());
    for (name, value) in &shown.headers {
        match name.as_str() {
            "content-length" => {}
            "host" if Some(value.as_str()) == authority => {}
            // To curl, a name with nothing behind it is one to leave out.
            name if value.is_empty() => add("--header", &format!("{name};")),
            name => add("--header", &format!("{name}: {value}")),
        }
    }
    // What curl would send of its own accord.
    let has = |name: &str| shown.headers.iter().any(|(n, _)| n == name);
    for own in ["user-agent", "accept", "content-type", "expect"] {
        let only_with_body = matches!(own, "content-type" | "expect");
        let sent = !only_with_body || prepared.body.is_some() || has("content-length");
        if sent && !has(own) {
            add("--header", &format!("{own}:"));
        }
    }
    let mut before = String::new();
    match body {
        // An argument holds neither NUL nor bytes that are no text.
        Some((text, encoded)) if encoded || text.contains('\0') => {
            let text = if encoded { text.to_owned() } else { STANDARD.encode(text) };
            let _ = write!(before, "printf %s '{text}' | base64 -d | ");
            add("--data-binary", "@-");
        }
        Some(("", _)) => add("--data-raw ''", ""),
        Some((text, _)) => add("--data-raw", text),
        None if whole_file(prepared).is_some() => {
            let file = whole_file(prepared).map(Path::display);
            add("--data-binary", &format!("@{}", file.map(|f| f.to_string()).unwrap_or_default()));
        }
        None if has("content-length") => add("--data-raw ''", ""),
        None => {}
    }
    add("--url", &shown.url);
    before + &out
}

/// In single quotes, a shell reads nothing as anything else.
fn quote(text: &str, out: &mut String) {
    out.push('\'');
    out.push_str(&text.replace('\'', r"'\''"));
    out.push('\'');
}

fn without_password(proxy: &str) -> String {
    let Some((scheme, rest)) = proxy.split_once("://") else { return proxy.to_owned() };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}"),
        None => proxy.to_owned(),
    }
}

/// The configuration with its defaults filled in, as JSON.
pub(crate) fn configuration(config: &Config, redactor: &Redactor) -> Vec<u8> {
    let keys = &config.keys;
    let base_url = match (&config.base.query, config.secret_base_query) {
        (Some(_), true) => format!("{}{}?{HIDDEN}", config.base.origin, config.base.path),
        (Some(query), false) => format!("{}{}?{query}", config.base.origin, config.base.path),
        (None, _) => format!("{}{}", config.base.origin, config.base.path),
    };
    let endpoints: Map<String, Value> =
        config.endpoints.iter().map(|e| (e.name.clone(), endpoint(config, e))).collect();
    let mut whole = json!({
        "type": match keys.kind {
            ConnectorType::Rest => "rest",
            ConnectorType::Graphql => "graphql",
            ConnectorType::Sse => "sse",
        },
        "base_url": base_url,
        "auth": {"type": keys.auth.name()},
        "default_headers": headers(&keys.default_headers),
        "user_agent": keys.user_agent.as_ref().map_or_else(
            || json!(concat!("apl/", env!("CARGO_PKG_VERSION"))),
            text,
        ),
        "allow_origins": keys.allow_origins,
        "tls": {
            "ca_file": keys.tls.ca_file,
            "client_cert": keys.tls.client_cert,
            "min_version": if keys.tls.min_version == TlsVersion::Tls13 { "1.3" } else { "1.2" },
            "required": keys.tls.required,
            "danger_accept_invalid_certs": keys.tls.danger_accept_invalid_certs,
        },
        "proxy": keys.proxy.as_ref().map_or_else(
            || json!("none"),
            |p| if p.is_from_env() { json!(HIDDEN) } else { json!(without_password(p.as_str())) },
        ),
        "pool": {
            "max_idle_per_host": keys.pool.max_idle_per_host(),
            "idle_age": keys.pool.idle_age().as_secs_f64(),
        },
        "cookies": keys.cookies,
        "rate_limit": keys.rate_limit.as_ref().map(rate_limit),
        "settings": settings(&config.settings),
        "endpoints": endpoints,
        "warnings": config.warnings,
    });
    hide(&mut whole, redactor);
    serde_json::to_vec(&whole).unwrap_or_default()
}

fn endpoint(config: &Config, endpoint: &Endpoint) -> Value {
    let keys = &endpoint.keys;
    let (path, query) = match endpoint.target.template.split_once('?') {
        Some((path, _)) if endpoint.target.secret_query => (path, Some(HIDDEN)),
        Some((path, query)) => (path, Some(query)),
        None => (endpoint.target.template.as_str(), None),
    };
    let start = match &endpoint.target.absolute {
        Some(origin) => origin.to_string(),
        None => format!("{}{}", config.base.origin, config.base.path.trim_end_matches('/')),
    };
    let slash = if path.is_empty() { "" } else { "/" };
    let query = query.map(|q| format!("?{q}")).unwrap_or_default();
    let params: Map<String, Value> = keys
        .params
        .iter()
        .map(|(name, value)| {
            let shown = if value.is_from_env() { None } else { serde_json::from_str(value.get()).ok() };
            (name.to_owned(), shown.unwrap_or_else(|| json!(HIDDEN)))
        })
        .collect();
    json!({
        "method": endpoint.method,
        "url": format!("{start}{slash}{}{query}", path.trim_start_matches('/')),
        "params": params,
        "headers": headers(&keys.headers),
        "response_path": keys.response_path,
        "pagination": endpoint.paging.as_ref().map(paging::paging),
        "rate_limit": keys.rate_limit.as_ref().map(rate_limit),
        "settings": settings(&endpoint.settings),
    })
}

fn rate_limit(limit: &RateLimit) -> Value {
    let strategy = match limit.strategy() {
        RateStrategy::TokenBucket => "token_bucket",
        RateStrategy::LeakyBucket => "leaky_bucket",
        RateStrategy::Adaptive => "adaptive",
        RateStrategy::None => "none",
    };
    let mut shown = json!({"strategy": strategy, "max_concurrent": limit.max_concurrent});
    if limit.strategy() != RateStrategy::None {
        shown["rate"] = json!(limit.rate());
        shown["burst"] = json!(limit.burst());
    }
    shown
}

fn text(text: &Text) -> Value {
    if text.is_from_env() { json!(HIDDEN) } else { json!(text.as_str()) }
}

fn headers(headers: &Named<Text>) -> Value {
    let shown = headers.iter().map(|(name, value)| {
        let secret = ["authorization", "proxy-authorization", "cookie"];
        let hidden = secret.iter().any(|s| name.eq_ignore_ascii_case(s));
        (name.to_owned(), if hidden { json!(HIDDEN) } else { text(value) })
    });
    Value::Object(shown.collect())
}

fn settings(settings: &Settings) -> Value {
    let Settings { timeouts, retry, redirects, limits, accept_encoding } = settings;
    json!({
        "timeout": {
            "connect": timeouts.connect.as_secs_f64(),
            "head": timeouts.head.as_secs_f64(),
            "read": timeouts.read.as_secs_f64(),
            "total": timeouts.total.map(|t| t.as_secs_f64()),
        },
        "retry_count": retry.attempts,
        "retry_delay": retry.delay.as_secs_f64(),
        "retry": {
            "max": retry.max.as_secs_f64(),
            "max_wait": retry.max_wait.as_secs_f64(),
            "statuses": retry.statuses.to_json(),
            "idempotency_key": match retry.idempotency_key {
                IdempotencyKey::Off => "off",
                IdempotencyKey::Auto => "auto",
            },
        },
        "redirects": {"follow": redirects.follow, "max": redirects.max},
        "limits": {
            "max_body": limits.max_body,
            "max_result": limits.max_result,
            "max_header": limits.max_header,
            "max_event": limits.max_event,
            "max_pages_guard": limits.max_pages_guard,
            "max_error_body": limits.max_error_body,
            "block_private_networks": limits.block_private_networks,
        },
        "accept_encoding": match accept_encoding {
            AcceptEncoding::Auto => "auto",
            AcceptEncoding::Identity => "identity",
        },
    })
}

/// Takes the secrets out of every string. Not deep: what is shown here was made here, but for parameters.
fn hide(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(redacted) = redactor.redact(text) {
                *text = redacted;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| hide(v, redactor)),
        Value::Object(map) => map.values_mut().for_each(|v| hide(v, redactor)),
        _ => {}
    }
}
