"""One local cloud for all end-to-end tests, with the real template deployed in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from local.chat_app import ChatApp, Tokens, User
from local.processes import interruptible
from local.stack import Deployment, LocalStack
from local.whop_simulator import Limits, Readings
from local.whop_simulator.control import SimulatorControl
from tests.e2e.harness import OwnPool, deploy_on_own_pool, make_key


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalStack]:
    """AWS and Whop on this machine."""
    with interruptible(), LocalStack() as cloud:
        cloud.start()
        yield cloud


@pytest.fixture(scope="session")
def template(cloud: LocalStack) -> Path:
    """The built template."""
    return cloud.build()


@pytest.fixture(scope="session")
def api_key(cloud: LocalStack) -> str:
    """The Whop API key that the stacks use."""
    return make_key(cloud)


@pytest.fixture(scope="session")
def stack(cloud: LocalStack, template: Path, api_key: str) -> Deployment:
    """The stack with a user pool of its own, ready for use."""
    deployment = cloud.deploy(template, "whop-chat")
    cloud.put_api_key(deployment, api_key)
    return deployment


@pytest.fixture(scope="session")
def own_pool(cloud: LocalStack, template: Path, api_key: str) -> OwnPool:
    """A second stack, on a pool that was there before it."""
    return deploy_on_own_pool(cloud, template, api_key)


@pytest.fixture(autouse=True)
def whop(cloud: LocalStack) -> Iterator[SimulatorControl]:
    """The control of the Whop simulator; what a test changes there is undone after it."""
    yield cloud.whop
    cloud.whop.clear_faults()
    cloud.whop.set_readings(Readings())
    cloud.whop.set_limits(Limits())


@pytest.fixture(scope="session")
def app(cloud: LocalStack, stack: Deployment) -> ChatApp:
    """A team's app on ``stack``."""
    return ChatApp(cloud, stack)


@pytest.fixture
def sign_up(app: ChatApp) -> Callable[..., User]:
    """``sign_up(email?) -> user``, confirmed."""
    return app.sign_up


@pytest.fixture
def sign_in(app: ChatApp) -> Callable[[User], Tokens]:
    """``sign_in(user) -> tokens``."""
    return app.sign_in


@pytest.fixture
def mint(app: ChatApp) -> Callable[..., httpx.Response]:
    """``mint(token, body?, headers=?) -> response``."""
    return app.mint
