//! GraphQL: what goes out, and what becomes of `data` and `errors`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/faulty.rs"]
mod faulty;
mod support;

use api::{AUTH, Api, DECODE, Fault, HTTP_STATUS, INVALID_ARGUMENT, INVALID_CONFIG, RATE_LIMITED};
use faulty::{KEY, assert_fault, assert_fault_keeps_secrets, assert_no_secret};
use serde_json::{Value, json};
use support::{Server, answering, ok_json, response};

const USER: &str = "query User($id: ID!, $filter: Filter, $n: Int) { user(id: $id) { name } }";
const ADD: &str = "mutation Add($user: UserInput!, $dry: Boolean) { add(user: $user) { id } }";
const DATA: &str = r#"{"data": {"user": {"name": "Ann"}}}"#;
const PARTIAL: &str = r#"{"data": {"user": {"name": null}}, "errors": [
    {"message": "no name", "path": ["user", "name"], "extensions": {"code": "INTERNAL_SERVER_ERROR"}},
    {"message": "and more"}]}"#;

/// An API with the endpoint `x`, at a server that always answers like this.
fn bench(wire: Vec<u8>, endpoint: Value) -> (Server, Api) {
    let server = Server::start(answering(move |_| wire.clone()));
    let api = faulty::api(
        &format!("{}/graphql", server.url()),
        &json!({"type": "graphql", "endpoints": {"x": endpoint}}),
    );
    (server, api)
}

fn answered(body: &str, endpoint: Value) -> (Server, Api) {
    bench(ok_json(body), endpoint)
}

/// What is wrong with a configuration whose endpoint `x` is this.
fn refused(endpoint: Value) -> Fault {
    let config = json!({"type": "graphql", "base_url": "http://127.0.0.1:9", "endpoints": {"x": endpoint}});
    let fault = Api::new(&config.to_string()).expect_err("the configuration is refused");
    assert_eq!(fault.status, INVALID_CONFIG, "{}", fault.message);
    fault
}

// ---- what goes out ----

#[test]
fn a_query_is_posted_to_the_base_url_with_its_variables() {
    let (server, api) = answered(
        DATA,
        json!({"query": USER, "variables": {"id": "u1", "n": 1.50}, "operation_name": "User"}),
    );
    assert_eq!(api.fetch("x", None, None).unwrap().text(), DATA);
    let requests = server.requests();
    assert_eq!((requests[0].method(), requests[0].target()), ("POST", "/graphql"));
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    assert_eq!(
        requests[0].header("accept"),
        Some("application/graphql-response+json, application/json;q=0.9")
    );
    assert_eq!(
        requests[0].body_text(),
        format!(r#"{{"query":{},"variables":{{"id":"u1","n":1.5}},"operationName":"User"}}"#, json!(USER))
    );
}

#[test]
fn variables_are_absent_where_there_are_none_and_a_path_is_appended() {
    let (server, api) = answered(
        DATA,
        json!({"query": "{ user { name } }", "path": "/v2/{shop}", "params": {"shop": "s 1"}}),
    );
    api.fetch("x", None, None).unwrap();
    api.fetch("x", Some(r#"{"shop": 2}"#), None).unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].target(), "/graphql/v2/s%201");
    assert_eq!(requests[1].target(), "/graphql/v2/2");
    assert_eq!(requests[1].body_text(), r#"{"query":"{ user { name } }"}"#);
}

#[test]
fn the_calls_word_counts_before_the_configurations_and_every_digit_stays() {
    let (server, api) = answered(
        DATA,
        json!({"query": USER, "variables": {"id": 1, "filter": {"a": 1, "b": {"c": 2}}}, "params": {"n": 5, "filter": {"b": {"d": 3}}}}),
    );
    let sent = |params: Option<&str>, options: Option<&str>| {
        api.fetch("x", params, options).unwrap();
        let body: Value = serde_json::from_str(server.requests().last().unwrap().body_text()).unwrap();
        body["variables"].to_string()
    };
    assert_eq!(sent(None, None), r#"{"id":1,"filter":{"a":1,"b":{"c":2,"d":3}},"n":5}"#);
    assert_eq!(
        sent(
            Some(r#"{"n": 1, "id": null}"#),
            Some(r#"{"params": {"n": 2, "filter": {"a": [true]}}, "data": {"filter": {"b": "x"}}}"#)
        ),
        r#"{"id":null,"filter":{"a":[true],"b":"x"},"n":1}"#
    );
    api.fetch("x", Some(r#"{"n": 123456789012345678901234567890, "id": 1.50}"#), None).unwrap();
    let requests = server.requests();
    let body = requests.last().unwrap().body_text();
    assert!(
        body.contains(r#""id":1.50"#) && body.contains(r#""n":123456789012345678901234567890"#),
        "{body}"
    );
}

#[test]
fn what_is_sent_are_the_variables_of_a_mutation_one_request_for_each_item() {
    let (server, api) = answered(
        r#"{"data": {"add": {"id": 1}}}"#,
        json!({"query": ADD, "variables": {"user": {"role": "x"}}}),
    );
    let one = api.send("x", r#"{"user": {"name": "Ann"}}"#, None).unwrap();
    assert_eq!(one.text(), r#"{"success":true,"result":{"data": {"add": {"id": 1}}}}"#);
    let list = api.send("x", r#"[{"user": {"name": "B"}}, {"user": {"role": "y"}}]"#, None).unwrap().json();
    assert_eq!((&list["success"], &list["sent_count"]), (&json!(true), &json!(2)));
    let variables: Vec<Value> = server
        .requests()
        .iter()
        .map(|r| serde_json::from_str::<Value>(r.body_text()).unwrap()["variables"]["user"].take())
        .collect();
    assert_eq!(
        variables,
        [json!({"role": "x", "name": "Ann"}), json!({"role": "x", "name": "B"}), json!({"role": "y"})]
    );
}

#[test]
fn by_get_everything_is_in_the_query_and_a_secret_is_hidden_there() {
    // The environment is set by the first connector.
    drop(faulty::api("http://127.0.0.1:9", &json!({})));
    let (server, api) = answered(
        DATA,
        json!({"query": "query User($id: ID!) { user(id: $id) { name } }", "method": "GET", "operation_name": "User",
               "variables": {"id": "${APL_TEST_QUERY_KEY}"}}),
    );
    let answer = api.fetch("x", None, None).unwrap();
    assert_no_secret("meta", &answer.meta.to_string());
    let request = server.requests().remove(0);
    assert_eq!((request.method(), request.body.len(), request.header("content-type")), ("GET", 0, None));
    let url = url::Url::parse(&format!("http://h{}", request.target())).unwrap();
    let pairs: Vec<(String, String)> =
        url.query_pairs().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
    assert_eq!(
        pairs,
        [
            pair("query", "query User($id: ID!) { user(id: $id) { name } }"),
            pair("variables", &json!({"id": KEY}).to_string()),
            pair("operationName", "User"),
        ]
    );
    assert_no_secret("explanation", &api.explain(Some("x"), None, None).unwrap().json().to_string());
}

#[test]
fn the_request_is_explained() {
    let (server, api) = answered(DATA, json!({"query": USER}));
    let told = api.explain(Some("x"), Some(r#"{"id": "u1"}"#), None).unwrap().json();
    assert_eq!(told["method"], "POST");
    assert_eq!(told["body"], format!(r#"{{"query":{},"variables":{{"id":"u1"}}}}"#, json!(USER)));
    assert_eq!(
        told["notes"].as_array().unwrap().iter().filter(|n| n.to_string().contains("would fail")).count(),
        0
    );
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn what_the_operation_does_not_declare_is_refused_before_it_is_sent() {
    let (server, api) = answered(DATA, json!({"query": USER}));
    for (call, says) in [
        (
            api.fetch("x", Some(r#"{"ids": 1}"#), None),
            "params: the operation declares no variable $ids; did you mean $id?",
        ),
        (api.fetch("x", None, Some(r#"{"params": {"zzzzz": 1}}"#)), "declares no variable $zzzzz"),
        (
            api.fetch("x", None, Some(r#"{"data": {"filtre": 1}}"#)),
            "data: the operation declares no variable $filtre; did you mean $filter?",
        ),
        (api.send("x", "null", None), "data: for a GraphQL operation it is an object"),
        (api.send_bytes("x", b"{}", None), "bytes are not for that"),
        (api.fetch("x", None, Some(r#"{"form": {"a": 1}}"#)), "\"form\" is not for that"),
        (api.fetch("x", None, Some(r#"{"body_file": "/dev/null"}"#)), "\"body_file\" is not for that"),
    ] {
        let fault = call.expect_err(says);
        assert_fault(&fault, INVALID_ARGUMENT, says);
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn what_can_be_no_request_is_said_at_load_with_its_place() {
    for (endpoint, says) in [
        (json!({"query": "{ a"}), "/endpoints/x/query: is not GraphQL: "),
        (json!({"query": "query A { a } query B { b }"}), "/endpoints/x/query: has several operations"),
        (
            json!({"query": "query A { a }", "operation_name": "B"}),
            "/endpoints/x/operation_name: the query has no operation `B`",
        ),
        (
            json!({"query": USER, "variables": {"ids": 1}}),
            "/endpoints/x/variables/ids: the operation declares no variable $ids; did you mean $id?",
        ),
        (json!({"query": USER, "variables": [1]}), "/endpoints/x/variables: must be a mapping"),
        (
            json!({"query": USER, "params": {"ids": 1}}),
            "/endpoints/x/params/ids: the operation declares no variable $ids",
        ),
        (json!({"query": "subscription { a }"}), "/endpoints/x/query: is a subscription"),
        (json!({"query": ADD, "method": "GET"}), "/endpoints/x/method: a mutation does not go by GET"),
        (
            json!({"query": USER, "method": "PUT"}),
            "/endpoints/x/method: a GraphQL request is a POST or a GET",
        ),
        (json!({"query": USER, "body_template": {}}), "/endpoints/x/body_template: does not go with `query`"),
        (json!({"query": USER, "decode": "text"}), "/endpoints/x/decode: does not go with `query`"),
        (json!({"path": "/", "variables": {}}), "/endpoints/x/variables: needs a GraphQL `query`"),
        (json!({"path": "/", "operation_name": "A"}), "/endpoints/x/operation_name: needs a GraphQL `query`"),
        (
            json!({"path": "/", "pagination": {"connection_path": "users"}}),
            "/endpoints/x/pagination: needs a GraphQL `query`",
        ),
        (
            json!({"query": USER, "pagination": {"style": "relay"}}),
            "/endpoints/x/pagination/connection_path: is needed with style relay",
        ),
        (
            json!({"query": USER, "pagination": {"style": "relay", "connection_path": "user", "cursor_variable": "n"}}),
            "/endpoints/x/pagination: cursor_variable: $n is no argument of `user`",
        ),
    ] {
        let fault = refused(endpoint);
        assert!(fault.message.contains(says), "{:?} does not say {says:?}", fault.message);
    }
}

// ---- what comes back ----

#[test]
fn the_answer_is_the_whole_document_or_what_the_path_finds() {
    let (_server, api) = answered(DATA, json!({"query": USER, "response_path": "data.user"}));
    assert_eq!(api.fetch("x", None, None).unwrap().text(), r#"{"name": "Ann"}"#);
    let (_server, api) = bench(
        response("200 OK", "Content-Type: application/graphql-response+json\r\n", DATA),
        json!({"query": USER}),
    );
    assert_eq!(api.fetch("x", None, None).unwrap().text(), DATA);
}

#[test]
fn errors_beside_data_fail_with_the_data_as_partial() {
    let (_server, api) = answered(PARTIAL, json!({"query": USER, "response_path": "data.user"}));
    let fault = api.fetch("x", None, None).unwrap_err();
    assert_fault(
        &fault,
        HTTP_STATUS,
        "GraphQL error: no name at user.name (INTERNAL_SERVER_ERROR) (the first of 2 errors)",
    );
    assert_eq!((fault.http_status, fault.category.as_str(), fault.retryable), (200, "SERVER", false));
    assert_eq!(fault.partial.as_ref().unwrap().text(), r#"{"name": null}"#);
    assert_eq!(fault.response_body, PARTIAL.as_bytes());
    assert_fault_keeps_secrets(&fault);
    // Of a send, the partial is the whole answer, as its result is.
    let fault = api.send("x", "{}", None).unwrap_err();
    assert_eq!(fault.partial.unwrap().text(), PARTIAL);
}

#[test]
fn where_errors_are_warnings_the_data_is_delivered() {
    let (_server, api) =
        answered(PARTIAL, json!({"query": USER, "response_path": "data.user", "graphql_errors": "warn"}));
    let answer = api.fetch("x", None, None).unwrap();
    assert_eq!(answer.text(), r#"{"name": null}"#);
    // Before them comes that the credentials travel in the clear.
    let warnings = &answer.meta["warnings"].as_array().unwrap()[1..];
    assert_eq!(
        warnings,
        ["GraphQL error: no name at user.name (INTERNAL_SERVER_ERROR)", "GraphQL error: and more"]
    );
}

#[test]
fn errors_without_data_fail_whatever_the_policy() {
    for policy in ["fail", "warn"] {
        for body in [r#"{"errors": [{"message": "no"}]}"#, r#"{"data": null, "errors": [{"message": "no"}]}"#]
        {
            let (_server, api) = answered(body, json!({"query": USER, "graphql_errors": policy}));
            let fault = api.fetch("x", None, None).unwrap_err();
            assert_fault(&fault, HTTP_STATUS, "GraphQL error: no");
            assert!(fault.partial.is_none());
            assert_eq!(fault.json["response_body"], body);
        }
    }
}

#[test]
fn codes_have_their_status_and_category() {
    for (code, status, category) in [
        ("FORBIDDEN", AUTH, "AUTH"),
        ("THROTTLED", RATE_LIMITED, "RATE_LIMIT"),
        ("BAD_USER_INPUT", HTTP_STATUS, "VALIDATION"),
        ("ELSE", HTTP_STATUS, "UNKNOWN"),
    ] {
        let body = json!({"errors": [{"message": "no", "extensions": {"code": code}}]}).to_string();
        let (_server, api) = answered(&body, json!({"query": USER}));
        let fault = api.fetch("x", None, None).unwrap_err();
        assert_fault(&fault, status, code);
        assert_eq!((fault.category.as_str(), &fault.json["error_category"]), (category, &json!(category)));
    }
}

#[test]
fn a_secret_in_an_errors_message_is_not_said() {
    drop(faulty::api("http://127.0.0.1:9", &json!({})));
    let body =
        json!({"data": {}, "errors": [{"message": format!("{}{KEY}", "x".repeat(190)), "path": [KEY]}]})
            .to_string();
    let (_server, api) = answered(
        &body,
        json!({"query": "query ($k: ID) { a(k: $k) }", "params": {"k": "${APL_TEST_QUERY_KEY}"}}),
    );
    let fault = api.fetch("x", None, None).unwrap_err();
    assert!(fault.message.contains("xxx"), "{}", fault.message);
    assert_fault_keeps_secrets(&fault);
    assert!(!fault.message.contains("canary"), "a piece of a secret is in {}", fault.message);
}

#[test]
fn an_answer_that_is_no_graphql_is_not_handed_on() {
    for body in ["{}", "[]", r#"{"message": "hello"}"#, r#"{"errors": "x"}"#, "<html>"] {
        let (_server, api) =
            answered(body, json!({"query": USER, "graphql_errors": "warn", "on_missing": "whole"}));
        assert_fault(&api.fetch("x", None, None).unwrap_err(), DECODE, "the answer is not ");
    }
}

#[test]
fn a_refusals_message_is_the_first_errors() {
    let wire = response(
        "400 Bad Request",
        "Content-Type: application/graphql-response+json\r\n",
        r#"{"errors": [{"message": "no field `x`"}]}"#,
    );
    let (_server, api) = bench(wire, json!({"query": USER}));
    let fault = api.fetch("x", None, None).unwrap_err();
    assert_fault(&fault, HTTP_STATUS, "the server answered 400: no field `x`");
    assert_eq!((fault.http_status, fault.category.as_str()), (400, "VALIDATION"));
}

#[test]
fn a_query_is_repeated_after_a_failure_and_a_mutation_is_not() {
    for (query, requests) in [(USER, 3), (ADD, 1)] {
        let server = Server::start(answering(|_| response("502 Bad Gateway", "", "")));
        let keys = json!({"retry_count": 3, "retry_delay": 0, "endpoints": {"x": {"query": query}}});
        let api = faulty::api(&server.url(), &keys);
        let fault = api.fetch("x", None, None).unwrap_err();
        assert_fault(&fault, HTTP_STATUS, "502");
        assert_eq!((server.requests().len(), fault.retryable), (requests, requests == 3), "{query}");
    }
}

// ---- listings ----

const USERS: &str = "query($after: String, $role: Role) { users(after: $after) { nodes pageInfo { hasNextPage endCursor } } }";

/// Two pages of a connection; the second one says this beside its data.
fn two_pages(beside: &'static str) -> Server {
    Server::start(answering(move |request| {
        let sent: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(sent["variables"]["role"], json!({"a": [1]}));
        let (nodes, info, beside) = match sent["variables"]["after"].as_str() {
            None => ("[1, 2]", r#"{"hasNextPage": true, "endCursor": "c2"}"#, ""),
            Some("c2") => ("[3.50]", r#"{"hasNextPage": false, "endCursor": "c3"}"#, beside),
            Some(other) => panic!("another cursor: {other}"),
        };
        ok_json(format!(r#"{{"data": {{"users": {{"nodes": {nodes}, "pageInfo": {info}}}}}{beside}}}"#))
    }))
}

#[test]
fn a_connection_is_one_listing_whose_cursor_is_a_variable() {
    let endpoint = json!({"query": USERS, "pagination": {"connection_path": "users"}});
    let server = two_pages("");
    let api = faulty::api(&server.url(), &json!({"endpoints": {"x": endpoint}}));
    assert_eq!(api.fetch("x", Some(r#"{"role": {"a": [1]}}"#), None).unwrap().text(), "[1, 2,3.50]");
    assert_eq!(server.requests().len(), 2);
    // The cursor of the listing stands over what the call says of the first page.
    assert_eq!(
        api.fetch("x", None, Some(r#"{"data": {"role": {"a": [1]}}}"#)).unwrap().text(),
        "[1, 2,3.50]"
    );
}

#[test]
fn errors_on_a_page_end_its_listing_with_what_came_before() {
    let beside = r#", "errors": [{"message": "late", "extensions": {"code": "FORBIDDEN"}}]"#;
    let server = two_pages(beside);
    let keys = |policy: &str| {
        json!({"endpoints": {"x": {"query": USERS, "graphql_errors": policy, "variables": {"role": {"a": [1]}},
               "pagination": {"style": "relay", "connection_path": "data.users"}}}})
    };
    let fault = faulty::api(&server.url(), &keys("fail")).fetch("x", None, None).unwrap_err();
    assert_fault(&fault, AUTH, "GraphQL error: late (FORBIDDEN)");
    assert_eq!((fault.partial.unwrap().text(), &fault.json["page"]), ("[1, 2]", &json!(2)));
    let all = faulty::api(&server.url(), &keys("warn")).fetch("x", None, None).unwrap();
    assert_eq!(all.text(), "[1, 2,3.50]");
    assert!(
        all.meta["warnings"].to_string().contains("GraphQL error: late (FORBIDDEN)"),
        "{}",
        all.meta["warnings"]
    );
}
