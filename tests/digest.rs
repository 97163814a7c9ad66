//! HTTP Digest, against a server that works the responses out for itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use api::{AUTH, Api, INVALID_CONFIG, log_lines};
use md5::Digest as _;
use serde_json::{Value, json};
use support::{Folder, Request, Server, answering, ok_json, response};

const PASSWORD: &str = "canary-password";

fn api(base_url: &str, more: Value) -> Api {
    let mut config = json!({
        "base_url": base_url,
        "retry_delay": 0.001,
        "auth": {"type": "digest", "username": "canary-user", "password": PASSWORD},
        "endpoints": {
            "get": {"path": "/x", "params": {"q": "a b"}},
            "post": {"path": "/x", "method": "POST"},
            "list": {"path": "/list", "pagination": {"style": "header_link"}},
        },
    });
    more.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
    Api::new(&config.to_string()).unwrap()
}

/// The parameters of an Authorization.
fn parameters(request: &Request) -> Option<HashMap<String, String>> {
    let text = request.header("Authorization")?.strip_prefix("Digest ").expect("Digest");
    let pair = |p: &str| {
        let (name, value) = p.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    Some(text.split(", ").map(pair).collect())
}

/// A server's side: what it has said, and what it was answered.
struct Door {
    /// Every nonce has its number in it.
    last: usize,
    /// Of the last nonces, so many are good.
    good: usize,
    /// Nonce and count.
    seen: HashSet<(String, String)>,
    password: &'static str,
    algorithm: &'static str,
    qop: Option<&'static str>,
}

impl Default for Door {
    fn default() -> Door {
        Door {
            last: 0,
            good: 1,
            seen: HashSet::new(),
            password: PASSWORD,
            algorithm: "SHA-256",
            qop: Some("auth"),
        }
    }
}

enum Opinion {
    Good,
    Stale,
    Bad,
}

impl Door {
    fn hash(&self, text: &str) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        match self.algorithm.starts_with("SHA-256") {
            true => hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref()),
            false => hex(&md5::Md5::digest(text)),
        }
    }

    fn opinion(&mut self, request: &Request) -> Opinion {
        let Some(given) = parameters(request) else { return Opinion::Bad };
        let nonce = &given["nonce"];
        assert_eq!(given["uri"], request.target());
        assert_eq!((&*given["realm"], &*given["opaque"]), ("The realm", "o/p=="));
        let mut key = self.hash(&format!("canary-user:The realm:{}", self.password));
        if self.algorithm.ends_with("-sess") {
            key = self.hash(&format!("{key}:{nonce}:{}", given["cnonce"]));
        }
        let mut what = format!("{}:{}", request.method(), request.target());
        if self.qop == Some("auth-int") {
            what += &format!(":{}", self.hash(request.body_text()));
        }
        let what = self.hash(&what);
        let expected = match self.qop {
            None => self.hash(&format!("{key}:{nonce}:{what}")),
            Some(qop) => {
                let (nc, cnonce) = (&given["nc"], &given["cnonce"]);
                assert!(self.seen.insert((nonce.clone(), nc.clone())), "{nonce} was counted {nc} twice");
                self.hash(&format!("{key}:{nonce}:{nc}:{cnonce}:{qop}:{what}"))
            }
        };
        let number: usize = nonce.strip_prefix("nonce-").unwrap().parse().unwrap();
        match (given["response"] == expected, number + self.good > self.last) {
            (false, _) => Opinion::Bad,
            (true, true) => Opinion::Good,
            (true, false) => Opinion::Stale,
        }
    }

    /// None: come in.
    fn answer(&mut self, request: &Request) -> Option<Vec<u8>> {
        let stale = match self.opinion(request) {
            Opinion::Good => return None,
            Opinion::Stale => ", stale=true",
            Opinion::Bad => "",
        };
        self.last += 1;
        let qop = self.qop.map(|qop| format!(", qop=\"{qop}\"")).unwrap_or_default();
        let headers = format!(
            "WWW-Authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: Digest realm=\"The realm\", \
             nonce=\"nonce-{}\", opaque=\"o/p==\", algorithm={}{qop}{stale}\r\n",
            self.last, self.algorithm
        );
        Some(response("401 Who are you", &headers, "no"))
    }
}

fn guarded(door: Door) -> (Server, Arc<Mutex<Door>>) {
    let door = Arc::new(Mutex::new(door));
    let server = Server::start(answering({
        let door = door.clone();
        move |request| door.lock().unwrap().answer(request).unwrap_or_else(|| ok_json("1"))
    }));
    (server, door)
}

/// Whether each request had credentials, and which count.
fn counts(server: &Server) -> Vec<Option<u32>> {
    let count = |r: &Request| Some(u32::from_str_radix(&parameters(r)?["nc"], 16).unwrap());
    server.requests().iter().map(count).collect()
}

#[test]
fn a_challenge_is_answered_remembered_and_counted() {
    for algorithm in ["SHA-256", "MD5", "SHA-256-sess", "MD5-sess"] {
        let (server, _) = guarded(Door { algorithm, ..Door::default() });
        let api = api(&server.url(), json!({}));
        let (answer, log) = log_lines(|| {
            let first = api.fetch("get", None, None).unwrap();
            api.send("post", r#"{"n": 1}"#, None).unwrap();
            api.fetch("get", None, None).unwrap();
            first
        });
        assert_eq!(counts(&server), [None, Some(1), Some(2), Some(3)], "{algorithm}");
        let attempts = answer.meta["attempts"].as_array().unwrap();
        let statuses: Vec<_> = attempts.iter().map(|a| a["status"].clone()).collect();
        assert_eq!(statuses, [401, 200]);
        // Another one for each nonce, and none that could be guessed from the last.
        let cnonces: HashSet<_> =
            server.requests().iter().filter_map(|r| Some(parameters(r)?["cnonce"].clone())).collect();
        assert!(cnonces.len() == 1 && cnonces.iter().all(|c| c.len() == 32), "{cnonces:?}");
        let everything = format!("{} {:?} {}", log.join("\n"), answer.headers, answer.meta);
        assert!(!everything.contains("canary"), "{everything}");
        let response = parameters(&server.requests()[1]).unwrap()["response"].clone();
        assert!(!everything.contains(&response), "{everything}");
        assert!(log.iter().any(|line| line.contains("> authorization: Digest ***")), "{log:#?}");
    }
}

#[test]
fn servers_without_qop_and_those_that_want_the_body_too_are_answered() {
    let (server, _) = guarded(Door { qop: None, algorithm: "MD5", ..Door::default() });
    api(&server.url(), json!({})).fetch("get", None, None).unwrap();
    assert!(!parameters(&server.requests()[1]).unwrap().contains_key("nc"));

    let (server, _) = guarded(Door { qop: Some("auth-int"), ..Door::default() });
    let (api, folder) = (api(&server.url(), json!({})), Folder::new());
    api.send("post", r#"{"n": 1}"#, None).unwrap();
    let bodies: Vec<_> = server.requests().iter().map(|r| r.body_text().to_owned()).collect();
    assert_eq!(bodies, [r#"{"n": 1}"#; 2]);
    let options = json!({"body_file": folder.write("body", "text")}).to_string();
    let fault = api.fetch("post", None, &*options).unwrap_err();
    assert!(fault.status == AUTH && fault.message.contains("auth-int"), "{}", fault.message);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_body_of_files_is_sent_once_more() {
    let (server, _) = guarded(Door::default());
    let (api, folder) = (api(&server.url(), json!({})), Folder::new());
    let options = json!({"body_file": folder.write("body", "text")}).to_string();
    api.fetch("post", None, &*options).unwrap();
    let bodies: Vec<_> = server.requests().iter().map(|r| r.body_text().to_owned()).collect();
    assert_eq!(bodies, ["text", "text"]);
}

#[test]
fn a_wrong_password_is_tried_once_a_call_and_shown_nowhere() {
    let (server, _) = guarded(Door { password: "another", ..Door::default() });
    let api = api(&server.url(), json!({"retry_count": 3}));
    for call in 1..=2 {
        let (outcome, log) = log_lines(|| api.fetch("get", None, None));
        let fault = outcome.unwrap_err();
        assert_eq!(
            (fault.status, fault.http_status, fault.response_body.as_slice()),
            (AUTH, 401, &b"no"[..])
        );
        assert!(fault.message.contains("user name and password"), "{}", fault.message);
        let everything = fault.everything() + &log.join("\n");
        assert!(!everything.contains("canary"), "{everything}");
        assert_eq!(counts(&server).len(), 2 * call);
    }
    assert_eq!(counts(&server), [None, Some(1), None, Some(1)]);
}

#[test]
fn a_nonce_that_is_too_old_costs_one_request_and_no_attempt() {
    let (server, door) = guarded(Door::default());
    let api = api(&server.url(), json!({"retry_count": 1}));
    api.fetch("get", None, None).unwrap();
    door.lock().unwrap().last += 1;
    api.fetch("get", None, None).unwrap();
    assert_eq!(counts(&server), [None, Some(1), Some(2), Some(1)]);
    // One that is always too old is not asked for ever.
    door.lock().unwrap().good = 0;
    let fault = api.fetch("get", None, None).unwrap_err();
    assert_eq!((fault.status, server.requests().len()), (AUTH, 7));
}

#[test]
fn a_server_that_forgot_its_nonces_without_a_word_is_answered_too() {
    let (server, door) = guarded(Door::default());
    let api = api(&server.url(), json!({}));
    api.fetch("get", None, None).unwrap();
    // It does not know the count of a nonce that it takes for another's: its opinion is plainly bad.
    let real = std::mem::replace(&mut door.lock().unwrap().password, "for a moment");
    let fault = api.fetch("get", None, None).unwrap_err();
    assert_eq!(fault.status, AUTH);
    door.lock().unwrap().password = real;
    api.fetch("get", None, None).unwrap();
    assert_eq!(counts(&server), [None, Some(1), Some(2), Some(1), None, Some(1)]);
}

#[test]
fn what_cannot_be_answered_is_an_auth_error_that_says_why() {
    for (field, words) in [
        ("Digest realm=\"r\", nonce=\"n\", algorithm=SHA-999", "\"SHA-999\""),
        ("Digest realm=\"r\", nonce=\"n\", qop=\"token\"", "qop"),
        ("Basic realm=\"r\"", "no HTTP Digest"),
        ("Digest realm=\"r", "WWW-Authenticate"),
    ] {
        let server = Server::start(answering(move |_| {
            response("401 No", &format!("WWW-Authenticate: {field}\r\n"), "")
        }));
        let fault = api(&server.url(), json!({})).fetch("get", None, None).unwrap_err();
        assert!(fault.status == AUTH && fault.message.contains(words), "{}", fault.message);
        assert_eq!((fault.http_status, server.requests().len()), (401, 1));
    }
}

#[test]
fn retries_redirects_and_pages_are_each_signed_for_their_own_address() {
    let door = Mutex::new((Door::default(), 0));
    let server = Server::start(answering(move |request| {
        let (door, tries) = &mut *door.lock().unwrap();
        if let Some(refusal) = door.answer(request) {
            return refusal;
        }
        *tries += 1;
        match (request.target(), *tries) {
            (_, 1) => response("503 Later", "", ""),
            ("/x?q=a%20b", _) => response("302 Found", "Location: /y?z\r\n", ""),
            ("/list", _) => response("200 OK", "Link: </list?page=2>; rel=\"next\"\r\n", "[1]"),
            ("/list?page=2", _) => ok_json("[2]"),
            _ => ok_json("1"),
        }
    }));
    let api = api(&server.url(), json!({}));
    api.fetch("get", None, None).unwrap();
    assert_eq!(api.fetch("list", None, None).unwrap().json(), json!([1, 2]));
    let targets: Vec<_> = server.requests().iter().map(|r| r.target().to_owned()).collect();
    let x = "/x?q=a%20b";
    assert_eq!(targets, [x, x, x, "/y?z", "/list", "/list?page=2"]);
    assert_eq!(counts(&server), [None, Some(1), Some(2), Some(3), Some(4), Some(5)]);
}

#[test]
fn another_origin_is_never_answered_but_an_allowed_one_by_its_own_challenge() {
    let (other, _) = guarded(Door::default());
    let (home, _) = {
        let (door, to) = (Mutex::new(Door::default()), other.url());
        let server = Server::start(answering(move |request| {
            let refusal = door.lock().unwrap().answer(request);
            refusal.unwrap_or_else(|| response("302 Found", &format!("Location: {to}/y\r\n"), ""))
        }));
        (server, ())
    };
    let fault = api(&home.url(), json!({})).fetch("get", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status), (AUTH, 401));
    assert_eq!(counts(&other), [None]);
    let allowed = api(&home.url(), json!({"allow_origins": [other.url()]}));
    allowed.fetch("get", None, None).unwrap();
    assert_eq!(counts(&other), [None, None, Some(1)]);
}

#[test]
fn threads_share_the_challenge_and_no_count_is_used_twice() {
    // The server itself panics where one is.
    let (server, door) = guarded(Door { good: 1000, ..Door::default() });
    let api = Arc::new(api(&server.url(), json!({"pool": {"max_idle_per_host": 8}})));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let api = api.clone();
            std::thread::spawn(move || (0..25).for_each(|_| drop(api.fetch("get", None, None).unwrap())))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let requests = server.requests();
    let bare = requests.iter().filter(|r| r.header("Authorization").is_none()).count();
    // Each thread may have been there before the first challenge came back.
    assert!((1..=8).contains(&bare), "{bare}");
    assert_eq!((requests.len(), door.lock().unwrap().seen.len()), (200 + bare, 200));
}

#[test]
fn what_the_callback_sets_is_signed_too_and_its_own_authorization_stands() {
    let (server, _) = guarded(Door::default());
    let signed = api(&server.url(), json!({}));
    signed
        .on_request(|request| {
            assert_eq!(request.header("Authorization"), None);
            request.set_query("sig", "1").unwrap();
            0
        })
        .unwrap();
    signed.fetch("get", None, None).unwrap();
    assert_eq!(server.requests()[1].target(), "/x?q=a%20b&sig=1");
    let own =
        Server::start(answering(|_| response("401 No", "WWW-Authenticate: Digest realm=a, nonce=b\r\n", "")));
    let options = json!({"extra_headers": {"Authorization": "Mine"}}).to_string();
    let headers = json!({"headers": {"Authorization": "Configured"}});
    let fault = api(&own.url(), headers.clone()).fetch("get", None, &*options).unwrap_err();
    assert_eq!(fault.status, AUTH);
    let sent: Vec<_> = own.requests().iter().map(|r| r.header("Authorization").map(str::to_owned)).collect();
    assert_eq!(sent, [Some("Mine".to_owned())]);
    // One that is configured gives way to auth.
    api(&own.url(), headers).fetch("get", None, None).unwrap_err();
    assert_eq!(own.requests()[1].header("Authorization"), None);
}

#[test]
fn explaining_sends_nothing_and_counts_nothing() {
    let (server, _) = guarded(Door::default());
    let api = api(&server.url(), json!({}));
    api.fetch("get", None, None).unwrap();
    let explained = api.explain("get", None, None).unwrap();
    let curl = explained.json()["curl"].as_str().unwrap().to_owned();
    assert!(curl.contains(" --digest --user '***:***' "), "{curl}");
    assert!(!explained.text().contains("canary"), "{}", explained.text());
    api.fetch("get", None, None).unwrap();
    assert_eq!(counts(&server), [None, Some(1), Some(2)]);
}

#[test]
fn a_user_name_that_no_header_can_hold_is_refused_unseen() {
    let config = json!({"base_url": "https://a.example", "auth":
        {"type": "digest", "username": "canary\r\nX: y", "password": "p"}});
    let fault = Api::new(&config.to_string()).map(drop).unwrap_err();
    assert_eq!(fault.status, INVALID_CONFIG);
    assert!(fault.message.starts_with("/auth/username: ") && !fault.everything().contains("canary"));
}
