"""What is made of the answers of the function that reads files of strangers."""

import base64
import json
from typing import Any

import httpx
import pytest

from tests.fakes.moto_aws import aws_over
from whop_chat.avatars.fetcher import MAX_PNG_BYTES, PictureFetcher
from whop_chat.pictures.errors import PictureRefused
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded

PNG = b"\x89PNG\r\n\x1a\n a face"
ADDRESS = "https://pictures.example/ada.jpg?of=\u00e9"


class Function:
    """Answers as Lambda does, to what it keeps."""

    def __init__(self, payload: object, *, status: int = 200, failed: bool = False) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = httpx.Response(
            status,
            content=payload if isinstance(payload, bytes) else json.dumps(payload),
            headers={"X-Amz-Function-Error": "Unhandled"} if failed else {},
        )

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer

    def fetch(self) -> bytes:
        with_keys: Any = aws_over(httpx.MockTransport(self))
        return PictureFetcher(with_keys, "fetch-picture").fetch(ADDRESS, deadline=Deadline(5))


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-a-test")


def answer(png: bytes = PNG) -> dict[str, str]:
    return {"png": base64.b64encode(png).decode(), "sha256": "not looked at"}


def test_a_picture_arrives_from_the_function_that_was_asked_for_its_address() -> None:
    function = Function(answer())

    assert function.fetch() == PNG
    (request,) = function.requests
    assert request.url.path == "/2015-03-31/functions/fetch-picture/invocations"
    assert json.loads(request.content) == {"url": ADDRESS}


def test_a_reason_is_told() -> None:
    with pytest.raises(PictureRefused, match="address_not_public"):
        Function({"reason": "address_not_public"}).fetch()


@pytest.mark.parametrize(
    "payload",
    [
        {},
        [],
        "text",
        7,
        {"png": None},
        {"png": "%%%"},
        {"png": "", "sha256": ""},
        {"reason": "<script>"},
        {"reason": ["url_refused"]},
        answer(b"GIF89a"),
        answer(b"<svg/>"),
        answer(PNG + bytes(MAX_PNG_BYTES)),
    ],
    ids=str,
)
def test_an_answer_that_is_no_picture_and_no_reason_is_none(payload: object) -> None:
    """It says nothing about the picture: the function is of another version, or somebody else speaks for it."""
    with pytest.raises(AwsError, match="InvalidResponse"):
        Function(payload).fetch()


def test_the_largest_picture_arrives() -> None:
    png = PNG.ljust(MAX_PNG_BYTES, b"x")

    assert Function(answer(png)).fetch() == png


@pytest.mark.parametrize(
    "payload",
    [
        {"errorType": "Runtime.OutOfMemory", "errorMessage": "killed"},
        {"errorType": "Runtime.ExitError", "errorMessage": "signal: segmentation fault"},
        {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 20.00 seconds"},
        {"errorMessage": "2026-11-29T00:00:00Z Task timed out after 20.00 seconds"},
    ],
)
def test_a_function_that_did_not_survive_a_picture_is_a_failure_of_the_fetch(payload: object) -> None:
    with pytest.raises(PictureRefused, match="fetch_failed"):
        Function(payload, failed=True).fetch()


@pytest.mark.parametrize(
    "payload",
    [
        {"errorType": "SettingsError", "errorMessage": "AVATAR_SOURCE is missing"},
        {"errorType": "Runtime.ImportModuleError", "errorMessage": "No module named 'PIL'"},
        {"reason": "not_a_picture"},
        {},
        [],
    ],
    ids=str,
)
def test_a_function_with_a_mistake_of_ours_says_nothing_about_the_picture(payload: object) -> None:
    with pytest.raises(AwsError):
        Function(payload, failed=True).fetch()


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500])
def test_a_call_that_lambda_refuses_says_nothing_about_the_picture(status: int) -> None:
    with pytest.raises(AwsError):
        Function({"Message": "no"}, status=status).fetch()


def test_without_time_nothing_is_called() -> None:
    function = Function(answer())
    with pytest.raises(DeadlineExceeded):
        PictureFetcher(aws_over(httpx.MockTransport(function)), "f").fetch(ADDRESS, deadline=Deadline(0))

    assert function.requests == []
