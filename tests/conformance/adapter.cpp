/* Answers a conformance driver: one JSON request on stdin, one JSON answer on stdout (of sse_stream, many). It says a
 * request in the words of this library's configuration and options, and makes no decision of its own: what it would
 * hide here, no case could find. A fault of the library itself (PANIC, INTERNAL) ends it with a status that fails. */
#include <apl.hpp>

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>

using nlohmann::json;

namespace {

// --- bytes ---------------------------------------------------------------------------------------------------------

const std::string kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string to_base64(const std::string& bytes) {
  std::string text;
  unsigned buffer = 0, bits = 0;
  for (const unsigned char byte : bytes) {
    buffer = buffer << 8 | byte;
    for (bits += 8; bits >= 6; bits -= 6) text += kAlphabet[buffer >> (bits - 6) & 63];
  }
  if (bits > 0) text += kAlphabet[buffer << (6 - bits) & 63];
  text.append((4 - text.size() % 4) % 4, '=');
  return text;
}

std::string from_base64(const std::string& text) {
  std::string bytes;
  unsigned buffer = 0, bits = 0;
  for (const char letter : text) {
    const std::size_t value = kAlphabet.find(letter);
    if (value == std::string::npos) break; /* the padding */
    buffer = buffer << 6 | static_cast<unsigned>(value);
    if ((bits += 6) >= 8) bytes += static_cast<char>(buffer >> (bits -= 8));
  }
  return bytes;
}

// --- what the request says, in this library's words ------------------------------------------------------------------

/* Text of a configuration, in which "${" stands for an environment variable. */
std::string literal(std::string text) {
  for (std::size_t at = 0; (at = text.find("${", at)) != std::string::npos; at += 3) text.insert(at, "$");
  return text;
}

json basic(const std::string& pair) {
  const std::size_t colon = pair.find(':');
  return {{"type", "basic"},
          {"username", literal(pair.substr(0, colon))},
          {"password", colon == std::string::npos ? "" : literal(pair.substr(colon + 1))}};
}

/* Tokens that are asked for by the library itself; null: of a kind that it has not. */
json oauth(const json& asked) {
  const std::string grant = asked.value("grant", "client_credentials");
  const bool refreshes = grant == "refresh_token";
  if (!refreshes && grant != "client_credentials") return nullptr;
  json auth = {{"type", refreshes ? "oauth2_refresh" : "oauth2_client_credentials"}};
  for (const char* key : {"token_url", "client_id", "client_secret", "scope", "refresh_token"}) {
    if (asked.contains(key) && asked[key].is_string()) auth[key] = literal(asked[key]);
  }
  if (asked.contains("client_auth")) auth["client_auth"] = asked["client_auth"] == "body" ? json("post") : asked["client_auth"];
  return auth;
}

/* A connector whose one endpoint, "it", is the request's URL. */
json configuration(const json& request) {
  std::string url = request.at("url");
  /* A fragment is the caller's own (RFC 9110 7.1). A user in a URL is refused here: it belongs to `auth`. */
  url.resize(std::min(url.find('#'), url.size()));
  const bool has_user = request.contains("userinfo_in_url");
  if (has_user) url.erase(url.find("://") + 3, url.find('@') - url.find("://") - 2);

  const json endpoint = {
      {"path", ""}, {"method", request.value("method", "GET")}, {"decode", "bytes"}, {"body", "raw"}};
  /* A silent server is waited for less long than a driver waits for an adapter. */
  json config = {{"base_url", literal(url)}, {"timeout", 8}, {"endpoints", {{"it", endpoint}}}};
  if (request.contains("bearer")) config["auth"] = {{"type", "bearer"}, {"token", literal(request["bearer"])}};
  if (has_user) config["auth"] = basic(request["userinfo_in_url"]);
  if (request.contains("basic")) config["auth"] = basic(request["basic"]);
  if (request.contains("oauth")) config["auth"] = oauth(request["oauth"]);
  if (request.contains("tls")) config["tls"] = request["tls"];
  if (request.value("send_auth_to_other_hosts", false)) config["allow_origins"] = {"*"};
  return config;
}

double seconds(const json& milliseconds) { return milliseconds.get<double>() / 1000; }

/* What all calls may say. */
json options(const json& request) {
  json options = {{"redirects", {{"follow", request.value("follow_redirects", true)}}},
                  {"retry_count", request.value("retries", 0) + 1},
                  {"limits", {{"max_error_body", "256MiB"}}},
                  {"extra_headers", json::object()}};
  json& headers = options["extra_headers"];
  for (const json& field : request.value("headers", json::array())) {
    const std::string name = field[0], value = field[1];
    headers[name] = headers.contains(name) ? headers[name].get<std::string>() + ", " + value : value;
  }
  if (request.contains("range")) headers["Range"] = request["range"];
  if (request.contains("max_redirects")) options["redirects"]["max"] = request["max_redirects"];
  if (request.contains("retry_delay_ms")) options["retry_delay"] = seconds(request["retry_delay_ms"]);
  if (request.contains("timeout_ms")) options["deadline"] = seconds(request["timeout_ms"]);
  if (request.contains("retry_max_time_ms")) options["retry"]["max_wait"] = seconds(request["retry_max_time_ms"]);
  if (!request.value("decompress", true)) options["accept_encoding"] = "identity";
  if (request.contains("max_body_bytes")) options["limits"]["max_body"] = request["max_body_bytes"];
  return options;
}

/* Every status but those that mean more to this library than an answer: redirects that are to be followed, what is to
 * be tried again, the end of what is resumed, and the refusal of a token. */
json plain_statuses(const json& request) {
  const bool follows = request.value("follow_redirects", true), retries = request.value("retries", 0) > 0;
  json all = json::array();
  for (int status = 100; status < 600; ++status) {
    const bool redirect = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    const bool passes = status == 408 || status == 425 || status == 429 || status == 500 || (status >= 502 && status <= 504);
    const bool end = status == 416 && request.contains("resume_from");
    const bool token = status == 401 && request.contains("oauth");
    if (!(follows && redirect) && !(retries && passes) && !end && !token) all.push_back(status);
  }
  return all;
}

json ok(int status, const std::string& body) {
  return {{"outcome", "ok"}, {"status", status}, {"body_b64", to_base64(body)}};
}

json failed(const apl::Error& error) {
  if (error.status() == apl::Status::Panic || error.status() == apl::Status::Internal) {
    std::cerr << error.json() << std::endl;
    _exit(70);
  }
  return {{"outcome", "error"}, {"error", std::string(apl::status_name(error.status())) + ": " + error.what()}};
}

// --- the calls -------------------------------------------------------------------------------------------------------

/* The rest of something whose beginning the caller has: a stream from that byte on. */
json fetch_rest(const apl::Connector& api, const json& request, json options) {
  options["resume_from"] = request["resume_from"];
  apl::Stream stream = api.stream("it", nullptr, options.dump());
  std::string body;
  while (stream.next() == apl::Status::Ok) body += stream.text();
  return ok(stream.response().http_status(), body);
}

json fetch(const apl::Connector& api, const json& request) {
  json options = ::options(request);
  const bool any_status = !request.value("fail_on_status", true);
  if (any_status) options["ok_status"] = plain_statuses(request);
  try {
    if (request.contains("resume_from")) return fetch_rest(api, request, options);
    const apl::Response response =
        request.contains("body_b64") ? api.send_bytes("it", from_base64(request["body_b64"]), options.dump())
                                     : api.fetch("it", nullptr, options.dump());
    return ok(response.http_status(), response.text());
  } catch (const apl::Error& error) {
    /* The last answer of those that were tried again, a redirect that leads nowhere, a 416 and a token that was refused
     * are answers too; what a token endpoint says is none. */
    const apl::ResponseView answer = error.response();
    const char* location = answer ? answer.header("Location") : nullptr;
    const bool is_answer = error.status() == apl::Status::HttpStatus || error.status() == apl::Status::RateLimited ||
                           (error.status() == apl::Status::Redirect && (!location || !*location)) ||
                           (error.status() == apl::Status::Range && answer.http_status() == 416) ||
                           (request.contains("oauth") && answer.http_status() == 401 &&
                            json::parse(answer.meta())["url"] != request["oauth"]["token_url"]);
    if (any_status && answer && is_answer) return ok(answer.http_status(), answer.text());
    return failed(error);
  }
}

/* The last of several calls with one connector, whose tokens are asked for by itself. */
json oauth_fetch(const json& request) {
  const json config = configuration(request);
  if (config["auth"].is_null()) return {{"skip", true}};
  const apl::Connector api(config.dump());
  json last;
  for (int left = request.value("calls", 1); left > 0; --left) {
    last = fetch(api, request);
    const int pause = request.value("pause_between_calls_ms", 0);
    if (left > 1) std::this_thread::sleep_for(std::chrono::milliseconds(pause));
  }
  return last;
}

/* A folder of its own, which goes with it. */
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "apl-conformance-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file() const { return (path_ / "file").string(); }

 private:
  std::filesystem::path path_;
};

/* A body where a call takes it as an option: there it is text. */
void add_body(json& options, const json& request) {
  if (request.contains("body_b64")) options["data"] = from_base64(request["body_b64"]);
}

/* What a caller has in its own way, and the rest behind it: a download goes on with parts of its own only. */
json join_rest(const apl::Connector& api, const json& request, json options) {
  options["reconnect"] = true;
  json rest = fetch_rest(api, request, options);
  rest["body_b64"] = to_base64(from_base64(request.value("have_b64", "")) + from_base64(rest["body_b64"]));
  return rest;
}

json download(const json& request) {
  const apl::Connector api(configuration(request).dump());
  json options = ::options(request);
  add_body(options, request);
  try {
    if (request.contains("resume_from")) return join_rest(api, request, options);
  } catch (const apl::Error& error) {
    /* What is there does not fit: all of it, then. */
    if (error.status() != apl::Status::Range) return failed(error);
  }
  if (request.contains("resume")) options["resume"] = request["resume"];
  const Folder folder;
  try {
    const apl::Downloaded done = api.download("it", folder.file(), nullptr, options.dump());
    std::ifstream file(folder.file(), std::ios::binary);
    if (!file) throw std::runtime_error("the download is said to be done, and there is no file");
    return ok(done.summary.http_status(), {std::istreambuf_iterator<char>(file), {}});
  } catch (const apl::Error& error) {
    return failed(error);
  }
}

/* What a stream of events is opened with. */
json event_options(const json& request) {
  json options = ::options(request);
  add_body(options, request);
  options["reconnect"] = true;
  options["decode_json"] = false;
  if (request.contains("initial_retry_ms")) options["reconnect_delay"] = seconds(request["initial_retry_ms"]);
  if (request.contains("read_timeout_ms")) options["read_timeout"] = seconds(request["read_timeout_ms"]);
  if (request.contains("last_event_id")) options["last_event_id"] = request["last_event_id"];
  return options;
}

json event_json(const apl::Event& event) {
  const json all = json::parse(event.json());
  return {{"type", all["event"]}, {"data", all["data"]}, {"id", all["id"].is_null() ? json("") : all["id"]}};
}

/* Cancels after a while, unless it goes before. */
class Alarm {
 public:
  Alarm(const apl::Cancel& cancel, std::chrono::milliseconds after)
      : thread_([this, &cancel, after] {
          std::unique_lock<std::mutex> lock(mutex_);
          if (!gone_.wait_for(lock, after, [this] { return is_gone_; })) cancel.trigger();
        }) {}
  ~Alarm() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      is_gone_ = true;
    }
    gone_.notify_one();
    thread_.join();
  }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable gone_;
  bool is_gone_ = false;
  std::thread thread_;
};

json sse(const json& request) {
  const apl::Connector api(configuration(request).dump());
  const std::size_t most = request.value("stop_after_events", std::size_t(-1));
  json events = json::array();
  const char* state = "stopped";
  json error;
  const apl::Cancel cancel;
  const Alarm alarm(cancel, std::chrono::milliseconds(request.value("stop_after_ms", 600000)));
  try {
    apl::Stream stream = api.sse("it", nullptr, event_options(request).dump(), &cancel);
    while (events.size() < most) {
      if (stream.next() != apl::Status::Ok) {
        state = "closed";
        break;
      }
      events.push_back(event_json(stream.event()));
    }
  } catch (const apl::Error& failure) {
    error = failed(failure)["error"];
    if (failure.status() != apl::Status::Cancelled) state = "failed";
  }
  return {{"outcome", "ok"}, {"events", events}, {"state", state}, {"error", error}};
}

void print(const json& line) {
  /* The server's bytes are UTF-8 already; in a failure's words they may not be. */
  std::cout << line.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
}

/* Tells everything as it happens, until stdin ends. */
class Feed {
 public:
  explicit Feed(const json& request)
      : api_(configuration(request).dump()), options_(event_options(request)), cancel_(new apl::Cancel) {
    options_["comments"] = true;
    options_["lifecycle"] = true;
  }

  void run() {
    std::thread reader([this] { obey(); });
    while (read_one_stream()) {
    }
    reader.join();
  }

 private:
  /* The commands: each ends the stream that is read now. */
  void obey() {
    std::string line;
    bool more = true;
    while (more) {
      more = static_cast<bool>(std::getline(std::cin, line));
      if (more && (line.empty() || json::parse(line).value("cmd", "") != "restart")) continue;
      const std::lock_guard<std::mutex> lock(mutex_);
      is_over_ = !more;
      cancel_->trigger();
      told_.notify_one();
    }
  }

  /* False: stdin has ended. */
  bool read_one_stream() {
    const std::shared_ptr<apl::Cancel> cancel = cancel_;
    bool is_open = false;
    try {
      apl::Stream stream = api_.sse("it", nullptr, options_.dump(), cancel.get());
      is_open = true;
      try {
        while (stream.next() == apl::Status::Ok) tell(stream.event(), *cancel);
      } catch (const apl::Error&) {
        remember(stream);
        throw;
      }
      remember(stream);
    } catch (const apl::Error& failure) {
      const json error = failed(failure)["error"];
      /* What ends a stream that was open, its last disconnect has told. */
      if (!is_open && !cancel->is_triggered()) print({{"error", error}});
    }
    std::unique_lock<std::mutex> lock(mutex_);
    told_.wait(lock, [this] { return cancel_->is_triggered(); });
    cancel_ = std::make_shared<apl::Cancel>();
    return !is_over_;
  }

  void tell(const apl::Event& event, const apl::Cancel& cancel) {
    switch (event.kind()) {
      case apl::Kind::Event:
        if (event.retry_ms() >= 0) options_["reconnect_delay"] = static_cast<double>(event.retry_ms()) / 1000;
        print({{"event", event_json(event)}});
        break;
      case apl::Kind::Comment:
        print({{"comment", event.text()}});
        break;
      case apl::Kind::Disconnected:
        if (!cancel.is_triggered()) print({{"error", event.text()}});
        break;
      default:
        break;
    }
  }

  /* Where the next stream goes on. */
  void remember(apl::Stream& stream) {
    options_.erase("last_event_id");
    options_.erase("checkpoint");
    const std::string checkpoint = stream.checkpoint();
    if (!checkpoint.empty()) options_["checkpoint"] = checkpoint;
  }

  const apl::Connector api_;
  json options_;
  std::mutex mutex_;
  std::condition_variable told_;
  /* Of the stream that is read now. */
  std::shared_ptr<apl::Cancel> cancel_;
  bool is_over_ = false;
};

/* All items of a listing, page by page. */
json paginate(const json& request) {
  json config = configuration(request);
  json& endpoint = config["endpoints"]["it"];
  endpoint["decode"] = "json";
  const json how = request.value("pagination", json("link"));
  endpoint["pagination"] = how == "link" ? json{{"style", "header_link"}} : how;
  if (request.contains("max_pages")) endpoint["pagination"]["max_pages"] = request["max_pages"];
  const apl::Connector api(config.dump());
  try {
    const apl::Response whole = api.fetch("it", nullptr, options(request).dump());
    return {{"outcome", "ok"}, {"items", json::parse(whole.text())}};
  } catch (const apl::Error& failure) {
    json reply = failed(failure);
    if (failure.partial()) reply["items"] = json::parse(failure.partial().text());
    return reply;
  }
}

void answer(const json& message) {
  const std::string op = message.at("op");
  if (op == "fetch") return print(fetch(apl::Connector(configuration(message.at("request")).dump()), message.at("request")));
  if (op == "oauth_fetch") return print(oauth_fetch(message.at("request")));
  if (op == "download") return print(download(message.at("request")));
  if (op == "sse") return print(sse(message.at("request")));
  if (op == "sse_stream") return Feed(message.at("request")).run();
  if (op == "paginate") return print(paginate(message.at("request")));
  print({{"skip", true}});
}

}  // namespace

int main() {
  std::string line;
  std::getline(std::cin, line);
  try {
    answer(json::parse(line));
  } catch (const apl::Error& error) {
    print(failed(error));
  } catch (const std::exception& fault) {
    std::cerr << "adapter: " << fault.what() << std::endl;
    return 1;
  }
  return 0;
}
