from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.fakes.moto_aws import table
from tests.unit.oauth.world import TABLE, World


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws(), table(TABLE):
        yield World()
