"""The backfill in small: all figures are met, and a broken service is noticed."""

from unittest.mock import patch

import pytest

from soak import service_model
from soak.scenarios import backfill
from whop_chat.sync import batch

pytestmark = pytest.mark.thorough


def test_a_small_backfill_meets_every_figure() -> None:
    assert backfill.run(1, users=600).unmet == {}


def test_a_seed_repeats_the_backfill_call_by_call() -> None:
    assert backfill.run(2, users=150) == backfill.run(2, users=150)


def test_more_first_tokens_than_whop_allows_wait() -> None:
    unmet = backfill.run(1, users=400, tokens_per_minute=600).unmet

    assert "the longest enrolment of a first token" in unmet
    assert "calls that Whop refused" not in unmet


def test_more_calls_than_whop_allows_are_noticed() -> None:
    with patch.object(service_model, "LIMIT", 150):
        assert "calls that Whop refused" in backfill.run(1, users=600).unmet


def test_users_who_are_not_synced_are_noticed() -> None:
    with patch.object(batch.SyncBatch, "handle", lambda *_: {"batchItemFailures": []}):
        unmet = backfill.run(1, users=200).unmet

    assert "users who should be linked and are not" in unmet
    assert "users who are gone without a tombstone, or the reverse" in unmet
