"""Lambda: instances that start cold, are used again, and can be killed at any call.

Each instance executes `functions/<name>/app.py` again, as a cold start does. So instances share nothing that a function
keeps between two calls.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from soak.scheduler import Scheduler, Worker
from soak.sqs import Message, Queue

ROOT = Path(__file__).parents[1]
_START_SECONDS = 0.4
_IDLE_SECONDS = 300.0
BATCH, CONCURRENCY = 5, 3  # template.yaml, SyncUserFunction
_POLL_SECONDS = 1.0

type Handler = Callable[[dict[str, Any], "Context"], Any]


class FunctionFailed(Exception):
    """The invocation did not return: it was killed or ran out of time."""


class Context:
    """The context that Lambda passes to a handler."""

    def __init__(self, scheduler: Scheduler, seconds: float, number: int) -> None:
        self._scheduler = scheduler
        self._end = scheduler.now + seconds
        self.aws_request_id = f"request-{number}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda stops the invocation."""
        return max(0, int((self._end - self._scheduler.now) * 1000))


@dataclass(slots=True)
class _Instance:
    handler: Handler
    used_at: float


class Function:
    """A deployed function. ``timeout`` is in seconds."""

    def __init__(self, scheduler: Scheduler, name: str, timeout: float) -> None:
        self._scheduler = scheduler
        self._name = name
        self.timeout = timeout
        self._idle: list[_Instance] = []
        self.invocations = 0
        self.cold_starts = 0
        self.failures = 0
        self.timeouts = 0

    def invoke(self, event: dict[str, Any]) -> Any:
        """Run the handler in an idle or a new instance and return its result. Raises `FunctionFailed`."""
        self.invocations += 1
        invocation = self._scheduler.start(lambda: self._run(event))
        result = invocation.wait()
        if invocation.killed:
            self.failures += 1
            raise FunctionFailed(self._name)
        return result

    def _run(self, event: dict[str, Any]) -> Any:
        # An event travels as JSON: the caller shares no object with the function.
        event = json.loads(json.dumps(event))
        instance = self._instance()
        worker = self._scheduler.current
        self._scheduler.at(self._scheduler.now + self.timeout, lambda: self._stop(worker))
        result = instance.handler(event, Context(self._scheduler, self.timeout, self.invocations))
        instance.used_at = self._scheduler.now
        self._idle.append(instance)
        return json.loads(json.dumps(result))

    def _stop(self, worker: Worker) -> None:
        if not worker.done:
            self.timeouts += 1
            worker.kill()

    def _instance(self) -> _Instance:
        now = self._scheduler.now
        self._idle = [instance for instance in self._idle if now - instance.used_at < _IDLE_SECONDS]
        if self._idle:
            return self._idle.pop(self._scheduler.chance.randrange(len(self._idle)))
        self.cold_starts += 1
        self._scheduler.sleep(_START_SECONDS)
        module: dict[str, Any] = {"__name__": f"functions.{self._name}.app"}
        exec(_code(self._name), module)  # noqa: S102 - the function, as Lambda loads it
        return _Instance(module["handler"], self._scheduler.now)


class QueueSource:
    """Invokes a function with batches of messages, three at a time.

    After a failed invocation each message becomes visible again by itself.
    """

    def __init__(self, scheduler: Scheduler, queue: Queue, invoke: Callable[[dict[str, Any]], Any]) -> None:
        self._scheduler = scheduler
        self._queue = queue
        self._invoke = invoke
        for _ in range(CONCURRENCY):
            scheduler.start(self._poll)

    def _poll(self) -> None:
        while True:
            messages = self._queue.receive(BATCH)
            if not messages:
                due = self._queue.next_due()
                wait = _POLL_SECONDS if due is None else min(_POLL_SECONDS, max(0.05, due - self._scheduler.now))
                self._scheduler.sleep(wait)
                continue
            self._hand_over(messages)

    def _hand_over(self, messages: list[Message]) -> None:
        records = [_record(message) for message in messages]
        try:
            answer = self._invoke({"Records": records})
        except FunctionFailed:
            return
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for message in messages:
            if message.id not in failed:
                self._queue.delete(message)


def _record(message: Message) -> dict[str, Any]:
    return {
        "messageId": message.id,
        "receiptHandle": f"{message.id}/{message.receives}",
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.receives),
            "ApproximateFirstReceiveTimestamp": str(int(message.first_received * 1000)),
        },
        "eventSource": "aws:sqs",
    }


@functools.cache
def _code(name: str) -> CodeType:
    path = ROOT / "functions" / name / "app.py"
    return compile(path.read_bytes(), str(path), "exec")
