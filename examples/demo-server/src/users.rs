//! `/v1/users`: a list with a filter, one by its number, a new one, and many new ones. Kept in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::problem::Problem;

/// Whoever changes something shows this token.
const TOKEN: &str = "demo-token";

/// One user.
#[derive(Clone, Serialize)]
pub struct User {
    pub id: u64,
    pub name: String,
    pub team: String,
}

/// All of them, in the order of their numbers, from 1.
#[derive(Clone)]
pub struct Users(Arc<Mutex<Vec<User>>>);

impl Users {
    /// Three to begin with.
    pub fn new() -> Users {
        let first = [("Ada", "core"), ("Alan", "core"), ("Edsger", "docs")];
        let first =
            (1..).zip(first).map(|(id, (name, team))| User { id, name: name.into(), team: team.into() });
        Users(Arc::new(Mutex::new(first.collect())))
    }

    pub fn lock(&self) -> MutexGuard<'_, Vec<User>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new one, or what is wrong with it.
    fn add(&self, user: &Value) -> Result<User, Problem> {
        let text = |key: &str| user.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(name) = text("name") else {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "a user needs a name")
                .with_errors(json!([{"pointer": "/name", "detail": "is missing or not a text"}])));
        };
        let mut users = self.lock();
        let id = users.len() as u64 + 1;
        let user = User { id, name: name.into(), team: text("team").unwrap_or("none").into() };
        users.push(user.clone());
        Ok(user)
    }
}

/// The users' endpoints.
pub fn routes(users: Users) -> Router {
    Router::new()
        .route("/v1/users", get(list).post(create))
        .route("/v1/users/bulk", post(create_many))
        .route("/v1/users/{id}", get(one))
        .with_state(users)
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

/// With an entity tag, so that who has it already need not have it again.
async fn one(
    State(users): State<Users>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let number: Option<u64> = id.parse().ok();
    let found = users.lock().iter().find(|user| Some(user.id) == number).cloned();
    let user = found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no user {id}")))?;
    let tag = format!("\"user-{}\"", user.id);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(([(header::ETAG, tag)], Json(user)).into_response())
}

async fn create(State(users): State<Users>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    authorize(&headers)?;
    let user = users.add(&json(&body)?)?;
    let place = [(header::LOCATION, format!("/v1/users/{}", user.id))];
    Ok((StatusCode::CREATED, place, Json(user)).into_response())
}

/// An array of users; the answer says of each what became of it.
async fn create_many(
    State(users): State<Users>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    authorize(&headers)?;
    let Value::Array(new) = json(&body)? else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "the body is not an array"));
    };
    let results = new.iter().map(|user| match users.add(user) {
        Ok(user) => json!({"status": 201, "id": user.id}),
        Err(_) => json!({"status": 422, "error": "a user needs a name"}),
    });
    let results: Vec<Value> = results.collect();
    Ok((StatusCode::MULTI_STATUS, Json(json!({"results": results}))).into_response())
}

fn json(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}")))
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
