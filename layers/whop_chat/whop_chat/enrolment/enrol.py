"""Make sure that a Cognito user exists at Whop: exactly one Whop user each, however often and from wherever it runs.

Three steps, each safe to repeat and safe to lose:

1. *Claim* the user's record for at most ten seconds. The claim holds the Idempotency-Key of the create that follows.
2. *Create* the connected account at Whop under an ``external_id`` made of pool, sub and generation. The key is used
   again only while the outcome of a create is unknown; any definitive answer retires it.
3. *Link* the record and reserve the Whop user, in one transaction.

A worker whose lease ran out may still have a request in flight. It can do no harm: Whop gives the same pair of e-mail
and ``external_id`` the same account, and the link needs the claim that the worker no longer holds.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Container
from typing import Literal, Protocol

from whop_chat.cognito.pool import PoolUser, UserDisabled, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment._attempt import Claim
from whop_chat.enrolment.email_policy import Addresses, external_id, is_address_of
from whop_chat.enrolment.errors import Blocked, EnrolmentInProgress, Link, LostToDeletion, UserDenied
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.users.lifecycle import kept, next_generation, replaced
from whop_chat.users.record import Lost, Record, Reserved, Status
from whop_chat.users.repository import Directory
from whop_chat.whop.client import Account, Whop
from whop_chat.whop.errors import WhopInvalidResponse, WhopRefused

_UNVERIFIED_RETRY_SECONDS = 60
_REJECTED_RETRY_SECONDS = 3600
_RESERVED_RETRY_SECONDS = 60
# A link that Whop does not know is resolved again, then given a new account: once each in this time.
_REPAIR_SECONDS = 24 * 3600
_REPAIRS = 2

EmailReuse = Literal["refuse", "inherit"]
MayTake = Callable[[UserRef], bool]


class PoolReader(Protocol):
    """The user pool: `whop_chat.cognito.pool.PoolUsers`, or one in memory."""

    def read(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        """See `whop_chat.cognito.pool.PoolUsers.read`."""

    def find(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        """See `whop_chat.cognito.pool.PoolUsers.find`."""


class Enrolment:
    """Enrols the users of one pool into one company.

    ``reuse`` is for a user whose address was that of one who is deleted, so that Whop answers with the same Whop user:
    it is refused to them, or they inherit it.
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
    ) -> None:
        self._users = users
        self._pool = pool
        self._whop = whop
        self._addresses = addresses
        self._reuse = reuse
        self._clock = clock

    def enrol(
        self, user: UserRef, record: Record | None, person: PoolUser | None = None, *, deadline: Deadline
    ) -> Link:
        """The user's link, made now if there is none.

        ``record`` is the user's as it was just read, None if there is none. ``person`` is the user as the pool has
        them, for a caller who has looked; else they are read if it matters.

        Raises `EnrolmentInProgress`, `Blocked`, `UserDenied`, `whop_chat.cognito.pool.NotActive`,
        `whop_chat.whop.errors.WhopError`, `whop_chat.whop.api_key.NotConfigured`, `whop_chat.runtime.aws.AwsError`,
        `whop_chat.runtime.deadline.DeadlineExceeded`.
        """
        if record is not None and record.linked_to is not None:
            return Link(record.linked_to)
        self._require_open(record)
        return self._enrol(user, record, person, deadline)

    def relink(self, user: UserRef, person: PoolUser, *, sparing: Container[str] = (), deadline: Deadline) -> Link:
        """The link of ``user`` to the Whop user of their address, whoever has it: by the order of an operator only.

        It is not taken from a ``sub`` in ``sparing``. Who had it is blocked for ``identity_conflict``, or keeps their
        own status without it. Raises what `enrol` does.
        """
        record = self._users.get(user, deadline=deadline)
        if record is not None and record.linked_to is not None:
            return Link(record.linked_to)
        if record is None or record.status is not Status.BLOCKED:
            self._require_open(record)
        return self._enrol(user, record, person, deadline, may_take=lambda holder: holder.sub not in sparing)

    def repair(self, user: UserRef, unknown: str, person: PoolUser | None = None, *, deadline: Deadline) -> Link | None:
        """A link to use in place of ``unknown``, a Whop user id that Whop answered 404 for.

        First the user's account is looked up again, then the next generation gets a new one. A wrong company or key
        makes every user's token a 404, so each happens at most once a day and user, and one that leads nowhere leaves
        the link as it was; None then, and when both have happened. An attempt that Whop or AWS did not answer does not
        count.

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
            return self._enrol(user, record, person, deadline, start=replaced(suspect), fallback=suspect)
        except Blocked:
            return None

    def _look_up_again(
        self, user: UserRef, record: Record, suspect: Record, person: PoolUser | None, deadline: Deadline
    ) -> Link:
        """The link to whoever owns the user's account now; the one there was if the account is not found, or taken."""
        address = self._addresses.address(person or self._pool.read(user, deadline=deadline))
        try:
            found = self._whop.find_accounts(external_id(user, record.generation), deadline=deadline)
        except (WhopRefused, WhopInvalidResponse):
            with contextlib.suppress(Lost, AwsError, DeadlineExceeded):
                self._users.put(user, suspect, seen=record, deadline=deadline)
            raise
        owners = [
            account.user_id
            for account in found
            if account.id == record.whop_account_id
            and account.parent_id == self._whop.company_id
            and address is not None
            and is_address_of(account, address)
        ]
        try:
            if owners and owners[0] != record.whop_user_id:
                moved = dataclasses.replace(suspect, whop_user_id=owners[0], profile_digest=None)
                with contextlib.suppress(Reserved):
                    self._users.link(user, moved, seen=record, deadline=deadline)
                    return Link(owners[0])
            self._users.put(user, suspect, seen=record, deadline=deadline)
        except Lost:
            return self._after_loss(user, deadline)
        return Link(str(record.whop_user_id))

    def _require_open(self, record: Record | None) -> None:
        """Raise unless an attempt may start from ``record``."""
        if record is None:
            return
        match record.status:
            case Status.DENIED:
                raise UserDenied
            case Status.DISABLED:
                raise UserDisabled
            case Status.DELETED:
                raise UserGone
            case Status.CLAIMED if record.lease_until > self._now():
                raise EnrolmentInProgress
            case Status.BLOCKED if record.email_mode == self._addresses.mode:
                if record.retry_at is None or record.retry_at > self._now():
                    raise Blocked(record.reason or "blocked")

    def _enrol(
        self,
        user: UserRef,
        seen: Record | None,
        person: PoolUser | None,
        deadline: Deadline,
        *,
        start: Record | None = None,
        fallback: Record | None = None,
        may_take: MayTake | None = None,
    ) -> Link:
        """Claim, create, link, from the record ``seen``.

        ``start`` is what the claim builds on if not that; ``fallback`` is what is written when nothing comes of it.
        ``may_take`` says from whom the Whop user may be taken by an operator's order; None if there is no such order.
        """
        address = self._addresses.address(person or self._pool.read(user, deadline=deadline))
        start = start or seen or Record(status=Status.CLAIMED)
        try:
            if address is None:
                raise self._block(
                    user,
                    start,
                    seen,
                    "no_verified_email",
                    retry_in=_UNVERIFIED_RETRY_SECONDS,
                    fallback=fallback,
                    deadline=deadline,
                )
            claim = Claim(self._users, self._whop, user, address, self._now, deadline, fallback)
            with claim.held(start, seen):
                return self._link(user, claim, may_take)
        except Lost:
            return self._after_loss(user, deadline)

    def _link(self, user: UserRef, claim: Claim, may_take: MayTake | None) -> Link:
        try:
            account = claim.account()
        except WhopRefused as error:
            if not _concerns_the_address(error):
                raise
            refused = claim.refused(error)
            raise self._end(user, claim, "enrolment_rejected", refused, retry_in=_REJECTED_RETRY_SECONDS) from None
        if account.parent_id != self._whop.company_id:
            # A key of another company: nobody can be enrolled, and it says nothing about this user.
            raise WhopInvalidResponse("create_account", code="parent_account")
        if not claim.owns(account):
            raise self._end(user, claim, "identity_mismatch", claim.settled)
        try:
            claim.link(account)
        except Reserved:
            self._take(user, claim, account, may_take)
        return Link(account.user_id, created=True)

    def _take(self, user: UserRef, claim: Claim, account: Account, may_take: MayTake | None) -> None:
        """Take the Whop user from who has it, if that may be; raises `Blocked`."""
        if self._reuse == "refuse" and may_take is None:
            raise self._end(user, claim, "identity_conflict", next_generation(claim.settled)) from None
        holder = self._users.holder(account.user_id, deadline=claim.deadline)
        held = self._users.get(holder, deadline=claim.deadline) if holder else None
        try:
            if holder is None or not _may_be_taken(held, by_order=may_take is not None and may_take(holder)):
                raise Reserved
            claim.take(account, holder, held, held and self._without_identity(held))
        except Reserved:
            # The deletion of who has it may not have arrived, or not be finished.
            settled = claim.settled
            raise self._end(user, claim, "identity_conflict", settled, retry_in=_RESERVED_RETRY_SECONDS) from None

    def _without_identity(self, held: Record) -> Record:
        """The record of one whose Whop user is another's now."""
        left = dataclasses.replace(held, whop_user_id=None, whop_account_id=None, profile_digest=None)
        if held.status is Status.DELETED:
            return left
        left = replaced(left)
        if held.status is not Status.LINKED:
            return left
        return dataclasses.replace(
            left, status=Status.BLOCKED, reason="identity_conflict", email_mode=self._addresses.mode
        )

    def _end(self, user: UserRef, claim: Claim, reason: str, record: Record, *, retry_in: int | None = None) -> Blocked:
        """End a claim by a block of ``record``."""
        return self._block(
            user,
            record,
            claim.record,
            reason,
            retry_in=retry_in,
            fallback=claim.fallback,
            deadline=claim.deadline,
        )

    def _block(
        self,
        user: UserRef,
        record: Record,
        seen: Record | None,
        reason: str,
        *,
        retry_in: int | None = None,
        fallback: Record | None = None,
        deadline: Deadline,
    ) -> Blocked:
        """Record why the user cannot be enrolled, or ``fallback``; the exception to raise in either case."""
        blocked = dataclasses.replace(
            record,
            status=Status.BLOCKED,
            reason=reason,
            email_mode=self._addresses.mode,
            retry_at=None if retry_in is None else self._now() + retry_in,
            lease_until=0,
        )
        self._users.put(user, kept(fallback, blocked) if fallback else blocked, seen=seen, deadline=deadline)
        return Blocked(reason)

    def _after_loss(self, user: UserRef, deadline: Deadline) -> Link:
        """Somebody else wrote the record: their link is as good as ours, anything else is theirs to finish."""
        record = self._users.get(user, deadline=deadline)
        if record is not None and record.linked_to is not None:
            return Link(record.linked_to)
        if record is not None and record.status is Status.DELETED:
            raise LostToDeletion
        self._require_open(record)
        raise EnrolmentInProgress

    def _now(self) -> int:
        return int(self._clock())


def _may_be_taken(held: Record | None, *, by_order: bool) -> bool:
    """Whether one whose record is ``held`` can lose their Whop user to another.

    Not before the clean-up after a deletion is done: what is left of it would be done to the heir.
    """
    if held is not None and held.status is Status.DELETED:
        return held.cleaned_at is not None
    return by_order


def _concerns_the_address(error: WhopRefused) -> bool:
    """Whether Whop refused this user's address; any other refusal is about the key or the call, so about everyone."""
    return error.operation == "create_account" and (error.status == 422 or error.param == "email")
