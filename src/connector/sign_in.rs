//! A person signs in: `apl_auth_begin` and `apl_auth_finish`.

use std::borrow::Cow;
use std::sync::Arc;

use super::Connector;
use crate::auth::{Ask, SignIn};
use crate::error::Result;
use crate::request::{Body, Call, CallOptions};
use crate::response::{Head, Meta, Response};
use crate::transport::Token;

impl Connector {
    /// Begins a sign-in: what the person is to be shown.
    pub fn auth_begin(&self, options: Option<&str>, cancel: Option<&Arc<Token>>) -> Result<Response> {
        self.sign_in(options, cancel, |sign_in, ask| sign_in.begin(ask))
    }

    /// Finishes it. `redirect_url`: where the browser came back to; None: the person is waited for.
    pub fn auth_finish(&self, redirect_url: Option<&str>, cancel: Option<&Arc<Token>>) -> Result<Response> {
        self.sign_in(None, cancel, |sign_in, ask| sign_in.finish(redirect_url, ask))
    }

    fn sign_in(
        &self,
        options: Option<&str>,
        cancel: Option<&Arc<Token>>,
        work: impl FnOnce(&dyn SignIn, &dyn Ask) -> Result<Vec<u8>>,
    ) -> Result<Response> {
        let options = CallOptions::parse_for(options, Call::SignIn)?;
        // Some request to the API, with the settings of all of its calls.
        let mut prepared = self.health.prototype.prepare(None, &options, Body::Fetch)?;
        let settings = &self.config.settings;
        prepared.settings =
            options.overrides().map_or(Cow::Borrowed(settings), |o| Cow::Owned(settings.with(o)));
        let body = self.exchange.sign_in(&self.health.policy, &prepared, cancel, self.hooks.fix(), work)?;
        Ok(Response::new(Head::default(), Meta::default(), body))
    }
}
