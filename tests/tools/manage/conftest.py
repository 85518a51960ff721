"""Two stacks for the commands to work on: one with users, runs and messages, one whose pool can be attached."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from local.whop_simulator import Simulator
    from tests.tools.manage.deployment import DeployedStack
    from tests.tools.manage.pools_at_aws import Aws, Operator
    from whop_chat.cognito.user import UserRef


@pytest.fixture(scope="module")
def _deployed() -> Iterator["DeployedStack"]:
    from tests.tools.manage.deployment import deployed_stack

    with deployed_stack() as stack:
        yield stack


@pytest.fixture
def run(_deployed: "DeployedStack", capsys: pytest.CaptureFixture[str]) -> Iterator["DeployedStack"]:
    """``run(argument, ...)`` runs a command on a deployed stack in which nothing has happened yet."""
    with _deployed.fresh(capsys) as run:
        yield run


@pytest.fixture
def ann(run: "DeployedStack") -> "UserRef":
    """A user of the pool, without a record."""
    return run.cloud.sign_up("ann")


@pytest.fixture
def whop(run: "DeployedStack", monkeypatch: pytest.MonkeyPatch) -> "Simulator":
    """Whop, which knows the key in the secret."""
    from local.whop_simulator import Simulator, as_httpx_transport
    from tests.fakes.settings import API_KEY, COMPANY_ID

    simulator = Simulator()
    simulator.add_key(API_KEY, company_id=COMPANY_ID)
    answer = as_httpx_transport(simulator).handle_request
    monkeypatch.setitem(run.cloud.internet.hosts, "api.whop.com", answer)
    return simulator


@pytest.fixture
def aws() -> "Aws":
    """An account with a stack and a user pool that has every setting."""
    from tests.tools.manage.pools_at_aws import Aws

    return Aws()


@pytest.fixture
def operate(aws: "Aws", capsys: pytest.CaptureFixture[str]) -> Iterator["Operator"]:
    """``operate(argument, ...)`` runs a command on the stack of ``aws``."""
    from tests.tools.manage.pools_at_aws import Operator

    with pytest.MonkeyPatch.context() as patch:
        yield Operator(aws, patch, capsys)
