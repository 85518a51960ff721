"""What every call has in common: key, permission, version, rate limit, call log."""

import json
import secrets
from typing import Any

import pytest

from local.whop_simulator import Limits, Simulator
from local.whop_simulator.versions import KNOWN
from tests.tools.simulator.api import COMPANY, START, Api, Clock, message


def error(body: bytes) -> Any:
    return json.loads(body)["error"]


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic eA==", "Bearer"])
def test_a_call_without_a_known_key_is_a_401(whop: Api, header: str) -> None:
    response = whop.call("GET", "/accounts", headers={"authorization": header})
    assert response.status == 401
    assert error(response.body) == {"type": "unauthorized", "message": "Invalid or missing API key"}


def test_a_revoked_key_is_a_401(whop: Api, simulator: Simulator) -> None:
    assert simulator.revoke_key(whop.secret)
    assert whop.call("GET", "/accounts").status == 401


@pytest.mark.parametrize(
    ("method", "target", "body", "permission"),
    [
        ("POST", "/accounts", {"email": "a@people.test"}, "company:create_child"),
        ("GET", "/accounts", None, "company:basic:read"),
        ("GET", f"/accounts/{COMPANY}", None, "company:basic:read"),
        ("PATCH", f"/accounts/{COMPANY}", {"title": "x"}, "company:update"),
        ("DELETE", f"/accounts/{COMPANY}", None, "company:delete_child"),
        ("PATCH", f"/users/user_1?account_id={COMPANY}", {"name": "x"}, "user:profile:update"),
    ],
)
def test_a_missing_permission_is_named(
    simulator: Simulator, method: str, target: str, body: object, permission: str
) -> None:
    secret = secrets.token_urlsafe(16)
    simulator.add_key(secret, company_id=COMPANY, permissions=frozenset())
    response = Api(simulator, secret).call(method, target, body)
    assert (response.status, error(response.body)["type"]) == (403, "forbidden")
    assert permission in message(response)


def test_an_owner_level_key_has_every_permission(simulator: Simulator) -> None:
    secret = secrets.token_urlsafe(16)
    simulator.add_key(secret, company_id=COMPANY, permissions=frozenset(), owner_level=True)
    assert Api(simulator, secret).create("a@people.test").status == 201


@pytest.mark.parametrize("operation", [("GET", "/accounts"), ("POST", "/access_tokens")])
def test_an_unknown_version_is_a_400_that_lists_the_known_ones(whop: Api, operation: tuple[str, str]) -> None:
    response = whop.call(*operation, headers={"api-version-date": "2026-01-01"})
    assert response.status == 400
    assert all(version in message(response) for version in KNOWN)


def test_the_other_reading_lets_tokens_ignore_the_version(whop: Api, simulator: Simulator) -> None:
    simulator.change_readings({"access_tokens_check_version": False})
    user = whop.enrol("a@people.test")
    assert whop.mint(user, headers={"api-version-date": "2026-01-01"}).status == 200


def test_without_a_header_the_key_s_pin_applies(whop: Api, simulator: Simulator) -> None:
    old = secrets.token_urlsafe(16)
    simulator.add_key(old, company_id=COMPANY, pinned_version="2025-01-01")
    unversioned = {"api-version-date": ""}
    child = str(whop.create("a@people.test").json()["id"])
    assert Api(simulator, old).call("GET", f"/accounts/{child}", headers=unversioned).json()["parent_account_id"]
    assert whop.call("GET", f"/accounts/{child}", headers=unversioned).json()["parent_account"]


@pytest.mark.parametrize("target", ["/nowhere", "/accounts/", "/accounts/a/b", "/access_tokens/x"])
def test_an_unknown_path_is_a_404(whop: Api, target: str) -> None:
    assert whop.call("GET", target).status == 404


def test_a_body_that_is_not_a_json_object_is_a_400(whop: Api) -> None:
    assert whop.call("POST", "/accounts", [1]).status == 400


def test_the_rate_limit_answers_429_with_the_wait(whop: Api, simulator: Simulator, clock: Clock) -> None:
    simulator.set_limits(Limits(calls=2, seconds=60))
    assert whop.call("GET", "/accounts").status == 200
    clock.seconds += 48
    assert whop.call("GET", "/accounts").status == 200
    refused = whop.call("GET", "/accounts")
    assert error(refused.body) == {"type": "rate_limit_exceeded", "message": "Try again in 12 seconds."}
    assert (refused.status, refused.header("retry-after")) == (429, None)
    clock.seconds += 12
    assert whop.call("GET", "/accounts").status == 200


def test_the_rate_limit_is_per_operation_and_key(whop: Api, simulator: Simulator) -> None:
    simulator.set_limits(Limits(calls=1))
    other = secrets.token_urlsafe(16)
    simulator.add_key(other, company_id=COMPANY)
    answers = [
        whop.call("GET", "/accounts"),
        whop.call("GET", f"/accounts/{COMPANY}"),
        Api(simulator, other).call("GET", "/accounts"),
        whop.call("GET", "/accounts"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]


def test_the_other_reading_adds_retry_after_to_a_429(whop: Api, simulator: Simulator) -> None:
    simulator.change_readings({"retry_after_header": True})
    simulator.set_limits(Limits(calls=1))
    whop.call("GET", "/accounts")
    assert whop.call("GET", "/accounts").header("retry-after") == "60"


def test_the_counts_show_the_busiest_window(whop: Api, simulator: Simulator, clock: Clock) -> None:
    simulator.set_limits(Limits(calls=3, seconds=60))
    for _ in range(4):
        whop.call("GET", "/accounts")
    clock.seconds += 61
    whop.call("GET", "/accounts")
    count = simulator.counts()["accounts.list"]
    assert (count.calls, count.refused, count.peak) == (5, 1, 4)


def test_the_log_names_the_calls_and_no_secret(whop: Api, simulator: Simulator) -> None:
    whop.create("a@people.test", key="my-key")
    whop.call("GET", "/nowhere")
    made, lost = simulator.calls()
    assert (made.operation, made.status, made.at, made.api_version) == ("accounts.create", 201, START, "2026-10-15-1")
    assert made.header_names == ("api-version-date", "authorization", "idempotency-key")
    assert made.idempotency_key_hash not in (None, "my-key")
    assert (lost.operation, lost.status) == ("unknown", 404)
    assert whop.secret not in repr(simulator.calls())
    assert "my-key" not in repr(simulator.calls())


def test_the_state_is_json_without_keys_and_tokens(whop: Api, simulator: Simulator) -> None:
    token = str(whop.mint(whop.enrol("a@people.test")).json()["token"])
    whop.say(token)
    dumped = json.dumps(simulator.dump())
    assert whop.secret not in dumped
    assert token not in dumped
    assert "a@people.test" in dumped


def test_a_reset_forgets_everything_except_the_keys(whop: Api, simulator: Simulator) -> None:
    whop.enrol("a@people.test", "one")
    whop.fault("*", "status")
    simulator.change_readings({"external_id_ignored": True})
    simulator.advance(10)
    simulator.reset()
    assert simulator.calls() == ()
    assert (simulator.faults(), simulator.now(), simulator.readings.external_id_ignored) == ((), START, False)
    assert whop.call("GET", "/accounts").json()["data"] != []
    assert len(simulator.dump()["accounts"]) == 1  # type: ignore[arg-type]


def test_the_clock_does_not_go_back(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="forward"):
        simulator.advance(-1)
