"""An enrolment with the outcomes that a test decides."""

from collections.abc import Callable, Collection

from whop_chat.cognito.pool import PoolUser
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.enrol import Enrolment
from whop_chat.enrolment.errors import Link
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import Record
from whop_chat.users.repository import UserRepository


class Enrolling(Enrolment):
    """Gives ``outcomes`` in order, the last one for ever; ``repairs`` in order."""

    def __init__(self, *outcomes: Link | Exception, repairs: Collection[Link | Exception | None] = ()) -> None:
        self.outcomes = list(outcomes)
        self.repairs = list(repairs)
        self.enrolled: list[UserRef] = []
        self.records: list[Record | None] = []
        self.repaired: list[tuple[UserRef, str]] = []

    def polling(self, users: UserRepository, sleep: Callable[[float], None]) -> "Enrolling":
        """Reads the record in ``users`` again and sleeps by ``sleep`` while another worker enrols the user."""
        self._users, self._sleep = users, sleep
        return self

    def enrol(
        self, user: UserRef, record: Record | None, pool_user: PoolUser | None = None, *, deadline: Deadline
    ) -> Link:
        self.enrolled.append(user)
        self.records.append(record)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def repair(
        self, user: UserRef, unknown: str, pool_user: PoolUser | None = None, *, deadline: Deadline
    ) -> Link | None:
        self.repaired.append((user, unknown))
        outcome = self.repairs.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
