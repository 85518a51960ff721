"""The Whop API key: read from Secrets Manager, cached, re-read when Whop stops accepting it."""

import json
import math
import time
from collections.abc import Callable

from whop_chat.aws import SECRETS_MANAGER, Aws, AwsError
from whop_chat.deadline import Deadline, DeadlineExceeded

MAX_AGE_SECONDS = 300.0
# With a key that Whop refuses, or with an old key while Secrets Manager fails, not every request asks for the secret.
ASK_COOLDOWN_SECONDS = 10.0
# A caller who could go on with the key there is does not wait longer for a newer one.
_REFRESH_SECONDS = 0.5


class NotConfigured(Exception):
    """The secret has no usable value yet: the operator has not put the Whop API key into it."""


class ApiKey:
    """The key under ``secret_arn``; the secret is the key itself, or a JSON object with ``api_key``.

    The key lives in memory only and is in no message of this class.
    """

    def __init__(
        self,
        aws: Aws,
        secret_arn: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._aws = aws
        self._secret_arn = secret_arn
        self._clock = clock
        self._value: str | None = None
        self._read_at = self._asked_in_vain_at = -math.inf

    def current(self, *, deadline: Deadline) -> str:
        """The cached key, at most `MAX_AGE_SECONDS` old; an older one only while Secrets Manager fails.

        Raises `NotConfigured`, and `whop_chat.aws.AwsError` or `whop_chat.deadline.DeadlineExceeded` if there is no
        key to fall back on.
        """
        if self._value is None:
            return self._read(deadline)
        if self._clock() - self._read_at >= MAX_AGE_SECONDS and self._may_ask_again():
            try:
                return self._read(deadline.at_most(_REFRESH_SECONDS))
            except (AwsError, DeadlineExceeded):
                self._asked_in_vain_at = self._clock()
        return self._value

    def after_refusal(self, refused: str, *, deadline: Deadline) -> str | None:
        """Another key than ``refused``, which Whop answered with 401; None if the secret still holds that one."""
        if self._value == refused and self._may_ask_again():
            self._asked_in_vain_at = self._clock()
            self._read(deadline)
        return self._value if self._value != refused else None

    def forget(self) -> None:
        """Read the secret anew when the key is next asked for."""
        self._value = None
        self._read_at = self._asked_in_vain_at = -math.inf

    def _may_ask_again(self) -> bool:
        return self._clock() - self._asked_in_vain_at >= ASK_COOLDOWN_SECONDS

    def _read(self, deadline: Deadline) -> str:
        try:
            answer = self._aws.call(
                SECRETS_MANAGER, "GetSecretValue", {"SecretId": self._secret_arn}, deadline=deadline
            )
            secret = answer.get("SecretString")
        except AwsError as error:
            # AWS answers a secret that exists but has no value with this code (GetSecretValue).
            if error.code != "ResourceNotFoundException":
                raise
            secret = None
        self._value = None  # A secret that has become unusable is told each time, not only the first.
        self._value = _api_key(secret if isinstance(secret, str) else "")
        self._read_at = self._clock()
        return self._value


def _api_key(secret: str) -> str:
    key = _member(secret) if secret.lstrip().startswith("{") else secret.strip()
    if key is None:
        raise NotConfigured('the secret is a JSON object without "api_key"')
    # What goes into a header is visible ASCII (RFC 9110, section 5.5).
    if not (isinstance(key, str) and key and all("!" <= character <= "~" for character in key)):
        raise NotConfigured("the secret holds no usable Whop API key")
    return key


def _member(secret: str) -> object:
    """``api_key`` of the object; None if there is none, so that no exception that holds the secret is the context."""
    try:
        return json.loads(secret).get("api_key")
    except (ValueError, RecursionError):
        return None
