"""What a run reads and writes: the parts of it, or parts in memory."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

from whop_chat.cognito.pool import Page
from whop_chat.cognito.user import UserRef
from whop_chat.reconcile.checkpoint import Checkpoint
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.queue import Source
from whop_chat.users.record import Record
from whop_chat.users.repository import Known


class Pool(Protocol):
    """The user pool: `whop_chat.cognito.pool.PoolUsers`, or one in memory."""

    def page(self, token: str | None, *, deadline: Deadline) -> Page:
        """See `whop_chat.cognito.pool.PoolUsers.page`."""

    def shows(self, sub: str, *, deadline: Deadline) -> bool:
        """See `whop_chat.cognito.pool.PoolUsers.shows`."""


class Records(Protocol):
    """The users table, read only: `whop_chat.users.repository.Users`, or one in memory."""

    def get_many(self, users: Collection[UserRef], *, deadline: Deadline) -> dict[UserRef, Record | None]:
        """See `whop_chat.users.repository.Users.get_many`."""

    def known(self, pool_id: str, after: str | None, *, deadline: Deadline) -> Known:
        """See `whop_chat.users.repository.Users.known`."""


class Queue(Protocol):
    """The sync queue: `whop_chat.sync.queue.SyncQueue`, or one in memory."""

    def send_many(self, users: Collection[UserRef], source: Source, *, delay_seconds: int, deadline: Deadline) -> None:
        """See `whop_chat.sync.queue.SyncQueue.send_many`."""

    def waiting(self, *, deadline: Deadline) -> int:
        """See `whop_chat.sync.queue.SyncQueue.waiting`."""


class Ledger(Protocol):
    """What a run remembers: `whop_chat.reconcile.checkpoint.Ledger`, or one in memory."""

    def load(self, *, deadline: Deadline) -> Checkpoint | None:
        """See `whop_chat.reconcile.checkpoint.Ledger.load`."""

    def save(self, checkpoint: Checkpoint, *, seen: Checkpoint | None, deadline: Deadline) -> Checkpoint:
        """See `whop_chat.reconcile.checkpoint.Ledger.save`."""

    def note_listed(self, run: str, page: int, prints: bytes, *, deadline: Deadline) -> None:
        """See `whop_chat.reconcile.checkpoint.Ledger.note_listed`."""

    def listed(self, run: str, pages: int, *, seconds: float) -> Iterator[bytes]:
        """See `whop_chat.reconcile.checkpoint.Ledger.listed`."""

    def file_report(self, run: str, report: Mapping[str, Any], *, deadline: Deadline) -> None:
        """See `whop_chat.reconcile.checkpoint.Ledger.file_report`."""
