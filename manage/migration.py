"""Relinking everybody after a user pool was migrated: the same people, under new subs or in a new pool.

Whop gives their addresses the Whop users they had, and the table has those reserved for the old subs, so the new users
are blocked for ``identity_conflict``. The command looks through the whole pool first, and counts. Nothing is remembered
between two runs: who is linked already is passed by, so that it can be interrupted anywhere and run again.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from manage.console import Console
from manage.deployment import Deployment
from manage.errors import ERRORS, reason
from manage.throttle import Throttle
from whop_chat.cognito.pool import Listed, NotActive, Standing
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.errors import Blocked, EnrolmentInProgress, UserDenied
from whop_chat.reconcile.drift import Drift, drift
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.queue import Source
from whop_chat.users.record import Record, Status
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.errors import WhopError, WhopForbidden, WhopRateLimited, WhopUnauthorized

# Of the 30 calls a second that the account has for listing users (Cognito, "Quotas"), as many as reconcile takes.
_LISTINGS_A_MINUTE = 300
_SECONDS_PER_USER = 8.0
_FAILURES_IN_A_ROW = 10
# What no user and no waiting will change.
_ABOUT_EVERYBODY = (WhopUnauthorized, WhopForbidden, NotConfigured)
_LEFT_ALONE = (Blocked, UserDenied, NotActive)
_FAILURES = (*ERRORS, WhopError, EnrolmentInProgress)


@dataclass(slots=True)
class Survey:
    """What was found in the pool: ``counts`` has every user once, ``wanted`` are those to relink."""

    counts: Counter[str] = field(default_factory=Counter)
    wanted: list[UserRef] = field(default_factory=list)
    linked: set[str] = field(default_factory=set)
    """By ``sub``, who is active in the pool and has a Whop user: it stays theirs, whatever their address is now."""


class GaveUp(Exception):
    """It makes no sense to go on; the message says why."""


def survey(deployment: Deployment, console: Console, *, backfill: bool) -> Survey:
    """Look through the pool, and change nothing.

    Where two active users of the pool have proved one address, it does not say who the person is: they are counted as
    ``ambiguous``, and left alone.
    """
    addresses = deployment.addresses
    found, candidates, shared = Survey(), dict[UserRef, bytes](), Counter[bytes]()
    with console.progress("looking through the pool", None) as progress:
        for number, (listed, record) in enumerate(_everybody(deployment), start=1):
            finding = drift(listed, record, addresses, time.time())
            address = _proved(listed, addresses.address(listed.person))
            if address:
                shared[address] += 1
            if listed.standing is Standing.ACTIVE and record and record.linked_to:
                found.linked.add(listed.user.sub)
            if address and _is_wanted(finding.drift, record, backfill=backfill):
                candidates[listed.user] = address
            else:
                found.counts[finding.drift] += 1
            progress.show(number)
    found.wanted = [user for user, address in candidates.items() if shared[address] == 1]
    found.counts.update(relink=len(found.wanted), ambiguous=len(candidates) - len(found.wanted))
    return found


def relink_all(deployment: Deployment, console: Console, found: Survey, per_minute: int, counts: Counter[str]) -> None:
    """Relink those who are wanted, and count what came of each in ``counts``. Raises `GaveUp`."""
    throttle, in_a_row = Throttle(per_minute), 0
    with console.progress("relinking", len(found.wanted)) as progress:
        for number, user in enumerate(found.wanted, start=1):
            throttle.wait()
            try:
                counts[relink(deployment, user, sparing=found.linked)] += 1
                in_a_row = 0
            except _LEFT_ALONE:
                counts["left"] += 1
            except _ABOUT_EVERYBODY as error:
                raise GaveUp(_told(error)) from None
            except _FAILURES as error:
                counts["failed"] += 1
                in_a_row += 1
                if in_a_row == _FAILURES_IN_A_ROW:
                    raise GaveUp(_told(error)) from None
            progress.show(number)


def relink(deployment: Deployment, user: UserRef, *, sparing: Container[str] = ()) -> str:
    """Give ``user`` the Whop user of their address, and have the queue set their name: ``relinked``.

    It is not taken from a ``sub`` in ``sparing``: `whop_chat.enrolment.errors.Blocked` is raised then.
    ``already_linked`` if they have one. Raises what `whop_chat.enrolment.enrol.Enrolment.relink` raises.
    """
    with deployment.audit.act("relink", user.sub) as act:
        parts = deployment.enrolment
        deadline = Deadline(_SECONDS_PER_USER)
        attributes = parts.pool.find(user, deadline=deadline)
        while True:
            try:
                link = parts.enrolment.relink(user, attributes, sparing=sparing, deadline=deadline)
            except WhopRateLimited as error:
                time.sleep(error.retry_after)
                deadline = Deadline(_SECONDS_PER_USER)
            else:
                break
        parts.queue.send(user, Source.COMMAND, deadline=deployment.deadline())
        act.outcome = "relinked" if link.created else "already_linked"
    return act.outcome


def _everybody(deployment: Deployment) -> Iterator[tuple[Listed, Record | None]]:
    """Each user of the pool with their record; who has one that cannot be understood is left out."""
    token, throttle = None, Throttle(_LISTINGS_A_MINUTE)
    while True:
        throttle.wait()
        page = deployment.pool.page(token, deadline=deployment.deadline())
        records = deployment.users.get_many([listed.user for listed in page.users], deadline=deployment.deadline())
        for listed in page.users:
            if listed.user not in records or records[listed.user] is not None:
                yield listed, records.get(listed.user)
        token = page.next_token
        if token is None:
            return


def _proved(listed: Listed, address: str | None) -> bytes | None:
    """What stands for the proved address of an active user."""
    if address is None or listed.standing is not Standing.ACTIVE:
        return None
    return hashlib.sha256(address.casefold().encode()).digest()


def _is_wanted(found: Drift, record: Record | None, *, backfill: bool) -> bool:
    """Whether the Whop user of this active user's address may be somebody else's."""
    if record is None:
        return backfill and found is Drift.MISSING
    if record.status is Status.CLAIMED:
        # Of an attempt that ended without an outcome, such as a relink that was interrupted.
        return found is Drift.UNFINISHED
    return record.status is Status.BLOCKED and record.reason == "identity_conflict"


def _told(error: Exception) -> str:
    if isinstance(error, ERRORS):
        return reason(error)
    if isinstance(error, NotConfigured):
        return "The secret holds no usable Whop API key yet."
    return f"Whop: {error}"
