//! Several ranges at once.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::api::Progress;
use crate::support::Gate;

const LONG: usize = 8 << 20;

/// What was asked for, in all, and by how many requests.
fn assert_whole(folder: &Folder, expected: &[u8]) {
    assert!(there(folder) == expected, "other bytes");
    assert_eq!(folder.names(), ["x"]);
}

/// A server whose first connection sends `first` bytes of its body, waits for the others to be answered, and goes on.
/// What the others are answered, and how much of it they get, is said by their number.
fn others(
    first: usize,
    answer: impl Fn(&Request, usize) -> (Vec<u8>, Option<usize>) + Send + Sync + 'static,
) -> Server {
    let gate = support::Gate::new();
    let number = AtomicUsize::new(0);
    Server::start(move |mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            let number = number.fetch_add(1, SeqCst);
            if number == 0 {
                let answer = file(&data(LONG), TAG, &request);
                let middle = body_of(&answer) + first;
                let _ = stream.write_all(&answer[..middle]);
                gate.wait();
                let _ = stream.write_all(&answer[middle..]);
                continue;
            }
            let (answer, amount) = answer(&request, number);
            gate.open();
            match amount {
                Some(amount) => return cut(stream, &answer, amount),
                None if stream.write_all(&answer).is_err() => return,
                None => {}
            }
        }
    })
}

#[test]
fn segments_share_one_file() {
    // Nobody is answered before all have asked.
    let all = Gate::new();
    let server = others(100_000, move |request, n| {
        if n >= 3 {
            all.open()
        } else {
            all.wait()
        }
        (file(&data(LONG), TAG, request), None)
    });
    let folder = Folder::new();
    let mut last = None;
    let mut on_progress = |progress: &Progress| {
        last = Some(progress.clone());
        0
    };
    let api = api(&server.url(), json!({"segments": 4}));
    let done = api.download_until("get", &path(&folder), "{}", Some(&mut on_progress), None).unwrap();
    assert_whole(&folder, &data(LONG));
    assert_eq!(done.summary.json()["bytes_written"], LONG);
    let requests = server.requests();
    assert!(requests.len() >= 4);
    assert!(requests[1..].iter().all(|r| r.header("If-Range") == Some("\"v1\"")));
    let last = last.unwrap();
    assert!(last.done && last.processed == LONG as i64 && last.percent == 100.0);
}

#[test]
fn segments_are_not_for_what_is_short_or_has_no_ranges() {
    for (length, fields) in
        [((2 << 20) - 1, TAG), (LONG, ""), (LONG, "ETag: \"v1\"\r\nAccept-Ranges: none\r\n")]
    {
        let server = serving(data(length), fields);
        let folder = Folder::new();
        get(&api(&server.url(), json!({"segments": 4})), &folder, json!({})).unwrap();
        assert_whole(&folder, &data(length));
        assert_eq!(server.requests().len(), 1, "{fields}");
    }
}

#[test]
fn a_server_that_refuses_more_connections_costs_no_attempt() {
    for refusal in ["503 Busy", "429 Slow", "403 No", "416 Range", "404 Not", "400 Bad"] {
        let server = others(50_000, move |_, _| (response(refusal, "", ""), None));
        let folder = Folder::new();
        let api = api(&server.url(), json!({"segments": 4}));
        get(&api, &folder, json!({"retry_count": 2})).unwrap_or_else(|e| panic!("{refusal}: {}", e.message));
        assert_whole(&folder, &data(LONG));
    }
    // No answer at all, by a close or a reset.
    for close in [Close::Fin, Close::Rst] {
        let gate = support::Gate::new();
        let server = Server::start(move |mut stream, number| {
            let Some(request) = read_request(&mut stream) else { return };
            if number > 0 {
                gate.open();
                return finish(stream, close);
            }
            let answer = file(&data(LONG), TAG, &request);
            let _ = stream.write_all(&answer[..50_000]);
            gate.wait();
            let _ = stream.write_all(&answer[50_000..]);
        });
        let folder = Folder::new();
        get(&api(&server.url(), json!({"segments": 4})), &folder, json!({"retry_count": 1})).unwrap();
        assert_whole(&folder, &data(LONG));
    }
}

#[test]
fn a_server_that_refuses_more_connections_leaves_all_attempts_to_the_one() {
    let gate = support::Gate::new();
    let number = AtomicUsize::new(0);
    let server = Server::start(move |mut stream, _| {
        while let Some(request) = read_request(&mut stream) {
            let answer = file(&data(LONG), TAG, &request);
            match number.fetch_add(1, SeqCst) {
                0 => {
                    let _ = stream.write_all(&answer[..50_000]);
                    gate.wait();
                    let _ = stream.write_all(&answer[50_000..LONG - 100_000]);
                    return;
                }
                // Both attempts of the other one; then the first is cut, and has its own.
                refused @ (1 | 2) => {
                    let _ = stream.write_all(&response("503 Busy", "Connection: close\r\n", ""));
                    if refused == 2 {
                        gate.open();
                    }
                    return;
                }
                _ if stream.write_all(&answer).is_err() => return,
                _ => {}
            }
        }
    });
    let folder = Folder::new();
    let api = api(&server.url(), json!({"segments": 2}));
    get(&api, &folder, json!({"retry_count": 2})).unwrap_or_else(|e| panic!("{}", e.message));
    assert_whole(&folder, &data(LONG));
}

#[test]
fn nobody_waits_for_a_connection_that_is_not_needed_any_more() {
    let begun = std::time::Instant::now();
    // It never answers, or is cut and would be asked again much later.
    for silent in [true, false] {
        let gate = support::Gate::new();
        let server = Server::start(move |mut stream, number| {
            let Some(request) = read_request(&mut stream) else { return };
            let answer = file(&data(LONG), TAG, &request);
            match number {
                0 => {
                    let _ = stream.write_all(&answer[..50_000]);
                    gate.wait();
                    let _ = stream.write_all(&answer[50_000..]);
                }
                _ if silent => {
                    gate.open();
                    finish(stream, Close::Keep);
                }
                1 => {
                    cut(stream, &answer, 0);
                    gate.open();
                }
                _ => drop(stream.write_all(&answer)),
            }
        });
        let folder = Folder::new();
        let api = api_with(&server.url(), json!({"segments": 2}), json!({"retry_delay": 1000.0}));
        let done = api.download("get", &path(&folder), "{}").unwrap();
        assert_whole(&folder, &data(LONG));
        let attempts = done.summary.meta["attempts"].to_string();
        assert!(!attempts.contains("cancelled"), "{attempts}");
    }
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[test]
fn a_server_that_answers_ranges_with_all_of_it_is_asked_by_one_connection() {
    // Whether the first connection is still there, and goes on, or is not.
    let server = others(50_000, |_, _| (response("200 OK", TAG, data(LONG)), None));
    let folder = Folder::new();
    get(&api(&server.url(), json!({"segments": 4})), &folder, json!({})).unwrap();
    assert_whole(&folder, &data(LONG));
    let server = Server::start(answering(|_| response("200 OK", TAG, data(LONG))));
    let folder = Folder::new();
    get(&api(&server.url(), json!({"segments": 4})), &folder, json!({})).unwrap();
    assert_whole(&folder, &data(LONG));
    assert!(server.requests().len() < 10, "{}", server.requests().len());
}

#[test]
fn a_file_that_changes_midway_is_fetched_whole() {
    for at in [1, 2, 3] {
        let server = others(50_000, move |request, number| match number {
            n if n < at => (file(&data(LONG), TAG, request), Some(700_000)),
            _ => (file(&other(LONG), OTHER_TAG, request), None),
        });
        let folder = Folder::new();
        let api = api(&server.url(), json!({"segments": 3}));
        let summary = get(&api, &folder, json!({"retry_count": 9})).unwrap();
        let bytes = there(&folder);
        // The first connection alone may have had all of the old one.
        assert!(bytes == data(LONG) || bytes == other(LONG), "a mix");
        assert_eq!(summary["bytes_written"], LONG);
    }
}

#[test]
fn a_server_that_cuts_each_connection_is_asked_for_the_rest_until_the_attempts_end() {
    let served = AtomicU64::new(0);
    let cutting = move |request: &Request, _| {
        served.fetch_add(1, SeqCst);
        (file(&data(LONG), TAG, request), Some(1_500_000))
    };
    let server = scripted(cutting);
    let folder = Folder::new();
    let api = api(&server.url(), json!({"segments": 3}));
    get(&api, &folder, json!({"retry_count": 50})).unwrap();
    assert_whole(&folder, &data(LONG));
    // With few attempts, each call comes a little further.
    let folder = Folder::new();
    let (mut before, mut calls) = (0, 0);
    loop {
        calls += 1;
        match get(&api, &folder, json!({"retry_count": 2})) {
            Ok(_) => break,
            Err(fault) => {
                assert!(fault.status == TRUNCATED, "{} {}", fault.name, fault.message);
                let summary = fault.partial.unwrap().json();
                let there =
                    summary["resume_from"].as_u64().unwrap() + summary["bytes_written"].as_u64().unwrap();
                assert!(there > before, "{before} {there}");
                before = there;
            }
        }
    }
    assert!((2..12).contains(&calls), "{calls}");
    assert_whole(&folder, &data(LONG));
}

#[test]
fn what_several_have_left_is_gone_on_with_by_fewer_or_more() {
    for segments in [1, 2, 8] {
        // Each is cut before its end.
        let server = scripted(|request, n| (file(&data(LONG), TAG, request), (n < 4).then_some(700_000)));
        let folder = Folder::new();
        let api = api(&server.url(), json!({"segments": 4}));
        let fault = fails(get(&api, &folder, json!({"retry_count": 1})), TRUNCATED, "");
        let got = fault.partial.unwrap().json()["bytes_written"].as_u64().unwrap();
        let before = server.requests().len();
        let options = json!({"segments": segments, "retry_count": 9});
        let summary = get(&api, &folder, options).unwrap();
        assert_whole(&folder, &data(LONG));
        assert_eq!(summary["resume_from"], got);
        assert_eq!(summary["bytes_written"], LONG as u64 - got);
        assert!(server.requests()[before..].iter().all(|request| request.header("Range").is_some()));
    }
}

#[test]
fn a_range_in_another_coding_is_left_to_the_others() {
    let fields = "ETag: \"v1\"\r\nContent-Encoding: gzip\r\n";
    let server = others(50_000, move |request, _| match range(request) {
        Some(_) => (file(&other(LONG), fields, request), None),
        None => (file(&data(LONG), TAG, request), None),
    });
    let folder = Folder::new();
    get(&api(&server.url(), json!({"segments": 4})), &folder, json!({})).unwrap();
    assert_whole(&folder, &data(LONG));
}
