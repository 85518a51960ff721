"""An imitation of the Lambda Runtime API, where a function's process gets its events and posts its answers.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

Bare sockets and no HTTP server: the time of a server would be measured as the candidate's.
"""

import re
import selectors
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

_PREFIX = "/2018-06-01/runtime"
_PATIENCE_SECONDS = 30.0
_TIMEOUT_MILLISECONDS = 10_000


class CandidateFailedError(Exception):
    """The process ended, reported an error, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class _Request:
    connection: socket.socket
    path: str
    body: bytes


class RuntimeApi:
    """Serves one process. ``alive`` says whether that process still runs.

    One thread reads and writes the sockets itself. So the time between two time stamps is the candidate's.
    """

    def __init__(self, alive: Callable[[], bool]) -> None:
        self._alive = alive
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._waiting: socket.socket | None = None
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Close every socket."""
        sockets = [key.fileobj for key in self._selector.get_map().values()]
        self._selector.close()
        for each in sockets:
            if isinstance(each, socket.socket):
                each.close()

    def wait_until_idle(self) -> None:
        """Wait until the process asks for the next event."""
        while self._waiting is None:
            request = self._request()
            if request.path != f"{_PREFIX}/invocation/next":
                raise CandidateFailedError(f"{request.path}: {request.body.decode(errors='replace')}")
            self._waiting = request.connection

    def invoke(self, event: bytes) -> tuple[bytes, float]:
        """Hand over ``event``. Returns the answer and the seconds that it took."""
        self.wait_until_idle()
        assert self._waiting is not None  # noqa: S101 - for the type checker
        request_id = str(uuid.uuid4())
        deadline = int(time.time() * 1000) + _TIMEOUT_MILLISECONDS
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {deadline}\r\n"
            "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:bench\r\n"
            f"Lambda-Runtime-Trace-Id: Root=1-{uuid.uuid4().hex[:8]}-{uuid.uuid4().hex[:24]};Sampled=0\r\n"
            f"Content-Length: {len(event)}\r\n\r\n"
        )
        waiting, self._waiting = self._waiting, None
        start = time.perf_counter()
        waiting.sendall(head.encode() + event)
        answer = self._request()
        seconds = time.perf_counter() - start
        if answer.path != f"{_PREFIX}/invocation/{request_id}/response":
            raise CandidateFailedError(f"{answer.path}: {answer.body.decode(errors='replace')}")
        answer.connection.sendall(
            b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        )
        return answer.body, seconds

    def _request(self) -> _Request:
        """The next request on any connection."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            for key, _ in self._selector.select(timeout=1.0):
                if key.fileobj is self._listener:
                    connection, _ = self._listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection.settimeout(_PATIENCE_SECONDS)
                    self._selector.register(connection, selectors.EVENT_READ)
                elif isinstance(key.fileobj, socket.socket) and (request := self._read(key.fileobj)):
                    return request
            if not self._alive():
                raise CandidateFailedError("the process ended")
        raise CandidateFailedError(f"nothing for {_PATIENCE_SECONDS:.0f} s")

    def _read(self, connection: socket.socket) -> _Request | None:
        """Read a whole request; None if the peer has closed the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                self._selector.unregister(connection)
                connection.close()
                return None
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        while length and len(body) < int(length[1]):
            body += connection.recv(65536)
        return _Request(connection, head.split(b" ", 2)[1].decode(), body)
