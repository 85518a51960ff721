"""One attempt to enrol one user, under one lease: create the account, then link or block the user.

The leased record stores the Idempotency-Key of the create. An attempt reuses the key only while the outcome of the
create is unknown. Any definitive answer retires it.
"""

import dataclasses
import uuid
from collections.abc import Callable

from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import EmailMode, address_digest, external_id, has_email
from whop_chat.enrolment.errors import Blocked, EnrolmentInProgress, Link
from whop_chat.users.lease import LEASE_SECONDS, Lease
from whop_chat.users.lifecycle import (
    SETTLING_SECONDS,
    blocked,
    keep_link,
    next_generation,
    without_identity,
    without_profile,
)
from whop_chat.users.record import AlreadyReserved, Record, StaleRecord, Status
from whop_chat.users.repository import UserRepository
from whop_chat.whop.client import Account, Whop
from whop_chat.whop.errors import WhopConflict, WhopError, WhopInvalidResponse, WhopRefused

_REJECTED_RETRY_SECONDS = 3600
_RESERVED_RETRY_SECONDS = 60
# The first create, and two more after a replayed answer, a stale key or a used-up external id.
_CREATES = 3
# Whop may answer 409 for ever and show no account. Each generation is one more external id to clean up later.
_MAX_GENERATIONS = 5

MayTransfer = Callable[[UserRef, Record | None], bool]
"""Whether a Whop user may be transferred from this holder, whose record is the second argument."""


class Attempt:
    """One attempt for the user of ``lease``, under the address ``email``.

    ``fallback`` is the record to write if the attempt makes no link. None leaves the record open for the next attempt.
    ``may_transfer`` decides if another user has the Whop user. None refuses every transfer.
    """

    def __init__(
        self,
        users: UserRepository,
        whop: Whop,
        lease: Lease,
        *,
        email: str,
        email_mode: EmailMode,
        fallback: Record | None,
        may_transfer: MayTransfer | None,
    ) -> None:
        self._users = users
        self._whop = whop
        self._lease = lease
        self._email = email
        self._email_mode = email_mode
        self._fallback = fallback
        self._may_transfer = may_transfer
        self._key_is_new = True

    def run(self, start: Record, expected: Record | None) -> Link:
        """Make the user's link and return it. The lease replaces the record ``expected`` by one built on ``start``.

        Raises `Blocked`, `EnrolmentInProgress`, `whop_chat.users.record.StaleRecord`,
        `whop_chat.whop.errors.WhopError`, `whop_chat.whop.api_key.NotConfigured`, `AwsError` and `DeadlineExceeded`.
        """
        self._lease.acquire(self._with_key(start), expected)
        try:
            return self._link_or_block()
        except (StaleRecord, Blocked):
            raise
        except EnrolmentInProgress:
            # A sooner attempt would only add calls to Whop.
            pending = dataclasses.replace(self._record, lease_until=self._record.key_since + LEASE_SECONDS)
            self._release(pending, self._uncounted)
            raise
        except Exception as error:
            self._release_after(error)
            raise

    # Under the lease: create and link

    def _link_or_block(self) -> Link:
        try:
            account = self._account()
        except WhopRefused as error:
            if not _concerns_the_address(error):
                raise
            raise self._block(
                "enrolment_rejected", self._after_refusal(error), retry_in=_REJECTED_RETRY_SECONDS
            ) from None
        if account.parent_id != self._whop.company_id:
            # The API key is another company's. No user can be enrolled with it, so this user is not blocked.
            raise WhopInvalidResponse("create_account", code="parent_account")
        if not self._owns(account):
            raise self._block("identity_mismatch", self._outcome_known)
        linked = self._linked(account)
        try:
            self._lease.record = self._users.link(
                self._lease.user, linked, expected=self._record, deadline=self._lease.deadline
            )
        except AlreadyReserved:
            self._transfer(account.user_id, linked)
        return Link(account.user_id, created=True)

    def _account(self) -> Account:
        """Create the account, or find the account that an earlier attempt created."""
        for creates_left in reversed(range(_CREATES)):
            try:
                return self._create()
            except WhopConflict as conflict:
                account = self._after_conflict(conflict)
                if account is not None:
                    return account
                if not creates_left:
                    raise
            except WhopError as error:
                if not creates_left or not _concerns_the_key(error):
                    raise
                self._lease.write(self._with_new_key(self._record))
        raise AssertionError("unreachable")

    def _create(self) -> Account:
        key = self._record.idempotency_key
        if key is None:
            raise AssertionError("a leased record has a key")
        return self._whop.create_account(
            email=self._email,
            # Whop's own default. A key is valid for one request body, so nothing in it may change between attempts.
            title=self._external_id,
            external_id=self._external_id,
            idempotency_key=key,
            deadline=self._lease.deadline,
        )

    def _after_conflict(self, conflict: WhopConflict) -> Account | None:
        """Look up what a 409 means: the account that it was about, or None if another create may succeed."""
        found = self._whop.find_accounts(self._external_id, deadline=self._lease.deadline)
        ours = [account for account in found if account.parent_id == self._whop.company_id]
        for account in ours:
            if self._owns(account):
                return account
        # The external id belongs to another address, or to an account that the look-up does not show. Only a new key
        # proves the second, because no earlier request can have used it.
        is_taken = bool(ours) or (self._key_is_new and not conflict.repeated and not conflict.replayed)
        if is_taken and not ours and self._record.generation >= _MAX_GENERATIONS:
            raise self._block("enrolment_rejected", self._outcome_known, retry_in=_REJECTED_RETRY_SECONDS)
        if is_taken:
            self._lease.write(self._with_new_key(next_generation(self._record)))
            return None
        may_still_run = not conflict.replayed and self._lease.now() - self._record.key_since < LEASE_SECONDS
        if may_still_run:
            raise EnrolmentInProgress(at_whop=True)
        self._lease.write(self._with_new_key(self._record))
        return None

    def _owns(self, account: Account) -> bool:
        """Whether ``account`` is the one that was requested: our id, our company as its parent, the address we sent."""
        return (
            account.external_id == self._external_id
            and account.parent_id == self._whop.company_id
            and has_email(account, self._email)
        )

    def _linked(self, account: Account) -> Record:
        return dataclasses.replace(
            without_profile(self._outcome_known),
            status=Status.LINKED,
            lease_until=0,
            email_mode=None,
            whop_user_id=account.user_id,
            whop_account_id=account.id,
        )

    def _transfer(self, whop_user_id: str, linked: Record) -> None:
        """Transfer the Whop user from its holder. Raises `Blocked` if that is not allowed."""
        conflict = dataclasses.replace(self._outcome_known, conflict_whop_user_id=whop_user_id)
        if self._may_transfer is None:
            raise self._block("identity_conflict", next_generation(conflict)) from None
        deadline = self._lease.deadline
        holder = self._users.holder(whop_user_id, deadline=deadline)
        holder_record = self._users.get(holder, deadline=deadline) if holder else None
        try:
            # An account that its owner linked themselves is nobody's to take.
            own = holder_record.own_whop_user_id if holder_record else None
            if holder is None or own == whop_user_id or not self._may_transfer(holder, holder_record):
                raise AlreadyReserved
            self._lease.record = self._users.transfer(
                self._lease.user,
                # A call that named the holder may still take effect, and set their name or the neutral one again.
                dataclasses.replace(linked, name_unsettled_until=self._lease.now() + SETTLING_SECONDS),
                expected=self._record,
                holder=holder,
                holder_record=holder_record,
                holder_after=holder_record and self._after_loss(holder, holder_record),
                deadline=deadline,
            )
        except AlreadyReserved:
            # The sync of the holder's deletion may be late or unfinished.
            raise self._block("identity_conflict", conflict, retry_in=_RESERVED_RETRY_SECONDS) from None

    def _after_loss(self, holder: UserRef, record: Record) -> Record:
        digest = address_digest(holder.sub, self._email)
        return without_identity(record, email_mode=self._email_mode, blocked_digest=digest)

    # Ends without a link

    def _block(self, reason: str, record: Record, *, retry_in: int | None = None) -> Blocked:
        """Record why the user cannot be enrolled, or keep the former link. Returns the exception to raise."""
        retry_at = None if retry_in is None else self._lease.now() + retry_in
        digest = address_digest(self._lease.user.sub, self._email)
        record = dataclasses.replace(record, blocked_digest=digest)
        record = blocked(record, reason, email_mode=self._email_mode, retry_at=retry_at)
        self._lease.write(keep_link(self._fallback, record) if self._fallback else record)
        return Blocked(reason)

    def _release_after(self, error: Exception) -> None:
        """Release the lease after an error that does not block the user, so that the next attempt can start.

        The record keeps the key unless Whop gave the create a final refusal. Whop may send a 429 before it looks at the
        key. A refused look-up says nothing about the create.
        """
        record = self._record
        if isinstance(error, WhopRefused) and error.operation == "create_account":
            record = self._after_refusal(error)
        answered = isinstance(error, WhopRefused | WhopInvalidResponse)
        self._release(dataclasses.replace(record, lease_until=0), self._fallback if answered else self._uncounted)

    def _release(self, record: Record, fallback: Record | None) -> None:
        self._lease.release(keep_link(fallback, record) if fallback else record)

    def _after_refusal(self, refusal: WhopRefused) -> Record:
        """The record after a refused create. If its first request got no answer, that one may still take effect."""
        return self._record if refusal.repeated else self._outcome_known

    @property
    def _record(self) -> Record:
        return self._lease.record

    @property
    def _outcome_known(self) -> Record:
        """The record once the outcome of the create is known, so without its key."""
        return dataclasses.replace(self._record, idempotency_key=None, email_digest=None)

    @property
    def _uncounted(self) -> Record | None:
        """The record to restore if the repair could not be attempted. It does not count against the daily limit."""
        return self._fallback and dataclasses.replace(self._fallback, repairs=self._fallback.repairs - 1)

    # The Idempotency-Key

    @property
    def _external_id(self) -> str:
        return external_id(self._lease.user, self._record.generation)

    def _with_key(self, start: Record) -> Record:
        """``start`` with the key of its last create while the outcome of that is unknown, else with a new key."""
        if start.idempotency_key is None:
            return self._with_new_key(start)
        if start.email_digest != address_digest(start.idempotency_key, self._email):
            # The address has changed since then, and the external id may belong to the old one.
            return self._with_new_key(next_generation(start))
        self._key_is_new = False
        return start

    def _with_new_key(self, record: Record) -> Record:
        self._key_is_new = True
        key = str(uuid.uuid4())
        return dataclasses.replace(
            record,
            idempotency_key=key,
            key_since=self._lease.now(),
            key_generation=record.generation,
            email_digest=address_digest(key, self._email),
        )


def _concerns_the_address(error: WhopRefused) -> bool:
    """Whether Whop refused this user's address. Any other refusal is about the API key or the call."""
    return error.operation == "create_account" and (error.status == 422 or error.param == "email")


def _concerns_the_key(error: WhopError) -> bool:
    """Whether a new key gets a new answer: after a replayed answer, or for a key used with another request."""
    return error.replayed or error.code == "idempotency_key_mismatch"
