"""Refresh, unlink and deletion of one user's own account as a state machine, small enough to be searched whole.

A `State` is everything that matters: the link, the list of tokens to revoke, what Whop accepts, and where each worker
stands. `Model.successors` names every step that can come next. Text and time are left out. A token is a number. A
version is a worker's knowledge that nobody has written the link since, and a lease runs or has run out.

``make model`` prints how many states there are.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

AS_IT_SHOULD = "as it should"
REFRESH_DISTURBANCES = ("crash before", "crash after", "request lost", "answer lost", "late")
REVOKE_DISTURBANCES = ("crash", "fails")


class Link(NamedTuple):
    """The link: the refresh token in it, and a version that every write renews."""

    token: int
    version: int
    leased: bool = False
    expired: bool = False


class Worker(NamedTuple):
    """One worker: what it does, where it stands, the link as it read or wrote it, and a token that it was given."""

    task: str
    at: str = "start"
    link: Link | None = None
    token: int = 0
    repeated: bool = False


class State(NamedTuple):
    """Everything. ``left`` is how many disturbances may still happen."""

    workers: tuple[Worker, ...]
    link: Link | None = Link(1, 1)
    to_revoke: frozenset[int] = frozenset()
    live: int | None = 1
    """The token that Whop accepts; None after the end of the consent."""
    replaced: frozenset[int] = frozenset()
    late: frozenset[int] = frozenset()
    """Tokens in requests that nobody waits for any more, and that Whop may still receive."""
    left: int = 0
    newest: int = 1
    versions: int = 1
    deleted: bool = False
    unlinked: bool = False
    unlink_begun: bool = False
    forgotten: bool = False
    """Whop gave a token that nobody wrote down, or took a late request for the reuse of a replaced token."""


type Steps = Iterator[tuple[str, State]]


@dataclass(frozen=True)
class Model:
    """The protocol under one reading of Whop's documents. The last three are its conditions, for tests to drop."""

    reuse: Literal["ends_consent", "refused", "accepted"] = "ends_consent"
    """What Whop does with a refresh token that it has replaced."""
    revokes_by_replaced: bool = True
    """The revocation of a replaced token ends the consent too."""

    writes_need_the_version: bool = True
    lease_outlives_refresh: bool = True
    tokens_are_listed_first: bool = True

    def successors(self, state: State) -> Steps:
        """Every step that can come next, with the state after it."""
        for token in state.late:
            after, _ = self._refreshed(state._replace(late=state.late - {token}), token)
            forgotten = after.forgotten or after.live != state.live
            yield "Whop receives a late refresh", after._replace(forgotten=forgotten)
        if state.link and state.link.leased and not (self.lease_outlives_refresh and _in_flight(state)):
            yield "the lease ends", state._replace(link=state.link._replace(leased=False))
        for number, worker in enumerate(state.workers):
            for step, after in self._moves(state, number, worker):
                yield f"{worker.task} {step}", after

    def _moves(self, state: State, number: int, worker: Worker) -> Steps:
        match worker.at:
            case "start":
                yield from self._starts(state, number, worker)
            case "lease" | "write" | "expire" | "release":
                yield from self._writes(state, number, worker)
            case "refresh":
                yield from self._refreshes(state, number, worker)
            case "list":
                yield from self._lists(state, number, worker)
            case "unlink":
                yield from self._unlinks(state, number, worker)
            case "revoke":
                yield from self._revokes(state, number, worker)
            case "strike":
                yield from self._strikes(state, number, worker)

    def _starts(self, state: State, number: int, worker: Worker) -> Steps:
        link = state.link
        if worker.task == "refresh":
            usable = link is not None and not link.leased and not link.expired and not state.deleted
            yield "reads", _put(state, number, worker._replace(at="lease" if usable else "over", link=link))
        elif worker.task == "delete" and not state.deleted:
            yield "writes the tombstone", state._replace(deleted=True)
        else:
            first = "list" if self.tokens_are_listed_first else "unlink"
            token = link.token if link else 0
            at = first if link else "revoke"
            yield "reads", _put(state, number, worker._replace(at=at, link=link, token=token))

    def _writes(self, state: State, number: int, worker: Worker) -> Steps:
        """A write of the link by a refresh, which expects the version that it read."""
        for how in _hows(state, "crash"):
            after = _spent(state, how)
            if how == "crash":
                lost = after._replace(forgotten=after.forgotten or worker.at == "write")
                yield f"{worker.at} (crash before)", _over(lost, number)
                yield f"{worker.at} (crash after)", _over(self._written(after, worker)[0], number)
                continue
            after, written = self._written(after, worker)
            if written is None:
                at = "list" if worker.at == "write" else "over"
                yield f"{worker.at} (stale)", _put(after, number, worker._replace(at=at))
            elif worker.at == "lease":
                yield "lease", _put(after, number, worker._replace(at="refresh", link=written))
            else:
                yield worker.at, _over(after, number)

    def _written(self, state: State, worker: Worker) -> tuple[State, Link | None]:
        """The state after the write and the link as written. None if the link is another by now."""
        assert worker.link is not None
        if self.writes_need_the_version and not _is_current(state, worker):
            return state, None
        version = state.versions + 1
        changes: dict[str, dict[str, Any]] = {
            "lease": {"leased": True},
            "write": {"leased": False, "token": worker.token},
            "expire": {"leased": False, "expired": True},
            "release": {"leased": False},
        }
        written = worker.link._replace(version=version, **changes[worker.at])
        return state._replace(link=written, versions=version), written

    def _refreshes(self, state: State, number: int, worker: Worker) -> Steps:
        assert worker.link is not None
        sent = worker.link.token
        for how in _hows(state, *REFRESH_DISTURBANCES):
            before = _spent(state, how)
            after, token = self._refreshed(before, sent)
            unheard = after._replace(forgotten=after.forgotten or token is not None)
            again = worker._replace(at="release" if worker.repeated else "refresh", repeated=True)
            match how:
                case "crash before":
                    yield how, _over(before, number)
                case "crash after":
                    yield how, _over(unheard, number)
                case "request lost":
                    yield how, _put(before, number, again)
                case "answer lost":
                    yield how, _put(unheard, number, again)
                case "late":
                    yield how, _put(before._replace(late=before.late | {sent}), number, again)
                case _ if token is None:
                    yield "hears invalid_grant", _put(after, number, worker._replace(at="expire"))
                case _:
                    yield "gets a new token", _put(after, number, worker._replace(at="write", token=token))

    def _refreshed(self, state: State, token: int) -> tuple[State, int | None]:
        """Whop after a refresh, and the new token. None is ``invalid_grant``."""
        accepted = state.live is not None and (token == state.live or self.reuse == "accepted")
        if state.live is None or not accepted:
            ends = self.reuse == "ends_consent" and token in state.replaced
            return (state._replace(live=None) if ends else state), None
        new = state.newest + 1
        return state._replace(live=new, newest=new, replaced=state.replaced | {state.live}), new

    def _lists(self, state: State, number: int, worker: Worker) -> Steps:
        listed = state._replace(to_revoke=state.to_revoke | {worker.token})
        if worker.task != "refresh":
            listed = listed._replace(unlink_begun=True)
        at = "revoke" if worker.task == "refresh" or not self.tokens_are_listed_first else "unlink"
        yield "lists the token", _put(listed, number, worker._replace(at=at))
        if state.left:
            lost = state._replace(forgotten=state.forgotten or worker.task == "refresh")
            yield "lists the token (crash before)", _over(_spent(lost, "crash"), number)
            yield "lists the token (crash after)", _over(_spent(listed, "crash"), number)

    def _unlinks(self, state: State, number: int, worker: Worker) -> Steps:
        if not _is_current(state, worker):
            yield "unlinks (stale)", _put(state, number, worker._replace(at="start"))
            return
        after = state._replace(link=None, unlinked=True, unlink_begun=True)
        at = "revoke" if self.tokens_are_listed_first else "list"
        yield "unlinks", _put(after, number, worker._replace(at=at))
        if state.left:
            yield "unlinks (crash before)", _over(_spent(state, "crash"), number)
            yield "unlinks (crash after)", _over(_spent(after, "crash"), number)

    def _revokes(self, state: State, number: int, worker: Worker) -> Steps:
        if not state.to_revoke:
            yield "has nothing to revoke", _put(state, number, worker._replace(at="over"))
            return
        token = min(state.to_revoke)
        after = self._revoked(state, token)
        yield "revokes", _put(after, number, worker._replace(at="strike", token=token))
        for how in REVOKE_DISTURBANCES if state.left else ():
            yield f"revokes ({how})", _over(_spent(state, how), number)

    def _strikes(self, state: State, number: int, worker: Worker) -> Steps:
        struck = state._replace(to_revoke=state.to_revoke - {worker.token})
        yield "strikes the token off the list", _put(struck, number, worker._replace(at="revoke"))
        if state.left:
            yield "strikes the token (crash before)", _over(_spent(state, "crash"), number)

    def _revoked(self, state: State, token: int) -> State:
        ends = token == state.live or (self.revokes_by_replaced and token in state.replaced)
        return state._replace(live=None) if ends else state

    def broken(self, state: State) -> str | None:
        """What is wrong with a state."""
        link = state.link
        if link and state.unlinked:
            return "an unlinked user has a link again"
        if link and link.expired and link.token == state.live:
            return "a link ended whose token Whop accepts"
        if link and link.expired and not (state.forgotten or state.unlink_begun):
            return "a link was lost, and no token of Whop's was"
        if link and link.expired and self.reuse == "accepted" and not state.unlink_begun:
            return "a link was lost, although Whop accepts its token again"
        return None

    def unsettled(self, state: State) -> str | None:
        """What is wrong with an end, after a sync that revokes what is listed: nobody works, and nothing is late."""
        if state.deleted and state.link:
            return "a deleted user has a link"
        if state.link is None and not state.unlinked:
            return "a link disappeared"
        for token in state.to_revoke:
            state = self._revoked(state, token)
        if state.link is None and state.live is not None:
            return "an unlinked user has a live refresh token that is not queued for revocation"
        return None


class Counterexample(AssertionError):
    """A run that breaks a rule, step by step."""

    def __init__(self, broken: str, steps: list[str]) -> None:
        super().__init__("\n".join([broken, *(f"  {place}. {step}" for place, step in enumerate(steps, 1))]))
        self.broken = broken


def explore(model: Model, *tasks: str, disturbances: int) -> int:
    """Visit every state, breadth first, and return how many there are. Raises `Counterexample`."""
    initial = State(tuple(map(Worker, tasks)), left=disturbances)
    origins: dict[State, tuple[State, str] | None] = {initial: None}
    queue = [initial]
    for state in queue:
        is_end = not state.late and all(worker.at == "over" for worker in state.workers)
        broken = model.broken(state) or (model.unsettled(state) if is_end else None)
        if broken:
            raise Counterexample(broken, _path(origins, state))
        for step, after in model.successors(state):
            if after not in origins:
                origins[after] = (state, step)
                queue.append(after)
    return len(origins)


def _path(origins: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    steps = []
    while (origin := origins[state]) is not None:
        state, step = origin
        steps.append(step)
    return steps[::-1]


def _in_flight(state: State) -> bool:
    """Whether a refresh is between its lease and its write. Its deadline of 8 s is below the lease of 10 s."""
    return any(worker.at in ("refresh", "write", "expire", "release") for worker in state.workers)


def _hows(state: State, *disturbances: str) -> tuple[str, ...]:
    return (AS_IT_SHOULD, *(disturbances if state.left else ()))


def _spent(state: State, how: str) -> State:
    return state if how == AS_IT_SHOULD else state._replace(left=state.left - 1)


def _put(state: State, number: int, worker: Worker) -> State:
    return state._replace(workers=(*state.workers[:number], worker, *state.workers[number + 1 :]))


def _over(state: State, number: int) -> State:
    """The worker has ended, or is dead. The queue delivers a deletion again until it is done."""
    task = state.workers[number].task
    return _put(state, number, Worker(task, "start" if task == "delete" else "over"))


def _is_current(state: State, worker: Worker) -> bool:
    """Whether nobody has written the link since the worker read or wrote it. The end of a lease is no write."""
    return state.link is not None and worker.link is not None and state.link.version == worker.link.version


def main() -> None:
    """Search more workers than the tests do."""
    began = time.monotonic()
    found = explore(Model(), "refresh", "refresh", "unlink", "delete", disturbances=1)
    print(f"{found:,} states of refresh, unlink and deletion, no rule broken: {time.monotonic() - began:.1f} s")  # noqa: T201


if __name__ == "__main__":
    main()
