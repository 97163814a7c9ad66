//! `/oauth/token` and `/v1/me`: a token, and what wants one. A client gets it with its secret (`demo-service`), or a person
//! signs in (`demo-client`), as far as a server can show it without one: on another device (`/oauth/device`, RFC 8628),
//! where whoever asks a second time finds that the person is done, or in a browser (`/oauth/authorize`), where the person
//! has agreed already.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::problem::Problem;

const CLIENT: &str = "demo-client";
/// A program that acts for itself, and its secret.
const SERVICE: (&str, &str) = ("demo-service", "demo-service-secret");
const CODE: &str = "demo-authorization-code";
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
        .route("/oauth/authorize", get(authorize))
        .route("/oauth/token", post(token))
        .route("/v1/me", get(me))
        .with_state(Codes::default())
}

/// What a form or a query says.
type Said = HashMap<String, String>;

async fn device(State(codes): State<Codes>, headers: HeaderMap, Form(form): Form<Said>) -> Response {
    if form.get("client_id").map(String::as_str) != Some(CLIENT) {
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

/// Sends the browser back (RFC 6749 4.1.2).
async fn authorize(Query(said): Query<Said>) -> Result<Redirect, Problem> {
    let (Some(back), Some(state)) = (said.get("redirect_uri"), said.get("state")) else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "redirect_uri and state are needed"));
    };
    Ok(Redirect::temporary(&format!("{back}?code={CODE}&state={state}")))
}

async fn token(State(codes): State<Codes>, Form(form): Form<Said>) -> Response {
    let said = |name: &str| form.get(name).map(String::as_str);
    if said("grant_type") == Some("client_credentials") {
        return match said("client_id").zip(said("client_secret")) {
            Some(SERVICE) => granted(None),
            _ => refused("invalid_client", "the client is demo-service, and its secret is another one"),
        };
    }
    if said("client_id") != Some(CLIENT) {
        return refused("invalid_client", "the client is demo-client");
    }
    match said("grant_type") {
        Some("authorization_code") if said("code") == Some(CODE) && said("code_verifier").is_some() => {
            granted(Some(REFRESH_TOKEN))
        }
        Some("authorization_code") => refused("invalid_grant", "the code is another one, or has no verifier"),
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
                2 => granted(Some(REFRESH_TOKEN)),
                _ => refused("invalid_grant", "the device code was used"),
            }
        }
        Some("refresh_token") if said("refresh_token") == Some(REFRESH_TOKEN) => granted(Some(REFRESH_TOKEN)),
        Some("refresh_token") => refused("invalid_grant", "the refresh token is demo-refresh-token"),
        _ => refused("unsupported_grant_type", "that grant is not taken"),
    }
}

async fn me(headers: HeaderMap) -> Result<Json<Value>, Problem> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if authorization.and_then(|value| value.strip_prefix("Bearer ")) != Some(TOKEN) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "nobody has signed in"));
    }
    Ok(Json(json!({"id": 1, "name": "Ada", "scope": "profile"})))
}

/// RFC 6749 5.1; a client that acts for itself gets no refresh token (4.4.3).
fn granted(refresh_token: Option<&str>) -> Response {
    let mut answer =
        json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600, "scope": "profile"});
    if let Some(token) = refresh_token {
        answer["refresh_token"] = token.into();
    }
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// RFC 6749 5.2.
fn refused(error: &str, description: &str) -> Response {
    let body = json!({"error": error, "error_description": description});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
