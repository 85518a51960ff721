"""Transport: against a real server that is slow, endless, silent or gone."""

import gzip
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import certifi
import httpx
import pytest
from botocore.awsrequest import AWSRequest

from bench import certificates
from tests.fakes.clock import Clock
from whop_chat.runtime import http
from whop_chat.runtime.botocore_clients import _BotocoreHttp
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.http import HttpClient, Request, Response

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

    def _is_complete(self) -> bool:
        head, _, body = self.request.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        return b"\r\n\r\n" in self.request and len(body) >= int(length[1] if length else 0)

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while not self._is_complete():
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
def client() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


@contextmanager
def failing(reason: str) -> Iterator[None]:
    with pytest.raises(TransportError) as caught:
        yield
    assert caught.value.reason == reason


def get(client: HttpClient, url: str, deadline: Deadline | None = None) -> Response:
    return client.send(Request("GET", url), deadline=deadline or Deadline(5), max_bytes=MAX_BYTES)


@pytest.mark.parametrize(
    "parts",
    [
        [OK + b"Content-Length: 4\r\n\r\nbody"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nbo\r\n", b"2\r\ndy\r\n0\r\n\r\n"],
        [OK + b"Connection: close\r\n\r\n", b"bo", b"dy"],
        [OK + b"Content-Encoding: identity\r\nConnection: close\r\n\r\nbody"],
        [b"HTTP/1.1 103 Early Hints\r\nX-Name: x\r\n\r\n" * 2 + OK, b"Content-Length: 4\r\n\r\nbody"],
    ],
    ids=["length", "chunked", "until-closed", "identity", "after-interim"],
)
def test_a_whole_answer_comes_back_with_status_headers_and_body(client: HttpClient, parts: list[bytes]) -> None:
    with Server(sends(*parts)) as server:
        response = get(client, server.url)

    assert (response.status_code, response.content, response.headers["content-type"]) == (200, b"body", "text/plain")


def test_headers_of_one_name_are_joined_under_its_lower_case(client: HttpClient) -> None:
    with Server(sends(OK + b"Content-Length: 0\r\nX-Name: a\r\nx-name:  b c \r\n\r\n")) as server:
        assert get(client, server.url).headers["x-name"] == "a, b c"


def test_a_redirect_is_an_answer_and_not_an_order(client: HttpClient) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with Server(sends(moved)) as server:
        assert get(client, server.url).status_code == 302


def test_a_request_is_sent_with_its_headers_and_its_body(client: HttpClient) -> None:
    with Server(sends(OK + b"Content-Length: 0\r\n\r\n")) as server:
        request = Request("POST", server.url, headers={"X-Name": "value"}, content=b"the body")
        client.send(request, deadline=Deadline(5), max_bytes=0)

    assert server.request.startswith(b"POST / HTTP/1.1\r\n")
    assert b"X-Name: value\r\n" in server.request
    assert b"Content-Length: 8\r\n" in server.request
    assert server.request.endswith(b"\r\n\r\nthe body")


@pytest.mark.parametrize(("method", "lengths"), [("GET", 0), ("POST", 1)])
def test_a_request_without_a_body_says_so_where_one_is_expected(client: HttpClient, method: str, lengths: int) -> None:
    with Server(sends(OK + b"Content-Length: 0\r\n\r\n")) as server:
        client.send(Request(method, server.url), deadline=Deadline(5), max_bytes=0)

    assert server.request.count(b"Content-Length: 0\r\n") == lengths


def test_a_body_up_to_the_cap_is_read(client: HttpClient) -> None:
    with Server(sends(OK + b"Content-Length: 1000\r\n\r\n" + b"x" * MAX_BYTES)) as server:
        assert len(get(client, server.url).content) == MAX_BYTES


@pytest.mark.parametrize(
    "answer",
    [b"Content-Length: 1001\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n", b"Connection: close\r\n\r\n"],
)
def test_one_byte_more_than_the_cap_is_too_much(client: HttpClient, answer: bytes) -> None:
    with Server(sends(OK + answer + b"x" * 1001)) as server, failing("BodyTooLarge"):
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
    "answer",
    [
        OK + b"Content-Length: 2\r\n\r\nxy",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ],
    ids=["length", "chunked", "interim"],
)
def test_an_answer_that_breaks_off_is_a_failure_wherever_it_does(client: HttpClient, answer: bytes) -> None:
    for length in range(len(answer)):
        with Server(sends(answer[:length])) as server, failing("RemoteProtocolError"):
            get(client, server.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"this is not HTTP\r\n\r\n",
        OK + b"Content-Length 4\r\n\r\nbody",
        OK + b"Content-Length: +4\r\n\r\nbody",
        OK + b"Content-Length: 4\r\nContent-Length: 2\r\n\r\nbody",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbody\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
    ids=lambda answer: repr(answer.removeprefix(OK)),
)
def test_what_is_not_one_whole_answer_is_a_failure(client: HttpClient, answer: bytes) -> None:
    with Server(sends(answer)) as server, failing("RemoteProtocolError"):
        get(client, server.url)


def test_headers_without_an_end_are_hung_up_on(client: HttpClient) -> None:
    def endless(connection: socket.socket, server: Server) -> None:
        connection.sendall(OK)
        while not server.over.is_set():
            connection.sendall(b"X-Name: " + b"x" * MAX_BYTES + b"\r\n")

    with Server(endless) as server:
        with failing("RemoteProtocolError"):
            get(client, server.url)

        assert server.hung_up.wait(5)


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
        assert get(client, good.url).content == b"body"


def test_all_addresses_of_a_host_share_one_deadline(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def connect(_connection: socket.socket, _address: object) -> None:
        over.wait(60)
        raise TimeoutError

    monkeypatch.setattr(socket.socket, "connect", connect)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", 80)) for last in range(1, 5)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
    try:
        with failing("ReadTimeout"):
            get(client, "http://host.test/", Deadline(0.2))
    finally:
        over.set()


def test_the_next_address_is_tried_when_one_refuses(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(sends(OK + b"Content-Length: 0\r\n\r\n")) as server:
        port = int(server.url.rpartition(":")[2].strip("/"))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
        assert get(client, f"http://host.test:{port}/").status_code == 200


def test_a_resolver_that_does_not_answer_is_left_at_the_deadline(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: answer.wait(60) and [])
    try:
        with failing("ReadTimeout"):
            get(client, "http://host.test/", Deadline(0.05))
    finally:
        answer.set()


def test_a_host_that_is_not_known_is_a_failure(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror("not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with failing("ConnectError"):
        get(client, "http://host.test/")


def test_a_closed_client_makes_new_connections() -> None:
    def keep_open(connection: socket.socket, server: Server) -> None:
        connection.sendall(OK + b"Content-Length: 0\r\n\r\n")
        if not connection.recv(1):
            server.hung_up.set()

    client = HttpClient()
    for _ in range(2):
        with Server(keep_open) as server:
            get(client, server.url)
            client.close()
            assert server.hung_up.wait(5)


class KeepAlive:
    """Answers each request with the number of its connection, and keeps connections open until `hang_up`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._connections: list[socket.socket] = []
        self.requests = b""
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.head, self.tail = OK + b"Content-Length: 1\r\n\r\n", b""
        """What comes before the number, and after it."""
        self.after = b""
        """What is sent when that has been sent."""
        self.together = threading.Barrier(1, timeout=5)
        """Passed by as many requests at once as it says, before any of them is answered."""

    def __enter__(self) -> "KeepAlive":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def hang_up(self) -> None:
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the client was first

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection, len(self._connections))))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._connections[number - 1] = connection
            with connection:
                while data := connection.recv(65536):
                    self.requests += data
                    self.together.wait()
                    connection.sendall(self.head + str(number).encode() + self.tail)
                    if self.after:
                        connection.sendall(self.after)
        except OSError:
            connection.close()


def connections_used(client: HttpClient, server: KeepAlive, requests: int = 2) -> list[bytes]:
    return [get(client, server.url).content for _ in range(requests)]


def wait_until_something_comes(client: HttpClient) -> None:
    """On a connection that is kept, if one is; also its end."""
    transport: Any = client._transport
    streams = [connection._connection._network_stream for connection in transport._pool.connections]
    wires = [stream.get_extra_info("socket") for stream in streams]
    assert not wires or select.select(wires, [], [], 5)[0]


def test_a_connection_is_used_again(client: HttpClient) -> None:
    with KeepAlive() as server:
        assert connections_used(client, server) == [b"1", b"1"]


def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    client = HttpClient()
    with KeepAlive() as server:
        assert connections_used(client, server) == [b"1", b"1"]
        server.hang_up()
        wait_until_something_comes(client)
        assert connections_used(client, server) == [b"2", b"2"]
        client.close()


def test_a_connection_on_which_something_came_unasked_is_not_used_again() -> None:
    """It would be taken for the answer to the next request."""
    client = HttpClient()
    with KeepAlive() as server:
        assert connections_used(client, server) == [b"1", b"1"]
        server._connections[0].sendall(OK + b"Content-Length: 1\r\n\r\n?")
        wait_until_something_comes(client)
        assert connections_used(client, server) == [b"2", b"2"]
        client.close()


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        (OK + b"Connection: Close\r\nContent-Length: 1\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", b""),
    ],
    ids=["close", "1.0"],
)
def test_a_connection_that_is_over_with_its_answer_is_not_used_again(
    client: HttpClient, head: bytes, tail: bytes
) -> None:
    with KeepAlive() as server:
        server.head, server.tail = head, tail
        assert connections_used(client, server) == [b"1", b"2"]


ANOTHER = OK + b"Content-Length: 1\r\n\r\n?"


@pytest.mark.parametrize(
    "more", [ANOTHER, OK, b"H", b"\r\n", ANOTHER * 9], ids=["answer", "head", "byte", "line", "many"]
)
@pytest.mark.parametrize(
    ("head", "tail"),
    [(b"Content-Length: 1\r\n\r\n", b""), (b"Transfer-Encoding: chunked\r\n\r\n1\r\n", b"\r\n0\r\n\r\n")],
    ids=["length", "chunked"],
)
def test_what_comes_with_an_answer_reaches_no_other_request(
    client: HttpClient, head: bytes, tail: bytes, more: bytes
) -> None:
    """httpcore keeps it with the connection."""
    with KeepAlive() as server:
        server.head, server.tail = OK + head, tail + more
        assert connections_used(client, server, 3) == [b"1", b"2", b"3"]


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("records", [1, 2], ids=["in-one-record", "in-a-record-of-its-own"])
def test_over_tls_what_comes_with_an_answer_reaches_no_other_request(
    authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, records: int
) -> None:
    monkeypatch.setattr(http, "_tls", lambda _roots: ssl.create_default_context(cafile=authority[0]))
    client = HttpClient()
    with KeepAlive(authority[1]) as server:
        server.url = f"https://host.test:{server.port}/"
        server.head = OK + b"Content-Length: 1\r\n\r\n"
        server.tail, server.after = (ANOTHER, b"") if records == 1 else (b"", ANOTHER)
        first = get(client, server.url).content
        if records == 2:
            wait_until_something_comes(client)
        assert [first, *connections_used(client, server, 1)] == [b"1", b"2"]
        client.close()


def test_a_connection_that_has_been_idle_for_five_seconds_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("httpcore._sync.http11.time.monotonic", clock)
    client = HttpClient()
    with KeepAlive() as server:
        assert connections_used(client, server, 1) == [b"1"]
        clock.advance(4.9)
        assert connections_used(client, server, 1) == [b"1"]
        clock.advance(5.1)
        assert connections_used(client, server, 1) == [b"2"]
        client.close()


def test_a_connection_is_for_one_thread_at_a_time(client: HttpClient) -> None:
    with KeepAlive() as server:
        server.together = threading.Barrier(4, timeout=5)
        used: list[bytes] = []
        threads = [threading.Thread(target=lambda: used.extend(connections_used(client, server))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(used) == [number for number in (b"1", b"2", b"3", b"4") for _ in range(2)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """The certificate of an authority, and a server that has one of it for host.test."""
    return certified(tmp_path_factory.mktemp("tls"))


def certified(folder: Path, *, alternative_names: bool = True) -> tuple[Path, ssl.SSLContext]:
    made = certificates.make(("host.test",), alternative_names=alternative_names)
    (folder / "authority.pem").write_bytes(made.authority)
    (folder / "server.pem").write_bytes(made.server)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    return folder / "authority.pem", server


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name leads to this machine."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *args, **named: resolve("127.0.0.1", *args, **named))


@pytest.mark.usefixtures("loopback")
def test_over_tls_a_host_has_to_be_who_it_says(
    authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, tls = authority
    monkeypatch.setattr(http, "_tls", lambda _roots: ssl.create_default_context(cafile=certificate))
    client = HttpClient()
    with KeepAlive(tls) as server:
        assert [get(client, f"https://host.test:{server.port}/").content for _ in range(2)] == [b"1", b"1"]
        with failing("ConnectError"):
            get(client, f"https://other.test:{server.port}/")
        client.close()


@pytest.mark.usefixtures("loopback")
def test_over_tls_a_host_has_to_be_vouched_for(client: HttpClient, authority: tuple[Path, ssl.SSLContext]) -> None:
    with KeepAlive(authority[1]) as server, failing("ConnectError"):
        get(client, f"https://host.test:{server.port}/")


def over_httpcore(url: str) -> bytes:
    client = HttpClient()
    try:
        return get(client, url).content
    finally:
        client.close()


def over_botocore(url: str) -> bytes:
    client = _BotocoreHttp(certifi.where())
    try:
        return client.attempt(AWSRequest("GET", url).prepare(), Deadline(5)).content
    finally:
        client._http.close()


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("send", [over_httpcore, over_botocore])
def test_over_tls_a_common_name_is_no_name_of_a_host(
    send: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(http, "_tls", http._tls.__wrapped__)
    for alternative_names in (True, False):
        certificate, tls = certified(tmp_path, alternative_names=alternative_names)
        monkeypatch.setattr(certifi, "where", lambda found=certificate: str(found))
        with KeepAlive(tls) as server:
            url = f"https://host.test:{server.port}/"
            if alternative_names:
                assert send(url) == b"1"
            else:
                with pytest.raises(TransportError, match=r"ConnectError|SSLError"):
                    send(url)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a-secret", "http://a-secret@127.0.0.1/", "a-secret", "http:///a"])
def test_what_is_not_a_url_is_not_gone_to_and_not_repeated(client: HttpClient, url: str) -> None:
    assert not_sent(client, Request("POST", url)) == ("LocalProtocolError", None, None)


@pytest.mark.parametrize("breaking", ["\r\nX-More: 1", "\n", "\r", "\0"], ids=repr)
def test_nothing_can_add_a_line_to_a_request(client: HttpClient, breaking: str) -> None:
    with KeepAlive() as server:
        for url in (server.url + "a-secret" + breaking, server.url + "a-secret HTTP/1.1" + breaking):
            with pytest.raises(httpx.InvalidURL) as caught:
                Request("POST", url)
            assert "a-secret" not in str(caught.value)
        for headers in ({"Authorization": "a-secret" + breaking}, {"a-secret" + breaking: "x"}):
            request = Request("POST", server.url, headers=headers)
            assert not_sent(client, request) == ("LocalProtocolError", None, None)

        assert server.requests == b""


@pytest.mark.parametrize("odd", ["\u00fc", "\u2028", " "], ids=repr)
def test_a_url_is_sent_as_ascii_without_spaces(client: HttpClient, odd: str) -> None:
    with Server(sends(OK + b"Content-Length: 0\r\n\r\n")) as server:
        get(client, server.url + odd)

    assert server.request.startswith(f"GET /{quote(odd)} HTTP/1.1\r\n".encode())


def not_sent(client: HttpClient, request: Request) -> tuple[str, object, object]:
    """What the failure says, and what it remembers."""
    with pytest.raises(TransportError) as caught:
        client.send(request, deadline=Deadline(5), max_bytes=0)
    return str(caught.value), caught.value.__cause__, caught.value.__context__
