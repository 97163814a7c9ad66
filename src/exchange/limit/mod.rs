//! stub
#![allow(missing_docs, dead_code)]
use crate::config::endpoint::RateLimit;
use crate::response::Head;
use crate::transport::{Fail, Token};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
#[derive(Debug)]
pub struct Limiter;
#[derive(Debug)]
pub struct Permit<'a>(&'a Limiter);
#[derive(Debug)]
pub struct Patience<'a> {
    pub deadline: Option<Instant>,
    pub max_wait: Duration,
    pub cancel: Option<&'a Arc<Token>>,
}
#[derive(Debug)]
pub enum Refused {
    Cancelled,
    TooLong(Duration),
    Deadline,
    Failed(Fail),
}
impl Limiter {
    pub fn new(_: &RateLimit) -> Option<Limiter> {
        None
    }
    pub fn admit(&self, _: &Patience<'_>) -> Result<Permit<'_>, Refused> {
        Ok(Permit(self))
    }
}
impl Permit<'_> {
    pub fn give_back(self) {}
    pub fn answered(&self, _: &Head, _: bool, _: Option<Duration>, _: SystemTime) {}
}
