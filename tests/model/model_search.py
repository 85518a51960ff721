"""Every state of the enrolment protocol, visited breadth first, so that no counterexample is shorter than the one told.

``make model`` searches more than the tests do.
"""

import argparse
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tests.model.enrolment_model import Model, State, Step


@dataclass(frozen=True)
class Found:
    """What a search came to: how many states there are, and how many of them are ends."""

    states: int
    ends: int


class Counterexample(AssertionError):
    """A run of the protocol that breaks a rule, step by step."""

    def __init__(self, broken: str, steps: Iterable[Step]) -> None:
        super().__init__("\n".join([broken, *(f"  {place}. {step}" for place, step in enumerate(steps, 1))]))
        self.broken = broken


def explore(model: Model, initial: State) -> Found:
    """Visit every state; raises `Counterexample`.

    Nobody works for ever, so each run has an end, and each end is gone on with: an hour later, undisturbed, whoever is
    not done with is tried again.
    """
    reached, ends = _reached(model, [initial])
    for end in ends:
        for user in range(len(model.addresses)):
            _continue_quietly(model, end, user, reached)
    return Found(len(reached), len(ends))


def first_steps(model: Model, initial: State) -> dict[tuple[str, str], tuple[Step, ...]]:
    """Each kind of step there is, with a shortest run that ends with it."""
    origins, _ = _reached(model, [initial])
    first: dict[tuple[str, str], tuple[Step, ...]] = {}
    for state in origins:
        for step, _ in model.successors(state):
            if step.kind not in first:
                first[step.kind] = (*_path(origins, state), step)
    return first


Origins = dict[State, tuple[State, Step] | None]


def _reached(model: Model, starts: Iterable[State]) -> tuple[Origins, list[State]]:
    """All states from ``starts`` with where they were come to from, and those in which everybody has stopped."""
    origins: Origins = dict.fromkeys(starts)
    queue = list(origins)
    ends = []
    for state in queue:
        broken = model.broken(state)
        if broken:
            raise Counterexample(broken, _path(origins, state))
        if all(worker.at == "over" for worker in state.workers):
            ends.append(state)
        for step, after in model.successors(state):
            if after not in origins:
                origins[after] = (state, step)
                queue.append(after)
    return origins, ends


def _continue_quietly(model: Model, end: State, user: int, origins: Origins) -> None:
    """From ``end`` every quiet run settles ``user`` within four visits; raises `Counterexample`.

    Nobody comes back to a tombstone that says that all is cleaned up.
    """
    task = ("clean" if user in end.gone else "enrol", user)
    states = [end]
    for _visit in range(4):
        starts = {model.much_later(state, *([] if state.records[user].cleaned else [task])) for state in states}
        _, states = _reached(model, starts)
    for state in states:
        unsettled = model.unsettled(state, user)
        if unsettled:
            raise Counterexample(unsettled, (*_path(origins, end), Step("time", "passes, and nobody gets further")))


def _path(origins: Origins, state: State) -> list[Step]:
    steps = []
    while (origin := origins[state]) is not None:
        state, step = origin
        steps.append(step)
    return steps[::-1]


def main() -> None:
    """Search as many workers and disturbances as the command line says."""
    parser = argparse.ArgumentParser(prog="make model", description="Visit every state of the enrolment protocol.")
    parser.add_argument("--workers", type=int, default=3, help="who enrol at once (3)")
    parser.add_argument("--users", type=int, default=1, help="whom they enrol, all of one address (1)")
    parser.add_argument("--disturbances", type=int, default=2, help="crashes, lost answers, leases and so on (2)")
    parser.add_argument("--deletion", action="store_true", help="the first user is deleted meanwhile")
    asked = parser.parse_args()
    model = Model((0,) * asked.users)
    tasks = [("enrol", number % asked.users) for number in range(asked.workers)]
    tasks += [("delete", 0)] if asked.deletion else []
    began = time.monotonic()
    found = explore(model, model.initial(*tasks, disturbances=asked.disturbances))
    seconds = time.monotonic() - began
    print(f"{found.states:,} states, {found.ends:,} of them ends, no rule broken and nobody stuck: {seconds:.1f} s")  # noqa: T201


if __name__ == "__main__":
    main()
