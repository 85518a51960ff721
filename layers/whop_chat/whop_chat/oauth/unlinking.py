"""Take a user's link away: the link first, so that no refresh can bring it back, and then the grant at Whop."""

import dataclasses

from whop_chat.cognito.user import UserRef
from whop_chat.oauth.errors import LinkExpired, StaleLink
from whop_chat.oauth.links import OwnLink, OwnLinks
from whop_chat.oauth.revocations import Revocations
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.sealed import UnknownDataKey
from whop_chat.users.record import Record, StaleRecord
from whop_chat.users.repository import DynamoDBUserRepository

_ATTEMPTS = 5


class Unlinking:
    """Unlinks users. Methods raise the errors of `OwnLinks` and `Revocations`, and `StaleLink` under contention."""

    def __init__(self, users: DynamoDBUserRepository, links: OwnLinks, revocations: Revocations) -> None:
        self._users = users
        self._links = links
        self._revocations = revocations

    def unlink(self, user: UserRef, *, deadline: Deadline) -> bool:
        """Remove the user's link and revoke it at Whop, now or by a later sync. Returns whether there was a link."""
        removed = self.remove(user, deadline=deadline)
        self._revocations.revoke_added(user, deadline=deadline)
        return removed is not None

    def remove(self, user: UserRef, *, deadline: Deadline) -> Record | None:
        """Remove the user's link, and write its token down for revocation. Returns the new record; None: no link."""
        for _ in range(_ATTEMPTS):
            record = self._users.get(user, deadline=deadline)
            link = self._links.get(user, deadline=deadline)
            if record is None or (link is None and record.own_whop_user_id is None):
                return None
            if link is not None:
                self._add(user, link, deadline)
            items = [self._links.delete_item(user, link)] if link is not None else []
            unlinked = dataclasses.replace(record, own_whop_user_id=None)
            try:
                return self._users.put_own(user, unlinked, expected=record, items=items, deadline=deadline)
            except StaleRecord:
                continue
        raise StaleLink

    def revoke_all(self, user: UserRef, *, deadline: Deadline) -> None:
        """See `Revocations.revoke_all`."""
        self._revocations.revoke_all(user, deadline=deadline)

    def _add(self, user: UserRef, link: OwnLink, deadline: Deadline) -> None:
        """Write the refresh token of ``link`` down, unless it is another client's, or its data key is gone."""
        try:
            token = self._links.open(user, link, deadline=deadline).refresh
        except (LinkExpired, UnknownDataKey):
            return
        self._revocations.add(user, token, deadline=deadline)
