//! Cookies: the key that travels in one, and the jar, which is off unless it is asked for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use api::{Api, HTTP_STATUS, INVALID_CONFIG, log_lines};
use serde_json::{Value, json};
use support::{Request, Server, answering, ok_json, response};

/// The key of every connector here.
const CANARY: &str = "canary-e09a44b71c==";

fn connector(server: &Server, keys: Value) -> Api {
    let mut config = json!({
        "base_url": server.url(),
        "retry_count": 1,
        "endpoints": {
            "get": {"path": "/x"},
            "own": {"path": "/x", "headers": {"Cookie": "sid=configured"}},
            "bad": {"path": "/bad"},
        },
    });
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message))
}

/// What came as Cookie; one header at most.
fn cookies(request: &Request) -> Option<String> {
    let all: Vec<&str> = request.headers("Cookie").collect();
    assert!(all.len() <= 1, "{all:?}");
    all.first().map(|c| (*c).to_owned())
}

/// Sets cookies on every answer, the refused ones too.
fn setting(lines: &'static str) -> Server {
    Server::start(answering(move |r: &Request| match r.target() {
        "/bad" => response("500 Oops", "Set-Cookie: failed=1; Path=/\r\n", ""),
        _ => response("200 OK", lines, "1"),
    }))
}

#[test]
fn an_api_key_travels_in_a_cookie_beside_the_configured_ones_and_shows_nowhere() {
    let server = Server::start(answering(|r: &Request| match r.target() {
        "/bad" => response("400 Bad", "", r.header("Cookie").unwrap()),
        _ => ok_json("1"),
    }));
    let auth = |more: Value| {
        let mut auth = json!({"type": "api_key", "in": "cookie", "key": CANARY});
        more.as_object().unwrap().iter().for_each(|(k, v)| auth[k] = v.clone());
        json!({"auth": auth})
    };
    let api = connector(&server, auth(json!({"param_name": "session"})));
    let ((answer, fault), log) =
        log_lines(|| (api.fetch("get", None, None).unwrap(), api.fetch("bad", None, None).unwrap_err()));
    assert_eq!(fault.status, HTTP_STATUS);
    api.fetch("own", None, None).unwrap();
    api.fetch("get", None, r#"{"extra_headers": {"Cookie": "call=1"}}"#).unwrap();
    connector(&server, auth(json!({}))).fetch("get", None, None).unwrap();
    let sent: Vec<_> = server.requests().iter().map(|r| cookies(r).unwrap()).collect();
    let session = format!("session={CANARY}");
    // A call's own header stands over everything that was configured, as every one does.
    let wanted = [
        session.clone(),
        session.clone(),
        format!("sid=configured; {session}"),
        "call=1".into(),
        format!("api_key={CANARY}"),
    ];
    assert_eq!(sent, wanted);
    assert!(
        !(answer.meta.to_string() + &log.join("\n") + &fault.message + &fault.json.to_string())
            .contains("canary-")
    );
    for request in server.requests() {
        assert!(!request.target().contains("canary-") && request.header("X-API-Key").is_none());
    }
}

#[test]
fn a_key_or_a_name_that_no_cookie_carries_is_refused_unseen() {
    for (key, name, place) in [
        ("canary-;x", "n", "/auth/key"),
        ("canary- x", "n", "/auth/key"),
        ("canary-\r\nX: y", "n", "/auth/key"),
        ("canary-\u{e9}", "n", "/auth/key"),
        ("canary-x", "a=b", "/auth/param_name"),
        ("canary-x", "a\r\nb", "/auth/param_name"),
        ("canary-x", "", "/auth/param_name"),
    ] {
        let auth = json!({"type": "api_key", "in": "cookie", "key": key, "param_name": name});
        let config = json!({"base_url": "http://a.invalid", "auth": auth});
        let fault = Api::new(&config.to_string()).expect_err(key);
        assert_eq!(fault.status, INVALID_CONFIG);
        assert!(fault.message.contains(place), "{}", fault.message);
        assert!(!fault.everything().contains("canary-"));
    }
}

#[test]
fn the_jar_is_off_by_default_and_of_one_connector_alone() {
    let server = setting("Set-Cookie: sid=1; Path=/\r\nSet-Cookie: b=2\r\n");
    let off = connector(&server, json!({}));
    let (one, two) =
        (connector(&server, json!({"cookies": true})), connector(&server, json!({"cookies": true})));
    for api in [&off, &off, &one, &one, &two] {
        api.fetch("get", None, None).unwrap();
    }
    let sent: Vec<_> = server.requests().iter().map(cookies).collect();
    assert_eq!(sent, [None, None, None, Some("b=2; sid=1".into()), None]);
    // What was configured or is a key goes first, and the server cannot put anything in its place.
    one.fetch("own", None, None).unwrap();
    // A refused answer sets cookies like every other.
    one.fetch("bad", None, None).unwrap_err();
    one.fetch("get", None, None).unwrap();
    let sent: Vec<_> = server.requests()[5..].iter().map(cookies).map(Option::unwrap).collect();
    assert_eq!(sent, ["sid=configured; b=2", "b=2; sid=1", "b=2; failed=1; sid=1"]);
}

#[test]
fn cookies_for_others_and_secure_ones_over_plain_http_are_ignored() {
    let other = Server::start(answering(|_| ok_json("1")));
    let server = setting(
        "Set-Cookie: a=1; Path=/; Domain=other.example\r\nSet-Cookie: b=1; Path=/; Domain=co.uk\r\n\
         Set-Cookie: c=1; Path=/; Secure\r\nSet-Cookie: d=1; Path=/y\r\nSet-Cookie: e=1; Path=/; Max-Age=0\r\n\
         Set-Cookie: f=1; Path=/; Domain=api.co.uk\r\nSet-Cookie: garbage\r\n",
    );
    let (port, elsewhere) = (server.address().port(), other.address().port());
    let keys = json!({
        "base_url": format!("http://www.api.co.uk:{port}"),
        "cookies": true,
        "resolve": {
            format!("www.api.co.uk:{port}"): "127.0.0.1",
            format!("b.api.co.uk:{elsewhere}"): "127.0.0.1",
            format!("b.co.uk:{elsewhere}"): "127.0.0.1",
            format!("other.example:{elsewhere}"): "127.0.0.1",
        },
        "allow_origins": ["*"],
        "endpoints": {
            "get": {"path": "/x"},
            "sibling": {"path": format!("http://b.api.co.uk:{elsewhere}/x")},
            "stranger": {"path": format!("http://b.co.uk:{elsewhere}/x")},
            "other": {"path": format!("http://other.example:{elsewhere}/x")},
        },
    });
    let api = connector(&server, keys);
    for endpoint in ["get", "get", "sibling", "stranger", "other"] {
        api.fetch(endpoint, None, None).unwrap();
    }
    assert_eq!(server.requests().iter().map(cookies).collect::<Vec<_>>(), [None, Some("f=1".into())]);
    assert_eq!(other.requests().iter().map(cookies).collect::<Vec<_>>(), [Some("f=1".into()), None, None]);
}
