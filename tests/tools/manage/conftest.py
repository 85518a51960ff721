"""A deployed stack for the commands to work on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tools.manage.deployment import Operated


@pytest.fixture(scope="module")
def _operated() -> Iterator["Operated"]:
    from tests.tools.manage.deployment import operated

    with operated() as stack:
        yield stack


@pytest.fixture
def run(_operated: "Operated", capsys: pytest.CaptureFixture[str]) -> Iterator["Operated"]:
    """``run(argument, ...)`` is a command on a deployed stack in which nothing has happened yet."""
    with _operated.at_the_beginning(capsys) as run:
        yield run
