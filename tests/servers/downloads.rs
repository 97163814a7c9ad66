//! Downloads whose process is killed, again and again; and servers that others wrote, whose ranges are gone on with.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::api::{Api, TRUNCATED};
use crate::support::{Folder, Server};
use crate::{alone, file, its, one};

/// nginx gives 4 MiB a second to each connection.
const LENGTH: usize = 10 << 20;

fn content(length: usize, salt: u32) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761).wrapping_add(salt) >> 24) as u8).collect()
}

/// What the servers of files serve under a name. It appears, or changes, at once.
fn serve(name: &str, content: &[u8]) {
    let fresh = file(&format!("files/{name}~"));
    std::fs::write(&fresh, content).unwrap();
    std::fs::rename(fresh, file(&format!("files/{name}"))).unwrap();
}

fn api(base_url: &str, name: &str, segments: u32) -> Api {
    let endpoint = json!({"path": format!("/{name}"), "streaming": {"segments": segments}});
    one(base_url, endpoint, json!({"retry_count": 5, "retry_delay": 0.05}))
}

/// A process that downloads `name` to `target`, and is killed after a while. Gives what it has told at its end, where
/// it comes to that.
fn downloads(
    base_url: &str,
    name: &str,
    segments: u32,
    target: &Path,
    killed_after: Option<Duration>,
) -> Option<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "downloads::alone_downloads", "--ignored", "--nocapture"]);
    command.env("APL_TEST_ALONE", "1").env("DOWNLOAD_URL", base_url).env("DOWNLOAD_NAME", name);
    command.env("DOWNLOAD_SEGMENTS", segments.to_string()).env("DOWNLOAD_TARGET", target);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("begins")), "it does not begin");
    if let Some(time) = killed_after {
        // The moment is to be any; nothing is waited for.
        std::thread::sleep(time);
        child.kill().unwrap();
    }
    let told = lines.find_map(|line| line.strip_prefix("ends ").map(str::to_owned));
    let status = child.wait().unwrap();
    assert!(killed_after.is_some() || status.success(), "{status}");
    told
}

#[test]
#[ignore = "run by the tests that kill it"]
fn alone_downloads() {
    if !alone::is_alone() {
        return;
    }
    let segments = alone::variable("DOWNLOAD_SEGMENTS").parse().unwrap();
    let api = api(&alone::variable("DOWNLOAD_URL"), &alone::variable("DOWNLOAD_NAME"), segments);
    // The test's name stands on the same line.
    println!(" begins");
    let done = api.download("x", alone::variable("DOWNLOAD_TARGET").as_ref(), "{}");
    println!("ends {}", done.unwrap_or_else(|e| panic!("{}: {}", e.name, e.message)).summary.text());
}

/// Kills it, again and again, within two seconds; then lets it be. A checkpoint is made once a second.
fn survives(base_url: &str, name: &str, segments: u32) {
    let kills: u32 = std::env::var("APL_TEST_KILLS").map_or(13, |kills| kills.parse().unwrap());
    let folder = Folder::new();
    let target = folder.path().join("x");
    let mut original = content(LENGTH, 0);
    serve(name, &original);
    let mut random = std::process::id().wrapping_mul(segments);
    for kill in 0..kills {
        if kill == kills / 2 {
            // It changes between two attempts.
            original = content(LENGTH + 1, 1 << 31);
            serve(name, &original);
        }
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let time = Duration::from_millis(u64::from(random >> 8) % 200 + u64::from(1800 * kill / kills));
        let told = downloads(base_url, name, segments, &target, Some(time));
        match std::fs::read(&target) {
            Ok(there) => {
                assert!(there == original, "kill {kill}: what is visible is not whole");
                // It was faster than its end: the next one has something to do again.
                std::fs::remove_file(&target).unwrap();
            }
            Err(_) => assert_eq!(told, None),
        }
    }
    let told = downloads(base_url, name, segments, &target, None).unwrap();
    assert!(std::fs::read(&target).unwrap() == original, "not what the server has: {told}");
    assert_eq!(folder.names(), ["x"]);
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn killed_at_any_moment_a_download_ends_in_the_same_file() {
    survives(&its("files"), "plain", 1);
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn killed_at_any_moment_segments_end_in_the_same_file() {
    survives(&its("files"), "segments", 3);
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn killed_at_any_moment_a_download_over_tls_ends_in_the_same_file() {
    survives(&its("secure_files"), "secure", 1);
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn killed_at_any_moment_segments_over_tls_end_in_the_same_file() {
    survives(&its("secure_files"), "secure-segments", 3);
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_kill_loses_a_second_of_work_and_no_more() {
    let folder = Folder::new();
    let target = folder.path().join("x");
    serve("checkpoint", &content(LENGTH, 7));
    let part = folder.path().join("x.part.state");
    let mut time = Duration::ZERO;
    // Until it has put something down.
    while !part.exists() {
        time += Duration::from_millis(1200);
        assert!(time < Duration::from_secs(60), "nothing is ever put down");
        downloads(&its("files"), "checkpoint", 1, &target, Some(time));
    }
    let told = downloads(&its("files"), "checkpoint", 1, &target, None).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(summary["resumed"], true, "{told}");
    assert!(std::fs::read(&target).unwrap() == content(LENGTH, 7));
}

/// Between a client and a server; the first connection is cut after so many bytes of an answer.
fn cutting(to: &str, after: u64) -> Server {
    let to = to.trim_start_matches("http://").to_owned();
    Server::start(move |client, number| {
        let server = TcpStream::connect(&to).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = std::io::copy(&mut &client, &mut &server);
                let _ = server.shutdown(Shutdown::Write);
            });
            let most = if number == 0 { after } else { u64::MAX };
            let _ = std::io::copy(&mut (&server).take(most), &mut &client);
            let _ = (&client).flush();
            let _ = client.shutdown(Shutdown::Both);
        });
    })
}

fn goes_on(base_url: &str, name: &str, original: &[u8]) {
    let proxy = cutting(base_url, 2_000_000);
    let folder = Folder::new();
    let target: PathBuf = folder.path().join("x");
    let api = one(&proxy.url(), json!({"path": format!("/{name}")}), json!({"retry_delay": 0.01}));
    let fault = api.download("x", &target, r#"{"retry_count": 1}"#).unwrap_err();
    assert_eq!(fault.status, TRUNCATED, "{}", fault.message);
    let done = api.download("x", &target, "{}").unwrap_or_else(|e| panic!("{}", e.message));
    let summary = done.summary.json();
    assert!(summary["resume_from"].as_u64().unwrap() > 1_900_000, "{summary}");
    assert_eq!(done.summary.status, 206);
    assert!(std::fs::read(&target).unwrap() == original);
    // All of it was there already, and the server says so.
    assert_eq!(folder.names(), ["x"]);
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn nginx_and_caddy_go_on_with_a_part() {
    let original = content(6_000_000, 3);
    serve("part", &original);
    goes_on(&its("files"), "part", &original);
    match its("caddy").as_str() {
        "" => println!("skipped: caddy is not installed"),
        caddy => goes_on(caddy, "part", &original),
    }
}
