"""A user pool in memory, for reconcile runs: pages of sixty, in the order of joining."""

from collections.abc import Mapping

from whop_chat.cognito.pool import Listed, Page, PoolUser, Standing, UserDisabled, UserGone, UserInactive
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline

PAGE = 60


class MemoryPool:
    """Who is in ``people``, by ``sub``; who is taken out leaves a gap, so that the pages behind keep their places."""

    def __init__(self, pool_id: str) -> None:
        self.pool_id = pool_id
        self._people: dict[str, Listed | None] = {}
        self._order: list[str] = []

    @property
    def people(self) -> Mapping[str, Listed]:
        """Who is there now."""
        return {sub: listed for sub, listed in self._people.items() if listed}

    def join(
        self, sub: str, *, name: str | None = None, verified: bool = True, standing: Standing = Standing.ACTIVE
    ) -> UserRef:
        """A user comes, or is no longer as they were."""
        user = UserRef(pool_id=self.pool_id, sub=sub, username=f"name-of-{sub}")
        person = PoolUser(sub=sub, email=f"{sub}@home.test", email_verified=verified, name=name, providers=())
        if sub not in self._people:
            self._order.append(sub)
        self._people[sub] = Listed(user, standing, person)
        return user

    def leave(self, sub: str) -> None:
        """A user is deleted."""
        self._people[sub] = None

    def page(self, token: str | None, *, deadline: Deadline | None = None) -> Page:
        """See `whop_chat.cognito.pool.PoolUsers.page`."""
        start = int(token or 0)
        listed = [self._people[sub] for sub in self._order[start : start + PAGE]]
        end = start + PAGE
        return Page(tuple(each for each in listed if each), str(end) if end < len(self._order) else None)

    def shows(self, sub: str, *, deadline: Deadline | None = None) -> bool:
        """See `whop_chat.cognito.pool.PoolUsers.shows`."""
        return self._people.get(sub) is not None

    def read(self, user: UserRef, *, deadline: Deadline | None = None) -> PoolUser:
        """See `whop_chat.cognito.pool.PoolUsers.read`."""
        listed = self._people.get(user.sub)
        if listed is None:
            raise UserGone
        if listed.standing is not Standing.ACTIVE:
            raise UserDisabled if listed.standing is Standing.DISABLED else UserInactive
        return listed.person

    find = read
