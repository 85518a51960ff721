"""What each fault does to a call, and to its answer."""

import json
from typing import Any

import pytest

from local.whop_simulator import Fate, Fault, Simulator
from tests.tools.simulator.api import Api, accounts, message


def test_a_status_applies_to_its_own_operation(whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "status", count=2, status=500)
    assert whop.call("GET", "/accounts").status == 200
    assert [whop.create("a@people.test").status for _ in range(3)] == [500, 500, 201]
    assert simulator.faults() == ()


def test_a_fault_can_skip_calls(whop: Api) -> None:
    whop.fault("accounts.list", "status", skip=1, status=422)
    assert [whop.call("GET", "/accounts").status for _ in range(3)] == [200, 422, 200]


def test_a_fault_without_count_applies_until_it_is_removed(whop: Api, simulator: Simulator) -> None:
    whop.fault("*", "status", count=None, status=503)
    assert {whop.call("GET", "/accounts").status for _ in range(5)} == {503}
    simulator.clear_faults("*")
    assert whop.call("GET", "/accounts").status == 200


def test_a_429_names_the_wait_and_a_body_replaces_the_error(whop: Api) -> None:
    whop.fault("accounts.list", "status", status=429, wait=12)
    whop.fault("accounts.list", "status", status=502, body="<html>bad gateway</html>")
    assert message(whop.call("GET", "/accounts")) == "Try again in 12 seconds."
    assert whop.call("GET", "/accounts").body == b"<html>bad gateway</html>"


@pytest.mark.parametrize(
    ("kind", "made"), [("drop_before", 1), ("crash_before", 1), ("drop_after", 2), ("crash_after", 2)]
)
def test_a_dropped_call_has_its_effect_or_not(whop: Api, simulator: Simulator, kind: Any, made: int) -> None:
    whop.fault("accounts.create", kind)
    assert whop.create("a@people.test").fate is Fate.DROPPED
    assert accounts(simulator) == made
    assert simulator.calls()[-1].status == 0


def test_an_error_after_the_effect_hides_it(whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "status_after", status=502)
    assert whop.create("a@people.test", key="k").status == 502
    assert accounts(simulator) == 2
    assert whop.create("a@people.test", key="k").status == 201


def test_an_unreachable_whop_logs_no_call(whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "unreachable")
    assert whop.create("a@people.test").fate is Fate.UNREACHABLE
    assert simulator.calls() == ()


def test_a_malformed_answer_hides_an_effect(whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "malformed")
    response = whop.create("a@people.test")
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(response.body)
    assert (response.status, accounts(simulator)) == (201, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "accounts.create", "kind": "explode"},
        {"operation": "accounts.create", "kind": "status", "count": 0},
        {"operation": "accounts.create", "kind": "status", "status": 200},
        {"operation": "accounts.create", "kind": "delay", "seconds": "long"},
        {"operation": "accounts.create", "kind": "delay", "colour": "red"},
        {"kind": "delay"},
    ],
)
def test_an_invalid_fault_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Fault.from_dict(fields)


def test_a_fault_for_an_unknown_operation_is_refused(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="operation"):
        simulator.add_fault(Fault("accounts.explode", "status"))


def test_a_fault_can_end_by_itself(whop: Api, simulator: Simulator) -> None:
    whop.fault("*", "status", count=None, lasts=20, status=429, wait=20)
    assert whop.call("GET", "/accounts").status == 429
    simulator.advance(20)
    assert simulator.faults() == ()
    assert whop.call("GET", "/accounts").status == 200
