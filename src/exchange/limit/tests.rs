//! The pace, in simulated time.
#![allow(clippy::unwrap_used)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::pace::{Pace, Said, Ticket, Turn};
use super::*;
use crate::config::endpoint::RateStrategy::{self, Adaptive, LeakyBucket, TokenBucket};
use crate::config::values::Rate;
use crate::quota::Window;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn limit(strategy: RateStrategy, rate: f64, burst: Option<f64>) -> RateLimit {
    RateLimit {
        strategy: Some(strategy),
        rate: Some(Rate(rate)),
        burst: burst.map(Rate),
        max_concurrent: None,
    }
}

/// A pace and the time.
struct World {
    pace: Pace,
    begun: Instant,
    now: Instant,
}

impl World {
    fn new(config: &RateLimit) -> World {
        let now = Instant::now();
        World { pace: Pace::new(config, now).unwrap(), begun: now, now }
    }

    fn time(&self) -> Duration {
        self.now - self.begun
    }

    fn wait(&self) -> Duration {
        match self.pace.turn(self.now, 0) {
            Turn::Wait { wait, .. } => wait,
            Turn::Now => Duration::ZERO,
            Turn::Full => panic!("no place"),
        }
    }

    /// Goes as soon as it may.
    fn go(&mut self) -> Ticket {
        self.now += self.wait();
        assert_eq!(self.pace.turn(self.now, 0), Turn::Now);
        self.pace.admit(self.now)
    }

    fn go_times(&mut self, times: usize) {
        for _ in 0..times {
            self.go();
        }
    }

    /// How many may go now.
    fn burst(&mut self) -> u64 {
        let mut n = 0;
        while self.pace.turn(self.now, 0) == Turn::Now {
            self.pace.admit(self.now);
            n += 1;
        }
        n
    }

    fn answered(&mut self, ticket: Ticket, said: &Said) {
        self.pace.answered(self.now, ticket, said);
    }
}

fn well() -> Said {
    Said { well: true, ..Said::default() }
}

fn limited(retry_after: Option<u64>) -> Said {
    Said { limited: true, retry_after: retry_after.map(Duration::from_secs), ..Said::default() }
}

fn window(name: &str, remaining: u64, reset: Duration) -> Window {
    Window { name: name.into(), remaining: Some(remaining), reset: Some(reset), ..Window::default() }
}

fn told(windows: &[Window]) -> Said {
    Said { windows: windows.to_vec(), ..well() }
}

#[test]
fn a_token_bucket_lets_a_burst_go_and_then_a_steady_rate() {
    let mut world = World::new(&limit(TokenBucket, 10.0, None));
    assert_eq!(world.burst(), 10);
    for n in 1..100 {
        world.go();
        assert_eq!(world.time(), Duration::from_millis(100) * n);
    }
    let mut world = World::new(&limit(TokenBucket, 0.5, None));
    assert_eq!(world.burst(), 1);
    let mut world = World::new(&limit(TokenBucket, 2.0, Some(7.0)));
    assert_eq!(world.burst(), 7);
}

#[test]
fn a_burst_is_a_whole_number_of_requests() {
    let mut world = World::new(&limit(TokenBucket, 1.5, None));
    world.go_times(2);
    assert_eq!(world.time(), Duration::from_nanos(666_666_667));
    let mut world = World::new(&limit(TokenBucket, 10.0, Some(2.9)));
    world.go_times(3);
    assert_eq!(world.time(), Duration::from_millis(100));
}

#[test]
fn a_leaky_bucket_is_steady_from_the_start() {
    let mut world = World::new(&limit(LeakyBucket, 10.0, Some(50.0)));
    for n in 0..100 {
        world.go();
        assert_eq!(world.time(), Duration::from_millis(100) * n);
    }
}

#[test]
fn one_a_day_and_a_billion_a_second_are_exact() {
    let mut world = World::new(&limit(TokenBucket, 1.0 / 86400.0, None));
    for n in 0..1000 {
        world.go();
        assert_eq!(world.time(), 24 * HOUR * n);
    }
    let mut world = World::new(&limit(LeakyBucket, 1e9, None));
    for n in 0..1000 {
        world.go();
        assert_eq!(world.time(), Duration::from_nanos(n));
    }
    // No whole number of nanoseconds.
    let mut world = World::new(&limit(LeakyBucket, 7e8, None));
    world.go_times(700_001);
    assert_eq!(world.time(), Duration::from_millis(1));
    for rate in [f64::MIN_POSITIVE, 1e-300, 1e300, f64::MAX] {
        let mut world = World::new(&limit(TokenBucket, rate, Some(rate)));
        world.pace.admit(world.now);
        assert_eq!(world.wait().is_zero(), rate > 1.0);
        world.pace.turn(world.now, usize::MAX);
    }
}

#[test]
fn hours_of_sleep_give_no_more_than_the_burst() {
    for strategy in [TokenBucket, LeakyBucket, Adaptive] {
        let most = if strategy == LeakyBucket { 1 } else { 5 };
        let mut world = World::new(&limit(strategy, 100.0, Some(5.0)));
        for _ in 0..10 {
            assert_eq!(world.burst(), most);
            world.now += 7 * HOUR;
        }
    }
}

#[test]
fn places_are_counted_for_every_strategy() {
    for strategy in [TokenBucket, LeakyBucket, Adaptive, RateStrategy::None] {
        let max_concurrent = NonZeroU32::new(2);
        let mut world = World::new(&RateLimit { max_concurrent, ..limit(strategy, 1e9, None) });
        let turn = |world: &World, others| world.pace.turn(world.now + SECOND, others);
        world.go();
        world.go();
        assert_eq!(turn(&world, 0), Turn::Full);
        world.pace.given_up();
        assert_eq!(turn(&world, 0), Turn::Full, "{strategy:?}: its body is still being read");
        world.pace.leave();
        assert_eq!(turn(&world, 0), Turn::Now);
        assert_ne!(turn(&world, 1), Turn::Now, "the one before takes it");
    }
    assert!(Pace::new(&limit(RateStrategy::None, 1.0, None), Instant::now()).is_none());
}

#[test]
fn nothing_goes_before_the_reset_of_a_used_up_window_and_everything_after_it() {
    let mut world = World::new(&limit(Adaptive, 100.0, Some(50.0)));
    let first = world.go();
    world.answered(first, &told(&[window("a", 0, 30 * SECOND)]));
    assert_eq!(world.pace.turn(world.now, 0), Turn::Wait { wait: 30 * SECOND, server: true });
    world.now += 30 * SECOND - Duration::from_nanos(1);
    assert_eq!(world.burst(), 0);
    world.now += Duration::from_nanos(1);
    assert_eq!(world.burst(), 50);
}

#[test]
fn no_more_goes_than_remains_less_what_is_under_way() {
    let mut world = World::new(&limit(Adaptive, 1e6, Some(1e6)));
    let sent: Vec<_> = (0..4).map(|_| world.go()).collect();
    world.answered(sent[0], &told(&[window("a", 10, HOUR)]));
    assert_eq!(world.burst(), 7);
    assert_eq!(world.wait(), HOUR);
    // One that was not sent is one more; one that failed may have been counted.
    world.pace.give_back(sent[1]);
    world.pace.given_up();
    assert_eq!(world.burst(), 1);
}

#[test]
fn an_answer_that_was_overtaken_gives_nothing() {
    let mut world = World::new(&limit(Adaptive, 1e6, Some(1e6)));
    let (a, b) = (world.go(), world.go());
    world.answered(b, &told(&[window("w", 3, HOUR)]));
    world.answered(a, &told(&[window("w", 9, HOUR)]));
    assert_eq!(world.burst(), 2);
    // But what it takes is taken, and what it says of a window that has ended is nothing.
    let mut world = World::new(&limit(Adaptive, 1e6, Some(1e6)));
    let sent: Vec<_> = (0..3).map(|_| world.go()).collect();
    world.answered(sent[2], &told(&[window("w", 30, HOUR)]));
    world.answered(sent[0], &told(&[window("w", 0, 60 * SECOND)]));
    world.answered(sent[1], &told(&[window("w", 5, HOUR)]));
    assert_eq!(world.burst(), 5);
}

#[test]
fn what_a_server_gives_back_is_taken_when_it_is_sure() {
    let mut world = World::new(&limit(Adaptive, 1e6, Some(1e6)));
    let a = world.go();
    world.answered(a, &told(&[window("w", 1, HOUR)]));
    let b = world.go();
    assert_eq!(world.burst(), 0);
    world.answered(b, &told(&[window("w", 20, HOUR)]));
    assert_eq!(world.burst(), 20);
}

#[test]
fn the_tightest_of_several_windows_rules() {
    let mut world = World::new(&limit(Adaptive, 1e6, Some(1e6)));
    let a = world.go();
    world.answered(a, &told(&[window("min", 5, 60 * SECOND), window("day", 7, 24 * HOUR)]));
    assert_eq!(world.burst(), 5);
    assert_eq!(world.wait(), 60 * SECOND);
    world.now += 60 * SECOND;
    assert_eq!(world.burst(), 2);
    assert_eq!(world.wait(), 24 * HOUR - 60 * SECOND);
    world.now += 24 * HOUR;
    assert!(world.burst() > 1000);
}

#[test]
fn a_server_that_invents_windows_fills_no_memory() {
    let mut world = World::new(&limit(Adaptive, 1e6, Some(1e6)));
    for n in 0..1000 {
        let ticket = world.go();
        world.answered(ticket, &told(&[window(&n.to_string(), 1_000_000, HOUR)]));
    }
    assert!(format!("{:?}", world.pace).matches("Known").count() <= 16);
}

#[test]
fn a_limited_answer_closes_until_the_server_said() {
    let close = |said: Said| {
        let mut world = World::new(&limit(Adaptive, 10.0, None));
        let ticket = world.go();
        world.answered(ticket, &said);
        assert!(matches!(world.pace.turn(world.now, 0), Turn::Wait { server: true, .. }));
        world.wait()
    };
    assert_eq!(close(limited(Some(7))), 7 * SECOND);
    assert_eq!(close(limited(None)), SECOND);
    let windows = vec![window("a", 0, 20 * SECOND), window("b", 5, 90 * SECOND)];
    assert_eq!(close(Said { windows, ..limited(None) }), 20 * SECOND);
    let only_reset = Window { remaining: None, ..window("a", 0, 20 * SECOND) };
    assert_eq!(close(Said { windows: vec![only_reset], ..limited(None) }), 20 * SECOND);
    let only_span = Window { reset: None, span: Some(60 * SECOND), ..window("a", 0, SECOND) };
    assert_eq!(close(Said { windows: vec![only_span], ..limited(None) }), 60 * SECOND);
    let busy = Said { retry_after: Some(4 * SECOND), ..Said::default() };
    assert_eq!(close(busy), 4 * SECOND, "503");
    let forever = Said { retry_after: Some(Duration::MAX), ..limited(None) };
    assert!(close(forever) > 1000 * HOUR);
}

#[test]
fn a_rate_that_is_too_high_is_halved_once_an_episode_and_recovers_in_steps() {
    let mut world = World::new(&limit(Adaptive, 10.0, Some(5.0)));
    let sent: Vec<_> = (0..5).map(|_| world.go()).collect();
    sent.iter().for_each(|t| world.answered(*t, &limited(None)));
    world.now += SECOND;
    let step = |world: &mut World| {
        let ticket = world.go();
        let at = world.time();
        let wait = world.wait();
        assert_eq!(world.time(), at);
        (ticket, wait.as_millis())
    };
    // 5 a second, once; nothing at once.
    let (ticket, wait) = step(&mut world);
    assert_eq!(wait, 200);
    // A second episode.
    world.answered(ticket, &limited(Some(0)));
    let (ticket, wait) = step(&mut world);
    assert_eq!(wait, 400);
    // One that went before the slow-down says nothing for the new rate.
    let late = sent[0];
    world.pace.admit(world.now);
    world.answered(late, &well());
    world.answered(ticket, &well());
    let next = |world: &mut World| {
        world.now += HOUR;
        let (ticket, wait) = step(world);
        world.answered(ticket, &well());
        wait
    };
    let waits: Vec<_> = (0..9).map(|_| next(&mut world)).collect();
    // 2.5 a second and a tenth of 10 for each, but slowly where it was refused, at 5: from 4.5 to 5.5.
    assert_eq!(waits, [285, 222, 221, 221, 220, 220, 219, 219, 218]);
    let slow = (0..200).map(|_| next(&mut world)).take_while(|wait| *wait >= 181).count();
    assert_eq!(slow, 96);
    // And on to 10, and no further.
    let waits: Vec<_> = (0..3).map(|_| next(&mut world)).collect();
    assert_eq!(waits, [133, 117, 105]);
    assert_eq!(world.wait().as_millis(), 105, "nothing is stored yet");
    world.now += HOUR;
    assert_eq!(world.burst(), 5);
    assert_eq!(world.wait().as_millis(), 100);
}

#[test]
fn a_limit_whose_window_is_known_does_not_slow_the_rate_down() {
    let mut world = World::new(&limit(Adaptive, 10.0, Some(5.0)));
    let ticket = world.go();
    world.answered(ticket, &Said { windows: vec![window("a", 0, 20 * SECOND)], ..limited(None) });
    world.now += 20 * SECOND;
    assert_eq!(world.burst(), 5);
}

#[test]
fn the_slowest_rate_is_still_one() {
    let mut world = World::new(&limit(Adaptive, 10.0, None));
    for _ in 0..100 {
        let ticket = world.go();
        world.answered(ticket, &limited(Some(0)));
    }
    assert_eq!(world.wait().as_secs(), 102);
}

/// Of the requests that went, no two are closer than the limit allows.
fn check(went: &[Duration], rate: f64, burst: f64) -> Result<(), TestCaseError> {
    for (i, from) in went.iter().enumerate() {
        for (j, to) in went.iter().enumerate().skip(i) {
            // A time is a whole nanosecond.
            let most = burst + rate * (*to - *from + Duration::from_nanos(1)).as_secs_f64();
            prop_assert!((j - i + 1) as f64 <= most + 1e-6 * most, "{} in {:?}", j - i + 1, *to - *from);
        }
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Step {
    Sleep(u64),
    Go,
    GoWhenItMay,
    GiveBack(usize),
    Well(usize),
    Limited(usize, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sleep = prop_oneof![0..2_000_000_000u64, 0..10u64, 0..40_000_000_000_000u64];
    let one = prop_oneof![
        2 => sleep.prop_map(Step::Sleep),
        4 => Just(Step::Go),
        4 => Just(Step::GoWhenItMay),
        2 => (0..100usize).prop_map(Step::GiveBack),
        1 => (0..100usize).prop_map(Step::Well),
        1 => (0..100usize, 0..3u64).prop_map(|(n, s)| Step::Limited(n, s)),
    ];
    prop::collection::vec(one, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is given back, answered, refused or slept through.
    #[test]
    fn no_time_holds_more_than_the_burst_and_the_rate(
        rate in prop_oneof![1e-5..1e-1, 0.1..50.0, 50.0..1e9],
        burst in 1.0..8.0f64,
        strategy in prop_oneof![Just(TokenBucket), Just(LeakyBucket), Just(Adaptive)],
        steps in steps(),
    ) {
        let mut world = World::new(&limit(strategy, rate, Some(burst)));
        let mut open: Vec<(Ticket, Duration)> = Vec::new();
        let mut went = Vec::new();
        for step in steps {
            let at = |n: usize, open: &Vec<_>| if open.is_empty() { None } else { Some(n % open.len()) };
            match step {
                Step::Sleep(nanos) => world.now += Duration::from_nanos(nanos),
                Step::Go if !world.wait().is_zero() => {}
                Step::Go | Step::GoWhenItMay => {
                    let ticket = world.go();
                    open.push((ticket, world.time()));
                }
                Step::GiveBack(n) => if let Some(n) = at(n, &open) {
                    world.pace.give_back(open.remove(n).0);
                },
                Step::Well(n) => if let Some(n) = at(n, &open) {
                    let (ticket, time) = open.remove(n);
                    world.answered(ticket, &well());
                    went.push(time);
                },
                Step::Limited(n, seconds) => if let Some(n) = at(n, &open) {
                    let (ticket, time) = open.remove(n);
                    world.answered(ticket, &limited(Some(seconds)));
                    went.push(time);
                },
            }
        }
        went.extend(open.iter().map(|(_, time)| *time));
        went.sort();
        check(&went, rate, if strategy == LeakyBucket { 1.0 } else { burst })?;
    }

    /// Nobody waits longer than was said, or shorter.
    #[test]
    fn the_turn_of_one_in_the_queue_is_known(
        rate in prop_oneof![1e-5..1e-1, 0.1..50.0, 50.0..1e7],
        burst in 1.0..8.0f64,
        before in 0..20usize,
        others in 0..20usize,
    ) {
        let mut world = World::new(&limit(TokenBucket, rate, Some(burst)));
        world.go_times(before);
        let begun = world.time();
        let said = match world.pace.turn(world.now, others) {
            Turn::Wait { wait, .. } => wait,
            turn => { prop_assert_eq!(turn, Turn::Now); Duration::ZERO }
        };
        world.go_times(others + 1);
        let waited = world.time() - begun;
        // Each goes at a whole nanosecond.
        prop_assert!(waited.abs_diff(said) <= Duration::from_nanos(1), "{:?} {:?}", waited, said);
    }
}

/// A request at the server, or its answer on the way back.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: Reverse<u64>,
    number: usize,
    answer: Option<(u64, u64, bool)>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// A server with windows of a fixed length, and answers that overtake each other.
    #[test]
    fn a_server_refuses_nobody_who_could_know_better(
        most in 1..60u64,
        length in 5_000..60_000u64,
        delays in prop::collection::vec((1..900u64, 1..900u64), 1..20),
        rate in 1.0..200.0f64,
        whole_seconds in any::<bool>(),
    ) {
        const END: u64 = 400_000;
        let mut world = World::new(&limit(Adaptive, rate, Some(rate)));
        let mut events = BinaryHeap::new();
        let mut sent: Vec<(Ticket, u64)> = Vec::new();
        // When the first answer of each window came.
        let mut known = BTreeMap::<u64, u64>::new();
        let (mut counted, mut accepted) = ((0, 0), 0);
        let mut now = 0;
        while now < END {
            world.now = world.begun + Duration::from_millis(now);
            while let Some(Event { at: Reverse(at), .. }) = events.peek() && *at <= now {
                let Event { number, answer, .. } = events.pop().unwrap();
                let (ticket, went) = sent[number];
                let Some((window, remaining, ok)) = answer else {
                    let window = now / length;
                    if counted.0 != window {
                        counted = (window, 0);
                    }
                    counted.1 += 1;
                    let ok = counted.1 <= most;
                    accepted += u64::from(ok);
                    let could_know = known.get(&window).is_some_and(|at| *at <= went);
                    prop_assert!(ok || !could_know, "refused at {} what went at {}", now, went);
                    let remaining = most.saturating_sub(counted.1);
                    let back = delays[number % delays.len()].1;
                    let at = Reverse(now + back);
                    let end = (window + 1) * length - now;
                    let end = if whole_seconds { end.div_ceil(1000) * 1000 } else { end };
                    events.push(Event { at, number, answer: Some((end, remaining, ok)) });
                    continue;
                };
                let reset = Duration::from_millis(window);
                // Which window it was: the server's time at which it was counted.
                let back = delays[number % delays.len()].1;
                known.entry((now - back) / length).or_insert(now);
                let windows = vec![Window { limit: Some(most), ..self::window("w", remaining, reset) }];
                world.answered(ticket, &Said { windows, limited: !ok, well: ok, retry_after: None });
            }
            while world.pace.turn(world.now, 0) == Turn::Now {
                let ticket = world.pace.admit(world.now);
                let number = sent.len();
                sent.push((ticket, now));
                let at = Reverse(now + delays[number % delays.len()].0);
                events.push(Event { at, number, answer: None });
            }
            let turn = match world.pace.turn(world.now, 0) {
                Turn::Wait { wait, .. } => now + wait.as_nanos().div_ceil(1_000_000) as u64,
                turn => panic!("{turn:?}"),
            };
            let event = events.peek().map_or(turn, |Event { at: Reverse(at), .. }| *at);
            now = turn.min(event);
        }
        // It recovers with the window: no window but the last goes by unused, and most of what is there is used.
        prop_assert!(known.len() as u64 + 2 > END / length, "{} of {} windows", known.len(), END / length);
        let ideal = ((rate * END as f64 / 1000.0) as u64).min(most * (END / length));
        prop_assert!(accepted * 2 > ideal, "{} of {}", accepted, ideal);
    }
}
