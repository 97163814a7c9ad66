"""A server on loopback that keeps every request and answers by a script."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer:
    """What is answered; `raw` bytes take the place of all of it. What `stays` keeps its connection until the client goes.
    With a `target`, it is for requests of that one alone, and those have no other."""

    def __init__(
        self, body=b'{"ok":true}', status=200, headers=None, media="application/json", raw=None, stays=False, target=None):
        self.body = body.encode() if isinstance(body, str) else body
        self.status, self.raw, self.stays, self.target = status, raw, stays, target
        self.headers = {"Content-Type": media, **(headers or {})}

    def to(self, request):
        return self

    def bytes(self, fill):
        if self.raw is not None:
            return self.raw
        length = {} if self.status in (204, 304) else {"Content-Length": str(len(self.body))}
        fields = "".join(f"{n}: {v}\r\n" for n, v in {**self.headers, **length}.items())
        return f"HTTP/1.1 {self.status} Said\r\n{fill(fields)}\r\n".encode("latin-1") + self.body


class Resource(Answer):
    """What has ranges, and a version to ask for them by (RFC 9110 13.1.5, 14.2)."""

    def to(self, request):
        total, fields = len(self.body), {name: values[0] for name, values in request["headers"].items()}
        first = fields.get("range", "").removeprefix("bytes=").rstrip("-")
        headers = {**self.headers, "ETag": '"1"', "Accept-Ranges": "bytes"}
        if not first or fields.get("if-range", '"1"') != '"1"':
            return Answer(self.body, headers=headers)
        if int(first) >= total:
            return Answer(b"", 416, {**headers, "Content-Range": f"bytes */{total}"})
        return Answer(self.body[int(first):], 206, {**headers, "Content-Range": f"bytes {first}-{total - 1}/{total}"})


SILENCE = object()
"""No answer, until the client goes away."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fields = {}
        for name, value in self.headers.items():
            fields.setdefault(name.lower(), []).append(value.encode("latin-1").decode(errors="replace"))
        request = {
            "method": self.command,
            "target": self.path,
            "version": self.request_version,
            "headers": fields,
            "body": body,
        }
        answer = self.server.keep(request)
        if answer is SILENCE:
            self.rfile.read(1)
            self.close_connection = True
            return
        answer = answer.to(request)
        self.wfile.write(answer.bytes(self.server.fill))
        if answer.stays:
            self.rfile.read(1)
        self.close_connection = answer.raw is not None

    def log_message(self, *_):
        pass


class Recorder(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.arrived = threading.Condition()
        # Its port is taken, and nobody listens there.
        self.nobody = socket.socket()
        self.nobody.bind(("127.0.0.1", 0))
        self.script([Answer()])
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def fill(self, text):
        """The text with the addresses in it."""
        nobody = f"http://127.0.0.1:{self.nobody.getsockname()[1]}"
        here = {"URL": "127.0.0.1", "ELSEWHERE": "localhost"}
        for name, host in here.items():
            text = text.replace(name, f"http://{host}:{self.server_port}")
        return text.replace("NOBODY", nobody)

    def script(self, answers):
        """The answers from now on; the last one of each target stays."""
        with self.arrived:
            self.requests, self.answers = [], list(answers)

    def keep(self, request):
        # Before the answer goes out: whoever has the answer finds its request here.
        with self.arrived:
            self.requests.append(request)
            self.arrived.notify_all()
            of = lambda target: [answer for answer in self.answers if getattr(answer, "target", None) == target]
            fits = of(request["target"]) or of(None)
            if len(fits) > 1:
                self.answers.remove(fits[0])
            return fits[0]

    def taken(self):
        """The requests since the last time."""
        with self.arrived:
            # Who had no answer may be back before the request was read.
            self.arrived.wait_for(lambda: self.requests or self.answers[0] is not SILENCE, 60)
            requests, self.requests = self.requests, []
            return requests

    def handle_error(self, *_):
        # A client that goes away is a case of its own.
        pass
