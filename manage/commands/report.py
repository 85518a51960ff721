"""``report``: what came of the last reconcile, and how the one under way stands."""

import argparse
from collections.abc import Mapping
from typing import Any

from manage.console import Console, Refused
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.reconcile.checkpoint import Phase
from whop_chat.reconcile.report import standing

NAME = "report"
HELP = "what came of the last reconcile, and how the one under way stands"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def run(_arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Tell; the exit status. Raises `Refused` before the first run."""
    deployment = Deployment(stack)
    last = deployment.ledger.latest_report(deadline=deployment.deadline())
    checkpoint = deployment.ledger.load(deadline=deployment.deadline())
    under_way = standing(checkpoint) if checkpoint and checkpoint.phase is not Phase.FINISHED else None
    if last is None and under_way is None:
        raise Refused("There is no report: no run has ended in the last 90 days.", outcome="no_report")
    acts = deployment.audit.acts()
    told = [lines(each) for each in (last, under_way) if each]
    told += [f"{act['at']} {act['action']}: {act['outcome'] or 'no outcome'} ({act['by']})" for act in acts]
    console.answer(
        "\n".join(told),
        outcome="shown",
        stack=stack.name,
        user_pool_id=deployment.pool_id,
        report=last,
        under_way=under_way,
        acts=acts,
    )
    return 0


def lines(run: Mapping[str, Any]) -> str:
    """A run, for a person: what there is none of is left out."""
    kind = [name for name in ("backfill", "dry_run") if run[name]]
    counts = {name: count for name, count in run["counts"].items() if count}
    reasons = {f"blocked: {name}": count for name, count in run["blocked_by_reason"].items()}
    begun = f"Run {run['run']}{f' ({", ".join(kind)})' if kind else ''}: {run['outcome'] or run.get('phase')}"
    times = f"{run['started_at']} to {run['finished_at'] or 'now'}"
    return "\n".join([f"{begun}, {times}", *(f"  {name:<28}{count:>8}" for name, count in (counts | reasons).items())])
