"""Users with Whop accounts of their own, in small. A service that fails them is noticed."""

from unittest.mock import patch

import pytest

from soak.scenarios import links
from whop_chat.oauth.revocations import Revocations

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("storm", [0.0, 1.0])
def test_nothing_is_lost_when_calls_fail_and_functions_are_killed(storm: float) -> None:
    assert links.run(1, users=12, storm=storm).unmet == {}


def test_tokens_that_are_not_revoked_are_noticed() -> None:
    def forgotten(*_: object, **__: object) -> None:
        return

    with patch.object(Revocations, "revoke_all", forgotten):
        assert "revocations that were not made" in links.run(1, users=12, storm=0.0).unmet
