//! Listings: every record once, in order, or an error with where to go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
#[path = "support/listing.rs"]
mod listing;
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use api::{
    Answer, Api, CANCELLED, Cancel, DECODE, Fault, HTTP_STATUS, INVALID_ARGUMENT, INVALID_CONFIG, Next,
    PAGINATION, Stream, TIMEOUT, TOO_LARGE,
};
use listing::{Listing, STYLES};
use serde_json::{Value, json};
use support::{Gate, Request, Server, answering, ok_json, read_request, response};

const LISTING: Listing = Listing { records: 17, size: 5 };

fn config(server: &Server, endpoints: Value) -> Value {
    json!({"base_url": server.url(), "timeout": 15, "retry_count": 1, "endpoints": endpoints})
}

fn api_of(config: &Value) -> Api {
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message))
}

fn api(server: &Server, further: &Value) -> Api {
    api_of(&config(server, LISTING.endpoints(further)))
}

/// One endpoint, `x`, at `/x`.
fn one(server: &Server, pagination: Value) -> Api {
    api_of(&config(server, json!({"x": {"path": "/x", "pagination": pagination}})))
}

fn serving() -> Server {
    Server::start(answering(|request| LISTING.answer(request)))
}

fn ids(array: &[u8]) -> Vec<u64> {
    let items: Vec<Value> = serde_json::from_slice(array).unwrap();
    items.iter().map(|item| item["id"].as_u64().unwrap()).collect()
}

fn id(record: &[u8]) -> u64 {
    serde_json::from_slice::<Value>(record).unwrap()["id"].as_u64().unwrap()
}

fn all() -> Vec<u64> {
    (1..=LISTING.records as u64).collect()
}

fn targets(server: &Server) -> Vec<String> {
    server.requests().iter().map(|r| r.target().to_owned()).collect()
}

fn items(stream: &Stream) -> (Vec<Vec<u8>>, Result<(), Fault>) {
    let mut items = Vec::new();
    loop {
        match stream.next() {
            Ok(Next::Item(item)) => items.push(item),
            Ok(Next::End) => return (items, Ok(())),
            Ok(Next::Idle) => panic!("idle"),
            Err(fault) => return (items, Err(fault)),
        }
    }
}

fn fails<T>(outcome: Result<T, Fault>, status: i32, words: &str) -> Fault {
    let Err(fault) = outcome else { panic!("it went well, and not with {words}") };
    assert_eq!(fault.status, status, "{} {}", fault.name, fault.message);
    assert!(fault.message.contains(words), "{words:?} is not in {:?}", fault.message);
    fault
}

fn partial(fault: &Fault) -> &Answer {
    fault.partial.as_ref().expect("the error has a partial")
}

fn checkpoint(answer: &Answer) -> String {
    json!({"checkpoint": answer.meta["checkpoint"].as_str().expect("a checkpoint")}).to_string()
}

#[test]
fn every_style_gives_every_record_once_as_one_array_as_pages_and_as_records() {
    for style in STYLES {
        let server = serving();
        let api = api(&server, &json!({}));
        let answer = api.fetch(style, None, None).unwrap_or_else(|e| panic!("{style}: {}", e.message));
        assert_eq!(ids(answer.text().as_bytes()), all(), "{style}");
        let asked = LISTING.requests(style);
        assert_eq!(server.requests().len(), asked, "{style}: {:?}", targets(&server));
        assert_eq!(answer.meta["pages"].as_array().unwrap().len(), asked);
        assert_eq!(answer.meta["pages"][0]["items"], 5);
        assert_eq!((&answer.meta["items"], &answer.meta["warnings"]), (&json!(17), &json!([])), "{style}");
        assert_eq!(answer.meta["checkpoint"], Value::Null);

        let (pages, end) = items(&api.pages(style, None, None, None).unwrap());
        end.unwrap();
        assert_eq!(pages.iter().map(|p| ids(p).len()).collect::<Vec<_>>(), [5, 5, 5, 2], "{style}");
        assert_eq!(pages.iter().flat_map(|p| ids(p)).collect::<Vec<_>>(), all());

        let (records, end) = items(&api.records(style, None, None, None).unwrap());
        end.unwrap();
        assert_eq!(records.iter().map(|r| id(r)).collect::<Vec<_>>(), all(), "{style}");
        assert_eq!(server.requests().len(), 3 * asked, "{style}");
    }
}

#[test]
fn the_records_are_the_servers_own_bytes() {
    let pages = [
        "{\"d\": [ {\"n\": 1.10} , -0,\n123456789012345678901234567890, \"\\ud800,]\" ], \"next\": 2}",
        "{\"next\": null, \"d\": [], \"d\": [[],{\"a\":1,\"a\":2}]}",
    ];
    let server = Server::start(answering(move |request| {
        ok_json(if request.target().contains("page=2") { pages[1] } else { pages[0] })
    }));
    let api = one(&server, json!({"data_path": "d", "next_page_path": "next"}));
    let records =
        ["{\"n\": 1.10}", "-0", "123456789012345678901234567890", "\"\\ud800,]\"", "[]", "{\"a\":1,\"a\":2}"];
    assert_eq!(
        api.fetch("x", None, None).unwrap().text(),
        "[{\"n\": 1.10} , -0,\n123456789012345678901234567890, \"\\ud800,]\",[],{\"a\":1,\"a\":2}]"
    );
    let (found, end) = items(&api.records("x", None, None, None).unwrap());
    end.unwrap();
    assert_eq!(found, records.map(|r| r.as_bytes().to_vec()));
    let (found, end) = items(&api.pages("x", None, None, None).unwrap());
    end.unwrap();
    assert_eq!(found[0], b"[ {\"n\": 1.10} , -0,\n123456789012345678901234567890, \"\\ud800,]\" ]");
    assert_eq!(found[1], b"[[],{\"a\":1,\"a\":2}]");
}

#[test]
fn from_every_place_another_connector_goes_on_without_loss_or_duplicate() {
    for style in STYLES {
        let server = serving();
        for by_page in [true, false] {
            let whole = if by_page { 4 } else { 17 };
            for stop in 0..=whole {
                let open = |options: Option<&str>| {
                    let api = api(&server, &json!({}));
                    if by_page {
                        api.pages(style, None, options, None)
                    } else {
                        api.records(style, None, options, None)
                    }
                };
                let first = open(None).unwrap();
                let mut found = Vec::new();
                for _ in 0..stop {
                    let Next::Item(item) = first.next().unwrap() else { panic!("{style} ended at {stop}") };
                    found.extend(if by_page { ids(&item) } else { vec![id(&item)] });
                }
                let options = json!({"checkpoint": first.checkpoint().unwrap()}).to_string();
                drop(first);
                // Records, pages and a whole fetch go on from each other's places.
                let rest = if stop % 2 == 0 {
                    ids(api(&server, &json!({})).fetch(style, None, &*options).unwrap().text().as_bytes())
                } else {
                    let (rest, end) = items(&open(Some(&options)).unwrap());
                    end.unwrap();
                    rest.iter().flat_map(|item| if by_page { ids(item) } else { vec![id(item)] }).collect()
                };
                found.extend(rest);
                assert_eq!(found, all(), "{style}, by page: {by_page}, stopped at {stop}");
            }
        }
    }
}

#[test]
fn the_users_limits_end_it_well_with_a_warning_and_a_checkpoint() {
    for style in STYLES {
        for (limits, count) in [
            (json!({"max_pages": 2}), 10),
            (json!({"max_records": 7}), 7),
            (json!({"max_records": 10}), 10),
            (json!({"max_pages": 1, "max_records": 3}), 3),
        ] {
            let server = serving();
            let api = api(&server, &limits);
            let answer = api.fetch(style, None, None).unwrap();
            assert_eq!(ids(answer.text().as_bytes()), all()[..count], "{style} {limits}");
            assert_eq!(server.requests().len(), count.div_ceil(5), "{style} {limits}");
            assert_eq!(answer.meta["warnings"].as_array().unwrap().len(), 1, "{}", answer.meta);
            let mut found = ids(answer.text().as_bytes());
            let mut options = checkpoint(&answer);
            while found.len() < 17 {
                let answer = api.fetch(style, None, &*options).unwrap();
                let more = ids(answer.text().as_bytes());
                assert!(!more.is_empty(), "{style} {limits}: {}", answer.meta);
                found.extend(more);
                if found.len() < 17 {
                    options = checkpoint(&answer);
                }
            }
            assert_eq!(found, all(), "{style} {limits}");

            let stream = api.records(style, None, None, None).unwrap();
            let (records, end) = items(&stream);
            end.unwrap();
            assert_eq!(records.len(), count);
            let meta = stream.response().unwrap().meta;
            assert!(meta["warnings"].to_string().contains("stopped after"), "{meta}");
            let options = json!({"checkpoint": stream.checkpoint().unwrap()}).to_string();
            let Next::Item(next) = api.records(style, None, &*options, None).unwrap().next().unwrap() else {
                panic!()
            };
            assert_eq!(id(&next), count as u64 + 1);
        }
    }
}

#[test]
fn limits_that_are_just_reached_at_the_end_are_no_reason_to_warn() {
    let server = serving();
    for limits in [json!({"max_pages": 4}), json!({"max_records": 17})] {
        let answer = api(&server, &limits).fetch("cursor", None, None).unwrap();
        assert_eq!((&answer.meta["warnings"], &answer.meta["checkpoint"]), (&json!([]), &Value::Null));
    }
}

/// A server whose pages have one item each, and whose next page is what `next` says of the page's number and its host.
fn leading(next: impl Fn(usize, &str) -> Value + Send + Sync + 'static) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(answering(move |request| {
        let n = count.fetch_add(1, SeqCst) + 1;
        let next = next(n, request.header("Host").unwrap());
        ok_json(json!({"data": [{"id": n}], "next": next}).to_string())
    }))
}

#[test]
fn a_next_page_at_another_origin_is_an_error_and_nothing_is_asked_there() {
    let other = serving();
    let place = other.address().to_string();
    let port = other.address().port();
    for link in [
        format!("http://{place}/x"),
        format!("//{place}/x"),
        format!("https://127.0.0.1:{port}/x"),
        format!("http://api@{place}/x"),
        format!("http://localhost:{port}/x"),
        "http://127.0.0.1.evil.example/x".to_owned(),
        "ftp://127.0.0.1/x".to_owned(),
        "/\\evil.example/x".to_owned(),
        "http:evil".to_owned(),
    ] {
        for style in
            [json!({"style": "json_link", "next_url_path": "next"}), json!({"next_page_path": "next"})]
        {
            let reference = style["style"].is_null();
            if reference && !link.contains("://") && !link.starts_with('/') {
                continue;
            }
            let to = link.clone();
            let server = leading(move |n, _| if n == 1 { json!("/x?2") } else { json!(to) });
            let mut pagination = style;
            pagination["data_path"] = "data".into();
            let api = one(&server, pagination);
            let fault = fails(api.fetch("x", None, None), PAGINATION, "page 2");
            assert_eq!(ids(partial(&fault).text().as_bytes()), [1, 2], "{link}");
            assert_eq!(server.requests().len(), 2, "{link}");
            assert_eq!(fault.json["page"], 2);
            let stream = api.records("x", None, None, None).unwrap();
            let (records, end) = items(&stream);
            assert!(records.len() <= 2);
            fails(end, PAGINATION, "");
        }
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn records_in_front_of_a_link_that_is_not_followed_are_given_once_and_it_goes_on_when_the_link_is_good() {
    let evil = Arc::new(AtomicBool::new(true));
    let is_evil = evil.clone();
    let server = Server::start(answering(move |request| {
        let next = match request.target() {
            "/x" => "/x?2",
            "/x?2" if is_evil.load(SeqCst) => "http://evil.example/",
            "/x?2" => "/x?3",
            _ => "",
        };
        let id = request.target().split('?').nth(1).map_or(1, |n| n.parse::<u64>().unwrap());
        ok_json(json!({"data": [{"id": id}], "next": next}).to_string())
    }));
    let api = one(&server, json!({"data_path": "data", "next_url_path": "next"}));
    let fault = fails(api.fetch("x", None, None), PAGINATION, "evil.example");
    assert_eq!(ids(partial(&fault).text().as_bytes()), [1, 2]);
    let options = checkpoint(partial(&fault));
    let fault = fails(api.fetch("x", None, &*options), PAGINATION, "evil.example");
    assert_eq!(partial(&fault).text(), "[]");
    let options = checkpoint(partial(&fault));
    evil.store(false, SeqCst);
    assert_eq!(ids(api.fetch("x", None, &*options).unwrap().text().as_bytes()), [3]);
}

#[test]
fn a_next_page_at_the_same_origin_is_asked_for_with_the_credentials_however_it_is_written() {
    let server = leading(|n, host| match n {
        1 => json!(format!("HTTP://{host}/elsewhere?a=b#fragment")),
        2 => json!("?c=d"),
        3 => json!("other/path"),
        4 => json!("/x"),
        _ => Value::Null,
    });
    let mut config = config(
        &server,
        json!({"x": {"path": "/v1/x", "params": {"first": 1}, "headers": {"X-A": "b"},
                     "pagination": {"style": "json_link", "data_path": "data", "next_url_path": "next"}}}),
    );
    config["auth"] = json!({"type": "bearer", "token": "canary-token"});
    assert_eq!(ids(api_of(&config).fetch("x", None, None).unwrap().text().as_bytes()), [1, 2, 3, 4, 5]);
    assert_eq!(targets(&server), ["/v1/x?first=1", "/elsewhere?a=b", "/elsewhere?c=d", "/other/path", "/x"]);
    for request in server.requests() {
        assert_eq!(request.header("Authorization"), Some("Bearer canary-token"));
        assert_eq!(request.header("X-A"), Some("b"));
    }
}

#[test]
fn an_allowed_origin_may_have_the_next_page_and_gets_the_credentials() {
    let other = Server::start(answering(|_| ok_json(r#"{"data": [{"id": 2}], "next": null}"#)));
    let place = format!("{}/more", other.url());
    let server = leading(move |_, _| json!(place));
    let mut config = config(
        &server,
        json!({"x": {"path": "/x", "headers": {"Host": "virtual.example"},
                     "pagination": {"style": "json_link", "data_path": "data", "next_url_path": "next"}}}),
    );
    config["auth"] = json!({"type": "bearer", "token": "canary-token"});
    config["allow_origins"] = json!([other.url()]);
    assert_eq!(ids(api_of(&config).fetch("x", None, None).unwrap().text().as_bytes()), [1, 2]);
    let request = &other.requests()[0];
    assert_eq!(request.header("Authorization"), Some("Bearer canary-token"));
    assert_eq!(request.header("Host"), Some(other.address().to_string().as_str()));
    assert_eq!(server.requests()[0].header("Host"), Some("virtual.example"));
}

#[test]
fn a_secret_in_the_query_goes_along_to_the_next_page_and_is_seen_nowhere() {
    // One server leaves the key out of its links, the other says it back.
    for echo in ["", "&key=canary%2Fsecret"] {
        let server = leading(move |n, _| {
            if n < 3 { json!(format!("/x?at={n}{echo}")) } else { json!("//evil/?key=canary%2Fsecret") }
        });
        let mut config = config(
            &server,
            json!({"x": {"path": "/x", "pagination": {"style": "json_link", "data_path": "data", "next_url_path": "next"}}}),
        );
        config["auth"] =
            json!({"type": "api_key", "in": "query", "param_name": "key", "key": "canary/secret"});
        let api = api_of(&config);
        let stream = api.pages("x", None, None, None).unwrap();
        let mut seen = String::new();
        for _ in 0..3 {
            let Next::Item(_) = stream.next().unwrap() else { panic!() };
            seen += &stream.checkpoint().unwrap();
            seen += &stream.response().unwrap().meta.to_string();
        }
        seen += &fails(stream.next(), PAGINATION, "").everything();
        let decoded: String = seen
            .split(['.', '"'])
            .filter_map(|part| {
                base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, part.get(1..)?).ok()
            })
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect();
        assert!(!(seen + &decoded).contains("canary"));
        for target in targets(&server) {
            assert!(target.contains("key=canary%2Fsecret"), "{target}");
            assert_eq!(target.matches("canary").count(), 1, "{target}");
        }
        // And it goes on from a place that does not have it.
        let server = leading(move |n, _| if n < 3 { json!(format!("/x?at={n}{echo}")) } else { Value::Null });
        config["base_url"] = server.url().into();
        let api = api_of(&config);
        let first = api.pages("x", None, None, None).unwrap();
        let Next::Item(_) = first.next().unwrap() else { panic!() };
        let options = json!({"checkpoint": first.checkpoint().unwrap()}).to_string();
        assert_eq!(ids(api.fetch("x", None, &*options).unwrap().text().as_bytes()), [2, 3]);
        assert!(targets(&server).iter().all(|t| t.matches("key=canary%2Fsecret").count() == 1));
    }
}

#[test]
fn a_circle_is_an_error_after_exactly_its_pages() {
    for (tokens, asked) in [(&["a"][..], 2), (&["a", "b"], 3), (&["a", "b", "c"], 4)] {
        for pagination in [
            json!({"data_path": "data", "cursor_path": "next"}),
            json!({"data_path": "data", "next_page_path": "next"}),
        ] {
            let tokens: Vec<String> = tokens.iter().map(|t| (*t).to_owned()).collect();
            let server = leading(move |n, _| json!(tokens[(n - 1) % tokens.len()]));
            let api = one(&server, pagination);
            let fault = fails(api.fetch("x", None, None), PAGINATION, "circle");
            assert_eq!(server.requests().len(), asked);
            assert_eq!(ids(partial(&fault).text().as_bytes()).len(), asked);
            // It is no way around it.
            let fault = fails(api.fetch("x", None, &*checkpoint(partial(&fault))), PAGINATION, "");
            assert!(server.requests().len() <= 2 * asked + 2, "{}", fault.message);
        }
    }
    // A link back to the first page, too.
    let server =
        leading(|n, host| json!(if n == 1 { "/x?2".to_owned() } else { format!("http://{host}/x") }));
    let fault = fails(
        one(&server, json!({"data_path": "data", "next_url_path": "next"})).fetch("x", None, None),
        PAGINATION,
        "circle",
    );
    assert_eq!((server.requests().len(), ids(partial(&fault).text().as_bytes())), (2, vec![1, 2]));
}

#[test]
fn a_page_that_comes_twice_is_an_error_and_its_records_are_not_doubled() {
    let server = Server::start(answering(|request| {
        let same = request.target().contains("page=1") || request.target().contains("page=3");
        ok_json(if same { r#"{"data": [{"id": 1}]}"# } else { r#"{"data": [{"id": 2}]}"# })
    }));
    // Pages 1, 2, 3 differ from the one before; 4 is as 2, which is not as 3.
    let server_of_one = Server::start(answering(|_| ok_json(r#"{"data": [{"id": 1}, {"id": 2}]}"#)));
    let fault = fails(
        one(&server_of_one, json!({"data_path": "data"})).fetch("x", None, None),
        PAGINATION,
        "same items",
    );
    assert_eq!((server_of_one.requests().len(), ids(partial(&fault).text().as_bytes())), (2, vec![1, 2]));
    fails(one(&server, json!({"data_path": "data"})).fetch("x", None, None), PAGINATION, "same items");
    assert_eq!(server.requests().len(), 5);
    // Where a call goes on, the page before is known still.
    let options = checkpoint(partial(&fault));
    let fault = fails(
        one(&server_of_one, json!({"data_path": "data"})).fetch("x", None, &*options),
        PAGINATION,
        "same items",
    );
    assert_eq!((server_of_one.requests().len(), partial(&fault).text()), (3, "[]"));
}

#[test]
fn a_listing_without_end_meets_the_guard() {
    let server = leading(|n, _| json!(format!("token {n}")));
    let mut config = config(
        &server,
        json!({"x": {"path": "/x", "pagination": {"data_path": "data", "cursor_path": "next"}}}),
    );
    config["limits"] = json!({"max_pages_guard": 7});
    let api = api_of(&config);
    let fault = fails(api.fetch("x", None, None), PAGINATION, "max_pages_guard");
    assert_eq!((server.requests().len(), ids(partial(&fault).text().as_bytes()).len()), (7, 7));
    let fault = fails(api.fetch("x", None, &*checkpoint(partial(&fault))), PAGINATION, "max_pages_guard");
    assert_eq!(ids(partial(&fault).text().as_bytes()), (8..15).collect::<Vec<_>>());
}

#[test]
fn empty_pages_end_what_is_counted_and_are_passed_over_where_a_token_goes_on() {
    // Two empty pages between full ones.
    let answer = |request: &Request| {
        let at = request.target().split("cursor=").nth(1).map_or(0, |n| n.parse::<u32>().unwrap());
        let data = if matches!(at, 1 | 2 | 4 | 5) { json!([]) } else { json!([{"id": at}]) };
        ok_json(json!({"data": data, "next": (at < 6).then_some(at + 1)}).to_string())
    };
    let server = Server::start(answering(answer));
    let api = one(&server, json!({"data_path": "data", "cursor_path": "next"}));
    assert_eq!(ids(api.fetch("x", None, None).unwrap().text().as_bytes()), [0, 3, 6]);
    let (pages, end) = items(&api.pages("x", None, None, None).unwrap());
    end.unwrap();
    assert_eq!(pages.len(), 3);
    let api = one(&server, json!({"data_path": "data", "cursor_path": "next", "max_empty_pages": 2}));
    let fault = fails(api.fetch("x", None, None), PAGINATION, "max_empty_pages");
    assert_eq!(ids(partial(&fault).text().as_bytes()), [0]);

    let empty = Server::start(answering(|_| ok_json(r#"{"data": []}"#)));
    assert_eq!(one(&empty, json!({"data_path": "data"})).fetch("x", None, None).unwrap().text(), "[]");
    let none = Server::start(answering(|_| response("204 No Content", "", "")));
    assert_eq!(one(&none, json!({"data_path": "data"})).fetch("x", None, None).unwrap().text(), "[]");
    assert_eq!((empty.requests().len(), none.requests().len()), (1, 1));
}

#[test]
fn what_cannot_be_a_next_page_is_an_error() {
    for (next, words) in [(json!(true), "`true`"), (json!({"a": 1}), "an object"), (json!([1]), "an array")] {
        for pagination in [
            json!({"next_page_path": "next"}),
            json!({"cursor_path": "next"}),
            json!({"next_url_path": "next"}),
        ] {
            let next = next.clone();
            let server = leading(move |_, _| next.clone());
            let mut pagination = pagination;
            pagination["data_path"] = "data".into();
            fails(one(&server, pagination).fetch("x", None, None), PAGINATION, words);
            assert_eq!(server.requests().len(), 1);
        }
    }
    for (next, ends) in [(json!(null), true), (json!(""), true), (json!(false), true), (json!("a"), false)] {
        let more = next.clone();
        let server = leading(move |n, _| if n == 1 { more.clone() } else { Value::Null });
        one(&server, json!({"data_path": "data", "next_page_path": "next"})).fetch("x", None, None).unwrap();
        assert_eq!(server.requests().len(), if ends { 1 } else { 2 }, "{next}");
    }
    let large = leading(|_, _| json!("x".repeat(1 << 20)));
    fails(
        one(&large, json!({"data_path": "data", "cursor_path": "next"})).fetch("x", None, None),
        TOO_LARGE,
        "bytes long",
    );
    for link in ["</2; rel=next", "/2; rel=next", "</2>; rel=next, </3>; rel=next"] {
        let server = Server::start(answering(move |_| {
            response("200 OK", &format!("Link: {link}\r\n"), "[{\"id\": 1}]")
        }));
        fails(one(&server, json!({"style": "header_link"})).fetch("x", None, None), PAGINATION, "Link");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn items_that_are_none_are_an_error_with_the_page_and_the_pages_before() {
    for (body, words) in [
        ("{\"data\": null}", "are null"),
        ("{\"data\": {\"id\": 1}}", "an object"),
        ("{\"data\": \"[]\"}", "a string"),
        ("{\"other\": []}", "finds nothing"),
        ("{\"data\": [", "not JSON"),
        ("[]", "finds nothing"),
    ] {
        let server = Server::start(answering(move |request| {
            if request.target().contains("page=3") {
                ok_json(body)
            } else {
                LISTING_OF_NUMBERS.answer(request)
            }
        }));
        let api =
            api_of(&config(&server, json!({"x": {"path": "/numbers", "pagination": {"data_path": "data"}}})));
        let fault = fails(api.fetch("x", None, None), DECODE, words);
        assert_eq!(fault.json["page"], 3, "{}", fault.message);
        assert_eq!(ids(partial(&fault).text().as_bytes()), (1..=10).collect::<Vec<_>>());
        assert_eq!(server.requests().len(), 3);
    }
}

const LISTING_OF_NUMBERS: Listing = Listing { records: 25, size: 5 };

#[test]
fn a_page_that_fails_for_ever_leaves_those_before_it_and_the_checkpoint_gives_the_others() {
    let sick = Arc::new(AtomicBool::new(true));
    let is_sick = sick.clone();
    let server = Server::start(answering(move |request| {
        if request.target().contains("page=3") && is_sick.load(SeqCst) {
            return response("500 Oh", "", "no");
        }
        LISTING_OF_NUMBERS.answer(request)
    }));
    let mut config = config(&server, json!({"x": {"path": "/numbers", "pagination": {"data_path": "data"}}}));
    config["retry_count"] = 3.into();
    config["retry_delay"] = 0.001.into();
    let api = api_of(&config);
    let fault = fails(api.fetch("x", None, None), HTTP_STATUS, "page 3");
    assert_eq!(server.requests().len(), 5);
    assert_eq!((&fault.json["page"], fault.json["attempts"].as_array().unwrap().len()), (&json!(3), 3));
    let before = ids(partial(&fault).text().as_bytes());
    assert_eq!(before, (1..=10).collect::<Vec<_>>());
    assert_eq!(partial(&fault).meta["pages"].as_array().unwrap().len(), 2);
    sick.store(false, SeqCst);
    let after = api.fetch("x", None, &*checkpoint(partial(&fault))).unwrap();
    assert_eq!(ids(after.text().as_bytes()), (11..=25).collect::<Vec<_>>());
    assert_eq!(after.meta["pages"].as_array().unwrap().len(), 4);
}

#[test]
fn a_checkpoint_is_of_its_listing_alone_and_a_changed_page_is_noticed() {
    let server = serving();
    let api = api(&server, &json!({}));
    let stream = api.records("cursor", r#"{"q": "a"}"#, None, None).unwrap();
    for _ in 0..7 {
        stream.next().unwrap();
    }
    let text = stream.checkpoint().unwrap();
    let options = json!({"checkpoint": text}).to_string();
    fails(api.fetch("cursor", r#"{"q": "b"}"#, &*options), INVALID_ARGUMENT, "another listing");
    fails(api.fetch("last", r#"{"q": "a"}"#, &*options), INVALID_ARGUMENT, "another endpoint");
    let broken = json!({"checkpoint": text.replace('p', "q")}).to_string();
    fails(api.fetch("cursor", r#"{"q": "a"}"#, &*broken), INVALID_ARGUMENT, "/checkpoint");
    for other in ["", "p1", "e1.YQ.00000000"] {
        fails(
            api.fetch("cursor", None, &*json!({"checkpoint": other}).to_string()),
            INVALID_ARGUMENT,
            "/checkpoint",
        );
    }
    let asked = server.requests().len();
    assert_eq!(ids(api.fetch("cursor", r#"{"q": "a"}"#, &*options).unwrap().text().as_bytes()), all()[7..]);
    assert_eq!(server.requests().len(), asked + 3);

    // Somebody has put a record before those that were handed out.
    let changed = Server::start(answering(|request| Listing { records: 18, size: 6 }.answer(request)));
    let mut config = config(&changed, LISTING.endpoints(&json!({})));
    config["endpoints"]["cursor"]["path"] = "/cursor".into();
    let place = {
        let api = api_of(&config);
        let stream = api.records("json_link", None, None, None).unwrap();
        for _ in 0..4 {
            stream.next().unwrap();
        }
        stream.checkpoint().unwrap()
    };
    let moved = Mutex::new(());
    let server = Server::start(answering(move |request| {
        let _one = moved.lock();
        let text = String::from_utf8(Listing { records: 18, size: 6 }.answer(request)).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        ok_json(body.replacen("\"id\":2", "\"id\":99", 1))
    }));
    // The checkpoint is of the same listing, whoever serves it.
    config["resolve"] = json!({(changed.address().to_string()): server.address().to_string()});
    let api = api_of(&config);
    let fault = fails(
        api.fetch("json_link", None, &*json!({"checkpoint": place}).to_string()),
        PAGINATION,
        "has changed",
    );
    assert_eq!(partial(&fault).text(), "[]");
}

#[test]
fn a_program_that_stops_reading_asks_for_nothing_more() {
    let server = serving();
    let api = api(&server, &json!({}));
    let stream = api.records("cursor", None, None, None).unwrap();
    assert_eq!(server.requests().len(), 0);
    for _ in 0..5 {
        stream.next().unwrap();
    }
    assert_eq!(server.requests().len(), 1);
    let place = stream.checkpoint().unwrap();
    drop(stream);
    assert_eq!(server.requests().len(), 1);
    let options = json!({"checkpoint": place}).to_string();
    let Next::Item(next) = api.records("cursor", None, &*options, None).unwrap().next().unwrap() else {
        panic!()
    };
    assert_eq!(id(&next), 6);
}

#[test]
fn the_call_may_say_where_to_begin_and_how_large_pages_are() {
    let server = serving();
    let api = api(&server, &json!({}));
    assert_eq!(ids(api.fetch("numbers", r#"{"page": 3}"#, None).unwrap().text().as_bytes()), all()[10..]);
    assert_eq!(ids(api.fetch("offset", r#"{"offset": 4}"#, None).unwrap().text().as_bytes()), all()[4..]);
    fails(api.fetch("numbers", r#"{"page": "x"}"#, None), INVALID_ARGUMENT, "whole number");
    let explained = api.explain("numbers", None, None).unwrap();
    assert!(explained.text().contains("page=1&page_size=5"), "{}", explained.text());
    // A short page is short of what the call has asked for.
    let server = Server::start(answering(|request| {
        let from = request.target().contains("offset=2");
        ok_json(if from { "[{\"id\":3}]" } else { "[{\"id\":1},{\"id\":2}]" })
    }));
    let api = one(&server, json!({"style": "offset", "limit": 100, "stop_on_short_page": true}));
    assert_eq!(ids(api.fetch("x", r#"{"limit": 2}"#, None).unwrap().text().as_bytes()), [1, 2, 3]);
    assert_eq!(targets(&server), ["/x?offset=0&limit=2", "/x?offset=2&limit=2"]);
}

#[test]
fn pages_are_asked_for_ahead_at_once_and_given_in_order() {
    let gates: Arc<Vec<Gate>> = Arc::new((0..4).map(|_| Gate::new()).collect());
    let handler = {
        let gates = gates.clone();
        answering(move |request| {
            let page: usize =
                request.target().split("page=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
            // Each waits for the one behind it: one after the other, nobody would be answered.
            if page < 4 {
                gates[page].wait();
            }
            if page <= 4 {
                gates[page - 1].open();
            }
            LISTING.answer(request)
        })
    };
    let server = Server::start(handler);
    let api = api(&server, &json!({}));
    let answer = api.fetch("total", None, r#"{"prefetch": 3}"#).unwrap();
    assert_eq!(ids(answer.text().as_bytes()), all());
    assert_eq!((server.requests().len(), server.connections()), (4, 4));
    fails(api.fetch("cursor", None, r#"{"prefetch": 3}"#), INVALID_ARGUMENT, "/prefetch");
    fails(api.fetch("total", None, r#"{"prefetch": 1000}"#), INVALID_ARGUMENT, "/prefetch");
}

#[test]
fn what_was_asked_for_ahead_is_given_up_where_the_listing_goes_another_way() {
    // The server has a limit of its own: what follows is not where it was thought to be.
    for prefetch in [1, 3, 9] {
        let server = Server::start(answering(|request| Listing { records: 17, size: 3 }.answer(request)));
        let options = json!({"prefetch": prefetch}).to_string();
        let answer = api(&server, &json!({})).fetch("offset", None, &*options).unwrap();
        assert_eq!(ids(answer.text().as_bytes()), all(), "{prefetch}");
        let (records, end) =
            items(&api(&server, &json!({})).records("numbers", None, &*options, None).unwrap());
        end.unwrap();
        assert_eq!(records.iter().map(|r| id(r)).collect::<Vec<_>>(), all());
    }
    // Behind the end there may be anything.
    let server = Server::start(answering(|request| {
        let page = request.target().split("page=").nth(1).unwrap().to_owned();
        if page.len() > 1 || page.as_str() > "4" {
            response("404 Not Found", "", "")
        } else {
            LISTING.answer(request)
        }
    }));
    let answer = api(&server, &json!({})).fetch("total", None, r#"{"prefetch": 9}"#).unwrap();
    assert_eq!(ids(answer.text().as_bytes()), all());
    // Never more than the caller's limit.
    let server = serving();
    api(&server, &json!({"max_pages": 2})).fetch("numbers", None, r#"{"prefetch": 9}"#).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_signer_runs_on_the_callers_thread_for_pages_asked_for_ahead_too() {
    let server = serving();
    let api = api(&server, &json!({}));
    let caller = std::thread::current().id();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    api.on_request(move |_| {
        assert_eq!(std::thread::current().id(), caller);
        counted.fetch_add(1, SeqCst);
        0
    })
    .unwrap();
    api.fetch("total", None, r#"{"prefetch": 3}"#).unwrap();
    assert_eq!(count.load(SeqCst), 4);
}

#[test]
fn a_cancel_and_the_deadline_end_it_with_what_there_is() {
    let server = Server::start(|mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            if request.target().contains("page=3") {
                return support::finish(stream, support::Close::Keep);
            }
            std::io::Write::write_all(&mut stream, &LISTING.answer(&request)).unwrap();
        }
    });
    let api = api(&server, &json!({}));
    let fault = fails(api.fetch("total", None, r#"{"deadline": 0.3}"#), TIMEOUT, "page 3");
    assert_eq!(ids(partial(&fault).text().as_bytes()).len(), 10);
    let cancel = Cancel::new();
    let asked = server.requests().len();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            server.wait_requests(asked + 3);
            cancel.trigger();
        });
        let fault = fails(api.fetch_until("total", None, None, Some(&cancel)), CANCELLED, "page 3");
        assert_eq!(ids(partial(&fault).text().as_bytes()).len(), 10);
        assert!(!checkpoint(partial(&fault)).is_empty());
    });
    let stream = api.pages("total", None, None, None).unwrap();
    stream.next().unwrap();
    stream.next().unwrap();
    let asked = server.requests().len();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            server.wait_requests(asked + 1);
            stream.close();
        });
        fails(stream.next(), CANCELLED, "");
    });
    assert!(stream.checkpoint().is_some());
}

#[test]
fn the_schema_is_held_against_every_page() {
    let server = serving();
    let mut endpoints = LISTING.endpoints(&json!({}));
    endpoints["cursor"]["response_schema"] = json!({"items": {"properties": {"id": {"not": {"const": 7}}}}});
    for (policy, count) in [("drop_item", 16), ("warn", 17), ("off", 17)] {
        endpoints["cursor"]["schema_policy"] = policy.into();
        let api = api_of(&config(&server, endpoints.clone()));
        let answer = api.fetch("cursor", None, None).unwrap();
        assert_eq!(ids(answer.text().as_bytes()).len(), count, "{policy}");
        assert_eq!(answer.meta["warnings"].as_array().unwrap().len(), usize::from(policy != "off"));
    }
    endpoints["offset"]["response_schema"] = endpoints["cursor"]["response_schema"].clone();
    endpoints["offset"]["schema_policy"] = "drop_item".into();
    // The next page is counted by what came, and not by what fits.
    let api = api_of(&config(&server, endpoints.clone()));
    assert_eq!(ids(api.fetch("offset", None, None).unwrap().text().as_bytes()).len(), 16);
    endpoints["cursor"]["schema_policy"] = "fail".into();
    let fault = fails(api_of(&config(&server, endpoints)).fetch("cursor", None, None), api::SCHEMA, "page 2");
    assert_eq!(ids(partial(&fault).text().as_bytes()), [1, 2, 3, 4, 5]);
}

#[test]
fn a_result_beyond_its_limit_is_an_error_and_pages_still_come() {
    let server = serving();
    let mut config = config(&server, LISTING.endpoints(&json!({})));
    config["limits"] = json!({"max_result": 300});
    let api = api_of(&config);
    let fault = fails(api.fetch("numbers", None, None), TOO_LARGE, "limits.max_result");
    let mut found = ids(partial(&fault).text().as_bytes());
    assert_eq!(found.len(), 10);
    let (rest, end) = items(&api.records("numbers", None, &*checkpoint(partial(&fault)), None).unwrap());
    end.unwrap();
    found.extend(rest.iter().map(|r| id(r)));
    assert_eq!(found, all());
}

#[test]
fn an_endpoint_without_pagination_is_a_listing_of_one_page() {
    let server = Server::start(answering(|request| match request.target() {
        "/one" => ok_json(r#"{"id": 1}"#),
        "/null" => ok_json("null"),
        _ => ok_json(r#"[{"id": 1}, {"id": 2}]"#),
    }));
    let api = api_of(&config(
        &server,
        json!({"many": {"path": "/many"}, "one": {"path": "/one"}, "null": {"path": "/null"}}),
    ));
    let (records, end) = items(&api.records("many", None, None, None).unwrap());
    end.unwrap();
    assert_eq!(records, [b"{\"id\": 1}", b"{\"id\": 2}"]);
    let (pages, end) = items(&api.pages("one", None, None, None).unwrap());
    end.unwrap();
    assert_eq!(pages, [b"[{\"id\": 1}]"]);
    fails(api.pages("null", None, None, None).unwrap().next(), DECODE, "null");
    assert_eq!(server.requests().len(), 3);
    fails(api.records("many", None, r#"{"wait": 1}"#, None), INVALID_ARGUMENT, "/wait");
}

#[test]
fn both_paths_and_both_places_of_the_next_page_are_looked_at() {
    let inside = Server::start(answering(|request| {
        let next = if request.target().contains("page=b") { Value::Null } else { json!("b") };
        ok_json(
            json!({"result": {"rows": [{"id": if next.is_null() { 2 } else { 1 }}], "next": next}})
                .to_string(),
        )
    }));
    let endpoint =
        |pagination: Value| json!({"x": {"path": "/x", "response_path": "result", "pagination": pagination}});
    let api = api_of(&config(&inside, endpoint(json!({"data_path": "rows", "next_page_path": "next"}))));
    assert_eq!(ids(api.fetch("x", None, None).unwrap().text().as_bytes()), [1, 2]);
    let api =
        api_of(&config(&inside, endpoint(json!({"data_path": "rows", "next_page_path": "result.next"}))));
    assert_eq!(ids(api.fetch("x", None, None).unwrap().text().as_bytes()), [1, 2]);
}

#[test]
fn lines_are_pages_too_and_texts_are_none() {
    let server = Server::start(answering(|request| {
        let more = request.target().contains("page=1");
        response("200 OK", "", if more { "{\"id\": 1}\n{\"id\": 2}\n" } else { "" })
    }));
    let api = api_of(&config(
        &server,
        json!({"x": {"path": "/x", "decode": "ndjson", "pagination": {"style": "page_number"}}}),
    ));
    assert_eq!(ids(api.fetch("x", None, None).unwrap().text().as_bytes()), [1, 2]);
    let config = config(
        &server,
        json!({"x": {"path": "/x", "decode": "text", "pagination": {"style": "page_number"}}}),
    );
    fails(Api::new(&config.to_string()), INVALID_CONFIG, "/endpoints/x/pagination/style");
}

#[test]
fn progress_counts_bytes_and_pieces() {
    let server = serving();
    let api = api(&server, &json!({}));
    let stream = api.records("cursor", None, None, None).unwrap();
    let mut bytes = 0;
    for n in 1..=17 {
        let Next::Item(record) = stream.next().unwrap() else { panic!() };
        bytes += record.len() as i64;
        let progress = stream.progress().unwrap();
        assert_eq!((progress.processed, progress.chunk, progress.done), (bytes, n, false));
    }
    assert_eq!(stream.next().unwrap(), Next::End);
    assert!(stream.progress().unwrap().done);
}

#[test]
fn a_page_without_a_body_goes_on_where_its_head_says_so_and_is_no_end_where_nothing_does() {
    // Lines may be none, and the next page is in the head.
    let lines = Server::start(answering(|request| match request.target() {
        "/x" => response("200 OK", "Link: </2>; rel=next\r\n", "{\"id\": 1}\n"),
        "/2" => response("200 OK", "Link: </3>; rel=next\r\n", ""),
        "/3" => response("204 No Content", "Link: </4>; rel=next\r\n", ""),
        _ => response("200 OK", "", "{\"id\": 4}\n"),
    }));
    let endpoint = json!({"x": {"path": "/x", "decode": "ndjson", "pagination": {"style": "header_link"}}});
    let api = api_of(&config(&lines, endpoint));
    assert_eq!(ids(api.fetch("x", None, None).unwrap().text().as_bytes()), [1, 4]);
    for pagination in
        [json!({"cursor_path": "next"}), json!({"style": "page_number"}), json!({"next_url_path": "next"})]
    {
        let count = AtomicUsize::new(0);
        let server = Server::start(answering(move |_| match count.fetch_add(1, SeqCst) {
            0 => ok_json(r#"{"data": [{"id": 1}], "next": "/2"}"#),
            _ => response("200 OK", "", ""),
        }));
        let mut pagination = pagination;
        pagination["data_path"] = "data".into();
        let fault = fails(one(&server, pagination).fetch("x", None, None), DECODE, "no body");
        assert_eq!(ids(partial(&fault).text().as_bytes()), [1]);
    }
}

#[test]
fn a_word_about_more_that_is_missing_ends_nothing() {
    for style in [json!({"style": "page_number"}), json!({"cursor_path": "next"})] {
        let server = Server::start(answering(|request| {
            let more = request.target() == "/x" || request.target().ends_with("page=1");
            let id = if more { 1 } else { 2 };
            let data = if request.target().ends_with("page=3") { json!([]) } else { json!([{"id": id}]) };
            ok_json(json!({"data": data, "next": more.then_some("b")}).to_string())
        }));
        let mut pagination = style;
        pagination["data_path"] = "data".into();
        pagination["has_more_path"] = "mor".into();
        assert_eq!(ids(one(&server, pagination).fetch("x", None, None).unwrap().text().as_bytes()), [1, 2]);
    }
}

#[test]
fn one_thing_alone_is_a_listing_of_one_only_where_the_listing_begins_with_it() {
    let server = Server::start(answering(|request| match request.target() {
        "/x" => response("200 OK", "Link: </2>; rel=next\r\n", r#"[{"id": 1}]"#),
        _ => ok_json(r#"{"message": "busy"}"#),
    }));
    let fault =
        fails(one(&server, json!({"style": "header_link"})).fetch("x", None, None), DECODE, "an object");
    assert_eq!(partial(&fault).text(), r#"[{"id": 1}]"#);
    let server = Server::start(answering(|_| ok_json(r#"{"id": 1}"#)));
    assert_eq!(
        one(&server, json!({"next_page_path": "next"})).fetch("x", None, None).unwrap().text(),
        r#"[{"id": 1}]"#
    );
    fails(one(&server, json!({"style": "page_number"})).fetch("x", None, None), DECODE, "an object");
}

#[test]
fn all_of_something_that_is_missing_is_not_an_empty_page() {
    let server = Server::start(answering(|request| {
        ok_json(if request.target().ends_with("page=2") {
            r#"{"error": "x"}"#
        } else {
            r#"{"data": {"rows": [{"id": 1}]}}"#
        })
    }));
    for keys in [json!({"data_path": "$.data.rows[*]"}), json!({"data_path": "$.rows[*]"})] {
        let mut endpoint = json!({"path": "/x", "pagination": keys});
        if endpoint["pagination"]["data_path"] == "$.rows[*]" {
            endpoint["response_path"] = "data".into();
        }
        let api = api_of(&config(&server, json!({"x": endpoint})));
        let fault = fails(api.fetch("x", None, None), DECODE, "finds nothing");
        assert_eq!(ids(partial(&fault).text().as_bytes()), [1]);
    }
    let endpoint = json!({"x": {"path": "/x?page=2", "response_path": "$.data.rows[*]"}});
    fails(api_of(&config(&server, endpoint)).fetch("x", None, None), DECODE, "finds nothing");
}

#[test]
fn the_warning_of_an_upgraded_link_has_no_secret_and_a_list_of_secrets_stays_whole() {
    // SAFETY: only this test reads the variable, and it is set once.
    unsafe { std::env::set_var("APL_TEST_TAG", "canary-tag") };
    let server = leading(|n, _| match n {
        1 => json!("/x?at=2"),
        2 => json!("/x?at=3&since=later"),
        _ => Value::Null,
    });
    let api = api_of(&config(
        &server,
        json!({"x": {"path": "/x", "params": {"tag": ["${APL_TEST_TAG}", "b-${APL_TEST_TAG}"], "since": "${APL_TEST_TAG}"},
                     "pagination": {"style": "json_link", "data_path": "data", "next_url_path": "next"}}}),
    ));
    let stream = api.pages("x", None, None, None).unwrap();
    let mut shown = String::new();
    while let Next::Item(_) = stream.next().unwrap() {
        shown += &stream.response().unwrap().meta.to_string();
        shown += &stream.checkpoint().unwrap_or_default();
    }
    assert_eq!(
        targets(&server)[1..],
        [
            "/x?at=2&tag=canary-tag&tag=b-canary-tag&since=canary-tag",
            // What the server has put on is the server's.
            "/x?at=3&since=later&tag=canary-tag&tag=b-canary-tag",
        ]
    );
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn the_token_goes_into_the_body_only_where_there_is_room_for_it() {
    let server = serving();
    let endpoint = |template: Value, path: &str| {
        json!({"x": {"path": "/body", "method": "POST", "body_template": template,
                     "pagination": {"cursor_path": "next", "cursor_body_path": path, "data_path": "data"}}})
    };
    for (template, path) in
        [(json!({"queries": [{"q": 1}]}), "queries.0.cursor"), (json!([1]), "a"), (json!({"a": 1}), "a.b")]
    {
        let config = config(&server, endpoint(template, path));
        fails(Api::new(&config.to_string()), INVALID_CONFIG, "/endpoints/x/pagination/cursor_body_path");
    }
    let api = api_of(&config(&server, endpoint(json!({"filter": "all"}), "paging.cursor")));
    fails(api.fetch("x", None, r#"{"data": {"paging": [1]}}"#), INVALID_ARGUMENT, "/paging is not an object");
    fails(api.fetch("x", None, r#"{"form": {"a": 1}}"#), INVALID_ARGUMENT, "/form");
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn pages_whose_items_are_all_dropped_are_not_the_same_page() {
    let server = serving();
    let mut endpoints = LISTING.endpoints(&json!({}));
    endpoints["cursor"]["response_schema"] = json!({"items": {"properties": {"id": {"minimum": 16}}}});
    endpoints["cursor"]["schema_policy"] = "drop_item".into();
    let answer = api_of(&config(&server, endpoints)).fetch("cursor", None, None).unwrap();
    assert_eq!(ids(answer.text().as_bytes()), [16, 17]);
}

#[test]
fn what_is_behind_the_callers_limit_is_not_looked_at() {
    let server = leading(|_, _| json!("http://evil.example/"));
    for limits in [json!({"max_pages": 1}), json!({"max_records": 1})] {
        let mut pagination = json!({"data_path": "data", "next_url_path": "next"});
        for (key, value) in limits.as_object().unwrap() {
            pagination[key] = value.clone();
        }
        let answer = one(&server, pagination.clone()).fetch("x", None, None).unwrap();
        assert_eq!(ids(answer.text().as_bytes()).len(), 1);
        assert!(answer.meta["checkpoint"].is_string(), "{}", answer.meta);
    }
}

#[test]
fn a_token_that_the_call_gives_goes_before_the_configured_one() {
    let server = serving();
    let mut endpoints = LISTING.endpoints(&json!({}));
    for style in ["cursor", "body"] {
        endpoints[style]["pagination"]["initial"] = "t/5&é".into();
    }
    let api = api_of(&config(&server, endpoints));
    assert_eq!(ids(api.fetch("cursor", None, None).unwrap().text().as_bytes()), all()[5..]);
    assert_eq!(
        ids(api.fetch("cursor", r#"{"cursor": "t/10&é"}"#, None).unwrap().text().as_bytes()),
        all()[10..]
    );
    let options = r#"{"data": {"paging": {"cursor": "t/15&é"}}}"#;
    assert_eq!(ids(api.fetch("body", None, options).unwrap().text().as_bytes()), all()[15..]);
}

#[test]
fn every_page_of_a_listing_by_post_has_an_idempotency_key_of_its_own() {
    let server = serving();
    let api = api(&server, &json!({}));
    api.fetch("body", None, r#"{"idempotency_key": "k"}"#).unwrap();
    let keys: Vec<String> =
        server.requests().iter().map(|r| r.header("Idempotency-Key").unwrap().to_owned()).collect();
    assert_eq!(keys[0], "k");
    assert!(keys[1..].iter().all(|key| key.starts_with("k-")), "{keys:?}");
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "{keys:?}");
    api.fetch("body", None, r#"{"idempotency_key": "k"}"#).unwrap();
    assert_eq!(
        server.requests()[4..].iter().map(|r| r.header("Idempotency-Key").unwrap()).collect::<Vec<_>>(),
        keys
    );
}

#[test]
fn a_total_that_is_passed_already_ends_nothing() {
    for pagination in [json!({"style": "page_number"}), json!({"style": "offset", "limit": 5})] {
        let server = Server::start(answering(|request| {
            let target = request.target().replace("/x?", "/numbers?");
            let style = if target.contains("offset") { "/offset?" } else { "/numbers?" };
            let request = Request { head: request.head.replace("/x?", style), ..request.clone() };
            let text = String::from_utf8(LISTING.answer(&request)).unwrap();
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            ok_json(body.replacen('{', "{\"total\":0,", 1))
        }));
        let mut pagination = pagination;
        pagination["data_path"] = "data".into();
        pagination["total_path"] = "total".into();
        let answer = one(&server, pagination).fetch("x", None, None).unwrap();
        assert_eq!(ids(answer.text().as_bytes()), all());
        assert!(answer.meta["warnings"].to_string().contains("more came than"), "{}", answer.meta);
    }
}

#[test]
fn a_circle_back_to_the_first_page_is_seen_whatever_the_query_has_of_ours() {
    let server = Server::start(answering(|request| {
        let next = if request.target().contains("at=2") { "/x" } else { "/x?at=2" };
        ok_json(json!({"data": [{"id": request.target().len()}], "next": next}).to_string())
    }));
    let mut config = config(
        &server,
        json!({"x": {"path": "/x", "pagination": {"style": "json_link", "data_path": "data", "next_url_path": "next"}}}),
    );
    config["auth"] = json!({"type": "api_key", "in": "query", "param_name": "key", "key": "canary-secret"});
    fails(api_of(&config).fetch("x", None, None), PAGINATION, "circle");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn no_more_is_asked_for_ahead_than_the_records_that_are_wanted() {
    let server = serving();
    let answer =
        api(&server, &json!({"max_records": 7})).fetch("numbers", None, r#"{"prefetch": 9}"#).unwrap();
    assert_eq!((ids(answer.text().as_bytes()).len(), server.requests().len()), (7, 2));
}

#[test]
fn a_token_in_a_header_keeps_its_letters_or_is_an_error() {
    let server = Server::start(answering(|_| {
        let mut answer = response("200 OK", "X-Next: caf?\r\n", "[{\"id\": 1}]");
        let at = answer.iter().position(|b| *b == b'?').unwrap();
        answer[at] = 0xe9;
        answer
    }));
    let api = one(&server, json!({"cursor_header": "X-Next", "cursor_header_name": "X-Cursor"}));
    fails(api.fetch("x", None, None), PAGINATION, "not UTF-8");
    assert_eq!(server.requests().len(), 1);
}
