"""The second phase of a run: find the records whose user is no longer in the pool."""

from dataclasses import dataclass

from whop_chat.reconcile._bloom_filter import BloomFilter, fingerprint
from whop_chat.reconcile.checkpoint import Checkpoint
from whop_chat.reconcile.ports import Checkpoints, Pool, Records
from whop_chat.reconcile.throttle import ListingThrottle
from whop_chat.runtime.deadline import Deadline

_CONFIRMED_AT_ONCE = 20
# Left of a step's deadline when the confirmations stop, to enqueue the orphans and save the checkpoint.
_RESERVE_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class CheckedRecords:
    """The result of one step: how many unlisted users were ``checked``, and the ``sub`` of each orphan.

    ``next_key`` is the table key after which the next step resumes. None: that was the last record.
    """

    checked: int
    orphans: list[str]
    next_key: str | None


class OrphanSearch:
    """Compares the records of one pool with the users that a run listed."""

    def __init__(
        self, pool: Pool, users: Records, checkpoints: Checkpoints, throttle: ListingThrottle, *, pool_id: str
    ) -> None:
        self._pool = pool
        self._users = users
        self._checkpoints = checkpoints
        self._throttle = throttle
        self._pool_id = pool_id
        self._listed: tuple[str, int, BloomFilter] | None = None

    def listed(self, checkpoint: Checkpoint, *, seconds: float) -> BloomFilter:
        """The users that the run listed. ``seconds`` is the time limit of one DynamoDB call.

        They are read once an invocation of a run. An execution environment may have several invocations.
        """
        if self._listed is None or self._listed[:2] != (checkpoint.run, checkpoint.page):
            listed = BloomFilter()
            for fingerprints in self._checkpoints.load_listed(checkpoint.run, checkpoint.page, seconds=seconds):
                listed.add(fingerprints)
            self._listed = checkpoint.run, checkpoint.page, listed
        return self._listed[2]

    def check(self, checkpoint: Checkpoint, listed: BloomFilter, *, deadline: Deadline) -> CheckedRecords:
        """Check some of the records from ``checkpoint`` on: ListUsers confirms each user that is not in ``listed``."""
        records = self._users.scan(self._pool_id, checkpoint.next_key, deadline=deadline)
        unlisted = [sub for sub in records.keys if fingerprint(checkpoint.run, sub) not in listed]
        checked, orphans = self._confirm(unlisted, deadline)
        next_key = records.next_key if len(checked) == len(unlisted) else records.keys[checked[-1]]
        return CheckedRecords(len(checked), orphans, next_key)

    def _confirm(self, unlisted: list[str], deadline: Deadline) -> tuple[list[str], list[str]]:
        """The users that the pool was asked about, in order, and those that it does not have.

        It stops early when a step has no time for more.
        """
        checked: list[str] = []
        orphans: list[str] = []
        for sub in unlisted[:_CONFIRMED_AT_ONCE]:
            if checked and deadline.remaining() < _RESERVE_SECONDS:
                break
            checked.append(sub)
            if not self._exists(sub, deadline):
                orphans.append(sub)
        return checked, orphans

    def _exists(self, sub: str, deadline: Deadline) -> bool:
        return self._throttle.run(lambda: self._pool.exists(sub, deadline=deadline))
