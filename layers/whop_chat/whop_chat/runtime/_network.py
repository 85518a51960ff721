"""The network below httpx, bounded by one deadline.

An ordinary timeout counts for each operation, so a peer that sends a byte a second can hold a caller for ever. Here one
deadline bounds every connect, handshake, read and write, and the resolver.
"""

import contextlib
import socket  # For getaddrinfo alone: no package here looks a name up without connecting to it.
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import httpcore

from whop_chat.runtime.deadline import Deadline, DeadlineExceeded, run_within

# Short, because Lambda may freeze a function between two calls, and the peer may close the connection meanwhile.
_KEEPALIVE_SECONDS = 5.0
_TLS_RECORD_BYTES = 16 * 1024  # RFC 8446, section 5.1

_deadline: ContextVar[Deadline] = ContextVar("deadline")

type Connect = Callable[[str, int, float], httpcore.NetworkStream]
"""Connects to a host and a port within some seconds. It also decides which address a name stands for."""


def ipv4_addresses(host: str, port: int) -> list[str]:
    """The IPv4 addresses of ``host``. Raises OSError if there are none."""
    return [str(address[0]) for *_, address in socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)]


@contextlib.contextmanager
def bounded_by(deadline: Deadline) -> Iterator[None]:
    """Bound every operation of this thread on a `ConnectionPool` by ``deadline``, in the block.

    An operation that would take longer raises httpcore's timeout errors.
    """
    before = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(before)


class ConnectionPool(httpcore.ConnectionPool):
    """httpcore's pool, for any number of threads. Its connections keep to the deadline of `bounded_by`."""

    def __init__(self, tls: ssl.SSLContext, connect: Connect) -> None:
        super().__init__(ssl_context=tls)
        self._tls = tls
        self._connect = connect

    def create_connection(self, origin: httpcore.Origin) -> httpcore.ConnectionInterface:
        """A new connection. httpcore calls this if no connection to ``origin`` is free."""
        return _Connection(
            origin,
            ssl_context=self._tls,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=_Backend(self._connect),
        )


class _Connection(httpcore.HTTPConnection):
    """A connection that is not used again if it has unread bytes.

    httpcore would keep those bytes and take them for the answer to the next request.
    """

    def has_expired(self) -> bool:
        """Whether to close this connection. The pool asks after each exchange, and before each use."""
        return super().has_expired() or (self.is_idle() and self._has_unread_bytes())

    def _has_unread_bytes(self) -> bool:
        connection = self._connection
        # The only access to what httpcore has read is private. A test with a real server fails if httpcore changes it.
        return isinstance(connection, httpcore.HTTP11Connection) and connection._h11_state.trailing_data != (b"", False)


class _Backend(httpcore.NetworkBackend):
    """httpcore's own backend, with the time that is left as its timeout. httpcore's own timeouts are ignored."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to ``host``.

        It is made in a thread that is abandoned if it is late, because nothing can interrupt the resolver.
        """
        left = _left(httpcore.ConnectTimeout)
        try:
            return _Stream(run_within(left, lambda: self._connect(host, port, left)))
        except DeadlineExceeded:
            raise httpcore.ConnectTimeout from None
        except UnicodeError:  # Not a host name.
            raise httpcore.ConnectError from None


class _Stream(httpcore.NetworkStream):
    """httpcore's own stream, with the time that is left as its timeout."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has arrived, as soon as anything has. Nothing if the peer has closed."""
        return self._stream.read(max_bytes, _left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of ``buffer``. TLS sends each piece whole or not at all, so each is bounded."""
        for start in range(0, len(buffer), _TLS_RECORD_BYTES):
            self._stream.write(buffer[start : start + _TLS_RECORD_BYTES], _left(httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """This connection, encrypted. Python bounds a handshake as a whole."""
        try:
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(httpcore.ConnectTimeout)))
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks about its own stream."""
        return self._stream.get_extra_info(info)


def _left(timeout: type[httpcore.TimeoutException]) -> float:
    """The seconds that the next operation may take. Raises ``timeout`` if there are none."""
    left = _deadline.get().remaining()
    if not left:
        raise timeout
    return left
