"""Bringing users up to date at Whop, from messages: enrol them, then give them their name in the company.

A message that can succeed later is delivered again after a wait. What cannot succeed is recorded on the user and done
with; what is not a message of ours goes to the dead-letter queue at once.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable

from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import NotActive, PoolUser, Standing, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.cleanup import CleanUp
from whop_chat.enrolment.enrol import Enrolment, PoolReader
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Refused
from whop_chat.runtime.telemetry import Observer
from whop_chat.sync.queue import Source, SyncMessage, UnreadableMessage
from whop_chat.users.lifecycle import Step, restored, shut, step, tombstone
from whop_chat.users.record import Lost, Record, Status
from whop_chat.users.repository import Directory
from whop_chat.whop.client import Whop
from whop_chat.whop.errors import WhopForbidden, WhopNotFound, WhopRefused, WhopUnauthorized

# Who has just acted counts as active for billing in any case, so they are read consistently.
_JUST_ACTED = (Source.SIGN_UP, Source.SIGN_IN, Source.FIRST_TOKEN)


class Syncing:
    """Handles the messages of one pool."""

    def __init__(
        self,
        users: Directory,
        pool: PoolReader,
        enrolment: Enrolment,
        whop: Whop,
        clean_up: CleanUp,
        observer: Observer,
        *,
        pool_id: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._users = users
        self._pool = pool
        self._enrolment = enrolment
        self._whop = whop
        self._clean_up = clean_up
        self._observer = observer
        self._pool_id = pool_id
        self._clock = clock

    def sync(self, message: SyncMessage, *, deadline: Deadline) -> None:
        """Bring a user up to date; returns also when nothing can be done for them, which is then on record.

        Raises what may pass: `whop_chat.whop.errors.WhopError`, `whop_chat.runtime.aws.AwsError` and the rest that
        `whop_chat.enrolment.enrol.Enrolment.enrol` and `whop_chat.enrolment.cleanup.CleanUp.clean` raise.
        """
        user = message.user
        if user.pool_id != self._pool_id:
            raise UnreadableMessage("of another pool")
        self._observer.concerns(user.sub)
        try:
            self._sync(user, message.source, deadline)
        except Refused as error:
            self._observer.failed("user not enrolled", error, metric="UserNotEnrolled")

    def _sync(self, user: UserRef, source: Source, deadline: Deadline) -> None:
        # The pool first: who is gone stays gone, and a claim that falls between the two is seen.
        person, standing = self._person(user, source, deadline)
        record = self._users.get(user, deadline=deadline)
        match step(record.status if record else None, standing), record, person:
            case Step.ENROL, _, PoolUser():
                self._bring_up_to_date(user, record, person, deadline)
            case Step.RESTORE, Record(), PoolUser():
                back = self._write(user, restored(record), record, deadline)
                self._observer.counted("UserEnabled", "user enabled")
                self._bring_up_to_date(user, back, person, deadline)
            case Step.DISABLE, Record(), _:
                self._write(user, shut(record, Status.DISABLED), record, deadline)
                self._observer.counted("UserDisabled", "user disabled")
            case Step.BURY, Record(), _:
                buried = self._write(user, tombstone(record, int(self._clock())), record, deadline)
                self._observer.counted("UserDeleted", "user deleted")
                self._clean_up.clean(user, buried, deadline=deadline)
            case Step.CLEAN, Record(), _:
                self._clean_up.clean(user, record, deadline=deadline)
            case _:
                self._observer.counted("UserLeft", "user left as they are", standing=standing.value)

    def _person(self, user: UserRef, source: Source, deadline: Deadline) -> tuple[PoolUser | None, Standing]:
        try:
            if source in _JUST_ACTED:
                # Nobody of that name and sub does not mean nobody of that sub: a message can name somebody wrongly.
                with contextlib.suppress(UserGone):
                    return self._pool.read(user, deadline=deadline), Standing.ACTIVE
            return self._pool.find(user, deadline=deadline), Standing.ACTIVE
        except NotActive as error:
            return None, error.standing

    def _write(self, user: UserRef, record: Record, seen: Record, deadline: Deadline) -> Record:
        return self._users.put(user, record, seen=seen, deadline=deadline)

    def _bring_up_to_date(self, user: UserRef, record: Record | None, person: PoolUser, deadline: Deadline) -> None:
        try:
            self._enrolment.enrol(user, record, person, deadline=deadline)
        except UserGone:
            # Deleted meanwhile; the next delivery cleans up what was made.
            raise Lost from None
        self._set_profile(user, person, deadline)
        self._observer.counted("UserSynced", "user synced")

    def _set_profile(self, user: UserRef, person: PoolUser, deadline: Deadline) -> None:
        """Set the name in the company, unless it is the one that was set last. Raises `Lost`."""
        record = self._users.get(user, deadline=deadline)
        name = person.name
        if record is None or record.linked_to is None or name is None:
            return
        digest = profile_digest(user.sub, name)
        if record.profile_digest == digest:
            return
        try:
            self._whop.set_profile(record.linked_to, name=name, deadline=deadline)
        except (WhopUnauthorized, WhopForbidden):
            raise  # A wrong key, which an operator puts right.
        except WhopNotFound as error:
            if self._enrolment.repair(user, record.linked_to, person, deadline=deadline) is not None:
                raise  # The next delivery finds the repaired link.
            self._observer.failed("profile refused", error, metric="ProfileRefused")
            return
        except WhopRefused as error:
            # Whop will not take this name next time either; recorded as done, a new name gets a new chance.
            self._observer.failed("profile refused", error, metric="ProfileRefused")
        # If it is lost, the user may be deleted by now, and the name that was just set has to go again.
        synced = dataclasses.replace(record, profile_digest=digest, synced_at=int(self._clock()))
        self._write(user, synced, record, deadline)
