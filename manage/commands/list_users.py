"""``list --blocked [REASON]``: the users who cannot be enrolled, why, and who holds their Whop user."""

import argparse
from collections.abc import Iterator
from typing import Any

from manage.console import Console, timestamp
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.errors import BLOCK_REASONS
from whop_chat.runtime.aws import MAX_READ
from whop_chat.users.record import Record, Status

NAME = "list"
HELP = "list the users who cannot be enrolled, and why"
_EVERY_REASON = "every reason"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "--blocked",
        metavar="REASON",
        nargs="?",
        const=_EVERY_REASON,
        required=True,
        choices=(_EVERY_REASON, *sorted(BLOCK_REASONS)),
        help=f"the blocked users, or only those blocked for REASON: {', '.join(sorted(BLOCK_REASONS))}",
    )


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """List the users and return the exit status. Raises the errors of AWS."""
    deployment = Deployment(stack)
    reason = None if arguments.blocked == _EVERY_REASON else arguments.blocked
    users = [
        _as_data(deployment, user, record)
        for user, record in _records(deployment)
        if record.status is Status.BLOCKED and reason in (None, record.reason)
    ]
    lines = [f"{len(users)} users of user pool {deployment.pool_id} are blocked:", *map(_as_text, users)]
    console.answer("\n".join(lines), outcome="shown", **deployment.as_data(), users=users)
    return 0


def _records(deployment: Deployment) -> Iterator[tuple[UserRef, Record]]:
    """Each user of the pool with a readable record, in the order of the table."""
    after: str | None = None
    while True:
        page = deployment.users.scan(deployment.pool_id, after, deadline=deployment.deadline())
        users = [UserRef(pool_id=deployment.pool_id, sub=sub, username=sub) for sub in page.keys]
        for start in range(0, len(users), MAX_READ):
            found = deployment.users.get_many(users[start : start + MAX_READ], deadline=deployment.deadline())
            yield from ((user, record) for user, record in found.items() if record is not None)
        after = page.next_key
        if after is None:
            return


def _as_data(deployment: Deployment, user: UserRef, record: Record) -> dict[str, Any]:
    holder = None
    if record.conflict_whop_user_id is not None:
        holder = deployment.users.holder(record.conflict_whop_user_id, deadline=deployment.deadline())
    return {
        "sub": user.sub,
        "reason": record.reason,
        "retry_at": timestamp(record.retry_at) if record.retry_at else None,
        "whop_user_id": record.conflict_whop_user_id,
        "holder": holder.sub if holder else None,
    }


def _as_text(user: dict[str, Any]) -> str:
    held = f", {user['whop_user_id']} is held by {user['holder']}" if user["holder"] else ""
    again = f", tried again from {user['retry_at']} on" if user["retry_at"] else ""
    return f"  {user['sub']}: {user['reason']}{held}{again}"
