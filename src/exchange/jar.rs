//! The cookies of one connector, in memory (RFC 6265). Off unless `cookies: true`; shared with no other connector.

use cookie_store::{CookieStore, RawCookie};
use parking_lot::Mutex;
use url::Url;

use crate::response::Head;

/// What browsers keep at most of one cookie, and a server gets to leave with us at all.
const LARGEST: usize = 4096;
const MOST: usize = 300;

#[derive(Debug, Default)]
pub(super) struct Jar(Mutex<CookieStore>);

impl Jar {
    /// Keeps what an answer sets, as far as it may: a cookie that is not acceptable is no failure.
    pub fn keep(&self, head: &Head, url: &Url) {
        for value in head.get_all("set-cookie") {
            let Some(cookie) = std::str::from_utf8(value).ok().filter(|v| v.len() <= LARGEST) else {
                continue;
            };
            let Ok(cookie) = RawCookie::parse(cookie.to_owned()) else { continue };
            if !is_acceptable(&cookie, url) {
                continue;
            }
            let mut store = self.0.lock();
            // A full jar still takes what replaces or ends a cookie, and what expired makes room.
            let domain = cookie.domain().or(url.host_str()).unwrap_or_default().trim_start_matches('.');
            let known =
                store.iter_any().any(|c| c.name() == cookie.name() && String::from(&c.domain) == domain);
            if !known && store.iter_unexpired().count() >= MOST {
                continue;
            }
            // Another domain's, and the like: its refusal is all there is to it.
            let _ = store.insert_raw(&cookie, url);
        }
    }

    /// The value of Cookie: what was configured, and behind it what the server has set under other names.
    pub fn join(&self, configured: Option<&[u8]>, url: &Url) -> Option<Vec<u8>> {
        let mut out = configured.unwrap_or_default().to_vec();
        let names: Vec<Vec<u8>> = out.split(|b| *b == b';').map(name).collect();
        let store = self.0.lock();
        let mut cookies = store.matches(url);
        // RFC 6265 5.4: longer paths first; by name, so that the order does not depend on a hash.
        cookies.sort_by(|a, b| {
            let length = |c: &cookie_store::Cookie<'_>| String::from(&c.path).len();
            length(b).cmp(&length(a)).then_with(|| a.name().cmp(b.name()))
        });
        for cookie in cookies {
            let secret = cookie.secure() == Some(true) && url.scheme() != "https";
            if secret || names.iter().any(|n| n == cookie.name().as_bytes()) {
                continue;
            }
            if !out.is_empty() {
                out.extend_from_slice(b"; ");
            }
            out.extend_from_slice(format!("{}={}", cookie.name(), cookie.value()).as_bytes());
        }
        (!out.is_empty()).then_some(out)
    }
}

fn name(pair: &[u8]) -> Vec<u8> {
    pair.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii().to_vec()
}

/// What the store does not see to: `Secure` over plain http, and domains that belong to nobody in particular.
fn is_acceptable(cookie: &RawCookie<'_>, url: &Url) -> bool {
    if cookie.secure() == Some(true) && url.scheme() != "https" {
        return false;
    }
    let visible = |text: &str| text.bytes().all(|b| b >= 0x20 && b != 0x7f && b != b';');
    if !visible(cookie.name()) || !visible(cookie.value()) {
        return false;
    }
    let Some(domain) = cookie.domain() else { return true };
    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
    let own = url.host_str() == Some(domain.as_str());
    own || psl::suffix_str(&domain).is_some_and(|suffix| suffix != domain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn head(cookies: &[String]) -> Head {
        let (mut bytes, mut fields) = (Vec::new(), Vec::new());
        for cookie in cookies {
            let name = bytes.len() as u32..bytes.len() as u32 + 10;
            bytes.extend_from_slice(b"Set-Cookie");
            let from = bytes.len() as u32;
            bytes.extend_from_slice(cookie.as_bytes());
            fields.push((name, from..bytes.len() as u32));
        }
        Head::new(200, 1, bytes.into(), fields.into_iter())
    }

    /// What is sent to `to` after `from` has set one cookie.
    fn sent(from: &str, cookie: &str, to: &str) -> Option<String> {
        let jar = Jar::default();
        jar.keep(&head(&[cookie.to_owned()]), &from.parse().unwrap());
        jar.join(None, &to.parse().unwrap()).map(|v| String::from_utf8(v).unwrap())
    }

    #[test]
    fn a_cookie_goes_where_its_server_may_send_it_and_nowhere_else() {
        let a = "https://a.example.com/x/y";
        for (from, cookie, to, goes) in [
            (a, "n=v", "https://a.example.com/x/z", true),
            (a, "n=v", "https://a.example.com/", false),
            (a, "n=v; Path=/", "https://a.example.com/", true),
            (a, "n=v; Path=/", "https://b.example.com/", false),
            (a, "n=v; Path=/", "https://sub.a.example.com/", false),
            (a, "n=v; Path=/; Domain=example.com", "https://b.example.com/", true),
            (a, "n=v; Path=/; Domain=.Example.com", "https://b.example.com/", true),
            (a, "n=v; Path=/; Domain=example.com", "https://notexample.com/", false),
            (a, "n=v; Path=/; Domain=evil.com", "https://evil.com/", false),
            (a, "n=v; Path=/; Domain=b.example.com", "https://b.example.com/", false),
            (a, "n=v; Path=/; Domain=com", a, false),
            (a, "n=v; Path=/; Domain=com", "https://b.com/", false),
            ("https://x.co.uk/", "n=v; Path=/; Domain=co.uk", "https://y.co.uk/", false),
            ("https://me.github.io/", "n=v; Path=/; Domain=github.io", "https://you.github.io/", false),
            // A public suffix may set one for itself alone.
            ("https://github.io/", "n=v; Path=/; Domain=github.io", "https://github.io/", true),
            ("https://127.0.0.1/", "n=v; Path=/; Domain=0.0.1", "https://127.0.0.1/", false),
            (a, "n=v; Path=/; Secure", a, true),
            (a, "n=v; Path=/; Secure", "http://a.example.com/", false),
            ("http://a.example.com/", "n=v; Path=/; Secure", a, false),
            ("http://localhost/", "n=v; Path=/; Secure", "http://localhost/", false),
            ("http://a.example.com/", "n=v; Path=/; HttpOnly", "http://a.example.com/", true),
            (a, "n=v; Max-Age=0", a, false),
            (a, "n=v; Expires=Wed, 21 Oct 2015 07:28:00 GMT", a, false),
            (a, "garbage", a, false),
            (a, "n=\u{1}", a, false),
        ] {
            assert_eq!(sent(from, cookie, to).is_some(), goes, "{cookie:?} from {from} to {to}");
        }
    }

    #[test]
    fn a_cookie_is_replaced_ended_and_never_stands_over_what_was_configured() {
        let (jar, url) = (Jar::default(), "https://a.example/".parse().unwrap());
        let keep = |cookies: &[&str]| {
            jar.keep(&head(&cookies.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()), &url);
        };
        keep(&["b=1", "a=1", "key=stolen"]);
        let sent =
            |configured: Option<&[u8]>| String::from_utf8(jar.join(configured, &url).unwrap()).unwrap();
        assert_eq!(sent(Some(b"key=mine; x=y")), "key=mine; x=y; a=1; b=1");
        keep(&["a=2", "b=; Max-Age=0"]);
        assert_eq!(sent(None), "a=2; key=stolen");
    }

    #[test]
    fn a_server_cannot_fill_the_memory_with_cookies() {
        let (jar, url) = (Jar::default(), "https://a.example/".parse().unwrap());
        jar.keep(&head(&[format!("large={}", "x".repeat(LARGEST))]), &url);
        assert_eq!(jar.join(None, &url), None);
        jar.keep(&head(&(0..1000).map(|n| format!("n{n}=v")).collect::<Vec<_>>()), &url);
        assert_eq!(jar.0.lock().iter_any().count(), MOST);
        // One that is there is still replaced.
        jar.keep(&head(&["n7=new".to_owned()]), &url);
        assert!(String::from_utf8(jar.join(None, &url).unwrap()).unwrap().contains("n7=new"));
    }
}
