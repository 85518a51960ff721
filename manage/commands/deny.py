"""``deny USER``: shut a user out, at once and until they are let in again."""

import argparse

from manage import users
from manage.console import Console
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.users import admin as directory_admin
from whop_chat.users.record import Status

NAME = "deny"
HELP = "shut a user out, until allow"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    users.add_argument(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Deny; the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    found = users.find(deployment, arguments.user)
    data = users.as_data(deployment, found)
    if found.record and found.record.status is Status.DENIED:
        console.answer(f"User {found.user.sub} is shut out already.", outcome="already_denied", **data)
        return 0
    with deployment.audit.act(NAME, found.user.sub) as act, users.understood():
        directory_admin.deny(deployment.users, found.user, deadline=deployment.deadline())
        act.outcome = "denied"
    minutes = stack.parameters.get("TokenTtlMinutes", "180")
    text = f"User {found.user.sub} gets no token any more. One that Whop has given lives for {minutes} minutes at most."
    console.answer(text, outcome=act.outcome, **data)
    return 0
