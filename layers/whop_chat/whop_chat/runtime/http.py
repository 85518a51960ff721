"""An HTTP client whose exchanges have a deadline and a maximum size.

It uses httpx's requests and answers, and httpcore's connections. It does not use `httpx.Client`, which keeps cookies,
takes credentials from URLs and logs every address. Only this module and `_network` import httpx or httpcore.
"""

import functools
import logging
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import certifi
import httpcore
import httpx
from httpx import URL, InvalidURL, Request, Response

from whop_chat.runtime._network import Connect, ConnectionPool, bounded_by, ipv4_addresses
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import TransportError

__all__ = ["URL", "Connect", "HttpClient", "InvalidURL", "Request", "Response", "ipv4_addresses", "to_any_address"]

Roots = Literal["aws", "mozilla"]

# /opt/ca-certificates on Lambda, where this file is /opt/python/whop_chat/runtime/http.py.
_CA_DIRECTORY = Path(__file__).parents[3] / "ca-certificates"

# At DEBUG httpcore logs headers. Lambda can set the root logger to that level.
logging.getLogger("httpcore").setLevel(logging.WARNING)


def to_any_address(host: str, port: int, seconds: float) -> httpcore.NetworkStream:
    """A connection to the first address of ``host`` that accepts one within ``seconds``."""
    return httpcore.SyncBackend().connect_tcp(host, port, seconds)


class HttpClient:
    """Sends requests, for any number of threads. It has no proxy, no cookie, no redirect and no credential.

    ``roots`` names the root certificates that servers are verified with. ``connect`` chooses the address of a host; TLS
    and HTTP keep the host's name. Only tests give a ``transport``.
    """

    def __init__(
        self,
        transport: httpx.BaseTransport | None = None,
        *,
        roots: Roots = "mozilla",
        connect: Connect = to_any_address,
    ) -> None:
        self._transport = transport or _Transport(_tls(roots), connect)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes = b"",
        deadline: Deadline,
        max_bytes: int,
    ) -> Response:
        """As `send`, with a request of ``method``, ``url``, ``headers`` and ``content``."""
        try:
            request = Request(method, url, headers=headers, content=content)
        except (InvalidURL, ValueError):
            raise TransportError("LocalProtocolError") from None
        return self.send(request, deadline=deadline, max_bytes=max_bytes)

    def send(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
        """The response to ``request``, with its whole body. The URL must be absolute.

        Raises `TransportError`, also for a body of more than ``max_bytes``, and
        `whop_chat.runtime.deadline.DeadlineExceeded` if no time is left to start.
        """
        # For the transports of tests. Ours takes the deadline from `bounded_by`.
        request.extensions = {"timeout": httpx.Timeout(deadline.require()).as_dict()}
        try:
            with bounded_by(deadline):
                return self._exchanged(request, max_bytes)
        except TransportError as error:
            reason = error.reason
        except (httpx.TimeoutException, httpcore.TimeoutException):
            reason = "ReadTimeout"
        except (httpx.TransportError, httpcore.NetworkError, httpcore.ProtocolError) as error:
            reason = type(error).__name__
        # Raised outside the handler: httpx's error refers to the request, and would be the context of this one.
        raise TransportError(reason)

    def close(self) -> None:
        """Close every connection. The next exchange opens a new one."""
        self._transport.close()

    def _exchanged(self, request: Request, max_bytes: int) -> Response:
        if request.url.scheme not in ("http", "https") or not request.url.host or request.url.userinfo:
            raise TransportError("LocalProtocolError")
        # No compression, because ``max_bytes`` could not bound the unpacked body.
        request.headers["Accept-Encoding"] = "identity"
        answer = self._transport.handle_request(request)
        try:
            _require_plain(answer)
            return Response(answer.status_code, headers=answer.headers, content=_body(answer, max_bytes))
        finally:
            answer.close()


def _require_plain(answer: Response) -> None:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise TransportError("ContentEncoding")
    # RFC 9112, section 6.3. With both headers, two parsers could disagree on where the answer ends.
    if {"content-length", "transfer-encoding"} <= answer.headers.keys():
        raise TransportError("RemoteProtocolError")
    if answer.status_code < 200:
        raise TransportError("RemoteProtocolError")


def _body(answer: Response, max_bytes: int) -> bytes:
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise TransportError("BodyTooLarge")
    return bytes(body)


class _Transport(httpx.BaseTransport):
    """As `httpx.HTTPTransport`, but with our pool, which that class does not accept."""

    def __init__(self, tls: ssl.SSLContext, connect: Connect) -> None:
        self._pool = ConnectionPool(tls, connect)

    def handle_request(self, request: Request) -> Response:
        """The answer, with its body as a stream. Both this method and the stream raise httpcore's errors."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        asked = httpcore.Request(
            request.method, url, headers=request.headers.raw, content=request.content, extensions=request.extensions
        )
        answer = self._pool.handle_request(asked)
        return Response(answer.status, headers=answer.headers, stream=_Stream(answer))

    def close(self) -> None:
        """See `httpx.BaseTransport.close`."""
        self._pool.close()


class _Stream(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        """See `httpx.SyncByteStream.close`."""
        self._answer.close()


@functools.cache
def _tls(roots: Roots) -> ssl.SSLContext:
    """A TLS context with the roots of the directory that the build makes. Without a build: Mozilla's bundle.

    A host must be among the certificate's alternative names (RFC 9110, section 4.3.4). Python would also take the
    common name of a certificate without any.
    """
    directory = _CA_DIRECTORY / roots
    if directory.is_dir():
        context = ssl.create_default_context(capath=directory)
    else:
        context = ssl.create_default_context(cafile=certifi.where())
    context.hostname_checks_common_name = False
    return context
