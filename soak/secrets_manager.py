"""Secrets Manager: the one secret."""

from collections.abc import Mapping
from typing import Any

from soak.errors import Refused

ARN = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:whop"


class Secret:
    """The Whop API key, as the operator has put it there."""

    def __init__(self, value: str) -> None:
        self.value = value

    def call(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What Secrets Manager answers; raises `Refused`."""
        if operation != "GetSecretValue" or asked != {"SecretId": ARN}:
            raise Refused("ResourceNotFoundException")
        return {"ARN": ARN, "SecretString": self.value}
