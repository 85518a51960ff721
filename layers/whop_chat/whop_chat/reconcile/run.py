"""Keep Whop in step with the whole user pool: a run compares the pool, page by page, with the records.

Users that are out of step are enqueued, and a run changes nothing else. The sync reads the present state when it
handles the message, so enqueueing a user twice does no harm. A run has two phases. *Listing* pages through the pool
with ListUsers, which bills nobody. *Orphans* then scans the records, and asks ListUsers about each user that was not
listed.

A run outlives its invocation. Each page ends with a checkpoint, which only the invocation that read the last checkpoint
can write. If an invocation is killed before that, its page is done again. A tick every minute resumes a run whose lease
has ended. The tick is a schedule and not a call of the function to itself. Lambda ends such chains after about 16
calls, also through SQS and SNS (AWS, "Lambda recursive loop detection"), and one killed call would end the chain too.
"""

import dataclasses
import itertools
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from whop_chat.cognito.pool import ListedUser
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import EmailPolicy, external_id
from whop_chat.reconcile._bloom_filter import fingerprint
from whop_chat.reconcile.checkpoint import Checkpoint, Phase, Superseded
from whop_chat.reconcile.command import Command
from whop_chat.reconcile.conflicts import addresses_of, count_conflicts
from whop_chat.reconcile.drift import Drift, Finding, drift
from whop_chat.reconcile.orphans import OrphanSearch
from whop_chat.reconcile.ports import Checkpoints, Pool, Queue, Records
from whop_chat.reconcile.report import (
    CREATED,
    LINKED,
    MAY_CONFLICT,
    ORPHANED,
    UNUSED,
    UPDATED,
    progress_of,
    report_of,
)
from whop_chat.reconcile.throttle import ListingThrottle
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.metrics import RECONCILES_FINISHED, RECONCILES_UNFINISHED
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.sync.queue import MAX_BATCH, QueueDepth, Source
from whop_chat.users.lifecycle import unused_generations
from whop_chat.users.record import Record, Status
from whop_chat.users.runs import Runs, State

_STEP_SECONDS = 12.0
_RELEASE_SECONDS = 3.0
# Longer than any step, also than reading the fingerprints of the largest pool.
_LEASE_SECONDS = 300
# A run without progress for this long is stuck. A new run may replace it.
_STALLED_SECONDS = 3600
_GOOD_ENDS = ("completed", "stopped")
# Messages are delayed by at most this, plus those of one page. It exceeds a late tick, and stays below SQS's 900 s.
_SECONDS_AHEAD = 120
_LISTINGS = 4
# The invocation that works on the run may save a checkpoint at each attempt.
_STOPS = 5
USERS_PER_MINUTE = 300
"""The most users that a run enqueues a minute, in any phase.

Whop allows 600 calls of one kind a minute, and `sync_user` may make 312 of them. The rest is for users that request
their first token. `sync_user` would only postpone more messages.
"""
_SECONDS_PER_USER = 60 / USERS_PER_MINUTE
_MOST_HIDDEN = 5 * USERS_PER_MINUTE
# What the report names. The count has all of them.
_MOST_UNUSED_ACCOUNTS = 50


def is_full(depth: QueueDepth) -> bool:
    """Whether a run enqueues nothing for now."""
    return depth.visible > USERS_PER_MINUTE or depth.hidden > _MOST_HIDDEN


def new_run(now: float) -> str:
    """The id of a new run. ``now`` is in epoch seconds."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


class Reconcile:
    """Runs over one pool. ``clock`` returns epoch seconds.

    The delays of messages spread them: each batch of ten has its own time. So any minute gets at most
    `USERS_PER_MINUTE` messages, one batch more, and a sixtieth more from rounding delays to whole seconds. A run
    enqueues nothing while more than a minute's worth of messages, from any sender, waits to be received. So a sign-up
    never waits long. Messages that back off are in nobody's way. But when five minutes' worth of them do, that is an
    outage, of Whop or of the API key. Then a run enqueues nothing either, so that no backlog builds up.
    """

    def __init__(
        self,
        pool: Pool,
        users: Records,
        queue: Queue,
        checkpoints: Checkpoints,
        runs: Runs,
        email_policy: EmailPolicy,
        telemetry: Telemetry,
        *,
        pool_id: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pool = pool
        self._users = users
        self._queue = queue
        self._checkpoints = checkpoints
        self._runs = runs
        self._email_policy = email_policy
        self._telemetry = telemetry
        self._pool_id = pool_id
        self._clock = clock
        self._throttle = ListingThrottle(clock=clock, sleep=sleep)
        self._orphan_search = OrphanSearch(pool, users, checkpoints, self._throttle, pool_id=pool_id)

    def handle(self, command: Command, remaining_seconds: Callable[[], float]) -> dict[str, Any]:
        """Carry out ``command``, work on the run while there is time, and return the run's progress.

        ``refused`` in the answer says why nothing was done. The next tick retries after an error of AWS. If a scheduled
        start fails before there is a run, no tick can do that: raises `AwsError` or `DeadlineExceeded`.
        """
        try:
            last = self._checkpoints.load(deadline=Deadline(_STEP_SECONDS))
            match command.command:
                case "start":
                    return self._start(command, last, remaining_seconds)
                case "stop":
                    return self._stop(last)
            return self._resume(last, remaining_seconds, force=command.force)
        except Superseded as error:
            self._telemetry.warning("another invocation has the run", error)
            return {"refused": "another invocation has the run"}
        except (AwsError, DeadlineExceeded) as error:
            self._telemetry.warning("reconcile interrupted", error)
            if command.scheduled:
                raise
            return {"refused": "AWS did not answer as it should; the log says more"}

    # Start, resume, end

    def _start(self, command: Command, last: Checkpoint | None, remaining: Callable[[], float]) -> dict[str, Any]:
        now = self._clock()
        if last is not None and last.phase is not Phase.FINISHED:
            if now - last.moved_at < _STALLED_SECONDS:
                return {**progress_of(last), "refused": "a run is under way"}
            last = self._ended(last, "replaced")
        started = Checkpoint(
            run=new_run(now),
            backfill=command.backfill,
            dry_run=command.dry_run,
            started_at=now,
            include_passwordless=command.include_passwordless,
            reported=last.reported if last else None,
        )
        return self._work(self._saved(started, last), remaining)

    def _resume(self, last: Checkpoint | None, remaining: Callable[[], float], *, force: bool) -> dict[str, Any]:
        if last is None or last.phase is Phase.FINISHED:
            return {"refused": "no run is under way"}
        if self._clock() - last.moved_at >= _STALLED_SECONDS:
            self._telemetry.count(RECONCILES_UNFINISHED)
        if (last.lease_until > self._clock() and not force) or self._is_ahead(last):
            return {**progress_of(last), "refused": "nothing to do yet"}
        leased = dataclasses.replace(last, lease_until=self._clock() + _LEASE_SECONDS)
        return self._work(self._checkpoints.save(leased, expected=last, deadline=Deadline(_STEP_SECONDS)), remaining)

    def _stop(self, last: Checkpoint | None) -> dict[str, Any]:
        """End the run, and let none of its messages enrol anybody.

        Most of these still wait when a run has ended. The runs are told first: an invocation that is about to lose the
        run may enqueue some more.
        """
        if last is None:
            return {"refused": "no run is under way"}
        deadline = Deadline(_STEP_SECONDS)
        is_over = last.phase is Phase.FINISHED
        if is_over and not self._runs.progress(last.run, deadline=deadline).waiting:
            return {**progress_of(last), "refused": "the last run has ended, and none of its users wait"}
        self._runs.stop(last.run, deadline=deadline)
        return progress_of(last if is_over else self._ended_meanwhile(last))

    def _ended_meanwhile(self, checkpoint: Checkpoint) -> Checkpoint:
        """End a run as stopped that another invocation may be working on. Raises `Superseded`."""
        for attempts_left in reversed(range(_STOPS)):
            try:
                return self._ended(checkpoint, "stopped")
            except Superseded:
                current = self._checkpoints.load(deadline=Deadline(_STEP_SECONDS))
                if current is None or current.run != checkpoint.run or not attempts_left:
                    raise
                if current.phase is Phase.FINISHED:
                    return current
                checkpoint = current
        raise AssertionError("unreachable")

    def _work(self, checkpoint: Checkpoint, remaining: Callable[[], float]) -> dict[str, Any]:
        """Do steps until the time is up or enough messages are enqueued, then release the run."""
        try:
            if not checkpoint.dry_run and is_full(self._queue.depth(deadline=Deadline(_STEP_SECONDS))):
                return progress_of(self._released(dataclasses.replace(checkpoint, moved_at=self._clock()), checkpoint))
            while checkpoint.phase is not Phase.FINISHED and not self._is_ahead(checkpoint):
                if remaining() < _STEP_SECONDS + _RELEASE_SECONDS:
                    break
                checkpoint = self._step(checkpoint)
        except (AwsError, DeadlineExceeded) as error:
            self._telemetry.warning("reconcile interrupted", error)
        if checkpoint.phase is not Phase.FINISHED:
            checkpoint = self._released(checkpoint, checkpoint)
        return progress_of(checkpoint)

    def _released(self, checkpoint: Checkpoint, expected: Checkpoint) -> Checkpoint:
        released = dataclasses.replace(checkpoint, lease_until=0)
        return self._checkpoints.save(released, expected=expected, deadline=Deadline(_RELEASE_SECONDS))

    def _step(self, checkpoint: Checkpoint) -> Checkpoint:
        if checkpoint.phase is Phase.LISTING:
            return self._list_page(checkpoint)
        return self._check_records(checkpoint)

    def _saved(self, checkpoint: Checkpoint, expected: Checkpoint | None) -> Checkpoint:
        """Save the progress of a step, and renew the lease."""
        now = self._clock()
        further = dataclasses.replace(checkpoint, moved_at=now, lease_until=now + _LEASE_SECONDS)
        return self._checkpoints.save(further, expected=expected, deadline=Deadline(_STEP_SECONDS))

    def _ended(self, checkpoint: Checkpoint, outcome: str, *, expected: Checkpoint | None = None) -> Checkpoint:
        """Store the report of a run and end it. ``expected`` is the stored checkpoint, if that is not ``checkpoint``.

        The report is stored first. If the invocation is killed after that, the run ends again with the same report.
        Raises `Superseded`, and then the report is that of the invocation which has ended the run, if one has.
        """
        ended = dataclasses.replace(
            checkpoint,
            phase=Phase.FINISHED,
            outcome=outcome,
            finished_at=self._clock(),
            lease_until=0,
            reported=checkpoint.run,
        )
        report = report_of(ended)
        deadline = Deadline(_STEP_SECONDS)
        self._checkpoints.save_report(ended.run, report, deadline=deadline)
        try:
            ended = self._checkpoints.save(ended, expected=expected or checkpoint, deadline=deadline)
        except Superseded:
            current = self._checkpoints.load(deadline=deadline)
            if current is not None and current.run == ended.run and current.phase is Phase.FINISHED:
                self._checkpoints.save_report(current.run, report_of(current), deadline=deadline)
            raise
        self._telemetry.event("reconciled", **report)
        self._telemetry.count(RECONCILES_FINISHED if outcome in _GOOD_ENDS else RECONCILES_UNFINISHED)
        return ended

    def _is_ahead(self, checkpoint: Checkpoint) -> bool:
        """Whether the delayed messages on the queue last for more than `_SECONDS_AHEAD`."""
        return checkpoint.next_slot - self._clock() > _SECONDS_AHEAD

    # First phase: the pool

    def _list_page(self, checkpoint: Checkpoint) -> Checkpoint:
        deadline = Deadline(_STEP_SECONDS)
        try:
            page = self._throttle.run(lambda: self._pool.list_page(checkpoint.token, deadline=deadline))
        except AwsError as error:
            # Cognito does not say when a pagination token expires. The token of a paused run may have expired.
            if checkpoint.token is None or error.code != "InvalidParameterException":
                raise
            return self._list_again(checkpoint)
        found = self._users.get_many([listed.user for listed in page.users], deadline=deadline)
        findings = [(listed, self._finding(listed, found)) for listed in page.users]
        fingerprints = b"".join(fingerprint(checkpoint.run, listed.user.sub) for listed in page.users)
        addresses = addresses_of(checkpoint.run, findings, self._email_policy) if checkpoint.dry_run else {}
        self._checkpoints.save_listed(checkpoint.run, checkpoint.page, fingerprints, addresses, deadline=deadline)
        unused = [account for user, record in found.items() for account in _unused_accounts(user, record)]
        wanted = _wanted(findings, checkpoint)
        counts, next_slot = self._enqueued(checkpoint, wanted, deadline)
        further = dataclasses.replace(
            checkpoint,
            phase=Phase.LISTING if page.next_token else Phase.ORPHANS,
            page=checkpoint.page + 1,
            token=page.next_token,
            next_slot=next_slot,
            counts=_sum(
                checkpoint.counts,
                counts,
                {UNUSED: len(unused)},
                _counts(finding for _, finding in findings),
                _linked(found),
            ),
            unused_accounts=[*checkpoint.unused_accounts, *unused][:_MOST_UNUSED_ACCOUNTS],
        )
        if checkpoint.dry_run and further.phase is Phase.ORPHANS:
            further = dataclasses.replace(further, counts=_sum(further.counts, self._conflicts(further)))
        return self._saved(further, checkpoint)

    def _list_again(self, checkpoint: Checkpoint) -> Checkpoint:
        """Restart the listing at the first page, with all counts at 0, so that no user is counted twice."""
        if checkpoint.relisted + 1 >= _LISTINGS:
            return self._ended(checkpoint, "gave_up")
        relisted = checkpoint.relisted + 1
        restarted = dataclasses.replace(
            checkpoint, page=0, token=None, relisted=relisted, counts={}, unused_accounts=[]
        )
        return self._saved(restarted, checkpoint)

    def _conflicts(self, checkpoint: Checkpoint) -> dict[str, int]:
        """The counts of the users who may conflict with another one, once all users are listed."""
        by_provider = count_conflicts(
            lambda: self._checkpoints.load_addresses(checkpoint.run, checkpoint.page, seconds=_STEP_SECONDS)
        )
        parts = {f"{MAY_CONFLICT}.{provider}": count for provider, count in by_provider.items()}
        return {MAY_CONFLICT: by_provider.total(), **parts}

    def _finding(self, listed: ListedUser, found: Mapping[UserRef, Record | None]) -> Finding:
        record = found.get(listed.user)
        if record is None and listed.user in found:
            return Finding(Drift.UNREADABLE)
        return drift(listed, record, self._email_policy, self._clock())

    def _enqueued(
        self, checkpoint: Checkpoint, wanted: Mapping[str, list[UserRef]], deadline: Deadline
    ) -> tuple[dict[str, int], float]:
        """Enqueue users. Returns their numbers by reason, and when the queue may deliver the next message."""
        next_slot = checkpoint.next_slot
        if checkpoint.dry_run:
            return {}, next_slot
        run = checkpoint.run
        enrolling = Source.PASSWORDLESS if checkpoint.include_passwordless else Source.ENROL
        for kind, all_users in wanted.items():
            source, state = (enrolling, State.TO_ENROL) if kind == CREATED else (Source.RECONCILE, State.TO_UPDATE)
            for users in itertools.batched(all_users, MAX_BATCH, strict=False):
                now = self._clock()
                slot = max(now, next_slot)
                delay = math.ceil(slot - now)
                self._queue.send_many(users, source, run=run, delay_seconds=delay, deadline=deadline)
                # After the messages: a user who is counted has one, also if this invocation is killed.
                self._runs.advance(run, [user.sub for user in users], state, deadline=deadline)
                next_slot = slot + len(users) * _SECONDS_PER_USER
        return {kind: len(users) for kind, users in wanted.items()}, next_slot

    # Second phase: the records

    def _check_records(self, checkpoint: Checkpoint) -> Checkpoint:
        """Check some of the records for orphans, and enqueue these."""
        listed = self._orphan_search.listed(checkpoint, seconds=_STEP_SECONDS)
        deadline = Deadline(_STEP_SECONDS)
        found = self._orphan_search.check(checkpoint, listed, deadline=deadline)
        # The user names of orphans are unknown. Cognito accepts a sub in place of a user name.
        wanted = {ORPHANED: [UserRef(pool_id=self._pool_id, sub=sub, username=sub) for sub in found.orphans]}
        counts, next_slot = self._enqueued(checkpoint, wanted, deadline)
        counts = _sum(checkpoint.counts, counts, {"checked": found.checked, "orphaned": len(found.orphans)})
        further = dataclasses.replace(checkpoint, next_key=found.next_key, next_slot=next_slot, counts=counts)
        if found.next_key is None:
            return self._ended(further, "completed", expected=checkpoint)
        return self._saved(further, checkpoint)


def _wanted(findings: Collection[tuple[ListedUser, Finding]], checkpoint: Checkpoint) -> dict[str, list[UserRef]]:
    """The users to enqueue, by the reason that they are counted under."""
    created = {Drift.UNFINISHED}
    if checkpoint.backfill:
        created.add(Drift.MISSING)
    if checkpoint.include_passwordless:
        created.add(Drift.PASSWORDLESS)
    return {
        CREATED: [listed.user for listed, finding in findings if finding.drift in created],
        UPDATED: [listed.user for listed, finding in findings if finding.drift in (Drift.STALE, Drift.PICTURE)],
    }


def _unused_accounts(user: UserRef, record: Record | None) -> list[str]:
    """The external ids of accounts that Whop may have and that the user has left. A deleted user's are cleaned up."""
    if record is None or record.status is Status.DELETED:
        return []
    return [external_id(user, generation) for generation in unused_generations(record)]


def _counts(findings: Iterator[Finding]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for finding in findings:
        counts[finding.drift] += 1
        if finding.reason:
            counts[f"{finding.drift}.{finding.reason}"] += 1
    return counts


def _linked(found: Mapping[UserRef, Record | None]) -> dict[str, int]:
    return {LINKED: sum(record is not None and record.linked_to is not None for record in found.values())}


def _sum(*counts: Mapping[str, int]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)
