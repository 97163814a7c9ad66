//! Idle connections, kept for the next request to the same origin. Pure: time is an argument.

use std::time::{Duration, Instant};

use super::sync::Mutex;

/// One pool of one connector. Host code and system calls never run under its lock.
#[derive(Debug)]
pub(super) struct Pool<K, C> {
    idle: Mutex<Vec<Idle<K, C>>>,
    max_per_key: usize,
    max_age: Duration,
}

#[derive(Debug)]
struct Idle<K, C> {
    key: K,
    connection: C,
    since: Instant,
    /// The process it was made in: a forked child must not use it.
    generation: u32,
}

impl<K, C> Pool<K, C> {
    pub fn new(max_per_key: usize, max_age: Duration) -> Pool<K, C> {
        Pool { idle: Mutex::new(Vec::new()), max_per_key, max_age }
    }

    /// Keeps a connection. Too old ones, and the oldest of the same key beyond the limit, go.
    pub fn put(&self, key: K, connection: C, now: Instant, generation: u32, same: impl Fn(&K, &K) -> bool) {
        let mut gone = Vec::new();
        {
            let mut idle = self.idle.lock();
            let mut room = self.max_per_key;
            // From the youngest to the oldest, which is the order in which they are kept.
            for at in (0..idle.len()).rev() {
                let old = now.saturating_duration_since(idle[at].since) >= self.max_age;
                let counts = same(&idle[at].key, &key);
                if old || (counts && room <= 1) {
                    gone.push(idle.remove(at));
                } else if counts {
                    room -= 1;
                }
            }
            if room > 0 {
                idle.push(Idle { key, connection, since: now, generation });
            }
        }
        // Closed here, outside the lock.
        drop(gone);
    }

    /// Takes the youngest connection that fits; the caller still has to ask whether it is alive.
    pub fn take(&self, now: Instant, generation: u32, fits: impl Fn(&K) -> bool) -> Option<C> {
        loop {
            let found = {
                let mut idle = self.idle.lock();
                let at = idle.iter().rposition(|i| fits(&i.key))?;
                idle.remove(at)
            };
            let young = now.saturating_duration_since(found.since) < self.max_age;
            if young && found.generation == generation {
                return Some(found.connection);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn pool() -> Pool<&'static str, u32> {
        Pool::new(2, Duration::from_secs(60))
    }

    fn same(a: &&str, b: &&str) -> bool {
        a == b
    }

    #[test]
    fn the_youngest_connection_of_the_same_origin_is_taken_first() {
        let (pool, now) = (pool(), Instant::now());
        pool.put("a", 1, now, 0, same);
        pool.put("b", 2, now, 0, same);
        pool.put("a", 3, now, 0, same);
        assert_eq!(pool.take(now, 0, |k| *k == "a"), Some(3));
        assert_eq!(pool.take(now, 0, |k| *k == "a"), Some(1));
        assert_eq!(pool.take(now, 0, |k| *k == "a"), None);
        assert_eq!(pool.take(now, 0, |k| *k == "b"), Some(2));
    }

    #[test]
    fn beyond_the_limit_the_oldest_goes() {
        let (pool, now) = (pool(), Instant::now());
        for n in 1..=4 {
            pool.put("a", n, now, 0, same);
        }
        assert_eq!(pool.take(now, 0, |_| true), Some(4));
        assert_eq!(pool.take(now, 0, |_| true), Some(3));
        assert_eq!(pool.take(now, 0, |_| true), None);
    }

    #[test]
    fn an_old_connection_is_not_used() {
        let (pool, now) = (pool(), Instant::now());
        pool.put("a", 1, now, 0, same);
        assert_eq!(pool.take(now + Duration::from_secs(60), 0, |_| true), None);
        pool.put("a", 1, now, 0, same);
        assert_eq!(pool.take(now + Duration::from_secs(59), 0, |_| true), Some(1));
    }

    #[test]
    fn a_forked_child_uses_none_of_its_parents() {
        let (pool, now) = (pool(), Instant::now());
        pool.put("a", 1, now, 0, same);
        assert_eq!(pool.take(now, 1, |_| true), None);
    }

    #[test]
    fn a_limit_of_zero_keeps_nothing() {
        let pool = Pool::new(0, Duration::from_secs(60));
        let now = Instant::now();
        pool.put("a", 1, now, 0, same);
        assert_eq!(pool.take(now, 0, |_| true), None);
    }
}
