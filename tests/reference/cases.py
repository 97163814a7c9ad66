"""The cases; those of retries, redirects and rate limits are in exchange.py. A key of the reference that apl learns to act
on gets its lines here."""

import gzip
import json
import re
import zlib

from exchange import LIMITS, LISTINGS, REDIRECTS, RETRIES
from oauth import SIGN_INS, TOKENS
from recorder import SILENCE, Answer
from streams import CONSUMED, DOWNLOADS, EVENTS, STREAMS
from table import *

CONNECTOR = [
    Case("a fetch", x(), FETCH),
    Case("the class's names", classes(
        auth_config={"type": "bearer", "token": "t"}, default_headers={"X-A": "1"}, timeout=5, retry_delay=0), FETCH),
    Case("headers for default_headers", conn(headers={"X-A": "1"}), FETCH),
    Case("a graphql connector", conn(type="graphql"), FETCH),
    Case("an sse connector", conn(type="sse"), FETCH),
    Case("a soap connector", conn(type="soap"), FETCH, refused("unknown-type")),
    Case("no type", json.dumps({"base_url": "URL"}), [], [D("no-type", "config", REFUSED, ACCEPTED)]),
    Case("notes", x(description="d", name="n", **{"x-team": "t"}), FETCH),
    Case("an unknown key of the endpoint", x(paht="/y"), FETCH, refused("unknown-key")),
    Case("an unknown key of the connector", conn(tiemout=3), FETCH, refused("unknown-key")),
    Case("null keys", conn(auth=None, default_headers=None), FETCH),
    Case("null keys of the endpoint", x(
        body_template=None, response_path=None, response_schema=None, request_schema=None, pagination=None,
        rate_limit=None, sse=None, streaming=None), FETCH),
    Case("empty keys", conn(headers={}), FETCH),
    Case("empty keys of the endpoint", post(
        params={}, headers={}, body_template={}, response_path="", response_schema={}, request_schema={}), [*FETCH, *SEND]),
    Case("no endpoints", block(endpoints=None), HEALTH),
    Case("both names of the headers", conn(headers={"X-A": "1"}, default_headers={"X-B": "1"}), FETCH, refused("duplicate-key")),
    Case("a key twice", '{"type":"rest","base_url":"URL","retry_count":2,"retry_count":1,"endpoints":{"x":{"path":"/x"}}}',
         FETCH, refused("duplicate-key")),
    Case("an endpoint without a path", block(endpoints={"x": {}}), FETCH),
    Case("a block in YAML", """
type: rest
base_url: URL/v1
retry_count: 1
default_headers:
  X-A: "1"
endpoints:
  x:
    path: /x
    params: {a: 1, b: [x, y], c: true, d: null, e: 'yes'}
""", FETCH),
    Case("YAML 1.2", """
type: rest
base_url: URL
retry_count: 1
endpoints:
  x:
    path: /x
    params: {a: yes, b: off, c: 010, d: 1_000, e: 12:30, f: 2020-01-02}
""", FETCH, [D("yaml", "request.target", "/x?a=true&b=false&c=8&d=1000&e=750&f=2020-01-02",
                "/x?a=yes&b=off&c=10&d=1_000&e=12%3A30&f=2020-01-02")]),
]

ADDRESSES = [
    *[Case(f"base {base!r} and path {path!r}", block(base_url=f"URL{base}", endpoints={"x": {"path": path}}), FETCH, joined(base, path))
      for base in ("", "/", "/v1", "/v1/") for path in ("/x", "x", "/x/", "//x", "/", "")],
    *[Case(f"path {path!r}", x(path=path), FETCH) for path in
      ("/a b", "/é", "/%2F", "/%c3%a9", "/a:b;c=d,e", "/[x]", '/a"b<c>', "/a'(b)*!$&+=@~", "/a//b", "/x?", "/x`")],
    Case("letters that no URL has", x(path="/a|b^c"), FETCH, [D("path-letters", "request.target", "/a|b^c", "/a%7Cb%5Ec")]),
    *[Case(f"path {path!r}", x(path=path), FETCH, refused("path-refused", f"GET {sent}")) for path, sent in [
        ("/%zz", "/%zz"), ("/a/../b", "/b"), ("/./a", "/a"), ("/x#f", "/x"), ("/a\\b", "/a\\b")]],
    Case("a query in the path", x(path="/x?a=1"), FETCH, [D("query-kept", "request.target", "/x", "/x?a=1")]),
    Case("a query in the path and params", x(path="/x?a=1", params={"b": 2}), FETCH,
         [D("query-kept", "request.target", "/x?b=2", "/x?a=1&b=2")]),
    Case("a query in base_url", block(base_url="URL/v1?k=1", endpoints={"x": {"path": "/x"}}), FETCH,
         [D("query-kept", "request.target", "/v1", "/v1/x?k=1")]),
    Case("a path that is a URL of the same origin", x(path="URL/y"), FETCH),
    Case("a path that is a URL of another origin", x(path="http://127.0.0.2:9/y"), FETCH, refused("other-origin")),
    Case("a user in base_url", conn(base_url="http://u:p@127.0.0.1:9"), FETCH, refused("base-url")),
    Case("a base_url without a scheme", conn(base_url="api.example.com"), FETCH, refused("base-url")),
    Case("a base_url with a space", conn(base_url="URL/a b"), FETCH, refused("base-url", "GET /a%20b/x")),
    Case("a variable in the path", x(path="/t/{team}", params={"team": "a b"}), FETCH,
         [D("path-variable", "request.target", "/t/%7Bteam%7D?team=a+b", "/t/a%20b")]),
]

PARAMS = [
    Case("kinds of params", x(params={"s": "v", "i": 1, "f": 1.5, "t": True, "f2": False, "n": None, "e": ""}), FETCH),
    Case("lists", x(params={"l": [1, "b", True, None], "e": [], "o": 1}), FETCH),
    Case("an empty list alone", x(params={"e": []}), FETCH, [D("empty-query", "request.target", "/x?", "/x")]),
    Case("a call's params", x(params={"a": 1, "b": 2}), [("fetch", "x", {"b": "n", "c": [3, 4]})]),
    Case("a call's null", x(params={"a": 1}), [("fetch", "x", {"a": None})]),
    Case("a call's empty params", x(params={"a": 1}), [("fetch", "x", {})]),
    Case("reserved letters", x(params={"q&=": "a&b=c#d/e?f:g;h,i@j$k+l"}), FETCH),
    Case("unreserved letters", x(params={"q": "a-b.c_d~e"}), FETCH),
    Case("other letters", x(params={"q": "!'()*[]|^`{}\\\"<>%"}), FETCH),
    Case("letters of the world", x(params={"ü": "日本"}), FETCH),
    Case("a space", x(params={"q": "a b"}), FETCH, [D("space", "request.target", "/x?q=a+b", "/x?q=a%20b")]),
    Case("numbers as written", '{"type":"rest","base_url":"URL","retry_count":1,"endpoints":{"x":{"path":"/x",'
         '"params":{"a":1.50,"b":1e2,"c":12345678901234567890}}}}', FETCH,
         [D("numbers", "request.target", "/x?a=1.5&b=100.0&c=12345678901234567890", "/x?a=1.50&b=1e2&c=12345678901234567890")]),
    Case("an object as a param", x(params={"filter": {"a": 1}}), FETCH, refused("nested-param", "GET /x?filter=%7B%27a%27%3A+1%7D")),
    Case("an object as a call's param", x(), [("fetch", "x", {"filter": {"a": 1}})], [
        D("nested-param", "outcome", 'result {"ok":true}', "error VALIDATION"), D("nested-param", "requests", SOME, "")]),
]

HEADERS = [
    Case("headers of connector and endpoint", block(
        default_headers={"X-A": "1", "X-B": "1"}, endpoints={"x": {"path": "/x", "headers": {"X-B": "2", "X-C": ""}}}), FETCH),
    Case("headers in another case", block(
        default_headers={"X-A": "1"}, endpoints={"x": {"path": "/x", "headers": {"x-a": "2"}}}), FETCH,
         [D("header-case", "request.headers.x-a", "1, 2", "2"), D("header-case", "request.headers.x-a.lines", "2", None)]),
    Case("the library's headers set by hand", conn(default_headers={
        "Accept": "text/x", "User-Agent": "me", "Accept-Encoding": "gzip", "Host": "h.example"}), FETCH),
    Case("a content type set by hand", post(headers={"Content-Type": "application/x+json"}), SEND),
    Case("a header that frames", conn(default_headers={"Connection": "close"}), FETCH, refused("framing-header")),
    Case("a header beyond ASCII", conn(default_headers={"X-A": "é"}), FETCH, sent("header-value")),
    Case("a header that is a number", conn(default_headers={"X-A": 1}), FETCH, sent("header-value")),
    Case("an endpoint's header that is a number", x(headers={"X-A": 1}), FETCH, [D("header-value", "config", REFUSED, ACCEPTED)]),
    Case("a header with spaces around", conn(default_headers={"X-A": " a "}), FETCH, sent("header-value")),
    Case("a header with a line break", conn(default_headers={"X-A": "a\r\nX-B: b"}), FETCH, refused("header-break")),
]

AUTH = [
    Case("api_key", auth(type="api_key", key="k"), FETCH),
    Case("api_key in a named header", auth(type="api_key", key="k", header="X-K", **{"in": "Header"}), FETCH),
    Case("api_key in the query", auth(type="api_key", key="k", **{"in": "query"}), FETCH,
         [D("api-key-query", "request.target", "/x", "/x?api_key=k")]),
    Case("api_key in a named parameter", auth(type="api_key", key="k", param_name="p", **{"in": "query"}), FETCH,
         [D("api-key-query", "request.target", "/x", "/x?p=k")]),
    Case("api_key in a cookie", auth(type="api_key", key="k", **{"in": "cookie"}), FETCH, [
        D("api-key-cookie", "request.headers.x-api-key", "k", None), D("api-key-cookie", "request.headers.cookie", None, "api_key=k")]),
    Case("api_key in a header by the class's name", auth(type="api_key", key="k", header_name="X-K"), FETCH, [
        D("api-key-names", "request.headers.x-api-key", "k", None), D("api-key-names", "request.headers.x-k", None, "k")]),
    Case("api_key by the class's flags", auth(type="api_key", key="k", in_header=False, in_query=True, query_param="q"), FETCH, [
        D("api-key-names", "request.target", "/x", "/x?q=k"), D("api-key-names", "request.headers.x-api-key", "k", None)]),
    Case("ApiKeyAuth", classes(auth_config={
        "type": "api_key", "key": "k", "header_name": "X-K", "in_header": True, "in_query": False}), FETCH),
    Case("ApiKeyAuth in the query", classes(auth_config={
        "type": "api_key", "key": "k", "in_header": False, "in_query": True, "query_param": "q"}), FETCH,
         [D("api-key-query", "request.target", "/v1/x", "/v1/x?q=k")]),
    Case("BasicAuth", classes(auth_config={"type": "basic", "username": "u", "password": "p"}), FETCH),
    Case("a key that is a number", auth(type="api_key", key=12345), FETCH),
    Case("api_key without a key", auth(type="api_key"), FETCH),
    Case("bearer", auth(type="Bearer", token="t"), FETCH),
    Case("bearer and a configured Authorization", conn(
        auth={"type": "bearer", "token": "t"}, default_headers={"Authorization": "x"}), FETCH),
    Case("bearer and a configured authorization", conn(
        auth={"type": "bearer", "token": "t"}, default_headers={"authorization": "x"}), FETCH, [
        D("header-case", "request.headers.authorization", "x, Bearer t", "Bearer t"),
        D("header-case", "request.headers.authorization.lines", "2", None)]),
    Case("basic", auth(type="basic", username="Aladdin", password="open sesame"), FETCH),
    Case("basic beyond ASCII", auth(type="basic", username="é", password="ü:"), FETCH),
    Case("basic with a number", auth(type="basic", username="u", password=123), FETCH),
    Case("basic and a configured Authorization", conn(
        auth={"type": "basic", "username": "u", "password": "p"}, default_headers={"Authorization": "x"}), FETCH),
    Case("basic with a colon in the name", auth(type="basic", username="a:b", password="p"), FETCH, refused("basic-colon")),
    Case("no auth", auth(type="none"), FETCH),
    Case("an unknown auth", auth(type="magic", token="t"), FETCH, refused("unknown-auth")),
    Case("an auth without a type", auth(), FETCH, refused("unknown-auth")),
    Case("a variable of the environment", auth(type="bearer", token="${T}"), FETCH, env={"T": "from-env"}),
    Case("a variable inside a text", auth(type="bearer", token="a-${T}"), FETCH,
         [D("env-anywhere", "request.headers.authorization", "Bearer a-${T}", "Bearer a-from-env")], env={"T": "from-env"}),
    Case("a variable in a header", conn(default_headers={"X-A": "${T}"}), FETCH,
         [D("env-anywhere", "request.headers.x-a", "${T}", "from-env")], env={"T": "from-env"}),
    Case("a variable that is not set", auth(type="bearer", token="${APL_IS_NOT_SET}"), FETCH, refused("env-unset")),
]

BODIES = [
    *[Case(f"method {method}", x(method=method), FETCH) for method in ("GET", "post", "Put", "PATCH", "DELETE", "OPTIONS", "PURGE")],
    Case("method HEAD", x(method="HEAD"), FETCH, NO_BODY, answer("")),
    Case("method TRACE", x(method="TRACE"), FETCH, refused("trace", "TRACE /x")),
    Case("a template", post(body_template={"b": 1, "a": [True, None, "é"], "o": {}}), FETCH),
    Case("a template of a GET", x(body_template={"a": 1}), FETCH),
    Case("a template and a send", post(body_template={"a": 0, "b": 2}), SEND, [
        D("template-send", "request.headers.content-length", "7", "13"),
        D("template-send", "request.body", '{"a":1}', '{"a":1,"b":2}')]),
    Case("a number as written in a template", '{"type":"rest","base_url":"URL","retry_count":1,"endpoints":{"x":{"path":"/x",'
         '"body_template":{"a":1.50}}}}', FETCH,
         [D("numbers", "request.headers.content-length", "9", "10"), D("numbers", "request.body", '{"a":1.5}', '{"a":1.50}')]),
    Case("a send", post(params={"p": 1}), SEND),
    Case("a send by PUT", x(method="PUT"), SEND),
    Case("a send by GET", x(), SEND),
    Case("a send of letters of the world", post(), [("send", "x", {"ü": "日本\u2028\u0001\"\\/"})]),
    Case("a send of numbers", post(), [("send", "x", {"a": 1, "b": 1.5, "c": -0.0, "d": 12345678901234567890})]),
    Case("a send of an empty object", post(), [("send", "x", {})]),
    Case("a send of a string", post(), [("send", "x", "text")]),
    Case("a send of null", post(), [("send", "x", None)], [
        D("send-null", "request.headers.content-length", "0", "4"), D("send-null", "request.body", "", "null"),
        D("send-null", "request.headers.content-type", None, "application/json")]),
    Case("a send of a lone surrogate", post(), [("send", "x", {"a": "\ud800"})], [
        D("send-surrogate", "outcome", "error UNKNOWN", SOME), D("send-surrogate", "requests", "", SOME)]),
    Case("a send and a response_path", post(response_path="data"), SEND, answers=answer('{"data":{"id":1}}')),
    Case("a send that is answered by a scalar", post(), SEND, answers=answer("7")),
    Case("a send that is answered by nothing", post(), SEND, [D("no-body", "result.result", "{}", "null")], answer(status=204)),
    Case("a send that is answered by no JSON", post(), SEND, UNREADABLE, answer("<p>", media="text/html")),
    Case("a list", post(), [("send", "x", [{"a": 1}, {"a": 2}])], answers=[Answer('{"id":1}'), Answer('{"id":2}', 201)]),
    Case("an empty list", post(), [("send", "x", [])], [D("empty-list", "result.success", "false", "true")]),
    Case("a list answered by nothing", post(), [("send", "x", [{"a": 1}])], [D("no-body", "result.results[[]0]", "{}", "null")],
         answer(status=204)),
    Case("a list with a failure", post(), [("send", "x", [{"a": 1}, {"a": 2}, {"a": 3}])],
         [D("list-failure", "outcome", re.compile("result .*", re.S), re.compile("error VALIDATION and result .*", re.S))],
         [Answer('{"id":1}'), Answer('{"error":"no"}', 422), Answer('{"id":3}')]),
]

ANSWERS = [
    answers("of an object", '{"b": 1, "a": {"c": [1, 2.5, "x", null, true]}}'),
    answers("of a list", '[{"a": 1}, {"a": 2}]'),
    answers("of scalars in a list", '[1, "a"]'),
    *[answers(f"of {value}", value, scalar(value)) for value in ("7", "null", "true", '"s"')],
    answers("with spaces around", ' \r\n{"a": 1}\n'),
    answers("with a BOM", b'\xef\xbb\xbf{"a": 1}'),
    answers("with numbers", '{"a": 1.50, "b": -0, "c": 1E400, "d": 12345678901234567890.1}', [
        D("numbers", "result.a", "1.5", "1.50"), D("numbers", "result.b", "0", "-0"), D("numbers", "result.c", "Infinity", "1E400"),
        D("numbers", "result.d", "1.2345678901234567e+19", "12345678901234567890.1")]),
    answers("with a large integer", '{"a": 123456789012345678901234567890}'),
    answers("with a key twice", '{"a": 1, "a": 2}', [
        D("duplicates", "result.a", "2", None), D("duplicates", "result", None, '{"a":1,"a":2}')]),
    answers("with a lone surrogate", '{"a": "\\ud800"}'),
    answers("with escapes", '{"a": "\\u00e9\\n\\/"}'),
    answers("with NaN", '{"a": NaN}', [D("not-json", "outcome", 'result {"a":NaN}', "error UNKNOWN")]),
    answers("in UTF-16", '{"a": 1}'.encode("utf-16-le"), [D("not-json", "outcome", 'result {"a":1}', "error UNKNOWN")]),
    answers("that is not UTF-8", b'{"a": "\xe9"}', UNREADABLE),
    answers("with a control character", '{"a": "\x01"}', UNREADABLE),
    answers("that goes on", '{"a": 1} x', UNREADABLE),
    answers("that is half", '{"a": 1', UNREADABLE),
    answers("128 deep", "[" * 128 + "]" * 128),
    answers("129 deep", "[" * 129 + "]" * 129, [D("depth", "outcome", SOME, "error UNKNOWN")]),
    Case("no body", x(), FETCH, NO_BODY, answer("")),
    Case("204", x(), FETCH, NO_BODY, answer(status=204)),
    Case("201", x(), FETCH, answers=answer(status=201)),
    Case("206", x(), FETCH, answers=answer(status=206)),
    Case("no JSON", x(), FETCH, UNREADABLE, answer("<p>hello</p>", media="text/html")),
    Case("JSON that says it is text", x(), FETCH, answers=answer(media="text/plain")),
    Case("gzip", x(), FETCH, answers=answer(gzip.compress(b'{"a":1}'), headers={"Content-Encoding": "gzip"})),
    Case("deflate", x(), FETCH, answers=answer(zlib.compress(b'{"a":1}'), headers={"Content-Encoding": "deflate"})),
    Case("an unknown coding", x(), FETCH, [D("unknown-coding", "outcome", 'result {"ok":true}', "error UNKNOWN")],
         answer(headers={"Content-Encoding": "x-own"})),
    Case("chunked", x(), FETCH, answers=answer(
        raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n")),
    Case("ended by close", x(), FETCH, answers=answer(raw=b"HTTP/1.1 200 OK\r\n\r\n{\"a\":1}")),
    Case("HTTP/1.0", x(), FETCH, answers=answer(raw=b"HTTP/1.0 200 OK\r\n\r\n{\"a\":1}")),
    at("data", '{"data": [1, 2]}'),
    at("data.items", '{"data": {"items": [{"a": 1}]}}'),
    at("a b.é", '{"a b": {"é": {"c": 1}}}'),
    at("", '{"": 1}'),
    at("data.n", '{"data": {"n": 7}}', scalar("7")),
    at("data", '{"data": null}', scalar("null")),
    at("items.0", '{"items": {"0": "a"}}', scalar('"a"')),
    at("data", '{"data": {"a": 1, "a": 2}}', [D("duplicates", "result.a", "2", None), D("duplicates", "result", None, '{"a":1,"a":2}')]),
    at("data.no", '{"data": {"items": [1]}}', missing('{"items":[1]}')),
    at("no", '{"data": 1}', missing('{"data":1}')),
    at("data", "[1]", missing("[1]")),
    at("data", '"data"', missing('{"value":"data"}')),
    at("items.0", '{"items": [{"a": 1}]}', [D("path-index", "result[[]0].a", "1", None), D("path-index", "result.a", None, "1")]),
    at("/a", '{"/a": {"b": 1}}', [D("path-languages", "outcome", 'result {"b":1}', "error UNKNOWN")]),
    at("$.a", '{"$": {"a": {"b": 1}}}', [D("path-languages", "outcome", 'result {"b":1}', "error UNKNOWN")]),
    at("a..b", '{"a": {"": {"b": {"c": 1}}}}', refused("path-languages")),
    Case("a response_schema that fits", x(response_schema={"type": "object"}), FETCH),
    Case("a response_schema that does not fit", x(response_schema={"type": "array"}), FETCH),
    Case("a request_schema that fits", post(request_schema={"required": ["a"]}), SEND),
    Case("a request_schema that does not fit", post(request_schema={"required": ["b"]}), SEND,
         [D("schema-diffs", "error.additional_context.diffs[[]0]", SOME, None)]),
    Case("a request_schema and a list", post(request_schema={"required": ["a"]}), [("send", "x", [{"a": 1}, {"b": 1}])],
         [D("schema-diffs", "error.additional_context.diffs[[]0]", SOME, None)]),
]

FAILURES = [
    *[Case(f"status {status}", x(), FETCH, answers=answer('{"error":"no"}', status)) for status in (
        300, 304, 400, 401, 403, 404, 405, 408, 409, 410, 418, 422, 425, 429, 500, 501, 502, 503, 504, 599)],
    Case("status 407", x(), FETCH, [D("status-407", "error.error_category", '"CLIENT"', '"AUTH"')], answer("{}", 407)),
    Case("a call's params and a failure", x(), [("fetch", "x", {"a": 1})], [
        D("error-params", "error.additional_context.params.a", "1", None)], answer("{}", 404)),
    Case("a failed send", post(), SEND, answers=answer("no", 400, media="text/plain")),
    Case("a failure in another charset", x(), FETCH, answers=answer(b"caf\xe9", 400, media="text/plain; charset=ISO-8859-1")),
    Case("a failure with a long body", x(), FETCH, [
        D("error-body", "error.response_body", f'"{"a" * 1000}"', f'"{"a" * 2000}"')], answer("a" * 2000, 400, media="text/plain")),
    Case("a failure with an id", x(), FETCH, [D("correlation-id", "error.correlation_id", "null", '"r1"')],
         answer("{}", 400, headers={"X-Request-Id": "r1"})),
    Case("a failure with a problem", x(), FETCH, answers=answer('{"title":"t"}', 400, media="application/problem+json")),
    Case("a failure that says when to come back", x(), FETCH, answers=answer("{}", 429, headers={"Retry-After": "7"})),
    Case("a failure that echoes a secret", auth(type="bearer", token="canary-12345"), FETCH,
         [D("redaction", "error.response_body", '"\\"canary-12345\\""', '"\\"***\\""')], answer('"canary-12345"', 400)),
    Case("an unknown endpoint", x(), [("fetch", "y"), ("send", "y", {})], [
        D("value-error", f"{call}error.{field}", theirs, ours) for call in ("", "2:") for field, theirs, ours in [
            ("type", '"ValueError"', None), ("error_category", None, '"VALIDATION"'), ("*", None, SOME)]]),
    Case("nobody listens", conn(base_url="NOBODY"), [*FETCH, *SEND]),
    Case("silence", conn(timeout=0.2), [*FETCH, *SEND], answers=[SILENCE]),
    Case("closed without an answer", x(), FETCH, answers=answer(raw=b"")),
    Case("no HTTP", x(), FETCH, answers=answer(raw=b"hello\r\n\r\n")),
    Case("a body that is cut", x(), FETCH, CUT, answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")),
    Case("a chunk that is cut", x(), FETCH, CUT, answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}")),
]

QUERY = "query Me($id: ID) { me(id: $id) { id } }"


def graphql(**keys):
    return block(type="graphql", endpoints={"x": {"path": "/graphql", **keys}})


# The reference knows nothing of `query`.
QUERIED = [
    D("graphql-query", "request.method", "GET", "POST"), D("graphql-query", "request.headers.content-*", None, SOME),
    D("graphql-query", "request.body", "", SOME),
    D("accept", "request.headers.accept", "*/*", re.compile("application/graphql-response.*"))]

GRAPHQL = [
    Case("a graphql query in a template", graphql(method="POST", body_template={"query": QUERY}, response_path="data.me"), FETCH,
         answers=answer('{"data":{"me":{"id":"1"}}}')),
    Case("a graphql query that is sent", graphql(method="POST"), [("send", "x", {"query": QUERY, "variables": {"id": "1"}})],
         answers=answer('{"data":{"me":{"id":"1"}}}')),
    Case("a graphql query in a template, and errors", graphql(method="POST", body_template={"query": QUERY}), FETCH,
         answers=answer('{"data":{"me":null},"errors":[{"message":"no"}]}')),
    Case("a graphql query of its own", graphql(query=QUERY), [("fetch", "x", {"id": "1"})], [
        *QUERIED, D("graphql-query", "request.target", "/graphql?id=1", "/graphql")], answer('{"data":{"me":{"id":"1"}}}')),
    Case("a graphql query of its own, and errors", graphql(query=QUERY), FETCH, [
        *QUERIED, D("graphql-errors", "outcome", re.compile("result .*"), re.compile("error UNKNOWN and result .*"))],
         answer('{"data":{"me":null},"errors":[{"message":"no"}]}')),
]

SURROUNDINGS = [
    Case("cookies", x(), [*FETCH, *FETCH], [D("cookies", "2:request.headers.cookie", "s=1", None)],
         answer(headers={"Set-Cookie": "s=1"})),
    Case("a proxy of the environment", x(), FETCH, [D("proxy", "request.target", re.compile("http://.*/x"), "/x")],
         env={"HTTP_PROXY": "URL"}),
]

HEALTHS = [
    Case("health", block(), HEALTH),
    Case("health below a path", block(base_url="URL/v1"), HEALTH),
    *[Case(f"health {status}", block(), HEALTH, answers=answer("", status)) for status in (204, 302, 304, 400, 404, 405, 410, 500, 503)],
    *[Case(f"health {status}", block(), HEALTH, health("unhealthy"), answer("", status)) for status in (401, 403, 407)],
    Case("health 429", block(), HEALTH, health("degraded"), answer("", 429)),
    Case("health 503 with Retry-After", block(), HEALTH, [D("health-status", "health.status", '"unhealthy"', '"degraded"')],
         answer("", 503, headers={"Retry-After": "1"})),
    Case("health of nobody", conn(base_url="NOBODY"), HEALTH, [D("message", "health.message", SOME, SOME)]),
    Case("health with basic", auth(type="basic", username="u", password="p"), HEALTH),
    Case("health with bearer and headers", conn(auth={"type": "bearer", "token": "t"}, default_headers={"X-A": "1"}), HEALTH, [
        D("health-auth", "request.headers.x-a", None, "1"), D("health-auth", "request.headers.authorization", None, "Bearer t")]),
]

CASES = [
    *CONNECTOR, *ADDRESSES, *PARAMS, *HEADERS, *AUTH, *BODIES, *ANSWERS, *FAILURES, *RETRIES, *REDIRECTS, *LIMITS, *LISTINGS,
    *SURROUNDINGS, *HEALTHS, *GRAPHQL, *TOKENS, *SIGN_INS, *STREAMS, *EVENTS, *CONSUMED, *DOWNLOADS,
]
