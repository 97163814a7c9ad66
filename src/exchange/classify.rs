//! What a failure means: status, category, and whether the request reached the server.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::endpoint::Then;
use crate::decode;
use crate::error::{Error, Kind, Sent};
use crate::redact::Redactor;
use crate::response::Head;
use crate::transport::{Fail, Failure};

/// A transport's failure as an error; the caller adds where it happened.
pub(super) fn transport_failure(failure: &Failure) -> Error {
    let mut error = Error::new(kind(&failure.fail), failure.fail.to_string());
    error.sent = failure.sent;
    error.errno = failure.fail.errno();
    error.transient = failure.fail.is_transient();
    if let Fail::ProxyAuth(_, status) = &failure.fail {
        error.http_status = *status;
    }
    error
}

/// The kind of error that a transport's failure is.
pub(super) fn kind(fail: &Fail) -> Kind {
    match fail {
        Fail::Cancelled => Kind::Cancelled,
        Fail::Timeout(_) => Kind::Timeout,
        Fail::Resolve(_) => Kind::Dns,
        Fail::Connect(..) | Fail::Blocked(_) => Kind::Connect,
        Fail::Tls(_) | Fail::HandshakeCut(_) => Kind::Tls,
        Fail::Closed | Fail::Socket(_) | Fail::System(..) => Kind::Io,
        Fail::Truncated(_) => Kind::Truncated,
        Fail::Protocol(_) => Kind::Protocol,
        Fail::TooLarge(_) => Kind::TooLarge,
        Fail::ProxyAuth(..) => Kind::Auth,
        Fail::Source(..) => Kind::File,
        Fail::Internal(_) => Kind::Internal,
    }
}

/// A status that is a failure, as an error.
///
/// `ruled`: what a rule of the configuration makes of it; `redirect`: why it was not followed, and whether its address
/// must not be shown.
pub(super) fn refused(
    head: &Head,
    body: &[u8],
    ruled: Option<Then>,
    redirect: Option<(&str, bool)>,
    redactor: &Redactor,
) -> Error {
    let status = head.status;
    let kind = match (ruled, status) {
        (Some(Then::RateLimited), _) | (_, 429) => Kind::RateLimited,
        (Some(Then::RefreshToken), _) | (_, 401 | 403 | 407) => Kind::Auth,
        _ if redirect.is_some() => Kind::Redirect,
        _ => Kind::HttpStatus,
    };
    let mut message = format!("the server answered {status}");
    if ruled.is_some() && (200..300).contains(&status) {
        message += ", which `responses` takes for a failure";
    }
    if status == 407 {
        message += ": the proxy demands other credentials";
    } else if let Some((why, true)) = redirect {
        message += &format!(", a redirect which was not followed: {why}");
    } else if let Some((why, false)) = redirect {
        let to = head.get("location").map(String::from_utf8_lossy).unwrap_or(Cow::Borrowed("nowhere"));
        message += &format!(", a redirect to {}, which was not followed: {why}", redactor.excerpt(&to));
    } else if let Some(title) = problem(body) {
        message += &format!(": {}", redactor.excerpt(&title));
    }
    let mut error = Error::new(kind, message);
    error.sent = Sent::Yes;
    error.http_status = Some(status);
    error.retry_after = retry_after(head, SystemTime::now());
    error.undone = kind == Kind::RateLimited || (status == 503 && error.retry_after.is_some());
    error
}

/// What a refusal says in words, redacted.
pub(crate) fn words(body: &[u8], redactor: &Redactor) -> Option<String> {
    problem(body).map(|what| redactor.excerpt(&what))
}

/// What the body says in words: RFC 9457's title and detail, the first of GraphQL's errors, what most APIs call them, or
/// what AWS does.
fn problem(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem<'a> {
        title: Option<String>,
        detail: Option<String>,
        message: Option<String>,
        /// Some of AWS's services.
        #[serde(rename = "Message")]
        capital: Option<String>,
        // Not a value: those are built by recursion, as deep as the server likes.
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        #[serde(borrow)]
        errors: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Inner {
        message: String,
    }
    let Ok(problem) = serde_json::from_slice::<Problem<'_>>(body) else { return xml_problem(body) };
    let error = || {
        let error = problem.error?.get();
        let inner = || serde_json::from_str::<Inner>(error).ok().map(|inner| inner.message);
        serde_json::from_str::<String>(error).ok().or_else(inner)
    };
    let first = || {
        let errors: Vec<&RawValue> = serde_json::from_str(problem.errors?.get()).ok()?;
        serde_json::from_str::<Inner>(errors.first()?.get()).ok().map(|inner| inner.message)
    };
    match (problem.title, problem.detail) {
        (Some(title), Some(detail)) => Some(format!("{title}: {detail}")),
        (title, detail) => {
            title.or(detail).or(problem.message).or(problem.capital).or_else(error).or_else(first)
        }
    }
}

/// The code and the message of an XML document, as S3, IAM and STS of AWS refuse.
fn xml_problem(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.trim_start().starts_with('<'))?;
    let element = |open: &str, close: &str| Some(text.split_once(open)?.1.split_once(close)?.0);
    let message = element("<Message>", "</Message>")?;
    let words = element("<Code>", "</Code>").map_or(message.to_owned(), |code| format!("{code}: {message}"));
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(words, |words, (entity, stands_for)| words.replace(entity, stands_for)))
}

/// The server's wish to be left alone: `retry-after-ms`, or Retry-After as seconds or a date (RFC 9110 10.2.3).
/// What is neither is no wish.
pub(super) fn retry_after(head: &Head, now: SystemTime) -> Option<Duration> {
    let text = |name| head.get(name).and_then(|v| std::str::from_utf8(v).ok()).map(str::trim);
    // A number that no integer holds is nothing that a server means.
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit()).then(|| t.parse::<u64>().ok()).flatten();
    if let Some(ms) = text("retry-after-ms").and_then(digits) {
        return Some(Duration::from_millis(ms));
    }
    let value = text("retry-after")?;
    if let Some(seconds) = digits(value) {
        return Some(Duration::from_secs(seconds));
    }
    let date = decode::http_date(value)?;
    // By the server's own clock, where it tells it.
    let now = text("date").and_then(decode::http_date).unwrap_or(now);
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn head(name: &str, value: &str) -> Head {
        crate::response::head(429, &[(name, value)])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_else_nothing() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let of = |v: &str| retry_after(&head("Retry-After", v), now);
        assert_eq!(of("5"), Some(Duration::from_secs(5)));
        assert_eq!(of("0"), Some(Duration::ZERO));
        assert_eq!(of("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(of("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        for nothing in ["-1", "²", "soon", "", "1.5"] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
        assert_eq!(retry_after(&head("retry-after-ms", "250"), now), Some(Duration::from_millis(250)));
    }

    #[test]
    fn an_answers_own_words_are_in_the_message() {
        let head = head("x", "y");
        let said =
            |body: &str| refused(&head, body.as_bytes(), None, None, &Redactor::default()).message.clone();
        assert!(said(r#"{"title": "Too many", "detail": "slow down"}"#).ends_with(": Too many: slow down"));
        assert!(said(r#"{"error": {"message": "no\nquota"}}"#).ends_with(": no quota"));
        assert!(said(r#"{"errors": [{"message": "no field"}, {"message": "x"}]}"#).ends_with(": no field"));
        assert!(said(r#"{"__type": "x", "Message": "who is that?"}"#).ends_with(": who is that?"));
        assert_eq!(said(r#"{"errors": ["x"]}"#), "the server answered 429");
        assert_eq!(said("<html>"), "the server answered 429");
    }

    #[test]
    fn so_are_those_of_an_xml_document_as_aws_writes_it() {
        let head = head("x", "y");
        let said =
            |body: &str| refused(&head, body.as_bytes(), None, None, &Redactor::default()).message.clone();
        let s3 = "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>No &lt;a&amp;lt;b&gt;</Message></Error>";
        assert!(said(s3).ends_with(" 429: NoSuchKey: No <a&lt;b>"), "{}", said(s3));
        assert!(said("<e:Fault><Message>busy</Message></e:Fault>").ends_with(" 429: busy"));
        for none in
            ["<Code>x</Code>", "<Message>half of it", "no XML: <Message>x</Message>", "</Message><Message>"]
        {
            assert_eq!(said(none), "the server answered 429");
        }
    }
}
