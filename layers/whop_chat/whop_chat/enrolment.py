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
import hashlib
import hmac
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from whop_chat.addresses import Addresses
from whop_chat.api_key import NotConfigured
from whop_chat.aws import AwsError
from whop_chat.deadline import Deadline, DeadlineExceeded
from whop_chat.identity import UserRef
from whop_chat.pool_users import PoolUser, UserDisabled, UserGone
from whop_chat.users import Lost, Record, Reserved, Status
from whop_chat.whop import (
    Account,
    Whop,
    WhopConflict,
    WhopError,
    WhopInvalidResponse,
    WhopRefused,
)

LEASE_SECONDS = 10
# Giving a claim back may take this long beyond the deadline: it saves whoever comes next the rest of the lease.
_RELEASE_SECONDS = 0.3
_UNVERIFIED_RETRY_SECONDS = 60
_REJECTED_RETRY_SECONDS = 3600
_RESERVED_RETRY_SECONDS = 60
# A link that Whop does not know is resolved again, then given a new account: once each in this time.
_REPAIR_SECONDS = 24 * 3600
_REPAIRS = 2
# Creating, and starting over after a replayed answer, a stale key or a used-up external id: never more calls than this.
_CREATES = 3


EmailReuse = Literal["refuse", "inherit"]
BLOCK_REASONS = frozenset({"no_verified_email", "identity_conflict", "identity_mismatch", "enrolment_rejected"})


class EnrolmentInProgress(Exception):
    """An attempt for the same user is under way; ask again in ``retry_after`` seconds.

    ``at_whop`` says that it is a request of ours at Whop, and no worker whose claim may end any moment.
    """

    retry_after = 1

    def __init__(self, *, at_whop: bool = False) -> None:
        super().__init__()
        self.at_whop = at_whop


class UserDenied(Exception):
    """An operator has shut this user out."""


class LostToDeletion(UserGone):
    """The user was deleted while they were enrolled: what was made at Whop has to be cleaned up."""


class Blocked(Exception):
    """The user cannot be enrolled as things stand; ``reason`` is recorded on the user, one of `BLOCK_REASONS`:

    ``no_verified_email``, ``identity_conflict`` (the Whop user belongs to another Cognito user), ``identity_mismatch``
    (Whop answered with an account that is not the one asked for), ``enrolment_rejected`` (Whop refused the address).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Link:
    """An enrolled user; ``created`` says that this call made the link."""

    whop_user_id: str
    created: bool = False


class Directory(Protocol):
    """The users table: `whop_chat.users.Users`, or one in memory where many runs are tried out."""

    def get(self, user: UserRef, *, deadline: Deadline) -> Record | None:
        """See `whop_chat.users.Users.get`."""

    def put(self, user: UserRef, record: Record, *, seen: Record | None, deadline: Deadline) -> Record:
        """See `whop_chat.users.Users.put`."""

    def link(self, user: UserRef, record: Record, *, seen: Record, deadline: Deadline) -> Record:
        """See `whop_chat.users.Users.link`."""

    def holder(self, whop_user_id: str, *, deadline: Deadline) -> UserRef | None:
        """See `whop_chat.users.Users.holder`."""

    def take(
        self,
        user: UserRef,
        record: Record,
        *,
        seen: Record,
        holder: UserRef,
        held: Record | None,
        left: Record | None,
        deadline: Deadline,
    ) -> Record:
        """See `whop_chat.users.Users.take`."""


class PoolReader(Protocol):
    """The user pool: `whop_chat.pool_users.PoolUsers`, or one in memory."""

    def read(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        """See `whop_chat.pool_users.PoolUsers.read`."""

    def find(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        """See `whop_chat.pool_users.PoolUsers.find`."""


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

    def enrol(self, user: UserRef, person: PoolUser | None = None, *, deadline: Deadline) -> Link:
        """The user's link, made now if there is none.

        ``person`` is the user as the pool has them, for a caller who has looked; else they are read if it matters.

        Raises `EnrolmentInProgress`, `Blocked`, `UserDenied`, `whop_chat.pool_users.NotActive`,
        `whop_chat.whop.WhopError`, `whop_chat.api_key.NotConfigured`, `whop_chat.aws.AwsError`,
        `whop_chat.deadline.DeadlineExceeded`.
        """
        record = self._users.get(user, deadline=deadline)
        if record is not None and record.linked_to is not None:
            return Link(record.linked_to)
        self._require_open(record)
        return self._enrol(user, record, person, deadline)

    def relink(self, user: UserRef, person: PoolUser, *, deadline: Deadline) -> Link:
        """The link of ``user`` to the Whop user of their address, whoever has it: by the order of an operator only.

        Who had it is blocked for ``identity_conflict``, or keeps their own status without it. Raises what `enrol` does.
        """
        record = self._users.get(user, deadline=deadline)
        if record is not None and record.linked_to is not None:
            return Link(record.linked_to)
        if record is None or record.status is not Status.BLOCKED:
            self._require_open(record)
        return self._enrol(user, record, person, deadline, by_order=True)

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
            return self.enrol(user, person, deadline=deadline)
        now = self._now()
        repairs = record.repairs if now - record.repaired_at < _REPAIR_SECONDS else 0
        if repairs >= _REPAIRS:
            return None
        suspect = dataclasses.replace(record, repairs=repairs + 1, repaired_at=now)
        try:
            if not repairs:
                return self._look_up_again(user, record, suspect, person, deadline)
            following = _next_generation(suspect)
            return self._enrol(user, record, person, deadline, start=following, fallback=suspect)
        except Blocked:
            return None

    def _look_up_again(
        self, user: UserRef, record: Record, suspect: Record, person: PoolUser | None, deadline: Deadline
    ) -> Link:
        """The link to whoever owns the user's account now; the one there was if the account is not found, or taken."""
        address = self._addresses.address(person or self._pool.read(user, deadline=deadline))
        found = self._whop.find_accounts(external_id(user, record.generation), deadline=deadline)
        owners = [
            account.user_id
            for account in found
            if account.id == record.whop_account_id
            and account.parent_id == self._whop.company_id
            and address is not None
            and _is_address_of(account, address)
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
        by_order: bool = False,
    ) -> Link:
        """Claim, create, link, from the record ``seen``.

        ``start`` is what the claim builds on if not that; ``fallback`` is what is written when nothing comes of it.
        ``by_order`` takes the Whop user from whoever has it.
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
            attempt = _Attempt(self._users, self._whop, user, address, self._now, deadline, fallback)
            with attempt.claimed(start, seen):
                return self._link(user, attempt, by_order=by_order)
        except Lost:
            return self._after_loss(user, deadline)

    def _link(self, user: UserRef, attempt: "_Attempt", *, by_order: bool) -> Link:
        try:
            account = attempt.account()
        except WhopRefused as error:
            if not _concerns_the_address(error):
                raise
            raise self._end(user, attempt, "enrolment_rejected", retry_in=_REJECTED_RETRY_SECONDS) from None
        if account.parent_id != self._whop.company_id:
            # A key of another company: nobody can be enrolled, and it says nothing about this user.
            raise WhopInvalidResponse("create_account", code="parent_account")
        if not attempt.owns(account):
            raise self._end(user, attempt, "identity_mismatch")
        try:
            attempt.link(account)
        except Reserved:
            self._take(user, attempt, account, by_order=by_order)
        return Link(account.user_id, created=True)

    def _take(self, user: UserRef, attempt: "_Attempt", account: Account, *, by_order: bool) -> None:
        """Take the Whop user from who has it, if that may be; raises `Blocked`."""
        if self._reuse == "refuse" and not by_order:
            blocked = self._end(user, attempt, "identity_conflict", next_generation=True)
            attempt.forget(account)
            raise blocked from None
        holder = self._users.holder(account.user_id, deadline=attempt.deadline)
        held = self._users.get(holder, deadline=attempt.deadline) if holder else None
        try:
            if holder is None or not _may_be_taken(held, by_order=by_order):
                raise Reserved
            attempt.take(account, holder, held, held and self._without_identity(held))
        except Reserved:
            # The deletion of who has it may not have arrived, or not be finished.
            raise self._end(user, attempt, "identity_conflict", retry_in=_RESERVED_RETRY_SECONDS) from None

    def _without_identity(self, held: Record) -> Record:
        """The record of one whose Whop user is another's now."""
        left = dataclasses.replace(held, whop_user_id=None, whop_account_id=None, profile_digest=None)
        if held.status is not Status.LINKED:
            return left
        return dataclasses.replace(
            left,
            status=Status.BLOCKED,
            reason="identity_conflict",
            email_mode=self._addresses.mode,
            generation=left.generation + 1,
        )

    def _end(
        self,
        user: UserRef,
        attempt: "_Attempt",
        reason: str,
        *,
        retry_in: int | None = None,
        next_generation: bool = False,
    ) -> Blocked:
        """End a claim by a block."""
        record = _next_generation(attempt.settled) if next_generation else attempt.settled
        return self._block(
            user,
            record,
            attempt.record,
            reason,
            retry_in=retry_in,
            fallback=attempt.fallback,
            deadline=attempt.deadline,
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
        self._users.put(user, fallback or blocked, seen=seen, deadline=deadline)
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


class _Attempt:
    """One worker's claim on one user, and what it does under it. Every write raises `Lost` once the claim is."""

    def __init__(
        self,
        users: Directory,
        whop: Whop,
        user: UserRef,
        address: str,
        now: Callable[[], int],
        deadline: Deadline,
        fallback: Record | None,
    ) -> None:
        self.fallback = fallback
        self._users = users
        self._whop = whop
        self._user = user
        self._address = address
        self._now = now
        self.deadline = deadline
        self._key_is_new = True
        self.record = Record(status=Status.CLAIMED)

    @property
    def _uncounted(self) -> Record | None:
        """The fallback of a repair that could not be tried: it is not to cost the user the day."""
        return self.fallback and dataclasses.replace(self.fallback, repairs=self.fallback.repairs - 1)

    @property
    def settled(self) -> Record:
        """The record once the outcome of the create is known: its key is used up."""
        return dataclasses.replace(self.record, idempotency_key=None, email_digest=None)

    @contextlib.contextmanager
    def claimed(self, start: Record, seen: Record | None) -> Iterator[None]:
        """Hold the claim; an error that settles nothing about the user leaves it open for the next attempt.

        The key stays with it unless the create was refused for good: a 429 may have been given before anybody looked
        at the key, and a refused look-up says nothing about the create.
        """
        self._claim(start, seen)
        try:
            yield
        except (Lost, Blocked):
            raise
        except EnrolmentInProgress:
            # Asking Whop sooner would only add calls.
            waiting = dataclasses.replace(self.record, lease_until=self.record.key_since + LEASE_SECONDS)
            self._release(self._uncounted or waiting)
            raise
        except Exception as error:
            refused = isinstance(error, WhopRefused) and error.operation == "create_account"
            open_again = dataclasses.replace(self.settled if refused else self.record, lease_until=0)
            answered = isinstance(error, WhopRefused | WhopInvalidResponse)
            self._release((self.fallback if answered else self._uncounted) or open_again)
            raise

    def _claim(self, start: Record, seen: Record | None) -> None:
        """Take the claim; an Idempotency-Key whose outcome is unknown is taken over with it."""
        claimed = dataclasses.replace(
            start, status=Status.CLAIMED, lease_until=self._now() + LEASE_SECONDS, reason=None, retry_at=None
        )
        if start.idempotency_key is None:
            claimed = self._with_new_key(claimed)
        elif start.email_digest == _digest(start.idempotency_key, self._address):
            self._key_is_new = False
        else:
            # The address has changed since; the external id may be bound to the old one.
            claimed = self._with_new_key(_next_generation(claimed))
        self._write(claimed, seen)

    def account(self) -> Account:
        """Create the account, or find the one that an earlier attempt created."""
        for attempts_left in reversed(range(_CREATES)):
            try:
                return self._create()
            except WhopConflict as conflict:
                account = self._after_conflict(conflict)
                if account is not None:
                    return account
                if not attempts_left:
                    raise
            except WhopError as error:
                if not attempts_left or not _about_the_key(error):
                    raise
                self._write(self._with_new_key(self.record), self.record)
        raise AssertionError("unreachable")

    def owns(self, account: Account) -> bool:
        """Whether ``account`` is exactly the one asked for: our id, our company's child, the address that was sent."""
        return (
            account.external_id == self._external_id
            and account.parent_id == self._whop.company_id
            and _is_address_of(account, self._address)
        )

    def link(self, account: Account) -> None:
        """Link the user to ``account`` and reserve its Whop user; raises `Reserved`."""
        self.record = self._users.link(self._user, self._linked(account), seen=self.record, deadline=self.deadline)

    def _linked(self, account: Account) -> Record:
        return dataclasses.replace(
            self.settled,
            status=Status.LINKED,
            lease_until=0,
            email_mode=None,
            whop_user_id=account.user_id,
            whop_account_id=account.id,
            profile_digest=None,
        )

    def take(self, account: Account, holder: UserRef, held: Record | None, left: Record | None) -> None:
        """As `link`, for a Whop user that ``holder`` has; raises `Reserved` if that has changed."""
        self.record = self._users.take(
            self._user,
            self._linked(account),
            seen=self.record,
            holder=holder,
            held=held,
            left=left,
            deadline=self.deadline,
        )

    def forget(self, account: Account) -> None:
        """Take our external id from an account given up; nothing depends on it, as the next generation has another."""
        try:
            self._whop.clear_external_id(account.id, deadline=self.deadline)
        except (WhopError, AwsError, NotConfigured, DeadlineExceeded):
            pass

    @property
    def _external_id(self) -> str:
        return external_id(self._user, self.record.generation)

    def _create(self) -> Account:
        key = self.record.idempotency_key
        if key is None:
            raise AssertionError("a claim holds a key")
        return self._whop.create_account(
            email=self._address,
            # Whop's own default. A key goes with one request, so nothing in it may change between attempts.
            title=self._external_id,
            external_id=self._external_id,
            idempotency_key=key,
            deadline=self.deadline,
        )

    def _after_conflict(self, conflict: WhopConflict) -> Account | None:
        """What a 409 means, by look-up: the account it was about, or None when another create may succeed."""
        found = self._whop.find_accounts(self._external_id, deadline=self.deadline)
        ours = [account for account in found if account.parent_id == self._whop.company_id]
        for account in ours:
            if self.owns(account):
                return account
        if ours:
            # Our external id is bound to another address.
            self._write(self._with_new_key(_next_generation(self.record)), self.record)
            self.forget(ours[0])
        elif conflict.replayed:
            self._write(self._with_new_key(self.record), self.record)
        elif self._key_is_new and not conflict.repeated:
            # Nobody can have used this key before, so the id is taken by an account that we are not shown.
            self._write(self._with_new_key(_next_generation(self.record)), self.record)
        elif self._now() - self.record.key_since < LEASE_SECONDS:
            # The first request with this key may still be running.
            raise EnrolmentInProgress(at_whop=True)
        else:
            self._write(self._with_new_key(self.record), self.record)
        return None

    def _with_new_key(self, record: Record) -> Record:
        self._key_is_new = True
        key = str(uuid.uuid4())
        return dataclasses.replace(
            record, idempotency_key=key, key_since=self._now(), email_digest=_digest(key, self._address)
        )

    def _release(self, record: Record) -> None:
        grace = Deadline(max(_RELEASE_SECONDS, self.deadline.remaining()))
        try:
            self.record = self._users.put(self._user, record, seen=self.record, deadline=grace)
        except (Lost, AwsError, DeadlineExceeded):
            pass  # The error that ended this attempt is the one to report; the lease runs out by itself.

    def _write(self, record: Record, seen: Record | None) -> None:
        self.record = self._users.put(self._user, record, seen=seen, deadline=self.deadline)


def _may_be_taken(held: Record | None, *, by_order: bool) -> bool:
    """Whether one whose record is ``held`` can lose their Whop user to another.

    Not before the clean-up after a deletion is done: what is left of it would be done to the heir.
    """
    if held is not None and held.status is Status.DELETED:
        return held.cleaned_at is not None
    return by_order


def _next_generation(record: Record) -> Record:
    return dataclasses.replace(record, generation=record.generation + 1)


def external_id(user: UserRef, generation: int) -> str:
    """The id of the user's account at Whop, who takes any text but ``%`` (Whop, "Enroll subaccounts")."""
    return f"cognito:{user.pool_id}:{user.sub}:{generation}"


def _concerns_the_address(error: WhopRefused) -> bool:
    """Whether Whop refused this user's address; any other refusal is about the key or the call, so about everyone."""
    return error.operation == "create_account" and (error.status == 422 or error.param == "email")


def _is_address_of(account: Account, address: str) -> bool:
    return (account.email or "").casefold() == address.casefold()


def _about_the_key(error: WhopError) -> bool:
    """An old answer, or the refusal of a key that went with another request: a new key gets a new answer."""
    return error.replayed or error.code == "idempotency_key_mismatch"


def _digest(key: str, address: str) -> str:
    return hmac.new(key.encode(), address.encode(), hashlib.sha256).hexdigest()
