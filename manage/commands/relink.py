"""``relink USER``, ``relink --by-verified-email``: give a Whop user to whoever has the e-mail address now."""

import argparse
from collections import Counter

from manage import migration, throttle, users
from manage.console import Console, Refused
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.cognito.pool import Standing
from whop_chat.users.record import Status

NAME = "relink"
HELP = "give the Whop user of an e-mail address to the user who has the address now"

_READ = 'Who has it then reads what its holder before wrote and got: see "Whose messages" in docs/security.md.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    who = parser.add_mutually_exclusive_group(required=True)
    users.add_argument(who, nargs="?")
    who.add_argument(
        "--by-verified-email",
        action="store_true",
        help="everybody in the pool who is blocked for identity_conflict: after the pool was migrated",
    )
    parser.add_argument(
        "--backfill",
        action="store_true",
        help="with --by-verified-email: also who was never enrolled. Whop writes to each address that it enrols",
    )
    throttle.add_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and stop")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Relink; the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    return (_everybody if arguments.by_verified_email else _one)(arguments, deployment, console)


def _one(arguments: argparse.Namespace, deployment: Deployment, console: Console) -> int:
    found = users.find(deployment, arguments.user)
    data = users.as_data(deployment, found)
    if found.record and found.record.status is Status.LINKED:
        console.answer(f"User {found.user.sub} has a Whop user.", outcome="already_linked", **data)
        return 0
    if found.standing is not Standing.ACTIVE:
        raise users.not_active(found.standing)
    console.say(f"User {found.user.sub} gets the Whop user of their e-mail address, whoever has it.\n{_READ}")
    if arguments.dry_run:
        console.answer("Nothing was written.", outcome="dry_run", **data)
        return 0
    if not arguments.yes and not console.confirm("Give it to them?"):
        console.answer("Nothing was written.", outcome="declined", **data)
        return 1
    with users.understood():
        outcome = migration.relink(deployment, found.user)
    console.answer(f"User {found.user.sub} has the Whop user of their address.", outcome=outcome, **data)
    return 0


def _everybody(arguments: argparse.Namespace, deployment: Deployment, console: Console) -> int:
    if deployment.addresses.mode == "alias":
        raise Refused(f"Stack {deployment.stack.name} enrols under aliases, so no address is anybody else's.")
    found = migration.survey(deployment, console, backfill=arguments.backfill)
    data = {"stack": deployment.stack.name, "user_pool_id": deployment.pool_id, "counts": dict(found.counts)}
    console.say(f"User pool {deployment.pool_id}:\n{_lines(found.counts)}")
    if not found.wanted:
        console.answer("There is nobody to relink.", outcome="nothing_to_do", **data)
        return 0
    if arguments.dry_run:
        console.answer("Nothing was written.", outcome="dry_run", **data)
        return 0
    console.say(f"{len(found.wanted)} users get the Whop user of their e-mail address, whoever has it.\n{_READ}")
    if arguments.backfill:
        console.say("Whop writes to each address that it enrols.")
    if not arguments.yes and not console.confirm("Give it to them?"):
        console.answer("Nothing was written.", outcome="declined", **data)
        return 1
    done: Counter[str] = Counter()
    outcome, status, text = "completed", 0, "Done."
    try:
        migration.relink_all(deployment, console, found, arguments.per_minute, done)
        if done["failed"]:
            outcome, status, text = "incomplete", 1, "Some could not be relinked: run it again."
    except migration.GaveUp as error:
        outcome, status, text = "gave_up", 1, f"Given up: {error} Run it again when that is mended."
    except KeyboardInterrupt:
        outcome, status, text = "interrupted", 130, "Stopped. Run it again to go on: who is linked is passed by."
    console.answer(f"{text}\n{_lines(done)}", outcome=outcome, **data, done=dict(done))
    return status


def _lines(counts: Counter[str]) -> str:
    return "\n".join(f"  {name:<14}{count:>8}" for name, count in sorted(counts.items()))
