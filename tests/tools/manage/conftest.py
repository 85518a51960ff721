"""A deployed stack for the commands to work on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tools.manage.deployment import DeployedStack


@pytest.fixture(scope="module")
def _deployed() -> Iterator["DeployedStack"]:
    from tests.tools.manage.deployment import deployed_stack

    with deployed_stack() as stack:
        yield stack


@pytest.fixture
def run(_deployed: "DeployedStack", capsys: pytest.CaptureFixture[str]) -> Iterator["DeployedStack"]:
    """``run(argument, ...)`` is a command on a deployed stack in which nothing has happened yet."""
    with _deployed.at_the_beginning(capsys) as run:
        yield run
