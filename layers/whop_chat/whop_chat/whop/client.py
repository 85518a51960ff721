"""The calls that this service makes to Whop's API. They are typed, end with the deadline, and raise `WhopError`.

Whop allows 600 calls a minute for each operation and key (Whop, "Rate limits"). Before a call, the client checks the
circuit breaker, which knows whether Whop limits the operation or does not answer it. Then it acquires a permit from the
rate limiter. If one of them rejects the call, the client raises the error that Whop's own answer would cause.
"""

import contextlib
import json
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlencode, urlsplit

from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.http import HttpClient, Request, Response
from whop_chat.runtime.metrics import KEY_REFUSED, WHOP_LATENCY
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.runtime.version import USER_AGENT
from whop_chat.whop import _responses
from whop_chat.whop._responses import Account, NewFile, UserToken
from whop_chat.whop.circuit_breaker import CircuitBreaker, Rejection
from whop_chat.whop.circuit_state import Reason
from whop_chat.whop.errors import (
    CircuitOpen,
    NoTimeForAnotherKey,
    Operation,
    OutOfPermits,
    WhopError,
    WhopInvalidResponse,
    WhopRateLimited,
    WhopRefused,
    WhopUnauthorized,
    WhopUnavailable,
)
from whop_chat.whop.rate_limit import RateLimiter

_MAX_RESPONSE_BYTES = 1024 * 1024
# With less time left, a second attempt could not get its answer.
_MIN_SECONDS_FOR_RETRY = 0.3
# A call without an answer counts as a failure of Whop only if it had this much time.
_FAIR_SECONDS = 1.0

__all__ = ["Account", "KeySource", "NewFile", "UserToken", "Whop"]


@dataclass(frozen=True, slots=True)
class _Answer[T]:
    """``repeated`` is true if the request was sent before without an answer, as in `WhopError`."""

    value: T
    repeated: bool


class KeySource(Protocol):
    """Where the API key comes from: `whop_chat.whop.api_key.ApiKey`, or an operator's own key."""

    def current(self, *, deadline: Deadline) -> str:
        """The key to use."""

    def after_refusal(self, refused: str, *, deadline: Deadline) -> str | None:
        """A key other than ``refused``, which Whop just refused, or None."""


class Whop:
    """Whop's API for one company.

    ``base_url`` is the host without a path. ``company_field`` is the name of the company's field in a token request:
    ``account_id`` or ``company_id``. Whop's guides and its SDK disagree on it. Every method takes the request's
    deadline. It raises `WhopError`, the errors of ``api_key``, and `DeadlineExceeded`. That is `NoTimeForAnotherKey` if
    Whop refused the key. Each request acquires a permit of the ``rate_limiter``. `mint_token` acquires none, because
    nothing may delay it.
    """

    def __init__(
        self,
        http: HttpClient,
        api_key: KeySource,
        *,
        base_url: str,
        company_id: str,
        api_version: str,
        company_field: Literal["account_id", "company_id"],
        circuit: CircuitBreaker,
        rate_limiter: RateLimiter,
        telemetry: Telemetry,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._api_key = api_key
        self._base_url = f"{base_url}/api/v1"
        self.company_id = company_id
        self._api_version = api_version
        self._company_field = company_field
        self._circuit = circuit
        self._rate_limiter = rate_limiter
        self._telemetry = telemetry
        self._sleep = sleep

    def prefetch(self) -> contextlib.AbstractContextManager[None]:
        """Read the state of the circuits concurrently with the block, if it is not fresh."""
        return self._circuit.prefetch()

    def require_allowed(self, operation: Operation, *, deadline: Deadline) -> None:
        """Raise what a call of ``operation`` would raise if Whop is not to be called now. It makes no call."""
        _raise_if_rejected(operation, self._circuit.peek(operation, deadline=deadline))

    def mint_token(
        self, user_id: str, scopes: Collection[str], expires_at: datetime, *, deadline: Deadline
    ) -> UserToken:
        """A token for ``user_id`` in our company (Whop, "Create access token").

        ``scopes`` must not be empty: Whop would grant everything the key holds.
        """
        if not scopes:
            raise ValueError("scopes must not be empty")
        body = {
            self._company_field: self.company_id,
            "user_id": user_id,
            "scoped_actions": sorted(scopes),
            "expires_at": _timestamp(expires_at),
        }
        parse = _responses.user_token
        return self._call("mint_token", "POST", "/access_tokens", parse, body=body, deadline=deadline).value

    def create_account(
        self, *, email: str, title: str, external_id: str, idempotency_key: str, deadline: Deadline
    ) -> Account:
        """A connected account of our company for ``email``, or the existing one for the same pair of ids.

        Whop, "Enroll subaccounts": the same e-mail and ``external_id`` return the existing account. An ``external_id``
        of another e-mail is a 409. Older documents have the id in ``metadata``, so the client sends it in both.
        """
        body = {
            "email": email,
            "title": title,
            "external_id": external_id,
            "metadata": {"external_id": external_id},
        }
        headers = {"Idempotency-Key": idempotency_key}
        return self._call(
            "create_account", "POST", "/accounts", _responses.account, body=body, headers=headers, deadline=deadline
        ).value

    def find_accounts(self, external_id: str, *, deadline: Deadline) -> list[Account]:
        """The accounts with exactly this ``external_id``.

        The client filters the answer again: a server that ignores the parameter would return other accounts.
        """

        def bearing(answer: Any) -> list[Account]:
            return [_responses.account(row) for row in _responses.rows(answer) if _responses.bears(row, external_id)]

        query = {"external_id": external_id}
        return self._call("find_accounts", "GET", "/accounts", bearing, query=query, deadline=deadline).value

    def delete_account(self, account_id: str, *, deadline: Deadline) -> None:
        """Delete a connected account of ours for ever (Whop, "Delete a connected account").

        Whop refuses while the account has money or memberships (400). After the deletion, Whop answers 404.
        """
        path = f"/accounts/{quote(account_id, safe='')}"
        self._call("delete_account", "DELETE", path, _responses.nothing, deadline=deadline)

    def set_profile(self, user_id: str, *, name: str, deadline: Deadline) -> bool:
        """Set the name of ``user_id`` in our company. Their global profile does not change.

        Returns whether that is settled. It is not if a first attempt had no answer: that one may still take effect,
        also after a later call with another name.

        Whop, "Update user": from version 2026-06-08, an API key requires the account selector.
        """
        return self._update_user(user_id, {"name": name}, deadline)

    def set_picture(self, user_id: str, *, file_id: str, deadline: Deadline) -> bool:
        """Make an uploaded file the picture of ``user_id`` in our company. As `set_profile`."""
        return self._update_user(user_id, {"profile_picture": {"id": file_id}}, deadline)

    def create_file(self, filename: str, *, idempotency_key: str, deadline: Deadline) -> NewFile:
        """A file to upload, within an hour (Whop, "Upload files", from version 2026-08-21-1).

        It is public, as everybody in the chat sees it. Whop takes the content type from the ending of ``filename``.
        """
        body = {"filename": filename, "visibility": "public"}
        headers = {"Idempotency-Key": idempotency_key}
        return self._call(
            "create_file", "POST", "/files", _responses.new_file, body=body, headers=headers, deadline=deadline
        ).value

    def upload(self, file: NewFile, content: bytes, *, deadline: Deadline) -> None:
        """Upload the content of ``file`` to the storage that Whop named. The API key does not go there.

        Storage has no rate limit of Whop's, so neither permit nor circuit is asked for.
        """
        if urlsplit(file.upload_url).scheme != urlsplit(self._base_url).scheme:
            raise WhopInvalidResponse("upload_file")
        try:
            answer = self._http.request(
                "PUT",
                file.upload_url,
                headers=file.upload_headers,
                content=content,
                deadline=deadline,
                max_bytes=_MAX_RESPONSE_BYTES,
            )
        except TransportError as error:
            raise WhopUnavailable("upload_file", code=error.reason) from None
        if answer.status_code >= 500:
            raise WhopUnavailable("upload_file", status=answer.status_code)
        if not 200 <= answer.status_code < 300:
            raise WhopRefused("upload_file", status=answer.status_code)

    def upload_status(self, file_id: str, *, deadline: Deadline) -> str:
        """``pending``, ``processing``, ``ready`` or ``failed``. Only the key that created a file can read it."""
        path = f"/files/{quote(file_id, safe='')}"
        return self._call("find_file", "GET", path, _responses.upload_status, deadline=deadline).value

    def _update_user(self, user_id: str, body: Mapping[str, Any], deadline: Deadline) -> bool:
        path = f"/users/{quote(user_id, safe='')}"
        query = {"account_id": self.company_id}
        answer = self._call("update_user", "PATCH", path, _responses.nothing, query=query, body=body, deadline=deadline)
        return not answer.repeated

    def _call[T](
        self,
        operation: Operation,
        method: str,
        path: str,
        parse: Callable[[Any], T],
        *,
        deadline: Deadline,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> _Answer[T]:
        """The parsed answer. A 401 is retried with a newer key, and a call without an answer once unchanged."""

        url = f"{self._base_url}{path}{f'?{urlencode(query)}' if query else ''}"
        content = b"" if body is None else json.dumps(body).encode()
        common = {
            "Accept": "application/json",
            "Api-Version-Date": self._api_version,
            "User-Agent": USER_AGENT,
            **({} if body is None else {"Content-Type": "application/json"}),
            **(headers or {}),
        }

        def attempt(key: str) -> _Answer[T]:
            authorized = {"Authorization": f"Bearer {key}", **common}
            return self._send(operation, Request(method, url, headers=authorized, content=content), parse, deadline)

        _raise_if_rejected(operation, self._circuit.check(operation, deadline=deadline))
        key = self._api_key.current(deadline=deadline)
        try:
            return attempt(key)
        except WhopUnauthorized as refusal:
            try:
                newer = self._api_key.after_refusal(key, deadline=deadline)
            except DeadlineExceeded:
                raise NoTimeForAnotherKey from None
            if newer is None:
                self._telemetry.count(KEY_REFUSED)
                raise
            repeated = refusal.repeated
        try:
            answer = attempt(newer)
        except WhopError as error:
            error.repeated |= repeated
            if isinstance(error, WhopUnauthorized):
                self._telemetry.count(KEY_REFUSED)
            raise
        return _Answer(answer.value, repeated=answer.repeated or repeated)

    def _require_permit(self, operation: Operation, deadline: Deadline) -> None:
        if operation == "mint_token":
            return
        wait = self._rate_limiter.acquire(operation, deadline=deadline)
        if wait is not None:
            raise OutOfPermits(operation, _whole_seconds(wait))

    def _send[T](
        self, operation: Operation, request: Request, parse: Callable[[Any], T], deadline: Deadline
    ) -> _Answer[T]:
        """The answer. If Whop did not answer, the circuit breaker learns of it."""
        given = deadline.remaining()
        try:
            return self._retried(operation, request, parse, deadline)
        except WhopUnavailable as error:
            if error.is_silence and given >= _FAIR_SECONDS:
                self._circuit.record_failure(operation, deadline=deadline)
            raise

    def _retried[T](
        self, operation: Operation, request: Request, parse: Callable[[Any], T], deadline: Deadline
    ) -> _Answer[T]:
        """One retry without an answer: each call is idempotent, has an Idempotency-Key, or mints one more token."""
        try:
            return _Answer(self._exchange(operation, request, parse, deadline), repeated=False)
        except WhopUnavailable as error:
            if error.replayed or deadline.remaining() < _MIN_SECONDS_FOR_RETRY:
                raise
        self._sleep(random.uniform(0.02, 0.1))  # noqa: S311  # nosec B311  # jitter, not a secret
        try:
            return _Answer(self._exchange(operation, request, parse, deadline), repeated=True)
        except WhopError as error:
            error.repeated = True
            raise

    def _exchange[T](self, operation: Operation, request: Request, parse: Callable[[Any], T], deadline: Deadline) -> T:
        self._require_permit(operation, deadline)
        response = self._timed(operation, request, deadline)
        self._record_answer(operation, response, deadline)
        if response.status_code not in (200, 201, 204):
            raise _responses.error_of(operation, response)
        try:
            # Of some calls nothing is read, so that 204 will do. An empty or HTML page with 200 is no answer of Whop's.
            return parse(None if response.status_code == 204 else json.loads(response.content))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise WhopInvalidResponse(
                operation, status=response.status_code, replayed=_responses.replayed(response)
            ) from None

    def _timed(self, operation: Operation, request: Request, deadline: Deadline) -> Response:
        """Whop's answer. Its time is counted under the status class, and no answer as a failure of Whop."""
        started, status = time.monotonic(), 500
        try:
            response = self._http.send(request, deadline=deadline, max_bytes=_MAX_RESPONSE_BYTES)
            status = response.status_code
        except TransportError as error:
            raise WhopUnavailable(operation, code=error.reason) from None
        finally:
            milliseconds = (time.monotonic() - started) * 1000
            if operation in WHOP_LATENCY.values["operation"]:
                self._telemetry.count(WHOP_LATENCY, milliseconds, operation=operation, status=_status_class(status))
        return response

    def _record_answer(self, operation: Operation, response: Response, deadline: Deadline) -> None:
        """Tell the circuit breaker what this answer means for the next call. An old answer means nothing."""
        if _responses.replayed(response):
            return
        if response.status_code == 429:
            self._circuit.record_rate_limit(operation, _responses.wait(response), deadline=deadline)
        elif response.status_code < 500:
            self._circuit.record_success(operation, deadline=deadline)


def _status_class(status: int) -> str:
    """The class of a status. Anything but a success or a refusal is no answer that we can use."""
    if 200 <= status < 300:
        return "2xx"
    return "4xx" if 400 <= status < 500 else "5xx"


def _raise_if_rejected(operation: Operation, rejection: Rejection | None) -> None:
    if rejection is None:
        return
    seconds = _whole_seconds(rejection.seconds)
    if rejection.reason is Reason.LIMITED:
        raise WhopRateLimited(operation, seconds)
    raise CircuitOpen(operation, seconds)


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _whole_seconds(wait: float) -> int:
    return max(1, -int(-wait // 1))
