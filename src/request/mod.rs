//! One request: template, params, headers, body. No I/O.
//!
//! A [`Prototype`] is what an endpoint's requests have in common, encoded once when the connector is made.
//! [`Prototype::prepare`] adds what a call brings ([`CallOptions`], parameters, a body) and gives a [`Prepared`].

mod body;
mod bulk;
mod content;
mod form;
mod graphql;
mod options;
mod params;
mod path;
mod prepared;
mod prototype;
mod query;
#[cfg(test)]
mod tests;

pub use body::{Body, data, items, merge_over};
pub use content::{Content, Piece};
pub use options::{Call, CallOptions, OptionKeys, PartKeys};
pub use prepared::{Key, Prepared, path_and_query};
pub use prototype::{Generate, Prototype};
pub use query::set_parameter;
