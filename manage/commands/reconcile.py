"""``reconcile``: compare the whole pool with the records, now instead of on schedule.

A backfill of some users only (`manage.pilot`) is a run too, which this command enqueues itself.
"""

import argparse
import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from manage import pilot, reconcile_client
from manage.commands import report
from manage.console import Console, count_lines
from manage.deployment import Deployment
from manage.errors import NotDone, Refused
from manage.stack import Stack
from whop_chat.reconcile.checkpoint import Phase
from whop_chat.reconcile.run import new_run
from whop_chat.users.runs import RunProgress, State

NAME = "reconcile"
HELP = "compare the whole pool with the records, and sync the users that are out of step"
_LAST_RUN = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--stop",
        metavar="RUN",
        nargs="?",
        const=_LAST_RUN,
        help="stop this run, or the last one: its users who wait are not enrolled",
    )
    what.add_argument(
        "--watch", metavar="RUN", nargs="?", const=_LAST_RUN, help="show this run, or the last one, until it is done"
    )
    what.add_argument(
        "--continue",
        dest="resume",
        action="store_true",
        help="continue the run whose invocation was killed, at once. A tick continues it within five minutes",
    )
    what.add_argument("--wait", action="store_true", help="show the run until all of its users are done")
    parser.add_argument("--dry-run", action="store_true", help="only count; sync nobody")
    parser.add_argument(
        "--backfill",
        action="store_true",
        help="also enrol the users who were never enrolled. Whop sends each of them an e-mail",
    )
    pilot.add_arguments(parser)
    parser.add_argument(
        "--include-passwordless",
        action="store_true",
        help="with --backfill: also users with a password to set, whom nothing has proved able to sign in",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before a backfill")


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Send the command and return the exit status. Raises `Refused` and `NotDone`."""
    deployment = Deployment(stack)
    if arguments.stop is not None:
        return _stop(deployment, console, arguments.stop)
    if arguments.watch is not None:
        return _watch(deployment, console, arguments.watch)
    if arguments.resume:
        return _answer(deployment, console, _send(deployment, {"command": "continue", "force": True}))
    if not arguments.backfill and (arguments.include_passwordless or pilot.is_wanted(arguments)):
        raise Refused("--include-passwordless, --limit, --group, --emails-from and --subs-from go with --backfill.")
    if pilot.is_wanted(arguments):
        return _pilot(arguments, deployment, console)
    if arguments.backfill and not arguments.dry_run:
        whom = f"every user of {deployment.pool_id} who can sign in and was never enrolled"
        _ask(arguments, deployment, console, whom)
    options = {
        "backfill": arguments.backfill,
        "dry_run": arguments.dry_run,
        "include_passwordless": arguments.include_passwordless,
    }
    state = _send(deployment, {"command": "start", **options})
    return _follow(deployment, console, state["run"]) if arguments.wait else _answer(deployment, console, state)


def _ask(arguments: argparse.Namespace, deployment: Deployment, console: Console, whom: str) -> None:
    console.say(f"This enrols {whom}, and Whop sends an e-mail to each of them, which nothing can take back.")
    otherwise = "Nothing was started."
    console.approve("Enrol them?", deployment.as_data(), yes=arguments.yes, otherwise=otherwise)


def _pilot(arguments: argparse.Namespace, deployment: Deployment, console: Console) -> int:
    """Enrol the selected users."""
    found = pilot.select(deployment, console, arguments)
    counts = {"to_enrol": len(found.users), **found.counts, "not_found": len(found.lines_not_found)}
    data = {**deployment.as_data(), "counts": counts, "lines_not_found": found.lines_not_found}
    lines = count_lines((name, count) for name, count in counts.items() if count or name == "to_enrol")
    if found.lines_not_found:
        lines.append(f"No user has what these lines say: {', '.join(map(str, found.lines_not_found))}")
    summary = "\n".join(lines)
    if arguments.dry_run or not found.users:
        console.answer(summary, outcome="dry_run" if arguments.dry_run else "nothing_to_do", **data)
        return 0
    console.say(summary)
    _ask(arguments, deployment, console, f"these {len(found.users)} users of {deployment.pool_id}")
    _require_no_run(deployment)
    run = new_run(time.time())
    console.say(f"Run {run}.")
    with _may_be_left(run):
        with deployment.audit.entry(f"{NAME} backfill of {len(found.users)} users, run {run}") as entry:
            pilot.hand_on(
                deployment, console, run, found.users.values(), include_passwordless=arguments.include_passwordless
            )
            entry.outcome = "handed_on"
        users = _followed_users(deployment, console, run) if arguments.wait else None
    return _answer_users(data, deployment, console, run, users)


def _require_no_run(deployment: Deployment) -> None:
    """Raises `Refused` if the function enqueues users now. Two runs would have twice the pace of one."""
    last = deployment.checkpoints.load(deadline=deployment.deadline())
    if last is not None and last.phase is not Phase.FINISHED and not last.dry_run:
        raise Refused(f"A run is under way ({last.run}): wait for its end, or stop it.", outcome="refused")


def _stop(deployment: Deployment, console: Console, run: str) -> int:
    """Stop a run, and say how many of its users are enrolled, are not, still wait, or may be."""
    last = deployment.checkpoints.load(deadline=deployment.deadline())
    if run in (_LAST_RUN, last and last.run):
        run = _send(deployment, {"command": "stop"})["run"]
    else:
        _require_known(deployment, run)
        with deployment.audit.entry(f"{NAME} stop") as entry:
            deployment.runs.stop(run, deadline=deployment.deadline())
            entry.outcome = run
    users = reconcile_client.after_stop(deployment, run)
    enrolled, unknown = users.counts[State.ENROLLED], users.counts[State.UNKNOWN]
    not_enrolled = users.counts[State.LEFT] + users.counts[State.STOPPED]
    waiting = users.counts[State.TO_ENROL] - enrolled - not_enrolled - unknown
    text = f"Run {run} is stopped: {enrolled} of its users are enrolled, and {not_enrolled} are not."
    if waiting:
        text += f"\nMessages of {waiting} more still wait, and enrol nobody. `{NAME} --watch {run}` counts them."
    if unknown:
        text += (
            f"\nOf {unknown} more nobody knows: Whop did not answer when they were enrolled. The next run finds out."
        )
    data = {"enrolled": enrolled, "not_enrolled": not_enrolled, "waiting": waiting, "unknown": unknown}
    console.answer(text, outcome="stopped", **deployment.as_data(), run={"run": run}, **data)
    return 0


def _watch(deployment: Deployment, console: Console, run: str) -> int:
    last = deployment.checkpoints.load(deadline=deployment.deadline())
    if last is not None and run in (_LAST_RUN, last.run):
        return _follow(deployment, console, last.run)
    _require_known(deployment, run)
    with _may_be_left(run):
        users = _followed_users(deployment, console, run)
    return _answer_users(deployment.as_data(), deployment, console, run, users)


def _require_known(deployment: Deployment, run: str) -> None:
    if not deployment.runs.progress(run, deadline=deployment.deadline()).handed_on:
        text = f"No run {run} has handed on anybody." if run else "There was no run yet."
        raise Refused(text, outcome="unknown_run")


def _follow(deployment: Deployment, console: Console, run: str) -> int:
    """Show a run of the function until all of its users are settled."""
    pool = deployment.stack.cognito.describe_user_pool(UserPoolId=deployment.pool_id)["UserPool"]
    with _may_be_left(run):
        with console.progress(NAME, pool.get("EstimatedNumberOfUsers")) as progress:
            state = reconcile_client.follow_listing(deployment, run, progress)
        users = _followed_users(deployment, console, run)
    return _answer(deployment, console, state, users)


def _followed_users(deployment: Deployment, console: Console, run: str) -> RunProgress:
    users = deployment.runs.progress(run, deadline=deployment.deadline())
    if not users.handed_on:
        return users
    with console.progress("handed on", users.handed_on) as progress:
        return reconcile_client.follow_users(deployment, run, progress)


@contextlib.contextmanager
def _may_be_left(run: str) -> Iterator[None]:
    """Say how to come back to the run if the operator leaves it."""
    try:
        yield
    except KeyboardInterrupt:
        raise NotDone(
            f"Run {run} continues with the users that are handed on. `{NAME} --watch {run}` shows it, and "
            f"`{NAME} --stop {run}` stops it.",
            status=130,
            outcome="interrupted",
            run={"run": run},
        ) from None


def _send(deployment: Deployment, command: dict[str, Any]) -> dict[str, Any]:
    action = " ".join([NAME, *(name for name, value in command.items() if value is True), command["command"]])
    with deployment.audit.entry(action) as entry:
        state = reconcile_client.send(deployment, command)
        entry.outcome = state["run"]
    return state


def _answer(deployment: Deployment, console: Console, run: dict[str, Any], followed: RunProgress | None = None) -> int:
    """Answer with a run of the function. ``followed`` are its users at the end, or None if nobody waited for that."""
    users = followed or deployment.runs.progress(run["run"], deadline=deployment.deadline())
    outcome = run["outcome"] or "started"
    if followed and followed.waiting:
        outcome = "incomplete"
    text = "\n".join([report.lines(run), *report.user_lines(users), *_hints(run["run"], users, followed is not None)])
    shown = report.users_as_data(users)
    console.answer(text, outcome=outcome, **deployment.as_data(), run=run, users=shown)
    return 1 if outcome in ("replaced", "gave_up", "incomplete") else 0


def _answer_users(
    data: Mapping[str, Any], deployment: Deployment, console: Console, run: str, followed: RunProgress | None
) -> int:
    """Answer with a run that a command handed on. ``followed`` as in `_answer`. ``data`` are members of the answer."""
    users = followed or deployment.runs.progress(run, deadline=deployment.deadline())
    outcome = "stopped" if users.stopped else "handed_on" if users.waiting else "completed"
    if followed and followed.waiting:
        outcome = "incomplete"
    text = "\n".join([f"Run {run}: {outcome}", *report.user_lines(users), *_hints(run, users, followed is not None)])
    shown = report.users_as_data(users)
    console.answer(text, outcome=outcome, **data, run={"run": run}, users=shown)
    return 1 if outcome == "incomplete" else 0


def _hints(run: str, users: RunProgress, is_followed: bool) -> list[str]:
    if is_followed:
        lost = "users are neither done nor on the queue: look at `dead-letters list`."
        return [f"{users.waiting} {lost}"] if users.waiting else []
    return [f"The run continues. `{NAME} --watch {run}` shows it, and `{NAME} --stop {run}` stops it."]
