import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.whop_simulator import Fate, Fault, Simulator, as_httpx_transport
from local.whop_simulator.control import ControlError, SimulatorControl
from local.whop_simulator.limits import Limits
from local.whop_simulator.readings import Readings
from tests.tools.simulator.api import COMPANY, Api, message


def accounts(simulator: Simulator) -> int:
    found: Any = simulator.dump()["accounts"]
    return len(found)


@pytest.fixture
def client(whop: Api, simulator: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(
        transport=as_httpx_transport(simulator),
        base_url="https://whop.test/api/v1",
        headers={"authorization": f"Bearer {whop.secret}", "api-version-date": "2026-10-15-1"},
        timeout=5.0,
    ) as made:
        yield made


@pytest.fixture
def control(simulator: Simulator) -> Iterator[SimulatorControl]:
    with SimulatorControl("https://whop.test", transport=as_httpx_transport(simulator)) as made:
        yield made


def test_a_status_strikes_the_next_calls_of_its_operation_and_no_other(whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "status", count=2, status=500)
    assert whop.call("GET", "/accounts").status == 200
    assert [whop.create("a@people.test").status for _ in range(3)] == [500, 500, 201]
    assert simulator.faults() == ()


def test_a_fault_can_let_calls_pass_first(whop: Api) -> None:
    whop.fault("accounts.list", "status", skip=1, status=422)
    assert [whop.call("GET", "/accounts").status for _ in range(3)] == [200, 422, 200]


def test_a_fault_without_count_strikes_until_it_is_cleared(whop: Api, simulator: Simulator) -> None:
    whop.fault("*", "status", count=None, status=503)
    assert {whop.call("GET", "/accounts").status for _ in range(5)} == {503}
    simulator.clear_faults("*")
    assert whop.call("GET", "/accounts").status == 200


def test_a_429_tells_the_wait_it_was_given_and_a_body_replaces_the_envelope(whop: Api) -> None:
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


def test_an_error_on_the_way_back_hides_an_effect_that_happened(whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "status_after", status=502)
    assert whop.create("a@people.test", key="k").status == 502
    assert accounts(simulator) == 2
    assert whop.create("a@people.test", key="k").status == 201


def test_an_unreachable_whop_notices_nothing(whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "unreachable")
    assert whop.create("a@people.test").fate is Fate.UNREACHABLE
    assert simulator.calls() == ()


def test_a_malformed_answer_is_no_json_though_the_effect_happened(whop: Api, simulator: Simulator) -> None:
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
def test_a_fault_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Fault.from_dict(fields)


def test_a_fault_for_an_operation_that_does_not_exist_is_refused(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="operation"):
        simulator.add_fault(Fault("accounts.explode", "status"))


def test_over_httpx_the_api_answers_as_over_a_socket(client: httpx.Client) -> None:
    made = client.post("/accounts", json={"email": "a@people.test"})
    assert (made.status_code, made.json()["parent_account"]["id"]) == (201, COMPANY)
    assert client.get("/accounts", params={"owner_id": made.json()["owner"]["id"]}).json()["data"] == [
        made.json() | {"status": "active"}
    ]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("unreachable", httpx.ConnectError),
        ("drop_before", httpx.RemoteProtocolError),
        ("drop_after", httpx.RemoteProtocolError),
        ("truncated", httpx.RemoteProtocolError),
    ],
)
def test_over_httpx_a_lost_connection_raises_what_a_socket_raises(
    client: httpx.Client, whop: Api, kind: Any, error: type[Exception]
) -> None:
    whop.fault("accounts.list", kind)
    with pytest.raises(error):
        client.get("/accounts")
    assert client.get("/accounts").status_code == 200


def test_over_httpx_a_delay_beyond_the_timeout_is_a_read_timeout_and_lands_later(
    client: httpx.Client, whop: Api, simulator: Simulator
) -> None:
    whop.fault("accounts.create", "delay", seconds=10)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/accounts", json={"email": "a@people.test"})
    assert accounts(simulator) == 1
    simulator.advance(10)
    assert accounts(simulator) == 2


def test_over_httpx_a_delay_within_the_timeout_is_not_waited_for(client: httpx.Client, whop: Api) -> None:
    whop.fault("accounts.list", "delay", seconds=4)
    assert client.get("/accounts").status_code == 200


def test_over_httpx_a_drip_comes_byte_by_byte_or_times_out(client: httpx.Client, whop: Api) -> None:
    whop.fault("accounts.list", "drip", seconds=1)
    with client.stream("GET", "/accounts") as response:
        assert {len(chunk) for chunk in response.iter_raw()} == {1}
    whop.fault("accounts.list", "drip", seconds=6)
    with pytest.raises(httpx.ReadTimeout):
        client.get("/accounts")


def test_the_control_client_does_what_the_simulator_s_methods_do(
    control: SimulatorControl, simulator: Simulator, client: httpx.Client
) -> None:
    assert control.is_ready()
    fault = Fault("accounts.list", "delay", seconds=0.5, count=None)
    control.add_fault(fault)
    assert control.faults() == simulator.faults() == (fault,)
    control.clear_faults("accounts.list")
    assert control.faults() == ()
    control.set_readings(Readings(existing_account_status=201))
    assert control.change_readings(retry_after_header=True) == control.readings() == simulator.readings
    assert control.readings() == Readings(existing_account_status=201, retry_after_header=True)
    control.set_limits(Limits(7, 30))
    assert simulator.limits == Limits(7, 30)
    client.get("/accounts")
    assert control.calls() == simulator.calls("accounts.list")
    assert control.counts() == simulator.counts()
    assert control.calls("accounts.create") == ()
    assert control.state() == simulator.dump()
    assert control.advance(5) == control.now() == simulator.now()
    assert len(control.rules()) > 50
    control.reset()
    assert control.calls() == ()


def test_the_control_client_adds_and_revokes_keys_companies_and_people(
    control: SimulatorControl, simulator: Simulator
) -> None:
    control.add_company("biz_Second", title="Second", owner_email="boss@people.test")
    control.add_key("second-key", company_id="biz_Second", permissions=["company:basic:read"])
    person = control.add_person("known@people.test", name="Known")
    assert simulator.add_person("known@people.test") == person
    second = Api(simulator, "second-key")
    assert second.call("GET", "/accounts/me").json()["title"] == "Second"
    assert second.create("a@people.test").status == 403
    assert control.revoke_key("second-key")
    assert not control.revoke_key("second-key")
    assert second.call("GET", "/accounts/me").status == 401


def test_the_control_client_blocks_a_deletion(control: SimulatorControl, whop: Api) -> None:
    account = str(whop.create("a@people.test").json()["id"])
    control.block_deletion(account, "Balance left.")
    assert message(whop.call("DELETE", f"/accounts/{account}")) == "Balance left."


def test_a_control_request_that_makes_no_sense_is_refused(control: SimulatorControl) -> None:
    with pytest.raises(ControlError, match="no such reading"):
        control.change_readings(moon_phase="full")
    with pytest.raises(ControlError, match="forward"):
        control.advance(-1)
    with pytest.raises(ControlError, match="biz_Nowhere"):
        control.block_deletion("biz_Nowhere", "why")
