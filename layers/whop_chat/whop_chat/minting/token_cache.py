"""The last token of each user, sealed, in the users table, where it expires by itself.

``TOKEN#<pool>#<sub>#<scope hash>`` holds one token: AES-256-GCM (NIST SP 800-38D) under the data key, with a random
nonce. What the token is for and how long it is good is the associated data, so an item that was moved or changed, that
is of another Whop user or company, or was sealed with another key, cannot be opened and counts as not there.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from whop_chat.cognito.user import UserRef
from whop_chat.runtime.aws import aws_call
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.sealed import DataKey
from whop_chat.runtime.secrets import CachedSecret

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Who and what a token is for, but for the Whop user: that is known when the user's record is."""

    user: UserRef
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token that was given to the user before; its times are kept to the second."""

    token: str = field(repr=False)
    minted_at: datetime
    expires_at: datetime


class TokenCache:
    """The tokens for the users of one company.

    Methods raise `whop_chat.runtime.aws.AwsError`, `whop_chat.runtime.deadline.DeadlineExceeded` and
    `whop_chat.runtime.sealed.UnusableDataKey`.
    """

    def __init__(self, aws: AwsClients, table: str, secret: CachedSecret[DataKey], company_id: str) -> None:
        self._aws = aws
        self._table = table
        self._secret = secret
        self._company_id = company_id

    def load(self, cache_key: CacheKey, *, deadline: Deadline) -> "CacheEntry":
        """What is kept for ``purpose``, still sealed. An older token than the last may be found: none is worse."""
        key = self._secret.current(deadline=deadline)
        with aws_call(deadline):
            answer = self._aws.dynamodb.get_item(TableName=self._table, Key={"pk": {"S": _place(cache_key)}})
        return CacheEntry(cache_key, self._company_id, key, answer.get("Item", {}))

    def store(self, cache_key: CacheKey, whop_user_id: str, token: CachedToken, *, deadline: Deadline) -> None:
        """Keep a token, in place of the one that is kept for this purpose."""
        key = self._secret.current(deadline=deadline)
        minted_at, expires_at = int(token.minted_at.timestamp()), int(token.expires_at.timestamp())
        about = _about(cache_key, self._company_id, whop_user_id, minted_at, expires_at)
        nonce = os.urandom(_NONCE_BYTES)
        encrypted = nonce + AESGCM(key.value).encrypt(nonce, token.token.encode(), about)
        item: dict[str, Any] = {
            "pk": {"S": _place(cache_key)},
            "key_id": {"S": key.id},
            "encrypted": {"B": encrypted},
            "minted_at": {"N": str(minted_at)},
            "expires_at": {"N": str(expires_at)},
            "ttl": {"N": str(expires_at)},
        }
        with aws_call(deadline):
            self._aws.dynamodb.put_item(TableName=self._table, Item=item)


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What was found, perhaps nothing."""

    cache_key: CacheKey
    company_id: str
    key: DataKey
    item: Mapping[str, Any] = field(repr=False)

    def decrypt(self, whop_user_id: str) -> CachedToken | None:
        """The token, if there is one that was minted for this Whop user and this purpose; None for anything else."""
        try:
            if self.item["key_id"]["S"] != self.key.id:
                return None
            minted_at, expires_at = (int(self.item[name]["N"]) for name in ("minted_at", "expires_at"))
            encrypted = bytes(self.item["encrypted"]["B"])
            about = _about(self.cache_key, self.company_id, whop_user_id, minted_at, expires_at)
            token = AESGCM(self.key.value).decrypt(encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], about)
        except (AttributeError, KeyError, TypeError, ValueError, InvalidTag):
            return None
        return CachedToken(token.decode(), *(datetime.fromtimestamp(time, UTC) for time in (minted_at, expires_at)))


def _place(cache_key: CacheKey) -> str:
    scopes = hashlib.sha256(" ".join(sorted(cache_key.scopes)).encode()).hexdigest()[:16]
    return f"TOKEN#{cache_key.user.pool_id}#{cache_key.user.sub}#{scopes}"


def _about(cache_key: CacheKey, company_id: str, whop_user_id: str, minted_at: int, expires_at: int) -> bytes:
    """JSON, in which no two different lists look alike."""
    user = cache_key.user
    return json.dumps(
        [user.pool_id, user.sub, company_id, whop_user_id, sorted(cache_key.scopes), minted_at, expires_at]
    ).encode()
