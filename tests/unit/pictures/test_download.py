"""What a URL of a stranger leads to. Every answer comes from this machine."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpcore
import httpx
import pytest

from bench import certificates
from whop_chat.pictures.download import MAX_BYTES, MAX_REDIRECTS, download
from whop_chat.pictures.errors import PictureRefused
from whop_chat.pictures.public_address import PublicAddresses
from whop_chat.runtime import http
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient

PICTURE = b"a picture"
METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"

REFUSED_URLS = {
    "plain HTTP": "http://pictures.example/a.png",
    "file": "file:///proc/self/environ",
    "data": "data:image/png;base64,AAAA",
    "ftp": "ftp://pictures.example/a.png",
    "no scheme": "//pictures.example/a.png",
    "no URL": "a.png",
    "empty": "",
    "odd port": "https://pictures.example:8443/a.png",
    "port of HTTP": "https://pictures.example:80/a.png",
    "port zero": "https://pictures.example:0/a.png",
    "a user": "https://user@pictures.example/a.png",
    "credentials": "https://user:password@pictures.example/a.png",
    "a host as the user": "https://pictures.example@169.254.169.254/",
    "an address": "https://93.184.215.14/a.png",
    "an address as one number": "https://1572394766/a.png",
    "an address in hexadecimal": "https://0x5db8d70e/a.png",
    "an address in octal": "https://0135.0270.0327.016/a.png",
    "a short address": "https://127.1/a.png",
    "an address in wide digits": "https://１２７.0.0.1/a.png",
    "an address with other dots": "https://127。0。0。1/a.png",
    "an address and a dot": "https://127.0.0.1./a.png",
    "a name that ends in a number": "https://pictures.0x7f/a.png",
    "an IPv6 address": "https://[::1]/a.png",
    "a mapped address": "https://[::ffff:169.254.169.254]/a.png",
    "an address with a zone": "https://[fe80::1%25eth0]/a.png",
    "this machine": "https://localhost/a.png",
    "a name of one label": "https://intranet/a.png",
    "an encoded host": "https://%31%32%37.0.0.1/a.png",
    "a back slash": "https://pictures.example\\@169.254.169.254/a.png",
    "a line break": "https://pictures.example/a.png\r\nHost: other.example",
    "a null": "https://pictures.example/\x00",
    "too long": f"https://pictures.example/{'a' * 2048}",
}


def fetch(answer: Callable[[httpx.Request], httpx.Response], url: str = "https://pictures.example/a.png") -> bytes:
    return download(HttpClient(httpx.MockTransport(answer)), url, Deadline(5.0))


def refusal(answer: Callable[[httpx.Request], httpx.Response], url: str = "https://pictures.example/a.png") -> str:
    with pytest.raises(PictureRefused) as refused:
        fetch(answer, url)
    return refused.value.reason


def never(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.url} was asked")


@pytest.mark.parametrize("url", REFUSED_URLS.values(), ids=REFUSED_URLS)
def test_a_url_is_refused_before_anything_is_sent(url: str) -> None:
    assert refusal(never, url) == "url_refused"


@pytest.mark.parametrize("url", REFUSED_URLS.values(), ids=REFUSED_URLS)
def test_a_redirect_is_checked_like_the_first_url(url: str) -> None:
    """Some of them are relative to the first URL, and stay at its host. None leads anywhere else."""
    asked: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"Location": url.encode("ascii", "ignore").decode().split("\r")[0]})

    with pytest.raises(PictureRefused):
        fetch(redirect)
    assert set(asked) == {"pictures.example"}


@pytest.mark.parametrize(
    "url",
    [
        "https://pictures.example/a.png",
        "https://pictures.example:443/a.png?size=2#top",
        "https://PICTURES.Example/a.png",
        "https://bücher.example/a.png",
        "https://my_bucket.s3.example/a%20b.png",
        "https://a-1.b--2.co/",
    ],
)
def test_an_ordinary_url_is_fetched(url: str) -> None:
    assert fetch(lambda _: httpx.Response(200, content=PICTURE), url) == PICTURE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_also_relative_ones(status: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/end":
            return httpx.Response(200, content=PICTURE)
        return httpx.Response(status, headers={"Location": "/end"})

    assert fetch(answer) == PICTURE


def test_three_redirects_are_enough() -> None:
    asked: list[str] = []

    def for_ever(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(302, headers={"Location": f"/{len(asked)}"})

    assert refusal(for_ever) == "too_many_redirects"
    assert len(asked) == 1 + MAX_REDIRECTS


def test_a_redirect_to_the_metadata_of_the_machine_is_not_followed() -> None:
    assert refusal(lambda _: httpx.Response(302, headers={"Location": METADATA})) == "url_refused"


@pytest.mark.parametrize("status", [204, 206, 304, 401, 404, 429])
def test_any_other_status_is_no_picture(status: int) -> None:
    assert refusal(lambda _: httpx.Response(status, content=PICTURE)) == "http_status"


def test_a_failure_of_the_server_is_told_apart() -> None:
    assert refusal(lambda _: httpx.Response(503, content=PICTURE)) == "server_error"


def test_a_redirect_to_nowhere_is_no_picture() -> None:
    assert refusal(lambda _: httpx.Response(302)) == "http_status"


def test_no_more_bytes_are_read_than_allowed() -> None:
    assert len(fetch(lambda _: httpx.Response(200, content=bytes(MAX_BYTES)))) == MAX_BYTES
    assert refusal(lambda _: httpx.Response(200, content=bytes(MAX_BYTES + 1))) == "too_large"


def test_nothing_of_us_or_of_another_answer_is_sent() -> None:
    headers: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        headers.append(request.headers)
        return httpx.Response(302, headers={"Location": "https://other.example/", "Set-Cookie": "a=b"})

    refusal(answer)

    assert {name for each in headers for name in each} == {"host", "accept", "accept-encoding", "user-agent"}


def test_without_time_nothing_is_asked() -> None:
    with pytest.raises(PictureRefused, match="unreachable"):
        download(HttpClient(httpx.MockTransport(never)), "https://pictures.example/", Deadline(0.0))


# -- with sockets and TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    folder = tmp_path_factory.mktemp("tls")
    made = certificates.make(("pictures.example",))
    (folder / "authority.pem").write_bytes(made.authority)
    (folder / "server.pem").write_bytes(made.server)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    return folder / "authority.pem", server


type Serve = Callable[..., HttpClient]


@pytest.fixture
def serve(authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """``serve(*parts, then_silent=False) -> client``, whose every connection leads to one that sends these parts."""
    monkeypatch.setattr(http, "_tls", lambda _roots: ssl.create_default_context(cafile=authority[0]))
    listener = socket.create_server(("127.0.0.1", 0))
    port, over, threads = listener.getsockname()[1], threading.Event(), []

    def start(*parts: bytes, resolves_to: str = "93.184.215.14", then_silent: bool = False) -> HttpClient:
        def answer() -> None:
            connection, _ = listener.accept()
            try:
                with authority[1].wrap_socket(connection, server_side=True) as stream:
                    stream.recv(65536)
                    for part in parts:
                        stream.sendall(part)
                    if then_silent:
                        over.wait(30)
            except OSError:
                connection.close()

        threads.append(threading.Thread(target=answer, daemon=True))
        threads[-1].start()

        def connect(_address: str, _port: int, seconds: float) -> httpcore.NetworkStream:
            return httpcore.SyncBackend().connect_tcp("127.0.0.1", port, seconds)

        return HttpClient(connect=PublicAddresses(lambda *_: [resolves_to], connect).connect)

    yield start
    over.set()
    listener.close()


HEAD = b"HTTP/1.1 200 OK\r\n"


def over_tls(client: HttpClient, url: str = "https://pictures.example/a.png", seconds: float = 5.0) -> bytes:
    try:
        return download(client, url, Deadline(seconds))
    finally:
        client.close()


def test_the_certificate_is_that_of_the_name_and_not_of_the_address(serve: Serve) -> None:
    assert over_tls(serve(HEAD + b"Content-Length: 9\r\n\r\n" + PICTURE)) == PICTURE


def test_the_certificate_of_another_name_is_refused(serve: Serve) -> None:
    with pytest.raises(PictureRefused, match="unreachable"):
        over_tls(serve(HEAD + b"Content-Length: 9\r\n\r\n" + PICTURE), "https://other.example/")


def test_a_name_of_a_private_address_is_refused_through_the_whole_client(serve: Serve) -> None:
    with pytest.raises(PictureRefused, match="address_not_public"):
        over_tls(serve(resolves_to="169.254.169.254"))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((HEAD + b"Content-Length: 20\r\n\r\n" + PICTURE,), "unreachable"),
        ((HEAD + b"Content-Length: 9999999999\r\n\r\n", *[bytes(1024 * 1024)] * 6), "too_large"),
        ((HEAD + b"\r\n", *[bytes(1024 * 1024)] * 6), "too_large"),
        ((HEAD + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n" + PICTURE,), "unreachable"),
        ((b"\x16\x03\x01",), "unreachable"),
        ((b"",), "unreachable"),
    ],
    ids=["too short", "more than it may", "endless", "packed", "no HTTP", "nothing"],
)
def test_a_broken_answer_is_no_picture(serve: Serve, parts: tuple[bytes, ...], reason: str) -> None:
    with pytest.raises(PictureRefused, match=reason):
        over_tls(serve(*parts))


@pytest.mark.parametrize("begun", [b"", HEAD, HEAD + b"Content-Length: 9\r\n\r\na pictur"], ids=str)
def test_a_server_that_falls_silent_is_left_at_the_deadline(serve: Serve, begun: bytes) -> None:
    with pytest.raises(PictureRefused, match="unreachable"):
        over_tls(serve(begun, then_silent=True), seconds=0.3)
