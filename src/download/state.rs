//! What is known of a part, as the small file beside it says.

use serde::{Deserialize, Serialize};

use super::name;
use super::ranges::Ranges;
use crate::digest::Digest;

/// The first line begins with it; another version's is not read.
const MARK: &str = "apl part 1 ";
/// No state is longer.
pub const LONGEST: u64 = 1 << 20;

/// What is known of a part. Only bytes that are on the disk are in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// A hash of what was asked for.
    pub source: String,
    /// What tells that the resource is still the same; None: nothing does, and the part is of no use.
    pub validator: Option<String>,
    /// The Content-Encoding that its bytes came in.
    pub coding: Option<String>,
    /// How long the whole is.
    pub length: Option<u64>,
    /// Which bytes are there.
    pub there: Ranges,
    /// The digests that the server has named.
    pub digests: Vec<Digest>,
    /// The name that the server gave, where it was asked for one.
    pub name: Option<String>,
}

/// What is torn is not read: the checksum tells.
pub(super) fn sealed(json: &str) -> String {
    format!("{MARK}{:08x}\n{json}\n", crc32fast::hash(json.as_bytes()))
}

impl State {
    /// The text of the file.
    pub fn write(&self) -> String {
        sealed(&serde_json::to_string(self).unwrap_or_default())
    }

    /// None: it is torn, of another version, or of something else.
    pub fn read(text: &[u8], source: &str) -> Option<State> {
        let text = std::str::from_utf8(text).ok()?;
        let (mark, json) = text.strip_suffix('\n')?.split_once('\n')?;
        let checksum = mark.strip_prefix(MARK)?;
        if checksum != format!("{:08x}", crc32fast::hash(json.as_bytes())) {
            return None;
        }
        let state: State = serde_json::from_str(json).ok()?;
        let named = state.name.as_ref().is_none_or(|name| name::is_safe(name));
        let sound = named && state.there.is_sound(state.length) && state.validator.is_some();
        (sound && state.source == source).then_some(state)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn state() -> State {
        let mut there = Ranges::default();
        there.insert(0, 100);
        State {
            source: "abc".into(),
            validator: Some("\"v1\"".into()),
            coding: None,
            length: Some(200),
            there,
            digests: vec![Digest::parse("md5=JfnnlDI7RTiF9RgfG2JNCw==").unwrap()],
            name: Some("x".into()),
        }
    }

    #[test]
    fn a_state_says_what_was_written() {
        assert_eq!(State::read(state().write().as_bytes(), "abc"), Some(state()));
    }

    #[test]
    fn a_state_that_is_not_whole_is_none() {
        let text = state().write();
        for cut in 0..text.len() {
            assert_eq!(State::read(&text.as_bytes()[..cut], "abc"), None, "cut at {cut}");
        }
        for at in 0..text.len() {
            let mut torn = text.clone().into_bytes();
            torn[at] ^= 1;
            assert_eq!(State::read(&torn, "abc"), None, "torn at {at}");
        }
    }

    #[test]
    fn a_state_of_something_else_is_none() {
        assert_eq!(State::read(state().write().as_bytes(), "abd"), None);
        let newer = state().write().replace("part 1", "part 2");
        assert_eq!(State::read(newer.as_bytes(), "abc"), None);
        let none = State { validator: None, ..state() };
        assert_eq!(State::read(none.write().as_bytes(), "abc"), None);
        let outside = State { name: Some("../x".into()), ..state() };
        assert_eq!(State::read(outside.write().as_bytes(), "abc"), None);
        let beyond = State { length: Some(99), ..state() };
        assert_eq!(State::read(beyond.write().as_bytes(), "abc"), None);
        assert_eq!(State::read(b"\xff\xfe", "abc"), None);
    }
}
