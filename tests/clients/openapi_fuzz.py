"""Schemathesis against what the exchange says of itself at /openapi.json: every operation, with
requests that keep to the description and requests that do not.

Run as a program it starts schemathesis; schemathesis then loads it as its hooks, which sign each
request as it is about to be sent, and take the administrator's token or the session of a browser
where that is asked for.
"""

import base64
import json
import os
import re
import sys
import time
import urllib.parse
import urllib.request
import uuid

REST_URL = os.environ["EXCHANGE_REST_URL"]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "good_requests_are_let_in",
)
SEED = "20260101"
EXAMPLES = "60"
REQUEST_SECONDS_MAX = "15"
WINDOW = "60000"
PASSWORD = "correct horse battery"
# Each sign-out ends one; of one login so many may be open.
SESSIONS_TO_END = 12


def start():
    """Replaces this process by schemathesis, with this file as its hooks."""
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "openapi_fuzz"}
    environment["PYTHONPATH"] = os.path.dirname(os.path.abspath(__file__))
    arguments = ["run", f"{REST_URL}/openapi.json", "--url", REST_URL]
    arguments += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"]
    arguments += ["--seed", SEED, "--max-examples", EXAMPLES, "--generation-database", "none"]
    arguments += ["--request-timeout", REQUEST_SECONDS_MAX, "--suppress-health-check", "all"]
    arguments += ["--continue-on-failure", "--no-color", "--warnings", "off"]
    arguments += sys.argv[1:]
    command = [sys.executable, "-m", "schemathesis.cli", *arguments]
    os.execve(sys.executable, command, environment)


if __name__ == "__main__":
    start()

import schemathesis  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402
from requests.auth import AuthBase  # noqa: E402

from world import ADMIN_TOKEN, keys  # noqa: E402

KEY, SECRET = keys("ALICE")


def operations():
    """How each signed operation is recognised: method, pattern of its path, instruction."""
    with urllib.request.urlopen(f"{REST_URL}/openapi.json", timeout=10) as answer:
        document = json.load(answer)
    found = []
    for path, item in document["paths"].items():
        pattern = re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path)) + "/?$")
        for method, operation in item.items():
            instruction = isinstance(operation, dict) and operation.get("x-instruction")
            if instruction:
                found.append((method.upper(), pattern, instruction))
    return found


DECODER = json.JSONDecoder()
BLANK = re.compile(r"[ \t\n\r]*")


def after_blank(text, at):
    return BLANK.match(text, at).end()


def members(text, at):
    """The members of the object that opens at `at`, each as the string that is signed has it: text
    decoded, everything else as it was written, nulls left out; and where the object ends."""
    found = {}
    at = after_blank(text, at + 1)
    while text[at] != "}":
        name, at = DECODER.raw_decode(text, at)
        at = after_blank(text, after_blank(text, at) + 1)
        value, end = DECODER.raw_decode(text, at)
        if value is not None:
            found[name] = value if isinstance(value, str) else text[at:end]
        at = after_blank(text, end)
        if text[at] == ",":
            at = after_blank(text, at + 1)
    return found, at + 1


def pairs_of_body(request):
    """A list of pairs for the body, or one for each element of a batch; none for what is no JSON."""
    if not request.body:
        return [[]]
    try:
        text = request.body if isinstance(request.body, str) else bytes(request.body).decode()
        at = after_blank(text, 0)
        body = json.loads(text)
    except ValueError:
        return [[]]
    if isinstance(body, dict):
        return [pairs(members(text, at)[0])]
    if not isinstance(body, list):
        return [[]]
    batch = []
    at = after_blank(text, at + 1)
    for element in body:
        if isinstance(element, dict):
            found, at = members(text, at)
        else:
            found, at = {}, DECODER.raw_decode(text, at)[1]
        batch.append(pairs(found))
        at = after_blank(text, after_blank(text, at) + 1)
    return batch or [[]]


def pairs(found):
    return [f"{name}={value}" for name, value in sorted(found.items())]


def flag_in_lower_case(value):
    return value.lower() if value.lower() in ("true", "false") else value


def signed_text(request, instruction, timestamp):
    query = urllib.parse.urlsplit(request.url).query
    sent = urllib.parse.parse_qsl(query, keep_blank_values=True)
    sent = [(name, flag_in_lower_case(value)) for name, value in sent]
    of_query = [f"{name}={value}" for name, value in sorted(sent, key=lambda one: one[0])]
    first = f"instruction={instruction}"
    pieces = ["&".join([first, *of_query, *of_body]) for of_body in pairs_of_body(request)]
    return "&".join([*pieces, f"timestamp={timestamp}", f"window={WINDOW}"])


class Session:
    """The session of a browser that has signed in: its cookie and its CSRF token."""

    def __init__(self, how, email):
        body = json.dumps({"email": email, "password": PASSWORD}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{REST_URL}/auth/v1/{how}", body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            self.cookie = answer.headers["Set-Cookie"].split(";")[0]
            self.csrf = json.load(answer)["csrfToken"]

    def enter(self, request):
        request.headers["Cookie"] = self.cookie
        request.headers["X-CSRF-Token"] = self.csrf


class Caller(AuthBase):
    """Sees the request as it will be sent, and adds what lets it in."""

    def __init__(self):
        self.operations = operations()
        self.secret = Ed25519PrivateKey.from_private_bytes(base64.b64decode(SECRET))
        email = f"{uuid.uuid4().hex}@example.org"
        self.session = Session("signup", email)
        self.to_end = [Session("login", email) for _ in range(SESSIONS_TO_END)]

    def __call__(self, request):
        path = urllib.parse.urlsplit(request.url).path
        if path.startswith("/admin/"):
            request.headers["Authorization"] = f"Bearer {ADMIN_TOKEN}"
            return request
        if path.startswith("/auth/v1/"):
            self.session_for(request, path).enter(request)
            return request
        for method, pattern, instruction in self.operations:
            if method == request.method and pattern.match(path):
                self.sign(request, instruction)
        return request

    def session_for(self, request, path):
        signs_out = request.method == "POST" and path.rstrip("/") == "/auth/v1/logout"
        return self.to_end.pop() if signs_out and self.to_end else self.session

    def sign(self, request, instruction):
        timestamp = str(int(time.time() * 1000))
        text = signed_text(request, instruction, timestamp)
        signature = self.secret.sign(text.encode("utf-8", "surrogatepass"))
        request.headers["X-API-Key"] = KEY
        request.headers["X-Timestamp"] = timestamp
        request.headers["X-Window"] = WINDOW
        request.headers["X-Signature"] = base64.b64encode(signature).decode()


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """What lets a request in is ours to add; left out or wrong it is tried elsewhere."""
    raw_schema.get("components", {}).pop("securitySchemes", None)
    raw_schema.pop("security", None)
    for item in raw_schema["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict):
                operation.pop("security", None)


@schemathesis.check
def good_requests_are_let_in(context, response, case):
    """Else all that was tried would have been the door. Signing in is one: nobody has the logins
    that are made up.
    """
    if case.operation.path == "/auth/v1/login":
        return
    if case.meta is not None and case.meta.generation.mode.is_positive:
        assert response.status_code not in (401, 403), response.text


schemathesis.auth.set_from_requests(Caller())
