"""The sync queue in memory."""

from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.queue import SyncQueue


class Queue(SyncQueue):
    """Keeps what is sent and postponed, in time; with ``error`` it refuses both."""

    def __init__(self, error: AwsError | None = None) -> None:
        self.sent: list[str] = []
        self.correlation_ids: list[str | None] = []
        self.postponed: dict[str, int] = {}
        self._error = error

    def send_raw(self, body: str, *, correlation_id: str | None = None, deadline: Deadline) -> None:
        self._refuse()
        deadline.require()
        self.sent.append(body)
        self.correlation_ids.append(correlation_id)

    def postpone(self, receipt_handle: str, seconds: int, *, deadline: Deadline) -> None:
        self._refuse()
        self.postponed[receipt_handle] = seconds

    def _refuse(self) -> None:
        if self._error is not None:
            raise self._error
