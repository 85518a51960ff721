"""The one place where the soak meets the package's HTTP client: each request goes to the soak's network."""

import functools
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from soak import network
from soak.network import ConnectionFailed, Network
from whop_chat import bootstrap
from whop_chat.runtime import aws_clients, botocore_clients, http
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.http import HttpClient, Request, Response


class SoakHttpClient(HttpClient):
    """Sends over ``network`` and not over sockets."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def send(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
        """See `HttpClient.send`."""
        patience = deadline.require()
        asked = network.Request(request.method, str(request.url), dict(request.headers), request.content, patience)
        try:
            answer = self._network.send(asked)
        except ConnectionFailed as failure:
            raise TransportError(failure.reason) from None
        if len(answer.body) > max_bytes:
            raise TransportError("BodyTooLarge")
        return Response(answer.status, headers=dict(answer.headers), content=answer.body)

    def close(self) -> None:
        """There are no connections."""


@contextmanager
def sent_over(network: Network) -> Iterator[None]:
    """Within the block every HTTP client of the package sends over ``network``, and nothing leaves the process."""
    client = SoakHttpClient(network)

    @functools.cache
    def clients(**options: Any) -> AwsClients:
        """Made once a run, because a session of botocore takes as long as a thousand calls here."""
        return aws_clients.carried_clients(client, **options)

    with ExitStack() as undo:
        for module in (http, bootstrap):
            undo.enter_context(patch.object(module, "HttpClient", lambda *_, **__: client))
        undo.enter_context(patch.object(bootstrap, "carried_clients", lambda _, **options: clients(**options)))
        undo.enter_context(patch.object(botocore_clients, "botocore_clients", clients))
        undo.enter_context(patch.object(socket, "getaddrinfo", _unreachable))
        undo.enter_context(patch.object(socket.socket, "connect", _unreachable))
        yield


def _unreachable(*_: object, **__: object) -> None:
    raise OSError("there is no network in the soak")
