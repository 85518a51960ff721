"""The real users table of `whop_chat.users.repository`, over a table in memory that checks its conditions."""

from typing import Any

from botocore.exceptions import ClientError

from soak.dynamodb import Table
from soak.errors import Refused
from soak.scheduler import Scheduler
from tests.fakes.memory_users import MemoryUserRepository
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import Record
from whop_chat.users.repository import DynamoDBUserRepository

_SECONDS = 3


class TableUserRepository(MemoryUserRepository):
    """For a `World`. ``records`` and ``reservations`` show what is in the table."""

    def __init__(self) -> None:
        super().__init__()
        self._table = Table(Scheduler(0))
        self._real = DynamoDBUserRepository(AwsClients(lambda *_, **__: _Client(self._table)), "users")

    def get(self, user: UserRef, *, deadline: Deadline | None = None) -> Record | None:
        return self._real.get(user, deadline=Deadline(_SECONDS))

    def holder(self, whop_user_id: str, *, deadline: Deadline | None = None) -> UserRef | None:
        return self._real.holder(whop_user_id, deadline=Deadline(_SECONDS))

    def put(
        self, user: UserRef, record: Record, *, expected: Record | None, deadline: Deadline | None = None
    ) -> Record:
        return self._shown(user, self._real.put(user, record, expected=expected, deadline=Deadline(_SECONDS)))

    def link(self, user: UserRef, record: Record, *, expected: Record, deadline: Deadline | None = None) -> Record:
        return self._shown(user, self._real.link(user, record, expected=expected, deadline=Deadline(_SECONDS)))

    def _shown(self, user: UserRef, written: Record) -> Record:
        self.records[user.pool_id, user.sub] = written
        self.reservations = {
            key.removeprefix("WHOP#"): (item["pool"]["S"], item["sub"]["S"])
            for key, item in self._table.items.items()
            if key.startswith("WHOP#")
        }
        return written


class _Client:
    """The calls of boto3's client that the repository makes."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get_item(self, **request: Any) -> Any:
        return self._call("GetItem", request)

    def put_item(self, **request: Any) -> Any:
        return self._call("PutItem", request)

    def transact_write_items(self, **request: Any) -> Any:
        return self._call("TransactWriteItems", request)

    def _call(self, operation: str, request: dict[str, Any]) -> Any:
        try:
            return self._table.call(operation, request)
        except Refused as refusal:
            raise ClientError({"Error": {"Code": refusal.code}}, operation) from None
