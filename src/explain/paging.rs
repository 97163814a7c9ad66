//! How an endpoint's listings go on, in the words of the configuration's `pagination`.

use serde_json::{Map, Value, json};

use crate::config::{Counting, Items, Mark, Paging, Style, Way};

/// With what was guessed and what is there by default.
pub(super) fn paging(paging: &Paging) -> Value {
    let mut shown = Map::new();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            shown.insert(key.into(), value);
        }
    };
    match &paging.style {
        Style::Single => set("style", json!("single_page")),
        Style::Numbers(Counting { param, first, size, total, ends_short }) => {
            set("style", json!("page_number"));
            set("page_param", json!(param));
            set("base_page", json!(first));
            set("page_size", json!(size.as_ref().map(|(_, size)| size)));
            set("total_path", json!(total.as_ref().map(|path| path.as_str())));
            set("stop_on_short_page", json!(ends_short));
        }
        Style::Offsets(Counting { param, size, total, ends_short, .. }) => {
            set("style", json!("offset"));
            set("offset_param", json!(param));
            set("limit_param", json!(size.as_ref().map(|(name, _)| name)));
            set("limit", json!(size.as_ref().map(|(_, size)| size)));
            set("total_path", json!(total.as_ref().map(|path| path.as_str())));
            set("stop_on_short_page", json!(ends_short));
        }
        Style::Marks { mark, way, initial } => {
            let style = match (mark, way) {
                (Mark::Link, _) => "header_link",
                (Mark::PageInfo(_), _) => "relay",
                (_, Way::Address) => "json_link",
                _ => "cursor",
            };
            // The reference's has no name: what comes is looked at.
            set("style", if matches!(way, Way::Either(_)) { Value::Null } else { json!(style) });
            match (mark, way) {
                (Mark::At(path), Way::Address) => set("next_url_path", json!(path.as_str())),
                (Mark::At(path), Way::Either(_)) => set("next_page_path", json!(path.as_str())),
                (Mark::At(path), _) => set("cursor_path", json!(path.as_str())),
                (Mark::Header(name), _) => set("cursor_header", json!(name)),
                (Mark::PageInfo(path), _) => set("connection_path", json!(path.as_str())),
                (Mark::Link | Mark::LastRecord, _) => {}
            }
            match (mark, way) {
                (Mark::PageInfo(_), Way::Parameter(name)) => set("cursor_variable", json!(name)),
                (_, Way::Parameter(name)) => set("cursor_param", json!(name)),
                (_, Way::Either(name)) => set("page_param", json!(name)),
                (_, Way::Body(slot)) => set("cursor_body_path", json!(slot.to_string())),
                (_, Way::Header(name)) => set("cursor_header_name", json!(name)),
                (_, Way::Address) => {}
            }
            set(
                "initial",
                initial.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default(),
            );
            set("max_empty_pages", json!(paging.max_empty_pages));
        }
    }
    if let Items::At(path) = &paging.items {
        set("data_path", json!(path.as_str()));
    }
    set("has_more_path", json!(paging.has_more.as_ref().map(|path| path.as_str())));
    set("max_pages", json!(paging.max_pages));
    set("max_records", json!(paging.max_records));
    Value::Object(shown)
}
