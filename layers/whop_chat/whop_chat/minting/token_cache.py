"""The last token of each user, encrypted, in the users table, where it expires by itself.

``TOKEN#<pool>#<sub>#<scope hash>`` has one token, sealed under the data keys. Its purpose names the cache key, the
company, the Whop user and the token's times. So an item cannot be opened if it was moved or changed, is another Whop
user's or company's, or was sealed with a key that is gone. Such an item counts as missing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from whop_chat.cognito.user import UserRef
from whop_chat.runtime.aws import aws_call
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.sealed import KeyRing, Sealed, UnknownDataKey, purpose
from whop_chat.runtime.secrets import CachedSecret


@dataclass(frozen=True, slots=True)
class CacheKey:
    """The user and the scopes of a token. The Whop user is not part of it, because the record is read concurrently."""

    user: UserRef
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token that the user got before. Its times are cached in whole seconds."""

    token: str = field(repr=False)
    minted_at: datetime
    expires_at: datetime


class TokenCache:
    """The cached tokens of the users of one company.

    Methods raise `whop_chat.runtime.aws.AwsError`, `whop_chat.runtime.deadline.DeadlineExceeded` and
    `whop_chat.runtime.sealed.UnusableDataKey`.
    """

    def __init__(self, aws: AwsClients, table: str, keys: CachedSecret[KeyRing], company_id: str) -> None:
        self._aws = aws
        self._table = table
        self._keys = keys
        self._company_id = company_id

    def load(self, cache_key: CacheKey, *, deadline: Deadline) -> "CacheEntry":
        """The entry for ``cache_key``, still encrypted. The read is eventually consistent: it may be an older one."""
        keys = self._keys.current(deadline=deadline)
        with aws_call(deadline):
            answer = self._aws.dynamodb.get_item(TableName=self._table, Key={"pk": {"S": _table_key(cache_key)}})
        return CacheEntry(cache_key, self._company_id, keys, answer.get("Item", {}))

    def store(self, cache_key: CacheKey, whop_user_id: str, token: CachedToken, *, deadline: Deadline) -> None:
        """Cache ``token``, which replaces the one cached for this key."""
        keys = self._keys.current(deadline=deadline)
        minted_at, expires_at = int(token.minted_at.timestamp()), int(token.expires_at.timestamp())
        sealed = keys.seal(token.token, _purpose(cache_key, self._company_id, whop_user_id, minted_at, expires_at))
        item: dict[str, Any] = {
            "pk": {"S": _table_key(cache_key)},
            "key_id": {"S": sealed.key_id},
            "encrypted": {"B": sealed.data},
            "minted_at": {"N": str(minted_at)},
            "expires_at": {"N": str(expires_at)},
            "ttl": {"N": str(expires_at)},
        }
        with aws_call(deadline):
            self._aws.dynamodb.put_item(TableName=self._table, Item=item)


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """The answer of the cache. ``item`` is empty if it had none."""

    cache_key: CacheKey
    company_id: str
    keys: KeyRing
    item: Mapping[str, Any] = field(repr=False)

    def decrypt(self, whop_user_id: str) -> CachedToken | None:
        """The token, if it was minted for this Whop user and cache key. None for anything else."""
        try:
            minted_at, expires_at = (int(self.item[name]["N"]) for name in ("minted_at", "expires_at"))
            sealed = Sealed(self.item["key_id"]["S"], bytes(self.item["encrypted"]["B"]))
            token = self.keys.open(
                sealed, _purpose(self.cache_key, self.company_id, whop_user_id, minted_at, expires_at)
            )
        except (AttributeError, KeyError, TypeError, ValueError, UnknownDataKey):
            return None
        return CachedToken(token, *(datetime.fromtimestamp(time, UTC) for time in (minted_at, expires_at)))


def _table_key(cache_key: CacheKey) -> str:
    scopes = hashlib.sha256(" ".join(sorted(cache_key.scopes)).encode()).hexdigest()[:16]
    return f"TOKEN#{cache_key.user.pool_id}#{cache_key.user.sub}#{scopes}"


def _purpose(cache_key: CacheKey, company_id: str, whop_user_id: str, minted_at: int, expires_at: int) -> bytes:
    user, times = cache_key.user, (str(minted_at), str(expires_at))
    return purpose("token", user.pool_id, user.sub, company_id, whop_user_id, *times, *sorted(cache_key.scopes))
