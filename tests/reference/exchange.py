"""The cases of retries, redirects and rate limits.

Waits are as short as a busy machine allows: a side that does not wait is done long before.
"""

from recorder import SILENCE, Answer
from table import *


def twice(method="GET", **keys):
    """A block whose endpoint has a second attempt, at once."""
    return block(retry_count=2, retry_delay=0, endpoints={"x": {"path": "/x", "method": method, **keys}})


def first(*arguments, **keys):
    """The first answer; the second one is good."""
    return [Answer(*arguments, **keys), Answer()]


def once(request, category, result='{"ok":true}'):
    """The reference repeats it with success; apl lets the failure stand."""
    return [*times("repeat", request, 2, 1), D("repeat", "outcome", f"result {result}", f"error {category}")]


DONE = '{"success":true,"result":{"ok":true}}'
AGAIN = (408, 425, 429, 500, 502, 503, 504)
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"

RETRIES = [
    Case("retry_count 0", conn(retry_count=0), FETCH, sent("retry-count-0")),
    Case("retry_count below 0", conn(retry_count=-1), FETCH, refused("retry-below-0")),
    Case("retry_delay below 0", conn(retry_delay=-1), FETCH, refused("retry-below-0")),
    Case("retry_count in quotes", conn(retry_count="2"), FETCH, refused("number-text")),
    Case("null retries", conn(retry_count=None), FETCH, [
        D("null-number", "outcome", "error", 'result {"ok":true}'), D("null-number", "requests", "", "GET /x")]),
    Case("retry_count where all is well", conn(retry_count=3, retry_delay=5), [*FETCH, *SEND]),
    Case("retry_count at the endpoint", x(retry_count=2, retry_delay=0), FETCH, [
        *times("endpoint-retry", "GET /x", 1, 2), *failed("endpoint-retry", "SERVER")], first("{}", 500)),
    Case("retry_count at both", twice(retry_count=1), FETCH, [
        *times("endpoint-retry", "GET /x", 2, 1), D("endpoint-retry", "outcome", 'result {"ok":true}', "error SERVER")],
         first("{}", 500)),
    *[Case(f"{status} and a second attempt", twice(), FETCH, answers=first("{}", status)) for status in AGAIN],
    *[Case(f"{status} twice", twice(), FETCH, answers=answer("{}", status)) for status in (429, 500, 503)],
    Case("three attempts", conn(retry_count=3, retry_delay=0), FETCH, answers=[
        Answer("{}", 503), Answer(raw=b""), Answer()]),
    *[Case(f"{status} and a second attempt", twice(), FETCH, once("GET /x", category), first("{}", status))
      for status, category in [(400, "VALIDATION"), (401, "AUTH"), (404, "CLIENT"), (501, "SERVER")]],
    Case("no JSON and a second attempt", twice(), FETCH, once("GET /x", "UNKNOWN"), first("<p>")),
    *[Case(f"{method} and a second attempt", twice(method), SEND, answers=first("{}", 500)) for method in ("PUT", "DELETE")],
    *[Case(f"{method} and {status}", twice(method), SEND, once(f"{method} /x", "SERVER", DONE),
           first("{}", status)) for method, status in [("POST", 500), ("POST", 502), ("POST", 503), ("PATCH", 504)]],
    Case("POST and 429", twice("POST"), SEND, answers=first("{}", 429)),
    Case("POST and 503 with Retry-After", twice("POST"), SEND, answers=first("{}", 503, {"Retry-After": "0"})),
    Case("nobody listens, twice", conn(base_url="NOBODY", retry_count=2, retry_delay=0), [*FETCH, *SEND]),
    Case("closed and a second attempt", twice(), FETCH, answers=first(raw=b"")),
    Case("POST and closed", twice("POST"), SEND, once("POST /x", "NETWORK", DONE), first(raw=b"")),
    Case("a body that is cut and a second attempt", twice(), FETCH, answers=first(raw=CUT)),
    Case("POST and a body that is cut", twice("POST"), SEND,
         once("POST /x", "NETWORK", DONE), first(raw=CUT)),
    Case("silence and a second attempt", conn(retry_count=2, retry_delay=0, timeout=1), FETCH, answers=[SILENCE, Answer()]),
    Case("a list and a second attempt", twice("PUT"), [("send", "x", [{"a": 1}, {"a": 2}])], [
        D("list-retry", "requests", "PUT /x then PUT /x", "PUT /x then PUT /x then PUT /x"),
        D("list-retry", "request2.body", '{"a":2}', '{"a":1}'), D("list-retry", "result.success", "false", "true"),
        D("list-retry", "result.*")], first("{}", 500)),
    Case("Retry-After", twice(), FETCH, lasts("retry-after", 2), first("{}", 503, {"Retry-After": "2"}), wait=2),
    Case("a Retry-After beyond retry.max_wait", twice(), FETCH, [
        *times("retry-after", "GET /x", 2, 1), D("retry-after", "outcome", 'result {"ok":true}', "error RATE_LIMIT")],
         first("{}", 503, {"Retry-After": "3600"})),
    Case("a Retry-After that means nothing", twice(), FETCH, answers=first("{}", 503, {"Retry-After": "soon"}), wait=5),
]


def moved(status, where):
    return first("{}", status, {"Location": where})


def followed(*requests, **keys):
    return [D("redirect", "requests", requests[0], " then ".join(requests)), *failed("redirect", "UNKNOWN", **keys)]


UNFOLLOWED = [D("redirect-refused", "error.error_category", '"UNKNOWN"', '"NETWORK"')]

REDIRECTS = [
    *[Case(f"{status} to the same origin", x(), FETCH, followed("GET /x", "GET /y"), moved(status, "/y"))
      for status in (301, 302, 303, 307, 308)],
    *[Case(f"a send and {status}", post(), SEND, followed("POST /x", f"{method} /y", result=DONE), moved(status, "URL/y"))
      for status, method in [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]],
    Case("a send by PUT and 301", x(method="PUT"), SEND, followed("PUT /x", "PUT /y", result=DONE), moved(301, "/y")),
    Case("302 to another origin", auth(type="bearer", token="t"), FETCH, followed("GET /x", "GET /y"), moved(302, "ELSEWHERE/y")),
    Case("a send and 302 to another origin", post(), SEND, followed("POST /x", "GET /y", result=DONE), moved(302, "ELSEWHERE/y")),
    Case("a send and 307 to another origin", post(), SEND, UNFOLLOWED, moved(307, "ELSEWHERE/y")),
    Case("302 to a file", x(), FETCH, UNFOLLOWED, moved(302, "file:///etc/passwd")),
    Case("302 to nowhere", x(), FETCH, UNFOLLOWED, first("{}", 302)),
    Case("302 to itself", x(), FETCH, [*times("redirect", "GET /x", 1, 11), *UNFOLLOWED], answer("{}", 302, {"Location": "/x"})),
    Case("redirects.follow false", conn(redirects={"follow": False}), FETCH, UNFOLLOWED, moved(302, "/y")),
    Case("redirects.follow false and a second attempt", conn(redirects={"follow": False}, retry_count=2, retry_delay=0), FETCH,
         once("GET /x", "NETWORK"), moved(302, "/y")),
    Case("a list and 307", post(), [("send", "x", [{"a": 1}])], [
        D("redirect", "requests", "POST /x", "POST /x then POST /y"), D("redirect", "result.success", "false", "true"),
        D("redirect", "result.*")], moved(307, "/y")),
]


def limited(wait, calls=2, differs=(), answers=None, **keys):
    """So many fetches under a rate limit, and whether they take so long."""
    name = f"rate_limit {keys}" + (f" and {answers[0].status} {answers[0].headers}" if answers else "")
    return Case(name, x(rate_limit=keys), FETCH * calls, list(differs), answers or answer(), wait=wait)


def adaptive(remaining, reset, *differs):
    headers = {"X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset": str(reset)}
    return limited(2, 2, differs, first(headers=headers), strategy="adaptive")


def not_sent(id, request, result='{"ok":true}'):
    """The reference sends the second one; to apl there is nothing to be had before the reset."""
    return [D(id, "2:outcome", f"result {result}", "error RATE_LIMIT"), D(id, "2:requests", request, "")]


def accepted(id):
    return [D(id, "config", REFUSED, ACCEPTED)]


IN_2096 = 3976214400

LIMITS = [
    limited(3, 40),
    limited(0.5, rate=2, burst=1),
    limited(5, 3, rate=0.1, burst=3),
    limited(0.5, 4, rate=4, burst=2),
    limited(0.25, 6, rate=4, burst=5),
    limited(0.5, rate=1.9),
    *[limited(0.5, strategy=strategy, rate=2, burst=1) for strategy in ("token_bucket", "TOKEN_BUCKET", "Token_Bucket")],
    limited(0.2, 12, strategy="token_bucket"),
    *[limited(0.5, strategy=strategy, rate=2) for strategy in ("leaky_bucket", "LEAKY_BUCKET")],
    limited(0.5, 3, strategy="leaky_bucket", rate=4, burst=5),
    *[limited(5, strategy=strategy, rate=0.1, burst=1) for strategy in ("none", "NONE")],
    *[limited(0.5, 4, strategy=strategy, rate=2) for strategy in ("adaptive", "ADAPTIVE")],
    limited(2, 3, lasts("adaptive-burst", 2, apl=False), strategy="adaptive", rate=1, burst=3),
    limited(3, 2, lasts("adaptive-burst", 3, apl=False), strategy="adaptive", rate=0.5),
    limited(0.5, 2, refused("unknown-strategy"), strategy="magic", rate=2, burst=1),
    limited(0.5, 2, accepted("null-number"), strategy=None, rate=2, burst=1),
    limited(0.5, 2, accepted("null-number"), rate=None, burst=1),
    limited(0.5, 2, refused("number-text"), rate="2", burst="1"),
    *[limited(0.1, 2, refused("no-rate"), rate=rate) for rate in (0, -1)],
    *[limited(0.1, 2, refused("no-rate"), rate=9, burst=burst) for burst in (0, -1)],
    limited(1, strategy="leaky_bucket", rate=0),
    *[limited(2, 2, lasts("adaptive", 2), first("{}", status, {"Retry-After": "2"}), strategy="adaptive") for status in (429, 503)],
    adaptive(0, 2, *lasts("adaptive-reset", 2)),
    adaptive(0, IN_2096, *not_sent("adaptive", "GET /x")),
    adaptive(3, IN_2096),
    adaptive(100, IN_2096),
    Case("an adaptive rate_limit and sends", post(rate_limit={"strategy": "adaptive"}), SEND * 2, not_sent("adaptive", "POST /x", DONE),
         first(headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(IN_2096)})),
    limited(2, 2, (), first(headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2"}), strategy="token_bucket"),
    Case("rate_limit of a send", post(rate_limit={"rate": 2, "burst": 1}), SEND * 2, wait=0.5),
    Case("rate_limit of a list", post(rate_limit={"rate": 4, "burst": 1}), [("send", "x", [{"a": 1}, {"a": 2}, {"a": 3}])], wait=0.5),
    Case("rate_limit of attempts", twice(rate_limit={"rate": 2, "burst": 1}), FETCH, answers=first("{}", 500), wait=0.5),
    Case("rate_limit of each endpoint", block(endpoints={
        name: {"path": "/" + name, "rate_limit": {"rate": 0.1}} for name in "xy"}), [("fetch", "x"), ("fetch", "y")], wait=5),
    Case("rate_limit of the connector", conn(rate_limit={"rate": 0.5}), FETCH * 2, lasts("connector-limit", 2), wait=2),
]

PAGE = [Answer('{"items":[{"id":1}],"next":2}'), Answer('{"items":[{"id":2}],"next":null}')]
PAGED = {"data_path": "items", "next_page_path": "next"}


def counted(*targets):
    """apl goes on; the reference has the first page."""
    return [D("page-number", "requests", "GET /x", " then ".join("GET " + target for target in targets)),
            D("page-number", "result[[]1].id", None, "2")]


LISTINGS = [
    Case("a pagination with nothing in it", x(pagination={}), FETCH),
    Case("pages by a number in the answer", x(pagination=PAGED), FETCH, answers=PAGE),
    Case("pages by a number, under another name", x(pagination={**PAGED, "page_param": "p"}), FETCH, answers=PAGE),
    Case("pages by a token", x(pagination=PAGED), FETCH, answers=[Answer('{"items":[{"id":1}],"next":"a b&é"}'), PAGE[1]],
         differs=[D("space", "request2.target", "/x?page=a+b%26%C3%A9", "/x?page=a%20b%26%C3%A9")]),
    Case("pages with parameters of the call", x(params={"a": 1}, pagination=PAGED), [("fetch", "x", {"b": 2})], answers=PAGE),
    Case("one page", x(pagination=PAGED), FETCH, answers=[PAGE[1]]),
    Case("pages that end with an empty text", x(pagination=PAGED), FETCH, answers=[PAGE[0], Answer('{"items":[{"id":2}],"next":""}')]),
    Case("an answer of one thing", x(pagination={"next_page_path": "next"}), FETCH, answers=[Answer('{"id":1}')]),
    Case("pages below response_path", x(response_path="d", pagination=PAGED), FETCH,
         answers=[Answer('{"d":{"items":[{"id":1}],"next":2}}'), Answer('{"d":{"items":[{"id":2}]}}')],
         differs=[D("later-pages", "result[[]1].id", None, "2")]),
    Case("pages by an address", x(pagination=PAGED), FETCH, answers=[Answer('{"items":[{"id":1}],"next":"/y?page=2"}'), PAGE[1]],
         differs=[D("page-address", "request2.target", "/x?page=%2Fy%3Fpage%3D2", "/y?page=2")]),
    Case("pages that are counted", x(pagination={"data_path": "items"}), FETCH, answers=[*PAGE, Answer('{"items":[]}')],
         differs=counted("/x?page=1", "/x?page=2", "/x?page=3")),
    Case("a page that fails", x(pagination=PAGED), FETCH, answers=[PAGE[0], Answer("{}", 404)],
         differs=[D("page-fails", "outcome", re.compile("result .*"), re.compile("error CLIENT and result .*"))]),
    Case("a page without items", x(pagination=PAGED), FETCH, answers=[PAGE[0], Answer('{"rows":[]}')],
         differs=[D("page-fails", "outcome", re.compile("result .*"), re.compile("error UNKNOWN and result .*"))]),
    Case("records that are no objects", x(pagination=PAGED), FETCH, answers=[Answer('{"items":[1,"a",null]}')],
         differs=[D("scalar", "result[[]*].value", SOME, None), D("scalar", "result[[]?]", None, SOME)]),
    Case("max_pages", x(pagination={"data_path": "items", "max_pages": 2}), FETCH, answers=PAGE,
         differs=counted("/x?page=1", "/x?page=2")),
    Case("pages of a list", x(pagination={"page_param": "p"}), FETCH, answers=[Answer('[{"id":1}]'), Answer("[]")],
         differs=counted("/x?p=1", "/x?p=2")[:1]),
]
