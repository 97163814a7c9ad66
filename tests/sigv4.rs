//! AWS Signature Version 4, against a server that works the signatures out for itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use api::{AUTH, Api, INVALID_CONFIG, UNSUPPORTED, log_lines};
use ring::{digest, hmac};
use serde_json::{Value, json};
use support::tls::{self, Ca, Leaf, TlsServer};
use support::{Folder, Request, Server, answering, ok_json, response};

const KEY: &str = "canary/SecretKey+EXAMPLE";

fn config(base_url: &str, service: &str) -> Value {
    json!({
        "base_url": base_url,
        "retry_delay": 0.001,
        "headers": {"X-Amz-Meta-A": "  two   spaces ", "X-B": "ä", "Authorization": "Configured"},
        "auth": {"type": "sigv4", "access_key_id": "canary-id", "secret_access_key": KEY,
            "session_token": "canary/token==", "region": "eu-central-1", "service": service},
        "endpoints": {
            "get": {"path": "/a b/{name}", "params": {"z": "1 2", "a": ["y", "x"], "e": null}},
            "post": {"path": "/x", "method": "POST"},
            "put": {"path": "/x", "method": "PUT"},
            "list": {"path": "/list", "pagination": {"style": "header_link"}},
        },
    })
}

fn api(base_url: &str, service: &str) -> Api {
    Api::new(&config(base_url, service).to_string()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Is the request signed as `service` wants it? From the bytes that came, by the four steps of the documentation.
fn check(request: &Request, service: &str) {
    let authorization = request.header("Authorization").expect("a signature");
    let part = |name: &str| {
        let (_, rest) = authorization.split_once(name).unwrap();
        rest.split(',').next().unwrap()
    };
    let date = request.header("X-Amz-Date").unwrap();
    let scope = format!("{}/eu-central-1/{service}/aws4_request", &date[..8]);
    assert_eq!(part("AWS4-HMAC-SHA256 Credential="), format!("canary-id/{scope}"));
    let (path, query) = request.target().split_once('?').unwrap_or((request.target(), ""));
    let path = if service == "s3" { path.to_owned() } else { path.replace('%', "%25") };
    let mut query: Vec<String> = query.split('&').filter(|p| !p.is_empty()).map(str::to_owned).collect();
    query.sort();
    let names = part("SignedHeaders=");
    let lines = names.split(';').map(|name| {
        let value = request.header(name).unwrap_or_else(|| panic!("{name} is signed and not there"));
        format!("{name}:{}\n", value.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" "))
    });
    let lines: String = lines.collect();
    let payload = match request.header("X-Amz-Content-Sha256") {
        Some("UNSIGNED-PAYLOAD") => "UNSIGNED-PAYLOAD".to_owned(),
        given => {
            let real = sha256(&request.body);
            assert_eq!(given, (service == "s3").then_some(real.as_str()));
            real
        }
    };
    let canonical = format!("{}\n{path}\n{}\n{lines}\n{names}\n{payload}", request.method(), query.join("&"));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let mut key = format!("AWS4{KEY}").into_bytes();
    for part in scope.split('/').chain([to_sign.as_str()]) {
        key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    assert_eq!(part("Signature="), hex(&key), "{canonical}");
    // What must be signed, is.
    let names: Vec<_> = names.split(';').collect();
    for must in ["host", "x-amz-date", "x-amz-security-token", "x-amz-meta-a", "x-b"] {
        assert!(names.contains(&must), "{must}");
    }
    assert_eq!(names.contains(&"content-type"), request.header("Content-Type").is_some());
    assert!(!names.contains(&"user-agent") && !names.contains(&"accept-encoding"));
    assert_eq!(request.header("X-Amz-Security-Token"), Some("canary/token=="));
}

/// A server that lets nobody in who is not signed.
fn guarded(service: &'static str, answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Server {
    Server::start(answering(move |request| {
        check(request, service);
        answer(request)
    }))
}

#[test]
fn every_request_is_signed_as_it_goes_out() {
    for service in ["execute-api", "s3"] {
        let server = guarded(service, |_| ok_json("1"));
        let api = api(&server.url(), service);
        let (answer, log) = log_lines(|| {
            api.send("post", r#"{"n": "ä"}"#, None).unwrap();
            api.send_bytes("put", b"\0\xff", None).unwrap();
            api.fetch("post", None, r#"{"form": {"a": "b c"}}"#).unwrap();
            api.fetch("get", r#"{"name": "ü/+$!*'()~:;=@"}"#, None).unwrap()
        });
        assert_eq!(server.requests().len(), 4);
        let everything = format!("{} {:?} {}", log.join("\n"), answer.headers, answer.meta);
        assert!(!everything.contains("canary"), "{everything}");
        let signature =
            server.requests()[0].header("Authorization").unwrap().rsplit('=').next().unwrap().to_owned();
        assert!(!everything.contains(&signature), "{everything}");
    }
}

#[test]
fn retries_redirects_and_pages_are_signed_afresh_for_their_own_address() {
    let tries = AtomicUsize::new(0);
    let server =
        guarded("execute-api", move |request| match (request.target(), tries.fetch_add(1, SeqCst)) {
            (_, 0) => response("503 Later", "", ""),
            (target, 1) => {
                assert!(target.starts_with("/a%20b/n?"), "{target}");
                response("307 Found", "Location: /y%2Fz?b=2&a=%C3%A4\r\n", "")
            }
            ("/list", _) => response("200 OK", "Link: </list?page=2>; rel=\"next\"\r\n", "[1]"),
            ("/list?page=2", _) => ok_json("[2]"),
            _ => ok_json("1"),
        });
    let api = api(&server.url(), "execute-api");
    api.fetch("get", r#"{"name": "n"}"#, None).unwrap();
    assert_eq!(api.fetch("list", None, None).unwrap().json(), json!([1, 2]));
    let requests = server.requests();
    let signatures: std::collections::HashSet<_> =
        requests[1..].iter().map(|r| r.header("Authorization").unwrap()).collect();
    // Those for another address are other ones; the retry may fall into the same second.
    assert_eq!((requests.len(), signatures.len()), (5, 4));
}

#[test]
fn another_origin_gets_no_signature() {
    let other = Server::start(answering(|request| {
        for name in ["Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-B"] {
            assert_eq!(request.header(name), None);
        }
        ok_json("[1]")
    }));
    let to = other.url();
    let server = guarded("s3", move |_| response("302 Found", &format!("Location: {to}/y\r\n"), ""));
    api(&server.url(), "s3").fetch("list", None, None).unwrap();
    assert_eq!(other.requests().len(), 1);
}

#[test]
fn a_body_of_files_goes_unsigned_to_s3_over_tls_and_nowhere_else() {
    let (folder, ca) = (Folder::new(), Ca::new());
    let options = json!({"body_file": folder.write("body", "text")}).to_string();
    for service in ["s3", "execute-api"] {
        let server = guarded(service, |_| ok_json("1"));
        let fault = api(&server.url(), service).fetch("put", None, &*options).unwrap_err();
        assert_eq!((fault.status, server.connections()), (UNSUPPORTED, 0));
        assert!(fault.message.contains("made of files"), "{}", fault.message);
    }
    let server = TlsServer::start(
        ca.identity(Leaf::Good),
        tls::answering(|request| {
            check(request, "s3");
            assert_eq!(request.header("X-Amz-Content-Sha256"), Some("UNSIGNED-PAYLOAD"));
            ok_json(request.body_text())
        }),
    );
    let mut config = config(&server.url(), "s3");
    config["tls"] = json!({"ca_file": folder.write("ca.pem", ca.pem())});
    let api = Api::new(&config.to_string()).unwrap();
    let options = json!({"body_file": folder.write("body", "4")}).to_string();
    assert_eq!(api.fetch("put", None, &*options).unwrap().json(), json!(4));
}

#[test]
fn a_refusal_is_an_auth_error_without_a_second_request() {
    let problem = r#"{"message": "The request signature we calculated does not match: canary-id"}"#;
    let server = guarded("execute-api", move |_| response("403 No", "", problem));
    let fault = api(&server.url(), "execute-api").fetch("list", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status, server.requests().len()), (AUTH, 403, 1));
    assert!(fault.message.contains("does not match: ***"), "{}", fault.message);
    assert!(!fault.message.contains("canary") && !fault.json["message"].to_string().contains("canary"));
    let server = guarded("execute-api", move |_| response("401 No", "", ""));
    let fault = api(&server.url(), "execute-api").fetch("list", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status, server.requests().len()), (AUTH, 401, 1));
}

#[test]
fn a_refusal_in_xml_says_what_it_says_and_no_secret() {
    let xml = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>It does not match: canary-id, \
               canary/SecretKey+EXAMPLE</Message></Error>";
    let server = guarded("s3", move |_| response("403 No", "Content-Type: application/xml\r\n", xml));
    let fault = api(&server.url(), "s3").fetch("list", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status, server.requests().len()), (AUTH, 403, 1));
    let message = &fault.message;
    assert!(message.contains("403: SignatureDoesNotMatch: It does not match: ***, ***"), "{message}");
}

#[test]
fn what_the_callback_sets_is_signed_too_and_its_own_authorization_stands() {
    let server = guarded("s3", |_| ok_json("[1]"));
    let signed = api(&server.url(), "s3");
    signed
        .on_request(|request| {
            assert_eq!((request.header("Authorization"), request.header("X-Amz-Date")), (None, None));
            request.set_header("X-Amz-Acl", "private").unwrap();
            request.set_query("versionId", "a+b/c").unwrap();
            0
        })
        .unwrap();
    signed.fetch("list", None, None).unwrap();
    let request = server.requests().pop().unwrap();
    assert!(request.header("Authorization").unwrap().contains(";x-amz-acl;"));
    assert_eq!(request.target(), "/list?versionId=a%2Bb%2Fc");
    let own = Server::start(answering(|_| ok_json("[1]")));
    let options = json!({"extra_headers": {"Authorization": "Mine"}}).to_string();
    api(&own.url(), "s3").fetch("list", None, &*options).unwrap();
    let request = own.requests().pop().unwrap();
    assert_eq!((request.header("Authorization"), request.header("X-Amz-Date")), (Some("Mine"), None));
}

#[test]
fn explaining_gives_curl_what_it_needs_to_sign() {
    let explained = api("https://a.example", "s3").explain("list", None, None).unwrap();
    let curl = explained.json()["curl"].as_str().unwrap().to_owned();
    assert!(curl.contains("--aws-sigv4 'aws:amz:eu-central-1:s3' --user '***:***'"), "{curl}");
    assert!(curl.contains("--header 'x-amz-security-token: ***'"), "{curl}");
    assert!(!explained.text().contains("canary"), "{}", explained.text());
}

#[test]
fn keys_that_are_missing_are_named_when_the_connector_is_made() {
    for key in ["access_key_id", "secret_access_key", "region", "service"] {
        for value in [Value::Null, json!("")] {
            let mut config = config("https://a.example", "s3");
            match value {
                Value::Null => drop(config["auth"].as_object_mut().unwrap().remove(key)),
                value => config["auth"][key] = value,
            }
            let fault = Api::new(&config.to_string()).map(drop).unwrap_err();
            assert_eq!(fault.status, INVALID_CONFIG);
            assert!(fault.message.starts_with(&format!("/auth/{key}: ")), "{}", fault.message);
            assert!(!fault.everything().contains("canary"));
        }
    }
}
