//! `/v1/journal`: a long listing, page by page, in each of the styles that APIs have.

use axum::extract::Query;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::problem::Problem;

const LONGEST: usize = 16 << 20;

/// `/v1/journal?limit=N&entries=N&text=BYTES`: 250 entries, twenty on a page, where nothing else is said. A page is named
/// by the token before it (`after`), by its number (`page`, from 1), or by how many entries to pass over (`offset`);
/// the next one by a token (`next`), an address (`next_url`) and a Link header.
pub fn routes() -> Router {
    Router::new().route("/v1/journal", get(page))
}

#[derive(Deserialize)]
#[serde(default)]
struct Asked {
    after: Option<String>,
    page: Option<usize>,
    offset: Option<usize>,
    limit: usize,
    entries: usize,
    text: usize,
}

impl Default for Asked {
    fn default() -> Asked {
        Asked { after: None, page: None, offset: None, limit: 20, entries: 250, text: 20 }
    }
}

impl Asked {
    /// The number of entries before the page.
    fn place(&self) -> Option<usize> {
        match (&self.after, self.page, self.offset) {
            (None, None, offset) => Some(offset.unwrap_or(0)),
            (None, Some(page), None) => page.checked_sub(1)?.checked_mul(self.limit),
            (Some(token), None, None) => token.strip_prefix("entry-")?.parse().ok(),
            _ => None,
        }
    }
}

async fn page(Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let refused = |why| Problem::new(StatusCode::BAD_REQUEST, why);
    if asked.limit == 0 || asked.limit.saturating_mul(asked.text) > LONGEST {
        return Err(refused("a page has at least one entry, and at most 16 MiB"));
    }
    let before = asked.place().ok_or_else(|| refused("there is no such place"))?;
    let last = asked.entries.min(asked.limit.saturating_add(before));
    let text = |n: usize| format!("{n:>width$}", width = asked.text);
    let entries: Vec<Value> = (before + 1..=last).map(|n| json!({"id": n, "text": text(n)})).collect();
    let next = (last < asked.entries).then(|| format!("entry-{last}"));
    let next_url = next.as_ref().map(|token| {
        let Asked { limit, entries, text, .. } = asked;
        format!("/v1/journal?after={token}&limit={limit}&entries={entries}&text={text}")
    });
    let link = next_url.as_ref().map(|url| [(header::LINK, format!("<{url}>; rel=\"next\""))]);
    let page = json!({"entries": entries, "next": next, "next_url": next_url, "total": asked.entries});
    Ok((link, Json(page)).into_response())
}
