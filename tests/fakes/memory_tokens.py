"""Kept tokens in memory, without a seal."""

from whop_chat.minting.token_cache import CachedToken, CacheEntry, CacheKey, TokenCache
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.sealed import KeyRing


class MemoryTokenCache(TokenCache):
    """One token for each purpose; ``reading`` and ``writing`` are raised if they are set."""

    def __init__(self) -> None:
        self.kept: dict[CacheKey, tuple[str, CachedToken]] = {}
        self.reading: Exception | None = None
        self.writing: Exception | None = None
        self.seconds: list[float] = []
        """What each call had time for."""

    def load(self, cache_key: CacheKey, *, deadline: Deadline) -> CacheEntry:
        """See `whop_chat.minting.token_cache.TokenCache.load`."""
        self.seconds.append(deadline.remaining())
        if self.reading is not None:
            raise self.reading
        return _Open(cache_key, self.kept.get(cache_key))

    def store(self, cache_key: CacheKey, whop_user_id: str, kept: CachedToken, *, deadline: Deadline) -> None:
        """See `whop_chat.minting.token_cache.TokenCache.store`."""
        self.seconds.append(deadline.remaining())
        if self.writing is not None:
            raise self.writing
        self.kept[cache_key] = whop_user_id, kept


class _Open(CacheEntry):
    def __init__(self, cache_key: CacheKey, kept: tuple[str, CachedToken] | None) -> None:
        super().__init__(cache_key, "biz_Company", KeyRing("1", {}), {"kept": kept})

    def decrypt(self, whop_user_id: str) -> CachedToken | None:
        """See `whop_chat.minting.token_cache.CacheEntry.decrypt`."""
        kept = self.item["kept"]
        return kept[1] if kept and kept[0] == whop_user_id else None
