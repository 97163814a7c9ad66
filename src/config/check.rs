//! Checks of single values: header names and values, methods, path templates, proxies, addresses.

use std::net::{IpAddr, SocketAddr};

use iri_string::template::UriTemplateStr;

use super::url::has_dot_segment;

/// A byte of RFC 9110's `token`.
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// Fields that frame the message; whoever sets them can smuggle a second request in.
const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// More than any server takes; and each one costs a look at all before it.
const MAX_HEADERS: usize = 1000;

/// May there be so many headers in one mapping?
pub fn header_count(count: usize) -> Result<(), String> {
    if count <= MAX_HEADERS { Ok(()) } else { Err(format!("{count} headers; there may be {MAX_HEADERS}")) }
}

/// Is it a header name that a configuration or a call may set?
pub fn header_name(name: &str) -> Result<(), String> {
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("not a header name".into());
    }
    if FRAMING.iter().any(|f| name.eq_ignore_ascii_case(f)) {
        return Err("this header is the library's own: it frames the message".into());
    }
    Ok(())
}

/// Is it a header value? The message has nothing of it.
pub fn header_value(value: &str) -> Result<(), String> {
    if value.bytes().any(|b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        return Err("must not have line breaks, NUL or other control characters in it".into());
    }
    Ok(())
}

/// A method in capital letters. CONNECT and TRACE are not requests of an API.
pub fn method(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err("not a method".into());
    }
    let method = text.to_ascii_uppercase();
    match method.as_str() {
        "CONNECT" | "TRACE" => Err(format!("the method {method} is not supported")),
        _ => Ok(method),
    }
}

/// Is it an RFC 6570 template of a path, with or without a query?
pub fn template(path: &str) -> Result<(), String> {
    UriTemplateStr::new(path).map_err(|e| e.to_string())?;
    let mut literal = String::new();
    let mut rest = path;
    while let Some((before, expression)) = rest.split_once('{') {
        let (expression, after) = expression.split_once('}').unwrap_or((expression, ""));
        if expression.starts_with('#') {
            return Err("a fragment (`{#…}`) is never sent".into());
        }
        literal.push_str(before);
        // Stands for some value, which is checked when it is there.
        literal.push('x');
        rest = after;
    }
    literal.push_str(rest);
    if literal.contains('#') {
        return Err("a fragment (`#…`) is never sent".into());
    }
    let path = literal.split('?').next().unwrap_or_default();
    if has_dot_segment(path) {
        return Err("must not have the segments `.` and `..`".into());
    }
    Ok(())
}

/// `host:port` → an address, with the port of the name where it has none.
pub fn resolve(name: &str, to: &str) -> Result<(String, u16, SocketAddr), String> {
    let key = || "the key must be \"host:port\"".to_owned();
    let (host, port) = name.rsplit_once(':').ok_or_else(key)?;
    let port = port.parse().ok().filter(|p| *p != 0).ok_or_else(key)?;
    if host.is_empty() {
        return Err(key());
    }
    let address = match to.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Some(address),
        _ => {
            let bare = to.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(to);
            bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
        }
    };
    let address = address.ok_or("must be an IP address, with or without a port")?;
    // An IPv6 address stands in brackets before a port, and without them everywhere else.
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    Ok((host.to_ascii_lowercase(), port, address))
}

/// Is it a proxy's address?
pub fn proxy(text: &str) -> Result<(), String> {
    let wrong = || "must be none, env, or the URL of an http, https or socks5 proxy".to_owned();
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let known = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
    if known && url.host_str().is_some_and(|h| !h.is_empty()) { Ok(()) } else { Err(wrong()) }
}
