import secrets
from collections.abc import Iterator

import httpx
import pytest

from local.whop_check.client import Sandbox
from local.whop_simulator import DEFAULT_COMPANY, Simulator, as_httpx_transport
from tests.tools.local.whop_check.asking import EMAIL, OAUTH_APP


@pytest.fixture
def simulator() -> Simulator:
    return Simulator()


@pytest.fixture
def key(simulator: Simulator) -> str:
    """An API key that the simulator knows."""
    secret = f"apik_{secrets.token_urlsafe(16)}"
    simulator.add_key(secret)
    return secret


@pytest.fixture
def sandbox(simulator: Simulator, key: str) -> Iterator[Sandbox]:
    """The simulator as a sandbox, with a Whop user who owns none of our accounts."""
    stranger = simulator.add_person("stranger@people.test")
    with httpx.Client(transport=as_httpx_transport(simulator), base_url="http://127.0.0.1") as http:
        simulator.add_oauth_app(OAUTH_APP, [])
        yield Sandbox(http, key, DEFAULT_COMPANY, EMAIL, stranger=stranger, oauth_client=OAUTH_APP)
