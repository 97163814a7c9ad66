//! What a GraphQL answer says of itself: `data`, `errors`, or both (GraphQL October 2021, 7.1).

use serde_json::value::RawValue;

use crate::decode::{Found, Path};
use crate::error::{Category, Error, Kind};
use crate::redact::Redactor;

/// So many errors become warnings; of further ones, it is said how many there are.
const MOST_WARNINGS: usize = 10;

/// What an answer is.
#[derive(Debug)]
pub(super) enum Judged {
    /// All that was asked for.
    Whole,
    /// Data, but not all of it: fields that failed are null. One text for each error, the last one for those left out.
    Partial(Error, Vec<String>),
    /// Nothing.
    Nothing(Error),
}

/// What a JSON text is as a GraphQL answer.
pub(super) fn judge(json: &str, redactor: &Redactor) -> Judged {
    let data = find(json, "data");
    let errors = match find(json, "errors").filter(|errors| *errors != "null") {
        None => Vec::new(),
        Some(text) => match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(errors) => errors,
            Err(_) => return Judged::Nothing(not_graphql("its `errors` are not a list")),
        },
    };
    let Some(first) = errors.first() else {
        return match data {
            Some(_) => Judged::Whole,
            None => Judged::Nothing(not_graphql("it has neither `data` nor `errors`")),
        };
    };
    let mut error = error_of(first.get(), redactor);
    if errors.len() > 1 {
        error.message += &format!(" (the first of {} errors)", errors.len());
    }
    if data.is_none_or(|data| data == "null") {
        return Judged::Nothing(error);
    }
    let mut texts: Vec<String> = errors.iter().take(MOST_WARNINGS).map(|e| said(e.get(), redactor)).collect();
    if errors.len() > MOST_WARNINGS {
        texts.push(format!("{} further GraphQL errors", errors.len() - MOST_WARNINGS));
    }
    Judged::Partial(error, texts)
}

fn not_graphql(why: &str) -> Error {
    Error::new(Kind::Decode, format!("the answer is not one of GraphQL: {why}"))
}

/// One of the answer's errors, by the codes that most servers use.
fn error_of(json: &str, redactor: &Redactor) -> Error {
    let code = text(json, "extensions.code");
    let (kind, category) = match code.as_deref().unwrap_or_default() {
        "UNAUTHENTICATED" | "FORBIDDEN" => (Kind::Auth, Category::Auth),
        "RATE_LIMITED" | "THROTTLED" | "TOO_MANY_REQUESTS" => (Kind::RateLimited, Category::RateLimit),
        "BAD_USER_INPUT" | "GRAPHQL_VALIDATION_FAILED" | "GRAPHQL_PARSE_FAILED" => {
            (Kind::HttpStatus, Category::Validation)
        }
        "INTERNAL_SERVER_ERROR" => (Kind::HttpStatus, Category::Server),
        _ => (Kind::HttpStatus, Category::Unknown),
    };
    let mut error = Error::new(kind, said(json, redactor));
    error.category = Some(category);
    error
}

/// An error in words: what, where, and its code.
fn said(json: &str, redactor: &Redactor) -> String {
    let message = text(json, "message").unwrap_or_else(|| "without a message".into());
    let mut said = format!("GraphQL error: {}", redactor.excerpt(&message));
    let steps = find(json, "path").and_then(|path| serde_json::from_str::<Vec<&RawValue>>(path).ok());
    if let Some(steps) = steps.filter(|steps| !steps.is_empty()) {
        let steps: Vec<String> = steps.iter().map(|step| plain(step.get())).collect();
        said += &format!(" at {}", redactor.excerpt(&steps.join(".")));
    }
    if let Some(code) = text(json, "extensions.code") {
        said += &format!(" ({})", redactor.excerpt(&code));
    }
    said
}

/// A value's bytes in a valid JSON text. Of a duplicate key, the last counts.
fn find<'j>(json: &'j str, path: &str) -> Option<&'j str> {
    match Path::parse(path).ok()?.locate(json).ok()? {
        Found::One(place) => Some(json[place].trim_ascii()),
        Found::Many(_) => None,
    }
}

fn text(json: &str, path: &str) -> Option<String> {
    find(json, path).filter(|text| *text != "null").map(plain)
}

/// A string's text; of anything else, and of a string that is no Unicode, the JSON.
fn plain(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(json: &str) -> Judged {
        judge(json, &Redactor::of(["a-secret"]))
    }

    fn nothing(json: &str) -> Error {
        match of(json) {
            Judged::Nothing(error) => error,
            other => panic!("{json}: {other:?}"),
        }
    }

    fn partial(json: &str) -> (Error, Vec<String>) {
        match of(json) {
            Judged::Partial(error, texts) => (error, texts),
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn data_without_errors_is_whole() {
        for json in [
            r#"{"data": {"a": 1}}"#,
            r#"{"data": null}"#,
            r#"{"errors": [], "data": {}}"#,
            r#"{"errors": null, "data": {}}"#,
            r#"{"errors": [{"message": "x"}], "errors": [], "data": {}}"#,
        ] {
            assert!(matches!(of(json), Judged::Whole), "{json}: {:?}", of(json));
        }
    }

    #[test]
    fn without_data_there_is_nothing() {
        for json in [r#"{"errors": [{"message": "x"}]}"#, r#"{"data": null, "errors": [{"message": "x"}]}"#] {
            assert_eq!(nothing(json).message, "GraphQL error: x");
        }
        for json in
            ["{}", "[]", "1", r#"{"error": "x"}"#, r#"{"errors": "x"}"#, r#"{"data": {}, "errors": {}}"#]
        {
            assert_eq!(nothing(json).kind(), Kind::Decode, "{json}");
        }
    }

    #[test]
    fn an_error_says_what_where_and_how_many_there_are() {
        let (error, texts) = partial(
            r#"{"data": {"a": null}, "errors": [
                {"message": "no\na-secret", "path": ["users", 3, "na\u0020me"], "extensions": {"code": "X"}}, {}]}"#,
        );
        assert_eq!(error.message, "GraphQL error: no *** at users.3.na me (X) (the first of 2 errors)");
        assert_eq!(texts, ["GraphQL error: no *** at users.3.na me (X)", "GraphQL error: without a message"]);
        let many = format!(r#"{{"data": {{}}, "errors": [{}]}}"#, vec!["{}"; 25].join(","));
        let (_, texts) = partial(&many);
        assert_eq!((texts.len(), texts[10].as_str()), (11, "15 further GraphQL errors"));
        // What is no object is an error too, and so is what no Rust string holds.
        assert_eq!(
            nothing(r#"{"errors": ["x", 1]}"#).message,
            "GraphQL error: without a message (the first of 2 errors)"
        );
        assert_eq!(nothing(r#"{"errors": [{"message": "\ud800"}]}"#).message, r#"GraphQL error: "\ud800""#);
    }

    #[test]
    fn codes_say_what_sort_of_failure_it_is() {
        for (code, kind, category) in [
            ("UNAUTHENTICATED", Kind::Auth, Category::Auth),
            ("FORBIDDEN", Kind::Auth, Category::Auth),
            ("RATE_LIMITED", Kind::RateLimited, Category::RateLimit),
            ("THROTTLED", Kind::RateLimited, Category::RateLimit),
            ("TOO_MANY_REQUESTS", Kind::RateLimited, Category::RateLimit),
            ("BAD_USER_INPUT", Kind::HttpStatus, Category::Validation),
            ("GRAPHQL_VALIDATION_FAILED", Kind::HttpStatus, Category::Validation),
            ("GRAPHQL_PARSE_FAILED", Kind::HttpStatus, Category::Validation),
            ("INTERNAL_SERVER_ERROR", Kind::HttpStatus, Category::Server),
            ("SOMETHING_ELSE", Kind::HttpStatus, Category::Unknown),
        ] {
            let json = format!(r#"{{"errors": [{{"message": "x", "extensions": {{"code": "{code}"}}}}]}}"#);
            let error = nothing(&json);
            assert_eq!((error.kind(), error.category()), (kind, category), "{code}");
        }
    }
}
