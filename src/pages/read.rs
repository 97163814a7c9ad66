//! One page: its items, and what its answer says of the next one. Pure.

use std::ops::Range;

use super::course::hash;
use super::link;
use crate::answer::{Reading, Unreadable, array_of, narrow, text_of};
use crate::config::{Counting, Items, Mark, Paging, Style, Way};
use crate::decode::{self, Found, Missing, Path, Place, member};
use crate::error::{Error, Kind, Result};
use crate::response::{Head, Response};

/// One page of a listing.
#[derive(Debug)]
pub struct Page {
    /// The answer; its body is the items as a JSON array, each as it came.
    pub response: Response,
    /// Items that the server has sent, those included that do not fit the schema and were dropped.
    pub came: u64,
    /// Items in the body.
    pub kept: usize,
    /// From the first item to the end of the last one, in the body.
    pub inside: Range<usize>,
    /// What identifies the items that the server has sent.
    pub hash: u128,
    /// What the answer says of the next page.
    pub says: Says,
}

impl Page {
    /// Those records, with what stands between them; None where there are not so many.
    pub fn records(&self, which: Range<usize>) -> Option<&[u8]> {
        let body = self.response.body();
        if which == (0..self.kept) {
            return body.get(self.inside.clone());
        }
        if which.is_empty() {
            return Some(&[]);
        }
        let mut place = Place::first(body);
        let (mut start, mut end) = (0, 0);
        for at in 0..which.end {
            let record = place.next(body)?;
            if at == which.start {
                start = record.start;
            }
            end = record.end;
        }
        body.get(start..end)
    }
}

/// What an answer says of the next page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Says {
    /// Where it is; None: there is none.
    pub next: Option<Next>,
    /// Is there more? None: it does not say.
    pub has_more: Option<bool>,
    /// Pages or items in all.
    pub total: Option<u64>,
}

/// Where the next page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A token: a JSON string or number.
    Mark(String),
    /// An address, as it was written.
    Address(String),
}

/// Reads an answer as a page.
///
/// `alone`: may one thing that is no array be a listing of one?
pub fn read(reading: &Reading, paging: &Paging, alone: bool, response: Response) -> Result<Page, Unreadable> {
    let response = reading.without_errors(response, |_| None)?;
    let is_empty = response.body().is_empty();
    let (response, whole) = reading.document(response)?;
    let json = text_of(&response, &whole);
    let found = match is_empty {
        true => bodiless(reading, paging, &response.head),
        false => both(reading, paging, alone, &response.head, json),
    };
    let (items, says) = match found {
        Ok(found) => found,
        Err(error) => return Err(Box::new((error, response))),
    };
    let response = match items {
        Some(found) => narrow(response, whole.start, found),
        None => response.with_body(b"[]".to_vec()),
    };
    let response = match response.body().trim_ascii_start().first() {
        Some(b'[') => response,
        // One thing alone is a listing of one.
        _ => {
            let one = array_of([text_of(&response, &(0..response.body().len()))].into_iter());
            response.with_body(one)
        }
    };
    let (came, inside) = extent(response.body());
    let length = response.body().len();
    let hash = hash(&response.body()[inside.clone()]);
    let response = reading.judged(response)?;
    let (kept, inside) =
        if response.body().len() == length { (came, inside) } else { extent(response.body()) };
    Ok(Page { response, came: came as u64, kept, inside, hash, says })
}

/// How many items there are, and from where to where.
fn extent(array: &[u8]) -> (usize, Range<usize>) {
    let (mut place, mut count, mut inside) = (Place::first(array), 0, 0..0);
    while let Some(item) = place.next(array) {
        inside = if count == 0 { item } else { inside.start..item.end };
        count += 1;
    }
    (count, inside)
}

/// What a page without a body is: one without items, where that can be.
fn bodiless(reading: &Reading, paging: &Paging, head: &Head) -> Result<(Option<Found>, Says)> {
    // A server that says "no content" means it; lines may be none.
    if !matches!(head.status, 204 | 205) && !reading.is_lines() {
        return Err(Error::new(
            Kind::Decode,
            "the page has no body, so that nothing says whether it is the last one",
        ));
    }
    says(paging, head, "null", None, None).map(|says| (None, says))
}

/// Where the items are, and what is said of the next page.
fn both(
    reading: &Reading,
    paging: &Paging,
    alone: bool,
    head: &Head,
    json: &str,
) -> Result<(Option<Found>, Says)> {
    // What `response_path` leads to; a list of several things has nothing within it to look for.
    let data = match &paging.items {
        Items::Connection(_) => Some(Found::One(0..json.len())),
        Items::Whole | Items::At(_) => reading.find(json)?,
    };
    let inner = match &data {
        Some(Found::One(place)) => Some(place.clone()),
        _ => None,
    };
    let items = match (&paging.items, &data) {
        (Items::Whole, _) => data,
        (Items::At(_) | Items::Connection(_), None) => None,
        (Items::At(path), Some(_)) => {
            let place = inner.clone().unwrap_or(0..json.len());
            let found =
                path.locate(&json[place.clone()]).map_err(|missing| nowhere("data_path", path, &missing))?;
            Some(moved(found, place.start))
        }
        (Items::Connection(path), Some(_)) => Some(nodes(path, json)?),
    };
    if let Some(Found::One(place)) = &items {
        let text = json[place.clone()].trim_ascii_start();
        let is_one =
            alone && matches!(paging.items, Items::Whole) && reading.is_whole() && text.starts_with('{');
        if !text.starts_with('[') && !is_one {
            let key =
                if matches!(paging.items, Items::Connection(_)) { "connection_path" } else { "data_path" };
            let what = format!("the page's items are {}, not an array ({key})", kind(text));
            return Err(Error::new(Kind::Decode, what));
        }
    }
    let data = inner.map(|place| &json[place]);
    let says = says(paging, head, json, data, items.as_ref())?;
    Ok((items, says))
}

fn nowhere(key: &str, path: &Path, missing: &Missing) -> Error {
    Error::new(Kind::Decode, format!("{key} `{}` finds nothing: {missing}", path.as_str()))
}

fn moved(found: Found, by: usize) -> Found {
    let of = |place: Range<usize>| place.start + by..place.end + by;
    match found {
        Found::One(place) => Found::One(of(place)),
        Found::Many(places) => Found::Many(places.into_iter().map(of).collect()),
    }
}

/// The items of a connection (GraphQL Cursor Connections): `nodes`, or the `node` of each of its `edges`.
fn nodes(path: &Path, json: &str) -> Result<Found> {
    let connection = locate_one(path, json).map_err(|missing| nowhere("connection_path", path, &missing))?;
    if let Some(nodes) = member(connection, "nodes") {
        return Ok(Found::One(place_in(nodes, json)));
    }
    let wrong =
        |what: &str| Error::new(Kind::Decode, format!("the connection at `{}` {what}", path.as_str()));
    let edges = member(connection, "edges").ok_or_else(|| wrong("has neither nodes nor edges"))?;
    if !edges.starts_with('[') {
        return Err(wrong("has edges that are no array"));
    }
    let nodes = decode::items(edges).map(|edge| member(edge, "node").map(|node| place_in(node, json)));
    nodes.collect::<Option<_>>().map(Found::Many).ok_or_else(|| wrong("has an edge without a node"))
}

fn locate_one<'j>(path: &Path, json: &'j str) -> Result<&'j str, Missing> {
    match path.locate(json)? {
        Found::One(place) => Ok(&json[place]),
        Found::Many(places) => match places.into_iter().next() {
            Some(place) => Ok(&json[place]),
            None => Err(Missing { step: None, found: "answer" }),
        },
    }
}

fn place_in(slice: &str, json: &str) -> Range<usize> {
    let start = slice.as_ptr() as usize - json.as_ptr() as usize;
    start..start + slice.len()
}

fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn says(paging: &Paging, head: &Head, json: &str, data: Option<&str>, items: Option<&Found>) -> Result<Says> {
    // In the whole document first, then within the data.
    let look = |path: &Path| locate_one(path, json).ok().or_else(|| locate_one(path, data?).ok());
    let has_more = paging.has_more.as_ref().map(|path| match look(path) {
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        // It does not say: an API may leave it out, and a misspelt path must not end a listing.
        None | Some("null") => Ok(None),
        Some(other) => Err(lost(format!("has_more_path `{}` leads to {}", path.as_str(), kind(other)))),
    });
    let total = |counting: &Counting| match counting.total.as_ref().map(|path| (path, look(path))) {
        None | Some((_, None | Some("null"))) => Ok(None),
        Some((path, Some(text))) => match text.trim_matches('"').parse() {
            Ok(total) => Ok(Some(total)),
            Err(_) => {
                Err(lost(format!("total_path `{}` leads to {}, not to a number", path.as_str(), kind(text))))
            }
        },
    };
    let (next, total) = match &paging.style {
        Style::Single => (None, None),
        Style::Numbers(counting) | Style::Offsets(counting) => (None, total(counting)?),
        Style::Marks { mark, way, .. } => {
            let value = match mark {
                Mark::At(path) => look(path).map(str::to_owned),
                Mark::Header(name) => {
                    head.get(name).map(|value| text(name, value).map(quoted)).transpose()?
                }
                Mark::Link => linked(head)?.map(|target| quoted(&target)),
                Mark::LastRecord => last_record(json, items)?,
                Mark::PageInfo(path) => page_info(path, json)?,
            };
            (value.map_or(Ok(None), |value| next(&value, way))?, None)
        }
    };
    Ok(Says { next, has_more: has_more.transpose()?.flatten(), total })
}

fn lost(what: String) -> Error {
    Error::new(Kind::Pagination, what)
}

/// A field's value that is going to be sent again, so that no letter of it may be replaced.
fn text<'h>(name: &str, value: &'h [u8]) -> Result<&'h str> {
    std::str::from_utf8(value).map_err(|_| lost(format!("the header {name} is not UTF-8")))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What a value says of the next page.
fn next(value: &str, way: &Way) -> Result<Option<Next>> {
    let text = match value.as_bytes().first() {
        Some(b'n' | b'f') => return Ok(None),
        Some(b'"') => decode::name(value),
        Some(b't') => {
            return Err(lost("the next page is `true`: that is a has_more_path, and no place".into()));
        }
        Some(b'{' | b'[') => {
            return Err(lost(format!("the next page is {}, not a text or a number", kind(value))));
        }
        _ if matches!(way, Way::Address) => return Err(lost("the next page's address is a number".into())),
        _ => return Ok(Some(Next::Mark(value.to_owned()))),
    };
    let is_address = match way {
        Way::Address => true,
        Way::Either(_) => looks_like_address(&text),
        Way::Parameter(_) | Way::Body(_) | Way::Header(_) => false,
    };
    Ok(match (text.is_empty(), is_address) {
        (true, _) => None,
        (false, true) => Some(Next::Address(text.into_owned())),
        (false, false) => Some(Next::Mark(value.to_owned())),
    })
}

fn looks_like_address(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    let is_scheme = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    text.starts_with(['/', '?']) || scheme.is_some_and(is_scheme)
}

fn linked(head: &Head) -> Result<Option<String>> {
    let fields = head.get_all("link").map(|value| text("Link", value)).collect::<Result<Vec<_>>>()?;
    let header = fields.join(", ");
    let broken = |what: String| lost(format!("the header Link cannot be read (RFC 8288): {what}"));
    let targets = link::targets(&header, "next").map_err(broken)?;
    match targets.first() {
        Some(first) if targets.iter().any(|t| t != first) => {
            Err(broken("it has two next pages that differ".into()))
        }
        first => Ok(first.map(|target| (*target).to_owned())),
    }
}

fn last_record(json: &str, items: Option<&Found>) -> Result<Option<String>> {
    let last = match items {
        None => None,
        Some(Found::One(place)) => decode::items(&json[place.clone()]).last(),
        Some(Found::Many(places)) => places.last().map(|place| &json[place.clone()]),
    };
    let Some(last) = last else { return Ok(None) };
    let id = if last.starts_with('{') { member(last, "id") } else { Some(last) };
    match id.filter(|id| id.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit())) {
        Some(id) => Ok(Some(id.to_owned())),
        None => {
            Err(lost("the last record has no `id` to go on from; cursor_path says where a cursor is".into()))
        }
    }
}

fn page_info(path: &Path, json: &str) -> Result<Option<String>> {
    let info = locate_one(path, json).ok().and_then(|connection| member(connection, "pageInfo"));
    let wrong = |what: &str| lost(format!("the pageInfo of `{}` {what}", path.as_str()));
    let info = info.ok_or_else(|| wrong("is missing"))?;
    match member(info, "hasNextPage") {
        Some("false") => Ok(None),
        Some("true") => match member(info, "endCursor").filter(|c| !matches!(*c, "null" | "\"\"")) {
            Some(cursor) => Ok(Some(cursor.to_owned())),
            None => Err(wrong("says that there is more, and has no endCursor")),
        },
        _ => Err(wrong("has no hasNextPage")),
    }
}
