//! OAuth 2.0: how tokens are asked for, kept, stored, used and replaced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use api::{
    AUTH, Api, BUSY, CANCELLED, Cancel, Fault, HTTP_STATUS, INVALID_CONFIG, Progress, REDIRECT, TIMEOUT,
    TOO_LARGE, log_lines,
};
use serde_json::{Value, json};
use support::{Gate, Request, Server, answering, ok_json, response};

/// A server whose `/token` answers like this, by the number of the question from 1; everything else like that.
fn server(
    token: impl Fn(usize, &Request) -> Vec<u8> + Send + Sync + 'static,
    api: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(answering(move |request| match request.target() {
        "/token" => token(asked.fetch_add(1, SeqCst) + 1, request),
        _ => api(request),
    }))
}

/// Tokens `canary-token-1` and so on.
fn tokens(expires_in: Value) -> impl Fn(usize, &Request) -> Vec<u8> + Send + Sync {
    move |n, _| {
        let token = format!("canary-token-{n}");
        let refresh = format!("canary-refresh-{n}");
        ok_json(
            json!({"access_token": token, "refresh_token": refresh, "token_type": "bearer", "expires_in": expires_in})
                .to_string(),
        )
    }
}

fn config(server: &Server, auth: Value) -> Value {
    let mut all = json!({
        "client_id": "client-id-1", "client_secret": "canary-secret", "token_url": format!("{}/token", server.url()),
    });
    all.as_object_mut().unwrap().extend(auth.as_object().unwrap().clone());
    json!({
        "base_url": server.url(),
        "retry_delay": 0.001,
        "default_headers": {"X-Own": "own"},
        "auth": all,
        "endpoints": {"get": {"path": "/x"}, "post": {"path": "/x", "method": "POST"}},
    })
}

fn connect(server: &Server, auth: Value) -> Api {
    Api::new(&config(server, auth).to_string()).unwrap()
}

fn client(server: &Server) -> Api {
    connect(server, json!({"type": "oauth2_client_credentials"}))
}

fn refresh(server: &Server) -> Api {
    connect(server, json!({"type": "oauth2_refresh", "refresh_token": "canary-refresh-0"}))
}

/// What the API's requests were signed with.
fn bearers(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let signed = requests.iter().filter(|r| r.target() != "/token");
    signed.map(|r| r.header("Authorization").unwrap_or("none").to_owned()).collect()
}

/// The forms that the token endpoint got.
fn forms(server: &Server) -> Vec<Vec<(String, String)>> {
    let requests = server.requests();
    let asked = requests.iter().filter(|r| r.target() == "/token");
    asked.map(|r| form_urlencoded::parse(&r.body).into_owned().collect()).collect()
}

fn field(form: &[(String, String)], name: &str) -> Option<String> {
    form.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
}

fn fine(_: &Request) -> Vec<u8> {
    ok_json("1")
}

#[test]
fn a_token_is_asked_for_with_the_clients_credentials_and_used_until_it_ends() {
    let server = server(tokens(json!(3600)), fine);
    let api = connect(&server, json!({"type": "oauth2", "scope": "read write"}));
    let (_, log) = log_lines(|| {
        api.fetch("get", None, None).unwrap();
        api.fetch("get", None, None).unwrap();
    });
    assert_eq!(bearers(&server), ["Bearer canary-token-1"; 2]);
    let asked = server.requests().remove(0);
    assert_eq!(
        asked.body_text(),
        "grant_type=client_credentials&scope=read+write&client_id=client-id-1&client_secret=canary-secret"
    );
    assert_eq!((asked.method(), asked.header("Accept")), ("POST", Some("application/json")));
    assert_eq!(asked.header("Content-Type"), Some("application/x-www-form-urlencoded"));
    // Nothing of what is for the API.
    assert_eq!((asked.header("Authorization"), asked.header("X-Own")), (None, None));
    assert!(log.join("\n").contains("Bearer ***"), "{log:#?}");
    assert!(!log.join("\n").contains("canary"), "{log:#?}");
}

#[test]
fn a_client_may_prove_itself_by_basic() {
    let server = server(tokens(json!(3600)), fine);
    let auth =
        json!({"type": "oauth2", "client_auth": "basic", "client_id": "a b:c", "client_secret": "canary&1"});
    let api = connect(&server, auth);
    let (_, log) = log_lines(|| api.fetch("get", None, None).unwrap());
    let asked = server.requests().remove(0);
    // RFC 6749 2.3.1: a+b%3Ac:canary%261
    assert_eq!(asked.header("Authorization"), Some("Basic YStiJTNBYzpjYW5hcnklMjYx"));
    assert_eq!(asked.body_text(), "grant_type=client_credentials");
    assert!(!log.join("\n").contains("YStiJTNB"), "{log:#?}");
}

#[test]
fn a_configured_token_is_used_until_it_ends() {
    let server = server(tokens(json!(3600)), fine);
    let far = json!({"type": "oauth2", "token": "canary-given", "expires_at": "2999-01-01T00:00:00Z"});
    connect(&server, far).fetch("get", None, None).unwrap();
    connect(&server, json!({"type": "oauth2", "token": "canary-given"})).fetch("get", None, None).unwrap();
    assert_eq!(forms(&server).len(), 0);
    let over = json!({"type": "oauth2", "token": "canary-given", "expires_at": 1_000_000_000});
    connect(&server, over).fetch("get", None, None).unwrap();
    assert_eq!(bearers(&server), ["Bearer canary-given", "Bearer canary-given", "Bearer canary-token-1"]);
}

#[test]
fn a_token_without_a_life_is_used_once_and_the_refresh_token_is_the_newest_one() {
    let server = server(tokens(json!("0")), fine);
    let api = refresh(&server);
    (0..3).for_each(|_| drop(api.fetch("get", None, None).unwrap()));
    assert_eq!(bearers(&server), [1, 2, 3].map(|n| format!("Bearer canary-token-{n}")));
    let used: Vec<_> = forms(&server).iter().map(|form| field(form, "refresh_token").unwrap()).collect();
    assert_eq!(used, [0, 1, 2].map(|n| format!("canary-refresh-{n}")));
    assert_eq!(field(&forms(&server)[0], "grant_type").as_deref(), Some("refresh_token"));
}

#[test]
fn ten_threads_ask_for_one_token() {
    let gate = Gate::new();
    let (go, token) = (gate.clone(), tokens(json!(3600)));
    let server = server(
        move |n, request| {
            go.wait();
            token(n, request)
        },
        fine,
    );
    let (api, start) = (client(&server), Barrier::new(10));
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                start.wait();
                api.fetch("get", None, None).unwrap();
            });
        }
        server.wait_requests(1);
        gate.open();
    });
    assert_eq!(forms(&server).len(), 1);
    assert_eq!(bearers(&server), ["Bearer canary-token-1"; 10]);
}

#[test]
fn who_waits_for_a_token_keeps_its_own_cancel_and_deadline() {
    let gate = Gate::new();
    let (go, token) = (gate.clone(), tokens(json!(3600)));
    let server = server(
        move |n, request| {
            go.wait();
            token(n, request)
        },
        fine,
    );
    let (api, cancel) = (client(&server), Cancel::new());
    thread::scope(|scope| {
        let first = scope.spawn(|| api.fetch("get", None, None));
        server.wait_requests(1);
        let fault = api.fetch("get", None, r#"{"deadline": 0.05}"#).unwrap_err();
        assert_eq!(fault.status, TIMEOUT, "{}", fault.message);
        let second = scope.spawn(|| api.fetch_until("get", None, None, Some(&cancel)));
        cancel.trigger();
        assert_eq!(second.join().unwrap().unwrap_err().status, CANCELLED);
        gate.open();
        first.join().unwrap().unwrap();
    });
    assert_eq!((forms(&server).len(), bearers(&server).len()), (1, 1));
}

#[test]
fn what_a_call_says_for_itself_is_not_for_the_token_of_all() {
    let (gate, token) = (Gate::new(), tokens(json!(3600)));
    let go = gate.clone();
    let server = server(
        move |n, request| {
            go.wait();
            token(n, request)
        },
        fine,
    );
    let api = refresh(&server);
    thread::scope(|scope| {
        let own = r#"{"timeout": 0.05, "retry_count": 1, "limits": {"max_body": 16, "max_header": 64}}"#;
        let first = scope.spawn(move || api.fetch("get", None, own).map(|_| api));
        server.wait_requests(1);
        // Longer than it would have waited for its own answer.
        thread::sleep(Duration::from_millis(200));
        gate.open();
        // Its own answer is another matter.
        let _ = first.join().unwrap();
    });
    let asked: Vec<_> = forms(&server).iter().map(|form| field(form, "refresh_token").unwrap()).collect();
    assert_eq!(asked, ["canary-refresh-0"]);
    assert_eq!(bearers(&server), ["Bearer canary-token-1"]);
}

#[test]
fn who_gives_up_asking_leaves_it_to_the_others() {
    let gate = Gate::new();
    let (go, token) = (gate.clone(), tokens(json!(3600)));
    let server = server(
        move |n, request| {
            if n == 1 {
                go.wait();
            }
            token(n, request)
        },
        fine,
    );
    let (api, cancel) = (client(&server), Cancel::new());
    thread::scope(|scope| {
        let first = scope.spawn(|| api.fetch_until("get", None, None, Some(&cancel)));
        server.wait_requests(1);
        let second = scope.spawn(|| api.fetch("get", None, None));
        cancel.trigger();
        assert_eq!(first.join().unwrap().unwrap_err().status, CANCELLED);
        second.join().unwrap().unwrap();
        gate.open();
    });
    assert_eq!(bearers(&server), ["Bearer canary-token-2"]);
}

#[test]
fn a_refused_token_is_replaced_and_the_request_made_once_more_whatever_its_method() {
    let only_second = |request: &Request| match request.header("Authorization") {
        Some("Bearer canary-token-2") => ok_json("1"),
        _ => response("401 Unauthorized", "", ""),
    };
    let server = server(tokens(json!(3600)), only_second);
    // No attempt of retry's: there is one only.
    let answer = client(&server).send("post", r#"{"n": 1}"#, r#"{"retry_count": 1}"#).unwrap();
    let requests = server.requests();
    let bodies: Vec<_> = requests.iter().filter(|r| r.target() == "/x").map(|r| r.body_text()).collect();
    assert_eq!(bodies, [r#"{"n": 1}"#; 2]);
    assert_eq!(bearers(&server), ["Bearer canary-token-1", "Bearer canary-token-2"]);
    let statuses: Vec<_> =
        answer.meta["attempts"].as_array().unwrap().iter().map(|a| a["status"].clone()).collect();
    assert_eq!(statuses, [401, 200]);
}

#[test]
fn a_server_that_refuses_whatever_comes_is_asked_twice() {
    let server =
        server(tokens(json!(3600)), |_| response("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", ""));
    let fault = client(&server).fetch("get", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status), (AUTH, 401));
    assert_eq!(bearers(&server), ["Bearer canary-token-1", "Bearer canary-token-2"]);
    assert_eq!(fault.response.unwrap().header("WWW-Authenticate"), Some("Bearer"));
}

#[test]
fn a_token_that_ends_while_a_retry_waits_is_replaced_before_it() {
    let answered = AtomicUsize::new(0);
    let server = server(tokens(json!(1)), move |_| match answered.fetch_add(1, SeqCst) {
        0 => response("503 Later", "Retry-After: 1\r\n", ""),
        _ => ok_json("1"),
    });
    client(&server).fetch("get", None, None).unwrap();
    assert_eq!(bearers(&server), ["Bearer canary-token-1", "Bearer canary-token-2"]);
}

#[test]
fn a_rule_may_say_what_a_refused_token_looks_like() {
    let server = server(tokens(json!(3600)), |request| match request.header("Authorization") {
        Some("Bearer canary-token-2") => ok_json("1"),
        _ => ok_json(r#"{"error": "token_expired"}"#),
    });
    let mut config = config(&server, json!({"type": "oauth2"}));
    config["endpoints"]["get"]["responses"] =
        json!([{"path": "error", "equals": "token_expired", "then": "refresh_token"}]);
    let api = Api::new(&config.to_string()).unwrap();
    assert_eq!(api.fetch("get", None, None).unwrap().text(), "1");
    // By itself, a 403 is no question of the token.
    assert_eq!(forms(&server).len(), 2);
}

#[test]
fn a_403_asks_for_no_other_token() {
    let server = server(tokens(json!(3600)), |_| response("403 Forbidden", "", ""));
    let fault = client(&server).fetch("get", None, None).unwrap_err();
    assert_eq!((fault.status, fault.http_status, forms(&server).len()), (AUTH, 403, 1));
}

/// A call whose token endpoint answers like this: the error, and how often it was asked. The API never is.
fn failing(answer: Vec<u8>) -> (Fault, usize) {
    let server = server(move |_, _| answer.clone(), fine);
    let api = refresh(&server);
    let (fault, log) = log_lines(|| api.fetch("get", None, None).unwrap_err());
    assert_eq!(bearers(&server).len(), 0);
    assert_eq!(fault.json["sent"], "no");
    // The bytes of an answer that is handed out are the server's own.
    let said = format!("{} {}", fault.json, log.join("\n"));
    assert!(!said.contains("canary"), "{said}");
    assert!(fault.message.contains("/token"), "{}", fault.message);
    (fault, forms(&server).len())
}

#[test]
fn what_is_no_token_is_an_auth_error_and_nothing_is_sent() {
    for (body, says) in [
        ("<html>log in, canary</html>", "no token"),
        (r#"{"token": "canary-x"}"#, "without an access_token"),
        (r#"{"access_token": "canary-x", "token_type": "MAC"}"#, "token_type"),
        (r#"{"access_token": "canary-x\r\nX: y", "token_type": "Bearer"}"#, "visible ASCII"),
        (r#"{"access_token": "canary-x\u0000", "token_type": "Bearer"}"#, "visible ASCII"),
        (r#"{"access_token": "canary-xé", "token_type": "Bearer"}"#, "visible ASCII"),
        (
            r#"{"error": "invalid_grant", "error_description": "gone: canary-refresh-0"}"#,
            "invalid_grant: gone: ***",
        ),
    ] {
        let (fault, asked) = failing(ok_json(body));
        assert_eq!((fault.status, asked, fault.retryable), (AUTH, 1, false), "{body}");
        assert!(fault.message.contains(says), "{}", fault.message);
    }
}

#[test]
fn a_refusal_says_what_the_token_endpoint_says() {
    let body = r#"{"error": "invalid_client", "error_description": "no canary-secret here"}"#;
    for status in ["400 Bad Request", "401 Unauthorized"] {
        let (fault, asked) = failing(response(status, "Content-Type: application/json\r\n", body));
        assert_eq!((fault.status, asked, fault.retryable), (AUTH, 1, false));
        assert!(fault.message.contains("invalid_client: no *** here"), "{}", fault.message);
    }
}

#[test]
fn a_token_endpoint_in_trouble_is_asked_again_and_keeps_its_own_error() {
    let (fault, asked) = failing(response("503 Later", "", ""));
    assert_eq!((fault.status, fault.http_status, asked, fault.retryable), (HTTP_STATUS, 503, 3, true));
    let token = tokens(json!(3600));
    let server = server(move |n, r| if n < 3 { response("502 Bad", "", "") } else { token(n, r) }, fine);
    client(&server).fetch("get", None, None).unwrap();
    assert_eq!(bearers(&server), ["Bearer canary-token-3"]);
}

#[test]
fn a_token_endpoint_is_never_redirected() {
    let other = server(tokens(json!(3600)), fine);
    let to = format!("Location: {}/token\r\n", other.url());
    for status in ["302 Found", "307 Temporary Redirect"] {
        let (fault, asked) = failing(response(status, &to, ""));
        assert_eq!((fault.status, asked), (REDIRECT, 1), "{}", fault.message);
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn an_answer_has_a_size() {
    let long = format!(r#"{{"access_token": "t", "x": "{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(failing(ok_json(long)).0.status, TOO_LARGE);
    let deep = format!(r#"{{"access_token": "t", "x": {}"#, "[".repeat(1_000_000));
    assert_eq!(failing(ok_json(deep)).0.status, AUTH);
}

#[test]
fn what_cannot_work_is_said_when_the_connector_is_made() {
    let server = server(tokens(json!(1)), fine);
    for (auth, says) in [
        (
            json!({"type": "oauth2", "token_url": "http://auth.example/token"}),
            "/auth/token_url: must be https",
        ),
        (json!({"type": "oauth2", "token_url": "nowhere"}), "/auth/token_url: "),
        (json!({"type": "oauth2", "client_secret": ""}), "/auth/client_secret: the key is missing"),
        (json!({"type": "oauth2", "client_id": ""}), "/auth/client_id: the key is missing"),
        (json!({"type": "oauth2", "expires_at": "soon", "token": "x"}), "/auth/expires_at: must be"),
        (json!({"type": "oauth2", "token": "canary\r\n"}), "/auth/token: must be visible ASCII"),
        (json!({"type": "oauth2", "refresh_token": "canary-r"}), "/auth/refresh_token: only the type"),
        (json!({"type": "oauth2", "key_id": "k"}), "/auth/key_id: only client_auth"),
        (json!({"type": "oauth2_refresh"}), "/auth/refresh_token: the key is missing"),
    ] {
        let fault = Api::new(&config(&server, auth).to_string()).unwrap_err();
        assert_eq!(fault.status, INVALID_CONFIG);
        assert!(fault.message.starts_with(says) && !fault.message.contains("canary"), "{}", fault.message);
    }
}

#[test]
fn a_new_token_is_stored_before_it_is_used() {
    let server = Arc::new(server(tokens(json!(3600)), fine));
    let auth = json!({
        "type": "oauth2_refresh", "refresh_token": "canary-refresh-0", "storage_key": "me", "scope": "read",
    });
    let api = connect(&server, auth);
    let (seen, thread) = (Arc::new(Mutex::new(Vec::new())), thread::current().id());
    let (see, server2) = (seen.clone(), Arc::downgrade(&server));
    api.on_token(move |json| {
        assert_eq!((thread::current().id(), bearers(&server2.upgrade().unwrap()).len()), (thread, 0));
        see.lock().unwrap().push(serde_json::from_str::<Value>(json).unwrap());
        0
    })
    .unwrap();
    api.fetch("get", None, None).unwrap();
    api.fetch("get", None, None).unwrap();
    let mut stored = seen.lock().unwrap().clone();
    assert_eq!(stored.len(), 1);
    let expires = stored[0].as_object_mut().unwrap().remove("expires_at").unwrap();
    assert_eq!(
        stored[0],
        json!({
            "storage_key": "me", "access_token": "canary-token-1", "refresh_token": "canary-refresh-1",
            "token_type": "Bearer", "scope": "read",
        })
    );
    // As a configuration takes it.
    let again = json!({
        "type": "oauth2_refresh", "refresh_token": "r", "token": "canary-token-1", "expires_at": expires,
    });
    connect(&server, again).fetch("get", None, None).unwrap();
    assert_eq!((forms(&server).len(), bearers(&server).len()), (1, 3));
}

#[test]
fn a_token_that_was_not_stored_is_offered_again_before_it_is_used() {
    let server = server(tokens(json!(3600)), fine);
    let api = refresh(&server);
    let (says, offered) = (Arc::new(AtomicI32::new(-7)), Arc::new(AtomicUsize::new(0)));
    let (say, count) = (says.clone(), offered.clone());
    api.on_token(move |json| {
        assert!(json.contains("canary-token-1"));
        count.fetch_add(1, SeqCst);
        say.load(SeqCst)
    })
    .unwrap();
    let fault = api.fetch("get", None, None).unwrap_err();
    assert_eq!((fault.status, bearers(&server).len()), (AUTH, 0));
    let message = &fault.message;
    assert!(message.contains("apl_connector_on_token") && message.ends_with("it returned -7"), "{message}");
    assert!(!fault.everything().contains("canary"), "{fault:?}");
    says.store(0, SeqCst);
    api.fetch("get", None, None).unwrap();
    api.fetch("get", None, None).unwrap();
    // The old refresh token is spent: it was not asked for another one.
    assert_eq!((forms(&server).len(), offered.load(SeqCst)), (1, 2));
    assert_eq!(bearers(&server), ["Bearer canary-token-1"; 2]);
}

#[test]
fn the_token_callback_is_set_before_the_first_call_and_may_call_others() {
    let server = server(tokens(json!(3600)), fine);
    let (api, other) = (Arc::new(client(&server)), client(&server));
    let inner: Arc<OnceLock<Fault>> = Arc::default();
    let (same, saw) = (Arc::downgrade(&api), inner.clone());
    api.on_token(move |_| {
        other.fetch("get", None, None).unwrap();
        saw.set(same.upgrade().unwrap().fetch("get", None, None).unwrap_err()).unwrap();
        0
    })
    .unwrap();
    api.fetch("get", None, None).unwrap();
    assert_eq!(inner.get().unwrap().status, BUSY, "{}", inner.get().unwrap().message);
    assert_eq!(api.on_token(|_| 0).unwrap_err().status, BUSY);
}

#[test]
fn callbacks_of_a_download_run_on_its_callers_thread_and_may_not_ask_for_the_token() {
    let server = server(tokens(json!(3600)), fine);
    let folder = support::Folder::new();
    let api = Arc::new(client(&server));
    let (same, caller, statuses) =
        (Arc::downgrade(&api), thread::current().id(), Arc::new(Mutex::new(Vec::new())));
    let saw = statuses.clone();
    api.on_token(move |_| {
        assert_eq!(thread::current().id(), caller);
        saw.lock().unwrap().push(same.upgrade().unwrap().fetch("get", None, None).unwrap_err().status);
        0
    })
    .unwrap();
    api.download("get", &folder.path().join("file"), "{}").unwrap();
    assert_eq!(*statuses.lock().unwrap(), [BUSY]);
}

#[test]
fn a_download_that_asks_for_a_token_logs_while_its_progress_callback_waits_for_it() {
    let (asked, begun, token) = (Gate::new(), Gate::new(), tokens(json!(3600)));
    let (ask, begin) = (asked.clone(), begun.clone());
    let server = server(
        move |n, request| {
            ask.open();
            begin.wait();
            token(n, request)
        },
        fine,
    );
    let (api, folder, mut inner) = (client(&server), support::Folder::new(), None);
    let mut progress = |_: &Progress| {
        // Before that, its own thread may have something to log first.
        if asked.is_open() {
            begun.open();
            inner.get_or_insert_with(|| api.fetch("get", None, r#"{"deadline": 10}"#));
        }
        0
    };
    let path = folder.path().join("file");
    let (_, log) = log_lines(|| api.download_until("get", &path, "{}", Some(&mut progress), None).unwrap());
    assert_eq!(inner.unwrap().unwrap().status, 200);
    assert!(log.iter().any(|line| line.contains("/token")), "{log:?}");
    assert_eq!(bearers(&server), ["Bearer canary-token-1"; 2]);
}

#[test]
fn another_origin_sees_no_token() {
    let other = Server::start(answering(fine));
    let to = format!("Location: {}/y\r\n", other.url());
    let server = server(tokens(json!(3600)), move |_| response("302 Found", &to, ""));
    client(&server).fetch("get", None, None).unwrap();
    assert_eq!(other.requests()[0].header("Authorization"), None);
    assert_eq!(bearers(&server), ["Bearer canary-token-1"]);
}

#[test]
fn tokens_that_a_server_says_back_are_not_shown() {
    let server = server(tokens(json!(3600)), |_| {
        response("400 Bad", "", r#"{"message": "canary-token-1, canary-refresh-1, canary-secret"}"#)
    });
    let api = refresh(&server);
    let (fault, log) = log_lines(|| api.fetch("get", None, None).unwrap_err());
    assert!(fault.message.ends_with("***, ***, ***"), "{}", fault.message);
    let json = fault.json.to_string();
    assert!(!json.contains("canary") && !log.join("\n").contains("canary"), "{json} {log:#?}");
}

#[test]
fn tokens_that_were_replaced_are_still_hidden() {
    let server = server(tokens(json!(0)), |_| {
        response(
            "400 Bad",
            "",
            r#"{"message": "superseded: canary-token-1, canary-refresh-1, canary-refresh-0"}"#,
        )
    });
    let api = refresh(&server);
    for _ in 0..3 {
        let fault = api.fetch("get", None, None).unwrap_err();
        assert!(fault.message.ends_with("superseded: ***, ***, ***"), "{}", fault.message);
    }
}

#[test]
fn a_refresh_token_that_was_refused_is_not_sent_again() {
    let server = server(|_, _| response("400 Bad Request", "", r#"{"error": "invalid_grant"}"#), fine);
    let api = refresh(&server);
    for _ in 0..20 {
        let fault = api.fetch("get", None, None).unwrap_err();
        assert_eq!((fault.status, fault.http_status, fault.retryable), (AUTH, 400, false));
        for says in ["/token", "invalid_grant", "get another one"] {
            assert!(fault.message.contains(says), "{}", fault.message);
        }
    }
    assert_eq!(forms(&server).len(), 1);
}

#[test]
fn a_refused_client_is_not_asked_for_with_every_call() {
    let token = tokens(json!(3600));
    let server = server(
        move |n, r| match n {
            1 => response("401 Unauthorized", "", r#"{"error": "invalid_client"}"#),
            _ => token(n, r),
        },
        fine,
    );
    let api = client(&server);
    let begun = Instant::now();
    let mut refused = 0;
    while api.fetch("get", None, None).map_err(|fault| assert_eq!(fault.status, AUTH)).is_err() {
        refused += 1;
    }
    // Five seconds later it may have been let in.
    assert!(begun.elapsed() >= Duration::from_millis(4900), "{:?}", begun.elapsed());
    assert!(refused > 1);
    assert_eq!(forms(&server).len(), 2);
}

#[test]
fn a_checkpoint_has_no_token_in_it() {
    let page = |next: &str| {
        let body = format!(r#"{{"items": [1], "next": "/x?{next}"}}"#);
        let server = server(tokens(json!(3600)), move |_| ok_json(&body));
        let mut config = config(&server, json!({"type": "oauth2"}));
        config["endpoints"]["get"]["response_path"] = json!("items");
        config["endpoints"]["get"]["pagination"] =
            json!({"style": "json_link", "next_url_path": "next", "max_pages": 1});
        let answer = Api::new(&config.to_string()).unwrap().fetch("get", None, None).unwrap();
        answer.meta["checkpoint"].clone()
    };
    assert!(page("page=2").is_string());
    assert_eq!(page("page=2&access_token=canary-token-1"), Value::Null);
}

#[test]
fn explaining_asks_nobody_and_shows_how_it_would_be_signed() {
    let server = server(tokens(json!(3600)), fine);
    let api = client(&server);
    api.on_token(|_| panic!("it was asked")).unwrap();
    let shown = api.explain("get", None, None).unwrap().json();
    assert!(
        shown["headers"].as_array().unwrap().contains(&json!(["authorization", "Bearer ***"])),
        "{shown}"
    );
    assert_eq!(server.connections(), 0);
}
