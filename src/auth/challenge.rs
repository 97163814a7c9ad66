//! A challenge of HTTP Digest (RFC 7616), and the response to it.

use http_auth::{ChallengeParser, ChallengeRef};
use md5::Digest as _;
use zeroize::Zeroizing;

use crate::digest::hex;
use crate::percent::encode_component;
use crate::response::Head;

/// The hash of a challenge. Of several, the first one here is answered: MD5 is broken, and there are servers that
/// took SHA-512/256 for a cut SHA-512, as RFC 7616 itself did in its example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hash {
    Sha256,
    Sha512_256,
    Md5,
}

/// As they stand in the registry; each one also with `-sess` behind it.
const ALGORITHMS: [(&str, Hash); 3] =
    [("SHA-256", Hash::Sha256), ("SHA-512-256", Hash::Sha512_256), ("MD5", Hash::Md5)];

impl Hash {
    /// In hexadecimal.
    fn of(self, text: &[u8]) -> String {
        match self {
            Hash::Sha256 => hex(ring::digest::digest(&ring::digest::SHA256, text).as_ref()),
            Hash::Sha512_256 => hex(ring::digest::digest(&ring::digest::SHA512_256, text).as_ref()),
            Hash::Md5 => hex(&md5::Md5::digest(text)),
        }
    }
}

/// What of a request is under the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quality {
    /// Method and address.
    Auth,
    /// The body too.
    AuthInt,
}

/// What a server wants to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// As the server has written it; None where it has not: then it is MD5.
    algorithm: Option<String>,
    hash: Hash,
    /// `-sess`: the first nonces are in the key too.
    session: bool,
    realm: String,
    pub nonce: String,
    opaque: Option<String>,
    /// None: the server is older than RFC 2617.
    quality: Option<Quality>,
    userhash: bool,
    utf8: bool,
    /// The nonce was too old; user name and password are not in doubt.
    pub stale: bool,
}

/// Why there is no challenge that can be answered. It may have words of the server in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unanswerable {
    /// It does not speak Digest.
    None,
    /// It does, but not so that we understand.
    Unknown(String),
}

/// The request that is to be signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signing<'r> {
    pub method: &'r str,
    /// Path and query, as they stand in the request line.
    pub uri: &'r str,
    /// None: it does not lie in memory.
    pub body: Option<&'r [u8]>,
    /// How often the nonce was used, this time included.
    pub count: u32,
    pub cnonce: &'r str,
}

impl Challenge {
    /// The best challenge of an answer.
    pub fn of(head: &Head) -> Result<Challenge, Unanswerable> {
        let mut found: Vec<Challenge> = Vec::new();
        let mut why = Unanswerable::None;
        for field in head.get_all("www-authenticate") {
            let text = String::from_utf8_lossy(field);
            for challenge in ChallengeParser::new(&text) {
                match challenge {
                    Ok(c) if c.scheme.eq_ignore_ascii_case("digest") => match Challenge::read(&c) {
                        Ok(challenge) => found.push(challenge),
                        Err(what) => why = Unanswerable::Unknown(what),
                    },
                    Ok(_) => {}
                    Err(_) if text.to_ascii_lowercase().contains("digest ") => {
                        why = Unanswerable::Unknown("its WWW-Authenticate is none of RFC 9110".into());
                    }
                    Err(_) => {}
                }
            }
        }
        // The sort of `min_by_key` is stable: among equals, the server's first one.
        found.into_iter().min_by_key(|c| c.hash).ok_or(why)
    }

    fn read(challenge: &ChallengeRef<'_>) -> Result<Challenge, String> {
        let get = |name: &str| {
            let found = challenge.params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let is = |name: &str, wanted: &str| get(name).is_some_and(|v| v.eq_ignore_ascii_case(wanted));
        let algorithm = get("algorithm");
        let name = algorithm.as_deref().unwrap_or("MD5");
        let (session, bare) = match name.len().checked_sub(5).and_then(|at| name.split_at_checked(at)) {
            Some((bare, end)) if end.eq_ignore_ascii_case("-sess") => (true, bare),
            _ => (false, name),
        };
        let known = ALGORITHMS.iter().find(|(n, _)| n.eq_ignore_ascii_case(bare));
        let &(_, hash) = known.ok_or_else(|| {
            let names: Vec<_> = ALGORITHMS.iter().map(|(n, _)| *n).collect();
            let name: String = name.chars().take(40).collect();
            format!("it wants the algorithm {name:?}; known are {}, and each with -sess", names.join(", "))
        })?;
        let offered = get("qop");
        let offers = |quality: &str| {
            offered.iter().flat_map(|q| q.split(',')).any(|q| q.trim().eq_ignore_ascii_case(quality))
        };
        let quality = match offered.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(_) if offers("auth") => Some(Quality::Auth),
            Some(_) if offers("auth-int") => Some(Quality::AuthInt),
            Some(_) => return Err("its qop has neither auth nor auth-int in it".into()),
        };
        let there = |name: &'static str| get(name).ok_or_else(|| format!("its challenge has no {name}"));
        Ok(Challenge {
            hash,
            session,
            realm: there("realm")?,
            nonce: there("nonce")?,
            opaque: get("opaque"),
            quality,
            userhash: is("userhash", "true"),
            utf8: is("charset", "utf-8"),
            stale: is("stale", "true"),
            algorithm,
        })
    }

    /// The value of Authorization. The response stands last: by it, it is known to the redactor.
    pub fn response(
        &self,
        username: &str,
        password: &str,
        signing: &Signing<'_>,
    ) -> Result<Zeroizing<String>, String> {
        let Signing { method, uri, body, count, cnonce } = *signing;
        let hash = |text: &str| Zeroizing::new(self.hash.of(text.as_bytes()));
        let (realm, nonce) = (&self.realm, &self.nonce);
        let mut key = hash(&Zeroizing::new(format!("{username}:{realm}:{password}")));
        if self.session {
            key = hash(&Zeroizing::new(format!("{}:{nonce}:{cnonce}", *key)));
        }
        let request = match (self.quality, body) {
            (Some(Quality::AuthInt), None) => {
                return Err(
                    "the server wants the body under the digest (qop=auth-int), and this one is made of \
                            files: give it as data or bytes"
                        .into(),
                );
            }
            (Some(Quality::AuthInt), Some(body)) => hash(&format!("{method}:{uri}:{}", self.hash.of(body))),
            _ => hash(&format!("{method}:{uri}")),
        };
        let quality = self.quality.map(|quality| match quality {
            Quality::Auth => "auth",
            Quality::AuthInt => "auth-int",
        });
        let response = match quality {
            Some(quality) => hash(&format!("{}:{nonce}:{count:08x}:{cnonce}:{quality}:{}", *key, *request)),
            None => hash(&format!("{}:{nonce}:{}", *key, *request)),
        };

        let mut out = Zeroizing::new(String::from("Digest "));
        if self.userhash {
            out.push_str(&format!("username=\"{}\"", *hash(&format!("{username}:{realm}"))));
        } else if self.utf8 && !username.is_ascii() {
            // RFC 8187, for servers that have said that they know it.
            out.push_str("username*=UTF-8''");
            encode_component(username, &mut out);
        } else {
            out.push_str(&format!("username={}", quoted(username)));
        }
        let mut add = |name: &str, value: &str| out.push_str(&format!(", {name}={value}"));
        add("realm", &quoted(realm));
        add("uri", &quoted(uri));
        if let Some(algorithm) = &self.algorithm {
            add("algorithm", algorithm);
        }
        add("nonce", &quoted(nonce));
        if let Some(quality) = quality {
            add("nc", &format!("{count:08x}"));
            add("cnonce", &quoted(cnonce));
            add("qop", quality);
        } else if self.session {
            // The server needs it for the key.
            add("cnonce", &quoted(cnonce));
        }
        if let Some(opaque) = &self.opaque {
            add("opaque", &quoted(opaque));
        }
        if self.userhash {
            add("userhash", "true");
        }
        add("response", &quoted(&response));
        Ok(out)
    }
}

/// A quoted-string (RFC 9110 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::response::head;

    fn challenge(fields: &[&str]) -> Result<Challenge, Unanswerable> {
        let fields: Vec<_> = fields.iter().map(|value| ("WWW-Authenticate", *value)).collect();
        Challenge::of(&head(401, &fields))
    }

    /// The parameters of a response.
    fn response(challenge: &Challenge, user: (&str, &str), signing: &Signing<'_>) -> Vec<(String, String)> {
        let text = challenge.response(user.0, user.1, signing).unwrap();
        let parameters = text.strip_prefix("Digest ").unwrap().split(", ");
        let pair = |p: &str| {
            let (name, value) = p.split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('"').to_owned())
        };
        parameters.map(pair).collect()
    }

    fn get<'p>(parameters: &'p [(String, String)], name: &str) -> Option<&'p str> {
        parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn signing<'r>(uri: &'r str, cnonce: &'r str) -> Signing<'r> {
        Signing { method: "GET", uri, body: Some(b""), count: 1, cnonce }
    }

    const SHA256: &str = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256,
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    const MUFASA: (&str, &str) = ("Mufasa", "Circle of Life");

    fn sha256() -> String {
        SHA256.replace('\n', " ")
    }

    /// RFC 7616 3.9.1.
    #[test]
    fn the_examples_of_the_rfc_are_answered_as_there() {
        let md5 = sha256().replace("SHA-256", "MD5");
        for (field, algorithm, expected) in [
            (sha256(), "SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
            (md5, "MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ] {
            let challenge = challenge(&[&field]).unwrap();
            let made = response(&challenge, MUFASA, &signing("/dir/index.html", CNONCE));
            let expected = [
                ("username", "Mufasa"),
                ("realm", "http-auth@example.org"),
                ("uri", "/dir/index.html"),
                ("algorithm", algorithm),
                ("nonce", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"),
                ("nc", "00000001"),
                ("cnonce", CNONCE),
                ("qop", "auth"),
                ("opaque", "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"),
                ("response", expected),
            ];
            assert_eq!(made, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        }
    }

    /// RFC 7616 3.9.2, with the values of its erratum 4897.
    #[test]
    fn a_user_name_of_other_letters_is_hashed_or_encoded() {
        let field = r#"Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true"#;
        let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v";
        let user = ("J\u{e4}s\u{f8}n Doe", "Secret, or not?");
        let expected = Some("3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
        let hashed = response(&challenge(&[field]).unwrap(), user, &signing("/doe.json", cnonce));
        let name = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b";
        assert_eq!((get(&hashed, "username"), get(&hashed, "response")), (Some(name), expected));
        assert_eq!(get(&hashed, "userhash"), Some("true"));
        let plain = challenge(&[&field.replace(", userhash=true", "")]).unwrap();
        let plain = response(&plain, user, &signing("/doe.json", cnonce));
        assert_eq!(get(&plain, "username*"), Some("UTF-8''J%C3%A4s%C3%B8n%20Doe"));
        assert_eq!((get(&plain, "username"), get(&plain, "response")), (None, expected));
    }

    /// RFC 2069 2.4, with the value of its erratum 749.
    #[test]
    fn a_server_from_before_qop_gets_no_count() {
        let field = r#"Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
        let made = response(
            &challenge(&[field]).unwrap(),
            ("Mufasa", "CircleOfLife"),
            &signing("/dir/index.html", "unused"),
        );
        assert_eq!(get(&made, "response"), Some("1949323746fe6a43ef61f9606e7febea"));
        for name in ["nc", "cnonce", "qop", "algorithm"] {
            assert_eq!(get(&made, name), None);
        }
    }

    #[test]
    fn a_session_has_its_nonces_in_the_key_and_a_body_its_hash_in_the_response() {
        let of = |text: &str| Hash::Md5.of(text.as_bytes());
        let field = r#"digest realm="r", nonce="n", qop="auth-int", algorithm=md5-SESS"#;
        let challenge = challenge(&[field]).unwrap();
        let signing = Signing { method: "POST", uri: "/a?b", body: Some(b"body"), count: 0x1f, cnonce: "c" };
        let key = of(&format!("{}:n:c", of("u:r:p")));
        let expected =
            of(&format!("{key}:n:0000001f:c:auth-int:{}", of(&format!("POST:/a?b:{}", of("body")))));
        let made = response(&challenge, ("u", "p"), &signing);
        assert_eq!(get(&made, "response"), Some(expected.as_str()));
        assert_eq!((get(&made, "nc"), get(&made, "qop")), (Some("0000001f"), Some("auth-int")));
        // As the server wrote it.
        assert_eq!(get(&made, "algorithm"), Some("md5-SESS"));
        let files = Signing { body: None, ..signing };
        assert!(challenge.response("u", "p", &files).unwrap_err().contains("auth-int"));
    }

    #[test]
    fn the_best_challenge_is_found_wherever_it_stands() {
        let hash = |fields: &[&str]| challenge(fields).map(|c| (c.hash, c.nonce));
        let (md5, sha) = (
            r#"Digest realm="a", nonce="1", stale=TRUE"#,
            r#"Digest realm="a, \"b\"", nonce="2", algorithm="SHA-256""#,
        );
        assert_eq!(hash(&[md5, sha]), Ok((Hash::Sha256, "2".into())));
        assert_eq!(
            hash(&[&format!("Negotiate, {md5}, Basic realm=\"x\", {sha}")]),
            Ok((Hash::Sha256, "2".into()))
        );
        assert_eq!(hash(&["Basic realm=\"Digest x\"", md5]), Ok((Hash::Md5, "1".into())));
        assert_eq!(
            hash(&[r#"Digest realm="a", nonce="3", algorithm=SHA-3, qop=auth"#, md5]).unwrap().0,
            Hash::Md5
        );
        // Among equals, the server's first.
        assert_eq!(hash(&[sha, &sha.replace('2', "4")]), Ok((Hash::Sha256, "2".into())));
        let quoted = challenge(&[sha]).unwrap();
        assert_eq!(quoted.realm, "a, \"b\"");
        let made = quoted.response("u\"\\", "p", &signing("/", "c")).unwrap();
        assert!(made.starts_with(r#"Digest username="u\"\\", realm="a, \"b\"", uri="/""#), "{}", *made);
        assert!(challenge(&[md5]).unwrap().stale && !quoted.stale);
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        assert_eq!(challenge(&[]), Err(Unanswerable::None));
        assert_eq!(challenge(&["Basic realm=\"x\"", "Bearer"]), Err(Unanswerable::None));
        for (field, what) in [
            (r#"Digest realm="a", nonce="1", algorithm=SHA-999"#, "\"SHA-999\""),
            (r#"Digest realm="a", nonce="1", algorithm=-sess"#, "\"-sess\""),
            (r#"Digest realm="a", nonce="1", qop="token""#, "qop"),
            (r#"Digest realm="a""#, "no nonce"),
            (r#"Digest nonce="a""#, "no realm"),
            ("Digest realm=\"a", "WWW-Authenticate"),
            ("Digest realm=\"B\u{fc}ro\", nonce=\"1\"", "WWW-Authenticate"),
        ] {
            let Err(Unanswerable::Unknown(why)) = challenge(&[field]) else { panic!("{field}") };
            assert!(why.contains(what), "{why}");
        }
    }
}
