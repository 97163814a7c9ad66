//! `/oauth/device`, `/oauth/token` and `/v1/me`: a person signs in on another device (RFC 8628), as far as a server can
//! show it without one: whoever asks a second time finds that the person is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::problem::Problem;

const CLIENT: &str = "demo-client";
const TOKEN: &str = "demo-signed-in-token";
const REFRESH_TOKEN: &str = "demo-refresh-token";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// How often each device code was asked about, by its number.
#[derive(Clone, Default)]
struct Codes(Arc<Mutex<Vec<u32>>>);

/// The endpoints of a sign-in, and one that wants one.
pub fn routes() -> Router {
    Router::new()
        .route("/oauth/device", post(device))
        .route("/oauth/token", post(token))
        .route("/v1/me", get(me))
        .with_state(Codes::default())
}

async fn device(State(codes): State<Codes>, headers: HeaderMap, body: Bytes) -> Response {
    if form(&body).get("client_id").map(String::as_str) != Some(CLIENT) {
        return refused("invalid_client", "the client is demo-client");
    }
    let mut codes = codes.0.lock().unwrap_or_else(PoisonError::into_inner);
    codes.push(0);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let answer = json!({
        "device_code": format!("demo-device-code-{}", codes.len()),
        "user_code": "DEMO-CODE",
        "verification_uri": format!("http://{host}/visit"),
        "verification_uri_complete": format!("http://{host}/visit?user_code=DEMO-CODE"),
        "expires_in": 300,
        "interval": 1,
    });
    Json(answer).into_response()
}

async fn token(State(codes): State<Codes>, body: Bytes) -> Response {
    let form = form(&body);
    let said = |name: &str| form.get(name).map(String::as_str);
    if said("client_id") != Some(CLIENT) {
        return refused("invalid_client", "the client is demo-client");
    }
    match said("grant_type") {
        Some(DEVICE_CODE) => {
            let number = said("device_code").and_then(|code| code.strip_prefix("demo-device-code-"));
            let number: Option<usize> = number.and_then(|number| number.parse().ok());
            let mut codes = codes.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(asked) = number.and_then(|n| codes.get_mut(n.wrapping_sub(1))) else {
                return refused("invalid_grant", "nobody has asked for this device code");
            };
            *asked += 1;
            match *asked {
                1 => refused("authorization_pending", "the person is not done yet"),
                2 => granted(),
                _ => refused("invalid_grant", "the device code was used"),
            }
        }
        Some("refresh_token") if said("refresh_token") == Some(REFRESH_TOKEN) => granted(),
        Some("refresh_token") => refused("invalid_grant", "the refresh token is demo-refresh-token"),
        _ => refused("unsupported_grant_type", "device codes and refresh tokens are taken"),
    }
}

async fn me(headers: HeaderMap) -> Result<Json<Value>, Problem> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if authorization.and_then(|value| value.strip_prefix("Bearer ")) != Some(TOKEN) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "nobody has signed in"));
    }
    Ok(Json(json!({"id": 1, "name": "Ada", "scope": "profile"})))
}

fn granted() -> Response {
    let answer = json!({
        "access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600, "refresh_token": REFRESH_TOKEN,
        "scope": "profile",
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// RFC 6749 5.2.
fn refused(error: &str, description: &str) -> Response {
    let body = json!({"error": error, "error_description": description});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// What the form says. Of its escapes, those are undone that a device flow needs: the colons of its grant.
fn form(body: &[u8]) -> HashMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.replace("%3A", ":"))).collect()
}
