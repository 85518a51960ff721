"""Kept tokens in memory, without a seal."""

from whop_chat.minting.token_cache import Found, KeptToken, KeptTokens, Purpose
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.sealed import DataKey


class MemoryTokens(KeptTokens):
    """One token for each purpose; ``reading`` and ``writing`` are raised if they are set."""

    def __init__(self) -> None:
        self.kept: dict[Purpose, tuple[str, KeptToken]] = {}
        self.reading: Exception | None = None
        self.writing: Exception | None = None
        self.seconds: list[float] = []
        """What each call had time for."""

    def find(self, purpose: Purpose, *, deadline: Deadline) -> Found:
        """See `whop_chat.minting.token_cache.KeptTokens.find`."""
        self.seconds.append(deadline.remaining())
        if self.reading is not None:
            raise self.reading
        return _Open(purpose, self.kept.get(purpose))

    def keep(self, purpose: Purpose, whop_user_id: str, kept: KeptToken, *, deadline: Deadline) -> None:
        """See `whop_chat.minting.token_cache.KeptTokens.keep`."""
        self.seconds.append(deadline.remaining())
        if self.writing is not None:
            raise self.writing
        self.kept[purpose] = whop_user_id, kept


class _Open(Found):
    def __init__(self, purpose: Purpose, kept: tuple[str, KeptToken] | None) -> None:
        super().__init__(purpose, "biz_Company", DataKey("1", b""), {"kept": kept})

    def opened(self, whop_user_id: str) -> KeptToken | None:
        """See `whop_chat.minting.token_cache.Found.opened`."""
        kept = self.item["kept"]
        return kept[1] if kept and kept[0] == whop_user_id else None
