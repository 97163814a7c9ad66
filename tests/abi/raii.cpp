/* The C++ classes, as far as they go without a server. */
#include "apl.hpp"

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <type_traits>

static int failures = 0;

/* Before main, as a static constructor of a program would. */
static const std::uint32_t early_abi = apl_abi_version();
static const std::string early_version = apl_version();

static void check(bool good, const char* what) {
  if (!good) {
    std::printf("FAILED: %s\n", what);
    ++failures;
  }
}

static_assert(!std::is_copy_constructible<apl::Connector>::value, "a connector moves");
static_assert(std::is_nothrow_move_constructible<apl::Connector>::value, "a connector moves");
static_assert(!std::is_copy_constructible<apl::Response>::value, "a response moves");
static_assert(std::is_nothrow_move_assignable<apl::Response>::value, "a response moves");
static_assert(!std::is_copy_constructible<apl::Cancel>::value, "a token moves");
static_assert(std::is_nothrow_copy_constructible<apl::Error>::value, "an exception is copied without throwing");

static void versions() {
  check(early_abi == APL_ABI_VERSION && early_version == APL_VERSION, "the version is there before main");
  check(apl::abi_version() == APL_ABI_VERSION, "the ABI is the header's");
  check(std::strcmp(apl::version(), APL_VERSION) == 0, "the version is the header's");
  check(apl_version_number() == APL_VERSION_NUMBER, "the number is the header's");
  check(std::strcmp(apl::status_name(apl::Status::InvalidConfig), "INVALID_CONFIG") == 0, "a status has a name");
}

static void errors() {
  try {
    apl::Connector::open("/no/such/file.json");
    check(false, "a missing file is an error");
  } catch (const apl::Error& error) {
    const apl::Error copy = error;
    check(copy.status() >= apl::Status::NullArgument, "an error has a status");
    check(copy.what()[0] != '\0' && copy.json()[0] == '{', "an error has a message and JSON");
    check(copy.http_status() == 0 && copy.retry_after_ms() == -1, "there was no answer");
    check(!copy.response() && copy.response().text().empty(), "nor a body");
  }
  try {
    apl::Connector connector(nullptr);
    check(false, "NULL is an error");
  } catch (const std::exception& error) {
    check(std::strstr(error.what(), "config_json") != nullptr, "the message names the parameter");
  }
  try {
    apl::Connector connector(std::string("{}\0{}", 5));
    check(false, "a NUL inside is an error");
  } catch (const apl::Error& error) {
    check(error.status() == apl::Status::InvalidArgument, "a NUL inside is refused");
    check(std::strcmp(error.category(), "VALIDATION") == 0 && error.json()[0] == '\0', "before the call");
  }
  const apl::Connector none = apl::Connector::take(nullptr);
  try {
    none.send_bytes("items", std::string("body"));
    check(false, "no connector is an error");
  } catch (const apl::Error& error) {
    check(error.status() == apl::Status::NullArgument, "no connector is refused");
  }
}

static void signatures() {
  const char* config =
      R"({"base_url": "http://127.0.0.1:9", "endpoints": {"e": {"path": "/x", "method": "POST"}}})";
  auto alive = std::make_shared<int>(0);
  {
    apl::Connector refused(config);
    refused.on_request([alive](apl::Request& request) {
      check(std::strcmp(request.method(), "POST") == 0, "the method");
      check(std::strcmp(request.url(), "http://127.0.0.1:9/x") == 0, "the URL");
      check(std::strcmp(request.header("content-length"), "2") == 0, "a header");
      check(!request.header("X-None") && request.has_body() && request.body() == "{}", "the body");
      request.set_header("X-Signature", std::string("s"));
      request.set_query("a", "b c");
      check(std::strcmp(request.url(), "http://127.0.0.1:9/x?a=b%20c") == 0, "what was set");
      try {
        request.set_header("Content-Length", "5");
        check(false, "framing is the library's");
      } catch (const apl::Error& error) {
        check(error.status() == apl::Status::InvalidArgument, "framing is refused");
      }
      return 7;
    });
    try {
      refused.send("e", "{}");
      check(false, "a refusal is an error");
    } catch (const apl::Error& error) {
      check(error.status() == apl::Status::Auth && std::strstr(error.what(), "returned 7"), "it is named");
    }
    try {
      refused.on_request([](apl::Request&) { return 0; });
      check(false, "too late is an error");
    } catch (const apl::Error& error) {
      check(error.status() == apl::Status::Busy, "too late");
    }
    check(alive.use_count() == 2, "the signer is kept");
  }
  check(alive.use_count() == 1, "the signer is freed");
}

/* What a call throws; "" where it returns. */
template <typename Function>
static std::string thrown_by(Function function) {
  try {
    function();
    return "";
  } catch (const apl::Error& error) {
    return apl::status_name(error.status());
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

static void exceptions_of_signers() {
  /* Nobody listens there: a request that is signed fails. */
  const char* config = R"({"base_url": "http://127.0.0.1:9", "retry_count": 1,
                           "endpoints": {"e": {"path": "/x", "method": "POST"}}})";
  apl::Connector plain(config), throwing(config), lists(config);
  throwing.on_request([](apl::Request&) -> std::int32_t { throw std::runtime_error("mine"); });
  check(thrown_by([&] { throwing.send("e", "{}"); }) == "mine", "what a signer throws, the call throws");
  check(thrown_by([&] { throwing.send("none", "{}"); }) == "UNKNOWN_ENDPOINT", "the next has its own failure");
  check(thrown_by([&] { throwing.check_health(); }) == "mine", "a verdict does not hide what a signer throws");

  /* A list goes on after an item that failed: so the signer is called with an exception under way. */
  int items = 0;
  std::string before, header, query, after, nested;
  lists.on_request([&](apl::Request& request) -> std::int32_t {
    switch (items++) {
      case 0:
        before = thrown_by([&] { plain.send("e", "{}"); });
        return 0;
      case 1:
        throw std::runtime_error("first");
      case 2:
        header = thrown_by([&] { request.set_header("Content-Length", "5"); });
        query = thrown_by([&] { request.set_query("", "5"); });
        after = thrown_by([&] { plain.send("e", "{}"); });
        nested = thrown_by([&] { throwing.send("e", "{}"); });
        return 0;
      default:
        throw std::runtime_error("later");
    }
  });
  const std::string whole = thrown_by([&] { lists.send("e", "[0, 1, 2, 3]"); });
  check(items == 4, "each item of a list is signed");
  check(whole == "first", "of several exceptions the first is thrown, whatever was called between");
  check(header == "INVALID_ARGUMENT" && query == "INVALID_ARGUMENT", "what is refused has its own failure");
  check(before == "CONNECT" && after == "CONNECT", "a call in a signer has its own failure");
  check(nested == "mine", "and throws what its own signer throws");

  /* What is thrown in a C call is in no later one. */
  apl_check_health(throwing.get(), nullptr, nullptr, nullptr);
  check(thrown_by([&] { plain.check_health(); }).empty(), "a call begins with no exception");
}

static void sign_ins() {
  /* Nobody listens there: a sign-in in a browser begins without a request, and its code goes nowhere. */
  const char* config = R"({"base_url": "http://127.0.0.1:9", "retry_count": 1, "auth": {"type": "oauth2_pkce",
      "client_id": "c", "redirect_uri": "http://127.0.0.1/cb", "authorization_url": "http://127.0.0.1:9/a",
      "token_url": "http://127.0.0.1:9/t", "state": "s"}})";
  auto alive = std::make_shared<int>(0);
  {
    apl::Connector connector(config);
    connector.on_token([alive](const char*) { return 0; });
    check(thrown_by([&] { connector.auth_finish("?code=c&state=s"); }) == "INVALID_ARGUMENT", "it is begun first");
    check(connector.auth_begin(R"({"deadline": 3})").text().find("\"state\":\"s\"") != std::string::npos, "begun");
    check(thrown_by([&] { connector.auth_finish("?code=c&state=t"); }) == "AUTH", "a state that does not fit");
    check(thrown_by([&] { connector.auth_finish(std::string("/cb?code=c&state=s")); }) == "CONNECT", "it is sent");
    check(thrown_by([&] { connector.auth_finish(); }) == "INVALID_ARGUMENT", "a browser comes back to a URL");
    check(thrown_by([&] { connector.on_token([](const char*) { return 0; }); }) == "BUSY", "too late");
    check(alive.use_count() == 2, "the keeper is kept");
  }
  check(alive.use_count() == 1, "the keeper is freed");
}

static void bodies() {
  /* A body of some bytes, none, and one that is a file. */
  const char* config = R"({"base_url": "http://127.0.0.1:9", "retry_count": 1,
                           "endpoints": {"get": {"path": "/x"}, "post": {"path": "/x", "method": "POST"}}})";
  bool has = false;
  std::string body;
  apl::Connector connector(config);
  connector.on_request([&](apl::Request& request) {
    has = request.has_body();
    body = request.body();
    return 1;
  });
  const auto call = [&](const char* endpoint, const char* options) {
    try {
      connector.fetch(endpoint, nullptr, options);
      check(false, "a refusal is an error");
    } catch (const apl::Error& error) {
      check(error.status() == apl::Status::Auth, error.what());
    }
  };
  call("post", R"({"data": [1]})");
  check(has && body == "[1]", "a body in memory");
  call("get", nullptr);
  check(has && body.empty(), "no body, too");
  call("post", ("{\"body_file\": \"" + std::string(__FILE__) + "\"}").c_str());
  check(!has && body.empty(), "a file does not");
}

static void downloads() {
  const apl::Connector connector(
      R"({"base_url": "http://127.0.0.1:9", "retry_count": 1, "endpoints": {"get": {"path": "/x"}}})");
  const std::string path = "/tmp/apl-raii-" + std::to_string(early_abi) + "-download";
  int told = 0;
  const auto tell = [&](const apl_progress* progress) {
    ++told;
    return apl_progress_bytes_processed(progress) == 0 ? 0 : 1;
  };
  try {
    connector.download("get", path, nullptr, nullptr, tell);
    check(false, "there is no server");
  } catch (const apl::Error& error) {
    check(error.status() == apl::Status::Connect && told >= 2, "the sink is told first and last");
  }
  const apl::Downloaded stopped =
      connector.download("get", path, nullptr, nullptr, [](const apl_progress*) { return 1; });
  check(stopped.status == apl::Status::Stopped, "the sink stops it");
  check(stopped.summary.text().find("\"success\":false") != std::string::npos, "with the summary so far");
  const auto throws = [](const apl_progress*) -> std::int32_t { throw std::runtime_error("mine"); };
  check(thrown_by([&] { connector.download("get", path, nullptr, nullptr, throws); }) == "mine",
        "what the sink throws is thrown by the call");
}

static void events() {
  /* Nobody listens there: what comes is that each attempt has failed. */
  const char* config = R"({"base_url": "http://127.0.0.1:9", "endpoints": {"e": {"path": "/x",
      "sse": {"lifecycle": true, "reconnect_delay": 0.01, "max_reconnect_attempts": 2}}}})";
  apl::Connector connector(config);
  apl::Stream stream = connector.sse("e");
  check(!stream.event() && stream.event().text().empty(), "no event yet");
  check(stream.next() == apl::Status::Ok, "a first one");
  const apl::Event event = stream.event();
  check(event && event.kind() == apl::Kind::Disconnected, "a disconnect");
  check(std::strcmp(event.type(), "disconnected") == 0 && *event.id() == '\0', "its type and id");
  check(event.retry_ms() >= 10 && event.text() == stream.text() && event.size() == stream.size(), "its data");
  check(std::strstr(event.json(), "\"event\":\"disconnected\"") != nullptr, "its JSON");
  check(stream.next() == apl::Status::Ok && stream.next() == apl::Status::Ok, "one for each attempt");
  check(thrown_by([&] { stream.next(); }) == "CONNECT", "and the end");

  int seen = 0;
  const auto consume = [&](const apl::EventTaker& taker, const char* options) {
    return thrown_by([&] { connector.consume_sse("e", taker, nullptr, options); });
  };
  for (const char* options : {R"({"chunk_size": 2})", R"({"chunk_size": 2, "drop_policy": "drop_oldest"})"}) {
    seen = 0;
    const auto count = [&](const std::vector<apl::Event>& events) {
      for (const apl::Event& one : events) seen += one.kind() == apl::Kind::Disconnected;
      return 0;
    };
    check(consume(count, options) == "CONNECT" && seen == 3, "all are taken before the failure");
    check(consume(nullptr, options) == "CONNECT", "nobody takes them");
    const auto stop = [&](const std::vector<apl::Event>&) { return 1; };
    const apl::Consumed stopped = connector.consume_sse("e", stop, nullptr, options);
    check(stopped.status == apl::Status::Stopped, "a stop is no failure");
    check(stopped.summary.text().find("\"success\":true") != std::string::npos, "and has the summary");
    const auto loud = [&](const std::vector<apl::Event>&) -> std::int32_t { throw std::runtime_error("mine"); };
    check(consume(loud, options) == "mine", "what a taker throws, the call throws");
  }

  /* What a signer throws comes out of the call that connects. */
  apl::Connector throwing(config);
  int signed_requests = 0;
  throwing.on_request([&](apl::Request&) -> std::int32_t {
    if (signed_requests++ > 0) throw std::runtime_error("mine");
    return 0;
  });
  apl::Stream plain = throwing.sse("e", nullptr, R"({"lifecycle": false})");
  check(thrown_by([&] { plain.next(); }) == "mine", "also where the stream would go on");
  signed_requests = 0;
  apl::Stream telling = throwing.sse("e");
  check(telling.next() == apl::Status::Ok, "the first attempt has failed");
  check(thrown_by([&] { telling.next(); }) == "mine", "also where it would tell of the failure first");
}

static void cancel() {
  apl::Cancel token;
  check(!token.is_triggered(), "a new token is not triggered");
  token.trigger();
  apl::Cancel moved(std::move(token));
  check(moved.is_triggered(), "a triggered token stays so");
}

static void logs() {
  auto alive = std::make_shared<int>(0);
  apl::log_set(apl::LogLevel::Trace, [alive](apl::LogLevel, const char*) { throw 1; });
  check(alive.use_count() == 2, "the sink is kept");
  apl::log_set(apl::LogLevel::Off, nullptr);
  check(alive.use_count() == 1, "the sink is dropped");
}

int main() {
  versions();
  errors();
  signatures();
  exceptions_of_signers();
  sign_ins();
  bodies();
  downloads();
  events();
  cancel();
  logs();
  if (failures == 0) std::printf("ok\n");
  return failures != 0;
}
