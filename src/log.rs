//! Where log messages go.
