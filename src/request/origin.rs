//! Origins: where a request goes, and where a secret may. The type is the configuration's, which checks with it.

pub use crate::config::{Allowed, Origin};
