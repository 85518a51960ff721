"""Transport: against a real server that is slow, endless, silent or gone."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpcore
import pytest

from tests.unit.fakes import Clock
from whop_chat.deadline import Deadline, DeadlineExceeded
from whop_chat.transport import HttpClient, Request, Response, TransportError

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
MAX_BYTES = 1000


class Server:
    """Accepts one connection, reads the request and does with it what ``behave`` does."""

    def __init__(self, behave: Callable[[socket.socket, "Server"], None]) -> None:
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.request = b""
        self.over = threading.Event()
        """Set when the test is through, so that no thread outlives it."""
        self.hung_up = threading.Event()
        """Set when the client is seen to be gone."""

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        # A server that nobody came to is still waiting.
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while b"\r\n\r\n" not in self.request:
                data = connection.recv(65536)
                if not data:
                    return
                self.request += data
            try:
                self._behave(connection, self)
            except OSError:
                self.hung_up.set()


def sends(*parts: bytes) -> Callable[[socket.socket, Server], None]:
    """A server that sends ``parts`` and hangs up."""

    def behave(connection: socket.socket, _server: Server) -> None:
        for part in parts:
            connection.sendall(part)

    return behave


@pytest.fixture(scope="module")
def client() -> HttpClient:
    return HttpClient()


@contextmanager
def failing(reason: str) -> Iterator[None]:
    with pytest.raises(TransportError) as caught:
        yield
    assert caught.value.reason == reason


def get(client: HttpClient, url: str, deadline: Deadline | None = None) -> Response:
    return client.exchange(Request("GET", url, {}), deadline=deadline or Deadline(5), max_bytes=MAX_BYTES)


@pytest.mark.parametrize(
    "parts",
    [
        [OK + b"Content-Length: 4\r\n\r\nbody"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nbo\r\n", b"2\r\ndy\r\n0\r\n\r\n"],
        [OK + b"Connection: close\r\n\r\n", b"bo", b"dy"],
        [OK + b"Content-Encoding: identity\r\nConnection: close\r\n\r\nbody"],
    ],
    ids=["length", "chunked", "until-closed", "identity"],
)
def test_a_whole_answer_comes_back_with_status_headers_and_body(client: HttpClient, parts: list[bytes]) -> None:
    with Server(sends(*parts)) as server:
        response = get(client, server.url)

    assert (response.status, response.body, response.headers["content-type"]) == (200, b"body", "text/plain")


def test_a_redirect_is_an_answer_and_not_an_order(client: HttpClient) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with Server(sends(moved)) as server:
        assert get(client, server.url).status == 302


def test_a_request_is_sent_with_its_headers_and_its_body(client: HttpClient) -> None:
    with Server(sends(OK + b"Content-Length: 0\r\n\r\n")) as server:
        request = Request("POST", server.url, {"X-Name": "value"}, b"the body")
        client.exchange(request, deadline=Deadline(5), max_bytes=0)

    assert server.request.startswith(b"POST / HTTP/1.1\r\n")
    assert b"X-Name: value\r\n" in server.request


def test_a_body_up_to_the_cap_is_read(client: HttpClient) -> None:
    with Server(sends(OK + b"Content-Length: 1000\r\n\r\n" + b"x" * MAX_BYTES)) as server:
        assert len(get(client, server.url).body) == MAX_BYTES


def test_one_byte_more_than_the_cap_is_too_much(client: HttpClient) -> None:
    with Server(sends(OK + b"Content-Length: 1001\r\n\r\n" + b"x" * 1001)) as server, failing("BodyTooLarge"):
        get(client, server.url)


def test_a_packed_body_is_refused_before_it_is_unpacked(client: HttpClient) -> None:
    """A cap on what arrives is none on what it unpacks to; we ask for no packing."""
    packed = b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(b"x" * 10)
    with Server(sends(OK + packed)) as server, failing("ContentEncoding"):
        get(client, server.url)

    assert b"Accept-Encoding: identity\r\n" in server.request


def test_an_endless_body_is_hung_up_on(client: HttpClient) -> None:
    def endless(connection: socket.socket, server: Server) -> None:
        connection.sendall(OK + b"Connection: close\r\n\r\n")
        while not server.over.is_set():
            connection.sendall(b"x" * MAX_BYTES)

    with Server(endless) as server:
        with failing("BodyTooLarge"):
            get(client, server.url)

        assert server.hung_up.wait(5)


def test_a_body_that_drips_ends_at_the_deadline(client: HttpClient) -> None:
    clock = Clock()

    def drip(connection: socket.socket, _server: Server) -> None:
        connection.sendall(OK + b"Content-Length: 100\r\n\r\n")
        for _ in range(99):
            clock.advance(1)
            connection.sendall(b"x")

    with Server(drip) as server, failing("ReadTimeout"):
        get(client, server.url, Deadline(3, clock=clock))


def test_headers_that_drip_end_at_the_deadline(client: HttpClient) -> None:
    def drip(connection: socket.socket, server: Server) -> None:
        connection.sendall(OK)
        for number in range(40):
            connection.sendall(f"X-Header-{number}: x\r\n".encode())
            if server.over.wait(0.01):
                return
        connection.sendall(b"Content-Length: 0\r\n\r\n")

    with Server(drip) as server, failing("ReadTimeout"):
        get(client, server.url, Deadline(0.1))


def test_a_body_that_falls_silent_is_waited_for_until_the_deadline_and_not_a_whole_timeout_longer(
    client: HttpClient,
) -> None:
    clock = Clock()

    def fall_silent(connection: socket.socket, _server: Server) -> None:
        connection.sendall(OK + b"Content-Length: 3\r\n\r\nx")
        clock.advance(9.9)
        connection.sendall(b"x")
        connection.settimeout(1)
        try:
            connection.recv(1)
        except TimeoutError:
            # The client is still there: let it have its body, and the test its failure.
            connection.sendall(b"x")

    with Server(fall_silent) as server, failing("ReadTimeout"):
        get(client, server.url, Deadline(10, clock=clock))


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200", OK + b"Content-Length: 9\r\n\r\nx"], ids=repr)
def test_a_server_that_never_finishes_its_answer_is_left_at_the_deadline(client: HttpClient, beginning: bytes) -> None:
    def begin(connection: socket.socket, server: Server) -> None:
        connection.sendall(beginning)
        server.over.wait()

    with Server(begin) as server, failing("ReadTimeout"):
        get(client, server.url, Deadline(0.05))


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [OK],
        [OK + b"Content-Length: 9\r\n\r\nx"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n"],
        [b"this is not HTTP\r\n\r\n"],
    ],
    ids=["nothing", "half-headers", "half-body", "half-chunks", "no-http"],
)
def test_an_answer_that_breaks_off_or_is_none_is_a_failure(client: HttpClient, parts: list[bytes]) -> None:
    with Server(sends(*parts)) as server, failing("RemoteProtocolError"):
        get(client, server.url)


def test_a_server_that_is_not_there_is_a_failure(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with failing("ConnectError"):
        get(client, f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("seconds", [0, -1])
def test_without_time_left_nothing_is_sent(client: HttpClient, seconds: float) -> None:
    with Server(sends(OK)) as server, pytest.raises(DeadlineExceeded):
        get(client, server.url, Deadline(seconds))

    assert server.request == b""


def test_a_connection_is_usable_after_another_one_failed(client: HttpClient) -> None:
    with Server(sends(OK + b"Content-Length: 1001\r\n\r\n" + b"x" * 1001)) as big, pytest.raises(TransportError):
        get(client, big.url)
    with Server(sends(OK + b"Content-Length: 4\r\n\r\nbody")) as good:
        assert get(client, good.url).body == b"body"


def test_all_addresses_of_a_host_share_one_deadline(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    timeouts: list[float] = []

    def connect(_backend: object, _host: str, _port: int, timeout: float, *_: object) -> None:
        timeouts.append(timeout)
        clock.advance(min(timeout, 1))
        raise httpcore.ConnectTimeout

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", 80)) for last in range(1, 5)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
    with failing("ReadTimeout"):
        get(client, "http://host.test/", Deadline(2.5, clock=clock))

    assert timeouts == [2.5, 1.5, 0.5]


def test_the_next_address_is_tried_when_one_refuses(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(sends(OK + b"Content-Length: 0\r\n\r\n")) as server:
        port = int(server.url.rpartition(":")[2].strip("/"))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
        assert get(client, f"http://host.test:{port}/").status == 200


def test_a_host_that_is_not_known_is_a_failure(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror("not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with failing("ConnectError"):
        get(client, "http://host.test/")


def test_after_hanging_up_no_connection_is_left_and_the_next_exchange_makes_its_own() -> None:
    def keep_open(connection: socket.socket, server: Server) -> None:
        connection.sendall(OK + b"Content-Length: 0\r\n\r\n")
        if not connection.recv(1):
            server.hung_up.set()

    client = HttpClient()
    for _ in range(2):
        with Server(keep_open) as server:
            get(client, server.url)
            client.hang_up()
            assert server.hung_up.wait(5)
