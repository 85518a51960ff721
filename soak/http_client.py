"""The one place where the soak meets the package's HTTP client: each request goes to the soak's network."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from soak import network
from soak.network import ConnectionFailed, Network
from whop_chat.runtime import http
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient, Request, Response, TransportError


class SoakHttpClient(HttpClient):
    """Sends over ``network`` and not over sockets."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def exchange(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
        """See `HttpClient.exchange`."""
        patience = deadline.require()
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = network.Request(request.method, request.url, headers, request.body, patience)
        try:
            answer = self._network.send(asked)
        except ConnectionFailed as failure:
            raise TransportError(failure.reason) from None
        if len(answer.body) > max_bytes:
            raise TransportError("BodyTooLarge")
        return Response(answer.status, answer.headers, answer.body)

    def hang_up(self) -> None:
        """There are no connections."""


@contextmanager
def sent_over(network: Network) -> Iterator[None]:
    """Within the block every HTTP client of the package sends over ``network``, and nothing leaves the process."""
    with ExitStack() as undo:
        undo.enter_context(patch.object(http, "HttpClient", lambda *_, **__: SoakHttpClient(network)))
        undo.enter_context(patch.object(socket, "getaddrinfo", _unreachable))
        undo.enter_context(patch.object(socket.socket, "connect", _unreachable))
        yield


def _unreachable(*_: object, **__: object) -> None:
    raise OSError("there is no network in the soak")
