//! `/v1/events`: a feed of server-sent events that goes on where a client was.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// An event comes that often, and after so many the server closes, as one that is restarted does.
const PACE: Duration = Duration::from_millis(50);
const A_CONNECTION: u64 = 4;

/// What a stream of events is made of.
pub type Events = Sse<ReceiverStream<Result<Event, Infallible>>>;

/// `/v1/events` numbers its events, and begins behind the Last-Event-ID.
pub fn routes() -> Router {
    Router::new().route("/v1/events", get(feed))
}

async fn feed(headers: HeaderMap) -> Events {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or(0u64);
    let begin =
        Event::default().retry(Duration::from_millis(100)).comment("the time between two connections");
    let numbered = (last + 1..=last + A_CONNECTION).map(|n| {
        let data = json!({"order": n, "state": if n % 3 == 0 { "shipped" } else { "paid" }});
        Event::default().id(n.to_string()).event("order").data(data.to_string())
    });
    stream(std::iter::once(begin).chain(numbered).collect())
}

/// These events, one after the other.
pub fn stream(events: Vec<Event>) -> Events {
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        for event in events {
            tokio::time::sleep(PACE).await;
            // Nobody listens any more.
            if send.send(Ok(event)).await.is_err() {
                return;
            }
        }
    });
    Sse::new(ReceiverStream::new(receive))
}
