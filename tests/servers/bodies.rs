//! Every kind of body, as httpbin reads it.

use serde_json::{Value, json};

use crate::api::{Answer, Api, Fault};
use crate::support::Folder;
use crate::{BINARY, good, its, one, shown};

/// Sends to `endpoint`, over HTTP and HTTPS, and compares all that arrived: `wanted` is what httpbin makes of the
/// body, `length` how long that is, where it can be known; a `media` that ends in `=` goes on with what we cannot.
fn arrives(
    endpoint: Value,
    media: &str,
    length: Option<usize>,
    wanted: Value,
    call: impl Fn(&Api) -> Result<Answer, Fault>,
) {
    for base in [its("httpbin"), its("https")] {
        let mut endpoint = endpoint.clone();
        endpoint["path"] = json!("/anything/a%20b?q=%C3%A4");
        endpoint["method"] = json!("PUT");
        let mut echo = good(call(&one(&base, endpoint, json!({})))).json();
        if echo.get("success").is_some() {
            assert_eq!(echo["success"], true);
            echo = echo["result"].take();
        }
        let headers = echo["headers"].as_object_mut().unwrap();
        // nginx's own, to httpbin.
        assert_eq!(headers.remove("Connection"), base.starts_with("https").then(|| json!("close")));
        let said = headers["Content-Type"].as_str().unwrap();
        assert!(said == media || media.ends_with('=') && said.starts_with(media), "{said}");
        let carried = headers["Content-Length"].as_str().unwrap();
        assert!(length.is_none_or(|length| carried == length.to_string()), "{carried}");
        let mut all = json!({
            "args": {"q": "ä"}, "data": "", "files": {}, "form": {}, "json": null,
            "headers": {
                "Accept": "application/json", "Accept-Encoding": "gzip, br, zstd, deflate",
                "Content-Type": said, "Content-Length": carried, "Host": base.split_once("://").unwrap().1,
                "User-Agent": format!("apl/{}", env!("CARGO_PKG_VERSION")),
            },
            "method": "PUT", "origin": "127.0.0.1", "url": format!("{base}/anything/a%20b?q=ä"),
        });
        for (key, value) in wanted.as_object().unwrap() {
            all[key] = value.clone();
        }
        assert!(echo == all, "{:.2000}\ninstead of {:.2000}", echo.to_string(), all.to_string());
    }
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn json_arrives_as_it_was_written() {
    // Neither the number that no double holds nor the second key of a name is touched.
    let text = r#"{"n": 1e400, "n": -0, "s": "\u00e4 ä \"", "l": [1, null, {}]}"#;
    let read = json!({"n": 0, "s": "ä ä \"", "l": [1, null, {}]});
    arrives(json!({}), "application/json", Some(text.len()), json!({"data": text, "json": read}), |api| {
        api.send("x", text, None)
    });
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn a_form_arrives_with_every_field() {
    let fields = r#"{"a": "1 + 1 = 2 & ä%", "list": ["x", "y"], "empty": "", "n": 1.50}"#;
    let form = json!({"a": "1 + 1 = 2 & ä%", "list": ["x", "y"], "empty": "", "n": "1.50"});
    let length = "a=1+%2B+1+%3D+2+%26+%C3%A4%25&list=x&list=y&empty=&n=1.50".len();
    let media = "application/x-www-form-urlencoded";
    arrives(json!({"body": "form"}), media, Some(length), json!({"form": form}), |api| {
        api.send("x", fields, None)
    });
    let options = format!(r#"{{"form": {fields}}}"#);
    arrives(json!({}), media, Some(length), json!({"form": form}), |api| api.fetch("x", None, &*options));
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn multipart_arrives_with_its_values_and_its_files() {
    let folder = Folder::new();
    let (binary, text) = (folder.write("bi \"nary\".bin", &*BINARY), folder.write("text.txt", "ä\r\n--x\n"));
    let options = json!({"multipart": [
        {"name": "value", "value": "ä & \r\n--"},
        {"name": "value", "value": "2"},
        {"name": "binary", "file": binary},
        {"name": "text", "file": text, "filename": "näme.txt", "content_type": "text/plain"},
    ]})
    .to_string();
    let wanted = json!({
        "form": {"value": ["ä & \r\n--", "2"]},
        "files": {"binary": shown(&BINARY), "text": "ä\r\n--x\n"},
    });
    let media = "multipart/form-data; boundary=";
    arrives(json!({}), media, None, wanted, |api| api.fetch("x", None, &*options));
    let wanted = json!({"form": {"a": ["1", "2"], "b": "ä"}});
    arrives(json!({"body": "multipart"}), media, None, wanted, |api| {
        api.send("x", r#"{"a": [1, 2], "b": "ä"}"#, None)
    });
}

#[test]
#[ignore = "needs the servers of `make test-servers`"]
fn bytes_and_a_file_arrive_as_they_are() {
    let folder = Folder::new();
    let raw = json!({"body": "raw", "content_type": "image/png"});
    let wanted = json!({"data": shown(&BINARY)});
    let length = Some(BINARY.len());
    arrives(raw.clone(), "image/png", length, wanted.clone(), |api| api.send_bytes("x", &BINARY, None));
    let options = json!({"body_file": folder.write("binary", &*BINARY)}).to_string();
    arrives(raw, "image/png", length, wanted, |api| api.fetch("x", None, &*options));
    let options = r#"{"content_type": "text/plain; charset=utf-8"}"#;
    arrives(json!({}), "text/plain; charset=utf-8", Some(4), json!({"data": "ä\r\n"}), |api| {
        api.send_bytes("x", "ä\r\n".as_bytes(), options)
    });
}
