use proptest::prelude::*;

use super::*;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn head(fields: &[(&str, &str)]) -> Head {
    crate::response::head(200, fields)
}

fn quota(fields: &[(&str, &str)]) -> Option<Quota> {
    Quota::of(&head(fields), now())
}

fn of(limit: u64, remaining: u64, reset_ms: u64) -> Option<Quota> {
    Some(Quota { limit: Some(limit), remaining: Some(remaining), reset_ms: Some(reset_ms) })
}

fn reset(fields: &[(&str, &str)]) -> Option<u64> {
    let windows = windows(&head(fields), now());
    windows.iter().find_map(|w| w.reset).map(|r| r.as_millis() as u64)
}

type Said = (String, Option<u64>, Option<u64>, Option<u64>);

fn said(fields: &[(&str, &str)]) -> Vec<Said> {
    let windows = windows(&head(fields), now()).into_iter();
    windows.map(|w| (w.name, w.limit, w.remaining, w.reset.map(|r| r.as_millis() as u64))).collect()
}

#[test]
fn every_form_in_use_is_read() {
    let x = |reset| {
        quota(&[("X-RateLimit-Limit", "60"), ("X-RateLimit-Remaining", "7"), ("X-RateLimit-Reset", reset)])
    };
    for (reset, ms) in [
        ("30", 30_000),
        ("1.5", 1500),
        ("1700000030", 30_000),
        ("1700000030.25", 30_250),
        ("1700000030250", 30_250),
        ("1700000030250000", 30_250),
        ("1700000030000000000", 30_000),
        ("1600000000", 0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30_000),
        ("2023-11-14T22:13:50Z", 30_000),
        ("2023-11-14T22:13:50.500Z", 30_500),
        ("2023-11-14T23:13:50+01:00", 30_000),
        ("2023-11-14 16:43:50-05:30", 30_000),
        ("6m0s", 360_000),
        ("20ms", 20),
        ("1h2m3.5s", 3_723_500),
        ("0", 0),
    ] {
        assert_eq!(x(reset), of(60, 7, ms), "{reset}");
    }
    let draft = [("RateLimit-Policy", "\"a\";q=60;w=60, \"b\";q=9"), ("RateLimit", "\"a\";r=7;t=30")];
    assert_eq!(quota(&draft), of(60, 7, 30_000));
    let older = [("RateLimit-Limit", "60, 60;w=60"), ("RateLimit-Remaining", "7"), ("RateLimit-Reset", "30")];
    assert_eq!(quota(&older), of(60, 7, 30_000));
    let between = [("RateLimit", "limit=60, remaining=7, reset=30"), ("RateLimit-Policy", "60;w=60")];
    assert_eq!(quota(&between), of(60, 7, 30_000));
    let twitter =
        [("x-rate-limit-limit", "60"), ("x-rate-limit-remaining", "7"), ("x-rate-limit-reset", "1700000030")];
    assert_eq!(quota(&twitter), of(60, 7, 30_000));
}

#[test]
fn the_answers_own_clock_counts_where_it_has_one() {
    let date = ("Date", "Sat, 01 Jan 2000 00:00:00 GMT");
    assert_eq!(reset(&[date, ("X-RateLimit-Reset", "946684830")]), Some(30_000));
    assert_eq!(reset(&[date, ("X-RateLimit-Reset", "946684830500")]), Some(30_500));
    assert_eq!(reset(&[date, ("X-RateLimit-Reset", "2000-01-01T00:00:30Z")]), Some(30_000));
    assert_eq!(reset(&[date, ("X-RateLimit-Reset", "30")]), Some(30_000));
    assert_eq!(reset(&[("Date", "today"), ("X-RateLimit-Reset", "1700000030")]), Some(30_000));
}

#[test]
fn the_name_of_the_day_says_nothing() {
    let (date, at) = ("Mon, 01 Jan 2000 00:00:00 GMT", "Mon, 01 Jan 2000 00:00:30 GMT");
    assert_eq!(reset(&[("Date", date), ("X-RateLimit-Reset", "946684830")]), Some(30_000));
    assert_eq!(reset(&[("Date", "Sat, 01 Jan 2000 00:00:00 GMT"), ("X-RateLimit-Reset", at)]), Some(30_000));
}

#[test]
fn a_reset_that_needs_no_clock_is_better_than_one_that_does() {
    let (at, after) = (("X-RateLimit-Reset", "1700000099.5"), ("X-RateLimit-Reset-After", "1.25"));
    assert_eq!(reset(&[at, after]), Some(1250));
    assert_eq!(reset(&[after, at]), Some(1250));
}

#[test]
fn limits_of_several_kinds_are_told_apart() {
    let named = |name: &str, l, r, t| (name.to_string(), Some(l), Some(r), Some(t));
    let openai = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ];
    let both = [named("requests", 60, 59, 1000), named("tokens", 150_000, 149_984, 360_000)];
    assert_eq!(said(&openai), both);
    assert_eq!(quota(&openai), of(60, 59, 1000));
    let anthropic = [
        ("anthropic-ratelimit-requests-limit", "60"),
        ("anthropic-ratelimit-requests-remaining", "59"),
        ("anthropic-ratelimit-requests-reset", "2023-11-14T22:13:21Z"),
    ];
    assert_eq!(said(&anthropic), [named("anthropic-requests", 60, 59, 1000)]);
    let github = [
        ("X-RateLimit-Limit", "60"),
        ("X-RateLimit-Remaining", "59"),
        ("X-RateLimit-Reset", "1700000001"),
        ("X-RateLimit-Used", "1"),
        ("X-RateLimit-Resource", "core"),
    ];
    assert_eq!(said(&github), [named(" of core", 60, 59, 1000)]);
    let ietf = [
        ("RateLimit-Policy", "\"permin\";q=100;w=60,\"perday\";q=1000;w=86400"),
        ("RateLimit", "\"permin\";r=50;t=30"),
        ("RateLimit", "\"perday\";r=3;t=3600"),
    ];
    let both = [named("\"permin\"", 100, 50, 30_000), named("\"perday\"", 1000, 3, 3_600_000)];
    assert_eq!(said(&ietf), both);
    assert_eq!(quota(&ietf), of(1000, 3, 3_600_000));
    let spans: Vec<_> = windows(&head(&ietf), now()).iter().map(|w| w.span.map(|s| s.as_secs())).collect();
    assert_eq!(spans, [Some(60), Some(86400)]);
    let shares = [("RateLimit", "default;r=1;t=2;pk=:YQ==:, default;r=3;t=4;pk=:Yg==:")];
    assert_eq!(said(&shares).len(), 2);
}

#[test]
fn nonsense_is_nothing() {
    assert_eq!(quota(&[]), None);
    for (name, value) in [
        ("X-RateLimit-Limit", "many"),
        ("X-RateLimit-Remaining", "-1"),
        ("X-RateLimit-Remaining", "1e3"),
        ("X-RateLimit-Remaining", "inf"),
        ("X-RateLimit-Remaining", "NaN"),
        ("X-RateLimit-Remaining", ""),
        ("X-RateLimit-Remaining", "."),
        ("X-RateLimit-Reset", "-5"),
        ("X-RateLimit-Reset", "5 parsecs"),
        ("X-RateLimit-Reset", "m"),
        ("X-RateLimit-Reset", "2023-11-14T22:13:50+aa:bb"),
        ("X-RateLimit-Reset-Limit", "5"),
        ("X-RateLimit", "5"),
        ("X-Separate-Limit", "5"),
        ("Limit", "5"),
        ("RateLimit", "x"),
        ("RateLimit", "\"a\";r=-1"),
        ("RateLimit", "\"a\";r=1,"),
        ("RateLimit", "\"a\";r=9999999999999999"),
        ("RateLimit-Policy", "60;w=60"),
    ] {
        assert_eq!(quota(&[(name, value)]), None, "{name}: {value}");
    }
    let part = quota(&[("X-RateLimit-Remaining", "0")]);
    assert_eq!(part, Some(Quota { remaining: Some(0), ..Quota::default() }));
}

#[test]
fn no_number_is_too_large() {
    let nines = "9".repeat(300);
    for name in ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Reset-After"]
    {
        quota(&[(name, &nines)]);
        quota(&[(name, &"9".repeat(19))]);
        quota(&[("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), (name, &nines)]);
    }
    let far = reset(&[("X-RateLimit-Reset", "9999-12-31T23:59:59Z")]);
    assert_eq!(far, Some(LONGEST.as_millis() as u64));
}

#[test]
fn a_list_without_an_end_is_not_read_to_it() {
    let names: String = (0..10_000).map(|n| format!("a{n};r=1, ")).collect();
    assert_eq!(said(&[("RateLimit", &(names + "z;r=0"))]).len(), MOST);
}

proptest! {
    #[test]
    fn whatever_a_server_writes_is_read_without_a_fault(
        name in "(x-|ratelimit|rate-limit|-|limit|remaining|reset|after|policy|resource|[a-z]){0,8}",
        value in prop_oneof![any::<String>(), "[0-9.:TZdhmsnuµ+\\-, ;=\"?()ratqwpk]{0,40}"],
        date in prop_oneof![any::<String>(), Just("Thu, 01 Jan 1970 00:00:01 GMT".to_string())],
    ) {
        for name in [&*name, "X-RateLimit-Reset", "X-RateLimit-Reset-After", "X-RateLimit-Remaining", "RateLimit"] {
            let fields = [("Date", &*date), (name, &*value), ("RateLimit-Policy", &*value)];
            for window in windows(&head(&fields), now()) {
                prop_assert!(window.reset.is_none_or(|r| r <= LONGEST), "{window:?}");
            }
        }
    }
}
