"""Users of a deployed stack whose tokens are sealed, and the time that a rotation of the data key needs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from manage import sealed_items
from manage.commands import rotate_data_key
from tests.fakes import moto_aws
from tests.fakes.moto_aws import AN_HOUR
from tests.tools.manage.deployment import DeployedStack
from tests.unit.oauth.world import ADA, BEN, World

TO_REVOKE = "refresh-token-of-ben"
CACHE_SECONDS = 360


@contextmanager
def sealed_world(run: DeployedStack) -> Iterator[World]:
    """Ada has linked her account, and Ben has a token to revoke. No link is in progress any more."""
    with moto_aws.current_secrets():
        world = World()
        run.outputs["DataKeySecretArn"] = world.secret
        world.link(ADA)
        world.revocations.add(BEN, TO_REVOKE, deadline=AN_HOUR)
        for key in run.items():
            if key.startswith(("STATE#", "LINKING#")):
                run.table.delete_item(TableName="users", Key={"pk": {"S": key}})
        yield world
    for secret in (world.secret, world.client_secret):
        moto_aws.client("secretsmanager").delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)


def run_later(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the next commands run so long after now."""
    later = SimpleNamespace(time=lambda: time.time() + seconds)
    for module in (rotate_data_key, sealed_items):
        patch.setattr(module, "time", later)
