"""The model of refresh, unlink and deletion: searched whole, and broken without any of its conditions."""

import dataclasses
from typing import Any

import pytest

from tests.model.refresh_model import Counterexample, Model, explore

CASTS = [
    ("refresh", "refresh"),
    ("refresh", "unlink"),
    ("refresh", "delete"),
    ("unlink", "delete"),
    ("refresh", "refresh", "unlink"),
    ("refresh", "unlink", "delete"),
]


@pytest.mark.parametrize("tasks", CASTS, ids="+".join)
@pytest.mark.parametrize("reuse", ["ends_consent", "refused", "accepted"])
def test_no_link_is_lost_and_no_token_is_left_alive(reuse: Any, tasks: tuple[str, ...]) -> None:
    assert explore(Model(reuse), *tasks, disturbances=2) > 50


@pytest.mark.parametrize(
    ("condition", "tasks", "disturbances", "broken"),
    [
        ("writes_need_the_version", ("refresh", "unlink"), 0, "an unlinked user has a link again"),
        ("lease_outlives_refresh", ("refresh", "refresh"), 0, "a link was lost, and no token of Whop's was"),
        (
            "tokens_are_listed_first",
            ("unlink",),
            1,
            "an unlinked user has a live refresh token that is not queued for revocation",
        ),
        # Of Whop and not of us: a killed refresh leaves a token that nobody holds, and only a former one is listed.
        (
            "revokes_by_replaced",
            ("refresh", "unlink"),
            1,
            "an unlinked user has a live refresh token that is not queued for revocation",
        ),
    ],
)
def test_without_any_of_its_conditions_it_is_broken(
    condition: str, tasks: tuple[str, ...], disturbances: int, broken: str
) -> None:
    without: dict[str, Any] = {condition: False}

    with pytest.raises(Counterexample) as caught:
        explore(dataclasses.replace(Model(), **without), *tasks, disturbances=disturbances)

    assert caught.value.broken == broken


def test_a_counterexample_is_told_step_by_step() -> None:
    with pytest.raises(Counterexample) as caught:
        explore(Model(tokens_are_listed_first=False), "unlink", disturbances=1)

    assert str(caught.value).splitlines()[1:] == ["  1. unlink reads", "  2. unlink unlinks (crash after)"]
