//! `/v1/journal`: a long listing, page by page, with a token for the next one.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::problem::Problem;

const LONGEST: usize = 16 << 20;

/// `/v1/journal?after=TOKEN&limit=N&entries=N&text=BYTES`: 250 entries, twenty on a page, where nothing else is said.
pub fn routes() -> Router {
    Router::new().route("/v1/journal", get(page))
}

#[derive(Deserialize)]
#[serde(default)]
struct Asked {
    after: Option<String>,
    limit: usize,
    entries: usize,
    text: usize,
}

impl Default for Asked {
    fn default() -> Asked {
        Asked { after: None, limit: 20, entries: 250, text: 20 }
    }
}

async fn page(Query(asked): Query<Asked>) -> Result<Json<Value>, Problem> {
    let refused = |why| Problem::new(StatusCode::BAD_REQUEST, why);
    if asked.limit == 0 || asked.limit.saturating_mul(asked.text) > LONGEST {
        return Err(refused("a page has at least one entry, and at most 16 MiB"));
    }
    let after = match asked.after.as_deref().map(|token| token.strip_prefix("entry-")) {
        None => 0,
        Some(number) => {
            number.and_then(|n| n.parse().ok()).ok_or_else(|| refused("there is no such place"))?
        }
    };
    let last = asked.entries.min(asked.limit.saturating_add(after));
    let text = |n: usize| format!("{n:>width$}", width = asked.text);
    let entries: Vec<Value> = (after + 1..=last).map(|n| json!({"id": n, "text": text(n)})).collect();
    let next = (last < asked.entries).then(|| format!("entry-{last}"));
    Ok(Json(json!({"entries": entries, "next": next})))
}
