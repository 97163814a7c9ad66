//! A query parameter put into a URL that is there already.

use std::borrow::Cow;
use std::ops::Range;

use crate::percent::encode_component;

/// Sets a query parameter: those of that name go, and it stands at the end. All else keeps its bytes.
/// `secret` are the places in the URL that must not be seen: they move along, and the value is one of them.
pub fn set_parameter(
    url: &str,
    secret: &[Range<usize>],
    name: &str,
    value: &str,
) -> (String, Vec<Range<usize>>) {
    let (mut out, mut places) = (String::with_capacity(url.len() + name.len() + value.len() + 8), Vec::new());
    let query = url.find('?').unwrap_or(url.len());
    let mut keep = |range: Range<usize>, out: &mut String| {
        let at = out.len();
        for place in secret {
            let (from, to) = (place.start.max(range.start), place.end.min(range.end));
            if from < to {
                places.push(at + from - range.start..at + to - range.start);
            }
        }
        out.push_str(&url[range]);
    };
    keep(0..query, &mut out);
    let mut separator = '?';
    let mut start = query + 1;
    while start < url.len() {
        let end = url[start..].find('&').map_or(url.len(), |at| start + at);
        let pair = &url[start..end];
        if decoded(pair.split('=').next().unwrap_or_default()) != name && !pair.is_empty() {
            out.push(std::mem::replace(&mut separator, '&'));
            keep(start..end, &mut out);
        }
        start = end + 1;
    }
    out.push(separator);
    encode_component(name, &mut out);
    out.push('=');
    let from = out.len();
    encode_component(value, &mut out);
    places.push(from..out.len());
    (out, places)
}

/// The pairs of a query: where each lies, its name and its value, decoded.
pub fn pairs(url: &str) -> impl Iterator<Item = (Range<usize>, Cow<'_, str>, Cow<'_, str>)> {
    let mut at = url.find('?').map_or(url.len(), |at| at + 1);
    let query = &url[at..];
    query.split('&').filter_map(move |pair| {
        let place = at..at + pair.len();
        at += pair.len() + 1;
        let (name, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
        Some((place, name, value))
    })
}

/// Adds a query parameter whose value is a secret. All else keeps its bytes.
pub fn add_parameter(url: &mut String, secret: &mut Vec<Range<usize>>, name: &str, value: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    encode_component(name, url);
    url.push('=');
    let from = url.len();
    encode_component(value, url);
    secret.push(from..url.len());
}

/// Takes those query parameters out. All else keeps its bytes.
pub fn remove_parameters(url: &str, is_gone: impl Fn(&str, &str) -> bool) -> String {
    let start = url.find('?').unwrap_or(url.len());
    let kept = pairs(url).filter(|(_, name, value)| !is_gone(name, value));
    let left: Vec<&str> = kept.map(|(place, ..)| &url[place]).collect();
    if left.is_empty() { url[..start].to_owned() } else { format!("{}?{}", &url[..start], left.join("&")) }
}

fn decoded(name: &str) -> Cow<'_, str> {
    form_urlencoded::parse(name.as_bytes()).next().map_or(Cow::Borrowed(""), |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(url: &str, secret: &[&str]) -> (String, Vec<String>) {
        let places: Vec<_> =
            secret.iter().map(|s| url.find(s).map(|at| at..at + s.len()).unwrap_or_default()).collect();
        let (url, places) = set_parameter(url, &places, "key", "a/b");
        let seen = places.iter().map(|p| url[p.clone()].to_owned()).collect();
        (url, seen)
    }

    #[test]
    fn a_parameter_takes_the_place_of_those_of_its_name_and_all_else_keeps_its_bytes() {
        for (before, after) in [
            ("http://a/x", "http://a/x?key=a%2Fb"),
            ("http://a/x?", "http://a/x?key=a%2Fb"),
            ("http://a/x?b=%7e+c&key=old&d", "http://a/x?b=%7e+c&d&key=a%2Fb"),
            ("http://a/x?k%65y=old&&keys=1", "http://a/x?keys=1&key=a%2Fb"),
        ] {
            assert_eq!(set(before, &[]).0, after);
        }
    }

    #[test]
    fn the_places_of_secrets_move_along() {
        let (url, seen) = set("http://a/x?key=old&s=hidden&t=1", &["old", "hidden"]);
        assert_eq!(url, "http://a/x?s=hidden&t=1&key=a%2Fb");
        assert_eq!(seen, ["hidden", "a%2Fb"]);
        assert_eq!(
            set("http://a/x?s=one&key=2&t=two", &["s=one&key=2&t=two"]).1,
            ["s=one", "t=two", "a%2Fb"]
        );
    }
}
