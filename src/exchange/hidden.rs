//! What hides the secrets of single requests: their tokens, signatures and cookies.

use std::sync::Arc;

use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::redact::Redactor;

/// The redactor that was made last. Most requests have the token of the one before.
#[derive(Default)]
pub(super) struct Last(Mutex<Option<Made>>);

struct Made {
    base: Arc<Redactor>,
    said: Vec<Zeroizing<String>>,
    redactor: Arc<Redactor>,
}

impl Last {
    /// One that hides these values too, and what follows a scheme in them.
    pub fn with(&self, base: &Arc<Redactor>, said: &[Zeroizing<String>]) -> Arc<Redactor> {
        let mut last = self.0.lock();
        if let Some(made) = &*last
            && Arc::ptr_eq(&made.base, base)
            && made.said == said
        {
            return made.redactor.clone();
        }
        let values = said.iter().flat_map(|value| words(value));
        let redactor = Arc::new(base.with(values));
        *last = Some(Made { base: base.clone(), said: said.to_vec(), redactor: redactor.clone() });
        redactor
    }
}

/// The whole value, and what follows a scheme in it.
pub(super) fn words(value: &str) -> impl Iterator<Item = &str> {
    std::iter::once(value).chain(value.rsplit_once(' ').map(|(_, last)| last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(values: &[&str]) -> Vec<Zeroizing<String>> {
        values.iter().map(|value| Zeroizing::new((*value).to_owned())).collect()
    }

    #[test]
    fn a_redactor_is_made_anew_only_where_it_would_be_another() {
        let (last, base) = (Last::default(), Arc::new(Redactor::default()));
        let first = last.with(&base, &said(&["Bearer first-token"]));
        assert_eq!(first.redact("first-token Bearer first-token"), "*** ***");
        assert!(Arc::ptr_eq(&first, &last.with(&base, &said(&["Bearer first-token"]))));
        let second = last.with(&base, &said(&["Bearer second-token", "refresh-token"]));
        assert_eq!(second.redact("second-token refresh-token first-token"), "*** *** first-token");
        let other = last.with(&first, &said(&["Bearer second-token", "refresh-token"]));
        assert_eq!(other.redact("second-token refresh-token first-token"), "*** *** ***");
    }
}
