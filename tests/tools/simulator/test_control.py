"""The typed client that controls the simulator."""

from collections.abc import Iterator

import httpx
import pytest

from local.whop_simulator import Fault, Simulator, as_httpx_transport
from local.whop_simulator.control import ControlError, SimulatorControl
from local.whop_simulator.limits import Limits
from local.whop_simulator.readings import Readings
from tests.tools.simulator.api import Api, message


@pytest.fixture
def control(simulator: Simulator) -> Iterator[SimulatorControl]:
    with SimulatorControl("https://whop.test", transport=as_httpx_transport(simulator)) as made:
        yield made


def test_the_client_does_what_the_simulator_does(
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


def test_the_client_adds_and_revokes(control: SimulatorControl, simulator: Simulator) -> None:
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


def test_the_client_blocks_a_deletion(control: SimulatorControl, whop: Api) -> None:
    account = str(whop.create("a@people.test").json()["id"])
    control.block_deletion(account, "Balance left.")
    assert message(whop.call("DELETE", f"/accounts/{account}")) == "Balance left."


def test_an_invalid_control_request_is_refused(control: SimulatorControl) -> None:
    with pytest.raises(ControlError, match="no such reading"):
        control.change_readings(moon_phase="full")
    with pytest.raises(ControlError, match="forward"):
        control.advance(-1)
    with pytest.raises(ControlError, match="biz_Nowhere"):
        control.block_deletion("biz_Nowhere", "why")


def test_the_client_lets_every_token_expire(control: SimulatorControl, whop: Api) -> None:
    user = whop.enrol("jane@people.test", "pool:jane")
    token = str(whop.mint(user).json()["token"])
    assert whop.say(token).status == 200
    control.expire_tokens()
    assert whop.say(token).status == 401
    assert whop.say(str(whop.mint(user).json()["token"])).status == 200
