"""HTTP exchanges bounded in time, by a deadline, and in size.

h11 reads and writes HTTP/1.1; a body larger than the cap is not read on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import h11

from whop_chat.runtime.connections import ConnectError, Connection, Connections, split
from whop_chat.runtime.deadline import Deadline

_MAX_HEAD_BYTES = 64 * 1024


class TransportError(Exception):
    """No usable response: not connected, timed out, dropped, or larger than the cap."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Request:
    """A request to an absolute URL of ASCII; host and length are added when it is sent."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class Response(NamedTuple):
    """A complete response; names of headers are in lower case, values of one name are joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """For any number of threads; it knows no proxy, no cookie, no redirect, no credential.

    ``while_waiting`` is called each time that a request has been sent and the answer is on its way.
    """

    def __init__(
        self, connections: Connections | None = None, *, while_waiting: Callable[[], object] = lambda: None
    ) -> None:
        self._connections = connections or Connections()
        self._while_waiting = while_waiting

    def exchange(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
        """Send ``request`` and read the whole body of the response.

        Raises `TransportError`, and `whop_chat.runtime.deadline.DeadlineExceeded` when there is no time left to start.
        """
        deadline.require()
        try:
            return self._exchange(request, deadline, max_bytes)
        except TransportError as error:
            reason = error.reason
        except (ConnectError, h11.RemoteProtocolError) as error:
            reason = type(error).__name__
        except TimeoutError:
            reason = "ReadTimeout"
        except OSError:
            reason = "ReadError"
        # Raised out here: what the error remembers of the request would hang on as the context.
        raise TransportError(reason)

    def hang_up(self) -> None:
        """Close every connection; the next exchange makes its own."""
        self._connections.hang_up()

    def _exchange(self, request: Request, deadline: Deadline, max_bytes: int) -> Response:
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        try:
            origin, host, target = split(request.url)
            message = _written(http, request, host, target)
        except (h11.LocalProtocolError, ValueError):  # h11 takes text, and leaves what is not ASCII to Python.
            raise TransportError("LocalProtocolError") from None
        connection = self._connections.to(origin, deadline=deadline)
        reusable = False
        try:
            connection.send(message, deadline=deadline)
            self._while_waiting()
            response = _read(http, connection, deadline, max_bytes)
            reusable = http.our_state is http.their_state is h11.DONE and http.trailing_data == (b"", False)
        finally:
            if not reusable:
                connection.close()
        if reusable:
            self._connections.keep(connection)
        return response


def _written(http: h11.Connection, request: Request, host: str, target: str) -> bytes:
    """The request, which asks for no packing: a cap on what arrives is none on what it unpacks to."""
    headers = {"Host": host, **request.headers, "Accept-Encoding": "identity"}
    if request.body or request.method != "GET":
        headers["Content-Length"] = str(len(request.body))
    head = h11.Request(method=request.method, target=target, headers=list(headers.items()))
    return http.send(head) + http.send(h11.Data(data=request.body)) + http.send(h11.EndOfMessage())


def _read(http: h11.Connection, connection: Connection, deadline: Deadline, max_bytes: int) -> Response:
    """The answer, after interim ones, which nobody asked for but anybody may send."""
    status, headers, body = 0, dict[str, str](), bytearray()
    while True:
        match http.next_event():
            case h11.NEED_DATA:
                http.receive_data(connection.receive(deadline=deadline))
            case h11.Response() as head:
                status, headers = head.status_code, _headers(head)
            case h11.Data(data=data):
                body += data
                if len(body) > max_bytes:
                    raise TransportError("BodyTooLarge")
            case h11.EndOfMessage():
                return Response(status, headers, bytes(body))


def _headers(head: h11.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    if headers.get("content-encoding", "identity") != "identity":
        raise TransportError("ContentEncoding")
    # RFC 9112, section 6.3. Of an answer that names both, two readers could see two different ones.
    if {"content-length", "transfer-encoding"} <= headers.keys():
        raise TransportError("RemoteProtocolError")
    return headers
