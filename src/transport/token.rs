//! The cancel token: a flag, and the sockets to wake.
//!
//! A call registers each socket that it may wait on, and releases it before the socket becomes idle or is
//! closed. A canceller sets the flag, then wakes every registered socket; it pins a slot while it does, and a
//! release waits for the pin. So a cancel is never lost (a call looks at the flag after it has registered) and
//! never late (a socket that left its call is not touched any more). The canceller itself never waits, takes
//! no lock and allocates nothing: it may run in a signal handler.

use super::sync::{Arc, AtomicBool, AtomicU64, OnceBox, Ordering::SeqCst, fence, yield_now};
use super::wake::wake;

/// One pin. A slot holds `fd + 1` in its low half, 0 when free, and the pins in its high half.
const PIN: u64 = 1 << 32;
const SLOTS: usize = 4;

#[derive(Debug, Default)]
struct Block {
    slots: [AtomicU64; SLOTS],
    /// Blocks are added when more sockets are registered at once, and stay until the token goes.
    next: OnceBox<Block>,
}

/// A sticky cancel flag that any thread, or a signal handler, may set. One token may serve many calls.
#[derive(Debug, Default)]
pub struct Token {
    flag: AtomicBool,
    first: Block,
    /// Its cancel is this one's too.
    parent: Option<Arc<Token>>,
}

impl Token {
    /// A token that is not triggered.
    pub fn new() -> Token {
        Token::default()
    }

    /// A token that is cancelled by itself, and by the parent, where there is one.
    pub fn child(parent: Option<Arc<Token>>) -> Token {
        Token { parent, ..Token::default() }
    }

    /// Was it cancelled?
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(SeqCst) || self.parent.as_ref().is_some_and(|parent| parent.is_cancelled())
    }

    /// Cancels every call that uses this token, now and later. Async-signal-safe.
    pub fn cancel(&self) {
        self.flag.store(true, SeqCst);
        // Orders the flag before the look at the slots, against `register`, which does the reverse.
        fence(SeqCst);
        let mut block = Some(&self.first);
        while let Some(b) = block {
            b.slots.iter().for_each(wake_slot);
            block = b.next.get();
        }
    }

    fn slot(&self, at: usize) -> Option<&AtomicU64> {
        let mut block = &self.first;
        for _ in 0..at / SLOTS {
            block = block.next.get()?;
        }
        block.slots.get(at % SLOTS)
    }
}

fn wake_slot(slot: &AtomicU64) {
    loop {
        let value = slot.load(SeqCst);
        let Some(fd) = (value as u32).checked_sub(1) else { return };
        if slot.compare_exchange(value, value + PIN, SeqCst, SeqCst).is_ok() {
            wake(fd);
            slot.fetch_sub(PIN, SeqCst);
            return;
        }
    }
}

/// A registered socket. It must be dropped before the socket is closed or becomes idle.
#[derive(Debug)]
pub(super) struct Registration {
    token: Arc<Token>,
    slot: usize,
    /// With the token's parent.
    _above: Option<Box<Registration>>,
}

impl Registration {
    /// Notes a socket's number, so that a cancel wakes it. The caller looks at the flag afterwards.
    pub(super) fn new(token: &Arc<Token>, fd: u32) -> Registration {
        let above = token.parent.as_ref().map(|parent| Box::new(Registration::new(parent, fd)));
        let value = u64::from(fd) + 1;
        let mut block = &token.first;
        let mut at = 0;
        loop {
            for slot in &block.slots {
                if slot.load(SeqCst) == 0 && slot.compare_exchange(0, value, SeqCst, SeqCst).is_ok() {
                    fence(SeqCst);
                    return Registration { token: token.clone(), slot: at, _above: above };
                }
                at += 1;
            }
            block = block.next.get_or_init(Box::default);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(slot) = self.token.slot(self.slot) else { return };
        loop {
            let value = slot.load(SeqCst);
            if value >= PIN {
                // A canceller is inside its one system call.
                yield_now();
            } else if slot.compare_exchange(value, 0, SeqCst, SeqCst).is_ok() {
                return;
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn more_sockets_than_one_block_holds_are_registered_and_released() {
        let token = Arc::new(Token::new());
        let registered: Vec<_> = (0..11).map(|fd| Registration::new(&token, 1_000_000 + fd)).collect();
        let used = |t: &Token| (0..12).filter(|i| t.slot(*i).is_some_and(|s| s.load(SeqCst) != 0)).count();
        assert_eq!(used(&token), 11);
        drop(registered);
        assert_eq!(used(&token), 0);
    }
}
