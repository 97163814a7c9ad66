//! The system's clock is set while a program holds a token: libfaketime, in the program's own process.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::api::Api;
use crate::support::{Folder, Server, answering, ok_json};
use crate::witness::Witness;
use crate::{alone, good, its};

const DAY: i64 = 24 * 3600;

/// Makes calls when it is told to, and tells both its clocks and what it has heard.
#[test]
#[ignore = "run by the other test"]
fn alone_caller() {
    if !alone::is_alone() {
        return;
    }
    let job: Value = serde_json::from_str(&alone::variable("JOB")).unwrap();
    let api = Api::new(&job["config"].to_string()).unwrap();
    let witness = Witness::new(["canary-secret", "canary-refresh-0"]);
    witness.learns_from(&api);
    let started = Instant::now();
    for line in std::io::stdin().lines() {
        let calls: usize = line.unwrap().parse().unwrap();
        witness.listen(|| {
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        (0..calls).for_each(|_| drop(good(witness.outcome(api.fetch("x", None, None)))))
                    });
                }
            });
        });
        witness.is_content();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        println!("\ntold {}", json!({"system": now, "monotonic": started.elapsed().as_secs_f64()}));
        std::io::stdout().flush().unwrap();
    }
}

/// Has the program make its calls: what its clocks say then.
fn calls(to: &mut ChildStdin, from: &mut Lines<BufReader<ChildStdout>>, count: usize) -> (i64, f64) {
    writeln!(to, "{count}").unwrap();
    let told =
        from.find_map(|line| Some(line.unwrap().strip_prefix("told ")?.to_owned())).expect("it has failed");
    let told: Value = serde_json::from_str(&told).unwrap();
    (told["system"].as_i64().unwrap(), told["monotonic"].as_f64().unwrap())
}

/// Sets the clock of those that look at the file, so that it is never half written.
fn set_clock(file: &Path, offset: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, offset).unwrap();
    std::fs::rename(new, file).unwrap();
}

#[test]
#[ignore = "needs libfaketime: `make test-servers`"]
fn a_clock_that_is_set_costs_no_token_and_no_call() {
    for grant in ["oauth2_client_credentials", "oauth2_refresh"] {
        let server = Server::start(answering(|request| match request.target() {
            "/token" => ok_json(
                r#"{"access_token": "canary-token", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "canary-refresh-1"}"#,
            ),
            _ => ok_json("1"),
        }));
        let mut auth = json!({"type": grant, "client_id": "me", "client_secret": "canary-secret", "token_url": format!("{}/token", server.url())});
        if grant == "oauth2_refresh" {
            auth["refresh_token"] = "canary-refresh-0".into();
        }
        let config = json!({"base_url": server.url(), "retry_count": 1, "auth": auth, "endpoints": {"x": {"path": "/x"}}});

        let folder = Folder::new();
        let clock = folder.write("clock", "+0");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "clock::alone_caller", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env("APL_TEST_ALONE", "1").env("JOB", json!({"config": config}).to_string());
        command.env("LD_PRELOAD", its("libfaketime")).env("FAKETIME_TIMESTAMP_FILE", &clock);
        command.env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1");
        let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, from) = (program.stdin.take().unwrap(), program.stdout.take().unwrap());
        let mut from = BufReader::new(from).lines();

        let begun = Instant::now();
        let (start, _) = calls(&mut to, &mut from, 5);
        for (offset, days) in [("+1d", 1), ("-1d", -1), ("+0", 0)] {
            set_clock(&clock, offset);
            let (system, monotonic) = calls(&mut to, &mut from, 5);
            let passed = begun.elapsed().as_secs_f64();
            let jump = system - start - days * DAY;
            assert!((0..60).contains(&jump), "{offset}: the clock stands at {jump} s");
            assert!(
                (0.0..=passed).contains(&monotonic),
                "{offset}: {monotonic} s since its start, of {passed}"
            );
        }
        drop(to);
        assert!(program.wait().unwrap().success());
        let requests = server.requests();
        let tokens = requests.iter().filter(|request| request.target() == "/token").count();
        assert_eq!((tokens, requests.len()), (1, 1 + 4 * 4 * 5), "{grant}");
    }
}
