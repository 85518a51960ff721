"""The interfaces that a run reads and writes. Each has an implementation in AWS and one in memory."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

from whop_chat.cognito.pool import Page
from whop_chat.cognito.user import UserRef
from whop_chat.reconcile.checkpoint import Checkpoint
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.queue import QueueDepth, Source
from whop_chat.users.record import Record
from whop_chat.users.repository import RecordPage


class Pool(Protocol):
    """The user pool: `whop_chat.cognito.pool.UserPool`, or one in memory."""

    def list_page(self, token: str | None, *, deadline: Deadline) -> Page:
        """See `whop_chat.cognito.pool.UserPool.list_page`."""

    def exists(self, sub: str, *, deadline: Deadline) -> bool:
        """See `whop_chat.cognito.pool.UserPool.exists`."""


class Records(Protocol):
    """The users table, read only: `whop_chat.users.repository.DynamoDBUserRepository`, or one in memory."""

    def get_many(self, users: Collection[UserRef], *, deadline: Deadline) -> dict[UserRef, Record | None]:
        """See `whop_chat.users.repository.DynamoDBUserRepository.get_many`."""

    def scan(self, pool_id: str, after: str | None, *, deadline: Deadline) -> RecordPage:
        """See `whop_chat.users.repository.DynamoDBUserRepository.scan`."""


class Queue(Protocol):
    """The sync queue: `whop_chat.sync.queue.SyncQueue`, or one in memory."""

    def send_many(
        self, users: Collection[UserRef], source: Source, *, run: str, delay_seconds: int, deadline: Deadline
    ) -> None:
        """See `whop_chat.sync.queue.SyncQueue.send_many`."""

    def depth(self, *, deadline: Deadline) -> QueueDepth:
        """See `whop_chat.sync.queue.SyncQueue.depth`."""


class Checkpoints(Protocol):
    """The stored state of a run: `whop_chat.reconcile.checkpoint.CheckpointStore`, or one in memory."""

    def load(self, *, deadline: Deadline) -> Checkpoint | None:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.load`."""

    def save(self, checkpoint: Checkpoint, *, expected: Checkpoint | None, deadline: Deadline) -> Checkpoint:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.save`."""

    def save_listed(
        self, run: str, page: int, fingerprints: bytes, addresses: Mapping[str, bytes], *, deadline: Deadline
    ) -> None:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.save_listed`."""

    def load_listed(self, run: str, pages: int, *, seconds: float) -> Iterator[bytes]:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.load_listed`."""

    def load_addresses(self, run: str, pages: int, *, seconds: float) -> Iterator[Mapping[str, bytes]]:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.load_addresses`."""

    def save_report(self, run: str, report: Mapping[str, Any], *, deadline: Deadline) -> None:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.save_report`."""
