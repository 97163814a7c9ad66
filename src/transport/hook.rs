//! Panics on demand in the middle of a call, to show that none spoils the connector. Empty but in test builds.

#[cfg(feature = "test-hooks")]
thread_local! {
    static PLACE: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// The next time that this thread comes to `place` (`connect`, `head` or `body`), it panics.
#[cfg(feature = "test-hooks")]
pub fn panic_at(place: &'static str) {
    PLACE.set(place);
}

/// This is such a place.
#[inline]
pub(super) fn pass(place: &'static str) {
    #[cfg(feature = "test-hooks")]
    if PLACE.get() == place {
        PLACE.set("");
        panic!("on demand, at {place}");
    }
    #[cfg(not(feature = "test-hooks"))]
    let _ = place;
}
