/* Generated from src/ffi: do not edit. SPDX-License-Identifier: MIT OR Apache-2.0 */

#pragma once

#include "apl.h"

namespace apl {

/**
 * What a call came to; below 100 it is no error, from 100 on it is one.
 *
 * The numbers are pinned and never reused. New ones may appear in later versions: treat an unknown number
 * from 100 on as a failure.
 *
 * @since 0.1.0
 */
enum class Status : int32_t {
  /**
   * Done.
   */
  Ok = 0,
  /**
   * The stream is at its end.
   */
  End = 1,
  /**
   * A callback stopped the call.
   */
  Stopped = 2,
  /**
   * Nothing came within the wait.
   */
  Idle = 3,
  /**
   * A required pointer was NULL.
   */
  NullArgument = 100,
  /**
   * An argument or a call option is not acceptable.
   */
  InvalidArgument = 101,
  /**
   * The configuration is not acceptable.
   */
  InvalidConfig = 102,
  /**
   * The handle is in use by another call.
   */
  Busy = 103,
  /**
   * The configuration has no endpoint of that name.
   */
  UnknownEndpoint = 104,
  /**
   * Known, but not built or not possible here.
   */
  Unsupported = 105,
  /**
   * The name did not resolve.
   */
  Dns = 200,
  /**
   * No connection to any address.
   */
  Connect = 201,
  /**
   * The TLS handshake or a certificate failed.
   */
  Tls = 202,
  /**
   * A time limit ran out.
   */
  Timeout = 203,
  /**
   * A socket failed.
   */
  Io = 204,
  /**
   * The peer broke the protocol.
   */
  Protocol = 205,
  /**
   * More bytes than a limit allows.
   */
  TooLarge = 206,
  /**
   * A redirect that may not be followed.
   */
  Redirect = 207,
  /**
   * The answer's status is a failure.
   */
  HttpStatus = 300,
  /**
   * 429, or a limiter's wait that is longer than allowed.
   */
  RateLimited = 301,
  /**
   * 401, 403, or no credentials to be had.
   */
  Auth = 302,
  /**
   * The caller cancelled.
   */
  Cancelled = 400,
  /**
   * The body is not what the endpoint says it is.
   */
  Decode = 500,
  /**
   * The data does not fit its schema.
   */
  Schema = 501,
  /**
   * The listing cannot go on.
   */
  Pagination = 502,
  /**
   * The body ended early.
   */
  Truncated = 503,
  /**
   * The digest does not match.
   */
  Checksum = 504,
  /**
   * The server's range is not the one asked for.
   */
  Range = 505,
  /**
   * A local file failed.
   */
  File = 600,
  /**
   * A panic was caught: a fault of this library.
   */
  Panic = 900,
  /**
   * A fault of this library.
   */
  Internal = 901,
};

/**
 * How much is logged; each level includes those before it.
 *
 * @since 0.1.0
 */
enum class LogLevel : int32_t {
  /**
   * Nothing.
   */
  Off = 0,
  /**
   * What failed.
   */
  Error = 1,
  /**
   * What the caller should know although nothing failed.
   */
  Warn = 2,
  /**
   * What happens, in a few lines per call.
   */
  Info = 3,
  /**
   * What happens, in detail.
   */
  Debug = 4,
  /**
   * Everything.
   */
  Trace = 5,
};

/**
 * What an event of a stream is.
 *
 * @since 0.1.0
 */
enum class Kind : int32_t {
  /**
   * An event the server sent.
   */
  Event = 0,
  /**
   * A comment; only where the options ask for comments.
   */
  Comment = 1,
  /**
   * A connection was made; only where the options ask for the lifecycle.
   */
  Connected = 2,
  /**
   * A connection was lost; only where the options ask for the lifecycle.
   */
  Disconnected = 3,
};

}  // namespace apl


