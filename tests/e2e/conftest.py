"""One local cloud for all end-to-end tests, with the real template deployed in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from local.demo.chat_app import Tokens, User
from local.processes import interruptible
from local.stack import Deployment, LocalStack
from local.whop_simulator import Limits, Readings
from local.whop_simulator.control import SimulatorControl
from tests.e2e.confidential import Confidential
from tests.e2e.harness import (
    KeyedLater,
    OwnPool,
    SyncLane,
    TeamApp,
    deploy_and_key_later,
    deploy_on_own_pool,
    deploy_with,
    make_key,
    record_with_status,
)

_LAST = ("test_logs.py", "test_permissions.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the functions have logged, and what their roles were allowed, in the whole run is read at its end."""
    items.sort(key=lambda item: item.path.parent == Path(__file__).parent and item.path.name in _LAST)


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalStack]:
    """AWS and Whop on this machine."""
    with interruptible(), LocalStack() as cloud:
        cloud.start()
        yield cloud


@pytest.fixture(scope="session")
def confidential() -> Confidential:
    """What no log line may hold."""
    return Confidential()


@pytest.fixture(scope="session")
def stack(cloud: LocalStack, confidential: Confidential) -> Deployment:
    """The stack with a user pool of its own, ready for use; its groups are `banned` and `trial`."""
    groups = {"DeniedGroups": "banned", "GroupFeatures": "trial=channels"}
    # One user stands for many in these tests; who asks too often has a test and a stack of their own.
    parameters = groups | {"MintsPerMinute": "600"}
    deployment = cloud.deploy(cloud.build(), "whop-chat", parameters)
    cloud.put_api_key(deployment, make_key(cloud, confidential))
    return deployment


@pytest.fixture(scope="session")
def own_pool(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> OwnPool:
    """A second stack, on a pool that was there before it."""
    return deploy_on_own_pool(cloud, stack, confidential)


@pytest.fixture(autouse=True)
def whop(cloud: LocalStack) -> Iterator[SimulatorControl]:
    """The control of the Whop simulator; what a test changes there is undone after it."""
    yield cloud.whop
    cloud.whop.clear_faults()
    cloud.whop.set_readings(Readings())
    cloud.whop.set_limits(Limits())


@pytest.fixture(scope="session")
def app(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> TeamApp:
    """A team's app on ``stack``."""
    return TeamApp(cloud, stack, confidential)


@pytest.fixture(scope="session")
def lane(cloud: LocalStack, stack: Deployment) -> SyncLane:
    """The sync queue of ``stack``."""
    return SyncLane(cloud, stack)


@pytest.fixture(scope="session")
def own_lane(cloud: LocalStack, own_pool: OwnPool) -> SyncLane:
    """The sync queue of ``own_pool``."""
    return SyncLane(cloud, own_pool.deployment)


@pytest.fixture(scope="session")
def eager(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> TeamApp:
    """An app on a fourth stack: sign-ins are announced, accounts deleted, identities inherited; the issuer is new."""
    parameters = {"PoolTriggers": "sign-up-and-sign-in", "DeletePolicy": "delete-account", "EmailReuse": "inherit"}
    return deploy_with(cloud, stack, confidential, "eager", UserPoolIssuer="updated", **parameters)


@pytest.fixture(scope="session")
def reusing(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> TeamApp:
    """An app on a sixth stack: five tokens a minute for one user, who gets their last one while Whop fails."""
    parameters = {"MintsPerMinute": "5", "TokenReuse": "on-error", "MintConcurrency": "20"}
    return deploy_with(cloud, stack, confidential, "reusing", **parameters)


@pytest.fixture(scope="session")
def watching(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> TeamApp:
    """An app on a fifth stack, which hears of changes through CloudTrail."""
    return deploy_with(cloud, stack, confidential, "watching", WatchCloudTrail="true")


@pytest.fixture(scope="session")
def pictured(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> TeamApp:
    """An app on a seventh stack, whose users have pictures in the bucket ``pictures``, below ``avatars/``."""
    cloud.s3.create_bucket(Bucket="pictures")
    parameters = {"PoolTriggers": "sign-up-and-sign-in", "AvatarSource": "s3://pictures/avatars/{sub}"}
    return deploy_with(cloud, stack, confidential, "pictured", **parameters)


@pytest.fixture(scope="session")
def watching_lane(cloud: LocalStack, watching: TeamApp) -> SyncLane:
    """The sync queue of ``watching``."""
    return SyncLane(cloud, watching.deployment)


@pytest.fixture(scope="session")
def eager_lane(cloud: LocalStack, eager: TeamApp) -> SyncLane:
    """The sync queue of ``eager``."""
    return SyncLane(cloud, eager.deployment)


@pytest.fixture(scope="session")
def member(cloud: LocalStack, stack: Deployment, app: TeamApp) -> User:
    """A user of ``stack`` who is linked."""
    user = app.sign_up()
    record_with_status(cloud, stack, user, "linked")
    return user


@pytest.fixture(scope="session")
def member_tokens(app: TeamApp, member: User) -> Tokens:
    """What Cognito gave ``member``."""
    return app.sign_in(member)


@pytest.fixture(scope="session")
def keyed_later(cloud: LocalStack, app: TeamApp, confidential: Confidential) -> KeyedLater:
    """A third stack, whose secret had no value at first; its users are those of ``stack``."""
    return deploy_and_key_later(cloud, app, confidential)


@pytest.fixture
def sign_up(app: TeamApp) -> Callable[..., User]:
    """``sign_up(email?) -> user``, confirmed."""
    return app.sign_up


@pytest.fixture
def sign_in(app: TeamApp) -> Callable[[User], Tokens]:
    """``sign_in(user) -> tokens``."""
    return app.sign_in


@pytest.fixture
def mint(app: TeamApp) -> Callable[..., httpx.Response]:
    """``mint(token, body?, headers=?) -> response``."""
    return app.mint
