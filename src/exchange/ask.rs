//! What the schemes of auth may ask of a call: a token endpoint's answer, and that a token is stored.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::run::Run;
use super::sign::Hop;
use super::{Exchange, Hooks, Policy, limit};
use crate::auth::{Ask, Form, Scheme, SignIn};
use crate::config::Rules;
use crate::config::values::Statuses;
use crate::errand;
use crate::error::{Error, Kind, Result};
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
        let redactor = Arc::new(self.redactor().into_owned());
        let policy = Policy { limits: Vec::new(), ..policy.clone() };
        let run = Run::new(&policy, prepared, cancel, hooks, &redactor);
        work(sign_in, &Asker { exchange: self, run: &run })
    }
}

impl Ask for Asker<'_, '_> {
    fn send(&self, form: &Form<'_>) -> Result<Response> {
        let (exchange, run) = (self.exchange, self.run);
        let origin = &form.to.origin;
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
        let mut settings = run.prepared.settings.clone().into_owned();
        settings.redirects.follow = false;
        settings.limits.max_body = settings.limits.max_body.min(MAX_ANSWER);
        // Of an error, its words are needed.
        settings.limits.max_error_body = settings.limits.max_error_body.max(MIN_ERROR);
        settings.accept_encoding = Default::default();
        if form.once {
            settings.retry.attempts = 1;
        }
        let own = |name| run.prepared.public_headers().iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        let mut headers: Vec<(&str, Cow<'_, str>)> = own("user-agent").cloned().into_iter().collect();
        headers.push(("Accept", "application/json".into()));
        headers.push(("Content-Type", "application/x-www-form-urlencoded".into()));
        headers.extend(form.authorization.map(|value| ("Authorization", value.into())));
        let ok_status = Statuses::default();
        let prepared = Prepared {
            method: "POST",
            origin,
            url: form.to.url.clone(),
            // All of them are for this place; of what is for the API, nothing is here.
            own_headers: headers.len(),
            headers,
            body: Some(Content::Bytes(Cow::Borrowed(form.body.as_bytes()))),
            settings: Cow::Owned(settings),
            deadline: run.deadline.map(|end| end.saturating_duration_since(Instant::now())),
            secret_headers: &[],
            auth_query: None,
            // Asking again is all that a client can do: a lost answer's token is as good as none.
            key: Key::Given,
            is_safe: false,
            is_conditional: false,
            ok_status: &ok_status,
            secret: Vec::new(),
        };
        let redactor = Arc::new(run.redactor.with(form.secrets.iter().copied()));
        let hooks = Hooks::default();
        // As another origin: no cookies, no credentials, no request callback.
        let mut hop = Hop::first(&policy.target, &prepared)?;
        hop.trusted = false;
        exchange.drive(
            Run::new(&policy, &prepared, run.cancel, &hooks, &redactor),
            hop,
            Exchange::accept,
            Run::done,
        )
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
