"""Texts sealed under the stack's data keys: AES-GCM (NIST SP 800-38D), bound to what the text is for.

The data keys are a secret of their own, so a rotated API key does not change them. The secret is a ring,
``{"current": "<id>", "keys": {"<id>": "<random text>"}}``. The current key seals, and every key opens. The template
makes one plain random text, which is a ring of one key.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.secrets import CachedSecret

# The template asks for letters and digits. 43 of them carry 256 bits.
MIN_CHARACTERS = 43
_NONCE_BYTES = 12


class UnusableDataKey(Retryable):
    """The secret is not a ring of data keys, or a key in it is too short. An operator has to repair it."""


class UnknownDataKey(Retryable):
    """The ring does not have the key that a text was sealed with."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed text, and the id of the key that opens it."""

    key_id: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The data keys: their random texts by id. ``current`` is the id of the key that seals."""

    current: str
    keys: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_secret(cls, text: object) -> "KeyRing":
        """The ring in the text of a secret. Raises `UnusableDataKey`, whose message repeats nothing of it."""
        ring = _ring(text)
        if ring is None:
            raise UnusableDataKey('the secret is neither {"current", "keys"} nor a random text')
        if not all(len(key) >= MIN_CHARACTERS for key in ring.keys.values()):
            raise UnusableDataKey(f"a data key has fewer than {MIN_CHARACTERS} characters")
        return ring

    def to_secret(self) -> str:
        """The text of the secret with this ring."""
        return json.dumps({"current": self.current, "keys": dict(self.keys)})

    def with_new_key(self) -> "KeyRing":
        """This ring with one more key, which is the current one."""
        key = secrets.token_urlsafe(48)
        return KeyRing(_id_of(key), {**self.keys, _id_of(key): key})

    def with_current_only(self) -> "KeyRing":
        """This ring without the older keys. What they sealed is lost."""
        return KeyRing(self.current, {self.current: self.keys[self.current]})

    def seal(self, text: str, purpose: bytes) -> Sealed:
        """``text`` sealed with the current key, under a random nonce, which the data begins with."""
        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(self.current, nonce + self._cipher(self.current).encrypt(nonce, text.encode(), purpose))

    def open(self, sealed: Sealed, purpose: bytes) -> str:
        """The text of `seal`. Raises `UnknownDataKey`, and `ValueError` if data or purpose is another."""
        if sealed.key_id not in self.keys:
            raise UnknownDataKey
        nonce, ciphertext = sealed.data[:_NONCE_BYTES], sealed.data[_NONCE_BYTES:]
        try:
            return self._cipher(sealed.key_id).decrypt(nonce, ciphertext, purpose).decode()
        except InvalidTag:
            raise ValueError("not sealed with this key for this purpose") from None

    def _cipher(self, key_id: str) -> AESGCM:
        return AESGCM(hashlib.sha256(self.keys[key_id].encode()).digest())


def data_keys(aws: AwsClients, secret_arn: str) -> CachedSecret[KeyRing]:
    """The ring in a secret. Its `current` raises `UnusableDataKey`."""
    return CachedSecret(aws, secret_arn, _ring_of)


def opened(keys: CachedSecret[KeyRing], sealed: Sealed, purpose: bytes, *, deadline: Deadline) -> str:
    """The text of ``sealed``. A key that the cached ring lacks may be new, so the secret is then read again.

    Raises what `KeyRing.open` and `whop_chat.runtime.secrets.CachedSecret` raise.
    """
    ring = keys.current(deadline=deadline)
    if sealed.key_id not in ring.keys:
        ring = keys.after_refusal(ring, deadline=deadline) or ring
    return ring.open(sealed, purpose)


def purpose(*parts: str) -> bytes:
    """What a sealed text is for. Two different lists of ``parts`` never have the same purpose."""
    return json.dumps(parts).encode()


def _ring_of(answer: Mapping[str, Any]) -> KeyRing:
    return KeyRing.from_secret(answer.get("SecretString"))


def _ring(text: object) -> KeyRing | None:
    if not isinstance(text, str) or not text.startswith("{"):
        return KeyRing(_id_of(text), {_id_of(text): text}) if isinstance(text, str) and text else None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match document:
        case {"current": str(current), "keys": dict(keys)} if current in keys and len(document) == 2:
            return KeyRing(current, keys) if all(isinstance(key, str) for key in keys.values()) else None
    return None


def _id_of(key: str) -> str:
    """An id that says nothing about the key."""
    return hashlib.sha256(f"whop-chat data key id {key}".encode()).hexdigest()[:16]
