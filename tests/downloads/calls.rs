//! The call: who may write, who is told, who ends it, and how often it is tried.

use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::*;
use crate::api::{BUSY, CANCELLED, Cancel, Downloaded, HTTP_STATUS, INVALID_ARGUMENT, IO, Progress, TIMEOUT};
use crate::support::Gate;

/// A server that sends HALF of a download, and the rest once the gate is open.
fn gated(gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::start(move |mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            let answer = file(&data(WHOLE), TAG, &request);
            let middle = (body_of(&answer) + HALF).min(answer.len());
            let _ = stream.write_all(&answer[..middle]);
            gate.wait();
            let _ = stream.write_all(&answer[middle..]);
        }
    })
}

fn told(api: &Api, folder: &Folder, f: &mut dyn FnMut(&Progress) -> i32) -> Result<Downloaded, Fault> {
    api.download_until("get", &path(folder), "{}", Some(f), None)
}

fn cancelled(api: &Api, folder: &Folder, options: &str, cancel: &Cancel) -> Fault {
    let fault = fails(api.download_until("get", &path(folder), options, None, Some(cancel)), CANCELLED, "");
    assert_eq!(fault.partial.as_ref().unwrap().json()["success"], false);
    fault
}

#[test]
fn a_second_writer_is_told_to_wait() {
    let gate = Gate::new();
    let server = gated(&gate);
    let api = api(&server.url(), json!({}));
    let folder = Folder::new();
    thread::scope(|scope| {
        let first = scope.spawn(|| get(&api, &folder, json!({})));
        server.wait_requests(1);
        let fault = fails(get(&api, &folder, json!({})), BUSY, "another download writes");
        assert!(fault.message.contains("x.part; wait for its end"), "{}", fault.message);
        let target = path(&folder);
        let variables = [("TARGET", target.to_str().unwrap()), ("URL", &server.url())];
        alone::run("calls::alone_a_second_process_is_told_to_wait", variables);
        gate.open();
        first.join().unwrap().unwrap();
    });
    assert_eq!(server.requests().len(), 1);
    assert!(there(&folder) == data(WHOLE));
    get(&api, &folder, json!({})).unwrap();
}

#[test]
#[ignore = "run by a_second_writer_is_told_to_wait"]
fn alone_a_second_process_is_told_to_wait() {
    if alone::is_alone() {
        let api = api(&alone::variable("URL"), json!({}));
        fails(api.download("get", alone::variable("TARGET").as_ref(), "{}"), BUSY, "another download writes");
    }
}

#[test]
fn a_child_that_was_forked_meanwhile_keeps_nobody_out() {
    let gate = Gate::new();
    let server = gated(&gate);
    let api = api(&server.url(), json!({}));
    let folder = Folder::new();
    let mut child = 0;
    let done = told(&api, &folder, &mut |progress| {
        if progress.processed > 0 && child == 0 {
            // SAFETY: the child does nothing but wait for its end.
            child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: as above; it ends with its parent.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                loop {
                    // SAFETY: as above.
                    unsafe { libc::pause() };
                }
            }
        }
        i32::from(child != 0)
    });
    assert!(done.unwrap().stopped && child > 0);
    gate.open();
    let outcome = get(&api, &folder, json!({}));
    // SAFETY: it is our child, and waited for.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    outcome.unwrap();
}

#[test]
fn a_stop_is_no_failure_and_the_part_stays() {
    let gate = Gate::new();
    let server = gated(&gate);
    let api = api(&server.url(), json!({}));
    let folder = Folder::new();
    folder.write("x", "old");
    let done = told(&api, &folder, &mut |progress| i32::from(progress.processed == HALF as i64)).unwrap();
    let summary = done.summary.json();
    assert!(done.stopped);
    assert_eq!((&summary["success"], &summary["bytes_written"]), (&json!(false), &json!(HALF)));
    assert_eq!((there(&folder), part(&folder).len()), (b"old".to_vec(), HALF));
    gate.open();
    let summary = get(&api, &folder, json!({})).unwrap();
    assert_eq!(summary["resume_from"], HALF);
    assert!(there(&folder) == data(WHOLE));
    // At once, before anything is asked for.
    let folder = Folder::new();
    assert!(told(&api, &folder, &mut |_| 1).unwrap().stopped);
    assert!(folder.names().is_empty() || folder.names().len() == 2, "{:?}", folder.names());
}

#[test]
fn a_callback_may_free_its_connector() {
    let server = serving(data(5 << 20), TAG);
    let folder = Folder::new();
    let api = ManuallyDrop::new(api(&server.url(), json!({"segments": 3})));
    // SAFETY: the handle is freed once, by the callback; the call that is inside goes on.
    let mut freed = Some(unsafe { std::ptr::read(&raw const *api) });
    let done = told(&api, &folder, &mut |_| {
        drop(freed.take());
        0
    });
    assert!(!done.unwrap().stopped);
    assert!(there(&folder) == data(5 << 20));
}

#[test]
fn progress_is_told_first_and_last_and_while_nothing_arrives() {
    let gate = Gate::new();
    let server = gated(&gate);
    let api = api(&server.url(), json!({"chunk_size": 1000}));
    let folder = Folder::new();
    let (begun, mut seen, mut still) = (Instant::now(), Vec::new(), 0);
    let done = told(&api, &folder, &mut |progress| {
        still += i32::from(progress.processed == HALF as i64);
        // More than a second after the last byte.
        if still == 3 {
            gate.open();
        }
        seen.push(progress.clone());
        0
    });
    done.unwrap();
    let (first, last) = (seen.first().unwrap(), seen.last().unwrap());
    assert_eq!((first.done, first.endpoint.as_str()), (false, "get"));
    assert!(last.done && last.percent == 100.0 && last.processed == WHOLE as i64 && last.chunk == 900);
    assert_eq!(seen.iter().filter(|progress| progress.done).count(), 1);
    assert!(seen.windows(2).all(|two| two[0].processed <= two[1].processed));
    let most = begun.elapsed().as_millis() as usize / 100 + 3;
    assert!(seen.len() <= most, "{} in {:?}", seen.len(), begun.elapsed());
    assert!(begun.elapsed() > Duration::from_millis(1700));
}

#[test]
fn a_failure_is_told_last_too() {
    let left = Left::new(TAG, json!({}), |_| response("500 Oops", "", ""));
    let mut seen = Vec::new();
    let mut tell = |progress: &Progress| {
        seen.push((progress.processed, progress.resumed, progress.done));
        0
    };
    let options = r#"{"retry_count": 1}"#;
    let outcome = left.api.download_until("get", &path(&left.folder), options, Some(&mut tell), None);
    assert_eq!(outcome.unwrap_err().http_status, 500);
    assert!(seen.len() >= 2 && seen.iter().all(|s| *s == (HALF as i64, false, false)), "{seen:?}");
}

#[test]
fn everything_of_the_hosts_runs_on_the_thread_inside_the_call() {
    alone::run("calls::alone_everything_of_the_hosts_runs_on_the_thread_inside_the_call", []);
}

#[test]
#[ignore = "run by everything_of_the_hosts_runs_on_the_thread_inside_the_call: the log is the process's"]
fn alone_everything_of_the_hosts_runs_on_the_thread_inside_the_call() {
    if !alone::is_alone() {
        return;
    }
    let gate = Gate::new();
    let server = Server::start({
        let gate = gate.clone();
        move |mut stream, number| {
            while let Some(request) = read_request(&mut stream) {
                let answer = file(&data(6 << 20), TAG, &request);
                // The first waits for others to come.
                if number == 0 {
                    let middle = body_of(&answer) + 10_000;
                    let _ = stream.write_all(&answer[..middle]);
                    gate.wait();
                    let _ = stream.write_all(&answer[middle..]);
                } else {
                    gate.open();
                    let _ = stream.write_all(&answer);
                }
            }
        }
    });
    let api = api(&server.url(), json!({"segments": 4}));
    let signers: Arc<Mutex<Vec<ThreadId>>> = Arc::default();
    let signed = signers.clone();
    api.on_request(move |_| {
        signed.lock().unwrap().push(thread::current().id());
        0
    })
    .unwrap();
    let folder = Folder::new();
    let mut tellers = Vec::new();
    let (outcome, loggers) = api::log_threads(|| {
        told(&api, &folder, &mut |_| {
            tellers.push(thread::current().id());
            0
        })
    });
    outcome.unwrap();
    let signers = signers.lock().unwrap().clone();
    assert!(signers.len() > 1 && loggers.len() > 1 && tellers.len() > 1);
    let own = thread::current().id();
    assert!([signers, loggers, tellers].concat().iter().all(|id| *id == own));
}

#[test]
fn a_server_that_stalls_is_left_and_what_came_is_kept() {
    let stalls = |times: usize| {
        Server::start(move |mut stream, number| {
            let Some(request) = read_request(&mut stream) else { return };
            let answer = file(&data(WHOLE), TAG, &request);
            if number >= times {
                return drop(stream.write_all(&answer));
            }
            let _ = stream.write_all(&answer[..answer.len() - 10_000]);
            finish(stream, Close::Keep);
        })
    };
    let server = stalls(1);
    let folder = Folder::new();
    let settings = json!({"read_timeout": 0.2});
    get(&api(&server.url(), settings.clone()), &folder, json!({})).unwrap();
    assert_eq!(server.requests()[1].header("Range"), Some("bytes=890000-"));
    // Each attempt brings less and less of the rest, or nothing: they are counted.
    let server = Server::start(|mut stream, number| {
        let Some(request) = read_request(&mut stream) else { return };
        let answer = file(&data(WHOLE), TAG, &request);
        let _ =
            stream.write_all(&answer[..if number == 0 { answer.len() - 10_000 } else { body_of(&answer) }]);
        finish(stream, Close::Keep);
    });
    let folder = Folder::new();
    let fault = fails(get(&api(&server.url(), settings), &folder, json!({"retry_count": 3})), TIMEOUT, "");
    assert_eq!((attempts(&fault), server.requests().len(), part(&folder).len()), (3, 3, 890_000));
}

#[test]
fn attempts_are_counted_over_the_whole_call() {
    // A cut, a refusal, no answer, a cut, …
    let server = Server::start(|mut stream, number| {
        let Some(request) = read_request(&mut stream) else { return };
        let answer = file(&data(WHOLE), TAG, &request);
        match number % 3 {
            0 => cut(stream, &answer, 100_000),
            1 => drop(stream.write_all(&response("503 Busy", "Connection: close\r\n", ""))),
            _ => {}
        }
    });
    let folder = Folder::new();
    let fault = fails(get(&api(&server.url(), json!({})), &folder, json!({"retry_count": 4})), TRUNCATED, "");
    assert_eq!(server.requests().len(), 4);
    let told = fault.json["attempts"].as_array().unwrap().clone();
    let told: Vec<_> =
        told.iter().map(|a| (a["n"].as_i64(), a["status"].as_i64(), a["error"].is_string())).collect();
    let expected = [
        (Some(1), Some(200), true),
        (Some(2), Some(503), false),
        (Some(3), None, true),
        (Some(4), Some(206), true),
    ];
    assert_eq!(told, expected);
    assert_eq!(fault.partial.unwrap().meta["attempts"], fault.json["attempts"]);
    let fault = get(&api(&server.url(), json!({})), &folder, json!({"retry_count": 2})).unwrap_err();
    assert_eq!((fault.status, fault.http_status, server.requests().len()), (IO, 0, 6), "{}", fault.message);
    assert!([HTTP_STATUS, IO].contains(&fault.status));
}

#[test]
fn the_deadline_is_for_all_of_it() {
    let server = Server::start(|mut stream, _| {
        let Some(request) = read_request(&mut stream) else { return };
        let answer = file(&data(WHOLE), TAG, &request);
        let _ = stream.write_all(&answer[..body_of(&answer) + 50_000]);
        finish(stream, Close::Keep);
    });
    let folder = Folder::new();
    folder.write("x", "old");
    let begun = Instant::now();
    let options = json!({"deadline": 0.5, "retry_count": 100});
    fails(get(&api(&server.url(), json!({"read_timeout": 0.2})), &folder, options), TIMEOUT, "");
    assert!((450..2500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert!(there(&folder) == b"old" && part(&folder).len() >= 50_000);
}

#[test]
fn a_cancel_ends_it_wherever_it_is() {
    // Before it begins.
    let left = Left::new(TAG, json!({}), |_| unreachable!());
    let cancel = Cancel::new();
    cancel.trigger();
    cancelled(&left.api, &left.folder, "{}", &cancel);
    assert_eq!((left.asked().len(), part(&left.folder).len()), (0, HALF));
    // While it waits for the head, in the body, in the wait for the next attempt.
    let silent = Server::start(|mut stream, _| {
        read_request(&mut stream);
        finish(stream, Close::Keep);
    });
    let half = Server::start(|mut stream, _| {
        let Some(request) = read_request(&mut stream) else { return };
        let answer = file(&data(WHOLE), TAG, &request);
        let _ = stream.write_all(&answer[..answer.len() - HALF]);
        finish(stream, Close::Keep);
    });
    let later =
        Server::start(answering(|_| response("503 Busy", "Retry-After: 30\r\nConnection: close\r\n", "")));
    let cuts = Server::start(|mut stream, _| {
        let Some(request) = read_request(&mut stream) else { return };
        cut(stream, &file(&data(WHOLE), "ETag: \"v1\"\r\nConnection: close\r\n", &request), HALF);
    });
    for server in [silent, half, later, cuts] {
        let api = api_with(&server.url(), json!({"segments": 2}), json!({"retry_delay": 25.0}));
        let folder = Folder::new();
        folder.write("x", "old");
        let cancel = Cancel::new();
        thread::scope(|scope| {
            let call = scope.spawn(|| cancelled(&api, &folder, r#"{"retry_count": 9}"#, &cancel));
            server.wait_requests(1);
            let begun = Instant::now();
            cancel.trigger();
            call.join().unwrap();
            assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        });
        assert_eq!(there(&folder), b"old");
    }
}

#[test]
fn a_cancel_from_the_callback_ends_it_in_the_body_and_while_it_is_verified() {
    let gate = Gate::new();
    let server = gated(&gate);
    let folder = Folder::new();
    let cancel = Cancel::new();
    let mut tell = |progress: &Progress| {
        if progress.processed == HALF as i64 {
            cancel.trigger();
        }
        0
    };
    let gated = api(&server.url(), json!({}));
    let outcome = gated.download_until("get", &path(&folder), "{}", Some(&mut tell), Some(&cancel));
    gate.open();
    fails(outcome, CANCELLED, "");
    assert_eq!(part(&folder).len(), HALF);
    // Everything is there, and is read for longer than it takes to be told so.
    let long = 48 << 20;
    let server = serving(data(long), TAG);
    let folder = Folder::new();
    let cancel = Cancel::new();
    let mut tell = |progress: &Progress| {
        if progress.processed == long as i64 {
            cancel.trigger();
        }
        0
    };
    let options = json!({"digest": "md5=JfnnlDI7RTiF9RgfG2JNCw=="}).to_string();
    let whole = api(&server.url(), json!({}));
    let outcome = whole.download_until("get", &path(&folder), &options, Some(&mut tell), Some(&cancel));
    fails(outcome, CANCELLED, "cancelled while the file was verified");
    assert_eq!(folder.names(), ["x.part", "x.part.state"]);
    // All of it stays for the next call.
    assert_eq!(get(&whole, &folder, json!({})).unwrap()["bytes_written"], 0);
}

#[test]
fn callbacks_call_the_connector_whose_only_place_the_download_has() {
    for streaming in [json!({}), json!({"segments": 3})] {
        // The download keeps its place until its callback has got an answer.
        let gate = Gate::new();
        let answered = gate.clone();
        let server = Server::start(move |mut stream, _| {
            while let Some(request) = read_request(&mut stream) {
                if request.target() != "/x" {
                    stream.write_all(&response("200 OK", "", "1")).unwrap();
                    continue;
                }
                let answer = file(&data(WHOLE), TAG, &request);
                let middle = body_of(&answer) + HALF;
                stream.write_all(&answer[..middle]).unwrap();
                answered.wait();
                stream.write_all(&answer[middle..]).unwrap();
            }
        });
        let more = json!({"rate_limit": {"strategy": "none", "max_concurrent": 1}});
        let api_ = Arc::new(api_with(&server.url(), streaming, more));
        let (inner, signed) = (Arc::downgrade(&api_), AtomicUsize::new(0));
        api_.on_request(move |request| {
            if request.url().ends_with("/x") && signed.fetch_add(1, SeqCst) == 0 {
                inner.upgrade().unwrap().fetch("other", None, r#"{"deadline": 5}"#).unwrap();
            }
            0
        })
        .unwrap();
        let folder = Folder::new();
        let done = told(&api_, &folder, &mut |progress| {
            if progress.processed > 0 && !gate.is_open() {
                api_.fetch("other", None, r#"{"deadline": 5}"#).unwrap();
                gate.open();
            }
            0
        });
        assert!(!done.unwrap().stopped && gate.is_open());
        assert!(there(&folder) == data(WHOLE));
    }
}

#[test]
fn more_connections_than_a_server_should_bear_are_refused() {
    let api = api("http://127.0.0.1:9", json!({}));
    let folder = Folder::new();
    fails(get(&api, &folder, json!({"segments": 65})), INVALID_ARGUMENT, "/segments: must be at most 64");
    assert!(folder.names().is_empty());
}
