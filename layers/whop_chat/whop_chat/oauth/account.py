"""Whether a user's record lets them use or link their own Whop account. An operator's word counts here too."""

from whop_chat.cognito.pool import UserDisabled, UserGone
from whop_chat.enrolment.errors import Denied
from whop_chat.users.record import Record, Status


def require_allowed(record: Record | None) -> None:
    """Raise `Denied`, `UserDisabled` or `UserGone` for the record of a user who may not chat."""
    match record.status if record else None:
        case Status.DENIED:
            raise Denied
        case Status.DISABLED:
            raise UserDisabled
        case Status.DELETED:
            raise UserGone
