"""Our own cold start by module: ``python -m bench.imports [mint_token|on_signup]``, after ``make bench``.

CPython times the imports (``-X importtime``), which makes them slower: compare the figures with each other only. The
time of ``app`` itself is what the function builds at import. Two threads that import at once blur each other's figures.
"""

import argparse
import dataclasses
import os
import re
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import job, upstream
from bench.candidates import Candidate, candidates_of
from bench.instance import FirstAnswer, started
from bench.staging import stage

_LINE = re.compile(r"^import time: +(\d+) \| +(\d+) \|( +)(\S+)$", re.MULTILINE)
_HANDLER = "app"
_ROWS = 25


@dataclass(frozen=True, slots=True)
class Import:
    """The import of one module in milliseconds: alone, and with the modules that it imported."""

    module: str
    own: float
    cumulative: float


@dataclass(frozen=True, slots=True)
class Imports:
    """The imports of one start: of the runtime, of the handler, and of the first call."""

    runtime: Sequence[Import]
    handler: Sequence[Import]
    first_call: Sequence[Import]


def read(log: str) -> Imports:
    """Parse what CPython wrote. A module follows the modules that it imported, which are indented further."""
    found = [
        (len(indent), Import(module, int(own) / 1000, int(cumulative) / 1000))
        for own, cumulative, indent, module in _LINE.findall(log)
    ]
    last = next(index for index, (_, each) in enumerate(found) if each.module == _HANDLER)
    first = last
    while first and found[first - 1][0] > found[last][0]:
        first -= 1
    imports = [each for _, each in found]
    return Imports(imports[:first], imports[first : last + 1], imports[last + 1 :])


def by_package(imports: Iterable[Import]) -> Mapping[str, float]:
    """Milliseconds by package, the slowest first."""
    total: dict[str, float] = defaultdict(float)
    for each in imports:
        total[each.module.partition(".")[0]] += each.own
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description="Our cold start by module.")
    parser.add_argument("function", nargs="?", choices=["mint_token", "on_signup"], default="mint_token")
    parser.add_argument("--starts", type=int, default=7, metavar="N", help="medians of so many starts (7)")
    asked = parser.parse_args()
    pool = job.Pool()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, upstream.running(pool, Path(name)) as stubs:
        candidates = candidates_of(stage(), stubs)
        sign_up = asked.function == "on_signup"
        ours = (candidates.sign_up_cold if sign_up else candidates.mint_cold)[0]
        watched, log = _watched(ours, Path(name)), Path(name) / "candidate.log"
        untimed, timed = [], []
        for _ in range(asked.starts):
            event = job.sign_up_event() if sign_up else job.mint_event(pool)
            untimed.append(_start(ours, log, event))
            _start(watched, log, event, "-X", "importtime")
            timed.append(read(log.read_text(errors="replace")))
    _print(untimed, timed)


def _watched(candidate: Candidate, folder: Path) -> Candidate:
    """The same candidate, which imports its handler by a statement: CPython does not time `importlib` calls."""
    module = folder / "watched.py"
    module.write_text(f"from {_HANDLER} import handler\n")
    *command, _ = candidate.command
    path = os.pathsep.join([str(folder), candidate.environment["PYTHONPATH"]])
    environment = {**candidate.environment, "PYTHONPATH": path}
    return dataclasses.replace(candidate, command=[*command, "watched.handler"], environment=environment)


def _start(candidate: Candidate, log: Path, event: bytes, *flags: str) -> FirstAnswer:
    with started(candidate, log, flags) as instance:
        return instance.first_answer(event)


def _print(untimed: Sequence[FirstAnswer], timed: Sequence[Imports]) -> None:
    init = statistics.median(each.init_seconds for each in untimed) * 1000
    total = statistics.median(each.seconds for each in untimed) * 1000
    print(f"{'start to first event':44} {init:8.1f} ms")
    print(f"{'first call':44} {total - init:8.1f} ms")
    print()
    for title, parts in (
        ("imports of the runtime", [each.runtime for each in timed]),
        ("the handler: imports and composition", [each.handler for each in timed]),
        ("of that, composition (app itself)", [each.handler[-1:] for each in timed]),
        ("imports of the first call", [each.first_call for each in timed]),
    ):
        print(f"{title:44} {statistics.median(sum(each.own for each in part) for part in parts):8.1f} ms")
    handler = _medians([each.handler for each in timed])
    first_call = _medians([each.first_call for each in timed])
    _rows("by package, in the handler", by_package(handler))
    _rows("by package, in the first call", by_package(first_call))
    _rows("by module with what it imports", {each.module: each.cumulative for each in handler})
    _rows("by module alone", {each.module: each.own for each in handler})


def _medians(runs: Sequence[Sequence[Import]]) -> list[Import]:
    samples: dict[str, list[Import]] = defaultdict(list)
    for run in runs:
        for each in run:
            samples[each.module].append(each)
    return [
        Import(module, statistics.median(s.own for s in found), statistics.median(s.cumulative for s in found))
        for module, found in samples.items()
    ]


def _rows(title: str, milliseconds: Mapping[str, float]) -> None:
    slowest = sorted(milliseconds.items(), key=lambda item: -item[1])[:_ROWS]
    shown = [(name, value) for name, value in slowest if value >= 0.1]
    if shown:
        print(f"\n{title}")
    for name, value in shown:
        print(f"  {name:42} {value:8.1f} ms")


if __name__ == "__main__":
    main()
