//! The path: an RFC 6570 template and its variables.

use std::borrow::Cow;

use iri_string::spec::UriSpec;
use iri_string::template::context::{Context, Visitor};
use iri_string::template::{UriTemplateStr, UriTemplateString};

use super::params::Param;
use crate::config::has_dot_segment;
use crate::error::{Error, Result};

/// A template of path and query, read once.
#[derive(Clone, Debug)]
pub(super) enum Template {
    /// It has no variables: this is it, encoded.
    Literal(String),
    /// It has.
    Variable(UriTemplateString, Vec<Variable>),
}

/// A variable of a template.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    /// Its name.
    pub(super) name: String,
    /// Does it stand in the path? One in `{?…}` or `{&…}` may be absent.
    required: bool,
}

struct Values<'v, F: Fn(&str) -> Option<&'v Param<'v>>>(F);

impl<'v, F: Fn(&str) -> Option<&'v Param<'v>>> Context for Values<'v, F> {
    fn visit<V: Visitor>(&self, visitor: V) -> V::Result {
        match (self.0)(visitor.var_name().as_str()) {
            None => visitor.visit_undefined(),
            Some(Param::One(value)) => visitor.visit_string(value),
            Some(Param::Many(values)) => visitor.visit_list_direct(values),
        }
    }
}

impl Template {
    /// Reads a template that the configuration has checked.
    pub(super) fn new(text: &str) -> Result<Template> {
        let bad = |e: iri_string::template::Error| Error::config(format!("{text:?}: {e}"));
        let template = UriTemplateStr::new(text).map_err(bad)?;
        if !text.contains('{') {
            let expanded = template.expand::<UriSpec, _>(&Values(|_: &str| None)).map_err(bad)?;
            return Ok(Template::Literal(expanded.to_string()));
        }
        let mut variables: Vec<Variable> = Vec::new();
        for expression in text.split('{').skip(1) {
            let expression = expression.split('}').next().unwrap_or_default();
            let (required, names) = match expression.as_bytes().first() {
                Some(b'?' | b'&') => (false, &expression[1..]),
                Some(b'+' | b'#' | b'.' | b'/' | b';') => (true, &expression[1..]),
                _ => (true, expression),
            };
            for spec in names.split(',') {
                let name = spec.split([':', '*']).next().unwrap_or_default().to_owned();
                variables.push(Variable { name, required });
            }
        }
        Ok(Template::Variable(template.to_owned(), variables))
    }

    /// Is it the name of a variable? Then it leaves the query.
    pub(super) fn has(&self, name: &str) -> bool {
        matches!(self, Template::Variable(_, all) if all.iter().any(|v| v.name == name))
    }

    /// Path and query with the variables' values in them.
    pub(super) fn expand<'v>(&self, get: impl Fn(&str) -> Option<&'v Param<'v>>) -> Result<Cow<'_, str>> {
        let (template, variables) = match self {
            Template::Literal(text) => return Ok(Cow::Borrowed(text)),
            Template::Variable(template, variables) => (template, variables),
        };
        for Variable { name, .. } in variables.iter().filter(|v| v.required) {
            let values = get(name).map(Param::values).unwrap_or_default();
            if values.is_empty() {
                return Err(Error::argument(format!("the path variable {name:?} is missing")));
            }
            for value in values {
                if value.is_empty() {
                    return Err(Error::argument(format!("the path variable {name:?} is empty")));
                }
                if matches!(value.as_ref(), "." | "..") {
                    return Err(Error::argument(format!(
                        "the path variable {name:?} is a dot segment, which would change the path"
                    )));
                }
            }
        }
        let names = || variables.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", ");
        let expanded = template
            .expand::<UriSpec, _>(&Values(get))
            .map_err(|_| Error::argument(format!("the path variables ({}) do not fit the path", names())))?
            .to_string();
        // `{+x}` lets reserved characters through, and `{x}.` may make a dot segment.
        let path = expanded.split('?').next().unwrap_or_default();
        if has_dot_segment(path) {
            return Err(Error::argument(format!(
                "the path variables ({}) make a dot segment, which would change the path",
                names()
            )));
        }
        if expanded.contains('#') {
            return Err(Error::argument(format!("the path variables ({}) make a fragment", names())));
        }
        Ok(Cow::Owned(expanded))
    }
}
