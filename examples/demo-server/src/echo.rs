//! `/v1/echo`: says back what arrived, to see what a configuration makes of a call.

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use axum::routing::any;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

/// Any method, and anything below.
pub fn routes() -> Router {
    Router::new().route("/v1/echo", any(echo)).route("/v1/echo/{*rest}", any(echo))
}

async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Json<Value> {
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes));
    let fields: Map<String, Value> =
        headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    Json(json!({
        "method": method.as_str(),
        "target": uri.to_string(),
        "headers": fields,
        "body": text(&body),
    }))
}
