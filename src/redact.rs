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

    /// The value itself, percent-encoded in a URL and in a form, and in Base64. How JSON writes each of them is found in
    /// the text.
    fn add(&mut self, value: &str) {
        if value.len() < SHORTEST {
            return;
        }
        let mut encoded = String::new();
        encode_component(value, &mut encoded);
        let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let lower = [lower_escapes(&encoded), lower_escapes(&form)];
        let base64 = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|e| e.encode(value));
        let forms = [value.to_owned(), encoded, form].into_iter().chain(lower).chain(base64);
        self.needles.extend(forms.filter(|f| f.len() >= SHORTEST).map(Zeroizing::new));
    }

    /// The same, and further ones.
    pub fn with<'s>(&self, further: impl IntoIterator<Item = &'s str>) -> Redactor {
        let mut redactor = self.clone();
        further.into_iter().for_each(|s| redactor.add(s));
        redactor.sort();
        redactor
    }

    /// What both hide.
    pub fn and(&self, other: &Redactor) -> Redactor {
        let mut redactor = self.clone();
        redactor.needles.extend(other.needles.iter().cloned());
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
        match self.redact_escaped(&out) {
            Some(redacted) => Cow::Owned(redacted),
            None => out,
        }
    }

    /// The text without secrets in whose JSON strings something is escaped. Each encoder escapes other characters, and
    /// some in several ways, so that they are looked for in what the text means. None: there are none.
    fn redact_escaped(&self, text: &str) -> Option<String> {
        let (plain, places) = unescaped(text)?;
        let place = |at: usize| {
            let before = places.partition_point(|(plain, _)| *plain <= at).checked_sub(1);
            before.map_or(at, |before| at - places[before].0 + places[before].1)
        };
        let mut found: Vec<Range<usize>> = Vec::new();
        for needle in &self.needles {
            let matches = plain.match_indices(needle.as_str());
            found.extend(matches.map(|(at, _)| place(at)..place(at + needle.len())));
        }
        found.sort_by_key(|range| range.start);
        found.dedup_by(|next, range| {
            let overlap = next.start < range.end;
            if overlap {
                range.end = range.end.max(next.end);
            }
            overlap
        });
        (!found.is_empty()).then(|| blank(text, &found))
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

/// What a text means, and behind each escape, how far both are.
type Unescaped = (Zeroizing<String>, Vec<(usize, usize)>);

/// What a text means where all of it is JSON (RFC 8259 7). None: nothing is escaped in it.
fn unescaped(text: &str) -> Option<Unescaped> {
    let mut escape = memchr::memchr(b'\\', text.as_bytes())?;
    let (mut plain, mut places, mut from) =
        (Zeroizing::new(String::with_capacity(text.len())), Vec::new(), 0);
    loop {
        plain.push_str(&text[from..escape]);
        let (meant, length) = meaning(&text[escape..]);
        plain.push(meant);
        from = escape + length;
        places.push((plain.len(), from));
        match memchr::memchr(b'\\', &text.as_bytes()[from..]) {
            Some(next) => escape = from + next,
            None => break,
        }
    }
    plain.push_str(&text[from..]);
    Some((plain, places))
}

/// What an escape stands for, and its length. One that JSON does not know is a backslash.
fn meaning(escape: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = escape.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let simple = |meant| (meant, 2);
    match escape.as_bytes().get(1) {
        Some(&c @ (b'"' | b'\\' | b'/')) => simple(char::from(c)),
        Some(b'b') => simple('\u{8}'),
        Some(b'f') => simple('\u{c}'),
        Some(b'n') => simple('\n'),
        Some(b'r') => simple('\r'),
        Some(b't') => simple('\t'),
        _ => match (unit(0), unit(6)) {
            (Some(one), two) => match char::decode_utf16([Some(one), two].into_iter().flatten()).next() {
                Some(Ok(meant)) => (meant, if meant.len_utf16() == 2 { 12 } else { 6 }),
                _ => (char::REPLACEMENT_CHARACTER, 6),
            },
            _ => ('\\', 1),
        },
    }
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
    fn a_secret_is_hidden_however_json_writes_it() {
        let r = Redactor::of(["c+n/ary \"é😀\\\n", "plain-one"]);
        for form in [
            r#"c+n/ary \"é😀\\\n"#,
            // PHP; .NET; Go, Python, and everything that can be escaped.
            r#"c+n\/ary \"\u00e9\ud83d\ude00\\\n"#,
            r#"c\u002Bn/ary \u0022\u00E9\uD83D\uDE00\\\n"#,
            r#"\u0063\u002b\u006e\u002f\u0061\u0072\u0079\u0020\u0022\u00e9\ud83d\ude00\u005c\u000a"#,
            // In Base64 and in a form there are slashes and plus signs too.
            r"Yytu\/..",
            r"c%2Bn%2Fary\u002b%22%C3%A9%F0%9F%98%80%5C%0A",
        ] {
            let form = form.replace("Yytu\\/..", &STANDARD.encode("c+n/ary \"é😀\\\n").replace('/', "\\/"));
            let text = format!(r#"{{"a\/b": "<{form}>\n<\u0070lain-one>\t"}}"#);
            assert_eq!(r.redact(&text), r#"{"a\/b": "<***>\n<***>\t"}"#, "{form}");
        }
        assert!(matches!(r.redact(r"C:\users\u00zz\ud83d \"), Cow::Borrowed(_)));
    }

    proptest::proptest! {
        #[test]
        fn escapes_mean_what_a_json_parser_reads(value in "[ -~\u{e0}-\u{ff}\u{1f600}-\u{1f610}\n]{6,12}", mask in 0..1u32 << 12) {
            let write = |(i, c): (usize, char)| match c {
                _ if mask >> i & 1 == 1 || c < ' ' || matches!(c, '"' | '\\') => {
                    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
                }
                c => c.to_string(),
            };
            let json: String = value.chars().enumerate().map(write).collect();
            proptest::prop_assert_eq!(&serde_json::from_str::<String>(&format!("\"{json}\"")).unwrap(), &value);
            let text = format!("é<{json}>");
            proptest::prop_assert_eq!(Redactor::of([&*value]).redact(&text), "é<***>");
        }

        #[test]
        fn no_text_breaks_the_redactor(text in r#"[\\u"/0-9a-fDd8é😀x]{0,40}"#) {
            let r = Redactor::of(["abcdef", "ud83d\\", "\u{fffd}00000"]);
            let _ = r.redact(&text);
        }
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
