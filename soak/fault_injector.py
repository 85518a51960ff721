"""Which faults a call can have, and how likely each is."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from local.whop_simulator import Fault

type Kind = Literal["drop_before", "drop_after", "kill_before", "kill_after", "refused", "slow"]

_THROTTLED = {
    "dynamodb": ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"),
    "cognito-idp": ("TooManyRequestsException", "InternalErrorException"),
    "sqs": ("RequestThrottled", "ServiceUnavailable"),
    "secretsmanager": ("ThrottlingException", "InternalServiceError"),
    "keys": ("ServiceUnavailable",),
}
_TRANSACTION = ("TransactionCanceledException", "TransactionConflictException", "TransactionInProgressException")
type Kinds = Sequence[tuple[float, Fault]]

ALL_OF_WHOP: Kinds = (
    (3, Fault("*", "status", status=429, wait=1)),
    (2, Fault("*", "status", status=429, wait=7)),
    # Without a time to wait.
    (1, Fault("*", "status", status=429, body='{"error": {"type": "rate_limit_exceeded", "message": "Slow down."}}')),
    (3, Fault("*", "status", status=500)),
    (2, Fault("*", "status", status=502, body="<html>Bad gateway</html>")),
    (2, Fault("*", "status_after", status=502)),
    (2, Fault("*", "malformed")),
    (2, Fault("*", "truncated")),
    (2, Fault("*", "delay", seconds=2.0)),
    (1, Fault("*", "delay", seconds=12.0)),
    (1, Fault("*", "delay", seconds=25.0, effect="early")),
    (2, Fault("*", "drip", seconds=0.02)),
    (2, Fault("*", "unreachable")),
    (3, Fault("*", "drop_before")),
    (3, Fault("*", "drop_after")),
    (1, Fault("*", "crash_before")),
    (1, Fault("*", "crash_after")),
)
ONLY_429_AND_500: Kinds = (
    (1, Fault("*", "status", status=429, wait=1)),
    (1, Fault("*", "status", status=429, wait=20)),
    (2, Fault("*", "status", status=500)),
)


@dataclass(frozen=True, slots=True)
class AwsFault:
    """The fault of one call: ``code`` of a refusal, or ``seconds`` of delay."""

    kind: Kind
    code: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class FaultInjector:
    """Probabilities: of a fault in a call to ``whop`` or to ``aws``, and that the caller is killed (``kill``)."""

    chance: random.Random
    whop: float = 0.0
    aws: float = 0.0
    kill: float = 0.0
    forget: float = 0.0
    """The probability that at a mint Whop begins not to know the user for some seconds."""
    whop_kinds: Kinds = ALL_OF_WHOP
    whop_is_down: bool = False
    """If true, no connection to Whop is made, or no answer ever comes."""

    def for_aws(self, service: str, operation: str) -> AwsFault | None:
        """The fault of this call to AWS, or None."""
        if self.chance.random() >= self.aws:
            return None
        kind: Kind = self.chance.choice(("drop_before", "drop_after", "refused", "refused", "slow"))
        if kind == "refused":
            known = _THROTTLED[service] + (_TRANSACTION if operation == "TransactWriteItems" else ())
            return AwsFault(kind, code=self.chance.choice(known))
        return AwsFault(kind, seconds=self.chance.uniform(0.5, 3.0))

    def for_whop(self) -> Fault | None:
        """The fault of this call to Whop, or None."""
        if self.chance.random() >= self.whop:
            return None
        weights, faults = zip(*self.whop_kinds, strict=True)
        chosen: Fault = self.chance.choices(faults, weights)[0]
        return chosen

    def seconds_unknown(self) -> float:
        """How long Whop does not know the user of this mint; mostly 0."""
        return self.chance.uniform(0, 60) if self.chance.random() < self.forget else 0.0

    def for_caller(self) -> Literal["before", "after"] | None:
        """Whether the calling process is killed before or after the call takes effect, or not at all (None)."""
        if self.chance.random() >= self.kill:
            return None
        return self.chance.choice(("before", "after"))

    def end(self) -> None:
        """Inject no faults from now on."""
        self.whop = self.aws = self.kill = self.forget = 0.0
