import secrets
from collections.abc import Iterator

import httpx
import pytest

from local.whop_simulator import Simulator, as_httpx_transport
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


@pytest.fixture
def client(whop: Api, simulator: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(
        transport=as_httpx_transport(simulator),
        base_url="https://whop.test/api/v1",
        headers={"authorization": f"Bearer {whop.secret}", "api-version-date": "2026-10-15-1"},
        timeout=5.0,
    ) as made:
        yield made
