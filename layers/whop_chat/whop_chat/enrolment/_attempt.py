"""One attempt to enrol one user, under one lease: create the account, then link the user or block them.

The lease carries the Idempotency-Key of the create. The key is used again only while the outcome of a create is
unknown; any definitive answer retires it.
"""

import dataclasses
import hashlib
import hmac
import uuid
from collections.abc import Callable

from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import EmailMode, external_id, is_address_of
from whop_chat.enrolment.errors import Blocked, EnrolmentInProgress, Link
from whop_chat.users.lease import LEASE_SECONDS, Lease
from whop_chat.users.lifecycle import blocked, keep_link, next_generation, without_identity
from whop_chat.users.record import Lost, Record, Reserved, Status
from whop_chat.users.repository import Directory
from whop_chat.whop.client import Account, Whop
from whop_chat.whop.errors import WhopConflict, WhopError, WhopInvalidResponse, WhopRefused

_REJECTED_RETRY_SECONDS = 3600
_RESERVED_RETRY_SECONDS = 60
# The first create, and new ones after a replayed answer, a stale key or a used-up external id.
_CREATES = 3

MayTransfer = Callable[[UserRef, Record | None], bool]
"""Whether a Whop user may be taken from their holder, who has this record."""


class Attempt:
    """One attempt for the user of ``lease``, under the address ``email``.

    ``fallback`` is what the record becomes if the attempt leads nowhere; None leaves the record open for the next one.
    ``may_transfer`` is asked if another user holds the Whop user; None refuses every transfer.
    """

    def __init__(
        self,
        users: Directory,
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
        """The user's link, made from the record ``start``, which replaces ``expected``.

        Raises `Blocked`, `EnrolmentInProgress`, `whop_chat.users.record.Lost`, `whop_chat.whop.errors.WhopError`,
        `whop_chat.whop.api_key.NotConfigured`, `AwsError` and `DeadlineExceeded`.
        """
        self._lease.acquire(self._with_key(start), expected)
        try:
            return self._link_or_block()
        except (Lost, Blocked):
            raise
        except EnrolmentInProgress:
            # Asking Whop sooner would only add calls.
            waiting = dataclasses.replace(self._record, lease_until=self._record.key_since + LEASE_SECONDS)
            self._release(waiting, self._uncounted)
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
            # A key of another company: nobody can be enrolled, and it says nothing about this user.
            raise WhopInvalidResponse("create_account", code="parent_account")
        if not self._owns(account):
            raise self._block("identity_mismatch", self._outcome_known)
        linked = self._linked(account)
        try:
            self._lease.record = self._users.link(
                self._lease.user, linked, seen=self._record, deadline=self._lease.deadline
            )
        except Reserved:
            self._transfer(account.user_id, linked)
        return Link(account.user_id, created=True)

    def _account(self) -> Account:
        """Create the account, or find the one that an earlier attempt created."""
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
            raise AssertionError("a lease holds a key")
        return self._whop.create_account(
            email=self._email,
            # Whop's own default. A key goes with one request, so nothing in it may change between attempts.
            title=self._external_id,
            external_id=self._external_id,
            idempotency_key=key,
            deadline=self._lease.deadline,
        )

    def _after_conflict(self, conflict: WhopConflict) -> Account | None:
        """What a 409 means, by look-up: the account it was about, or None when another create may succeed."""
        found = self._whop.find_accounts(self._external_id, deadline=self._lease.deadline)
        ours = [account for account in found if account.parent_id == self._whop.company_id]
        for account in ours:
            if self._owns(account):
                return account
        # The external id is bound to another address, or to an account that we are not shown: nobody can have used a
        # new key before.
        is_taken = bool(ours) or (self._key_is_new and not conflict.repeated and not conflict.replayed)
        if is_taken:
            self._lease.write(self._with_new_key(next_generation(self._record)))
            return None
        may_still_run = not conflict.replayed and self._lease.now() - self._record.key_since < LEASE_SECONDS
        if may_still_run:
            raise EnrolmentInProgress(at_whop=True)
        self._lease.write(self._with_new_key(self._record))
        return None

    def _owns(self, account: Account) -> bool:
        """Whether ``account`` is exactly the one asked for: our id, our company's child, the address that was sent."""
        return (
            account.external_id == self._external_id
            and account.parent_id == self._whop.company_id
            and is_address_of(account, self._email)
        )

    def _linked(self, account: Account) -> Record:
        return dataclasses.replace(
            self._outcome_known,
            status=Status.LINKED,
            lease_until=0,
            email_mode=None,
            whop_user_id=account.user_id,
            whop_account_id=account.id,
            profile_digest=None,
        )

    def _transfer(self, whop_user_id: str, linked: Record) -> None:
        """Take the Whop user from their holder, if that is allowed; raises `Blocked` if not."""
        if self._may_transfer is None:
            raise self._block("identity_conflict", next_generation(self._outcome_known)) from None
        deadline = self._lease.deadline
        holder = self._users.holder(whop_user_id, deadline=deadline)
        theirs = self._users.get(holder, deadline=deadline) if holder else None
        try:
            if holder is None or not self._may_transfer(holder, theirs):
                raise Reserved
            self._lease.record = self._users.take(
                self._lease.user,
                linked,
                seen=self._record,
                holder=holder,
                held=theirs,
                left=theirs and without_identity(theirs, email_mode=self._email_mode),
                deadline=deadline,
            )
        except Reserved:
            # The deletion of the holder may not have arrived, or not be finished.
            raise self._block("identity_conflict", self._outcome_known, retry_in=_RESERVED_RETRY_SECONDS) from None

    # How it ends without a link

    def _block(self, reason: str, record: Record, *, retry_in: int | None = None) -> Blocked:
        """Record why the user cannot be enrolled, or keep the link there was; the exception to raise."""
        retry_at = None if retry_in is None else self._lease.now() + retry_in
        record = blocked(record, reason, email_mode=self._email_mode, retry_at=retry_at)
        self._lease.write(keep_link(self._fallback, record) if self._fallback else record)
        return Blocked(reason)

    def _release_after(self, error: Exception) -> None:
        """Leave the user to the next attempt, after an error that says nothing about them.

        The key stays unless Whop refused the create for good. A 429 may come before anybody looked at the key, and a
        refused look-up says nothing about the create.
        """
        record = self._record
        if isinstance(error, WhopRefused) and error.operation == "create_account":
            record = self._after_refusal(error)
        answered = isinstance(error, WhopRefused | WhopInvalidResponse)
        self._release(dataclasses.replace(record, lease_until=0), self._fallback if answered else self._uncounted)

    def _release(self, record: Record, fallback: Record | None) -> None:
        self._lease.release(keep_link(fallback, record) if fallback else record)

    def _after_refusal(self, refusal: WhopRefused) -> Record:
        """The record after a refused create. One that was sent before, without an answer, may still run."""
        return self._record if refusal.repeated else self._outcome_known

    @property
    def _record(self) -> Record:
        return self._lease.record

    @property
    def _outcome_known(self) -> Record:
        """The record once the outcome of the create is known: its key is used up."""
        return dataclasses.replace(self._record, idempotency_key=None, email_digest=None)

    @property
    def _uncounted(self) -> Record | None:
        """The record to restore if the repair could not be attempted. It does not count against the daily limit."""
        return self._fallback and dataclasses.replace(self._fallback, repairs=self._fallback.repairs - 1)

    # The Idempotency-Key and what goes with it

    @property
    def _external_id(self) -> str:
        return external_id(self._lease.user, self._record.generation)

    def _with_key(self, start: Record) -> Record:
        """``start`` with the key of its create, if the outcome of that is unknown, else with a new one."""
        if start.idempotency_key is None:
            return self._with_new_key(start)
        if start.email_digest != _digest(start.idempotency_key, self._email):
            # The address has changed since; the external id may be bound to the old one.
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
            email_digest=_digest(key, self._email),
        )


def _concerns_the_address(error: WhopRefused) -> bool:
    """Whether Whop refused this user's address. Any other refusal is about the key or the call, so about everyone."""
    return error.operation == "create_account" and (error.status == 422 or error.param == "email")


def _concerns_the_key(error: WhopError) -> bool:
    """Whether a new key gets a new answer: after an old answer, or for a key that went with another request."""
    return error.replayed or error.code == "idempotency_key_mismatch"


def _digest(key: str, email: str) -> str:
    return hmac.new(key.encode(), email.encode(), hashlib.sha256).hexdigest()
