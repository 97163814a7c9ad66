//! A wait that is no wait for a server: for a time, for another thread, and never longer than a cancel.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{recv, send};

use super::fail::Fail;
use super::socket;
use super::token::{Registration, Token};
use super::wire::{self, RECV_NOW, SEND_NOW};

/// One thread waits for it, others ring it. A ring that comes before the wait is not lost.
#[derive(Debug)]
pub struct Bell(Wire);

#[derive(Debug)]
enum Wire {
    /// Nobody can cancel: no descriptor is needed.
    Local { rung: Mutex<bool>, changed: Condvar },
    /// A cancel shuts the near end down, as it does with every socket that a call waits on.
    Pair {
        token: Arc<Token>,
        // Dropped before the socket is closed, so that a late cancel cannot meet another one of this number.
        _registration: Registration,
        near: OwnedFd,
        far: OwnedFd,
    },
}

impl Bell {
    /// A bell whose waits end with the token's cancel.
    pub fn new(cancel: Option<&Arc<Token>>) -> Result<Bell, Fail> {
        let Some(token) = cancel else {
            return Ok(Bell(Wire::Local { rung: Mutex::new(false), changed: Condvar::new() }));
        };
        let (near, far) = wire::pair().map_err(|e| Fail::System("opening a socket pair", e))?;
        let _registration = Registration::new(token, near.as_raw_fd() as u32);
        Ok(Bell(Wire::Pair { token: token.clone(), _registration, near, far }))
    }

    /// Ends the wait, or the next one.
    pub fn ring(&self) {
        match &self.0 {
            Wire::Local { rung, changed } => {
                *rung.lock() = true;
                changed.notify_one();
            }
            Wire::Pair { far, .. } => {
                // No room: it is rung already. Shut down: it is cancelled.
                let _ = send(far, b"!", SEND_NOW);
            }
        }
    }

    /// Waits for a ring (`true`), but not beyond `until` (`false`). Several rings are one.
    pub fn wait(&self, until: Option<Instant>) -> Result<bool, Fail> {
        match &self.0 {
            Wire::Local { rung, changed } => {
                let mut rung = rung.lock();
                while !*rung && until.is_none_or(|u| Instant::now() < u) {
                    match until {
                        Some(until) => drop(changed.wait_until(&mut rung, until)),
                        None => changed.wait(&mut rung),
                    }
                }
                Ok(std::mem::take(&mut *rung))
            }
            Wire::Pair { token, near, .. } => loop {
                // Before every wait: a cancel that came before it is seen here, a later one ends it.
                check(token)?;
                match recv(near, &mut [0u8; 64][..], RECV_NOW).map(|(n, _)| n) {
                    Err(Errno::AGAIN) => {}
                    Err(Errno::INTR) => continue,
                    Ok(n) if n > 0 => return Ok(true),
                    // Shut down: the flag was set before. To Windows, reading after that is an error.
                    cut => {
                        check(token)?;
                        return Err(match cut {
                            Err(e) => Fail::System("waiting for a socket", e),
                            Ok(_) => Fail::Internal("a bell was cut without a cancel".into()),
                        });
                    }
                }
                let left = until.map(|u| u.saturating_duration_since(Instant::now()));
                if left == Some(Duration::ZERO) {
                    return Ok(false);
                }
                socket::wait(&mut [PollFd::new(near, PollFlags::IN)], left)?;
            },
        }
    }
}

fn check(token: &Token) -> Result<(), Fail> {
    if token.is_cancelled() { Err(Fail::Cancelled) } else { Ok(()) }
}

/// Waits until then; only a cancel ends it earlier.
pub fn pause(until: Instant, cancel: Option<&Arc<Token>>) -> Result<(), Fail> {
    if let Some(token) = cancel {
        check(token)?;
    }
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(());
    }
    match cancel {
        // Nobody rings it.
        Some(_) => Bell::new(cancel)?.wait(Some(until)).map(drop),
        None => {
            thread::sleep(left);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc;

    use super::*;

    /// So long that only a fault makes a test wait for it.
    const LONG: Duration = Duration::from_secs(60);

    fn both(test: impl Fn(Option<&Arc<Token>>)) {
        test(None);
        test(Some(&Arc::new(Token::new())));
    }

    #[test]
    fn a_ring_before_the_wait_is_kept_and_many_are_one() {
        both(|cancel| {
            let bell = Bell::new(cancel).unwrap();
            bell.ring();
            bell.ring();
            assert_eq!(bell.wait(None), Ok(true));
            assert_eq!(bell.wait(Some(Instant::now())), Ok(false));
        });
    }

    #[test]
    fn more_rings_than_a_socket_holds_block_nobody() {
        let token = Arc::new(Token::new());
        let bell = Bell::new(Some(&token)).unwrap();
        (0..100_000).for_each(|_| bell.ring());
        assert_eq!(bell.wait(Some(Instant::now() + LONG)), Ok(true));
    }

    #[test]
    fn another_thread_ends_the_wait() {
        both(|cancel| {
            let bell = Bell::new(cancel).unwrap();
            thread::scope(|scope| {
                let waiter = scope.spawn(|| bell.wait(Some(Instant::now() + LONG)));
                bell.ring();
                assert_eq!(waiter.join().unwrap(), Ok(true));
            });
        });
    }

    #[test]
    fn time_ends_the_wait_and_never_before_its_time() {
        both(|cancel| {
            let bell = Bell::new(cancel).unwrap();
            for wait in [Duration::from_micros(1), Duration::from_millis(3), Duration::from_millis(21)] {
                let until = Instant::now() + wait;
                assert_eq!(bell.wait(Some(until)), Ok(false));
                assert!(Instant::now() >= until);
                let until = Instant::now() + wait;
                pause(until, cancel).unwrap();
                assert!(Instant::now() >= until);
            }
        });
    }

    #[test]
    fn a_cancel_ends_every_wait_and_those_that_follow() {
        let token = Arc::new(Token::new());
        let bell = Bell::new(Some(&token)).unwrap();
        let begun = Instant::now();
        let (ready, waiting) = mpsc::channel();
        thread::scope(|scope| {
            let waits = [
                scope.spawn(|| bell.wait(Some(begun + LONG)).map(drop)),
                scope.spawn({
                    let token = &token;
                    move || {
                        ready.send(()).unwrap();
                        pause(begun + LONG, Some(token))
                    }
                }),
            ];
            waiting.recv().unwrap();
            token.cancel();
            for wait in waits {
                assert_eq!(wait.join().unwrap(), Err(Fail::Cancelled));
            }
        });
        assert!(begun.elapsed() < LONG / 2);
        bell.ring();
        assert_eq!(bell.wait(None), Err(Fail::Cancelled));
        assert_eq!(pause(begun, Some(&token)), Err(Fail::Cancelled));
    }
}
