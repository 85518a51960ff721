"""What the tests of an enrolment have in common."""

import pytest

from tests.unit.enrolment.world import World


@pytest.fixture
def world() -> World:
    return World()
