"""libapl.so, called by its C ABI; the calls are those of clients.py."""

import ctypes
import json
import os

from clients import Refused, address, ends, files
from values import Members, lossless, shown

Callback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)
EventsCallback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_void_p)
TokenCallback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p, ctypes.c_void_p)

HANDLES = ["apl_response_body", "apl_error_response", "apl_error_partial", "apl_stream_event", "apl_stream_progress"]
TEXTS = ["apl_error_json", "apl_event_json", "apl_progress_endpoint"]
WIDE = ["bytes_processed", "bytes_streamed", "total_bytes", "chunk_index", "eta_ms"]
FIRST_FAILURE = 100


def load(path):
    library = ctypes.CDLL(path)
    for names, kind in [
        (HANDLES, ctypes.c_void_p), (TEXTS, ctypes.c_char_p), ([f"apl_progress_{n}" for n in WIDE], ctypes.c_int64),
        (["apl_progress_percent", "apl_progress_bytes_per_second"], ctypes.c_double)]:
        for name in names:
            getattr(library, name).restype = kind
    return library


def encode(value):
    """JSON in UTF-8, which has no lone surrogates: those stay escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def split(options):
    """A call's params and its options, as JSON."""
    params = options.get("params")
    rest = {k: v for k, v in options.items() if k not in ("params", "processor", "progress_callback", "to")}
    return encode(params) if params is not None else None, encode(rest) if rest else None


class Apl:
    def __init__(self, library, text, folder):
        self.lib, self.folder, self.tokens = library, folder, []
        self.connector, error = ctypes.c_void_p(), ctypes.c_void_p()
        made = library.apl_connector_new(text.encode(), ctypes.byref(self.connector), ctypes.byref(error))
        if made != 0:
            raise Refused(dict(self.error(error))["message"])
        self.on_token = TokenCallback(lambda token, _: self.tokens.append(token.decode()) or 0)
        library.apl_connector_on_token(self.connector, self.on_token, None, None, None)

    def call(self, what, *arguments):
        parts = Members()
        getattr(self, what)(parts, *arguments)
        return parts

    def fetch(self, parts, endpoint, params=None):
        text = None if params is None else encode(params)
        self.answered(parts, "result", self.lib.apl_fetch, endpoint.encode(), text, None)

    def send(self, parts, endpoint, data):
        self.answered(parts, "result", self.lib.apl_send, endpoint.encode(), encode(data), None)

    def health(self, parts):
        self.answered(parts, "health", self.lib.apl_check_health)

    def stream(self, parts, endpoint, options={}):
        chunks, progress = [], []
        parts += [("chunks", chunks), ("progress", progress)]

        def piece(data):
            chunks.append(shown(data))

        self.each(parts, self.lib.apl_stream_open, endpoint, options, piece, progress)

    def sse(self, parts, endpoint, options={}):
        events = []
        parts.append(("events", events))
        self.each(parts, self.lib.apl_sse_open, endpoint, options, lambda _: events.append(self.event(self.at)))

    def each(self, parts, open, endpoint, options, piece, progress=None):
        """Opens a stream and hands out its pieces to its end."""
        stream, error = ctypes.c_void_p(), ctypes.c_void_p()
        status = open(self.connector, endpoint.encode(), *split(options), None, ctypes.byref(stream), ctypes.byref(error))
        data, length = ctypes.c_void_p(), ctypes.c_size_t()
        while status == 0:
            if progress is not None:
                progress.append(self.progress(self.lib.apl_stream_progress(stream)))
            status = self.lib.apl_stream_next(stream, ctypes.byref(data), ctypes.byref(length), ctypes.byref(error))
            if status == 0:
                self.at = self.lib.apl_stream_event(stream)
                piece(ctypes.string_at(data, length.value))
        if status >= FIRST_FAILURE:
            self.failed(parts, None, error)
        elif progress is not None:
            progress.append(self.progress(self.lib.apl_stream_progress(stream)))
        self.lib.apl_stream_free(stream)

    def consume(self, parts, endpoint, options={}):
        chunks, processor = [], options.get("processor")

        def took(events, count, _):
            chunks.append([self.event(events[at]) for at in range(count)])
            return int(processor == "fail")

        callback = EventsCallback(took) if processor else None
        self.answered(
            parts, "summary", self.lib.apl_consume_sse, endpoint.encode(), *split(options), callback, None)
        if processor:
            parts.insert(0, ("chunks", chunks))

    def download(self, parts, endpoint, options={}):
        progress = []

        def told(at, _):
            progress.append(self.progress(at))
            return int(options.get("progress_callback") == "stop")

        target = os.path.join(self.folder, options.get("to", "file"))
        self.answered(
            parts, "summary", self.lib.apl_download, endpoint.encode(), target.encode(), *split(options), Callback(told), None)
        parts += [("progress", Members(ends(progress).items())), ("files", Members(files(self.folder).items()))]

    def authenticate(self, parts, endpoint):
        self.fetch(parts, endpoint)
        if parts[0][0] == "result":
            parts[:] = [("token", lossless(self.tokens[-1]) if self.tokens else None)]

    def begin(self, parts):
        self.answered(parts, "sign_in", self.lib.apl_auth_begin, None)
        if parts[0][0] == "sign_in" and "authorization_url" in dict(parts[0][1]):
            parts[:] = lossless(json.dumps({"sign_in": address(dict(parts[0][1]))}))

    def finish(self, parts, query=None):
        self.answered(parts, "token", self.lib.apl_auth_finish, query and query.encode())
        if parts[0][0] == "token":
            parts[:] = [("token", lossless(self.tokens[-1]))]

    def answered(self, parts, name, function, *arguments):
        """A call that has one answer."""
        out, error = ctypes.c_void_p(), ctypes.c_void_p()
        status = function(self.connector, *arguments, None, ctypes.byref(out), ctypes.byref(error))
        if status >= FIRST_FAILURE:
            self.failed(parts, name, error)
        else:
            parts.append((name, self.body(out)))
            self.lib.apl_response_free(out)

    def failed(self, parts, name, error):
        partial = ctypes.c_void_p(self.lib.apl_error_partial(error))
        result = [(name, self.body(partial))] if partial and name else []
        parts += [("error", self.error(error)), *result]

    def body(self, response):
        length = ctypes.c_size_t()
        data = self.lib.apl_response_body(response, ctypes.byref(length))
        return lossless(ctypes.string_at(data, length.value).decode())

    def error(self, error):
        text = self.lib.apl_error_json(error).decode()
        self.lib.apl_error_free(error)
        return lossless(text)

    def event(self, event):
        return lossless(self.lib.apl_event_json(ctypes.c_void_p(event), None).decode())

    def progress(self, progress):
        """The getters under the reference's names."""
        at, get = ctypes.c_void_p(progress), lambda name: getattr(self.lib, f"apl_progress_{name}")(at)
        return lossless(json.dumps({
            "endpoint": get("endpoint").decode(), "bytes_processed": get("bytes_processed"),
            "bytes_streamed": get("bytes_streamed"), "total_bytes": get("total_bytes"), "percent_complete": get("percent"),
            "chunk_index": get("chunk_index"), "resumed": bool(get("resumed")), "done": bool(get("done")),
            "bytes_per_second": get("bytes_per_second"), "eta_ms": get("eta_ms")}))

    def close(self):
        self.lib.apl_connector_free(self.connector)

