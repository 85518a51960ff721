"""``report``: the last reconcile run that has ended, and the one under way."""

import argparse
from collections.abc import Mapping
from typing import Any

from manage import audit
from manage.console import Console, count_lines
from manage.deployment import Deployment
from manage.errors import Refused
from manage.stack import Stack
from whop_chat.reconcile.checkpoint import Phase
from whop_chat.reconcile.report import progress_of
from whop_chat.users.runs import SETTLED, RunProgress

NAME = "report"
HELP = "show the last reconcile run, and the one under way"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: this command has no arguments."""


def run(_arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Show the runs and return the exit status. Raises `Refused` before the first run."""
    deployment = Deployment(stack)
    last = deployment.checkpoints.latest_report(deadline=deployment.deadline())
    checkpoint = deployment.checkpoints.load(deadline=deployment.deadline())
    under_way = progress_of(checkpoint) if checkpoint and checkpoint.phase is not Phase.FINISHED else None
    if last is None and under_way is None:
        raise Refused("There is no report: no run has ended in the last 90 days.", outcome="no_report")
    acts = deployment.audit.entries()
    text, users = [], {}
    for each in (last, under_way):
        if each:
            found = deployment.runs.progress(each["run"], deadline=deployment.deadline())
            text += [lines(each), *user_lines(found)]
            users[each["run"]] = users_as_data(found)
    answer = {"report": last, "under_way": under_way, "users": users, "acts": acts}
    text += map(audit.as_text, acts)
    console.answer("\n".join(text), outcome="shown", **deployment.as_data(), **answer)
    return 0


def lines(run: Mapping[str, Any]) -> str:
    """A run as text, without the counts that are zero."""
    options = [name for name in ("backfill", "dry_run") if run[name]]
    counts = {name: count for name, count in run["counts"].items() if count}
    reasons = {
        f"{label}: {name}": count
        for label, member in (("blocked", "blocked_by_reason"), ("may_conflict", "may_conflict_by_provider"))
        for name, count in run[member].items()
    }
    title = f"Run {run['run']}{f' ({", ".join(options)})' if options else ''}: {run['outcome'] or run.get('phase')}"
    times = f"{run['started_at']} to {run['finished_at'] or 'now'}"
    unused = [f"  perhaps unused at Whop: {external_id}" for external_id in run.get("unused_accounts", [])]
    return "\n".join([f"{title}, {times}", *count_lines((counts | reasons).items()), *unused])


def users_as_data(users: RunProgress) -> dict[str, int]:
    """What became of the users that a run handed on."""
    settled = {state.value: users.counts[state] for state in SETTLED}
    return {"handed_on": users.handed_on, **settled, "waiting": users.waiting}


def user_lines(users: RunProgress) -> list[str]:
    """What became of the users that a run handed on, as text without the counts that are zero."""
    if not users.handed_on:
        return []
    counts = users_as_data(users)
    return ["Of the users that it handed on:", *count_lines((name, count) for name, count in counts.items() if count)]
