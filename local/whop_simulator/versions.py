"""The dated versions of Whop's API and the field names that changed with them."""

from local.whop_simulator import rules
from local.whop_simulator.rules import implements
from local.whop_simulator.wire import ApiError

OLDEST = "2025-01-01"
SDK_PIN = "2026-10-15-1"

_MONTHS = {
    "2025-01": "01",
    "2026-06": "08 09 20",
    "2026-07": "01 08 08-1 18 20 22 23 25 26 27 29 29-1 31",
    "2026-08": "03 05 05-1 10 12 13 14 21 21-1 25 25-1 25-2 31",
    "2026-09": "02 02-1 02-2 04 06 09 09-1 11 11-1 13 15 22 22-1 22-2 22-3 22-4 23 24 24-1 25 29",
    "2026-10": "07-2 08 09-2 13-1 15-1",
    "2026-11": "03-1",
}

KNOWN: tuple[str, ...] = tuple(f"{month}-{day}" for month, days in _MONTHS.items() for day in days.split())
LATEST = KNOWN[-1]


@implements(rules.VERSION_KNOWN, rules.VERSION_LIST)
def resolve(header: str | None, pinned: str | None) -> str:
    """The API version of a call. Raises `ApiError` (400) for an unknown date."""
    version = header or pinned or OLDEST
    if version not in KNOWN:
        raise ApiError(
            400, f"Unknown Api-Version-Date: {version}. Supported versions: {', '.join(KNOWN)}.", code="version_unknown"
        )
    return version


def at_least(version: str, since: str) -> bool:
    """Whether ``version`` is ``since`` or newer. Both must be known dates."""
    return KNOWN.index(version) >= KNOWN.index(since)


USERS_QUERY_ACCOUNT = "2026-06-08"
PARENT_OBJECT = "2026-07-31"
NATIVE_FILES = "2026-08-21-1"
TOKENS_ACCOUNT = "2026-09-02-2"
