"""The deployed API does what docs/openapi.yaml says, for requests made from it: good, bad, and without a good token.

Every answer is held against the document: its status, headers, content type and body. There are fewer than a hundred
requests, and none is answered by a server error.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import ignored_auth

from local.demo.chat_app import ChatApp
from local.sam import ROOT
from local.stack import Deployment, LocalStack
from tests.e2e.harness import record_with_status
from whop_chat.api.request import MAX_BODY_BYTES

PROBLEM = "application/problem+json"

type Case = schemathesis.Case[Any]
type APIOperation = schemathesis.APIOperation[Any, Any, Any, Any]
type Send = Callable[[Case], Response]


@pytest.fixture(scope="module")
def document() -> BaseSchema:
    """The document, as a source of requests."""
    # 413 is a refusal too, and not among the statuses that schemathesis expects for a bad request.
    refusals = {"expected-statuses": ["400", "401", "403", "404", "405", "413", "415", "5xx"]}
    config = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": refusals}})
    return schemathesis.openapi.from_path(ROOT / "docs" / "openapi.yaml", config=config)


@pytest.fixture(scope="module")
def mint_token(document: BaseSchema) -> APIOperation:
    """POST /chat/token."""
    operation: APIOperation = document["/chat/token"]["POST"]
    return operation


@pytest.fixture(scope="module")
def token(cloud: LocalStack, stack: Deployment, app: ChatApp) -> str:
    """The Cognito token of a user who is enrolled and has chatted before."""
    user = app.sign_up()
    record_with_status(cloud, stack, user, "linked")
    token = app.sign_in(user).access
    assert app.mint(token).status_code == 200
    return token


@pytest.fixture(scope="module")
def send(stack: Deployment) -> Iterator[Send]:
    """``send(case) -> response``, after every check of schemathesis and our own."""
    with requests.Session() as session:
        session.trust_env = False

        def send(case: Case) -> Response:
            # `ignored_auth` repeats the request without and with a wrong token; one test does that for all.
            response = case.call_and_validate(stack.api_url, session, excluded_checks=[ignored_auth])
            _is_ours_or_the_gateways(response)
            return response

        yield send


def _is_ours_or_the_gateways(response: Response) -> None:
    """What the document says in words: an answer of ours is never kept, and one without a code is the gateway's."""
    body, headers = response.json(), response.headers
    if response.status_code == 200 or headers["content-type"] == [PROBLEM]:
        assert headers["cache-control"] == ["no-store"]
    else:
        assert body.keys() == {"message"}
    assert headers.get("retry-after") == ([str(body["retry_after"])] if "retry_after" in body else None)


def _for_each_case(
    operation: APIOperation,
    mode: GenerationMode,
    requests: int,
    check: Callable[[Case], None],
    *,
    token: str | None = None,
) -> None:
    """Call ``check`` with at most ``requests`` cases of a kind.

    They carry ``token``, or if None a made-up one, a wrong scheme, or no Authorization header at all.
    """
    headers = None if token is None else {"Authorization": f"Bearer {token}"}

    @settings(
        max_examples=requests,
        derandomize=True,
        database=None,
        deadline=None,
        # A failure is reported as it is found: to shrink it would take any number of requests.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(mode, headers=headers))
    def run(case: Case) -> None:
        check(case)

    run()


def test_a_good_request_with_a_good_token_is_answered_with_a_token(
    mint_token: APIOperation, token: str, send: Send
) -> None:
    def check(case: Case) -> None:
        assert send(case).status_code == 200

    _for_each_case(mint_token, GenerationMode.POSITIVE, 20, check, token=token)


def test_a_bad_body_with_a_good_token_is_refused_by_the_service(
    mint_token: APIOperation, token: str, send: Send
) -> None:
    def check(case: Case) -> None:
        response = send(case)
        body = response.request.body
        expected: tuple[int, str | None] = 400, "invalid_request"
        if body is None:
            # Only the made-up token was to be bad, and the request is good after all.
            expected = 200, None
        elif isinstance(body, bytes) and len(body) > MAX_BODY_BYTES:
            expected = 413, "request_too_large"
        assert (response.status_code, response.json().get("code")) == expected

    _for_each_case(mint_token, GenerationMode.NEGATIVE, 30, check, token=token)


@pytest.mark.parametrize("mode", GenerationMode)
def test_no_request_is_answered_with_a_token_when_its_token_is_made_up(
    mint_token: APIOperation, send: Send, mode: GenerationMode
) -> None:
    def check(case: Case) -> None:
        response = send(case)
        assert response.status_code == 401
        assert response.headers["www-authenticate"][0].startswith("Bearer")

    _for_each_case(mint_token, mode, 15, check)


def test_the_token_that_the_document_asks_for_is_really_needed(
    mint_token: APIOperation, token: str, stack: Deployment
) -> None:
    with requests.Session() as session:
        session.trust_env = False
        response = mint_token.Case().call_and_validate(
            stack.api_url, session, {"Authorization": f"Bearer {token}"}, checks=[ignored_auth]
        )

    assert response.status_code == 200


def test_health_is_what_the_document_says(document: BaseSchema, send: Send) -> None:
    def check(case: Case) -> None:
        assert send(case).status_code == 200

    _for_each_case(document["/health"]["GET"], GenerationMode.POSITIVE, 2, check)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_not_found_by_the_gateway(cloud: LocalStack, stack: Deployment, method: str) -> None:
    answer = cloud.http.request(method, f"{stack.api_url}/chat/token")

    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})
