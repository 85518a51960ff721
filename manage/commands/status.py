"""``status USER``: how a user stands in the pool and in the records, and what commands did to the user."""

import argparse
import dataclasses
from datetime import UTC, datetime
from typing import Any

from manage import audit, users
from manage.console import Console
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.users.lifecycle import next_action
from whop_chat.users.record import Record

NAME = "status"
HELP = "show how a user stands in the pool and in the records"

# These are made of attributes or secrets, or mean nothing to an operator.
_HIDDEN = ("version", "idempotency_key", "email_digest", "profile_digest")
_TIMES = ("lease_until", "key_since", "retry_at", "name_unsettled_until", "synced_at", "repaired_at", "cleaned_at", "mints_since")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    users.add_argument(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Show the user and return the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    found = users.find(deployment, arguments.user)
    record, acts = _as_data(found.record), deployment.audit.entries(found.user.sub)
    next_step = next_action(found.record.status if found.record else None, found.standing)
    lines = [
        f"User {found.user.sub} of user pool {deployment.pool_id}:",
        f"  in the pool  {found.standing}",
        f"  in the table {record.pop('status', 'no record')}",
        *(f"    {name} = {value}" for name, value in record.items()),
        f"  a sync would {next_step}",
        *(f"  {audit.as_text(each)}" for each in acts),
    ]
    console.answer(
        "\n".join(lines),
        outcome="shown",
        **users.as_data(deployment, found),
        standing=found.standing,
        record=_as_data(found.record) or None,
        next_step=next_step,
        acts=acts,
    )
    return 0


def _as_data(record: Record | None) -> dict[str, Any]:
    """The fields of a record that an operator may see, with readable times."""
    fields = dataclasses.asdict(record) if record else {}
    shown = {name: value for name, value in fields.items() if value and name not in _HIDDEN}
    return shown | {name: _timestamp(shown[name]) for name in _TIMES if name in shown}


def _timestamp(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
