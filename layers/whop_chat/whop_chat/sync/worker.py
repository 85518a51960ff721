"""Bring users up to date at Whop, from messages: enrol them, then set their name in the company.

A retryable message is delivered again after a wait. A permanent failure is stored in the user's record, and the message
is done. An unreadable message goes to the dead-letter queue at once.
"""

import contextlib
import time
from collections.abc import Callable, Collection
from typing import Protocol

from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import PoolUser, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.cleanup import CleanUp
from whop_chat.enrolment.enrol import Enrolment, PoolReader
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.errors import Refused
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.sync.queue import Source, SyncMessage, SyncQueue, UnreadableMessage
from whop_chat.sync.reading import read_user
from whop_chat.users.lifecycle import (
    Action,
    after_naming,
    before_naming,
    next_action,
    reinstate,
    suspend,
    tombstone,
)
from whop_chat.users.record import Record, StaleRecord, Status
from whop_chat.users.refusals import Refusals
from whop_chat.users.repository import UserRepository
from whop_chat.users.runs import Runs, State
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.client import Whop
from whop_chat.whop.errors import WhopError, WhopForbidden, WhopNotFound, WhopRefused, WhopUnauthorized

SECONDS_PER_USER = 8.0
"""The time of one message."""
# Cognito names it where no app client is involved, such as in AdminConfirmSignUp.
_NO_CLIENT = "CLIENT_ID_NOT_APPLICABLE"


class OwnAccounts(Protocol):
    """The links of users to Whop accounts of their own: `whop_chat.oauth.unlinking.Unlinking`."""

    def remove(self, user: UserRef, *, deadline: Deadline) -> Record | None:
        """See `whop_chat.oauth.unlinking.Unlinking.remove`."""

    def revoke_all(self, user: UserRef, *, deadline: Deadline) -> None:
        """See `whop_chat.oauth.unlinking.Unlinking.revoke_all`."""


class SyncUser:
    """Handles the messages of one pool. ``clock`` returns epoch seconds.

    ``client_ids`` are the app clients whose users may chat. A sign-up or a sign-in through another client enrols
    nobody, because Whop would send that person an e-mail. No client counts as allowed. A message makes the next mint
    ask the pool again about a user in ``refusals``. None: no refusal is remembered. ``runs`` says which runs are
    stopped, and counts what becomes of their users. None: nobody asks for that. ``own_accounts`` is None if no user can
    link a Whop account of their own. ``avatars`` is the queue of pictures, or None without pictures.
    """

    def __init__(
        self,
        users: UserRepository,
        pool: PoolReader,
        enrolment: Enrolment,
        whop: Whop,
        clean_up: CleanUp,
        telemetry: Telemetry,
        *,
        pool_id: str,
        client_ids: Collection[str],
        refusals: Refusals | None = None,
        runs: Runs | None = None,
        own_accounts: OwnAccounts | None = None,
        avatars: SyncQueue | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._users = users
        self._pool = pool
        self._enrolment = enrolment
        self._whop = whop
        self._clean_up = clean_up
        self._telemetry = telemetry
        self._pool_id = pool_id
        self._client_ids = client_ids
        self._refusals = refusals
        self._runs = runs
        self._own_accounts = own_accounts
        self._avatars = avatars
        self._clock = clock

    def sync(self, message: SyncMessage, *, deadline: Deadline) -> None:
        """Bring a user up to date. Also returns after a permanent failure, which is stored in the user's record.

        Raises `UnreadableMessage` for a user of another pool, and the retryable errors:
        `whop_chat.whop.errors.WhopError`, `whop_chat.runtime.aws.AwsError`, and those that
        `whop_chat.enrolment.enrol.Enrolment.enrol` and `whop_chat.enrolment.cleanup.CleanUp.clean` raise.
        """
        user = message.user
        if user.pool_id != self._pool_id:
            raise UnreadableMessage("of another pool")
        self._telemetry.bind_user(user.sub)
        try:
            self._sync(message, deadline)
        except Refused as error:
            self._telemetry.warning("user not enrolled", error)
            self._settle(message, State.LEFT, deadline)
        if self._own_accounts is not None:
            self._own_accounts.revoke_all(user, deadline=deadline)

    def _sync(self, message: SyncMessage, deadline: Deadline) -> None:
        user = message.user
        self._require_create_allowed(message, deadline)
        # The pool is read first: a deleted user stays deleted, and the record then shows a lease that began in between.
        pool_user, pool_status = read_user(self._pool, user, message.source, deadline)
        record = self._users.get(user, deadline=deadline)
        if self._refusals is not None and (record is None or record.linked_to is None):
            # A mint of a linked user does not ask the pool.
            self._refusals.forget(user, deadline=deadline)
        match next_action(record.status if record else None, pool_status), record, pool_user:
            case Action.ENROL | Action.RESTORE, _, _ if not self._may_link(message, record):
                status, source = pool_status.value, message.source.value
                self._telemetry.event("user left as they are", pool_status=status, not_linked_by=source)
            case Action.ENROL | Action.RESTORE, _, _ if self._is_stopped(message, record, deadline):
                self._telemetry.event("user not enrolled, because the run is stopped")
                is_unknown = record is not None and record.idempotency_key is not None
                self._settle(message, State.UNKNOWN if is_unknown else State.STOPPED, deadline)
                return
            case Action.ENROL, _, PoolUser():
                self._enrol_and_name(message, record, pool_user, deadline)
                return
            case Action.RESTORE, Record(), PoolUser():
                reinstated = self._write(user, reinstate(record), record, deadline)
                self._telemetry.event("user enabled")
                self._enrol_and_name(message, reinstated, pool_user, deadline)
                return
            case Action.DISABLE, Record(), _:
                self._write(user, suspend(record, Status.DISABLED), record, deadline)
                self._telemetry.event("user disabled")
            case Action.DELETE, Record(), _:
                deleted = self._write(user, tombstone(record, int(self._clock())), record, deadline)
                self._telemetry.event("user deleted")
                self._remove_picture(message, deleted, deadline)
                self._clean_up_after(user, deleted, deadline)
            case Action.CLEAN_UP, Record(), _:
                self._remove_picture(message, record, deadline)
                self._clean_up_after(user, record, deadline)
            case _:
                self._telemetry.event("user left as they are", pool_status=pool_status.value)
        self._settle(message, State.LEFT, deadline)

    def _clean_up_after(self, user: UserRef, deleted: Record, deadline: Deadline) -> None:
        """Unlink the deleted user's own account, and clean up after the one that they were enrolled with."""
        if self._own_accounts is not None:
            deleted = self._own_accounts.remove(user, deadline=deadline) or deleted
        self._clean_up.clean(user, deleted, deadline=deadline)

    def _require_create_allowed(self, message: SyncMessage, deadline: Deadline) -> None:
        """Raise what a create would raise, if ``message`` may lead to one and Whop is not to be called.

        So messages that are delivered during a wait use up none of the team's quota of calls to the pool.
        """
        try:
            self._whop.require_allowed("create_account", deadline=deadline)
        except WhopError:
            record = self._users.get(message.user, deadline=deadline)
            is_awaited = record is None or record.status is Status.PENDING
            if is_awaited and self._may_link(message, record) and not self._is_stopped(message, record, deadline):
                raise

    def _may_link(self, message: SyncMessage, record: Record | None) -> bool:
        """Whether the user has a Whop user already, or ``message`` may give them one.

        A change says nothing about the app client. So it needs a record, which an allowed sign-up or sign-in has begun.
        """
        if record is not None and record.whop_user_id is not None:
            return True
        if message.source is Source.CHANGE and record is None:
            return False
        return message.client_id in (None, _NO_CLIENT, *self._client_ids)

    def _is_stopped(self, message: SyncMessage, record: Record | None, deadline: Deadline) -> bool:
        """Whether ``message`` would give the user a Whop user, but its run is stopped."""
        if message.run is None or self._runs is None or (record is not None and record.whop_user_id is not None):
            return False
        return self._runs.is_stopped(message.run, deadline=deadline)

    def _settle(self, message: SyncMessage, state: State, deadline: Deadline) -> None:
        """Count what became of a user of a run. A message that was not sent to enrol them is an update in any case."""
        if message.run is None or self._runs is None:
            return
        state = state if message.enrols else State.UPDATED
        self._runs.advance(message.run, [message.user.sub], state, deadline=deadline)

    def _write(self, user: UserRef, record: Record, expected: Record, deadline: Deadline) -> Record:
        return self._users.put(user, record, expected=expected, deadline=deadline)

    def _enrol_and_name(
        self, message: SyncMessage, record: Record | None, pool_user: PoolUser, deadline: Deadline
    ) -> None:
        user = message.user
        if record is not None and record.needs_no_enrolment:
            self._telemetry.event("user left as they are", own_account=True)
            self._settle(message, State.LEFT, deadline)
            return
        try:
            self._enrolment.enrol(user, record, pool_user, deadline=deadline)
        except UserGone:
            # The user was deleted in the meantime. The next delivery cleans up the account.
            raise StaleRecord from None
        if message.enrols:
            # Whop has sent its e-mail by now, whatever becomes of the name.
            self._settle(message, State.ENROLLED, deadline)
        self._set_profile(user, pool_user, deadline)
        if not message.enrols:
            self._settle(message, State.UPDATED, deadline)
        self._ask_for_picture(message, pool_user, deadline)
        self._telemetry.event("user synced")

    def _ask_for_picture(self, message: SyncMessage, pool_user: PoolUser, deadline: Deadline) -> None:
        """Enqueue the user's picture if it is not the one that was handled last. Raises nothing that is about it.

        An object in a bucket can change under the same address. So it is looked at in each sync, as any picture is when
        an operator asks for one.
        """
        if self._avatars is None:
            return
        user, digest = message.user, pool_user.picture_digest
        try:
            record = self._users.get(user, deadline=deadline)
            if record is None or record.linked_to is None:
                return
            if message.source is Source.COMMAND or pool_user.picture_is_object or not record.has_picture(digest):
                self._enqueue_picture(self._avatars, message, deadline)
        except (AwsError, DeadlineExceeded) as error:
            # The next reconcile finds the difference.
            self._telemetry.warning("picture not enqueued", error)

    def _remove_picture(self, message: SyncMessage, tombstone: Record, deadline: Deadline) -> None:
        """Enqueue the removal of a deleted user's picture. An error delivers the message again, so it is not lost."""
        if self._avatars is not None and tombstone.picture_at is not None:
            self._enqueue_picture(self._avatars, message, deadline)

    def _enqueue_picture(self, avatars: SyncQueue, message: SyncMessage, deadline: Deadline) -> None:
        avatars.send(message.user, message.source, correlation_id=self._telemetry.correlation_id, deadline=deadline)

    def _set_profile(self, user: UserRef, pool_user: PoolUser, deadline: Deadline) -> None:
        """Set the name in the company, unless it is the name that was set last. Raises `StaleRecord`.

        Of two calls with two names, the older may take effect last. So the record says before a call that the name is
        unknown, and until when an unanswered call may take effect. The first sync after that sets the name again.
        """
        record = self._users.get(user, deadline=deadline)
        if record is None or record.linked_to is None or pool_user.name is None:
            return
        digest, now = profile_digest(user.sub, pool_user.name), int(self._clock())
        if record.has_name(digest, now):
            return
        # During a wait, the call would only be rejected after the next write.
        self._whop.require_allowed("update_user", deadline=deadline)
        ahead = self._write(user, before_naming(record, now), record, deadline)
        try:
            settled = self._rename(record.linked_to, pool_user.name, deadline)
        except (WhopError, NotConfigured) as error:
            if not (isinstance(error, WhopError) and error.may_take_effect):
                # Whop still has the former name. If the record cannot say so, the name is only set once more.
                with contextlib.suppress(StaleRecord, AwsError, DeadlineExceeded):
                    self._write(user, record, ahead, deadline)
            if not isinstance(error, WhopNotFound):
                raise
            self._repair(user, record.linked_to, pool_user, error, deadline)
        else:
            # If another worker was first, the user may be deleted, and the next sync has to remove the name again.
            named = after_naming(record, digest, int(self._clock()), settled=settled)
            self._write(user, named, ahead, deadline)

    def _rename(self, whop_user_id: str, name: str, deadline: Deadline) -> bool:
        """Set the name, and return whether no call of ours can still take effect."""
        try:
            return self._whop.set_profile(whop_user_id, name=name, deadline=deadline)
        except (WhopUnauthorized, WhopForbidden, WhopNotFound):
            raise  # The key is wrong, which an operator fixes, or the link is.
        except WhopRefused as error:
            # Whop would refuse this name again. It is stored as set, so only another name is tried.
            self._telemetry.warning("profile refused", error)
            return not error.may_take_effect

    def _repair(
        self, user: UserRef, unknown: str, pool_user: PoolUser, error: WhopNotFound, deadline: Deadline
    ) -> None:
        if self._enrolment.repair(user, unknown, pool_user, deadline=deadline) is not None:
            raise error  # The next delivery finds the repaired link.
        self._telemetry.warning("profile refused", error)
