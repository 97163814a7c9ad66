//! What can fail in the transport.

use std::borrow::Cow;
use std::fmt;

use rustix::io::Errno;

/// Which wait was over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The deadline of the whole call.
    Deadline,
    /// `timeout.total`: one attempt.
    Total,
    /// `timeout.connect`: name, TCP and TLS handshake.
    Connect,
    /// `timeout.head`: from the request's end to the end of the answer's head.
    Head,
    /// `timeout.read`: silence within a body, sent or received.
    Read,
    /// The caller's own `wait` for the next piece, which is no failure.
    Wait,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Deadline => "the call's deadline",
            Limit::Total => "timeout.total (one attempt)",
            Limit::Connect => "timeout.connect",
            Limit::Head => "timeout.head",
            Limit::Read => "timeout.read (nothing moved)",
            Limit::Wait => "wait",
        })
    }
}

/// Why a request failed in the transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fail {
    /// The caller cancelled.
    Cancelled,
    /// A limit ran out.
    Timeout(Limit),
    /// The name did not resolve.
    Resolve(String),
    /// No address could be connected; the last one's reason.
    Connect(String, Option<Errno>),
    /// An address that the caller does not want connected.
    Blocked(String),
    /// The connection ended within the handshake.
    HandshakeCut(String),
    /// The handshake, a certificate or a record.
    Tls(String),
    /// The peer closed the connection before the first byte of an answer.
    Closed,
    /// The connection failed.
    Socket(Errno),
    /// The system refused a resource.
    System(&'static str, Errno),
    /// The answer ended early, within its head or its body.
    Truncated(Cow<'static, str>),
    /// The peer broke HTTP.
    Protocol(Cow<'static, str>),
    /// More bytes than a limit allows.
    TooLarge(Cow<'static, str>),
    /// A proxy refused our credentials, or demands some; with its status, where it speaks HTTP.
    ProxyAuth(String, Option<u16>),
    /// The source of the request's body failed.
    Source(String, Option<Errno>),
    /// A fault of ours.
    Internal(String),
}

impl Fail {
    /// A peer that broke HTTP.
    pub(super) fn protocol(what: impl Into<Cow<'static, str>>) -> Fail {
        Fail::Protocol(what.into())
    }

    /// An answer that ended early.
    pub(super) fn truncated(what: impl Into<Cow<'static, str>>) -> Fail {
        Fail::Truncated(what.into())
    }

    /// Whether it passes by itself, where that is not as with others of its kind.
    pub fn is_transient(&self) -> Option<bool> {
        match self {
            Fail::Blocked(_) => Some(false),
            Fail::HandshakeCut(_) => Some(true),
            _ => None,
        }
    }

    /// The system's number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Fail::Connect(_, e) | Fail::Source(_, e) => e.map(Errno::raw_os_error),
            Fail::Socket(e) | Fail::System(_, e) => Some(e.raw_os_error()),
            _ => None,
        }
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fail::Cancelled => f.write_str("cancelled by the caller"),
            Fail::Timeout(limit) => write!(f, "timed out: {limit} ran out"),
            Fail::Resolve(why) => write!(f, "the host name did not resolve: {why}"),
            Fail::Connect(why, _) => write!(f, "cannot connect: {why}"),
            Fail::Blocked(why) => write!(f, "cannot connect: {why}"),
            Fail::HandshakeCut(why) => write!(f, "TLS failed: {why}"),
            Fail::Tls(why) => write!(f, "TLS failed: {why}"),
            Fail::Closed => f.write_str("the server closed the connection without an answer"),
            Fail::Socket(e) => write!(f, "the connection failed: {e}"),
            Fail::System(what, e) => write!(f, "{what} failed: {e}"),
            Fail::Truncated(what) => write!(f, "the answer was cut: {what}"),
            Fail::Protocol(what) => write!(f, "the server broke HTTP: {what}"),
            Fail::TooLarge(what) => write!(f, "too large: {what}"),
            Fail::ProxyAuth(why, _) => f.write_str(why),
            Fail::Source(why, _) => write!(f, "the request's body failed: {why}"),
            Fail::Internal(why) => write!(f, "internal error: {why}; please report it"),
        }
    }
}
