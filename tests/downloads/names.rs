//! Names that a server gives.

use super::*;
use crate::api::FILE;

fn named(disposition: &str) -> String {
    format!("{TAG}Content-Disposition: {disposition}\r\n")
}

fn into_folder(api: &Api, folder: &Folder, options: &str) -> Result<Value, Fault> {
    api.download("get", &folder.path().join("inside"), options).map(|done| done.summary.json())
}

fn inside(folder: &Folder) -> Vec<String> {
    let names = std::fs::read_dir(folder.path().join("inside")).unwrap();
    let mut names: Vec<_> = names.map(|n| n.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_servers_name_never_leaves_its_folder() {
    let long = format!("attachment; filename=\"{}.zip\"", "x".repeat(5000));
    for (disposition, name) in [
        ("attachment; filename=\"../../x\"", "x"),
        ("attachment; filename=\"/etc/x\"", "x"),
        ("attachment; filename=\"C:\\\\x\"", "x"),
        ("attachment; filename=CON", "_CON"),
        ("attachment; filename=\"x%2f..%2fy\"", "x_2f.._2fy"),
        ("attachment; filename*=UTF-8''a%2f..%2fb", "b"),
        ("attachment; filename*=UTF-8''a%00b", "a_b"),
        ("attachment; filename=\"\"", "x"),
        ("attachment; filename=\"..\"", "x"),
        ("attachment; filename=.bashrc", "bashrc"),
        ("attachment; filename=\"x.part\"", "x.part_"),
        ("attachment; filename=\"x.part.state~\"", "x.part.state~_"),
        ("attachment; filename=old; filename*=UTF-8''%E2%82%AC", "€"),
        (&long, &format!("{}.zip", "x".repeat(196))),
    ] {
        let fields = named(disposition);
        let server = Server::start(answering(move |_| response("200 OK", &fields, "content")));
        let folder = Folder::new();
        let api = api(&server.url(), json!({"use_server_name": true}));
        let summary = into_folder(&api, &folder, "{}").unwrap();
        assert_eq!(inside(&folder), [name], "{disposition}");
        assert_eq!(folder.names(), ["inside"], "{disposition}");
        let path = folder.path().join("inside").join(name);
        assert_eq!(summary["path"], path.to_str().unwrap());
        // It does not choose what it replaces.
        std::fs::write(&path, "mine").unwrap();
        let fault = fails(into_folder(&api, &folder, "{}"), FILE, "(`overwrite` is false)");
        assert_eq!(system_error(&fault), Some(17));
        assert_eq!((std::fs::read(&path).unwrap(), inside(&folder).len()), (b"mine".to_vec(), 1));
        into_folder(&api, &folder, r#"{"overwrite": true}"#).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
    }
}

#[test]
fn a_servers_name_is_only_taken_where_it_is_asked_for() {
    let server =
        Server::start(answering(|_| response("200 OK", &named("attachment; filename=evil"), "content")));
    let folder = Folder::new();
    get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
    assert_eq!(folder.names(), ["x"]);
}

#[test]
fn a_download_that_the_server_names_goes_on_and_ends_under_the_first_name() {
    let server = scripted(|request, n| {
        let fields = named(if n == 0 { "attachment; filename=first" } else { "attachment; filename=second" });
        (file(&data(WHOLE), &fields, request), (n == 0).then_some(HALF))
    });
    let folder = Folder::new();
    let api = api(&server.url(), json!({"use_server_name": true}));
    let fault = fails(into_folder(&api, &folder, r#"{"retry_count": 1}"#), TRUNCATED, "");
    let first = folder.path().join("inside/first");
    assert_eq!(fault.partial.unwrap().json()["path"], first.to_str().unwrap());
    let left = inside(&folder);
    assert!(left.len() == 2 && left[0].starts_with("download-") && left[0].ends_with(".part"), "{left:?}");
    let summary = into_folder(&api, &folder, "{}").unwrap();
    assert_eq!((&summary["resume_from"], inside(&folder)), (&json!(HALF), vec!["first".to_owned()]));
    assert!(std::fs::read(first).unwrap() == data(WHOLE));
}

#[test]
fn a_download_that_the_server_has_named_is_confirmed_under_that_name() {
    let folder = Folder::new();
    let taken = folder.path().join("inside/first");
    let server = scripted({
        let taken = taken.clone();
        move |request, n| {
            if n == 0 {
                // While it is on its way, somebody takes its name.
                std::fs::write(&taken, "mine").unwrap();
            }
            (file(&data(WHOLE), &named("attachment; filename=first"), request), None)
        }
    });
    let api = api(&server.url(), json!({"use_server_name": true}));
    // The head came behind the file.
    fails(into_folder(&api, &folder, "{}"), FILE, "`overwrite` is false");
    std::fs::remove_file(&taken).unwrap();
    into_folder(&api, &folder, "{}").unwrap();
    assert!(std::fs::read(&taken).unwrap() == data(WHOLE));
    assert_eq!(inside(&folder), ["first"]);
}

#[test]
fn a_name_that_somebody_takes_meanwhile_stays_his() {
    let folder = Folder::new();
    let target = path(&folder);
    let server = scripted(move |request, n| {
        let answer = file(&data(WHOLE), TAG, request);
        if n == 1 {
            std::fs::write(&target, "mine").unwrap();
        }
        (answer, (n == 0).then_some(HALF))
    });
    let api = api(&server.url(), json!({"overwrite": false}));
    let fault = fails(get(&api, &folder, json!({})), FILE, "`overwrite` is false");
    assert_eq!(system_error(&fault), Some(17));
    assert_eq!(there(&folder), b"mine");
    std::fs::remove_file(path(&folder)).unwrap();
    // All of it is there.
    assert_eq!(get(&api, &folder, json!({})).unwrap()["bytes_written"], 0);
    assert!(there(&folder) == data(WHOLE));
    fails(get(&api, &folder, json!({})), FILE, "`overwrite` is false");
    assert_eq!(server.requests().len(), 3, "nothing is asked for in vain");
}
