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
   * The answer is a failure: by its status, or by errors in it (GraphQL).
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
   * What went wrong and is made good: an attempt that is repeated, a stream or a download that goes on.
   */
  Info = 3,
  /**
   * Each request and its outcome.
   */
  Debug = 4,
  /**
   * Everything: requests and answers as they are on the wire, bodies in part.
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


#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>
#if __cplusplus >= 201703L || (defined(_MSVC_LANG) && _MSVC_LANG >= 201703L)
#  include <string_view>
/** Defined where std::string_view is there, and with it the functions that return one. @since 0.1.0 */
#  define APL_HAS_STRING_VIEW 1
#endif

/*
 * Classes over the C functions: handles are freed by themselves, failures are thrown as apl::Error, and
 * callbacks are callables. C++11 and later. What a handle returns is borrowed from it, as in C.
 */
namespace apl {

namespace detail {

struct Free {
  void operator()(apl_connector* handle) const noexcept { apl_connector_free(handle); }
  void operator()(apl_response* handle) const noexcept { apl_response_free(handle); }
  void operator()(apl_cancel* handle) const noexcept { apl_cancel_free(handle); }
  void operator()(apl_error* handle) const noexcept { apl_error_free(handle); }
  void operator()(apl_stream* handle) const noexcept { apl_stream_free(handle); }
};

inline const char* or_empty(const char* text) noexcept { return text ? text : ""; }

}  // namespace detail

/**
 * The getters of an answer that something else owns: the Response or the Error it came from.
 *
 * @since 0.1.0
 */
class ResponseView {
 public:
  /** Nothing, or an answer that is borrowed. @since 0.1.0 */
  explicit ResponseView(const apl_response* handle = nullptr) noexcept : handle_(handle) {}

  /** Is there an answer? @since 0.1.0 */
  explicit operator bool() const noexcept { return get() != nullptr; }

  /** The body's first byte; a NUL follows the last. @since 0.1.0 */
  const char* data() const noexcept {
    return reinterpret_cast<const char*>(apl_response_body(get(), nullptr));
  }

  /** The body's length in bytes. @since 0.1.0 */
  std::size_t size() const noexcept {
    std::size_t len = 0;
    apl_response_body(get(), &len);
    return len;
  }

  /** A copy of the body. @since 0.1.0 */
  std::string text() const { return get() ? std::string(data(), size()) : std::string(); }

#ifdef APL_HAS_STRING_VIEW
  /** The body, borrowed: it ends with the handle it came from. @since 0.1.0 */
  std::string_view view() const noexcept {
    return get() ? std::string_view(data(), size()) : std::string_view();
  }
#endif

  /** The HTTP status; 0 if the answer did not come over HTTP. @since 0.1.0 */
  int http_status() const noexcept { return apl_response_http_status(get()); }

  /** A header's value, borrowed; NULL if there is none. @since 0.1.0 */
  const char* header(const char* name) const noexcept { return apl_response_header(get(), name); }

  /** A header's value, borrowed; NULL if there is none. @since 0.1.0 */
  const char* header(const std::string& name) const noexcept { return header(name.c_str()); }

  /** How the answer came, JSON, borrowed. @since 0.1.0 */
  const char* meta() const noexcept { return detail::or_empty(apl_response_meta(get())); }

  /** The C handle. @since 0.1.0 */
  const apl_response* get() const noexcept { return handle_; }

 protected:
  /** For an owner that moves. @since 0.1.0 */
  void point_to(const apl_response* handle) noexcept { handle_ = handle; }

 private:
  const apl_response* handle_;
};

/**
 * An answer.
 *
 * @since 0.1.0
 */
class Response : public ResponseView {
 public:
  /** Takes over a C handle. @since 0.1.0 */
  explicit Response(apl_response* handle) noexcept : ResponseView(handle), owner_(handle) {}

  /** Takes over what the other one holds, and leaves it empty. @since 0.1.0 */
  Response(Response&& other) noexcept : ResponseView(other.get()), owner_(std::move(other.owner_)) {
    other.point_to(nullptr);
  }

  /** Frees what it holds, takes over what the other one holds, and leaves that empty. @since 0.1.0 */
  Response& operator=(Response&& other) noexcept {
    if (this != &other) {
      owner_ = std::move(other.owner_);
      point_to(owner_.get());
      other.point_to(nullptr);
    }
    return *this;
  }

  Response(const Response&) = delete;
  Response& operator=(const Response&) = delete;

  /** Gives up the C handle. @since 0.1.0 */
  apl_response* release() noexcept {
    point_to(nullptr);
    return owner_.release();
  }

 private:
  std::unique_ptr<apl_response, detail::Free> owner_;
};

/**
 * What every failed call throws. Copies share what they hold.
 *
 * @since 0.1.0
 */
class Error : public std::exception {
 public:
  /** Takes over a C handle, which may be NULL. @since 0.1.0 */
  Error(apl_status status, apl_error* handle) : status_(status) {
    std::unique_ptr<apl_error, detail::Free> owner(handle);
    handle_ = std::move(owner);
  }

  /** An error that was found before the library was called. @since 0.1.0 */
  Error(apl_status status, const std::string& message)
      : status_(status), message_(std::make_shared<const std::string>(message)) {}

  /** What the call came to. @since 0.1.0 */
  Status status() const noexcept { return static_cast<Status>(status_); }

  /** What failed, where, and what to do. @since 0.1.0 */
  const char* what() const noexcept override {
    if (message_) return message_->c_str();
    return handle_ ? detail::or_empty(apl_error_message(get())) : apl_status_name(status_);
  }

  /** The same as what(). @since 0.1.0 */
  const char* message() const noexcept { return what(); }

  /** VALIDATION, NETWORK, TIMEOUT, AUTH, RATE_LIMIT, CLIENT, SERVER or UNKNOWN. @since 0.1.0 */
  const char* category() const noexcept {
    if (message_) return "VALIDATION";
    return handle_ ? detail::or_empty(apl_error_category(get())) : "UNKNOWN";
  }

  /** The answer's HTTP status; 0 if there was no answer. @since 0.1.0 */
  int http_status() const noexcept { return apl_error_http_status(get()); }

  /** May this very call be repeated now? @since 0.1.0 */
  bool is_retryable() const noexcept { return apl_error_is_retryable(get()) != 0; }

  /** How long the server asked to wait, in milliseconds; -1 if it did not say. @since 0.1.0 */
  std::int64_t retry_after_ms() const noexcept { return apl_error_retry_after_ms(get()); }

  /** The answer that was refused; it lives as long as this error or a copy of it. @since 0.1.0 */
  ResponseView response() const noexcept { return ResponseView(apl_error_response(get())); }

  /** What came before the failure; it lives as long as this error or a copy of it. @since 0.1.0 */
  ResponseView partial() const noexcept { return ResponseView(apl_error_partial(get())); }

  /** The error as JSON, borrowed; empty if the library was not called. @since 0.1.0 */
  const char* json() const noexcept { return detail::or_empty(apl_error_json(get())); }

  /** The C handle; may be NULL. @since 0.1.0 */
  const apl_error* get() const noexcept { return handle_.get(); }

 private:
  apl_status status_;
  std::shared_ptr<const apl_error> handle_;
  std::shared_ptr<const std::string> message_;
};

/**
 * A string argument: a C string, a std::string, or nullptr where NULL is allowed.
 *
 * A std::string with a NUL inside is refused: C would cut it there. It borrows; use it as a parameter only.
 *
 * @since 0.1.0
 */
class Text {
 public:
  /** NULL. @since 0.1.0 */
  Text(std::nullptr_t) noexcept : text_(nullptr) {}
  /** A C string, or NULL. @since 0.1.0 */
  Text(const char* text) noexcept : text_(text) {}
  /** A string; throws INVALID_ARGUMENT where a NUL is inside. @since 0.1.0 */
  Text(const std::string& text) : text_(text.c_str()) {
    if (text.find('\0') != std::string::npos) {
      throw Error(APL_STATUS_INVALID_ARGUMENT, "a string argument has a NUL inside");
    }
  }

  /** The C string. @since 0.1.0 */
  const char* get() const noexcept { return text_; }

 private:
  const char* text_;
};

namespace detail {

/* To be called after the call that sets `error`, never in one expression with it. */
inline void check(apl_status status, apl_error* error) {
  if (status >= APL_STATUS_NULL_ARGUMENT) throw Error(status, error);
}

/* A call that may call back. It keeps what its callbacks throw; a call that one of them makes keeps its own. */
class Call {
 public:
  Call() noexcept : outer_(innermost()) { innermost() = this; }
  ~Call() { innermost() = outer_; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /* To be called in the handler of a callback on this thread. Of several, the first is the one to throw. */
  static void keep_exception() noexcept {
    if (innermost() && !innermost()->thrown_) innermost()->thrown_ = std::current_exception();
  }

  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  static Call*& innermost() noexcept {
    static thread_local Call* call = nullptr;
    return call;
  }

  Call* outer_;
  std::exception_ptr thrown_;
};

}  // namespace detail

/**
 * The getters of a server-sent event. What it came from owns it: a stream until its next next(), a callback until it
 * returns.
 *
 * @since 0.1.0
 */
class Event {
 public:
  /** Nothing, or an event that is borrowed. @since 0.1.0 */
  explicit Event(const apl_event* handle = nullptr) noexcept : handle_(handle) {}

  /** Is there an event? @since 0.1.0 */
  explicit operator bool() const noexcept { return handle_ != nullptr; }

  /** What it is; others than events only where the options ask for them. @since 0.1.0 */
  apl::Kind kind() const noexcept { return static_cast<apl::Kind>(apl_event_kind(handle_)); }

  /** Its type, "message" where the server gave none, borrowed. @since 0.1.0 */
  const char* type() const noexcept { return detail::or_empty(apl_event_type(handle_)); }

  /** Its id, or that of the last event that had one, borrowed; empty if there is none. @since 0.1.0 */
  const char* id() const noexcept { return detail::or_empty(apl_event_id(handle_)); }

  /** The first byte of its data; a NUL follows the last. @since 0.1.0 */
  const char* data() const noexcept { return reinterpret_cast<const char*>(apl_event_data(handle_, nullptr)); }

  /** The length of its data in bytes. @since 0.1.0 */
  std::size_t size() const noexcept {
    std::size_t len = 0;
    apl_event_data(handle_, &len);
    return len;
  }

  /** A copy of its data. @since 0.1.0 */
  std::string text() const { return handle_ ? std::string(data(), size()) : std::string(); }

#ifdef APL_HAS_STRING_VIEW
  /** Its data, borrowed. @since 0.1.0 */
  std::string_view view() const noexcept {
    return handle_ ? std::string_view(data(), size()) : std::string_view();
  }
#endif

  /** All of it as JSON, borrowed. @since 0.1.0 */
  const char* json() const noexcept { return detail::or_empty(apl_event_json(handle_, nullptr)); }

  /** The wait before the next reconnect that it asked for, in milliseconds; -1 if it did not. @since 0.1.0 */
  std::int64_t retry_ms() const noexcept { return apl_event_retry_ms(handle_); }

  /** The C handle. @since 0.1.0 */
  const apl_event* get() const noexcept { return handle_; }

 private:
  const apl_event* handle_;
};

/**
 * What a stream is read by: chunk by chunk, event by event, page by page or record by record, on one thread at a time.
 *
 * @since 0.1.0
 */
class Stream {
 public:
  /** Takes over a C handle. @since 0.1.0 */
  explicit Stream(apl_stream* handle) noexcept : handle_(handle) {}

  /** Waits for the next piece. Ok: there is one, see data() and event(); End: there is none any more; Idle: none came within the
   *  option "wait". @since 0.1.0 */
  Status next() {
    apl_error* error = nullptr;
    const detail::Call call;
    const apl_status status = apl_stream_next(handle_.get(), &data_, &size_, &error);
    if (status >= APL_STATUS_NULL_ARGUMENT) {
      const Error failure(status, error);
      call.rethrow();
      throw failure;
    }
    /* What connects again is signed again. */
    call.rethrow();
    return static_cast<Status>(status);
  }

  /** The piece's first byte, borrowed until the next next(); a NUL follows the last. @since 0.1.0 */
  const char* data() const noexcept { return reinterpret_cast<const char*>(data_); }

  /** The piece's length in bytes. @since 0.1.0 */
  std::size_t size() const noexcept { return size_; }

  /** A copy of the piece. @since 0.1.0 */
  std::string text() const { return data_ ? std::string(data(), size_) : std::string(); }

  /** The event that next() has found, borrowed until the next next(); of a stream of events. @since 0.1.0 */
  Event event() noexcept { return Event(apl_stream_event(handle_.get())); }

  /** Head and meta of the answer that is read, borrowed until the next next(). @since 0.1.0 */
  ResponseView response() noexcept { return ResponseView(apl_stream_response(handle_.get())); }

  /** The place after the last piece; empty if there is none to go on from. @since 0.1.0 */
  std::string checkpoint() { return detail::or_empty(apl_stream_checkpoint(handle_.get())); }

  /** How far it has come, borrowed until the next next(); its getters are C's. @since 0.1.0 */
  const apl_progress* progress() noexcept { return apl_stream_progress(handle_.get()); }

  /** Ends it from another thread: a next() that waits throws CANCELLED. @since 0.1.0 */
  void close() const noexcept { apl_stream_close(handle_.get()); }

  /** The C handle. @since 0.1.0 */
  apl_stream* get() const noexcept { return handle_.get(); }

 private:
  std::unique_ptr<apl_stream, detail::Free> handle_;
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

/**
 * Cancels every call it is handed to, from any thread.
 *
 * @since 0.1.0
 */
class Cancel {
 public:
  Cancel() : handle_(apl_cancel_new()) {}

  /** Cancels, now and later; async-signal-safe on POSIX. @since 0.1.0 */
  void trigger() const noexcept { apl_cancel_trigger(handle_.get()); }

  /** Was it triggered? @since 0.1.0 */
  bool is_triggered() const noexcept { return apl_cancel_is_triggered(handle_.get()) != 0; }

  /** The C handle. @since 0.1.0 */
  const apl_cancel* get() const noexcept { return handle_.get(); }

 private:
  std::unique_ptr<apl_cancel, detail::Free> handle_;
};

/**
 * A request that is about to be sent, in the callback that signs it. It ends with the callback.
 *
 * @since 0.1.0
 */
class Request {
 public:
  /** The request of a callback. @since 0.1.0 */
  explicit Request(apl_request* handle) noexcept : handle_(handle) {}

  /** The method in capital letters. @since 0.1.0 */
  const char* method() const noexcept { return detail::or_empty(apl_request_method(handle_)); }

  /** The URL, with its query. @since 0.1.0 */
  const char* url() const noexcept { return detail::or_empty(apl_request_url(handle_)); }

  /** A header's value; NULL if there is none. @since 0.1.0 */
  const char* header(Text name) const noexcept { return apl_request_header(handle_, name.get()); }

  /** Does the body lie in memory? One that is made of files does not. @since 0.1.0 */
  bool has_body() const noexcept {
    /* What lies in memory has a length, unless there is nothing; and to ask for a body is to have it copied. */
    return apl_request_header(handle_, "Content-Length") || apl_request_body(handle_, nullptr);
  }

  /** A copy of the body. @since 0.1.0 */
  std::string body() const {
    std::size_t len = 0;
    const std::uint8_t* data = apl_request_body(handle_, &len);
    return data ? std::string(reinterpret_cast<const char*>(data), len) : std::string();
  }

  /** Sets a header; one of that name is replaced. @since 0.1.0 */
  void set_header(Text name, Text value) {
    apl_error* error = nullptr;
    const apl_status status = apl_request_set_header(handle_, name.get(), value.get(), &error);
    detail::check(status, error);
  }

  /** Sets a query parameter, not encoded; those of that name are replaced. @since 0.1.0 */
  void set_query(Text name, Text value) {
    apl_error* error = nullptr;
    const apl_status status = apl_request_set_query(handle_, name.get(), value.get(), &error);
    detail::check(status, error);
  }

  /** The C handle. @since 0.1.0 */
  apl_request* get() const noexcept { return handle_; }

 private:
  apl_request* handle_;
};

/**
 * Signs a request. 0: send it; anything else makes the call fail as AUTH.
 *
 * What it throws, the call throws, whatever else came of it: check_health, too, and a send of a list after its
 * last item. Of several exceptions it is the first.
 *
 * @since 0.1.0
 */
using RequestSigner = std::function<std::int32_t(Request&)>;

/**
 * Stores a new token, which it gets as JSON, before it is used. 0: it is stored; anything else makes the call fail as
 * AUTH. What it throws, the call throws.
 *
 * @since 0.1.0
 */
using TokenKeeper = std::function<std::int32_t(const char*)>;

/**
 * Sees how far a transfer has come, by C's getters; on the thread inside the call. What it returns but 0 stops it, and
 * so does what it throws, which the call throws again.
 *
 * @since 0.1.0
 */
using ProgressSink = std::function<std::int32_t(const apl_progress*)>;

/**
 * What came of a download: Ok, or Stopped by its progress sink, and the summary, JSON.
 *
 * @since 0.1.0
 */
struct Downloaded {
  /** Ok or Stopped. @since 0.1.0 */
  Status status;
  /** The summary, JSON. @since 0.1.0 */
  Response summary;
};

namespace detail {

/* What C calls: an exception that got out of here would unwind through frames that are not C++'s. */
struct ProgressTrampoline {
  static std::int32_t tell(const apl_progress* progress, void* user_data) noexcept {
    try {
      return (*static_cast<const ProgressSink*>(user_data))(progress);
    } catch (...) {
      Call::keep_exception();
      return -1;
    }
  }
};

/* The same for a signer. */
struct RequestTrampoline {
  static std::int32_t sign(apl_request* request, void* user_data) noexcept {
    try {
      Request view(request);
      return (*static_cast<const RequestSigner*>(user_data))(view);
    } catch (...) {
      Call::keep_exception();
      return -1;
    }
  }
  static void drop(void* user_data) noexcept { delete static_cast<RequestSigner*>(user_data); }
};

/* The same for tokens. */
struct TokenTrampoline {
  static std::int32_t keep(const char* token_json, void* user_data) noexcept {
    try {
      return (*static_cast<const TokenKeeper*>(user_data))(token_json);
    } catch (...) {
      Call::keep_exception();
      return -1;
    }
  }
  static void drop(void* user_data) noexcept { delete static_cast<TokenKeeper*>(user_data); }
};

}  // namespace detail

/**
 * Takes a chunk of events, which end with the callback. 0: go on; anything else stops the call.
 *
 * What it throws ends the call too, and the call throws it.
 *
 * @since 0.1.0
 */
using EventTaker = std::function<std::int32_t(const std::vector<Event>&)>;

/**
 * What came of events that were consumed: Ok, or Stopped by their taker, and the summary, JSON.
 *
 * @since 0.1.0
 */
struct Consumed {
  /** Ok or Stopped. @since 0.1.0 */
  Status status;
  /** The summary, JSON. @since 0.1.0 */
  Response summary;
};

namespace detail {

/* What C calls, as above. */
struct EventTrampoline {
  static std::int32_t take(const apl_event* const* events, std::size_t count, void* user_data) noexcept {
    try {
      std::vector<Event> views;
      views.reserve(count);
      for (std::size_t i = 0; i < count; ++i) views.push_back(Event(events[i]));
      return (*static_cast<const EventTaker*>(user_data))(views);
    } catch (...) {
      Call::keep_exception();
      return -1;
    }
  }
};

}  // namespace detail

/**
 * An API, described once. Its calls are for every thread at once; what fails is thrown as Error.
 *
 * @since 0.1.0
 */
class Connector {
 public:
  /** From configuration text: JSON, or YAML if it does not begin with "{". @since 0.1.0 */
  explicit Connector(Text config) : handle_(make(apl_connector_new, config)) {}

  /** From a file; "file.yaml#source" picks one out of many. @since 0.1.0 */
  static Connector open(Text path) {
    Connector connector;
    connector.handle_ = make(apl_connector_open, path);
    return connector;
  }

  /** Takes over a C handle. Not a constructor: Connector(nullptr) would be one. @since 0.1.0 */
  static Connector take(apl_connector* handle) noexcept {
    Connector connector;
    connector.handle_.reset(handle);
    return connector;
  }

  /** Sets who signs each request to the configured origins; before the first call. @since 0.1.0 */
  void on_request(RequestSigner signer) {
    if (!signer) throw Error(APL_STATUS_NULL_ARGUMENT, "on_request is empty");
    std::unique_ptr<RequestSigner> kept(new RequestSigner(std::move(signer)));
    apl_error* error = nullptr;
    const apl_status status =
        apl_connector_on_request(handle_.get(), &detail::RequestTrampoline::sign, kept.release(),
                                 &detail::RequestTrampoline::drop, &error);
    detail::check(status, error);
  }

  /** Sets who stores the tokens that calls receive; before the first call. @since 0.1.0 */
  void on_token(TokenKeeper keeper) {
    if (!keeper) throw Error(APL_STATUS_NULL_ARGUMENT, "on_token is empty");
    std::unique_ptr<TokenKeeper> kept(new TokenKeeper(std::move(keeper)));
    apl_error* error = nullptr;
    const apl_status status =
        apl_connector_on_token(handle_.get(), &detail::TokenTrampoline::keep, kept.release(),
                               &detail::TokenTrampoline::drop, &error);
    detail::check(status, error);
  }

  /** Begins a sign-in that needs a person; the body is what to show, JSON. @since 0.1.0 */
  Response auth_begin(Text options = nullptr, const Cancel* cancel = nullptr) const {
    return answer([&](apl_response** out, apl_error** error) {
      return apl_auth_begin(get(), options.get(), token(cancel), out, error);
    });
  }

  /**
   * Finishes it; the body is what came of it, JSON. Where the browser came back to, or nullptr: the person is waited
   * for. @since 0.1.0
   */
  Response auth_finish(Text redirect_url = nullptr, const Cancel* cancel = nullptr) const {
    return answer([&](apl_response** out, apl_error** error) {
      return apl_auth_finish(get(), redirect_url.get(), token(cancel), out, error);
    });
  }

  /** Asks the API for its health; the body is the verdict, JSON. @since 0.1.0 */
  Response check_health(const Cancel* cancel = nullptr) const {
    return answer([&](apl_response** out, apl_error** error) {
      return apl_check_health(get(), token(cancel), out, error);
    });
  }

  /** Fetches data; the body is the data, JSON. @since 0.1.0 */
  Response fetch(Text endpoint, Text params = nullptr, Text options = nullptr,
                 const Cancel* cancel = nullptr) const {
    return answer([&](apl_response** out, apl_error** error) {
      return apl_fetch(get(), endpoint.get(), params.get(), options.get(), token(cancel), out, error);
    });
  }

  /** Opens the body of an answer as a stream. @since 0.1.0 */
  Stream stream(Text endpoint, Text params = nullptr, Text options = nullptr, const Cancel* cancel = nullptr) const {
    return opened([&](apl_stream** out, apl_error** error) {
      return apl_stream_open(get(), endpoint.get(), params.get(), options.get(), token(cancel), out, error);
    });
  }

  /** Opens a listing page by page: each piece is the items of one, an array. @since 0.1.0 */
  Stream pages(Text endpoint, Text params = nullptr, Text options = nullptr, const Cancel* cancel = nullptr) const {
    return opened([&](apl_stream** out, apl_error** error) {
      return apl_pages_open(get(), endpoint.get(), params.get(), options.get(), token(cancel), out, error);
    });
  }

  /** Opens a listing record by record. @since 0.1.0 */
  Stream records(Text endpoint, Text params = nullptr, Text options = nullptr, const Cancel* cancel = nullptr) const {
    return opened([&](apl_stream** out, apl_error** error) {
      return apl_records_open(get(), endpoint.get(), params.get(), options.get(), token(cancel), out, error);
    });
  }

  /** Opens a stream of server-sent events. @since 0.1.0 */
  Stream sse(Text endpoint, Text params = nullptr, Text options = nullptr, const Cancel* cancel = nullptr) const {
    return opened([&](apl_stream** out, apl_error** error) {
      return apl_sse_open(get(), endpoint.get(), params.get(), options.get(), token(cancel), out, error);
    });
  }

  /** Takes server-sent events, a chunk at a time, until they end or the taker stops it. Without a taker, which may be
   *  empty, the summary has the chunks. @since 0.1.0 */
  Consumed consume_sse(Text endpoint, const EventTaker& taker, Text params = nullptr, Text options = nullptr,
                       const Cancel* cancel = nullptr) const {
    apl_status status = APL_STATUS_OK;
    Response summary = answer([&](apl_response** out, apl_error** error) {
      status = apl_consume_sse(get(), endpoint.get(), params.get(), options.get(),
                               taker ? &detail::EventTrampoline::take : nullptr, const_cast<EventTaker*>(&taker),
                               token(cancel), out, error);
      return status;
    });
    return Consumed{static_cast<Status>(status), std::move(summary)};
  }

  /** Downloads to a file; on_progress may be empty. @since 0.1.0 */
  Downloaded download(Text endpoint, Text destination_path, Text params = nullptr, Text options = nullptr,
                      const ProgressSink& on_progress = ProgressSink(), const Cancel* cancel = nullptr) const {
    apl_status status = APL_STATUS_OK;
    Response summary = answer([&](apl_response** out, apl_error** error) {
      status = apl_download(get(), endpoint.get(), destination_path.get(), params.get(), options.get(),
                            on_progress ? &detail::ProgressTrampoline::tell : nullptr,
                            const_cast<ProgressSink*>(&on_progress), token(cancel), out, error);
      return status;
    });
    return Downloaded{static_cast<Status>(status), std::move(summary)};
  }

  /** Sends data, JSON; the body tells what became of it, JSON. @since 0.1.0 */
  Response send(Text endpoint, Text data, Text options = nullptr, const Cancel* cancel = nullptr) const {
    return answer([&](apl_response** out, apl_error** error) {
      return apl_send(get(), endpoint.get(), data.get(), options.get(), token(cancel), out, error);
    });
  }

  /** Sends a body as it is. @since 0.1.0 */
  Response send_bytes(Text endpoint, const void* body, std::size_t body_len, Text options = nullptr,
                      const Cancel* cancel = nullptr) const {
    return answer([&](apl_response** out, apl_error** error) {
      return apl_send_bytes(get(), endpoint.get(), static_cast<const std::uint8_t*>(body), body_len,
                            options.get(), token(cancel), out, error);
    });
  }

  /** Sends a body as it is. @since 0.1.0 */
  Response send_bytes(Text endpoint, const std::string& body, Text options = nullptr,
                      const Cancel* cancel = nullptr) const {
    return send_bytes(endpoint, body.data(), body.size(), options, cancel);
  }

  /** The C handle. @since 0.1.0 */
  const apl_connector* get() const noexcept { return handle_.get(); }

 private:
  using Handle = std::unique_ptr<apl_connector, detail::Free>;

  Connector() noexcept {}

  template <typename Make>
  static Handle make(Make call, Text text) {
    apl_connector* out = nullptr;
    apl_error* error = nullptr;
    const apl_status status = call(text.get(), &out, &error);
    detail::check(status, error);
    return Handle(out);
  }

  template <typename Function>
  static Response answer(Function function) {
    apl_response* out = nullptr;
    apl_error* error = nullptr;
    const detail::Call call;
    const apl_status status = function(&out, &error);
    Response response(out);
    const Error failure(status, error);
    call.rethrow();
    if (status >= APL_STATUS_NULL_ARGUMENT) throw failure;
    return response;
  }

  template <typename Function>
  static Stream opened(Function function) {
    apl_stream* out = nullptr;
    apl_error* error = nullptr;
    const detail::Call call;
    const apl_status status = function(&out, &error);
    Stream stream(out);
    const Error failure(status, error);
    call.rethrow();
    if (status >= APL_STATUS_NULL_ARGUMENT) throw failure;
    return stream;
  }

  static const apl_cancel* token(const Cancel* cancel) noexcept { return cancel ? cancel->get() : nullptr; }

  Handle handle_;
};

/** Receives a level and a message; on any thread whose call logs. @since 0.1.0 */
using LogSink = std::function<void(LogLevel, const char*)>;

namespace detail {

/* What C calls: an exception that got out of here would unwind through frames that are not C++'s. */
struct LogTrampoline {
  static void log(std::int32_t level, const char* message, void* user_data) noexcept {
    try {
      (*static_cast<const LogSink*>(user_data))(static_cast<LogLevel>(level), message);
    } catch (...) {
      /* There is nobody to tell. */
    }
  }
  static void drop(void* user_data) noexcept { delete static_cast<LogSink*>(user_data); }
};

}  // namespace detail

/** Sets where log messages of the whole process go; an empty sink: nowhere. @since 0.1.0 */
inline void log_set(LogLevel max_level, LogSink sink) {
  if (!sink) {
    apl_log_set(APL_LOG_LEVEL_OFF, nullptr, nullptr, nullptr);
    return;
  }
  std::unique_ptr<LogSink> kept(new LogSink(std::move(sink)));
  apl_log_set(static_cast<std::int32_t>(max_level), &detail::LogTrampoline::log, kept.release(),
              &detail::LogTrampoline::drop);
}

/** The loaded library's version. @since 0.1.0 */
inline const char* version() noexcept { return apl_version(); }

/** The loaded library's ABI; APL_ABI_VERSION is the header's. @since 0.1.0 */
inline std::uint32_t abi_version() noexcept { return apl_abi_version(); }

/** A status's name. @since 0.1.0 */
inline const char* status_name(Status status) noexcept {
  return apl_status_name(static_cast<std::int32_t>(status));
}

}  // namespace apl
