"""A backfill of some users only: a number of them, a group, or those that a file names.

`select` looks for users who were never enrolled, and changes nothing. `hand_on` enqueues them at the pace of a run.
"""

import argparse
import itertools
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from manage.console import Console
from manage.deployment import Deployment
from manage.errors import Refused
from manage.throttle import LISTINGS_PER_MINUTE, Throttle
from whop_chat.cognito.pool import ListedUser
from whop_chat.cognito.user import UserRef, is_sub
from whop_chat.reconcile.drift import Drift, drift
from whop_chat.reconcile.run import USERS_PER_MINUTE, is_full
from whop_chat.runtime.aws import AwsError
from whop_chat.sync.queue import MAX_BATCH, Source
from whop_chat.users.runs import State

_FULL_QUEUE_SECONDS = 5.0


@dataclass(slots=True)
class Selection:
    """The users to enrol. ``counts`` has everybody who was looked at once, by what was found."""

    users: dict[str, UserRef] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    lines_not_found: list[int] = field(default_factory=list)
    """The lines of the file that name nobody in the pool."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that select users."""
    parser.add_argument("--limit", metavar="N", type=_limit, help="with --backfill: at most N users")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--group", metavar="NAME", help="with --backfill: only users of this Cognito group")
    which.add_argument(
        "--emails-from", metavar="FILE", type=Path, help="with --backfill: only users with these addresses, one a line"
    )
    which.add_argument(
        "--subs-from", metavar="FILE", type=Path, help="with --backfill: only users with these subs, one a line"
    )


def is_wanted(arguments: argparse.Namespace) -> bool:
    """Whether the arguments select users."""
    chosen = (arguments.limit, arguments.group, arguments.emails_from, arguments.subs_from)
    return any(each is not None for each in chosen)


def select(deployment: Deployment, console: Console, arguments: argparse.Namespace) -> Selection:
    """The users that ``arguments`` select and that a backfill would enrol, at most ``limit``.

    Users who share an address of the file are left out, also if the other one is linked: Whop takes them for one
    person. Raises `Refused` for a group or a file that does not exist. Raises the errors of AWS.
    """
    wanted = {Drift.MISSING, Drift.UNFINISHED} | ({Drift.PASSWORDLESS} if arguments.include_passwordless else set())
    found, seen = Selection(), set[str]()
    with console.progress("looking for users", None) as progress:
        for listed in _candidates(deployment, arguments, found):
            new = [each for each in listed if each.user.sub not in seen]
            seen.update(each.user.sub for each in new)
            users = _of_drift(deployment, new, wanted, found.counts)
            if arguments.emails_from is not None and len(listed) > 1:
                found.counts["ambiguous"] += len(users)
                users = []
            for user in users:
                found.users[user.sub] = user
                if len(found.users) == arguments.limit:
                    return found
            progress.show(len(seen))
    return found


def hand_on(
    deployment: Deployment, console: Console, run: str, users: Collection[UserRef], *, include_passwordless: bool
) -> None:
    """Enqueue ``users`` at the pace of a run, and not while the queue is full. It ends early if the run is stopped.

    Raises the errors of AWS.
    """
    source = Source.PASSWORDLESS if include_passwordless else Source.ENROL
    throttle = Throttle(USERS_PER_MINUTE)
    with console.progress("handing on", len(users)) as progress:
        for number, batch in enumerate(itertools.batched(users, MAX_BATCH, strict=False)):
            throttle.wait(len(batch))
            if not _may_continue(deployment, run):
                return
            deployment.queue.send_many(batch, source, run=run, deadline=deployment.deadline())
            subs = [user.sub for user in batch]
            deployment.runs.advance(run, subs, State.TO_ENROL, deadline=deployment.deadline())
            progress.show(number * MAX_BATCH + len(batch))


def _may_continue(deployment: Deployment, run: str) -> bool:
    """Whether the run is not stopped, after a wait while the queue is full."""
    while not deployment.runs.is_stopped(run, deadline=deployment.deadline()):
        if not is_full(deployment.queue.depth(deadline=deployment.deadline())):
            return True
        time.sleep(_FULL_QUEUE_SECONDS)
    return False


def _of_drift(
    deployment: Deployment, listed: Sequence[ListedUser], wanted: Collection[Drift], counts: Counter[str]
) -> list[UserRef]:
    """The users of ``listed`` whose drift is ``wanted``. The others are counted."""
    records = deployment.users.get_many([each.user for each in listed], deadline=deployment.deadline())
    users = []
    for each in listed:
        if each.user in records and records[each.user] is None:
            counts[Drift.UNREADABLE] += 1
            continue
        finding = drift(each, records.get(each.user), deployment.email_policy, time.time())
        if finding.drift in wanted:
            users.append(each.user)
        else:
            counts[f"blocked: {finding.reason}" if finding.reason else finding.drift] += 1
    return users


def _candidates(
    deployment: Deployment, arguments: argparse.Namespace, found: Selection
) -> Iterator[Sequence[ListedUser]]:
    """The users that the arguments name, some at a time. Those of one line of a file come together."""
    if arguments.emails_from is not None:
        return _named(deployment, arguments.emails_from, "email", found)
    if arguments.subs_from is not None:
        return _named(deployment, arguments.subs_from, "sub", found)
    return _listed(deployment, arguments.group)


def _listed(deployment: Deployment, group: str | None) -> Iterator[Sequence[ListedUser]]:
    token, throttle, pool = None, Throttle(LISTINGS_PER_MINUTE), deployment.pool
    while True:
        throttle.wait()
        if group is None:
            page = pool.list_page(token, deadline=deployment.deadline())
        else:
            try:
                page = pool.list_group(group, token, deadline=deployment.deadline())
            except AwsError as error:
                if error.code != "ResourceNotFoundException":
                    raise
                unknown = f"User pool {deployment.pool_id} has no group {group}."
                raise Refused(unknown, outcome="unknown_group") from None
        yield page.users
        token = page.next_token
        if token is None:
            return


def _named(deployment: Deployment, file: Path, attribute: str, found: Selection) -> Iterator[Sequence[ListedUser]]:
    """The users of each line. Lines that name nobody are noted by number, because an answer has no addresses."""
    throttle, pool = Throttle(LISTINGS_PER_MINUTE), deployment.pool
    for number, line in enumerate(_lines(file), start=1):
        if not line:
            continue
        throttle.wait()
        listed: Sequence[ListedUser] = ()
        if attribute == "email":
            listed = pool.list_by("email", line, deadline=deployment.deadline())
        elif is_sub(line):
            listed = pool.list_by("sub", line, deadline=deployment.deadline())
        if not listed:
            found.lines_not_found.append(number)
        yield listed


def _lines(file: Path) -> list[str]:
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{file} cannot be read: {type(error).__name__}.", outcome="unreadable_file") from None


def _limit(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("is not a number from 1 on")
    return number
