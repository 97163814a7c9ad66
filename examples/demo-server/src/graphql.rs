//! `/graphql`: the users once more, as far as a GraphQL server has to go to show what its answers look like.

use apollo_parser::Parser;
use apollo_parser::cst::{self, CstNode, Definition, Selection};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::users::{User, Users};

/// `user(id: ID)`, and `users(first: Int, after: String)`, a connection. There are no fragments and no mutations.
pub fn routes(users: Users) -> Router {
    Router::new().route("/graphql", post(answer)).with_state(users)
}

#[derive(Deserialize)]
struct Request {
    query: String,
    #[serde(default)]
    variables: Map<String, Value>,
}

async fn answer(State(users): State<Users>, Json(request): Json<Request>) -> Json<Value> {
    let tree = Parser::new(&request.query).parse();
    let mut operations = tree.document().definitions().filter_map(|definition| match definition {
        Definition::OperationDefinition(operation) => operation.selection_set(),
        _ => None,
    });
    let (Some(selected), 0) = (operations.next(), tree.errors().count()) else {
        return Json(json!({"errors": [{"message": "the document has no operation that can be read"}]}));
    };
    let (mut data, mut errors) = (Map::new(), Vec::new());
    for field in fields(&selected) {
        let key = key(&field);
        match resolve(&field, &users.lock(), &request.variables) {
            Ok(value) => drop(data.insert(key, select(&field, value))),
            Err((code, message)) => {
                let extensions = json!({"code": code});
                errors.push(json!({"message": message, "path": [key.as_str()], "extensions": extensions}));
                data.insert(key, Value::Null);
            }
        }
    }
    Json(if errors.is_empty() { json!({"data": data}) } else { json!({"data": data, "errors": errors}) })
}

fn fields(set: &cst::SelectionSet) -> impl Iterator<Item = cst::Field> + use<> {
    set.selections().filter_map(|selection| match selection {
        Selection::Field(field) => Some(field),
        _ => None,
    })
}

fn name(field: &cst::Field) -> String {
    field.name().map(|name| name.text().to_string()).unwrap_or_default()
}

/// What it is called in the answer.
fn key(field: &cst::Field) -> String {
    let alias = field.alias().and_then(|alias| alias.name()).map(|name| name.text().to_string());
    alias.unwrap_or_else(|| name(field))
}

fn resolve(
    field: &cst::Field,
    users: &[User],
    variables: &Map<String, Value>,
) -> Result<Value, (&'static str, String)> {
    let argument = |wanted| argument(field, wanted, variables);
    match name(field).as_str() {
        "user" => {
            let id = argument("id");
            let text = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            let found = users.iter().find(|user| user.id.to_string() == text);
            found.map(|user| json!(user)).ok_or_else(|| ("NOT_FOUND", format!("there is no user {text}")))
        }
        "users" => {
            let after = argument("after").as_str().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
            let first = argument("first").as_u64().map_or(usize::MAX, |n| n as usize);
            let page: Vec<&User> = users.iter().filter(|user| user.id > after).take(first).collect();
            let last = page.last().map_or(after, |user| user.id);
            let edges: Vec<Value> =
                page.iter().map(|user| json!({"node": user, "cursor": user.id.to_string()})).collect();
            let more = users.iter().any(|user| user.id > last);
            let info = json!({"hasNextPage": more, "endCursor": last.to_string()});
            Ok(json!({"edges": edges, "nodes": page, "pageInfo": info, "totalCount": users.len()}))
        }
        other => Err(("GRAPHQL_VALIDATION_FAILED", format!("there is no field {other}"))),
    }
}

/// A variable's value or a literal's; null where there is none.
fn argument(field: &cst::Field, wanted: &str, variables: &Map<String, Value>) -> Value {
    let arguments = field.arguments();
    let mut all = arguments.iter().flat_map(cst::Arguments::arguments);
    let value = all.find(|a| a.name().is_some_and(|name| name.text() == wanted)).and_then(|a| a.value());
    match value {
        Some(cst::Value::Variable(variable)) => {
            let name = variable.name().map(|name| name.text().to_string());
            name.and_then(|name| variables.get(&name).cloned()).unwrap_or_default()
        }
        Some(literal) => serde_json::from_str(literal.source_string().trim()).unwrap_or_default(),
        None => Value::Null,
    }
}

/// Of a value, what was asked for.
fn select(field: &cst::Field, value: Value) -> Value {
    let Some(set) = field.selection_set() else { return value };
    match value {
        Value::Array(items) => items.into_iter().map(|item| select(field, item)).collect(),
        Value::Object(all) => fields(&set)
            .map(|inner| (key(&inner), select(&inner, all.get(&name(&inner)).cloned().unwrap_or_default())))
            .collect::<Map<String, Value>>()
            .into(),
        scalar => scalar,
    }
}
