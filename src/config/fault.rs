//! What is wrong with a configuration or an option, and where.

use std::fmt;

use super::node::Pos;

/// A fault in a text: a message, the JSON Pointer of the place, and its line and column.
#[derive(Debug)]
pub struct Fault {
    message: String,
    /// The pointer's tokens, innermost first: they are added while the fault travels outwards.
    path: Vec<String>,
    pos: Option<Pos>,
}

impl Fault {
    /// A fault whose place is not known yet.
    pub fn new(message: impl Into<String>) -> Fault {
        Fault { message: message.into(), path: Vec::new(), pos: None }
    }

    /// Says where, unless somebody closer to the fault said it already.
    pub fn at(mut self, pos: Pos) -> Fault {
        self.pos.get_or_insert(pos);
        self
    }

    /// Adds the key or index that the fault lies under.
    pub fn under(mut self, token: impl Into<String>) -> Fault {
        self.path.push(token.into());
        self
    }

    /// Adds the JSON Pointer that the fault lies under.
    pub fn below(mut self, pointer: &str) -> Fault {
        for token in pointer.split('/').skip(1).collect::<Vec<_>>().into_iter().rev() {
            self.path.push(token.replace("~1", "/").replace("~0", "~"));
        }
        self
    }

    /// Line and column count nothing in a text that a program made (call options): leaves them out.
    pub fn without_position(mut self) -> Fault {
        self.pos = None;
        self
    }

    /// The JSON Pointer of the place; empty for the whole text.
    pub fn pointer(&self) -> String {
        let token = |t: &String| format!("/{}", t.replace('~', "~0").replace('/', "~1"));
        self.path.iter().rev().map(token).collect()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.pointer())?;
        }
        f.write_str(&self.message)?;
        match self.pos {
            Some(pos) => write!(f, " (line {}, column {})", pos.line, pos.column),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// The one of `known` that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(&word, k), *k))
        // A third of the letters may be wrong; `token` for `tokne`, but not `path` for `auth`.
        .filter(|(distance, k)| *distance <= k.len().max(word.len()).div_ceil(3).min(4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}
