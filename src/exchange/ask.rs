//! What the schemes of auth may ask of a call: a token endpoint's answer, and that a token is stored.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::Outcome;
use super::run::Run;
use super::sign::Hop;
use super::{Exchange, Hooks, Policy, limit};
use crate::auth::{Ask, Form, Place, Repeat, Scheme, SignIn};
use crate::config::values::Statuses;
use crate::config::{Rules, Settings};
use crate::errand;
use crate::error::{Error, Kind, Result, Sent};
use crate::request::{Content, Key, Prepared};
use crate::response::Response;
use crate::transport::{Target, Token};

/// No token is longer.
const MAX_ANSWER: u64 = 1 << 20;

/// And no refusal.
const MIN_ERROR: u64 = 64 << 10;

/// The call that credentials are made for.
pub(super) struct Asker<'a, 'c> {
    pub exchange: &'a Exchange,
    pub run: &'a Run<'c>,
    /// Of the requests to token endpoints.
    pub settings: &'a Settings,
}

/// The settings of requests to token endpoints, where those of others are these. A token is for all calls, so what one
/// of them says for itself is not for its token: of the call come its cancel and its deadline.
pub(super) fn settings(of: &Settings) -> Settings {
    let mut settings = of.clone();
    settings.redirects.follow = false;
    settings.limits.max_body = MAX_ANSWER;
    // Of an error, its words are needed.
    settings.limits.max_error_body = settings.limits.max_error_body.max(MIN_ERROR);
    settings.accept_encoding = Default::default();
    settings
}

impl Exchange {
    /// Works for a person who signs in. `prepared`: the request that it would be for; nothing of it is sent, but its
    /// settings count. It has no limits to wait for.
    pub fn sign_in(
        &self,
        policy: &Policy,
        prepared: &Prepared<'_>,
        cancel: Option<&Arc<Token>>,
        hooks: &Hooks,
        work: impl FnOnce(&dyn SignIn, &dyn Ask) -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let Some(sign_in) = self.scheme.as_deref().and_then(Scheme::sign_in) else {
            let what = "auth: nobody signs in here: apl_auth_begin and apl_auth_finish are for the types oauth2_pkce \
                        and oauth2_device_flow";
            return Err(Error::argument(what));
        };
        let policy = Policy { limits: Vec::new(), ..policy.clone() };
        let run = Run::new(&policy, prepared, cancel, hooks, self.redactor());
        let settings = settings(&prepared.settings);
        work(sign_in, &Asker { exchange: self, run: &run, settings: &settings })
    }
}

impl Ask for Asker<'_, '_> {
    fn send(&self, to: &Place, repeat: Repeat, form: &dyn Fn() -> Result<Form>) -> Result<Response> {
        let (exchange, call) = (self.exchange, self.run);
        let origin = &to.origin;
        let mut target = Target::of(origin)?;
        if !exchange.allowed.contains(origin) {
            target = target.foreign();
        }
        if !origin.is_https() {
            target = target.direct();
        }
        let policy = Policy {
            endpoint: "auth".into(),
            target: Arc::new(target),
            rules: Rules::default(),
            limits: Vec::new(),
            cache: None,
        };
        let own = |name| call.prepared.public_headers().iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        let (hooks, ok_status) = (Hooks::default(), Statuses::default());
        let (mut attempts, mut tries, mut waited, mut sent) = (Vec::new(), 1, Duration::ZERO, Sent::No);
        let mut redactor = call.redactor.clone();
        loop {
            let form = form()?;
            redactor = Arc::new(redactor.with(form.secrets.iter().map(|secret| secret.as_str())));
            let mut headers: Vec<(&str, Cow<'_, str>)> = own("user-agent").cloned().into_iter().collect();
            headers.push(("Accept", "application/json".into()));
            headers.push(("Content-Type", "application/x-www-form-urlencoded".into()));
            headers.extend(form.authorization.as_ref().map(|value| ("Authorization", value.as_str().into())));
            let prepared = Prepared {
                method: "POST",
                origin,
                url: to.url.clone(),
                // All of them are for this place; of what is for the API, nothing is here.
                own_headers: headers.len(),
                headers,
                body: Some(Content::Bytes(Cow::Borrowed(form.body.as_bytes()))),
                settings: Cow::Borrowed(self.settings),
                deadline: None,
                secret_headers: &[],
                auth_query: None,
                // Asking again is all that a client can do: a lost answer's token is as good as none.
                key: if repeat == Repeat::Same { Key::Given } else { Key::None },
                is_safe: false,
                is_conditional: false,
                ok_status: &ok_status,
                secret: Vec::new(),
            };
            // As another origin: no cookies, no credentials, no request callback.
            let mut hop = Hop::first(&policy.target, &prepared)?;
            hop.trusted = false;
            let run = Run::new(&policy, &prepared, call.cancel, &hooks, redactor.clone());
            let mut run = Run { attempts, tries, waited, sent, deadline: call.deadline, ..run };
            match exchange.attempt(&mut run, &hop, Exchange::accept) {
                Ok(Outcome::Answer(answer)) => return Ok(run.done(answer)),
                Ok(Outcome::Redirect(_)) => return Err(Error::internal("a token endpoint was left")),
                Err(mut failed) => {
                    match repeat {
                        Repeat::Same | Repeat::Made => failed.error.repeatable = true,
                        Repeat::Unsent => failed.is_final |= failed.error.sent != Sent::No,
                        Repeat::Never => failed.is_final = true,
                    }
                    exchange.again(&mut run, failed).map_err(|mut error| {
                        error.repeatable = repeat != Repeat::Unsent;
                        error
                    })?;
                }
            }
            Run { attempts, tries, waited, sent, .. } = run;
        }
    }

    fn store(&self, token_json: &[u8]) -> Result<()> {
        let Some(on_token) = &self.run.hooks.on_token else { return Ok(()) };
        let limits = &self.run.policy.limits;
        let refusal = errand::at_caller(|| {
            // Whichever thread holds the places.
            let _inside = limit::Inside::enter(limits);
            on_token(token_json)
        });
        match refusal {
            0 => Ok(()),
            refusal => {
                let what =
                    "the token callback (apl_connector_on_token) did not store the new token: it returned";
                Err(Error::new(Kind::Auth, format!("{what} {refusal}")))
            }
        }
    }

    fn excerpt(&self, text: &str, secrets: &[&str]) -> String {
        self.run.redactor.with(secrets.iter().copied()).excerpt(text)
    }

    fn cancel(&self) -> Option<&Arc<Token>> {
        self.run.cancel
    }

    fn deadline(&self) -> Option<Instant> {
        self.run.deadline
    }
}
