"""A secret from Secrets Manager, parsed, and cached for five minutes."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from whop_chat.runtime.aws import AwsError, aws_call, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded

MAX_AGE_SECONDS = 300.0
# While Whop refuses the key, or Secrets Manager fails, not every request reads the secret again.
RETRY_COOLDOWN_SECONDS = 10.0
# A caller that still has a value does not wait longer for a newer one.
_REFRESH_SECONDS = 0.5


class CachedSecret[T]:
    """What ``parse`` makes of the secret under ``secret_arn``.

    ``parse`` gets the answer of GetSecretValue, which is empty if the secret has no value yet. It may raise. The value
    is in memory only, and in no message of this class.
    """

    def __init__(
        self,
        aws: AwsClients,
        secret_arn: str,
        parse: Callable[[Mapping[str, Any]], T],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._aws = aws
        self._secret_arn = secret_arn
        self._parse = parse
        self._clock = clock
        self._value: T | None = None
        self._read_at = self._last_failure_at = -math.inf
        self._failure: str | None = None

    def current(self, *, deadline: Deadline) -> T:
        """The cached value, at most `MAX_AGE_SECONDS` old. It is older only while Secrets Manager fails.

        Raises what ``parse`` raises. Raises `AwsError` or `DeadlineExceeded` if there is no value yet.
        """
        if self._value is None:
            return self._read(deadline)
        if self._clock() - self._read_at >= MAX_AGE_SECONDS and self._may_retry():
            try:
                return self._read(deadline.at_most(_REFRESH_SECONDS))
            except (AwsError, DeadlineExceeded):
                self._last_failure_at = self._clock()
        return self._value

    def after_refusal(self, refused: T, *, deadline: Deadline) -> T | None:
        """A value other than ``refused``, which somebody has just refused. None if the secret still has that one.

        The secret is read again at most once in `RETRY_COOLDOWN_SECONDS`. Until then a failed read says nothing about
        the value: every caller gets `AwsError`.
        """
        if self._value == refused and self._may_retry():
            # A caller without time is not to keep the others from reading.
            deadline.require()
            self._last_failure_at, self._failure = self._clock(), None
            try:
                self._read(deadline)
            except AwsError as error:
                self._failure = error.code
                raise
            except DeadlineExceeded:
                self._failure = "DeadlineExceeded"
                raise
        if self._value == refused and self._failure is not None:
            raise AwsError(self._failure, operation="GetSecretValue")
        return self._value if self._value != refused else None

    def _may_retry(self) -> bool:
        return self._clock() - self._last_failure_at >= RETRY_COOLDOWN_SECONDS

    def _read(self, deadline: Deadline) -> T:
        try:
            with aws_call(deadline):
                answer: Mapping[str, Any] = self._aws.secretsmanager.get_secret_value(SecretId=self._secret_arn)
            with validating("GetSecretValue"):
                _ = answer["VersionId"]  # Without it the answer says nothing about the secret.
        except AwsError as error:
            # AWS answers a secret that exists but has no value with this code (GetSecretValue).
            if error.code != "ResourceNotFoundException":
                raise
            answer = {}
        self._value = None  # So that an unusable secret raises each time, not only the first.
        self._value = self._parse(answer)
        self._read_at = self._clock()
        return self._value
