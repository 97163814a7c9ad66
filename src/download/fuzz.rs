//! Names and states as a fuzzer drives them.

use super::name;
use super::state::State;

/// The name that a server gives.
pub fn name(disposition: &str, url: &str) -> String {
    name::of_server(&crate::fuzz::head("content-disposition", disposition), url)
}

/// Is it a name that a server may give?
pub fn is_safe(name: &str) -> bool {
    name::is_safe(name)
}

/// The name of the part beside a target.
pub fn part(target: &str) -> String {
    name::part(target)
}

/// Reads a state file, and writes what it says.
pub fn state(text: &[u8], source: &str) -> Option<String> {
    State::read(text, source).map(|state| state.write())
}

/// A state file of this JSON, with the checksum that belongs to it.
pub fn sealed(json: &str) -> String {
    super::state::sealed(json)
}
