"""The reference to a Cognito user that every module uses."""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class UserRef:
    """One user of one pool.

    ``sub`` is the identity: Cognito never gives it to a second person. ``username`` is only the parameter of Cognito's
    API. It can be an e-mail address. When its owner is deleted, another person can get it.
    """

    pool_id: str
    sub: str
    username: str = field(repr=False)


def is_sub(text: str) -> bool:
    """Whether ``text`` can be a ``sub``. Cognito's are UUIDs. No other text may get into a filter."""
    return re.fullmatch(r"[A-Za-z0-9_-]{1,128}", text) is not None
