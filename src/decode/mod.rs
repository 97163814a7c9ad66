//! Bytes to values: encodings, JSON, paths. No I/O.
