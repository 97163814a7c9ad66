//! Many threads on one connector, handles freed while they are used, callbacks that call back in, small
//! stacks, caught panics: faults A3, A8, A15, L2, L3, L7 to L12.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]
#![allow(clippy::print_stdout)] // figures, for those who ask with --nocapture

#[path = "support/api.rs"]
mod api;
mod support;

use std::ffi::{CStr, CString, c_char, c_void};
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::Api;
use apl::ffi::*;
use support::tls::{self, Ca, Leaf, TlsServer};
use support::{Folder, Gate, Server, answering, ok_json, read_head};

/// The log, the descriptors and the memory are the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers with the request's own header, and remembers nothing.
fn echo_id(stream: TcpStream, _: usize) {
    let mut reader = BufReader::new(&stream);
    while let Some(head) = read_head(&mut reader) {
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("an id");
        let body = format!("{{\"id\": {id}, \"pad\": \"{}\"}}", "x".repeat(id.len() * 40));
        if (&stream).write_all(&ok_json(body)).is_err() {
            return;
        }
    }
}

/// The resident memory of this process, in KiB.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn many_threads_share_one_connector() {
    const THREADS: usize = 64;
    const CALLS: usize = 10_000;
    const WARM: usize = 2_000;
    let _alone = alone();
    let server = Server::start(echo_id);
    let config = serde_json::json!({
        "base_url": server.url(), "retry_count": 1, "pool": {"max_idle_per_host": THREADS},
        "endpoints": {"get": {"path": "/x"}},
    });
    let api = Api::new(&config.to_string()).unwrap();
    let (next, barrier) = (AtomicUsize::new(0), Barrier::new(THREADS + 1));
    let work = |until: usize| {
        loop {
            let id = next.fetch_add(1, SeqCst);
            if id >= until {
                return;
            }
            let options = format!(r#"{{"extra_headers": {{"x-request-id": "{id}"}}}}"#);
            let answer = api.fetch("get", None, &*options).unwrap();
            assert_eq!(answer.json()["id"], id, "another call's answer");
        }
    };
    std::thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(|| {
                work(WARM);
                barrier.wait();
                barrier.wait();
                work(CALLS);
                barrier.wait();
                barrier.wait();
            });
        }
        barrier.wait();
        next.store(WARM, SeqCst);
        let warm = (resident(), descriptors(), server.connections());
        barrier.wait();
        barrier.wait();
        let end = (resident(), descriptors());
        barrier.wait();
        let connections = server.connections();
        println!(
            "{CALLS} requests by {THREADS} threads: {connections} connections; memory {} -> {} KiB; descriptors {} -> {}",
            warm.0, end.0, warm.1, end.1
        );
        assert!(connections <= THREADS, "{connections} connections");
        // Each connection is open at both ends here, and once more in the server's list.
        assert_eq!(end.1, warm.1 + 3 * (connections - warm.2), "descriptors: {warm:?} {end:?}");
        assert!(end.0 - warm.0 < 4096, "KiB of memory: {warm:?} {end:?}");
    });
}

/// A raw connector, for what the safe client of the tests does not allow.
fn raw(config: &serde_json::Value) -> *mut apl_connector {
    let config = CString::new(config.to_string()).unwrap();
    let mut made = null_mut();
    // SAFETY: a C string, and a local for the handle.
    assert_eq!(unsafe { apl_connector_new(config.as_ptr(), &mut made, null_mut()) }, apl_status::Ok);
    made
}

/// A fetch of `get`, by pointer; its body, or its status.
///
/// # Safety
/// The connector is alive when the call begins.
unsafe fn fetch(connector: *const apl_connector) -> Result<String, apl_status> {
    let mut response = null_mut();
    // SAFETY: the caller's promise; C strings, and locals for what is returned.
    unsafe {
        let status = apl_fetch(connector, c"get".as_ptr(), null(), null(), null(), &mut response, null_mut());
        if status != apl_status::Ok {
            return Err(status);
        }
        let body =
            CStr::from_ptr(apl_response_body(response, null_mut()).cast()).to_str().unwrap().to_owned();
        apl_response_free(response);
        Ok(body)
    }
}

#[test]
fn a_connector_is_freed_while_calls_are_inside() {
    const CALLS: usize = 8;
    let _alone = alone();
    let gate = Gate::new();
    let held = gate.clone();
    let server = Server::start(answering(move |_| {
        held.wait();
        ok_json("\"late\"")
    }));
    let connector = raw(&serde_json::json!({
        "base_url": server.url(), "retry_count": 1, "endpoints": {"get": {"path": "/"}},
    }));
    let address = connector.expose_provenance();
    std::thread::scope(|s| {
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                // SAFETY: it is freed when every request is at the server.
                s.spawn(move || unsafe { fetch(std::ptr::with_exposed_provenance(address)) })
            })
            .collect();
        server.wait_requests(CALLS);
        // SAFETY: freed once.
        unsafe { apl_connector_free(connector) };
        gate.open();
        for call in calls {
            assert_eq!(call.join().unwrap().unwrap(), "\"late\"");
        }
    });
    // The last call took the pool with it.
    server.wait_closed();
}

/// L10, and the same for everything that a call hands out.
#[test]
fn handles_go_from_thread_to_thread() {
    let _alone = alone();
    let server = Server::start(answering(|request| match request.target() {
        "/bad" => support::response("500 Oops", "", "{}"),
        _ => ok_json("1"),
    }));
    let config = serde_json::json!({
        "base_url": server.url(), "retry_count": 1, "endpoints": {"get": {"path": "/"}, "bad": {"path": "/bad"}},
    });
    let there = |f: Box<dyn FnOnce() -> usize + Send>| std::thread::spawn(f).join().unwrap();
    let connector = there(Box::new(move || raw(&config).expose_provenance()));
    let cancel = there(Box::new(|| apl_cancel_new().expose_provenance()));
    let call = |endpoint: &'static CStr| {
        there(Box::new(move || {
            let (mut response, mut error) = (null_mut(), null_mut());
            // SAFETY: live handles, a C string, and locals for what is returned.
            unsafe {
                let connector = std::ptr::with_exposed_provenance(connector);
                let cancel = std::ptr::with_exposed_provenance(cancel);
                apl_fetch(connector, endpoint.as_ptr(), null(), null(), cancel, &mut response, &mut error);
            }
            response.expose_provenance() + error.expose_provenance()
        }))
    };
    let (response, error) = (call(c"get"), call(c"bad"));
    there(Box::new(move || {
        // SAFETY: handles from above, each freed once, the connector before what came out of it.
        unsafe {
            apl_connector_free(std::ptr::with_exposed_provenance_mut(connector));
            apl_cancel_free(std::ptr::with_exposed_provenance_mut(cancel));
            let response = std::ptr::with_exposed_provenance_mut::<apl_response>(response);
            assert_eq!(apl_response_http_status(response), 200);
            assert!(!apl_response_meta(response).is_null());
            apl_response_free(response);
            let error = std::ptr::with_exposed_provenance_mut::<apl_error>(error);
            assert_eq!(apl_error_http_status(error), 500);
            assert!(!apl_error_json(error).is_null());
            apl_error_free(error);
        }
        0
    }));
    server.wait_closed();
}

/// What a log callback of these tests has and does.
#[derive(Default)]
struct Host {
    alive: AtomicBool,
    /// The connector to call back into; NULL: none.
    connector: AtomicPtr<apl_connector>,
    lines: AtomicUsize,
    answers: AtomicUsize,
    drops: AtomicUsize,
    /// Calls after the drop.
    late: AtomicUsize,
}

impl Host {
    fn new() -> Host {
        Host { alive: AtomicBool::new(true), ..Host::default() }
    }

    /// # Safety
    /// The host outlives its callbacks.
    unsafe fn listen(&self) {
        let user_data = std::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the caller's promise. At DEBUG: one line a call.
        unsafe { apl_log_set(4, Some(on_log), user_data, Some(on_drop)) };
    }
}

unsafe extern "C" fn on_log(_: i32, message: *const c_char, user_data: *mut c_void) {
    // SAFETY: the `Host` of the test, which outlives the callback; a C string.
    let (host, _) = unsafe { (&*user_data.cast::<Host>(), CStr::from_ptr(message).to_str().unwrap()) };
    host.lines.fetch_add(1, SeqCst);
    if !host.alive.load(SeqCst) {
        host.late.fetch_add(1, SeqCst);
    }
    let connector = host.connector.load(SeqCst);
    if !connector.is_null() {
        // SAFETY: alive for as long as it is here.
        if unsafe { fetch(connector) }.is_ok() {
            host.answers.fetch_add(1, SeqCst);
        }
    }
}

unsafe extern "C" fn on_drop(user_data: *mut c_void) {
    // SAFETY: as for `on_log`.
    let host = unsafe { &*user_data.cast::<Host>() };
    host.drops.fetch_add(1, SeqCst);
    host.alive.store(false, SeqCst);
}

fn silence() {
    // SAFETY: no callback, no condition.
    unsafe { apl_log_set(0, None, null_mut(), None) };
}

/// L3, L9: the same connector from its own log callback, on several threads; what the inner calls log is not
/// delivered, or this would not end.
#[test]
fn a_log_callback_calls_the_same_connector() {
    const THREADS: usize = 4;
    const CALLS: usize = 50;
    let _alone = alone();
    let server = Server::start(answering(|_| ok_json("1")));
    let connector = raw(&serde_json::json!({
        "base_url": server.url(), "retry_count": 1, "endpoints": {"get": {"path": "/"}},
    }));
    let host = Host::new();
    host.connector.store(connector, SeqCst);
    // SAFETY: the host and the connector outlive the callback and the calls.
    unsafe { host.listen() };
    let address = connector.expose_provenance();
    std::thread::scope(|s| {
        for _ in 0..THREADS {
            s.spawn(move || {
                for _ in 0..CALLS {
                    // SAFETY: it is freed at the end.
                    let answer = unsafe { fetch(std::ptr::with_exposed_provenance(address)) };
                    assert_eq!(answer.unwrap(), "1");
                }
            });
        }
    });
    silence();
    // SAFETY: freed once.
    unsafe { apl_connector_free(connector) };
    let [lines, answers, drops] = [&host.lines, &host.answers, &host.drops].map(|n| n.load(SeqCst));
    assert_eq!((lines, answers, drops), (THREADS * CALLS, THREADS * CALLS, 1));
    assert_eq!(server.requests().len(), 2 * THREADS * CALLS);
    // The answer was complete, and its connection idle, when the callback ran.
    assert!(server.connections() <= THREADS);
}

/// L7: while calls log, the callback is exchanged again and again. Each is dropped once, and not called after.
#[test]
fn a_log_callback_is_exchanged_while_calls_log() {
    const CHANGES: usize = 300;
    let _alone = alone();
    let server = Server::start(answering(|_| ok_json("1")));
    let api = Api::get(&server.url(), "/");
    let over = AtomicBool::new(false);
    let hosts: Vec<Host> = (0..CHANGES).map(|_| Host::new()).collect();
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                while !over.load(SeqCst) {
                    api.fetch("get", None, None).unwrap();
                }
            });
        }
        for host in &hosts {
            // SAFETY: the hosts outlive the calls.
            unsafe { host.listen() };
            std::thread::sleep(Duration::from_micros(500));
        }
        over.store(true, SeqCst);
    });
    silence();
    let all = |f: fn(&Host) -> &AtomicUsize| hosts.iter().map(|h| f(h).load(SeqCst)).sum::<usize>();
    assert!(hosts.iter().all(|h| h.drops.load(SeqCst) == 1));
    assert_eq!(all(|h| &h.late), 0, "called after its drop");
    assert!(all(|h| &h.lines) > CHANGES / 10, "nothing was logged");
}

/// A JSON text of that many arrays in each other.
fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

/// What a thread with little stack can do: everything that is built. Debug builds need more of it.
#[test]
fn a_small_stack_is_enough() {
    const STACK: usize = if cfg!(debug_assertions) { 256 } else { 128 } * 1024;
    let _alone = alone();
    let ca = Ca::new();
    let answer = |request: &support::Request| match request.target() {
        "/deep" => ok_json(nested(127)),
        "/too-deep" => ok_json(nested(200_000)),
        "/bad" => {
            support::response("404 Not Found", "Content-Type: application/json\r\n", "{\"message\": \"no\"}")
        }
        "/gzip" => support::response("200 OK", "Content-Encoding: gzip\r\n", GZIP),
        _ => ok_json("{\"a\": {\"b\": [1, 2]}}"),
    };
    let secure = TlsServer::start(ca.identity(Leaf::Good), tls::answering(answer));
    let plain = Server::start(answering(answer));
    let folder = Folder::new();
    let ca_file = folder.write("ca.pem", ca.pem());
    let config = move |base_url: &str| {
        serde_json::json!({
            "base_url": base_url, "retry_count": 1, "tls": {"ca_file": ca_file},
            "auth": {"type": "bearer", "token": "canary-token"},
            "endpoints": {
                "deep": {"path": "/deep"}, "too_deep": {"path": "/too-deep"}, "bad": {"path": "/bad"},
                "gzip": {"path": "/gzip"}, "get": {"path": "/{x}", "response_path": "a.b"},
                "post": {"path": "/p", "method": "POST"},
                "raw": {"path": "/r", "method": "PUT", "body": "raw", "content_type": "text/plain"},
            },
        })
    };
    let yaml = folder.write("c.yaml", "base_url: http://127.0.0.1:9\nendpoints:\n  a: {path: /}\n");
    let all = move |base_url: String| {
        let api = Api::new(&config(&base_url).to_string()).unwrap();
        assert_eq!(api.fetch("deep", None, None).unwrap().text(), nested(127));
        assert_eq!(api.fetch("too_deep", None, None).unwrap_err().status, api::DECODE);
        assert_eq!(api.fetch("get", r#"{"x": "y z"}"#, "{}").unwrap().text(), "[1, 2]");
        assert_eq!(api.fetch("gzip", None, None).unwrap().text(), "{\"packed\": true}");
        let refused = api.fetch("bad", None, None).unwrap_err();
        assert_eq!((refused.status, refused.http_status), (api::HTTP_STATUS, 404));
        assert!(api.send("post", &format!("{{\"a\": {}}}", nested(120)), None).is_ok());
        // The caller's own data is checked and handed on, however deep.
        assert!(api.send("post", &format!("{{\"a\": {}}}", nested(10_000)), None).is_ok());
        assert!(api.send_bytes("raw", &[0; 100_000], None).is_ok());
        assert!(api.health().is_ok());
        let cancel = api::Cancel::new();
        cancel.trigger();
        assert_eq!(api.fetch_until("deep", None, None, Some(&cancel)).unwrap_err().status, api::CANCELLED);
        let nowhere = api.fetch("okk", None, None).unwrap_err();
        assert_eq!(nowhere.status, api::UNKNOWN_ENDPOINT);
        // Configuration: whole, from a file, and every kind of too deep.
        assert!(Api::open(yaml.to_str().unwrap()).is_ok());
        let deep = |n| format!("{{\"a\": {}}}", nested(n));
        let maps = "{\"a\":".repeat(1000) + "1" + &"}".repeat(1000);
        for text in [nested(10_000), format!("a: {}", nested(127)), deep(10_000), deep(120), maps] {
            assert_eq!(Api::new(&text).unwrap_err().status, api::INVALID_CONFIG);
        }
        assert_eq!(api.fetch("get", &*nested(10_000), None).unwrap_err().status, api::INVALID_ARGUMENT);
        let options = format!("{{\"extra_headers\": {}}}", nested(10_000));
        assert_eq!(api.fetch("deep", None, &*options).unwrap_err().status, api::INVALID_ARGUMENT);
    };
    for url in [secure.url(), plain.url()] {
        let (all, url) = (all.clone(), url.clone());
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            let ((), lines) = api::log_lines(|| all(url));
            assert!(!lines.is_empty());
        });
        thread.unwrap().join().unwrap();
    }
}

/// `{"packed": true}`.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x2a, 0x48, 0x4c, 0xce, 0x4e,
    0x4d, 0x51, 0xb2, 0x52, 0x28, 0x29, 0x2a, 0x4d, 0xad, 0x05, 0x00, 0xb9, 0xd0, 0xbb, 0x73, 0x10, 0x00,
    0x00, 0x00,
];

/// A3, A8: an argument behind the handle that is no text, or as long as nothing can be. Nothing is sent.
#[test]
fn arguments_that_cannot_be_are_named() {
    let _alone = alone();
    let server = Server::start(answering(|_| ok_json("1")));
    let connector = raw(&serde_json::json!({
        "base_url": server.url(), "retry_count": 1, "endpoints": {
            "get": {"path": "/"}, "post": {"path": "/", "method": "POST"},
            "raw": {"path": "/", "method": "PUT", "body": "raw", "content_type": "text/plain"},
        },
    }));
    let message = |status: apl_status, response: *mut apl_response, error: *mut apl_error| {
        assert_eq!(status, apl_status::InvalidArgument);
        assert!(response.is_null());
        // SAFETY: the error of the call before; its message is copied.
        unsafe {
            let said = CStr::from_ptr(apl_error_message(error)).to_str().unwrap().to_owned();
            apl_error_free(error);
            said
        }
    };
    let (mut out, mut error) = (null_mut(), null_mut());
    let bad = c"\"caf\xe9".as_ptr();
    let (get, post, bytes) = (c"get".as_ptr(), c"post".as_ptr(), c"raw".as_ptr());
    let n = null();
    // SAFETY: a live connector, C strings, and locals for what is returned. The bytes of an impossible length
    // are not read.
    unsafe {
        let mut check =
            |parameter: &str, call: &dyn Fn(*mut *mut apl_response, *mut *mut apl_error) -> apl_status| {
                let status = call(&mut out, &mut error);
                let said = message(status, out, error);
                assert!(said.contains(parameter), "{said}");
            };
        check("endpoint", &|o, e| apl_fetch(connector, bad, n, n, null(), o, e));
        check("params_json", &|o, e| apl_fetch(connector, get, bad, n, null(), o, e));
        check("options_json", &|o, e| apl_fetch(connector, get, n, bad, null(), o, e));
        check("endpoint", &|o, e| apl_send(connector, bad, c"1".as_ptr(), n, null(), o, e));
        check("data_json", &|o, e| apl_send(connector, post, bad, n, null(), o, e));
        check("options_json", &|o, e| apl_send(connector, post, c"1".as_ptr(), bad, null(), o, e));
        check("endpoint", &|o, e| apl_send_bytes(connector, bad, null(), 0, n, null(), o, e));
        check("options_json", &|o, e| apl_send_bytes(connector, bytes, null(), 0, bad, null(), o, e));
        let byte = 7_u8;
        for len in [usize::MAX, isize::MAX as usize + 1] {
            check("body_len", &|o, e| apl_send_bytes(connector, bytes, &byte, len, n, null(), o, e));
            check("body_len", &|o, e| apl_send_bytes(connector, bytes, null(), len, n, null(), o, e));
        }
        assert_eq!((server.connections(), server.requests().len()), (0, 0));
        assert_eq!(fetch(connector).unwrap(), "1");
        apl_connector_free(connector);
    }
}

/// L12, A15: whatever panics, inside an entry point or in the log's sink in the middle of a call, the
/// connector is as good as before.
#[cfg(feature = "test-hooks")]
#[test]
fn a_caught_panic_spoils_nothing() {
    let _alone = alone();
    let server = Server::start(answering(|_| ok_json("1")));
    let api = Api::get(&server.url(), "/");
    assert_eq!(api.fetch("get", None, None).unwrap().text(), "1");
    for _ in 0..100 {
        let mut out = null_mut();
        // SAFETY: a local for the answer.
        let status = unsafe { guard::panicking_call("on demand".to_owned(), &mut out, null_mut()) };
        assert_eq!((status, out.is_null()), (apl_status::Panic, true));
        assert_eq!(api.fetch("get", None, None).unwrap().text(), "1");
    }
    apl::log::set(5, Some(Box::new(|_, _| std::panic::resume_unwind(Box::new("the sink")))));
    for _ in 0..100 {
        assert_eq!(api.fetch("get", None, None).unwrap().text(), "1");
    }
    apl::log::set(0, None);
    assert_eq!(server.connections(), 1, "no connection was lost");

    // In the middle of a call: within ureq, and with the connection in hand, which is lost.
    for (n, place) in ["connect", "head", "body"].into_iter().cycle().take(30).enumerate() {
        apl::transport::panic_at(place);
        let fault = api.fetch("get", None, None).unwrap_err();
        assert_eq!(fault.status, api::PANIC);
        assert!(fault.message.contains(place), "{fault:?}");
        assert_eq!(api.fetch("get", None, None).unwrap().text(), "1");
        assert_eq!(server.connections(), n + 2);
    }
    drop(api);
    server.wait_closed();
}
