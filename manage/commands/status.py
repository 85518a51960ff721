"""``status USER``: the user in the pool and in the records, what a sync would do, and what operators did to them."""

import argparse
import dataclasses
import time
from typing import Any

from manage import audit, users
from manage.console import Console, timestamp
from manage.deployment import Deployment
from manage.explain import address_state, next_step, pool_status, record_status
from manage.stack import Stack
from whop_chat.users.lifecycle import next_action
from whop_chat.users.record import Record

NAME = "status"
HELP = "show a user in the pool and in the records, and what a sync would do"

# These are made of attributes or secrets, or mean nothing to an operator.
_HIDDEN = (
    "version",
    "idempotency_key",
    "email_digest",
    "profile_digest",
    "blocked_digest",
    "picture_digest",
    "picture_content",
)
_TIMES = (
    "lease_until",
    "key_since",
    "retry_at",
    "name_unsettled_until",
    "synced_at",
    "repaired_at",
    "cleaned_at",
    "picture_at",
    "mints_since",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    users.add_argument(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Show the user and return the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    found = users.find(deployment, arguments.user, pool=deployment.enrolment.pool)
    record, acts = found.record, deployment.audit.entries(found.user.sub)
    address = address_state(found.listed, deployment.email_policy)
    step = next_step(found.listed, record, deployment.email_policy, time.time())
    holder = _holder(deployment, record)
    lines = [
        f"User {found.user.sub} of user pool {deployment.pool_id}:",
        f"  in the pool     {pool_status(found.pool_status)}",
        f"  e-mail address  {address}",
        f"  in the table    {record_status(record)}",
        *(f"    {name} = {value}" for name, value in _as_data(record).items() if name != "status"),
        *([f"  the Whop user of their address is held by {holder}"] if holder else []),
        f"  a sync would    {step}",
        *(f"  {audit.as_text(each)}" for each in acts),
    ]
    console.answer(
        "\n".join(lines),
        outcome="shown",
        **users.as_data(deployment, found),
        pool_status=found.pool_status,
        address=address,
        record=_as_data(record) or None,
        holder=holder,
        next_action=next_action(record.status if record else None, found.pool_status),
        next_step=step,
        acts=acts,
    )
    return 0


def _holder(deployment: Deployment, record: Record | None) -> str | None:
    """The ``sub`` that holds the Whop user of a blocked user's address."""
    if record is None or record.conflict_whop_user_id is None:
        return None
    holder = deployment.users.holder(record.conflict_whop_user_id, deadline=deployment.deadline())
    return holder.sub if holder else None


def _as_data(record: Record | None) -> dict[str, Any]:
    """The fields of a record that an operator may see, with readable times."""
    fields = dataclasses.asdict(record) if record else {}
    shown = {name: value for name, value in fields.items() if value and name not in _HIDDEN}
    return shown | {name: timestamp(shown[name]) for name in _TIMES if name in shown}
