"""Idempotency-Key: replays, mismatches, and requests whose outcome is unknown."""

import secrets
from typing import Any

import pytest

from local.whop_simulator import Limits, Simulator
from tests.tools.simulator.api import COMPANY, Api, Clock

DAY = 24 * 3600


def children(simulator: Simulator) -> int:
    accounts: Any = simulator.dump()["accounts"]
    return len(accounts) - 1


def test_the_same_key_replays_the_same_bytes(whop: Api, simulator: Simulator) -> None:
    first = whop.create("a@people.test", "one", key="k", title="First")
    account = first.json()["id"]
    whop.call("PATCH", f"/accounts/{account}", {"title": "Changed"})
    again = whop.create("a@people.test", "one", key="k", title="First")
    assert (again.status, again.body) == (first.status, first.body)
    assert (first.header("idempotent-replayed"), again.header("idempotent-replayed")) == (None, "true")
    assert simulator.calls()[-1].replayed


def test_a_refusal_is_replayed_even_after_its_reason_is_gone(whop: Api) -> None:
    blocker = whop.create("a@people.test", "one").json()["id"]
    refused = whop.create("b@people.test", "one", key="k")
    whop.call("DELETE", f"/accounts/{blocker}")
    again = whop.create("b@people.test", "one", key="k")
    assert (refused.status, again.status, again.header("idempotent-replayed")) == (409, 409, "true")
    assert whop.create("b@people.test", "one", key="another").status == 201


@pytest.mark.parametrize("difference", ["body", "version", "query"])
def test_the_same_key_for_another_request_is_a_mismatch(whop: Api, difference: str) -> None:
    body = {"email": "a@people.test"}
    key = {"idempotency-key": "k"}
    whop.call("POST", "/accounts", body, key)
    if difference == "body":
        answer: Any = whop.call("POST", "/accounts", {"email": "b@people.test"}, key)
    elif difference == "version":
        answer = whop.call("POST", "/accounts", body, key | {"api-version-date": "2026-09-29"})
    else:
        answer = whop.call("POST", "/accounts?x=1", body, key)
    assert (answer.status, answer.json()["error"]["code"]) == (400, "idempotency_key_mismatch")


def test_a_key_is_kept_for_a_day(whop: Api, simulator: Simulator, clock: Clock) -> None:
    first = whop.create("a@people.test", "one", key="k")
    clock.seconds += DAY - 1
    assert whop.create("a@people.test", "one", key="k").header("idempotent-replayed") == "true"
    clock.seconds += 1
    fresh = whop.create("a@people.test", "one", key="k")
    assert (fresh.status, fresh.header("idempotent-replayed")) == (200, None)
    assert fresh.json()["id"] == first.json()["id"]


def test_two_callers_may_use_the_same_key(whop: Api, simulator: Simulator) -> None:
    other = secrets.token_urlsafe(16)
    simulator.add_key(other, company_id=COMPANY)
    whop.create("a@people.test", "one", key="k")
    assert Api(simulator, other).create("b@people.test", "two", key="k").status == 201


@pytest.mark.parametrize(("key", "status"), [("k" * 255, 201), ("k" * 256, 400), ("é" * 128, 400)])
def test_a_key_has_at_most_255_bytes(whop: Api, key: str, status: int) -> None:
    assert whop.create("a@people.test", key=key).status == status


def test_a_key_while_its_request_is_in_flight_is_a_409(whop: Api, simulator: Simulator) -> None:
    request = whop.request("POST", "/accounts", {"email": "a@people.test"}, {"idempotency-key": "k"})
    running = simulator.receive(request)
    assert simulator.handle(request).status == 409
    assert running.complete().status == 201
    assert simulator.handle(request).status == 201
    assert children(simulator) == 1


@pytest.mark.parametrize(("effect", "early"), [("late", 0), ("early", 1)])
def test_a_delayed_request_has_its_effect_when_the_fault_says(
    whop: Api, simulator: Simulator, effect: Any, early: int
) -> None:
    whop.fault("accounts.create", "delay", seconds=30, effect=effect)
    request = whop.request("POST", "/accounts", {"email": "a@people.test"}, {"idempotency-key": "k"})
    simulator.receive(request)
    assert children(simulator) == early
    assert simulator.handle(request).status == 409
    simulator.advance(29)
    assert children(simulator) == early
    simulator.advance(1)
    assert children(simulator) == 1
    assert simulator.handle(request).header("idempotent-replayed") == "true"


def test_a_lost_answer_is_replayed(whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "drop_after")
    assert whop.create("a@people.test", key="k").status == 0
    again = whop.create("a@people.test", key="k")
    assert (again.status, again.header("idempotent-replayed")) == (201, "true")
    assert children(simulator) == 1


def test_the_other_reading_holds_the_key_of_a_lost_answer(whop: Api, simulator: Simulator, clock: Clock) -> None:
    simulator.change_readings({"lost_answer": "held"})
    whop.fault("accounts.create", "drop_after")
    whop.create("a@people.test", "one", key="k")
    assert whop.create("a@people.test", "one", key="k").status == 409
    clock.seconds += DAY
    assert whop.create("a@people.test", "one", key="k").status == 200


@pytest.mark.parametrize(("kind", "made"), [("crash_before", 0), ("crash_after", 1)])
def test_a_crash_holds_the_key_until_it_expires(
    whop: Api, simulator: Simulator, clock: Clock, kind: Any, made: int
) -> None:
    whop.fault("accounts.create", kind)
    whop.create("a@people.test", "one", key="k")
    assert children(simulator) == made
    assert whop.create("a@people.test", "one", key="k").status == 409
    clock.seconds += DAY
    assert whop.create("a@people.test", "one", key="k").status in (200, 201)
    assert children(simulator) == 1


def test_a_connection_lost_before_the_effect_frees_the_key(whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "drop_before")
    whop.create("a@people.test", key="k")
    assert children(simulator) == 0
    assert whop.create("a@people.test", key="k").header("idempotent-replayed") is None


@pytest.mark.parametrize(
    ("reading", "status", "replayed"), [("run_again", 201, None), ("replayed", 503, "true"), ("held", 409, None)]
)
def test_a_server_error_treats_the_key_as_the_reading_says(
    whop: Api, simulator: Simulator, reading: str, status: int, replayed: str | None
) -> None:
    simulator.change_readings({"server_error": reading})
    whop.fault("accounts.create", "status", status=503)
    assert whop.create("a@people.test", key="k").status == 503
    again = whop.create("a@people.test", key="k")
    assert (again.status, again.header("idempotent-replayed")) == (status, replayed)


def test_a_4xx_on_request_is_replayed_but_a_429_is_not(whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "status", status=403)
    assert whop.create("a@people.test", key="k").status == 403
    assert whop.create("a@people.test", key="k").header("idempotent-replayed") == "true"
    whop.fault("accounts.create", "status", status=429, wait=7)
    assert whop.create("b@people.test", key="m").status == 429
    simulator.set_limits(Limits(calls=3))
    assert whop.create("b@people.test", key="m").status == 429
    simulator.advance(60)
    assert whop.create("b@people.test", key="m").status == 201


def test_access_tokens_ignore_the_key_by_default(whop: Api, simulator: Simulator) -> None:
    user = whop.enrol("a@people.test")
    key = {"idempotency-key": "k"}
    assert whop.mint(user, headers=key).body != whop.mint(user, headers=key).body
    simulator.change_readings({"access_tokens_idempotent": True})
    assert whop.mint(user, headers=key).body == whop.mint(user, headers=key).body


def test_other_methods_ignore_the_key(whop: Api) -> None:
    key = {"idempotency-key": "k"}
    assert whop.call("GET", "/accounts", headers=key).header("idempotent-replayed") is None
    assert whop.call("GET", "/accounts", headers=key).header("idempotent-replayed") is None
