"""Cleaning up at Whop after a user who is gone.

The tombstone comes first. It fences every enrolment, because each write of one needs the record that it read, and it
keeps the reservation of the Whop user, so that nobody gets the identity by accident. Whatever follows can be done
twice: a crash leaves it to the next delivery, and a message about a tombstone that is done with does it again.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Literal

from whop_chat.cognito.display_name import NEUTRAL_NAME
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import external_id
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.telemetry import Observer
from whop_chat.users.record import Record
from whop_chat.users.repository import Directory
from whop_chat.whop.client import Account, Whop
from whop_chat.whop.errors import WhopForbidden, WhopNotFound, WhopRefused, WhopUnauthorized

DeletePolicy = Literal["keep-account", "delete-account"]


class OutcomeUnknown(Retryable):
    """A create may still take effect at Whop; look again in ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"for {retry_after} s")
        self.retry_after = retry_after


class CleanUp:
    """Cleans up after the users of one pool."""

    def __init__(
        self,
        users: Directory,
        whop: Whop,
        observer: Observer,
        policy: DeletePolicy,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._users = users
        self._whop = whop
        self._observer = observer
        self._policy = policy
        self._clock = clock

    def clean(self, user: UserRef, tombstone: Record, *, deadline: Deadline) -> None:
        """Give the user's Whop user a neutral name in the company and, if that is the policy, delete their accounts.

        What Whop refuses is recorded on the tombstone as its reason, and told; it is not tried again by itself. So is a
        404 for the name, which can mean that the company id is wrong; not where the account is gone already, with which
        the Whop user may have gone.

        Raises `OutcomeUnknown`, `whop_chat.users.record.Lost`, and the errors of Whop and AWS that may pass.
        """
        if tombstone.cleaned_at is not None:
            # Until it is set again, nobody can take over the Whop user.
            reopened = dataclasses.replace(tombstone, cleaned_at=None)
            tombstone = self._users.put(user, reopened, seen=tombstone, deadline=deadline)
        tombstone, refusals = self._tidied(user, tombstone, deadline)
        now = int(self._clock())
        if tombstone.retry_at is not None and tombstone.retry_at > now:
            raise OutcomeUnknown(tombstone.retry_at - now)
        for refusal in refusals:
            self._observer.failed("clean-up refused", refusal, metric="CleanUpRefused")
        reason = "; ".join(map(str, refusals)) or None
        done = dataclasses.replace(tombstone, cleaned_at=now, retry_at=None, reason=reason)
        self._users.put(user, done, seen=tombstone, deadline=deadline)
        self._observer.counted("UserCleanedUp", "user cleaned up")

    def _tidied(self, user: UserRef, tombstone: Record, deadline: Deadline) -> tuple[Record, list[WhopRefused]]:
        """Do what there is to do; the tombstone after it, and what Whop refused."""
        found = self._found(user, tombstone, deadline)
        accounts = [account for account in found if account.parent_id == self._whop.company_id]
        named = [*self._neutralised(user, tombstone, accounts, deadline)]
        unknown = [each for each in named if isinstance(each, WhopNotFound)]
        if unknown and found:
            # Written while the account is there: once it is deleted, that would explain the 404.
            told = dataclasses.replace(tombstone, reason="; ".join(map(str, unknown)))
            tombstone = self._users.put(user, told, seen=tombstone, deadline=deadline)
        deleted = [*self._deleted(tombstone, accounts, deadline)] if self._policy == "delete-account" else []
        for refusal in named:
            if isinstance(refusal, WhopForbidden):
                raise refusal  # A wrong key, which an operator puts right.
        gone = [each for each in deleted if isinstance(each, WhopNotFound)]
        if tombstone.reason is None and any(not each.repeated for each in gone):
            named = [each for each in named if each not in unknown]
        return tombstone, [*named, *(each for each in deleted if each not in gone)]

    def _found(self, user: UserRef, tombstone: Record, deadline: Deadline) -> list[Account]:
        """What bears an id of the user, also what was made by a worker that could not record it any more."""
        ids = [external_id(user, generation + 1) for generation in range(tombstone.generation)]
        return [account for each in ids for account in self._whop.find_accounts(each, deadline=deadline)]

    def _neutralised(
        self, user: UserRef, tombstone: Record, accounts: list[Account], deadline: Deadline
    ) -> Iterator[WhopRefused]:
        """Yields Whop's refusals. A Whop user that is another's by now keeps the other's name."""
        owners = {tombstone.whop_user_id, *(account.user_id for account in accounts)} - {None}
        for owner in sorted(map(str, owners)):
            holder = self._users.holder(owner, deadline=deadline)
            if holder is not None and (holder.pool_id, holder.sub) != (user.pool_id, user.sub):
                continue
            try:
                self._whop.set_profile(owner, name=NEUTRAL_NAME, deadline=deadline)
            except WhopUnauthorized:
                raise
            except WhopRefused as refusal:
                yield refusal

    def _deleted(self, tombstone: Record, accounts: list[Account], deadline: Deadline) -> Iterator[WhopRefused]:
        """Yields Whop's refusals."""
        ids = {tombstone.whop_account_id, *(account.id for account in accounts)} - {None}
        for account_id in sorted(map(str, ids)):
            try:
                self._whop.delete_account(account_id, deadline=deadline)
            except WhopUnauthorized:
                raise
            except WhopRefused as refusal:
                yield refusal
