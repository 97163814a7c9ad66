//! Who hears everything the library says, and tells whether a secret was in it.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::api::{Answer, Api, Fault, TRUNCATED, log_lines};
use crate::support::Folder;

/// The secrets of a test, and what was said while they were in use.
#[derive(Clone, Default)]
pub struct Witness(Arc<Mutex<(Vec<String>, Vec<Said>)>>);

/// Where it was said, and what.
type Said = (&'static str, String);

impl Witness {
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Witness {
        let witness = Witness::default();
        secrets.into_iter().for_each(|secret| witness.keep(secret));
        witness
    }

    /// One more secret.
    pub fn keep(&self, secret: &str) {
        assert!(secret.len() >= 6, "too short to be looked for");
        self.0.lock().unwrap().0.push(secret.to_owned());
    }

    fn hear(&self, place: &'static str, text: impl ToString) {
        self.0.lock().unwrap().1.push((place, text.to_string()));
    }

    /// The tokens that this connector gets are secrets, too.
    pub fn learns_from(&self, api: &Api) {
        let witness = self.clone();
        api.on_token(move |json| {
            let token: Value = serde_json::from_str(json).unwrap();
            ["access_token", "refresh_token"]
                .iter()
                .filter_map(|key| token[key].as_str())
                .for_each(|t| witness.keep(t));
            0
        })
        .unwrap();
    }

    /// Hears the log meanwhile.
    pub fn listen<T>(&self, f: impl FnOnce() -> T) -> T {
        let (result, lines) = log_lines(f);
        assert!(!lines.is_empty(), "nothing is logged");
        lines.iter().for_each(|line| self.hear("log", line));
        result
    }

    /// Hears what comes back of a call, but for the body, which is the server's own.
    pub fn outcome(&self, outcome: Result<Answer, Fault>) -> Result<Answer, Fault> {
        match &outcome {
            Ok(answer) => self.hear("meta", &answer.meta),
            Err(fault) => {
                self.hear("error", format!("{} {}", fault.message, fault.json));
                let answers = fault.response.iter().chain(&fault.partial);
                answers.for_each(|answer| self.hear("meta of an error", &answer.meta));
            }
        }
        outcome
    }

    /// Hears how it would be asked.
    pub fn explained(&self, api: &Api, endpoint: &str) {
        self.hear("explained call", api.explain(endpoint, None, None).unwrap().text());
        self.hear("explained configuration", api.explain(None, None, None).unwrap().text());
    }

    /// Reads what a download leaves that was cut.
    pub fn left_behind(&self, api: &Api, endpoint: &str) {
        let folder = Folder::new();
        let fault = api.download(endpoint, &folder.path().join("file"), "{}").unwrap_err();
        assert_eq!(fault.status, TRUNCATED, "{}", fault.message);
        let _ = self.outcome(Err(fault));
        assert!(folder.names().len() > 1, "no part and no state: {:?}", folder.names());
        for name in folder.names() {
            let file = std::fs::read(folder.path().join(&name)).unwrap();
            self.hear("file", format!("{name} {}", String::from_utf8_lossy(&file)));
        }
    }

    /// No secret was said in any form: plain, percent-encoded or in Base64, wherever in it it stands.
    pub fn is_content(&self) {
        let (secrets, said) = &*self.0.lock().unwrap();
        assert!(!secrets.is_empty() && said.iter().any(|(place, _)| *place == "log"), "nothing was heard");
        for (place, text) in said {
            let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let plain = [text.clone(), decoded(text), decoded(&text.replace('+', " "))];
            for secret in secrets {
                assert!(!plain.iter().any(|text| text.contains(secret)), "{place}: {secret:?} is in {text}");
                for form in in_base64(secret) {
                    assert!(!plain[0].contains(&form), "{place}: {secret:?} is in {text} as {form}");
                }
            }
        }
    }
}

/// How a secret looks in Base64, and so does its percent-encoded form, whatever stands before and behind it.
fn in_base64(secret: &str) -> Vec<String> {
    let percent: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut forms = Vec::new();
    for secret in [secret, &percent] {
        for before in 0..3 {
            let bytes = [&b"???"[..before], secret.as_bytes()].concat();
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                // The letters that hold nothing but its bits.
                let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
                forms.push(engine.encode(&bytes)[from..to].to_owned());
            }
        }
    }
    forms
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = "canary s+cr/t%&=";
    for said in [
        "GET /?key=canary+s%2bcr%2Ft%25%26%3D".to_owned(),
        "GET /?key=canary%20s%2Bcr/t%25&=".to_owned(),
        format!("key {secret}!"),
    ]
    .into_iter()
    .chain(["", "a:", "ab:", "abc:"].map(|before| STANDARD_NO_PAD.encode(format!("{before}{secret}, and"))))
    .chain(
        ["", "a:", "ab:"]
            .map(|before| URL_SAFE_NO_PAD.encode(format!("{before}canary+s%2Bcr%2Ft%25%26%3D:b"))),
    ) {
        let witness = Witness::new([secret]);
        witness.hear("log", "nothing");
        witness.is_content();
        witness.hear("log", &said);
        let found = std::panic::catch_unwind(|| witness.is_content());
        assert!(found.is_err(), "{said}");
    }
}
