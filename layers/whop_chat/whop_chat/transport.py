"""HTTP exchanges bounded in time and in size.

httpx counts its timeouts for each read, so a peer that sends a byte a second holds a caller for ever. Here the clock of
one deadline stands behind every read and write on the socket, and a body larger than the cap is not read.
"""

import ssl
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpcore
import httpx

from whop_chat.deadline import Deadline

# httpx's own default: a function may be frozen between two calls, and the peer hangs up meanwhile.
_KEEPALIVE_SECONDS = 5.0
# /opt/ca-certificates on Lambda, where this file is /opt/python/whop_chat/transport.py.
_CA_DIRECTORY = Path(__file__).parents[2] / "ca-certificates"


class TransportError(Exception):
    """No usable response: not connected, timed out, dropped, or larger than the cap."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response."""

    status: int
    headers: httpx.Headers
    body: bytes


def bounded_client() -> httpx.Client:
    """A client for `exchange`, without proxies, credentials or certificates from the environment."""
    return httpx.Client(transport=_BoundedTransport(), trust_env=False)


def exchange(client: httpx.Client, request: httpx.Request, *, deadline: Deadline, max_bytes: int) -> Response:
    """Send ``request`` and read the whole body, without following redirects.

    Raises `TransportError`, and `whop_chat.deadline.DeadlineExceeded` when there is no time left to start.
    """
    request.extensions = {**request.extensions, "timeout": httpx.Timeout(deadline.require()).as_dict()}
    request.headers["Accept-Encoding"] = "identity"  # A cap on what arrives is none on what it unpacks to.
    token = _deadline.set(deadline)
    try:
        response = client.send(request, stream=True, follow_redirects=False)
        try:
            return Response(response.status_code, response.headers, _read(response, max_bytes))
        finally:
            response.close()
    except httpx.HTTPError as error:
        reason = type(error).__name__
    finally:
        _deadline.reset(token)
        client.cookies.clear()  # What one user's answer sets must not go with another's request.
    # Raised out here: httpx's error holds the request and its Authorization header, and would hang on as the context.
    raise TransportError(reason)


def _read(response: httpx.Response, max_bytes: int) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise TransportError("ContentEncoding")
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise TransportError("BodyTooLarge")
    return bytes(body)


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
    return httpx.create_ssl_context(trust_env=False)


class _BoundedTransport(httpx.HTTPTransport):
    """httpx offers no way to choose the network backend of its pool, so the pool is replaced by one that has it."""

    def __init__(self) -> None:
        context = _tls()
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, keepalive_expiry=_KEEPALIVE_SECONDS, network_backend=_BoundedBackend()
        )


class _BoundedBackend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _BoundedStream(super().connect_tcp(host, port, _left(timeout), local_address, socket_options))


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
