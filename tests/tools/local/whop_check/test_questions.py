"""Each question, asked of a Whop that follows one reading or the other."""

import base64
import json
import secrets
import threading
from collections.abc import Mapping

import httpx
import pytest

from local.whop_check.client import Sandbox
from local.whop_check.probes import shape
from local.whop_check.questions import QUESTIONS
from local.whop_simulator import DEFAULT_COMPANY, Exchange, Fault, Limits, Request, Simulator, as_httpx_transport
from tests.tools.local.whop_check.asking import ALL_DELETED, EMAIL, OAUTH_APP, Run, about, remaining

IN_FLIGHT = "still running"
RATE_LIMIT = "Retry-After"
STRANGER = "owns none"


class ConcurrentKeys(Simulator):
    """Answers the first of four requests with an Idempotency-Key only when all four have arrived."""

    def __init__(self) -> None:
        super().__init__()
        self._together = threading.Barrier(4)

    def receive(self, request: Request) -> Exchange:
        exchange = super().receive(request)
        if exchange.reservation is not None or (exchange.result is not None and exchange.result.status == 409):
            self._together.wait(10)
        return exchange


def test_the_default_readings_answer_as_assumed() -> None:
    simulator = ConcurrentKeys()
    simulator.add_key("apik_test")
    simulator.set_limits(Limits(calls=100))
    stranger = simulator.add_person("stranger@people.test")
    with httpx.Client(transport=as_httpx_transport(simulator), base_url="http://127.0.0.1") as http:
        simulator.add_oauth_app(OAUTH_APP, [])
        sandbox = Sandbox(http, "apik_test", DEFAULT_COMPANY, EMAIL, stranger=stranger, oauth_client=OAUTH_APP)
        run = Run(sandbox, *QUESTIONS)
    assert run.answered
    assert {row["question"]: row["what to change"] for row in run.rows} == {
        question.text: "as assumed" for question in QUESTIONS
    }
    assert run.after == [ALL_DELETED]
    assert remaining(simulator) == []


@pytest.mark.parametrize(
    ("question", "readings", "answer"),
    [
        ("at Api-Version-Date", {"access_token_field": "either"}, "account_id 200, company_id 200, both 200"),
        ("at Api-Version-Date", {"access_token_field": "company_id"}, "account_id 400, company_id 200, both 200"),
        ("without Api-Version-Date", {"access_token_field": "either"}, "account_id 200, company_id 200, both 200"),
        ("at 2026-09-02-1", {"access_token_field": "account_id"}, "account_id 200, company_id 400, both 200"),
        ("repeated Idempotency-Key", {"access_tokens_idempotent": True}, "replayed"),
        ("enrolment compares", {"external_id_ignored": True}, "owner.id, parent_account.id, email"),
        ("capitals", {"email_returned": "as_sent"}, "as sent"),
        ("same e-mail and external_id", {"existing_account_status": 201}, "201, the same account"),
        (
            "same e-mail and external_id",
            {"external_id_ignored": True, "metadata_external_id_counts": False},
            "200, the same account",
        ),
        ("update the account", {"existing_account_updated": True}, "title updated, metadata updated"),
        ("how many accounts", {"metadata_external_id_counts": False}, "one account"),
        ("GET /accounts?external_id=", {"external_id_ignored": True}, "other accounts too: it is ignored"),
        ("external_id null", {"external_id_ignored": True}, "still found by it"),
        (
            "another e-mail",
            {"external_id_ignored": True, "metadata_external_id_counts": False},
            "201, another account",
        ),
        (IN_FLIGHT, {}, "no refusal met (201, 201, 201, 201)"),
        ("null clear a name", {"null_clears_override": False}, "400 parameter_invalid (null is not allowed here.)"),
        (STRANGER, {"mint_for_stranger": "allowed"}, "200"),
        ("account was deleted", {"mint_for_stranger": "allowed"}, "200"),
        ("outlive", {"token_outlives_account": False}, "401 unauthorized (The access token is expired or revoked)"),
        ("issues ID tokens", {"oauth_issuer": "whop.com"}, "another (https://whop.com)"),
        ("keys of ID tokens", {"oauth_keys": "oauth"}, "/oauth/jwks, ES256"),
        ("JSON, or a form", {"oauth_body": "either"}, "JSON 401 invalid_client, form 401 invalid_client"),
        ("JSON, or a form", {"oauth_body": "form"}, "JSON 400 invalid_request, form 401 invalid_client"),
        ("client secret", {"oauth_invalid_grant_status": 401}, "401 invalid_grant"),
        ("deleted account free", {"deletion_frees_external_id": False}, "409 conflict (external_id is already in use"),
    ],
)
def test_another_reading_gives_another_answer(
    sandbox: Sandbox, simulator: Simulator, question: str, readings: Mapping[str, object], answer: str
) -> None:
    simulator.change_readings(readings)
    run = Run(sandbox, about(question))
    assert run.answered
    assert run.answers[0].startswith(answer)
    expected = "as assumed" if answer == about(question).assumed else about(question).otherwise
    assert run.rows[0]["what to change"] == expected
    assert remaining(simulator) == []


def test_an_app_that_needs_a_secret_is_noticed(sandbox: Sandbox, simulator: Simulator) -> None:
    simulator.add_oauth_app(OAUTH_APP, [], secret=secrets.token_urlsafe(16))
    assert Run(sandbox, about("client secret")).answers == ["401 invalid_client"]


@pytest.mark.parametrize("question", ["issues ID tokens", "keys of ID tokens", "JSON, or a form"])
def test_an_oauth_server_that_fails_gives_no_answer(sandbox: Sandbox, simulator: Simulator, question: str) -> None:
    for operation in ("oauth.discovery", "oauth.token"):
        simulator.add_fault(Fault(operation, "status", status=500, count=None))
    run = Run(sandbox, about(question))
    assert not run.answered


def test_the_api_key_does_not_go_to_the_oauth_server(sandbox: Sandbox, simulator: Simulator) -> None:
    Run(sandbox, *[each for each in QUESTIONS if each.probe.__module__.endswith("oauth_probes")])
    asked = [call for call in simulator.calls() if call.operation.startswith("oauth.")]
    assert asked
    assert {"authorization"}.isdisjoint(name.lower() for call in asked for name in call.header_names)


def test_a_403_for_a_stranger_is_not_a_404(sandbox: Sandbox, simulator: Simulator) -> None:
    simulator.change_readings({"mint_for_stranger": "forbidden"})
    run = Run(sandbox, about(STRANGER), about("account was deleted"))
    assert [answer[:3] for answer in run.answers] == ["403", "403"]


@pytest.mark.parametrize(
    ("header", "answer"), [(True, "header 60 (Try again in 60"), (False, "no header (Try again in 6")]
)
def test_the_429_is_provoked_and_read(sandbox: Sandbox, simulator: Simulator, header: bool, answer: str) -> None:
    simulator.change_readings({"retry_after_header": header})
    simulator.set_limits(Limits(calls=30))
    assert Run(sandbox, about(RATE_LIMIT)).answers[0].startswith(answer)


def test_later_questions_use_the_field_that_whop_accepts(sandbox: Sandbox, simulator: Simulator) -> None:
    simulator.change_readings({"access_token_field": "company_id"})
    asked = [question for question in QUESTIONS if IN_FLIGHT not in question.text and RATE_LIMIT not in question.text]
    assert Run(sandbox, *asked).answered


class TestTokenShape:
    def test_a_jwt_shows_its_names_and_no_value(self) -> None:
        token = f"{_encoded({'typ': 'JWT', 'alg': 'ES256'})}.{_encoded({'sub': 'user_1', 'exp': 1})}.signature"
        assert shape(token) == "a JWT; header alg, typ; claims exp, sub"

    @pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "..", "W10.e30.s", "é.é.é"])
    def test_anything_else_is_opaque(self, token: str) -> None:
        assert shape(token) == "opaque"


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
