//! Answers that are kept for conditional requests (RFC 9111, private, in memory). No I/O of its own.
//!
//! Every request goes out: what was kept is delivered when the server says, by 304, that it still holds. How long an
//! answer is fresh (`max-age`, `Expires`) is therefore of no interest here.

mod store;

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use ring::digest::{Context, SHA256};

use crate::config::endpoint;
use crate::decode::http_date;
use crate::error::Result;
use crate::request::Prepared;
use crate::response::{Attempt, Head, Response};
use store::{Digest, Kept, Store};

/// More fields than this select no answer that somebody asks for again.
const MOST_FIELDS: usize = 64;

/// The answers of one endpoint.
#[derive(Debug)]
pub struct Cache(Mutex<Store>);

/// Which of a request's fields are not known before it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Unseen {
    /// There is a callback that signs, and may set any.
    pub signed: bool,
    /// There is a jar that adds to Cookie.
    pub cookies: bool,
}

impl Unseen {
    fn has(self, field: &str) -> bool {
        self.signed && !field.starts_with("accept") || self.cookies && field == "cookie"
    }
}

impl Cache {
    /// An empty one.
    pub fn new(keys: &endpoint::Cache) -> Cache {
        Cache(Mutex::new(Store::new(keys.max_entries(), keys.max_bytes())))
    }

    /// Asks, with the validators of what is kept, where something is. `ask` carries one request out.
    pub fn through(
        &self,
        prepared: &Prepared<'_>,
        unseen: Unseen,
        ask: impl Fn(&Prepared<'_>) -> Result<Response>,
    ) -> Result<Response> {
        if !is_cacheable(prepared) {
            return ask(prepared);
        }
        let url = digest_of(&prepared.url);
        let max_body = prepared.settings.limits.max_body;
        let is_ours = |kept: &Kept| kept.selected == selected(&kept.fields, prepared);
        let found = self.0.lock().find(&url, is_ours).filter(|kept| kept.body.len() as u64 <= max_body);
        let Some(kept) = found else {
            let answer = ask(prepared)?;
            self.keep(url, prepared, unseen, &answer);
            return Ok(answer);
        };
        let begun = Instant::now();
        let mut conditional = prepared.clone();
        conditional.is_conditional = true;
        // As if the caller had said them: to another origin, they are about nothing.
        if let Some(etag) = &kept.etag {
            conditional.set_theirs("If-None-Match", etag.clone());
        }
        if let Some(date) = &kept.last_modified {
            conditional.set_theirs("If-Modified-Since", date.clone());
        }
        let answer = ask(&conditional)?;
        if answer.head.status != 304 {
            self.0.lock().remove(&url, is_ours);
            self.keep(url, prepared, unseen, &answer);
            return Ok(answer);
        }
        if is_about(&answer, &kept) {
            let head = updated(&kept.head, &answer.head);
            let mut meta = answer.meta;
            meta.revalidated = true;
            meta.length_known = true;
            let fresh = Kept { head: head.clone(), ..(*kept).clone() };
            self.0.lock().keep(url, Arc::new(fresh.measured()));
            return Ok(Response::new(head, meta, kept.body.to_vec()));
        }
        // It confirms something that is not here: once more, without a condition.
        self.0.lock().remove(&url, is_ours);
        let mut again = prepared.clone();
        again.deadline = again.deadline.map(|all| all.saturating_sub(begun.elapsed()));
        let before = answer.meta.attempts;
        match ask(&again) {
            Ok(mut answer) => {
                self.keep(url, prepared, unseen, &answer);
                answer.meta.attempts = joined(before, answer.meta.attempts);
                Ok(answer)
            }
            Err(mut error) => {
                error.attempts = joined(before, std::mem::take(&mut error.attempts));
                Err(error)
            }
        }
    }

    /// What changed a resource makes what is kept of it worthless (RFC 9111 4.4).
    pub fn forget(&self, url: &str) {
        self.0.lock().forget(&digest_of(url));
    }

    /// Keeps an answer that may be kept.
    fn keep(&self, url: Digest, prepared: &Prepared<'_>, unseen: Unseen, answer: &Response) {
        let head = &answer.head;
        // An end that is not certain may be a cut one; and what is behind a redirect has another URL.
        let is_whole = head.status == 200 && answer.meta.length_known && answer.meta.redirects.is_empty();
        if !is_whole || has_no_store(head.get_all("cache-control")) {
            return;
        }
        let etag = validator(head, "etag");
        let last_modified = validator(head, "last-modified").filter(|date| http_date(date).is_some());
        if etag.is_none() && last_modified.is_none() {
            return;
        }
        let Some(fields) = fields(head, prepared, unseen) else { return };
        let kept = Kept {
            selected: selected(&fields, prepared),
            fields,
            head: head.clone(),
            body: answer.body().into(),
            etag,
            last_modified,
            size: 0,
        };
        self.0.lock().keep(url, Arc::new(kept.measured()));
    }
}

/// May the answer to it be kept, and the request be given a condition? One that the caller gave it is the caller's own.
fn is_cacheable(prepared: &Prepared<'_>) -> bool {
    const CALLERS: [&str; 6] =
        ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"];
    let is_callers = |name: &str| CALLERS.iter().any(|c| name.eq_ignore_ascii_case(c));
    let control = prepared.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cache-control"));
    prepared.method == "GET"
        && prepared.body.is_none()
        && !prepared.headers.iter().any(|(name, _)| is_callers(name))
        && !has_no_store(control.map(|(_, value)| value.as_bytes()))
}

/// A directive inside a quoted string counts too: then less is kept than may be.
fn has_no_store<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> bool {
    let is = |directive: &[u8]| {
        let name = directive.split(|b| *b == b'=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"no-store")
    };
    values.any(|value| value.split(|b| matches!(b, b',' | b'"')).any(is))
}

/// A validator that can be sent back as it came.
fn validator(head: &Head, name: &str) -> Option<String> {
    let mut values = head.get_all(name);
    let value = std::str::from_utf8(values.next()?).ok()?.trim();
    (values.next().is_none() && !value.is_empty()).then(|| value.to_owned())
}

/// The fields of the request that the answer was selected by, in small letters (RFC 9111 4.1): those that it varies by,
/// and whoever asks. None: another request cannot be compared with this one.
fn fields(head: &Head, prepared: &Prepared<'_>, unseen: Unseen) -> Option<Vec<String>> {
    let mut fields: Vec<String> = ["authorization", "cookie", "accept-encoding"].map(str::to_owned).into();
    fields.extend(prepared.secret_headers.iter().map(|name| name.to_ascii_lowercase()));
    for value in head.get_all("vary") {
        for name in std::str::from_utf8(value).ok()?.split(',').map(str::trim).filter(|n| !n.is_empty()) {
            let name = name.to_ascii_lowercase();
            if name == "*" || unseen.has(&name) {
                return None;
            }
            fields.push(name);
        }
    }
    fields.sort();
    fields.dedup();
    (fields.len() <= MOST_FIELDS).then_some(fields)
}

/// What these fields say in a request. Only a digest of it is kept: there are credentials in it.
fn selected(fields: &[String], prepared: &Prepared<'_>) -> Digest {
    let mut context = Context::new(&SHA256);
    for field in fields {
        context.update(field.as_bytes());
        for (_, value) in prepared.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(field)) {
            context.update(b"\n");
            context.update(value.as_bytes());
        }
        context.update(b"\0");
    }
    store::digest(context)
}

fn digest_of(text: &str) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(text.as_bytes());
    store::digest(context)
}

/// Does a 304 confirm what is kept (RFC 9111 4.3.4)? One from behind a redirect is about another resource.
fn is_about(answer: &Response, kept: &Kept) -> bool {
    fn opaque(etag: &str) -> &str {
        etag.strip_prefix("W/").unwrap_or(etag)
    }
    let head = &answer.head;
    answer.meta.redirects.is_empty()
        && match (head.get("etag"), &kept.etag) {
            (Some(etag), Some(ours)) => {
                std::str::from_utf8(etag).is_ok_and(|e| opaque(e.trim()) == opaque(ours))
            }
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (None, None) => head.get("last-modified").is_none_or(|date| {
                Some(date.trim_ascii()) == kept.last_modified.as_deref().map(str::as_bytes)
            }),
        }
}

/// The kept head with what a 304 says anew (RFC 9111 3.2).
fn updated(kept: &Head, new: &Head) -> Head {
    // The body is the old one, without its codings: what describes it stays. And what frames a message is the message's.
    const KEPT: [&str; 12] = [
        "content-length",
        "content-encoding",
        "content-range",
        "content-type",
        "transfer-encoding",
        "trailer",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-connection",
        "upgrade",
    ];
    let is = |name: &[u8], other: &[u8]| name.eq_ignore_ascii_case(other);
    let stays = |name: &[u8]| KEPT.iter().any(|kept| is(name, kept.as_bytes()));
    // What an old answer said of quotas is not so any more.
    let is_quota = |name: &[u8]| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        name.contains("ratelimit") || name.contains("rate-limit")
    };
    let replaced = |name: &[u8]| is_quota(name) || !stays(name) && new.iter().any(|(n, _)| is(n, name));
    let old = kept.iter().filter(|(name, _)| !replaced(name));
    Head::of(200, new.minor_version, old.chain(new.iter().filter(|(name, _)| !stays(name))))
}

/// The attempts of a call, counted through.
fn joined(mut first: Vec<Attempt>, then: Vec<Attempt>) -> Vec<Attempt> {
    first.extend(then);
    for (n, attempt) in (1..).zip(&mut first) {
        attempt.n = n;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::head;

    fn pairs(head: &Head) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        head.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn no_store_is_found_wherever_it_stands() {
        for value in ["no-store", "No-Store", "max-age=1 , no-store", "no-store=x", "private=\"a\", no-store"]
        {
            assert!(has_no_store([value.as_bytes()].into_iter()), "{value}");
        }
        assert!(has_no_store([&b"max-age=1"[..], b"no-store"].into_iter()));
        for value in ["", "no-cache", "no-storey", "max-age=1, private"] {
            assert!(!has_no_store([value.as_bytes()].into_iter()), "{value}");
        }
    }

    #[test]
    fn a_304_renews_the_head_and_leaves_what_describes_the_body() {
        let kept = head(
            200,
            &[
                ("Content-Type", "a/b"),
                ("ETag", "\"1\""),
                ("X-A", "old"),
                ("x-a", "older"),
                ("X-RateLimit-Remaining", "9"),
            ],
        );
        let new = head(
            304,
            &[("Content-Type", "text/html"), ("Content-Length", "0"), ("x-A", "new"), ("Date", "now")],
        );
        let updated = updated(&kept, &new);
        assert_eq!(updated.status, 200);
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        assert_eq!(
            pairs(&updated),
            [pair("Content-Type", "a/b"), pair("ETag", "\"1\""), pair("x-A", "new"), pair("Date", "now")]
        );
    }

    #[test]
    fn a_validator_is_one_text() {
        let of = |fields: &[(&str, &str)]| validator(&head(200, fields), "etag");
        assert_eq!(of(&[("ETag", " W/\"1\" ")]), Some("W/\"1\"".into()));
        assert_eq!(of(&[("ETag", "")]), None);
        assert_eq!(of(&[("ETag", "\"1\""), ("ETag", "\"2\"")]), None);
        assert_eq!(of(&[]), None);
    }
}
