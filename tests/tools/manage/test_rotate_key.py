"""rotate-key: the key on standard input replaces the one in use, or nothing changes."""

import json
import secrets
import time
from datetime import datetime
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from local.whop_simulator import Simulator
from local.whop_simulator.state import DEFAULT_PERMISSIONS
from manage import secret as secret_module
from tests.fakes.settings import API_KEY, COMPANY_ID
from tests.tools.manage.deployment import OPERATOR, DeployedStack
from tests.tools.manage.run import Run


@pytest.fixture
def new_key(whop: Simulator) -> str:
    """Another key of the company."""
    key = secrets.token_urlsafe(24)
    whop.add_key(key, company_id=COMPANY_ID)
    return key


def rotate(run: DeployedStack, key: str) -> Run:
    return run("--json", "rotate-key", pipe=f"{key}\n")


def test_the_new_key_is_in_use_and_the_old_one_is_still_known(run: DeployedStack, new_key: str) -> None:
    done = rotate(run, new_key)

    assert (done.status, done.json["outcome"]) == (0, "rotated"), done.err
    assert (run.secret(), run.secret("AWSPREVIOUS")) == (new_key, API_KEY)
    assert run.acts() == [(OPERATOR, "rotate-key", "rotated")]
    assert new_key not in done.out + done.err


def test_the_old_key_can_be_revoked_when_caches_and_tokens_are_over(run: DeployedStack, new_key: str) -> None:
    run.parameters["TokenTtlMinutes"] = "45"
    told = datetime.fromisoformat(rotate(run, new_key).json["revoke_old_key_after"])

    wait = told.timestamp() - time.time()
    assert 50 * 60 < wait <= 51 * 60


def test_the_new_key_may_be_json_like_the_secret(run: DeployedStack, new_key: str) -> None:
    text = json.dumps({"api_key": new_key, "owner": "team"})

    assert rotate(run, text).status == 0
    assert run.secret() == text


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ({"permissions": DEFAULT_PERMISSIONS - {"chat:read"}}, "permission_missing"),
        ({"company_id": "biz_Other"}, "other_company"),
        (None, "api_key_refused"),
    ],
)
def test_a_key_that_whop_does_not_accept_for_all_changes_nothing(
    run: DeployedStack, whop: Simulator, key: dict[str, Any] | None, code: str
) -> None:
    new = secrets.token_urlsafe(24)
    if key is not None:
        whop.add_key(new, **{"company_id": COMPANY_ID, **key})

    done = rotate(run, new)

    assert (done.status, done.json["outcome"]) == (1, "not_proven")
    assert [each["code"] for each in done.json["findings"]] == [code]
    assert run.secret() == API_KEY
    assert new not in done.out + done.err


def test_a_key_whose_permissions_whop_does_not_tell_is_in_use_and_the_operator_knows(
    run: DeployedStack, new_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404 if request.url.path.endswith("permissions") else 200, json={"data": None})

    monkeypatch.setitem(run.cloud.internet.hosts, "api.whop.com", answer)
    done = rotate(run, new_key)

    assert (done.status, [each["code"] for each in done.json["findings"]]) == (0, ["permissions_unknown"])
    assert "Compare the key at Whop with" in done.err
    assert run.secret() == new_key


@pytest.mark.parametrize("text", ["", "two words", '"quoted"', "{"])
def test_what_is_no_key_is_not_stored(run: DeployedStack, whop: Simulator, text: str) -> None:
    done = rotate(run, text)

    assert (done.status, run.secret(), run.acts()) == (1, API_KEY, [])


def test_the_key_in_use_is_not_rotated(run: DeployedStack, whop: Simulator) -> None:
    assert rotate(run, API_KEY).json["outcome"] == "nothing_to_do"


def test_a_secret_without_a_key_gets_its_first_one_otherwise(
    run: DeployedStack, new_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets Manager would use the first version before Whop has accepted it."""
    monkeypatch.setattr(secret_module.Secret, "current", lambda _: None)

    done = rotate(run, new_key)

    assert (done.status, run.secret()) == (1, API_KEY)


@pytest.mark.parametrize("step", ["pending", "promote"])
@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), ClientError({}, "PutSecretValue")])
def test_an_aborted_rotation_leaves_the_old_key(
    run: DeployedStack, new_key: str, monkeypatch: pytest.MonkeyPatch, step: str, interruption: BaseException
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise interruption

    with monkeypatch.context() as patch:
        patch.setattr(secret_module.Secret, step, interrupted)
        assert rotate(run, new_key).status != 0
    assert run.secret() == API_KEY

    assert rotate(run, new_key).status == 0
    assert run.secret() == new_key


def test_a_key_that_somebody_stores_meanwhile_is_not_replaced(
    run: DeployedStack, whop: Simulator, new_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = secrets.token_urlsafe(24)
    promote = secret_module.Secret.promote

    def promoted(self: secret_module.Secret, *args: Any, **kwargs: Any) -> None:
        run.put_secret(third)
        promote(self, *args, **kwargs)

    monkeypatch.setattr(secret_module.Secret, "promote", promoted)

    assert rotate(run, new_key).status == 1
    assert run.secret() == third
