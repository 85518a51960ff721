import secrets

import pytest

from local.whop_simulator import Simulator
from tests.tools.simulator.api import COMPANY, Api, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Simulator:
    return Simulator(clock=clock)


@pytest.fixture
def whop(simulator: Simulator) -> Api:
    secret = secrets.token_urlsafe(16)
    simulator.add_key(secret, company_id=COMPANY)
    return Api(simulator, secret)
