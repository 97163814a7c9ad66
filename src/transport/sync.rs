//! The primitives of the token and the pool. A model checker puts its own in their place.

pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

pub(super) use once_cell::race::OnceBox;
pub(super) use parking_lot::Mutex;

pub(super) use std::thread::yield_now;
