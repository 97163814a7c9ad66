//! Bodies that are not what they should be.

use super::*;
use crate::api::{CHECKSUM, CONNECT, DECODE, PROTOCOL, TLS};
use crate::support::canned;
use crate::support::tls::{Ca, Leaf, TlsClose, TlsServer};

/// The download of this answer to every request fails like this, and what was there before stays. Gives what is left
/// of a part.
fn spoils(answer: Vec<u8>, close: Close, streaming: Value, status: i32, words: &str) -> Option<Vec<u8>> {
    let server = Server::start(canned([answer], close));
    let folder = Folder::new();
    folder.write("x", "old");
    let fault = fails(get(&api(&server.url(), streaming), &folder, json!({})), status, words);
    assert_eq!(fault.partial.as_ref().unwrap().json()["success"], false);
    assert_eq!(there(&folder), b"old");
    assert_eq!(server.requests().len(), attempts(&fault));
    // No state without a part.
    let names = folder.names();
    assert!(names == ["x"] || names.starts_with(&["x".into(), "x.part".into()]), "{names:?}");
    std::fs::read(folder.path().join("x.part")).ok()
}

#[test]
fn a_coding_that_nobody_asked_for_is_an_error_and_kept_where_it_is() {
    let zipped = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&data(WHOLE)).unwrap();
        encoder.finish().unwrap()
    };
    let fields = format!("{TAG}Content-Encoding: gzip\r\n");
    let answer = response("200 OK", &fields, &zipped);
    assert_eq!(spoils(answer.clone(), Close::Fin, json!({}), DECODE, "`accept_encoding: identity`"), None);
    let server = Server::start(answering(move |_| answer.clone()));
    let folder = Folder::new();
    get(&api(&server.url(), json!({})), &folder, json!({"accept_encoding": "identity"})).unwrap();
    assert!(there(&folder) == zipped);
    // Nor is it put behind what is there, in the next call or in the same one.
    let place = format!("{fields}Content-Range: bytes {HALF}-{}/{WHOLE}\r\n", WHOLE - 1);
    let rest = response("206 Part", &place, &other(WHOLE)[HALF..]);
    let answer = rest.clone();
    let left = Left::new(TAG, json!({}), move |request| match request.header("Range") {
        Some(_) => answer.clone(),
        None => file(&other(WHOLE), OTHER_TAG, request),
    });
    left.arrives(&other(WHOLE), 0);
    assert_eq!(left.asked().len(), 2);
    let server = scripted(move |request, n| match (n, request.header("Range")) {
        (0, _) => (file(&data(WHOLE), TAG, request), Some(HALF)),
        (_, Some(_)) => (rest.clone(), None),
        _ => (response("200 OK", &fields, &zipped), None),
    });
    let folder = Folder::new();
    fails(get(&api(&server.url(), json!({})), &folder, json!({})), DECODE, "Content-Encoding");
    assert_eq!(part(&folder), &data(WHOLE)[..HALF]);
}

#[test]
fn a_body_that_ends_early_is_truncated_and_what_came_stays() {
    let chunked = |end: &str| {
        let head = format!("HTTP/1.1 200 OK\r\n{TAG}Transfer-Encoding: chunked\r\n\r\n");
        [head.as_bytes(), b"186A0\r\n", &data(100_000), end.as_bytes()].concat()
    };
    let short = format!("HTTP/1.1 200 OK\r\n{TAG}Content-Length: 100001\r\n\r\n");
    let short = [short.as_bytes(), &data(100_000)].concat();
    for (answer, close) in [
        (short.clone(), Close::Fin),
        (short, Close::Rst),
        (chunked("\r\n"), Close::Fin),
        (chunked(""), Close::Rst),
        (chunked("\r\n0\r\n"), Close::Fin),
    ] {
        let left = spoils(answer, close, json!({}), TRUNCATED, "GET http").unwrap();
        // A reset may throw away what was on its way.
        assert!(left == data(left.len()));
        assert!(close == Close::Rst || left.len() == 100_000, "{}", left.len());
    }
}

#[test]
fn a_body_that_is_longer_than_its_range_breaks_http() {
    let place = format!("{TAG}Content-Range: bytes {HALF}-{}/{WHOLE}\r\n", WHOLE - 1);
    let head = format!("HTTP/1.1 206 Part\r\n{place}Transfer-Encoding: chunked\r\n\r\n7A121\r\n");
    let mut answer = head.into_bytes();
    answer.extend(&data(WHOLE)[HALF..]);
    answer.extend(b"x\r\n0\r\n\r\n");
    let left = Left::new(TAG, json!({}), move |_| answer.clone());
    fails(left.again(), PROTOCOL, "a body that is longer than its Content-Range");
    assert_eq!(there(&left.folder), b"old");
    // What follows a length is nobody's.
    let answer = [response("200 OK", TAG, data(1000)), b"more".to_vec()].concat();
    let server = Server::start(canned([answer], Close::Fin));
    let folder = Folder::new();
    get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
    assert_eq!(there(&folder), data(1000));
}

#[test]
fn a_body_without_a_length_ends_with_its_connection_unless_a_length_is_wanted() {
    let head = format!("HTTP/1.1 200 OK\r\n{TAG}Connection: close\r\n\r\n");
    let answer = [head.as_bytes(), &data(WHOLE)].concat();
    let server = Server::start(canned([answer.clone()], Close::Fin));
    let folder = Folder::new();
    let api = api(&server.url(), json!({"segments": 4}));
    let done = api.download("get", &path(&folder), "{}").unwrap();
    assert_eq!(done.summary.meta["length_known"], false);
    assert_eq!(done.summary.json()["total_bytes"], WHOLE);
    assert!(there(&folder) == data(WHOLE));
    let spoils = |streaming, status, words| spoils(answer.clone(), Close::Fin, streaming, status, words);
    assert_eq!(spoils(json!({"require_length": true}), PROTOCOL, "(require_length)"), None);
    assert_eq!(spoils(json!({"expected_size": WHOLE + 1}), TRUNCATED, "900000 of 900001"), Some(data(WHOLE)));
    assert_eq!(spoils(json!({"expected_size": WHOLE - 1}), CHECKSUM, "(expected_size)"), None);
    let digest = format!("sha-256={}=", "A".repeat(43));
    assert_eq!(spoils(json!({"digest": digest}), CHECKSUM, "its sha-256 is"), None);
}

#[test]
fn what_is_expected_is_held_against_the_answer_before_anything_is_written() {
    let page = response("200 OK", "Content-Type: Text/HTML; charset=utf-8\r\n", "<html>please log in</html>");
    let spoils = |streaming, words| spoils(page.clone(), Close::Fin, streaming, CHECKSUM, words);
    assert_eq!(spoils(json!({"expected_type": "application/zip"}), "its type is `Text/HTML`"), None);
    assert_eq!(spoils(json!({"expected_size": 27}), "it has 26 bytes, and 27 are expected"), None);
    let folder = Folder::new();
    let server = Server::start(answering(move |_| page.clone()));
    let wanted = json!({"expected_type": "text/html", "expected_size": 26});
    get(&api(&server.url(), wanted), &folder, json!({})).unwrap();
    assert_eq!(there(&folder), b"<html>please log in</html>");
}

/// Of `123456789`.
const DIGESTS: [&str; 10] = [
    "Repr-Digest: sha-256=:FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=:",
    "Repr-Digest: sha-512=:2eZ2LdHI6vbWGzxhkvxAjU1tXxF20MKRabwk5xw/J0rSf81YEbMT1oH35V7ALXPUmclUVba1u1A6z1dPuo/+hQ==:",
    "Content-Digest: sha-256=:FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=:",
    "Content-Digest: md5=:JfnnlDI7RTiF9RgfG2JNCw==:",
    "Content-MD5: JfnnlDI7RTiF9RgfG2JNCw==",
    "x-amz-checksum-sha256: FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
    "x-amz-checksum-sha1: 98O8HYCOBHMq32eZZczDTKeuNEE=",
    "x-amz-checksum-crc32: y/Q5Jg==",
    "x-amz-checksum-crc32c: 4waSgw==",
    "x-amz-checksum-crc64nvme: rosUhgp5mIg=",
];

#[test]
fn a_digest_that_the_server_names_is_checked() {
    for field in DIGESTS {
        let answer = |body: &str| response("200 OK", &format!("{TAG}{field}\r\n"), body);
        let server = Server::start(canned([answer("123456789")], Close::Fin));
        let folder = Folder::new();
        let summary = get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
        let sha256 = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225";
        assert_eq!((&summary["verified"], &summary["sha256"]), (&json!(true), &json!(sha256)), "{field}");
        let left = spoils(answer("123456788"), Close::Fin, json!({}), CHECKSUM, "the file is not the one");
        assert_eq!(left, None, "{field}");
    }
    // Of all that are named, each has to be right.
    let fields = format!("{}\r\nContent-MD5: {}\r\n", DIGESTS[0], "A".repeat(22) + "==");
    spoils(response("200 OK", &fields, "123456789"), Close::Fin, json!({}), CHECKSUM, "its md5 is");
}

#[test]
fn a_digest_that_the_caller_names_is_checked() {
    let answer = response("200 OK", TAG, "123456789");
    for digest in ["sha-256=FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=", "crc32=y/Q5Jg=="] {
        let server = Server::start(canned([answer.clone()], Close::Fin));
        let folder = Folder::new();
        let summary = get(&api(&server.url(), json!({})), &folder, json!({"digest": digest})).unwrap();
        assert_eq!(summary["verified"], true);
    }
    let wrong = json!({"digest": "crc32=y/Q5Jw=="});
    assert_eq!(
        spoils(answer, Close::Fin, wrong, CHECKSUM, "its crc32 is y/Q5Jg==, and crc32=y/Q5Jw== is expected"),
        None
    );
}

#[test]
fn a_digest_is_remembered_with_the_part() {
    // The rest is not what it was.
    let fields = "ETag: \"v1\"\r\nRepr-Digest: md5=:JfnnlDI7RTiF9RgfG2JNCw==:\r\n";
    let left = Left::new(fields, json!({}), |request| file(&data(WHOLE), TAG, request));
    fails(left.again(), CHECKSUM, "its md5 is");
    assert_eq!(left.folder.names(), ["x"]);
    assert_eq!(there(&left.folder), b"old");
}

/// A download over TLS from a server that gives this, to every request, and ends like this.
fn over_tls(
    answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    close: TlsClose,
) -> (TlsServer, Api) {
    let ca = Ca::new();
    let server = TlsServer::start(ca.identity(Leaf::Good), move |stream, _| {
        let Some(request) = read_request(stream) else { return TlsClose::Fin };
        let _ = stream.write_all(&answer(&request));
        close
    });
    let trust = Folder::new();
    let ca_file = trust.write("ca.pem", ca.pem());
    let api = api_with(&server.url(), json!({}), json!({"tls": {"ca_file": ca_file}}));
    (server, api)
}

#[test]
fn over_tls_a_body_ends_with_its_length_or_with_close_notify() {
    let unknown = |_: &Request| {
        let head = format!("HTTP/1.1 200 OK\r\n{TAG}Connection: close\r\n\r\n");
        [head.as_bytes(), &data(WHOLE)].concat()
    };
    let (_server, api) = over_tls(unknown, TlsClose::Notify);
    let folder = Folder::new();
    get(&api, &folder, json!({})).unwrap();
    assert!(there(&folder) == data(WHOLE));
    // Whoever cuts the line may have cut the file.
    let (server, api) = over_tls(unknown, TlsClose::Fin);
    let folder = Folder::new();
    let fault = fails(get(&api, &folder, json!({"retry_count": 3})), TRUNCATED, "");
    assert_eq!((attempts(&fault), server.server.requests().len()), (3, 3));
    assert_eq!(folder.names(), ["x.part", "x.part.state"]);
    // It has a length, and all of it is there.
    let (_server, api) = over_tls(|request| file(&data(WHOLE), TAG, request), TlsClose::Fin);
    let folder = Folder::new();
    get(&api, &folder, json!({})).unwrap();
    assert!(there(&folder) == data(WHOLE));
}

#[test]
fn over_tls_a_cut_body_goes_on_where_it_was_cut() {
    for close in [TlsClose::Fin, TlsClose::Notify] {
        let part = |request: &Request| {
            let answer = file(&data(WHOLE), TAG, request);
            let from = body_of(&answer);
            answer[..(from + 350_000).min(answer.len())].to_vec()
        };
        let (server, api) = over_tls(part, close);
        let folder = Folder::new();
        get(&api, &folder, json!({})).unwrap();
        assert!(there(&folder) == data(WHOLE));
        assert_eq!(server.server.requests().len(), 3, "{close:?}");
    }
}

#[test]
fn an_end_that_was_not_certain_is_confirmed_by_who_has_no_more() {
    let answer = |request: &Request| match request.header("Range") {
        None => {
            [format!("HTTP/1.1 200 OK\r\n{TAG}Connection: close\r\n\r\n").as_bytes(), &data(WHOLE)].concat()
        }
        Some(_) => file(&data(WHOLE), TAG, request),
    };
    let (_server, api) = over_tls(answer, TlsClose::Fin);
    let folder = Folder::new();
    let summary = get(&api, &folder, json!({})).unwrap();
    assert!(there(&folder) == data(WHOLE));
    assert_eq!((&summary["total_bytes"], &summary["resumed"]), (&json!(WHOLE), &json!(false)));
}

#[test]
fn a_reset_in_the_handshake_is_an_attempt() {
    let server = Server::start(|stream, _| finish(stream, Close::Rst));
    let url = server.url().replace("http://", "https://");
    let folder = Folder::new();
    folder.write("x", "old");
    let fault = get(&api(&url, json!({})), &folder, json!({"retry_count": 2})).unwrap_err();
    assert!([TLS, CONNECT].contains(&fault.status) && attempts(&fault) == 2, "{}", fault.message);
    assert_eq!((there(&folder), folder.names().len()), (b"old".to_vec(), 1));
}

#[test]
fn a_size_that_is_expected_is_held_against_what_is_there_however_it_came() {
    // Without a length, and then a 416 that confirms what came: it is whole, and not what was wanted.
    let server = scripted(|_, n| match n {
        0 => (
            format!("HTTP/1.1 200 OK\r\n{TAG}Connection: close\r\n\r\n{}", "x".repeat(600)).into_bytes(),
            Some(600),
        ),
        _ => (response("416 Range", &format!("{TAG}Content-Range: bytes */600\r\n"), ""), None),
    });
    let folder = Folder::new();
    folder.write("x", "old");
    fails(
        get(&api(&server.url(), json!({"expected_size": 1000})), &folder, json!({})),
        CHECKSUM,
        "it has 600 bytes",
    );
    assert_eq!((there(&folder), folder.names()), (b"old".to_vec(), vec!["x".to_owned()]));
}

#[test]
fn a_part_that_does_not_name_its_version_is_none() {
    let server = scripted(|request, n| match n {
        0 => (file(&data(WHOLE), TAG, request), Some(HALF)),
        1 => {
            let place = format!("Content-Range: bytes {HALF}-{}/{WHOLE}\r\n", WHOLE - 1);
            (response("206 Part", &place, &other(WHOLE)[HALF..]), None)
        }
        _ => (file(&other(WHOLE), OTHER_TAG, request), None),
    });
    let folder = Folder::new();
    get(&api(&server.url(), json!({})), &folder, json!({})).unwrap();
    assert!(there(&folder) == other(WHOLE));
}

#[test]
fn an_answer_that_brings_no_file_replaces_none() {
    for status in ["202 Accepted", "204 No Content", "205 Reset Content"] {
        let answer = response(status, "", "");
        assert_eq!(spoils(answer, Close::Fin, json!({}), PROTOCOL, "brings no file"), None);
    }
}
