"""Who a Cognito user is, to every module that needs to name one."""

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
