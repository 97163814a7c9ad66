//! A person signs in: one is begun, and finished, once.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use serde::Serialize;

use super::answer::Granted;
use super::client::{Denied, Grant, unusable};
use super::device::{self, Came, Polling};
use super::pkce::{Begun, NoCode, Pkce};
use super::store::{Held, State};
use super::{Oauth, Way};
use crate::auth::{Ask, Place, Repeat, SignIn};
use crate::config::Secret;
use crate::error::{Error, Kind, Result};
use crate::log;
use crate::transport::{Bell, Fail};

/// The sign-in that was begun last.
#[derive(Default)]
pub(super) struct Desk {
    now: Mutex<Now>,
    /// The configuration's shortest time between two questions.
    least: Option<Duration>,
}

#[derive(Default)]
struct Now {
    /// How many there were: the number of the last one.
    count: u64,
    what: What,
    /// What of it nobody may see, also while it is being finished.
    secrets: Vec<Secret>,
    /// The same of those before it that a call is still finishing, in vain.
    of_older: Vec<(u64, Vec<Secret>)>,
    /// Who waits for the person.
    waiting: Option<Arc<Bell>>,
}

#[derive(Default)]
enum What {
    #[default]
    Nothing,
    Begun(Pending),
    /// A call is finishing it.
    Busy,
}

/// What it takes to finish a sign-in.
enum Pending {
    Browser(Begun),
    /// Without a polling: nobody has asked yet whether a device code from elsewhere is accepted.
    Device(Secret, Option<Polling>),
}

impl Pending {
    fn secrets(&self) -> Vec<Secret> {
        match self {
            Pending::Browser(begun) => vec![begun.verifier.clone(), begun.state.clone()],
            Pending::Device(device_code, _) => vec![device_code.clone()],
        }
    }
}

impl Desk {
    /// With what another process has begun in a browser, where the configuration says it.
    pub fn of_browser(pkce: &Pkce) -> Desk {
        Desk::with(pkce.begun_elsewhere().map(Pending::Browser), None)
    }

    /// With a device code that another process has got.
    pub fn of_device(device_code: Option<Secret>, least: Option<Duration>) -> Desk {
        Desk::with(device_code.map(|code| Pending::Device(code, None)), least)
    }

    fn with(pending: Option<Pending>, least: Option<Duration>) -> Desk {
        let desk = Desk { least, ..Desk::default() };
        if let Some(pending) = pending {
            desk.begin(pending, None);
        }
        desk
    }

    /// What of it nobody may see.
    pub fn secrets(&self) -> Vec<Secret> {
        let now = self.now.lock();
        now.secrets.iter().chain(now.of_older.iter().flat_map(|(_, secrets)| secrets)).cloned().collect()
    }

    /// How many were begun.
    pub fn count(&self) -> u64 {
        self.now.lock().count
    }

    /// One is begun; the one before is no more. `further`: what nobody may see either.
    fn begin(&self, pending: Pending, further: Option<Secret>) {
        let mut now = self.now.lock();
        if matches!(now.what, What::Busy) {
            let older = (now.count, std::mem::take(&mut now.secrets));
            now.of_older.push(older);
        }
        if let Some(bell) = now.waiting.take() {
            bell.ring();
        }
        now.count += 1;
        now.secrets = pending.secrets().into_iter().chain(further).collect();
        now.what = What::Begun(pending);
    }

    /// For the call that finishes it: no other one does so meanwhile.
    fn take(&self) -> Result<Turn<'_>> {
        let mut now = self.now.lock();
        match std::mem::replace(&mut now.what, What::Busy) {
            What::Begun(pending) => Ok(Turn { of: self, number: now.count, pending: Some(pending) }),
            What::Busy => {
                Err(Error::new(Kind::Busy, "auth: another call of apl_auth_finish is finishing this sign-in"))
            }
            What::Nothing => {
                now.what = What::Nothing;
                Err(Error::argument(
                    "auth: there is no sign-in to finish: call apl_auth_begin first; one that another process has \
                     begun needs its code_verifier and state, or its device_code, in the configuration",
                ))
            }
        }
    }
}

/// The right to finish a sign-in. Given back, it can be finished later.
struct Turn<'a> {
    of: &'a Desk,
    number: u64,
    /// None: it is used up.
    pending: Option<Pending>,
}

impl Turn<'_> {
    /// What is done with the one that was begun last; no other one is begun meanwhile.
    fn as_last<T>(&self, work: impl FnOnce(&mut Now) -> T) -> Result<T> {
        let mut now = self.of.now.lock();
        if now.count != self.number {
            let what =
                "auth: another sign-in was begun meanwhile: its apl_auth_finish is the one to wait for";
            return Err(Error::argument(what));
        }
        Ok(work(&mut now))
    }

    /// Waits until then, but not beyond the call's own cancel, nor until another one is begun.
    fn wait(&self, at: Instant, ask: &dyn Ask) -> Result<()> {
        let failed = |fail| match fail {
            Fail::Cancelled => {
                Error::new(Kind::Cancelled, "auth: cancelled by the caller while the person signs in")
            }
            fail => Error::new(Kind::Io, format!("auth: waiting for the person to sign in: {fail}")),
        };
        let bell = Arc::new(Bell::new(ask.cancel()).map_err(failed)?);
        self.as_last(|now| now.waiting = Some(bell.clone()))?;
        bell.wait(Some(at)).map_err(failed)?;
        self.as_last(|now| now.waiting = None)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut now = self.of.now.lock();
        if now.count != self.number {
            now.of_older.retain(|(number, _)| *number != self.number);
            return;
        }
        now.waiting = None;
        match self.pending.take() {
            Some(pending) => now.what = What::Begun(pending),
            None => (now.what, now.secrets) = (What::Nothing, Vec::new()),
        }
    }
}

impl SignIn for Oauth {
    fn begin(&self, ask: &dyn Ask) -> Result<Vec<u8>> {
        match &self.way {
            Way::Device(place) => self.begin_device(place, ask),
            Way::Code(pkce) => self.begin_browser(pkce),
            _ => Err(Error::internal("a sign-in without a person")),
        }
    }

    fn finish(&self, redirect_url: Option<&str>, ask: &dyn Ask) -> Result<Vec<u8>> {
        self.store.check_amid()?;
        let held = match (&self.way, redirect_url) {
            (Way::Code(pkce), Some(url)) => self.finish_browser(pkce, url, ask)?,
            (Way::Device(_), None) => self.finish_device(ask)?,
            (Way::Device(_), Some(_)) => {
                return Err(Error::argument("redirect_url: auth oauth2_device_flow has none: it is NULL"));
            }
            _ => {
                let what =
                    "redirect_url: auth oauth2_pkce wants the URL that the browser came back to, not NULL";
                return Err(Error::argument(what));
            }
        };
        #[derive(Serialize)]
        struct Finished<'a> {
            success: bool,
            token_type: &'a str,
            expires_at: Option<u64>,
            scope: Option<&'a str>,
            storage_key: Option<&'a str>,
        }
        json(&Finished {
            success: true,
            token_type: "Bearer",
            expires_at: held.expires_at,
            scope: held.scope.as_deref(),
            storage_key: self.store.storage_key(),
        })
    }
}

impl Oauth {
    fn begin_browser(&self, pkce: &Pkce) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Answer<'a> {
            authorization_url: &'a str,
            state: &'a str,
        }
        let begun = pkce.begin(self.nonce)?;
        let address = pkce.address(&begun, self.client.id(), self.scope.as_deref());
        let answer = json(&Answer { authorization_url: &address, state: begun.state.expose() });
        self.desk.begin(Pending::Browser(begun), None);
        answer
    }

    fn finish_browser(&self, pkce: &Pkce, redirect_url: &str, ask: &dyn Ask) -> Result<Held> {
        let mut turn = self.desk.take()?;
        let Some(Pending::Browser(begun)) = &turn.pending else {
            return Err(Error::internal("a sign-in of another kind"));
        };
        let auth = |what: String| Error::new(Kind::Auth, format!("auth: {what}"));
        let code = pkce.code(begun, redirect_url).map_err(|no_code| match no_code {
            NoCode::NotOurs(what) => Error::argument(format!("redirect_url: {what}")),
            NoCode::NotTheAnswer(what) => {
                auth(format!("the URL that the browser came back to {what}: it was not used"))
            }
            NoCode::Refused(words) => {
                let secrets = [begun.verifier.expose(), begun.state.expose()];
                auth(format!("the authorization server refused: {}", ask.excerpt(&words, &secrets)))
            }
        })?;
        let verifier = Some(&begun.verifier);
        let grant = Grant::Code { code: &code, redirect_uri: pkce.redirect_uri(), verifier };
        let asked = (Instant::now(), SystemTime::now());
        match self.client.token(grant, ask) {
            Ok(granted) => self.adopt(turn, granted, asked, ask),
            Err(denied) => Err(over(denied, &mut turn)),
        }
    }

    /// Keeps the token of a person who has signed in, and has it stored. One of a sign-in that another one has taken the
    /// place of is none.
    fn adopt(
        &self,
        mut turn: Turn<'_>,
        mut granted: Granted,
        asked: (Instant, SystemTime),
        ask: &dyn Ask,
    ) -> Result<Held> {
        turn.pending = None;
        let held = turn.as_last(|_| {
            let mut state = self.store.lock();
            state.session = turn.number;
            state.retire_code();
            let refresh_token = granted.refresh_token.take();
            self.store.keep(&mut state, granted, refresh_token, asked)
        })?;
        drop(turn);
        let is_unstored = |state: &State| {
            state.token.as_ref().is_some_and(|kept| kept.number == held.number && !kept.is_stored())
        };
        let stored = |state: &State| (!is_unstored(state)).then(|| held.clone());
        match self.store.settle(ask, false, stored, || self.store.offer(held.clone(), ask)) {
            // The person is signed in: whoever needs the token next has it stored before.
            Err(error) if error.kind() == Kind::Cancelled => Ok(held),
            outcome => outcome,
        }
    }

    fn begin_device(&self, place: &Place, ask: &dyn Ask) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Answer<'a> {
            verification_uri: &'a str,
            verification_uri_complete: Option<&'a str>,
            user_code: &'a str,
            expires_in: u64,
            interval: u64,
        }
        let asked = Instant::now();
        let scope = self.scope.as_deref().filter(|scope| !scope.is_empty()).map(|scope| ("scope", scope));
        let answer = self.client.ask(place, scope.as_slice(), &[], Repeat::Same, ask);
        let codes = answer.and_then(|(response, body)| {
            device::codes(&body).map_err(|what| unusable(&response, &body, what))
        });
        let codes = codes.map_err(|denied| denied.error)?;
        let polling = Polling::new(codes.interval, self.desk.least, codes.expires_in, asked);
        let answer = json(&Answer {
            verification_uri: &codes.verification_uri,
            verification_uri_complete: codes.verification_uri_complete.as_deref(),
            user_code: &codes.user_code,
            expires_in: codes.expires_in.as_secs(),
            interval: polling.interval().as_secs().max(1),
        });
        self.desk
            .begin(Pending::Device(codes.device_code, Some(polling)), Some(Secret::new(codes.user_code)));
        answer
    }

    fn finish_device(&self, ask: &dyn Ask) -> Result<Held> {
        let mut turn = self.desk.take()?;
        loop {
            let Some(Pending::Device(device_code, polling)) = &mut turn.pending else {
                return Err(Error::internal("a sign-in of another kind"));
            };
            let device_code = device_code.clone();
            let least = self.desk.least;
            let polling = polling.get_or_insert_with(|| Polling::of_unknown(least, Instant::now()));
            let Some(at) = polling.next() else {
                turn.pending = None;
                let what = "auth: expired_token: nobody has signed in in time: the codes end before the server may \
                            be asked again; begin again: apl_auth_begin";
                return Err(Error::new(Kind::Auth, what));
            };
            turn.wait(at, ask)?;
            if let Some(Pending::Device(_, Some(polling))) = &mut turn.pending {
                polling.asks(Instant::now());
            }
            let asked = (Instant::now(), SystemTime::now());
            let denied = match self.client.token(Grant::DeviceCode(&device_code), ask) {
                Ok(granted) => return self.adopt(turn, granted, asked, ask),
                Err(denied) => denied,
            };
            let Some(came) = came(&denied) else { return Err(over(denied, &mut turn)) };
            if let Some(Pending::Device(_, Some(polling))) = &mut turn.pending {
                polling.came(came, denied.error.retry_after, Instant::now());
            }
            let level = if came == Came::Trouble { log::info } else { log::debug };
            level(format_args!("auth: {}; it is asked again", denied.error.message));
        }
    }
}

/// A sign-in for which there is no token: where the endpoint has decided so, it is used up.
fn over(denied: Denied, turn: &mut Turn<'_>) -> Error {
    let is_final = denied.is_final();
    let Denied { mut error, .. } = denied;
    if is_final {
        turn.pending = None;
        error.message += "; begin again: apl_auth_begin";
    }
    error
}

/// What a question that was denied means, where it is to be asked again (RFC 8628 3.5).
fn came(denied: &Denied) -> Option<Came> {
    let is_in_trouble = denied.error.http_status.is_some_and(|status| status >= 500);
    match denied.word.as_deref() {
        Some("authorization_pending") if !is_in_trouble => Some(Came::Pending),
        Some("slow_down") if !is_in_trouble => Some(Came::SlowDown),
        // Whatever else a server says with it: a status that passes decides nothing.
        _ if is_in_trouble || denied.error.is_transient() => Some(Came::Trouble),
        _ => None,
    }
}

fn json(answer: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(answer).map_err(Error::internal)
}
