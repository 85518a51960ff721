"""Cognito's keys, Secrets Manager, DynamoDB, SQS and Whop in one process, over TLS on a loopback port.

``python -m bench.stubs <folder>`` reads ``server.pem`` and ``keys.json`` in the folder and prints its port. Then it
obeys lines on standard input, and answers each with one line of JSON. It ends when the input ends.

=====================  ============================================================
``round-trip <s>``     sleep for so many seconds before each answer
``counts``             return the calls since the last time, by operation
=====================  ============================================================

Blocking sockets and a thread for each connection, in place of an HTTP server: an exchange takes 0.04 ms, and 0.20 ms
with Starlette on uvicorn. A warm call of the bare candidate makes two exchanges and takes 0.8 ms in all.
"""

import json
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from bench.answers import Operation, Request, answer


class Stubs(socketserver.ThreadingTCPServer):
    """A server on 127.0.0.1 with keep-alive."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, certificate: Path, jwks: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.key_set = jwks
        self.round_trip = 0.0
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)

    def get_request(self) -> tuple[Any, Any]:
        """Leave the handshake to the connection's own thread."""
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore dropped connections: a stopped candidate drops its own."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def count(self, operation: Operation) -> None:
        """Count one call."""
        with self._lock:
            self._counts[operation] += 1

    def counts(self) -> dict[str, int]:
        """The calls since the last time."""
        with self._lock:
            counts, self._counts = dict(self._counts), Counter()
        return counts


class _Connection(socketserver.BaseRequestHandler):
    server: Stubs

    def handle(self) -> None:
        with self.request.makefile("rb") as stream:
            for request in _requests(stream):
                found = answer(request, self.server.key_set)
                self.server.count(found.operation)
                if found.operation is Operation.REFUSED:
                    print(found.body.decode(), file=sys.stderr, flush=True)
                head = (
                    f"HTTP/1.1 {found.status} -\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(found.body)}\r\n\r\n"
                )
                if self.server.round_trip:
                    time.sleep(self.server.round_trip)
                self.request.sendall(head.encode() + found.body)


def _requests(stream: BinaryIO) -> Iterator[Request]:
    while line := stream.readline():
        method, path, _ = line.decode().split(" ")
        headers = {}
        while header := stream.readline().strip():
            name, _, value = header.decode().partition(":")
            headers[name.lower()] = value.strip()
        yield Request(method, path, headers, stream.read(int(headers.get("content-length", 0))))


def main() -> None:
    """Serve until standard input ends."""
    folder = Path(sys.argv[1])
    with Stubs(folder / "server.pem", (folder / "keys.json").read_bytes()) as stubs:
        threading.Thread(target=stubs.serve_forever, daemon=True).start()
        print(stubs.server_address[1], flush=True)
        for line in sys.stdin:
            match line.split():
                case ["round-trip", seconds]:
                    stubs.round_trip = float(seconds)
                    print("{}", flush=True)
                case ["counts"]:
                    print(json.dumps(stubs.counts()), flush=True)
        stubs.shutdown()


if __name__ == "__main__":
    main()
