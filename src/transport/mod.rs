//! Sockets, TLS, the pool and the body reader: the only room that knows ureq.

mod token;

pub use token::Token;
