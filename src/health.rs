//! What an answer, or none, says about an API's health.

use std::time::SystemTime;

use serde::Serialize;

use crate::config::keys::Health;
use crate::error::{Error, Kind, Result};
use crate::response::{Head, Meta, Response};

/// The reference's `HealthStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Degraded,
    Unhealthy,
    Unknown,
}

/// The reference's `HealthCheckResult`, as the body of an answer.
pub(crate) fn verdict(base_url: &str, health: &Health, outcome: Result<Response>) -> Response {
    #[derive(Serialize)]
    struct Verdict<'a> {
        status: Status,
        component: String,
        message: &'a str,
        timestamp: String,
        details: Details,
        latency_ms: u64,
    }
    #[derive(Serialize)]
    struct Details {
        #[serde(skip_serializing_if = "Option::is_none")]
        status_code: Option<u16>,
    }
    let (http, asked_to_wait, failure) = match &outcome {
        Ok(response) => (Some(response.head.status), false, None),
        Err(error) => (error.http_status, error.retry_after.is_some(), Some(error)),
    };
    let cancelled = failure.is_some_and(|e| e.kind() == Kind::Cancelled);
    // Our own limit held it back: nobody was asked.
    let unasked = http.is_none() && failure.is_some_and(|e| e.kind() == Kind::RateLimited);
    let status = match http {
        _ if cancelled || unasked => Status::Unknown,
        Some(code) => judge(code, asked_to_wait, health),
        None => Status::Unhealthy,
    };
    let message = match (failure, http) {
        (Some(error), None) => error.message.clone(),
        _ if status == Status::Healthy => format!("Connected to {base_url}"),
        (Some(error), _) if cancelled => error.message.clone(),
        _ => format!("Server returned {}", http.unwrap_or_default()),
    };
    let verdict = Verdict {
        status,
        component: format!("connector:{base_url}"),
        message: &message,
        timestamp: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        details: Details { status_code: http },
        latency_ms: latency(&outcome),
    };
    let body = serde_json::to_vec(&verdict).unwrap_or_default();
    let (head, meta) = match outcome {
        Ok(response) => (response.head, response.meta),
        Err(error) => from_error(&error),
    };
    Response::new(head, meta, body)
}

fn judge(code: u16, asked_to_wait: bool, health: &Health) -> Status {
    let expected = health.expect_status.as_ref().filter(|e| !e.is_empty());
    if expected.map_or((200..400).contains(&code), |e| e.contains(code)) {
        return Status::Healthy;
    }
    match code {
        429 => Status::Degraded,
        503 if asked_to_wait => Status::Degraded,
        401 | 403 | 407 => Status::Unhealthy,
        // Nobody said that there is something at `/`: what does not find it, or wants another method, is there.
        400..=499 if health.path.is_none() && expected.is_none() => Status::Healthy,
        _ => Status::Unhealthy,
    }
}

fn latency(outcome: &Result<Response>) -> u64 {
    let attempts = match outcome {
        Ok(response) => &response.meta.attempts,
        Err(error) => &error.attempts,
    };
    attempts.iter().map(|a| a.wait_ms + a.ms).sum()
}

fn from_error(error: &Error) -> (Head, Meta) {
    match &error.response {
        Some(response) => (response.head.clone(), response.meta.clone()),
        None => {
            let url = error.url.clone().unwrap_or_default();
            (Head::default(), Meta { url, attempts: error.attempts.clone(), ..Meta::default() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, asked_to_wait: bool) -> Status {
        judge(code, asked_to_wait, &Health::default())
    }

    #[test]
    fn an_answer_is_health_a_refusal_is_not() {
        for code in [200, 204, 301, 304, 400, 404, 405] {
            assert_eq!(of(code, false), Status::Healthy, "{code}");
        }
        assert_eq!(of(429, false), Status::Degraded);
        assert_eq!(of(503, true), Status::Degraded);
        for code in [401, 403, 407, 500, 503, 504] {
            assert_eq!(of(code, false), Status::Unhealthy, "{code}");
        }
        let said = Health { path: Some(crate::config::Text::new("/health")), ..Health::default() };
        for code in [400, 404, 405] {
            assert_eq!(judge(code, false, &said), Status::Unhealthy, "{code}");
        }
    }
}
