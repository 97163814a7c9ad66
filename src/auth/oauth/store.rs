//! The token that is in use, the one to get the next with, and what of them was handed out for storage. One asks for a
//! new one, the others wait. No lock is held while anybody is asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use zeroize::Zeroizing;

use super::answer::{Granted, Life};
use super::flight::Flight;
use crate::auth::Ask;
use crate::config::Secret;
use crate::errand::Amid;
use crate::error::{Error, Kind, Result};

/// So many secrets that are no longer in use are still hidden: servers name them, also a while later.
const RETIRED: usize = 8;

/// For so long a token endpoint that has refused, or could not, is not asked again, where that can wait.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// The tokens of a connector.
pub(super) struct Store {
    scope: Option<String>,
    storage_key: Option<String>,
    state: Mutex<State>,
}

/// What there is.
pub(super) struct State {
    pub token: Option<Held>,
    pub refresh_token: Option<Secret>,
    /// An authorization code of the configuration, which no token endpoint has seen yet.
    pub code: Option<Secret>,
    /// Who is signed in: the number of the sign-in that the token comes of.
    pub session: u64,
    /// The token that still lives is not renewed before.
    pub later: Option<Instant>,
    /// A refusal that stands, until then or for good: the endpoint is not asked again.
    pub refusal: Option<(Error, Option<Instant>)>,
    /// What was in use before.
    retired: VecDeque<Secret>,
    /// How many tokens there were.
    count: u64,
    flight: Option<Arc<Flight>>,
}

/// A token in use.
#[derive(Clone)]
pub(super) struct Held {
    pub token: Secret,
    pub number: u64,
    pub scope: Option<String>,
    /// Seconds since 1970.
    pub expires_at: Option<u64>,
    /// When another one is to be asked for; None: when it is refused.
    good_until: Option<Instant>,
    /// When it ends.
    ends: Option<Instant>,
    /// What the host is to store before it is used; None: it did.
    unstored: Option<Zeroizing<Vec<u8>>>,
}

impl Held {
    /// Does it last?
    pub fn is_good(&self, now: Instant) -> bool {
        self.good_until.is_none_or(|until| now < until)
    }

    /// Has the host stored it, where it wants to?
    pub fn is_stored(&self) -> bool {
        self.unstored.is_none()
    }

    /// May it be used, be it that another one could not be had?
    pub fn lives(&self, now: Instant) -> bool {
        self.is_stored() && self.ends.is_none_or(|end| now < end)
    }
}

impl State {
    /// The token for a request. `can_renew`: could another one be asked for now?
    pub fn ready(&self, can_renew: bool, now: Instant) -> Option<&Held> {
        let waits = !can_renew || self.later.is_some_and(|later| now < later);
        self.token.as_ref().filter(|held| held.lives(now) && (held.is_good(now) || waits))
    }

    /// How many tokens there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of it that nobody may see.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let token = self.token.as_ref().map(|held| &held.token);
        token.into_iter().chain(&self.refresh_token).chain(&self.code).chain(&self.retired)
    }

    /// The token is used no more.
    pub fn retire_token(&mut self) {
        let token = self.token.take().map(|held| held.token);
        self.retire(token);
    }

    /// Nor is the refresh token.
    pub fn retire_refresh_token(&mut self) {
        let token = self.refresh_token.take();
        self.retire(token);
    }

    /// Nor is the code.
    pub fn retire_code(&mut self) {
        let code = self.code.take();
        self.retire(code);
    }

    fn retire(&mut self, secret: Option<Secret>) {
        self.retired.extend(secret);
        if self.retired.len() > RETIRED {
            self.retired.pop_front();
        }
    }
}

impl Store {
    /// What the configuration has. `life`: the token's.
    pub fn new(
        (token, life): (Option<Secret>, Life),
        refresh_token: Option<Secret>,
        code: Option<Secret>,
        scope: Option<String>,
        storage_key: Option<String>,
    ) -> Store {
        let now = Instant::now();
        let (good_until, ends) = (life.good_until(now), life.ends_at(now));
        // One that has ended before it was ever used is none.
        let token = token.filter(|_| life != Life::Once).map(|token| Held {
            token,
            number: 0,
            scope: None,
            expires_at: None,
            good_until,
            ends,
            unstored: None,
        });
        let state = State {
            token,
            refresh_token,
            code,
            session: 0,
            later: None,
            refusal: None,
            retired: VecDeque::new(),
            count: 0,
            flight: None,
        };
        Store { scope, storage_key, state: Mutex::new(state) }
    }

    /// The name under which the host stores tokens.
    pub fn storage_key(&self) -> Option<&str> {
        self.storage_key.as_deref()
    }

    /// What there is now.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// What `ready` finds; until it does, one calls `make`, and the others wait for it. `shares`: whoever waits takes
    /// the failure of the one that was waited for as its own.
    pub fn settle<T>(
        &self,
        ask: &dyn Ask,
        shares: bool,
        ready: impl Fn(&State) -> Option<T>,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        loop {
            let (flight, is_own) = {
                let mut state = self.state.lock();
                if let Some(there) = ready(&state) {
                    return Ok(there);
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
                return self.fly(flight, ask, make);
            }
            self.check_amid()?;
            if let Some(failure) = flight.wait(ask)?.filter(|_| shares) {
                return Err(failure);
            }
        }
    }

    /// Is this a callback of a call that is getting a token? It would wait for itself.
    pub fn check_amid(&self) -> Result<()> {
        if !Amid::is_in(self) {
            return Ok(());
        }
        let what = "the call was made from a callback of the call that is asking for the token it needs";
        Err(Error::new(Kind::Busy, what))
    }

    /// Asks for the token, for all who wait.
    fn fly<T>(&self, flight: Arc<Flight>, ask: &dyn Ask, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut landing = Landing { of: self, flight, failure: None };
        let _amid = Amid::enter(self);
        let outcome = make();
        if let Err(error) = &outcome {
            // What ends this call alone does not end the others: one of them asks.
            let is_own =
                error.kind() == Kind::Cancelled || ask.deadline().is_some_and(|end| end <= Instant::now());
            landing.failure = (!is_own).then(|| error.clone());
        }
        outcome
    }

    /// A token that was not stored yet.
    pub fn unstored(&self) -> Option<Held> {
        self.state.lock().token.clone().filter(|held| !held.is_stored())
    }

    /// Keeps a token from now on, and what the host is to store of it. `refresh_token`: the one that goes with it.
    /// `asked`: its life begins before the answer comes.
    pub fn keep(
        &self,
        state: &mut State,
        granted: Granted,
        refresh_token: Option<Secret>,
        (asked, on): (Instant, SystemTime),
    ) -> Held {
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
        let Granted { access_token, life, scope, .. } = granted;
        // RFC 6749 5.1: not said where it is the one that was asked for.
        let scope = scope.or_else(|| self.scope.clone());
        let ends = life.ends(on);
        let expires_at = ends.and_then(|end| end.duration_since(UNIX_EPOCH).ok()).map(|d| d.as_secs());
        state.retire_token();
        if state.refresh_token.as_ref().map(Secret::expose) != refresh_token.as_ref().map(Secret::expose) {
            state.retire_refresh_token();
        }
        state.refresh_token = refresh_token;
        (state.later, state.refusal) = (None, None);
        let stored = Stored {
            storage_key: self.storage_key.as_deref(),
            access_token: access_token.expose(),
            refresh_token: state.refresh_token.as_ref().map(Secret::expose),
            expires_at,
            token_type: "Bearer",
            scope: scope.as_deref(),
        };
        // Room for all of it: what grows leaves copies behind.
        let refresh = stored.refresh_token.map_or(0, str::len);
        let room = 512 + 2 * (stored.access_token.len() + refresh + stored.scope.map_or(0, str::len));
        let mut json = Zeroizing::new(Vec::with_capacity(room));
        let written = serde_json::to_writer(&mut *json, &stored);
        let unstored = written.is_ok().then_some(json);
        state.count += 1;
        let good_until = life.good_until(asked);
        let ends = life.ends_at(asked);
        let held =
            Held { token: access_token, number: state.count, scope, expires_at, good_until, ends, unstored };
        state.token = Some(held.clone());
        held
    }

    /// Has the host store a token, unless it did.
    pub fn offer(&self, held: Held, ask: &dyn Ask) -> Result<Held> {
        let Some(json) = &held.unstored else { return Ok(held) };
        ask.store(json)?;
        if let Some(kept) = self.state.lock().token.as_mut().filter(|kept| kept.number == held.number) {
            kept.unstored = None;
        }
        Ok(held)
    }

    /// The token is to be renewed; `over`: it has ended, too.
    #[cfg(test)]
    pub fn age(&self, over: bool) {
        let mut state = self.state.lock();
        let now = Instant::now();
        if let Some(held) = &mut state.token {
            held.good_until = Some(now);
            held.ends = if over { Some(now) } else { held.ends };
        }
    }

    /// How many wait for a token that is being asked for.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.state.lock().flight.as_ref().map_or(0, |flight| flight.waiting())
    }
}

/// Lets those go on who wait, however the call ends that asked for them.
struct Landing<'a> {
    of: &'a Store,
    flight: Arc<Flight>,
    failure: Option<Error>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.of.state.lock().flight = None;
        self.flight.land(self.failure.take());
    }
}
