//! The queue, with real threads in real time.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU32;
use std::sync::mpsc;
use std::thread::{self, ScopedJoinHandle};

use super::tests::limit;
use super::*;
use crate::config::endpoint::RateStrategy::{self, Adaptive, LeakyBucket, TokenBucket};

/// So long that only a fault makes a test wait for it.
const LONG: Duration = Duration::from_secs(30);

fn limiter(config: &RateLimit) -> Arc<Limiter> {
    Arc::new(Limiter::new(config).unwrap())
}

fn places(places: u32) -> Arc<Limiter> {
    limiter(&RateLimit { max_concurrent: NonZeroU32::new(places), ..limit(RateStrategy::None, 1.0, None) })
}

fn patience<'a>(deadline: Option<Duration>, cancel: Option<&'a Arc<Token>>) -> Patience<'a> {
    Patience { deadline: deadline.map(|d| Instant::now() + d), max_wait: Duration::from_secs(1), cancel }
}

fn patient() -> Patience<'static> {
    patience(Some(LONG), None)
}

fn waiting(limiter: &Limiter) -> usize {
    limiter.state.lock().queue.len()
}

/// Until so many wait.
fn await_queue(limiter: &Limiter, n: usize) {
    let begun = Instant::now();
    while waiting(limiter) != n {
        assert!(begun.elapsed() < LONG, "{} wait, not {n}", waiting(limiter));
        thread::yield_now();
    }
}

/// Is it as good as new?
fn is_idle(limiter: &Limiter) -> bool {
    let state = limiter.state.lock();
    state.queue.is_empty() && format!("{:?}", state.pace).contains("taken: 0,")
}

/// Runs what makes one more wait, until it does, or is through without.
fn until_it_waits<T>(limiter: &Limiter, begin: impl FnOnce() -> T, is_through: impl Fn(&T) -> bool) -> T {
    let last = || limiter.state.lock().queue.back().cloned();
    let before = last();
    let begun = begin();
    let is_new = |last: Arc<Bell>| before.as_ref().is_none_or(|before| !Arc::ptr_eq(before, &last));
    while !last().is_some_and(is_new) && !is_through(&begun) {
        thread::yield_now();
    }
    begun
}

/// A thread that has come to the queue behind all that came before it.
fn queued<'s>(
    scope: &'s thread::Scope<'s, '_>,
    limiter: &'s Arc<Limiter>,
    cancel: Option<Arc<Token>>,
    deadline: Option<Duration>,
) -> ScopedJoinHandle<'s, Result<Permit, Refused>> {
    let begin = || scope.spawn(move || limiter.admit(&patience(deadline.or(Some(LONG)), cancel.as_ref())));
    until_it_waits(limiter, begin, ScopedJoinHandle::is_finished)
}

#[test]
fn a_hundred_threads_go_in_their_order_and_at_the_rate() {
    const RATE: f64 = 10.0;
    const TIME: Duration = Duration::from_secs(3);
    let tokens: Vec<_> = (0..100).map(|n| (n % 2 == 0).then(|| Arc::new(Token::new()))).collect();
    let (say, said) = mpsc::channel();
    let begun = Instant::now();
    let limiter = limiter(&limit(TokenBucket, RATE, None));
    thread::scope(|scope| {
        for (n, token) in tokens.iter().enumerate() {
            let (say, limiter) = (say.clone(), &limiter);
            let patience = Patience { deadline: Some(begun + TIME), max_wait: LONG, cancel: token.as_ref() };
            let begin = || {
                scope.spawn(move || {
                    let outcome = limiter.admit(&patience).map(drop);
                    say.send((n, outcome, begun.elapsed())).unwrap();
                })
            };
            until_it_waits(limiter, begin, ScopedJoinHandle::is_finished);
        }
        drop(say);
    });
    let outcomes: Vec<_> = said.iter().collect();
    assert_eq!(outcomes.len(), 100);
    let went: Vec<_> = outcomes.iter().filter(|(_, o, _)| o.is_ok()).map(|(n, _, at)| (*at, *n)).collect();
    for (k, (at, _)) in went.iter().enumerate() {
        let first = Duration::from_secs_f64((k as f64 + 1.0 - RATE).max(0.0) / RATE);
        assert!(*at >= first, "{k} after {at:?}");
    }
    // 10 at once and 30 later; a slow machine makes it a few less.
    assert!((30..=41).contains(&went.len()), "{} went", went.len());
    // They are counted a moment after they went, which blurs the order a little.
    for (k, (_, n)) in went.iter().enumerate() {
        assert!(k.abs_diff(*n) <= 10, "{n} was number {k}");
    }
    for (n, outcome, at) in outcomes {
        match outcome {
            Ok(()) => {}
            Err(Refused::TooLong(wait)) => assert!(at + wait >= TIME, "{n}: {wait:?} at {at:?}"),
            Err(refused) => assert_eq!(refused, Refused::Deadline),
        }
    }
    assert!(is_idle(&limiter));
}

#[test]
fn those_who_wait_go_in_the_order_of_coming() {
    let limiter = places(1);
    let order = Mutex::new(Vec::new());
    let first = limiter.admit(&patient()).unwrap();
    thread::scope(|scope| {
        for n in 0..50 {
            let (limiter, order) = (&limiter, &order);
            scope.spawn(move || {
                let permit = limiter.admit(&patient()).unwrap();
                // The one place is the lock.
                order.lock().push(n);
                drop(permit);
            });
            await_queue(limiter, n + 1);
        }
        drop(first);
    });
    assert_eq!(order.into_inner(), (0..50).collect::<Vec<_>>());
    assert!(is_idle(&limiter));
}

#[test]
fn one_who_comes_later_does_not_overtake_one_who_is_about_to_go() {
    let limiter = places(2);
    let bell = Arc::new(Bell::new(None).unwrap());
    limiter.state.lock().queue.push_back(bell.clone());
    let about_to_go = Waiting { limiter: &limiter, bell, is_over: Cell::new(false) };
    thread::scope(|scope| {
        let later = queued(scope, &limiter, None, None);
        assert_eq!(waiting(&limiter), 2);
        let _permit = about_to_go.look(&patient()).unwrap().unwrap();
        assert!(later.join().unwrap().is_ok());
    });
    assert_eq!(waiting(&limiter), 0);
}

#[test]
fn a_cancel_in_the_middle_and_at_the_head_leaves_the_queue_in_order() {
    let limiter = places(1);
    let tokens: Vec<_> = (0..3).map(|_| Arc::new(Token::new())).collect();
    let place = limiter.admit(&patient()).unwrap();
    thread::scope(|scope| {
        let mut threads = tokens.iter().map(|t| queued(scope, &limiter, Some(t.clone()), None));
        let (head, middle, last) =
            (threads.next().unwrap(), threads.next().unwrap(), threads.next().unwrap());
        tokens[1].cancel();
        assert_eq!(middle.join().unwrap().map(drop), Err(Refused::Cancelled));
        assert_eq!(waiting(&limiter), 2);
        tokens[0].cancel();
        assert_eq!(head.join().unwrap().map(drop), Err(Refused::Cancelled));
        assert_eq!(waiting(&limiter), 1);
        drop(place);
        assert!(last.join().unwrap().is_ok());
    });
    assert!(is_idle(&limiter));
    assert_eq!(limiter.admit(&patience(None, Some(&tokens[0]))).map(drop), Err(Refused::Cancelled));
}

#[test]
fn when_the_head_of_a_timed_queue_leaves_the_next_one_keeps_the_time() {
    let limiter = limiter(&limit(LeakyBucket, 5.0, None));
    let token = Arc::new(Token::new());
    let begun = Instant::now();
    drop(limiter.admit(&patient()).unwrap());
    thread::scope(|scope| {
        let head = queued(scope, &limiter, Some(token.clone()), None);
        let next = queued(scope, &limiter, None, None);
        token.cancel();
        let head = head.join().unwrap().map(drop);
        // On a machine that stood still, its time had come.
        assert!(head == Err(Refused::Cancelled) || begun.elapsed() >= Duration::from_millis(200));
        assert!(next.join().unwrap().is_ok());
    });
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert!(is_idle(&limiter));
}

#[test]
fn a_turn_beyond_the_deadline_is_refused_at_once() {
    let limiter = limiter(&limit(LeakyBucket, 1.0 / 86400.0, None));
    drop(limiter.admit(&patient()).unwrap());
    let begun = Instant::now();
    let refused = limiter.admit(&patience(Some(LONG), None)).map(drop).unwrap_err();
    let Refused::TooLong(wait) = refused else { panic!("{refused:?}") };
    assert!(wait > Duration::from_secs(86000) && wait <= Duration::from_secs(86400), "{wait:?}");
    assert!(begun.elapsed() < LONG / 2);
    assert!(is_idle(&limiter));
}

#[test]
fn a_place_that_is_not_free_in_time_ends_with_the_deadline_and_the_next_gets_it() {
    let limiter = places(1);
    let place = limiter.admit(&patient()).unwrap();
    thread::scope(|scope| {
        let short = Duration::from_millis(300);
        let begun = Instant::now();
        let head = queued(scope, &limiter, None, Some(short));
        let behind = queued(scope, &limiter, None, Some(short));
        let last = queued(scope, &limiter, None, Some(LONG));
        assert_eq!(head.join().unwrap().map(drop), Err(Refused::Deadline));
        assert_eq!(behind.join().unwrap().map(drop), Err(Refused::Deadline));
        assert!(begun.elapsed() >= short);
        await_queue(&limiter, 1);
        drop(place);
        assert!(last.join().unwrap().is_ok());
    });
    assert!(is_idle(&limiter));
}

fn answer(status: u16) -> Head {
    Head::new(status, 1, Box::default(), std::iter::empty())
}

#[test]
fn a_server_that_closes_for_too_long_refuses_all_who_wait_already() {
    let limiter = limiter(&limit(Adaptive, 1.0 / 12.0, Some(1.0)));
    let first = limiter.admit(&patient()).unwrap();
    thread::scope(|scope| {
        // The configured rate may make them wait longer than `max_wait`.
        let threads: Vec<_> = (0..2).map(|_| queued(scope, &limiter, None, None)).collect();
        let hour = Duration::from_secs(3600);
        first.answered(&answer(429), true, Some(hour), SystemTime::now());
        for thread in threads {
            let refused = thread.join().unwrap().map(drop).unwrap_err();
            // Long before the head would have looked by itself.
            let at_once = hour - Duration::from_secs(10);
            assert!(matches!(refused, Refused::TooLong(w) if w > at_once && w <= hour), "{refused:?}");
        }
    });
    drop(first);
    assert!(is_idle(&limiter));
}

#[test]
fn what_was_given_back_goes_to_the_next() {
    let limiter = limiter(&limit(LeakyBucket, 1.0 / 20.0, None));
    let begun = Instant::now();
    let first = limiter.admit(&patient()).unwrap();
    thread::scope(|scope| {
        let next = queued(scope, &limiter, None, None);
        first.give_back();
        assert!(next.join().unwrap().is_ok());
    });
    assert!(begun.elapsed() < Duration::from_secs(15));
    // That one went: there is nothing left.
    let refused = limiter.admit(&patience(Some(Duration::from_secs(1)), None)).map(drop);
    assert!(matches!(refused, Err(Refused::TooLong(_))), "{refused:?}");
    assert!(is_idle(&limiter));
}

#[test]
fn an_answer_counts_once_and_only_503_and_limits_close() {
    let limiter = limiter(&limit(Adaptive, 1000.0, None));
    let now = SystemTime::now();
    let hour = Some(Duration::from_secs(3600));
    let may_go = || limiter.admit(&patient()).is_ok();
    let permit = limiter.admit(&patient()).unwrap();
    permit.answered(&answer(201), false, hour, now);
    permit.answered(&answer(429), true, hour, now);
    drop(permit);
    assert!(may_go());
    limiter.admit(&patient()).unwrap().answered(&answer(503), false, None, now);
    assert!(may_go());
    limiter.admit(&patient()).unwrap().answered(&answer(503), false, hour, now);
    assert!(!may_go());
    assert!(is_idle(&limiter));
}

#[test]
fn a_storm_of_cancels_leaves_a_limiter_that_works() {
    let limiter =
        limiter(&RateLimit { max_concurrent: NonZeroU32::new(2), ..limit(TokenBucket, 2000.0, Some(1.0)) });
    let tokens: Vec<_> = (0..64).map(|_| Arc::new(Token::new())).collect();
    let went = thread::scope(|scope| {
        let threads: Vec<_> = tokens
            .iter()
            .map(|token| {
                let limiter = &limiter;
                scope.spawn(move || {
                    let mut went = 0;
                    loop {
                        match limiter.admit(&patience(Some(LONG), Some(token))) {
                            Ok(permit) if went % 3 == 0 => permit.give_back(),
                            Ok(permit) => drop(permit),
                            Err(refused) => return (went, refused),
                        }
                        went += 1;
                    }
                })
            })
            .collect();
        // Some of them in the middle, some at the head, some on their way.
        for (n, token) in tokens.iter().enumerate() {
            token.cancel();
            if n % 8 == 0 {
                drop(limiter.admit(&patient()).unwrap());
            }
        }
        let outcomes = threads.into_iter().map(|t| t.join().unwrap());
        outcomes.map(|(went, refused)| (refused == Refused::Cancelled).then_some(went)).collect::<Vec<_>>()
    });
    assert!(went.iter().all(Option::is_some), "{went:?}");
    assert!(is_idle(&limiter));
    for _ in 0..10 {
        drop(limiter.admit(&patience(Some(LONG), None)).unwrap());
    }
}
