//! The authorization code with PKCE (RFC 6749 4.1, RFC 7636): the address that the browser is sent to, and what the one
//! that it comes back to says. Pure: nobody is asked, and what nobody can guess is handed in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use subtle::ConstantTimeEq;
use url::{Position, Url};

use super::answer;
use super::filled;
use crate::auth::Place;
use crate::config::{Config, Origin, Secret, Text, auth};
use crate::error::{Error, Result};

/// What the authorization response says (RFC 6749 4.1.2, RFC 9207 2): none of it comes twice.
const RESPONSE: [&str; 6] = ["code", "state", "iss", "error", "error_description", "error_uri"];

/// Where a person signs in, and comes back to.
pub(super) struct Pkce {
    authorization: Place,
    redirect_uri: String,
    back: Url,
    issuer: Option<String>,
    code_verifier: Option<Secret>,
    state: Option<Secret>,
    /// Its code_verifier is missing.
    lone_challenge: bool,
}

/// A sign-in that was begun.
pub(super) struct Begun {
    pub verifier: Secret,
    pub state: Secret,
}

/// Why there is no code.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoCode {
    /// It is not an address that the browser comes back to.
    NotOurs(&'static str),
    /// It is not the answer to what was begun.
    NotTheAnswer(&'static str),
    /// The authorization server has refused; its words.
    Refused(String),
}

impl Pkce {
    /// As `auth` says.
    pub fn new(config: &Config, keys: &auth::Pkce) -> Result<Pkce> {
        let wrong = |key: &str, what: &str| Error::config(format!("/auth/{key}: {what}"));
        let missing = |key| wrong(key, "the key is missing");
        let url =
            keys.authorization_url.as_ref().map(Text::as_str).ok_or_else(|| missing("authorization_url"))?;
        let redirect_uri = keys.redirect_uri.clone().ok_or_else(|| missing("redirect_uri"))?;
        let back = Url::parse(&redirect_uri).map_err(|_| wrong("redirect_uri", "is not an absolute URL"))?;
        if back.fragment().is_some() {
            return Err(wrong("redirect_uri", "must not have a fragment (RFC 6749 3.1.2)"));
        }
        let (code_verifier, challenge) = (filled(&keys.code_verifier), filled(&keys.code_challenge));
        if code_verifier.as_ref().is_some_and(|verifier| !is_verifier(verifier.expose())) {
            return Err(wrong("code_verifier", "must be 43 to 128 of A-Z a-z 0-9 - . _ ~ (RFC 7636 4.1)"));
        }
        if let Some((verifier, given)) = code_verifier.as_ref().zip(challenge.as_ref())
            && challenge_of(verifier) != given.expose()
        {
            return Err(wrong("code_challenge", "is not S256 of code_verifier (RFC 7636 4.2)"));
        }
        Ok(Pkce {
            authorization: Place::new(config, "authorization_url", url)?,
            redirect_uri,
            back,
            issuer: keys.issuer.clone().filter(|issuer| !issuer.is_empty()),
            lone_challenge: challenge.is_some() && code_verifier.is_none(),
            code_verifier,
            state: filled(&keys.state),
        })
    }

    /// The redirect_uri as it was configured: the token endpoint compares it as a string.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The configured code verifier.
    pub fn code_verifier(&self) -> Option<&Secret> {
        self.code_verifier.as_ref()
    }

    /// What another process has begun, where the configuration says it.
    pub fn begun_elsewhere(&self) -> Option<Begun> {
        let (verifier, state) = self.code_verifier.clone().zip(self.state.clone())?;
        Some(Begun { verifier, state })
    }

    /// Begins a sign-in. `nonce`: text that nobody can guess, of 128 bits each.
    pub fn begin(&self, nonce: fn() -> String) -> Result<Begun> {
        if self.lone_challenge {
            let what =
                "/auth/code_challenge: its code_verifier is missing, and the code could not be exchanged";
            return Err(Error::config(what));
        }
        let fresh = || Secret::new(format!("{}{}", nonce(), nonce()));
        Ok(Begun {
            verifier: self.code_verifier.clone().unwrap_or_else(fresh),
            state: self.state.clone().unwrap_or_else(|| Secret::new(nonce())),
        })
    }

    /// The address to send the browser to.
    pub fn address(&self, begun: &Begun, client_id: &str, scope: Option<&str>) -> String {
        let challenge = challenge_of(&begun.verifier);
        let mut ours = vec![
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", &self.redirect_uri),
            ("state", begun.state.expose()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        ours.extend(scope.filter(|scope| !scope.is_empty()).map(|scope| ("scope", scope)));
        let (start, query) = self.authorization.url.split_once('?').unwrap_or((&self.authorization.url, ""));
        // What is there stays as it is written, but for what would be said twice (RFC 6749 3.1).
        let is_ours = |pair: &str| {
            let name = form_urlencoded::parse(pair.as_bytes()).next();
            name.is_none_or(|(name, _)| ours.iter().any(|(ours, _)| *ours == name))
        };
        let mut all: Vec<&str> = query.split('&').filter(|pair| !is_ours(pair)).collect();
        let said = form_urlencoded::Serializer::new(String::new()).extend_pairs(&ours).finish();
        all.push(&said);
        format!("{start}?{}", all.join("&"))
    }

    /// The code that the browser came back with. `redirect_url`: the whole address, its path and query, or the query.
    pub fn code(&self, begun: &Begun, redirect_url: &str) -> Result<Secret, NoCode> {
        let said = self.response(redirect_url)?;
        let one = |name: &str| said.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        if RESPONSE.iter().any(|name| said.iter().filter(|(n, _)| n == name).count() > 1) {
            return Err(NoCode::NotTheAnswer("says something twice (RFC 6749 3.1)"));
        }
        let state = one("state").ok_or(NoCode::NotTheAnswer("has no state"))?;
        if !bool::from(state.as_bytes().ct_eq(begun.state.expose().as_bytes())) {
            return Err(NoCode::NotTheAnswer("has another state than the sign-in that was begun"));
        }
        self.check_issuer(one("iss"))?;
        if let Some(error) = one("error") {
            return Err(NoCode::Refused(answer::words(error, one("error_description"))));
        }
        let code = one("code").filter(|code| !code.is_empty());
        code.map(Secret::new).ok_or(NoCode::NotTheAnswer("has neither a code nor an error"))
    }

    /// RFC 9207 2.4: whose answer is it?
    fn check_issuer(&self, iss: Option<&str>) -> Result<(), NoCode> {
        let fits = match (&self.issuer, iss) {
            (Some(issuer), Some(iss)) => issuer == iss,
            (Some(_), None) => {
                return Err(NoCode::NotTheAnswer("has no iss (RFC 9207), and `issuer` is set"));
            }
            (None, Some(iss)) => {
                let origin = Url::parse(iss).ok().and_then(|url| Origin::of(&url));
                origin.as_ref() == Some(&self.authorization.origin)
            }
            (None, None) => true,
        };
        match fits {
            true => Ok(()),
            false => Err(NoCode::NotTheAnswer(
                "comes from another authorization server (iss, RFC 9207) than `issuer`, or authorization_url, says",
            )),
        }
    }

    /// The parameters that an address has in its query.
    fn response(&self, redirect_url: &str) -> Result<Vec<(String, String)>, NoCode> {
        let pairs = |query: &str| form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        if let Some(query) = redirect_url.strip_prefix('?') {
            return Ok(pairs(query));
        }
        // What a server on this machine sees of it is its path and query.
        let url = match redirect_url.starts_with('/') {
            true => self.back.join(redirect_url).ok(),
            false => Url::parse(redirect_url).ok(),
        };
        let url = url.ok_or(NoCode::NotOurs("is not a URL: it is the one that the browser came back to"))?;
        let place = |url: &Url| (url.port_or_known_default(), url[..Position::AfterHost].to_owned());
        if place(&url) != place(&self.back) || url.path() != self.back.path() {
            return Err(NoCode::NotOurs("is not at /auth/redirect_uri"));
        }
        Ok(pairs(url.query().unwrap_or_default()))
    }
}

/// S256 (RFC 7636 4.2).
fn challenge_of(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.expose().as_bytes()))
}

fn is_verifier(text: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Auth, from_text};

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn pkce(further: &str) -> Result<Pkce> {
        let text = format!(
            r#"{{"base_url": "https://api.example", "auth": {{"type": "oauth2_pkce", "client_id": "c",
            "token_url": "https://as.example/t", "authorization_url": "https://as.example/a?prompt=log%20in&state=x",
            "redirect_uri": "http://127.0.0.1:7777/cb"{further}}}}}"#
        );
        let config = from_text(&text, &|_| None).unwrap();
        let Auth::Oauth2Pkce(keys) = &config.keys.auth else { panic!() };
        Pkce::new(&config, keys)
    }

    fn begun() -> Begun {
        Begun { verifier: Secret::new(VERIFIER), state: Secret::new("st+te") }
    }

    fn code(further: &str, redirect_url: &str) -> Result<String, NoCode> {
        pkce(further).unwrap().code(&begun(), redirect_url).map(|code| code.expose().to_owned())
    }

    #[test]
    fn the_address_says_what_rfc_7636_says_and_keeps_what_was_there() {
        assert_eq!(
            pkce("").unwrap().address(&begun(), "c&1", Some("read write")),
            "https://as.example/a?prompt=log%20in&response_type=code&client_id=c%261\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A7777%2Fcb&state=st%2Bte\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&scope=read+write"
        );
    }

    #[test]
    fn verifiers_and_states_are_fresh_or_the_configured_ones() {
        fn nonce() -> String {
            "0123456789abcdef0123456789abcdef".into()
        }
        let fresh = pkce("").unwrap().begin(nonce).unwrap();
        assert!(is_verifier(fresh.verifier.expose()));
        assert_eq!(fresh.state.expose(), nonce());
        let given = pkce(&format!(r#", "code_verifier": "{VERIFIER}", "state": "s""#)).unwrap();
        let begun = given.begin(nonce).unwrap();
        assert_eq!((begun.verifier.expose(), begun.state.expose()), (VERIFIER, "s"));
        assert!(given.begun_elsewhere().is_some());
        assert!(pkce(r#", "state": "s""#).unwrap().begun_elsewhere().is_none());
    }

    #[test]
    fn a_challenge_is_that_of_its_verifier() {
        let both = |challenge: &str| {
            pkce(&format!(r#", "code_verifier": "{VERIFIER}", "code_challenge": "{challenge}""#)).map(drop)
        };
        both("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        let fault = both("canary").unwrap_err().to_string();
        assert!(fault.starts_with("/auth/code_challenge: ") && !fault.contains("canary"), "{fault}");
        let lone = pkce(r#", "code_challenge": "canary""#).unwrap();
        assert!(lone.begin(String::new).is_err());
        for verifier in ["canary", &"c".repeat(129), &format!("{}/", "c".repeat(43))] {
            let fault = pkce(&format!(r#", "code_verifier": "{verifier}""#)).map(drop).unwrap_err();
            assert!(fault.to_string().starts_with("/auth/code_verifier: must be 43"), "{fault}");
        }
    }

    #[test]
    fn a_code_is_read_from_the_whole_address_its_path_or_its_query() {
        for url in [
            "http://127.0.0.1:7777/cb?code=a%2Fb&state=st%2Bte",
            "HTTP://127.0.0.1:7777/cb?x=1&x=2&state=st%2Bte&code=a%2Fb#_=_",
            "/cb?code=a/b&state=st%2Bte",
            "?code=a/b&state=st%2Bte",
            "?code=a/b&state=st%2Bte&iss=https://as.example/tenant",
        ] {
            assert_eq!(code("", url), Ok("a/b".into()), "{url}");
        }
        let issuer = r#", "issuer": "https://as.example""#;
        assert_eq!(code(issuer, "?code=c&state=st%2Bte&iss=https%3A%2F%2Fas.example"), Ok("c".into()));
    }

    #[test]
    fn an_address_of_somebody_else_is_no_answer() {
        for url in [
            "",
            "code",
            "cb?code=c&state=st%2Bte",
            "http://127.0.0.1:7778/cb?code=c&state=st%2Bte",
            "http://127.0.0.1/cb?code=c&state=st%2Bte",
            "https://127.0.0.1:7777/cb?code=c&state=st%2Bte",
            "http://127.0.0.1:7777/cb/?code=c&state=st%2Bte",
            "http://u@127.0.0.1:7777/cb?code=c&state=st%2Bte",
            "//evil.example/cb?code=c&state=st%2Bte",
            "/other?code=c&state=st%2Bte",
        ] {
            assert!(matches!(code("", url), Err(NoCode::NotOurs(_))), "{url}");
        }
    }

    #[test]
    fn what_does_not_fit_what_was_begun_gives_no_code() {
        let issuer = r#", "issuer": "https://as.example""#;
        for (further, url) in [
            ("", "/cb"),
            ("", "?code=c"),
            ("", "?code=c&state="),
            ("", "?code=c&state=st+te"),
            ("", "?code=c&state=st%2Bte2"),
            ("", "?code=c&error=x"),
            ("", "?error=access_denied&state=other"),
            ("", "?state=st%2Bte"),
            ("", "?code=&state=st%2Bte"),
            ("", "?code=c&code=d&state=st%2Bte"),
            ("", "?code=c&state=st%2Bte&state=st%2Bte"),
            ("", "?code=c&state=st%2Bte&iss=https://evil.example"),
            ("", "?code=c&state=st%2Bte&iss=http://as.example"),
            ("", "?code=c&state=st%2Bte&iss=as.example"),
            (issuer, "?code=c&state=st%2Bte"),
            (issuer, "?code=c&state=st%2Bte&iss=https://as.example/"),
        ] {
            assert!(matches!(code(further, url), Err(NoCode::NotTheAnswer(_))), "{further} {url}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_back_a_code_comes_with_its_state_and_from_its_place(
            start in prop::sample::select(vec!["?", "/cb?", "http://127.0.0.1:7777/cb?", "http://evil.example/cb?", "//x/cb?", ""]),
            pairs in prop::collection::vec((
                prop::sample::select(vec!["code", "state", "iss", "error", "x", "%63ode"]),
                prop::sample::select(vec!["c", "st%2Bte", "st+te", "https://as.example", "https://evil.example", "", "%00", "&", "="]),
            ), 0..6),
        ) {
            let query: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let url = format!("{start}{}", query.join("&"));
            let given = |names: &[&str]| -> Vec<_> {
                pairs.iter().filter(|(name, _)| names.contains(name)).map(|(_, value)| *value).collect()
            };
            match code("", &url) {
                Ok(code) => {
                    prop_assert!(["?", "/cb?", "http://127.0.0.1:7777/cb?"].contains(&start), "{url}");
                    prop_assert_eq!(given(&["state"]), ["st%2Bte"], "{}", url);
                    prop_assert_eq!(given(&["code", "%63ode"]).len(), 1, "{}", url);
                    prop_assert!(given(&["error"]).is_empty() && !code.is_empty(), "{url}");
                    prop_assert!(given(&["iss"]).iter().all(|iss| *iss == "https://as.example"), "{url}");
                }
                Err(NoCode::Refused(_)) => prop_assert_eq!(given(&["state"]), ["st%2Bte"], "{}", url),
                Err(NoCode::NotOurs(_) | NoCode::NotTheAnswer(_)) => {}
            }
        }
    }

    #[test]
    fn a_refusal_is_in_the_servers_words() {
        let refused = |url| code("", url).unwrap_err();
        assert_eq!(
            refused("?error=access_denied&error_description=not+today&state=st%2Bte"),
            NoCode::Refused("access_denied: not today".into())
        );
        assert_eq!(refused("?error=server_error&state=st%2Bte"), NoCode::Refused("server_error".into()));
    }
}
