//! `GET /health`: is the server well? (It is.)

use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

/// The health endpoint.
pub fn routes() -> Router {
    Router::new().route("/health", get(async || Json(json!({"status": "ok"}))))
}
