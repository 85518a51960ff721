"""The calls this service makes to Whop's API, typed, bounded in time, with Whop's refusals as exceptions.

Whop keeps 600 calls a minute for each operation and key (Whop, "Rate limits"). This client asks two others before it
calls: the circuit breaker, whether the operation was told to wait or does not answer, and the rate limiter, whether
there is room for the call. If not, that is the answer, as if Whop had given it.
"""

import json
import random
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlencode

from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.http import HttpClient, Request, Response, TransportError
from whop_chat.whop.circuit_breaker import Circuit
from whop_chat.whop.circuit_state import Why
from whop_chat.whop.rate_limit import Budget

_USER_AGENT = "whop-chat-auth"
_MAX_RESPONSE_BYTES = 1024 * 1024
_DEFAULT_WAIT_SECONDS = 10
_MAX_WAIT_SECONDS = 300
# Below this there is no point in a second attempt: the answer could not arrive.
_MIN_SECONDS_FOR_RETRY = 0.3
# A call that had less than this when it began says nothing about Whop if it had no answer.
_FAIR_SECONDS = 1.0

Operation = Literal["mint_token", "create_account", "find_accounts", "delete_account", "update_user"]


class WhopError(Exception):
    """A call to Whop that did not succeed.

    ``status`` is the HTTP status, None without one. ``code`` is Whop's own error code or type, ``param`` the field it
    is about, if it says. ``replayed`` says that the answer is an old one, repeated for its Idempotency-Key (Whop,
    "Idempotency"); ``repeated`` that the request had been sent before without an answer, so that a refusal may be about
    that first one.
    """

    def __init__(
        self,
        operation: Operation,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        replayed: bool = False,
    ) -> None:
        super().__init__(f"{operation}: {status or 'no answer'}{f' {code}' if code else ''}")
        self.operation = operation
        self.status = status
        self.code = code
        self.param = param
        self.replayed = replayed
        self.repeated = False


class WhopRefused(WhopError):
    """Whop said no, definitively (4xx); the same request will be refused again."""


class WhopUnauthorized(WhopRefused):
    """401: the API key is not accepted, and the secret holds no newer one."""


class NoTimeForAnotherKey(DeadlineExceeded):
    """Whop did not accept the API key, and no time was left to read whether the secret holds a newer one."""


class WhopForbidden(WhopRefused):
    """403: the API key lacks a permission."""


class WhopNotFound(WhopRefused):
    """404."""


class WhopConflict(WhopRefused):
    """409: taken by something else, or the first request with this Idempotency-Key is still running."""


class WhopRateLimited(WhopError):
    """429, or a wait from before that is not over: ``retry_after`` is the wait in whole seconds."""

    def __init__(
        self, operation: Operation, retry_after: int, *, code: str | None = None, replayed: bool = False
    ) -> None:
        super().__init__(operation, status=429, code=code, replayed=replayed)
        self.retry_after = retry_after


class BudgetUsedUp(WhopRateLimited):
    """Not called: the calls that are allowed are made."""

    def __init__(self, operation: Operation, retry_after: int) -> None:
        super().__init__(operation, retry_after, code="budget_used_up")


class WhopUnavailable(WhopError):
    """No answer, a 5xx, or a 4xx that says the request was not processed: what the call did is unknown."""

    @property
    def is_silence(self) -> bool:
        """Whether Whop itself did not answer: a 4xx is an answer, and one repeated for its key says nothing."""
        return not self.replayed and (self.status is None or self.status >= 500)


class CircuitOpen(WhopUnavailable):
    """Not called, because Whop has not answered of late; ``retry_after`` is the wait in whole seconds."""

    def __init__(self, operation: Operation, retry_after: int) -> None:
        super().__init__(operation, code="circuit_open")
        self.retry_after = retry_after


class WhopInvalidResponse(WhopError):
    """A success that cannot be understood: what the call did is unknown."""


@dataclass(frozen=True, slots=True)
class Account:
    """A connected account; ``user_id`` is the Whop user who owns it."""

    id: str
    user_id: str
    email: str | None = field(repr=False)
    external_id: str | None
    parent_id: str | None


@dataclass(frozen=True, slots=True)
class UserToken:
    """A company-scoped user token: opaque, valid until ``expires_at`` (aware, UTC)."""

    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"UserToken(expires_at={self.expires_at.isoformat()})"


class KeySource(Protocol):
    """Where the API key comes from: `whop_chat.whop.api_key.ApiKey`, or an operator's own key."""

    def current(self, *, deadline: Deadline) -> str:
        """The key to use."""

    def after_refusal(self, refused: str, *, deadline: Deadline) -> str | None:
        """Another key than the one Whop just refused, or None."""


class Whop:
    """Whop's API for one company.

    ``base_url`` is the host without a path. ``company_field`` is the name of the company in a token request, on which
    Whop's guides and its SDK disagree (``account_id`` or ``company_id``). Every method takes the request's deadline and
    raises `WhopError`, what reading the key raises, or `DeadlineExceeded`, as `NoTimeForAnotherKey`
    if Whop had refused the key. Each request takes its place in the ``budget``, but for `mint_token`, which nothing is
    to delay.
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
        circuit: Circuit,
        budget: Budget,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._api_key = api_key
        self._base_url = f"{base_url}/api/v1"
        self.company_id = company_id
        self._api_version = api_version
        self._company_field = company_field
        self._circuit = circuit
        self._budget = budget
        self._sleep = sleep

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
        return self._call("mint_token", "POST", "/access_tokens", _user_token, body=body, deadline=deadline)

    def create_account(
        self, *, email: str, title: str, external_id: str, idempotency_key: str, deadline: Deadline
    ) -> Account:
        """A connected account of our company for ``email``, or the existing one for the same pair of ids.

        Whop, "Enroll subaccounts": same e-mail and same ``external_id`` give the existing account; an ``external_id``
        bound to another e-mail is a 409. Older text keeps the id in ``metadata``, so it is sent in both places.
        """
        body = {
            "email": email,
            "title": title,
            "external_id": external_id,
            "metadata": {"external_id": external_id},
        }
        headers = {"Idempotency-Key": idempotency_key}
        return self._call(
            "create_account", "POST", "/accounts", _account, body=body, headers=headers, deadline=deadline
        )

    def find_accounts(self, external_id: str, *, deadline: Deadline) -> list[Account]:
        """The accounts that bear exactly ``external_id``.

        The answer is filtered again here: a server that does not know the parameter answers with any accounts.
        """

        def bearing(answer: Any) -> list[Account]:
            return [_account(row) for row in _rows(answer) if _bears(row, external_id)]

        query = {"external_id": external_id}
        return self._call("find_accounts", "GET", "/accounts", bearing, query=query, deadline=deadline)

    def delete_account(self, account_id: str, *, deadline: Deadline) -> None:
        """Delete a connected account of ours, for good (Whop, "Delete a connected account").

        Whop refuses while it holds money or has memberships (400), and does not know it afterwards (404).
        """
        path = f"/accounts/{quote(account_id, safe='')}"
        self._call("delete_account", "DELETE", path, _nothing, deadline=deadline)

    def set_profile(self, user_id: str, *, name: str, deadline: Deadline) -> None:
        """The name that ``user_id`` has in our company; their global profile stays as it is.

        Whop, "Update user": the account selector is required for an API key from version 2026-06-08.
        """
        path = f"/users/{quote(user_id, safe='')}"
        query = {"account_id": self.company_id}
        self._call("update_user", "PATCH", path, _nothing, query=query, body={"name": name}, deadline=deadline)

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
    ) -> T:
        """The parsed answer of one operation; a 401 is retried with a newer key, an unanswered call once as it is."""

        url = f"{self._base_url}{path}{f'?{urlencode(query)}' if query else ''}"
        content = b"" if body is None else json.dumps(body).encode()
        common = {
            "Accept": "application/json",
            "Api-Version-Date": self._api_version,
            "User-Agent": _USER_AGENT,
            **({} if body is None else {"Content-Type": "application/json"}),
            **(headers or {}),
        }

        def attempt(key: str) -> T:
            authorized = {"Authorization": f"Bearer {key}", **common}
            return self._send(operation, Request(method, url, authorized, content), parse, deadline)

        self._require_closed_circuit(operation, deadline)
        key = self._api_key.current(deadline=deadline)
        try:
            return attempt(key)
        except WhopUnauthorized as refusal:
            try:
                newer = self._api_key.after_refusal(key, deadline=deadline)
            except DeadlineExceeded:
                raise NoTimeForAnotherKey from None
            if newer is None:
                raise
            repeated = refusal.repeated
        try:
            return attempt(newer)
        except WhopError as error:
            error.repeated |= repeated
            raise

    def _require_closed_circuit(self, operation: Operation, deadline: Deadline) -> None:
        obstacle = self._circuit.obstacle(operation, deadline=deadline)
        if obstacle is None:
            return
        seconds = _whole_seconds(obstacle.seconds)
        if obstacle.why is Why.LIMITED:
            raise WhopRateLimited(operation, seconds)
        raise CircuitOpen(operation, seconds)

    def _require_budget(self, operation: Operation, deadline: Deadline) -> None:
        if operation == "mint_token":
            return
        wait = self._budget.take(operation, deadline=deadline)
        if wait is not None:
            raise BudgetUsedUp(operation, _whole_seconds(wait))

    def _send[T](self, operation: Operation, request: Request, parse: Callable[[Any], T], deadline: Deadline) -> T:
        """The answer, or an error after which the circuit knows of the silence."""
        given = deadline.remaining()
        try:
            return self._repeated(operation, request, parse, deadline)
        except WhopUnavailable as error:
            if error.is_silence and given >= _FAIR_SECONDS:
                self._circuit.unanswered(operation, deadline=deadline)
            raise

    def _repeated[T](self, operation: Operation, request: Request, parse: Callable[[Any], T], deadline: Deadline) -> T:
        """One repetition when there was no answer: each of our calls is idempotent, keyed, or one more token."""
        try:
            return self._exchange(operation, request, parse, deadline)
        except WhopUnavailable as error:
            if error.replayed or deadline.remaining() < _MIN_SECONDS_FOR_RETRY:
                raise
        self._sleep(random.uniform(0.02, 0.1))  # noqa: S311 - jitter, not a secret
        try:
            return self._exchange(operation, request, parse, deadline)
        except WhopError as error:
            error.repeated = True
            raise

    def _exchange[T](self, operation: Operation, request: Request, parse: Callable[[Any], T], deadline: Deadline) -> T:
        self._require_budget(operation, deadline)
        try:
            response = self._http.exchange(request, deadline=deadline, max_bytes=_MAX_RESPONSE_BYTES)
        except TransportError as error:
            raise WhopUnavailable(operation, code=error.reason) from None
        self._tell(operation, response, deadline)
        if response.status not in (200, 201):
            raise self._error(operation, response)
        try:
            return parse(json.loads(response.body))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise WhopInvalidResponse(operation, status=response.status, replayed=_replayed(response)) from None

    def _tell(self, operation: Operation, response: Response, deadline: Deadline) -> None:
        """Let everybody know what this answer says about the next call; an old one says nothing."""
        if _replayed(response):
            return
        if response.status == 429:
            self._circuit.limited(operation, _wait(response), deadline=deadline)
        elif response.status < 500:
            self._circuit.answered(operation, deadline=deadline)

    def _error(self, operation: Operation, response: Response) -> WhopError:
        status = response.status
        code, param, _ = _envelope(response.body)
        replayed = _replayed(response)
        if status == 429:
            return WhopRateLimited(operation, _wait(response), replayed=replayed)
        if status >= 500 or status in _NOT_PROCESSED:
            return WhopUnavailable(operation, status=status, code=code, replayed=replayed)
        if status >= 400:
            kind = _REFUSALS.get(status, WhopRefused)
            return kind(operation, status=status, code=code, param=param, replayed=replayed)
        return WhopInvalidResponse(operation, status=status, replayed=replayed)


# RFC 9110, section 15.5.9, and RFC 8470, section 5.2: the request may be sent again as it is.
_NOT_PROCESSED = (408, 425)
_REFUSALS: Mapping[int, type[WhopRefused]] = {
    401: WhopUnauthorized,
    403: WhopForbidden,
    404: WhopNotFound,
    409: WhopConflict,
}


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _replayed(response: Response) -> bool:
    return response.headers.get("idempotent-replayed", "").lower() == "true"


def _nothing(_answer: Any) -> None:
    """For calls whose answer says no more than that they succeeded."""


def _user_token(answer: Any) -> UserToken:
    expires_at = datetime.fromisoformat(_nonempty(answer["expires_at"]))
    if expires_at.tzinfo is None:
        raise ValueError("a time without a zone")
    return UserToken(token=_nonempty(answer["token"]), expires_at=expires_at.astimezone(UTC))


def _account(answer: Any) -> Account:
    # /accounts names the owner `owner`, the older /companies `owner_user` (Whop, "Chat quickstart").
    owner = answer.get("owner") or answer["owner_user"]
    parent = answer.get("parent_account") or {}
    return Account(
        id=_nonempty(answer["id"]),
        user_id=_nonempty(owner["id"]),
        email=_optional(answer.get("email")),
        external_id=_external_id(answer),
        parent_id=_optional(parent.get("id")),
    )


def _external_id(answer: Mapping[str, Any]) -> str | None:
    """The top-level id, else the one in the metadata."""
    return _optional(answer.get("external_id") or (answer.get("metadata") or {}).get("external_id"))


def _bears(row: Any, external_id: str) -> bool:
    """Whether ``row`` is an account with this id; the rows of others may be as odd as they like."""
    try:
        return _external_id(row) == external_id
    except (AttributeError, TypeError, ValueError):
        return False


def _rows(answer: Any) -> list[Any]:
    rows = answer["data"]
    if not isinstance(rows, list):
        raise TypeError("not a list")
    return rows


def _nonempty(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    value.encode()  # Half a surrogate pair, which JSON can name, could not be passed on.
    return value


def _optional(value: Any) -> str | None:
    return None if value is None else _nonempty(value)


def _envelope(body: bytes) -> tuple[str | None, str | None, str]:
    """Whop's error code (or type), parameter and message; the documents show several shapes, so nothing is required."""
    try:
        error = json.loads(body)["error"]
        code, param = error.get("code") or error.get("type"), error.get("param")
        message = error.get("message")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, None, ""
    return _word(code), _word(param), message if isinstance(message, str) else ""


def _word(value: Any) -> str | None:
    """A code goes into logs and errors, so only what looks like one is taken."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value) else None


def _wait(response: Response) -> int:
    """Seconds to wait: the header, else the sentence "Try again in 12 seconds." (Whop, "Rate limits")."""
    _, _, message = _envelope(response.body)
    header = re.fullmatch(r"(\d{1,6})", response.headers.get("retry-after", ""))
    told = header or re.search(r"\bin (\d{1,6}) second", message)
    seconds = int(told[1]) if told else _DEFAULT_WAIT_SECONDS
    return min(max(seconds, 1), _MAX_WAIT_SECONDS)


def _whole_seconds(wait: float) -> int:
    return max(1, -int(-wait // 1))
