//! From a name to a connection: what fails on the way, with which status and words, and within which limit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/alone.rs"]
mod alone;
#[path = "support/api.rs"]
mod api;
mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use api::{Answer, Api, CONNECT, DNS, Fault, INVALID_CONFIG, IO, TIMEOUT, log_lines};
use serde_json::{Value, json};
use support::tls::{Ca, Leaf, TlsServer};
use support::{
    Backlog, Close, Folder, Server, answering, canned, ok_json, read_request, refused_address, rst, silent,
};

/// The secret of every connector here.
const CANARY: &str = "canary-93be0477d5";
/// What a wait may take longer than its limit.
const SLACK: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_millis(300);

/// A connector with a good server beside the one under test.
struct Client {
    api: Api,
    good: Server,
}

impl Client {
    fn new(url: &str) -> Client {
        Client::with(url, json!({}))
    }

    fn with(url: &str, keys: Value) -> Client {
        let good = Server::start(answering(|_| ok_json("\"good\"")));
        let mut config = json!({
            "base_url": url,
            "retry_count": 1,
            "auth": {"type": "bearer", "token": CANARY},
            "allow_origins": [good.url()],
            "endpoints": {
                "get": {"path": "/x"},
                "put": {"path": "/x", "method": "PUT"},
                "good": {"path": format!("{}/x", good.url())},
            },
        });
        for (key, value) in keys.as_object().unwrap() {
            config[key] = value.clone();
        }
        Client { api: Api::new(&config.to_string()).unwrap(), good }
    }

    fn get(&self) -> Result<Answer, Fault> {
        self.api.fetch("get", None, None)
    }

    /// The call fails with this status and these words, says nothing secret, and the connector goes on.
    fn fails(&self, status: i32, words: &str) -> (Fault, Duration) {
        self.fails_with(status, words, None)
    }

    fn fails_with(&self, status: i32, words: &str, options: Option<&str>) -> (Fault, Duration) {
        let ((outcome, took), log) = log_lines(|| {
            let begun = Instant::now();
            (self.api.fetch("get", None, options), begun.elapsed())
        });
        let fault = outcome.expect_err("the call went well");
        assert_eq!(fault.status, status, "{} {}", fault.name, fault.message);
        assert!(fault.message.contains(words), "{:?} is not in {:?}", words, fault.message);
        for text in [&fault.everything(), &log.join("\n")] {
            assert!(!text.contains(CANARY), "a secret is in {text}");
        }
        let answer = self.api.fetch("good", None, None).expect("the connector is as good as before");
        assert_eq!(answer.text(), "\"good\"");
        (fault, took)
    }
}

fn errno(fault: &Fault) -> Option<i64> {
    fault.json["errno"].as_i64()
}

/// No earlier than the limit, and hardly later.
fn is_in_time(took: Duration, limit: Duration) {
    assert!(took >= limit && took < limit + SLACK, "{took:?} for a limit of {limit:?}");
}

// ---- names -------------------------------------------------------------------------------------------------

#[test]
fn a_name_that_does_not_exist_is_a_dns_error() {
    let client = Client::with("http://nothing.invalid:81", json!({"timeout": {"connect": 15}}));
    let (fault, _) = client.fails(DNS, "the host name did not resolve: nothing.invalid: ");
    assert_eq!((&fault.json["sent"], fault.retryable), (&json!("no"), true));
}

#[test]
fn a_name_that_is_given_an_address_is_not_looked_up_and_stays_the_name() {
    let server = Server::start(answering(|_| ok_json("1")));
    let to = json!({"resolve": {"api.invalid:81": server.address().to_string()}});
    let client = Client::with("http://API.invalid:81", to);
    let answer = client.get().unwrap();
    assert_eq!(answer.text(), "1");
    assert_eq!(answer.meta["remote_addr"], server.address().to_string());
    assert_eq!(server.requests()[0].header("Host"), Some("api.invalid:81"));
    // Another port of the name is not meant.
    let to = json!({"resolve": {"api.invalid:81": server.address().to_string()}});
    Client::with("http://api.invalid:82", to).fails(DNS, "api.invalid");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_name_is_looked_up_where_no_thread_can_start() {
    let server = Server::start(answering(|_| ok_json("[1]")));
    let url = format!("http://localhost:{}", server.address().port());
    alone::run("alone_without_threads", [("APL_TEST_URL", url.as_str())]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn alone_without_threads() {
    if !alone::is_alone() {
        return;
    }
    let url = alone::variable("APL_TEST_URL");
    let api = Api::get(&url, "/x");
    // The limit does not hold for root.
    // SAFETY: plain system calls in a process of our own; the limit lives through its call.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setresuid(65_534, 65_534, 65_534), 0);
        }
        assert_eq!(libc::setrlimit(libc::RLIMIT_NPROC, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }), 0);
    }
    let thread = std::thread::Builder::new().spawn(|| ());
    assert!(thread.is_err(), "a thread started");
    assert_eq!(api.fetch("get", None, None).unwrap().text(), "[1]");
}

// ---- connecting --------------------------------------------------------------------------------------------

#[test]
fn a_refused_connect_is_a_connect_error_at_once() {
    let address = refused_address();
    let client = Client::new(&format!("http://{address}"));
    let (fault, took) = client.fails(CONNECT, &format!("cannot connect: {address}: Connection refused"));
    assert_eq!(errno(&fault), Some(libc::ECONNREFUSED.into()));
    assert_eq!((&fault.json["sent"], fault.retryable), (&json!("no"), true));
    assert!(took < SLACK, "{took:?}");
}

#[test]
fn an_address_without_a_route_is_a_connect_error_at_once() {
    // TCP cannot go to a group, wherever the routes lead.
    let to = json!({"resolve": {"far.invalid:81": "224.0.0.1"}});
    let client = Client::with("http://far.invalid:81", to);
    let (fault, took) = client.fails(CONNECT, "cannot connect: 224.0.0.1:81: ");
    assert_eq!(errno(&fault), Some(libc::ENETUNREACH.into()), "{}", fault.message);
    assert_eq!(fault.json["sent"], "no");
    assert!(took < SLACK, "{took:?}");
}

#[test]
fn a_connect_that_hangs_ends_at_the_limit_that_comes_first() {
    let backlog = Backlog::new();
    let cases = [
        (json!({"connect": 0.3}), None, "timeout.connect"),
        (json!({"total": 0.3}), None, "timeout.total"),
        (json!({"connect": 5, "total": 0.3}), None, "timeout.total"),
        (json!({"connect": 0.3, "total": 5}), Some(r#"{"deadline": 5}"#), "timeout.connect"),
        (json!(5), Some(r#"{"deadline": 0.3}"#), "the call's deadline"),
        (json!(5), Some(r#"{"timeout": {"connect": 0.3}}"#), "timeout.connect"),
        (json!(0.3), None, "timeout.connect"),
    ];
    for (timeout, options, words) in cases {
        let client = Client::with(&backlog.url(), json!({"timeout": timeout}));
        let (fault, took) = client.fails_with(TIMEOUT, &format!("timed out: {words}"), options);
        is_in_time(took, LIMIT);
        assert_eq!((&fault.json["sent"], fault.retryable), (&json!("no"), true));
    }
}

// ---- waiting for an answer ---------------------------------------------------------------------------------

#[test]
fn each_wait_is_named_when_its_limit_runs_out() {
    const HALF_HEAD: &str = "HTTP/1.1 200 OK\r\nX: ";
    const HALF_BODY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1,";
    let each = |connect: f64, head: f64, read: f64| json!({"connect": connect, "head": head, "read": read});
    let deadline = Some(r#"{"deadline": 0.3}"#);
    let cases = [
        ("", each(9.0, 0.3, 9.0), None, "timeout.head", "maybe"),
        (HALF_HEAD, each(9.0, 0.3, 9.0), None, "timeout.head", "maybe"),
        (HALF_BODY, each(9.0, 9.0, 0.3), None, "timeout.read (nothing moved)", "yes"),
        ("", json!({"total": 0.3}), None, "timeout.total (one attempt)", "maybe"),
        (HALF_BODY, json!({"total": 0.3}), None, "timeout.total (one attempt)", "yes"),
        ("", json!(9), deadline, "the call's deadline", "maybe"),
        (HALF_HEAD, json!(9), deadline, "the call's deadline", "maybe"),
        (HALF_BODY, json!(9), deadline, "the call's deadline", "yes"),
    ];
    for (said, timeout, options, words, sent) in cases {
        let server = Server::start(canned([said], Close::Keep));
        let client = Client::with(&server.url(), json!({"timeout": timeout}));
        let (fault, took) = client.fails_with(TIMEOUT, &format!("timed out: {words}"), options);
        is_in_time(took, LIMIT);
        assert_eq!(fault.json["sent"], sent, "{said:?} {words}");
        assert_eq!(fault.category, "TIMEOUT");
        // It was asked once, and the connection is closed, not kept.
        server.wait_closed();
        assert_eq!(server.requests().len(), 1, "{said:?} {words}");
    }
}

/// Sends `before`, then a byte at a time, for ever.
fn dripping(before: &'static str) -> Server {
    Server::start(move |mut stream, _| {
        if read_request(&mut stream).is_none() || stream.write_all(before.as_bytes()).is_err() {
            return;
        }
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100)); // the drip
        }
    })
}

#[test]
fn a_head_that_drips_does_not_outlast_the_head_limit() {
    let server = dripping("HTTP/1.1 200 OK\r\nX: ");
    let client = Client::with(&server.url(), json!({"timeout": {"head": 0.5, "read": 9}}));
    let (_, took) = client.fails(TIMEOUT, "timed out: timeout.head");
    is_in_time(took, Duration::from_millis(500));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_body_that_drips_outlasts_the_read_limit_but_not_the_total() {
    let server = dripping("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n");
    let timeout = json!({"timeout": {"read": 0.4, "total": 0.9}});
    let client = Client::with(&server.url(), timeout);
    let (_, took) = client.fails(TIMEOUT, "timed out: timeout.total");
    is_in_time(took, Duration::from_millis(900));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_deadline_holds_against_every_kind_of_slow_server() {
    let limit = Duration::from_secs(1);
    let ca = Ca::new();
    let folder = Folder::new();
    let ca_file = folder.write("ca.pem", ca.pem());
    let mute = Server::start(silent());
    let head = dripping("HTTP/1.1 200 OK\r\nX: ");
    let body = dripping("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n");
    let servers = [
        ("silent", mute.url()),
        ("silent in the handshake", mute.url().replace("http:", "https:")),
        ("dripping a head", head.url()),
        ("dripping a body", body.url()),
    ];
    std::thread::scope(|scope| {
        for (what, url) in servers {
            let ca_file = &ca_file;
            scope.spawn(move || {
                let client = Client::with(&url, json!({"timeout": 9, "tls": {"ca_file": ca_file}}));
                let begun = Instant::now();
                let fault = client.api.fetch("get", None, Some(r#"{"deadline": 1}"#)).unwrap_err();
                is_in_time(begun.elapsed(), limit);
                assert_eq!(fault.status, TIMEOUT, "{what}: {}", fault.message);
                assert!(fault.message.contains("the call's deadline"), "{what}: {}", fault.message);
                assert!(!fault.everything().contains(CANARY));
                assert_eq!(client.api.fetch("good", None, None).unwrap().text(), "\"good\"", "{what}");
            });
        }
    });
    assert_eq!((head.requests().len(), body.requests().len()), (1, 1));
    assert_eq!(mute.connections(), 2);
}

#[test]
fn an_upload_that_nobody_reads_ends_at_the_read_limit() {
    // The head is read, and nothing more; the body is larger than what the kernels keep.
    let server = Server::start(|mut stream, _| {
        rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 64 * 1024).unwrap();
        let _ = support::read_head(&mut stream);
        let mut byte = [0];
        // The client's end, without reading what it has sent.
        while rustix::net::recv(&stream, &mut byte[..], rustix::net::RecvFlags::PEEK)
            .is_ok_and(|(n, _)| n > 0)
            && !is_over(&stream)
        {
            std::thread::yield_now();
        }
    });
    let client = Client::with(&server.url(), json!({"timeout": {"connect": 9, "head": 9, "read": 0.3}}));
    let begun = Instant::now();
    let fault = client.api.send_bytes("put", &vec![b'1'; 16 << 20], None).unwrap_err();
    is_in_time(begun.elapsed(), LIMIT);
    assert_eq!(fault.status, TIMEOUT, "{}", fault.message);
    assert!(fault.message.contains("timeout.read"), "{}", fault.message);
    assert_eq!(fault.json["sent"], "maybe");
    assert_eq!(server.connections(), 1);
}

/// Has the client closed or reset the connection?
fn is_over(stream: &std::net::TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
    let wait = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    poll(&mut fds, Some(&wait)).is_ok_and(|n| n > 0)
}

// ---- the system's limits -----------------------------------------------------------------------------------

/// How many descriptors this process may have.
fn limit_descriptors(most: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is valid for both calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = most;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
}

/// Opens files until no descriptor is left.
fn take_every_descriptor() -> Vec<std::fs::File> {
    let mut files = Vec::new();
    loop {
        match std::fs::File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(e) => {
                assert_eq!(e.raw_os_error(), Some(libc::EMFILE));
                return files;
            }
        }
    }
}

#[test]
fn a_process_that_is_out_of_descriptors_gets_an_io_error_and_recovers() {
    let ca = Ca::new();
    let folder = Folder::new();
    let ca_file = folder.write("ca.pem", ca.pem());
    let plain = Server::start(answering(|_| ok_json("[1]")));
    let tls = TlsServer::start(ca.identity(Leaf::Good), support::tls::answering(|_| ok_json("[2]")));
    let port = plain.address().port().to_string();
    alone::run(
        "alone_out_of_descriptors",
        [
            ("APL_TEST_URL", plain.url().as_str()),
            ("APL_TEST_PORT", &port),
            ("APL_TEST_TLS_URL", &tls.url().replace("localhost", "127.0.0.1")),
            ("APL_TEST_CA", ca_file.to_str().unwrap()),
            // The system's roots are just this authority, for the connector that names none.
            ("SSL_CERT_FILE", ca_file.to_str().unwrap()),
            ("SSL_CERT_DIR", "/nonexistent"),
        ],
    );
    // Nothing was sent by the calls that failed.
    assert_eq!((plain.requests().len(), tls.server.requests().len()), (2, 1));
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn alone_out_of_descriptors() {
    if !alone::is_alone() {
        return;
    }
    let plain = Api::get(&alone::variable("APL_TEST_URL"), "/x");
    let named = Api::get(&format!("http://localhost:{}", alone::variable("APL_TEST_PORT")), "/x");
    let tls = Api::get(&alone::variable("APL_TEST_TLS_URL"), "/x");
    limit_descriptors(64);
    let mut taken = take_every_descriptor();
    let before = alone_descriptors(&mut taken);
    for api in [&plain, &named, &tls] {
        for _ in 0..100 {
            is_out_of_descriptors(api.fetch("get", None, None).unwrap_err());
        }
    }
    // One for the socket, and none for the roots.
    taken.pop();
    is_out_of_descriptors(tls.fetch("get", None, None).unwrap_err());
    taken.push(std::fs::File::open("/dev/null").expect("the socket was closed"));
    assert_eq!(alone_descriptors(&mut taken), before);
    drop(taken);
    assert_eq!(plain.fetch("get", None, None).unwrap().text(), "[1]");
    assert_eq!(named.fetch("get", None, None).unwrap().text(), "[1]");
    assert_eq!(tls.fetch("get", None, None).unwrap().text(), "[2]");
}

/// The open descriptors, for which one has to be given back for a moment.
fn alone_descriptors(taken: &mut Vec<std::fs::File>) -> usize {
    taken.pop();
    let open = alone::descriptors();
    taken.push(std::fs::File::open("/dev/null").unwrap());
    open
}

fn is_out_of_descriptors(fault: Fault) {
    assert_eq!(fault.status, IO, "{} {}", fault.name, fault.message);
    assert_eq!(errno(&fault), Some(libc::EMFILE.into()), "{}", fault.message);
    assert!(fault.message.contains("Too many open files"), "{}", fault.message);
    assert_eq!(fault.json["sent"], "no");
}

#[test]
fn a_hundred_failures_of_each_kind_leave_no_descriptor_behind() {
    alone::run("alone_a_hundred_failures", []);
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn alone_a_hundred_failures() {
    if !alone::is_alone() {
        return;
    }
    let backlog = Backlog::new();
    let mute = Server::start(silent());
    let reset = Server::start(|mut stream, _| {
        let _ = stream.read(&mut [0; 64]);
        rst(stream);
    });
    let quick = json!({"timeout": 0.05});
    let failing = [
        (CONNECT, 100, Client::new(&format!("http://{}", refused_address()))),
        // Fewer: it may take the system's resolver a while to know.
        (DNS, 10, Client::new("http://nothing.invalid")),
        (TIMEOUT, 100, Client::with(&backlog.url(), quick.clone())),
        (TIMEOUT, 100, Client::with(&mute.url(), quick.clone())),
        (IO, 100, Client::new(&reset.url())),
    ];
    for (status, times, client) in &failing {
        let before = alone::descriptors();
        for _ in 0..*times {
            assert_eq!(client.get().unwrap_err().status, *status);
        }
        alone::wait_for_descriptors(before);
        assert_eq!(client.api.fetch("good", None, None).unwrap().text(), "\"good\"");
    }
}

// ---- what surrounds the process, and plain http ------------------------------------------------------------

#[test]
fn a_proxy_in_the_environment_is_ignored() {
    let canary = Server::start(answering(|_| ok_json("\"canary\"")));
    let server = Server::start(answering(|_| ok_json("[1]")));
    let url = canary.url();
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let environment = names.map(|name| (name, url.as_str()));
    let own = [("APL_TEST_URL", server.url())];
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    alone::run("alone_with_a_proxy_around", environment.into_iter().chain(own));
    assert_eq!(canary.connections(), 0);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.requests()[0].target(), "/x");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn alone_with_a_proxy_around() {
    if !alone::is_alone() {
        return;
    }
    let url = alone::variable("APL_TEST_URL");
    assert_eq!(Api::get(&url, "/x").fetch("get", None, None).unwrap().text(), "[1]");
    // And with TLS, which a proxy would be asked to tunnel.
    let secure = Api::get(&format!("https://{}", refused_address()), "/x");
    assert_eq!(secure.fetch("get", None, None).unwrap_err().status, CONNECT);
}

#[test]
fn credentials_over_plain_http_work_and_are_warned_of() {
    let server = Server::start(answering(|_| ok_json("1")));
    let warning = format!("credentials go to {} over plain http", server.url());
    let (client, log) = log_lines(|| Client::new(&server.url()));
    assert!(log.iter().any(|line| line.contains(&warning)), "{log:?}");
    let answer = client.get().unwrap();
    assert_eq!(answer.meta["warnings"], json!([warning]));
    let bearer = format!("Bearer {CANARY}");
    assert_eq!(server.requests()[0].header("Authorization"), Some(bearer.as_str()));
    assert!(!answer.meta.to_string().contains(CANARY) && !log.join("\n").contains(CANARY));
}

#[test]
fn tls_required_refuses_plain_http_when_the_connector_is_made() {
    let config = json!({
        "base_url": "http://localhost",
        "auth": {"type": "bearer", "token": CANARY},
        "tls": {"required": true},
    });
    let fault = Api::new(&config.to_string()).unwrap_err();
    assert_eq!(fault.status, INVALID_CONFIG, "{}", fault.message);
    assert!(fault.message.contains("/tls/required"), "{}", fault.message);
    assert!(!fault.everything().contains(CANARY));
}

#[test]
fn the_good_server_of_these_tests_would_notice_a_secret_that_strays() {
    // Its origin is allowed, so that the endpoint gets the credentials: the log of its requests is awake.
    let client = Client::new("http://127.0.0.1:1");
    client.api.fetch("good", None, None).unwrap();
    let requests = client.good.requests();
    assert_eq!(requests[0].header("Authorization"), Some(format!("Bearer {CANARY}").as_str()));
}
