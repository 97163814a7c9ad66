//! One attempt's way through ureq: what goes in with it, and where the connection and the failure come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;

use super::connection::Connection;
use super::fail::Fail;
use super::target::Target;
use super::terms::Terms;

/// One attempt.
#[derive(Debug)]
pub(super) struct Call {
    pub target: Arc<Target>,
    pub terms: Terms,
    /// Take no idle connection: the one before turned out to be dead.
    pub fresh: bool,
    /// Hold the head back and send it with the body in one packet.
    pub hold_head: bool,
    /// Room for the longest header line: ureq fails a request whose line does not fit.
    pub output: usize,
    /// The peer stopped reading: the rest of the body is dropped, its answer is read.
    write_failed: AtomicBool,
    slot: Mutex<Slot>,
}

/// What comes back from ureq's side.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub connection: Option<Box<Connection>>,
    pub fail: Option<Fail>,
}

impl Call {
    pub fn new(target: Arc<Target>, terms: Terms, fresh: bool, hold_head: bool, output: usize) -> Call {
        let (write_failed, slot) = (AtomicBool::new(false), Mutex::default());
        Call { target, terms, fresh, hold_head, output, write_failed, slot }
    }

    pub fn write_failed(&self) -> bool {
        self.write_failed.load(Relaxed)
    }

    pub fn stop_writing(&self) {
        self.write_failed.store(true, Relaxed);
    }

    /// Notes the exact failure and gives ureq one to pass along.
    pub fn fail(&self, fail: Fail) -> ureq::Error {
        self.slot.lock().fail.get_or_insert(fail);
        ureq::Error::ConnectionFailed
    }

    /// The connection comes home.
    pub fn hand_over(&self, connection: Box<Connection>) {
        self.slot.lock().connection = Some(connection);
    }

    pub fn take(&self) -> Slot {
        std::mem::take(&mut *self.slot.lock())
    }
}
