//! A stream that is one answer, as language models give it: what ends it, what makes it a failure, and what there is
//! of it where it is cut. Pure.

use serde::Deserialize;

use super::settings::Settings;
use crate::decode::{self, Found, Path};

/// So much of what the server says is shown.
const SHOWN: usize = 200;

/// What an event means for the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A part of it.
    Part,
    /// It is complete; this is no part of it.
    End,
    /// It has failed, and this is what the server says.
    Failure(String),
}

/// The answer so far.
#[derive(Debug)]
pub(super) struct Answer {
    sentinel: Option<String>,
    error_path: Option<Path>,
    /// Data of its events, a line each.
    text: Vec<u8>,
    most: usize,
    /// Did not all of it fit?
    is_cut: bool,
    is_complete: bool,
}

impl Answer {
    pub fn new(settings: &Settings) -> Answer {
        Answer {
            sentinel: settings.sentinel.clone(),
            error_path: settings.error_path.clone(),
            text: Vec::new(),
            most: settings.limits.max_result as usize,
            is_cut: false,
            is_complete: false,
        }
    }

    /// Is the stream one answer at all?
    fn is_one(&self) -> bool {
        self.sentinel.is_some() || self.error_path.is_some()
    }

    /// Is there an end of it that did not come yet?
    pub fn is_missing(&self) -> bool {
        self.sentinel.is_some() && !self.is_complete
    }

    /// Another connection begins the answer anew.
    pub fn restart(&mut self) {
        self.text.clear();
        self.is_cut = false;
    }

    /// Takes the data of the next event.
    pub fn take(&mut self, data: &[u8]) -> Meaning {
        if !self.is_one() {
            return Meaning::Part;
        }
        if self.sentinel.as_ref().is_some_and(|sentinel| sentinel.as_bytes() == data) {
            self.is_complete = true;
            return Meaning::End;
        }
        if let Some(failure) = self.error_path.as_ref().and_then(|path| failure(path, data)) {
            return Meaning::Failure(failure);
        }
        // Where nothing is missing at an end, nobody asks for what there was.
        if self.sentinel.is_none() {
            return Meaning::Part;
        }
        self.is_cut |= self.text.len() + data.len() >= self.most;
        if !self.is_cut {
            if !self.text.is_empty() {
                self.text.push(b'\n');
            }
            self.text.extend_from_slice(data);
        }
        Meaning::Part
    }

    /// What there is of it, for the failure that ends it, and whether that is not all that came; None: nothing.
    pub fn partial(&mut self) -> Option<(Vec<u8>, bool)> {
        let text = std::mem::take(&mut self.text);
        (!text.is_empty()).then_some((text, self.is_cut))
    }
}

/// What an event says of a failure. null, false and an empty text say that there is none.
fn failure(path: &Path, data: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Text(String),
        Inner { message: String },
    }
    let (_, json) = decode::check(data).ok()?;
    let found = match path.locate(json).ok()? {
        Found::One(place) => &json[place],
        Found::Many(places) => &json[places.into_iter().next()?],
    };
    if matches!(found, "null" | "false" | "\"\"") {
        return None;
    }
    let words = match serde_json::from_str(found) {
        Ok(Words::Text(text) | Words::Inner { message: text }) => text,
        Err(_) => found.to_owned(),
    };
    let shown = words.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c });
    Some(shown.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answer(most: usize) -> Answer {
        Answer {
            sentinel: Some("[DONE]".into()),
            error_path: Some(Path::parse("error").unwrap()),
            text: Vec::new(),
            most,
            is_cut: false,
            is_complete: false,
        }
    }

    #[test]
    fn the_sentinel_ends_it_and_what_came_before_is_kept() {
        let mut it = answer(100);
        for data in ["one", "[DONE] ", "", "{\"error\":null}", "{\"error\":false}"] {
            assert_eq!(it.take(data.as_bytes()), Meaning::Part, "{data}");
            assert!(it.is_missing());
        }
        assert_eq!(it.take(b"[DONE]"), Meaning::End);
        assert!(!it.is_missing());
        let text = b"one\n[DONE] \n\n{\"error\":null}\n{\"error\":false}".to_vec();
        assert_eq!(it.partial(), Some((text, false)));
    }

    #[test]
    fn no_more_of_it_is_kept_than_allowed() {
        let mut it = answer(10);
        assert_eq!(it.partial(), None);
        for _ in 0..100 {
            it.take(b"abcd");
        }
        assert_eq!(it.partial(), Some((b"abcd\nabcd".to_vec(), true)));
    }

    #[test]
    fn a_failure_is_said_in_the_servers_words() {
        let said = |data: &str| answer(100).take(data.as_bytes());
        let failure = |words: &str| Meaning::Failure(words.to_owned());
        assert_eq!(said(r#"{"error": {"type": "x", "message": "over\nloaded"}}"#), failure("over loaded"));
        assert_eq!(said(r#"{"error": "broken"}"#), failure("broken"));
        assert_eq!(said(r#"{"error": {"code": 7}}"#), failure(r#"{"code": 7}"#));
        assert_eq!(said(r#"{"data": 1}"#), Meaning::Part);
        assert_eq!(said("error"), Meaning::Part);
    }
}
