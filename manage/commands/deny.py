"""``deny USER``: deny a user chat, at once and until ``allow``."""

import argparse

from manage import users
from manage.console import Console
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.users import admin
from whop_chat.users.record import Status

NAME = "deny"
HELP = "deny a user chat, until allow"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    users.add_argument(parser)
    parser.add_argument("--reason", metavar="TEXT", help="why, for the audit: no personal data, because it is kept")


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Deny the user and return the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    found = users.find(deployment, arguments.user)
    data = users.as_data(deployment, found)
    if found.record and found.record.status is Status.DENIED:
        console.answer(f"User {found.user.sub} is denied already.", outcome="already_denied", **data)
        return 0
    with deployment.audit.entry(NAME, found.user.sub, reason=arguments.reason) as entry, users.refusing():
        admin.deny(deployment.users, found.user, deadline=deployment.deadline())
        entry.outcome = "denied"
    minutes = stack.parameters.get("TokenTtlMinutes", "180")
    text = f"User {found.user.sub} gets no more tokens. A token from Whop stays valid for at most {minutes} minutes."
    console.answer(text, outcome=entry.outcome, **data)
    return 0
