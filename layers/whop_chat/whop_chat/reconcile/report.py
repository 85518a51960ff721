"""The report of a reconcile run to its operators."""

from datetime import UTC, datetime
from typing import Any

from whop_chat.reconcile.checkpoint import Checkpoint
from whop_chat.reconcile.drift import Drift

# Why a user is enqueued.
CREATED, UPDATED, ORPHANED = "enqueued_create", "enqueued_update", "enqueued_orphan"
LINKED, MAY_CONFLICT, UNUSED = "linked", "may_conflict", "unused_accounts"


def report_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """The report of a run.

    ``counts`` has every user of the pool once, under the name of their `Drift`. ``seen`` is the sum of these.
    ``enqueued_…`` are the users that were enqueued, by reason; `sync_user` counts the results when it handles them.
    ``linked`` are the listed users who had a Whop user then. ``unused_accounts`` are the accounts that Whop may have
    and no user has: how many in ``counts``, and the external ids of the first in the list. ``checked`` are the records
    whose user was not in the listing, and ``orphaned`` those whose user is gone. ``may_conflict`` are the users whom a
    backfill would enrol under an address that another user has too; only a dry run looks for these.
    """
    names = (*Drift, LINKED, MAY_CONFLICT, UNUSED, "checked", "orphaned", CREATED, UPDATED, ORPHANED)
    counts = dict.fromkeys(names, 0) | {name: count for name, count in checkpoint.counts.items() if "." not in name}
    return {
        "run": checkpoint.run,
        "backfill": checkpoint.backfill,
        "dry_run": checkpoint.dry_run,
        "include_passwordless": checkpoint.include_passwordless,
        "outcome": checkpoint.outcome,
        "started_at": _timestamp(checkpoint.started_at),
        "finished_at": _timestamp(checkpoint.finished_at),
        "pages": checkpoint.page,
        "relisted": checkpoint.relisted,
        "counts": {"seen": sum(counts[name] for name in Drift), **counts},
        "blocked_by_reason": _parts(checkpoint, Drift.BLOCKED),
        "may_conflict_by_provider": _parts(checkpoint, MAY_CONFLICT),
        UNUSED: list(checkpoint.unused_accounts),
    }


def _parts(checkpoint: Checkpoint, name: str) -> dict[str, int]:
    """The counts that add up to the one of this ``name``."""
    prefix = f"{name}."
    return {part.removeprefix(prefix): count for part, count in checkpoint.counts.items() if part.startswith(prefix)}


def progress_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """The progress of a run, ended or not: its report and its phase."""
    return {**report_of(checkpoint), "phase": checkpoint.phase}


def _timestamp(seconds: float | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
