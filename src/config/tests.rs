//! Tests of the configuration.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::error::Kind;

fn env(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("s3cr3t-canary".into()),
        "EMPTY" => Some(String::new()),
        "SEVEN" => Some("7".into()),
        "BREAK" => Some("canary\r\nX: y".into()),
        "AGAIN" => Some("${TOKEN}".into()),
        _ => None,
    }
}

fn ok(text: &str) -> Config {
    from_text(text, &env).unwrap_or_else(|e| panic!("{e}"))
}

fn fails(text: &str) -> String {
    let e = from_text(text, &env).unwrap_err();
    assert_eq!(e.kind(), Kind::InvalidConfig);
    let message = e.to_string();
    assert!(!message.contains("canary"), "{message}");
    message
}

/// A connector with one more line.
fn with(line: &str) -> String {
    format!("base_url: https://a.example/v1\n{line}\n")
}

fn endpoint(line: &str) -> String {
    with(&format!("endpoints:\n  list:\n    path: /x\n    {line}"))
}

#[test]
fn json_and_yaml_say_the_same() {
    let yaml =
        ok("base_url: https://A.example:443/v1\nretry_count: 5\nendpoints: {list: {path: /x, method: post}}");
    let json = ok(
        r#"{"base_url": "https://a.example/v1", "retry_count": 5, "endpoints": {"list": {"path": "/x", "method": "POST"}}}"#,
    );
    for c in [&yaml, &json] {
        assert_eq!(c.base.origin.to_string(), "https://a.example");
        assert_eq!((c.base.path.as_str(), c.settings.retry.attempts), ("/v1", 5));
        assert_eq!(c.endpoint("list").unwrap().method, "POST");
    }
    ok("\u{feff}{\"base_url\": \"https://a.example\"}");
    ok("\u{feff}base_url: https://a.example");
}

#[test]
fn broken_texts_are_faults_with_a_place() {
    assert_eq!(fails(""), "the configuration is empty");
    assert_eq!(fails("{\"base_url\": "), "not valid JSON: EOF while parsing a value (line 1, column 13)");
    assert!(fails("base_url: [").contains("not valid YAML"));
    assert!(fails("{\"a\":\n 1,}").contains("line 2, column 4"));
    assert!(fails("hello").contains("must be a mapping, not a string"));
    assert!(fails("a: 1\n---\nb: 2").contains("second document"));
    assert!(fails("base_url: !foo x").contains("tag"));
    assert_eq!(fails("auth: {type: none}"), "the key \"base_url\" is missing (line 1, column 1)");
}

#[test]
fn unknown_keys_name_the_place_and_the_nearest() {
    assert_eq!(
        fails(&endpoint("pagintion: {}")),
        "/endpoints/list/pagintion: unknown key; did you mean \"pagination\"? (line 5, column 5)"
    );
    assert_eq!(
        fails("{\"base_url\": \"https://a.example\",\n \"timeuot\": 3}"),
        "/timeuot: unknown key; did you mean \"timeout\"? (line 2, column 2)"
    );
    assert!(
        fails(&with("limits: {max_bdy: 3}"))
            .starts_with("/limits/max_bdy: unknown key; did you mean \"max_body\"?")
    );
    assert!(
        fails(&with("auth: {type: bearr, token: x}"))
            .starts_with("/auth/type: unknown value \"bearr\"; did you mean \"bearer\"?")
    );
    assert!(
        fails(&with("auth: {type: bearer, tokn: x}"))
            .starts_with("/auth/tokn: unknown key; did you mean \"token\"?")
    );
    // What stands there may be the token.
    for value in ["bearer s3cret", "s3cret", "17", "true"] {
        let message = fails(&with(&format!("auth: {value}")));
        assert!(message.starts_with("/auth: must be a mapping, as {type: bearer, token: …} ("), "{message}");
    }
    assert!(fails(&endpoint("decode: jsn")).contains("did you mean \"json\"?"));
    assert!(fails(&with("zzzzzzzz: 1")).contains("the keys here are connector_type, type, "));
}

#[test]
fn notes_are_ignored_and_null_is_absent() {
    let c =
        ok(&endpoint("description: d\n    name: n\n    x-note: {a: b}\n    params:\n    on_missing: null"));
    assert_eq!(c.endpoint("list").unwrap().keys.on_missing, endpoint::OnMissing::Null);
    ok(&with("timeout: null\nendpoints:\nx-team: core"));
    ok(&with("timeout: {read: 3, description: slow}"));
}

#[test]
fn duplicates_are_refused() {
    assert_eq!(
        fails("{\"base_url\": \"https://a.example\", \"base_url\": \"https://b.example\"}"),
        "/base_url: duplicate key (line 1, column 35)"
    );
    assert!(
        fails(&endpoint("headers: {a: b, a: c}")).starts_with("/endpoints/list/headers/a: duplicate key")
    );
    assert!(fails(&with("headers: {}\ndefault_headers: {}")).contains("set twice"));
}

#[test]
fn hostile_depth_and_size_are_faults() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(fails(&format!("{{\"x-a\": {deep}}}")).contains("nested deeper than 128"));
    // The scanner has a limit of its own for brackets; ours also counts indentation.
    assert!(fails(&format!("x-a: {}", "[".repeat(200_000))).contains("recursion limit"));
    let dashes = "- ".repeat(1_000);
    assert!(fails(&format!("x-a:\n  {dashes}1")).contains("nested deeper than 128"));
    assert!(fails(&" ".repeat(MAX_TEXT + 1)).contains("longer than 8 MiB"));
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let a = format!("*a{}, ", i - 1).repeat(9);
        laughs.push_str(&format!("a{i}: &a{i} [{a}]\n"));
    }
    assert!(fails(&laughs).contains("aliases expand to too much"));
    assert!(fails("a: &a [*a]").contains("alias"));
}

#[test]
fn many_endpoints_load() {
    let list: String = (0..100_000).map(|i| format!("\"e{i}\":{{\"path\":\"/{i}\"}},")).collect();
    let text =
        format!("{{\"base_url\":\"https://a.example\",\"endpoints\":{{{}}}}}", list.trim_end_matches(','));
    let c = ok(&text);
    assert_eq!(c.endpoint("e99999").unwrap().target.template, "/99999");
}

#[test]
fn anchors_and_merge_keys_work() {
    let c = ok(
        "base_url: https://a.example\nx-d: &d {timeout: 5, method: PUT}\nendpoints:\n  a: {<<: *d, path: /a, method: POST}\n",
    );
    let e = c.endpoint("a").unwrap();
    assert_eq!((e.method.as_str(), e.settings.timeouts.read.as_secs()), ("POST", 5));
}

#[test]
fn numbers_stay_as_written() {
    let c = ok(&endpoint(
        "body_template: {a: 12345678901234567890123, b: 1.10, c: -0, d: 1E400, e: 0x1F, f: '1'}",
    ));
    let body = c.endpoint("list").unwrap().keys.body_template.clone().unwrap();
    assert_eq!(body.get(), r#"{"a":12345678901234567890123,"b":1.10,"c":-0,"d":1E400,"e":31,"f":"1"}"#);
    assert!(
        fails(&endpoint("body_template: {a: [.nan]}"))
            .starts_with("/endpoints/list/body_template/a/0: JSON has no")
    );
}

#[test]
fn variables_are_filled_in_once() {
    let c = ok(&with(
        "retry_count: ${SEVEN}\ntimeout: '${NONE:-7}'\nheaders: {X-A: 'a ${TOKEN}', X-B: '$${TOKEN}', X-C: '${NONE:-dflt}', X-D: '${AGAIN}'}",
    ));
    assert_eq!((c.settings.retry.attempts, c.settings.timeouts.head.as_secs()), (7, 7));
    let header = |n: &str| c.keys.default_headers.get(n).unwrap().as_str();
    assert_eq!(header("X-A"), "a s3cr3t-canary");
    assert_eq!(header("X-B"), "${TOKEN}");
    assert_eq!(header("X-C"), "dflt");
    assert_eq!(header("X-D"), "${TOKEN}");
    assert!(c.secrets.iter().any(|s| s.expose() == "s3cr3t-canary"));
    assert!(!c.secrets.iter().any(|s| s.expose() == "dflt"));
    assert!(!format!("{c:?}").contains("canary"));
}

#[test]
fn wrong_variables_name_the_variable_and_the_place() {
    let text = with("auth: {type: bearer, token: '${MISSING}'}");
    assert_eq!(fails(&text), "/auth/token: the environment variable MISSING is not set (line 2, column 29)");
    assert!(
        fails(&with("headers: {A: '${BREAK}'}"))
            .starts_with("/headers/A: the value of the environment variable BREAK")
    );
    assert!(fails(&with("headers: {A: '${open'}")).contains("without `}`"));
    assert!(fails(&with("headers: {A: '${a b}'}")).contains("name of an environment variable"));
    let c = ok(&with("auth: {type: bearer, token: '${EMPTY}'}"));
    assert_eq!(c.warnings, ["${EMPTY} is empty, and fills a credential"]);
    // A secret in a wrong place is not shown.
    for wrong in [
        "type: ${TOKEN}",
        "timeout: ${TOKEN}",
        "base_url2: 1\ntls: {min_version: '${TOKEN}'}",
        "resolve: {a: '${TOKEN}'}",
    ] {
        fails(&with(wrong));
    }
}

#[test]
fn base_urls_follow_one_rule() {
    let base = |url: &str| fails(&format!("base_url: '{url}'"));
    for (url, part) in [
        ("ftp://a.example", "http:// or https://"),
        ("a.example", "http:// or https://"),
        ("https://user:canary@a.example", "user name or password"),
        ("https://@a.example", "user name or password"),
        ("https://a.example/#x", "fragment"),
        ("https:///x", "host"),
        ("https://", "host"),
        ("https://a.example:0", "port 0"),
        ("https://a.example:70000", "port"),
        ("https://a\\b", "backslash"),
        ("https://a b", "space"),
        ("https://[fe80::1%25eth0]/", "not a URL"),
    ] {
        let message = base(url);
        assert!(message.starts_with("/base_url: ") && message.contains(part), "{url}: {message}");
    }
    let c = ok("base_url: 'https://Bücher.example:8443/a/?key=1'");
    assert_eq!(c.base.origin.to_string(), "https://xn--bcher-kva.example:8443");
    assert_eq!((c.base.path.as_str(), c.base.query.as_deref()), ("/a/", Some("key=1")));
}

#[test]
fn headers_and_methods_must_be_legal() {
    assert!(
        fails(&with("headers: {\"X-A\": \"a\\r\\nb\"}"))
            .starts_with("/headers/X-A: must not have line breaks")
    );
    assert!(
        fails(&with("default_headers: {\"X A\": b}")).starts_with("/default_headers/X A: not a header name")
    );
    for framing in ["Content-Length", "transfer-encoding", "Connection", "Expect"] {
        assert!(fails(&endpoint(&format!("headers: {{{framing}: x}}"))).contains("frames the message"));
    }
    ok(&with("headers: {Host: other.example, X-N: 1.0, X-T: true}"));
    assert!(fails(&with("user_agent: \"a\\nb\"")).starts_with("/user_agent: "));
    assert!(fails(&endpoint("method: 'GET /'")).starts_with("/endpoints/list/method: not a method"));
}

#[test]
fn a_mapping_has_so_many_headers_and_no_more() {
    let headers = |count| (0..count).map(|i| format!("x-{i}: a, ")).collect::<String>();
    let (most, more) = (headers(1000), headers(1001));
    ok(&with(&format!("headers: {{{most}}}")));
    ok(&endpoint(&format!("headers: {{{most}}}")));
    let fault = "1001 headers; there may be 1000";
    assert!(fails(&with(&format!("headers: {{{more}}}"))).starts_with(&format!("/headers: {fault}")));
    for (line, place) in [
        (format!("headers: {{{more}}}"), "headers"),
        (format!("streaming: {{headers: {{{more}}}}}"), "streaming/headers"),
    ] {
        let said = fails(&endpoint(&line));
        assert!(said.starts_with(&format!("/endpoints/list/{place}: {fault}")), "{said}");
    }
}

#[test]
fn durations_and_sizes_have_bounds() {
    for line in [
        "timeout: -1",
        "timeout: 0",
        "timeout: .nan",
        "timeout: .inf",
        "timeout: 1e30",
        "timeout: {head: 0}",
        "timeout: soon",
        "retry_delay: -1",
        "limits: {max_body: 0}",
        "limits: {max_body: -1}",
        "limits: {max_body: 1.5}",
        "limits: {max_body: 10XB}",
        "limits: {max_body: 99999999TiB}",
        "retry_count: -1",
        "retry_count: 1.5",
        "retry_count: 99999999999",
        "rate_limit: {rate: 0}",
        "limits: {max_pages_guard: 0}",
        "retry: {statuses: [99]}",
        "retry: {statuses: 6xx}",
    ] {
        let message = fails(&with(line));
        assert!(message.starts_with('/') && message.contains("line 2"), "{line}: {message}");
    }
    let c = ok(&with(
        "timeout: {connect: 0.5, total: 9}\nlimits: {max_body: 64KiB, max_event: 10 MB}\nretry_delay: 0",
    ));
    let t = c.settings.timeouts;
    assert_eq!((t.connect.as_millis(), t.head.as_secs(), t.total.unwrap().as_secs()), (500, 30, 9));
    assert_eq!((c.settings.limits.max_body, c.settings.limits.max_event), (65536, 10_000_000));
}

#[test]
fn an_endpoint_stands_over_its_connector_key_by_key() {
    let c = ok(&with(
        "timeout: 9\nlimits: {max_body: 1KiB, max_event: 2KiB}\nendpoints: {a: {path: /, timeout: {read: 2}, limits: {max_body: 5}}}",
    ));
    let s = &c.endpoint("a").unwrap().settings;
    assert_eq!((s.timeouts.connect.as_secs(), s.timeouts.read.as_secs()), (9, 2));
    assert_eq!((s.limits.max_body, s.limits.max_event, s.limits.max_result), (5, 2048, 1 << 30));
}

#[test]
fn paths_are_checked() {
    for path in [
        "/a/../b",
        "/a/%2E%2e",
        ".",
        "/a#b",
        "/{#a}",
        "/a{",
        "/a%zz",
        "/a\\\\b",
        "https://evil.example/x",
        "https://{h}/",
    ] {
        let message = fails(&with(&format!("endpoints: {{e: {{path: \"{path}\"}}}}")));
        assert!(message.starts_with("/endpoints/e/path: "), "{path}: {message}");
    }
    let c = ok(
        "base_url: https://a.example\nallow_origins: ['https://b.example:8443']\nendpoints: {e: {path: 'https://B.example:8443/x/{id}'}}",
    );
    assert_eq!(c.endpoint("e").unwrap().target.template, "/x/{id}");
    assert!(
        fails(&with("allow_origins: ['https://b.example/x']"))
            .starts_with("/allow_origins/0: must be an origin")
    );
}

#[test]
fn a_pagination_with_nothing_in_it_is_none() {
    for (pagination, is_there) in [("{}", false), ("null", false), ("{page_param: p}", true)] {
        let c = ok(&endpoint(&format!("pagination: {pagination}")));
        let e = c.endpoint("list").unwrap();
        assert_eq!(e.keys.pagination.is_some(), is_there, "{pagination}");
        assert_eq!(e.paging.is_some(), is_there, "{pagination}");
    }
}

#[test]
fn plain_http_with_credentials_warns_or_is_refused() {
    let c = ok("base_url: http://a.example\nauth: {type: bearer, token: x}");
    assert_eq!(c.warnings, ["credentials go to http://a.example over plain http"]);
    assert!(
        fails("base_url: http://a.example\ntls: {required: true}")
            .starts_with("/tls/required: TLS is required")
    );
}

#[test]
fn one_connector_is_picked_out_of_a_whole_file() {
    let dir = std::env::temp_dir().join(format!("apl-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("sync.yaml");
    let text = "source:\n  type: rest\n  base_url: https://a.example\n  auth: {type: bearer, token: '${TOKEN}'}\n  \
                retry_count: 2\n  endpoints: {list: {path: /x, bad: 1}}\ntarget: {type: rest, base_url: 'https://b.example'}\n\
                mapping: [{source: list, anything: '${NOT_SET}'}]\ndeep: {er: {base_url: 'https://c.example'}}\n";
    std::fs::write(&file, text).unwrap();
    let open = |section: &str| from_file(std::path::Path::new(&format!("{}{section}", file.display())), &env);
    assert_eq!(open("#target").unwrap().base.origin.host(), "b.example");
    assert_eq!(open("#deep.er").unwrap().base.origin.host(), "c.example");
    let message = open("#source").unwrap_err().to_string();
    assert!(message.contains("/source/endpoints/list/bad: unknown key"), "{message}");
    assert!(open("#sorce").unwrap_err().to_string().contains("did you mean \"source\"?"));
    assert_eq!(open("x").unwrap_err().kind(), Kind::File);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn secrets_in_urls_are_known_and_not_printed() {
    let c = ok(
        "base_url: 'https://a.example/?key=${TOKEN}'\nhealth: {path: '/up?k=${TOKEN}'}\nendpoints: {e: {path: '/x?k=${TOKEN}'}}",
    );
    assert!(c.secret_base_query && c.health.target.secret_query && c.endpoints[0].target.secret_query);
    assert!(c.secrets.iter().any(|s| s.expose() == "s3cr3t-canary"));
    assert!(!format!("{c:?}").contains("canary"));
    assert!(fails(&with("health: {path: '/../x'}")).starts_with("/health/path: "));
}

#[test]
fn secrets_in_the_urls_of_an_authorization_server_are_known() {
    for (kind, url) in [
        ("oauth2", "token_url"),
        ("oauth2_refresh", "token_url"),
        ("oauth2_pkce", "authorization_url"),
        ("oauth2_device_flow", "device_authorization_url"),
    ] {
        let c = ok(&with(&format!("auth: {{type: {kind}, {url}: 'https://a.example/t?key=${{TOKEN}}'}}")));
        assert!(c.secrets.iter().any(|s| s.expose() == "s3cr3t-canary"), "{url}");
        assert!(!format!("{c:?}").contains("canary"), "{url}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[\\[\\]{}:,&*!|>'\"%@`#?<~$\\\\ \n\ta-c0-9.é-]{0,60}") {
        let _ = from_text(&text, &env);
        let _ = from_text(&format!("{{{text}"), &env);
        let _ = from_text(&format!("base_url: https://a.example/{text}"), &env);
    }
}

#[test]
fn resolve_takes_names_and_addresses_with_their_port() {
    let text = r#"{"base_url": "http://a.example", "resolve": {
        "API.example:443": "127.0.0.1", "[::1]:80": "127.0.0.2:8080", "b.example:80": "[::1]"}}"#;
    let resolve = from_text(text, &|_| None).unwrap().resolve;
    let shown: Vec<_> = resolve.iter().map(|(host, port, to)| format!("{host} {port} {to}")).collect();
    assert_eq!(shown, ["api.example 443 127.0.0.1:443", "::1 80 127.0.0.2:8080", "b.example 80 [::1]:80"]);
}
