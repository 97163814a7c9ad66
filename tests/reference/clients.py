"""The two sides: the same block and the same calls, each outcome as parts with a JSON value.

A call is a tuple, its name first:

    fetch endpoint params · send endpoint data · health
    stream endpoint options · sse endpoint options · consume endpoint options
    download endpoint options            to `FOLDER/file`, or where the option "to" says
    authenticate endpoint                a token, as the reference's AuthManager or apl's first call gets it
    begin · finish query                 a sign-in; the query is the browser's, without it a device asks

The options are the reference's keyword arguments. `processor` and `progress_callback` are named: "count" returns
the number of events, "fail" fails, "stop" ends the call as each side lets a callback do it.
"""

import json
import logging
import os
import time
from urllib.parse import parse_qsl

import yaml
from apilinker import ApiLinker
from apilinker.core.auth import (
    ApiKeyAuth, AuthManager, BasicAuth, BearerAuth, OAuth2ClientCredentials, OAuth2DeviceFlow, OAuth2PKCE)
from apilinker.core.connector import ApiConnector
from apilinker.core.error_handling import ApiLinkerError
from values import lossless, shown

logging.disable(logging.CRITICAL)


class Refused(Exception):
    """The connector was not made."""


class Stop(Exception):
    """What a callback raises to end the reference's call."""


KINDS = {
    "api_key": ApiKeyAuth, "bearer": BearerAuth, "basic": BasicAuth, "oauth2_client_credentials": OAuth2ClientCredentials,
    "oauth2_pkce": OAuth2PKCE, "oauth2_device_flow": OAuth2DeviceFlow}


class Reference:
    """A block as a file has it goes through ApiLinker; one with the names of the class, to the class."""

    def __init__(self, text, folder):
        block = json.loads(text) if text.startswith("{") else yaml.safe_load(text)
        self.folder = folder
        try:
            if "connector_type" in block:
                auth = block.pop("auth_config", None)
                self.connector = ApiConnector(**block, auth_config=auth and KINDS[auth["type"]](**auth))
            else:
                linker = ApiLinker()
                linker.add_source(**block)
                self.connector = linker.source
        except Exception as error:
            raise Refused(str(error)) from error

    def call(self, what, *arguments):
        parts = {}
        try:
            getattr(self, what)(parts, *arguments)
        except ApiLinkerError as error:
            parts["error"] = error.to_dict()
        except Exception as error:
            parts["error"] = {"type": type(error).__name__, "message": str(error)}
        return lossless(json.dumps(parts))

    def fetch(self, parts, *arguments):
        parts["result"] = self.connector.fetch_data(*arguments)

    def send(self, parts, *arguments):
        parts["result"] = self.connector.send_data(*arguments)

    def health(self, parts):
        parts["health"] = self.connector.check_health().model_dump(mode="json")

    def stream(self, parts, endpoint, options={}):
        chunks, progress = parts.setdefault("chunks", []), parts.setdefault("progress", [])
        for chunk in self.connector.stream_response(endpoint, progress_callback=progress.append, **options):
            chunks.append(shown(chunk))

    def sse(self, parts, endpoint, options={}):
        events = parts.setdefault("events", [])
        for event in self.connector.stream_sse(endpoint, **options):
            events.append(event)

    def consume(self, parts, endpoint, options={}):
        known = {"count": len, "fail": raises}
        processor = known.get(options.get("processor"))
        if processor:
            chunks, run = parts.setdefault("chunks", []), processor
            processor = lambda chunk: (chunks.append(list(chunk)), run(chunk))[1]
        parts["summary"] = self.connector.consume_sse(endpoint, **{**options, "processor": processor})

    def download(self, parts, endpoint, options={}):
        progress = []
        callback = raises if options.get("progress_callback") == "stop" else None
        arguments = {**options, "progress_callback": lambda told: (progress.append(told), callback and callback(told))}
        target = os.path.join(self.folder, arguments.pop("to", "file"))
        try:
            parts["summary"] = self.connector.download_stream(endpoint, target, **arguments)
        finally:
            parts["progress"] = ends(progress)
            parts["files"] = files(self.folder)

    def authenticate(self, parts, _):
        config = self.connector.auth_config
        if config.type == "oauth2_client_credentials":
            config = AuthManager().refresh_oauth2_token(config)
        elif config.type == "oauth2_pkce":
            config = AuthManager().refresh_pkce_token(config)
        self.connector.auth_config = config
        parts["token"] = token(config)

    def begin(self, parts):
        config, manager = self.connector.auth_config, AuthManager()
        if config.type == "oauth2_pkce":
            parts["sign_in"] = address({"authorization_url": manager.get_pkce_authorization_url(config), "state": config.state})
            return
        self.connector.auth_config = config = manager.start_device_flow(config)
        parts["sign_in"] = {name: getattr(config, name) for name in (
            "verification_uri", "verification_uri_complete", "user_code", "interval")}

    def finish(self, parts, query=None):
        config, manager = self.connector.auth_config, AuthManager()
        if query is not None:
            config = manager.complete_pkce_flow(config, dict(parse_qsl(query.removeprefix("?")))["code"])
        else:
            done, updated = manager.poll_device_flow(config)
            while not done:
                time.sleep((updated or config).interval)
                done, updated = manager.poll_device_flow(config)
            config = updated
        self.connector.auth_config = config
        parts["token"] = token(config)

    def close(self):
        self.connector.client.close()


def raises(_):
    raise Stop("the callback ends it")


def address(sign_in):
    """What a browser is asked to say, name by name."""
    place, query = sign_in["authorization_url"].split("?", 1)
    return {**sign_in, "authorization_url": {"place": place, **dict(parse_qsl(query, keep_blank_values=True))}}


def token(config):
    """A token under the names that an answer has for its members (RFC 6749 5.1)."""
    return {
        "access_token": config.token, "expires_at": config.expires_at, "scope": config.scope,
        "refresh_token": getattr(config, "refresh_token", None), "storage_key": getattr(config, "storage_key", None)}


def ends(progress):
    """What is told first and last: how often something is told between them is up to the clock."""
    return {"first": progress[0], "last": progress[-1], "calls": len(progress)} if progress else {}


def files(folder):
    """Everything below a folder, by name."""
    found = {}
    for at, _, names in os.walk(folder):
        for name in sorted(names):
            path = os.path.join(at, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = shown(file.read())
    return found
