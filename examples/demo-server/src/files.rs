//! A file to download, as servers of files give it: with a length, an entity tag and ranges (RFC 9110 14).

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde::Deserialize;

use crate::problem::Problem;

/// Each line is its number and a newline.
const LINE: u64 = 16;
const PIECE: u64 = 64 * 1024;
const LONGEST: u64 = 1 << 40;

/// `/v1/files/NAME?size=BYTES&rate=BYTES_PER_SECOND&cut=BYTES`: 4 MiB as fast as possible, where nothing else is said.
/// Connections break after `cut` bytes.
pub fn routes() -> Router {
    Router::new().route("/v1/files/{name}", get(file))
}

#[derive(Deserialize)]
struct File {
    #[serde(default = "four_mib")]
    size: u64,
    rate: Option<u64>,
    cut: Option<u64>,
}

fn four_mib() -> u64 {
    4 << 20
}

async fn file(
    Path(name): Path<String>,
    Query(File { size, rate, cut }): Query<File>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if size > LONGEST || rate == Some(0) || cut == Some(0) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "size must be at most 1 TiB, rate and cut at least 1",
        ));
    }
    let tag = format!("\"{name}-{size}\"");
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_same = text(header::IF_RANGE).is_none_or(|condition| condition == tag);
    let range = text(header::RANGE).filter(|_| is_same).and_then(parse);
    let common = [(header::ETAG, tag), (header::ACCEPT_RANGES, "bytes".to_owned())];
    let (status, from, end) = match range {
        None => (StatusCode::OK, 0, size),
        Some((from, _)) if from >= size => {
            let place = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, common, place).into_response());
        }
        Some((from, last)) => {
            (StatusCode::PARTIAL_CONTENT, from, last.map_or(size, |last| size.min(last + 1)))
        }
    };
    let mut answer = (status, common, body(from, end, rate, cut.map(|cut| from + cut))).into_response();
    let fields = answer.headers_mut();
    fields.insert(header::CONTENT_LENGTH, (end - from).into());
    if status == StatusCode::PARTIAL_CONTENT {
        let place = format!("bytes {from}-{}/{size}", end - 1);
        fields.insert(
            header::CONTENT_RANGE,
            place.parse().map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "range"))?,
        );
    }
    fields.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    Ok(answer)
}

/// One range: its first byte, and its last.
fn parse(range: &str) -> Option<(u64, Option<u64>)> {
    let (from, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let from = from.parse().ok()?;
    if last.is_empty() {
        return Some((from, None));
    }
    let last = last.parse().ok().filter(|last| *last >= from)?;
    Some((from, Some(last)))
}

/// Breaks at `cut`, where that is before the end.
fn body(from: u64, end: u64, rate: Option<u64>, cut: Option<u64>) -> Body {
    let piece = rate.map_or(PIECE, |rate| (rate / 20).clamp(1, PIECE));
    let whole = cut.map_or(end, |cut| end.min(cut));
    Body::from_stream(stream::unfold(from, move |at| async move {
        if at >= end {
            return None;
        }
        if at == whole {
            // What came before is on its way first.
            tokio::task::yield_now().await;
            return Some((Err(io::Error::other("cut")), end));
        }
        let next = whole.min(at + piece);
        if let Some(rate) = rate {
            tokio::time::sleep(Duration::from_secs_f64((next - at) as f64 / rate as f64)).await;
        }
        Some((Ok(bytes(at, next)), next))
    }))
}

fn bytes(from: u64, end: u64) -> Bytes {
    let lines: String = (from / LINE..end.div_ceil(LINE)).map(|n| format!("{n:015}\n")).collect();
    let skip = (from % LINE) as usize;
    Bytes::from(lines).slice(skip..skip + (end - from) as usize)
}
