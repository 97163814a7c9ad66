//! Kept answers by URL; what was used least recently goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ring::digest::Context;

use crate::response::Head;

/// SHA-256. What it is of may be a secret; the digest is none.
pub(super) type Digest = [u8; 32];

pub(super) fn digest(context: Context) -> Digest {
    let mut out = Digest::default();
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// An answer that is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// The fields of the request that it was selected by, and a digest of what they said.
    pub fields: Vec<String>,
    pub selected: Digest,
    pub head: Head,
    /// Without content codings.
    pub body: Arc<[u8]>,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// Bytes of head and body.
    pub size: u64,
}

impl Kept {
    pub fn measured(mut self) -> Kept {
        let head: usize = self.head.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.size = (head + self.body.len()) as u64;
        self
    }
}

#[derive(Debug)]
struct Slot {
    used: u64,
    kept: Arc<Kept>,
}

#[derive(Debug)]
pub(super) struct Store {
    max_entries: usize,
    max_bytes: u64,
    bytes: u64,
    clock: u64,
    /// By URL; one for each way in which its requests differ.
    slots: HashMap<Digest, Vec<Slot>>,
    /// The URL of what was used then; least recently first.
    by_use: BTreeMap<u64, Digest>,
}

impl Store {
    pub fn new(max_entries: usize, max_bytes: u64) -> Store {
        let (slots, by_use) = (HashMap::new(), BTreeMap::new());
        Store { max_entries, max_bytes, bytes: 0, clock: 0, slots, by_use }
    }

    /// The answer that is the newest in use of those that fit.
    pub fn find(&mut self, url: &Digest, fits: impl Fn(&Kept) -> bool) -> Option<Arc<Kept>> {
        let slots = self.slots.get_mut(url)?;
        let slot = slots.iter_mut().filter(|slot| fits(&slot.kept)).max_by_key(|slot| slot.used)?;
        self.clock += 1;
        self.by_use.remove(&slot.used);
        self.by_use.insert(self.clock, *url);
        slot.used = self.clock;
        Some(slot.kept.clone())
    }

    /// Keeps an answer in place of the one before; what is larger than everything may be is not kept at all.
    pub fn keep(&mut self, url: Digest, kept: Arc<Kept>) {
        self.remove(&url, |old| old.fields == kept.fields && old.selected == kept.selected);
        if kept.size > self.max_bytes {
            return;
        }
        self.clock += 1;
        self.bytes += kept.size;
        self.by_use.insert(self.clock, url);
        self.slots.entry(url).or_default().push(Slot { used: self.clock, kept });
        while self.by_use.len() > self.max_entries || self.bytes > self.max_bytes {
            let Some((used, url)) = self.by_use.first_key_value().map(|(used, url)| (*used, *url)) else {
                return;
            };
            self.take(&url, |slot| slot.used == used);
        }
    }

    /// Drops those answers of a URL that fit.
    pub fn remove(&mut self, url: &Digest, fits: impl Fn(&Kept) -> bool) {
        self.take(url, |slot| fits(&slot.kept));
    }

    /// Drops every answer of a URL.
    pub fn forget(&mut self, url: &Digest) {
        self.take(url, |_| true);
    }

    fn take(&mut self, url: &Digest, goes: impl Fn(&Slot) -> bool) {
        let Some(slots) = self.slots.get_mut(url) else { return };
        slots.retain(|slot| {
            let goes = goes(slot);
            if goes {
                self.by_use.remove(&slot.used);
                self.bytes -= slot.kept.size;
            }
            !goes
        });
        if slots.is_empty() {
            self.slots.remove(url);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn kept(selected: u8, body: &[u8]) -> Arc<Kept> {
        let kept = Kept {
            fields: Vec::new(),
            selected: [selected; 32],
            head: Head::default(),
            body: body.into(),
            etag: None,
            last_modified: None,
            size: 0,
        };
        Arc::new(kept.measured())
    }

    fn bodies(store: &mut Store, urls: &[u8]) -> Vec<u8> {
        urls.iter().filter_map(|url| Some(store.find(&[*url; 32], |_| true)?.body[0])).collect()
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let mut store = Store::new(2, 100);
        store.keep([1; 32], kept(0, b"1"));
        store.keep([2; 32], kept(0, b"2"));
        assert_eq!(bodies(&mut store, &[1]), b"1");
        store.keep([3; 32], kept(0, b"3"));
        assert_eq!(bodies(&mut store, &[1, 2, 3]), b"13");
    }

    #[test]
    fn the_bytes_are_counted_of_what_is_there() {
        let mut store = Store::new(100, 10);
        store.keep([1; 32], kept(0, b"aaaa"));
        store.keep([2; 32], kept(0, b"bbbb"));
        // In place of the one before, not beside it.
        store.keep([2; 32], kept(0, b"cccc"));
        assert_eq!(bodies(&mut store, &[1, 2]), b"ac");
        store.keep([3; 32], kept(0, b"dddd"));
        assert_eq!(bodies(&mut store, &[1, 2, 3]), b"cd");
        // Too large by itself: nothing else goes for its sake, but what it replaces.
        store.keep([2; 32], kept(0, b"eeeeeeeeeee"));
        assert_eq!(bodies(&mut store, &[1, 2, 3]), b"d");
        store.forget(&[3; 32]);
        assert_eq!((store.bytes, store.slots.len(), store.by_use.len()), (0, 0, 0));
    }

    #[test]
    fn requests_that_differ_have_answers_of_their_own() {
        let mut store = Store::new(100, 100);
        store.keep([1; 32], kept(7, b"a"));
        store.keep([1; 32], kept(8, b"b"));
        let of =
            |store: &mut Store, n: u8| store.find(&[1; 32], |k| k.selected == [n; 32]).map(|k| k.body[0]);
        assert_eq!((of(&mut store, 7), of(&mut store, 8), of(&mut store, 9)), (Some(b'a'), Some(b'b'), None));
        store.remove(&[1; 32], |k| k.selected == [7; 32]);
        assert_eq!((of(&mut store, 7), of(&mut store, 8)), (None, Some(b'b')));
    }
}
