"""The data key that encrypts cached tokens. It is a secret of its own, so a rotated API key does not change it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.secrets import CachedSecret

# The template asks for letters and digits. 43 of them carry 256 bits.
MIN_CHARACTERS = 43


class UnusableDataKey(Retryable):
    """The secret is no text, or too short for a key."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key of 256 bits. ``id`` is the version of the secret."""

    id: str
    value: bytes = field(repr=False)


def data_key(aws: AwsClients, secret_arn: str) -> CachedSecret[DataKey]:
    """The key, hashed from the random text of a secret. Its `current` raises `UnusableDataKey`."""
    return CachedSecret(aws, secret_arn, _made_of)


def _made_of(answer: Mapping[str, Any]) -> DataKey:
    secret, version = answer.get("SecretString"), answer.get("VersionId")
    if not isinstance(secret, str) or not isinstance(version, str) or len(secret) < MIN_CHARACTERS:
        raise UnusableDataKey("the secret is too short for a data key")
    return DataKey(version, hashlib.sha256(secret.encode()).digest())
