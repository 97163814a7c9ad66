//! What was asked: the configuration's keys, defaults and checks. No I/O but reading the configuration file.
//!
//! A text becomes one [`node::Node`] tree (from JSON or YAML), `${VAR}` is filled in, serde turns the tree into
//! [`keys::ConnectorKeys`], and [`build`] checks it and resolves what later rooms ask for. Whoever holds a
//! [`Config`] need not check anything again.

pub mod auth;
mod build;
mod check;
mod de;
pub mod endpoint;
mod env;
mod fault;
pub mod file;
mod graphql;
mod json;
pub mod keys;
pub mod node;
mod origin;
mod pagination;
mod rules;
#[cfg(test)]
mod schema;
mod secret;
pub mod settings;
#[cfg(test)]
mod tests;
mod url;
pub mod values;
mod yaml;

pub use auth::Auth;
pub use build::{Config, Endpoint, Target};
pub use check::{header_count, header_name, header_value};
pub use env::Lookup;
pub use fault::{Fault, nearest};
pub use file::from_file;
pub use graphql::{Operation, Query, check_relay};
pub use json::{Entries, object};
pub use origin::{Allowed, Origin};
pub use pagination::{Counting, Items, Mark, Paging, Style, Way};
pub use rules::{Judgement, Rules};
pub use secret::{Secret, Text};
pub use settings::{Limits, Overrides, Settings, Timeouts};
pub use url::{Base, base, has_dot_segment};
pub use values::{Named, RawJson};

use crate::error::{Error, Result};

/// The largest configuration text, bytes.
pub const MAX_TEXT: usize = 8 << 20;
/// The deepest nesting of a configuration.
pub const MAX_DEPTH: usize = 128;

/// Reads a configuration: JSON where the text starts with `{`, else YAML. `lookup` answers `${VAR}`.
pub fn from_text(text: &str, lookup: &Lookup<'_>) -> Result<Config> {
    let mut root = parse(text).map_err(|f| Error::config(f.to_string()))?;
    from_node(&mut root, "", lookup)
}

/// The tree of a text, whichever of the two languages it is in.
fn parse(text: &str) -> Result<node::Node, Fault> {
    if text.len() > MAX_TEXT {
        return Err(Fault::new(format!("the configuration is longer than {} MiB", MAX_TEXT >> 20)));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') { json::read(text) } else { yaml::read(text) }
}

/// Turns the tree of one connector block into a configuration. `place` is the block's JSON Pointer.
fn from_node(node: &mut node::Node, place: &str, lookup: &Lookup<'_>) -> Result<Config> {
    let read = |node: &mut node::Node| -> Result<Config, Fault> {
        let mut warnings = Vec::new();
        env::fill(node, lookup, &mut warnings)?;
        let keys = de::read::<keys::ConnectorKeys>(node)?;
        build::build(keys, node, warnings)
    };
    read(node).map_err(|f| Error::config(f.below(place).to_string()))
}

/// Reads a typed value from a tree, for the call options.
pub fn read<'de, T: serde::Deserialize<'de>>(node: &'de node::Node) -> Result<T, Fault> {
    de::read(node)
}

/// Reads JSON into a tree, for the call options.
pub fn read_json(text: &str) -> Result<node::Node, Fault> {
    json::read(text)
}
