"""The key that kept tokens are sealed with: a secret of its own, so that the API key's fate is not theirs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.secrets import CachedSecret

# Of the 62 letters and digits that the template asks for, 43 have the 256 bits of the key.
MIN_CHARACTERS = 43


class UnusableDataKey(Retryable):
    """The secret holds nothing that a key could be made of."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key of 256 bits; ``id`` is the version of the secret that it was made of."""

    id: str
    value: bytes = field(repr=False)


def data_key(aws: AwsClients, secret_arn: str) -> CachedSecret[DataKey]:
    """The key made of the secret under ``secret_arn``, a random text; its `current` raises `UnusableDataKey`."""
    return CachedSecret(aws, secret_arn, _made_of)


def _made_of(answer: Mapping[str, Any]) -> DataKey:
    secret, version = answer.get("SecretString"), answer.get("VersionId")
    if not isinstance(secret, str) or not isinstance(version, str) or len(secret) < MIN_CHARACTERS:
        raise UnusableDataKey("the secret is too short for a data key")
    return DataKey(version, hashlib.sha256(secret.encode()).digest())
