"""The simulator behind a socket: an ASGI app, and a uvicorn server that can drop connections."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl

import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from local.origins import may_control
from local.whop_simulator import chat_script
from local.whop_simulator.control_surface import PREFIX, control
from local.whop_simulator.core import Simulator
from local.whop_simulator.wire import Fate, Request, Response, json_response

_DROP = "whop_simulator.drop"


class WhopApp:
    """The ASGI app: it delays, drips and drops answers as the simulator says."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        request = await _read(scope, receive)
        response = await self._answer(request)
        if response.fate in (Fate.DROPPED, Fate.UNREACHABLE):
            await _drop(scope, receive)
            return
        await _send(response, send)
        if response.fate is Fate.TRUNCATED:
            await _drop(scope, receive)

    async def _answer(self, request: Request) -> Response:
        if request.path.startswith(PREFIX):
            if not may_control(request.header("host") or "", request.header("origin")):
                return json_response(403, {"error": "web pages may not control the simulator"})
            return control(self._simulator, request)
        if request.path.startswith(chat_script.PREFIX):
            return chat_script.file(request.path)
        exchange = self._simulator.receive(request)
        if exchange.delay > 0:
            await asyncio.sleep(exchange.delay)
        return exchange.complete()


class _DroppingProtocol(H11Protocol):
    """Passes the app a function that closes its own connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_drop(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            if scope["type"] == "http":
                scope.setdefault("state", {})[_DROP] = transport.close
            await app(scope, receive, send)

        self.app = with_drop


async def _read(scope: HTTPScope, receive: ASGIReceiveCallable) -> Request:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message["body"]
        if not message["more_body"]:
            break
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=tuple(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
        body=bytes(body),
    )


async def _send(response: Response, send: ASGISendCallable) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if response.header("content-length") is None:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers, "trailers": False})
    if response.fate is Fate.DRIPPED:
        for byte in response.body:
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
            await asyncio.sleep(response.drip_seconds)
    rest = b"" if response.fate is Fate.DRIPPED else response.body
    more = response.fate is Fate.TRUNCATED
    await send({"type": "http.response.body", "body": rest, "more_body": more})


async def _drop(scope: HTTPScope, receive: ASGIReceiveCallable) -> None:
    scope["state"][_DROP]()
    while (await receive())["type"] != "http.disconnect":
        pass


def listen(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1. Port 0 takes a free port."""
    # asyncio sets TCP_NODELAY only on a socket whose protocol is TCP. Without it, each answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def server(simulator: Simulator) -> uvicorn.Server:
    """A uvicorn server for the simulator. It does not log requests."""
    return uvicorn.Server(
        uvicorn.Config(
            WhopApp(simulator),
            http=_DroppingProtocol,
            lifespan="off",
            access_log=False,
            log_level="critical",
            timeout_graceful_shutdown=1,
        )
    )


@contextmanager
def served(simulator: Simulator) -> Iterator[str]:
    """Serve the simulator in a thread, on a free port of 127.0.0.1; the base URL."""
    listener = listen(0)
    uvicorn_server = server(simulator)
    thread = threading.Thread(target=uvicorn_server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        uvicorn_server.should_exit = True
        thread.join()
        listener.close()
