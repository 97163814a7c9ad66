//! A way through a JSON text that was checked before: the items of an array, the members of an object, each as the
//! slice of the text that it is. Of a text that was not checked it gives something, and does no harm.
//!
//! Written here because listings are walked by it, all their bytes: what serde_json skips, it checks once more.

use std::borrow::Cow;
use std::ops::Range;

use super::grammar::before_special;
use super::value;
use super::wide::nested;

/// A place in an array, between two of its items.
#[derive(Clone, Debug)]
pub struct Place {
    at: usize,
    over: bool,
}

impl Place {
    /// Before the first item. What is no array has none.
    pub fn first(array: &[u8]) -> Place {
        inside(array, b'[')
    }

    /// Goes behind the next item, and says where it lies.
    pub fn next(&mut self, array: &[u8]) -> Option<Range<usize>> {
        if self.over {
            return None;
        }
        let end = skip(array, self.at);
        let item = self.at..end;
        self.go_on(array, end);
        Some(item)
    }

    /// To what follows the value that ends there.
    fn go_on(&mut self, text: &[u8], end: usize) {
        let at = spaces(text, end);
        self.over = text.get(at) != Some(&b',');
        self.at = spaces(text, at + 1);
    }
}

/// The items of an array.
pub fn items(json: &str) -> impl Iterator<Item = &str> {
    let mut place = Place::first(json.as_bytes());
    std::iter::from_fn(move || json.get(place.next(json.as_bytes())?))
}

/// The members of an object: the name as it stands there, in its quotes, and the value.
pub fn members(json: &str) -> impl Iterator<Item = (&str, &str)> {
    let text = json.as_bytes();
    let mut place = inside(text, b'{');
    std::iter::from_fn(move || {
        if place.over {
            return None;
        }
        let start = place.at;
        let name = skip(text, start);
        let value = spaces(text, spaces(text, name) + 1);
        let end = skip(text, value);
        place.go_on(text, end);
        Some((json.get(start..name)?, json.get(value..end)?))
    })
}

/// The value of that member; of a duplicate name, the last counts.
pub fn member<'j>(object: &'j str, named: &str) -> Option<&'j str> {
    members(object).filter(|(quoted, _)| name(quoted) == named).last().map(|(_, value)| value)
}

/// A member's name without its quotes and escapes; what is not Unicode in it is replaced.
pub fn name(quoted: &str) -> Cow<'_, str> {
    let plain = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).filter(|q| !q.contains('\\'));
    plain.map_or_else(|| Cow::Owned(value::text(quoted)), Cow::Borrowed)
}

fn inside(text: &[u8], open: u8) -> Place {
    let start = spaces(text, 0);
    let at = spaces(text, start + 1);
    let over = text.get(start) != Some(&open) || matches!(text.get(at), None | Some(b']' | b'}'));
    Place { at, over }
}

fn spaces(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// Where the value ends that begins there.
fn skip(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => string(text, at + 1),
        Some(b'{' | b'[') => nested(text, at),
        _ => {
            let rest = text.get(at..).unwrap_or_default();
            let end =
                rest.iter().position(|b| matches!(b, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t' | 0));
            end.map_or(text.len(), |end| at + end)
        }
    }
}

/// Where the string ends, from behind its first quote.
fn string(text: &[u8], mut at: usize) -> usize {
    loop {
        while let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk()) {
            match before_special(*word) {
                None => at += 8,
                Some(ordinary) => {
                    at += ordinary;
                    break;
                }
            }
        }
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    #[test]
    fn items_and_members_are_the_texts_own_slices() {
        let json = " [ 1 , \"a,]\" ,{\"x\" : [ ] , \"y\\\"\":-0 }, [],null ] ";
        assert_eq!(
            items(json).collect::<Vec<_>>(),
            ["1", "\"a,]\"", "{\"x\" : [ ] , \"y\\\"\":-0 }", "[]", "null"]
        );
        let object = items(json).nth(2).unwrap();
        assert_eq!(members(object).collect::<Vec<_>>(), [("\"x\"", "[ ]"), ("\"y\\\"\"", "-0")]);
        for none in ["[]", " [ \n ] ", "{}", "1", "\"[1]\"", "", "[", "{"] {
            assert_eq!(items(none).count() + members(none).count(), 0, "{none}");
        }
    }

    #[test]
    fn a_name_is_read_without_its_escapes() {
        for (quoted, plain) in [
            ("\"a\"", "a"),
            ("\"\"", ""),
            ("\"\\u0061/é\"", "a/é"),
            ("\"\\ud800\"", "\u{fffd}\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(name(quoted), plain);
        }
    }

    #[test]
    fn a_byte_behind_an_item_may_be_overwritten_when_it_was_passed() {
        for text in ["[1,{\"a\":[2]} , \"x\"]", "[[1],[2],3 ]"] {
            let (mut bytes, mut place, mut found) =
                (text.as_bytes().to_vec(), Place::first(text.as_bytes()), vec![]);
            while let Some(item) = place.next(&bytes) {
                bytes[item.end] = 0;
                found.push(String::from_utf8(bytes[item].to_vec()).unwrap());
            }
            assert_eq!(found, items(text).collect::<Vec<_>>());
        }
    }

    fn texts() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            "[a-c\"\\\\é{}\\[\\],: _Yy]{0,20}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 60, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                proptest::collection::vec(("[a-c~/\"\\\\]{0,9}", inner), 0..6)
                    .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_walked_is_what_serde_json_reads(
            list in proptest::collection::vec(texts(), 0..8),
            pretty in any::<bool>(),
        ) {
            let write = |v: &serde_json::Value| {
                if pretty { serde_json::to_string_pretty(v) } else { serde_json::to_string(v) }.unwrap()
            };
            let text = write(&serde_json::Value::from(list.clone()));
            let theirs: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(items(&text).collect::<Vec<_>>(), theirs.iter().map(|r| r.get()).collect::<Vec<_>>());
            for value in list.iter().filter(|v| v.is_object()) {
                let text = write(value);
                let ours: Vec<_> = members(&text).map(|(n, v)| (name(n).into_owned(), v)).collect();
                let theirs: Vec<(String, String)> =
                    value.as_object().unwrap().iter().map(|(n, v)| (n.clone(), v.to_string())).collect();
                prop_assert_eq!(ours.len(), theirs.len());
                for ((n, v), (m, w)) in ours.iter().zip(&theirs) {
                    prop_assert_eq!(n, m);
                    prop_assert_eq!(serde_json::from_str::<serde_json::Value>(v).unwrap().to_string(), w.clone());
                }
            }
        }

        #[test]
        fn what_was_not_checked_does_no_harm(text in "[\\[\\]{},:\"\\\\ 1aé]{0,40}") {
            prop_assert!(items(&text).take(100).count() <= 100);
            prop_assert!(members(&text).take(100).count() <= 100);
        }
    }
}
