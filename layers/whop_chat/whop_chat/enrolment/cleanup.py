"""Clean up at Whop after a deleted user.

The tombstone is written first. It fences every enrolment, because each write of an enrolment expects the record that it
read. It keeps the reservation of the Whop user, so no other user gets the identity by accident. The clean-up itself is
safe to repeat. After a crash the next delivery does it, and a message about a completed tombstone repeats it.
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
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.users.record import Record
from whop_chat.users.repository import UserRepository
from whop_chat.whop.client import Account, Whop
from whop_chat.whop.errors import WhopForbidden, WhopNotFound, WhopRefused, WhopUnauthorized

DeletePolicy = Literal["keep-account", "delete-account"]


class OutcomeUnknown(Retryable):
    """A create may still take effect at Whop. Try the clean-up again in ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"for {retry_after} s")
        self.retry_after = retry_after


class CleanUp:
    """Cleans up after the deleted users of one pool. ``clock`` returns epoch seconds."""

    def __init__(
        self,
        users: UserRepository,
        whop: Whop,
        telemetry: Telemetry,
        policy: DeletePolicy,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._users = users
        self._whop = whop
        self._telemetry = telemetry
        self._policy = policy
        self._clock = clock

    def clean(self, user: UserRef, tombstone: Record, *, deadline: Deadline) -> None:
        """Give the user's Whop user a neutral name in the company and, if that is the policy, delete their accounts.

        A refusal is stored as the tombstone's reason, logged, and not retried. A 404 on the rename counts as a refusal
        (the company id may be wrong), unless the account is gone too: then the user is gone with it.

        Raises `OutcomeUnknown`, `whop_chat.users.record.StaleRecord`, and the retryable errors of Whop and AWS.
        """
        if tombstone.cleaned_at is not None:
            # Until `cleaned_at` is set again, no other user can get the Whop user.
            reopened = dataclasses.replace(tombstone, cleaned_at=None)
            tombstone = self._users.put(user, reopened, expected=tombstone, deadline=deadline)
        tombstone, refusals = self._attempt(user, tombstone, deadline)
        now = int(self._clock())
        if tombstone.retry_at is not None and tombstone.retry_at > now:
            raise OutcomeUnknown(tombstone.retry_at - now)
        for refusal in refusals:
            self._telemetry.warning("clean-up refused", refusal)
        reason = "; ".join(map(str, refusals)) or None
        done = dataclasses.replace(tombstone, cleaned_at=now, retry_at=None, reason=reason)
        self._users.put(user, done, expected=tombstone, deadline=deadline)
        self._telemetry.event("user cleaned up")

    def _attempt(self, user: UserRef, tombstone: Record, deadline: Deadline) -> tuple[Record, list[WhopRefused]]:
        """Rename and delete at Whop. Returns the tombstone afterwards, and Whop's refusals."""
        found = self._accounts(user, tombstone, deadline)
        accounts = [account for account in found if account.parent_id == self._whop.company_id]
        rename_refusals = [*self._rename(user, tombstone, accounts, deadline)]
        unknown = [each for each in rename_refusals if isinstance(each, WhopNotFound)]
        if unknown and found:
            # It is written before the delete. Afterwards, the deleted account would explain the 404.
            noted = dataclasses.replace(tombstone, reason="; ".join(map(str, unknown)))
            tombstone = self._users.put(user, noted, expected=tombstone, deadline=deadline)
        delete_refusals = [*self._delete(tombstone, accounts, deadline)] if self._policy == "delete-account" else []
        for refusal in rename_refusals:
            if isinstance(refusal, WhopForbidden):
                raise refusal  # The key is wrong, which an operator fixes.
        gone = [each for each in delete_refusals if isinstance(each, WhopNotFound)]
        if tombstone.reason is None and any(not each.repeated for each in gone):
            rename_refusals = [each for each in rename_refusals if each not in unknown]
        return tombstone, [*rename_refusals, *(each for each in delete_refusals if each not in gone)]

    def _accounts(self, user: UserRef, tombstone: Record, deadline: Deadline) -> list[Account]:
        """All accounts with an external id of the user, also those that a worker created but could not record."""
        ids = [external_id(user, generation + 1) for generation in range(tombstone.generation)]
        return [account for each in ids for account in self._whop.find_accounts(each, deadline=deadline)]

    def _rename(
        self, user: UserRef, tombstone: Record, accounts: list[Account], deadline: Deadline
    ) -> Iterator[WhopRefused]:
        """Rename the user's Whop users and yield Whop's refusals. One that another user has by now keeps its name."""
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

    def _delete(self, tombstone: Record, accounts: list[Account], deadline: Deadline) -> Iterator[WhopRefused]:
        """Delete the user's accounts and yield Whop's refusals."""
        ids = {tombstone.whop_account_id, *(account.id for account in accounts)} - {None}
        for account_id in sorted(map(str, ids)):
            try:
                self._whop.delete_account(account_id, deadline=deadline)
            except WhopUnauthorized:
                raise
            except WhopRefused as refusal:
                yield refusal
