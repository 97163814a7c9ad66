//! Endpoints that are late or that fail, to see what a program does then.

use std::time::Duration;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::problem::Problem;

/// `/v1/slow?seconds=N` answers after N seconds, `/v1/fail` with a 500.
pub fn routes() -> Router {
    Router::new().route("/v1/slow", get(slow)).route("/v1/fail", get(fail))
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
