"""The cases of streams, server-sent events and downloads."""

import gzip

from recorder import Answer, Resource
from table import *

TEN = "abcdefghij"
LONG = bytes(range(256)) * 600


def stream(what, options={}, answers=None, differs=(), text=None, **keys):
    calls = [("stream", "x", options)]
    return Case(f"a stream {what}".strip(), text or x(), calls, list(differs), answers or answer(TEN), **keys)


def part(body, first, total, status=206):
    last = first + len(body) - 1
    return answer(body, status, {"Content-Range": f"bytes {first}-{last}/{total}", "ETag": '"1"'})


def stalled(body, **headers):
    """So much of more, and then nothing."""
    fields = "".join(f"{n}: {v}\r\n" for n, v in headers.items())
    return answer(raw=f"HTTP/1.1 200 OK\r\n{fields}\r\n{body}".encode(), stays=True)


def cut(body, length=99, **headers):
    fields = "".join(f"{n}: {v}\r\n" for n, v in headers.items())
    return Answer(raw=f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{fields}\r\n{body}".encode())


# What the reference loses of a stream that fails: what did not fill a chunk.
REST = [*CUT, D("stream-rest", "chunks.count", "1", "2"), D("stream-rest", "progress.count", "2", "3")]
NO_RANGE = [D("range", "chunks.count", "1", "0"), D("range", "outcome", "chunks", "chunks and error UNKNOWN")]


def total(*at):
    """What apl knows of the whole, and the reference does not, or knows wrongly."""
    return [D("stream-total", f"progress[[]{n}].{field}") for n in at for field in ("total_bytes", "percent_complete")]


def call_first(*fields):
    return [D("call-first", field) for field in fields]


STREAMS = [
    stream("", answers=answer(LONG, media="application/octet-stream")),
    stream("with a chunk_size", {"chunk_size": 4}),
    stream("with a chunk_size of all of it", {"chunk_size": 10}),
    stream("with a chunk_size of 0", {"chunk_size": 0}, differs=VALUE_ERROR),
    stream("with params", {"params": {"a": 1, "b": "x y"}}, text=x(params={"b": 2, "c": 3}),
           differs=[D("space", "request.target")]),
    stream("with extra_headers", {"extra_headers": {"X-A": "call", "Accept": "text/csv"}}, text=block(
        default_headers={"X-A": "1"}, endpoints={"x": {"path": "/x", "headers": {"X-A": "2", "X-B": "3"}}})),
    stream("with a Range in extra_headers", {"extra_headers": {"Range": "bytes=4-5"}}, part(TEN[4:6], 4, 10), [
        D("own-range", "chunks.count", "1", "0"), D("own-range", "outcome", "chunks", "chunks and error UNKNOWN")]),
    stream("with resume_from", {"resume_from": 4}, part(TEN[4:], 4, 10)),
    stream("with resume_from that is answered with all of it", {"resume_from": 4}, differs=NO_RANGE),
    stream("with resume_from that is answered with another range", {"resume_from": 4}, part(TEN[2:], 2, 10),
           differs=NO_RANGE),
    stream("with resume_from at the end", {"resume_from": 10}, answer("", 416, {"Content-Range": "bytes */10"}),
           differs=[D("range", "outcome", "chunks and error CLIENT", "chunks")]),
    stream("with resume_from beyond the end", {"resume_from": 11}, answer("", 416, {"Content-Range": "bytes */10"}),
           differs=[D("range", "error.error_category", '"CLIENT"', '"UNKNOWN"')]),
    stream("with resume_from below 0", {"resume_from": -1}, differs=VALUE_ERROR),
    stream("with read_timeout", {"read_timeout": 0.2, "chunk_size": 2}, stalled("abc", **{"Content-Length": 9}), wait=0.2,
           differs=REST),
    stream("with the connector's timeout", {"chunk_size": 2}, stalled("abc", **{"Content-Length": 9}),
           text=conn(timeout=0.2), differs=REST),
    stream("of no bytes", answers=answer(""),
           differs=[D("stream-total", "progress[[]*].percent_complete", "null", "100.0")]),
    stream("of no length", answers=answer(raw=b"HTTP/1.1 200 OK\r\n\r\nabc"), differs=total(2)),
    stream("of chunks",
           answers=answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
           differs=total(2)),
    stream("in a coding", {"chunk_size": 4}, answer(gzip.compress(b"abcdefghij"), headers={"Content-Encoding": "gzip"}),
           differs=total("*")),
    stream("that is cut", {"chunk_size": 2}, [cut("abc")], differs=REST),
    stream("that is refused", answers=answer("no", 404)),
    stream("and a second attempt", answers=[Answer("{}", 503), Answer(TEN)], text=conn(retry_count=2, retry_delay=0),
           differs=[D("stream-retry", "chunks.count", "0", "1"),
               D("stream-retry", "outcome", "chunks and error SERVER", "chunks"), *times("stream-retry", "GET /x", 1, 2)]),
    stream("of 204", answers=answer("", 204), differs=total("*")),
    stream("by POST with a template", text=post(body_template={"a": 1})),
    stream("with credentials", text=conn(auth={"type": "bearer", "token": "t"})),
    stream("of an unknown endpoint", text=block(), differs=VALUE_ERROR),
    stream("of nobody", text=conn(base_url="NOBODY")),
    stream("and a redirect", answers=[Answer("{}", 302, {"Location": "/y"}), Answer(TEN)], differs=[
        D("redirect", "chunks.count", "0", "1"), D("redirect", "outcome", "chunks and error UNKNOWN", "chunks"),
        D("redirect", "requests", "GET /x", "GET /x then GET /y")]),
    Case("streams under a rate_limit", x(rate_limit={"rate": 2, "burst": 1}), [("stream", "x")] * 2, answers=answer(TEN),
         wait=0.5),
    stream("with the block's chunk_size", text=x(streaming={"chunk_size": 3})),
    stream("with the block's resume_from", answers=part(TEN[4:], 4, 10), text=x(streaming={"resume_from": 4})),
    stream("with an unknown key in the block", text=x(streaming={"chunk": 3}), differs=refused("unknown-key")),
    stream("with nulls in the block", text=x(streaming={"read_timeout": None, "headers": None, "chunk_size": None}),
           differs=[D("null-number", "chunks.count", "0", "1"), D("null-number", "outcome", "chunks and error", "chunks"),
               D("null-number", "requests", "", "GET /x")]),
    stream("with a number in quotes in the block", text=x(streaming={"chunk_size": "3"})),
    stream("with the block's read_timeout", {"chunk_size": 2}, stalled("abc", **{"Content-Length": 9}),
           text=x(streaming={"read_timeout": 0.2}), differs=REST),
    stream("with the block's headers", {"extra_headers": {"X-A": "call"}},
           text=x(streaming={"headers": {"X-A": "block", "X-B": "block"}})),
    stream("with a chunk_size in block and call", {"chunk_size": 4}, text=x(streaming={"chunk_size": 3}),
           differs=call_first("chunks*", "progress*")),
    stream("with a resume_from in block and call", {"resume_from": 2}, part(TEN[2:], 2, 10),
           text=x(streaming={"resume_from": 4}), differs=call_first("progress*", "request.headers.range")),
    stream("with a read_timeout in block and call", {"read_timeout": 0.2, "chunk_size": 2},
           stalled("abc", **{"Content-Length": 9}), text=x(streaming={"read_timeout": 9}), wait=2, differs=REST),
]


def feed(body):
    return answer(body, media="text/event-stream")


def once(**options):
    """One connection."""
    return {"reconnect": False, **options}


def sse(what, body, options=None, differs=(), text=None, **keys):
    answers, calls = body if isinstance(body, list) else feed(body), [("sse", "x", once() if options is None else options)]
    return Case(f"sse {what}".strip(), text or x(), calls, list(differs), answers, **keys)


def below_0(events):
    """The reference takes it, and has so many events, each from a connection of its own."""
    return [
        D("sse-below-0", "events.count", str(events), "0"), D("sse-below-0", "outcome", "events", "error VALIDATION and events"),
        D("sse-below-0", "requests", " then ".join(["GET /x"] * events), "")]


ONE = "data: 1\n\n"
THREE = "id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n"

EVENTS = [
    sse("", THREE),
    sse("of all fields", 'id: 7\nevent: add\nretry: 10\ndata: {"a": [1, "é"]}\n\n'),
    sse("of several lines", "data: a\ndata: b\ndata\ndata:  c\n\n"),
    sse("of JSON",
        'data: 1\n\ndata: "a"\n\ndata: null\n\ndata: {"a":1.50}\n\ndata: [1]\n\ndata: {"a"\n\ndata: \n\ndata:  \n\n',
        differs=[D("numbers", "events[[]3].data.a", "1.5", "1.50")]),
    sse("with decode_json false", 'data: {"a":1}\n\ndata: 1\n\n', once(decode_json=False)),
    sse("with the block's decode_json", 'data: {"a":1}\n\n', text=x(sse={"decode_json": False})),
    sse("with decode_json in block and call", 'data: {"a":1}\n\n', once(decode_json=True),
        text=x(sse={"decode_json": False}),
        differs=[D("call-first", "events[[]0].data", SOME, None), D("call-first", "events[[]0].data.a", None, "1")]),
    sse("of comments", ": hello\n\ndata: 1\n: in it\n\n:\n\n"),
    sse("of unknown fields", "what: x\nData: y\n data: z\ndata: 1\n\n"),
    sse("of no data", "event: a\n\nid: 3\n\nretry: 10\n\ndata: 1\n\n",
        differs=[D("event-id", "events[[]0].id", "null", '"3"')]),
    sse("of an empty event", "data\n\nevent:\ndata: 1\n\n"),
    sse("of ids", "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\nid: x\0y\ndata: d\n\n", differs=[
        D("event-id", "events[[]1].id", "null", '"1"'), D("event-id", "events[[]2].id", '""', "null")]),
    sse("of line ends", "data: a\r\n\r\ndata: b\r\rdata: c\n\n"),
    sse("of a separator in data", "data: a\u2028b\x0cc\n\n", differs=[
        D("event-lines", f"events[[]0].{field}", '"a"', '"a\u2028b\\fc"') for field in ("data", "raw_data")]),
    sse("with a BOM", "\ufeffdata: 1\n\n", differs=[D("event-bom", "events.count", "0", "1")]),
    sse("in another charset", answer(b"data: \xe9\n\n", media="text/event-stream; charset=ISO-8859-1"), differs=[
        D("event-charset", f"events[[]0].{field}", '"é"', '"\ufffd"') for field in ("data", "raw_data")]),
    sse("of bytes that are no UTF-8", answer(b"data: \xe9\n\n", media="text/event-stream")),
    sse("of an event that is cut off", "data: 1\n\ndata: 2\n", differs=[D("event-cut", "events.count", "2", "1")]),
    sse("of a retry that is no number", "retry: -1\ndata: a\n\nretry: +5\ndata: b\n\nretry: 1_0\ndata: c\n\n", differs=[
        D("event-retry", "events[[]1].retry", "5", "null"), D("event-retry", "events[[]2].retry", "10", "null")]),
    sse("with params", ONE, once(params={"a": 1, "b": "x y"}), text=x(params={"b": 2, "c": 3}),
        differs=[D("space", "request.target")]),
    sse("with headers of its own", ONE, text=x(headers={"Accept": "text/x", "Cache-Control": "max-age=1"})),
    sse("with credentials", ONE, text=conn(auth={"type": "bearer", "token": "t"})),
    sse("by POST with a template", ONE, text=post(body_template={"a": 1})),
    sse("with an accept in another case", ONE, text=x(headers={"accept": "text/x"}), differs=[
        D("header-case", "request.headers.accept", "text/x, text/event-stream", "text/x"),
        D("header-case", "request.headers.accept.lines", "2", None)]),
    sse("with nulls in the block", ONE,
        text=x(sse={"max_events": None, "read_timeout": None, "max_reconnect_attempts": None})),
    sse("with null for reconnect in the block", ONE, {"max_events": 2, "reconnect_delay": 0.01},
        text=x(sse={"reconnect": None}),
        differs=[D("null-number", "events.count", "1", "2"), *times("null-number", "GET /x", 1, 2)]),
    sse("with an unknown key in the block", ONE, text=x(sse={"max_event": 1}), differs=refused("unknown-key")),
    sse("with numbers in quotes in the block", THREE, text=x(sse={"max_events": "2"}), differs=refused("number-text")),
    sse("with max_events of 0", THREE, {"max_events": 0}, [
        D("max-events-0", "events.count", "1", "0"), D("max-events-0", "requests", "GET /x", "")]),
    sse("with max_events below 0", THREE, {"max_events": -1}, below_0(1)),
    sse("with max_reconnect_attempts of 0", ONE, {"max_reconnect_attempts": 0}),
    sse("with max_reconnect_attempts below 0", ONE, {"max_reconnect_attempts": -1}, below_0(1)),
    sse("with a reconnect_delay below 0", ONE, {"reconnect_delay": -1, "max_events": 2}, below_0(2)),
    sse("with a reconnect_delay of 0", ONE, {"reconnect_delay": 0, "max_events": 2}),
    sse("with max_events", THREE, {"max_events": 2}),
    sse("with the block's max_events", THREE, {}, text=x(sse={"max_events": 2})),
    sse("with max_events in block and call", THREE, {"max_events": 1}, text=x(sse={"max_events": 2})),
    sse("with max_events over several connections", [*feed(THREE), *feed("id: 4\ndata: d\n\n")],
        {"max_events": 4, "reconnect_delay": 0.01}),
    sse("that reconnects after the default time", ONE, {"max_events": 2}, wait=1),
    sse("with reconnect_delay", ONE, {"max_events": 2, "reconnect_delay": 0.5}, wait=0.5),
    sse("with the block's reconnect_delay", ONE, {"max_events": 2}, text=x(sse={"reconnect_delay": 0.01}), wait=0.9),
    sse("with a reconnect_delay in block and call", ONE, {"max_events": 2, "reconnect_delay": 0.01},
        text=x(sse={"reconnect_delay": 1}), wait=1, differs=lasts("call-first", 1, apl=False)),
    sse("whose server says when to come back", "retry: 500\ndata: 1\n\n", {"max_events": 2, "reconnect_delay": 0.01},
        wait=0.5),
    sse("with the block's reconnect", ONE, {}, text=x(sse={"reconnect": False})),
    sse("with reconnect in block and call", ONE, {"reconnect": False},
        text=x(sse={"reconnect": True, "max_reconnect_attempts": 1, "reconnect_delay": 0.01}),
        differs=[D("call-first", "events.count", "2", "1"), *times("call-first", "GET /x", 2, 1)]),
    sse("with max_reconnect_attempts", ONE, {"max_reconnect_attempts": 2, "reconnect_delay": 0.01, "max_events": 5},
        differs=[D("attempts-in-a-row", "events.count", "3", "5"), *times("attempts-in-a-row", "GET /x", 3, 5)]),
    sse("with max_reconnect_attempts and nothing to hear", "", {"max_reconnect_attempts": 2, "reconnect_delay": 0.01}),
    sse("with the block's max_reconnect_attempts", "", {},
        text=x(sse={"max_reconnect_attempts": 1, "reconnect_delay": 0.01})),
    sse("with max_reconnect_attempts in block and call", "", {"max_reconnect_attempts": 2},
        text=x(sse={"max_reconnect_attempts": 1, "reconnect_delay": 0.01})),
    sse("with max_reconnect_attempts and a dead server", answer("{}", 503),
        {"max_reconnect_attempts": 1, "reconnect_delay": 0.01}),
    sse("with read_timeout", stalled("data: 1\n\n", **{"Content-Type": "text/event-stream"}), once(read_timeout=0.2),
        wait=0.2, differs=CUT),
    sse("with the block's read_timeout", stalled("data: 1\n\n", **{"Content-Type": "text/event-stream"}),
        text=x(sse={"read_timeout": 0.2}), wait=2, differs=CUT),
    sse("with a read_timeout in block and call", stalled("data: 1\n\n", **{"Content-Type": "text/event-stream"}),
        once(read_timeout=0.2), text=x(sse={"read_timeout": 9}), wait=2, differs=CUT),
    sse("with the connector's timeout", stalled("data: 1\n\n", **{"Content-Type": "text/event-stream"}),
        text=conn(timeout=0.2), wait=2, differs=CUT),
    sse("that is cut", [cut(THREE, **{"Content-Type": "text/event-stream"}), *feed("data: d\n\n")],
        {"max_events": 4, "reconnect_delay": 0.01}, differs=[D("event-id", "events[[]3].id", "null", '"3"')]),
    sse("that is cut, once", [cut(ONE, **{"Content-Type": "text/event-stream"})], differs=CUT),
    sse("of 204", answer("", 204), {"max_reconnect_attempts": 1, "reconnect_delay": 0.01}, differs=[
        *times("sse-refused", "GET /x", 2, 1), D("sse-refused", "outcome", "events", "error NETWORK and events")]),
    sse("of a web page", answer("<p>", media="text/html"), {"max_reconnect_attempts": 1, "reconnect_delay": 0.01}, differs=[
        *times("sse-refused", "GET /x", 2, 1), D("sse-refused", "outcome", "events", "error NETWORK and events")]),
    sse("that is refused", answer("no", 404), {"max_reconnect_attempts": 1, "reconnect_delay": 0.01},
        differs=times("sse-refused", "GET /x", 2, 1)),
    sse("that is refused, once", answer("no", 401)),
    sse("that fails at first", [Answer("{}", 503), *feed(ONE)], {"max_events": 1, "reconnect_delay": 0.01}),
    sse("by POST that ends", ONE, {"max_events": 2, "reconnect_delay": 0.01, "max_reconnect_attempts": 1}, text=post(),
        differs=[D("sse-post", "events.count", "2", "1"), *times("sse-post", "POST /x", 2, 1)]),
    sse("of nobody", ONE, text=conn(base_url="NOBODY")),
    sse("of an unknown endpoint", ONE, text=block(), differs=VALUE_ERROR),
    sse("and a redirect", [Answer("{}", 302, {"Location": "/y"}), *feed(ONE)], differs=[
        D("redirect", "events.count", "0", "1"), D("redirect", "outcome", "error UNKNOWN and events", "events"),
        D("redirect", "requests", "GET /x", "GET /x then GET /y")]),
    sse("with an unknown option", ONE, once(max_event=2), differs=VALUE_ERROR),
    Case("sse under a rate_limit", x(rate_limit={"rate": 2, "burst": 1}), [("sse", "x", once())] * 2, answers=feed(ONE),
         wait=0.5),
]


def consume(what, body, options=None, differs=(), text=None, **keys):
    answers, calls = body if isinstance(body, list) else feed(body), [("consume", "x", once(**(options or {})))]
    return Case(f"consume {what}".strip(), text or x(), calls, list(differs), answers, **keys)


def numbers(count):
    return "".join(f"data: {n}\n\n" for n in range(1, count + 1))


TAKEN = D("processor-results", "summary.results.count", SOME, "0")

CONSUMED = [
    consume("", THREE),
    consume("by the default chunk_size", numbers(60), {"processor": "count"}, differs=[TAKEN]),
    consume("with a processor", numbers(5), {"processor": "count", "chunk_size": 2}, differs=[TAKEN]),
    consume("with a processor that fails", numbers(5), {"processor": "fail", "chunk_size": 2}, differs=[
        D("callback-stop", "outcome", "chunks and error", re.compile("chunks and summary .*"))]),
    consume("with params", ONE, {"params": {"a": 1}}, text=x(params={"b": 2})),
    consume("with chunk_size", numbers(5), {"chunk_size": 2}),
    consume("with the block's chunk_size", numbers(5), text=x(sse={"chunk_size": 2})),
    consume("with chunk_size in block and call", numbers(5), {"chunk_size": 3}, text=x(sse={"chunk_size": 2}),
            differs=call_first("summary*")),
    consume("with a chunk_size of 0", ONE, {"chunk_size": 0}, differs=VALUE_ERROR),
    consume("with max_events", numbers(5), {"max_events": 3}),
    consume("with the block's max_events", numbers(5), text=x(sse={"max_events": 3})),
    consume("with max_events in block and call", numbers(5), {"max_events": 4}, text=x(sse={"max_events": 3})),
    consume("with backpressure_buffer_size", numbers(5), {"backpressure_buffer_size": 3}),
    consume("with the block's backpressure_buffer_size", numbers(5), text=x(sse={"backpressure_buffer_size": 3})),
    consume("with backpressure_buffer_size in block and call", numbers(5), {"backpressure_buffer_size": 4},
            text=x(sse={"backpressure_buffer_size": 3}), differs=call_first("summary*")),
    consume("with a backpressure_buffer_size of 0", ONE, {"backpressure_buffer_size": 0}, differs=VALUE_ERROR),
    *[consume(f"with drop_policy {policy}", numbers(5), {"drop_policy": policy, "processor": "count", "chunk_size": 2}, [TAKEN])
      for policy in ("block", "drop_oldest", "DROP_OLDEST")],
    consume("with drop_policy drop_newest", numbers(5),
            {"drop_policy": "drop_newest", "processor": "count", "chunk_size": 2},
            [D("drop-newest", "chunks.count", "0", "3"), D("drop-newest", "requests", "", "GET /x"),
                D("drop-newest", "outcome", "chunks and error", re.compile("chunks and summary .*"))]),
    consume("with drop_policy magic", ONE, {"drop_policy": "magic"}, VALUE_ERROR),
    consume("with drop_policy block and chunks larger than the buffer", numbers(5), {
        "drop_policy": "block", "backpressure_buffer_size": 3, "processor": "count", "chunk_size": 4}, [TAKEN]),
    consume("with the block's drop_policy", numbers(5), {"chunk_size": 2, "processor": "count"}, [TAKEN],
            text=x(sse={"drop_policy": "drop_oldest"})),
    consume("with drop_policy in block and call", ONE, {"drop_policy": "magic"},
            [D("call-first", "outcome", re.compile("summary .*"), "error VALIDATION"),
                D("call-first", "requests", "GET /x", "")], text=x(sse={"drop_policy": "block"})),
    consume("with decode_json false", 'data: {"a":1}\n\n', {"decode_json": False}),
    consume("with options of the stream", [*feed(ONE), *feed("data: 2\n\n")], {
        "reconnect": True, "max_reconnect_attempts": 3, "reconnect_delay": 0.01, "max_events": 2, "read_timeout": 5}),
    consume("of no events", ""),
    consume("that fails", answer("no", 404)),
    consume("that fails behind events", [cut(numbers(3), **{"Content-Type": "text/event-stream"})],
            {"chunk_size": 2, "processor": "count"},
            differs=[*CUT, D("consume-rest", "chunks.count", "1", "2"), *partial("NETWORK", "chunks")]),
    consume("of an unknown endpoint", ONE, text=block(), differs=VALUE_ERROR),
]


def download(what, options=None, answers=None, differs=(), text=None, **keys):
    calls = [("download", "x", options or {})]
    return Case(f"a download {what}".strip(), text or x(), calls, list(differs), answers or answer(TEN), **keys)


RANGED = D("foreign-file", "request.headers.range", SOME, None)

# The reference goes on behind whatever file is there.
FOREIGN = [
    *[D("foreign-file", f"summary.{field}") for field in ("bytes_written", "resumed", "resume_from")],
    D("foreign-file", "progress.*"), RANGED]

DOWNLOADS = [
    download(""),
    download("of many chunks", answers=answer(LONG)),
    download("into a folder that is not there", {"to": "a/b/file"}),
    download("with params", {"params": {"a": 1}}, text=x(params={"b": 2})),
    download("with chunk_size", {"chunk_size": 4}),
    download("with a chunk_size of 0", {"chunk_size": 0}, differs=VALUE_ERROR),
    download("with extra_headers", {"extra_headers": {"X-A": "1"}}),
    download("with resume false", {"resume": False}, files={"file": b"old"}),
    download("onto a file", files={"file": b"old"}, differs=[RANGED]),
    download("onto a file of a server with ranges", answers=[Resource(TEN)], files={"file": b"abc"}, differs=FOREIGN),
    download("onto another file of a server with ranges", answers=[Resource(TEN)], files={"file": b"xyz"}, differs=[
        *FOREIGN, D("foreign-file", "files.file", '"xyzdefghij"', '"abcdefghij"')]),
    download("onto a whole file", answers=[Resource(TEN)], files={"file": TEN.encode()},
             differs=[D("foreign-file", "outcome", "error CLIENT", re.compile("summary .*")),
                 D("foreign-file", "request.headers.range", "bytes=10-", None)]),
    Case("a download that is cut, and the next one", x(), [("download", "x", {})] * 2, [
        *CUT, *partial("NETWORK"), *[D("part", f"2:{field}") for field in (
            "summary.*", "progress.*", "request.headers.range", "request.headers.if-range")]],
         [cut("abc", 10, ETag='"1"'), Resource(TEN)]),
    download("that is cut, and a second attempt", answers=[cut("abc", 10, ETag='"1"'), *part(TEN[3:], 3, 10)],
             text=conn(retry_count=2, retry_delay=0), differs=[
        *times("stream-retry", "GET /x", 1, 2), D("stream-retry", "outcome", "error NETWORK", re.compile("summary .*"))]),
    download("with read_timeout", {"read_timeout": 0.2}, stalled("abc", **{"Content-Length": 9}), wait=2,
             differs=[*CUT, *partial("TIMEOUT")]),
    download("with the connector's timeout", answers=stalled("abc", **{"Content-Length": 9}), text=conn(timeout=0.2),
             wait=2, differs=[*CUT, *partial("TIMEOUT")]),
    download("with the block's chunk_size", text=x(streaming={"chunk_size": 4})),
    download("with chunk_size in block and call", {"chunk_size": 3}, text=x(streaming={"chunk_size": 4}),
             differs=call_first("summary.chunks_written", "progress.last.chunk_index")),
    download("with the block's resume", answers=answer(TEN), text=x(streaming={"resume": False}), files={"file": b"old"}),
    Case("a download with resume in block and call", x(streaming={"resume": False}),
         [("download", "x", {}), ("download", "x", {"resume": True})],
         [*CUT, *partial("NETWORK"),
             *[D("call-first", f"2:{field}") for field in (
                 "summary.*", "progress.*", "request.headers.range", "request.headers.if-range")]],
         [cut("abc", 10, ETag='"1"'), Resource(TEN)]),
    Case("a download that is cut, and one that begins again", x(),
         [("download", "x", {}), ("download", "x", {"resume": False})], [*CUT, *partial("NETWORK")],
         [cut("abc", 10, ETag='"1"'), Resource(TEN)]),
    download("with the block's read_timeout", answers=stalled("abc", **{"Content-Length": 9}),
             text=x(streaming={"read_timeout": 0.2}), wait=2, differs=[*CUT, *partial("TIMEOUT")]),
    download("with the block's headers", text=x(streaming={"headers": {"X-A": "block"}})),
    download("that its progress_callback stops", {"progress_callback": "stop"},
             differs=[D("callback-stop", "outcome", "error UNKNOWN", re.compile("summary .*")),
                 D("download-progress", "requests", "GET /x", "")]),
    download("of no bytes", answers=answer(""),
             differs=[D("stream-total", "progress.last.percent_complete", "null", "100.0")]),
    download("of no length", answers=answer(raw=b"HTTP/1.1 200 OK\r\n\r\nabc"), differs=[
        D("stream-total", f"{at}.total_bytes", "null", "3") for at in ("summary", "progress.last")] + [
        D("stream-total", "progress.last.percent_complete", "null", "100.0")]),
    download("in a coding", answers=answer(gzip.compress(b"abcdefghij"), headers={"Content-Encoding": "gzip"}),
             differs=[D("download-coding", "outcome", re.compile("summary .*"), re.compile("error UNKNOWN and summary .*")),
                 D("download-coding", "summary.*")]),
    download("of 204", answers=answer("", 204),
             differs=[D("no-file", "outcome", re.compile("summary .*"), re.compile("error NETWORK and summary .*")),
                 D("no-file", "summary.success")]),
    download("that is refused", answers=answer("no", 404), differs=partial("CLIENT")),
    download("that is refused, onto a file", answers=answer("no", 404), files={"file": b"old"},
             differs=[*partial("CLIENT"), RANGED]),
    download("onto a folder", files={"file/in": b"old"}, differs=[
        D("file-first", "progress*"), D("file-first", "error.request_*"), D("file-first", "requests", "GET /x", "")]),
    download("by POST with a template", text=post(body_template={"a": 1})),
    download("of an unknown endpoint", text=block(), differs=VALUE_ERROR),
    download("and a redirect", answers=[Answer("{}", 302, {"Location": "/y"}), Answer(TEN)],
             differs=[D("redirect", "requests", "GET /x", "GET /x then GET /y"),
                 D("redirect", "outcome", "error UNKNOWN", re.compile("summary .*"))]),
]
