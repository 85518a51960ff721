"""What a reconcile run remembers, in memory. It passes the same tests as the one in DynamoDB."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from whop_chat.reconcile.checkpoint import Checkpoint, Superseded
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import new_version


class MemoryCheckpoints:
    """A ledger that lives as long as the object."""

    def __init__(self) -> None:
        self.checkpoint: Checkpoint | None = None
        self.reports: dict[str, Mapping[str, Any]] = {}
        self._listed: dict[tuple[str, int], bytes] = {}
        self._addresses: dict[tuple[str, int], Mapping[str, bytes]] = {}

    def load(self, *, deadline: Deadline | None = None) -> Checkpoint | None:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.load`."""
        return self.checkpoint

    def save(
        self, checkpoint: Checkpoint, *, expected: Checkpoint | None, deadline: Deadline | None = None
    ) -> Checkpoint:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.save`."""
        if (self.checkpoint and self.checkpoint.version) != (expected and expected.version):
            raise Superseded
        self.checkpoint = dataclasses.replace(checkpoint, version=new_version())
        return self.checkpoint

    def save_listed(
        self,
        run: str,
        page: int,
        fingerprints: bytes,
        addresses: Mapping[str, bytes],
        *,
        deadline: Deadline | None = None,
    ) -> None:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.save_listed`."""
        self._listed[run, page] = fingerprints
        self._addresses[run, page] = addresses

    def load_listed(self, run: str, pages: int, *, seconds: float = 0) -> Iterator[bytes]:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.load_listed`."""
        return (self._listed[run, page] for page in range(pages))

    def load_addresses(self, run: str, pages: int, *, seconds: float = 0) -> Iterator[Mapping[str, bytes]]:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.load_addresses`."""
        return (self._addresses[run, page] for page in range(pages))

    def save_report(self, run: str, report: Mapping[str, Any], *, deadline: Deadline | None = None) -> None:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.save_report`."""
        self.reports[run] = report

    def latest_report(self, *, deadline: Deadline | None = None) -> Mapping[str, Any] | None:
        """See `whop_chat.reconcile.checkpoint.CheckpointStore.latest_report`."""
        if self.checkpoint is None or self.checkpoint.reported is None:
            return None
        return self.reports.get(self.checkpoint.reported)
