"""``relink USER``, ``relink --by-verified-email``: give a Whop user to the user who has its e-mail address now."""

import argparse
from collections import Counter

from manage import migration, users
from manage.console import Console, count_lines
from manage.deployment import Deployment
from manage.errors import Refused
from manage.stack import Stack
from manage.throttle import add_per_minute
from whop_chat.users.record import Status

NAME = "relink"
HELP = "give the Whop user of an e-mail address to the user who has the address now"

_WARNING = 'They can then read the chats of its former holder: see "Whose messages" in docs/security.md.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    who = parser.add_mutually_exclusive_group(required=True)
    users.add_argument(who, nargs="?")
    who.add_argument(
        "--by-verified-email",
        action="store_true",
        help="every user of the pool who is blocked for identity_conflict: for use after a pool migration",
    )
    parser.add_argument(
        "--backfill",
        action="store_true",
        help="with --by-verified-email: also the users who were never enrolled. Whop sends each of them an e-mail",
    )
    add_per_minute(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and stop")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Relink and return the exit status. Raises `Refused` and `NotDone`."""
    deployment = Deployment(stack)
    return (_relink_all if arguments.by_verified_email else _relink_one)(arguments, deployment, console)


def _relink_one(arguments: argparse.Namespace, deployment: Deployment, console: Console) -> int:
    found = users.find(deployment, arguments.user)
    data = users.as_data(deployment, found)
    if found.record and found.record.status is Status.LINKED:
        console.answer(f"User {found.user.sub} has a Whop user.", outcome="already_linked", **data)
        return 0
    if found.listed is None or not found.listed.may_sign_in:
        raise users.not_active(found.pool_status)
    console.say(
        f"User {found.user.sub} gets the Whop user of their address, also if another user holds it.\n{_WARNING}"
    )
    console.approve("Relink the user?", data, yes=arguments.yes, dry_run=arguments.dry_run)
    with users.refusing():
        outcome = migration.relink(deployment, found.user)
    console.answer(f"User {found.user.sub} has the Whop user of their address.", outcome=outcome, **data)
    return 0


def _relink_all(arguments: argparse.Namespace, deployment: Deployment, console: Console) -> int:
    if deployment.email_policy.mode == "alias":
        raise Refused(f"Stack {deployment.stack.name} enrols each sub under an alias, so there is nobody to relink.")
    found = migration.survey(deployment, console, backfill=arguments.backfill)
    data = {**deployment.as_data(), "counts": dict(found.counts)}
    console.say("\n".join([f"User pool {deployment.pool_id}:", *count_lines(sorted(found.counts.items()))]))
    if not found.to_relink:
        console.answer("There is nobody to relink.", outcome="nothing_to_do", **data)
        return 0
    console.say(
        f"{len(found.to_relink)} users get the Whop user of their address, unless an active user holds it.\n{_WARNING}"
    )
    if arguments.backfill:
        console.say("Whop sends an e-mail to each address that is enrolled.")
    console.approve("Relink them?", data, yes=arguments.yes, dry_run=arguments.dry_run)
    counts: Counter[str] = Counter()
    outcome, status, text = "completed", 0, "Done."
    try:
        migration.relink_all(deployment, console, found, arguments.per_minute, counts)
        if counts["failed"]:
            outcome, status, text = "incomplete", 1, "Some users could not be relinked. Run it again."
    except migration.GaveUp as error:
        outcome, status, text = "gave_up", 1, f"Stopped: {error} Fix that, and run it again."
    except KeyboardInterrupt:
        outcome, status, text = "interrupted", 130, "Interrupted. Run it again: it skips users who are linked."
    text = "\n".join([text, *count_lines(sorted(counts.items()))])
    console.answer(text, outcome=outcome, **data, done=dict(counts))
    return status
