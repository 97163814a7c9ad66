//! A part that is there already: when it is gone on with, and when it is not.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::*;
use crate::api::{CHECKSUM, CONNECT, FILE, HTTP_STATUS, PROTOCOL};

#[test]
fn a_download_that_is_cut_goes_on_within_the_call() {
    let served = data(WHOLE);
    let server = scripted(move |request, n| (file(&served, TAG, request), Some(HALF * (n + 1))));
    let folder = Folder::new();
    let summary = get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
    assert_eq!(there(&folder), data(WHOLE));
    assert_eq!((&summary["resumed"], &summary["bytes_written"]), (&json!(false), &json!(WHOLE)));
    let requests = server.requests();
    assert_eq!(requests[1].header("Range"), Some("bytes=400000-"));
    assert_eq!(requests[1].header("If-Range"), Some("\"v1\""));
}

#[test]
fn a_download_that_was_cut_goes_on_in_the_next_call() {
    let left = Left::new(TAG, json!({}), |request| file(&data(WHOLE), TAG, request));
    left.arrives(&data(WHOLE), HALF);
    let asked = left.asked();
    assert_eq!((asked.len(), asked[0].header("Range")), (1, Some("bytes=400000-")));
    assert_eq!(asked[0].header("If-Range"), Some("\"v1\""));
}

#[test]
fn a_file_that_has_changed_is_fetched_whole() {
    let left = Left::new(TAG, json!({}), |request| file(&other(700_000), OTHER_TAG, request));
    left.arrives(&other(700_000), 0);
    assert_eq!(left.asked().len(), 1);
    // Within a call, too.
    let server = scripted(|request, n| match n {
        0 => (file(&data(WHOLE), TAG, request), Some(HALF)),
        _ => (file(&other(WHOLE), OTHER_TAG, request), None),
    });
    let folder = Folder::new();
    let summary = get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
    assert!(there(&folder) == other(WHOLE));
    assert_eq!(summary["bytes_written"], WHOLE);
}

#[test]
fn a_server_that_ignores_ranges_sends_all_of_it() {
    let left = Left::new(TAG, json!({}), |_| response("200 OK", TAG, data(WHOLE)));
    left.arrives(&data(WHOLE), 0);
    assert_eq!(left.asked().len(), 1);
}

#[test]
fn a_part_that_does_not_fit_is_begun_again_once() {
    let (to, total) = (WHOLE - 1, WHOLE);
    let one = |range: String| format!("{TAG}Content-Range: {range}\r\n");
    for fields in [
        one(format!("bytes {}-{to}/{total}", HALF + 1)),
        one(format!("bytes 0-{}/{total}", HALF - 1)),
        one(format!("bytes {HALF}-{to}/{}", total + 1)),
        one(format!("bytes {HALF}-{}/*", to + 1)),
        one(format!("bytes {HALF}-{}/*", to - 1)),
        one(format!("lines {HALF}-{to}/{total}")),
        one(format!("bytes {HALF}-{to}/{total}\r\nContent-Range: bytes {HALF}-{to}/{total}")),
        format!("{OTHER_TAG}Content-Range: bytes {HALF}-{to}/{total}\r\n"),
        format!("ETag: W/\"v1\"\r\nContent-Range: bytes {HALF}-{to}/{total}\r\n"),
        TAG.to_owned(),
        format!("{TAG}Content-Type: multipart/byteranges; boundary=b\r\n"),
    ] {
        // Its length says nothing: it is as long as it claims to be.
        let longer = usize::from(fields.contains(&format!("{}/*", to + 1)));
        let odd = response("206 Part", &fields, &data(WHOLE + longer)[HALF..]);
        let mine = odd.clone();
        // The type is that of the file, not that of an answer which is not taken.
        let streaming = json!({"expected_type": "image/png"});
        let tag = "ETag: \"v1\"\r\nContent-Type: image/png\r\n";
        let left = Left::new(tag, streaming, move |request| match request.header("Range") {
            Some(_) => mine.clone(),
            None => response("200 OK", tag, other(WHOLE)),
        });
        left.arrives(&other(WHOLE), 0);
        let asked = left.asked();
        assert_eq!((asked.len(), asked[1].header("Range")), (2, None), "{fields}");
        // And where there is nothing else to be had.
        let left = Left::new(TAG, json!({}), move |_| odd.clone());
        let fault = fails(left.again(), PROTOCOL, "the server broke HTTP: it answered with a part (206)");
        assert_eq!((attempts(&fault), left.asked().len()), (2, 2), "{fields}");
        assert_eq!((there(&left.folder), part(&left.folder).len()), (b"old".to_vec(), HALF));
    }
}

#[test]
fn a_part_that_begins_earlier_is_written_from_there() {
    let place = format!("{TAG}Content-Range: bytes 1000-{}/{WHOLE}\r\n", WHOLE - 1);
    let left = Left::new(TAG, json!({}), move |_| response("206 Part", &place, &data(WHOLE)[1000..]));
    left.arrives(&data(WHOLE), HALF);
}

#[test]
fn a_server_that_sends_less_than_it_is_asked_for_is_asked_for_the_rest() {
    let little = |data: &[u8], request: &Request| {
        let from = range(request).unwrap().0 as usize;
        let to = (from + 100_000).min(data.len());
        let place = format!("{TAG}Content-Range: bytes {from}-{}/{}\r\n", to - 1, data.len());
        response("206 Part", &place, &data[from..to])
    };
    let left = Left::new(TAG, json!({}), move |request| little(&data(WHOLE), request));
    left.arrives(&data(WHOLE), HALF);
    assert_eq!(left.asked().len(), 5);
    // Also where the length is not known at first.
    let server = scripted(move |request, n| match n {
        0 => (
            b"HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nTransfer-Encoding: chunked\r\n\r\n61A80\r\n"
                .iter()
                .copied()
                .chain(data(HALF))
                .collect(),
            Some(usize::MAX),
        ),
        _ => (little(&data(WHOLE), request), None),
    });
    let folder = Folder::new();
    get(&api(&server.url(), json!({})), &folder, json!({"retry_count": 2})).unwrap();
    assert!(there(&folder) == data(WHOLE));
    assert_eq!(server.requests().len(), 6);
}

/// What a download leaves behind that is whole, and could not take the target's place.
fn complete(then: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static, streaming: Value) -> Left {
    let folder = Folder::new();
    let target = path(&folder);
    let server = scripted(move |request, number| {
        if number == 0 {
            // Not before, for nothing would be asked for.
            std::fs::create_dir(&target).unwrap();
            return (file(&data(WHOLE), TAG, request), None);
        }
        (then(request), None)
    });
    let api = api(&server.url(), streaming);
    let fault = fails(get(&api, &folder, json!({})), FILE, "Is a directory");
    assert_eq!(fault.partial.unwrap().json()["bytes_written"], WHOLE);
    assert_eq!(folder.names(), ["x", "x.part", "x.part.state"]);
    std::fs::remove_dir(path(&folder)).unwrap();
    Left { server, api, folder }
}

#[test]
fn a_part_that_is_whole_is_confirmed_and_takes_its_place() {
    let left = complete(|request| file(&data(WHOLE), TAG, request), json!({}));
    let summary = left.again().unwrap();
    assert!(there(&left.folder) == data(WHOLE));
    assert_eq!(left.folder.names(), ["x"]);
    assert_eq!((&summary["bytes_written"], &summary["resume_from"]), (&json!(0), &json!(WHOLE)));
    assert_eq!(left.asked()[0].header("Range"), Some("bytes=900000-"));
    assert_eq!(left.asked().len(), 1);
}

#[test]
fn a_part_that_is_whole_is_verified_before_it_takes_its_place() {
    let streaming = json!({"digest": format!("sha-256={}", "A".repeat(43) + "=")});
    let server = serving(data(WHOLE), TAG);
    let folder = Folder::new();
    folder.write("x", "old");
    fails(get(&api(&server.url(), streaming), &folder, json!({})), CHECKSUM, "sha-256");
    let left = complete(|request| file(&data(WHOLE), TAG, request), json!({}));
    // The disk has changed a bit.
    let mut spoilt = part(&left.folder);
    spoilt[1000] ^= 1;
    left.folder.write("x.part", &spoilt);
    let digest = format!("sha-256={}", sha256_of(&data(WHOLE)));
    fails(
        get(&left.api, &left.folder, json!({"digest": digest})),
        CHECKSUM,
        "the file is not the one it should be",
    );
    assert_eq!(left.folder.names(), Vec::<String>::new());
    let summary = get(&left.api, &left.folder, json!({"digest": digest})).unwrap();
    assert!(there(&left.folder) == data(WHOLE));
    assert_eq!(summary["verified"], true);
}

fn sha256_of(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

#[test]
fn a_416_that_confirms_nothing_is_begun_again_once() {
    let whole = |request: &Request, refusal: &str| match request.header("Range") {
        Some(_) => response("416 Range", refusal, "{}"),
        None => response("200 OK", OTHER_TAG, other(300_000)),
    };
    for refusal in
        ["", "Content-Range: bytes */300000\r\n", "ETag: \"v2\"\r\n", "Content-Range: bytes */*\r\n"]
    {
        let left = Left::new(TAG, json!({}), move |request| whole(request, refusal));
        left.arrives(&other(300_000), 0);
        assert_eq!(left.asked().len(), 2, "{refusal}");
    }
    // It is whole as it is, and of another version, or longer than the file is now.
    for refusal in
        ["", "Content-Range: bytes */300000\r\n", "ETag: \"v2\"\r\nContent-Range: bytes */900000\r\n"]
    {
        let left = complete(move |request| whole(request, refusal), json!({}));
        left.arrives(&other(300_000), 0);
        assert_eq!(left.asked().len(), 2, "{refusal}");
    }
    let left = Left::new(TAG, json!({}), |_| response("416 Range", "Content-Range: bytes */10\r\n", ""));
    fails(left.again(), HTTP_STATUS, "416");
    assert_eq!(left.asked().len(), 2);
    assert_eq!((there(&left.folder), part(&left.folder).len()), (b"old".to_vec(), HALF));
}

#[test]
fn a_416_within_a_call_is_asked_for_once() {
    // All of it was there, but for the end.
    let chunks = format!("{TAG}Transfer-Encoding: chunked\r\n");
    let wire = format!("HTTP/1.1 200 OK\r\n{chunks}\r\n5\r\nwhole\r\n0\r\n\r\n").into_bytes();
    let server = scripted(move |_, n| match n {
        0 => (wire.clone(), Some("5\r\nwhole\r\n".len())),
        _ => (response("416 Range", "Content-Range: bytes */5\r\n", ""), None),
    });
    let folder = Folder::new();
    get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
    assert_eq!((there(&folder), server.requests().len()), (b"whole".to_vec(), 2));
    // It has become shorter than what is there.
    let server = scripted(|request, n| match n {
        0 => (file(&data(WHOLE), TAG, request), Some(HALF)),
        1 => (response("416 Range", "Content-Range: bytes */9\r\n", ""), None),
        _ => (response("200 OK", OTHER_TAG, "something"), None),
    });
    get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
    assert_eq!(there(&folder), b"something");
    let ranges: Vec<_> = server.requests().iter().map(|r| r.header("Range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=400000-".to_owned()), None]);
}

#[test]
fn only_a_strong_validator_lets_a_part_be_gone_on_with() {
    let (day, late) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
    let dated = |date: &str| format!("Last-Modified: {day}\r\nDate: {date}\r\n");
    for (fields, condition) in [
        (dated(late), Some(day)),
        (dated(day), None),
        (format!("Last-Modified: {day}\r\n"), None),
        ("ETag: W/\"v1\"\r\n".to_owned(), None),
        (format!("ETag: W/\"v1\"\r\n{}", dated(late)), None),
        (format!("ETag: \"v1\"\r\n{}", dated(late)), Some("\"v1\"")),
        (String::new(), None),
    ] {
        let fields: &'static str = fields.leak();
        let left = Left::new(fields, json!({}), move |request| file(&data(WHOLE), fields, request));
        left.arrives(&data(WHOLE), if condition.is_some() { HALF } else { 0 });
        let asked = left.asked();
        assert_eq!((asked.len(), asked[0].header("If-Range")), (1, condition), "{fields}");
        assert_eq!(asked[0].header("Range").is_some(), condition.is_some(), "{fields}");
    }
}

#[test]
fn a_server_that_refuses_if_range_is_asked_for_all_of_it_once() {
    for status in ["400 Bad", "412 Precondition", "405 Not", "501 Never"] {
        let refusing = move |request: &Request| match request.header("If-Range") {
            Some(_) => response(status, "", ""),
            None => file(&other(WHOLE), OTHER_TAG, request),
        };
        let left = Left::new(TAG, json!({}), refusing);
        left.arrives(&other(WHOLE), 0);
        assert_eq!(left.asked().len(), 2, "{status}");
        let left = Left::new(TAG, json!({}), move |_| response(status, "", ""));
        fails(left.again(), HTTP_STATUS, &status[..3]);
        assert_eq!(left.asked().len(), 2, "{status}");
    }
    // That it is not there, or not for us, has nothing to do with ranges: the part stays.
    for status in [401, 403, 404, 410, 429, 500, 503] {
        let left = Left::new(TAG, json!({}), move |_| response(&status.to_string(), "", ""));
        assert_eq!(left.again().unwrap_err().http_status, status);
        assert_eq!((left.asked().len(), part(&left.folder).len()), (1, HALF), "{status}");
    }
}

#[test]
fn a_state_that_is_torn_or_not_of_this_part_is_of_no_use() {
    let newer =
        |state: &[u8]| String::from_utf8_lossy(state).replace("apl part 1 ", "apl part 2 ").into_bytes();
    type Change = Box<dyn Fn(&[u8]) -> Vec<u8>>;
    let changes: [(&str, Change); 6] = [
        ("empty", Box::new(|_| Vec::new())),
        ("torn", Box::new(|state| state[..state.len() / 2].to_vec())),
        ("without its end", Box::new(|state| state[..state.len() - 1].to_vec())),
        ("garbage", Box::new(|_| vec![0xff; 10_000])),
        ("newer", Box::new(newer)),
        ("endless", Box::new(|_| vec![b' '; 2 << 20])),
    ];
    for (what, change) in changes {
        let left = Left::new(TAG, json!({}), |request| file(&data(WHOLE), TAG, request));
        let state = std::fs::read(left.folder.path().join("x.part.state")).unwrap();
        left.folder.write("x.part.state", change(&state));
        left.arrives(&data(WHOLE), 0);
        assert_eq!(left.asked()[0].header("Range"), None, "{what}");
    }
    let left = Left::new(TAG, json!({}), |request| file(&data(WHOLE), TAG, request));
    std::fs::remove_file(left.folder.path().join("x.part.state")).unwrap();
    left.arrives(&data(WHOLE), 0);
}

#[test]
fn a_part_of_another_url_is_not_gone_on_with() {
    let left = Left::new(TAG, json!({}), |request| file(&other(WHOLE), TAG, request));
    left.api.download("other", &path(&left.folder), "{}").unwrap();
    assert!(there(&left.folder) == other(WHOLE));
    assert_eq!(left.asked()[0].header("Range"), None);
}

#[test]
fn a_part_of_another_url_stays_until_an_answer_takes_its_place() {
    let left = Left::new(TAG, json!({}), |request| match request.target() {
        "/x" => file(&data(WHOLE), TAG, request),
        _ => response("404 Not Found", "", ""),
    });
    let outcome = left.api.download("other", &path(&left.folder), "{}");
    fails(outcome, HTTP_STATUS, "404");
    left.arrives(&data(WHOLE), HALF);
}

#[test]
fn a_part_is_gone_on_with_behind_the_last_byte_that_is_known_to_be_on_the_disk() {
    let left = Left::new(TAG, json!({}), |request| file(&data(WHOLE), TAG, request));
    let mut longer = part(&left.folder);
    longer.extend(vec![0xee; WHOLE]);
    left.folder.write("x.part", longer);
    left.arrives(&data(WHOLE), HALF);
    // One that is shorter has lost what it had.
    let left = Left::new(TAG, json!({}), |request| file(&data(WHOLE), TAG, request));
    left.folder.write("x.part", &data(WHOLE)[..HALF - 1]);
    left.arrives(&data(WHOLE), 0);
}

#[test]
fn a_part_that_is_not_wanted_is_not_gone_on_with() {
    let left = Left::new(TAG, json!({}), |request| file(&data(WHOLE), TAG, request));
    get(&left.api, &left.folder, json!({"resume": false})).unwrap();
    assert!(there(&left.folder) == data(WHOLE));
    assert_eq!(left.asked()[0].header("Range"), None);
}

#[test]
fn a_part_stays_while_nobody_answers() {
    let left = Left::new(TAG, json!({}), |_| unreachable!());
    // Where nobody listens.
    let elsewhere = json!({"resolve": {left.server.address().to_string(): "127.0.0.9"}});
    let dead = api_with(&left.server.url(), json!({}), elsewhere);
    let fault = dead.download("get", &path(&left.folder), r#"{"retry_count": 1}"#).unwrap_err();
    assert_eq!((fault.status, fault.partial.unwrap().json()["success"].clone()), (CONNECT, json!(false)));
    assert_eq!((there(&left.folder), part(&left.folder).len()), (b"old".to_vec(), HALF));
}

#[test]
fn what_a_post_gives_has_no_ranges() {
    let cut_once = AtomicBool::new(false);
    let server = scripted(move |request, _| {
        let cut = !cut_once.swap(true, SeqCst);
        (file(&data(WHOLE), TAG, request), cut.then_some(HALF))
    });
    let folder = Folder::new();
    let api = api(&server.url(), json!({"segments": 4}));
    // It may have been done: it is not asked for again.
    let fault = fails(api.download("post", &path(&folder), "{}"), TRUNCATED, "");
    assert_eq!((attempts(&fault), server.requests().len()), (1, 1));
    api.download("post", &path(&folder), "{}").unwrap();
    assert!(there(&folder) == data(WHOLE));
    let requests = server.requests();
    assert_eq!((requests.len(), requests[1].method(), requests[1].header("Range")), (2, "POST", None));
}

#[test]
fn a_redirect_is_followed_each_time_and_is_no_failure() {
    let server = scripted(|request, n| match (request.target(), n) {
        ("/x", _) => (response("302 Found", "Location: /real\r\n", ""), None),
        (_, 1) => (file(&data(WHOLE), TAG, request), Some(HALF)),
        _ => (file(&data(WHOLE), TAG, request), None),
    });
    let folder = Folder::new();
    let api = api(&server.url(), json!({}));
    let done = api.download("get", &path(&folder), r#"{"retry_count": 2}"#).unwrap();
    assert!(there(&folder) == data(WHOLE));
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert_eq!((requests[3].target(), requests[3].header("Range")), ("/real", Some("bytes=400000-")));
    let attempts = &done.summary.meta["attempts"];
    let told: Vec<_> =
        attempts.as_array().unwrap().iter().map(|a| (a["n"].clone(), a["status"].clone())).collect();
    assert_eq!(
        told,
        [(json!(1), json!(302)), (json!(2), json!(200)), (json!(3), json!(302)), (json!(4), json!(206))]
    );
    assert!(attempts[1]["error"].is_string() && attempts[3]["error"].is_null(), "{attempts}");
}

#[test]
fn a_part_of_another_form_is_not_gone_on_with_and_other_fields_may_change() {
    for (name, before, after, resumed) in [
        ("Accept-Language", "de", "en", false),
        ("Accept", "a/b", "a/b", true),
        ("X-Request-Id", "1", "2", true),
    ] {
        let server = scripted(|request, n| (file(&data(WHOLE), TAG, request), (n == 0).then_some(HALF)));
        let (api, folder) = (api(&server.url(), json!({})), Folder::new());
        let once = json!({"retry_count": 1, "extra_headers": {name: before}});
        fails(get(&api, &folder, once), TRUNCATED, "");
        let summary = get(&api, &folder, json!({"extra_headers": {name: after}})).unwrap();
        assert_eq!(summary["resumed"], resumed, "{name}");
        assert!(there(&folder) == data(WHOLE), "{name}");
    }
}
