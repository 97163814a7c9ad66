//! Windows does not fork.

/// The same in every process.
pub(super) fn generation() -> u32 {
    0
}
