//! Where a redirect leads, as which request, and whether it may be followed. Pure.
//!
//! The methods are those of RFC 9110 15.4; the origin rules are stricter than any browser's, because a
//! program has nobody to ask: what may not be followed is an error that names its reason.

use http::Method;
use url::Url;

use crate::config::{Allowed, Origin};
use crate::response::Head;

/// A longer address is nothing that a request could carry.
pub(super) const LONGEST: usize = 60_000;

/// The request that was answered with a redirect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub method: &'a Method,
    pub url: &'a Url,
    /// Did the chain stay where secrets may go?
    pub trusted: bool,
    pub has_body: bool,
}

/// The request that a redirect asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct To {
    pub method: Method,
    pub url: Url,
    pub origin: Origin,
    /// May it carry what auth, the configuration and the call say? Once a chain has left, never again.
    pub trusted: bool,
    pub keeps_body: bool,
}

/// Is it the status of a redirect that a client can follow by itself?
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The address that an answer names; an error where it names several.
pub(super) fn location(head: &Head) -> Result<Option<&[u8]>, &'static str> {
    let mut all = head.get_all("location");
    let first = all.next();
    match all.find(|other| Some(*other) != first) {
        Some(_) => Err("it has several Location fields, and they differ"),
        None => Ok(first),
    }
}

/// The request that follows, or why none does. `has_secret`: is there a secret of ours in this text?
pub(super) fn follow(
    from: Asked<'_>,
    status: u16,
    location: Option<&[u8]>,
    allowed: &Allowed,
    has_secret: impl Fn(&Url) -> bool,
) -> Result<To, String> {
    let mut url = address(from.url, location, allowed)?;
    // RFC 9110 10.2.2 has clients keep it for themselves; no request carries it.
    url.set_fragment(None);
    let origin = Origin::of(&url).ok_or_else(|| format!("it leads to a `{}:` address", url.scheme()))?;
    if from.url.scheme() == "https" && !origin.is_https() {
        return Err("it leads from https to plain http".into());
    }
    let trusted = from.trusted && allowed.contains(&origin);
    let method = match (status, from.method) {
        (301 | 302, &Method::POST) => Method::GET,
        (303, method) if *method != Method::HEAD => Method::GET,
        (_, method) => method.clone(),
    };
    let keeps_body = from.has_body && method == *from.method && status != 303;
    if !trusted {
        if keeps_body {
            return Err("it would carry the request's body to another origin (allow_origins)".into());
        }
        if method != Method::GET && method != Method::HEAD {
            return Err(format!("it would carry a {method} to another origin (allow_origins)"));
        }
        if has_secret(&url) {
            return Err("its address has a secret in it, and leads to another origin".into());
        }
    }
    Ok(To { method, url, origin, trusted, keeps_body })
}

/// Where a link to the next page leads, as [`Exchange::follow_link`](super::Exchange::follow_link) says it.
pub(super) fn link(base: &str, link: &str, allowed: &Allowed) -> Result<(String, Option<String>), String> {
    let base = Url::parse(base).map_err(|_| "the address of its page cannot be read")?;
    let mut url = address(&base, Some(link.as_bytes()), allowed)?;
    url.set_fragment(None);
    let mut warning = None;
    if base.scheme() == "https" && url.scheme() == "http" && url.host() == base.host() {
        // Servers behind a proxy that has the certificate do not know that they are asked by https.
        let what = "the next page's link leads from https to http on the same host; https was asked instead";
        warning = url.set_scheme("https").ok().map(|()| what.to_owned());
    }
    let origin = Origin::of(&url).ok_or_else(|| format!("it leads to a `{}:` address", url.scheme()))?;
    if base.scheme() == "https" && !origin.is_https() {
        return Err("it leads from https to plain http".into());
    }
    if !allowed.contains(&origin) {
        return Err(format!("it leads to another origin, {origin} (allow_origins)"));
    }
    Ok((String::from(url), warning))
}

/// The address that a Location names, where it says plainly where it leads.
fn address(base: &Url, location: Option<&[u8]>, allowed: &Allowed) -> Result<Url, String> {
    let text = location.map(<[u8]>::trim_ascii).filter(|l| !l.is_empty()).ok_or("it leads nowhere")?;
    let text = std::str::from_utf8(text).map_err(|_| "its address is not UTF-8")?;
    if text.len() > LONGEST {
        return Err(format!("its address is {} bytes long", text.len()));
    }
    let (path, query) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
    if path.contains('\\') || text.contains(|c: char| c.is_control()) {
        return Err("its address has backslashes or control characters in it".into());
    }
    let scheme = path.find([':', '/']).filter(|at| path.as_bytes()[*at] == b':').map(|at| &path[..at]);
    let rest = scheme.map_or(path, |s| &path[s.len() + 1..]);
    if scheme.is_some_and(|s| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https"))
        && (!rest.starts_with("//") || rest.starts_with("///"))
    {
        return Err("its address has no host where one belongs".into());
    }
    // A space is nothing that an address may have; in a query, forms write it so.
    let text = format!("{path}{}", query.replace(' ', "+"));
    let url = base.join(&text).map_err(|e| format!("its address is not a URL: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("its address has user information in it".into());
    }
    // It reads like a path, and is a host.
    let hidden = scheme.is_none() && path.starts_with("//");
    if hidden && !Origin::of(&url).is_some_and(|o| allowed.contains(&o)) {
        return Err("its address begins with `//` and leads to another origin (allow_origins)".into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HERE: &str = "https://api.example/v1/things/7?x=y";

    fn allowed(further: &[&str]) -> Allowed {
        let origin = |text: &str| Origin::of(&text.parse().unwrap()).unwrap();
        Allowed::new(origin(HERE), further.iter().map(|o| origin(o)).collect(), false)
    }

    fn get(status: u16, location: &str) -> Result<To, String> {
        request("GET", false, status, location, &[])
    }

    fn request(
        method: &str,
        has_body: bool,
        status: u16,
        location: &str,
        further: &[&str],
    ) -> Result<To, String> {
        let (method, url) = (method.parse().unwrap(), HERE.parse().unwrap());
        let from = Asked { method: &method, url: &url, trusted: true, has_body };
        follow(from, status, Some(location.as_bytes()), &allowed(further), |url| {
            url.as_str().contains("canary")
        })
    }

    #[test]
    fn an_address_is_read_as_a_url_against_the_one_before() {
        for (location, leads) in [
            ("/a", "https://api.example/a"),
            ("b", "https://api.example/v1/things/b"),
            ("../b?c=d#e", "https://api.example/v1/b?c=d"),
            ("?page=2", "https://api.example/v1/things/7?page=2"),
            ("HTTPS://API.example:443/b", "https://api.example/b"),
            ("https://api.example./b", "https://api.example./b"),
            ("https://other.example", "https://other.example/"),
            ("//api.example/b", "https://api.example/b"),
            ("/m o/ü?a b=c d", "https://api.example/m%20o/%C3%BC?a+b=c+d"),
            ("/a:b", "https://api.example/a:b"),
            ("/login?to=https://x\\y", "https://api.example/login?to=https://x\\y"),
        ] {
            assert_eq!(get(302, location).unwrap().url.as_str(), leads, "{location}");
        }
    }

    #[test]
    fn the_origin_decides_about_trust_and_not_the_spelling() {
        for (location, trusted) in [
            ("https://api.example/b", true),
            ("HTTPS://API.EXAMPLE:443/b", true),
            ("https://api.example:444/b", false),
            ("https://api.example./b", false),
            ("https://sub.api.example/b", false),
            ("https://example/b", false),
            ("https://api.example.evil.com/", false),
        ] {
            assert_eq!(get(307, location).unwrap().trusted, trusted, "{location}");
        }
        let to = request("GET", false, 302, "https://cdn.example/x", &["https://cdn.example"]);
        assert!(to.unwrap().trusted);
    }

    #[test]
    fn a_chain_that_has_left_never_comes_back_to_trust() {
        let url = "https://evil.example/".parse().unwrap();
        let from = Asked { method: &Method::GET, url: &url, trusted: false, has_body: false };
        let to = follow(from, 302, Some(HERE.as_bytes()), &allowed(&[]), |_| false).unwrap();
        assert!(!to.trusted && to.url.as_str() == HERE);
    }

    #[test]
    fn what_does_not_say_plainly_where_it_leads_is_not_followed() {
        for location in [
            "",
            "  ",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:,x",
            "ftp://api.example/x",
            "//evil.example/x",
            "\\\\evil.example/x",
            "/\\evil.example",
            "http:evil",
            "https:evil",
            "https:/evil",
            "https:///evil",
            "https://api@evil.example/",
            "https://u:p@api.example/x",
            "https://",
            "https://[::1",
            "https://api.example:99999/",
            "http://api.example/v1/things/7",
            "/a\tb",
            "mailto:a@b.example",
        ] {
            assert!(get(302, location).is_err(), "{location:?} leads to {:?}", get(302, location));
        }
        let (method, url) = (Method::GET, HERE.parse().unwrap());
        let from = Asked { method: &method, url: &url, trusted: true, has_body: false };
        assert!(follow(from, 302, None, &allowed(&[]), |_| false).is_err());
        assert!(follow(from, 302, Some(b"/\xff"), &allowed(&[]), |_| false).is_err());
    }

    #[test]
    fn a_link_to_the_next_page_leads_to_an_allowed_origin_or_nowhere() {
        let far = allowed(&["https://cdn.example:8443"]);
        for (to, leads) in [
            ("/a?b=c#d", "https://api.example/a?b=c"),
            ("?page=2", "https://api.example/v1/things/7?page=2"),
            ("HTTPS://API.example:443/b", "https://api.example/b"),
            ("https://cdn.example:8443/x", "https://cdn.example:8443/x"),
            ("//cdn.example:8443/x", "https://cdn.example:8443/x"),
        ] {
            assert_eq!(link(HERE, to, &far), Ok((leads.to_owned(), None)), "{to}");
        }
        let (address, warning) = link(HERE, "http://api.example/b?c", &far).unwrap();
        assert_eq!(address, "https://api.example/b?c");
        assert!(warning.unwrap().contains("https was asked instead"));
        for (to, why) in [
            ("https://api.example:444/b", "https://api.example:444"),
            ("https://api.example./b", "another origin"),
            ("https://sub.api.example/b", "another origin"),
            ("http://cdn.example/x", "plain http"),
            ("http://api.example:8080/b", "another origin"),
            ("https://api@cdn.example:8443/x", "user information"),
            ("//evil.example/x", "another origin"),
            ("file:///etc/passwd", "`file:`"),
        ] {
            let refused = link(HERE, to, &far).unwrap_err();
            assert!(refused.contains(why), "{to}: {refused}");
        }
        assert_eq!(
            link("http://api.example/a", "http://api.example/b", &allowed(&["http://api.example"]))
                .unwrap()
                .1,
            None
        );
    }

    #[test]
    fn plain_http_is_never_where_https_leads() {
        let to = request("GET", false, 302, "http://cdn.example/", &["http://cdn.example"]);
        assert!(to.unwrap_err().contains("https to plain http"));
    }

    #[test]
    fn methods_change_as_rfc_9110_says() {
        for (status, method, becomes, keeps) in [
            (301, "POST", "GET", false),
            (302, "POST", "GET", false),
            (303, "POST", "GET", false),
            (307, "POST", "POST", true),
            (308, "POST", "POST", true),
            (301, "PUT", "PUT", true),
            (303, "PUT", "GET", false),
            (303, "DELETE", "GET", false),
            (302, "PATCH", "PATCH", true),
            (303, "GET", "GET", false),
            (302, "GET", "GET", true),
        ] {
            let to = request(method, true, status, "/x", &[]).unwrap();
            assert_eq!((to.method.as_str(), to.keeps_body), (becomes, keeps), "{status} {method}");
        }
        let head = request("HEAD", false, 303, "/x", &[]).unwrap();
        assert_eq!(head.method, Method::HEAD);
    }

    #[test]
    fn a_body_or_an_unsafe_method_goes_to_no_other_origin() {
        let away = "https://other.example/x";
        for (method, body, status, follows) in [
            ("POST", true, 307, false),
            ("POST", true, 303, true),
            ("POST", true, 302, true),
            ("PUT", true, 301, false),
            ("DELETE", false, 302, false),
            ("DELETE", false, 303, true),
            ("OPTIONS", false, 302, false),
            ("GET", true, 302, false),
            ("GET", false, 308, true),
            ("HEAD", false, 302, true),
        ] {
            let to = request(method, body, status, away, &[]);
            assert_eq!(to.is_ok(), follows, "{status} {method}: {to:?}");
            assert!(request(method, body, status, away, &["https://other.example"]).unwrap().trusted);
        }
    }

    #[test]
    fn a_secret_that_the_server_says_back_does_not_travel_on() {
        assert!(get(302, "https://other.example/?key=canary").is_err());
        assert!(get(302, "/?key=canary").is_ok());
    }
}
