//! Endpoints that are late or that fail, to see what a program does then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::problem::Problem;

/// How often each key of `/v1/flaky` has failed.
type Failures = Arc<Mutex<HashMap<String, u32>>>;

/// `/v1/slow?seconds=N` answers after N seconds, `/v1/fail` with a 500, `/v1/flaky?key=KEY&fails=N` with N times 503
/// and then well, whatever the method, `/v1/busy?wait=SECONDS` with 429 and that Retry-After, `/v1/broken` with 200
/// and something that is no JSON, `/v1/elsewhere` with a redirect to `/v1/echo` at another origin: this server under
/// its other name.
pub fn routes() -> Router {
    Router::new()
        .route("/v1/slow", get(slow))
        .route("/v1/fail", get(fail))
        .route("/v1/flaky", any(flaky))
        .route("/v1/busy", get(busy))
        .route("/v1/elsewhere", any(elsewhere))
        .route("/v1/broken", get(async || "<html>Sorry</html>"))
        .with_state(Failures::default())
}

#[derive(Deserialize)]
struct Slow {
    #[serde(default = "one_second")]
    seconds: f64,
}

fn one_second() -> f64 {
    1.0
}

async fn slow(Query(Slow { seconds }): Query<Slow>) -> Result<Json<Value>, Problem> {
    let wait = Duration::try_from_secs_f64(seconds).ok().filter(|wait| wait.as_secs() <= 3600);
    let wait = wait.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "seconds must be 0 to 3600"))?;
    tokio::time::sleep(wait).await;
    Ok(Json(json!({"slept": seconds})))
}

async fn fail() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this endpoint always fails")
}

#[derive(Deserialize)]
struct Flaky {
    #[serde(default)]
    key: String,
    #[serde(default = "twice")]
    fails: u32,
}

fn twice() -> u32 {
    2
}

async fn flaky(
    State(failures): State<Failures>,
    Query(Flaky { key, fails }): Query<Flaky>,
) -> Result<Json<Value>, Problem> {
    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = failures.entry(key).or_default();
    if *failed < fails {
        *failed += 1;
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("failure {failed} of {fails}")));
    }
    Ok(Json(json!({"failed before": *failed})))
}

#[derive(Deserialize)]
struct Busy {
    #[serde(default = "an_hour")]
    wait: u32,
}

fn an_hour() -> u32 {
    3600
}

async fn busy(Query(Busy { wait }): Query<Busy>) -> Response {
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests");
    ([(header::RETRY_AFTER, wait.to_string())], problem).into_response()
}

async fn elsewhere(headers: HeaderMap) -> Redirect {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    Redirect::temporary(&format!("http://{}/v1/echo", host.replacen("127.0.0.1", "localhost", 1)))
}
