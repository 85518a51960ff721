"""HTTP exchanges bounded in time and in size.

A timeout counts for each read, so a peer that sends a byte a second holds a caller for ever. Here the clock of one
deadline stands behind every connection, read and write, and a body larger than the cap is not read. Only the resolver
has a time-out of its own.
"""

import socket
import ssl
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpcore

from whop_chat.deadline import Deadline

# A function may be frozen between two calls, and the peer hangs up meanwhile.
_KEEPALIVE_SECONDS = 5.0
# /opt/ca-certificates on Lambda, where this file is /opt/python/whop_chat/transport.py.
_CA_DIRECTORY = Path(__file__).parents[2] / "ca-certificates"
_FAILURES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


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


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """A pool of connections, for any number of threads; it knows no proxy, no cookie, no redirect, no credential."""

    def __init__(self) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(), keepalive_expiry=_KEEPALIVE_SECONDS, network_backend=_BoundedBackend()
        )

    def exchange(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
        """Send ``request`` and read the whole body of the response.

        Raises `TransportError`, and `whop_chat.deadline.DeadlineExceeded` when there is no time left to start.
        """
        left = deadline.require()
        # A cap on what arrives is none on what it unpacks to.
        headers = {**request.headers, "Accept-Encoding": "identity"}
        content = request.body if request.method != "GET" else None
        token = _deadline.set(deadline)
        try:
            with self._pool.stream(
                request.method,
                request.url,
                headers=list(headers.items()),
                content=content,
                extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), left)},
            ) as answer:
                return _response(answer, max_bytes)
        except _FAILURES as error:
            reason = type(error).__name__
        finally:
            _deadline.reset(token)
        # Raised out here: what the error remembers of the request would hang on as the context.
        raise TransportError(reason)

    def hang_up(self) -> None:
        """Close every connection; the next exchange makes its own."""
        self._pool.close()


def _response(answer: httpcore.Response, max_bytes: int) -> Response:
    headers = {name.decode("ascii").lower(): value.decode("latin-1") for name, value in answer.headers}
    if headers.get("content-encoding", "identity") != "identity":
        raise TransportError("ContentEncoding")
    body = bytearray()
    for chunk in answer.iter_stream():
        body += chunk
        if len(body) > max_bytes:
            raise TransportError("BodyTooLarge")
    return Response(answer.status, headers, bytes(body))


_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def _left(timeout: float | None) -> float | None:
    """What the next operation on a socket may take, in seconds."""
    deadline = _deadline.get()
    if deadline is None:
        return timeout
    left = deadline.remaining()
    if not left:
        raise httpcore.ReadTimeout("deadline")
    return left if timeout is None else min(timeout, left)


def _tls() -> ssl.SSLContext:
    """Mozilla's roots: from the directory that the build makes, or, where nothing was built, from the bundle."""
    if _CA_DIRECTORY.is_dir():
        return ssl.create_default_context(capath=_CA_DIRECTORY)
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


def _addresses(host: str, port: int) -> list[str]:
    """What ``host`` resolves to; given to ``connect``, a name would have the whole timeout for each of them."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    return [str(address[0]) for *_, address in found]


class _BoundedBackend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Try each address of ``host`` within the deadline, which bounds all but the resolver."""
        failure: Exception = httpcore.ConnectError("no address")
        for address in _addresses(host, port):
            try:
                stream = super().connect_tcp(address, port, _left(timeout), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _BoundedStream(stream)
        raise failure


class _BoundedStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _BoundedStream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
