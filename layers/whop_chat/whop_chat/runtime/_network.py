"""The network below httpx, bounded by one deadline.

An ordinary timeout counts for each operation, so a peer that sends a byte a second can hold a caller for ever. Here one
deadline bounds every connect, handshake, read and write, and the resolver.
"""

import contextlib
import select
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import httpcore

from whop_chat.runtime.deadline import Deadline, DeadlineExceeded, run_within

# Short, because Lambda may freeze a function between two calls, and the peer may close the connection meanwhile.
_KEEPALIVE_SECONDS = 5.0

_deadline: ContextVar[Deadline] = ContextVar("deadline")


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

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(ssl_context=tls)
        self._tls = tls

    def create_connection(self, origin: httpcore.Origin) -> httpcore.ConnectionInterface:
        """A new connection. httpcore calls this if no connection to ``origin`` is free."""
        return _Connection(
            origin, ssl_context=self._tls, keepalive_expiry=_KEEPALIVE_SECONDS, network_backend=_Backend()
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
    """Makes connections. It ignores httpcore's own timeouts, here and below."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address of ``host`` that accepts one."""
        with _raising(httpcore.ConnectTimeout, httpcore.ConnectError):
            failure = OSError("no address")
            for family, kind, protocol, _, address in _resolved(host, port):
                try:
                    wire = socket.socket(family, kind, protocol)
                except OSError as error:  # A family that the kernel does not have.
                    failure = error
                    continue
                try:
                    wire.settimeout(_left())
                    wire.connect(address)
                    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                except OSError as error:
                    wire.close()
                    failure = error
                else:
                    return _Stream(wire)
            raise failure


class _Stream(httpcore.NetworkStream):
    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes, as soon as there are any. Empty if the peer has closed the connection."""
        with _raising(httpcore.ReadTimeout, httpcore.ReadError):
            self._wire.settimeout(_left())
            return self._wire.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of ``buffer``."""
        with _raising(httpcore.WriteTimeout, httpcore.WriteError):
            unsent = memoryview(buffer)
            while unsent:
                self._wire.settimeout(_left())
                unsent = unsent[self._wire.send(unsent) :]

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """This connection, encrypted."""
        with _raising(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                self._wire.settimeout(_left())
                return _Stream(ssl_context.wrap_socket(self._wire, server_hostname=server_hostname))
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def get_extra_info(self, info: str) -> Any:
        """For ``is_readable``: whether there are bytes to read, or the peer has closed the connection. Else None."""
        return self._is_readable() if info == "is_readable" else None

    def _is_readable(self) -> bool:
        if self._wire.fileno() < 0 or (isinstance(self._wire, ssl.SSLSocket) and self._wire.pending()):
            return True
        poll = select.poll()
        poll.register(self._wire, select.POLLIN)
        return bool(poll.poll(0))


@contextlib.contextmanager
def _raising(timeout: type[httpcore.TimeoutException], failure: type[httpcore.NetworkError]) -> Iterator[None]:
    """Raise httpcore's errors in place of the socket's."""
    try:
        yield
    except TimeoutError:
        raise timeout from None
    except OSError:
        raise failure from None


def _resolved(host: str, port: int) -> list[Any]:
    """The addresses of ``host`` from `socket.getaddrinfo`. The resolver cannot be interrupted, only abandoned."""
    try:
        return run_within(_left(), lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except DeadlineExceeded:
        raise TimeoutError from None
    except UnicodeError:
        raise OSError("not a host name") from None


def _left() -> float:
    """The seconds that the next operation on a socket may take. Raises `TimeoutError` if there are none."""
    left = _deadline.get().remaining()
    if not left:
        raise TimeoutError
    return left
