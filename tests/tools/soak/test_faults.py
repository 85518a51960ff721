"""The soak in small: nothing is lost, a seed repeats its run, and every figure notices a service that is broken."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest

from soak.scenarios import faults, pipeline, runs
from whop_chat.enrolment import _attempt
from whop_chat.enrolment.email_policy import external_id
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.batch import SyncBatch
from whop_chat.sync.queue import Source, SyncMessage, SyncQueue
from whop_chat.sync.worker import SyncUser
from whop_chat.users import repository as users
from whop_chat.users.record import Record
from whop_chat.users.repository import DynamoDBUserRepository
from whop_chat.whop import _responses
from whop_chat.whop import client as whop
from whop_chat.whop import rate_limit as budget

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_or_doubled_whatever_fails(seed: int) -> None:
    assert faults.run(seed, users=40).unmet == {}


def test_an_existing_pool_is_enrolled_each_user_once() -> None:
    assert pipeline.run(1, users=300, limit=120).unmet == {}


def test_a_wait_that_only_the_header_says_is_honoured() -> None:
    assert pipeline.run(1, users=100, limit=120, wait_in="header").unmet == {}


@pytest.mark.parametrize("seed", [1, 2])
def test_runs_of_reconcile_find_every_change_and_stay_stopped(seed: int) -> None:
    assert runs.run(seed, users=150).unmet == {}


def test_a_sender_that_overlooks_failed_entries_is_noticed() -> None:
    def sent(self: SyncQueue, users: Any, source: Source, **options: Any) -> None:
        with contextlib.suppress(AwsError):
            send_many(self, users, source, **options)

    send_many = SyncQueue.send_many
    with patch.object(SyncQueue, "send_many", sent):
        assert "users lost" in runs.run(1, users=150).unmet


def test_calls_that_are_not_counted_exceed_the_limit() -> None:
    with patch.object(budget.RateLimiter, "acquire", lambda self, operation, deadline: None):
        assert "calls above Whop's limit" in pipeline.run(1, users=150, limit=40).unmet


def test_a_seed_repeats_its_run_call_by_call() -> None:
    runs = [faults.run(3, users=10), faults.run(3, users=10), faults.run(4, users=10)]

    assert runs[0] == runs[1]
    assert runs[0].digest != runs[2].digest


# Ways to break the service, each with a figure that must not be met. Others may not be met either.


@contextlib.contextmanager
def _unconditional_writes() -> Iterator[None]:
    with (
        patch.object(users, "_is_unchanged", lambda seen: {}),
        patch.object(users, "_reserved_for", lambda user, or_nobody: {}),
    ):
        yield


@contextlib.contextmanager
def _no_reservation() -> Iterator[None]:
    both = DynamoDBUserRepository._link_items
    with patch.object(DynamoDBUserRepository, "_link_items", lambda *args: both(*args)[:1]):
        yield


@contextlib.contextmanager
def _no_lease_and_no_stable_id() -> Iterator[None]:
    def fresh_id(self: Any) -> str:
        return external_id(self._lease.user, id(self))

    stable = patch.object(_attempt.Attempt, "_external_id", property(fresh_id))
    with stable, patch.object(users, "_is_unchanged", lambda seen: {}):
        yield


@contextlib.contextmanager
def _a_token_for_whoever_came_last() -> Iterator[None]:
    mint, last = whop.Whop.mint_token, ["user_nobody"]

    def mixed_up(self: Any, user_id: str, *args: Any, **kwargs: Any) -> Any:
        asked = mint(self, user_id, *args, **kwargs)
        last.append(user_id)
        return asked if last[-2] == "user_nobody" else mint(self, last[-2], *args, **kwargs)

    with patch.object(whop.Whop, "mint_token", mixed_up):
        yield


@contextlib.contextmanager
def _a_link_whatever_the_status() -> Iterator[None]:
    with patch.object(Record, "linked_to", property(lambda self: self.whop_user_id)):
        yield


@contextlib.contextmanager
def _messages_are_thrown_away() -> Iterator[None]:
    with patch.object(SyncBatch, "handle", lambda *_: {"batchItemFailures": []}):
        yield


@contextlib.contextmanager
def _messages_about_changes_are_ignored() -> Iterator[None]:
    handled = SyncUser.sync

    def sync(self: SyncUser, message: SyncMessage, *, deadline: Deadline) -> None:
        if message.source is not Source.CHANGE:
            handled(self, message, deadline=deadline)

    with patch.object(SyncUser, "sync", sync):
        yield


@contextlib.contextmanager
def _a_defect_now_and_then() -> Iterator[None]:
    with patch.object(_responses, "wait", lambda headers, message: int(message)):
        yield


@pytest.mark.parametrize(
    ("sabotage", "unmet"),
    [
        (_unconditional_writes, "shared identities"),
        (_no_reservation, "shared identities"),
        (_no_lease_and_no_stable_id, "duplicate accounts"),
        (_a_token_for_whoever_came_last, "tokens for a wrong user"),
        (_a_link_whatever_the_status, "tokens for a denied, disabled or deleted user"),
        (_messages_are_thrown_away, "users not enrolled although their messages were handled"),
        (_messages_about_changes_are_ignored, "users out of step before the last reconcile"),
        (_a_defect_now_and_then, "unexpected errors of the functions"),
    ],
)
def test_a_broken_service_is_noticed(
    sabotage: Callable[[], contextlib.AbstractContextManager[None]], unmet: str
) -> None:
    with sabotage():
        assert any(unmet in faults.run(seed, users=30).unmet for seed in range(1, 9))
