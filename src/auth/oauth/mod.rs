//! OAuth 2.0 (RFC 6749): tokens that the client asks for by itself, with its own credentials (4.4) or a refresh token (6),
//! and those of a person who signs in, in a browser (4.1, with PKCE) or on another device (RFC 8628).
//!
//! * [`client`]: what a token is asked for with, and how the client proves itself; [`jwt`]: by its private key.
//! * [`answer`]: what a token endpoint says.
//! * [`store`]: the token in use, and who asks for the next one; [`flight`]: those who wait for it.
//! * [`pkce`], [`device`]: the two ways to sign in, which ask nobody; [`sign_in`]: begins and finishes one.

mod answer;
mod client;
mod device;
mod flight;
mod jwt;
mod pkce;
mod sign_in;
mod store;

use std::time::{Instant, SystemTime};

use zeroize::Zeroizing;

use super::{Ask, Place, Refusal, Scheme, SignIn, Signable, Sources, Verdict};
use crate::config::auth::OauthKeys;
use crate::config::{Auth, Config, Secret, Text};
use crate::error::{Error, Kind, Result, Sent};
use answer::{Granted, Life};
use client::{Client, Denied, Grant};
use pkce::Pkce;
use sign_in::Desk;
use store::{Held, State, Store};

/// Bearer tokens of a token endpoint.
pub(super) struct Oauth {
    way: Way,
    client: Client,
    scope: Option<String>,
    store: Store,
    /// Where people sign in.
    desk: Desk,
    nonce: fn() -> String,
}

/// How the first token is got.
enum Way {
    /// With the client's own credentials, and every other one too.
    ClientCredentials,
    /// With a refresh token.
    RefreshToken,
    /// A person signs in, in a browser.
    Code(Pkce),
    /// A person signs in, on another device.
    Device(Place),
}

impl std::fmt::Debug for Oauth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oauth").field("token_url", self.client.token_url()).finish_non_exhaustive()
    }
}

impl Oauth {
    /// As `auth` says. The clock of `sources` is what `expires_at` is compared with, once; from then on one counts that
    /// nobody sets.
    pub fn new(config: &Config, keys: &OauthKeys<'_>, sources: Sources) -> Result<Oauth> {
        let wrong = |key: &str, what: &str| Error::config(format!("/auth/{key}: {what}"));
        let filled = |secret: &Option<Secret>| secret.clone().filter(|s| !s.expose().is_empty());
        let (token, refresh_token) = (filled(keys.token), filled(keys.refresh_token));
        let client = Client::new(config, keys, sources)?;
        let (mut code, mut desk) = (None, Desk::default());
        let way = match &config.keys.auth {
            Auth::Oauth2(_) if client.is_public() => {
                return Err(wrong("client_secret", "the key is missing"));
            }
            Auth::Oauth2(_) if refresh_token.is_some() => {
                return Err(wrong("refresh_token", "only the type oauth2_refresh uses it"));
            }
            Auth::Oauth2(_) => Way::ClientCredentials,
            Auth::Oauth2Pkce(keys) => {
                let pkce = Pkce::new(config, keys)?;
                code = filled(&keys.authorization_code);
                desk = Desk::of_browser(&pkce);
                Way::Code(pkce)
            }
            Auth::Oauth2DeviceFlow(keys) => {
                let url = keys.device_authorization_url.as_ref().map(Text::as_str);
                let url = url.ok_or_else(|| wrong("device_authorization_url", "the key is missing"))?;
                desk = Desk::of_device(filled(&keys.device_code), keys.interval.map(|interval| interval.0));
                Way::Device(Place::new(config, "device_authorization_url", url)?)
            }
            _ if refresh_token.is_none() => return Err(wrong("refresh_token", "the key is missing")),
            _ => Way::RefreshToken,
        };
        for (key, token) in [("token", &token), ("refresh_token", &refresh_token)] {
            token.as_ref().map_or(Ok(""), |token| super::visible(token.expose(), key))?;
        }
        let now = (sources.now)();
        let life = keys.expires_at.as_ref().map_or(Ok(Life::Unknown), |at| answer::left(at.get(), now));
        let life = life.map_err(|what| wrong("expires_at", what))?;
        let store =
            Store::new((token, life), refresh_token, code, keys.scope.clone(), keys.storage_key.clone());
        Ok(Oauth { way, client, scope: keys.scope.clone(), store, desk, nonce: sources.nonce })
    }

    /// The token for a request, and its number.
    fn token(&self, ask: &dyn Ask) -> Result<(Secret, u64)> {
        let ready = |state: &State| state.token.clone().filter(|held| held.is_ready(Instant::now()));
        let held = self.store.settle(ask, true, ready, || {
            self.renew(ask).map_err(|mut error| {
                // The request itself never left.
                error.sent = Sent::No;
                error
            })
        })?;
        Ok((held.token, held.number))
    }

    /// Asks for a token, unless there is one that only was not stored yet, and has it stored.
    fn renew(&self, ask: &dyn Ask) -> Result<Held> {
        if let Some(held) = self.store.unstored() {
            let held = self.store.offer(held, ask)?;
            if held.is_good(Instant::now()) {
                return Ok(held);
            }
        }
        self.store.offer(self.next(ask)?, ask)
    }

    /// Asks the token endpoint.
    fn next(&self, ask: &dyn Ask) -> Result<Held> {
        let (refresh_token, code, session) = {
            let state = self.store.lock();
            (state.refresh_token.clone(), state.code.clone(), state.session)
        };
        let scope = self.scope.as_deref();
        let grant = match (&self.way, &refresh_token, &code) {
            (Way::ClientCredentials, ..) => Grant::ClientCredentials { scope },
            (Way::RefreshToken, Some(token), _) => Grant::RefreshToken { token, scope },
            // The person may have granted less than was asked for: more than that is refused (RFC 6749 6).
            (_, Some(token), _) => Grant::RefreshToken { token, scope: None },
            (Way::Code(pkce), None, Some(code)) => {
                Grant::Code { code, redirect_uri: pkce.redirect_uri(), verifier: pkce.code_verifier() }
            }
            _ => return Err(self.nobody()),
        };
        // Its life begins before the answer comes.
        let asked = (Instant::now(), SystemTime::now());
        let outcome = self.client.token(grant, ask);
        let mut state = self.store.lock();
        if state.session != session {
            // Somebody has signed in meanwhile: what was asked for was for the one before.
            return state.token.clone().ok_or_else(|| self.nobody());
        }
        match outcome {
            Ok(mut granted) => {
                state.code = None;
                let newer = granted.refresh_token.take().filter(|_| self.refreshes());
                let refresh_token = newer.or_else(|| state.refresh_token.take());
                Ok(self.store.keep(&mut state, granted, refresh_token, asked))
            }
            Err(denied) => {
                let is_over = denied.is_final()
                    && (code.is_some() || denied.word.as_deref() == Some("invalid_grant"))
                    && self.signs_in();
                if is_over {
                    // Asked again, it would be refused again.
                    (state.token, state.refresh_token, state.code) = (None, None, None);
                }
                let Denied { mut error, .. } = denied;
                if is_over {
                    error.message += "; sign in again: apl_auth_begin";
                }
                Err(error)
            }
        }
    }

    /// Keeps the token of a person who has signed in, and has it stored.
    fn adopt(&self, mut granted: Granted, asked: (Instant, SystemTime), ask: &dyn Ask) -> Result<Held> {
        let held = {
            let mut state = self.store.lock();
            state.session += 1;
            state.code = None;
            let refresh_token = granted.refresh_token.take();
            self.store.keep(&mut state, granted, refresh_token, asked)
        };
        let is_unstored = |state: &State| {
            state.token.as_ref().is_some_and(|kept| kept.number == held.number && !kept.is_stored())
        };
        let stored = |state: &State| (!is_unstored(state)).then(|| held.clone());
        self.store.settle(ask, false, stored, || self.store.offer(held.clone(), ask))
    }

    /// Does a person sign in?
    fn signs_in(&self) -> bool {
        matches!(self.way, Way::Code(_) | Way::Device(_))
    }

    /// Are tokens asked for with a refresh token?
    fn refreshes(&self) -> bool {
        !matches!(self.way, Way::ClientCredentials)
    }

    /// Nobody is signed in.
    fn nobody(&self) -> Error {
        Error::new(
            Kind::Auth,
            "no one has signed in, or the sign-in has ended and there is no refresh token: apl_auth_begin begins one",
        )
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
        let refresh_token = self.store.lock().refresh_token.clone();
        for secret in refresh_token.into_iter().chain(self.desk.secrets()) {
            draft.hide(secret.expose());
        }
        Ok(number)
    }

    fn refused(&self, number: u64, refusal: &Refusal<'_>) -> Verdict {
        // One new token is enough: a server may refuse whatever comes.
        if refusal.renewals > 0 {
            return Verdict::Stands;
        }
        let mut state = self.store.lock();
        // Where there is another one meanwhile, that one is tried.
        if state.token.as_ref().is_some_and(|held| held.number == number) {
            if self.signs_in() && state.refresh_token.is_none() {
                let what =
                    "the token is refused, and there is no refresh token: sign in again: apl_auth_begin";
                return Verdict::Because(what.into());
            }
            state.token = None;
        }
        Verdict::Again
    }

    fn secrets(&self) -> Vec<Secret> {
        let (token, refresh_token, code) = {
            let state = self.store.lock();
            let token = state.token.as_ref().map(|held| held.token.clone());
            (token, state.refresh_token.clone(), state.code.clone())
        };
        [token, refresh_token, code].into_iter().flatten().chain(self.desk.secrets()).collect()
    }

    fn sign_in(&self) -> Option<&dyn SignIn> {
        self.signs_in().then_some(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;

    use super::super::Form;
    use super::*;
    use crate::config::from_text;
    use crate::response::Response;
    use crate::transport::Token;

    fn oauth() -> Oauth {
        let text = r#"{"base_url": "https://a.example", "auth": {"type": "oauth2_refresh", "client_id": "c",
            "token_url": "https://auth.example/t", "refresh_token": "r"}}"#;
        let config = from_text(text, &|_| None).unwrap();
        let sources = Sources { now: SystemTime::now, nonce: String::new };
        Oauth::new(&config, &config.keys.auth.oauth().unwrap(), sources).unwrap()
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
            while self.of.store.waiting() < self.waiting {
                thread::yield_now();
            }
            Err(Error::new(Kind::Auth, "refused"))
        }
        fn store(&self, _: &[u8]) -> Result<()> {
            Ok(())
        }
        fn excerpt(&self, text: &str, _: &[&str]) -> String {
            text.into()
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

    /// A token endpoint, while whose answer is on its way somebody signs in.
    struct Overtaken<'a>(&'a Oauth);

    impl Ask for Overtaken<'_> {
        fn send(&self, _: &Form<'_>) -> Result<Response> {
            let granted = answer::granted(br#"{"access_token": "of the new session"}"#).unwrap();
            let mut state = self.0.store.lock();
            state.session += 1;
            let new = Some(Secret::new("new"));
            self.0.store.keep(&mut state, granted, new, (Instant::now(), SystemTime::now()));
            let late = br#"{"access_token": "of the old session", "refresh_token": "old"}"#;
            Ok(Response::new(Default::default(), Default::default(), late.to_vec()))
        }
        fn store(&self, json: &[u8]) -> Result<()> {
            assert!(json.windows(3).any(|w| w == b"new") && !json.windows(3).any(|w| w == b"old"));
            Ok(())
        }
        fn excerpt(&self, text: &str, _: &[&str]) -> String {
            text.into()
        }
        fn cancel(&self) -> Option<&Arc<Token>> {
            None
        }
        fn deadline(&self) -> Option<Instant> {
            None
        }
    }

    #[test]
    fn a_token_of_who_was_signed_in_before_does_not_take_the_place_of_the_new_one() {
        let oauth = oauth();
        assert_eq!(oauth.token(&Overtaken(&oauth)).unwrap().0.expose(), "of the new session");
        assert_eq!(oauth.store.lock().refresh_token.as_ref().unwrap().expose(), "new");
    }

    #[test]
    fn nothing_of_it_is_printed() {
        assert!(!format!("{:?}", oauth()).contains("auth.example/t"));
    }
}
