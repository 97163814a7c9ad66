"""The two sides: the same block and the same calls, each outcome as a JSON value.

A call is ("fetch", endpoint, params), ("send", endpoint, data) or ("health",).
"""

import ctypes
import json
import logging

import yaml
from apilinker import ApiLinker
from apilinker.core.auth import ApiKeyAuth, BasicAuth, BearerAuth
from apilinker.core.connector import ApiConnector
from apilinker.core.error_handling import ApiLinkerError

logging.disable(logging.CRITICAL)


class Refused(Exception):
    """The connector was not made."""


def encode(value):
    """JSON in UTF-8, which has no lone surrogates: those stay escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


class Reference:
    """A block as a file has it goes through ApiLinker; one with the names of the class, to the class."""

    def __init__(self, text):
        block = json.loads(text) if text.startswith("{") else yaml.safe_load(text)
        try:
            if "connector_type" in block:
                auth = block.pop("auth_config", None)
                kinds = {"api_key": ApiKeyAuth, "bearer": BearerAuth, "basic": BasicAuth}
                self.connector = ApiConnector(**block, auth_config=auth and kinds[auth["type"]](**auth))
            else:
                linker = ApiLinker()
                linker.add_source(**block)
                self.connector = linker.source
        except Exception as error:
            raise Refused(str(error)) from error

    def call(self, what, *arguments):
        return lossless(json.dumps(self.outcome(what, *arguments)))

    def outcome(self, what, *arguments):
        try:
            match what:
                case "fetch":
                    result = self.connector.fetch_data(*arguments)
                case "send":
                    result = self.connector.send_data(*arguments)
                case "health":
                    return {"health": self.connector.check_health().model_dump(mode="json")}
            return {"result": result}
        except ApiLinkerError as error:
            return {"error": error.to_dict()}
        except Exception as error:
            return {"error": {"type": type(error).__name__, "message": str(error)}}

    def close(self):
        self.connector.client.close()


class Apl:
    """libapl.so, by its C ABI."""

    def __init__(self, library, text):
        self.lib = library
        self.connector, error = ctypes.c_void_p(), ctypes.c_void_p()
        made = library.apl_connector_new(text.encode(), ctypes.byref(self.connector), ctypes.byref(error))
        if made != 0:
            raise Refused(dict(self.error(error))["message"])

    @staticmethod
    def load(path):
        library = ctypes.CDLL(path)
        for name in ["apl_response_body", "apl_error_response", "apl_error_partial"]:
            getattr(library, name).restype = ctypes.c_void_p
        library.apl_error_json.restype = ctypes.c_char_p
        return library

    def call(self, what, *arguments):
        out, error = ctypes.c_void_p(), ctypes.c_void_p()
        ends = (None, ctypes.byref(out), ctypes.byref(error))
        match what:
            case "health":
                status = self.lib.apl_check_health(self.connector, *ends)
            case _:
                endpoint, data = (*arguments, None)[:2]
                text = None if data is None and what == "fetch" else encode(data)
                function = self.lib.apl_fetch if what == "fetch" else self.lib.apl_send
                status = function(self.connector, endpoint.encode(), text, None, *ends)
        if status != 0:
            partial = ctypes.c_void_p(self.lib.apl_error_partial(error))
            result = [("result", self.body(partial))] if partial else []
            return Members([("error", self.error(error)), *result])
        body = self.body(out)
        self.lib.apl_response_free(out)
        return Members([("health" if what == "health" else "result", body)])

    def body(self, response):
        length = ctypes.c_size_t()
        data = self.lib.apl_response_body(response, ctypes.byref(length))
        return lossless(ctypes.string_at(data, length.value).decode())

    def error(self, error):
        text = self.lib.apl_error_json(error).decode()
        self.lib.apl_error_free(error)
        return lossless(text)

    def close(self):
        self.lib.apl_connector_free(self.connector)


class Number(str):
    """A number as it was written."""


class Members(list):
    """The members of an object, duplicates with them."""


def lossless(text):
    """JSON with nothing lost, which Python's own reading of it would lose."""
    return json.loads(
        text, parse_int=Number, parse_float=Number, parse_constant=Number, object_pairs_hook=Members
    )
