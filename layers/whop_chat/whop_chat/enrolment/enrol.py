"""Enrol a Cognito user at Whop: exactly one Whop user each, however often and concurrently it runs.

Three steps, each safe to repeat and safe to lose:

1. *Lease* the user's record for at most ten seconds. The record stores the Idempotency-Key of the create that follows.
2. *Create* the connected account at Whop under an ``external_id`` made of pool, sub and generation.
3. *Link* the record and reserve the Whop user, in one transaction.

A worker whose lease ran out may still have a request in flight. It does no harm: Whop gives the same pair of e-mail
and ``external_id`` the same account, and the link needs the lease that the worker no longer holds.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

from whop_chat.cognito.pool import ListedUser, PoolUser, UserDisabled, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment._attempt import Attempt, MayTransfer
from whop_chat.enrolment.email_policy import EmailPolicy, address_digest, external_id, has_email, is_another_address
from whop_chat.enrolment.errors import Blocked, DeletedMeanwhile, Denied, EnrolmentInProgress, Link
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.errors import Refused
from whop_chat.runtime.metrics import ENROLMENTS
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.users.lease import Lease
from whop_chat.users.lifecycle import blocked, keep_link, replacement_of, without_profile
from whop_chat.users.record import AlreadyReserved, Record, StaleRecord, Status
from whop_chat.users.refusals import SignedInReader
from whop_chat.users.repository import UserRepository
from whop_chat.whop.client import Whop
from whop_chat.whop.errors import OutOfPermits, WhopInvalidResponse, WhopRefused

_NO_ADDRESS_RETRY_SECONDS = 60
# The two repairs of a link: a look-up, then a new account. Each happens once in this time.
_REPAIR_SECONDS = 24 * 3600
_REPAIRS = 2
_POLL_SECONDS = 0.1

EmailReuse = Literal["refuse", "inherit"]


class PoolReader(SignedInReader, Protocol):
    """The user pool: `whop_chat.cognito.pool.UserPool`, or one in memory."""

    def lookup(self, user: UserRef, *, deadline: Deadline) -> ListedUser:
        """See `whop_chat.cognito.pool.UserPool.lookup`."""


class Enrolment:
    """Enrols the users of one pool into one company.

    ``reuse`` decides about a new user with the address of a deleted user, for which Whop returns the same Whop user.
    The new user is refused, or inherits it. ``clock`` returns epoch seconds.
    """

    def __init__(
        self,
        users: UserRepository,
        pool: SignedInReader,
        whop: Whop,
        email_policy: EmailPolicy,
        telemetry: Telemetry,
        *,
        reuse: EmailReuse = "refuse",
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._users = users
        self._pool = pool
        self._whop = whop
        self._email_policy = email_policy
        self._telemetry = telemetry
        self._reuse = reuse
        self._clock = clock
        self._sleep = sleep

    def enrol(
        self, user: UserRef, record: Record | None, pool_user: PoolUser | None = None, *, deadline: Deadline
    ) -> Link:
        """The user's link, made now if there is none.

        ``record`` is the user's record, as the caller has just read it, or None. ``pool_user`` is the user in the pool,
        if the caller has read it. Otherwise the pool is read, if that is needed.

        Raises `EnrolmentInProgress`, `Blocked`, `Denied`, `whop_chat.cognito.pool.NotActive`,
        `whop_chat.whop.errors.WhopError`, `whop_chat.whop.api_key.NotConfigured`, `AwsError`, `DeadlineExceeded`.
        """
        if record is not None and record.linked_to is not None:
            return Link(record.linked_to)
        if record is None or not self._has_another_address(record, pool_user):
            self._require_open(record)
        return self._attempt(user, record, pool_user, deadline)

    def enrol_patiently(
        self, user: UserRef, record: Record | None, *, patience_seconds: float, deadline: Deadline
    ) -> Link:
        """As `enrol`, but polls while another worker has the lease, for at most ``patience_seconds``."""
        patience = Deadline(patience_seconds)
        while True:
            try:
                return self.enrol(user, record, deadline=deadline)
            except EnrolmentInProgress as progress:
                if progress.at_whop or min(patience.remaining(), deadline.remaining()) <= _POLL_SECONDS:
                    raise
            self._sleep(_POLL_SECONDS)
            record = self._users.get(user, deadline=deadline)

    def relink(
        self,
        user: UserRef,
        pool_user: PoolUser,
        *,
        may_take_from: Callable[[UserRef], bool],
        deadline: Deadline,
    ) -> Link:
        """Link ``user`` to the Whop user of their address, if ``may_take_from`` accepts its holder. Operators only.

        A linked former holder becomes blocked for ``identity_conflict``. Any other keeps its status, without the Whop
        user. Raises what `enrol` raises.
        """
        record = self._users.get(user, deadline=deadline)
        if record is not None and record.linked_to is not None:
            return Link(record.linked_to)
        if record is None or record.status is not Status.BLOCKED:
            self._require_open(record)
        may_transfer = self._transfer_rule(may_take_from)
        return self._attempt(user, record, pool_user, deadline, may_transfer=may_transfer)

    def repair(
        self, user: UserRef, unknown: str, pool_user: PoolUser | None = None, *, deadline: Deadline
    ) -> Link | None:
        """A link to use in place of ``unknown``, a Whop user id that Whop answered 404 for. None: there is none today.

        The first repair looks the user's account up again. The second creates an account for the next generation. Each
        happens at most once a day and user, because a wrong company or key makes every user's token a 404. A failed
        repair keeps the link and returns None. A repair that Whop or AWS did not answer does not count. If the address
        of ``pool_user`` is another one than that of the failed repair, there is one more.

        Raises what `enrol` raises.
        """
        record = self._users.get(user, deadline=deadline)
        if record is None or record.linked_to != unknown:
            return self.enrol(user, record, pool_user, deadline=deadline)
        now = self._now()
        repairs = record.repairs if now - record.repaired_at < _REPAIR_SECONDS else 0
        blocked_digest = record.blocked_digest
        if pool_user and is_another_address(blocked_digest, user.sub, self._email_policy.email(pool_user)):
            # A repair that Whop refuses for another reason leaves no digest, so the former one would allow more.
            repairs, blocked_digest = min(repairs, _REPAIRS - 1), None
        if repairs >= _REPAIRS:
            return None
        # The name is due again, so the next sync asks Whop about the user and finds out whether the link is repaired.
        suspect = dataclasses.replace(
            record, repairs=repairs + 1, repaired_at=now, profile_digest=None, blocked_digest=blocked_digest
        )
        try:
            if not repairs:
                return self._look_up_again(user, record, suspect, pool_user, deadline)
            start = replacement_of(suspect)
            return self._attempt(user, record, pool_user, deadline, start=start, fallback=suspect)
        except Blocked:
            return None

    def _look_up_again(
        self, user: UserRef, record: Record, suspect: Record, pool_user: PoolUser | None, deadline: Deadline
    ) -> Link:
        """The link to the present owner of the user's account, or the old link if there is no account or free owner."""
        try:
            owner = self._owner(user, record, pool_user, deadline)
        except (WhopRefused, WhopInvalidResponse):
            with contextlib.suppress(StaleRecord, AwsError, DeadlineExceeded):
                self._users.put(user, suspect, expected=record, deadline=deadline)
            raise
        try:
            if owner is not None and owner != record.whop_user_id:
                moved = dataclasses.replace(without_profile(suspect), whop_user_id=owner)
                with contextlib.suppress(AlreadyReserved):
                    self._users.link(user, moved, expected=record, deadline=deadline)
                    return Link(owner)
            self._users.put(user, suspect, expected=record, deadline=deadline)
        except StaleRecord:
            return self._after_lost_race(user, deadline)
        return Link(str(record.whop_user_id))

    def _owner(self, user: UserRef, record: Record, pool_user: PoolUser | None, deadline: Deadline) -> str | None:
        """The Whop user that owns the user's account now. None if Whop has no such account of ours."""
        email = self._email_policy.email(pool_user or self._pool.admin_get(user, deadline=deadline))
        found = self._whop.find_accounts(external_id(user, record.generation), deadline=deadline)
        for account in found:
            is_ours = account.id == record.whop_account_id and account.parent_id == self._whop.company_id
            if is_ours and email is not None and has_email(account, email):
                return account.user_id
        return None

    def _attempt(
        self,
        user: UserRef,
        expected: Record | None,
        pool_user: PoolUser | None,
        deadline: Deadline,
        *,
        start: Record | None = None,
        fallback: Record | None = None,
        may_transfer: MayTransfer | None = None,
    ) -> Link:
        """Lease, create and link, which replaces the record ``expected``. Counts how that ends.

        The lease builds on ``start``, or else on ``expected``. ``fallback`` is the record to write if it makes no link.
        """
        with self._counting_failures():
            pool_user = pool_user or self._pool.admin_get(user, deadline=deadline)
            email = self._email_policy.email(pool_user)
            start = start or expected or Record(status=Status.PENDING)
            try:
                if email is None:
                    reason = self._email_policy.refusal(pool_user) or "no_verified_email"
                    raise self._no_address(reason, user, start, expected, fallback, deadline)
                attempt = Attempt(
                    self._users,
                    self._whop,
                    Lease(self._users, user, deadline=deadline, clock=self._clock),
                    email=email,
                    email_mode=self._email_policy.mode,
                    fallback=fallback,
                    may_transfer=may_transfer or self._transfer_rule(None),
                )
                link = attempt.run(start, expected)
            except StaleRecord:
                return self._after_lost_race(user, deadline)
            self._telemetry.count(ENROLMENTS, outcome="linked")
            return link

    @contextlib.contextmanager
    def _counting_failures(self) -> Iterator[None]:
        """Count an attempt that ends without a link, unless it waits for another worker or for a permit."""
        try:
            yield
        except (EnrolmentInProgress, OutOfPermits):
            raise
        except Exception as error:
            self._telemetry.count(ENROLMENTS, outcome="refused" if isinstance(error, Refused) else "failed")
            raise

    def _transfer_rule(self, as_operator: Callable[[UserRef], bool] | None) -> MayTransfer | None:
        """The holders that a Whop user may be transferred from: deleted users, and users that ``as_operator`` accepts.

        A deleted user's clean-up must be completed first. Otherwise the rest of it would hit the successor.
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
            case Status.PENDING if record.lease_until > self._now():
                raise EnrolmentInProgress
            case Status.BLOCKED if record.email_mode == self._email_policy.mode:
                if record.retry_at is None or record.retry_at > self._now():
                    raise Blocked(record.reason or "blocked")

    def _has_another_address(self, record: Record, pool_user: PoolUser | None) -> bool:
        """Whether a blocked user has another address than the one of the block. Then the block says nothing."""
        if pool_user is None or record.status is not Status.BLOCKED:
            return False
        return is_another_address(record.blocked_digest, pool_user.sub, self._email_policy.email(pool_user))

    def _no_address(
        self,
        reason: str,
        user: UserRef,
        start: Record,
        expected: Record | None,
        fallback: Record | None,
        deadline: Deadline,
    ) -> Blocked:
        """Record that the user has no address to enrol under. Returns the exception to raise."""
        retry_at = self._now() + _NO_ADDRESS_RETRY_SECONDS
        record = blocked(start, reason, email_mode=self._email_policy.mode, retry_at=retry_at)
        if fallback is not None:
            # Any address is another one than none.
            record = keep_link(fallback, dataclasses.replace(record, blocked_digest=address_digest(user.sub, "")))
        self._users.put(user, record, expected=expected, deadline=deadline)
        return Blocked(reason)

    def _after_lost_race(self, user: UserRef, deadline: Deadline) -> Link:
        """The link that another worker wrote. Without one, the other worker has to finish: raises the reason."""
        record = self._users.get(user, deadline=deadline)
        if record is not None and record.linked_to is not None:
            return Link(record.linked_to)
        if record is not None and record.status is Status.DELETED:
            raise DeletedMeanwhile
        self._require_open(record)
        raise EnrolmentInProgress

    def _now(self) -> int:
        return int(self._clock())
