"""``reconcile``: compare the whole pool with the records, now instead of on schedule."""

import argparse
from typing import Any

from manage import reconcile_client
from manage.commands import report
from manage.console import Console
from manage.deployment import Deployment
from manage.errors import Refused
from manage.stack import Stack

NAME = "reconcile"
HELP = "compare the whole pool with the records, and sync the users that are out of step"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stop", action="store_true", help="end the run that is under way")
    what.add_argument(
        "--continue",
        dest="resume",
        action="store_true",
        help="continue the run whose invocation was killed, at once. A tick continues it within five minutes",
    )
    what.add_argument("--wait", action="store_true", help="wait until the run has ended")
    parser.add_argument("--dry-run", action="store_true", help="only count; sync nobody")
    parser.add_argument(
        "--backfill",
        action="store_true",
        help="also enrol the users who were never enrolled. Whop sends each of them an e-mail",
    )
    parser.add_argument(
        "--include-passwordless",
        action="store_true",
        help="with --backfill: also users with a password to set, whom nothing has proved able to sign in",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before a backfill")


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Send the command and return the exit status. Raises `Refused` and `NotDone`."""
    deployment = Deployment(stack)
    if arguments.stop:
        return _answer(deployment, console, _send(deployment, {"command": "stop"}))
    if arguments.resume:
        return _answer(deployment, console, _send(deployment, {"command": "continue", "force": True}))
    if arguments.include_passwordless and not arguments.backfill:
        raise Refused("--include-passwordless goes with --backfill.")
    if arguments.backfill and not arguments.dry_run:
        console.say(
            f"This enrols every user of {deployment.pool_id} who can sign in and was never enrolled. Whop sends an "
            "e-mail to each of them, and nothing can take these back. `--dry-run` counts them first."
        )
        data = deployment.as_data()
        console.approve("Enrol them?", data, yes=arguments.yes, otherwise="Nothing was started.")
    options = {
        "backfill": arguments.backfill,
        "dry_run": arguments.dry_run,
        "include_passwordless": arguments.include_passwordless,
    }
    state = _send(deployment, {"command": "start", **options})
    if arguments.wait:
        pool = stack.cognito.describe_user_pool(UserPoolId=deployment.pool_id)["UserPool"]
        with console.progress("reconcile", pool.get("EstimatedNumberOfUsers")) as progress:
            state = reconcile_client.follow(deployment, state["run"], progress.show)
    return _answer(deployment, console, state)


def _send(deployment: Deployment, command: dict[str, Any]) -> dict[str, Any]:
    action = " ".join([NAME, *(name for name, value in command.items() if value is True), command["command"]])
    with deployment.audit.entry(action) as entry:
        state = reconcile_client.send(deployment, command)
        entry.outcome = state["run"]
    return state


def _answer(deployment: Deployment, console: Console, run: dict[str, Any]) -> int:
    outcome = run["outcome"] or "started"
    hint = "" if run["outcome"] else "\nThe run continues by itself; `report` shows its state."
    console.answer(f"{report.lines(run)}{hint}", outcome=outcome, **deployment.as_data(), run=run)
    return 1 if outcome in ("replaced", "gave_up") else 0
