"""/files: created, uploaded, processed, and then a picture."""

import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from local.whop_simulator import Request, Response, Simulator
from tests.tools.simulator.api import COMPANY, Api

CONTENT = b"\x89PNG\r\n\x1a\n and so on"
PNG = {"content-type": "image/png"}


def created(whop: Api, **body: object) -> Any:
    answer = whop.call("POST", "/files", {"filename": "a.png", "visibility": "public"} | body)
    assert answer.status == 201
    return answer.json()


def put(simulator: Simulator, file: Any, content: bytes = CONTENT, headers: dict[str, str] | None = None) -> Response:
    sent = PNG if headers is None else headers
    url = urlsplit(file["upload_url"])
    request = Request("PUT", url.path, tuple(parse_qsl(url.query)), tuple(sent.items()), content)
    return simulator.handle(request)


def status(whop: Api, file: Any) -> object:
    return whop.call("GET", f"/files/{file['id']}").json()["upload_status"]


def show(whop: Api, user: str, file: Any) -> Response:
    return whop.call("PATCH", f"/users/{user}?account_id={COMPANY}", {"profile_picture": {"id": file["id"]}})


@pytest.fixture
def user(whop: Api) -> str:
    return whop.enrol("jane@people.test")


def test_a_new_file_says_where_to_upload_it_and_with_which_headers(whop: Api) -> None:
    file = created(whop)

    assert (file["object"], file["upload_status"], file["visibility"]) == ("file", "pending", "public")
    assert file["upload_headers"] == {"Content-Type": "image/png"}
    assert (file["size"], file["url"]) == (None, None)
    assert created(whop, visibility=None)["visibility"] == "private"


def test_a_file_needs_a_name(whop: Api) -> None:
    assert whop.call("POST", "/files", {"visibility": "public"}).status == 400
    assert whop.call("POST", "/files", {"filename": "a.png", "visibility": "friends"}).status == 400


def test_a_file_is_processed_and_then_ready(whop: Api, simulator: Simulator) -> None:
    file = created(whop)
    assert status(whop, file) == "pending"
    assert put(simulator, file).status == 200

    assert [status(whop, file), status(whop, file)] == ["processing", "ready"]
    found: Any = simulator.dump()["files"]
    assert (found[0]["sha256"], found[0]["size"]) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    assert "signature" not in found[0]


@pytest.mark.parametrize(
    ("reading", "seen"),
    [
        ("at_once", ["ready", "ready"]),
        ("after_a_minute", ["processing", "processing", "ready"]),
        ("failed", ["failed", "failed"]),
    ],
)
def test_the_processing_is_an_open_question(whop: Api, simulator: Simulator, reading: str, seen: list[str]) -> None:
    simulator.change_readings({"file_processing": reading})
    file = created(whop)
    put(simulator, file)
    first = [status(whop, file), status(whop, file)]
    simulator.advance(60)

    assert [*first, status(whop, file)][: len(seen)] == seen


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "image/gif"}, {**PNG, "authorization": "Bearer somebody"}],
    ids=["none", "another type", "with a key"],
)
def test_storage_takes_the_headers_that_it_named_and_no_api_key(
    whop: Api, simulator: Simulator, headers: dict[str, str]
) -> None:
    file = created(whop)

    assert put(simulator, file, headers=headers).status in (401, 403)
    assert status(whop, file) == "pending"


def test_storage_does_not_take_the_api_key_itself(whop: Api, simulator: Simulator) -> None:
    headers = {**PNG, "authorization": f"Bearer {whop.secret}"}

    assert put(simulator, created(whop), headers=headers).status == 403


def test_an_address_to_upload_to_is_valid_for_an_hour_and_for_its_file(whop: Api, simulator: Simulator) -> None:
    late, other = created(whop), created(whop)
    other["upload_url"] = other["upload_url"].replace(other["id"], late["id"])
    assert put(simulator, other).status == 403
    simulator.advance(3600)
    assert put(simulator, late).status == 403


def test_only_the_key_that_created_a_file_reads_it_and_shows_it(whop: Api, simulator: Simulator, user: str) -> None:
    file = created(whop)
    put(simulator, file)
    simulator.add_key("another", company_id=COMPANY)
    other = Api(simulator, "another")

    assert other.call("GET", f"/files/{file['id']}").status == 404
    assert show(other, user, file).status == 404


def test_a_picture_is_a_file_that_is_ready(whop: Api, simulator: Simulator, user: str) -> None:
    file = created(whop)
    assert show(whop, user, file).status == 400
    put(simulator, file)
    assert show(whop, user, file).status == 400
    simulator.change_readings({"file_attached_before_ready": True})
    answer: Any = show(whop, user, file)

    assert answer.status == 200
    assert answer.json()["profile_picture"]["url"].endswith(f"/{file['id']}")


def test_old_versions_have_another_shape(whop: Api, simulator: Simulator) -> None:
    before = {"api-version-date": "2026-08-21"}
    file: Any = whop.call("POST", "/files", {"filename": "a.png"}, before).json()
    put(simulator, file)
    read: Any = whop.call("GET", f"/files/{file['id']}", headers=before).json()

    assert "object" not in file
    assert read["size"] == str(len(CONTENT))


def test_uploads_do_not_count_for_the_rate_limit(whop: Api, simulator: Simulator) -> None:
    put(simulator, created(whop))

    assert "files.upload" not in simulator.counts()
    assert simulator.counts()["files.create"].calls == 1
    assert [call.operation for call in simulator.calls()] == ["files.create", "files.upload"]
