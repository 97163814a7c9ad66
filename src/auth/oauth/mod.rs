//! OAuth 2.0 (RFC 6749): tokens that the client asks for by itself, with its own credentials (4.4) or a refresh token (6).
//!
//! One call asks, and those that need the token meanwhile wait for it. No lock is held while anybody is asked.

mod answer;
mod flight;

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Ask, Form, Place, Refusal, Scheme, Signable, Verdict};
use crate::config::auth::{ClientAuth, Oauth2};
use crate::config::{Config, Secret};
use crate::errand::Amid;
use crate::error::{Error, Kind, Result, Sent};
use crate::response::Response;
use answer::{Granted, Life};
use flight::Flight;

/// What a token is asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// The client's own credentials.
    ClientCredentials,
    /// A refresh token.
    RefreshToken,
}

/// Bearer tokens of a token endpoint.
pub(super) struct Oauth {
    grant: Grant,
    token_url: Place,
    client_id: Secret,
    client_secret: Option<Secret>,
    client_auth: ClientAuth,
    scope: Option<String>,
    storage_key: Option<String>,
    state: Mutex<State>,
}

struct State {
    token: Option<Held>,
    refresh_token: Option<Secret>,
    /// How many tokens there were.
    count: u64,
    flight: Option<Arc<Flight>>,
}

/// A token in use.
#[derive(Clone)]
struct Held {
    token: Secret,
    number: u64,
    /// None: until it is refused.
    good_until: Option<Instant>,
    /// What the host is to store before it is used; None: it did.
    unstored: Option<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Oauth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oauth")
            .field("grant", &self.grant)
            .field("token_url", &self.token_url)
            .finish_non_exhaustive()
    }
}

impl Oauth {
    /// As `auth` says. `now`: what `expires_at` is compared with, once; from then on a clock counts that nobody sets.
    pub fn new(config: &Config, grant: Grant, keys: &Oauth2, now: SystemTime) -> Result<Oauth> {
        let wrong = |key: &str, what: &str| Error::config(format!("/auth/{key}: {what}"));
        let filled = |secret: &Option<Secret>| secret.clone().filter(|s| !s.expose().is_empty());
        let (token, refresh_token) = (filled(&keys.token), filled(&keys.refresh_token));
        let token_url = keys.token_url.as_deref().ok_or_else(|| wrong("token_url", "the key is missing"))?;
        let client_id = filled(&keys.client_id).ok_or_else(|| wrong("client_id", "the key is missing"))?;
        let client_secret = filled(&keys.client_secret);
        match grant {
            Grant::ClientCredentials if client_secret.is_none() => {
                return Err(wrong("client_secret", "the key is missing"));
            }
            Grant::ClientCredentials if refresh_token.is_some() => {
                return Err(wrong("refresh_token", "only the type oauth2_refresh uses it"));
            }
            Grant::RefreshToken if refresh_token.is_none() => {
                return Err(wrong("refresh_token", "the key is missing"));
            }
            _ => {}
        }
        for (key, value) in
            [("key_file", &keys.key_file), ("key_id", &keys.key_id), ("algorithm", &keys.algorithm)]
        {
            if value.is_some() {
                return Err(wrong(key, "only client_auth: private_key_jwt uses it"));
            }
        }
        for (key, token) in [("token", &token), ("refresh_token", &refresh_token)] {
            token.as_ref().map_or(Ok(""), |token| super::visible(token.expose(), key))?;
        }
        let life = keys.expires_at.as_ref().map_or(Ok(Life::Unknown), |at| answer::left(at.get(), now));
        let life = life.map_err(|what| wrong("expires_at", what))?;
        let good_until = life.good_until(Instant::now());
        // One that has ended before it was ever used is none.
        let token = token.filter(|_| life != Life::Once);
        let token = token.map(|token| Held { token, number: 0, good_until, unstored: None });
        Ok(Oauth {
            grant,
            token_url: Place::new(config, "token_url", token_url)?,
            client_id,
            client_secret,
            client_auth: keys.client_auth.unwrap_or_default(),
            scope: keys.scope.clone(),
            storage_key: keys.storage_key.clone(),
            state: Mutex::new(State { token, refresh_token, count: 0, flight: None }),
        })
    }

    /// The token for a request, and its number.
    fn token(&self, ask: &dyn Ask) -> Result<(Secret, u64)> {
        loop {
            let (flight, is_own) = {
                let mut state = self.state.lock();
                if let Some(held) = state.token.as_ref().filter(|held| held.is_ready(Instant::now())) {
                    return Ok((held.token.clone(), held.number));
                }
                match &state.flight {
                    Some(flight) => (flight.clone(), false),
                    None => {
                        let flight = Arc::new(Flight::default());
                        state.flight = Some(flight.clone());
                        (flight, true)
                    }
                }
            };
            if is_own {
                return self.fly(flight, ask);
            }
            if Amid::is_in(self) {
                let what =
                    "the call was made from a callback of the call that is asking for the token it needs";
                return Err(Error::new(Kind::Busy, what));
            }
            flight.wait(ask)?;
        }
    }

    /// Asks for the token, for all who wait.
    fn fly(&self, flight: Arc<Flight>, ask: &dyn Ask) -> Result<(Secret, u64)> {
        let mut landing = Landing { of: self, flight, failure: None };
        let _amid = Amid::enter(self);
        let outcome = self.renew(ask).map_err(|mut error| {
            // The request itself never left.
            error.sent = Sent::No;
            error
        });
        if let Err(error) = &outcome {
            // What ends this call alone does not end the others: one of them asks.
            let is_own =
                error.kind() == Kind::Cancelled || ask.deadline().is_some_and(|end| end <= Instant::now());
            landing.failure = (!is_own).then(|| error.clone());
        }
        outcome
    }

    /// Asks for a token, unless there is one that only was not stored yet, and has it stored.
    fn renew(&self, ask: &dyn Ask) -> Result<(Secret, u64)> {
        let (held, refresh_token) = {
            let state = self.state.lock();
            let held = state.token.clone().filter(|held| held.is_good(Instant::now()));
            (held, state.refresh_token.clone())
        };
        let held = match held {
            Some(held) => held,
            None => {
                // Its life begins before the answer comes.
                let asked = (Instant::now(), SystemTime::now());
                self.keep(self.ask(refresh_token.as_ref(), ask)?, asked)
            }
        };
        if let Some(json) = &held.unstored {
            ask.store(json)?;
            if let Some(kept) = self.state.lock().token.as_mut().filter(|kept| kept.number == held.number) {
                kept.unstored = None;
            }
        }
        Ok((held.token, held.number))
    }

    /// Asks the token endpoint.
    fn ask(&self, refresh_token: Option<&Secret>, ask: &dyn Ask) -> Result<Granted> {
        let secret = self.client_secret.as_ref().map_or("", Secret::expose);
        let (id, refresh) = (self.client_id.expose(), refresh_token.map_or("", Secret::expose));
        let by_header = self.client_auth == ClientAuth::Basic && self.client_secret.is_some();
        // Room for all of it, every byte escaped: what grows leaves copies behind.
        let scope = self.scope.as_deref().unwrap_or_default();
        let room = 128 + 3 * (secret.len() + id.len() + refresh.len() + scope.len());
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(room));
        match self.grant {
            Grant::ClientCredentials => form.append_pair("grant_type", "client_credentials"),
            Grant::RefreshToken => {
                form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", refresh)
            }
        };
        if !scope.is_empty() {
            form.append_pair("scope", scope);
        }
        if !by_header {
            form.append_pair("client_id", id);
            if !secret.is_empty() {
                form.append_pair("client_secret", secret);
            }
        }
        let body = Zeroizing::new(form.finish());
        // RFC 6749 2.3.1: both are encoded as in a form before they are Basic's.
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret)));
        let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let form = Form {
            to: &self.token_url,
            body: &body,
            authorization: by_header.then_some(&*basic),
            secrets: &[refresh, &pair],
        };
        let response = ask.send(&form).map_err(refused)?;
        let (response, body) = response.take_body();
        let body = Zeroizing::new(body);
        answer::granted(&body).map_err(|what| match answer::refusal(&body) {
            // Some say with 200 that they refuse.
            Some(words) => unusable(&response, &format!("refused: {words}")),
            None => unusable(&response, what),
        })
    }

    /// Keeps a token from now on, and what the host is to store of it.
    fn keep(&self, granted: Granted, (asked, on): (Instant, SystemTime)) -> Held {
        #[derive(Serialize)]
        struct Stored<'a> {
            storage_key: Option<&'a str>,
            access_token: &'a str,
            refresh_token: Option<&'a str>,
            /// Seconds since 1970, as the reference stores it.
            expires_at: Option<u64>,
            token_type: &'a str,
            scope: Option<&'a str>,
        }
        let Granted { access_token, refresh_token, life, scope } = granted;
        let mut state = self.state.lock();
        if self.grant == Grant::RefreshToken && refresh_token.is_some() {
            state.refresh_token = refresh_token;
        }
        let ends = life.ends(on);
        let stored = Stored {
            storage_key: self.storage_key.as_deref(),
            access_token: access_token.expose(),
            refresh_token: state.refresh_token.as_ref().map(Secret::expose),
            expires_at: ends.and_then(|end| end.duration_since(UNIX_EPOCH).ok()).map(|d| d.as_secs()),
            token_type: "Bearer",
            // RFC 6749 5.1: not said where it is the one that was asked for.
            scope: scope.as_deref().or(self.scope.as_deref()),
        };
        // Room for all of it: what grows leaves copies behind.
        let refresh = stored.refresh_token.map_or(0, str::len);
        let room = 512 + 2 * (stored.access_token.len() + refresh + stored.scope.map_or(0, str::len));
        let mut json = Zeroizing::new(Vec::with_capacity(room));
        let written = serde_json::to_writer(&mut *json, &stored);
        let unstored = written.is_ok().then_some(json);
        state.count += 1;
        let good_until = life.good_until(asked);
        let held = Held { token: access_token, number: state.count, good_until, unstored };
        state.token = Some(held.clone());
        held
    }
}

impl Held {
    /// Does it last?
    fn is_good(&self, now: Instant) -> bool {
        self.good_until.is_none_or(|until| now < until)
    }

    /// May it be used?
    fn is_ready(&self, now: Instant) -> bool {
        self.unstored.is_none() && self.is_good(now)
    }
}

impl Scheme for Oauth {
    fn sign(&self, draft: &mut dyn Signable, ask: Option<&dyn Ask>) -> Result<u64> {
        let (token, number) = match ask {
            Some(ask) => self.token(ask)?,
            // Nothing of it is shown.
            None => (Secret::new("token"), 0),
        };
        let value = Zeroizing::new(format!("Bearer {}", token.expose()));
        draft.set_header("Authorization", &value)?;
        let refresh_token = self.state.lock().refresh_token.clone();
        if let Some(secret) = refresh_token {
            draft.hide(secret.expose());
        }
        Ok(number)
    }

    fn refused(&self, number: u64, refusal: &Refusal<'_>) -> Verdict {
        // One new token is enough: a server may refuse whatever comes.
        if refusal.renewals > 0 {
            return Verdict::Stands;
        }
        let mut state = self.state.lock();
        // Where there is another one meanwhile, that one is tried.
        if state.token.as_ref().is_some_and(|held| held.number == number) {
            state.token = None;
        }
        Verdict::Again
    }

    fn secrets(&self) -> Vec<Secret> {
        let state = self.state.lock();
        let token = state.token.as_ref().map(|held| held.token.clone());
        token.into_iter().chain(state.refresh_token.clone()).collect()
    }
}

/// Lets those go on who wait, however the call ends that asked for them.
struct Landing<'a> {
    of: &'a Oauth,
    flight: Arc<Flight>,
    failure: Option<Error>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.of.state.lock().flight = None;
        self.flight.land(self.failure.take());
    }
}

/// A refusal by status: 4xx is about the credentials, but for those that pass by themselves.
fn refused(mut error: Error) -> Error {
    let Some(response) = error.response.clone() else { return error };
    let status = error.http_status.unwrap_or_default();
    if error.kind() == Kind::HttpStatus && (400..500).contains(&status) && !error.is_transient() {
        error.kind = Kind::Auth;
    }
    if let Some(words) = answer::refusal(response.body()) {
        let words = shown(&response, &words);
        // The error itself is in the message already.
        let description = words.split_once(": ").map_or("", |(_, description)| description);
        if !description.is_empty() {
            error.message += &format!(": {description}");
        }
    }
    error
}

/// An answer of a token endpoint that gives none.
fn unusable(response: &Response, what: &str) -> Error {
    let url = &response.meta.url;
    Error::new(Kind::Auth, format!("auth: POST {url}: the token endpoint {}", shown(response, what)))
}

/// What a server says, for a message.
fn shown(response: &Response, text: &str) -> String {
    let redacted = response.meta.redactor.redact(text);
    redacted.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;

    use super::*;
    use crate::config::{Auth, from_text};
    use crate::transport::Token;

    fn oauth() -> Oauth {
        let text = r#"{"base_url": "https://a.example", "auth": {"type": "oauth2_refresh", "client_id": "c",
            "token_url": "https://auth.example/t", "refresh_token": "r"}}"#;
        let config = from_text(text, &|_| None).unwrap();
        let Auth::Oauth2Refresh(keys) = &config.keys.auth else { panic!() };
        Oauth::new(&config, Grant::RefreshToken, keys, SystemTime::now()).unwrap()
    }

    /// A token endpoint that refuses as soon as so many wait for it.
    struct Refusing<'a> {
        of: &'a Oauth,
        waiting: usize,
        asked: &'a AtomicUsize,
    }

    impl Ask for Refusing<'_> {
        fn send(&self, _: &Form<'_>) -> Result<Response> {
            self.asked.fetch_add(1, SeqCst);
            let flight = self.of.state.lock().flight.clone().unwrap();
            while flight.waiting() < self.waiting {
                thread::yield_now();
            }
            Err(Error::new(Kind::Auth, "refused"))
        }
        fn store(&self, _: &[u8]) -> Result<()> {
            Ok(())
        }
        fn cancel(&self) -> Option<&Arc<Token>> {
            None
        }
        fn deadline(&self) -> Option<Instant> {
            None
        }
    }

    #[test]
    fn a_refusal_is_that_of_all_who_wait() {
        let (oauth, asked) = (oauth(), AtomicUsize::new(0));
        thread::scope(|scope| {
            let all: Vec<_> = (0..10)
                .map(|_| {
                    scope.spawn(|| {
                        oauth.token(&Refusing { of: &oauth, waiting: 9, asked: &asked }).unwrap_err()
                    })
                })
                .collect();
            all.into_iter().for_each(|t| assert_eq!(t.join().unwrap().kind(), Kind::Auth));
        });
        assert_eq!(asked.load(SeqCst), 1);
        // Who comes later asks again.
        oauth.token(&Refusing { of: &oauth, waiting: 0, asked: &asked }).unwrap_err();
        assert_eq!(asked.load(SeqCst), 2);
    }

    #[test]
    fn nothing_of_it_is_printed() {
        assert!(!format!("{:?}", oauth()).contains("auth.example/t"));
    }
}
