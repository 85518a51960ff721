"""An outage of Whop and a flood of one user, in small. A service that fails in them is noticed."""

from unittest.mock import patch

import pytest

from soak.scenarios import flood, outage
from whop_chat.cognito.user import UserRef
from whop_chat.minting import token_cache as kept_tokens
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import Record
from whop_chat.users.repository import DynamoDBUserRepository

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("mode", ["never", "on-error", "always"])
def test_the_service_survives_an_outage_of_ten_minutes(mode: str) -> None:
    assert outage.run(1, users=5, mode=mode).unmet == {}


def test_without_cached_tokens_an_outage_is_noticed() -> None:
    with patch.object(kept_tokens.CacheEntry, "decrypt", lambda self, whop_user_id: None):
        assert "app starts answered at once, during the outage" in outage.run(1, users=3, mode="on-error").unmet


def test_only_the_flooding_user_is_refused() -> None:
    assert flood.run(1, users=10, clients=5, minutes=1).unmet == {}


def test_a_flood_without_a_limit_is_noticed() -> None:
    def uncounted(
        self: DynamoDBUserRepository, user: UserRef, *, limit: int, now: int, deadline: Deadline
    ) -> Record | None:
        return self.get(user, deadline=deadline)

    with patch.object(DynamoDBUserRepository, "count_mint", uncounted):
        unmet = flood.run(1, users=5, clients=12, minutes=1).unmet

    assert "tokens of the flooder that Whop minted" in unmet
    assert "refusals of everybody else" in unmet
