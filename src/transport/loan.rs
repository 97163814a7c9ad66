//! What ureq holds: a connection on loan. It writes the request; the answer it never sees.
//!
//! ureq writes the request through `transmit_output`. When it waits for the answer, the connection reads the
//! head itself, and ureq is shown a constant one in its place (204: no body follows), so that it hands the
//! connection back at once. The head is parsed once, by us, with every byte and in the order of the wire.

use std::fmt;
use std::sync::Arc;

use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use super::call::Call;
use super::connection::Connection;
use super::fail::Fail;
use super::hook;
use super::terms::Terms;

const SHOWN: &[u8] = b"HTTP/1.1 204 \r\n\r\n";
/// Large enough that ureq drops the rest of a refused body in few steps.
const SHED: usize = 1 << 20;

/// The loan. Dropped, for whatever reason, it gives the connection back to the call.
pub(super) struct Loan {
    connection: Option<Box<Connection>>,
    call: Arc<Call>,
    shown: &'static [u8],
    shed: Vec<u8>,
}

impl Loan {
    pub fn new(connection: Box<Connection>, call: Arc<Call>) -> Loan {
        Loan { connection: Some(connection), call, shown: b"", shed: Vec::new() }
    }

    /// Runs one step on the connection; its exact failure stays with the call.
    fn step<T>(
        &mut self,
        f: impl FnOnce(&mut Connection, &Terms) -> Result<T, Fail>,
    ) -> Result<T, ureq::Error> {
        let Some(connection) = &mut self.connection else {
            return Err(self
                .call
                .fail(Fail::Internal("a connection was used after it was given back".into())));
        };
        f(connection, &self.call.terms).map_err(|fail| self.call.fail(fail))
    }

    /// The peer reads no more: what is still to be sent goes nowhere, and its answer is read.
    fn stop_writing(&mut self, went_out: bool) {
        if !went_out {
            self.call.stop_writing();
            self.shed.resize(SHED, 0);
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.call.hand_over(connection);
        }
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loan")
    }
}

impl Buffers for Loan {
    fn output(&mut self) -> &mut [u8] {
        match &mut self.connection {
            Some(connection) if self.shed.is_empty() => &mut connection.output,
            _ => &mut self.shed,
        }
    }

    fn input(&self) -> &[u8] {
        self.shown
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        &mut []
    }

    fn input_appended(&mut self, _: usize) {}

    fn input_consume(&mut self, amount: usize) {
        self.shown = self.shown.get(amount..).unwrap_or_default();
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        // The first is only used for a chunked body. Ours have a length.
        (&mut [], self.output())
    }

    fn can_use_input(&self) -> bool {
        !self.shown.is_empty()
    }
}

impl Transport for Loan {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        if self.call.write_failed() {
            return Ok(());
        }
        let went_out = self.step(|connection, terms| connection.transmit(terms, amount))?;
        self.stop_writing(went_out);
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let went_out = self.step(|connection, terms| connection.flush(terms))?;
        self.stop_writing(went_out);
        self.step(|connection, terms| connection.read_head(terms))?;
        hook::pass("head");
        self.shown = SHOWN;
        Ok(true)
    }

    /// Never: ureq's own pool stays empty, and our code is never run under its lock.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        self.connection.as_ref().is_some_and(|c| c.is_tls())
    }
}
