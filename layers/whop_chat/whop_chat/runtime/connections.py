"""Connections to servers, kept between two uses, and bounded in time.

A timeout counts for each read, so a peer that sends a byte a second holds a caller for ever. Here the clock of one
deadline stands behind each operation on a socket, and behind the resolver, which knows only its own time-out.
"""

import contextlib
import os
import re
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from whop_chat.runtime.deadline import Deadline

# A function may be frozen between two calls, and the peer hangs up meanwhile.
_KEEPALIVE_SECONDS = 5.0
_READ_BYTES = 16 * 1024
_URL = re.compile(r"(https?)://(([a-zA-Z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?)(/[^#]*)?")
# /opt/ca-certificates/mozilla on Lambda, where this file is /opt/python/whop_chat/runtime/connections.py.
_CA_DIRECTORY = f"{__file__.rsplit('/', 4)[0]}/ca-certificates/mozilla"


class ConnectError(Exception):
    """Nobody answers there, or not who should."""


class Origin(NamedTuple):
    """Whom to connect to."""

    encrypted: bool
    host: bytes
    """Not a text: to a text, sockets apply the rules for international names, which take a millisecond to load."""
    port: int


def split(url: str) -> tuple[Origin, str, str]:
    """Whom to connect to, what the host is called there, and the target, of a URL without a fragment.

    Raises `ValueError`.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError("not a URL of http or https")
    scheme, host, name, port, target = found.groups()
    encrypted = scheme == "https"
    origin = Origin(encrypted, name.strip("[]").encode("ascii"), int(port or (443 if encrypted else 80)))
    return origin, host, target or "/"


class Connection:
    """Of one user at a time. What takes longer than the deadline raises `TimeoutError`, other failures `OSError`."""

    def __init__(self, origin: Origin, wire: socket.socket) -> None:
        self.origin = origin
        self._wire = wire

    def send(self, message: bytes, *, deadline: Deadline) -> None:
        """Send all of ``message``."""
        unsent = memoryview(message)
        while unsent:
            self._wire.settimeout(_left(deadline))
            unsent = unsent[self._wire.send(unsent) :]

    def receive(self, *, deadline: Deadline) -> bytes:
        """What has come, as soon as something has; nothing when the peer has hung up."""
        self._wire.settimeout(_left(deadline))
        return self._wire.recv(_READ_BYTES)

    def silent(self) -> bool:
        """Whether the peer has said nothing that was not received, and has not hung up."""
        self._wire.settimeout(0)
        try:
            self._wire.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    def close(self) -> None:
        """Hang up."""
        self._wire.close()


class Connections:
    """Makes connections and keeps those that nobody is using, for any number of threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tls = _tls()
        self._idle: dict[Origin, list[tuple[Connection, float]]] = defaultdict(list)
        self._lock = threading.Lock()

    def prepare(self, url: str, *, deadline: Deadline) -> None:
        """Have a new one ready for whoever is the next to ask something of the host of ``url``.

        Raises `ValueError`, `ConnectError`, and `TimeoutError` at the deadline.
        """
        origin, _, _ = split(url)
        self.keep(self._made(origin, deadline))

    def to(self, origin: Origin, *, deadline: Deadline) -> Connection:
        """One that was kept, or a new one; raises `ConnectError`, and `TimeoutError` at the deadline."""
        return self._kept(origin) or self._made(origin, deadline)

    def keep(self, connection: Connection) -> None:
        """Have ``connection`` ready for the next who needs one to there."""
        with self._lock:
            self._idle[connection.origin].append((connection, self._clock()))

    def hang_up(self) -> None:
        """Close all that are kept."""
        with self._lock:
            for connections in self._idle.values():
                for connection, _ in connections:
                    connection.close()
            self._idle.clear()

    def _kept(self, origin: Origin) -> Connection | None:
        with self._lock:
            idle = self._idle[origin]
            while idle:
                connection, since = idle.pop()
                if self._clock() - since < _KEEPALIVE_SECONDS and connection.silent():
                    return connection
                connection.close()
        return None

    def _made(self, origin: Origin, deadline: Deadline) -> Connection:
        try:
            wire = _reached(origin, deadline)
            return Connection(origin, self._encrypted(wire, origin, deadline) if origin.encrypted else wire)
        except TimeoutError:
            raise
        except OSError:
            raise ConnectError from None

    def _encrypted(self, wire: socket.socket, origin: Origin, deadline: Deadline) -> socket.socket:
        try:
            wire.settimeout(_left(deadline))
            return self._tls.wrap_socket(wire, server_hostname=origin.host)
        except OSError:
            wire.close()
            raise


def _reached(origin: Origin, deadline: Deadline) -> socket.socket:
    """A connection to the first address that takes one, within the deadline."""
    failure = OSError("no address")
    for family, kind, protocol, _, address in _resolved(origin, deadline):
        left = _left(deadline)
        wire = socket.socket(family, kind, protocol)
        try:
            wire.settimeout(left)
            wire.connect(address)
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            wire.close()
            failure = error
        else:
            return wire
    raise failure


def _resolved(origin: Origin, deadline: Deadline) -> list[Any]:
    """The addresses, as `socket.getaddrinfo` gives them.

    By a thread, because nothing else can leave the resolver; one that is left ends with the resolver's own time-out.
    """
    left, found = _left(deadline), list[Any]()

    def resolve() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found.extend(socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM))

    resolver = threading.Thread(target=resolve, daemon=True)
    resolver.start()
    resolver.join(left)
    if resolver.is_alive():
        raise TimeoutError
    return found


def _left(deadline: Deadline) -> float:
    """What the next operation on a socket may take, in seconds."""
    left = deadline.remaining()
    if not left:
        raise TimeoutError
    return left


def _tls() -> ssl.SSLContext:
    """Mozilla's roots: from the directory that the build makes, or, where nothing was built, from the bundle."""
    if os.path.isdir(_CA_DIRECTORY):  # noqa: PTH112 - pathlib would cost each start 2 ms
        return ssl.create_default_context(capath=_CA_DIRECTORY)
    import certifi

    return ssl.create_default_context(cafile=certifi.where())
