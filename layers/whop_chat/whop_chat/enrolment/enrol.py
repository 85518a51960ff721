"""Make sure that a Cognito user exists at Whop: exactly one Whop user each, however often and from wherever it runs.

Three steps, each safe to repeat and safe to lose:

1. *Lease* the user's record for at most ten seconds. The record holds the Idempotency-Key of the create that follows.
2. *Create* the connected account at Whop under an ``external_id`` made of pool, sub and generation.
3. *Link* the record and reserve the Whop user, in one transaction.

A worker whose lease ran out may still have a request in flight. It does no harm: Whop gives the same pair of e-mail
and ``external_id`` the same account, and the link needs the lease that the worker no longer holds.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Container
from typing import Literal, Protocol

from whop_chat.cognito.pool import PoolUser, UserDisabled, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment._attempt import Attempt, MayTransfer
from whop_chat.enrolment.email_policy import Addresses, external_id, is_address_of
from whop_chat.enrolment.errors import Blocked, DeletedMeanwhile, Denied, EnrolmentInProgress, Link
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.users.lease import Lease
from whop_chat.users.lifecycle import blocked, keep_link, replacement_of
from whop_chat.users.record import Lost, Record, Reserved, Status
from whop_chat.users.repository import Directory
from whop_chat.whop.client import Whop
from whop_chat.whop.errors import WhopInvalidResponse, WhopRefused

_UNVERIFIED_RETRY_SECONDS = 60
# A link that Whop does not know is looked up again, then replaced by a new account: once each in this time.
_REPAIR_SECONDS = 24 * 3600
_REPAIRS = 2
_POLL_SECONDS = 0.1

EmailReuse = Literal["refuse", "inherit"]


class PoolReader(Protocol):
    """The user pool: `whop_chat.cognito.pool.PoolUsers`, or one in memory."""

    def read(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        """See `whop_chat.cognito.pool.PoolUsers.read`."""

    def find(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        """See `whop_chat.cognito.pool.PoolUsers.find`."""


class Enrolment:
    """Enrols the users of one pool into one company.

    ``reuse`` is about a new user with the address of a deleted one, for whom Whop answers with the same Whop user: the
    new user is refused, or inherits it. ``clock`` tells epoch seconds.
    """

    def __init__(
        self,
        users: Directory,
        pool: PoolReader,
        whop: Whop,
        addresses: Addresses,
        *,
        reuse: EmailReuse = "refuse",
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._users = users
        self._pool = pool
        self._whop = whop
        self._addresses = addresses
        self._reuse = reuse
        self._clock = clock
        self._sleep = sleep

    def enrol(
        self, user: UserRef, record: Record | None, person: PoolUser | None = None, *, deadline: Deadline
    ) -> Link:
        """The user's link, made now if there is none.

        ``record`` is the user's as it was just read, None if there is none. ``person`` is the user as the pool has
        them, from a caller that looked; otherwise the pool is read if it matters.

        Raises `EnrolmentInProgress`, `Blocked`, `Denied`, `whop_chat.cognito.pool.NotActive`,
        `whop_chat.whop.errors.WhopError`, `whop_chat.whop.api_key.NotConfigured`, `AwsError`, `DeadlineExceeded`.
        """
        if record is not None and record.linked_to is not None:
            return Link(record.linked_to)
        self._require_open(record)
        return self._attempt(user, record, person, deadline)

    def enrol_patiently(
        self, user: UserRef, record: Record | None, *, patience_seconds: float, deadline: Deadline
    ) -> Link:
        """As `enrol`, but polls while another worker holds the lease, for ``patience_seconds`` at most."""
        patience = Deadline(patience_seconds)
        while True:
            try:
                return self.enrol(user, record, deadline=deadline)
            except EnrolmentInProgress as progress:
                if progress.at_whop or min(patience.remaining(), deadline.remaining()) <= _POLL_SECONDS:
                    raise
            self._sleep(_POLL_SECONDS)
            record = self._users.get(user, deadline=deadline)

    def relink(self, user: UserRef, person: PoolUser, *, protected: Container[str] = (), deadline: Deadline) -> Link:
        """Link ``user`` to the Whop user of their address, even if another user holds it. Operators only.

        Never taken from a ``sub`` in ``protected``. The former holder is blocked for ``identity_conflict``, or keeps
        their own status without the Whop user. Raises what `enrol` raises.
        """
        record = self._users.get(user, deadline=deadline)
        if record is not None and record.linked_to is not None:
            return Link(record.linked_to)
        if record is None or record.status is not Status.BLOCKED:
            self._require_open(record)
        may_transfer = self._transfer_rule(lambda holder: holder.sub not in protected)
        return self._attempt(user, record, person, deadline, may_transfer=may_transfer)

    def repair(self, user: UserRef, unknown: str, person: PoolUser | None = None, *, deadline: Deadline) -> Link | None:
        """A link to use in place of ``unknown``, a Whop user id that Whop answered 404 for.

        First the user's account is looked up again; after that, the next generation gets a new account. A wrong company
        or key makes every user's token a 404, so each happens at most once a day and user. A repair that leads nowhere
        keeps the link. The answer is None then, and when both have happened. An attempt that Whop or AWS did not answer
        does not count.

        Raises what `enrol` raises.
        """
        record = self._users.get(user, deadline=deadline)
        if record is None or record.linked_to != unknown:
            return self.enrol(user, record, person, deadline=deadline)
        now = self._now()
        repairs = record.repairs if now - record.repaired_at < _REPAIR_SECONDS else 0
        if repairs >= _REPAIRS:
            return None
        suspect = dataclasses.replace(record, repairs=repairs + 1, repaired_at=now)
        try:
            if not repairs:
                return self._look_up_again(user, record, suspect, person, deadline)
            start = replacement_of(suspect)
            return self._attempt(user, record, person, deadline, start=start, fallback=suspect)
        except Blocked:
            return None

    def _look_up_again(
        self, user: UserRef, record: Record, suspect: Record, person: PoolUser | None, deadline: Deadline
    ) -> Link:
        """The link to the present owner of the user's account; the old one if there is no account, or it is taken."""
        try:
            owner = self._owner(user, record, person, deadline)
        except (WhopRefused, WhopInvalidResponse):
            with contextlib.suppress(Lost, AwsError, DeadlineExceeded):
                self._users.put(user, suspect, seen=record, deadline=deadline)
            raise
        try:
            if owner is not None and owner != record.whop_user_id:
                moved = dataclasses.replace(suspect, whop_user_id=owner, profile_digest=None)
                with contextlib.suppress(Reserved):
                    self._users.link(user, moved, seen=record, deadline=deadline)
                    return Link(owner)
            self._users.put(user, suspect, seen=record, deadline=deadline)
        except Lost:
            return self._after_loss(user, deadline)
        return Link(str(record.whop_user_id))

    def _owner(self, user: UserRef, record: Record, person: PoolUser | None, deadline: Deadline) -> str | None:
        """The Whop user who owns the user's account now; None if Whop has no such account of ours."""
        email = self._email(user, person, deadline)
        found = self._whop.find_accounts(external_id(user, record.generation), deadline=deadline)
        for account in found:
            is_ours = account.id == record.whop_account_id and account.parent_id == self._whop.company_id
            if is_ours and email is not None and is_address_of(account, email):
                return account.user_id
        return None

    def _attempt(
        self,
        user: UserRef,
        expected: Record | None,
        person: PoolUser | None,
        deadline: Deadline,
        *,
        start: Record | None = None,
        fallback: Record | None = None,
        may_transfer: MayTransfer | None = None,
    ) -> Link:
        """Lease, create, link, in place of the record ``expected``.

        The lease builds on ``start``, else on ``expected``. ``fallback`` is what is written when nothing comes of it.
        """
        email = self._email(user, person, deadline)
        start = start or expected or Record(status=Status.CLAIMED)
        try:
            if email is None:
                raise self._no_verified_email(user, start, expected, fallback, deadline)
            attempt = Attempt(
                self._users,
                self._whop,
                Lease(self._users, user, deadline=deadline, clock=self._clock),
                email=email,
                email_mode=self._addresses.mode,
                fallback=fallback,
                may_transfer=may_transfer or self._transfer_rule(None),
            )
            return attempt.run(start, expected)
        except Lost:
            return self._after_loss(user, deadline)

    def _transfer_rule(self, as_operator: Callable[[UserRef], bool] | None) -> MayTransfer | None:
        """From whom a Whop user may be taken: from deleted users, and from those that an operator's order names.

        Never before the clean-up after a deletion is done: what is left of it would be done to the successor.
        """
        if as_operator is None and self._reuse == "refuse":
            return None

        def may_transfer(holder: UserRef, record: Record | None) -> bool:
            if record is not None and record.status is Status.DELETED:
                return record.cleaned_at is not None
            return as_operator is not None and as_operator(holder)

        return may_transfer

    def _require_open(self, record: Record | None) -> None:
        """Raise unless an attempt may start from ``record``."""
        if record is None:
            return
        match record.status:
            case Status.DENIED:
                raise Denied
            case Status.DISABLED:
                raise UserDisabled
            case Status.DELETED:
                raise UserGone
            case Status.CLAIMED if record.lease_until > self._now():
                raise EnrolmentInProgress
            case Status.BLOCKED if record.email_mode == self._addresses.mode:
                if record.retry_at is None or record.retry_at > self._now():
                    raise Blocked(record.reason or "blocked")

    def _no_verified_email(
        self, user: UserRef, start: Record, expected: Record | None, fallback: Record | None, deadline: Deadline
    ) -> Blocked:
        """Record that the user has no address to enrol under; the exception to raise."""
        reason, retry_at = "no_verified_email", self._now() + _UNVERIFIED_RETRY_SECONDS
        record = blocked(start, reason, email_mode=self._addresses.mode, retry_at=retry_at)
        if fallback is not None:
            record = keep_link(fallback, record)
        self._users.put(user, record, seen=expected, deadline=deadline)
        return Blocked(reason)

    def _after_loss(self, user: UserRef, deadline: Deadline) -> Link:
        """Another worker wrote the record: its link is as good as ours, anything else is its work to finish."""
        record = self._users.get(user, deadline=deadline)
        if record is not None and record.linked_to is not None:
            return Link(record.linked_to)
        if record is not None and record.status is Status.DELETED:
            raise DeletedMeanwhile
        self._require_open(record)
        raise EnrolmentInProgress

    def _email(self, user: UserRef, person: PoolUser | None, deadline: Deadline) -> str | None:
        return self._addresses.address(person or self._pool.read(user, deadline=deadline))

    def _now(self) -> int:
        return int(self._clock())
