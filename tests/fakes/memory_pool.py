"""A user pool in memory, for reconcile runs: pages of sixty, in the order of joining."""

from collections.abc import Mapping

from whop_chat.cognito.pool import ListedUser, Page, PoolStatus, PoolUser, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline

PAGE = 60


class MemoryPool:
    """Who is in ``people``, by ``sub``; who is taken out leaves a gap, so that the pages behind keep their places."""

    def __init__(self, pool_id: str) -> None:
        self.pool_id = pool_id
        self._people: dict[str, ListedUser | None] = {}
        self._order: list[str] = []

    @property
    def people(self) -> Mapping[str, ListedUser]:
        """Who is there now."""
        return {sub: listed for sub, listed in self._people.items() if listed}

    def join(
        self,
        sub: str,
        *,
        name: str | None = None,
        verified: bool = True,
        pool_status: PoolStatus = PoolStatus.ACTIVE,
        email: str | None = None,
        providers: tuple[str, ...] = (),
        picture: str | None = None,
    ) -> UserRef:
        """A user comes, or is no longer as they were."""
        user = UserRef(pool_id=self.pool_id, sub=sub, username=f"name-of-{sub}")
        address = email or f"{sub}@home.test"
        pool_user = PoolUser(sub, address, verified, name, providers, picture)
        if sub not in self._people:
            self._order.append(sub)
        self._people[sub] = ListedUser(user, pool_status, pool_user)
        return user

    def leave(self, sub: str) -> None:
        """A user is deleted."""
        self._people[sub] = None

    def list_page(self, token: str | None, *, deadline: Deadline | None = None) -> Page:
        """See `whop_chat.cognito.pool.UserPool.list_page`."""
        start = int(token or 0)
        listed = [self._people[sub] for sub in self._order[start : start + PAGE]]
        end = start + PAGE
        return Page(tuple(each for each in listed if each), str(end) if end < len(self._order) else None)

    def exists(self, sub: str, *, deadline: Deadline | None = None) -> bool:
        """See `whop_chat.cognito.pool.UserPool.exists`."""
        return self._people.get(sub) is not None

    def admin_get(self, user: UserRef, *, deadline: Deadline | None = None) -> PoolUser:
        """See `whop_chat.cognito.pool.UserPool.admin_get`."""
        return self.lookup(user).require_may_sign_in()

    def lookup(self, user: UserRef, *, deadline: Deadline | None = None) -> ListedUser:
        """See `whop_chat.cognito.pool.UserPool.lookup`."""
        listed = self._people.get(user.sub)
        if listed is None:
            raise UserGone
        return listed
