//! What a server says of each item of a batch. No two APIs say it alike; what is read here is what cannot be meant
//! otherwise. Where a word is missing that should be there, the item's fate is unknown, and never a success.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::decode::{self, items, name};

/// Where an answer has its list of results, if it is not one itself.
const LISTS: [&str; 3] = ["items", "results", "responses"];
/// Where a result has its status. `code` only where it must have one: elsewhere it may be anything's code.
const STATUSES: [&str; 4] = ["status", "statusCode", "status_code", "code"];
/// What Elasticsearch's `_bulk` calls its actions: a result stands under the name of its action.
const ACTIONS: [&str; 4] = ["index", "create", "update", "delete"];
/// A status in words.
const FAILED: [&str; 5] = ["error", "failed", "fail", "failure", "rejected"];
const DONE: [&str; 3] = ["ok", "success", "succeeded"];
/// What the name of a list of errors ends in: `insertErrors`.
const ERRORS: &str = "errors";

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done, with this status where it has one of its own.
    Done(Option<u16>, Place),
    /// The server refused it, with this status where it has one of its own; and what it says.
    Refused(Option<u16>, Range<usize>),
    /// Nobody knows, and why.
    Unknown(String),
}

/// Where the result of an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// There in the answer.
    Here(Range<usize>),
    /// It is the result of an item before, from 0 in the batch.
    With(usize),
}

/// What an answer is held against.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// What was sent, in order.
    pub items: &'a [&'a RawValue],
    /// 207: the answer has to tell of each item (RFC 4918 13).
    pub multi_status: bool,
    /// The statuses that are no failure.
    pub is_ok: &'a dyn Fn(u16) -> bool,
}

/// Reads what an answer, valid JSON, says of each item: one verdict each.
pub fn read(answer: &str, asked: Asked<'_>) -> Vec<Verdict> {
    let count = asked.items.len();
    let unknown = |why: String| vec![Verdict::Unknown(why); count];
    let whole = || {
        let rest = (1..count).map(|_| Verdict::Done(None, Place::With(0)));
        std::iter::once(Verdict::Done(None, Place::Here(0..answer.len()))).chain(rest).collect()
    };
    let bare = list(answer);
    let is_bare = bare.is_some();
    let lists = match bare {
        Some(results) => vec![results],
        None => LISTS.iter().filter_map(|name| list(last(answer, name)?)).collect(),
    };
    let mut told: Vec<Told> = lists.iter().map(|results| tell(results, answer, &asked)).collect();
    // The first one may only say back what was sent.
    let chosen = told.iter().position(|told| told.speaks).unwrap_or(0);
    let told = (chosen < told.len()).then(|| told.swap_remove(chosen));
    let failed = !asked.multi_status && says_failed(answer, &asked);
    match told {
        None if asked.multi_status => {
            let names = LISTS.join("`, `");
            unknown(format!("it is no list of results, and has none in `{names}`"))
        }
        Some(told) if asked.multi_status => told.verdicts,
        Some(told) if failed && told.refuses => told.verdicts,
        _ if failed => unknown("it says that something failed, and not of which items".into()),
        Some(told) if told.speaks || (is_bare && told.fits) => told.verdicts,
        // No list, or one that tells nothing: the answer is more than that.
        _ => whole(),
    }
}

/// What a list of results tells.
struct Told {
    verdicts: Vec<Verdict>,
    /// Does it say of any item what became of it?
    speaks: bool,
    refuses: bool,
    /// Is it known which result is whose?
    fits: bool,
}

fn tell(results: &[&str], answer: &str, asked: &Asked<'_>) -> Told {
    let echo = |item: usize| asked.items.get(item).copied().filter(|_| !asked.multi_status);
    let says = results.iter().enumerate().any(|(at, r)| Said::of(r, echo(at), asked).is_some());
    let order = match order(results, asked.items, asked.multi_status || says) {
        Ok(order) => order,
        Err(why) => {
            let verdicts = vec![Verdict::Unknown(why); asked.items.len()];
            return Told { verdicts, speaks: says, refuses: false, fits: false };
        }
    };
    let mut first_of: HashMap<usize, usize> = HashMap::new();
    let (mut speaks, mut refuses) = (false, false);
    let mut verdict = |(item, slot): (usize, &Slot)| {
        let at = match slot {
            Slot::At(at) => *at,
            Slot::Missing(why) => return Verdict::Unknown((*why).into()),
        };
        let result = results[at];
        let said = Said::of(result, echo(item), asked);
        speaks |= said.is_some();
        let status = said.as_ref().and_then(|said| said.status);
        match said {
            Some(Said { ok: false, .. }) => {
                refuses = true;
                Verdict::Refused(status, range(result, answer))
            }
            None if asked.multi_status => Verdict::Unknown("its result has no status".into()),
            _ => match first_of.get(&at) {
                Some(first) => Verdict::Done(status, Place::With(*first)),
                None => {
                    first_of.insert(at, item);
                    Verdict::Done(status, Place::Here(range(result, answer)))
                }
            },
        }
    };
    let verdicts: Vec<Verdict> = order.iter().enumerate().map(&mut verdict).collect();
    // Where nobody knows of an item, the others do not speak for it.
    let lacks = order.iter().any(|slot| matches!(slot, Slot::Missing(_)));
    Told { verdicts, speaks: speaks || (says && lacks), refuses, fits: true }
}

/// Does the answer say, around its results, that something failed?
fn says_failed(answer: &str, asked: &Asked<'_>) -> bool {
    // Around one item alone, it may be that item that comes back.
    let echo = match asked.items {
        [item] => Some(*item),
        _ => None,
    };
    let sent = echo.map(|item| members(item.get())).unwrap_or_default();
    let errors = |(name, value): &(Cow<'_, str>, &str)| {
        let tail = name.len().checked_sub(ERRORS.len()).and_then(|at| name.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(ERRORS))
            && is_something(value)
            && !sent.iter().any(|(n, v)| n == name && v == value)
    };
    Said::of(answer, echo, asked).is_some_and(|said| !said.ok) || members(answer).iter().any(errors)
}

fn list(json: &str) -> Option<Vec<&str>> {
    json.trim_start().starts_with('[').then(|| items(json).collect())
}

fn members(json: &str) -> Vec<(Cow<'_, str>, &str)> {
    decode::members(json).map(|(quoted, value)| (name(quoted), value)).collect()
}

fn range(part: &str, whole: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// Which result is an item's.
enum Slot {
    At(usize),
    Missing(&'static str),
}

/// Finds the result of each item: by `index`, by `id`, else in order. `tells`: they do tell what became of the items;
/// else an `index` may be anything's.
fn order(results: &[&str], items: &[&RawValue], tells: bool) -> Result<Vec<Slot>, String> {
    let sent = |name: &'static str| items.iter().map(|item| last(item.get(), name)).collect::<Vec<_>>();
    if let Some(lines) = lines(results, items) {
        return Ok(lines.into_iter().map(Slot::At).collect());
    }
    // Items that have an `index` of their own get it back.
    if sent("index").iter().all(Option::is_none) && !results.is_empty() {
        let indices: Option<Vec<usize>> = results.iter().map(|r| last(r, "index")?.parse().ok()).collect();
        if let Some(indices) = indices {
            let mut slots: Vec<Slot> = items.iter().map(|_| Slot::Missing("it has no result")).collect();
            let mut seen = vec![false; items.len()];
            for (at, index) in indices.into_iter().enumerate() {
                let Some(slot) = slots.get_mut(index) else {
                    if !tells {
                        continue;
                    }
                    return Err(format!(
                        "it has a result for item {index} of the batch, which has {}",
                        items.len()
                    ));
                };
                let twice = std::mem::replace(&mut seen[index], true);
                *slot = if twice { Slot::Missing("it has two results") } else { Slot::At(at) };
            }
            if tells || slots.iter().all(|slot| matches!(slot, Slot::At(_))) {
                return Ok(slots);
            }
        }
    }
    if results.len() != items.len() {
        return Err(format!("it has {} results for {} items", results.len(), items.len()));
    }
    let ids = |all: Vec<Option<&str>>| -> Option<Vec<String>> {
        all.into_iter().map(|id| id.filter(|id| !id.starts_with(['{', '['])).map(str::to_owned)).collect()
    };
    let answered = ids(results.iter().map(|r| last(r, "id")).collect());
    if let (Some(sent), Some(answered)) = (ids(sent("id")), answered) {
        let places: HashMap<&str, usize> =
            answered.iter().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
        let found: Option<Vec<usize>> = sent.iter().map(|id| places.get(id.as_str()).copied()).collect();
        let distinct = sent.iter().collect::<std::collections::HashSet<_>>().len() == sent.len();
        if let Some(found) = found.filter(|_| distinct && places.len() == results.len()) {
            return Ok(found.into_iter().map(Slot::At).collect());
        }
    }
    Ok((0..items.len()).map(Slot::At).collect())
}

/// A member's value; of a duplicate key, the last.
fn last<'j>(json: &'j str, name: &str) -> Option<&'j str> {
    decode::member(json, name)
}

/// The result of each line of Elasticsearch's `_bulk`, where a line is an action, and its document the next one.
fn lines(results: &[&str], items: &[&RawValue]) -> Option<Vec<usize>> {
    results.iter().all(|r| action(r).is_some()).then_some(())?;
    let (mut of, mut operations, mut document) = (Vec::with_capacity(items.len()), 0, false);
    for item in items {
        if std::mem::take(&mut document) {
            of.push(operations - 1);
            continue;
        }
        let (name, _) = action(item.get())?;
        document = name != "delete";
        of.push(operations);
        operations += 1;
    }
    (operations == results.len() && !document).then_some(of)
}

/// An action of `_bulk` and what stands under it.
fn action(json: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut members = members(json);
    let (name, value) = members.pop().filter(|_| members.is_empty())?;
    (ACTIONS.contains(&&*name) && value.starts_with('{')).then_some((name, value))
}

/// What a result says of its item.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    ok: bool,
    status: Option<u16>,
}

impl Said {
    /// None: nothing. `echo`: what was sent; a member that only says that back says nothing.
    fn of(result: &str, echo: Option<&RawValue>, asked: &Asked<'_>) -> Option<Said> {
        let result = action(result).map_or(result, |(_, inside)| inside);
        let (members, sent) = (members(result), echo.map(|e| self::members(e.get())).unwrap_or_default());
        let last = |name: &str| {
            let value = members.iter().rev().find(|(key, _)| key == name)?.1;
            let is_echo = sent.iter().rev().find(|(key, _)| key == name).is_some_and(|(_, v)| *v == value);
            (!is_echo).then_some(value)
        };
        let names = if asked.multi_status { &STATUSES[..] } else { &STATUSES[..3] };
        let status = names.iter().find_map(|name| status(last(name)?));
        let done = ["success", "ok"].iter().find_map(|name| match last(name)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        });
        let word = last("status").map(|status| status.trim_matches('"'));
        let is_one_of =
            |words: &[&str]| word.is_some_and(|w| words.iter().any(|x| x.eq_ignore_ascii_case(w)));
        let error = ["error", "errors"].iter().any(|name| last(name).is_some_and(is_something));
        let fails = |status: u16| (asked.multi_status || status >= 400) && !(asked.is_ok)(status);
        if error || done == Some(false) || is_one_of(&FAILED) || status.is_some_and(fails) {
            return Some(Said { ok: false, status });
        }
        (status.is_some() || done.is_some() || is_one_of(&DONE)).then_some(Said { ok: true, status })
    }
}

/// Is it an error, and not the place where one would stand?
fn is_something(json: &str) -> bool {
    let inside = |open, close| json.strip_prefix(open).and_then(|j| j.strip_suffix(close)).map(str::trim);
    let empty = ["null", "false", "0", "\"\""].contains(&json);
    !empty && inside('[', ']') != Some("") && inside('{', '}') != Some("")
}

/// A status: `201`, `"201"`, `"201 Created"`, `"HTTP/1.1 201 Created"`.
fn status(json: &str) -> Option<u16> {
    let text = json.trim_matches('"');
    let text = match text.strip_prefix("HTTP/") {
        Some(rest) => rest.split_once(' ')?.1,
        None => text,
    };
    let digits = text.split(' ').next()?;
    let number = digits.parse().ok().filter(|n| (100..600).contains(n))?;
    (digits.len() == 3).then_some(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// One word for each item: its status, and what became of it.
    fn said(multi_status: bool, items: &str, answer: &str) -> Vec<String> {
        let items: Vec<&RawValue> = serde_json::from_str(items).unwrap();
        let is_ok = |status| (200..300).contains(&status);
        let verdicts = read(answer, Asked { items: &items, multi_status, is_ok: &is_ok });
        assert_eq!(verdicts.len(), items.len());
        let word = |verdict| match verdict {
            Verdict::Done(status, Place::Here(at)) => format!("{} {}", status.unwrap_or(0), &answer[at]),
            Verdict::Done(status, Place::With(at)) => format!("{} with {at}", status.unwrap_or(0)),
            Verdict::Refused(status, at) => format!("no {} {}", status.unwrap_or(0), &answer[at]),
            Verdict::Unknown(why) => format!("? {why}"),
        };
        verdicts.into_iter().map(word).collect()
    }

    #[test]
    fn an_array_of_as_many_is_one_result_each_and_anything_else_is_of_all_together() {
        assert_eq!(said(false, "[1,2]", r#" [{"n": 1.0}, -0] "#), [r#"0 {"n": 1.0}"#, "0 -0"]);
        for whole in ["[1]", "[1,2,3]", "null", "{}", r#"{"items": [1, 2], "took": 3}"#, r#"{"errors":[]}"#] {
            assert_eq!(said(false, "[1,2]", whole), [format!("0 {whole}"), "0 with 0".into()]);
        }
    }

    #[test]
    fn a_multi_status_tells_of_each_item() {
        for answer in [
            r#"[{"status":201},{"status":"422 No"}]"#,
            r#"{"results":[{"statusCode":201},{"code":422}]}"#,
            r#"{"x":1,"responses":[{"status_code":201},{"status":"HTTP/1.1 422 No"}]}"#,
            r#"{"items":[{"index":1,"status":422},{"index":0,"status":201}]}"#,
        ] {
            let said = said(true, "[1,2]", answer);
            assert!(said[0].starts_with("201 {") && said[1].starts_with("no 422 {"), "{answer}: {said:?}");
        }
        assert_eq!(said(true, "[1,2]", r#"[{"success":true},{"ok":false}]"#)[1], r#"no 0 {"ok":false}"#);
        assert_eq!(
            said(true, "[1]", r#"[{"status":201,"error":"x"}]"#)[0],
            r#"no 201 {"status":201,"error":"x"}"#
        );
        assert!(said(true, "[1]", r#"[{"status":201,"error":null,"errors":[ ]}]"#)[0].starts_with("201 "));
        assert!(said(true, "[1]", r#"[{"status":302}]"#)[0].starts_with("no 302"));
    }

    #[test]
    fn what_a_multi_status_does_not_tell_is_unknown() {
        for answer in ["null", "{}", r#""x""#, r#"{"value": [{"status": 200}]}"#, "[]", r#"[{"status":200}]"#]
        {
            let said = said(true, "[1,2]", answer);
            assert!(said.iter().all(|s| s.starts_with("? ")), "{answer}: {said:?}");
        }
        let three = r#"[{"status":200},{"status":200},{"status":200}]"#;
        assert_eq!(said(true, "[1,2]", three)[0], "? it has 3 results for 2 items");
        let (no, two) = ("? its result has no status", "? it has two results");
        assert_eq!(said(true, "[1,2]", r#"[{"status":"active"},{"status":200}]"#)[0], no);
        assert_eq!(said(true, "[1,2,3]", r#"[{"status":99},{"errors":[]},7]"#), [no; 3]);
        let twice = r#"[{"index":0,"status":200},{"index":0,"status":200}]"#;
        assert_eq!(said(true, "[1,2]", twice), [two, "? it has no result"]);
        let beyond = r#"[{"index":0,"status":200},{"index":2,"status":200}]"#;
        assert!(said(true, "[1,2]", beyond).iter().all(|s| s.starts_with("? it has a result for item 2")));
        let part = r#"[{"index":1,"status":200}]"#;
        assert_eq!(said(true, "[1,2]", part), ["? it has no result", r#"200 {"index":1,"status":200}"#]);
    }

    #[test]
    fn a_plain_success_does_not_hide_that_an_item_has_failed() {
        for (failed, status) in [
            (r#"{"status":409}"#, 409),
            (r#"{"statusCode":"500 Oops"}"#, 500),
            (r#"{"success":false,"errors":[{"message":"x"}]}"#, 0),
            (r#"{"id":null,"error":{"code":1}}"#, 0),
        ] {
            for answer in [format!("[{{}},{failed}]"), format!(r#"{{"took":1,"results":[{{}},{failed}]}}"#)] {
                let said = said(false, "[1,2]", &answer);
                assert_eq!(said, ["0 {}".to_owned(), format!("no {status} {failed}")], "{answer}");
            }
            // How many they are is wrong: nobody knows whose it is.
            assert!(said(false, "[1,2]", &format!("[{failed}]"))[0].starts_with("? it has 1 results"));
        }
        for errors in ["true", "3", "[1]", r#"{"1":"x"}"#] {
            let said = said(false, "[1,2]", &format!(r#"{{"done":1,"errors":{errors}}}"#));
            assert!(said.iter().all(|s| s.starts_with("? it says that something failed")), "{said:?}");
        }
        assert!(said(false, "[1]", r#"{"errors":[1],"items":[{}]}"#)[0].starts_with("? it says that"));
        // An application's own code, and what only comes back, are no failures.
        assert!(said(false, "[1]", r#"[{"code":404}]"#)[0].starts_with("0 "));
        let log = r#"[{"status":500,"error":"x","success":false}]"#;
        assert!(said(false, log, log)[0].starts_with("0 "));
        assert!(said(false, log, r#"[{"status":501}]"#)[0].starts_with("no 501"));
    }

    #[test]
    fn an_answer_that_says_failed_of_itself_is_no_items_success() {
        for answer in [
            r#"{"success":false,"message":"quota"}"#,
            r#"{"ok":false}"#,
            r#"{"error":"x"}"#,
            r#"{"status":"Error"}"#,
            r#"{"success":false,"results":[]}"#,
            r#"{"success":false,"results":[{"status":201},{"status":201}]}"#,
            r#"{"insertErrors":[{"index":0,"errors":[1]}]}"#,
            r#"{"HAS_ERRORS":true}"#,
            r#"{"\ud800":1,"errors":[1]}"#,
        ] {
            let said = said(false, "[1,2]", answer);
            assert!(
                said.iter().all(|s| s.starts_with("? it says that something failed")),
                "{answer}: {said:?}"
            );
        }
        for answer in [
            r#"{"success":true,"error":null}"#,
            r#"{"insertErrors":[]}"#,
            r#"{"numErrors":0,"terrorse":1}"#,
            r#"{"é":1}"#,
        ] {
            assert_eq!(said(false, "[1,2]", answer), [format!("0 {answer}"), "0 with 0".into()]);
        }
        let answer = r#"{"success":false,"results":[{"status":201},{"status":409}]}"#;
        assert_eq!(said(false, "[1,2]", answer), [r#"201 {"status":201}"#, r#"no 409 {"status":409}"#]);
        // One item alone may come back as it is.
        let log = r#"{"ok":false,"error":"x","myErrors":[1],"status":"failed"}"#;
        assert_eq!(said(false, &format!("[{log}]"), log), [format!("0 {log}")]);
        assert!(said(false, &format!("[{log},1]"), log)[0].starts_with("? "));
    }

    #[test]
    fn results_that_speak_have_to_speak_of_every_item() {
        let part = r#"{"results":[{"index":0,"status":201}]}"#;
        assert_eq!(said(false, "[1,2]", part), [r#"201 {"index":0,"status":201}"#, "? it has no result"]);
        for few in [r#"[{"status":201}]"#, r#"[{"success":true}]"#, r#"{"items":[{"status":"success"}]}"#] {
            assert_eq!(said(false, "[1,2]", few), ["? it has 1 results for 2 items"; 2], "{few}");
        }
        let many = r#"[{"status":201},{"status":201},{}]"#;
        assert_eq!(said(false, "[1,2]", many), ["? it has 3 results for 2 items"; 2]);
    }

    #[test]
    fn a_status_may_be_a_word() {
        for word in ["error", "FAILED", "fail", "Failure", "rejected"] {
            let answer = format!(r#"[{{"status":"{word}"}},{{"status":"active"}}]"#);
            let told = said(false, "[1,2]", &answer);
            assert!(told[0].starts_with("no 0 ") && told[1].starts_with("0 "), "{told:?}");
            assert!(said(true, "[1,2]", &answer)[0].starts_with("no 0 "), "{answer}");
        }
        let sent = r#"[{"status":"failed"}]"#;
        assert_eq!(said(false, sent, sent), [r#"0 {"status":"failed"}"#]);
    }

    #[test]
    fn the_list_that_speaks_is_read() {
        let items = r#"[{"id":1,"status":404},{"id":2}]"#;
        let answer = format!(r#"{{"items":{items},"results":[{{"error":"x"}},{{}}]}}"#);
        assert_eq!(said(false, items, &answer), [r#"no 0 {"error":"x"}"#, "0 {}"]);
        let answer = r#"{"items":[1,2],"results":[{"status":200},{"status":400}]}"#;
        assert_eq!(said(true, "[1,2]", answer)[1], r#"no 400 {"status":400}"#);
    }

    #[test]
    fn a_name_that_is_no_unicode_hides_nothing() {
        let answer = r#"[{"\ud800":1,"error":"x"},{"\ud800":1}]"#;
        assert!(said(false, "[1,2]", answer)[0].starts_with("no 0 "));
    }

    #[test]
    fn results_that_name_their_items_may_come_in_any_order() {
        let items = r#"[{"id":"a"},{"id":"b"}]"#;
        let answer = r#"{"responses":[{"id":"b","status":403},{"id":"a","status":200}]}"#;
        let said = said(false, items, answer);
        assert!(
            said[0].starts_with(r#"200 {"id":"a""#) && said[1].starts_with(r#"no 403 {"id":"b""#),
            "{said:?}"
        );
    }

    #[test]
    fn an_index_that_the_items_have_themselves_is_no_place() {
        let answer = r#"[{"index":1,"status":200},{"index":0,"status":400}]"#;
        assert!(said(true, r#"[{"index":1},{"index":0}]"#, answer)[0].starts_with("200 "));
    }

    #[test]
    fn elasticsearchs_bulk_is_read_by_action() {
        let answer = r#"{"took":1,"errors":true,"items":[{"index":{"status":201}},{"delete":{"status":404}},{"create":{"status":409,"error":{"type":"x"}}}]}"#;
        let items = r#"[{"index":{}},{"a":1},{"delete":{}},{"create":{}},{"a":2}]"#;
        let (index, delete) = (r#"{"index":{"status":201}}"#, r#"{"delete":{"status":404}}"#);
        let create = r#"no 409 {"create":{"status":409,"error":{"type":"x"}}}"#;
        let expected = [
            format!("201 {index}"),
            "201 with 0".into(),
            format!("no 404 {delete}"),
            create.into(),
            create.into(),
        ];
        assert_eq!(said(false, items, answer), expected);
        // A server that takes the action out of the item has one line for each.
        let said = said(false, "[1,2,3]", answer);
        assert!(said[0].starts_with("201") && said[1].starts_with("no 404") && said[2].starts_with("no 409"));
    }
}
