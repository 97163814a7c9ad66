//! A cancel ends a call wherever it waits, at once, and harms no other: fault L1, with the oracles o3, o4, o6
//! and o7. Every call goes through the C functions. The median of how long a cancel takes is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]
#![allow(clippy::print_stdout)] // figures, for those who ask with --nocapture

#[path = "support/api.rs"]
mod api;
mod support;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::{Duration, Instant};

use api::{Answer, Api, CANCELLED, Cancel, Fault};
use rustix::event::{PollFd, PollFlags, poll};
use support::tls::{Ca, Leaf, TlsServer};
use support::{Backlog, Close, Gate, Server, finish, ok_json, read_head, read_request, silent};

/// What the contract allows; the median says what it really takes.
const SLACK: Duration = Duration::from_secs(1);
const ROUNDS: usize = 20;

/// The calls of these tests, one endpoint per way to hang.
fn api(base_url: &str) -> Api {
    api_with(base_url, serde_json::json!({}))
}

fn api_with(base_url: &str, more: serde_json::Value) -> Api {
    let mut config = serde_json::json!({
        "base_url": base_url,
        "retry_count": 1,
        "timeout": 30,
        "endpoints": {
            "ok": {"path": "/ok"},
            "get": {"path": "/{where}"},
            "post": {"path": "/{where}", "method": "POST"},
            "upload": {
                "path": "/upload", "method": "PUT", "body": "raw", "content_type": "application/octet-stream"
            },
        },
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Api::new(&config.to_string()).unwrap()
}

fn at(place: &str) -> String {
    serde_json::json!({"where": place}).to_string()
}

/// Answers `/ok`; hangs elsewhere, in the way that the path says.
fn hanging() -> Server {
    Server::start(|mut stream, _| {
        while let Some(target) = next_target(&mut stream) {
            let part: &[u8] = match target.as_str() {
                "/ok" => &ok_json("true"),
                "/head" => b"",
                "/some-head" => b"HTTP/1.1 200 OK\r\nContent-",
                "/length" => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[1, 2",
                "/close" => b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[1, 2]",
                "/chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n[1, 2]\r\n",
                "/refused" => b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\n{\"title\": ",
                "/upload" => return until_reset(&stream),
                other => panic!("{other}"),
            };
            stream.write_all(part).unwrap();
            if target != "/ok" {
                return finish(stream, Close::Keep);
            }
        }
    })
}

/// The next request's path; an upload's body is left unread.
fn next_target(stream: &mut TcpStream) -> Option<String> {
    let mut byte = [0; 4];
    // "PUT ": only what it says next matters, and nobody reads it.
    if stream.peek(&mut byte).ok()? == 4 && &byte == b"PUT " {
        read_head(stream)?;
        return Some("/upload".to_owned());
    }
    read_request(stream).map(|request| request.target().to_owned())
}

/// Waits for the end of a connection without reading from it.
fn until_reset(stream: &TcpStream) {
    let _ = poll(&mut [PollFd::new(stream, PollFlags::RDHUP)], None);
}

/// How often a call waited, and for how long after its cancel.
struct Took(Vec<Duration>);

impl Took {
    fn note(&mut self, cancelled: Instant, back: Instant) {
        let took = back.saturating_duration_since(cancelled);
        assert!(took < SLACK, "back {took:?} after the cancel");
        self.0.push(took);
    }

    fn print(mut self, what: &str) {
        self.0.sort();
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let (median, most) = (self.0[self.0.len() / 2], self.0[self.0.len() - 1]);
        println!(
            "cancel {what}: median {:.2} ms, at most {:.2} ms of {}",
            ms(median),
            ms(most),
            self.0.len()
        );
    }
}

/// Makes a call and cancels it from another thread as soon as `hangs` returns. Gives the call's failure.
fn cancel_call(
    took: &mut Took,
    hangs: impl FnOnce() + Send,
    call: impl FnOnce(&Cancel) -> Result<Answer, Fault>,
) -> Fault {
    let cancel = Cancel::new();
    std::thread::scope(|s| {
        let canceller = s.spawn(|| {
            hangs();
            let at = Instant::now();
            cancel.trigger();
            at
        });
        let (outcome, back) = (call(&cancel), Instant::now());
        took.note(canceller.join().unwrap(), back);
        cancelled(outcome)
    })
}

/// The failure of a cancelled call, with all that holds for each.
fn cancelled(outcome: Result<Answer, Fault>) -> Fault {
    let fault = outcome.expect_err("a cancelled call succeeded");
    assert_eq!(fault.status, CANCELLED, "{fault:?}");
    assert_eq!((fault.category.as_str(), fault.retryable), ("UNKNOWN", false), "{fault:?}");
    fault
}

/// Both ends of where a call can be: about to wait, and waiting. The server's word that a request is there
/// comes before the client waits for the answer.
fn settle(round: usize) {
    std::thread::sleep(Duration::from_millis(round as u64 % 4));
}

/// Cancels calls that hang at a server which has their request; after each the connector is good, and the
/// connection that was cut is not used again.
fn cancel_at_server(what: &str, sent: &str, call: impl Fn(&Api, &Cancel) -> Result<Answer, Fault>) {
    let (server, mut took, mut answered) = (hanging(), Took(Vec::new()), 0);
    let api = api(&server.url());
    for round in 0..ROUNDS {
        let hangs = || {
            server.wait_requests(2 * round + 1);
            settle(round);
        };
        let fault = cancel_call(&mut took, hangs, |cancel| call(&api, cancel));
        // Where the cancel was before the head, the answer is not there yet.
        let said = fault.json["sent"].as_str().unwrap();
        assert!(said == sent || said == "maybe", "{fault:?}");
        answered += usize::from(said == "yes");
        let good = api.fetch_until("ok", None, None, Some(&Cancel::new())).unwrap();
        assert_eq!(good.text(), "true");
        let requests = server.wait_requests(2 * round + 2);
        let (cut, good) = (&requests[2 * round], &requests[2 * round + 1]);
        assert!(cut.connection < good.connection, "a connection that was cut came out of the pool");
    }
    assert_eq!(answered > 0, sent == "yes", "{answered} of {ROUNDS} cancels found a head");
    // Each round lost one connection, which the round before had left; nothing was sent twice.
    assert_eq!((server.requests().len(), server.connections()), (2 * ROUNDS, ROUNDS + 1));
    drop(api);
    server.wait_closed();
    took.print(what);
}

fn cancel_fetch(what: &str, sent: &str, place: &'static str) {
    cancel_at_server(what, sent, |api, cancel| api.fetch_until("get", &*at(place), None, Some(cancel)));
}

#[test]
fn before_the_head() {
    cancel_fetch("before the head", "maybe", "head");
}

#[test]
fn within_the_head() {
    cancel_fetch("within the head", "maybe", "some-head");
}

#[test]
fn in_a_body_with_a_length() {
    cancel_fetch("in a body with a length", "yes", "length");
}

/// It looks complete when its connection ends, as it does when it is cancelled.
#[test]
fn in_a_body_to_the_end_of_the_connection() {
    cancel_fetch("in a close-delimited body", "yes", "close");
}

#[test]
fn in_a_chunked_body() {
    cancel_fetch("in a chunked body", "yes", "chunked");
}

/// The status of a refusal is known, its body is not: the caller wanted out.
#[test]
fn in_the_body_of_a_refusal() {
    cancel_fetch("in the body of a refusal", "yes", "refused");
}

#[test]
fn after_a_post() {
    cancel_at_server("of a POST, before the head", "maybe", |api, cancel| {
        let options = serde_json::json!({"params": {"where": "head"}}).to_string();
        api.send_until("post", "{}", &*options, Some(cancel))
    });
}

#[test]
fn while_the_server_does_not_read() {
    let (server, mut took) = (hanging(), Took(Vec::new()));
    let api = api(&server.url());
    let body = vec![b'x'; 32 << 20];
    for round in 0..ROUNDS {
        let hangs = || {
            server.wait_connections(round + 1);
            // Long enough to fill the buffers between the two, now and then.
            std::thread::sleep(Duration::from_millis([0, 2, 30][round % 3]));
        };
        let fault =
            cancel_call(&mut took, hangs, |cancel| api.send_bytes_until("upload", &body, None, Some(cancel)));
        assert_ne!(fault.json["sent"], "yes", "{fault:?}");
    }
    assert_eq!(api.fetch("ok", None, None).unwrap().text(), "true");
    assert_eq!(server.connections(), ROUNDS + 1);
    took.print("of an upload nobody reads");
}

#[test]
fn during_the_connect() {
    let (backlog, mut took) = (Backlog::new(), Took(Vec::new()));
    let server = hanging();
    let api = api(&backlog.url());
    for round in 0..ROUNDS {
        let hangs = || std::thread::sleep(Duration::from_millis(5 * (round as u64 % 3)));
        let fault = cancel_call(&mut took, hangs, |cancel| api.fetch_until("ok", None, None, Some(cancel)));
        assert_eq!(fault.json["sent"], "no", "{fault:?}");
        assert_eq!(fault.json["errno"], serde_json::Value::Null);
    }
    drop(server);
    took.print("during the connect");
}

#[test]
fn during_the_tls_handshake() {
    let (server, mut took) = (Server::start(silent()), Took(Vec::new()));
    let api = api(&server.url().replace("http:", "https:"));
    for round in 0..ROUNDS {
        let hangs = || {
            server.wait_connections(round + 1);
            settle(round);
        };
        let fault = cancel_call(&mut took, hangs, |cancel| api.fetch_until("ok", None, None, Some(cancel)));
        assert_eq!(fault.json["sent"], "no", "{fault:?}");
    }
    server.wait_closed();
    assert_eq!(server.connections(), ROUNDS);
    took.print("during the TLS handshake");
}

/// Under TLS a cut looks like one without close_notify, in the head and in the body.
#[test]
fn under_tls() {
    let ca = Ca::new();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    let server = TlsServer::start(ca.identity(Leaf::Good), move |stream, _| {
        while let Some(request) = read_request(stream) {
            let part: &[u8] = match request.target() {
                "/ok" => &ok_json("true"),
                "/head" => b"",
                _ => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[1, 2",
            };
            // First: whoever has read the answer finds its request counted.
            counter.fetch_add(1, SeqCst);
            stream.write_all(part).unwrap();
            stream.flush().unwrap();
            if request.target() != "/ok" {
                break;
            }
        }
        support::tls::TlsClose::Keep
    });
    let folder = support::Folder::new();
    let file = folder.write("ca.pem", ca.pem());
    let api = api_with(&server.url(), serde_json::json!({"tls": {"ca_file": file}}));
    for (place, sent) in [("head", "maybe"), ("length", "yes")] {
        let mut took = Took(Vec::new());
        let before = requests.load(SeqCst);
        for round in 0..ROUNDS {
            let hangs = || {
                while requests.load(SeqCst) < before + 2 * round + 1 {
                    std::thread::sleep(Duration::from_micros(100));
                }
                settle(round);
            };
            let fault = cancel_call(&mut took, hangs, |cancel| {
                api.fetch_until("get", &*at(place), None, Some(cancel))
            });
            let said = fault.json["sent"].as_str().unwrap();
            assert!(said == sent || said == "maybe", "{fault:?}");
            assert_eq!(api.fetch("ok", None, None).unwrap().text(), "true");
        }
        took.print(&format!("under TLS, at the {place}"));
    }
    assert_eq!(server.server.connections(), 2 * ROUNDS + 1);
}

/// Where the test's own resolver waits for a name that begins with `slow`.
static SLOW: OnceLock<Gate> = OnceLock::new();
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// The system's resolver, but for names that begin with `slow`: nobody answers for those until the gate opens.
///
/// # Safety
/// As getaddrinfo(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    found: *mut *mut libc::addrinfo,
) -> c_int {
    type Real = unsafe extern "C" fn(
        *const c_char,
        *const c_char,
        *const libc::addrinfo,
        *mut *mut libc::addrinfo,
    ) -> c_int;
    // SAFETY: the arguments are the caller's; the next symbol of this name is the C library's function.
    unsafe {
        if !node.is_null() && CStr::from_ptr(node).to_bytes().starts_with(b"slow") {
            ASKED.fetch_add(1, SeqCst);
            SLOW.get_or_init(Gate::new).wait();
            return libc::EAI_NONAME;
        }
        let real = libc::dlsym(libc::RTLD_NEXT, c"getaddrinfo".as_ptr());
        assert!(!real.is_null());
        std::mem::transmute::<*mut c_void, Real>(real)(node, service, hints, found)
    }
}

/// The thread that asks the system is left behind.
#[test]
fn while_a_name_is_resolved() {
    let mut took = Took(Vec::new());
    let api = api("http://slow.test:9");
    for round in 0..ROUNDS {
        let hangs = || {
            while ASKED.load(SeqCst) <= round {
                std::thread::sleep(Duration::from_micros(100));
            }
            settle(round);
        };
        let fault = cancel_call(&mut took, hangs, |cancel| api.fetch_until("ok", None, None, Some(cancel)));
        assert_eq!(fault.json["sent"], "no", "{fault:?}");
    }
    SLOW.get_or_init(Gate::new).open();
    took.print("while a name is resolved");
}

#[test]
fn before_the_call_nothing_is_sent() {
    let server = hanging();
    let api = api(&server.url());
    let cancel = Cancel::new();
    cancel.trigger();
    cancel.trigger();
    assert!(cancel.is_triggered());
    let none = || Some(&cancel);
    let outcomes = [
        api.fetch_until("ok", None, None, none()),
        api.send_until("post", "{}", r#"{"params": {"where": "ok"}}"#, none()),
        api.send_bytes_until("upload", b"x", None, none()),
    ];
    for outcome in outcomes {
        assert_eq!(cancelled(outcome).json["sent"], "no");
    }
    // Whatever is wrong with the arguments is said first: a cancel changes nothing about that.
    assert_eq!(api.fetch_until("okk", None, None, none()).unwrap_err().status, api::UNKNOWN_ENDPOINT);
    assert_eq!((server.connections(), server.requests().len()), (0, 0));
    // Nor is an idle connection taken, or lost.
    api.fetch("ok", None, None).unwrap();
    cancelled(api.fetch_until("ok", None, None, none()));
    api.fetch("ok", None, None).unwrap();
    assert_eq!((server.connections(), server.requests().len()), (1, 2));
}

/// The token of a call that is over has no socket any more: the idle connection is not touched.
#[test]
fn after_the_end_the_idle_connection_lives() {
    let server = hanging();
    let api = api(&server.url());
    for _ in 0..ROUNDS {
        let cancel = Cancel::new();
        api.fetch_until("ok", None, None, Some(&cancel)).unwrap();
        cancel.trigger();
    }
    assert_eq!((server.connections(), server.requests().len()), (1, ROUNDS));
}

/// Several cancels of one token at once.
#[test]
fn twice_and_at_once() {
    let (server, mut took) = (hanging(), Took(Vec::new()));
    let api = api(&server.url());
    for round in 0..ROUNDS {
        let (cancel, together) = (Cancel::new(), Barrier::new(4));
        std::thread::scope(|s| {
            let trigger = || {
                server.wait_requests(round + 1);
                together.wait();
                let at = Instant::now();
                cancel.trigger();
                cancel.trigger();
                at
            };
            let cancellers: Vec<_> = (0..4).map(|_| s.spawn(trigger)).collect();
            let outcome = api.fetch_until("get", &*at("head"), None, Some(&cancel));
            let back = Instant::now();
            took.note(cancellers.into_iter().map(|c| c.join().unwrap()).min().unwrap(), back);
            cancelled(outcome);
        });
    }
    took.print("by four at once");
}

/// More calls than a token has room for in itself; all end.
#[test]
fn one_token_for_many_calls() {
    const CALLS: usize = 24;
    let (server, mut took) = (hanging(), Took(Vec::new()));
    let api = api(&server.url());
    for round in 0..4 {
        let cancel = Cancel::new();
        std::thread::scope(|s| {
            let calls: Vec<_> = (0..CALLS)
                .map(|n| {
                    let place = ["head", "length", "close", "chunked"][n % 4];
                    let (api, cancel) = (&api, &cancel);
                    s.spawn(move || (api.fetch_until("get", &*at(place), None, Some(cancel)), Instant::now()))
                })
                .collect();
            server.wait_requests((round + 1) * CALLS);
            settle(round);
            let at = Instant::now();
            cancel.trigger();
            for call in calls {
                let (outcome, back) = call.join().unwrap();
                cancelled(outcome);
                took.note(at, back);
            }
        });
        cancelled(api.fetch_until("ok", None, None, Some(&cancel)));
    }
    assert_eq!(api.fetch("ok", None, None).unwrap().status, 200);
    drop(api);
    server.wait_closed();
    took.print("of 24 calls by one token");
}

/// The verdict on an API that was asked and not heard.
#[test]
fn a_cancelled_health_check_knows_nothing() {
    let (server, mut took) = (hanging(), Took(Vec::new()));
    let health = serde_json::json!({"health": {"path": "/head", "timeout": 30}});
    let api = api_with(&server.url(), health);
    for round in 0..3 {
        let cancel = Cancel::new();
        std::thread::scope(|s| {
            let call = s.spawn(|| (api.health_until(Some(&cancel)), Instant::now()));
            server.wait_requests(round + 1);
            let at = Instant::now();
            cancel.trigger();
            let (verdict, back) = call.join().unwrap();
            took.note(at, back);
            assert_eq!(verdict.unwrap().json()["status"], "unknown");
        });
    }
    took.print("of a health check");
}

/// The callback cancels by the token that is its user data, and only for a line of its test.
unsafe extern "C" fn on_log(_: i32, message: *const c_char, user_data: *mut c_void) {
    // SAFETY: a C string, and the test's token, which outlives the callback.
    unsafe {
        if CStr::from_ptr(message).to_bytes().starts_with(b"logged:") {
            (*user_data.cast::<Cancel>()).trigger();
        }
    }
}

/// A log callback cancels another thread's call. Its own is over when it is logged, and keeps its answer.
#[test]
fn from_a_log_callback() {
    let (server, mut took) = (hanging(), Took(Vec::new()));
    let endpoints = serde_json::json!({"logged": {"path": "/ok"}, "hangs": {"path": "/head"}});
    let api = api_with(&server.url(), serde_json::json!({"endpoints": endpoints}));
    for round in 0..ROUNDS {
        let cancel = Cancel::new();
        let user_data = std::ptr::from_ref(&cancel).cast_mut().cast();
        // SAFETY: the token lives until the log is off again.
        unsafe { apl::ffi::apl_log_set(5, Some(on_log), user_data, None) };
        std::thread::scope(|s| {
            let hanging = s.spawn(|| (api.fetch_until("hangs", None, None, Some(&cancel)), Instant::now()));
            server.wait_requests(2 * round + 1);
            let at = Instant::now();
            let own = api.fetch_until("logged", None, None, Some(&cancel)).unwrap();
            assert_eq!(own.text(), "true");
            let (outcome, back) = hanging.join().unwrap();
            cancelled(outcome);
            took.note(at, back);
        });
        // SAFETY: no callback, no condition.
        unsafe { apl::ffi::apl_log_set(0, None, std::ptr::null_mut(), None) };
    }
    took.print("from a log callback");
}

/// Descriptors and threads after many cancelled calls are as before.
#[test]
fn nothing_is_left_behind() {
    if std::env::var_os("APL_TEST_ALONE").is_none() {
        // The numbers are the process's: other tests would disturb them.
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nothing_is_left_behind", "--nocapture"])
            .env("APL_TEST_ALONE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
        return;
    }
    let count = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    let server = hanging();
    let api = api(&server.url());
    let mut took = Took(Vec::new());
    let mut before = (0, 0);
    for round in 0..110 {
        let place = ["head", "length", "close", "chunked"][round % 4];
        let hangs = || drop(server.wait_requests(round + 1));
        cancel_call(&mut took, hangs, |cancel| api.fetch_until("get", &*at(place), None, Some(cancel)));
        server.wait_closed();
        if round == 9 {
            before = (count("fd"), count("task"));
        }
    }
    let after = (count("fd"), count("task"));
    assert_eq!(before.0, after.0, "descriptors");
    // The server's threads end a little after their connections.
    assert!(after.1 <= before.1 + 2, "threads: {before:?} {after:?}");
}

/// What a worker of the storm is at, for the cancellers to meddle with.
type Target = Mutex<Option<Arc<Cancel>>>;

/// Many calls over few connections, and cancels at every moment, also long after the call's end. A call whose
/// token nobody triggered is answered, and with its own answer; so no cancel was late. A call whose token was
/// triggered within it is back (the test ends); so none was lost.
#[test]
fn a_storm_of_cancels_harms_nobody_else() {
    const WORKERS: usize = 6;
    let server = Server::start(|mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            let number = request.target().rsplit('/').next().unwrap().to_owned();
            let kind = number.parse::<usize>().unwrap() % 5;
            let pause = Duration::from_micros([0, 300, 0, 700, 0][kind]);
            let parts: [String; 2] = match kind {
                0 | 1 => {
                    let length = number.len();
                    [format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"), number]
                }
                2 | 3 => {
                    let (a, b) = (&number[..1], &number[1..]);
                    let first = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{a}\r\n");
                    let last = if b.is_empty() { String::new() } else { format!("{:x}\r\n{b}\r\n", b.len()) };
                    [first, format!("{last}0\r\n\r\n")]
                }
                _ => [format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{number}"), String::new()],
            };
            for part in parts {
                if stream.write_all(part.as_bytes()).is_err() {
                    return;
                }
                std::thread::sleep(pause);
            }
            if kind == 4 {
                return;
            }
        }
    });
    let api = api(&server.url());
    let targets: Vec<Target> = (0..WORKERS).map(|_| Mutex::default()).collect();
    let over = AtomicBool::new(false);
    let [answered, spared, ended, triggers, number] = [const { AtomicUsize::new(0) }; 5];
    std::thread::scope(|s| {
        for target in &targets {
            s.spawn(|| {
                while !over.load(SeqCst) {
                    let n = number.fetch_add(1, SeqCst).to_string();
                    let cancel = Arc::new(Cancel::new());
                    *target.lock().unwrap() = Some(cancel.clone());
                    let outcome = api.fetch_until("get", &*at(&n), None, Some(&cancel));
                    match outcome {
                        Ok(answer) => {
                            assert_eq!(answer.text(), n, "another call's answer");
                            let which = if cancel.is_triggered() { &spared } else { &answered };
                            which.fetch_add(1, SeqCst);
                        }
                        Err(fault) => {
                            assert!(cancel.is_triggered(), "nobody cancelled this: {fault:?}");
                            cancelled(Err(fault));
                            ended.fetch_add(1, SeqCst);
                        }
                    }
                }
            });
        }
        for seed in [7_u64, 11] {
            let (targets, over, triggers) = (&targets, &over, &triggers);
            s.spawn(move || {
                let mut random = seed;
                while !over.load(SeqCst) {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let cancel = targets[random as usize % WORKERS].lock().unwrap().clone();
                    // Now, soon, or when the call may be over and its connection another's.
                    match random >> 32 & 7 {
                        0..3 => {}
                        3..6 => (0..random >> 40 & 0x3fff).for_each(|_| std::hint::spin_loop()),
                        _ => std::thread::sleep(Duration::from_micros(random >> 40 & 0x7ff)),
                    }
                    if let Some(cancel) = cancel {
                        cancel.trigger();
                        triggers.fetch_add(1, SeqCst);
                    }
                    std::thread::sleep(Duration::from_micros(random >> 20 & 0x3ff));
                }
            });
        }
        std::thread::sleep(Duration::from_millis(2500));
        over.store(true, SeqCst);
    });
    let [answered, spared, ended, triggers] = [answered, spared, ended, triggers].map(|n| n.into_inner());
    println!(
        "storm: {answered} answered, {ended} cancelled, {spared} over before their cancel, {triggers} cancels"
    );
    assert!(answered > 100 && ended > 100 && spared > 10, "the storm was none");
}
