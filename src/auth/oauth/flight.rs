//! One asks for a token, the others wait for it.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::auth::Ask;
use crate::errand;
use crate::error::{Error, Kind, Result};
use crate::transport::{Bell, Fail};

/// A token that is being asked for.
#[derive(Default)]
pub(super) struct Flight(Mutex<State>);

#[derive(Default)]
struct State {
    is_over: bool,
    failure: Option<Error>,
    waiting: Vec<Arc<Bell>>,
}

impl Flight {
    /// It is over. A failure is that of all who wait: if each of them asked again, a server in trouble would have a herd.
    pub fn land(&self, failure: Option<Error>) {
        let waiting = {
            let mut state = self.0.lock();
            state.is_over = true;
            state.failure = failure;
            std::mem::take(&mut state.waiting)
        };
        waiting.iter().for_each(|bell| bell.ring());
    }

    /// How many wait for it.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }

    /// Waits until it is over, but not beyond the call's own cancel and deadline. Gives its failure, where it is one for
    /// all. In a callback of a call, the one that asks may be a thread of that call, which needs this thread meanwhile.
    pub fn wait(&self, ask: &dyn Ask) -> Result<Option<Error>> {
        let bell = Arc::new(Bell::new(ask.cancel()).map_err(gone)?);
        loop {
            {
                let mut state = self.0.lock();
                if state.is_over {
                    return Ok(state.failure.clone());
                }
                if !state.waiting.iter().any(|other| Arc::ptr_eq(other, &bell)) {
                    state.waiting.push(bell.clone());
                }
            }
            if ask.deadline().is_some_and(|end| end <= Instant::now()) {
                let what = "timed out: the call's deadline ran out while another call asked for the token";
                return Err(Error::new(Kind::Timeout, what));
            }
            errand::wait(&bell, ask.deadline()).map_err(gone)?;
        }
    }
}

fn gone(fail: Fail) -> Error {
    match fail {
        Fail::Cancelled => {
            Error::new(Kind::Cancelled, "cancelled by the caller while another call asked for the token")
        }
        fail => Error::new(Kind::Io, format!("waiting for the token that another call asked for: {fail}")),
    }
}
