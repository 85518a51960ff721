"""docs/openapi.yaml says what the code does, code by code, and the README and the template say the same."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import jsonschema_rs
import openapi_spec_validator
import pytest
import yaml

from tests.fakes.functions import event
from tests.fakes.readiness import FixedReadiness
from tests.fakes.source_tree import ROOT
from tests.fakes.telemetry import RecordingTelemetry
from tests.template.translation import template
from whop_chat.api.problems import KINDS
from whop_chat.api.ready import ReadyRoute
from whop_chat.api.request import MAX_BODY_BYTES, AmbiguousToken
from whop_chat.api.routes import HttpApi
from whop_chat.cognito.pool import UserDisabled, UserGone
from whop_chat.cognito.verifier import KeysUnavailable, Reason, TokenNotAllowed, TokenRefused
from whop_chat.enrolment.errors import Blocked, Denied, EnrolmentInProgress
from whop_chat.minting.chat_token import ChatToken
from whop_chat.minting.features import FEATURE_SCOPES, FeatureNotAllowed, FeaturePolicy, GroupDenied
from whop_chat.minting.mint import MintToken
from whop_chat.minting.user_quota import TooManyRequests
from whop_chat.oauth.errors import LinkExpired, LinkFailed, LinkRequired, RefreshInProgress
from whop_chat.readiness.store import Readiness
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.errors import (
    WhopForbidden,
    WhopInvalidResponse,
    WhopRateLimited,
    WhopRefused,
    WhopUnauthorized,
    WhopUnavailable,
)

type Node = dict[str, Any]

DOCUMENT: Node = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
PROBLEM = "application/problem+json"
RETRIES = {"refresh", "wait", "back-off", "changed", "never"}


def _resolved(node: Node) -> Node:
    """What ``node`` refers to, or itself."""
    while "$ref" in node:
        target: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def _errors(schema: Node, value: object) -> list[str]:
    """Why ``value`` is not what a schema of the document describes."""
    # References are to places in the document, so a schema is looked at from its root.
    validator = jsonschema_rs.Draft202012Validator(
        {"allOf": [schema], "components": DOCUMENT["components"]}, validate_formats=True
    )
    return [error.message for error in validator.iter_errors(value)]


def _responses(path: str, method: str) -> dict[int, Node]:
    operation = DOCUMENT["paths"][path][method]
    return {int(status): _resolved(response) for status, response in operation["responses"].items()}


MINT = _responses("/chat/token", "post")
HEALTH = _responses("/health", "get")
READY = _responses("/health/ready", "get")
# (status, what the document says about the code) by code
PROBLEMS: Mapping[str, tuple[int, Node]] = {
    code: (status, entry)
    for status, response in (*MINT.items(), *READY.items())
    for code, entry in response.get("x-problems", {}).items()
}


# ---------------------------------------------------------------------------------------------------- the document


def test_the_document_is_openapi() -> None:
    openapi_spec_validator.validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1.")


def test_every_component_is_used() -> None:
    text = json.dumps(DOCUMENT)
    defined = {(kind, name) for kind in ("headers", "responses", "schemas") for name in DOCUMENT["components"][kind]}

    assert {each for each in defined if f'"#/components/{each[0]}/{each[1]}"' not in text} == set()


def test_the_routes_are_those_of_the_template() -> None:
    documented = {
        (method.upper(), path): operation.get("security", DOCUMENT["security"]) != []
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
    }
    functions = (each["Properties"] for each in template()["Resources"].values() if "Events" in each["Properties"])
    events = chain.from_iterable(each["Events"].values() for each in functions)
    deployed = {
        (route["Method"], route["Path"]): route.get("Auth", {}).get("Authorizer") != "NONE"
        for route in (each["Properties"] for each in events if each["Type"] == "HttpApi")
    }

    assert documented == deployed


def test_a_browser_may_do_what_the_document_says() -> None:
    cors = template()["Resources"]["HttpApi"]["Properties"]["CorsConfiguration"]
    browsers = DOCUMENT["info"]["description"].partition("**Browsers.**")[2].lower()

    assert {method.upper() for each in DOCUMENT["paths"].values() for method in each} == set(cors["AllowMethods"])
    for name in (*cors["AllowMethods"], *cors["AllowHeaders"], *cors["ExposeHeaders"]):
        assert name.lower() in browsers


# ---------------------------------------------------------------------------------------------------- codes


def test_the_codes_are_those_of_the_code_each_with_its_status_and_usual_wait() -> None:
    documented = {code: (status, entry.get("retry_after")) for code, (status, entry) in PROBLEMS.items()}

    assert documented == {code: (kind.status, kind.retry_after) for code, kind in KINDS.items()}


def test_a_code_has_one_place() -> None:
    listed = [code for response in MINT.values() for code in response.get("x-problems", {})]

    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("status", [status for status, each in MINT.items() if "x-problems" in each])
def test_the_schema_of_a_status_lists_its_codes(status: int) -> None:
    (_, particular) = MINT[status]["content"][PROBLEM]["schema"]["allOf"]

    assert particular["properties"]["status"] == {"const": status}
    assert particular["properties"]["code"]["enum"] == list(MINT[status]["x-problems"])


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_code_says_when_it_comes_whether_a_retry_helps_and_what_the_app_does(code: str) -> None:
    status, entry = PROBLEMS[code]

    assert entry["when"]
    assert entry["app"].endswith(".")
    assert entry["retry"] in RETRIES
    assert (entry["retry"] == "wait") == ("retry_after" in entry) == (status in (429, 503))
    assert entry["retry"] != "refresh" or status == 401


def test_each_word_for_a_retry_is_explained() -> None:
    explained = re.findall(r"^- `([a-z-]+)`:", DOCUMENT["info"]["description"], re.MULTILINE)

    assert set(explained) == RETRIES


def test_the_readme_has_the_same_codes_and_statuses() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `([a-z_]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert {code: int(status) for status, code in rows} == {code: kind.status for code, kind in KINDS.items()}
    assert len(rows) == len(KINDS)


# ---------------------------------------------------------------------------------------------------- features, scopes


def test_the_features_are_those_of_the_code() -> None:
    assert DOCUMENT["components"]["schemas"]["Feature"]["enum"] == list(FEATURE_SCOPES)


def test_the_scopes_are_those_of_the_features() -> None:
    scopes = DOCUMENT["components"]["schemas"]["ChatToken"]["properties"]["scopes"]["items"]["enum"]

    assert scopes == sorted(chain.from_iterable(FEATURE_SCOPES.values()))


# ---------------------------------------------------------------------------------------------------- what is answered

NOW = 1_800_000_000
TOKEN = ChatToken(
    token="opaque-token",
    expires_at=datetime(2027, 1, 15, 9, 0, 0, 999_000, tzinfo=UTC),
    refresh_after=datetime(2027, 1, 15, 8, 48, tzinfo=UTC),
    scopes=("chat:message:create", "chat:read"),
)


class Mint(MintToken):
    """Refuses features that do not exist, as the policy does, and ends otherwise as it is told."""

    def __init__(self, outcome: ChatToken | Exception) -> None:
        self._outcome = outcome

    def mint(self, cognito_token: str, features: Collection[str] | None, *, deadline: Deadline) -> ChatToken:
        FeaturePolicy(FEATURE_SCOPES).scopes(features)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def never(deadline: Deadline) -> dict[str, Any]:
    """No request of these goes to the readiness."""
    raise AssertionError(deadline)


@dataclass(frozen=True)
class Request:
    """A request, and how minting ends if it comes so far."""

    code: str
    outcome: ChatToken | Exception = TOKEN
    changes: Mapping[str, Any] = field(default_factory=dict)

    def answer(self) -> tuple[int, dict[str, str], Node]:
        changed = {**event("mint_token"), **self.changes}
        response = HttpApi(Mint(self.outcome), RecordingTelemetry(), never).handle(changed, remaining_seconds=10.0)
        return response["statusCode"], response["headers"], json.loads(response["body"])


def _with(headers: Mapping[str, str], body: str) -> Node:
    return {"headers": {"authorization": "Bearer a.b.c", **headers}, "body": body}


REQUESTS = (
    Request("invalid_request", changes=_with({}, '{"user_id": "user_1"}')),
    Request("missing_token", changes={"headers": {}}),
    Request("invalid_token", changes={"headers": {"authorization": "Bearer one, Bearer two"}}),
    Request("invalid_token", AmbiguousToken()),
    Request("invalid_token", TokenRefused(Reason.EXPIRED)),
    Request("insufficient_scope", TokenNotAllowed(Reason.SCOPE_MISSING)),
    Request("feature_not_allowed", FeatureNotAllowed()),
    Request("user_gone", UserGone()),
    Request("user_disabled", UserDisabled()),
    Request("group_denied", GroupDenied()),
    Request("user_denied", Denied()),
    *(
        Request(reason, Blocked(reason))
        for reason in (
            "no_verified_email",
            "provider_not_trusted",
            "identity_conflict",
            "identity_mismatch",
            "enrolment_rejected",
        )
    ),
    Request("enrolment_blocked", Blocked("another reason")),
    Request("not_found", changes={"routeKey": "GET /elsewhere"}),
    Request("method_not_allowed", changes={"routeKey": "GET /chat/token"}),
    Request("request_too_large", changes=_with({}, " " * (MAX_BODY_BYTES + 1))),
    Request("unsupported_media_type", changes=_with({"content-type": "text/plain"}, "{}")),
    Request("too_many_requests", TooManyRequests(42)),
    Request("internal_error", RuntimeError()),
    Request("whop_unauthorized", WhopUnauthorized("mint_token", status=401)),
    Request("whop_forbidden", WhopForbidden("mint_token", status=403)),
    Request("whop_rejected", WhopRefused("mint_token", status=422)),
    Request("whop_invalid_response", WhopInvalidResponse("mint_token", status=200)),
    Request("link_required", LinkRequired()),
    Request("link_expired", LinkExpired()),
    Request("link_failed", LinkFailed("result")),
    Request("refresh_in_progress", RefreshInProgress()),
    Request("enrolment_in_progress", EnrolmentInProgress()),
    Request("whop_rate_limited", WhopRateLimited("mint_token", 12)),
    Request("whop_unavailable", WhopUnavailable("mint_token", status=500)),
    Request("keys_unavailable", KeysUnavailable(retry_after=4, detail="no answer")),
    Request("temporarily_unavailable", AwsError("ThrottlingException")),
    Request("temporarily_unavailable", DeadlineExceeded()),
    Request("not_configured", NotConfigured()),
)
each_request = pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: each.code)


def _conforms(response: Node, headers: Mapping[str, str], body: Node) -> None:
    """Assert that an answer of the function is what the document describes for its status."""
    schema = response["content"][headers["Content-Type"]]["schema"]
    assert _errors(schema, body) == []
    documented = {name: _resolved(header) for name, header in response["headers"].items()}
    assert headers.keys() - {"Content-Type"} <= documented.keys()
    assert {name for name, header in documented.items() if header["required"]} <= headers.keys()
    for name, header in documented.items():
        if name in headers:
            value: object = headers[name]
            assert _errors(header["schema"], int(headers[name]) if name == "Retry-After" else value) == []


def test_every_code_of_a_mint_is_asked_for_here() -> None:
    assert {each.code for each in REQUESTS} == KINDS.keys() - {"not_ready"}


@each_request
def test_an_error_is_answered_as_the_document_says(request_: Request) -> None:
    status, headers, body = request_.answer()

    assert (status, body["code"]) == (PROBLEMS[request_.code][0], request_.code)
    assert headers["Content-Type"] == PROBLEM
    assert body["type"] == f"urn:whop-chat-auth:problem:{request_.code}"
    _conforms(MINT[status], headers, body)


@each_request
def test_an_error_has_no_members_that_are_not_in_the_document(request_: Request) -> None:
    _, _, body = request_.answer()

    assert body.keys() <= DOCUMENT["components"]["schemas"]["Problem"]["properties"].keys()


@each_request
def test_the_wait_is_told_twice_where_the_document_promises_one_and_nowhere_else(request_: Request) -> None:
    _, headers, body = request_.answer()
    promised = "retry_after" in PROBLEMS[request_.code][1]

    assert ("Retry-After" in headers) == ("retry_after" in body) == promised
    assert headers.get("Retry-After") == (str(body["retry_after"]) if promised else None)


@each_request
def test_an_error_about_the_token_and_no_other_has_a_challenge(request_: Request) -> None:
    status, headers, _ = request_.answer()

    assert ("WWW-Authenticate" in headers) == (status == 401 or request_.code == "insufficient_scope")


@each_request
def test_nobody_keeps_an_error_and_cors_is_left_to_the_gateway(request_: Request) -> None:
    _, headers, _ = request_.answer()

    assert headers["Cache-Control"] == "no-store"
    assert not [name for name in headers if name.lower().startswith("access-control-")]


def test_a_token_is_answered_as_the_document_says() -> None:
    status, headers, body = Request("", TOKEN).answer()

    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert body.keys() == DOCUMENT["components"]["schemas"]["ChatToken"]["properties"].keys()
    _conforms(MINT[200], headers, body)


def test_health_is_answered_as_the_document_says() -> None:
    response = HttpApi(Mint(TOKEN), RecordingTelemetry(), never).handle(event("health"), remaining_seconds=10.0)

    assert response["statusCode"] == 200
    _conforms(HEALTH[200], response["headers"], json.loads(response["body"]))


@pytest.mark.parametrize("checked_at", [NOW - 60, NOW - 86400, None], ids=["recent", "old", "none"])
@pytest.mark.parametrize("result", ["ok", "refused"])
def test_readiness_is_answered_as_the_document_says(checked_at: int | None, result: str) -> None:
    checks = {"api_key": result, "whop": "ok", "key_set": "ok", "table": "ok", "queue": "ok"}
    store = FixedReadiness(Readiness(checked_at, checks) if checked_at else None)
    route = ReadyRoute(store, RecordingTelemetry(), clock=lambda: NOW)
    api = HttpApi(Mint(TOKEN), RecordingTelemetry(), lambda deadline: route.answer(deadline=deadline))
    response = api.handle(event("health_ready"), remaining_seconds=10.0)

    assert (response["statusCode"] == 200) == (checked_at == NOW - 60 and result == "ok")
    _conforms(READY[response["statusCode"]], response["headers"], json.loads(response["body"]))


def test_each_result_of_a_check_is_in_the_document() -> None:
    source = (ROOT / "layers" / "whop_chat" / "whop_chat" / "readiness" / "check.py").read_text()
    listed = DOCUMENT["components"]["schemas"]["Ready"]["properties"]["checks"]["properties"]

    for result in {value for each in listed.values() for value in each["enum"]} - {"ok"}:
        assert f'"{result}"' in source


@pytest.mark.parametrize(
    ("body", "good"),
    [
        ("{}", True),
        *((json.dumps({"features": [feature]}), True) for feature in FEATURE_SCOPES),
        ('{"features": ["dms", "dms"]}', True),
        ('{"features": []}', False),
        ('{"features": null}', False),
        ('{"features": "dms"}', False),
        ('{"features": {"dms": true}}', False),
        ('{"features": [7]}', False),
        ('{"features": ["DMS"]}', False),
        ('{"features": ["dms"], "user_id": "user_1"}', False),
        ('["dms"]', False),
        ("null", True),
        ('""', False),
    ],
)
def test_a_body_is_taken_if_and_only_if_the_document_admits_it(body: str, good: bool) -> None:
    schema = DOCUMENT["paths"]["/chat/token"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    status, _, _ = Request("", changes=_with({"content-type": "application/json"}, body)).answer()

    assert (_errors(schema, json.loads(body)) == []) is good
    assert status == (200 if good else 400)


# ---------------------------------------------------------------------------------------------------- examples


def _examples() -> Iterator[tuple[str, Node, Any]]:
    """(name, schema, value) of every example of a body."""
    operations = [operation for each in DOCUMENT["paths"].values() for operation in each.values()]
    bodies = [operation["requestBody"] for operation in operations if "requestBody" in operation]
    for place in (*bodies, *MINT.values(), *HEALTH.values()):
        for media_type in place["content"].values():
            for name, example in media_type["examples"].items():
                yield name, media_type["schema"], example["value"]


@pytest.mark.parametrize(("schema", "value"), [pytest.param(*rest, id=name) for name, *rest in _examples()])
def test_an_example_is_what_its_schema_describes(schema: Node, value: Any) -> None:
    assert _errors(schema, value) == []


@pytest.mark.parametrize("name", sorted({name for name, *_ in _examples()} & KINDS.keys()))
def test_an_example_of_an_error_is_what_is_really_answered(name: str) -> None:
    (example,) = (value for code, _, value in _examples() if code == name)
    # The wait that is answered is longer by chance.
    wait = {"retry_after": example["retry_after"]} if "retry_after" in example else {}
    answers = [each.answer()[2] | wait for each in REQUESTS if each.code == name]

    assert example in answers


def test_every_status_with_codes_has_an_example_of_one() -> None:
    exemplified = {PROBLEMS[name][0] for name, *_ in _examples() if name in KINDS}

    assert exemplified == {kind.status for kind in KINDS.values()}
