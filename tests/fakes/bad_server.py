"""A server on this machine that answers rightly, until a test makes it misbehave.

Real sockets: what it does wrong is wrong on the wire, where no stand-in for a client could see it.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

_DRIP_SECONDS = 0.3
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

type Behaviour = Callable[["Exchange"], None]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request to the server."""

    server: "BadServer"
    connection: socket.socket
    request: httpx.Request

    def answer(self) -> bytes:
        """The right answer, after what was asked for has been done."""
        with self.server.doing:
            answer = self.server.perform(self.request)
        head = f"HTTP/1.1 {answer.status_code} X\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(answer.content)}\r\n\r\n".encode() + answer.content

    def send(self, data: bytes) -> None:
        """Send at once."""
        self.connection.sendall(data)

    def drip(self, data: bytes) -> None:
        """Send a byte every 0.3 s, as long as the test lasts."""
        for byte in data:
            self.send(bytes([byte]))
            if self.server.over.wait(_DRIP_SECONDS):
                return

    def hang_up(self) -> None:
        """Let the client see the end."""
        self.connection.shutdown(socket.SHUT_RDWR)


class BadServer:
    """``perform`` does what a request asks for. ``behave`` says what comes over the wire."""

    def __init__(self, perform: Callable[[httpx.Request], httpx.Response]) -> None:
        self.perform = perform
        self.behave: Behaviour = right
        self.over = threading.Event()
        """Set at the end of the test, so that no thread outlives it."""
        self.doing = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads[0].start()

    def close(self) -> None:
        """End, with all connections."""
        self.over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def hang_up(self) -> None:
        """End all connections."""
        for each in self._connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            data = b""
            while not self.over.is_set():
                while (request := _parsed(data, self.url)) is None:
                    more = connection.recv(65536)
                    if not more:
                        return
                    data += more
                data = b""
                self.behave(Exchange(self, connection, request))


@contextmanager
def bad_server(perform: Callable[[httpx.Request], httpx.Response]) -> Iterator[BadServer]:
    """A server for the block."""
    server = BadServer(perform)
    try:
        yield server
    finally:
        server.close()


def _parsed(data: bytes, url: str) -> httpx.Request | None:
    """A whole request; None as long as some of it is missing."""
    head, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
    if not end or len(body) < int(length[1] if length else 0):
        return None
    (method, target, _), *lines = (line.split(" ", 2) for line in head.decode().split("\r\n"))
    headers = [(line[0].removesuffix(":"), " ".join(line[1:])) for line in lines]
    return httpx.Request(method, url + target, headers=headers, content=body)


# Behaviours


def right(exchange: Exchange) -> None:
    """As it should be."""
    exchange.send(exchange.answer())


def silent(exchange: Exchange) -> None:
    """Nothing comes."""
    exchange.server.over.wait()


def drips_its_head(exchange: Exchange) -> None:
    """A byte every 0.3 s, from the first on."""
    exchange.drip(exchange.answer())


def drips_its_body(exchange: Exchange) -> None:
    """The head at once, then a byte every 0.3 s."""
    head, end, body = exchange.answer().partition(b"\r\n\r\n")
    exchange.send(head + end)
    exchange.drip(body)


def never_ends(exchange: Exchange) -> None:
    """JSON of which there is always more."""
    exchange.send(_HEAD + b'Transfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n')
    chunk = b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n"
    while not exchange.server.over.is_set():
        exchange.send(chunk)


def drops_before(exchange: Exchange) -> None:
    """Nothing is done, and the connection is gone."""
    exchange.hang_up()


def drops_after(exchange: Exchange) -> None:
    """It is done, and the connection is gone."""
    exchange.answer()
    exchange.hang_up()


def sends_html(exchange: Exchange) -> None:
    """200, of somebody in between."""
    body = b"<html>Welcome to the hotel</html>"
    exchange.send(_HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def cuts_its_json(exchange: Exchange) -> None:
    """A whole answer with half of the JSON."""
    body = exchange.answer().partition(b"\r\n\r\n")[2]
    half = body[: len(body) // 2] or b"{"
    exchange.send(_HEAD + f"Content-Length: {len(half)}\r\n\r\n".encode() + half)


def cuts_its_answer(exchange: Exchange) -> None:
    """Half of the body, and the connection is gone."""
    answer = exchange.answer()
    exchange.send(answer[: len(answer) - len(answer.partition(b"\r\n\r\n")[2]) // 2 - 1])
    exchange.hang_up()


BAD: tuple[Behaviour, ...] = (
    silent,
    drips_its_head,
    drips_its_body,
    never_ends,
    drops_before,
    drops_after,
    sends_html,
    cuts_its_json,
    cuts_its_answer,
)


def answers_twice(second: bytes) -> Behaviour:
    """The right answer, and ``second`` as one more, in one piece."""

    def behave(exchange: Exchange) -> None:
        exchange.send(exchange.answer() + _HEAD + f"Content-Length: {len(second)}\r\n\r\n".encode() + second)

    return behave
