//! The keys of an endpoint.

use std::num::{NonZeroU32, NonZeroUsize};

use serde::{Deserialize, Deserializer};

use super::secret::Text;
use super::settings::{AcceptEncoding, LimitKeys, RedirectKeys, RetryKeys, Timeout};
use super::values::{Delay, Named, Rate, RawJson, Seconds, Size, Statuses};
use crate::digest::Digest;

/// One endpoint.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EndpointKeys {
    /// RFC 6570 template, appended to the path of base_url.
    pub path: Option<Text>,
    /// The method. Default GET; POST with `query`.
    pub method: Option<String>,
    /// Query and path parameters; beside `query`, variables and path parameters.
    pub params: Named<RawJson>,
    /// Headers.
    pub headers: Named<Text>,
    /// The body of a fetch; what is sent is merged over it.
    pub body_template: Option<RawJson>,
    /// What the body is. Default json.
    pub body: BodyKind,
    /// The Content-Type of a raw body.
    pub content_type: Option<String>,
    /// A list sent in bulk: many items in one request. What is sent alone is sent as ever.
    pub batch: Option<Batch>,
    /// What the answer is. Default json.
    pub decode: Decode,
    /// Further statuses that are no error.
    pub ok_status: Statuses,
    /// Where the data lies in the answer: dotted, JSON Pointer or JSONPath.
    pub response_path: Option<String>,
    /// What happens where `response_path` finds nothing. Default error.
    pub on_missing: OnMissing,
    /// The schema of the data.
    pub response_schema: Option<RawJson>,
    /// The schema of what is sent.
    pub request_schema: Option<RawJson>,
    /// What happens to data that does not fit. Default warn.
    pub schema_policy: SchemaPolicy,
    /// Time limits of one attempt.
    pub timeout: Option<Timeout>,
    /// Attempts in all.
    pub retry_count: Option<u32>,
    /// Base of the exponential backoff, seconds.
    pub retry_delay: Option<Delay>,
    /// Details of repeating.
    pub retry: Option<RetryKeys>,
    /// Redirects.
    pub redirects: Option<RedirectKeys>,
    /// Limits on what a server may send.
    pub limits: Option<LimitKeys>,
    /// Which encodings are asked for.
    pub accept_encoding: Option<AcceptEncoding>,
    /// How a listing goes on.
    #[serde(deserialize_with = "unless_empty")]
    pub pagination: Option<Pagination>,
    /// The endpoint's own rate limit.
    pub rate_limit: Option<RateLimit>,
    /// What answers mean; the first match wins.
    pub responses: Vec<ResponseRule>,
    /// Answers to GET that are kept in memory, and asked for again by their ETag and Last-Modified. Default none.
    pub cache: Option<Cache>,
    /// Server-sent events.
    pub sse: Option<Sse>,
    /// Streams and downloads.
    pub streaming: Option<Streaming>,
    /// A GraphQL document: the endpoint's requests are its query or mutation. A query is repeated as a GET is.
    pub query: Option<String>,
    /// The operation's variables. What `params` and the call say is merged over them: params, then data.
    pub variables: Option<RawJson>,
    /// Which operation of the document is asked for. Default the only one.
    pub operation_name: Option<String>,
    /// What `errors` beside `data` are; without data, they are an error. Default fail.
    pub graphql_errors: GraphqlErrors,
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),* }
    )*};
}

choices! {
    /// What a body is.
    BodyKind {
        /// JSON.
        #[default] Json,
        /// application/x-www-form-urlencoded.
        Form,
        /// multipart/form-data.
        Multipart,
        /// Bytes, with `content_type`.
        Raw,
    }
    /// What an answer is.
    Decode {
        /// JSON, handed on untouched.
        #[default] Json,
        /// One JSON value a line; becomes an array.
        Ndjson,
        /// Text, decoded to UTF-8.
        Text,
        /// Bytes.
        Bytes,
    }
    /// What happens where `response_path` finds nothing.
    OnMissing {
        /// An error.
        #[default] Error,
        /// null.
        Null,
        /// The whole answer.
        Whole,
    }
    /// What happens to data that does not fit its schema.
    SchemaPolicy {
        /// A warning.
        #[default] Warn,
        /// Nothing; it is not checked.
        Off,
        /// The item is left out.
        DropItem,
        /// An error.
        Fail,
    }
    /// What errors beside the data of a GraphQL answer are.
    GraphqlErrors {
        /// An error, which has the data as its partial.
        #[default] Fail,
        /// Warnings in the meta.
        Warn,
    }
    /// How a bulk of items is written.
    BatchAs {
        /// A JSON array.
        #[default] JsonArray,
        /// One JSON value a line, as application/x-ndjson unless `content_type` says otherwise.
        Ndjson,
        /// An object with the items at `path`.
        ItemsAt,
    }
    /// How requests are limited.
    RateStrategy {
        /// Bursts, then a steady rate.
        #[default] TokenBucket,
        /// A steady rate.
        LeakyBucket,
        /// What the server's headers say.
        Adaptive,
        /// Not at all.
        None,
    }
    /// What an answer means.
    Then {
        /// It is what was wanted.
        #[default] Success,
        /// It is an error.
        Fail,
        /// It is repeated.
        Retry,
        /// It is null.
        Ignore,
        /// Too many requests.
        RateLimited,
        /// The token has expired.
        RefreshToken,
    }
    /// What happens when a buffer is full.
    DropPolicy {
        /// The server waits.
        #[default] Block,
        /// The oldest goes.
        DropOldest,
        /// The newest goes.
        DropNewest,
    }
    /// How a listing goes on.
    PageStyle {
        /// By page number.
        #[default] PageNumber,
        /// By offset and limit.
        Offset,
        /// By a token in the answer.
        Cursor,
        /// By an address in the answer.
        JsonLink,
        /// By a Link header.
        HeaderLink,
        /// GraphQL connections.
        Relay,
        /// It does not.
        SinglePage,
    }
}

/// A list sent in bulk: many items in one request.
///
/// An answer tells of each item where it is a list with as many results as there were items (the answer itself, or
/// under `items`, `results` or `responses`), matched by `index`, by `id`, else in order. A result is a failure where
/// its `status`, `statusCode` or `status_code` is one, where its `success` or `ok` is false, or where its `error` or
/// `errors` has something in it. Under 207, each item must have a result that says what became of it; an item that has
/// none is a failure, and may have been processed. Under another 2xx, what only says back what was sent is no result,
/// and without results all items are done.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// Items in one request, at most. Default 100.
    pub size: Option<NonZeroUsize>,
    /// How they are written. Default json_array. `body_template` is under each item; of items_at, the items stand in
    /// it.
    #[serde(rename = "as")]
    pub form: BatchAs,
    /// items_at: where they stand, dotted or a JSON Pointer.
    pub path: Option<String>,
}

impl Batch {
    /// Items in one request, at most.
    pub fn size(&self) -> usize {
        self.size.map_or(100, NonZeroUsize::get)
    }
}

/// A rate limit.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// How. Default token_bucket.
    pub strategy: Option<RateStrategy>,
    /// Requests a second. Default 10.
    pub rate: Option<Rate>,
    /// Requests at once. Default max(1, rate).
    pub burst: Option<Rate>,
    /// Requests under way at once. Default no limit.
    pub max_concurrent: Option<NonZeroU32>,
}

impl RateLimit {
    /// How requests are limited. A block with nothing in it limits nothing, as in the reference.
    pub fn strategy(&self) -> RateStrategy {
        let empty = self.rate.is_none() && self.burst.is_none() && self.max_concurrent.is_none();
        self.strategy.unwrap_or(if empty { RateStrategy::None } else { RateStrategy::default() })
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.rate.map_or(10.0, |r| r.0)
    }

    /// Requests at once, in whole numbers: there is no half of one.
    pub fn burst(&self) -> f64 {
        match self.strategy() {
            RateStrategy::LeakyBucket => 1.0,
            _ => self.burst.map_or(self.rate(), |b| b.0).floor().max(1.0),
        }
    }
}

/// One rule about answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ResponseRule {
    /// Statuses it is about.
    pub status: Option<Statuses>,
    /// Headers and the regular expressions they match.
    pub header: Named<String>,
    /// Where in the body.
    pub path: Option<String>,
    /// What stands there.
    pub equals: Option<RawJson>,
    /// A regular expression that the body matches.
    pub text: Option<String>,
    /// What it means.
    pub then: Then,
}

/// Answers that are kept for conditional requests. Each call still asks the server: how long an answer is fresh
/// (`max-age`) does not matter.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Answers kept at most. Default 100.
    pub max_entries: Option<NonZeroUsize>,
    /// Bytes kept at most, heads and bodies. Default 16MiB.
    pub max_bytes: Option<Size>,
}

impl Cache {
    /// Answers kept at most.
    pub fn max_entries(&self) -> usize {
        self.max_entries.map_or(100, NonZeroUsize::get)
    }

    /// Bytes kept at most.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes.map_or(16 << 20, |size| size.0)
    }
}

/// Server-sent events.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Sse {
    /// End after so many events.
    pub max_events: Option<u64>,
    /// Reconnect? Default true for a GET without `sentinel`, else false.
    pub reconnect: Option<bool>,
    /// Seconds before it. Default 1.
    pub reconnect_delay: Option<Delay>,
    /// Attempts in a row. Default no limit.
    pub max_reconnect_attempts: Option<u32>,
    /// Seconds without a byte.
    pub read_timeout: Option<Seconds>,
    /// Decode the data of events as JSON? Default true.
    pub decode_json: Option<bool>,
    /// Events in one chunk. Default 50.
    pub chunk_size: Option<NonZeroUsize>,
    /// Events in the buffer, which is full with `limits.max_body` bytes, too. Default 500.
    pub backpressure_buffer_size: Option<NonZeroUsize>,
    /// What happens when it is full. Default block.
    pub drop_policy: Option<DropPolicy>,
    /// The data that ends the stream, as `[DONE]`.
    pub sentinel: Option<String>,
    /// Where an event has an error.
    pub error_path: Option<String>,
    /// Deliver comments? Default false.
    pub comments: Option<bool>,
    /// Deliver connects and disconnects? Default false.
    pub lifecycle: Option<bool>,
    /// The event to go on after.
    pub last_event_id: Option<String>,
    /// Shortest and longest reconnection time, seconds. Default [0.01, 300].
    pub reconnect_clamp: Option<(Delay, Delay)>,
}

/// Streams and downloads.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Streaming {
    /// Bytes in one chunk. Default 65536.
    pub chunk_size: Option<Size>,
    /// Go on with a part that is there? Default true.
    pub resume: Option<bool>,
    /// The byte to start from. Default 0.
    pub resume_from: Option<u64>,
    /// Seconds without a byte.
    pub read_timeout: Option<Seconds>,
    /// Headers for these calls.
    pub headers: Named<Text>,
    /// Resume a cut stream by range? Default false.
    pub reconnect: Option<bool>,
    /// Ranges in parallel. Default 1.
    pub segments: Option<NonZeroU32>,
    /// What the file's digest must be, as `sha-256=<base64>`.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub digest: Option<Digest>,
    /// What its size must be, bytes.
    pub expected_size: Option<u64>,
    /// What its media type must be.
    pub expected_type: Option<String>,
    /// Refuse a body without a length? Default false.
    pub require_length: Option<bool>,
    /// Replace a file that is there? Default true.
    pub overwrite: Option<bool>,
    /// The target is a folder, and the server names the file? Default false.
    pub use_server_name: Option<bool>,
}

/// A block with nothing in it asks for no further page, as in the reference.
fn unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Pagination>, D::Error> {
    let pagination = Option::<Pagination>::deserialize(deserializer)?;
    Ok(pagination.filter(|p| *p != Pagination::default()))
}

/// How a listing goes on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Pagination {
    /// How. Absent: by the keys that are there.
    pub style: Option<PageStyle>,
    /// Where a page's items are.
    pub data_path: Option<String>,
    /// Where the next page's address or token is.
    pub next_page_path: Option<String>,
    /// The page parameter. Default page.
    pub page_param: Option<String>,
    /// End after so many pages.
    pub max_pages: Option<NonZeroU32>,
    /// End after so many records.
    pub max_records: Option<u64>,
    /// Empty pages in a row. Default 3.
    pub max_empty_pages: Option<u32>,
    /// Is a short page the last one? Default false.
    pub stop_on_short_page: Option<bool>,
    /// page_number: the first page's number. Default 1.
    pub base_page: Option<u64>,
    /// page_number: items in one page.
    pub page_size: Option<NonZeroU32>,
    /// Where the total is.
    pub total_path: Option<String>,
    /// Where it says whether there is more.
    pub has_more_path: Option<String>,
    /// offset: items in one page.
    pub limit: Option<NonZeroU32>,
    /// offset: the offset's parameter.
    pub offset_param: Option<String>,
    /// offset: the limit's parameter.
    pub limit_param: Option<String>,
    /// cursor: where it is.
    pub cursor_path: Option<String>,
    /// cursor: the header it is in.
    pub cursor_header: Option<String>,
    /// cursor: its parameter.
    pub cursor_param: Option<String>,
    /// cursor: its place in the body.
    pub cursor_body_path: Option<String>,
    /// cursor: its request header.
    pub cursor_header_name: Option<String>,
    /// cursor: the first one.
    pub initial: Option<RawJson>,
    /// json_link: where the address is.
    pub next_url_path: Option<String>,
    /// relay: where the connection is.
    pub connection_path: Option<String>,
    /// relay: the cursor's variable. Default after.
    pub cursor_variable: Option<String>,
}
