"""``reconcile``: have the whole pool compared with the records, now and not when the schedule says."""

import argparse
from typing import Any

from manage import reconcile_client
from manage.commands import report
from manage.console import Console
from manage.deployment import Deployment
from manage.stack import Stack

NAME = "reconcile"
HELP = "compare the whole pool with the records, and bring into step who is not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stop", action="store_true", help="end the run that is under way, as it stands")
    what.add_argument("--wait", action="store_true", help="until the run has ended")
    parser.add_argument("--dry-run", action="store_true", help="count, and hand on nobody")
    parser.add_argument(
        "--backfill",
        action="store_true",
        help="also who was never enrolled. Whop writes to each address that it enrols",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before a backfill")


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Give the order; the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    if arguments.stop:
        return _answer(deployment, console, _order(deployment, {"command": "stop"}))
    order = {"command": "start", "backfill": arguments.backfill, "dry_run": arguments.dry_run}
    if arguments.backfill and not arguments.dry_run:
        console.say(
            f"Everybody in user pool {deployment.pool_id} is enrolled. Whop writes to each address that it enrols."
        )
        if not arguments.yes and not console.confirm("Enrol them?"):
            console.answer("Nothing was begun.", outcome="declined", stack=stack.name, user_pool_id=deployment.pool_id)
            return 1
    told = _order(deployment, order)
    if arguments.wait:
        users = stack.cognito.describe_user_pool(UserPoolId=deployment.pool_id)["UserPool"].get(
            "EstimatedNumberOfUsers"
        )
        with console.progress("reconcile", users) as progress:
            told = reconcile_client.follow(deployment, told["run"], progress.show)
    return _answer(deployment, console, told)


def _order(deployment: Deployment, order: dict[str, Any]) -> dict[str, Any]:
    told = " ".join([NAME, *(name for name, value in order.items() if value is True), order["command"]])
    with deployment.audit.act(told) as act:
        answer = reconcile_client.send(deployment, order)
        act.outcome = answer["run"]
    return answer


def _answer(deployment: Deployment, console: Console, run: dict[str, Any]) -> int:
    outcome = run["outcome"] or "started"
    later = "" if run["outcome"] else "\nIt goes on by itself; `report` says how it stands."
    console.answer(
        f"{report.lines(run)}{later}",
        outcome=outcome,
        stack=deployment.stack.name,
        user_pool_id=deployment.pool_id,
        run=run,
    )
    return 1 if outcome in ("replaced", "gave_up") else 0
