//! ureq's part: it writes the request, and asks for the connection on which it does.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use http::{Method, Uri, header};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};
use ureq::{Agent, SendBody};

use super::call::Call;
use super::hook;
use super::loan::Loan;
use super::shared::Shared;
use super::upload::{Payload, Upload};

#[derive(Debug)]
pub(super) struct Writer(Agent);

impl Writer {
    pub fn new(shared: Arc<Shared>) -> Writer {
        // Whatever ureq would do of itself is off: it only writes the request.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .allow_non_standard_methods(true)
            .user_agent("")
            .accept("")
            .accept_encoding("")
            .build();
        Writer(Agent::with_parts(config, Plug { shared }, NoResolver))
    }

    /// Writes the request and waits for the head of its answer. What came of it, the call has.
    pub fn write(
        &self,
        mut head: http::Request<()>,
        body: Payload<'_>,
        call: &Arc<Call>,
    ) -> Result<(), ureq::Error> {
        let _current = Current::set(call.clone());
        // Without an explicit empty body, ureq would send these chunked.
        let usual = matches!(*head.method(), Method::POST | Method::PUT | Method::PATCH);
        let response = match body {
            Payload::Bytes(body) => self.0.run(head.map(|()| body))?,
            Payload::Stream(source) => {
                // ureq would send it chunked.
                head.headers_mut().insert(header::CONTENT_LENGTH, source.length().into());
                let mut upload = Upload::new(source, call.clone());
                self.0.run(head.map(|()| SendBody::from_reader(&mut upload)))?
            }
            Payload::None if usual => self.0.run(head.map(|()| &b""[..]))?,
            Payload::None => self.0.run(head)?,
        };
        drop(response);
        Ok(())
    }
}

thread_local! {
    /// The call for which this thread is inside ureq. Read in `Plug::connect` and nowhere else.
    static CURRENT: RefCell<Option<Arc<Call>>> = const { RefCell::new(None) };
}

/// Where ureq asks for a connection.
struct Plug {
    shared: Arc<Shared>,
}

impl fmt::Debug for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plug")
    }
}

impl Connector for Plug {
    type Out = Loan;

    fn connect(&self, _: &ConnectionDetails, _: Option<()>) -> Result<Option<Loan>, ureq::Error> {
        let Some(call) = CURRENT.with(|c| c.borrow().clone()) else {
            return Err(ureq::Error::ConnectionFailed);
        };
        match self.shared.acquire(&call) {
            Ok(connection) => {
                hook::pass("connect");
                Ok(Some(Loan::new(connection, call)))
            }
            Err(fail) => Err(call.fail(fail)),
        }
    }
}

/// Names the call for as long as it lives, then whatever was named before.
struct Current(Option<Arc<Call>>);

impl Current {
    fn set(call: Arc<Call>) -> Current {
        Current(CURRENT.with(|c| c.replace(Some(call))))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.with(|c| c.replace(self.0.take()));
    }
}

/// ureq resolves nothing: the pool is asked first.
#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(
        &self,
        _: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}
