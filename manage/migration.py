"""Relinks the users of a migrated pool: the same people, under new subs or in a new pool.

Whop gives their addresses the Whop users that they had before, but the table reserves those for the old subs. So the
new users are blocked for ``identity_conflict``.

`survey` goes through the whole pool and counts, before `relink_all` changes anything. Nothing is stored between two
runs. A user who is linked already is skipped, so the command can be interrupted at any time and run again.
"""

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from manage.console import Console
from manage.deployment import Deployment
from manage.errors import AWS_ERRORS, reason
from manage.throttle import LISTINGS_PER_MINUTE, Throttle
from manage.users import no_api_key
from whop_chat.cognito.pool import ListedUser, NotActive
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.errors import Blocked, Denied, EnrolmentInProgress
from whop_chat.reconcile.drift import Drift, drift
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.queue import Source
from whop_chat.users.record import Record, Status
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.errors import WhopError, WhopForbidden, WhopRateLimited, WhopUnauthorized

_SECONDS_PER_USER = 8.0
_FAILURES_IN_A_ROW = 10
_SKIPPED = (Blocked, Denied, NotActive)
# These would fail for every user, and no wait helps.
_FATAL = (WhopUnauthorized, WhopForbidden, NotConfigured)
_FAILURES = (*AWS_ERRORS, WhopError, EnrolmentInProgress)


@dataclass(slots=True)
class Survey:
    """What `survey` found. ``counts`` has each user of the pool once."""

    counts: Counter[str] = field(default_factory=Counter)
    to_relink: list[UserRef] = field(default_factory=list)
    linked: set[str] = field(default_factory=set)
    """The subs of the active users with a Whop user. They keep it, whatever their address is now."""


class GaveUp(Exception):
    """Relinking stopped early, because it would go on failing. The message says why."""


def survey(deployment: Deployment, console: Console, *, backfill: bool) -> Survey:
    """Find the users to relink, and change nothing. With ``backfill``, also those who were never enrolled.

    If two active users of the pool have verified the same address, it does not tell who the person is. Both are
    counted as ``ambiguous`` and skipped.
    """
    email_policy = deployment.email_policy
    found, candidates, owners = Survey(), dict[UserRef, bytes](), Counter[bytes]()
    with console.progress("looking through the pool", None) as progress:
        for number, (listed, record) in enumerate(_all_users(deployment), start=1):
            finding = drift(listed, record, email_policy, time.time())
            address = _fingerprint(listed, email_policy.email(listed.pool_user))
            if address:
                owners[address] += 1
            if listed.may_sign_in and record and record.linked_to:
                found.linked.add(listed.user.sub)
            if address and _is_candidate(finding.drift, record, backfill=backfill):
                candidates[listed.user] = address
            else:
                found.counts[finding.drift] += 1
            progress.show(number)
    found.to_relink = [user for user, address in candidates.items() if owners[address] == 1]
    found.counts.update(relink=len(found.to_relink), ambiguous=len(candidates) - len(found.to_relink))
    return found


def relink_all(deployment: Deployment, console: Console, found: Survey, per_minute: int, counts: Counter[str]) -> None:
    """Relink the users that `survey` found, and count the outcome of each in ``counts``. Raises `GaveUp`."""
    throttle, in_a_row = Throttle(per_minute), 0
    with console.progress("relinking", len(found.to_relink)) as progress:
        for number, user in enumerate(found.to_relink, start=1):
            throttle.wait()
            try:
                counts[relink(deployment, user, protected=found.linked)] += 1
                in_a_row = 0
            except _SKIPPED:
                counts["left"] += 1
            except _FATAL as error:
                raise GaveUp(_reason(error)) from None
            except _FAILURES as error:
                counts["failed"] += 1
                in_a_row += 1
                if in_a_row == _FAILURES_IN_A_ROW:
                    raise GaveUp(_reason(error)) from None
            progress.show(number)


def relink(deployment: Deployment, user: UserRef, *, protected: Container[str] = ()) -> str:
    """Link ``user`` to the Whop user of their address, and enqueue a sync that sets the name.

    Returns ``relinked``, or ``already_linked`` if nothing had to change. Raises `whop_chat.enrolment.errors.Blocked`
    instead of taking the Whop user from a ``sub`` in ``protected``. Raises what
    `whop_chat.enrolment.enrol.Enrolment.relink` raises.
    """
    with deployment.audit.entry("relink", user.sub) as entry, contextlib.ExitStack() as losses:
        parts = deployment.enrolment

        def may_take_from(holder: UserRef) -> bool:
            """Log the loss with the holder too, before it happens."""
            if holder.sub in protected:
                return False
            losses.enter_context(deployment.audit.entry("lose_whop_user", holder.sub)).outcome = f"to {user.sub}"
            return True

        deadline = Deadline(_SECONDS_PER_USER)
        attributes = parts.pool.lookup(user, deadline=deadline).require_may_sign_in()
        while True:
            try:
                link = parts.enrolment.relink(user, attributes, may_take_from=may_take_from, deadline=deadline)
            except WhopRateLimited as error:
                time.sleep(error.retry_after)
                deadline = Deadline(_SECONDS_PER_USER)
            else:
                break
        parts.queue.send(user, Source.COMMAND, deadline=deployment.deadline())
        entry.outcome = "relinked" if link.created else "already_linked"
    return entry.outcome


def _all_users(deployment: Deployment) -> Iterator[tuple[ListedUser, Record | None]]:
    """Each user of the pool with their record. A user whose record cannot be read is left out."""
    token, throttle = None, Throttle(LISTINGS_PER_MINUTE)
    while True:
        throttle.wait()
        page = deployment.pool.list_page(token, deadline=deployment.deadline())
        records = deployment.users.get_many([listed.user for listed in page.users], deadline=deployment.deadline())
        for listed in page.users:
            if listed.user not in records or records[listed.user] is not None:
                yield listed, records.get(listed.user)
        token = page.next_token
        if token is None:
            return


def _fingerprint(listed: ListedUser, address: str | None) -> bytes | None:
    """A hash that stands for the verified address of a user who may sign in."""
    if address is None or not listed.may_sign_in:
        return None
    # Wider than what enrolment compares by. A prediction errs on the safe side: it counts more addresses as shared.
    return hashlib.sha256(address.casefold().encode()).digest()


def _is_candidate(found: Drift, record: Record | None, *, backfill: bool) -> bool:
    """Whether somebody else may hold the Whop user of this active user's address."""
    if record is None:
        return backfill and found is Drift.MISSING
    if record.status is Status.PENDING:
        # An attempt that ended without an outcome, for instance a relink that was interrupted.
        return found is Drift.UNFINISHED
    return record.status is Status.BLOCKED and record.reason == "identity_conflict"


def _reason(error: Exception) -> str:
    if isinstance(error, AWS_ERRORS):
        return reason(error)
    if isinstance(error, NotConfigured):
        return no_api_key(error)
    return f"Whop: {error}"
