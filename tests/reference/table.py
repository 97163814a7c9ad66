"""How a case is written: a block, calls, what the server answers, and the differences that must show.

`URL` in a block or a header is the server's address, `ELSEWHERE` the same server as another origin, `NOBODY` an address
where nobody listens. A difference names its line in
docs/differences.md, the field, and what the two sides have there: a text, a pattern, None where the field is
not there, or `...` for anything. Of times, a case compares whether all its calls together took `wait` seconds.
`files` are in the folder of downloads before them.
"""

import json
import re
from dataclasses import dataclass, field

from recorder import Answer


@dataclass(frozen=True)
class Difference:
    id: str
    field: str
    reference: object = ...
    apl: object = ...


@dataclass
class Case:
    name: str
    text: str
    calls: list
    differs: list = field(default_factory=list)
    answers: list = field(default_factory=lambda: [Answer()])
    env: dict = field(default_factory=dict)
    wait: float = None
    files: dict = field(default_factory=dict)


D = Difference
SOME = re.compile(".+", re.S)
FETCH, SEND, HEALTH = [("fetch", "x")], [("send", "x", {"a": 1})], [("health",)]

# What every request and every error differs in.
EVERYWHERE = [
    D("user-agent", "*request*.user-agent", re.compile("python-httpx/.*"), re.compile(r"apl/[0-9.]+")),
    D("accept", "*request*.headers.accept", "*/*", "application/json"),
    D("accept-encoding", "*request*.headers.accept-encoding", "gzip, deflate", "gzip, br, zstd, deflate"),
    D("connection", "*request*.headers.connection", "keep-alive", None),
    D("message", "*error.message", SOME, SOME),
    D("message", "*result.failures*.message", SOME, SOME),
    D("request-url", "*error.request_url", re.compile('"/.*"'), re.compile('"http://.*"')),
    D("request-url", "*result.failures*.request_url", re.compile('"/.*"'), re.compile('"http://.*"')),
    D("timestamp", "*.timestamp", '"0000-00-00T00:00:00.0"', '"0000-00-00T00:00:00.0Z"'),
    D("no-status", "*error.status_code", "0", "null"),
    *[
        D("further-fields", f"*{error}.{name}", None, SOME)
        for error in ("error", "result.failures[[]*]")
        for name in ("status", "endpoint", "sent", "errno", "attempts*", "problem.*", "retry_after_ms")
    ],
    D("further-fields", "*error.additional_context.item_index", None, SOME),
    D("further-fields", "*result.items*", None, SOME),
    *[D("further-fields", f"*progress*.{name}", None, SOME) for name in ("bytes_per_second", "eta_ms")],
    D("no-null", "*progress*.total_bytes", "null", "-1"),
    D("no-null", "*progress*.percent_complete", "null", "-1.0"),
    D("further-fields", "*summary.sha256", None, "null"),
    D("further-fields", "*summary.verified", None, "false"),
    D("further-fields", "*token.token_type", None, '"Bearer"'),
    D("further-fields", "*sign_in.expires_in", None, SOME),
    # apl's first word on a download comes before it asks; the others come by the clock.
    D("download-progress", "*progress.calls"),
    D("download-progress", "*progress.first.total_bytes", SOME, "-1"),
    D("download-progress", "*progress.first.percent_complete", SOME, "-1.0"),
    D("stream-identity", "*request*.headers.accept-encoding", "gzip, deflate", "identity"),
    D("stream-error-body", "*error.response_body", '"<Unable to read response body>"', SOME),
    D("stream-operation", "*error.additional_context.operation", SOME, None),
    D("latency", "*health.latency_ms", "a float", "an integer"),
    D("error-params", "*error.additional_context.params", SOME, None),
]
REFUSED = re.compile("refused: .+", re.S)
ACCEPTED = re.compile("accepted.*")


def refused(id, *sent):
    """apl refuses the block; the reference takes it, and sends this."""
    return [D(id, "config", ", ".join(("accepted", *sent)) if sent else ACCEPTED, REFUSED)]


def scalar(value):
    return [D("scalar", "result.value", value, None), D("scalar", "result", None, value)]


def health(status):
    return [
        D("health-status", "health.status", '"healthy"', f'"{status}"'),
        D("health-status", "health.message", re.compile('"Connected .*"'), re.compile('"Server .*"')),
    ]


# An answer that cannot be read has a status and a body all the same.
UNREADABLE = [
    D("unreadable", "error.status_code", "null", "200"),
    D("unreadable", "error.response_body", "null", SOME),
]
CUT = [D("unreadable", "error.status_code", "0", "200")]
# What the reference raises before it asks has none of an error's fields.
VALUE_ERROR = [
    D("value-error", "error.type", re.compile('"(Value|Type)Error"'), None),
    D("value-error", "error.error_category", None, '"VALIDATION"'),
    D("value-error", "error.*", None, SOME),
]
NO_BODY = [D("no-body", "outcome", "error UNKNOWN", "result null")]


def missing(whole):
    return [D("missing-path", "outcome", f"result {whole}", "error UNKNOWN")]


def sent(id):
    """The reference sends nothing; apl does."""
    return [
        D(id, "outcome", re.compile("error .*"), 'result {"ok":true}'),
        D(id, "requests", "", SOME),
    ]


def times(id, request, reference, apl):
    """Both send this, but not equally often."""
    return [D(id, "requests", *(" then ".join([request] * n) for n in (reference, apl)))]


def failed(id, category, result='{"ok":true}'):
    """The reference's first failure stands; apl has a result in the end."""
    return [D(id, "outcome", f"error {category}", f"result {result}")]


def partial(category, *before):
    """Both fail so; apl has a summary of what came before."""
    names = [*before, f"error {category}"]
    return [D("partial-summary", "outcome", " and ".join(names), re.compile(" and ".join([*names, "summary .*"])))]


def lasts(id, wait, apl=True):
    """Only one of the two waits so long."""
    reached = [f"less than {wait} s", f"{wait} s or more"]
    return [D(id, "lasted", reached[not apl], reached[apl])]


def block(**keys):
    return json.dumps({"type": "rest", "base_url": "URL", "retry_count": 1, "endpoints": {}, **keys})


def x(**keys):
    """A block with one endpoint, `x`; the keys are the endpoint's."""
    return block(endpoints={"x": {"path": "/x", **keys}})


def conn(**keys):
    """A block with one plain endpoint; the keys are the connector's."""
    return block(endpoints={"x": {"path": "/x"}}, **keys)


def auth(**keys):
    return conn(auth=keys)


def post(**keys):
    return x(method="POST", **keys)


def classes(**keys):
    """A block with the names that the class has for its arguments."""
    usual = {"connector_type": "rest", "base_url": "URL/v1", "retry_count": 1}
    return json.dumps({**usual, "endpoints": {"x": {"path": "/x"}}, **keys})


def answer(*arguments, **keys):
    return [Answer(*arguments, **keys)]


def joined(base, path):
    if path == "//x":
        return [D("double-slash", "request.target", re.compile("(/v1)?/"), f"{base.rstrip('/')}/x")]
    if path == "" and base == "/v1":
        return [D("empty-path", "request.target", "/v1/", "/v1")]
    return []


def answers(what, body, differs=()):
    return Case(f"an answer {what}", x(), FETCH, list(differs), answer(body))


def at(path, body, differs=()):
    return Case(f"path {path!r} in {body}", x(response_path=path), FETCH, list(differs), answer(body))
