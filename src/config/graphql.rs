//! GraphQL at load: is `query` an operation that this transport carries, and does it page as a Relay connection does?
//!
//! The server's schema is not known here: whether fields and types exist, only the server can say.

use std::collections::HashSet;

use apollo_parser::Parser;
use apollo_parser::cst::{self, CstNode, Definition, Selection};

use super::endpoint::{BodyKind, Decode, EndpointKeys};
use super::fault::nearest;

/// Selections and lists deeper than this are refused: each level is read on the stack of the caller's thread.
const MAX_NESTING: usize = 128;

/// What later rooms ask of an endpoint's operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Does it change something? Else it is a query.
    pub is_mutation: bool,
    /// The names of the variables that it declares.
    pub variables: Vec<String>,
}

impl Operation {
    /// Does it declare that variable? Else what to say: a server would ignore it, or refuse it.
    pub fn declares(&self, name: &str) -> Result<(), String> {
        let known: Vec<&str> = self.variables.iter().map(String::as_str).collect();
        if known.contains(&name) {
            return Ok(());
        }
        let mut message = format!("the operation declares no variable ${name}");
        if let Some(nearest) = nearest(name, &known) {
            message += &format!("; did you mean ${nearest}?");
        }
        Err(message)
    }
}

/// Where below the endpoint, and what.
type Wrong = (Vec<String>, String);

fn at(path: &[&str], message: impl Into<String>) -> Wrong {
    (path.iter().map(|p| (*p).to_owned()).collect(), message.into())
}

/// Checks what an endpoint says of GraphQL; None where it is about something else. `is_relay`: are its listings
/// connections?
pub(super) fn build(keys: &EndpointKeys, method: &str, is_relay: bool) -> Result<Option<Operation>, Wrong> {
    let relay = keys.pagination.as_ref().filter(|_| is_relay);
    let Some(text) = &keys.query else {
        let alone = [
            (keys.variables.is_some(), &["variables"][..]),
            (keys.operation_name.is_some(), &["operation_name"]),
            (is_relay, &["pagination"]),
        ];
        return match alone.into_iter().find(|(there, _)| *there) {
            Some((_, key)) => Err(at(key, "needs a GraphQL `query`")),
            None => Ok(None),
        };
    };
    // What would say something else about the same body, or the same answer.
    let others = [
        (keys.body_template.is_some(), "body_template", "the body is made of `query` and `variables`"),
        (keys.body != BodyKind::Json, "body", "the body of a GraphQL request is JSON"),
        (keys.content_type.is_some(), "content_type", "the body of a GraphQL request is JSON"),
        (keys.batch.is_some(), "batch", "a GraphQL request is one operation"),
        (keys.decode != Decode::Json, "decode", "the answer to a GraphQL request is JSON"),
    ];
    if let Some((_, key, why)) = others.into_iter().find(|(there, ..)| *there) {
        return Err(at(&[key], format!("does not go with `query`: {why}")));
    }
    let query = Query::parse(text, keys.operation_name.as_deref())?;
    let operation = query.operation();
    match method {
        "POST" => {}
        "GET" if operation.is_mutation => {
            return Err(at(&["method"], "a mutation does not go by GET, which changes nothing; use POST"));
        }
        "GET" => {}
        _ => return Err(at(&["method"], "a GraphQL request is a POST or a GET")),
    }
    if let Some(variables) = &keys.variables {
        let names = super::object(variables.get());
        let super::Entries(names) = names.map_err(|_| at(&["variables"], "must be a mapping"))?;
        for (name, _) in names {
            operation.declares(&name).map_err(|m| at(&["variables", &name], m))?;
        }
    }
    if let Some(relay) = relay {
        let variable = relay.cursor_variable.as_deref().unwrap_or("after");
        let path = relay.connection_path.as_deref().unwrap_or_default();
        check_relay(&query, variable, path).map_err(|m| at(&["pagination"], m))?;
    }
    Ok(Some(operation))
}

/// A document, and the operation in it that is asked for.
pub struct Query {
    document: cst::Document,
    operation: cst::OperationDefinition,
}

impl Query {
    /// Reads a document. Several operations need a name that picks one.
    pub fn parse(text: &str, operation_name: Option<&str>) -> Result<Query, (Vec<String>, String)> {
        let tree = Parser::new(text).recursion_limit(MAX_NESTING).parse();
        if let Some(error) = tree.errors().next() {
            let place = place(text, error.index());
            return Err(at(
                &["query"],
                format!("is not GraphQL: {} ({place} of the query)", error.message()),
            ));
        }
        let document = tree.document();
        let mut operations = Vec::new();
        for definition in document.definitions() {
            match definition {
                Definition::OperationDefinition(operation) => operations.push(operation),
                Definition::FragmentDefinition(_) => {}
                other => {
                    let place = place(text, other.syntax().text_range().start().into());
                    let what = "has the definition of a type in it, which is a server's to make";
                    return Err(at(&["query"], format!("{what} ({place} of the query)")));
                }
            }
        }
        let names: Vec<Option<String>> = operations.iter().map(|o| o.name().map(text_of)).collect();
        for (i, name) in names.iter().enumerate() {
            match name {
                Some(name) if names[..i].contains(&Some(name.clone())) => {
                    return Err(at(&["query"], format!("has two operations that are called `{name}`")));
                }
                None if names.len() > 1 => {
                    return Err(at(&["query"], "has several operations, and one of them has no name"));
                }
                _ => {}
            }
        }
        let known: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
        let position = match operation_name {
            Some(wanted) => names.iter().position(|n| n.as_deref() == Some(wanted)).ok_or_else(|| {
                let mut message = format!("the query has no operation `{wanted}`");
                if let Some(nearest) = nearest(wanted, &known) {
                    message += &format!("; did you mean `{nearest}`?");
                }
                at(&["operation_name"], message)
            })?,
            None if names.len() > 1 => {
                let which = known.join("`, `");
                return Err(at(
                    &["query"],
                    format!("has several operations (`{which}`); `operation_name` says which one is sent"),
                ));
            }
            None => 0,
        };
        let Some(operation) = operations.into_iter().nth(position) else {
            return Err(at(&["query"], "has fragments only, and no operation"));
        };
        let kind = operation.operation_type();
        if kind.is_some_and(|kind| kind.subscription_token().is_some()) {
            return Err(at(&["query"], "is a subscription, whose answer does not end; this is one request"));
        }
        Ok(Query { document, operation })
    }

    /// What later rooms ask of it.
    pub fn operation(&self) -> Operation {
        let kind = self.operation.operation_type();
        let variables = self.operation.variable_definitions();
        let variables = variables.iter().flat_map(|v| v.variable_definitions());
        Operation {
            is_mutation: kind.is_some_and(|kind| kind.mutation_token().is_some()),
            variables: variables.filter_map(|v| Some(text_of(v.variable()?.name()?))).collect(),
        }
    }

    /// The fields of selections, with those of the fragments that they spread.
    fn fields(&self, sets: impl IntoIterator<Item = cst::SelectionSet>) -> Vec<cst::Field> {
        let mut open: Vec<cst::SelectionSet> = sets.into_iter().collect();
        let (mut fields, mut spread) = (Vec::new(), HashSet::new());
        while let Some(set) = open.pop() {
            for selection in set.selections() {
                match selection {
                    Selection::Field(field) => fields.push(field),
                    Selection::InlineFragment(fragment) => open.extend(fragment.selection_set()),
                    Selection::FragmentSpread(fragment) => {
                        let name = fragment.fragment_name().and_then(|f| f.name()).map(text_of);
                        let Some(name) = name.filter(|name| spread.insert(name.clone())) else { continue };
                        open.extend(self.fragment(&name));
                    }
                }
            }
        }
        fields
    }

    fn fragment(&self, wanted: &str) -> Option<cst::SelectionSet> {
        self.document.definitions().find_map(|definition| match definition {
            Definition::FragmentDefinition(fragment) => {
                let name = fragment.fragment_name()?.name()?;
                (name.text().as_str() == wanted).then(|| fragment.selection_set()).flatten()
            }
            _ => None,
        })
    }

    /// The fields in there whose values come under this key; several, where they are merged.
    fn under(&self, fields: &[cst::Field], key: &str) -> Vec<cst::Field> {
        let sets = fields.iter().filter_map(cst::Field::selection_set);
        named(self.fields(sets), key)
    }
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.operation().fmt(f)
    }
}

/// Does the query page as a Relay connection does? The cursor's variable has to be an argument of the connection, and
/// the connection has to say how it goes on and what is in it.
///
/// `connection_path`: keys of the answer, dotted; a leading `data.` may be there.
pub fn check_relay(query: &Query, cursor_variable: &str, connection_path: &str) -> Result<(), String> {
    query.operation().declares(cursor_variable).map_err(|m| format!("cursor_variable: {m}"))?;
    let path = connection_path.strip_prefix("data.").unwrap_or(connection_path);
    let mut connection = Vec::new();
    for (i, step) in path.split('.').enumerate() {
        connection = match i {
            0 => named(query.fields(query.operation.selection_set()), step),
            _ => query.under(&connection, step),
        };
        if connection.is_empty() {
            return Err(format!("connection_path: the query asks for no `{step}` at `{connection_path}`"));
        }
    }
    let is_cursor =
        |variable: cst::Variable| variable.name().map(text_of).as_deref() == Some(cursor_variable);
    let arguments = connection.iter().filter_map(cst::Field::arguments);
    if !arguments.flat_map(|a| a.syntax().descendants()).filter_map(cst::Variable::cast).any(is_cursor) {
        return Err(format!(
            "cursor_variable: ${cursor_variable} is no argument of `{connection_path}`; every page would be the first"
        ));
    }
    let mut missing = Vec::new();
    let page_info = query.under(&connection, "pageInfo");
    for field in ["hasNextPage", "endCursor"] {
        if query.under(&page_info, field).is_empty() {
            missing.push(format!("pageInfo {{ {field} }}"));
        }
    }
    let has_nodes = !query.under(&connection, "nodes").is_empty();
    if !has_nodes && query.under(&query.under(&connection, "edges"), "node").is_empty() {
        missing.push("nodes, or edges { node }".into());
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "connection_path: the query does not ask `{connection_path}` for {}",
            missing.join(" and for ")
        )),
    }
}

/// The fields whose values come under this key: the alias, where there is one.
fn named(fields: Vec<cst::Field>, key: &str) -> Vec<cst::Field> {
    let is = |field: &cst::Field| {
        let alias = field.alias().and_then(|alias| alias.name());
        alias.or_else(|| field.name()).is_some_and(|name| name.text().as_str() == key)
    };
    fields.into_iter().filter(is).collect()
}

fn text_of(name: cst::Name) -> String {
    name.text().to_string()
}

/// A byte's place in a text, for people.
fn place(text: &str, index: usize) -> String {
    let before = text.get(..index).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    format!("line {}, column {}", before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wrong(text: &str, name: Option<&str>) -> (String, String) {
        let (path, message) = Query::parse(text, name).unwrap_err();
        (path.join("/"), message)
    }

    fn operation(text: &str) -> Operation {
        Query::parse(text, None).unwrap().operation()
    }

    #[test]
    fn what_a_document_may_have_in_it_is_read() {
        for (text, is_mutation, variables) in [
            ("{ a }", false, &[][..]),
            ("query { a(n: 99999999999999999999, f: -1.5e3, s: \"\"\"a \"b\" c\"\"\") } # end", false, &[]),
            (
                "\u{feff}query A($a: Int = 1 @d, $b: [T!]!) @e { a @include(if: $a) { ...F } } fragment F on T { id }",
                false,
                &["a", "b"],
            ),
            ("mutation($user: UserInput!) { add(user: $user) { id } }", true, &["user"]),
        ] {
            let variables = variables.iter().map(|v| (*v).to_owned()).collect();
            assert_eq!(operation(text), Operation { is_mutation, variables }, "{text}");
        }
    }

    #[test]
    fn a_fault_has_its_line_and_column() {
        for (text, place) in [
            ("query {\n  é: a(\n}", "(line 2, column 3 of the query)"),
            ("", "(line 1, column 1 of the query)"),
            ("{ a", "(line 1, column 4 of the query)"),
            ("{ a }\ntype T { a: Int }", "(line 2, column 1 of the query)"),
        ] {
            let (key, message) = wrong(text, None);
            assert_eq!(key, "query");
            assert!(message.ends_with(place), "{text:?}: {message}");
        }
        assert!(wrong(&"{a".repeat(100_000), None).1.contains("recursion limit"));
        assert!(wrong(&format!("{{a(b: {}", "[".repeat(100_000)), None).1.contains("recursion limit"));
    }

    #[test]
    fn one_operation_is_picked_by_its_name() {
        let two = "query Users { a } mutation Add { b } fragment F on T { id }";
        assert!(!Query::parse(two, Some("Users")).unwrap().operation().is_mutation);
        assert!(Query::parse(two, Some("Add")).unwrap().operation().is_mutation);
        assert_eq!(
            wrong(two, Some("User")),
            ("operation_name".into(), "the query has no operation `User`; did you mean `Users`?".into())
        );
        let (key, message) = wrong(two, None);
        assert_eq!(key, "query");
        assert!(message.contains("(`Users`, `Add`); `operation_name` says"), "{message}");
        assert!(wrong("query A { a } query A { b }", Some("A")).1.contains("two operations"));
        assert!(wrong("{ a } query A { b }", Some("A")).1.contains("has no name"));
        assert!(wrong("{ a }", Some("A")).1.contains("no operation `A`"));
        assert!(wrong("fragment F on T { id }", None).1.contains("no operation"));
        assert!(wrong("subscription { a }", None).1.contains("subscription"));
    }

    /// What the check says of a query that lists users.
    fn relay(text: &str, path: &str) -> Result<(), String> {
        check_relay(&Query::parse(text, None).unwrap(), "after", path)
    }

    const INFO: &str = "pageInfo { hasNextPage endCursor }";

    #[test]
    fn a_connection_is_found_through_aliases_and_fragments() {
        for (selection, path) in [
            (format!("users(after: $after) {{ nodes {{ id }} {INFO} }}"), "users"),
            (format!("users(after: $after) {{ nodes {{ id }} {INFO} }}"), "data.users"),
            (format!("users(page: {{from: [$after]}}) {{ edges {{ node {{ id }} }} {INFO} }}"), "users"),
            (format!("org {{ all: users(after: $after) {{ nodes {{ id }} {INFO} }} }}"), "org.all"),
            ("org { ... on Org { ... { users(after: $after) { ...C } } } }".to_owned(), "org.users"),
            // The same field twice: they are merged.
            (format!("users(after: $after) {{ nodes {{ id }} }} users(after: $after) {{ {INFO} }}"), "users"),
            ("users(after: $after) { edges { ...E } pageInfo { ...P } }".to_owned(), "users"),
        ] {
            let text = format!(
                "query($after: String) {{ {selection} }}
                 fragment C on Users {{ ...D nodes {{ id }} }} fragment D on Users {{ ...C {INFO} }}
                 fragment E on Edge {{ node {{ id }} }} fragment P on PageInfo {{ hasNextPage endCursor }}"
            );
            assert_eq!(relay(&text, path), Ok(()), "{selection}");
        }
    }

    #[test]
    fn what_a_connection_lacks_is_said() {
        let of = |selection: &str| {
            relay(&format!("query($after: String) {{ {selection} }}"), "users").unwrap_err()
        };
        let users = |inside: &str| of(&format!("users(after: $after) {{ {inside} }}"));
        assert!(
            users("nodes { id }").ends_with("for pageInfo { hasNextPage } and for pageInfo { endCursor }")
        );
        assert!(users("nodes { id } pageInfo { endCursor }").ends_with("for pageInfo { hasNextPage }"));
        assert!(users("nodes { id } info: pageInfo { hasNextPage endCursor }").contains("hasNextPage"));
        assert!(users(INFO).ends_with("for nodes, or edges { node }"));
        assert!(users(&format!("{INFO} edges {{ cursor }}")).ends_with("for nodes, or edges { node }"));
        let first = of(&format!("users {{ nodes {{ id }} {INFO} }} other(after: $after) {{ id }}"));
        assert!(first.contains("$after is no argument of `users`"), "{first}");
        assert!(of("all: users(after: $after) { nodes { id } }").contains("asks for no `users`"));
        let undeclared = relay("query($afer: String) { users { id } }", "users").unwrap_err();
        assert!(undeclared.ends_with("no variable $after; did you mean $afer?"), "{undeclared}");
    }
}
