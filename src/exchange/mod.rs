//! The one pipeline that every request takes, and what each failure means.
//!
//! limit → sign → send → classify → (redirect | another attempt) → content codings. Whether a request may be
//! sent again is decided in [`retry`], where it may go in [`redirect`], when in [`limit`]; all three are
//! pure, and [`Exchange::perform`] does what they say.

mod ask;
mod attempt;
mod classify;
mod hidden;
mod jar;
mod judge;
pub(crate) mod limit;
mod opened;
mod redirect;
pub(crate) mod retry;
mod run;
mod sign;
#[cfg(test)]
mod vectors;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::auth::Scheme;
use crate::cache::Cache;
use crate::config::{Allowed, Rules, Settings};
use crate::error::{Kind, Result};
use crate::redact::Redactor;
use crate::request::Prepared;
use crate::response::Response;
use crate::transport::{Target, Token, Transport, pause};
use crate::{log, random};

use attempt::{Failed, Outcome};
use jar::Jar;
use judge::Accept;
use limit::Limiter;
use retry::Next;
use run::Run;
use sign::Hop;

pub(crate) use classify::words;
pub use opened::{Opened, Read, Unspliced};
pub use sign::Draft;
pub use wire::Shown;

/// Signs a request: whatever it gives but 0 is a refusal.
pub type OnRequest = Box<dyn Fn(&mut Draft<'_>) -> i32 + Send + Sync>;

/// Stores a new token, which it gets as JSON: whatever it gives but 0 is a refusal.
pub type OnToken = Box<dyn Fn(&[u8]) -> i32 + Send + Sync>;

/// The callbacks that the host keeps with a connector.
#[derive(Default)]
pub struct Hooks {
    /// Signs requests.
    pub on_request: Option<OnRequest>,
    /// Stores tokens.
    pub on_token: Option<OnToken>,
}

/// What the requests of an endpoint are subject to.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The endpoint's name, for messages.
    pub endpoint: String,
    /// Its origin.
    pub target: Arc<Target>,
    /// What its answers mean.
    pub rules: Rules,
    /// Its own limit, and that of the connector.
    pub(crate) limits: Vec<Arc<Limiter>>,
    /// Its answers that are kept. Whoever carries requests out looks into it; the pipeline does not.
    pub cache: Option<Arc<Cache>>,
}

/// The pipeline of one connector.
pub struct Exchange {
    transport: Transport,
    known: hidden::Known,
    allowed: Allowed,
    jar: Option<Jar>,
    /// Makes the credentials of each request, where they are not always the same.
    scheme: Option<Arc<dyn Scheme>>,
    /// Of the requests that ask for such credentials.
    token_settings: Settings,
    hidden: hidden::Last,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl Exchange {
    /// A pipeline over a transport; texts go through the redactor, secrets to the allowed origins. `cookies`:
    /// those of the answers are kept. `scheme`: makes the credentials of each request. `settings`: the connector's own.
    pub fn new(
        transport: Transport,
        redactor: Redactor,
        allowed: Allowed,
        cookies: bool,
        scheme: Option<Arc<dyn Scheme>>,
        settings: &Settings,
    ) -> Exchange {
        let jar = cookies.then(Jar::default);
        let token_settings = ask::settings(settings);
        let (known, hidden) = (hidden::Known::new(redactor), hidden::Last::default());
        Exchange { transport, known, allowed, jar, scheme, token_settings, hidden }
    }

    /// The redactor of the connector's secrets, those included that it has learned.
    pub fn redactor(&self) -> Arc<Redactor> {
        self.known.with(self.scheme.as_deref())
    }

    /// Carries a request out. The answer's body is whole, without content codings, and not looked at.
    ///
    /// The policy's target is the prepared request's origin.
    pub fn perform(
        &self,
        policy: &Policy,
        prepared: &Prepared<'_>,
        cancel: Option<&Arc<Token>>,
        hooks: &Hooks,
    ) -> Result<Response> {
        let run = Run::new(policy, prepared, cancel, hooks, self.redactor());
        let hop = Hop::first(&policy.target, prepared)?;
        self.drive(run, hop, Exchange::accept, Run::done)
    }

    /// The same, but for the body, which is handed on as it comes.
    pub fn open(
        &self,
        policy: &Policy,
        prepared: &Prepared<'_>,
        cancel: Option<&Arc<Token>>,
        hooks: &Hooks,
    ) -> Result<Opened> {
        let run = Run { streamed: true, ..Run::new(policy, prepared, cancel, hooks, self.redactor()) };
        let hop = Hop::first(&policy.target, prepared)?;
        self.drive(run, hop, Exchange::hand_on, |run, opened| opened.with_history(run))
    }

    /// Makes requests until one has an answer that is what was wanted, or none will.
    fn drive<'c, T>(
        &self,
        mut run: Run<'c>,
        mut hop: Hop<'c>,
        accept: Accept<T>,
        done: impl FnOnce(Run<'c>, T) -> T,
    ) -> Result<T> {
        loop {
            match self.attempt(&mut run, &hop, accept) {
                Ok(Outcome::Answer(answer)) => return Ok(done(run, answer)),
                Ok(Outcome::Redirect(next)) => {
                    run.redirects.push(next.shown_url(&run.redactor));
                    hop = *next;
                    run.renewals = 0;
                }
                Err(failed) => self.again(&mut run, failed)?,
            }
        }
    }

    /// Waits for the next attempt; where there is none, the failure stands.
    fn again(&self, run: &mut Run<'_>, failed: Failed) -> Result<()> {
        let Failed { mut error, ruled, renewed, is_final } = failed;
        // Other credentials are no other attempt: the request was never looked at.
        if renewed {
            run.renewals += 1;
            log::info(format_args!("{}; once more, with other credentials", error.message));
            return Ok(());
        }
        if is_final {
            return Err(run.failed(error));
        }
        let retry = &run.prepared.settings.retry;
        let left = run.deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let about = retry::Failed { error: &error, repeatable: error.repeatable, ruled };
        let wait = match retry::next(retry, run.tries, about, left, random::fraction()) {
            Next::Again(wait) => wait,
            Next::Stop => return Err(run.failed(error)),
            Next::TooLong(wait) => {
                let most = match left {
                    Some(left) if wait <= retry.max_wait => format!("the deadline is in {}", seconds(left)),
                    _ => format!("retry.max_wait is {}", seconds(retry.max_wait)),
                };
                error.message += &format!("; it asks to wait {}, and {most}", seconds(wait));
                error.kind = Kind::RateLimited;
                return Err(run.failed(error));
            }
        };
        log::info(format_args!(
            "{}; attempt {} of {} follows in {} ms",
            error.message,
            run.tries + 1,
            retry.attempts,
            wait.as_millis()
        ));
        run.tries += 1;
        run.renewals = 0;
        run.waited += wait;
        let Err(fail) = pause(Instant::now() + wait, run.cancel) else { return Ok(()) };
        error.kind = classify::kind(&fail);
        error.message += &format!("; before the next attempt: {fail}");
        Err(run.failed(error))
    }

    /// Where a link of an answer leads, from the address of that answer: its whole address, and what the user should
    /// know of it; else why it is not followed. A link is followed with our secrets, so it leads to an allowed origin.
    pub fn follow_link(&self, base: &str, link: &str) -> Result<(String, Option<String>), String> {
        redirect::link(base, link, &self.allowed)
    }

    /// The request that would be sent, as it may be shown.
    pub fn show(&self, policy: &Policy, prepared: &Prepared<'_>) -> Result<Shown> {
        let hooks = Hooks::default();
        let mut run = Run { only_shown: true, ..Run::new(policy, prepared, None, &hooks, self.redactor()) };
        let hop = Hop::first(&policy.target, prepared)?;
        let signed = self.sign(&mut run, &hop)?;
        Ok(Shown::of(&signed, &run.redactor))
    }
}

/// A time for messages.
fn seconds(time: Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 10.0).ceil() / 10.0)
}
