"""The simulator without a socket: an httpx transport, for tests in one process."""

from collections.abc import Iterator

import httpx

from local.whop_simulator.control_surface import PREFIX, control
from local.whop_simulator.core import Simulator
from local.whop_simulator.wire import Fate, Request, Response


class SimulatorTransport(httpx.BaseTransport):
    """Passes requests to a `Simulator`, without waiting: a delay beyond the read timeout raises at once.

    Such a call stays in flight. It completes when the simulator's clock has passed the delay.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, or raise what httpx raises for a server that is unreachable, slow, or drops the connection."""
        wire = _request(request)
        if wire.path.startswith(PREFIX):
            return _response(control(self._simulator, wire), request)
        exchange = self._simulator.receive(wire)
        if exchange.delay > _read_timeout(request):
            raise httpx.ReadTimeout("The read operation timed out", request=request)
        response = exchange.complete()
        if response.fate is Fate.UNREACHABLE:
            raise httpx.ConnectError("Connection refused", request=request)
        if response.fate is Fate.DROPPED:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        return _response(response, request)


def as_httpx_transport(simulator: Simulator) -> httpx.BaseTransport:
    """A transport for ``httpx.Client(transport=...)``. It serves every host name."""
    return SimulatorTransport(simulator)


class _Stream(httpx.SyncByteStream):
    def __init__(self, response: Response, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        response = self._response
        if response.fate is Fate.DRIPPED:
            if response.drip_seconds > _read_timeout(self._request):
                raise httpx.ReadTimeout("The read operation timed out", request=self._request)
            yield from (bytes([byte]) for byte in response.body)
            return
        yield response.body
        if response.fate is Fate.TRUNCATED:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


def _request(request: httpx.Request) -> Request:
    return Request(
        method=request.method,
        path=request.url.path,
        query=tuple(request.url.params.multi_items()),
        headers=tuple(request.headers.multi_items()),
        body=request.read(),
    )


def _response(response: Response, request: httpx.Request) -> httpx.Response:
    return httpx.Response(
        response.status, headers=list(response.headers), stream=_Stream(response, request), request=request
    )


def _read_timeout(request: httpx.Request) -> float:
    timeout = request.extensions.get("timeout", {}).get("read")
    return float("inf") if timeout is None else float(timeout)
