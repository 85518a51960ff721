"""The Whop API key: read from Secrets Manager, cached, re-read when Whop stops accepting it."""

import json
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from whop_chat import aws

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MAX_AGE_SECONDS = 300.0
# With a key that Whop refuses, or while Secrets Manager fails, not every request asks for the secret again.
ASK_COOLDOWN_SECONDS = 10.0


class NotConfigured(Exception):
    """The secret has no usable value yet: the operator has not put the Whop API key into it."""


class ApiKey:
    """The key under ``secret_arn``; the secret is the key itself, or a JSON object with ``api_key``.

    The key lives in memory only and is in no message of this class.
    """

    def __init__(
        self,
        secrets: "SecretsManagerClient",
        secret_arn: str,
        *,
        max_age: float = MAX_AGE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets = secrets
        self._secret_arn = secret_arn
        self._max_age = max_age
        self._clock = clock
        self._value: str | None = None
        self._read_at = self._asked_in_vain_at = -math.inf

    def current(self) -> str:
        """The cached key, at most ``max_age`` seconds old; an older one only while Secrets Manager fails.

        Raises `NotConfigured`, and `whop_chat.aws.AwsError` if there is no key to fall back on.
        """
        if self._value is None:
            return self._read()
        if self._clock() - self._read_at >= self._max_age and self._may_ask_again():
            try:
                return self._read()
            except aws.AwsError:
                self._asked_in_vain_at = self._clock()
        return self._value

    def after_refusal(self, refused: str) -> str | None:
        """Another key than ``refused``, which Whop answered with 401; None if the secret still holds that one."""
        if self._value == refused and self._may_ask_again():
            self._asked_in_vain_at = self._clock()
            self._read()
        return self._value if self._value != refused else None

    def _may_ask_again(self) -> bool:
        return self._clock() - self._asked_in_vain_at >= ASK_COOLDOWN_SECONDS

    def _read(self) -> str:
        try:
            secret = aws.call(self._secrets.get_secret_value, SecretId=self._secret_arn).get("SecretString", "")
        except aws.AwsError as error:
            # AWS answers a secret that exists but has no value with this code (GetSecretValue).
            if error.code != "ResourceNotFoundException":
                raise
            secret = ""
        self._value = None  # A secret that has become unusable is told each time, not only the first.
        self._value = _api_key(secret)
        self._read_at = self._clock()
        return self._value


def _api_key(secret: str) -> str:
    key: object = secret.strip()
    if secret.lstrip().startswith("{"):
        try:
            key = json.loads(secret)["api_key"]
        except (ValueError, KeyError, TypeError):
            raise NotConfigured('the secret is a JSON object without "api_key"') from None
    # What goes into a header is visible ASCII (RFC 9110, section 5.5).
    if not (isinstance(key, str) and key and all("!" <= character <= "~" for character in key)):
        raise NotConfigured("the secret holds no usable Whop API key")
    return key
