"""The credentials of the function's role: those of the environment, or, under SnapStart, those of an endpoint."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from whop_chat.runtime.base_settings import AwsCredentials, CredentialsEndpoint
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient, Request, TransportError

# Before the end of what is there, so that a failure of the endpoint has this long to pass.
REFRESH_SECONDS = 300.0
# With an endpoint that fails, or has nothing newer yet, not every call asks again.
ASK_COOLDOWN_SECONDS = 10.0
_MAX_RESPONSE_BYTES = 64 * 1024


class CredentialsError(Exception):
    """There are no credentials now. ``reason`` is ours and fit for a log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Lent(NamedTuple):
    credentials: AwsCredentials
    ends_at: float


class Credentials:
    """The current credentials, from the one or the other ``source``.

    Those of an endpoint are asked for when they are first needed, and anew five minutes before they end; while that
    fails they are used to their end. Of several threads one asks, and the others have its answer. ``clock`` is that of
    the wall, in seconds: their end is a date.
    """

    def __init__(
        self,
        source: AwsCredentials | CredentialsEndpoint,
        http: HttpClient,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._http = http
        self._clock = clock
        self._asking = threading.Lock()
        self._lent: _Lent | None = None
        self._ask_after = 0.0

    def current(self, *, deadline: Deadline) -> AwsCredentials:
        """Credentials that have not ended.

        To ask for them takes at most half of the time there is: the rest is for the call that needs them. Raises
        `CredentialsError`, and `whop_chat.runtime.deadline.DeadlineExceeded` when there is no time left to ask.
        """
        if isinstance(self._source, AwsCredentials):
            return self._source
        if not self._asking.acquire(timeout=deadline.remaining() / 2):
            raise CredentialsError("Busy")
        try:
            return self._current(self._source, deadline)
        finally:
            self._asking.release()

    def _current(self, source: CredentialsEndpoint, deadline: Deadline) -> AwsCredentials:
        lent, now = self._lent, self._clock()
        if lent is None or lent.ends_at <= now:
            return self._asked(source, deadline)
        if lent.ends_at - now <= REFRESH_SECONDS and now >= self._ask_after:
            self._ask_after = now + ASK_COOLDOWN_SECONDS
            try:
                return self._asked(source, deadline)
            except CredentialsError:
                pass
        return lent.credentials

    def forget(self) -> None:
        """Ask anew at the next call; what the environment holds itself stays."""
        self._lent = None
        self._ask_after = 0.0

    def _asked(self, endpoint: CredentialsEndpoint, deadline: Deadline) -> AwsCredentials:
        headers = {"Accept": "application/json"}
        if endpoint.authorization:
            headers["Authorization"] = endpoint.authorization
        try:
            response = self._http.exchange(
                Request("GET", endpoint.url, headers),
                deadline=deadline.at_most(deadline.remaining() / 2),
                max_bytes=_MAX_RESPONSE_BYTES,
            )
        except TransportError as error:
            raise CredentialsError(error.reason) from None
        if response.status != 200:
            raise CredentialsError(f"Status{response.status}")
        lent = _read(response.body)
        if lent is None:
            raise CredentialsError("InvalidResponse")
        if lent.ends_at <= self._clock():
            raise CredentialsError("Expired")
        self._lent = lent
        return lent.credentials


def _read(body: bytes) -> _Lent | None:
    """What the endpoint answered, in the form that it has for the SDKs; None if it is not that.

    Not an exception, because what is remembered of a failure to read a secret holds the secret.
    """
    from datetime import datetime  # here, because hardly a start needs it

    try:
        answer = json.loads(body)
        ends_at = datetime.fromisoformat(answer["Expiration"])
        key_id, secret, token = (_visible(answer[name]) for name in ("AccessKeyId", "SecretAccessKey", "Token"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if ends_at.tzinfo is None:
        return None
    credentials = AwsCredentials(access_key_id=key_id, secret_access_key=secret, session_token=token)
    return _Lent(credentials, ends_at.timestamp())


def _visible(value: Any) -> str:
    """What goes into a header is visible ASCII (RFC 9110, section 5.5)."""
    if not (isinstance(value, str) and value and all("!" <= character <= "~" for character in value)):
        raise ValueError
    return value
