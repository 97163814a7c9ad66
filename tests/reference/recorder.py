"""A server on loopback that keeps every request and answers by a script."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer:
    """What is answered; `raw` bytes take the place of all of it."""

    def __init__(self, body=b'{"ok":true}', status=200, headers=None, media="application/json", raw=None):
        self.body = body.encode() if isinstance(body, str) else body
        self.status, self.raw = status, raw
        self.headers = {"Content-Type": media, **(headers or {})}

    def bytes(self, fill):
        if self.raw is not None:
            return self.raw
        length = {} if self.status in (204, 304) else {"Content-Length": str(len(self.body))}
        fields = "".join(f"{n}: {v}\r\n" for n, v in {**self.headers, **length}.items())
        return f"HTTP/1.1 {self.status} Said\r\n{fill(fields)}\r\n".encode("latin-1") + self.body


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
        answer = self.server.keep({
            "method": self.command,
            "target": self.path,
            "version": self.request_version,
            "headers": fields,
            "body": body,
        })
        if answer is SILENCE:
            self.rfile.read(1)
            self.close_connection = True
            return
        self.wfile.write(answer.bytes(self.server.fill))
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
        """The answers from now on; the last one stays."""
        with self.arrived:
            self.requests, self.answers = [], list(answers)

    def keep(self, request):
        # Before the answer goes out: whoever has the answer finds its request here.
        with self.arrived:
            self.requests.append(request)
            self.arrived.notify_all()
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

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
