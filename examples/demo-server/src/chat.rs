//! `/v1/chat/completions`: a language model, as far as its answers look like one.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::Event;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::events::{Events, stream};
use crate::problem::Problem;

/// Whoever asks shows this token.
const TOKEN: &str = "demo-token";

/// Answers word by word. A question with `fail` in it breaks in the middle, one with `cut` ends there.
pub fn routes() -> Router {
    Router::new().route("/v1/chat/completions", post(complete))
}

#[derive(Deserialize)]
struct Request {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Message {
    content: String,
}

async fn complete(headers: HeaderMap, Json(request): Json<Request>) -> Result<Events, Problem> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if authorization.and_then(|value| value.strip_prefix("Bearer ")) != Some(TOKEN) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "the token is not demo-token"));
    }
    let Some(question) = request.messages.last().map(|message| message.content.as_str()) else {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "messages is empty"));
    };
    if !request.stream {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "this model only streams"));
    }
    let answer = format!("You asked: \"{question}\"\nI am only a demo, but I say it word by word.");
    let chunk = |delta: Value, finish: Value| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        let chunk = json!({"object": "chat.completion.chunk", "model": request.model, "choices": choices});
        Event::default().data(chunk.to_string())
    };
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
    events.extend(answer.split_inclusive(' ').map(|word| chunk(json!({"content": word}), Value::Null)));
    let broken = json!({"error": {"message": "the model is overloaded", "type": "overloaded_error"}});
    if question.contains("fail") || question.contains("cut") {
        events.truncate(4);
    }
    if question.contains("fail") {
        events.push(Event::default().data(broken.to_string()));
    } else if !question.contains("cut") {
        events.push(chunk(json!({}), json!("stop")));
        events.push(Event::default().data("[DONE]"));
    }
    Ok(stream(events))
}
