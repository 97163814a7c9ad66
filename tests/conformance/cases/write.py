#!/usr/bin/env python3
"""Writes download.json, paginate.json, oauth.json and streams/sse_stream.json beside it: cases of our own in the driver's
form, whose bytes are Base64. Here they can be read.

What a stream prints, and when, the driver does not look at; streams.py does. Its cases have `lines` in place of events: what
is printed, in order, each line within a few seconds, and nothing else; and `commands`, written once so many lines came."""
import base64
import json
import pathlib

WHOLE = b"".join(b"%04d a line of the file\n" % n for n in range(200))
HALF, ALL = len(WHOLE) // 2, len(WHOLE)
OTHER = WHOLE.replace(b"line", b"LINE")
V1, V2 = 'ETag: "v1"', 'ETag: "v2"'


def b64(data):
    return base64.b64encode(data).decode()


def answer(status, *fields, body=b"", then="close", **more):
    """One answer of the script: its head as it stands, its body as far as it comes."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode()
    return {"parts": [{"b64": b64(head + body)}], "then": then, **more}


def whole(*fields, body=WHOLE, come=None):
    """A whole file, of which so many bytes come."""
    return answer("200 OK", *fields, f"Content-Length: {len(body)}", body=body[:come])


def part(first, *fields, body=WHOLE, total=None):
    rest, last = body[first:], len(body) - 1
    total = len(body) if total is None else total
    return answer("206 Partial", *fields, f"Content-Length: {len(rest)}", f"Content-Range: bytes {first}-{last}/{total}", body=rest)


def chunked(data, *fields, end=b"0\r\n\r\n"):
    chunk = b"%x\r\n%s\r\n" % (len(data), data)
    return answer("200 OK", *fields, "Transfer-Encoding: chunked", body=chunk + end)


def resumed(first, validator=None):
    """The request that goes on; with the validator that it must carry."""
    headers = {"range": f"bytes={first}-"}
    return {"headers": {**headers, "if-range": validator}} if validator else {"headers": headers, "absent": ["if-range"]}


BEGUN = {"absent": ["range", "if-range"]}
CASES = []


def case(name, title, script, requests, body=WHOLE, status=None, fails=False, expect=(), **request):
    wanted = {"outcome": "error"} if fails else {"outcome": "ok", "body_b64": b64(body)}
    if status:
        wanted["status"] = status
    wanted.update({"requests": requests, "n_requests": len(requests), **dict(expect)})
    request = {"method": "GET", "url": "{{A}}/file", "headers": [], "retries": 3, "retry_delay_ms": 1, **request}
    CASES.append({"id": "own-download-" + name, "title": title, "tags": ["download"], "op": "download",
                  "request": request, "script": script, "expect": wanted})


cut = whole(V1, come=HALF)

case("whole", "a file arrives, asked for as it is", [whole(V1)],
     [{"method": "GET", "target": "/file", "headers": {"accept-encoding": "identity"}, **BEGUN}], status=200)
case("empty", "a file of no bytes is a file", [whole(body=b"")], [BEGUN], body=b"")
case("cut", "what was cut goes on under its strong tag", [cut, part(HALF, V1)], [BEGUN, resumed(HALF, '"v1"')])
case("cut-twice", "and again, where it was cut again",
     [cut, answer("206 Partial", V1, f"Content-Length: {ALL - HALF}", f"Content-Range: bytes {HALF}-{ALL - 1}/{ALL}",
                  body=WHOLE[HALF:HALF + 100]), part(HALF + 100, V1)],
     [BEGUN, resumed(HALF, '"v1"'), resumed(HALF + 100, '"v1"')])
case("reset", "a reset is a cut", [{**cut, "then": "reset", "parts": cut["parts"] + [{"b64": "", "delay_ms": 200}]}, part(HALF, V1)],
     [BEGUN, {}])
case("date", "a modification time that lies before the answer is strong",
     [whole("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "Date: Mon, 07 Nov 1994 08:49:37 GMT", come=HALF),
      part(HALF, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT")], [BEGUN, resumed(HALF, "Sun, 06 Nov 1994 08:49:37 GMT")])
case("date-too-near", "one of the same second is weak: begin again",
     [whole("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "Date: Sun, 06 Nov 1994 08:49:37 GMT", come=HALF), whole()], [BEGUN, BEGUN])
case("weak", "a weak tag is in no If-Range: begin again", [whole('ETag: W/"v1"', come=HALF), whole('ETag: W/"v1"')], [BEGUN, BEGUN])
case("unnamed", "nothing says that it is the same: begin again", [whole(come=HALF), whole()], [BEGUN, BEGUN])
case("changed", "another version comes whole", [cut, whole(V2, body=OTHER)], [BEGUN, resumed(HALF, '"v1"')], body=OTHER)
case("no-ranges", "a server without ranges sends all of it", [cut, whole(V1)], [BEGUN, resumed(HALF, '"v1"')])
case("other-part", "a part of another version is not joined to this one",
     [cut, part(HALF, V2, body=OTHER), whole(V2, body=OTHER)], [BEGUN, resumed(HALF, '"v1"'), BEGUN], body=OTHER)
case("wrong-start", "a part that begins elsewhere is not joined", [cut, part(HALF + 1, V1), whole(V1)],
     [BEGUN, resumed(HALF, '"v1"'), BEGUN])
case("wrong-total", "a part of something longer is not joined", [cut, part(HALF, V1, total=ALL + 1), whole(V1)],
     [BEGUN, resumed(HALF, '"v1"'), BEGUN])
case("nameless-part", "a part that does not say which is not joined",
     [cut, answer("206 Partial", V1, f"Content-Length: {ALL - HALF}", body=WHOLE[HALF:]), whole(V1)],
     [BEGUN, resumed(HALF, '"v1"'), BEGUN])
case("416-whole", "all of it was there, but for the end: 416 says so",
     [chunked(WHOLE, V1, end=b""), answer("416 No", f"Content-Range: bytes */{ALL}", "Content-Length: 0")],
     [BEGUN, resumed(ALL, '"v1"')])
case("416-shorter", "what has become shorter is begun again",
     [cut, answer("416 No", "Content-Range: bytes */10", "Content-Length: 0"), whole(V2, body=OTHER)],
     [BEGUN, resumed(HALF, '"v1"'), BEGUN], body=OTHER)
case("short", "a body shorter than its length is no file", [whole(V1, come=HALF)], [BEGUN], fails=True, retries=0)
case("chunks-cut", "nor is one without its last chunk", [chunked(WHOLE, V1, end=b"")], [BEGUN], fails=True, retries=0)
case("always-cut", "and it ends when the attempts do",
     [whole(V1, come=100), answer("206 Partial", V1, f"Content-Length: {ALL - 100}", f"Content-Range: bytes 100-{ALL - 1}/{ALL}")],
     [BEGUN, resumed(100, '"v1"')], fails=True, retries=1)
case("missing", "404 is no file", [answer("404 Not Found", "Content-Length: 4", body=b"gone")], [BEGUN], fails=True)
case("busy", "503 passes", [answer("503 Busy", "Content-Length: 4", body=b"busy"), whole(V1)], [BEGUN, BEGUN])
case("busy-in-between", "also where it was cut", [cut, answer("503 Busy", "Content-Length: 0"), part(HALF, V1)],
     [BEGUN, resumed(HALF, '"v1"'), resumed(HALF, '"v1"')])
case("digest", "bytes that are not the server's digest are no file",
     [whole("Repr-Digest: sha-256=:" + b64(bytes(32)) + ":")], [BEGUN], fails=True, retries=0)
case("moved", "another origin gets no credentials, also when it goes on",
     [answer("302 Found", "Location: {{B}}/there", "Content-Length: 0", target="/file"), {**cut, "origin": "B"},
      answer("302 Found", "Location: {{B}}/there", "Content-Length: 0", target="/file"), {**part(HALF, V1), "origin": "B"}],
     [{"origin": "A"}, {"origin": "B"}, {"origin": "A"}, {"origin": "B", **resumed(HALF, '"v1"')}],
     bearer="canary-token", headers=[["X-Key", "canary-key"]],
     expect={"never_secret_to": ["B", "canary"]})
# What a caller holds, in whatever way it came there: the rest of it.
have = {"resume_from": HALF, "have_b64": b64(WHOLE[:HALF])}
case("rest", "the rest behind what is there", [part(HALF)], [resumed(HALF)], status=206, **have)
case("rest-of-nothing", "there is no rest", [answer("416 No", f"Content-Range: bytes */{HALF}", "Content-Length: 0")], [resumed(HALF)],
     body=WHOLE[:HALF], **have)
case("rest-from-0", "all of it is not the rest of it", [whole(), whole()], [resumed(HALF), BEGUN], status=200, **have)
case("rest-from-elsewhere", "nor is another part", [part(HALF - 1), whole()], [resumed(HALF), BEGUN], **have)
case("rest-beyond", "there is less than what is there",
     [answer("416 No", "Content-Range: bytes */10", "Content-Length: 0"), whole(body=OTHER[:10])], [resumed(HALF), BEGUN],
     body=OTHER[:10], **have)
case("rest-refused", "what is refused is no rest", [answer("404 No", "Content-Length: 0")], [resumed(HALF)], fails=True, **have)


# --- listings by Link ----------------------------------------------------------------------------------------------

LISTINGS = []


def page(*items, link=None, **more):
    body = json.dumps(items).encode()
    links = [f"Link: {link}"] if isinstance(link, str) else [f"Link: {one}" for one in link or ()]
    return answer("200 OK", "Content-Type: application/json", *links, f"Content-Length: {len(body)}", body=body, then="keep", **more)


def listing(name, title, script, requests, items=None, expect=(), **request):
    wanted = {"outcome": "error"} if items is None else {"outcome": "ok", "items": items}
    wanted.update({"requests": requests, "n_requests": len(requests), **dict(expect)})
    request = {"method": "GET", "url": "{{A}}/list?n=2", "headers": [], "pagination": "link", **request}
    LISTINGS.append({"id": "own-paginate-" + name, "title": title, "tags": ["paginate"], "op": "paginate",
                     "request": request, "script": script, "expect": wanted})


def asked(target, **more):
    return {"method": "GET", "target": target, **more}


listing("pages", "every page, by absolute and by relative links",
        [page(1, 2, link='<{{A}}/list?n=2&page=2>; rel="next"'), page(3, 4, link='</other?page=3>; rel="first next"'),
         page(5, link="<?page=4>; rel=next"), page(6)],
        [asked("/list?n=2"), asked("/list?n=2&page=2"), asked("/other?page=3"), asked("/other?page=4")], [1, 2, 3, 4, 5, 6])
listing("one", "a listing of one page", [page(1, link='</list>; rel="prev"')], [asked("/list?n=2")], [1])
listing("credentials", "each page is asked for with the credentials", [page(1, link="</2>; rel=next"), page(2)],
        [asked("/list?n=2", headers={"authorization": "Bearer canary-token", "x-key": "k"}),
         asked("/2", headers={"authorization": "Bearer canary-token", "x-key": "k"})],
        [1, 2], bearer="canary-token", headers=[["X-Key", "k"]])
listing("elsewhere", "a link to another origin is not followed", [page(1, link="<{{B}}/2>; rel=next")], [asked("/list?n=2")],
        bearer="canary-token", expect={"never_secret_to": ["B", "canary"]})
listing("fields", "links in several fields, with commas and quotes in them",
        [page(1, link=['</a,b>; rel="prev"; title="x, <y>; rel=next"', '</2,3>; rel="next"']), page(2)],
        [asked("/list?n=2"), asked("/2,3")], [1, 2])
listing("anchor", "a link of another resource is none of this one", [page(1, link='</2>; rel=next; anchor="#x"')], [asked("/list?n=2")], [1])
listing("broken", "a link that cannot be read is not the end", [page(1, link='/2; rel="next"')], [asked("/list?n=2")])
listing("circle", "a circle ends as an error", [page(1, link="</2>; rel=next"), page(2, link="</3>; rel=next"), page(3, link="</2>; rel=next")],
        [asked("/list?n=2"), asked("/2"), asked("/3")])
listing("again", "a page that comes again is an error", [page(1, link="</2>; rel=next"), page(1, link="</3>; rel=next")],
        [asked("/list?n=2"), asked("/2")])
listing("empty", "an empty page is passed over", [page(1, link="</2>; rel=next"), page(link="</3>; rel=next"), page(3)],
        [asked("/list?n=2"), asked("/2"), asked("/3")], [1, 3])
listing("fails", "a page that fails is an error, and nothing behind it is asked for",
        [page(1, link="</2>; rel=next"), answer("500 Oh", "Content-Length: 0", then="keep")], [asked("/list?n=2"), asked("/2")])
listing("cut", "a page that is cut is an error",
        [page(1, link="</2>; rel=next"), answer("200 OK", "Content-Length: 100", body=b"[2]")], [asked("/list?n=2"), asked("/2")])
listing("max", "the caller's own limit is no error", [page(1, link="</2>; rel=next"), page(2, link="</3>; rel=next")],
        [asked("/list?n=2"), asked("/2")], [1, 2], max_pages=2)


# --- streams of events, as they happen -------------------------------------------------------------------------------

STREAMS = []
OPEN = ("Content-Type: text/event-stream",)
ERROR = {"error": True}
REFUSED = answer("404 Not Found", "Content-Length: 0")
GONE = answer("204 No Content")


def event(data, id="", type="message"):
    return {"event": {"type": type, "data": data, "id": id}}


def events(*pieces, then="close", delay=0, **more):
    """A stream: its pieces, so many milliseconds apart. `hold`: it stays open."""
    script = answer("200 OK", *OPEN, then=then, **more)
    script["parts"] += [{"b64": b64(piece.encode()), "delay_ms": delay} for piece in pieces]
    return script


def stream(name, title, script, requests, lines, commands=(), expect=(), **request):
    request = {"method": "GET", "url": "{{A}}/events", "headers": [], "initial_retry_ms": 20, **request}
    STREAMS.append({"id": "own-stream-" + name, "title": title, "tags": ["stream"], "op": "sse_stream", "request": request,
                    "script": script, "lines": lines, "commands": [{"after": after, "cmd": "restart"} for after in commands],
                    "expect": {"requests": requests, "n_requests": len(requests), **dict(expect)}})


def after(id):
    return {"headers": {"last-event-id": id}}


NO_ID = {"absent": ["last-event-id"]}

stream("as-they-happen", "each event comes while the connection is open",
       [events("data: a\n\n", "event: x\nid: 7\ndata: b\ndata: c\n\n", "data: never finished\n", then="hold", delay=100)], [NO_ID],
       [event("a"), event("b\nc", "7", "x")])
stream("comments", "so do comments", [events(": hello\n", ":\n:x\r", "data: a\r\n\r\n", then="hold", delay=30)], [NO_ID],
       [{"comment": "hello"}, {"comment": ""}, {"comment": "x"}, event("a")])
stream("reconnects", "it goes on where it was, and says what happened",
       [events("id: 1\ndata: a\n\n"), events("data: b\n\n", then="reset"), events("data: c\n\n", then="hold")],
       [NO_ID, after("1"), after("1")], [event("a", "1"), ERROR, event("b", "1"), ERROR, event("c", "1")])
stream("read-timeout", "silence is a failure too", [events("id: 1\ndata: a\n\n", then="hold"), events("data: b\n\n", then="hold")],
       [NO_ID, after("1")], [event("a", "1"), ERROR, event("b", "1")], read_timeout_ms=1000)
stream("restart", "a restart drops the connection, and is no error",
       [events("id: 1\ndata: a\n\n", then="hold"), events("data: b\n\n", then="hold")],
       [NO_ID, after("1")], [event("a", "1"), event("b", "1")], [1])
stream("restart-twice", "and again",
       [events("id: 1\ndata: a\n\n", then="hold"), events("id: 2\ndata: b\n\n", then="hold"), events("data: c\n\n", then="hold")],
       [NO_ID, after("1"), after("2")], [event("a", "1"), event("b", "2"), event("c", "2")], [1, 2])
stream("restart-while-waiting", "nor is the reconnection time waited for then",
       [events("retry: 60000\ndata: a\n\n"), events("data: b\n\n", then="hold")], [NO_ID, NO_ID],
       [event("a"), ERROR, event("b")], [2], expect={"gap_ms": [[0, 1, 0, 5000]]})
stream("restart-after-reset-id", "an id that was reset is not sent",
       [events("id: 1\ndata: a\n\nid\ndata: b\n\n", then="hold"), events("data: c\n\n", then="hold")], [NO_ID, NO_ID],
       [event("a", "1"), event("b"), event("c")], [2])
stream("restart-after-the-end", "what has ended for good begins again when it is told to",
       [events("id: 1\ndata: a\n\n"), GONE, events("data: b\n\n", then="hold")], [NO_ID, after("1"), after("1")],
       [event("a", "1"), ERROR, ERROR, event("b", "1")], [3])
stream("refused", "as does what was refused", [REFUSED, events("data: a\n\n", then="hold")], [after("5"), after("5")],
       [ERROR, event("a", "5")], [1], last_event_id="5")
stream("half-an-event", "a restart forgets what was not finished",
       [events("id: 1\ndata: a\n\nid: 2\ndata: half", then="hold"), events(" more\n\ndata: b\n\n", then="hold")], [NO_ID, after("1")],
       [event("a", "1"), event("b", "1")], [1])
stream("post", "a POST goes out again with its body",
       [events("data: a\n\n"), events("data: b\n\n", then="hold")],
       [{"method": "POST", "body_b64": b64(b'{"q": 1}'), "headers": {"content-type": "application/json"}}] * 2,
       [event("a"), ERROR, event("b")], method="POST", headers=[["Content-Type", "application/json"]], body_b64=b64(b'{"q": 1}'))


# --- tokens --------------------------------------------------------------------------------------------------------

TOKENS = []
# Token endpoint and API are two servers; a script of one order would not tell them apart.
FORM = {"grant_type": "client_credentials", "client_id": "an id", "client_secret": "canary-s: +&"}
ASK = {"method": "POST", "origin": "B", "target": "/token"}
FINE = {"status": 200, "body_b64": b64(b"fine")}


def said(value, status="200 OK", **more):
    body = json.dumps(value).encode()
    return answer(status, "Content-Type: application/json", f"Content-Length: {len(body)}", body=body, origin="B", **more)


def token(name, **more):
    return said({"access_token": name, "token_type": "Bearer", **more})


def api(status="200 OK"):
    return answer(status, "Content-Length: 4", body=b"fine")


def asks(**form):
    return {**ASK, "form": {**FORM, **form}, "absent": ["authorization"]}


def uses(name):
    return {"origin": "A", "target": "/api", "headers": {"authorization": f"Bearer {name}"}}


def oauth(name, title, script, requests, expect=FINE, oauth=(), **request):
    grant = {"grant": "client_credentials", "token_url": "{{B}}/token", "client_id": FORM["client_id"],
             "client_secret": FORM["client_secret"], "client_auth": "body", **dict(oauth)}
    request = {"method": "GET", "url": "{{A}}/api", "headers": [], "fail_on_status": False, "oauth": grant, **request}
    TOKENS.append({"id": "own-oauth-" + name, "title": title, "tags": ["oauth"], "op": "oauth_fetch", "request": request,
                   "script": script, "expect": {"outcome": "ok", "requests": requests, "n_requests": len(requests),
                                                "error_must_not_contain": "canary", **expect}})


refresh = {"grant": "refresh_token", "refresh_token": "canary-r0"}
no_answer = {"outcome": "error"}

oauth("body", "a token is asked for with id and secret in the body", [token("t1", expires_in=3600), api()], [asks(), uses("t1")])
oauth("basic", "or in the header, each of them encoded as in a form (RFC 6749 2.3.1)", [token("t1"), api()],
      [{**ASK, "form": {"grant_type": "client_credentials", "client_secret": None},
        "headers": {"authorization": "Basic " + b64(b"an+id:canary-s%3A+%2B%26")}}, uses("t1")], oauth={"client_auth": "basic"})
oauth("scope", "a scope goes along", [token("t1"), api()], [asks(scope="a b"), uses("t1")], oauth={"scope": "a b"})
oauth("many-calls", "one token is enough for many calls", [token("t1", expires_in=3600), api(), api(), api()],
      [asks(), uses("t1"), uses("t1"), uses("t1")], calls=3)
oauth("ended", "one that has ended is replaced before it is used",
      [token("t1", expires_in=1), api(), token("t2", expires_in=3600), api()],
      [asks(), uses("t1"), asks(), uses("t2")], calls=2, pause_between_calls_ms=1100)
oauth("refresh", "a refresh token is exchanged", [token("t1"), api()],
      [asks(grant_type="refresh_token", refresh_token="canary-r0"), uses("t1")], oauth=refresh)
oauth("rotated", "and the newest one the next time",
      [token("t1", expires_in=0, refresh_token="canary-r1"), api(), token("t2", expires_in=0, refresh_token="canary-r2"), api(),
       token("t3", expires_in=0), api()],
      [asks(grant_type="refresh_token", refresh_token="canary-r0"), uses("t1"),
       asks(grant_type="refresh_token", refresh_token="canary-r1"), uses("t2"),
       asks(grant_type="refresh_token", refresh_token="canary-r2"), uses("t3")], oauth=refresh, calls=3)
oauth("kept", "which stays the same where none comes",
      [token("t1", expires_in=0), api(), token("t2", expires_in=0), api()],
      [asks(refresh_token="canary-r0", grant_type="refresh_token"), uses("t1"),
       asks(refresh_token="canary-r0", grant_type="refresh_token"), uses("t2")], oauth=refresh, calls=2)
oauth("401", "a refused token is replaced, once", [token("t1", expires_in=3600), api("401 No"), token("t2"), api()],
      [asks(), uses("t1"), asks(), uses("t2")])
oauth("401-again", "and no more than once", [token("t1"), api("401 No"), token("t2"), api("401 No")],
      [asks(), uses("t1"), asks(), uses("t2")], expect={**FINE, "status": 401})
oauth("403", "a 403 is no question of the token", [token("t1"), api("403 No")], [asks(), uses("t1")], expect={**FINE, "status": 403})
oauth("refused", "who is refused asks the API nothing", [said({"error": "invalid_client", "error_description": "no canary-s: +&"}, "401 No")],
      [asks()], expect=no_answer, retries=2)
oauth("refused-with-200", "also where it is said with 200", [said({"error": "invalid_grant"})], [asks()], expect=no_answer)
oauth("busy", "a token endpoint in trouble is asked again", [said({}, "503 Busy"), token("t1"), api()],
      [asks(), asks(), uses("t1")], retries=1, retry_delay_ms=1)
oauth("moved", "its redirects are not followed", [answer("307 Go", "Location: {{A}}/token", "Content-Length: 0", origin="B")],
      [asks()], expect={**no_answer, "never_secret_to": ["A", "canary"]})
oauth("mac", "another kind of token is none", [said({"access_token": "t1", "token_type": "mac"})], [asks()], expect=no_answer)
oauth("not-json", "nor is a page", [answer("200 OK", "Content-Type: text/html", "Content-Length: 6", body=b"<html>", origin="B")], [asks()], expect=no_answer)
oauth("quoted-life", "a life in quotes is one", [said({"access_token": "t1", "expires_in": "3600"}), api(), api()],
      [asks(), uses("t1"), uses("t1")], calls=2)


def write(path, cases):
    path = pathlib.Path(__file__).parent / path
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"format": "scenario/1", "source": "written for apl", "cases": cases}, indent=1) + "\n")


write("download.json", CASES)
write("paginate.json", LISTINGS)
write("oauth.json", TOKENS)
write("streams/sse_stream.json", STREAMS)
