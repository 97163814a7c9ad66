//! The callbacks that a connector keeps: set before its first call, and then the same for every one.

use once_cell::sync::OnceCell;
use parking_lot::Mutex;

use crate::error::{Error, Kind, Result};
use crate::exchange::Hooks;

/// The callbacks of a connector, until its first call and from then on.
pub(crate) struct HooksCell {
    /// None: there was a call already.
    settable: Mutex<Option<Hooks>>,
    fixed: OnceCell<Hooks>,
}

impl HooksCell {
    pub fn new() -> HooksCell {
        HooksCell { settable: Mutex::new(Some(Hooks::default())), fixed: OnceCell::new() }
    }

    /// For a call: whatever is set now stays.
    pub fn fix(&self) -> &Hooks {
        self.fixed.get_or_init(|| self.settable.lock().take().unwrap_or_default())
    }

    /// Sets one, and gives back what was there; BUSY after the first call.
    pub fn set<T>(&self, name: &str, with: impl FnOnce(&mut Hooks) -> Option<T>) -> Result<()> {
        let mut settable = self.settable.lock();
        let Some(hooks) = settable.as_mut() else {
            let what = format!("{name}: callbacks are set before the connector's first call");
            return Err(Error::new(Kind::Busy, what));
        };
        let before = with(hooks);
        drop(settable);
        // Host code, which runs without a lock.
        drop(before);
        Ok(())
    }
}

impl std::fmt::Debug for HooksCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HooksCell")
    }
}
