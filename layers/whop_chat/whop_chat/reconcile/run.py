"""Keeping Whop in step with the whole user pool: page by page, a run compares who is in the pool with the records.

Who is out of step is put on the sync queue, and nothing is changed here: what is true is looked at again when the
message is handled, so that a user who is enqueued twice is none the worse. A run has two phases. *Listing* goes through
the pool with ListUsers, which bills nobody. *Orphans* then goes through the records, and asks ListUsers about each one
whom the listing did not show.

A run outlives its invocation. Each page ends with the checkpoint, which only the invocation that read the last one can
write; whoever is killed before that has done nothing that counts. A tick every minute goes on from the checkpoint of a
run that is in nobody's hands. It is a schedule and not a call of the function to itself, because Lambda ends such
chains after about 16 calls, through SQS and SNS too (AWS, "Lambda recursive loop detection"), and a link that is killed
would end a chain as well.
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

from whop_chat.cognito.pool import Listed
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import Addresses
from whop_chat.reconcile._bloom_filter import SeenUsers, fingerprint
from whop_chat.reconcile.checkpoint import Checkpoint, Phase, Superseded
from whop_chat.reconcile.command import Order
from whop_chat.reconcile.drift import Drift, Finding, drift
from whop_chat.reconcile.ports import Ledger, Pool, Queue, Records
from whop_chat.reconcile.report import CREATED, ORPHANED, UPDATED, metrics_of, report_of, standing
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.telemetry import Observer
from whop_chat.sync.queue import MAX_BATCH, Source
from whop_chat.users.record import Record

_STEP_SECONDS = 12.0
_SETTLE_SECONDS = 3.0
# Longer than any step, also than reading back who was listed in the largest pool.
_LEASE_SECONDS = 300
# A run that has not come a step further for so long is stuck; a new one may take its place.
_STALLED_SECONDS = 3600
# A sixth of the 30 calls a second that the account has for listing users (Cognito, "Quotas"); others need them too.
_SECONDS_PER_LISTING = 0.2
# Messages wait in the queue at most so long, and a page's worth: more than a late tick, less than SQS's 900 s.
_SECONDS_AHEAD = 120
_CONFIRMED_AT_ONCE = 20
_LISTINGS = 4
USERS_PER_MINUTE = 300
"""How many users a run hands to the queue a minute, at most and in any phase.

Whop allows 600 calls of one kind a minute, and `sync_user` may make 312 of them. The rest is for users who ask for
their first token. Messages beyond that would only come back to the queue.
"""
_SECONDS_PER_USER = 60 / USERS_PER_MINUTE


class Reconcile:
    """Runs over one pool.

    Messages are spread by their delay: batches of ten, each at its own time, so that any minute has at most
    `USERS_PER_MINUTE` of them, one batch, and what rounding the delays to whole seconds adds (a sixtieth). While
    more than a minute's worth of messages waits to be handled, by whomever they were sent, a run adds none: a sign-up
    that comes behind them is not to wait for long, and after an outage of Whop there is no more to catch up with.
    """

    def __init__(
        self,
        pool: Pool,
        users: Records,
        queue: Queue,
        ledger: Ledger,
        addresses: Addresses,
        observer: Observer,
        *,
        pool_id: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pool = pool
        self._users = users
        self._queue = queue
        self._ledger = ledger
        self._addresses = addresses
        self._observer = observer
        self._pool_id = pool_id
        self._clock = clock
        self._sleep = sleep
        self._listed_at = 0.0
        self._seen: tuple[str, int, SeenUsers] | None = None

    def handle(self, order: Order, remaining_seconds: Callable[[], float]) -> dict[str, Any]:
        """Carry out ``order`` and work on the run while there is time; answers how the run stands.

        ``refused`` in the answer says why nothing was done. What fails in passing is tried again at the next tick.
        """
        try:
            last = self._ledger.load(deadline=Deadline(_STEP_SECONDS))
            match order.command:
                case "start":
                    return self._start(order, last, remaining_seconds)
                case "stop":
                    return self._stop(last)
            return self._go_on(last, remaining_seconds)
        except Superseded as error:
            self._observer.failed("another invocation has the run", error)
            return {"refused": "another invocation has the run"}
        except (AwsError, DeadlineExceeded) as error:
            self._observer.failed("reconcile interrupted", error, metric="ReconcileInterrupted")
            return {"refused": "AWS did not answer as it should; the log says more"}

    # Beginning, going on, ending

    def _start(self, order: Order, last: Checkpoint | None, remaining: Callable[[], float]) -> dict[str, Any]:
        now = self._clock()
        if last is not None and last.phase is not Phase.FINISHED:
            if now - last.moved_at < _STALLED_SECONDS:
                return {**standing(last), "refused": "a run is under way"}
            last = self._ended(last, "replaced")
        run = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        begun = Checkpoint(
            run=run,
            backfill=order.backfill,
            dry_run=order.dry_run,
            started_at=now,
            reported=last.reported if last else None,
        )
        return self._work(self._saved(begun, last), remaining)

    def _go_on(self, last: Checkpoint | None, remaining: Callable[[], float]) -> dict[str, Any]:
        if last is None or last.phase is Phase.FINISHED:
            return {"refused": "no run is under way"}
        if last.lease_until > self._clock() or self._is_ahead(last):
            return {**standing(last), "refused": "nothing to do yet"}
        taken = dataclasses.replace(last, lease_until=self._clock() + _LEASE_SECONDS)
        return self._work(self._ledger.save(taken, seen=last, deadline=Deadline(_STEP_SECONDS)), remaining)

    def _stop(self, last: Checkpoint | None) -> dict[str, Any]:
        if last is None or last.phase is Phase.FINISHED:
            return {"refused": "no run is under way"}
        return standing(self._ended(last, "stopped"))

    def _work(self, checkpoint: Checkpoint, remaining: Callable[[], float]) -> dict[str, Any]:
        """Step by step, until the time is up or the queue has enough; then let go of the run."""
        try:
            if not checkpoint.dry_run and self._queue.waiting(deadline=Deadline(_STEP_SECONDS)) > USERS_PER_MINUTE:
                return standing(self._let_go(dataclasses.replace(checkpoint, moved_at=self._clock()), checkpoint))
            while checkpoint.phase is not Phase.FINISHED and not self._is_ahead(checkpoint):
                if remaining() < _STEP_SECONDS + _SETTLE_SECONDS:
                    break
                checkpoint = self._step(checkpoint)
        except (AwsError, DeadlineExceeded) as error:
            self._observer.failed("reconcile interrupted", error, metric="ReconcileInterrupted")
        if checkpoint.phase is not Phase.FINISHED:
            checkpoint = self._let_go(checkpoint, checkpoint)
        return standing(checkpoint)

    def _let_go(self, checkpoint: Checkpoint, seen: Checkpoint) -> Checkpoint:
        free = dataclasses.replace(checkpoint, lease_until=0)
        return self._ledger.save(free, seen=seen, deadline=Deadline(_SETTLE_SECONDS))

    def _step(self, checkpoint: Checkpoint) -> Checkpoint:
        if checkpoint.phase is Phase.LISTING:
            return self._list_page(checkpoint)
        return self._check_records(checkpoint)

    def _saved(self, checkpoint: Checkpoint, seen: Checkpoint | None) -> Checkpoint:
        """A step further, and still in our hands."""
        now = self._clock()
        further = dataclasses.replace(checkpoint, moved_at=now, lease_until=now + _LEASE_SECONDS)
        return self._ledger.save(further, seen=seen, deadline=Deadline(_STEP_SECONDS))

    def _ended(self, checkpoint: Checkpoint, outcome: str, *, seen: Checkpoint | None = None) -> Checkpoint:
        """Report on a run and end it; ``seen`` is what stands in the ledger, if not ``checkpoint``.

        The report comes first: killed after it, the run ends once more and writes the same one.
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
        self._ledger.file_report(ended.run, report, deadline=deadline)
        ended = self._ledger.save(ended, seen=seen or checkpoint, deadline=deadline)
        self._observer.measured("reconciled", metrics_of(ended), **report)
        return ended

    def _is_ahead(self, checkpoint: Checkpoint) -> bool:
        """Whether the queue has messages for some time to come."""
        return checkpoint.next_slot - self._clock() > _SECONDS_AHEAD

    # Through the pool

    def _list_page(self, checkpoint: Checkpoint) -> Checkpoint:
        deadline = Deadline(_STEP_SECONDS)
        try:
            page = self._paced(lambda: self._pool.page(checkpoint.token, deadline=deadline))
        except AwsError as error:
            # Cognito does not say how long a token is good for; a run that stood still may find its own too old.
            if checkpoint.token is None or error.code != "InvalidParameterException":
                raise
            return self._list_again(checkpoint)
        found = self._users.get_many([listed.user for listed in page.users], deadline=deadline)
        findings = [(listed.user, self._finding(listed, found)) for listed in page.users]
        prints = b"".join(fingerprint(checkpoint.run, listed.user.sub) for listed in page.users)
        self._ledger.note_listed(checkpoint.run, checkpoint.page, prints, deadline=deadline)
        wanted = _wanted(findings, backfill=checkpoint.backfill)
        counts, next_slot = self._enqueued(checkpoint, wanted, deadline)
        further = dataclasses.replace(
            checkpoint,
            phase=Phase.LISTING if page.next_token else Phase.ORPHANS,
            page=checkpoint.page + 1,
            token=page.next_token,
            next_slot=next_slot,
            counts=_sum(checkpoint.counts, counts, _counts(finding for _, finding in findings)),
        )
        return self._saved(further, checkpoint)

    def _list_again(self, checkpoint: Checkpoint) -> Checkpoint:
        """Back to the first page. All is counted anew, so that nobody is counted twice."""
        if checkpoint.relisted + 1 >= _LISTINGS:
            return self._ended(checkpoint, "gave_up")
        relisted = checkpoint.relisted + 1
        anew = dataclasses.replace(checkpoint, page=0, token=None, relisted=relisted, counts={})
        return self._saved(anew, checkpoint)

    def _finding(self, listed: Listed, found: Mapping[UserRef, Record | None]) -> Finding:
        record = found.get(listed.user)
        if record is None and listed.user in found:
            return Finding(Drift.UNREADABLE)
        return drift(listed, record, self._addresses, self._clock())

    def _enqueued(
        self, checkpoint: Checkpoint, wanted: Mapping[str, list[UserRef]], deadline: Deadline
    ) -> tuple[dict[str, int], float]:
        """How many were put on the queue as what, and when the next message may be delivered."""
        next_slot = checkpoint.next_slot
        if checkpoint.dry_run:
            return {}, next_slot
        for users in itertools.batched(itertools.chain.from_iterable(wanted.values()), MAX_BATCH, strict=False):
            now = self._clock()
            slot = max(now, next_slot)
            delay = math.ceil(slot - now)
            self._queue.send_many(users, Source.RECONCILE, delay_seconds=delay, deadline=deadline)
            next_slot = slot + len(users) * _SECONDS_PER_USER
        return {kind: len(users) for kind, users in wanted.items()}, next_slot

    # Through the records

    def _check_records(self, checkpoint: Checkpoint) -> Checkpoint:
        """Orphans among some of the records."""
        seen = self._seen_in(checkpoint)
        deadline = Deadline(_STEP_SECONDS)
        known = self._users.known(self._pool_id, checkpoint.place, deadline=deadline)
        unseen = [sub for sub in known.places if fingerprint(checkpoint.run, sub) not in seen]
        asked, orphans = self._confirmed(unseen, deadline)
        place = known.next_place if len(asked) == len(unseen) else known.places[asked[-1]]
        # Their user names are not known any more. Cognito takes a sub for one.
        wanted = {ORPHANED: [UserRef(pool_id=self._pool_id, sub=sub, username=sub) for sub in orphans]}
        counts, next_slot = self._enqueued(checkpoint, wanted, deadline)
        counts = _sum(checkpoint.counts, counts, {"checked": len(asked), "orphaned": len(orphans)})
        further = dataclasses.replace(checkpoint, place=place, next_slot=next_slot, counts=counts)
        if place is None:
            return self._ended(further, "completed", seen=checkpoint)
        return self._saved(further, checkpoint)

    def _confirmed(self, unseen: list[str], deadline: Deadline) -> tuple[list[str], list[str]]:
        """Whom the pool was asked about, in order, and who of them is not there; as many as a step has time for."""
        asked: list[str] = []
        orphans: list[str] = []
        for sub in unseen[:_CONFIRMED_AT_ONCE]:
            if asked and deadline.remaining() < _STEP_SECONDS / 2:
                break
            asked.append(sub)
            if not self._shown(sub, deadline):
                orphans.append(sub)
        return asked, orphans

    def _shown(self, sub: str, deadline: Deadline) -> bool:
        return self._paced(lambda: self._pool.shows(sub, deadline=deadline))

    def _seen_in(self, checkpoint: Checkpoint) -> SeenUsers:
        """Who was listed, read back once an invocation of a run (an execution environment may have several)."""
        if self._seen is None or self._seen[:2] != (checkpoint.run, checkpoint.page):
            seen = SeenUsers()
            for prints in self._ledger.listed(checkpoint.run, checkpoint.page, seconds=_STEP_SECONDS):
                seen.add(prints)
            self._seen = checkpoint.run, checkpoint.page, seen
        return self._seen[2]

    def _paced[T](self, listing: Callable[[], T]) -> T:
        """A ListUsers call, not sooner after the last one than is our share."""
        wait = self._listed_at + _SECONDS_PER_LISTING - self._clock()
        if wait > 0:
            self._sleep(min(wait, _SECONDS_PER_LISTING))
        self._listed_at = self._clock()
        return listing()


def _wanted(findings: Collection[tuple[UserRef, Finding]], *, backfill: bool) -> dict[str, list[UserRef]]:
    """Whom to put on the queue, and as what they count."""
    created = {Drift.UNFINISHED, *([Drift.MISSING] if backfill else [])}
    return {
        CREATED: [user for user, finding in findings if finding.drift in created],
        UPDATED: [user for user, finding in findings if finding.drift is Drift.STALE],
    }


def _counts(findings: Iterator[Finding]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for finding in findings:
        counts[finding.drift] += 1
        if finding.reason:
            counts[f"{finding.drift}.{finding.reason}"] += 1
    return counts


def _sum(*counts: Mapping[str, int]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)
