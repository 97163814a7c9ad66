//! Tests of one request.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::auth::Credentials;
use crate::config::{Config, from_text};
use crate::error::{Error, Kind};

fn env(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("canary key".to_owned()),
        "PLAIN" => Some("canary".to_owned()),
        _ => None,
    }
}

fn config(text: &str) -> Config {
    from_text(text, &env).unwrap_or_else(|e| panic!("{e}"))
}

const GENERATE: Generate = Generate { boundary: || "BOUNDARY".into(), key: || "KEY".into() };

fn prototype(config: &Config) -> Prototype {
    let credentials = Credentials::new(&config.keys.auth).unwrap();
    Prototype::new(config, &config.endpoints[0], &credentials, GENERATE).unwrap()
}

/// The prototype of the only endpoint, whose keys these are.
fn endpoint(keys: &str) -> Prototype {
    prototype(&config(&format!("base_url: https://a.example/v1/\nendpoints: {{e: {{{keys}}}}}")))
}

fn url(keys: &str, params: &str) -> String {
    let p = endpoint(keys);
    let url = p.prepare(Some(params), &CallOptions::default(), Body::Fetch).unwrap().url;
    url.strip_prefix("https://a.example/v1").unwrap_or(&url).to_owned()
}

fn refused(keys: &str, params: &str) -> String {
    let p = endpoint(keys);
    let e = p.prepare(Some(params), &CallOptions::default(), Body::Fetch).unwrap_err();
    assert_eq!(e.kind(), Kind::InvalidArgument);
    e.to_string()
}

fn options(text: &str) -> CallOptions<'_> {
    CallOptions::parse(Some(text)).unwrap_or_else(|e| panic!("{e}"))
}

fn bad_options(text: &str) -> String {
    let e: Error = CallOptions::parse(Some(text)).unwrap_err();
    assert_eq!(e.kind(), Kind::InvalidArgument);
    e.to_string()
}

fn body(p: &Prototype, options: &str, body: Body<'_>) -> (Option<String>, Option<String>) {
    let options = CallOptions::parse(Some(options)).unwrap();
    let prepared = p.prepare(None, &options, body).unwrap();
    let media = header(&prepared, "content-type").map(str::to_owned);
    let text = prepared.body.as_ref().map(|content| match content {
        Content::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Content::Pieces(pieces) => format!("{pieces:?}"),
    });
    (text, media)
}

fn header<'p>(prepared: &'p Prepared<'_>, name: &str) -> Option<&'p str> {
    let all: Vec<_> = prepared.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).collect();
    assert!(all.len() < 2, "{name} twice");
    all.first().map(|(_, v)| v.as_ref())
}

fn pairs<'p>(headers: &'p [(&'p str, std::borrow::Cow<'p, str>)]) -> Vec<(&'p str, &'p str)> {
    headers.iter().map(|(name, value)| (*name, value.as_ref())).collect()
}

#[test]
fn parameters_become_the_query() {
    assert_eq!(url("path: /x", "{}"), "/x");
    assert_eq!(
        url("path: x", r#"{"a": "b c&d=é\r\n", "t": true, "n": null, "l": [1, "two"], "e": []}"#),
        "/x?a=b%20c%26d%3D%C3%A9%0D%0A&t=true&n=&l=1&l=two"
    );
    assert_eq!(
        url("path: /x", r#"{"a": 12345678901234567890123, "b": 1.10, "c": 1E5, "d": -0}"#),
        "/x?a=12345678901234567890123&b=1.10&c=1E5&d=-0"
    );
    assert_eq!(
        url("path: /x, params: {a: 1, b: [x, y], c: 3}", r#"{"c": 4, "a": [5, 6], "z": 0}"#),
        "/x?a=5&a=6&b=x&b=y&c=4&z=0"
    );
    assert_eq!(url("path: '/x?k=v', params: {a: 1}", "{}"), "/x?k=v&a=1");
    assert_eq!(
        url("path: /x", r#"{"a": "{{secret.x}} ${KEY}"}"#),
        "/x?a=%7B%7Bsecret.x%7D%7D%20%24%7BKEY%7D"
    );
}

#[test]
fn unfit_parameters_are_named() {
    assert!(refused("path: /x", r#"{"filter": {"a": 1}}"#).starts_with("params: \"filter\": "));
    assert!(refused("path: /x", r#"{"l": [[1]]}"#).starts_with("params: \"l\": "));
    assert_eq!(refused("path: /x", r#"{"a": 1, "a": 2}"#), "params: /a: duplicate key");
    assert_eq!(refused("path: /x", "[1]"), "params: not a JSON object");
    assert!(refused("path: /x", "{").starts_with("params: not valid JSON: "));
    assert!(refused("path: /x", r#"{"a": "\ud800"}"#).starts_with("params: \"a\": "));
    assert!(refused("path: /x", &format!("{{\"a\": \"{}\"}}", "x".repeat(70_000))).contains("the URL is"));
}

#[test]
fn path_variables_are_one_segment() {
    assert_eq!(url("path: '/u/{id}/p'", r#"{"id": "a/b?c#d%2e é"}"#), "/u/a%2Fb%3Fc%23d%252e%20%C3%A9/p");
    assert_eq!(url("path: '/u/{id}', params: {id: 7, x: 1}", "{}"), "/u/7?x=1");
    assert_eq!(url("path: '/u/{id}', params: {id: 7}", r#"{"id": "%2e%2e"}"#), "/u/%252e%252e");
    assert_eq!(url("path: '/u/{id}'", r#"{"id": "../admin"}"#), "/u/..%2Fadmin");
    for value in [r#""..""#, r#"".""#] {
        let message = refused("path: '/u/{id}'", &format!("{{\"id\": {value}}}"));
        assert!(message.contains("\"id\" is a dot segment"), "{message}");
    }
    assert_eq!(refused("path: '/u/{id}'", r#"{"id": ""}"#), "the path variable \"id\" is empty");
    assert_eq!(refused("path: '/u/{id}'", r#"{"id": null}"#), "the path variable \"id\" is empty");
    assert_eq!(refused("path: '/u/{id}'", "{}"), "the path variable \"id\" is missing");
    assert!(refused("path: '/u/{+id}'", r#"{"id": "x/../../admin"}"#).contains("dot segment"));
    assert!(refused("path: '/u/{+id}'", r#"{"id": "x/%2e%2E/admin"}"#).contains("dot segment"));
    assert!(refused("path: '/u/{+id}'", r#"{"id": "x#y"}"#).contains("fragment"));
}

#[test]
fn templates_have_all_four_levels() {
    assert_eq!(url("path: '/f/{+p}'", r#"{"p": "a/b"}"#), "/f/a/b");
    assert_eq!(
        url("path: '/f{/p*}{?q,r}{&s}'", r#"{"p": ["a", "b"], "q": "x y", "s": 2, "z": 3}"#),
        "/f/a/b?q=x%20y&s=2&z=3"
    );
    assert_eq!(url("path: '/f/{p:3}.json'", r#"{"p": "abcdef"}"#), "/f/abc.json");
    assert_eq!(url("path: /bücher", "{}"), "/b%C3%BCcher");
    assert!(refused("path: '/f/{p:3}'", r#"{"p": ["a"]}"#).contains("do not fit"));
}

#[test]
fn what_stands_in_no_url_is_percent_encoded_in_a_path() {
    assert_eq!(
        url(r#"path: '/a b"<>^`|é/{id}?q=c d', params: {id: 1}"#, "{}"),
        "/a%20b%22%3C%3E%5E%60%7C%C3%A9/1?q=c%20d"
    );
    assert_eq!(url("path: '/%2F%20'", "{}"), "/%2F%20");
}

#[test]
fn paths_are_appended_and_queries_kept() {
    let at = |base: &str, path: &str| {
        let c =
            config(&format!("base_url: '{base}'\nendpoints: {{e: {{path: '{path}', params: {{p: 1}}}}}}"));
        prototype(&c).prepare(None, &CallOptions::default(), Body::Fetch).unwrap().url
    };
    assert_eq!(at("https://a.example", "/x"), "https://a.example/x?p=1");
    assert_eq!(at("https://a.example/", "x"), "https://a.example/x?p=1");
    assert_eq!(at("https://A.example:443/v1/?k=v", "/x?y=z"), "https://a.example/v1/x?k=v&y=z&p=1");
    assert_eq!(at("https://a.example:8443/v1", ""), "https://a.example:8443/v1?p=1");
    assert_eq!(at("https://a.example/v1/", "?q=1"), "https://a.example/v1/?q=1&p=1");
    assert_eq!(at("https://a.example", ""), "https://a.example/?p=1");
    assert_eq!(at("https://a.example/v1?k=v", "https://a.example/w"), "https://a.example/w?p=1");
}

#[test]
fn headers_stand_over_each_other() {
    let c = config(
        "base_url: https://a.example\nuser_agent: me/1\ndefault_headers: {X-A: 1, X-B: 1, X-C: 1, Authorization: no}\n\
         auth: {type: bearer, token: t}\nendpoints: {e: {path: /, headers: {x-b: 2, x-c: 2}}}",
    );
    let p = prototype(&c);
    let o =
        options(r#"{"extra_headers": {"X-c": "3", "Accept": "text/csv"}, "accept_encoding": "identity"}"#);
    let prepared = p.prepare(None, &o, Body::Fetch).unwrap();
    let get = |n: &str| header(&prepared, n).unwrap_or_default();
    assert_eq!((get("x-a"), get("x-b"), get("x-c")), ("1", "2", "3"));
    assert_eq!((get("authorization"), get("accept"), get("user-agent")), ("Bearer t", "text/csv", "me/1"));
    assert_eq!(pairs(prepared.public_headers()), [("User-Agent", "me/1"), ("Accept-Encoding", "identity")]);
    let o = options(r#"{"extra_headers": {"authorization": "mine"}}"#);
    let prepared = p.prepare(None, &o, Body::Fetch).unwrap();
    assert_eq!(header(&prepared, "Authorization"), Some("mine"));
}

#[test]
fn defaults_are_sent() {
    let p = endpoint("path: /x");
    let o = CallOptions::default();
    let prepared = p.prepare(None, &o, Body::Fetch).unwrap();
    let agent = concat!("apl/", env!("CARGO_PKG_VERSION"));
    let expected = [
        ("User-Agent", agent),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, br, zstd, deflate"),
    ];
    assert_eq!(pairs(&prepared.headers), expected);
    assert_eq!(
        (prepared.method, prepared.body.is_none(), path_and_query(&prepared.url)),
        ("GET", true, "/v1/x")
    );
    let p = endpoint("path: /x, decode: bytes");
    assert_eq!(header(&p.prepare(None, &o, Body::Fetch).unwrap(), "accept"), Some("*/*"));
}

#[test]
fn header_injection_is_refused() {
    for text in [
        r#"{"extra_headers": {"X-A": "a\r\nX-B: b"}}"#,
        r#"{"extra_headers": {"X-A\r\nX-B": "b"}}"#,
        r#"{"extra_headers": {"X-A": "a\u0000"}}"#,
        r#"{"extra_headers": {"Content-Length": "3"}}"#,
        r#"{"content_type": "a\nb"}"#,
    ] {
        let message = bad_options(text);
        assert!(message.starts_with("options: /") && !message.contains(['\r', '\n']), "{message}");
    }
    options(r#"{"extra_headers": {"Host": "b.example", "X-É-no": "ü"}}"#.replace("É", "E").as_str());
}

#[test]
fn a_call_has_so_many_headers_and_no_more() {
    for block in ["extra_headers", "headers"] {
        let with = |count| {
            let headers: serde_json::Map<_, _> = (0..count).map(|i| (format!("x-{i}"), "1".into())).collect();
            serde_json::json!({block: headers}).to_string()
        };
        options(&with(1000));
        assert_eq!(
            bad_options(&with(33_000)),
            format!("options: /{block}: 33000 headers; there may be 1000")
        );
        assert!(bad_options(&with(1001)).starts_with(&format!("options: /{block}: ")));
    }
}

#[test]
fn option_faults_name_the_key() {
    assert_eq!(
        bad_options(r#"{"deadlin": 3}"#),
        "options: /deadlin: unknown key; did you mean \"deadline\"?"
    );
    assert_eq!(bad_options(r#"{"dta": 3}"#), "options: /dta: unknown key; did you mean \"data\"?");
    assert_eq!(
        bad_options(r#"{"deadline": "3"}"#),
        "options: /deadline: must be a number of seconds, not a string"
    );
    assert_eq!(bad_options(r#"{"deadline": 1, "deadline": 2}"#), "options: /deadline: duplicate key");
    assert!(bad_options(r#"{"deadline": 0}"#).starts_with("options: /deadline: must be more than 0"));
    assert!(bad_options(r#"{"deadline": 1e30}"#).starts_with("options: /deadline: must be seconds"));
    assert!(
        bad_options(r#"{"limits": {"max_bdy": 3}}"#)
            .starts_with("options: /limits/max_bdy: unknown key; did")
    );
    assert!(bad_options(r#"{"params": []}"#).starts_with("options: /params: "));
    assert!(bad_options(r#"{"name": 1}"#).starts_with("options: /name: unknown key"));
    assert_eq!(bad_options("[]"), "options: not a JSON object");
    assert!(bad_options("{").starts_with("options: not valid JSON"));
    let fits = |text: &str, call| CallOptions::parse_for(Some(text), call).is_ok();
    for call in [Call::Fetch, Call::Pages, Call::Send, Call::SendBytes] {
        assert!(CallOptions::parse_for(None, call).is_ok());
        assert!(fits(" { } ", call) && fits(r#"{"concurrency": 1, "prefetch": 0, "form": {"a": 1}}"#, call));
        // Of a list that is sent.
        for text in [r#"{"concurrency": 2}"#, r#"{"resume": []}"#, r#"{"resume": {"items": []}}"#] {
            assert_eq!(fits(text, call), call == Call::Send, "{text}");
        }
        // Of a listing.
        for text in [r#"{"checkpoint": "x"}"#, r#"{"prefetch": 2}"#] {
            assert_eq!(fits(text, call), call == Call::Pages, "{text}");
        }
    }
    // Every key of the blocks for streams is known.
    options(
        r#"{"wait": 0, "sentinel": "[DONE]", "chunk_size": 10, "resume": true, "reconnect_clamp": [0, 1], "segments": 2}"#,
    );
}

#[test]
fn a_call_stands_over_its_endpoint() {
    let p = endpoint("path: /x, timeout: {read: 3, head: 4}, ok_status: [404]");
    let o = options(
        r#"{"timeout": {"read": 1}, "deadline": 2.5, "ok_status": ["4xx"], "params": {"a": 1, "b": 2}}"#,
    );
    let prepared = p.prepare(Some(r#"{"a": 3}"#), &o, Body::Fetch).unwrap();
    let t = prepared.settings.timeouts;
    assert_eq!((t.read.as_secs(), t.head.as_secs(), t.connect.as_secs()), (1, 4, 30));
    assert_eq!(prepared.deadline.unwrap().as_millis(), 2500);
    assert!(prepared.is_ok(410) && prepared.is_ok(204) && !prepared.is_ok(500));
    assert!(prepared.url.ends_with("/x?a=3&b=2"));
    let o = CallOptions::default();
    let prepared = p.prepare(None, &o, Body::Fetch).unwrap();
    assert!(prepared.is_ok(404) && !prepared.is_ok(410));
}

#[test]
fn bodies_keep_their_bytes() {
    let json = Some("application/json".to_owned());
    let p = endpoint("path: /x, method: POST");
    let data = r#"{ "b":1.10, "a":[1e5,-0],"b" : 2 }"#;
    assert_eq!(body(&p, "{}", Body::Send(data)), (Some(data.into()), json.clone()));
    assert_eq!(body(&p, &format!("{{\"data\": {data}}}"), Body::Fetch), (Some(data.into()), json.clone()));
    assert_eq!(body(&p, "{}", Body::Fetch), (None, None));
    assert_eq!(body(&p, r#"{"data": null}"#, Body::Fetch), (Some("null".into()), json.clone()));
    let p = endpoint("path: /x, body_template: {a: 1.0, o: {x: 1, y: [1]}, z: null}");
    let whole = r#"{"a":1.0,"o":{"x":1,"y":[1]},"z":null}"#;
    assert_eq!(body(&p, "{}", Body::Fetch), (Some(whole.into()), json.clone()));
    let merged = body(
        &p,
        "{}",
        Body::Send(r#"{"o": {"y": [2.50], "n": 1E2}, "z": {"q": 12345678901234567890}, "w": "é"}"#),
    );
    let expected = r#"{"a":1.0,"o":{"x":1,"y":[2.50],"n":1E2},"z":{"q": 12345678901234567890},"w":"é"}"#;
    assert_eq!(merged, (Some(expected.into()), json));
    assert_eq!(body(&p, "{}", Body::Send("[1]")).0.unwrap(), "[1]");
    let e = p.prepare(None, &CallOptions::default(), Body::Send("{nope")).unwrap_err();
    assert!(e.kind() == Kind::InvalidArgument && e.to_string().starts_with("data: not valid JSON"));
}

#[test]
fn an_empty_template_is_no_body() {
    for kind in ["json", "form", "multipart"] {
        let p = endpoint(&format!("path: /x, method: POST, body: {kind}, body_template: {{ }}"));
        assert_eq!(body(&p, "{}", Body::Fetch), (None, None), "{kind}");
    }
    let p = endpoint("path: /x, method: POST, body_template: {}");
    assert_eq!(body(&p, "{}", Body::Send("{}")).0.unwrap(), "{}");
    assert_eq!(body(&p, r#"{"data": {}}"#, Body::Fetch).0.unwrap(), "{}");
}

#[test]
fn raw_bodies_have_their_media_type() {
    let p = endpoint("path: /x, method: PUT, body: raw, content_type: text/plain, body_template: 'a b'");
    assert_eq!(body(&p, "{}", Body::Fetch), (Some("a b".into()), Some("text/plain".into())));
    assert_eq!(body(&p, "{}", Body::Send(r#""c\nd""#)).0.unwrap(), "c\nd");
    let typed = body(&p, r#"{"content_type": "image/png"}"#, Body::Bytes(b"png"));
    assert_eq!(typed, (Some("png".into()), Some("image/png".into())));
    let p = endpoint("path: /x, method: PUT");
    assert_eq!(
        body(&p, "{}", Body::Bytes(b"")),
        (Some(String::new()), Some("application/octet-stream".into()))
    );
    let p = endpoint("path: /x, method: PUT, headers: {content-type: text/csv}");
    assert_eq!(body(&p, "{}", Body::Bytes(b"x")).1.unwrap(), "text/csv");
    assert_eq!(body(&p, r#"{"content_type": "a/b"}"#, Body::Bytes(b"x")).1.unwrap(), "a/b");
}

#[test]
fn a_multipart_body_is_text_and_files_between_boundaries() {
    let p = endpoint("path: /x, method: POST");
    let (text, media) = body(&p, r#"{"multipart": [{"name": "a", "value": 1.10}]}"#, Body::Fetch);
    let whole = "--BOUNDARY\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1.10\r\n--BOUNDARY--\r\n";
    assert_eq!(
        (text.as_deref(), media.as_deref()),
        (Some(whole), Some("multipart/form-data; boundary=BOUNDARY"))
    );
    let o = options(r#"{"multipart": [{"name": "f", "file": "/a/b.txt"}, {"name": "z", "value": ""}]}"#);
    let prepared = p.prepare(None, &o, Body::Fetch).unwrap();
    let Some(Content::Pieces(pieces)) = prepared.body else { panic!("no pieces") };
    let [Piece::Bytes(before), Piece::File(path), Piece::Bytes(after)] = &pieces[..] else {
        panic!("{pieces:?}")
    };
    assert!(before.ends_with(b"filename=\"b.txt\"\r\nContent-Type: application/octet-stream\r\n\r\n"));
    assert_eq!(path.to_str(), Some("/a/b.txt"));
    assert!(after.starts_with(b"\r\n--BOUNDARY\r\n") && after.ends_with(b"\r\n--BOUNDARY--\r\n"));
}

#[test]
fn secrets_in_the_url_are_hidden_in_its_redacted_form() {
    let c = config(
        "base_url: 'https://a.example/?k=${PLAIN}'\nauth: {type: api_key, key: abc, in: query}\n\
         endpoints: {e: {path: /x, params: {p: '${KEY}', q: 1}}}",
    );
    let p = prototype(&c);
    let o = CallOptions::default();
    let prepared = p.prepare(Some(r#"{"api_key": "other", "r": 2}"#), &o, Body::Fetch).unwrap();
    assert_eq!(prepared.url, "https://a.example/x?k=canary&p=canary%20key&q=1&r=2&api_key=abc");
    assert_eq!(
        crate::redact::blank(&prepared.url, &prepared.secret),
        "https://a.example/x?***&p=***&q=1&r=2&api_key=***"
    );
    assert!(!format!("{prepared:?} {p:?}").contains("canary"), "{p:?}");
}

#[test]
fn a_list_is_split_into_its_items() {
    let list = items(r#" [{"a": 1.0}, 2] "#).unwrap().unwrap();
    assert_eq!(list.iter().map(|i| i.get()).collect::<Vec<_>>(), [r#"{"a": 1.0}"#, "2"]);
    assert!(items("{}").unwrap().is_none());
    assert!(items("[1").is_err());
}
