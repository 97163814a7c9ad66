//! `responses`: what an endpoint's answers mean, compiled when the configuration is loaded.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::value::RawValue;

use super::endpoint::{ResponseRule, Then};
use super::values::{RawJson, Statuses};
use crate::decode::{self, Found, Path};
use crate::response::Head;

/// A pattern that compiles to more is not one that somebody wrote by hand.
const MAX_PATTERN: usize = 1 << 20;

/// The rules of an endpoint. The first that matches wins.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    status: Option<Statuses>,
    headers: Vec<(String, Regex)>,
    path: Option<Path>,
    equals: Option<RawJson>,
    text: Option<Regex>,
    then: Then,
}

/// What the rules say of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// A rule matches.
    Is(Then),
    /// It takes the body to know.
    NeedsBody,
    /// No rule is about it.
    Unruled,
}

impl Rules {
    /// Compiles an endpoint's rules; an error comes with its place below `responses`.
    pub(super) fn new(keys: &[ResponseRule]) -> Result<Rules, (Vec<String>, String)> {
        let rules = keys.iter().enumerate().map(|(at, keys)| {
            Rule::new(keys).map_err(|(mut place, message)| {
                place.insert(0, at.to_string());
                (place, message)
            })
        });
        rules.collect::<Result<_, _>>().map(Rules)
    }

    /// What the rules say of an answer; without its body where that did not come yet.
    pub fn judge(&self, head: &Head, body: Option<&[u8]>) -> Judgement {
        for rule in self.0.iter().filter(|rule| rule.fits_head(head)) {
            match body {
                _ if !rule.needs_body() => return Judgement::Is(rule.then),
                Some(body) if rule.fits_body(body) => return Judgement::Is(rule.then),
                Some(_) => {}
                None => return Judgement::NeedsBody,
            }
        }
        Judgement::Unruled
    }
}

impl Rule {
    fn new(keys: &ResponseRule) -> Result<Rule, (Vec<String>, String)> {
        let at = |place: &[&str], message: String| {
            (place.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>(), message)
        };
        if keys.equals.is_some() && keys.path.is_none() {
            return Err(at(&["equals"], "needs \"path\": what is it that is to be equal?".into()));
        }
        let mut headers = Vec::new();
        for (name, pattern) in keys.header.iter() {
            let pattern = pattern_of(pattern).map_err(|m| at(&["header", name], m))?;
            headers.push((name.to_owned(), pattern));
        }
        let path = keys.path.as_deref().map(Path::parse).transpose().map_err(|m| at(&["path"], m))?;
        let text = keys.text.as_deref().map(pattern_of).transpose().map_err(|m| at(&["text"], m))?;
        let (status, equals) = (keys.status.clone(), keys.equals.clone());
        Ok(Rule { status, headers, path, equals, text, then: keys.then })
    }

    fn fits_head(&self, head: &Head) -> bool {
        let matches = |(name, pattern): &(String, Regex)| {
            head.get_all(name).any(|value| pattern.is_match(&String::from_utf8_lossy(value)))
        };
        self.status.as_ref().is_none_or(|s| s.contains(head.status)) && self.headers.iter().all(matches)
    }

    fn needs_body(&self) -> bool {
        self.path.is_some() || self.text.is_some()
    }

    fn fits_body(&self, body: &[u8]) -> bool {
        let text = |pattern: &Regex| pattern.is_match(&String::from_utf8_lossy(body));
        self.text.as_ref().is_none_or(text)
            && self.path.as_ref().is_none_or(|path| self.fits_json(path, body))
    }

    fn fits_json(&self, path: &Path, body: &[u8]) -> bool {
        let Ok((_, json)) = decode::check(body) else { return false };
        let places = match path.locate(json) {
            Ok(Found::One(place)) => vec![place],
            Ok(Found::Many(places)) => places,
            Err(_) => return false,
        };
        let Some(wanted) = &self.equals else { return !places.is_empty() };
        places.into_iter().any(|place| is_same(wanted.get(), &json[place]))
    }
}

fn pattern_of(pattern: &str) -> Result<Regex, String> {
    let built = regex::RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build();
    // The message shows the pattern on lines of its own; its last line says what is wrong.
    built.map_err(|e| {
        format!("not a regular expression: {}", e.to_string().lines().last().unwrap_or_default())
    })
}

/// Are two JSON texts the same value? They are compared as texts: a tree would round their numbers.
fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_ascii(), b.trim_ascii());
    match (a.as_bytes().first(), b.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => {
            let read = |text| serde_json::from_str::<BTreeMap<String, &RawValue>>(text).ok();
            let Some((a, b)) = read(a).zip(read(b)) else { return false };
            a.len() == b.len() && a.iter().zip(&b).all(|((n, a), (m, b))| n == m && is_same(a.get(), b.get()))
        }
        (Some(b'['), Some(b'[')) => {
            let read = |text| serde_json::from_str::<Vec<&RawValue>>(text).ok();
            let Some((a, b)) = read(a).zip(read(b)) else { return false };
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| is_same(a.get(), b.get()))
        }
        (Some(b'"'), Some(b'"')) => {
            let read = |text| serde_json::from_str::<String>(text).ok();
            read(a).zip(read(b)).is_some_and(|(a, b)| a == b)
        }
        // What is left are numbers, true, false and null.
        _ => a == b || decimal(a).zip(decimal(b)).is_some_and(|(a, b)| a == b),
    }
}

/// A JSON number as its sign, its digits without zeros at their ends, and a power of ten: 1.0 is 1, exactly.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let short = digits.trim_end_matches('0');
    let zeros = (digits.len() - short.len()) as i64 - fraction.len() as i64;
    match short.trim_start_matches('0') {
        "" => Some((false, String::new(), 0)),
        short => Some((negative, short.to_owned(), power.parse::<i64>().ok()?.checked_add(zeros)?)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::response::head;

    fn rules(yaml: &str) -> Result<Rules, String> {
        let text =
            format!("{{base_url: 'https://a.example', endpoints: {{e: {{path: /x, responses: {yaml}}}}}}}");
        crate::config::from_text(&format!("# yaml\n{text}"), &|_| None)
            .map(|c| c.endpoints[0].rules.clone())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let rules = rules("[{status: 404, then: ignore}, {status: 4xx, then: fail}, {then: retry}]").unwrap();
        let of = |status| rules.judge(&head(status, &[]), None);
        assert_eq!(of(404), Judgement::Is(Then::Ignore));
        assert_eq!(of(405), Judgement::Is(Then::Fail));
        assert_eq!(of(200), Judgement::Is(Then::Retry));
    }

    #[test]
    fn headers_match_by_regular_expression_and_every_one_has_to() {
        let rules = rules("[{header: {X-State: '^(busy|late)$', x-n: '[0-9]'}, then: retry}]").unwrap();
        let of = |fields: &[(&str, &str)]| rules.judge(&head(200, fields), None);
        assert_eq!(of(&[("x-state", "busy"), ("X-N", "a7")]), Judgement::Is(Then::Retry));
        assert_eq!(of(&[("x-state", "busier"), ("X-N", "a7")]), Judgement::Unruled);
        assert_eq!(of(&[("x-state", "busy")]), Judgement::Unruled);
    }

    #[test]
    fn a_rule_about_the_body_waits_for_it() {
        let rules = rules(
            "[{status: 200, path: error.code, equals: 7, then: rate_limited}, \
              {path: /error, then: fail}, {text: 'try (again|later)', then: retry}]",
        )
        .unwrap();
        let head = head(200, &[]);
        let of = |body: &str| rules.judge(&head, Some(body.as_bytes()));
        assert_eq!(rules.judge(&head, None), Judgement::NeedsBody);
        assert_eq!(of(r#"{"error": {"code": 7}}"#), Judgement::Is(Then::RateLimited));
        assert_eq!(of(r#"{"error": {"code": 7.0}}"#), Judgement::Is(Then::RateLimited));
        assert_eq!(of(r#"{"error": {"code": "7"}}"#), Judgement::Is(Then::Fail));
        assert_eq!(of("please try later"), Judgement::Is(Then::Retry));
        assert_eq!(of("{}"), Judgement::Unruled);
    }

    #[test]
    fn values_are_equal_to_the_last_digit_however_they_are_written() {
        let is = |wanted: &str, body: &str| {
            let rules = rules(&format!("[{{path: v, equals: {wanted}, then: retry}}]")).unwrap();
            let body = format!("{{\"v\": {body} }}");
            rules.judge(&head(200, &[]), Some(body.as_bytes())) == Judgement::Is(Then::Retry)
        };
        for (a, b) in [
            ("1", "1.0"),
            ("1.0", "1"),
            ("100", "1e2"),
            ("0.0", "-0"),
            ("0", "0e99999999999999999999"),
            ("0.5", "50E-2"),
            ("9007199254740993", "9007199254740993.0"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("[1, {\"a\": 2.0}]", "[ 1.0,{ \"a\" : 2 } ]"),
            ("{\"a\": 1, \"b\": null}", "{\"b\": null, \"a\": 10e-1}"),
            ("{\"a\": 1}", "{\"a\": 2, \"a\": 1}"),
            ("\"é\"", "\"\\u00e9\""),
            ("true", "true"),
        ] {
            assert!(is(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("9007199254740993", "9007199254740992"),
            ("9007199254740993", "9007199254740992.0"),
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            ("0.1", "0.10000000000000000001"),
            ("1", "1e99999999999999999999"),
            ("1", "-1"),
            ("1", "10"),
            ("1", "\"1\""),
            ("1", "true"),
            ("[null]", "[false]"),
            ("[1]", "[1, 1]"),
            ("[9007199254740993]", "[9007199254740992]"),
            ("{\"a\": 9007199254740993}", "{\"a\": 9007199254740992}"),
            ("{\"a\": 1}", "{\"a\": 1, \"b\": 1}"),
            ("{\"a\": 1}", "{\"b\": 1}"),
            ("\"x\u{fffd}\"", "\"x\\ud800\""),
        ] {
            assert!(!is(a, b), "{a} {b}");
        }
    }

    #[test]
    fn what_cannot_be_a_rule_is_said_at_load_with_its_place() {
        for (yaml, place) in [
            ("[{text: '(', then: fail}]", "/endpoints/e/responses/0/text"),
            ("[{then: fail}, {header: {A: '['}, then: fail}]", "/endpoints/e/responses/1/header/A"),
            ("[{path: '$.[', then: fail}]", "/endpoints/e/responses/0/path"),
            ("[{equals: 1, then: fail}]", "/endpoints/e/responses/0/equals"),
            ("[{text: 'a{9999}{9999}', then: fail}]", "/endpoints/e/responses/0/text"),
        ] {
            let error = rules(yaml).unwrap_err();
            assert!(error.starts_with(place), "{error}");
        }
    }
}
