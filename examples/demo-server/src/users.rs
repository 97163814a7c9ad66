//! `/v1/users`: a list with a filter, one by its number, and a new one. Kept in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::problem::Problem;

/// Whoever changes something shows this token.
const TOKEN: &str = "demo-token";

/// One user.
#[derive(Clone, Serialize)]
struct User {
    id: u64,
    name: String,
    team: String,
}

/// All of them, in the order of their numbers, from 1.
#[derive(Clone)]
struct Users(Arc<Mutex<Vec<User>>>);

impl Users {
    fn lock(&self) -> MutexGuard<'_, Vec<User>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The users' endpoints, with three users to begin with.
pub fn routes() -> Router {
    let first = [("Ada", "core"), ("Alan", "core"), ("Edsger", "docs")];
    let first = (1..).zip(first).map(|(id, (name, team))| User { id, name: name.into(), team: team.into() });
    Router::new()
        .route("/v1/users", get(list).post(create))
        .route("/v1/users/{id}", get(one))
        .with_state(Users(Arc::new(Mutex::new(first.collect()))))
}

#[derive(Deserialize)]
struct Filter {
    team: Option<String>,
}

async fn list(State(users): State<Users>, Query(filter): Query<Filter>) -> Json<Value> {
    let users = users.lock();
    let found: Vec<&User> =
        users.iter().filter(|user| filter.team.as_ref().is_none_or(|team| *team == user.team)).collect();
    Json(json!({"data": found, "total": found.len()}))
}

async fn one(State(users): State<Users>, Path(id): Path<String>) -> Result<Json<User>, Problem> {
    let number: Option<u64> = id.parse().ok();
    let found = users.lock().iter().find(|user| Some(user.id) == number).cloned();
    found.map(Json).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no user {id}")))
}

async fn create(State(users): State<Users>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    authorize(&headers)?;
    let body: Value = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")))?;
    let text = |key: &str| body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let Some(name) = text("name") else {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "a user needs a name")
            .with_errors(json!([{"pointer": "/name", "detail": "is missing or not a text"}])));
    };
    let mut users = users.lock();
    let id = users.len() as u64 + 1;
    let user = User { id, name: name.into(), team: text("team").unwrap_or("none").into() };
    users.push(user.clone());
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/v1/users/{id}"))], Json(user)).into_response())
}

fn authorize(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    match given {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && token == TOKEN => Ok(()),
        Some(_) => Err(Problem::new(StatusCode::UNAUTHORIZED, "that token is not the right one")),
        None => Err(Problem::new(StatusCode::UNAUTHORIZED, "a bearer token is needed")),
    }
}
