"""Who a Cognito user is, to every module that needs to name one."""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class UserRef:
    """One user of one pool.

    ``sub`` is the identity: Cognito never gives it to a second person. ``username`` is only the handle that Cognito's
    API takes; it can be an e-mail address, and it can pass to another person when its first owner is deleted.
    """

    pool_id: str
    sub: str
    username: str = field(repr=False)


def is_sub(text: str) -> bool:
    """Whether ``text`` can be a ``sub``. Cognito's are UUIDs; nothing else may reach a filter expression."""
    return re.fullmatch(r"[A-Za-z0-9_-]{1,128}", text) is not None
