//! All pages as one array, out of the servers' own bytes.

use std::sync::Arc;

use super::course::hash;
use super::{Given, Listing, Source};
use crate::error::{Error, Kind, Result};
use crate::response::{Head, Meta, PageNote, Response};

/// Fetches every page. What came before a failure is its partial, with the checkpoint.
pub fn merge<S: Source>(mut listing: Listing<S>) -> Result<Response> {
    let mut merged =
        Merged { array: vec![b'['], items: 0, head: Head::default(), meta: Meta::default(), last: None };
    loop {
        match listing.next_page() {
            Ok(Some(given)) => {
                let max = listing.settings.max_result;
                if let Err(error) = merged.add(given, max, &listing.settings.endpoint) {
                    return Err(merged.partial(error, &listing));
                }
            }
            Ok(None) => {
                let checkpoint = listing.is_stopped.then(|| merged.checkpoint(&listing)).flatten();
                return Ok(merged.finish(listing.is_stopped, checkpoint));
            }
            Err(error) => return Err(merged.partial(error, &listing)),
        }
    }
}

struct Merged {
    array: Vec<u8>,
    items: u64,
    head: Head,
    meta: Meta,
    /// The page that was added last, and how many of its records were.
    last: Option<(Given, usize)>,
}

impl Merged {
    fn add(&mut self, mut given: Given, max_result: u64, endpoint: &str) -> Result<()> {
        let count = given.to - given.from;
        if count > 0 {
            let items = given.records();
            if (self.array.len() + items.len()) as u64 + 1 > max_result {
                let what = format!(
                    "{endpoint}: the pages together are larger than {max_result} bytes \
                                    (limits.max_result); apl_pages_open and apl_records_open hand them on one by one"
                );
                let from = given.from;
                self.last = Some((given, from));
                return Err(Error::new(Kind::TooLarge, what));
            }
            if self.items > 0 {
                self.array.push(b',');
            }
            self.array.extend_from_slice(items);
            self.items += count as u64;
        }
        let mut meta = std::mem::take(&mut given.page.response.meta);
        let note =
            PageNote { url: meta.url.clone(), status: given.page.response.head.status, items: count as u64 };
        let mut warnings = std::mem::take(&mut self.meta.warnings);
        warnings.retain(|w| !meta.warnings.contains(w));
        meta.warnings.splice(0..0, warnings);
        meta.pages = std::mem::take(&mut self.meta.pages);
        meta.pages.push(note);
        self.meta = meta;
        self.head = given.page.response.head.clone();
        let to = given.to;
        self.last = Some((given, to));
        Ok(())
    }

    fn checkpoint<S: Source>(&self, listing: &Listing<S>) -> Option<String> {
        let last = self.last.as_ref();
        let count = last.map_or(0, |(_, count)| *count);
        let hash = |given: &Given| given.page.records(0..count).map(hash);
        listing.checkpoint(last.map(|(given, _)| given), count, hash)
    }

    /// `is_open`: is there more to go on to?
    fn finish(mut self, is_open: bool, checkpoint: Option<String>) -> Response {
        self.array.push(b']');
        self.meta.items = Some(self.items);
        if checkpoint.is_none() && is_open {
            let what = "there is no checkpoint: the next page's token or address has a secret of the configuration in it";
            self.meta.warnings.push(what.into());
        }
        self.meta.checkpoint = checkpoint;
        Response::new(self.head, self.meta, self.array)
    }

    fn partial<S: Source>(self, mut error: Error, listing: &Listing<S>) -> Error {
        let checkpoint = self.checkpoint(listing);
        error.partial = Some(Arc::new(self.finish(true, checkpoint)));
        error
    }
}
