//! What a token endpoint says (RFC 6749 5.1, 5.2), and how long a token is good for. Pure: it is told the time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::value::{RawValue, to_raw_value};

use crate::auth::is_visible;
use crate::config::Secret;

/// A token is asked for so long before the old one ends: a request is on its way for a while, and clocks differ.
const SKEW: Duration = Duration::from_secs(60);

/// What is said to live longer is asked for again then.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// How long a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Nobody has said: until it is refused.
    Unknown,
    /// For one request.
    Once,
    /// So long from when it was asked for.
    Known(Duration),
}

impl Life {
    fn of(seconds: f64) -> Life {
        match Duration::try_from_secs_f64(seconds) {
            Ok(Duration::ZERO) => Life::Once,
            Ok(life) => Life::Known(life.min(LONGEST)),
            Err(_) if seconds < 0.0 => Life::Once,
            Err(_) => Life::Known(LONGEST),
        }
    }

    /// When another one is to be asked for; None: when this one is refused. By a clock that nobody sets.
    pub fn good_until(self, asked: Instant) -> Option<Instant> {
        match self {
            Life::Unknown => None,
            Life::Once => Some(asked),
            // Of a short life, not all of it may be lost.
            Life::Known(life) => asked.checked_add(life - SKEW.min(life / 10)),
        }
    }

    /// When it ends, by the same clock.
    pub fn ends_at(self, asked: Instant) -> Option<Instant> {
        match self {
            Life::Unknown => None,
            Life::Once => Some(asked),
            Life::Known(life) => asked.checked_add(life),
        }
    }

    /// When it ends, by the system's clock.
    pub fn ends(self, asked: SystemTime) -> Option<SystemTime> {
        match self {
            Life::Unknown => None,
            Life::Once => Some(asked),
            Life::Known(life) => asked.checked_add(life),
        }
    }
}

/// A token that was got.
pub(super) struct Granted {
    pub access_token: Secret,
    /// The one to use from now on, where the server gives another one.
    pub refresh_token: Option<Secret>,
    pub life: Life,
    pub scope: Option<String>,
}

/// The members of an answer. What is not needed may be anything, and of what is said twice, the last counts.
pub(super) struct Members<'a>(HashMap<Cow<'a, str>, Cow<'a, RawValue>>);

impl<'a> Members<'a> {
    /// Reads an object, also behind a byte order mark, or a form, as some answered before there was an RFC. None: it is
    /// neither.
    pub fn read(body: &'a [u8]) -> Option<Members<'a>> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        match serde_json::from_slice::<HashMap<Cow<'a, str>, &'a RawValue>>(body) {
            Ok(all) => Some(Members(all.into_iter().map(|(name, raw)| (name, Cow::Borrowed(raw))).collect())),
            Err(_) => form(body).map(Members),
        }
    }

    /// A string.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }

    /// A number of seconds. Some put it in quotes; what is no number says nothing.
    pub fn seconds(&self, name: &str) -> Option<f64> {
        let raw = self.0.get(name)?.get();
        raw.trim_matches('"').parse::<f64>().ok().filter(|seconds| !seconds.is_nan())
    }

    /// Some make a list of it.
    fn scope(&self) -> Option<String> {
        let list = || serde_json::from_str::<Vec<String>>(self.0.get("scope")?.get()).ok();
        self.text("scope").or_else(|| list().map(|list| list.join(" ")))
    }
}

/// The members of a form, and of nothing that only resembles one.
fn form<'a>(body: &'a [u8]) -> Option<HashMap<Cow<'a, str>, Cow<'a, RawValue>>> {
    let body = body.trim_ascii();
    if !body.contains(&b'=') || !body.iter().all(|b| b.is_ascii_alphanumeric() || b"*-._~+%&=".contains(b)) {
        return None;
    }
    let pairs = form_urlencoded::parse(body);
    pairs.map(|(name, value)| Some((name, Cow::Owned(to_raw_value(&value).ok()?)))).collect()
}

/// Reads a successful answer. A fault says nothing of what is in it.
pub(super) fn granted(body: &[u8]) -> Result<Granted, &'static str> {
    let answer = Members::read(body).ok_or("answered with something that is no token (RFC 6749 5.1)")?;
    let secret = |name| answer.text(name).filter(|t| !t.is_empty()).map(Secret::new);
    let (access_token, refresh_token) = (secret("access_token"), secret("refresh_token"));
    let access_token = access_token.ok_or("answered without an access_token (RFC 6749 5.1)")?;
    if answer.text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("answered with a token_type that is not Bearer: no other one is known here");
    }
    let is_bad = |token: &Secret| !is_visible(token.expose());
    if is_bad(&access_token) || refresh_token.as_ref().is_some_and(is_bad) {
        return Err("answered with a token that no header can carry: it is not visible ASCII");
    }
    let life = answer.seconds("expires_in").map_or(Life::Unknown, Life::of);
    Ok(Granted { access_token, refresh_token, life, scope: answer.scope() })
}

/// An answer that refuses (RFC 6749 5.2).
pub(super) struct Refusal {
    pub error: String,
    pub error_description: Option<String>,
}

impl Refusal {
    /// Reads one.
    pub fn read(body: &[u8]) -> Option<Refusal> {
        let answer = Members::read(body)?;
        Some(Refusal { error: answer.text("error")?, error_description: answer.text("error_description") })
    }
}

/// The words of a refusal.
pub(super) fn words(error: &str, description: Option<&str>) -> String {
    match description.filter(|description| !description.is_empty()) {
        Some(description) => format!("{error}: {description}"),
        None => error.to_owned(),
    }
}

/// How long a token of the configuration is still good for: `expires_at` is JSON, seconds since 1970 or an RFC 3339
/// timestamp.
pub(super) fn left(expires_at: &str, now: SystemTime) -> Result<Life, &'static str> {
    let text = expires_at.trim_matches('"');
    if matches!(text, "" | "null") {
        return Ok(Life::Unknown);
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let end = text.parse::<f64>().ok().or_else(|| timestamp(text)).filter(|end| end.is_finite());
    let end = end.ok_or("must be seconds since 1970, or a time as 2030-01-31T12:00:00Z")?;
    Ok(Life::of(end - now))
}

/// Seconds since 1970. A time without an offset is UTC.
fn timestamp(text: &str) -> Option<f64> {
    let (time, offset) = match text.get(text.len().checked_sub(6)?..)?.as_bytes() {
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let two = |a: &u8, b: &u8| {
                Some(f64::from((*a as char).to_digit(10)? * 10 + (*b as char).to_digit(10)?))
            };
            let seconds = two(h1, h2)? * 3600.0 + two(m1, m2)? * 60.0;
            (&text[..text.len() - 6], if *sign == b'+' { seconds } else { -seconds })
        }
        _ => (text, 0.0),
    };
    let time = humantime::parse_rfc3339_weak(time).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(time.as_secs_f64() - offset)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn life(expires_in: &str) -> Life {
        let body = format!(r#"{{"access_token": "t", "token_type": "BEARER", "expires_in": {expires_in}}}"#);
        granted(body.as_bytes()).unwrap().life
    }

    #[test]
    fn a_life_is_a_number_in_quotes_or_not_and_never_endless() {
        let hour = Life::Known(Duration::from_secs(3600));
        assert_eq!([life("3600"), life(r#""3600""#)], [hour, hour]);
        assert_eq!([life("0"), life("-1"), life(r#""0""#)], [Life::Once; 3]);
        assert_eq!([life("1e99"), life("99999999999999999999")], [Life::Known(LONGEST); 2]);
        assert_eq!(
            [life("null"), life(r#""soon""#), life("true"), life("[1]"), life(r#""NaN""#)],
            [Life::Unknown; 5]
        );
    }

    #[test]
    fn the_next_one_is_asked_for_a_minute_before_the_end_or_a_tenth_of_a_short_life() {
        let now = Instant::now();
        let until = |seconds: u64| Life::Known(Duration::from_secs(seconds)).good_until(now).unwrap() - now;
        assert_eq!(until(3600), Duration::from_secs(3540));
        assert_eq!(until(600), Duration::from_secs(540));
        assert_eq!(until(10), Duration::from_secs(9));
        assert_eq!(Life::Once.good_until(now), Some(now));
        assert_eq!(Life::Unknown.good_until(now), None);
    }

    #[test]
    fn what_is_no_bearer_token_is_refused_unseen() {
        for body in [
            "<html>canary</html>",
            "[]",
            r#"{"token": "canary"}"#,
            r#"{"access_token": ""}"#,
            r#"{"access_token": 12345678}"#,
            r#"{"access_token": "canary", "token_type": "MAC"}"#,
            r#"{"access_token": "canary\r\nX: y"}"#,
            r#"{"access_token": "canary\u0000"}"#,
            r#"{"access_token": "canaryé"}"#,
            r#"{"access_token": "t", "refresh_token": "canary\n"}"#,
        ] {
            let Err(what) = granted(body.as_bytes()) else { panic!("{body}") };
            assert!(!what.contains("canary") && !what.contains("1234"), "{what}");
        }
        assert!(granted(br#"{"access_token": "t", "token_type": "bearer"}"#).is_ok());
        assert!(granted(br#"{"access_token": "t", "else": [[[{}]]]}"#).is_ok());
    }

    #[test]
    fn what_is_not_needed_may_be_anything_and_the_last_of_two_counts() {
        let scope = |body: &str| granted(body.as_bytes()).unwrap().scope;
        assert_eq!(scope(r#"{"access_token": "t", "scope": ["a", "b"]}"#).as_deref(), Some("a b"));
        assert_eq!(scope(r#"{"access_token": "t", "scope": "a", "scope": "b"}"#).as_deref(), Some("b"));
        assert_eq!(scope("\u{feff}{\"access_token\": \"t\", \"scope\": {}, \"token_type\": 1}"), None);
        let form = b"access_token=90d6%2Fa&scope=user+mail&token_type=bearer&expires_in=3600\n";
        let Granted { access_token, life, scope, .. } = granted(form).unwrap();
        assert_eq!((access_token.expose(), scope.as_deref()), ("90d6/a", Some("user mail")));
        assert_eq!(life, Life::Known(Duration::from_secs(3600)));
        let refused = Refusal::read(b"error=bad_code&error_description=It+has+ended.").unwrap();
        assert_eq!(
            (refused.error.as_str(), refused.error_description.as_deref()),
            ("bad_code", Some("It has ended."))
        );
        assert!(granted(b"<a href=\"?access_token=x\">").is_err());
        let two = granted(br#"{"access_token": "old", "access_token": "new"}"#).unwrap();
        assert_eq!(two.access_token.expose(), "new");
        for body in [
            r#"{"error": "authorization_pending", "error_description": ["x"]}"#,
            r#"{"error": 1, "error": "authorization_pending", "error_description": null}"#,
            "\u{feff}{\"error\": \"authorization_pending\"}",
        ] {
            let refusal = Refusal::read(body.as_bytes()).unwrap();
            assert_eq!((&*refusal.error, refusal.error_description), ("authorization_pending", None));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_breaks_the_reader(
            members in proptest::collection::vec(("(access_token|refresh_token|scope|expires_in|error|error_description|x)",
                "(\"[a-z\\\\u0]{0,5}\"|-?[0-9]{1,25}|null|true|\\[\"a\",1?\\]|\\{\\})"), 0..8),
        ) {
            let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            let body = format!("{{{}}}", members.join(", "));
            let _ = (granted(body.as_bytes()).is_ok(), Refusal::read(body.as_bytes()).is_some());
        }
    }

    #[test]
    fn nesting_without_end_is_no_trouble() {
        let bomb = format!(r#"{{"access_token": "t", "deep": {}"#, "[".repeat(1 << 20));
        assert!(granted(bomb.as_bytes()).is_err());
        let deep = format!("{bomb}{}}}", "]".repeat(1 << 20));
        assert!(granted(deep.as_bytes()).is_ok_and(|g| g.access_token.expose() == "t"));
    }

    #[test]
    fn a_configured_end_is_a_number_or_a_timestamp() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let hour = Life::Known(Duration::from_secs(3600));
        for text in [
            "1000003600",
            r#""1000003600""#,
            r#""2001-09-09T02:46:40Z""#,
            r#""2001-09-09T02:46:40""#,
            r#""2001-09-09T02:46:40.000+00:00""#,
            r#""2001-09-09T04:46:40+02:00""#,
            r#""2001-09-08T21:16:40-05:30""#,
        ] {
            assert_eq!(left(text, now), Ok(hour), "{text}");
        }
        assert_eq!(left("5", now), Ok(Life::Once));
        assert_eq!(left("null", now), Ok(Life::Unknown));
        for text in ["true", r#""tomorrow""#, r#""inf""#, "[1]", r#""+02:00""#] {
            assert!(left(text, now).is_err(), "{text}");
        }
    }
}
