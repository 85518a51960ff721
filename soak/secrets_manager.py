"""Secrets Manager: secrets, and their versions."""

from collections.abc import Mapping
from typing import Any

from soak.errors import Refused


class Secrets:
    """Secrets by ARN."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._versions = dict.fromkeys(values, 1)

    def __getitem__(self, arn: str) -> str:
        return self._values[arn]

    def put(self, arn: str, value: str) -> None:
        """Store a new value."""
        self._values[arn] = value
        self._versions[arn] += 1

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of Secrets Manager. Raises `Refused`."""
        arn = request.get("SecretId", "")
        if operation != "GetSecretValue" or arn not in self._values:
            raise Refused("ResourceNotFoundException")
        return {"ARN": arn, "SecretString": self._values[arn], "VersionId": f"{arn}-{self._versions[arn]}"}
