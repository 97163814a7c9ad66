//! What hides secrets that no configuration knows: those that a scheme has learned, and those of single requests, their
//! tokens, signatures and cookies.

use std::sync::Arc;

use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::auth::Scheme;
use crate::config::Secret;
use crate::redact::Redactor;

/// The redactor of the connector's secrets, and of those that its scheme has learned.
pub(super) struct Known {
    configured: Arc<Redactor>,
    /// How much had been learned when the other one was made.
    made: Mutex<(u64, Arc<Redactor>)>,
}

impl Known {
    /// With the secrets of the configuration.
    pub fn new(configured: Redactor) -> Known {
        let configured = Arc::new(configured);
        Known { made: Mutex::new((0, configured.clone())), configured }
    }

    /// Made anew only where something was learned.
    pub fn with(&self, scheme: Option<&dyn Scheme>) -> Arc<Redactor> {
        let Some(scheme) = scheme else { return self.configured.clone() };
        let mut made = self.made.lock();
        // Asked first: what is learned meanwhile counts the next time.
        let learned = scheme.learned();
        if made.0 != learned {
            *made = (learned, Arc::new(self.configured.with(scheme.secrets().iter().map(Secret::expose))));
        }
        made.1.clone()
    }
}

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
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    /// Has learned so many tokens.
    #[derive(Debug)]
    struct Learning(std::sync::atomic::AtomicU64, std::sync::atomic::AtomicU64);

    impl Scheme for Learning {
        fn sign(
            &self,
            _: &mut dyn crate::auth::Signable,
            _: Option<&dyn crate::auth::Ask>,
        ) -> crate::error::Result<u64> {
            Ok(0)
        }
        fn refused(&self, _: u64, _: &crate::auth::Refusal<'_>) -> crate::auth::Verdict {
            crate::auth::Verdict::Stands
        }
        fn secrets(&self) -> Vec<Secret> {
            self.1.fetch_add(1, SeqCst);
            vec![Secret::new(format!("learned-token-{}", self.0.load(SeqCst)))]
        }
        fn learned(&self) -> u64 {
            self.0.load(SeqCst)
        }
    }

    #[test]
    fn what_a_scheme_has_learned_is_asked_for_when_there_is_more_of_it() {
        let known = Known::new(Redactor::of(["configured"]));
        let scheme = Learning(0.into(), 0.into());
        for (learned, text) in [(0, "learned-token-0 ***"), (1, "*** ***"), (2, "*** ***")] {
            scheme.0.store(learned, SeqCst);
            for _ in 0..3 {
                let redactor = known.with(Some(&scheme));
                assert_eq!(redactor.redact(&format!("learned-token-{learned} configured")), text);
            }
            assert_eq!(scheme.1.load(SeqCst), learned);
        }
        assert_eq!(known.with(None).redact("learned-token-2 configured"), "learned-token-2 ***");
    }

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
