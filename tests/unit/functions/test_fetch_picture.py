"""The fetch_picture function, composed as it is deployed."""

import base64
import hashlib
import io
import socket
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from aws_lambda_powertools import Metrics
from moto import mock_aws
from PIL import Image

from tests.fakes import moto_aws
from tests.fakes.functions import Context, load_function
from whop_chat.pictures.download import MAX_BYTES
from whop_chat.settings import SettingsError

SUB, OTHER = "0a1b2c3d-4e5f-6789-abcd-ef0123456789", "99999999-4e5f-6789-abcd-ef0123456789"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("AWS_REGION", moto_aws.REGION)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "fetch_picture")
    with mock_aws():
        yield monkeypatch
    Metrics().clear_metrics()


@pytest.fixture
def objects(environment: pytest.MonkeyPatch) -> ModuleType:
    moto_aws.client("s3").create_bucket(
        Bucket="pictures", CreateBucketConfiguration={"LocationConstraint": moto_aws.REGION}
    )
    environment.setenv("AVATAR_SOURCE", "s3://pictures/avatars/{sub}")
    return load_function("fetch_picture")


@pytest.fixture
def web(environment: pytest.MonkeyPatch) -> ModuleType:
    environment.setenv("AVATAR_SOURCE", "picture")
    return load_function("fetch_picture")


def put(key: str, content: bytes) -> None:
    moto_aws.client("s3").put_object(Bucket="pictures", Key=key, Body=content)


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 20), (255, 0, 0)).save(file, "JPEG")
    return file.getvalue()


def fetched(function: ModuleType, url: str) -> Any:
    return function.handler({"url": url}, Context())


def test_an_object_becomes_a_png_with_its_digest(objects: ModuleType) -> None:
    put(f"avatars/{SUB}", jpeg())
    answer = fetched(objects, f"s3://pictures/avatars/{SUB}")
    png = base64.b64decode(answer["png"])

    assert Image.open(io.BytesIO(png), formats=["PNG"]).size == (40, 20)
    assert answer["sha256"] == hashlib.sha256(png).hexdigest()
    assert fetched(objects, f"s3://pictures/avatars/{SUB}") == answer


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"<svg/>", "not_a_picture"), (b"", "not_a_picture"), (bytes(MAX_BYTES + 1), "too_large"), (None, "no_picture")],
    ids=["svg", "empty", "large", "missing"],
)
def test_an_object_that_is_no_picture_is_a_reason(objects: ModuleType, content: bytes | None, reason: str) -> None:
    if content is not None:
        put(f"avatars/{SUB}", content)

    assert fetched(objects, f"s3://pictures/avatars/{SUB}") == {"reason": reason}


@pytest.mark.parametrize(
    "url",
    [
        f"s3://pictures/private/{SUB}",
        f"s3://other/avatars/{SUB}",
        f"https://pictures.example/{SUB}",
        f"s3://pictures/avatar/{SUB}",
        "file:///etc/passwd",
        "",
    ],
)
def test_no_object_outside_of_the_prefix_is_read(objects: ModuleType, url: str) -> None:
    put(f"private/{SUB}", jpeg())

    assert fetched(objects, url) == {"reason": "url_refused"}


@pytest.mark.parametrize(
    "url",
    [
        f"s3://pictures/avatars/{OTHER}",
        "http://pictures.example/a.png",
        "https://169.254.169.254/latest/meta-data/",
        "https://user:password@pictures.example/a.png",
        "https://pictures.example:8443/a.png",
        "file:///var/task/app.py",
        "https://",
    ],
)
def test_no_other_address_than_a_public_one_is_asked(web: ModuleType, url: str) -> None:
    assert fetched(web, url) == {"reason": "url_refused"}


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1"])
def test_a_name_of_this_machine_or_its_network_is_not_connected_to(
    web: ModuleType, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    assert fetched(web, "https://pictures.example/a.png") == {"reason": "address_not_public"}


def test_no_line_of_the_log_has_the_address(web: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    fetched(web, "https://user@pictures.example/ada@example.test.png")

    assert "pictures.example" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("source", ["off", "", "https://pictures.example/{sub}"])
def test_it_does_not_start_without_a_source(environment: pytest.MonkeyPatch, source: str) -> None:
    environment.setenv("AVATAR_SOURCE", source)
    with pytest.raises(SettingsError, match="AVATAR_SOURCE"):
        load_function("fetch_picture")
