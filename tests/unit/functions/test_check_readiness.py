"""The function `check_readiness` as Lambda runs it, and its result as `mint_token` answers it."""

import json
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.fakes.cloud import Cloud, cloud_at_moto
from tests.fakes.functions import Context, event, load_function


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with cloud_at_moto("check_readiness") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def function(cloud: Cloud) -> ModuleType:
    return load_function("check_readiness")


def test_what_the_check_finds_is_what_the_api_answers(cloud: Cloud, function: ModuleType) -> None:
    mint_token = load_function("mint_token")
    before = mint_token.handler(event("health_ready"), Context())
    found = function.handler({}, Context())
    after = load_function("mint_token").handler(event("health_ready"), Context())

    assert before["statusCode"] == 503
    assert found == {"ready": True, "checks": dict.fromkeys(("api_key", "whop", "key_set", "table", "queue"), "ok")}
    assert (after["statusCode"], json.loads(after["body"])["checks"]) == (200, found["checks"])
