"""Bring a user's picture up to date at Whop, from a message: fetch it, upload it, and make it their profile picture.

Each step is stored in the user's record before the next one. So a message that comes again goes on where the last
delivery ended. A picture that cannot be used leaves the one that Whop has.
"""

import dataclasses
import hashlib
import time
import uuid
from collections.abc import Callable
from typing import NamedTuple

from whop_chat.avatars.fetcher import PictureFetcher
from whop_chat.avatars.neutral import NEUTRAL_PICTURE
from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import PoolStatus
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.enrol import PoolReader
from whop_chat.pictures.errors import TRANSIENT, PictureRefused
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.metrics import PICTURES_REFUSED
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.sync.queue import Source, SyncMessage, UnreadableMessage
from whop_chat.sync.reading import read_user
from whop_chat.users.record import Record, StaleRecord, Status
from whop_chat.users.repository import UserRepository
from whop_chat.whop.client import Whop
from whop_chat.whop.errors import WhopForbidden, WhopRefused, WhopUnauthorized

SECONDS_PER_PICTURE = 45.0
"""The time of one message. ``fetch_picture`` has 20 s of it."""
FETCH_SECONDS = 21.0
_POLLS = 2
_SECONDS_BETWEEN_POLLS = 1.0
# The rate limiter counts on it that a call reaches Whop within ten seconds of its permit.
_CALL_SECONDS = 8.0
_UPLOAD_SECONDS = 10.0
# A picture that could not be fetched is tried again after 1, 2, 4 and 8 minutes.
_ATTEMPTS = 5
_FIRST_WAIT_SECONDS = 60
_SHOWN = (PoolStatus.ACTIVE, PoolStatus.PASSWORD_DUE)


class _Wanted(NamedTuple):
    """The picture that a user is to have: its address, empty for none, and the digest of that.

    ``again`` fetches it also if it was handled before.
    """

    address: str
    digest: str | None
    again: bool


_NO_PICTURE = _Wanted("", None, again=False)


class PictureNotReady(Retryable):
    """Whop has not processed the file yet. Its id is in the record."""

    retry_after = 10


class PicturePostponed(Retryable):
    """There was no picture for ``reason``, which may be gone in ``retry_after`` seconds."""

    def __init__(self, reason: str, retry_after: int) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class SyncAvatar:
    """Handles the messages about pictures of one pool. ``clock`` returns epoch seconds."""

    def __init__(
        self,
        users: UserRepository,
        pool: PoolReader,
        fetcher: PictureFetcher,
        whop: Whop,
        telemetry: Telemetry,
        *,
        pool_id: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._users = users
        self._pool = pool
        self._fetcher = fetcher
        self._whop = whop
        self._telemetry = telemetry
        self._pool_id = pool_id
        self._clock = clock
        self._sleep = sleep

    def sync(self, message: SyncMessage, *, deadline: Deadline) -> None:
        """Bring a user's picture up to date. Also returns after a permanent failure, which is stored in the record.

        Raises `UnreadableMessage` for a user of another pool, and the retryable errors: `PictureNotReady`,
        `PicturePostponed`, `whop_chat.users.record.StaleRecord`, and those of Whop and AWS.
        """
        user = message.user
        if user.pool_id != self._pool_id:
            raise UnreadableMessage("of another pool")
        self._telemetry.bind_user(user.sub)
        record = self._users.get(user, deadline=deadline)
        if record is None or record.whop_user_id is None:
            return
        wanted = self._wanted(message, record, deadline)
        if wanted is None:
            return
        try:
            self._bring(user, record, wanted, deadline)
        except (WhopUnauthorized, WhopForbidden):
            raise  # The key is wrong, which an operator fixes.
        except (PictureRefused, WhopRefused) as refusal:
            self._record_failure(user, wanted, refusal, deadline)

    def _wanted(self, message: SyncMessage, record: Record, deadline: Deadline) -> _Wanted | None:
        """The picture that the user is to have, or None to leave the one that they have."""
        if record.status is Status.DELETED:
            return None if self._has_successor(message.user, record, deadline) else _NO_PICTURE
        if record.status is not Status.LINKED:
            return None
        pool_user, status = read_user(self._pool, message.user, message.source, deadline)
        if pool_user is None or pool_user.picture is None or status not in _SHOWN:
            return None
        again = message.source is Source.COMMAND or pool_user.picture_is_object
        return _Wanted(pool_user.picture, pool_user.picture_digest, again)

    def _has_successor(self, user: UserRef, tombstone: Record, deadline: Deadline) -> bool:
        """Whether another user has the deleted user's Whop user by now, such as after a second sign-up."""
        holder = self._users.holder(str(tombstone.whop_user_id), deadline=deadline)
        return holder is not None and (holder.pool_id, holder.sub) != (user.pool_id, user.sub)

    def _bring(self, user: UserRef, record: Record, wanted: _Wanted, deadline: Deadline) -> None:
        if record.picture_file_id is not None and record.picture_digest == wanted.digest:
            self._show(user, record, record.picture_file_id, deadline)
        elif not wanted.address:
            self._remove(user, record, deadline)
        elif wanted.again or not record.has_picture(wanted.digest):
            self._replace(user, record, wanted, deadline)

    def _replace(self, user: UserRef, record: Record, wanted: _Wanted, deadline: Deadline) -> None:
        """Fetch the picture and, unless Whop has that file already, upload and show it."""
        png = self._fetcher.fetch(wanted.address, deadline=deadline.at_most(FETCH_SECONDS))
        content = _content_digest(user, png)
        fetched = dataclasses.replace(record, picture_digest=wanted.digest, picture_reason=None)
        if record.picture_content != content or record.picture_file_id is not None:
            fetched = dataclasses.replace(fetched, picture_content=content, picture_at=int(self._clock()))
            self._upload(user, record, fetched, png, deadline)
            return
        fetched = dataclasses.replace(fetched, picture_failures=0)
        if fetched != record:
            self._users.put(user, fetched, expected=record, deadline=deadline)

    def _remove(self, user: UserRef, record: Record, deadline: Deadline) -> None:
        """Replace a picture of ours by the neutral one."""
        if record.picture_at is None:
            return
        neutral = dataclasses.replace(
            record,
            picture_digest=None,
            picture_content=_content_digest(user, NEUTRAL_PICTURE),
            picture_reason=None,
        )
        self._upload(user, record, neutral, NEUTRAL_PICTURE, deadline)

    def _upload(self, user: UserRef, record: Record, fetched: Record, png: bytes, deadline: Deadline) -> None:
        """Upload ``png`` and show it. ``fetched`` is the record that replaces ``record`` once it is uploaded."""
        file = self._whop.create_file(
            "avatar.png", idempotency_key=str(uuid.uuid4()), deadline=deadline.at_most(_CALL_SECONDS)
        )
        self._whop.upload(file, png, deadline=deadline.at_most(_UPLOAD_SECONDS))
        uploaded = dataclasses.replace(fetched, picture_file_id=file.id)
        uploaded = self._users.put(user, uploaded, expected=record, deadline=deadline)
        self._show(user, uploaded, file.id, deadline)

    def _show(self, user: UserRef, record: Record, file_id: str, deadline: Deadline) -> None:
        """Make an uploaded file the picture of the user, once Whop has processed it."""
        self._require_ready(file_id, deadline)
        self._whop.set_picture(str(record.whop_user_id), file_id=file_id, deadline=deadline.at_most(_CALL_SECONDS))
        neutral = record.picture_digest is None
        shown = dataclasses.replace(
            record, picture_file_id=None, picture_failures=0, picture_at=None if neutral else record.picture_at
        )
        try:
            self._users.put(user, shown, expected=record, deadline=deadline)
        except StaleRecord:
            self._record_lost_race(user, deadline)
            raise
        self._telemetry.event("picture set", neutral=neutral)

    def _require_ready(self, file_id: str, deadline: Deadline) -> None:
        """Raises `PictureNotReady`, and `WhopRefused` if Whop could not process the file."""
        for polls_left in reversed(range(_POLLS)):
            status = self._whop.upload_status(file_id, deadline=deadline.at_most(_CALL_SECONDS))
            if status == "ready":
                return
            if status == "failed":
                raise WhopRefused("find_file", status=200, code="failed")
            if polls_left:
                self._sleep(_SECONDS_BETWEEN_POLLS)
        raise PictureNotReady

    def _record_failure(
        self, user: UserRef, wanted: _Wanted, refusal: PictureRefused | WhopRefused, deadline: Deadline
    ) -> None:
        """Store why there is no new picture. Raises `PicturePostponed` if that may be over after a while.

        A refusal of Whop's is tried again with a new file: another key may have made the last one.
        """
        record = self._users.get(user, deadline=deadline)
        if record is None:
            return
        if record.status is Status.DELETED and wanted.digest is not None:
            raise StaleRecord  # A tombstone keeps nothing made of a picture.
        failures = record.picture_failures + 1
        may_pass = isinstance(refusal, WhopRefused) or refusal.reason in TRANSIENT
        again = may_pass and failures < _ATTEMPTS
        failed = dataclasses.replace(
            record,
            picture_reason=str(refusal),
            picture_failures=failures if again else 0,
            picture_digest=None if again else wanted.digest,
            # Whop shows the former file still, unless the new one was uploaded.
            picture_content=record.picture_content if record.picture_file_id is None else None,
            picture_file_id=None,
        )
        self._users.put(user, failed, expected=record, deadline=deadline)
        if again:
            raise PicturePostponed(str(refusal), _FIRST_WAIT_SECONDS << (failures - 1))
        self._telemetry.warning("picture refused", refusal)
        self._telemetry.count(PICTURES_REFUSED)

    def _record_lost_race(self, user: UserRef, deadline: Deadline) -> None:
        """Another worker changed the record while the picture was set. So nobody knows which picture Whop shows."""
        record = self._users.get(user, deadline=deadline)
        if record is not None:
            unknown = dataclasses.replace(
                record, picture_digest=None, picture_content=None, picture_file_id=None, picture_at=int(self._clock())
            )
            self._users.put(user, unknown, expected=record, deadline=deadline)


def _content_digest(user: UserRef, png: bytes) -> str:
    return profile_digest(user.sub, hashlib.sha256(png).hexdigest())
