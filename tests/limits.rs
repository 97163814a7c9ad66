//! Rate limits, as the server sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::result_large_err)]

#[path = "support/api.rs"]
mod api;
mod support;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::{Api, CANCELLED, Cancel, INVALID_CONFIG, RATE_LIMITED, TIMEOUT};
use serde_json::{Value, json};
use support::{Gate, Server, answering, ok_json, response};

const SLACK: Duration = Duration::from_secs(1);

fn api(base_url: &str, keys: Value) -> Api {
    let mut config = json!({
        "base_url": base_url,
        "timeout": 15,
        "retry_delay": 0.01,
        "endpoints": {"get": {"path": "/x"}, "other": {"path": "/y"}},
    });
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    Api::new(&config.to_string()).unwrap_or_else(|e| panic!("{}", e.message))
}

/// A server that notes when each request came.
fn clock(
    answer: impl Fn(&support::Request) -> Vec<u8> + Send + Sync + 'static,
) -> (Server, Arc<Mutex<Vec<Instant>>>) {
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = times.clone();
    let server = Server::start(answering(move |request| {
        noted.lock().unwrap().push(Instant::now());
        answer(request)
    }));
    (server, times)
}

/// The most that came within any time as long as `window`.
fn most_within(times: &[Instant], window: Duration) -> usize {
    (0..times.len())
        .map(|i| times[i..].iter().take_while(|t| **t - times[i] < window).count())
        .max()
        .unwrap_or(0)
}

#[test]
fn a_hundred_threads_share_ten_a_second_and_none_starves() {
    let (server, times) = clock(|_| ok_json("1"));
    let api = api(&server.url(), json!({"rate_limit": {"rate": 10, "burst": 1}}));
    let end = Instant::now() + Duration::from_secs(5);
    let (calls, first) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let mut mine = 0;
                while Instant::now() < end {
                    let left = end.saturating_duration_since(Instant::now()).as_secs_f64().max(0.001);
                    match api.fetch("get", None, &*json!({"deadline": left}).to_string()) {
                        Ok(_) => mine += 1,
                        Err(fault) => {
                            assert!([RATE_LIMITED, TIMEOUT].contains(&fault.status), "{}", fault.message);
                            break;
                        }
                    }
                }
                calls.fetch_add(mine, SeqCst);
                first.lock().unwrap().push(mine);
            });
        }
    });
    let mut times = times.lock().unwrap().clone();
    times.sort();
    // The last may have gone and not come back in time.
    assert!((calls.load(SeqCst)..=calls.load(SeqCst) + 2).contains(&times.len()), "{}", times.len());
    // Five seconds at ten, and the first at once; a busy machine may lose some, and none is gained.
    assert!((35..=51).contains(&times.len()), "{}", times.len());
    for seconds in [1, 2, 3, 4] {
        // The requests' own ways to the server differ a little.
        let window = Duration::from_secs(seconds) - Duration::from_millis(50);
        let most = most_within(&times, window);
        assert!(most <= 10 * seconds as usize + 1, "{most} within {seconds} s");
    }
    // In the order of coming: nobody who waits is overtaken. Whoever was done before the others had come is
    // behind them at most twice.
    let counts = first.lock().unwrap().clone();
    assert!(counts.iter().all(|n| *n <= 2) && counts.iter().filter(|n| **n == 2).count() <= 2, "{counts:?}");
}

#[test]
fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
    let (server, times) = clock(|_| ok_json("1"));
    let api = api(&server.url(), json!({"rate_limit": {"rate": 20, "burst": 5}}));
    let begun = Instant::now();
    for _ in 0..11 {
        api.fetch("get", None, None).unwrap();
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(300) + SLACK, "{took:?}");
    let times = times.lock().unwrap().clone();
    assert!(times[4] - times[0] < Duration::from_millis(300), "the burst waited");
    // What the wait was is told.
    let answer = api.fetch("get", None, None).unwrap();
    assert!(answer.meta["attempts"][0]["wait_ms"].as_u64().unwrap() >= 10, "{}", answer.meta);
}

#[test]
fn the_endpoints_limit_comes_on_top_of_the_connectors() {
    let (server, _) = clock(|_| ok_json("1"));
    let keys = json!({
        "rate_limit": {"rate": 0.001, "burst": 3},
        "endpoints": {
            "get": {"path": "/x", "rate_limit": {"rate": 0.001, "burst": 1}},
            "other": {"path": "/y"},
        },
    });
    let api = api(&server.url(), keys);
    let fetch = |endpoint: &str| api.fetch(endpoint, None, r#"{"deadline": 5}"#);
    fetch("get").unwrap();
    let fault = fetch("get").unwrap_err();
    assert_eq!(fault.status, RATE_LIMITED);
    // The refusal took nothing from the connector's own.
    fetch("other").unwrap();
    fetch("other").unwrap();
    assert_eq!(fetch("other").unwrap_err().status, RATE_LIMITED);
    assert_eq!(server.requests().len(), 3);
    // Health is a request like every other.
    let health = api.health().unwrap().json();
    assert_eq!((&health["status"], server.requests().len()), (&json!("unknown"), 3), "{health}");
}

#[test]
fn a_wait_beyond_the_deadline_is_told_at_once_with_the_time() {
    let (server, _) = clock(|_| ok_json("1"));
    let api = api(&server.url(), json!({"rate_limit": {"rate": 0.0000115740740740, "burst": 1}}));
    api.fetch("get", None, None).unwrap();
    let begun = Instant::now();
    let fault = api.fetch("get", None, r#"{"deadline": 3600}"#).unwrap_err();
    assert!(begun.elapsed() < SLACK);
    assert_eq!((fault.status, fault.retryable), (RATE_LIMITED, true), "{}", fault.message);
    assert!(fault.message.contains("rate_limit holds it back for 86"), "{}", fault.message);
    assert!((86_000_000..=86_500_000).contains(&fault.retry_after_ms), "{}", fault.retry_after_ms);
    assert_eq!((&fault.json["sent"], server.requests().len()), (&json!("no"), 1));
}

#[test]
fn no_more_are_under_way_than_allowed() {
    let (now, most, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Gate::new());
    let (under_way, peak, wait) = (now.clone(), most.clone(), gate.clone());
    let server = Server::start(answering(move |_| {
        peak.fetch_max(under_way.fetch_add(1, SeqCst) + 1, SeqCst);
        wait.wait();
        under_way.fetch_sub(1, SeqCst);
        ok_json("1")
    }));
    let api = api(&server.url(), json!({"rate_limit": {"strategy": "none", "max_concurrent": 3}}));
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..9).map(|_| scope.spawn(|| api.fetch("get", None, None))).collect();
        server.wait_requests(3);
        // A place is a wait that nobody can tell the length of.
        let fault = api.fetch("get", None, r#"{"deadline": 0.1}"#).unwrap_err();
        assert_eq!(fault.status, TIMEOUT, "{}", fault.message);
        assert!(fault.message.contains("rate_limit held it back"), "{}", fault.message);
        gate.open();
        calls.into_iter().for_each(|call| drop(call.join().unwrap().unwrap()));
    });
    assert_eq!((most.load(SeqCst), server.requests().len()), (3, 9));
}

#[test]
fn a_cancel_ends_the_wait_and_costs_the_others_nothing() {
    let (server, _) = clock(|_| ok_json("1"));
    let api = api(&server.url(), json!({"rate_limit": {"rate": 0.01, "burst": 1}}));
    api.fetch("get", None, None).unwrap();
    let cancel = Cancel::new();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| api.fetch_until("get", None, None, Some(&cancel)));
        std::thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        cancel.trigger();
        let fault = call.join().unwrap().unwrap_err();
        assert!(begun.elapsed() < SLACK);
        assert_eq!((fault.status, &fault.json["sent"]), (CANCELLED, &json!("no")), "{}", fault.message);
    });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_adaptive_limit_goes_by_what_the_server_says_is_left() {
    // Two within a window of a second, as the server counts them; more are refused.
    let window = Mutex::new((Instant::now(), 0));
    let server = Server::start(answering(move |_| {
        let mut window = window.lock().unwrap();
        if window.0.elapsed() >= Duration::from_secs(1) {
            *window = (Instant::now(), 0);
        }
        window.1 += 1;
        let left = 2i32 - window.1;
        let reset = 1.0 - window.0.elapsed().as_secs_f64();
        let fields = format!(
            "X-RateLimit-Limit: 2\r\nX-RateLimit-Remaining: {}\r\nX-RateLimit-Reset: {reset:.3}\r\n",
            left.max(0)
        );
        response(if left < 0 { "429 Slow" } else { "200 OK" }, &fields, "1")
    }));
    let api =
        api(&server.url(), json!({"retry_count": 1, "rate_limit": {"strategy": "adaptive", "rate": 1000}}));
    let begun = Instant::now();
    for _ in 0..6 {
        api.fetch("get", None, None).unwrap();
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1900) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn a_reset_that_is_further_away_than_the_caller_waits_is_told_at_once() {
    let server = Server::start(answering(|_| {
        response("200 OK", "RateLimit-Policy: \"hour\";q=1;w=3600\r\nRateLimit: \"hour\";r=0;t=3600\r\n", "1")
    }));
    let api = api(&server.url(), json!({"rate_limit": {"strategy": "adaptive"}}));
    api.fetch("get", None, None).unwrap();
    let begun = Instant::now();
    let fault = api.fetch("get", None, None).unwrap_err();
    assert!(begun.elapsed() < SLACK);
    assert_eq!(fault.status, RATE_LIMITED);
    assert!(fault.message.contains("retry.max_wait is shorter"), "{}", fault.message);
    assert!(fault.retry_after_ms > 3_500_000);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn too_many_requests_for_one_call_hold_back_the_others_too() {
    let (server, times) = clock({
        let first = AtomicUsize::new(0);
        move |_| match first.fetch_add(1, SeqCst) {
            0 => response("429 Slow", "Retry-After: 1\r\n", ""),
            _ => ok_json("1"),
        }
    });
    let api = api(&server.url(), json!({"rate_limit": {"strategy": "adaptive", "rate": 100}}));
    std::thread::scope(|scope| {
        scope.spawn(|| api.fetch("get", None, None).unwrap());
        server.wait_requests(1);
        // By now or a little later the answer is read; whoever goes after that waits as long.
        std::thread::sleep(Duration::from_millis(200));
        scope.spawn(|| api.fetch("other", None, None).unwrap());
    });
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 3);
    assert!(times[1] - times[0] >= Duration::from_millis(950), "{:?}", times[1] - times[0]);
}

#[test]
fn limits_that_cannot_be_are_refused_and_an_empty_block_is_none() {
    for bad in [json!({"rate": 0}), json!({"rate": -1}), json!({"burst": 0}), json!({"max_concurrent": 0})] {
        let config = json!({"base_url": "http://127.0.0.1:9", "rate_limit": bad, "endpoints": {}});
        assert_eq!(Api::new(&config.to_string()).unwrap_err().status, INVALID_CONFIG, "{bad}");
    }
    let (server, _) = clock(|_| ok_json("1"));
    let api = api(&server.url(), json!({"rate_limit": {}}));
    let begun = Instant::now();
    for _ in 0..30 {
        api.fetch("get", None, None).unwrap();
    }
    assert!(begun.elapsed() < SLACK);
    let told = api.explain(None, None, None).unwrap().json();
    assert_eq!(told["rate_limit"], json!({"strategy": "none", "max_concurrent": null}));
}

#[test]
fn a_billion_a_second_is_no_limit_that_anybody_feels() {
    let (server, _) = clock(|_| ok_json("1"));
    for strategy in ["token_bucket", "leaky_bucket", "adaptive"] {
        let api = api(&server.url(), json!({"rate_limit": {"strategy": strategy, "rate": 1e9}}));
        let begun = Instant::now();
        for _ in 0..100 {
            api.fetch("get", None, None).unwrap();
        }
        assert!(begun.elapsed() < SLACK, "{strategy}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_callback_may_use_the_connector_whose_places_are_all_taken() {
    let (server, _) = clock(|_| ok_json("1"));
    let api = Arc::new(api(&server.url(), json!({"rate_limit": {"strategy": "none", "max_concurrent": 1}})));
    let (inner, depth) = (Arc::downgrade(&api), AtomicUsize::new(0));
    api.on_request(move |_| {
        if depth.fetch_add(1, SeqCst) == 0 {
            let begun = Instant::now();
            inner.upgrade().unwrap().fetch("other", None, r#"{"deadline": 10}"#).unwrap();
            assert!(begun.elapsed() < SLACK);
        }
        0
    })
    .unwrap();
    api.fetch("get", None, r#"{"deadline": 10}"#).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn who_waits_under_one_limit_holds_nothing_of_another() {
    let (gate, first) = (Gate::new(), AtomicUsize::new(0));
    let open = gate.clone();
    let (server, times) = clock(move |_| {
        if first.fetch_add(1, SeqCst) == 0 {
            open.wait();
        }
        ok_json("1")
    });
    let keys = json!({
        "rate_limit": {"strategy": "none", "max_concurrent": 1},
        "endpoints": {
            "get": {"path": "/x", "rate_limit": {"rate": 20, "burst": 1}},
            "other": {"path": "/y"},
        },
    });
    let api = api(&server.url(), keys);
    std::thread::scope(|scope| {
        scope.spawn(|| api.fetch("other", None, None).unwrap());
        server.wait_requests(1);
        for _ in 0..6 {
            scope.spawn(|| api.fetch("get", None, None).unwrap());
        }
        // Long enough for all of them to have had their turn at the rate.
        std::thread::sleep(Duration::from_millis(500));
        gate.open();
    });
    let times = times.lock().unwrap().clone();
    assert_eq!(times.len(), 7);
    let took = times[6] - times[1];
    assert!(took >= Duration::from_millis(220), "six at 20 a second came within {took:?}");
}

#[test]
fn what_is_not_sent_costs_nothing() {
    let (server, _) = clock(|_| ok_json("1"));
    let limited = |keys: Value| {
        let mut all = json!({"retry_count": 1, "rate_limit": {"rate": 0.001, "burst": 1}});
        for (key, value) in keys.as_object().unwrap() {
            all[key] = value.clone();
        }
        api(&server.url(), all)
    };
    let refusing = limited(json!({}));
    let first = AtomicUsize::new(0);
    refusing.on_request(move |_| i32::from(first.fetch_add(1, SeqCst) == 0)).unwrap();
    assert_eq!(refusing.fetch("get", None, None).unwrap_err().status, api::AUTH);
    refusing.fetch("get", None, r#"{"deadline": 5}"#).unwrap();
    let without_file = limited(json!({"endpoints": {"post": {"path": "/x", "method": "POST"}}}));
    without_file.fetch("post", None, r#"{"body_file": "/no/such/file"}"#).unwrap_err();
    without_file.fetch("post", None, r#"{"deadline": 5}"#).unwrap();
}

#[test]
fn another_origin_teaches_the_limit_nothing() {
    let other = Server::start(answering(|_| response("429 Slow", "Retry-After: 3600\r\n", "")));
    let there = other.url();
    let server = Server::start(answering(move |request| match request.target() {
        "/x" => response("302 Found", &format!("Location: {there}/z\r\n"), ""),
        _ => ok_json("1"),
    }));
    let api = api(&server.url(), json!({"rate_limit": {"strategy": "adaptive"}}));
    assert_eq!(api.fetch("get", None, None).unwrap_err().status, RATE_LIMITED);
    api.fetch("other", None, None).unwrap();
}
