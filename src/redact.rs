//! Redaction: whatever text leaves the library has its secrets replaced, in every form they travel in.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::percent::encode_component;

/// Shorter values stand in ordinary words too; they are hidden only where their place is known.
const SHORTEST: usize = 6;

/// What stands in a secret's place.
pub const HIDDEN: &str = "***";

/// Finds secrets in texts.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a secret inside another one does not spoil it.
    needles: Vec<Zeroizing<String>>,
}

impl Redactor {
    /// Knows these secrets.
    pub fn of<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Redactor {
        let mut redactor = Redactor::default();
        secrets.into_iter().for_each(|s| redactor.add(s));
        redactor.sort();
        redactor
    }

    fn sort(&mut self) {
        self.needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.needles.dedup();
    }

    /// The value itself, percent-encoded in a URL and in a form, in Base64, and inside a JSON string.
    fn add(&mut self, value: &str) {
        if value.len() < SHORTEST {
            return;
        }
        let mut encoded = String::new();
        encode_component(value, &mut encoded);
        let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let lower = [lower_escapes(&encoded), lower_escapes(&form)];
        let json = serde_json::to_string(value).unwrap_or_default();
        let json = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned();
        let base64 = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|e| e.encode(value));
        let forms = [value.to_owned(), encoded, form, json].into_iter().chain(lower).chain(base64);
        self.needles.extend(forms.filter(|f| f.len() >= SHORTEST).map(Zeroizing::new));
    }

    /// The same, and further ones.
    pub fn with<'s>(&self, further: impl IntoIterator<Item = &'s str>) -> Redactor {
        let mut redactor = self.clone();
        further.into_iter().for_each(|s| redactor.add(s));
        redactor.sort();
        redactor
    }

    /// Is there one of them in the text? Upper and lower case do not matter: a host has none.
    pub fn finds(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.needles.iter().any(|needle| text.contains(&needle.to_lowercase()))
    }

    /// The text without secrets.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = Cow::Borrowed(text);
        for needle in &self.needles {
            if out.contains(needle.as_str()) {
                out = Cow::Owned(out.replace(needle.as_str(), HIDDEN));
            }
        }
        out
    }

    /// What a server says, for a message: in one line, and not long. Redacted before it is shortened: a piece of a secret
    /// would not be found any more.
    pub fn excerpt(&self, text: &str) -> String {
        const MOST: usize = 200;
        let text = self.redact(text);
        let short = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c });
        let mut short: String = short.collect();
        if text.chars().nth(MOST).is_some() {
            short.push('…');
        }
        short
    }
}

/// A URL that is shown without its secrets. They are taken out when it is first asked for: of most answers, it
/// never is.
#[derive(Clone, Default)]
pub struct ShownUrl(Option<Arc<Unshown>>);

struct Unshown {
    url: Zeroizing<String>,
    /// Where secrets lie in it; the redactor looks for the others.
    secret: Box<[Range<usize>]>,
    redactor: Arc<Redactor>,
    shown: OnceLock<String>,
}

impl ShownUrl {
    /// A URL with secrets at known places, and maybe at others.
    pub fn new(url: &str, secret: &[Range<usize>], redactor: Arc<Redactor>) -> ShownUrl {
        let url = Zeroizing::new(url.to_owned());
        ShownUrl(Some(Arc::new(Unshown { url, secret: secret.into(), redactor, shown: OnceLock::new() })))
    }

    /// The URL itself, for requests alone.
    pub(crate) fn expose(&self) -> &str {
        self.0.as_ref().map_or("", |unshown| &unshown.url)
    }

    /// The URL without its secrets; empty where there is none.
    pub fn as_str(&self) -> &str {
        let Some(unshown) = &self.0 else { return "" };
        unshown.shown.get_or_init(|| {
            let blanked = blank(&unshown.url, &unshown.secret);
            unshown.redactor.redact(&blanked).into_owned()
        })
    }
}

impl fmt::Display for ShownUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ShownUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for ShownUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The text without these parts of it.
pub fn blank(text: &str, secret: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for range in secret {
        out.push_str(&text[from..range.start]);
        out.push_str(HIDDEN);
        from = range.end;
    }
    out.push_str(&text[from..]);
    out
}

/// `%2F` → `%2f`: both are in use.
fn lower_escapes(encoded: &str) -> String {
    let mut escape = 0;
    let lower = |c: char| {
        escape = if c == '%' { 2 } else { i32::max(escape - 1, -1) };
        if c != '%' && escape >= 0 { c.to_ascii_lowercase() } else { c }
    };
    encoded.chars().map(lower).collect()
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.needles.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_form_of_a_secret_is_hidden() {
        let r = Redactor::of(["pa/ss wörd\""]);
        let b64 = STANDARD.encode("pa/ss wörd\"");
        let in_a_url = ["pa%2Fss%20w%C3%B6rd%22", "pa%2fss%20w%c3%b6rd%22"];
        let in_a_form = ["pa%2Fss+w%C3%B6rd%22", "pa%2fss+w%c3%b6rd%22"];
        let others = ["pa/ss wörd\"", "pa/ss wörd\\\"", &b64];
        for form in in_a_url.into_iter().chain(in_a_form).chain(others) {
            assert_eq!(r.redact(&format!("<{form}>")), "<***>", "{form}");
        }
        assert!(matches!(r.redact("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_url_is_shown_without_secrets_whose_place_is_known_and_without_others() {
        let redactor = Arc::new(Redactor::of(["abcdefgh"]));
        let url = ShownUrl::new("https://a.example/pin/77?q=1234&s=abcdefgh", &[22..24, 27..31], redactor);
        for shown in [url.to_string(), format!("{url:?}"), serde_json::to_string(&url.clone()).unwrap()] {
            assert_eq!(shown.trim_matches('"'), "https://a.example/pin/***?q=***&s=***");
        }
        assert_eq!(ShownUrl::default().as_str(), "");
    }

    #[test]
    fn short_values_are_not_searched_for() {
        let r = Redactor::of(["admin"]);
        assert_eq!(r.redact("the admin said"), "the admin said");
    }

    #[test]
    fn a_secret_inside_another_does_not_spoil_it() {
        let r = Redactor::of(["abcdef", "abcdefghi"]);
        assert_eq!(r.redact("abcdefghi abcdef"), "*** ***");
    }
}
