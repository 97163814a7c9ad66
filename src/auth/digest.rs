//! HTTP Digest (RFC 7616): what servers asked for is remembered, so that most requests need no second one.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::challenge::{Challenge, Signing, Unanswerable};
use super::scheme::{Ask, Refusal, Scheme, Signable, Verdict};
use crate::config::auth::UserPassword;
use crate::config::{Secret, header_value};
use crate::error::{Error, Kind, Result};
use crate::request::path_and_query;

/// User name and password, and the challenges so far.
pub struct Digest {
    username: Secret,
    password: Secret,
    nonce: fn() -> String,
    sessions: Mutex<Sessions>,
}

/// So many origins are remembered; another one takes the place of the one with the oldest challenge.
const MOST: usize = 64;

#[derive(Default)]
struct Sessions {
    /// By origin.
    known: HashMap<String, Session>,
    /// The number of the last one.
    last: u64,
}

/// A challenge that is being used.
#[derive(Clone)]
struct Session {
    number: u64,
    challenge: Challenge,
    /// One for all requests, so that the key of a `-sess` algorithm is the same whichever of them a server takes it from.
    cnonce: String,
    /// How often its nonce was used.
    count: u32,
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digest").finish_non_exhaustive()
    }
}

impl Digest {
    /// Reads the keys of `auth`. `nonce`: makes what nobody can guess.
    pub fn new(keys: &UserPassword, nonce: fn() -> String) -> Result<Digest> {
        header_value(keys.username.expose()).map_err(|m| Error::config(format!("/auth/username: {m}")))?;
        Ok(Digest {
            username: keys.username.clone(),
            password: keys.password.clone(),
            nonce,
            sessions: Mutex::default(),
        })
    }

    /// The challenge for an origin; it is used once more with this.
    fn next(&self, origin: &str) -> Option<Session> {
        let mut sessions = self.sessions.lock();
        let session = sessions.known.get_mut(origin)?;
        match session.count.checked_add(1) {
            Some(count) => session.count = count,
            // Used up: the server is asked for another one.
            None => return sessions.known.remove(origin).and(None),
        }
        Some(session.clone())
    }
}

/// A request that was sent without credentials.
const BARE: u64 = 0;

impl Scheme for Digest {
    /// Before the server has asked for something, there is nothing to answer.
    fn sign(&self, draft: &mut dyn Signable, ask: Option<&dyn Ask>) -> Result<u64> {
        // One that is only shown uses no nonce up.
        if ask.is_none() {
            return Ok(BARE);
        }
        let (origin, uri) = parts(draft.url());
        let Some(Session { number, challenge, cnonce, count }) = self.next(origin) else { return Ok(BARE) };
        let signing = Signing { method: draft.method(), uri, body: draft.body(), count, cnonce: &cnonce };
        let value = challenge.response(self.username.expose(), self.password.expose(), &signing);
        let value = value.map_err(|what| Error::new(Kind::Auth, format!("HTTP Digest: {what}")))?;
        draft.set_header("Authorization", &value)?;
        Ok(number)
    }

    /// A challenge is answered once, and once more where it says that only the nonce was too old.
    fn refused(&self, number: u64, refusal: &Refusal<'_>) -> Verdict {
        let challenge = match Challenge::of(refusal.head) {
            Ok(challenge) => challenge,
            Err(Unanswerable::None) => return Verdict::Because("it offers no HTTP Digest".into()),
            Err(Unanswerable::Unknown(what)) => return Verdict::Because(format!("HTTP Digest: {what}")),
        };
        let (origin, _) = parts(refusal.url);
        let mut sessions = self.sessions.lock();
        let now = sessions.known.get(origin);
        // The same nonce goes on being counted, whoever was told it.
        let goes_on = now.is_some_and(|session| session.challenge.nonce == challenge.nonce);
        let was_answered = goes_on && now.is_some_and(|session| session.number == number);
        let again = challenge.stale && refusal.renewals < 2 || refusal.renewals == 0 && !was_answered;
        if !again {
            // The next call asks first, so that each one tries the password once.
            sessions.known.remove(origin);
            return Verdict::Because("it refuses this user name and password (HTTP Digest)".into());
        }
        if !goes_on {
            sessions.last += 1;
            let session = Session { number: sessions.last, challenge, cnonce: (self.nonce)(), count: 0 };
            // A server that sends to ever further ones fills no memory.
            if sessions.known.len() >= MOST && !sessions.known.contains_key(origin) {
                let oldest = sessions.known.iter().min_by_key(|(_, session)| session.number);
                let oldest = oldest.map(|(origin, _)| origin.clone());
                oldest.and_then(|origin| sessions.known.remove(&origin));
            }
            sessions.known.insert(origin.to_owned(), session);
        }
        Verdict::Again
    }

    fn covers_request(&self) -> bool {
        true
    }
}

/// Origin, and path and query.
fn parts(url: &str) -> (&str, &str) {
    let uri = path_and_query(url);
    (url.strip_suffix(uri).unwrap_or(url), uri)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::response::head;

    #[test]
    fn origins_without_end_fill_no_memory() {
        let keys = UserPassword { username: Secret::new("u"), password: Secret::new("p") };
        let digest = Digest::new(&keys, || "nonce".into()).unwrap();
        let head = head(401, &[("WWW-Authenticate", r#"Digest realm="r", nonce="n", qop="auth""#)]);
        for i in 0..3 * MOST {
            let url = format!("https://{i}.example/x");
            assert_eq!(
                digest.refused(BARE, &Refusal { url: &url, renewals: 0, head: &head }),
                Verdict::Again
            );
        }
        assert_eq!(digest.sessions.lock().known.len(), MOST);
        assert!(digest.next(&format!("https://{}.example", 3 * MOST - 1)).is_some());
        assert!(digest.next("https://0.example").is_none());
    }
}
