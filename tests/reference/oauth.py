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
ASKS = D("oauth-connector", "requests", "POST /token", "POST /token then GET /x")
UNASKED = D("oauth-connector", "requests", "GET /x", "POST /token then GET /x")
PLAIN = D("accept-encoding", "*request*.headers.accept-encoding", "gzip, deflate", None)


def fails(call=""):
    return [PLAIN, D("token-error", f"{call}error.type", SOME, None), D("token-error", f"{call}error.*", None, SOME)]



def taken(id):
    """The reference takes it for a token."""
    return [PLAIN, D(id, "outcome", "token", "error AUTH")]


TOKENS = [
    Case("oauth2 and a fetch", client(), FETCH, [UNASKED], tokens()),
    Case("oauth2 by its short name and a fetch", client(type="oauth2"), FETCH, [UNASKED], tokens()),
    Case("a token of oauth2", client(), ASKED, [ASKS, PLAIN], tokens()),
    Case("OAuth2ClientCredentials", classes(auth_config=CLIENT, base_url="URL"), ASKED, [ASKS, PLAIN], tokens()),
    Case("a token with a scope", client(scope="a b"), ASKED, [ASKS, PLAIN], tokens(scope="a b")),
    Case("a token that does not say how long it lives", client(), ASKED, [
        ASKS, PLAIN, D("token-life", "token.expires_at", "in 60 minutes", "null")], tokens(expires_in=None)),
    Case("a token that lives as long as a text says", client(), ASKED, [
        ASKS, PLAIN, D("token-life", "outcome", "error", "token")], tokens(expires_in="60")),
    Case("a token of an unknown type", client(), ASKED, taken("token-type"), tokens(token_type="mac")),
    Case("no token", client(), ASKED, taken("no-token"), tokens(access_token=None)),
    Case("a client that is refused", client(), ASKED, fails(), answer('{"error":"invalid_client"}', 401)),
    Case("a token endpoint that says no JSON", client(), ASKED, fails(), answer("<p>")),
    Case("a token endpoint that redirects", client(), ASKED, fails(), [
        Answer("{}", 307, {"Location": "/y"}, target="/token"), *tokens()]),
    Case("a token endpoint without https", client(token_url="http://api.example.com/token"), [], refused("token-https")),
    Case("a token that is configured", client(token="token-67890", expires_at=3976214400), FETCH, [
        D("oauth-connector", "request.headers.authorization", None, "Bearer token-67890")]),
    Case("a token that is over", client(token="token-67890", expires_at=1000000000), FETCH, [UNASKED], tokens()),
    Case("oauth2 without a client_id", conn(auth={"type": "oauth2", "client_secret": "s", "token_url": "URL/token"}),
         FETCH),
    Case("oauth2 without a client_secret", conn(auth={"type": "oauth2", "client_id": ID, "token_url": "URL/token"}), FETCH,
         answers=tokens()),
    Case("two fetches with oauth2", client(), FETCH * 2, [
        UNASKED, D("oauth-connector", "2:request.headers.authorization", None, "Bearer token-12345")], tokens()),
    Case("a token that is refused", client(), FETCH, [
        D("oauth-connector", "requests", "GET /x", "POST /token then GET /x then POST /token then GET /x"),
        *failed("oauth-connector", "AUTH")], [token(), token(access_token="token-23456"), Answer("{}", 401), Answer()]),
]


BACK = "http://127.0.0.1:7777/cb"
BROWSER = {
    "type": "oauth2_pkce", "client_id": ID, "redirect_uri": BACK, "authorization_url": "URL/authorize", "token_url": "URL/token"}
# RFC 7636 appendix B.
FIXED = {
    "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "state": "state-1234567890"}
BEGIN = [("begin",)]
IN_BROWSER = [*BEGIN, ("finish", "?code=code-12345&state=state-1234567890")]


def browser(**keys):
    return conn(auth={**BROWSER, **FIXED, **keys})


DEVICE = {
    "type": "oauth2_device_flow", "client_id": ID, "device_authorization_url": "URL/device", "token_url": "URL/token"}
CODES = {
    "device_code": "device-code-1", "user_code": "ABCD-EFGH", "verification_uri": "https://as.example/device",
    "interval": 1, "expires_in": 600}
ON_DEVICE = [*BEGIN, ("finish",)]


def device(**keys):
    return conn(auth={**DEVICE, **keys})


def codes(**keys):
    return Answer(json.dumps({k: v for k, v in {**CODES, **keys}.items() if v is not None}), target="/device")


def pending(error="authorization_pending"):
    return Answer(json.dumps({"error": error}), 400, target="/token")


CARRIED = D("oauth-connector", "3:request.headers.authorization", None, "Bearer token-12345")

SIGN_INS = [
    Case("a sign-in in a browser begins", browser(scope="read write"), BEGIN),
    Case("OAuth2PKCE", classes(auth_config={**BROWSER, **FIXED}), BEGIN),
    Case("a sign-in in a browser begins with what is made for it", conn(auth=BROWSER), BEGIN, differs=[
        D("sign-in-random", "sign_in*.state", SOME, SOME), D("sign-in-random", "sign_in*.code_challenge", SOME, SOME)]),
    Case("a sign-in in a browser begins at an address with a query",
         browser(authorization_url="URL/authorize?prompt=consent"), BEGIN,
         differs=[D("authorization-query", "sign_in.authorization_url.*")]),
    Case("a sign-in in a browser with a short verifier", browser(code_verifier="short", code_challenge=None), BEGIN,
         differs=refused("code-verifier")),
    Case("a sign-in in a browser with another challenge", browser(code_challenge="E" * 43), BEGIN,
         differs=refused("code-verifier")),
    Case("a sign-in in a browser", browser(), IN_BROWSER, answers=tokens(refresh_token="refresh-12345"), differs=[PLAIN]),
    Case("a sign-in in a browser and a fetch", browser(), IN_BROWSER + FETCH, answers=tokens(), differs=[PLAIN, CARRIED]),
    Case("a sign-in in a browser that is stored", browser(storage_key="key-1"), IN_BROWSER, answers=tokens(),
         differs=[PLAIN]),
    Case("a sign-in in a browser with another state", browser(), [*BEGIN, ("finish", "?code=code-12345&state=another")],
         answers=tokens(),
         differs=[D("state-unchecked", "2:outcome", "token", "error AUTH"),
             D("state-unchecked", "2:requests", "POST /token", "")]),
    Case("a sign-in in a browser that is refused", browser(), IN_BROWSER, answers=[pending("invalid_grant")],
         differs=fails("2:")),
    Case("a fetch before a sign-in", browser(), FETCH,
         differs=[D("oauth-connector", "outcome", 'result {"ok":true}', "error AUTH"),
             D("oauth-connector", "requests", "GET /x", "")]),
    Case("a sign-in whose code is configured", browser(authorization_code="code-12345"), FETCH, answers=tokens(),
         differs=[UNASKED]),
    Case("a token of a sign-in that is configured", browser(token="token-67890", expires_at=3976214400), FETCH,
         differs=[D("oauth-connector", "request.headers.authorization", None, "Bearer token-67890")]),
    Case("a token of a sign-in that is over",
         browser(token="token-67890", refresh_token="refresh-12345", expires_at=1000000000), ASKED,
         answers=tokens(refresh_token="refresh-23456"), differs=[ASKS, PLAIN]),
    Case("a token of a sign-in that is over, and the same refresh token",
         browser(token="token-67890", refresh_token="refresh-12345", expires_at=1000000000), ASKED, answers=tokens(),
         differs=[ASKS, PLAIN]),
    Case("a sign-in without a redirect_uri", conn(auth={**BROWSER, "redirect_uri": None}), BEGIN),
    Case("a sign-in on a device begins", device(scope="read write"), BEGIN, answers=[codes()], differs=[PLAIN]),
    Case("OAuth2DeviceFlow", classes(auth_config=DEVICE), BEGIN, answers=[codes()], differs=[PLAIN]),
    Case("a sign-in on a device begins with a secret", device(client_secret=SECRET), BEGIN, answers=[codes()],
         differs=[PLAIN]),
    Case("a sign-in on a device begins with an address of its own", device(), BEGIN, answers=[
        codes(verification_uri_complete="https://as.example/device?code=ABCD-EFGH")], differs=[PLAIN]),
    Case("a sign-in on a device begins without an interval", device(), BEGIN, answers=[codes(interval=None)],
         differs=[PLAIN]),
    Case("a sign-in on a device begins with verification_url", device(), BEGIN, answers=[
        codes(verification_uri=None, verification_url="https://as.example/device")], differs=[PLAIN]),
    Case("a sign-in on a device begins and is refused", device(), BEGIN, answers=answer("{}", 401), differs=fails()),
    Case("a sign-in on a device", device(), ON_DEVICE, answers=[codes(), pending(), token(refresh_token="refresh-12345")],
         wait=1, differs=[PLAIN]),
    Case("a sign-in on a device with a secret", device(client_secret=SECRET), ON_DEVICE, answers=[codes(), token()],
         differs=[PLAIN]),
    Case("a sign-in on a device that another has begun", device(device_code="device-code-2", interval=1), [("finish",)],
         answers=[token()], differs=[PLAIN]),
    Case("a sign-in on a device and a fetch", device(storage_key="key-1"), ON_DEVICE + FETCH, answers=[codes(), *tokens()],
         differs=[PLAIN, CARRIED]),
    Case("a sign-in on a device that the person refuses", device(), ON_DEVICE, answers=[codes(), pending("access_denied")],
         differs=fails("2:")),
    Case("a token of a device that is configured", device(token="token-67890", expires_at=3976214400), FETCH,
         differs=[D("oauth-connector", "request.headers.authorization", None, "Bearer token-67890")]),
    Case("a token of a device that is over",
         device(token="token-67890", refresh_token="refresh-12345", expires_at=1000000000), ASKED, answers=tokens(),
         differs=[D("device-refresh", "requests", "", "POST /token then GET /x"), D("device-refresh", "token.*")]),
]
