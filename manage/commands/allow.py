"""``allow USER``: take a denial back."""

import argparse

from manage import users
from manage.console import Console
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.sync.queue import Source
from whop_chat.users import admin as directory_admin
from whop_chat.users.record import Status

NAME = "allow"
HELP = "undo deny"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    users.add_argument(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Allow; the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    found = users.find(deployment, arguments.user)
    data = users.as_data(deployment, found)
    if found.record is None or found.record.status is not Status.DENIED:
        console.answer(f"User {found.user.sub} is not shut out.", outcome="not_denied", **data)
        return 0
    with deployment.audit.act(NAME, found.user.sub) as act, users.understood():
        directory_admin.allow(deployment.users, found.user, deadline=deployment.deadline())
        # The pool may have disabled or renamed them meanwhile.
        deployment.queue.send(found.user, Source.COMMAND, deadline=deployment.deadline())
        act.outcome = "allowed"
    console.answer(f"User {found.user.sub} is let in as before, as far as the pool does.", outcome=act.outcome, **data)
    return 0
