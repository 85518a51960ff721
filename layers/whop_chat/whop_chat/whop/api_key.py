"""The Whop API key. It is read from Secrets Manager, cached, and read again when Whop refuses it."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.secrets import CachedSecret


class NotConfigured(Retryable):
    """The secret has no usable value: the operator has not put the Whop API key into it."""


class ApiKey(CachedSecret[str]):
    """The key under ``secret_arn``. The secret is the key itself, or a JSON object with ``api_key``.

    Without a usable key, `current` and `after_refusal` raise `NotConfigured`.
    """

    def __init__(self, aws: AwsClients, secret_arn: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(aws, secret_arn, _api_key, clock=clock)

    def after_refusal(self, refused: str, *, deadline: Deadline) -> str | None:
        """A key other than ``refused``, which Whop answered with 401. None if the secret still has that one."""
        if self._value == refused and self._may_retry():
            self._last_failure_at = self._clock()
            self._read(deadline)
        return self._value if self._value != refused else None


def _api_key(answer: Mapping[str, Any]) -> str:
    secret = answer.get("SecretString")
    if not isinstance(secret, str):
        secret = ""
    key = _member(secret) if secret.lstrip().startswith("{") else secret.strip()
    if key is None:
        raise NotConfigured('the secret is a JSON object without "api_key"')
    # A header value must be visible ASCII (RFC 9110, section 5.5).
    if not (isinstance(key, str) and key and all("!" <= character <= "~" for character in key)):
        raise NotConfigured("the secret holds no usable Whop API key")
    return key


def _member(secret: str) -> object:
    """``api_key`` of the JSON object, or None. It raises nothing, because the error would contain the secret."""
    try:
        return json.loads(secret).get("api_key")
    except (ValueError, RecursionError):
        return None
