//! The library stays once it is loaded. Here the linker has seen to it: see `build.rs`.

/// Nothing is left to do.
pub(super) fn loaded() {}
