"""The Whop client: what it sends, what it makes of each answer, and when it does not call at all."""

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import httpx
import pytest

from tests.fakes.clock import Clock
from tests.fakes.http_server import Server
from tests.fakes.memory_circuit_state import MemoryCircuitStore
from tests.fakes.settings import API_KEY, API_VERSION, COMPANY_ID
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.whop import Keys, whop_over
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.metrics import KEY_REFUSED, WHOP_LATENCY
from whop_chat.runtime.version import VERSION
from whop_chat.whop.client import Account, NewFile, UserToken, Whop
from whop_chat.whop.errors import (
    CircuitOpen,
    OutOfPermits,
    WhopConflict,
    WhopError,
    WhopForbidden,
    WhopInvalidResponse,
    WhopNotFound,
    WhopRateLimited,
    WhopRefused,
    WhopUnauthorized,
    WhopUnavailable,
)

EXPIRY = datetime(2027, 1, 15, 9, tzinfo=UTC)
EXTERNAL_ID = "cognito:eu-west-1_Ab3dEf6Gh:sub-1:1"
TOKEN = {"token": "opaque-token", "expires_at": "2027-01-15T09:00:00.000Z"}
ACCOUNT = {
    "id": "biz_Child",
    "email": "ada@example.test",
    "external_id": EXTERNAL_ID,
    "owner": {"id": "user_Ada"},
    "parent_account": {"id": COMPANY_ID},
    "metadata": {"external_id": EXTERNAL_ID},
}
USER = {"id": "user_Ada", "name": "Ada"}
UPLOAD_URL = "https://storage.example/file_1?signature=of-a-test"
NEW_FILE = {"id": "file_1", "upload_url": UPLOAD_URL, "upload_headers": {"Content-Type": "image/png", "x-acl": "a"}}
Call = Callable[[Whop], Any]


def mint(whop: Whop, deadline: Deadline | None = None) -> UserToken:
    return whop.mint_token("user_Ada", ["chat:read"], EXPIRY, deadline=deadline or Deadline(5))


def create(whop: Whop, deadline: Deadline | None = None) -> Account:
    return whop.create_account(
        email="ada@example.test",
        title="title",
        external_id=EXTERNAL_ID,
        idempotency_key="key-1",
        deadline=deadline or Deadline(5),
    )


def find(whop: Whop) -> list[Account]:
    return whop.find_accounts(EXTERNAL_ID, deadline=Deadline(5))


def delete(whop: Whop) -> None:
    whop.delete_account("biz_Child", deadline=Deadline(5))


def rename(whop: Whop) -> None:
    whop.set_profile("user_Ada", name="Ada", deadline=Deadline(5))


def show(whop: Whop) -> None:
    whop.set_picture("user_Ada", file_id="file_1", deadline=Deadline(5))


def new_file(whop: Whop) -> NewFile:
    return whop.create_file("avatar.png", idempotency_key="key-1", deadline=Deadline(5))


def look(whop: Whop) -> str:
    return whop.upload_status("file_1", deadline=Deadline(5))


CALLS: list[tuple[Call, Any]] = [
    (show, USER),
    (new_file, NEW_FILE),
    (look, {"id": "file_1", "upload_status": "ready"}),
    (mint, TOKEN),
    (create, ACCOUNT),
    (find, {"data": []}),
    (delete, {"id": "biz_Child", "deleted": True}),
    (rename, USER),
]
every_call = pytest.mark.parametrize(("call", "good"), CALLS, ids=[call.__name__ for call, _ in CALLS])


def ok(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def error(status: int, message: str = "", headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": message, **members}}, headers=headers)


@contextmanager
def refused(kind: type[WhopError]) -> Iterator[pytest.ExceptionInfo[WhopError]]:
    """The block raises exactly ``kind``."""
    with pytest.raises(WhopError) as caught:
        yield caught
    assert type(caught.value) is kind


# What is sent


@pytest.mark.parametrize(
    ("call", "answer", "method", "target", "body"),
    [
        (
            mint,
            TOKEN,
            "POST",
            "/api/v1/access_tokens",
            {
                "account_id": COMPANY_ID,
                "user_id": "user_Ada",
                "scoped_actions": ["chat:read"],
                "expires_at": "2027-01-15T09:00:00Z",
            },
        ),
        (
            create,
            ACCOUNT,
            "POST",
            "/api/v1/accounts",
            {
                "email": "ada@example.test",
                "title": "title",
                "external_id": EXTERNAL_ID,
                "metadata": {"external_id": EXTERNAL_ID},
            },
        ),
        (
            find,
            {"data": []},
            "GET",
            "/api/v1/accounts?external_id=cognito%3Aeu-west-1_Ab3dEf6Gh%3Asub-1%3A1",
            None,
        ),
        (delete, {"id": "biz_Child", "deleted": True}, "DELETE", "/api/v1/accounts/biz_Child", None),
        (rename, USER, "PATCH", f"/api/v1/users/user_Ada?account_id={COMPANY_ID}", {"name": "Ada"}),
        (
            show,
            USER,
            "PATCH",
            f"/api/v1/users/user_Ada?account_id={COMPANY_ID}",
            {"profile_picture": {"id": "file_1"}},
        ),
        (new_file, NEW_FILE, "POST", "/api/v1/files", {"filename": "avatar.png", "visibility": "public"}),
        (look, {"upload_status": "ready"}, "GET", "/api/v1/files/file_1", None),
    ],
    ids=["mint", "create", "find", "delete", "rename", "show", "new_file", "look"],
)
def test_each_operation_is_one_request(call: Call, answer: Any, method: str, target: str, body: Any) -> None:
    server = Server(ok(answer))
    with whop_over(server) as whop:
        call(whop)

    (request,) = server.requests
    assert (request.method, str(request.url)) == (method, f"https://api.whop.com{target}")
    assert (json.loads(request.content) if request.content else None) == body
    assert request.headers["Authorization"] == f"Bearer {API_KEY}"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["Api-Version-Date"] == API_VERSION
    assert request.headers["User-Agent"] == f"whop-chat-auth/{VERSION}"
    assert request.headers.get("Idempotency-Key") == ("key-1" if call in (create, new_file) else None)


@pytest.mark.parametrize("field", ["account_id", "company_id"])
def test_the_company_of_a_token_has_the_configured_name(field: Literal["account_id", "company_id"]) -> None:
    server = Server(ok(TOKEN))
    with whop_over(server, company_field=field) as whop:
        mint(whop)

    body = json.loads(server.requests[0].content)
    assert {name: body[name] for name in body if name in ("account_id", "company_id")} == {field: COMPANY_ID}


def test_scopes_are_sent_in_order_and_an_expiry_in_utc() -> None:
    server = Server(ok(TOKEN))
    expires_at = datetime(2027, 1, 15, 11, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    with whop_over(server) as whop:
        whop.mint_token("user_Ada", {"dms:read", "chat:read"}, expires_at, deadline=Deadline(5))

    body = json.loads(server.requests[0].content)
    assert body["scoped_actions"] == ["chat:read", "dms:read"]
    assert body["expires_at"] == "2027-01-15T09:00:00Z"


def test_a_token_without_scopes_is_never_asked_for() -> None:
    server = Server()
    with whop_over(server) as whop, pytest.raises(ValueError, match="scopes"):
        whop.mint_token("user_Ada", [], EXPIRY, deadline=Deadline(5))

    assert server.requests == []


def test_an_id_is_one_segment_of_a_path() -> None:
    server = Server(ok(USER), ok({"id": "a/b#c", "deleted": True}))
    with whop_over(server) as whop:
        whop.set_profile("../accounts?x=/y", name="Ada", deadline=Deadline(5))
        whop.delete_account("a/b#c", deadline=Deadline(5))

    assert [request.url.raw_path.partition(b"?")[0] for request in server.requests] == [
        b"/api/v1/users/..%2Faccounts%3Fx%3D%2Fy",
        b"/api/v1/accounts/a%2Fb%23c",
    ]


FILE = NewFile("file_1", UPLOAD_URL, {"Content-Type": "image/png", "x-acl": "a"})


def test_a_file_is_uploaded_where_whop_says_with_its_headers_and_without_the_key() -> None:
    server = Server(ok(NEW_FILE), httpx.Response(200))
    with whop_over(server) as whop:
        file = new_file(whop)
        whop.upload(file, b"png", deadline=Deadline(5))

    assert file == FILE
    assert "signature" not in repr(file)
    _, upload = server.requests
    assert (upload.method, str(upload.url), upload.content) == ("PUT", UPLOAD_URL, b"png")
    assert {"content-type": "image/png", "x-acl": "a"}.items() <= dict(upload.headers).items()
    assert not {"authorization", "api-version-date", "idempotency-key", "cookie"} & upload.headers.keys()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(403, WhopRefused), (400, WhopRefused), (301, WhopRefused), (500, WhopUnavailable), (503, WhopUnavailable)],
)
def test_storage_that_does_not_take_a_file_is_told_apart_from_one_that_fails(
    answer: int, kind: type[WhopError]
) -> None:
    server = Server(httpx.Response(answer, headers={"Location": "https://elsewhere.example/"}))
    with whop_over(server) as whop, refused(kind) as caught:
        whop.upload(FILE, b"png", deadline=Deadline(5))

    assert (caught.value.operation, caught.value.status) == ("upload_file", answer)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "url", ["http://storage.example/file_1", "ftp://storage.example/file_1", "file:///etc/passwd", "//storage/x"]
)
def test_no_file_is_uploaded_over_another_protocol_than_whops(url: str) -> None:
    server = Server()
    with whop_over(server) as whop, refused(WhopInvalidResponse):
        whop.upload(NewFile("file_1", url, {}), b"png", deadline=Deadline(5))

    assert server.requests == []


@pytest.mark.parametrize(
    "changes",
    [{"id": ""}, {"upload_url": None}, {"upload_headers": {"Content-Type": 7}}, {"upload_headers": ["Content-Type"]}],
    ids=str,
)
def test_a_new_file_that_cannot_be_uploaded_is_no_answer(changes: dict[str, Any]) -> None:
    with whop_over(Server(ok({**NEW_FILE, **changes}, 201))) as whop, refused(WhopInvalidResponse):
        new_file(whop)


def test_a_cookie_of_one_answer_does_not_go_with_the_next_request() -> None:
    server = Server(httpx.Response(200, json=TOKEN, headers={"Set-Cookie": "session=of-ada; Path=/"}), ok(TOKEN))
    with whop_over(server) as whop:
        mint(whop)
        mint(whop)

    assert "Cookie" not in server.requests[1].headers


# What is made of an answer


def test_a_token_comes_with_its_expiry_in_utc() -> None:
    with whop_over(Server(ok({**TOKEN, "expires_at": "2027-01-15T10:00:00+01:00"}))) as whop:
        assert mint(whop) == UserToken(token="opaque-token", expires_at=EXPIRY)


def test_a_token_is_in_no_description_of_it() -> None:
    assert "opaque-token" not in repr(UserToken(token="opaque-token", expires_at=EXPIRY))


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"metadata": None}, {}),
        ({"external_id": None}, {}),
        ({"external_id": None, "metadata": None}, {"external_id": None}),
        ({"external_id": "another"}, {"external_id": "another"}),
        ({"email": None}, {"email": None}),
        ({"parent_account": None}, {"parent_id": None}),
        ({"owner": None, "owner_user": {"id": "user_Old"}}, {"user_id": "user_Old"}),
    ],
)
def test_an_account_is_read_in_every_documented_shape(
    changes: dict[str, Any], expected: dict[str, Any], status: int
) -> None:
    usual = {
        "id": "biz_Child",
        "user_id": "user_Ada",
        "email": "ada@example.test",
        "external_id": EXTERNAL_ID,
        "parent_id": COMPANY_ID,
    }
    with whop_over(Server(ok({**ACCOUNT, **changes}, status))) as whop:
        assert create(whop) == Account(**{**usual, **expected})


def test_only_accounts_that_bear_the_very_id_are_found() -> None:
    rows = [
        {**ACCOUNT, "id": "biz_Other", "external_id": EXTERNAL_ID + "0", "metadata": {}},
        {**ACCOUNT, "id": "biz_None", "external_id": None, "metadata": None},
        {**ACCOUNT, "id": "biz_Case", "external_id": EXTERNAL_ID.upper(), "metadata": None},
        ACCOUNT,
        {**ACCOUNT, "id": "biz_Metadata", "external_id": None},
    ]
    with whop_over(Server(ok({"data": rows}))) as whop:
        assert [account.id for account in find(whop)] == ["biz_Child", "biz_Metadata"]


@pytest.mark.parametrize(
    "foreign",
    [
        {"id": "biz_Foreign"},
        {"id": "biz_Foreign", "external_id": 7},
        {"id": "biz_Foreign", "metadata": {"external_id": 7}},
        {"id": "biz_Foreign", "metadata": {"external_id": ""}},
        {"id": "biz_Foreign", "metadata": "text"},
        "text",
    ],
    ids=str,
)
def test_an_odd_account_of_somebody_else_does_not_hide_ours(foreign: Any) -> None:
    with whop_over(Server(ok({"data": [foreign, ACCOUNT]}))) as whop:
        assert [account.id for account in find(whop)] == ["biz_Child"]


MALFORMED: list[tuple[Call, list[Any]]] = [
    (
        mint,
        [
            None,
            [],
            "token",
            {},
            {**TOKEN, "token": ""},
            {**TOKEN, "token": None},
            {**TOKEN, "token": ["opaque-token"]},
            {"token": "opaque-token"},
            {**TOKEN, "expires_at": None},
            {**TOKEN, "expires_at": 1_800_003_600},
            {**TOKEN, "expires_at": "soon"},
            {**TOKEN, "expires_at": "2027-01-15T09:00:00"},
            {**TOKEN, "expires_at": "0001-01-01T00:00:00+14:00"},
        ],
    ),
    (
        create,
        [
            None,
            [],
            {},
            {**ACCOUNT, "id": None},
            {**ACCOUNT, "owner": None},
            {**ACCOUNT, "owner": "user_Ada"},
            {**ACCOUNT, "owner": {}},
            {**ACCOUNT, "owner": {"id": 7}},
            {**ACCOUNT, "email": ["ada@example.test"]},
            {**ACCOUNT, "parent_account": COMPANY_ID},
            {**ACCOUNT, "external_id": None, "metadata": "text"},
        ],
    ),
    (find, [None, [], {}, {"data": None}, {"data": {}}, {"data": [{**ACCOUNT, "owner": None}]}]),
]


@pytest.mark.parametrize(
    ("call", "answer"),
    [(call, answer) for call, answers in MALFORMED for answer in answers],
    ids=[f"{call.__name__}-{number}" for call, answers in MALFORMED for number, _ in enumerate(answers)],
)
def test_a_success_that_lacks_what_matters_is_an_invalid_answer(call: Call, answer: Any) -> None:
    with whop_over(Server(ok(answer))) as whop, refused(WhopInvalidResponse):
        call(whop)


def test_half_a_surrogate_pair_is_an_invalid_answer() -> None:
    body = json.dumps({**TOKEN, "token": "half-\ud800"}).encode()
    with whop_over(Server(httpx.Response(200, content=body))) as whop, refused(WhopInvalidResponse):
        mint(whop)


@every_call
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"data": [', b"\xff\xfe", b"[" * 100_000, b"1" * 5000], ids=len)
def test_a_success_that_is_not_json_is_an_invalid_answer(call: Call, good: Any, body: bytes) -> None:
    with whop_over(Server(httpx.Response(200, content=body))) as whop, refused(WhopInvalidResponse):
        call(whop)


@pytest.mark.parametrize("call", [delete, rename])
def test_a_call_of_which_nothing_is_read_may_have_no_content(call: Call) -> None:
    with whop_over(Server(httpx.Response(204))) as whop:
        call(whop)


@pytest.mark.parametrize("call", [mint, create, find])
def test_no_content_is_an_invalid_answer_where_something_is_read(call: Call) -> None:
    with whop_over(Server(httpx.Response(204))) as whop, refused(WhopInvalidResponse):
        call(whop)


@pytest.mark.parametrize("unread", [{"email": ""}, {"title": 7}, {"metadata": []}, {"external_id": "", "extra": None}])
def test_an_account_is_not_refused_for_what_is_not_read_of_it(unread: dict[str, Any]) -> None:
    with whop_over(Server(ok({**ACCOUNT, **unread}))) as whop:
        assert create(whop).user_id == "user_Ada"


@every_call
@pytest.mark.parametrize("status", [202, 301, 307])
def test_another_success_or_a_redirect_is_an_invalid_answer(call: Call, good: Any, status: int) -> None:
    answer = httpx.Response(status, headers={"Location": "https://api.whop.com/elsewhere"})
    server = Server(answer)
    with whop_over(server) as whop, refused(WhopInvalidResponse):
        call(whop)

    assert len(server.requests) == 1


@every_call
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, WhopRefused),
        (403, WhopForbidden),
        (404, WhopNotFound),
        (409, WhopConflict),
        (410, WhopRefused),
        (422, WhopRefused),
    ],
)
def test_a_refusal_is_told_by_its_kind_at_once(call: Call, good: Any, status: int, kind: type[WhopError]) -> None:
    server = Server(error(status, "about ada@example.test", code="a_code", type="a_type"))
    with whop_over(server) as whop, refused(kind) as caught:
        call(whop)

    assert (caught.value.status, caught.value.code) == (status, "a_code")
    assert (caught.value.replayed, caught.value.repeated, len(server.requests)) == (False, False, 1)
    assert "example.test" not in str(caught.value)


@pytest.mark.parametrize("status", [408, 425])
def test_a_request_that_whop_did_not_get_to_is_no_refusal(status: int) -> None:
    # RFC 9110, section 15.5.9, and RFC 8470, section 5.2: the client may send the same request again.
    with whop_over(Server(error(status), error(status))) as whop, refused(WhopUnavailable):
        create(whop)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": "parameter_missing", "type": "invalid_request_error"}}, "parameter_missing"),
        ({"error": {"code": None, "type": "unauthorized"}}, "unauthorized"),
        ({"error": {"code": "ada@example.test"}}, None),
        ({"error": {"code": "x" * 65}}, None),
        ({"error": {"code": 7}}, None),
        ({"error": {"message": ["text"]}}, None),
        ({"error": "invalid_grant"}, None),
        ({"error": None}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_code_of_a_refusal_is_taken_if_it_looks_like_one(body: Any, code: str | None) -> None:
    with whop_over(Server(httpx.Response(422, json=body))) as whop, refused(WhopRefused) as caught:
        mint(whop)

    assert caught.value.code == code


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 100_000], ids=len)
def test_a_refusal_without_json_is_still_a_refusal(body: bytes) -> None:
    with whop_over(Server(httpx.Response(404, content=body))) as whop, refused(WhopNotFound):
        mint(whop)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(422, headers={"Idempotent-Replayed": "true"}), WhopRefused),
        (error(429, headers={"Idempotent-Replayed": "True"}), WhopRateLimited),
        (error(500, headers={"Idempotent-Replayed": "true"}), WhopUnavailable),
        (httpx.Response(201, json={}, headers={"Idempotent-Replayed": "true"}), WhopInvalidResponse),
    ],
    ids=["refused", "limited", "failed", "invalid"],
)
def test_an_old_answer_is_known_for_one_and_not_asked_for_again(answer: httpx.Response, kind: type[WhopError]) -> None:
    server = Server(answer)
    with whop_over(server) as whop, refused(kind) as caught:
        create(whop)

    assert caught.value.replayed
    assert len(server.requests) == 1


# Waiting


@pytest.mark.parametrize(
    ("header", "message", "wait"),
    [
        ("7", "", 7),
        ("7", "Try again in 12 seconds.", 7),
        (None, "Try again in 12 seconds.", 12),
        (None, "Too many requests. Please try again in 1 second.", 1),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Try again in 12 seconds.", 12),
        ("-5", "", 10),
        ("soon", "", 10),
        (None, "Try again within 12 seconds.", 10),
        (None, "", 10),
        ("0", "", 1),
        ("301", "", 300),
        (None, "Try again in 999999 seconds.", 300),
    ],
)
def test_the_wait_is_that_of_the_header_else_of_the_sentence_else_a_usual_one(
    header: str | None, message: str, wait: int
) -> None:
    answer = error(429, message, headers={"Retry-After": header} if header else None)
    server = Server(answer)
    with whop_over(server) as whop, refused(WhopRateLimited) as caught:
        mint(whop)

    assert isinstance(caught.value, WhopRateLimited)
    assert caught.value.retry_after == wait
    assert len(server.requests) == 1


@every_call
def test_an_operation_that_was_told_to_wait_is_not_called_before_that(call: Call, good: Any) -> None:
    clock = Clock()
    server = Server(error(429, headers={"Retry-After": "30"}), ok(good))
    with whop_over(server, clock=clock) as whop:
        with refused(WhopRateLimited):
            call(whop)
        clock.advance(29.2)
        with refused(WhopRateLimited) as caught:
            call(whop)
        assert len(server.requests) == 1
        clock.advance(0.8)
        call(whop)

    assert isinstance(caught.value, WhopRateLimited)
    assert caught.value.retry_after == 1


def test_other_operations_do_not_wait_with_it() -> None:
    server = Server(error(429, headers={"Retry-After": "30"}), *(ok(good) for call, good in CALLS if call is not mint))
    with whop_over(server) as whop:
        with refused(WhopRateLimited):
            mint(whop)
        for call, _ in CALLS:
            if call is not mint:
                call(whop)

    assert len(server.requests) == len(CALLS)


def test_an_old_answer_makes_nobody_wait() -> None:
    server = Server(error(429, headers={"Idempotent-Replayed": "true", "Retry-After": "30"}), ok(ACCOUNT))
    with whop_over(server) as whop:
        with refused(WhopRateLimited):
            create(whop)
        create(whop)

    assert len(server.requests) == 2


@every_call
def test_what_one_instance_was_told_stops_the_next(call: Call, good: Any) -> None:
    clock, store, server = Clock(), MemoryCircuitStore(), Server(error(429, headers={"Retry-After": "30"}), ok(good))
    with whop_over(server, clock=clock, store=store) as one, whop_over(server, clock=clock, store=store) as other:
        with refused(WhopRateLimited):
            call(one)
        with refused(WhopRateLimited) as caught:
            call(other)
        assert len(server.requests) == 1
        clock.advance(30)
        call(other)

    assert isinstance(caught.value, WhopRateLimited)
    assert caught.value.retry_after == 30


# The circuit


def silent(call: Call, whop: Whop) -> None:
    with refused(WhopUnavailable):
        call(whop)


@every_call
def test_after_three_silences_whop_is_left_alone_and_then_asked_by_one(call: Call, good: Any) -> None:
    clock, store, server = Clock(), MemoryCircuitStore(), Server(*[httpx.ReadTimeout("")] * 6, ok(good), ok(good))
    with whop_over(server, clock=clock, store=store) as one, whop_over(server, clock=clock, store=store) as other:
        for _ in range(3):
            silent(call, one)
        for whop in (one, other):
            with refused(CircuitOpen) as caught:
                call(whop)
            assert isinstance(caught.value, CircuitOpen)
            assert caught.value.retry_after == 5
        assert len(server.requests) == 6
        clock.advance(5.1)
        call(one)
        call(other)

    assert len(server.requests) == 8


@pytest.mark.parametrize(
    "answer",
    [
        error(400),
        error(403),
        error(404),
        error(409),
        error(408),
        httpx.Response(500, headers={"Idempotent-Replayed": "true"}),
        httpx.Response(200, content=b"<html>"),
    ],
    ids=["400", "403", "404", "409", "408", "old answer", "not JSON"],
)
def test_whoever_answers_is_not_dead(answer: httpx.Response) -> None:
    def always(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    with whop_over(always) as whop:
        for _ in range(5):
            with pytest.raises(WhopError) as caught:
                create(whop)
            assert not isinstance(caught.value, CircuitOpen)


def test_an_old_answer_does_not_say_that_whop_is_there() -> None:
    clock = Clock()
    old = httpx.Response(201, json=ACCOUNT, headers={"Idempotent-Replayed": "true"})
    server = Server(*[httpx.ReadTimeout("")] * 6, old)
    with whop_over(server, clock=clock) as whop:
        for _ in range(3):
            silent(create, whop)
        clock.advance(5.1)
        create(whop)
        with refused(CircuitOpen):
            create(whop)

    assert len(server.requests) == 7


def test_whoever_had_no_time_left_to_wait_for_whop_does_not_say_that_it_is_dead() -> None:
    clock = Clock()
    with whop_over(Server(*[httpx.ReadTimeout("")] * 10), clock=clock) as whop:
        for _ in range(5):
            with refused(WhopUnavailable) as caught:
                mint(whop, Deadline(0.9, clock=Clock()))
            assert caught.value.code == "ReadTimeout"


# The budget


COUNTED = [(call, good) for call, good in CALLS if call is not mint]


@pytest.mark.parametrize(("call", "good"), COUNTED, ids=[call.__name__ for call, _ in COUNTED])
def test_a_call_for_which_there_is_no_room_is_not_made_until_the_next_five_seconds(call: Call, good: Any) -> None:
    clock, server = Clock(1_002.0), Server(ok(good), ok(good))
    with whop_over(server, clock=clock, places=1) as whop:
        call(whop)
        with refused(OutOfPermits) as caught:
            call(whop)
        assert len(server.requests) == 1
        clock.advance(3)
        call(whop)

    assert isinstance(caught.value, OutOfPermits)
    assert (caught.value.retry_after, caught.value.repeated) == (3, False)


def test_a_token_is_not_counted() -> None:
    server = Server(*[ok(TOKEN) for _ in range(5)])
    with whop_over(server, places=1) as whop:
        for _ in range(5):
            mint(whop)


def test_a_repetition_takes_a_place_too() -> None:
    server = Server(httpx.ReadTimeout(""))
    with whop_over(server, places=1) as whop, refused(OutOfPermits) as caught:
        create(whop)

    assert (caught.value.repeated, len(server.requests)) == (True, 1)


def test_and_so_does_the_request_with_a_newer_key() -> None:
    server = Server(error(401))
    with whop_over(server, keys=Keys("old-key", "new-key"), places=1) as whop, refused(OutOfPermits):
        create(whop)

    assert len(server.requests) == 1


# The key


def test_a_refused_key_is_replaced_once_and_the_request_sent_again() -> None:
    keys = Keys("old-key", "new-key")
    server = Server(error(401), ok(ACCOUNT))
    with whop_over(server, keys=keys) as whop:
        create(whop)

    first, second = server.requests
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer old-key", "Bearer new-key"]
    assert (first.content, first.headers["Idempotency-Key"]) == (second.content, second.headers["Idempotency-Key"])
    assert keys.refusals == ["old-key"]


@pytest.mark.parametrize(("keys", "requests"), [(["old-key"], 1), (["old-key", "new-key", "newest-key"], 2)])
def test_a_key_that_stays_refused_is_told_and_not_tried_for_ever(keys: list[str], requests: int) -> None:
    server = Server(error(401), error(401))
    with whop_over(server, keys=Keys(*keys)) as whop, refused(WhopUnauthorized) as caught:
        mint(whop)

    assert len(server.requests) == requests
    assert "key" not in str(caught.value)


# What is counted


@pytest.mark.parametrize(
    ("keys", "counted"), [(["old-key"], 1), (["old-key", "new-key", "newest-key"], 1), (["old-key", "good-key"], 0)]
)
def test_a_refused_key_is_counted_once_if_there_is_no_better_one(keys: list[str], counted: int) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        return ok(TOKEN) if request.headers["Authorization"] == "Bearer good-key" else error(401)

    told = RecordingTelemetry()
    with contextlib.suppress(WhopUnauthorized), whop_over(server, keys=Keys(*keys), telemetry=told) as whop:
        mint(whop)

    assert told.counted(KEY_REFUSED) == [{}] * counted


@pytest.mark.parametrize(
    ("answer", "statuses"),
    [
        (ok(TOKEN), ["2xx"]),
        (error(404), ["4xx"]),
        (error(429), ["4xx"]),
        (error(500), ["5xx", "5xx"]),
        (httpx.Response(301), ["5xx"]),
        (httpx.ReadTimeout(""), ["5xx", "5xx"]),
    ],
    ids=["200", "404", "429", "500", "301", "no answer"],
)
def test_each_request_is_timed_under_its_operation_and_status_class(
    answer: httpx.Response | Exception, statuses: list[str]
) -> None:
    told = RecordingTelemetry()
    with contextlib.suppress(WhopError), whop_over(Server(answer, answer), telemetry=told) as whop:
        mint(whop)

    assert told.counted(WHOP_LATENCY) == [{"operation": "mint_token", "status": status} for status in statuses]
    assert all(milliseconds >= 0 for _, milliseconds, _ in told.counts)


# No answer


UNANSWERED = [httpx.ReadTimeout(""), httpx.ConnectError(""), httpx.RemoteProtocolError(""), error(500), error(503)]
unanswered = pytest.mark.parametrize("failure", UNANSWERED, ids=["timeout", "unreachable", "dropped", "500", "503"])


@unanswered
def test_a_request_without_an_answer_is_sent_once_more_as_it_was(failure: httpx.Response | Exception) -> None:
    clock = Clock()
    server = Server(failure, ok(ACCOUNT))
    with whop_over(server, clock=clock) as whop:
        assert create(whop).id == "biz_Child"

    first, second = server.requests
    assert (first.content, first.headers.multi_items()) == (second.content, second.headers.multi_items())
    assert 0.02 <= clock.now - Clock().now <= 0.1


@unanswered
def test_the_second_failure_is_told_and_known_for_one(failure: httpx.Response | Exception) -> None:
    server = Server(failure, failure)
    with whop_over(server) as whop, refused(WhopUnavailable) as caught:
        create(whop)

    assert caught.value.repeated
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(error(409), WhopConflict), (error(429), WhopRateLimited), (ok({}), WhopInvalidResponse)],
    ids=["conflict", "limited", "invalid"],
)
def test_a_refusal_of_the_repetition_may_be_about_the_first_request(
    answer: httpx.Response, kind: type[WhopError]
) -> None:
    with whop_over(Server(httpx.ReadTimeout(""), answer)) as whop, refused(kind) as caught:
        create(whop)

    assert caught.value.repeated


def test_a_refusal_after_a_repetition_with_a_newer_key_may_be_about_the_first_request_too() -> None:
    server = Server(httpx.ReadTimeout(""), error(401), error(409))
    with whop_over(server, keys=Keys("old-key", "new-key")) as whop, refused(WhopConflict) as caught:
        create(whop)

    assert caught.value.repeated


@pytest.mark.parametrize(("left", "requests"), [(0.29, 1), (0.31, 2)])
def test_nothing_is_repeated_when_the_answer_could_not_arrive_in_time(left: float, requests: int) -> None:
    clock = Clock()
    deadline = Deadline(3, clock=clock)
    server = Server()

    def slow(request: httpx.Request) -> httpx.Response:
        server.requests.append(request)
        if len(server.requests) == 1:
            clock.advance(3 - left)
        return httpx.Response(500)

    with whop_over(slow, clock=clock) as whop, refused(WhopUnavailable):
        create(whop, deadline)

    assert len(server.requests) == requests


def test_without_time_left_nothing_is_sent() -> None:
    server = Server()
    with whop_over(server) as whop, pytest.raises(DeadlineExceeded):
        mint(whop, Deadline(0))

    assert server.requests == []


def test_an_answer_that_is_too_large_is_none() -> None:
    def huge(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b" " * (1024 * 1024) + b"{}")

    with whop_over(huge) as whop, refused(WhopUnavailable) as caught:
        mint(whop)

    assert caught.value.code == "BodyTooLarge"
