"""The cases of OAuth, where the reference's AuthManager and its connector are asked one after the other."""

import json

from recorder import Answer
from table import *

ID, SECRET = "client-id-1", "client-secret-1"
CLIENT = {"type": "oauth2_client_credentials", "client_id": ID, "client_secret": SECRET, "token_url": "URL/token"}
TOKEN = {"access_token": "token-12345", "token_type": "Bearer", "expires_in": 3600}
ASKED = [("authenticate", "x")]


def client(**keys):
    return conn(auth={**CLIENT, **keys})


def token(**keys):
    return Answer(json.dumps({k: v for k, v in {**TOKEN, **keys}.items() if v is not None}), target="/token")


def tokens(**keys):
    return [token(**keys), Answer()]


# The reference asks for a token when it is told to, apl when it needs one; and then it goes on with it.
ASKS = [
    D("oauth-connector", "requests", "POST /token", "POST /token then GET /x"), D("further-fields", "token.token_type", None, '"Bearer"')]
UNASKED = D("oauth-connector", "requests", "GET /x", "POST /token then GET /x")
PLAIN = D("accept-encoding", "request.headers.accept-encoding", "gzip, deflate", None)
FAILS = [PLAIN, D("token-error", "error.type", SOME, None), D("token-error", "error.*", None, SOME)]


def taken(id):
    """The reference takes it for a token."""
    return [PLAIN, D(id, "outcome", "token", "error AUTH")]


TOKENS = [
    Case("oauth2 and a fetch", client(), FETCH, [UNASKED], tokens()),
    Case("oauth2 by its short name and a fetch", client(type="oauth2"), FETCH, [UNASKED], tokens()),
    Case("a token of oauth2", client(), ASKED, [*ASKS, PLAIN], tokens()),
    Case("OAuth2ClientCredentials", classes(auth_config=CLIENT, base_url="URL"), ASKED, [*ASKS, PLAIN], tokens()),
    Case("a token with a scope", client(scope="a b"), ASKED, [*ASKS, PLAIN], tokens(scope="a b")),
    Case("a token that does not say how long it lives", client(), ASKED, [
        *ASKS, PLAIN, D("token-life", "token.expires_at", "in 60 minutes", "null")], tokens(expires_in=None)),
    Case("a token that lives as long as a text says", client(), ASKED, [
        ASKS[0], PLAIN, D("token-life", "outcome", "error", "token")], tokens(expires_in="60")),
    Case("a token of an unknown type", client(), ASKED, taken("token-type"), tokens(token_type="mac")),
    Case("no token", client(), ASKED, taken("no-token"), tokens(access_token=None)),
    Case("a client that is refused", client(), ASKED, FAILS, answer('{"error":"invalid_client"}', 401)),
    Case("a token endpoint that says no JSON", client(), ASKED, FAILS, answer("<p>")),
    Case("a token endpoint that redirects", client(), ASKED, FAILS, [
        Answer("{}", 307, {"Location": "/y"}, target="/token"), *tokens()]),
    Case("a token endpoint without https", client(token_url="http://api.example.com/token"), [], refused("token-https")),
    Case("a token that is configured", client(token="token-67890", expires_at=3976214400), FETCH, [
        D("oauth-connector", "request.headers.authorization", None, "Bearer token-67890")]),
    Case("a token that is over", client(token="token-67890", expires_at=1000000000), FETCH, [UNASKED], tokens()),
    Case("oauth2 without a client_id", conn(auth={"type": "oauth2", "client_secret": "s", "token_url": "URL/token"}), FETCH),
    Case("two fetches with oauth2", client(), FETCH * 2, [
        UNASKED, D("oauth-connector", "2:request.headers.authorization", None, "Bearer token-12345")], tokens()),
    Case("a token that is refused", client(), FETCH, [
        D("oauth-connector", "requests", "GET /x", "POST /token then GET /x then POST /token then GET /x"),
        *failed("oauth-connector", "AUTH")], [token(), token(access_token="token-23456"), Answer("{}", 401), Answer()]),
]
