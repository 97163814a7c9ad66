//! Many items in one body.

use serde_json::value::RawValue;

use super::body::merge;
use super::content::Media;
use crate::config::Fault;
use crate::config::endpoint::{Batch, BatchAs, BodyKind};
use crate::decode::Slot;
use crate::error::Result;

/// How an endpoint's items stand together in a body.
#[derive(Clone, Debug)]
pub(super) struct Bulk {
    form: BatchAs,
    /// items_at: where they are put.
    slot: Option<Slot>,
}

impl Bulk {
    /// Reads the key `batch`; a fault lies under it.
    pub(super) fn new(batch: &Batch, kind: BodyKind, template: Option<&str>) -> Result<Bulk, Fault> {
        if kind != BodyKind::Json {
            return Err(Fault::new("is for JSON: it goes with `body: json` alone"));
        }
        let slot = match (batch.form, &batch.path) {
            (BatchAs::ItemsAt, Some(path)) => {
                Some(Slot::parse(path).map_err(|m| Fault::new(m).under("path"))?)
            }
            (BatchAs::ItemsAt, None) => {
                return Err(Fault::new("items_at needs `path`, where the items stand"));
            }
            (_, Some(_)) => return Err(Fault::new("goes with `as: items_at` alone").under("path")),
            (_, None) => None,
        };
        let bulk = Bulk { form: batch.form, slot };
        if let (Some(slot), Some(template)) = (&bulk.slot, template) {
            let room = slot.room_in(template).map_err(|place| {
                Fault::new(format!("leads through {place} of body_template, which is not an object"))
            });
            room.map_err(|f| f.under("path"))?;
        }
        Ok(bulk)
    }

    /// The body and its media type. The template is under each item, as where it is sent alone; of items_at, it is
    /// what the items stand in.
    pub(super) fn body(&self, template: Option<&str>, items: &[&RawValue]) -> Result<String> {
        let under = template.filter(|_| self.form != BatchAs::ItemsAt);
        let mut list = String::new();
        for (i, item) in items.iter().enumerate() {
            let item = merge(under, item)?;
            match self.form {
                // A line break is no part of a JSON string: it stands between tokens, as a space may.
                BatchAs::Ndjson => {
                    list.extend(item.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
                    list.push('\n');
                }
                BatchAs::JsonArray | BatchAs::ItemsAt => {
                    list.push(if i == 0 { '[' } else { ',' });
                    list.push_str(&item);
                }
            }
        }
        if self.form == BatchAs::Ndjson {
            return Ok(list);
        }
        list.push(']');
        let Some(slot) = &self.slot else { return Ok(list) };
        let body = slot.around(&list);
        let data = super::body::data(&body)?;
        Ok(merge(template, data)?.into_owned())
    }

    /// The media type, and over which it stands.
    pub(super) fn media(&self) -> (&'static str, Media) {
        match self.form {
            // A connector's header was meant for one value.
            BatchAs::Ndjson => ("application/x-ndjson", Media::OverConfigured),
            BatchAs::JsonArray | BatchAs::ItemsAt => (super::content::JSON, Media::Default),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::decode;

    fn bulk(form: BatchAs, path: Option<&str>) -> Bulk {
        let batch = Batch { size: None, form, path: path.map(str::to_owned) };
        Bulk::new(&batch, BodyKind::Json, None).unwrap()
    }

    fn raw(items: &[String]) -> Vec<&RawValue> {
        items.iter().map(|item| serde_json::from_str(item).unwrap()).collect()
    }

    fn body(bulk: &Bulk, template: Option<&str>, items: &[&str]) -> String {
        let items: Vec<String> = items.iter().map(|i| (*i).to_owned()).collect();
        bulk.body(template, &raw(&items)).unwrap()
    }

    #[test]
    fn items_keep_their_bytes_in_each_form() {
        let items = [r#"{"a": 1.0, "a":2}"#, "-0", r#""\ud800""#];
        let array = bulk(BatchAs::JsonArray, None);
        assert_eq!(body(&array, None, &items), r#"[{"a": 1.0, "a":2},-0,"\ud800"]"#);
        let lines = bulk(BatchAs::Ndjson, None);
        assert_eq!(body(&lines, None, &items), "{\"a\": 1.0, \"a\":2}\n-0\n\"\\ud800\"\n");
        assert_eq!(body(&lines, None, &["{\n \"a\":\r\n[1,\n2]}"]), "{  \"a\":  [1, 2]}\n");
        for (path, expected) in [
            ("records", r#"{"records":[1,2]}"#),
            ("a.b", r#"{"a":{"b":[1,2]}}"#),
            ("/a~1b/\"", r#"{"a/b":{"\"":[1,2]}}"#),
        ] {
            assert_eq!(body(&bulk(BatchAs::ItemsAt, Some(path)), None, &["1", "2"]), expected);
        }
    }

    #[test]
    fn a_template_is_under_each_item_or_around_all() {
        let template = Some(r#"{"kind":"x","in":{"n":1.0}}"#);
        assert_eq!(
            body(&bulk(BatchAs::JsonArray, None), template, &[r#"{"a":1}"#, "2"]),
            r#"[{"kind":"x","in":{"n":1.0},"a":1},2]"#
        );
        assert_eq!(
            body(&bulk(BatchAs::ItemsAt, Some("in.all")), template, &["1", "2"]),
            r#"{"kind":"x","in":{"n":1.0,"all":[1,2]}}"#
        );
    }

    proptest! {
        #[test]
        fn every_item_is_there_in_order_with_its_bytes(
            numbers in prop::collection::vec(any::<i32>(), 1..50),
            space in prop::sample::select(vec!["", " ", "\n", "\r\n"]),
        ) {
            let items: Vec<String> =
                numbers.iter().map(|n| format!("{{{space}\"n\":{space}{n}.50{space}}}")).collect();
            let array = bulk(BatchAs::JsonArray, None).body(None, &raw(&items)).unwrap();
            prop_assert_eq!(&array, &format!("[{}]", items.join(",")));
            let lines = bulk(BatchAs::Ndjson, None).body(None, &raw(&items)).unwrap();
            prop_assert_eq!(lines.lines().count(), items.len());
            let back = String::from_utf8(decode::lines_to_array(lines.as_bytes()).unwrap()).unwrap();
            prop_assert_eq!(back, array.replace(['\n', '\r'], " "));
        }
    }
}
