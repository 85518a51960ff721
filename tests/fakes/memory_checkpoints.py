"""What a reconcile run remembers, in memory. It passes the same tests as the one in DynamoDB."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from whop_chat.reconcile.checkpoint import Checkpoint, Superseded
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import new_attempt


class MemoryLedger:
    """A ledger that lives as long as the object."""

    def __init__(self) -> None:
        self.checkpoint: Checkpoint | None = None
        self.reports: dict[str, Mapping[str, Any]] = {}
        self._listed: dict[tuple[str, int], bytes] = {}

    def load(self, *, deadline: Deadline | None = None) -> Checkpoint | None:
        """See `whop_chat.reconcile.checkpoint.Ledger.load`."""
        return self.checkpoint

    def save(self, checkpoint: Checkpoint, *, seen: Checkpoint | None, deadline: Deadline | None = None) -> Checkpoint:
        """See `whop_chat.reconcile.checkpoint.Ledger.save`."""
        if (self.checkpoint and self.checkpoint.attempt) != (seen and seen.attempt):
            raise Superseded
        self.checkpoint = dataclasses.replace(checkpoint, attempt=new_attempt())
        return self.checkpoint

    def note_listed(self, run: str, page: int, prints: bytes, *, deadline: Deadline | None = None) -> None:
        """See `whop_chat.reconcile.checkpoint.Ledger.note_listed`."""
        self._listed[run, page] = prints

    def listed(self, run: str, pages: int, *, seconds: float = 0) -> Iterator[bytes]:
        """See `whop_chat.reconcile.checkpoint.Ledger.listed`."""
        return (self._listed[run, page] for page in range(pages))

    def file_report(self, run: str, report: Mapping[str, Any], *, deadline: Deadline | None = None) -> None:
        """See `whop_chat.reconcile.checkpoint.Ledger.file_report`."""
        self.reports[run] = report

    def latest_report(self, *, deadline: Deadline | None = None) -> Mapping[str, Any] | None:
        """See `whop_chat.reconcile.checkpoint.Ledger.latest_report`."""
        if self.checkpoint is None or self.checkpoint.reported is None:
            return None
        return self.reports.get(self.checkpoint.reported)
