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
use crate::log;
use answer::Life;
use client::{Client, Denied, Grant};
use pkce::Pkce;
use sign_in::Desk;
use store::{Held, PAUSE, State, Store};

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
        let ready = |state: &State| {
            let held = state.ready(self.can_renew(state), Instant::now())?;
            Some((held.token.clone(), held.number))
        };
        self.store.settle(ask, true, ready, || match self.renew(ask) {
            // However long it lives: it was asked for, for this request.
            Ok(held) => Ok((held.token, held.number)),
            Err(mut error) => {
                if error.kind() != Kind::Cancelled {
                    self.put_off();
                    // No lock is held when the host is told.
                    let living = ready(&self.store.lock());
                    if let Some(living) = living {
                        log::warn(format_args!("{}; the token is used until it ends", error.message));
                        return Ok(living);
                    }
                }
                // The request itself never left.
                error.sent = Sent::No;
                Err(error)
            }
        })
    }

    /// Another token could not be had: one that lives is not renewed for a while.
    fn put_off(&self) {
        let (mut state, now) = (self.store.lock(), Instant::now());
        if state.token.as_ref().is_some_and(|held| held.lives(now)) {
            state.later = Some(now + PAUSE);
        }
    }

    /// Is there something to ask for another token with?
    fn can_renew(&self, state: &State) -> bool {
        let is_refused = state.refusal.as_ref().is_some_and(|(_, until)| until.is_none());
        !is_refused && (!self.signs_in() || state.refresh_token.is_some() || state.code.is_some())
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
            let stands = |until: &Option<Instant>| until.is_none_or(|until| Instant::now() < until);
            if let Some((refusal, _)) = state.refusal.as_ref().filter(|(_, until)| stands(until)) {
                return Err(refusal.clone());
            }
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
                state.retire_code();
                let newer = granted.refresh_token.take().filter(|_| self.refreshes());
                let refresh_token = newer.or_else(|| state.refresh_token.clone());
                Ok(self.store.keep(&mut state, granted, refresh_token, asked))
            }
            Err(denied) => {
                let is_final = denied.is_final();
                let is_dead = denied.word.as_deref() == Some("invalid_grant") && refresh_token.is_some();
                let Denied { mut error, .. } = denied;
                // Asked again, it would be refused again.
                if is_final && self.signs_in() && (code.is_some() || is_dead) {
                    state.retire_refresh_token();
                    state.retire_code();
                    if !state.token.as_ref().is_some_and(|held| held.lives(Instant::now())) {
                        state.retire_token();
                    }
                    error.message += "; sign in again: apl_auth_begin";
                } else if is_final && !self.signs_in() && error.http_status.is_some() {
                    if is_dead {
                        error.message += "; the refresh token is not sent again: get another one, and make a \
                                          connector with it";
                    }
                    // The same client would be refused as often as it is called, and locked out.
                    let until = (!is_dead).then(|| Instant::now() + PAUSE);
                    let mut refusal = Error::new(error.kind(), error.message.clone());
                    refusal.http_status = error.http_status;
                    state.refusal = Some((refusal, until));
                }
                Err(error)
            }
        }
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

/// A secret of the configuration; an empty one is none.
fn filled(secret: &Option<Secret>) -> Option<Secret> {
    secret.clone().filter(|secret| !secret.expose().is_empty())
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
            if !self.can_renew(&state) && self.signs_in() {
                let what =
                    "the token is refused, and there is no refresh token: sign in again: apl_auth_begin";
                return Verdict::Because(what.into());
            }
            state.retire_token();
        }
        Verdict::Again
    }

    fn secrets(&self) -> Vec<Secret> {
        let mut secrets: Vec<_> = self.store.lock().secrets().cloned().collect();
        secrets.extend(self.desk.secrets());
        secrets
    }

    fn learned(&self) -> u64 {
        self.store.lock().count() + self.desk.count()
    }

    fn sign_in(&self) -> Option<&dyn SignIn> {
        self.signs_in().then_some(self)
    }
}

#[cfg(test)]
mod tests;
