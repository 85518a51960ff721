"""The computation behind docs/scale.md, in small: what it checks holds, and it notices when it does not."""

import pytest

from soak.scenarios.backfill import Scale

pytestmark = pytest.mark.thorough


def test_a_small_backfill_holds_what_a_large_one_is_said_to() -> None:
    scale = Scale(600, tokens_per_minute=120)
    scale.run()
    scale.check()

    assert scale.first_tokens


def test_more_first_tokens_than_whop_allows_wait_and_none_is_a_call_too_many() -> None:
    scale = Scale(1_500, tokens_per_minute=600)
    scale.run()

    assert not scale.whop.refused
    with pytest.raises(AssertionError, match="a first token waited longer"):
        scale.check()


def test_more_than_whop_allows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soak.scenarios.backfill.ceiling", lambda _share: 1_000)
    scale = Scale(1_500, tokens_per_minute=600)
    scale.run()

    with pytest.raises(AssertionError, match="refused by Whop"):
        scale.check()
