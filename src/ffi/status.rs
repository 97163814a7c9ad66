//! The numbers: statuses, log levels, kinds of events. They are pinned and never reused.

use std::ffi::{CStr, c_char};

use crate::error::Kind;

/// What a call came to; below 100 it is no error, from 100 on it is one.
///
/// The numbers are pinned and never reused. New ones may appear in later versions: treat an unknown number
/// from 100 on as a failure.
///
/// @since 0.1.0
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum apl_status {
    /// Done.
    Ok = 0,
    /// The stream is at its end.
    End = 1,
    /// A callback stopped the call.
    Stopped = 2,
    /// Nothing came within the wait.
    Idle = 3,
    /// A required pointer was NULL.
    NullArgument = 100,
    /// An argument or a call option is not acceptable.
    InvalidArgument = 101,
    /// The configuration is not acceptable.
    InvalidConfig = 102,
    /// The handle is in use by another call.
    Busy = 103,
    /// The configuration has no endpoint of that name.
    UnknownEndpoint = 104,
    /// Known, but not built or not possible here.
    Unsupported = 105,
    /// The name did not resolve.
    Dns = 200,
    /// No connection to any address.
    Connect = 201,
    /// The TLS handshake or a certificate failed.
    Tls = 202,
    /// A time limit ran out.
    Timeout = 203,
    /// A socket failed.
    Io = 204,
    /// The peer broke the protocol.
    Protocol = 205,
    /// More bytes than a limit allows.
    TooLarge = 206,
    /// A redirect that may not be followed.
    Redirect = 207,
    /// The answer is a failure: by its status, or by errors in it (GraphQL).
    HttpStatus = 300,
    /// 429, or a limiter's wait that is longer than allowed.
    RateLimited = 301,
    /// 401, 403, or no credentials to be had.
    Auth = 302,
    /// The caller cancelled.
    Cancelled = 400,
    /// The body is not what the endpoint says it is.
    Decode = 500,
    /// The data does not fit its schema.
    Schema = 501,
    /// The listing cannot go on.
    Pagination = 502,
    /// The body ended early.
    Truncated = 503,
    /// The digest does not match.
    Checksum = 504,
    /// The server's range is not the one asked for.
    Range = 505,
    /// A local file failed.
    File = 600,
    /// A panic was caught: a fault of this library.
    Panic = 900,
    /// A fault of this library.
    Internal = 901,
}

/// How much is logged; each level includes those before it.
///
/// @since 0.1.0
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum apl_log_level {
    /// Nothing.
    Off = 0,
    /// What failed.
    Error = 1,
    /// What the caller should know although nothing failed.
    Warn = 2,
    /// What went wrong and is made good: an attempt that is repeated, a stream or a download that goes on.
    Info = 3,
    /// Each request and its outcome.
    Debug = 4,
    /// Everything: requests and answers as they are on the wire, bodies in part.
    Trace = 5,
}

/// What an event of a stream is.
///
/// @since 0.1.0
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum apl_kind {
    /// An event the server sent.
    Event = 0,
    /// A comment; only where the options ask for comments.
    Comment = 1,
    /// A connection was made; only where the options ask for the lifecycle.
    Connected = 2,
    /// A connection was lost; only where the options ask for the lifecycle.
    Disconnected = 3,
}

const NAMES: [(apl_status, &CStr); 31] = {
    use apl_status::*;
    [
        (Ok, c"OK"),
        (End, c"END"),
        (Stopped, c"STOPPED"),
        (Idle, c"IDLE"),
        (NullArgument, c"NULL_ARGUMENT"),
        (InvalidArgument, c"INVALID_ARGUMENT"),
        (InvalidConfig, c"INVALID_CONFIG"),
        (Busy, c"BUSY"),
        (UnknownEndpoint, c"UNKNOWN_ENDPOINT"),
        (Unsupported, c"UNSUPPORTED"),
        (Dns, c"DNS"),
        (Connect, c"CONNECT"),
        (Tls, c"TLS"),
        (Timeout, c"TIMEOUT"),
        (Io, c"IO"),
        (Protocol, c"PROTOCOL"),
        (TooLarge, c"TOO_LARGE"),
        (Redirect, c"REDIRECT"),
        (HttpStatus, c"HTTP_STATUS"),
        (RateLimited, c"RATE_LIMITED"),
        (Auth, c"AUTH"),
        (Cancelled, c"CANCELLED"),
        (Decode, c"DECODE"),
        (Schema, c"SCHEMA"),
        (Pagination, c"PAGINATION"),
        (Truncated, c"TRUNCATED"),
        (Checksum, c"CHECKSUM"),
        (Range, c"RANGE"),
        (File, c"FILE"),
        (Panic, c"PANIC"),
        (Internal, c"INTERNAL"),
    ]
};

/// The name of a status, such as "OK" or "INVALID_CONFIG".
///
/// Thread-safe.
///
/// @param status  any number
/// @return a static string, never NULL; "UNKNOWN" for a number that is no status of this version
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn apl_status_name(status: i32) -> *const c_char {
    let known = NAMES.iter().find(|(s, _)| *s as i32 == status);
    known.map_or(c"UNKNOWN", |(_, name)| name).as_ptr()
}

impl From<Kind> for apl_status {
    fn from(kind: Kind) -> apl_status {
        match kind {
            Kind::NullArgument => apl_status::NullArgument,
            Kind::InvalidArgument => apl_status::InvalidArgument,
            Kind::InvalidConfig => apl_status::InvalidConfig,
            Kind::Busy => apl_status::Busy,
            Kind::UnknownEndpoint => apl_status::UnknownEndpoint,
            Kind::Unsupported => apl_status::Unsupported,
            Kind::Dns => apl_status::Dns,
            Kind::Connect => apl_status::Connect,
            Kind::Tls => apl_status::Tls,
            Kind::Timeout => apl_status::Timeout,
            Kind::Io => apl_status::Io,
            Kind::Protocol => apl_status::Protocol,
            Kind::TooLarge => apl_status::TooLarge,
            Kind::Redirect => apl_status::Redirect,
            Kind::HttpStatus => apl_status::HttpStatus,
            Kind::RateLimited => apl_status::RateLimited,
            Kind::Auth => apl_status::Auth,
            Kind::Cancelled => apl_status::Cancelled,
            Kind::Decode => apl_status::Decode,
            Kind::Schema => apl_status::Schema,
            Kind::Pagination => apl_status::Pagination,
            Kind::Truncated => apl_status::Truncated,
            Kind::Checksum => apl_status::Checksum,
            Kind::Range => apl_status::Range,
            Kind::File => apl_status::File,
            Kind::Panic => apl_status::Panic,
            Kind::Internal => apl_status::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind; a new one makes the match in `From` fail to compile, and belongs here too.
    const KINDS: [Kind; 27] = {
        use Kind::*;
        [
            NullArgument,
            InvalidArgument,
            InvalidConfig,
            Busy,
            UnknownEndpoint,
            Unsupported,
            Dns,
            Connect,
            Tls,
            Timeout,
            Io,
            Protocol,
            TooLarge,
            Redirect,
            HttpStatus,
            RateLimited,
            Auth,
            Cancelled,
            Decode,
            Schema,
            Pagination,
            Truncated,
            Checksum,
            Range,
            File,
            Panic,
            Internal,
        ]
    };

    #[test]
    fn a_kind_and_its_status_have_the_same_number() {
        for kind in KINDS {
            assert_eq!(kind as i32, apl_status::from(kind) as i32);
        }
    }

    #[test]
    fn every_kind_has_a_name() {
        for kind in KINDS {
            let status = apl_status::from(kind);
            assert!(NAMES.iter().any(|(s, _)| *s == status), "{status:?}");
        }
    }

    #[test]
    fn the_log_levels_are_the_library_s() {
        assert_eq!(apl_log_level::Error as i32, crate::log::Level::Error as i32);
        assert_eq!(apl_log_level::Warn as i32, crate::log::Level::Warn as i32);
        assert_eq!(apl_log_level::Info as i32, crate::log::Level::Info as i32);
        assert_eq!(apl_log_level::Debug as i32, crate::log::Level::Debug as i32);
        assert_eq!(apl_log_level::Trace as i32, crate::log::Level::Trace as i32);
    }
}
