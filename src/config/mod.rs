//! What was asked: keys, defaults, checks.
