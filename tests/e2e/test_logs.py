"""What the functions have logged, in this test and in all that ran before it."""

import re

import pytest

from local.processes import wait_until
from local.stack import Deployment, LocalStack
from tests.e2e.confidential import Confidential
from tests.e2e.harness import SyncLane, TeamApp, record_with_status

_JWT = "eyJraWQiOiJhYmNkZWZnaCJ9.eyJzdWIiOiIwMTIzNDU2Nzg5YWJjZGVmIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


def test_no_log_line_holds_a_key_a_token_a_password_an_address_or_a_name(
    cloud: LocalStack, stack: Deployment, app: TeamApp, lane: SyncLane, confidential: Confidential
) -> None:
    user = app.sign_up(confirm=False)
    app.give_name(user, "Ada of the Last Test")
    app.confirm(user)
    record_with_status(cloud, stack, user, "linked")
    assert app.mint(app.sign_in(user).access).status_code == 200
    lane.settle()

    lines: list[str] = []

    def complete() -> bool:
        lines[:] = cloud.function_log()
        told = {each for line in lines if user.sub in line for each in re.findall(r'"message": "([^"]+)"', line)}
        return told >= {"sign-up enqueued", "user synced", "token minted"}

    assert wait_until(complete, 10, poll=0.5)
    assert len(confidential) > 10
    assert confidential.found_in(lines) == []


@pytest.mark.parametrize(
    "line",
    [
        "the key is apik_0123456789abcdefghijklmnop, said somebody",
        "cut short: apik_0123456789abcde",
        f"Bearer {_JWT}",
        f"only the payload of it: {_JWT.split('.')[1]}",
        f"only the signature of it: {_JWT.split('.')[2]}",
        '{"email": "ada.lovelace@people.example.test"}',
        "ADA.LOVELACE@PEOPLE.EXAMPLE.TEST in capitals",
        "ada.lovelace alone",
        '{"username":"ada"}',
        "Name: ada lovelace",
    ],
    ids=["key", "cut key", "token", "payload", "signature", "address", "capitals", "local part", "user name", "name"],
)
def test_the_check_finds_whatever_is_logged(line: str) -> None:
    found = _known().found_in(["an innocent line", line])
    assert found
    assert all(" in: " in each for each in found)


@pytest.mark.parametrize("line", ["canada", "adamant", "apik_", "0a1b2c3d-4e5f", "eyJraWQiOiJhYm"])
def test_the_check_passes_what_only_looks_like_it(line: str) -> None:
    assert _known().found_in([line]) == []


def test_what_the_check_finds_it_does_not_repeat() -> None:
    assert "ada" not in _known().found_in(["username ada"])[0]


def _known() -> Confidential:
    confidential = Confidential()
    confidential.secret("API key", "apik_0123456789abcdefghijklmnop")
    confidential.secret("Cognito token", _JWT)
    confidential.email("ada.lovelace@people.example.test")
    confidential.username("ada", sub="0a1b2c3d-4e5f")
    confidential.username("0a1b2c3d-4e5f", sub="0a1b2c3d-4e5f")
    confidential.name("Ada Lovelace")
    return confidential
