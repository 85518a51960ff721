"""The data key that encrypts cached tokens. It is a secret of its own, so a rotated API key does not change it."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.secrets import CachedSecret

# The template asks for letters and digits. 43 of them carry 256 bits.
MIN_CHARACTERS = 43
_NONCE_BYTES = 12


class UnusableDataKey(Retryable):
    """The secret is no text, or too short for a key."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key of 256 bits for AES-GCM (NIST SP 800-38D). ``id`` is the version of the secret."""

    id: str
    value: bytes = field(repr=False)

    def encrypt(self, text: str, associated_data: bytes) -> bytes:
        """``text`` encrypted under a random nonce, which the result begins with."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.value).encrypt(nonce, text.encode(), associated_data)

    def decrypt(self, encrypted: bytes, associated_data: bytes) -> str:
        """The text of `encrypt`. Raises `ValueError` if the key, the data or the associated data is another."""
        nonce, ciphertext = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
        try:
            return AESGCM(self.value).decrypt(nonce, ciphertext, associated_data).decode()
        except InvalidTag:
            raise ValueError("not encrypted with this key and associated data") from None


def data_key(aws: AwsClients, secret_arn: str) -> CachedSecret[DataKey]:
    """The key, hashed from the random text of a secret. Its `current` raises `UnusableDataKey`."""
    return CachedSecret(aws, secret_arn, _made_of)


def _made_of(answer: Mapping[str, Any]) -> DataKey:
    secret, version = answer.get("SecretString"), answer.get("VersionId")
    if not isinstance(secret, str) or not isinstance(version, str) or len(secret) < MIN_CHARACTERS:
        raise UnusableDataKey("the secret is too short for a data key")
    return DataKey(version, hashlib.sha256(secret.encode()).digest())
