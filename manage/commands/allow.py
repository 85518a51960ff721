"""``allow USER``: take a denial back."""

import argparse

from manage import users
from manage.console import Console
from manage.deployment import Site
from manage.stack import Stack
from whop_chat.sync.queue import Source
from whop_chat.users import admin as directory_admin
from whop_chat.users.repository import Status

NAME = "allow"
HELP = "undo deny"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    users.add_argument(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Allow; the exit status. Raises `Refused`."""
    site = Site(stack)
    person = users.find(site, arguments.user)
    data = users.as_data(site, person)
    if person.record is None or person.record.status is not Status.DENIED:
        console.answer(f"User {person.user.sub} is not shut out.", outcome="not_denied", **data)
        return 0
    with site.audit.act(NAME, person.user.sub) as act, users.understood():
        directory_admin.allow(site.users, person.user, deadline=site.deadline())
        # The pool may have disabled or renamed them meanwhile.
        site.queue.send(person.user, Source.COMMAND, deadline=site.deadline())
        act.outcome = "allowed"
    console.answer(f"User {person.user.sub} is let in as before, as far as the pool does.", outcome=act.outcome, **data)
    return 0
