"""One worker's claim on one user: what is written and asked for while it is held.

A claim lasts ten seconds at most and holds the Idempotency-Key of the create that is made under it.
"""

import contextlib
import dataclasses
import hashlib
import hmac
import uuid
from collections.abc import Callable, Iterator

from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import external_id, is_address_of
from whop_chat.enrolment.errors import Blocked, EnrolmentInProgress
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.users.lifecycle import kept, next_generation
from whop_chat.users.record import Lost, Record, Status
from whop_chat.users.repository import Directory
from whop_chat.whop.client import Account, Whop
from whop_chat.whop.errors import WhopConflict, WhopError, WhopInvalidResponse, WhopRefused

LEASE_SECONDS = 10
# Giving a claim back may take this long beyond the deadline: it saves whoever comes next the rest of the lease.
_RELEASE_SECONDS = 0.3
# Creating, and starting over after a replayed answer, a stale key or a used-up external id: never more calls than this.
_CREATES = 3


class Claim:
    """The claim of one attempt. Every write raises `Lost` once somebody else has written the record.

    ``fallback`` is what the record becomes when nothing comes of the attempt; None leaves it open for the next one.
    """

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

    def refused(self, refusal: WhopRefused) -> Record:
        """The record after a refused create: settled, unless it had been sent before and that one may still run."""
        return self.record if refusal.repeated else self.settled

    @contextlib.contextmanager
    def held(self, start: Record, seen: Record | None) -> Iterator[None]:
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
            self._release(kept(self._uncounted, waiting) if self._uncounted else waiting)
            raise
        except Exception as error:
            record = self.record
            if isinstance(error, WhopRefused) and error.operation == "create_account":
                record = self.refused(error)
            open_again = dataclasses.replace(record, lease_until=0)
            answered = isinstance(error, WhopRefused | WhopInvalidResponse)
            fallback = self.fallback if answered else self._uncounted
            self._release(kept(fallback, record) if fallback else open_again)
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
            claimed = self._with_new_key(next_generation(claimed))
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
            and is_address_of(account, self._address)
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
            self._write(self._with_new_key(next_generation(self.record)), self.record)
        elif conflict.replayed:
            self._write(self._with_new_key(self.record), self.record)
        elif self._key_is_new and not conflict.repeated:
            # Nobody can have used this key before, so the id is taken by an account that we are not shown.
            self._write(self._with_new_key(next_generation(self.record)), self.record)
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
            record,
            idempotency_key=key,
            key_since=self._now(),
            key_generation=record.generation,
            email_digest=_digest(key, self._address),
        )

    def _release(self, record: Record) -> None:
        grace = Deadline(max(_RELEASE_SECONDS, self.deadline.remaining()))
        try:
            self.record = self._users.put(self._user, record, seen=self.record, deadline=grace)
        except (Lost, AwsError, DeadlineExceeded):
            pass  # The error that ended this attempt is the one to report; the lease runs out by itself.

    def _write(self, record: Record, seen: Record | None) -> None:
        self.record = self._users.put(self._user, record, seen=seen, deadline=self.deadline)


def _about_the_key(error: WhopError) -> bool:
    """An old answer, or the refusal of a key that went with another request: a new key gets a new answer."""
    return error.replayed or error.code == "idempotency_key_mismatch"


def _digest(key: str, address: str) -> str:
    return hmac.new(key.encode(), address.encode(), hashlib.sha256).hexdigest()
