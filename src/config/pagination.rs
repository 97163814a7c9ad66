//! `pagination`: from keys to what a listing needs to know, with every check that needs more than one key.

use super::check;
use super::endpoint::{Decode, PageStyle, Pagination};
use super::values::RawJson;
use crate::decode::{Path, Slot};

/// How an endpoint's listings go on.
#[derive(Clone, Debug)]
pub struct Paging {
    /// Where a page's items are, within what `response_path` leads to.
    pub items: Items,
    /// What is asked for next.
    pub style: Style,
    /// Where the answer says whether there is more.
    pub has_more: Option<Path>,
    /// Pages at most, in one call.
    pub max_pages: Option<u32>,
    /// Records at most, in one call.
    pub max_records: Option<u64>,
    /// Empty pages in a row, where an empty page is not the end.
    pub max_empty_pages: u32,
}

/// Where a page's items are.
#[derive(Clone, Debug)]
pub enum Items {
    /// The data is the items.
    Whole,
    /// There.
    At(Path),
    /// `nodes`, or the `node` of each of `edges`, in the connection there.
    Connection(Path),
}

/// What is asked for next.
#[derive(Clone, Debug)]
pub enum Style {
    /// Nothing.
    Single,
    /// The page with the next number.
    Numbers(Counting),
    /// What comes behind the items that are there.
    Offsets(Counting),
    /// What the answer says.
    Marks {
        /// Where it says that.
        mark: Mark,
        /// What is done with it.
        way: Way,
        /// What is asked for at first, a JSON scalar.
        initial: Option<String>,
    },
}

/// Pages, or items, that are counted.
#[derive(Clone, Debug)]
pub struct Counting {
    /// The parameter that has the number.
    pub param: String,
    /// The first number.
    pub first: u64,
    /// The parameter that has the items of one page, and how many there are.
    pub size: Option<(String, u64)>,
    /// Where the answer says how many there are in all: pages, or items.
    pub total: Option<Path>,
    /// Is a page with fewer items than `size` the last one?
    pub ends_short: bool,
}

/// Where an answer says how it goes on.
#[derive(Clone, Debug)]
pub enum Mark {
    /// In the body.
    At(Path),
    /// In a header.
    Header(String),
    /// In the Link header with the relation `next`.
    Link,
    /// The last record's `id`, or the record itself where it is a string or a number.
    LastRecord,
    /// In the `pageInfo` of the connection there.
    PageInfo(Path),
}

/// What is done with what an answer says.
#[derive(Clone, Debug)]
pub enum Way {
    /// It is a parameter of the next request.
    Parameter(String),
    /// It stands in the body of the next request.
    Body(Slot),
    /// It is a header of the next request.
    Header(String),
    /// It is the address of the next page.
    Address,
    /// What looks like an address is one; all else is that parameter.
    Either(String),
}

/// Below `pagination`: which key, and what is wrong.
type Wrong = (&'static str, String);

impl Paging {
    /// Of an endpoint without pagination: one page.
    pub fn single() -> Paging {
        Paging {
            items: Items::Whole,
            style: Style::Single,
            has_more: None,
            max_pages: None,
            max_records: None,
            max_empty_pages: 0,
        }
    }

    /// Checks the keys. A key that would not act is a fault.
    pub(super) fn new(keys: &Pagination, decode: Decode) -> Result<Paging, Wrong> {
        let style = keys.style.unwrap_or_else(|| guess(keys));
        fits(keys, style)?;
        if keys.max_records == Some(0) {
            return Err(("max_records", "must be at least 1".into()));
        }
        if matches!(decode, Decode::Text | Decode::Bytes) {
            return Err(("style", "pages are of JSON: `decode` is text or bytes".into()));
        }
        let path = |key: &'static str, text: &Option<String>| {
            let text = text.as_deref().filter(|text| !text.is_empty());
            text.map(Path::parse).transpose().map_err(|m| (key, m))
        };
        let needed = |key: &'static str, text: &Option<String>| {
            path(key, text)?.ok_or_else(|| (key, format!("is needed with style {}", name(style))))
        };
        let items = match (style, path("data_path", &keys.data_path)?) {
            (PageStyle::Relay, _) => Items::Connection(connection(keys)?),
            (_, Some(path)) => Items::At(path),
            (_, None) => Items::Whole,
        };
        let param = |text: &Option<String>, otherwise: &str| text.clone().unwrap_or_else(|| otherwise.into());
        let counting = |param: String, first: u64, size: Option<(String, u64)>| {
            let ends_short = keys.stop_on_short_page.unwrap_or(false);
            if ends_short && size.is_none() {
                let key = if style == PageStyle::Offset { "limit" } else { "page_size" };
                return Err(("stop_on_short_page", format!("needs {key:?}: what is short?")));
            }
            if size.as_ref().is_some_and(|(name, _)| *name == param) {
                return Err((
                    "limit_param",
                    format!("{param:?} has the place already: they are two parameters"),
                ));
            }
            Ok(Counting { param, first, size, total: path("total_path", &keys.total_path)?, ends_short })
        };
        let style = match style {
            PageStyle::SinglePage => Style::Single,
            PageStyle::PageNumber => {
                let named = |size| (param(&keys.limit_param, "page_size"), size);
                let size = keys.page_size.map(|n| named(u64::from(n.get())));
                Style::Numbers(counting(param(&keys.page_param, "page"), keys.base_page.unwrap_or(1), size)?)
            }
            PageStyle::Offset => {
                let named = |size| (param(&keys.limit_param, "limit"), size);
                let size = keys.limit.map(|n| named(u64::from(n.get())));
                Style::Offsets(counting(param(&keys.offset_param, "offset"), 0, size)?)
            }
            PageStyle::JsonLink => {
                let mark = Mark::At(needed("next_url_path", &keys.next_url_path)?);
                Style::Marks { mark, way: Way::Address, initial: None }
            }
            PageStyle::HeaderLink => Style::Marks { mark: Mark::Link, way: Way::Address, initial: None },
            PageStyle::Relay => {
                let way = Way::Parameter(param(&keys.cursor_variable, "after"));
                Style::Marks { mark: Mark::PageInfo(connection(keys)?), way, initial: None }
            }
            PageStyle::Cursor if keys.next_page_path.as_ref().is_some_and(|p| !p.is_empty()) => {
                Style::Marks {
                    mark: Mark::At(needed("next_page_path", &keys.next_page_path)?),
                    way: Way::Either(param(&keys.page_param, "page")),
                    initial: None,
                }
            }
            PageStyle::Cursor => cursor(keys)?,
        };
        Ok(Paging {
            items,
            style,
            has_more: path("has_more_path", &keys.has_more_path)?,
            max_pages: keys.max_pages.map(|n| n.get()),
            max_records: keys.max_records,
            max_empty_pages: keys.max_empty_pages.unwrap_or(3),
        })
    }

    /// Items of one page, where that many are asked for.
    pub fn size(&self) -> Option<u64> {
        match &self.style {
            Style::Numbers(counting) | Style::Offsets(counting) => {
                counting.size.as_ref().map(|(_, size)| *size)
            }
            _ => None,
        }
    }

    /// Does the number of the page that follows depend on nothing that an answer says?
    pub fn is_counted(&self) -> bool {
        match &self.style {
            Style::Numbers(_) => true,
            Style::Offsets(counting) => counting.size.is_some(),
            _ => false,
        }
    }
}

fn cursor(keys: &Pagination) -> Result<Style, Wrong> {
    let mark = match (&keys.cursor_path, &keys.cursor_header) {
        (Some(_), Some(_)) => {
            return Err(("cursor_header", "the cursor is in cursor_path already".into()));
        }
        (Some(path), None) => Mark::At(Path::parse(path).map_err(|m| ("cursor_path", m))?),
        (None, Some(header)) => {
            check::header_name(header).map_err(|m| ("cursor_header", m))?;
            Mark::Header(header.clone())
        }
        (None, None) => Mark::LastRecord,
    };
    let way = match (&keys.cursor_param, &keys.cursor_body_path, &keys.cursor_header_name) {
        (Some(param), None, None) => Way::Parameter(param.clone()),
        (None, Some(path), None) => Way::Body(Slot::parse(path).map_err(|m| ("cursor_body_path", m))?),
        (None, None, Some(header)) => {
            check::header_name(header).map_err(|m| ("cursor_header_name", m))?;
            Way::Header(header.clone())
        }
        (None, None, None) => Way::Parameter("cursor".into()),
        _ => {
            let what =
                "cursor_param, cursor_body_path and cursor_header_name are three places; it goes to one";
            return Err(("cursor_param", what.into()));
        }
    };
    let initial = keys.initial.as_ref().map(RawJson::get);
    if initial.is_some_and(|i| i.starts_with(['{', '[', 't', 'f'])) {
        return Err(("initial", "must be a string or a number".into()));
    }
    let initial = initial.filter(|i| !matches!(*i, "null" | "\"\"")).map(str::to_owned);
    Ok(Style::Marks { mark, way, initial })
}

/// Where the connection is in the whole answer.
fn connection(keys: &Pagination) -> Result<Path, Wrong> {
    let Some(path) = keys.connection_path.as_deref().filter(|p| !p.is_empty()) else {
        return Err(("connection_path", "is needed with style relay".into()));
    };
    let whole =
        if path == "data" || path.starts_with("data.") { path.to_owned() } else { format!("data.{path}") };
    Path::parse(&whole).map_err(|m| ("connection_path", m))
}

/// The style, where it is not said.
fn guess(keys: &Pagination) -> PageStyle {
    let any = |there: &[bool]| there.iter().any(|t| *t);
    let k = keys;
    if any(&[k.connection_path.is_some(), k.cursor_variable.is_some()]) {
        PageStyle::Relay
    } else if any(&[k.next_url_path.is_some()]) {
        PageStyle::JsonLink
    } else if any(&[
        k.next_page_path.as_ref().is_some_and(|p| !p.is_empty()),
        k.cursor_path.is_some(),
        k.cursor_header.is_some(),
        k.cursor_param.is_some(),
        k.cursor_body_path.is_some(),
        k.cursor_header_name.is_some(),
        k.initial.is_some(),
    ]) {
        PageStyle::Cursor
    } else if any(&[k.limit.is_some(), k.offset_param.is_some()]) {
        PageStyle::Offset
    } else {
        PageStyle::PageNumber
    }
}

/// Is there a key that says nothing in this style?
fn fits(k: &Pagination, style: PageStyle) -> Result<(), Wrong> {
    use PageStyle::{Cursor, HeaderLink, JsonLink, Offset, PageNumber, Relay, SinglePage};
    // The reference's own way is a cursor that may be an address, and has its own keys.
    let reference = k.next_page_path.as_ref().is_some_and(|p| !p.is_empty());
    let own = style == Cursor && !reference;
    let rows = [
        (k.data_path.is_some(), "data_path", style != Relay),
        (reference, "next_page_path", style == Cursor && (k.style.is_none() || k.cursor_path.is_none())),
        (k.page_param.is_some(), "page_param", style == PageNumber || (style == Cursor && reference)),
        (k.max_empty_pages.is_some(), "max_empty_pages", style != SinglePage),
        (k.stop_on_short_page == Some(true), "stop_on_short_page", matches!(style, PageNumber | Offset)),
        (k.base_page.is_some(), "base_page", style == PageNumber),
        (k.page_size.is_some(), "page_size", style == PageNumber),
        (k.total_path.is_some(), "total_path", matches!(style, PageNumber | Offset)),
        (k.has_more_path.is_some(), "has_more_path", !matches!(style, SinglePage | Relay)),
        (k.limit.is_some(), "limit", style == Offset),
        (k.offset_param.is_some(), "offset_param", style == Offset),
        (
            k.limit_param.is_some(),
            "limit_param",
            (style == Offset && k.limit.is_some()) || (style == PageNumber && k.page_size.is_some()),
        ),
        (k.cursor_path.is_some(), "cursor_path", own),
        (k.cursor_header.is_some(), "cursor_header", own),
        (k.cursor_param.is_some(), "cursor_param", own),
        (k.cursor_body_path.is_some(), "cursor_body_path", own),
        (k.cursor_header_name.is_some(), "cursor_header_name", own),
        (k.initial.is_some(), "initial", own),
        (k.next_url_path.is_some(), "next_url_path", style == JsonLink),
        (k.connection_path.is_some(), "connection_path", style == Relay),
        (k.cursor_variable.is_some(), "cursor_variable", style == Relay),
    ];
    let style = match style {
        Cursor if reference => "next_page_path".to_owned(),
        HeaderLink | Cursor | JsonLink | Offset | PageNumber | Relay | SinglePage => {
            format!("style {}", name(style))
        }
    };
    match rows.into_iter().find(|(there, _, acts)| *there && !acts) {
        Some((_, key, _)) => Err((key, format!("says nothing with {style}"))),
        None => Ok(()),
    }
}

fn name(style: PageStyle) -> &'static str {
    match style {
        PageStyle::PageNumber => "page_number",
        PageStyle::Offset => "offset",
        PageStyle::Cursor => "cursor",
        PageStyle::JsonLink => "json_link",
        PageStyle::HeaderLink => "header_link",
        PageStyle::Relay => "relay",
        PageStyle::SinglePage => "single_page",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn paging(yaml: &str) -> Result<Paging, String> {
        let text = format!(
            "# yaml\n{{base_url: 'https://a.example', endpoints: {{e: {{path: /x, pagination: {yaml}}}}}}}"
        );
        crate::config::from_text(&text, &|_| None)
            .map(|c| c.endpoints[0].paging.clone().unwrap())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_style_is_what_the_keys_say() {
        for (keys, style) in [
            ("{max_pages: 3}", "Numbers"),
            ("{data_path: a.b, page_param: p}", "Numbers"),
            ("{next_page_path: next}", "Either"),
            ("{limit: 5}", "Offsets"),
            ("{cursor_path: next, cursor_param: c}", "Parameter(\"c\")"),
            ("{cursor_path: next, cursor_body_path: a.b}", "Body(Slot([\"a\", \"b\"]))"),
            ("{cursor_header: X-Next}", "Header(\"X-Next\")"),
            ("{style: cursor}", "LastRecord"),
            ("{style: cursor, next_page_path: ''}", "LastRecord"),
            ("{next_url_path: links.next}", "Address"),
            ("{style: header_link}", "Link"),
            ("{style: single_page}", "Single"),
        ] {
            let paging = paging(keys).unwrap();
            assert!(format!("{:?}", paging.style).contains(style), "{keys}: {:?}", paging.style);
        }
    }

    #[test]
    fn a_key_that_would_not_act_is_a_fault_with_its_place() {
        for (keys, key) in [
            ("{style: offset, cursor_path: a}", "cursor_path"),
            ("{style: header_link, next_url_path: a}", "next_url_path"),
            ("{style: cursor, next_page_path: a, cursor_path: b}", "next_page_path"),
            ("{next_page_path: a, cursor_param: b}", "cursor_param"),
            ("{style: page_number, limit: 5}", "limit"),
            ("{style: page_number, stop_on_short_page: true}", "stop_on_short_page"),
            ("{style: json_link}", "next_url_path"),
            ("{style: single_page, has_more_path: a}", "has_more_path"),
            ("{cursor_path: a, cursor_header: b}", "cursor_header"),
            ("{cursor_param: a, cursor_body_path: b}", "cursor_param"),
            ("{cursor_body_path: '$.a'}", "cursor_body_path"),
            ("{cursor_header_name: 'a b'}", "cursor_header_name"),
            ("{style: cursor, initial: {a: 1}}", "initial"),
            ("{limit_param: n}", "limit_param"),
            ("{page_size: 3, page_param: n, limit_param: n}", "limit_param"),
            ("{data_path: 'a..b'}", "data_path"),
        ] {
            let message = paging(keys).unwrap_err();
            assert!(message.starts_with(&format!("/endpoints/e/pagination/{key}: ")), "{keys}: {message}");
        }
    }
}
