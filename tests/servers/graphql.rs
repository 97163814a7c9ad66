//! GraphQL Yoga, which speaks GraphQL over HTTP to the letter.

use serde_json::{Value, json};

use crate::api::{AUTH, Api, HTTP_STATUS};
use crate::{good, its, one};

fn yoga(endpoint: Value) -> Api {
    one(&its("yoga"), endpoint, json!({"type": "graphql"}))
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_query_gets_its_variables_by_post_and_by_get() {
    let query = "query Say($text: String!, $number: Float, $flags: [Boolean!]) { say(text: $text, number: $number, flags: $flags) }";
    for method in ["POST", "GET"] {
        let api = yoga(json!({
            "query": query, "method": method, "operation_name": "Say", "response_path": "data.say",
            "variables": {"text": "a \"b\" & ü", "flags": [true]}, "params": {"number": 1.5},
        }));
        let said = |params: Option<&str>| {
            serde_json::from_str::<Value>(good(api.fetch("x", params, None)).json().as_str().unwrap())
                .unwrap()
        };
        assert_eq!(said(None), json!({"text": "a \"b\" & ü", "number": 1.5, "flags": [true]}), "{method}");
        assert_eq!(
            said(Some(r#"{"number": -2, "flags": []}"#)),
            json!({"text": "a \"b\" & ü", "number": -2, "flags": []})
        );
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn what_is_sent_is_added() {
    let api = yoga(
        json!({"query": "mutation($user: UserInput!) { addUser(user: $user) { id name nickname } }", "variables": {"user": {"nickname": "B"}}}),
    );
    let sent = good(api.send("x", r#"{"user": {"name": "Bob"}}"#, None)).json();
    assert_eq!(sent["result"]["data"]["addUser"]["name"], "Bob");
    assert_eq!(sent["result"]["data"]["addUser"]["nickname"], "B");
    let list = good(api.send("x", r#"[{"user": {"name": "C"}}, {"user": {"name": "D"}}]"#, None)).json();
    assert_eq!(list["sent_count"], 2);
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn errors_are_told_by_their_code_and_their_place() {
    let query = "query($code: String = \"FORBIDDEN\") { fail(code: $code) user(id: 1) { name nickname } }";
    let api = yoga(json!({"query": query, "response_path": "data.user"}));
    let fault = api.fetch("x", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status, fault.category.as_str()), (AUTH, 200, "AUTH"));
    assert!(
        fault
            .message
            .contains("GraphQL error: as you wish: FORBIDDEN at fail (FORBIDDEN) (the first of 2 errors)"),
        "{}",
        fault.message
    );
    assert_eq!(fault.partial.unwrap().json(), json!({"name": "Ann", "nickname": null}));
    let api = yoga(json!({"query": query, "response_path": "data.user", "graphql_errors": "warn"}));
    let answer = good(api.fetch("x", None, None));
    assert_eq!(answer.json(), json!({"name": "Ann", "nickname": null}));
    assert!(answer.meta["warnings"].to_string().contains("Ann has no nickname at user.nickname (NOT_FOUND)"));

    // What does not fit the schema has a status of its own.
    let fault = yoga(json!({"query": "{ nope }"})).fetch("x", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status, fault.category.as_str()), (HTTP_STATUS, 400, "VALIDATION"));
    assert!(
        fault.message.contains("400: Cannot query field \"nope\" on type \"Query\"."),
        "{}",
        fault.message
    );
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_connection_is_one_listing() {
    for items in ["nodes { number }", "edges { node { number } }"] {
        let query = format!(
            "query($after: String) {{ items(first: 10, after: $after) {{ {items} pageInfo {{ hasNextPage endCursor }} }} }}"
        );
        let api = yoga(json!({"query": query, "pagination": {"style": "relay", "connection_path": "items"}}));
        let all = good(api.fetch("x", None, None));
        let numbers: Vec<_> = (1..=57).map(|n| json!({"number": n})).collect();
        assert_eq!((all.json(), all.meta["pages"].as_array().unwrap().len()), (json!(numbers), 6));
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_page_of_a_connection_goes_on_at_its_cursor() {
    let query = "query($after: String) { items(first: 50, after: $after) { nodes { number } pageInfo { hasNextPage endCursor } } }";
    let api = yoga(json!({"query": query, "response_path": "data.items"}));
    let first = good(api.fetch("x", None, None)).json();
    assert_eq!(first["pageInfo"]["hasNextPage"], true);
    let rest =
        good(api.fetch("x", &*json!({"after": first["pageInfo"]["endCursor"]}).to_string(), None)).json();
    let numbers: Vec<_> =
        rest["nodes"].as_array().unwrap().iter().map(|n| n["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (51..=57).collect::<Vec<_>>());
    assert_eq!(rest["pageInfo"]["hasNextPage"], false);
}
