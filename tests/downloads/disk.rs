//! What is on the disk, and what it does.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::*;
use crate::api::{FILE, PROTOCOL};

/// The system's names for what goes wrong.
const EINVAL: i32 = 22;
const ENOENT: i32 = 2;
const EISDIR: i32 = 21;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const ELOOP: i32 = 40;

fn refused(outcome: Result<Value, Fault>, number: i32) -> Fault {
    let fault = fails(outcome, FILE, "");
    assert_eq!(system_error(&fault), Some(number), "{}", fault.message);
    fault
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn make(folder: &Folder, kind: &str, name: &str) {
    assert!(Command::new(kind).arg(folder.path().join(name)).status().unwrap().success());
}

/// A file system in memory.
struct Disk(Folder);

impl Disk {
    /// None where this process may not mount one.
    fn new(size: &str) -> Option<Disk> {
        let folder = Folder::new();
        let path = folder.path().to_str().unwrap();
        let mut mount = Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", path]).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Some(Disk(folder));
        }
        eprintln!("skipped: a tmpfs cannot be mounted here (it takes root)");
        None
    }

    fn remount(&self, options: &str) {
        let done =
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0.path()).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_leaves_the_old_file_and_a_part_that_goes_on_when_there_is_room() {
    for (segments, length) in [(1, 3_000_000), (4, 9 << 20)] {
        let Some(disk) = Disk::new("1m") else { return };
        let folder = &disk.0;
        folder.write("x", "old");
        let server = serving(data(length), TAG);
        let api = api(&server.url(), json!({"segments": segments}));
        let fault = refused(get(&api, folder, json!({})), ENOSPC);
        assert!(fault.message.starts_with("get: cannot write /"), "{}", fault.message);
        assert_eq!(there(folder), b"old");
        assert_eq!(folder.names(), ["x", "x.part", "x.part.state"]);
        let so_far = fault.partial.unwrap().json()["bytes_written"].as_u64().unwrap();
        disk.remount("size=32m");
        let summary = get(&api, folder, json!({})).unwrap();
        assert_eq!(summary["resume_from"], so_far);
        assert!(so_far > 0);
        assert!(there(folder) == data(length));
    }
}

#[test]
fn a_disk_that_is_full_but_for_the_part_leaves_one_that_goes_on() {
    let Some(disk) = Disk::new("1m") else { return };
    let folder = &disk.0;
    // All of it fits, and nothing else.
    let server = serving(data(1 << 20), TAG);
    let api = api(&server.url(), json!({}));
    let fault = refused(get(&api, folder, json!({})), ENOSPC);
    assert!(fault.message.contains("cannot write the state of "), "{}", fault.message);
    assert_eq!(folder.names(), ["x.part", "x.part.state"]);
    disk.remount("size=2m");
    let summary = get(&api, folder, json!({})).unwrap();
    assert!(summary["resume_from"].as_u64().unwrap() > 900_000, "{summary}");
    assert!(there(folder) == data(1 << 20));
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_anything_is_asked_for() {
    let Some(disk) = Disk::new("4m") else { return };
    disk.0.write("x", "old");
    disk.remount("ro");
    let server = serving(data(1000), TAG);
    refused(get(&api(&server.url(), json!({})), &disk.0, json!({})), EROFS);
    assert_eq!((there(&disk.0), server.requests().len()), (b"old".to_vec(), 0));
}

#[test]
fn the_longest_file_that_a_process_may_write_is_no_end_of_it() {
    alone::run("disk::alone_the_longest_file_that_a_process_may_write_is_no_end_of_it", []);
}

#[test]
#[ignore = "run by the_longest_file_that_a_process_may_write_is_no_end_of_it"]
fn alone_the_longest_file_that_a_process_may_write_is_no_end_of_it() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if !alone::is_alone() {
        return;
    }
    setrlimit(Resource::Fsize, Rlimit { current: Some(1_000_000), maximum: None }).unwrap();
    for segments in [1, 3] {
        let server = serving(data(5_000_000), TAG);
        let folder = Folder::new();
        folder.write("x", "old");
        let api = api(&server.url(), json!({"segments": segments}));
        refused(get(&api, &folder, json!({})), EFBIG);
        assert_eq!(there(&folder), b"old");
    }
    // One that fits is written, whether or not its length is known.
    let known = serving(data(990_000), TAG);
    let unknown = Server::start(|mut stream, _| {
        let Some(_) = read_request(&mut stream) else { return };
        let _ =
            stream.write_all(&[b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &data(990_000)[..]].concat());
    });
    for server in [known, unknown] {
        let folder = Folder::new();
        get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
        assert!(there(&folder) == data(990_000));
    }
}

#[test]
fn only_a_file_or_a_link_is_replaced() {
    let server = serving(data(1000), TAG);
    let api = api(&server.url(), json!({}));
    let folder = Folder::new();
    make(&folder, "mkdir", "x");
    refused(get(&api, &folder, json!({})), EISDIR);
    let with_slash = folder.path().join("y/");
    let fault = api.download("get", &with_slash, "{}").unwrap_err();
    assert_eq!((fault.status, system_error(&fault)), (FILE, Some(EISDIR)));
    let folder = Folder::new();
    make(&folder, "mkfifo", "x");
    let fault = refused(get(&api, &folder, json!({})), EINVAL);
    assert!(fault.message.contains("(a device, a pipe or a socket is not replaced)"), "{}", fault.message);
    assert!(std::fs::metadata(path(&folder)).unwrap().file_type().is_fifo());
    let fault = api.download("get", "/dev/null".as_ref(), "{}").unwrap_err();
    assert_eq!((fault.status, system_error(&fault)), (FILE, Some(EINVAL)));
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert_eq!(server.requests().len(), 0);
    assert!(
        api.download("get", "".as_ref(), "{}").unwrap_err().message.contains("destination_path is empty")
    );
}

#[test]
fn a_part_that_is_no_file_is_not_written() {
    let server = serving(data(1000), TAG);
    let api = api(&server.url(), json!({}));
    for (kind, number) in [("mkdir", EISDIR), ("mkfifo", EINVAL)] {
        let folder = Folder::new();
        folder.write("x", "old");
        make(&folder, kind, "x.part");
        refused(get(&api, &folder, json!({})), number);
        assert_eq!((there(&folder), folder.names().len()), (b"old".to_vec(), 2));
    }
    assert_eq!(server.requests().len(), 0);
    // A state that cannot be one is none.
    let folder = Folder::new();
    make(&folder, "mkfifo", "x.part.state");
    get(&api, &folder, json!({})).unwrap();
    assert_eq!((there(&folder), folder.names()), (data(1000), vec!["x".to_owned()]));
    let folder = Folder::new();
    make(&folder, "mkdir", "x.part.state");
    refused(get(&api, &folder, json!({})), EISDIR);
}

#[test]
fn links_are_replaced_and_never_followed() {
    let server = serving(data(WHOLE), TAG);
    let api = api(&server.url(), json!({}));
    let folder = Folder::new();
    let elsewhere = folder.write("elsewhere", "mine");
    symlink(&elsewhere, path(&folder)).unwrap();
    get(&api, &folder, json!({})).unwrap();
    assert!(std::fs::symlink_metadata(path(&folder)).unwrap().is_file() && there(&folder) == data(WHOLE));
    for dangling in [elsewhere.clone(), folder.path().join("nowhere")] {
        symlink(&dangling, folder.path().join("x.part")).unwrap();
        refused(get(&api, &folder, json!({})), ELOOP);
        std::fs::remove_file(folder.path().join("x.part")).unwrap();
    }
    for name in ["x.part.state", "x.part.state~"] {
        symlink(&elsewhere, folder.path().join(name)).unwrap();
        get(&api, &folder, json!({})).unwrap();
        assert_eq!(folder.names(), ["elsewhere", "x"], "{name}");
    }
    // Nor is a file written that has another name elsewhere.
    std::fs::hard_link(&elsewhere, folder.path().join("x.part")).unwrap();
    get(&api, &folder, json!({})).unwrap();
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"mine");
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn a_folder_that_is_exchanged_meanwhile_leads_nowhere_else() {
    let folder = Folder::new();
    make(&folder, "mkdir", "inside");
    make(&folder, "mkdir", "elsewhere");
    let (inside, moved) = (folder.path().join("inside"), folder.path().join("moved"));
    let server = Server::start(answering({
        let (inside, moved) = (inside.clone(), moved.clone());
        move |request| {
            std::fs::rename(&inside, &moved).unwrap();
            symlink("elsewhere", &inside).unwrap();
            file(&data(WHOLE), TAG, request)
        }
    }));
    api(&server.url(), json!({})).download("get", &inside.join("x"), "{}").unwrap();
    assert!(std::fs::read(moved.join("x")).unwrap() == data(WHOLE));
    assert_eq!(std::fs::read_dir(folder.path().join("elsewhere")).unwrap().count(), 0);
}

#[test]
fn permissions_are_those_of_a_new_file_or_of_the_one_that_is_replaced() {
    alone::run("disk::alone_permissions_are_those_of_a_new_file_or_of_the_one_that_is_replaced", []);
}

#[test]
#[ignore = "run by permissions_are_those_of_a_new_file_or_of_the_one_that_is_replaced: the mask is the process's"]
fn alone_permissions_are_those_of_a_new_file_or_of_the_one_that_is_replaced() {
    use rustix::fs::Mode;
    if !alone::is_alone() {
        return;
    }
    let folder = Folder::new();
    let watched = folder.path().join("x.part");
    let server = scripted(move |request, n| {
        // Nobody else looks into what is on its way.
        assert_eq!(mode(&watched), 0o600);
        (file(&data(1000), TAG, request), (n == 0).then_some(500))
    });
    let api = api(&server.url(), json!({}));
    rustix::process::umask(Mode::from_raw_mode(0o027));
    get(&api, &folder, json!({})).unwrap();
    assert_eq!(mode(&path(&folder)), 0o640);
    for (before, after) in [(0o600, 0o600), (0o444, 0o444), (0o666, 0o666), (0o4755, 0o755)] {
        std::fs::set_permissions(path(&folder), PermissionsExt::from_mode(before)).unwrap();
        get(&api, &folder, json!({})).unwrap();
        assert_eq!(mode(&path(&folder)), after, "{before:o}");
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path(&folder), None, Some(12_345)).unwrap();
        std::fs::set_permissions(path(&folder), PermissionsExt::from_mode(0o660)).unwrap();
        get(&api, &folder, json!({})).unwrap();
        assert_eq!((std::fs::metadata(path(&folder)).unwrap().gid(), mode(&path(&folder))), (12_345, 0o660));
        // A part that somebody else has put there is not his to read.
        folder.write("x.part", "his");
        std::os::unix::fs::chown(watched_part(&folder), Some(12_345), None).unwrap();
        std::fs::set_permissions(watched_part(&folder), PermissionsExt::from_mode(0o666)).unwrap();
        get(&api, &folder, json!({})).unwrap();
        assert_eq!(std::fs::metadata(path(&folder)).unwrap().uid(), 0);
    } else {
        eprintln!("skipped: groups and owners (it takes root)");
    }
    folder.write("x.part", "mine");
    std::fs::set_permissions(watched_part(&folder), PermissionsExt::from_mode(0o644)).unwrap();
    get(&api, &folder, json!({})).unwrap();
}

fn watched_part(folder: &Folder) -> PathBuf {
    folder.path().join("x.part")
}

#[test]
fn a_part_that_somebody_removes_is_missed_and_takes_nobodys_place() {
    for another in [false, true] {
        let folder = Folder::new();
        folder.write("x", "old");
        let part = watched_part(&folder);
        let server = scripted(move |request, n| {
            if n == 0 {
                std::fs::remove_file(&part).unwrap();
                if another {
                    std::fs::write(&part, "another").unwrap();
                }
            }
            (file(&data(WHOLE), TAG, request), None)
        });
        let api = api(&server.url(), json!({}));
        refused(get(&api, &folder, json!({})), ENOENT);
        assert_eq!(there(&folder), b"old");
        let left = folder.names();
        assert_eq!(left, if another { vec!["x", "x.part"] } else { vec!["x"] });
        get(&api, &folder, json!({})).unwrap();
        assert!(there(&folder) == data(WHOLE));
    }
}

/// Makes the state say that these bytes are there.
fn claim(folder: &Folder, ranges: Value) {
    let path = folder.path().join("x.part.state");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut state: Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    state["there"] = ranges;
    let json = state.to_string();
    std::fs::write(path, format!("apl part 1 {:08x}\n{json}\n", crc32fast::hash(json.as_bytes()))).unwrap();
}

#[test]
fn a_file_of_more_than_4_gib_goes_on_where_it_was() {
    const LENGTH: u64 = (5 << 30) + 12_345;
    const REST: u64 = LENGTH - 2_000;
    const MIDDLE: u64 = 9 << 29;
    // Only what was left out is ever sent.
    let server = scripted(|request, n| {
        let Some((from, last)) = range(request) else {
            assert_eq!(n, 0);
            let head = format!("HTTP/1.1 200 OK\r\n{TAG}Content-Length: {LENGTH}\r\n\r\n");
            return ([head.as_bytes(), &data(1000)].concat(), Some(1000));
        };
        let last = last.unwrap_or(LENGTH - 1);
        let place = format!("{TAG}Content-Range: bytes {from}-{last}/{LENGTH}\r\n");
        (response("206 Part", &place, other((last + 1 - from) as usize)), None)
    });
    let folder = Folder::new();
    let api = api(&server.url(), json!({}));
    fails(get(&api, &folder, json!({"retry_count": 1})), TRUNCATED, "");
    claim(&folder, json!([[0, MIDDLE], [MIDDLE + 1000, REST]]));
    std::fs::OpenOptions::new().write(true).open(watched_part(&folder)).unwrap().set_len(REST).unwrap();
    let mut last = None;
    let mut tell = |progress: &api::Progress| {
        last = Some((progress.processed, progress.total));
        0
    };
    let done =
        api.download_until("get", &path(&folder), r#"{"segments": 3}"#, Some(&mut tell), None).unwrap();
    assert_eq!(last, Some((LENGTH as i64, LENGTH as i64)));
    assert_eq!(done.summary.json()["bytes_written"], 3000);
    assert_eq!(done.summary.json()["resume_from"], LENGTH - 3000);
    let whole = std::fs::File::open(path(&folder)).unwrap();
    assert_eq!(whole.metadata().unwrap().len(), LENGTH);
    for (at, amount) in [(MIDDLE, 1000), (REST, 2000)] {
        let mut piece = vec![0; amount];
        std::os::unix::fs::FileExt::read_exact_at(&whole, &mut piece, at).unwrap();
        assert!(piece == other(amount));
    }
    let mut ranges: Vec<_> =
        server.requests()[1..].iter().map(|r| r.header("Range").unwrap().to_owned()).collect();
    ranges.sort();
    assert_eq!(ranges, [format!("bytes={MIDDLE}-{}", MIDDLE + 999), format!("bytes={REST}-")]);
}

#[test]
fn a_length_that_no_disk_has_reserves_nothing_and_overflows_nothing() {
    for (length, segments, statuses) in [
        (i64::MAX as u64, 1, vec![TRUNCATED]),
        (i64::MAX as u64, 4, vec![TRUNCATED, FILE]),
        (1 << 63, 1, vec![TRUNCATED, PROTOCOL]),
        (u64::MAX - 1, 1, vec![TRUNCATED, PROTOCOL]),
        (u64::MAX, 4, vec![TRUNCATED, PROTOCOL, FILE]),
    ] {
        let server = scripted(move |_, _| {
            let head = format!("HTTP/1.1 200 OK\r\n{TAG}Content-Length: {length}\r\n\r\n");
            ([head.as_bytes(), &data(1000)].concat(), Some(1000))
        });
        let folder = Folder::new();
        folder.write("x", "old");
        let mut total = 0;
        let mut tell = |progress: &api::Progress| {
            total = total.max(progress.total);
            0
        };
        let options = json!({"segments": segments, "retry_count": 2}).to_string();
        let api = api(&server.url(), json!({}));
        let fault = api.download_until("get", &path(&folder), &options, Some(&mut tell), None).unwrap_err();
        assert!(statuses.contains(&fault.status), "{length}: {} {}", fault.name, fault.message);
        assert_eq!(there(&folder), b"old");
        if let Ok(part) = std::fs::metadata(watched_part(&folder)) {
            assert!(part.len() <= 1000 && part.blocks() <= 16, "{length}: {}", part.blocks());
            // The largest of all stands for one that is not known.
            assert_eq!(total, if length == u64::MAX { 0 } else { i64::MAX });
        }
    }
}

/// The system calls that matter for what is left after a loss of power, with the files that they are about.
fn traced(name: &str, folder: &Folder, server: &Server) -> Vec<String> {
    let log = folder.path().with_extension("strace");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-y",
        "-qq",
        "-e",
        "trace=fsync,fdatasync,rename,renameat,renameat2,unlinkat,ftruncate",
    ]);
    command.args(["-e", "signal=none", "-o"]).arg(&log).arg(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("APL_TEST_ALONE", "1").env("URL", server.url()).env("TARGET", path(folder));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(log).unwrap();
    let root = folder.path().to_str().unwrap();
    let mut calls = Vec::new();
    for line in text.lines().filter(|line| line.contains(root) && line.ends_with("= 0")) {
        let (call, rest) = line.split_once(char::is_whitespace).unwrap().1.trim().split_once('(').unwrap();
        // Only the names: what is between `<` and `>` is a descriptor's path, what is quoted is within its folder.
        let paths = rest.split('<').skip(1).filter_map(|p| p.split_once('>')).map(|(path, _)| path);
        let paths: Vec<_> = paths.map(|p| p.strip_prefix(root).unwrap().trim_start_matches('/')).collect();
        let quoted: Vec<_> = rest.split('"').skip(1).step_by(2).collect();
        let names = if quoted.is_empty() { paths } else { quoted };
        calls.push(format!("{} {}", call.trim_end_matches("at2").trim_end_matches("at"), names.join(" ")));
    }
    calls
}

#[test]
#[ignore = "run by a_loss_of_power_finds_the_old_file_or_the_whole_new_one"]
fn alone_downloads_once() {
    if alone::is_alone() {
        let options = r#"{"retry_count": 1}"#;
        let _ = api(&alone::variable("URL"), json!({})).download(
            "get",
            alone::variable("TARGET").as_ref(),
            options,
        );
    }
}

#[test]
fn a_loss_of_power_finds_the_old_file_or_the_whole_new_one() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: strace is not installed");
        return;
    }
    let server = scripted(|request, n| match n {
        0 => (file(&data(WHOLE), TAG, request), Some(HALF)),
        1 => (file(&data(WHOLE), TAG, request), None),
        2 => (file(&data(WHOLE), TAG, request), Some(HALF)),
        _ => (file(&other(WHOLE), OTHER_TAG, request), None),
    });
    let folder = Folder::new();
    let call = || traced("disk::alone_downloads_once", &folder, &server);
    let state = "rename x.part.state~ x.part.state";
    // What a state says is on the disk before it is.
    assert_eq!(call(), ["ftruncate x.part", "fdatasync x.part", state]);
    // The bytes and their permissions are, before the file has its name; then the name is.
    let whole = [state, "fsync x.part", state, "rename x.part x", "fsync ", "unlink x.part.state"];
    assert_eq!(call(), [&["ftruncate x.part"], &whole[..]].concat());
    assert_eq!(call(), ["ftruncate x.part", "fdatasync x.part", state]);
    // A state is gone from the disk before the bytes that it speaks of are.
    let begun = ["ftruncate x.part", "unlink x.part.state", "fsync ", "ftruncate x.part"];
    assert_eq!(call(), [&begun[..], &whole[..]].concat());
    assert!(there(&folder) == other(WHOLE));
}
