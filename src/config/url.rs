//! The base URL, and how a URL's parts are encoded.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

use super::origin::Origin;

/// A URL that paths are appended to.
#[derive(Clone)]
pub struct Base {
    /// Scheme, host and port.
    pub origin: Origin,
    /// The path, at least `/`.
    pub path: String,
    /// The query, without `?`.
    pub query: Option<String>,
}

/// The query may hold a secret.
impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base").field("origin", &self.origin).field("path", &self.path).finish_non_exhaustive()
    }
}

/// What stands in no URL as it is (RFC 3986 2), but for what is refused: backslashes, broken `%`, control characters.
const FOREIGN: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'^').add(b'`').add(b'|');

/// Percent-encodes what stands in no URL in a template's literal parts; the rest stays as it is.
pub fn encode_literals(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    for part in template.split_inclusive('}') {
        let (literal, expression) = part.split_at(part.find('{').unwrap_or(part.len()));
        out.extend(utf8_percent_encode(literal, FOREIGN));
        out.push_str(expression);
    }
    out
}

/// Reads an absolute http or https URL. The message of a fault never has the URL in it: it may hold a password.
pub fn base(text: &str) -> Result<Base, String> {
    let url = absolute(text)?;
    if url.fragment().is_some() {
        return Err("must not have a fragment (`#…`)".into());
    }
    let origin = Origin::of(&url).ok_or("must be an http or https URL with a host")?;
    Ok(Base {
        origin,
        path: url.path().to_owned(),
        query: url.query().filter(|q| !q.is_empty()).map(str::to_owned),
    })
}

/// The URL parser forgives much; what it would silently repair is refused here.
fn absolute(text: &str) -> Result<Url, String> {
    let scheme = text.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    match scheme {
        Some((scheme, rest)) if scheme == "http" || scheme == "https" => {
            if rest.starts_with(['/', '?', '#', ':']) || rest.is_empty() {
                return Err("must have a host".into());
            }
        }
        _ => return Err("must start with http:// or https://".into()),
    }
    if text.contains(|c: char| c.is_control() || c == '\\' || c == ' ') {
        return Err("must not have spaces, backslashes or control characters in it".into());
    }
    let url = Url::parse(text).map_err(|e| format!("is not a URL: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
        return Err("must not have a user name or password in it; use `auth`".into());
    }
    if url.port() == Some(0) {
        return Err("must not have port 0".into());
    }
    Ok(url)
}

/// What stands between `://` and the next `/`, `?` or `#`.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}

/// Reads an origin: a URL that has nothing behind its host and port.
pub fn origin(text: &str) -> Result<Origin, String> {
    let base = base(text)?;
    if base.path != "/" || base.query.is_some() {
        return Err("must be an origin, as https://api.example.com, without a path".into());
    }
    Ok(base.origin)
}

/// Splits an absolute URL template before its path; None where it is not absolute.
pub fn split_absolute(path: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = path.split_once("://")?;
    let scheme_like = !scheme.is_empty()
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !scheme_like {
        return None;
    }
    let end = rest.find(['/', '?', '#', '{']).unwrap_or(rest.len());
    Some(path.split_at(scheme.len() + 3 + end))
}

/// Has the path a segment that a server would take for "here" or "up"?
pub fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| {
        let mut rest = segment;
        let mut dots = 0;
        while !rest.is_empty() {
            rest = match rest.strip_prefix('.') {
                Some(rest) => rest,
                None => match rest.get(..3) {
                    Some(dot) if dot.eq_ignore_ascii_case("%2e") => &rest[3..],
                    _ => return false,
                },
            };
            dots += 1;
        }
        dots == 1 || dots == 2
    })
}
