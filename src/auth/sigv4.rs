//! AWS Signature Version 4, in headers.

use std::borrow::Cow;
use std::time::SystemTime;

use percent_encoding::percent_decode;
use ring::hmac;

use super::scheme::{Ask, Refusal, Scheme, Signable, Verdict};
use crate::config::auth::Sigv4 as Keys;
use crate::config::{Secret, header_value};
use crate::digest::{hex, sha256};
use crate::error::{Error, Kind, Result};
use crate::percent::{encode_bytes, encode_component};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// The services that take a path as it is, and want the body's hash in a header.
const S3: [&str; 4] = ["s3", "s3express", "s3-object-lambda", "s3-outposts"];

/// Fields that are made again on the way, or stand for the connection; and the signature itself.
const UNSIGNED_FIELDS: [&str; 7] =
    ["accept-encoding", "authorization", "traceparent", "tracestate", "user-agent", "via", "x-amzn-trace-id"];

/// Who signs, and for what.
#[derive(Clone, Debug)]
pub struct Sigv4 {
    access_key_id: Secret,
    secret_access_key: Secret,
    session_token: Option<Secret>,
    region: String,
    service: String,
    now: fn() -> SystemTime,
}

/// A request with everything but its signature.
#[derive(Clone, Copy)]
struct Unsigned<'r> {
    method: &'r str,
    url: &'r str,
    headers: &'r [(&'r str, Cow<'r, str>)],
    /// None: it does not lie in memory.
    body: Option<&'r [u8]>,
}

/// A field that signs a request.
struct Field {
    name: &'static str,
    value: Secret,
    /// Must nobody see it?
    hidden: bool,
}

impl Sigv4 {
    /// Reads the keys of `auth`. `now`: the time.
    pub fn new(keys: &Keys, now: fn() -> SystemTime) -> Result<Sigv4> {
        let missing = |key: &str| Error::config(format!("/auth/{key}: missing: auth sigv4 needs it"));
        let secret = |key: &str, value: &Option<Secret>| {
            let value = value.as_ref().filter(|v| !v.expose().is_empty()).ok_or_else(|| missing(key))?;
            header_value(value.expose()).map_err(|m| Error::config(format!("/auth/{key}: {m}")))?;
            Ok(value.clone())
        };
        // They stand between slashes in the scope.
        let name = |key: &str, value: &Option<String>| {
            let value = value.as_ref().filter(|v| !v.is_empty()).ok_or_else(|| missing(key))?;
            match value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                true => Ok(value.clone()),
                false => Err(Error::config(format!(
                    "/auth/{key}: must be letters, digits, hyphens, dots and underscores"
                ))),
            }
        };
        Ok(Sigv4 {
            access_key_id: secret("access_key_id", &keys.access_key_id)?,
            secret_access_key: secret("secret_access_key", &keys.secret_access_key)?,
            session_token: match &keys.session_token {
                // As it comes out of an environment without one.
                Some(token) if token.expose().is_empty() => None,
                None => None,
                token => Some(secret("session_token", token)?),
            },
            region: name("region", &keys.region)?,
            service: name("service", &keys.service)?.to_ascii_lowercase(),
            now,
        })
    }

    fn is_s3(&self) -> bool {
        S3.contains(&self.service.as_str())
    }

    /// The fields that sign a request at a time.
    fn signed_at(&self, now: SystemTime, request: &Unsigned<'_>) -> Result<Vec<Field>> {
        let time = timestamp(now);
        let payload = self.payload(request)?;
        let open = |name, value: &str| Field { name, value: Secret::new(value), hidden: false };
        let mut fields = vec![open("X-Amz-Date", &time)];
        if let Some(token) = &self.session_token {
            fields.push(Field { name: "X-Amz-Security-Token", value: token.clone(), hidden: true });
        }
        if self.is_s3() {
            fields.push(open("X-Amz-Content-Sha256", &payload));
        }
        let (canonical, names) = self.canonical(request, &fields, &payload);
        let scope = format!("{}/{}/{}/aws4_request", &time[..8], self.region, self.service);
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let signature = hex(hmac::sign(&self.key(&time[..8]), to_sign.as_bytes()).as_ref());
        let id = self.access_key_id.expose();
        let value =
            format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        fields.push(Field { name: "Authorization", value: Secret::new(value), hidden: true });
        Ok(fields)
    }

    /// The key of a day.
    fn key(&self, day: &str) -> hmac::Key {
        let first = Secret::new(format!("AWS4{}", self.secret_access_key.expose()));
        let first = hmac::Key::new(hmac::HMAC_SHA256, first.expose().as_bytes());
        [day, &self.region, &self.service, "aws4_request"].iter().fold(first, |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        })
    }

    /// What stands for the body.
    fn payload(&self, request: &Unsigned<'_>) -> Result<String> {
        match request.body {
            Some(body) => Ok(sha256(body)),
            None if self.is_s3() && request.url.starts_with("https:") => Ok(UNSIGNED.to_owned()),
            None => {
                let what = "auth sigv4 signs a body that lies in memory; one made of files goes unsigned only to s3 \
                            over https: give it as data or bytes";
                Err(Error::new(Kind::Unsupported, what))
            }
        }
    }

    /// The canonical request, and the names of the fields in it.
    fn canonical(&self, request: &Unsigned<'_>, fields: &[Field], payload: &str) -> (String, String) {
        let (path, query) = path_and_query(request.url);
        let path = if self.is_s3() { encoded(path) } else { normal(path) };
        let mut headers: Vec<(String, String)> = Vec::new();
        let ours = |name: &str| fields.iter().any(|f| f.name.eq_ignore_ascii_case(name));
        let theirs =
            request.headers.iter().filter(|(name, _)| !ours(name)).map(|(name, value)| (*name, &**value));
        let own = fields.iter().map(|f| (f.name, f.value.expose()));
        for (name, value) in theirs.chain(own) {
            let name = name.to_ascii_lowercase();
            if UNSIGNED_FIELDS.contains(&name.as_str()) {
                continue;
            }
            let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            match headers.iter_mut().find(|(n, _)| *n == name) {
                Some((_, there)) => there.extend([",", &value]),
                None => headers.push((name, value)),
            }
        }
        headers.sort();
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names = headers.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(";");
        let query = canonical_query(query);
        (format!("{}\n{path}\n{query}\n{lines}\n{names}\n{payload}", request.method), names)
    }
}

impl Scheme for Sigv4 {
    fn sign(&self, draft: &mut dyn Signable, ask: Option<&dyn Ask>) -> Result<u64> {
        // A signature that is only shown would be too old before anybody could use it.
        if ask.is_none() {
            return Ok(0);
        }
        let headers = draft.headers();
        let (method, url, body) = (draft.method(), draft.url(), draft.body());
        let fields = self.signed_at((self.now)(), &Unsigned { method, url, headers: &headers, body })?;
        drop(headers);
        for Field { name, value, hidden } in fields {
            match hidden {
                true => draft.set_header(name, value.expose())?,
                false => draft.set_open_header(name, value.expose())?,
            }
        }
        Ok(0)
    }

    /// Another signature would be refused as well: keys and clock are what they are.
    fn refused(&self, _: u64, _: &Refusal<'_>) -> Verdict {
        Verdict::Stands
    }

    fn covers_request(&self) -> bool {
        true
    }
}

/// `20150830T123600Z`
fn timestamp(now: SystemTime) -> String {
    humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "")
}

/// Path and query of a URL, as they stand in the request line.
fn path_and_query(url: &str) -> (&str, &str) {
    let whole = crate::request::path_and_query(url);
    whole.split_once('?').unwrap_or((whole, ""))
}

/// Every segment encoded once, whatever it looked like before.
fn encoded(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let mut out = String::new();
        encode_bytes(&percent_decode(segment.as_bytes()).collect::<Vec<_>>(), &mut out);
        out
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Every segment, encoded as it is, encoded once more; without those that say nothing.
fn normal(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut out = String::new();
    for segment in &segments {
        out.push('/');
        encode_component(segment, &mut out);
    }
    if path.ends_with('/') || segments.is_empty() {
        out.push('/');
    }
    out
}

/// The pairs, encoded in one way only, and in order. A plus is a space, as for the servers.
fn canonical_query(query: &str) -> String {
    let encoded = |text: &str| {
        let text = text.replace('+', " ");
        let mut out = String::new();
        encode_bytes(&percent_decode(text.as_bytes()).collect::<Vec<_>>(), &mut out);
        out
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (encoded(name), encoded(value))
    });
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::decode::http_date;

    const EXAMPLE: (&str, &str) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    const S3_EXAMPLE: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");

    fn keys((id, key): (&str, &str), service: &str, token: Option<&str>) -> Keys {
        Keys {
            access_key_id: Some(Secret::new(id)),
            secret_access_key: Some(Secret::new(key)),
            session_token: token.map(Secret::new),
            region: Some("us-east-1".into()),
            service: Some(service.into()),
        }
    }

    fn sigv4(pair: (&str, &str), service: &str, token: Option<&str>) -> Sigv4 {
        Sigv4::new(&keys(pair, service, token), || SystemTime::UNIX_EPOCH).unwrap()
    }

    /// The names of the fields that are signed, and the signature.
    fn sign(
        sigv4: &Sigv4,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        date: &str,
    ) -> Result<(String, String)> {
        let host = url.split('/').nth(2).unwrap();
        let headers: Vec<(&str, Cow<'_, str>)> =
            [("Host", host)].iter().chain(headers).map(|(name, value)| (*name, (*value).into())).collect();
        let now = http_date(date).unwrap();
        let fields = sigv4.signed_at(now, &Unsigned { method, url, headers: &headers, body })?;
        let Field { name, value, hidden } = fields.last().unwrap();
        assert!(*name == "Authorization" && *hidden);
        let part = |name: &str| {
            let (_, rest) = value.expose().split_once(name).unwrap();
            rest.split(',').next().unwrap().to_owned()
        };
        Ok((part("SignedHeaders="), part("Signature=")))
    }

    const SUITE: &str = "Sun, 30 Aug 2015 12:36:00 GMT";
    const S3_DATE: &str = "Fri, 24 May 2013 00:00:00 GMT";

    /// The example of the documentation, two of Amazon's test suite, and what botocore makes of harder ones.
    #[test]
    fn signatures_are_what_amazon_says() {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let get = |service, url: &str, headers: &[(&str, &str)]| {
            sign(&sigv4(EXAMPLE, service, None), "GET", url, headers, Some(b""), SUITE).unwrap()
        };
        let (fields, signature) = get(
            "iam",
            "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
            &[("content-type", form)],
        );
        assert_eq!(fields, "content-type;host;x-amz-date");
        assert_eq!(signature, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
        let start = "https://example.amazonaws.com/";
        for (path, headers, expected) in [
            ("", &[][..], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            (
                "?Param2=value2&Param1=value1&Param1=value0",
                &[],
                "b54c315622c89a0cb5ebfd58de43e852f7a996f371c85b2cf101d993cc1a119f",
            ),
            (
                "a%20b/%C3%A4/../x//y/;z!/",
                &[("My-Header", "  a   b  c "), ("User-Agent", "x"), ("Accept-Encoding", "gzip")],
                "2fdc0e280a1ba8e7f7e1087d7b94210d78ea863c93f3bc8ddd0ccd4b1f03c0d4",
            ),
        ] {
            assert_eq!(get("service", &format!("{start}{path}"), headers).1, expected, "{path}");
        }
        let json = [("Content-Type", "application/json"), ("X-Amz-Security-Token", "an old one")];
        for query in ["a=%20b&c=", "c&a=+b", "c=&&a=%20%62"] {
            let (fields, signature) = sign(
                &sigv4(EXAMPLE, "service", Some("session/token==")),
                "POST",
                &format!("{start}p?{query}"),
                &json,
                Some(br#"{"n": 1}"#),
                SUITE,
            )
            .unwrap();
            assert_eq!(fields, "content-type;host;x-amz-date;x-amz-security-token");
            assert_eq!(
                signature, "42a1f42f23a56b102209f49d25bf577512e68f7c37b95fa1fd6f2aaed55743d3",
                "{query}"
            );
        }
    }

    /// The examples of the documentation of S3, and one of botocore with a path that must not be tidied up.
    #[test]
    fn s3_wants_paths_as_they_are_and_the_hash_of_the_body_in_a_header() {
        let s3 = sigv4(S3_EXAMPLE, "s3", None);
        let start = "https://examplebucket.s3.amazonaws.com/";
        for (method, path, headers, body, expected) in [
            (
                "GET",
                "test.txt",
                &[("Range", "bytes=0-9")][..],
                &b""[..],
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "test$file.text",
                &[("Date", S3_DATE), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
                b"Welcome to Amazon S3.",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "?lifecycle",
                &[],
                b"",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "?max-keys=2&prefix=J",
                &[],
                b"",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let made = sign(&s3, method, &format!("{start}{path}"), headers, Some(body), S3_DATE).unwrap();
            assert_eq!(made.1, expected, "{path}");
        }
        let s3 = sigv4(EXAMPLE, "S3", Some("session/token=="));
        for path in ["a%20b/../%C3%A4//x%21", "a%20b/../%c3%a4//x!"] {
            let url = format!("http://127.0.0.1:9000/bucket/{path}");
            let made =
                sign(&s3, "PUT", &url, &[("Content-Type", "text/plain")], Some(b"body"), SUITE).unwrap();
            assert_eq!(made.0, "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token");
            assert_eq!(made.1, "f2314d3a5e526ee78b292bc3d500c972f62d3a2ba6f28be5f17d7765f2c17576", "{path}");
        }
    }

    #[test]
    fn files_go_unsigned_to_s3_over_tls_and_nowhere_else() {
        let made = |service: &str, url: &str| {
            let sigv4 = sigv4(EXAMPLE, service, None);
            sigv4
                .signed_at(SystemTime::UNIX_EPOCH, &Unsigned { method: "PUT", url, headers: &[], body: None })
        };
        let fields = made("s3", "https://a.example/x").unwrap();
        let value = |name: &str| fields.iter().find(|f| f.name == name).unwrap().value.expose();
        assert_eq!((value("X-Amz-Content-Sha256"), value("X-Amz-Date")), (UNSIGNED, "19700101T000000Z"));
        for (service, url) in [("s3", "http://a.example/x"), ("es", "https://a.example/x")] {
            let error = made(service, url).map(drop).unwrap_err();
            assert!(error.kind == Kind::Unsupported && error.message.contains("files"), "{error}");
        }
    }

    #[test]
    fn keys_that_are_missing_or_broken_are_named_and_not_shown() {
        let all = || keys(EXAMPLE, "s3", None);
        let broken = |key: &str| Some(Secret::new(format!("canary{key}")));
        for (keys, key) in [
            (Keys { access_key_id: None, ..all() }, "access_key_id"),
            (Keys { secret_access_key: Some(Secret::default()), ..all() }, "secret_access_key"),
            (Keys { access_key_id: broken("\r\n"), ..all() }, "access_key_id"),
            (Keys { session_token: broken("\u{7f}"), ..all() }, "session_token"),
            (Keys { region: None, ..all() }, "region"),
            (Keys { region: Some("eu/canary".into()), ..all() }, "region"),
            (Keys { service: Some(String::new()), ..all() }, "service"),
        ] {
            let error = Sigv4::new(&keys, || SystemTime::UNIX_EPOCH).unwrap_err();
            assert!(error.message.starts_with(&format!("/auth/{key}: ")), "{error}");
            assert!(error.kind == Kind::InvalidConfig && !error.message.contains("canary"), "{error}");
        }
        let no_token = Keys { session_token: Some(Secret::default()), ..all() };
        assert!(Sigv4::new(&no_token, || SystemTime::UNIX_EPOCH).is_ok());
    }
}
