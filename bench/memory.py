"""Time and price of each function by its memory size: `make memory`.

It measures time, CPU time and memory with a whole CPU. From them it derives the figures for each memory size: below
1,769 MB Lambda gives a function a proportional share of a CPU (AWS, "Configure Lambda function memory"). Some sizes are
checked with a process that is throttled to its share.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from bench import job, upstream
from bench.candidates import OURS, Candidate, Candidates, candidates_of
from bench.instance import Instance, started
from bench.staging import stage
from bench.throttle import throttled
from tools.figures import Table, as_markdown, as_text, write

WHOLE_CPU_MB = 1769
SIZES_MB = (128, 256, 512, 768, 1024, 1536, WHOLE_CPU_MB)
CHECKED_MB = (256, 512, 1024)
# x86_64 in US East (N. Virginia), without the free tier: https://aws.amazon.com/lambda/pricing/, as quoted in 2026.
# Lambda charges a start like a call.
DOLLARS_A_GB_SECOND = 0.0000166667
DOLLARS_A_MILLION_CALLS = 0.20

_ROUND_TRIP_MS = 30
_STARTS, _CHECKED_STARTS = 8, 4
# Of each start. The first ones still import modules.
_CALLS, _FIRST_CALLS = 10, 3
# A user who is new: four reads and writes of the table and one transaction, two reads of the pool, two calls to Whop.
_CALLS_A_SYNC = 9
# A warm mint_token makes two, and also verifies a token.
_CALLS_A_MINT = 2


@dataclass(frozen=True, slots=True)
class Work:
    """CPU time and waiting time of one invocation with a whole CPU, in milliseconds."""

    cpu: float
    waiting: float

    def milliseconds(self, memory: int) -> float:
        """Its time with ``memory`` MB, if nothing is computed while it waits."""
        return self.cpu / share(memory) + self.waiting

    def dollars(self, memory: int) -> float:
        """The price of a million of these, each charged by the millisecond."""
        gigabyte_seconds = memory / 1024 * self.milliseconds(memory) / 1000
        return 1e6 * gigabyte_seconds * DOLLARS_A_GB_SECOND + DOLLARS_A_MILLION_CALLS


@dataclass(frozen=True, slots=True)
class Function:
    """One function: the first invocation of an instance with its start, and any later one."""

    name: str
    cold: Work
    warm: Work
    peak_mib: float
    chosen: int
    """Its memory size in the template, in MB."""


@dataclass(frozen=True, slots=True)
class Check:
    """Milliseconds of a size that was also measured."""

    name: str
    memory: int
    cold: tuple[float, float]
    """Derived and measured."""
    warm: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Sample:
    """Medians in milliseconds and MiB."""

    cold: float
    cold_cpu: float
    warm: float
    warm_cpu: float
    peak: float


def share(memory: int) -> float:
    """The share of one CPU that ``memory`` MB give. The functions cannot use more than one."""
    return min(1.0, memory / WHOLE_CPU_MB)


def main() -> None:
    """Measure, print, and write docs/figures/memory.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=main.__doc__)
    parser.add_argument("--print-only", action="store_true", help="write no file")
    asked = parser.parse_args()
    if sys.platform != "linux":
        raise SystemExit("The benchmark reads /proc and starts AWS's runtime client: it needs Linux.")
    functions, checks = _measured()
    shown = [measured(functions), *map(sizes, functions), checked(checks)]
    print("\n\n".join(map(as_text, shown)))
    if not asked.print_only:
        write("memory", "Memory sizes", "make memory", *map(as_markdown, shown))


def _measured() -> tuple[list[Function], list[Check]]:
    pool = job.Pool()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, upstream.running(pool, Path(name)) as stubs:
        stubs.set_round_trip(_ROUND_TRIP_MS / 1000)
        found, log = candidates_of(stage(), stubs), Path(name) / "candidate.log"
        invoked = [
            ("mint_token", _ours(found.mint_cold), lambda: job.mint_event(pool)),
            ("on_signup", _ours(found.sign_up_cold), job.sign_up_event),
        ]
        samples = {name: _sample(candidate, event, log, _STARTS) for name, candidate, event in invoked}
        mint, sign_up = (_function(name, sample) for name, sample in samples.items())
        checks = [
            _check(function, memory, _sample(candidate, event, log, _CHECKED_STARTS, memory))
            for function, (_, candidate, event) in zip((mint, sign_up), invoked, strict=True)
            for memory in CHECKED_MB
        ]
        sync = _sync(found, log, mint, samples["mint_token"])
    return [mint, sign_up, sync], checks


def _ours(candidates: Iterable[Candidate]) -> Candidate:
    return next(each for each in candidates if each.name == OURS)


def _sample(
    candidate: Candidate, event: Callable[[], bytes], log: Path, starts: int, memory: int | None = None
) -> _Sample:
    """With ``memory`` None it has a whole CPU."""
    cold, cold_cpu, warm, warm_cpu, peaks = [], [], [], [], []
    for _ in range(starts):
        with started(candidate, log) as instance, _kept_to(memory, instance):
            first = instance.first_answer(event())
            cold.append(1000 * first.seconds)
            cold_cpu.append(1000 * first.cpu_seconds)
            for _ in range(_FIRST_CALLS):
                instance.invoke(event())
            before = instance.cpu_seconds()
            warm += [1000 * instance.invoke(event()) for _ in range(_CALLS)]
            warm_cpu.append(1000 * (instance.cpu_seconds() - before) / _CALLS)
            peaks.append(instance.peak_mib())
    return _Sample(*map(statistics.median, (cold, cold_cpu, warm, warm_cpu, peaks)))


def _kept_to(memory: int | None, instance: Instance) -> contextlib.AbstractContextManager[None]:
    if memory is None:
        return contextlib.nullcontext()
    return throttled(instance.process_id, instance.cpu_seconds, share(memory))


def _function(name: str, sample: _Sample) -> Function:
    return Function(
        name,
        Work(sample.cold_cpu, max(0.0, sample.cold - sample.cold_cpu)),
        Work(sample.warm_cpu, max(0.0, sample.warm - sample.warm_cpu)),
        sample.peak,
        chosen(name),
    )


def _check(function: Function, memory: int, sample: _Sample) -> Check:
    cold, warm = function.cold.milliseconds(memory), function.warm.milliseconds(memory)
    return Check(function.name, memory, (cold, sample.cold), (warm, sample.warm))


def _sync(found: Candidates, log: Path, mint: Function, sample: _Sample) -> Function:
    """Its start is measured. A user's calls are derived: a round trip each, and the CPU time of mint_token's."""
    cpu, seconds, peaks = [], [], []
    for _ in range(_STARTS):
        with started(found.sync_start, log) as instance:
            seconds.append(1000 * instance.start_up())
            cpu.append(1000 * instance.cpu_seconds())
            peaks.append(instance.peak_mib())
    user = Work(mint.warm.cpu * _CALLS_A_SYNC / _CALLS_A_MINT, float(_CALLS_A_SYNC * _ROUND_TRIP_MS))
    start = statistics.median(cpu)
    waited = max(0.0, statistics.median(seconds) - start)
    # Its first calls load and connect the same as mint_token's.
    peak = max(sample.peak, statistics.median(peaks))
    return Function("sync_user", Work(start + user.cpu, waited + user.waiting), user, peak, chosen("sync_user"))


def chosen(name: str) -> int:
    """The memory size of a function in the template, in MB."""
    resources = yaml_parse((job.ROOT / "template.yaml").read_text())["Resources"]
    memory: int = resources["".join(part.title() for part in name.split("_")) + "Function"]["Properties"]["MemorySize"]
    return memory


def sizes(function: Function) -> Table:
    """The table of one function, with the size of the template marked."""
    header = ["MB", "of a CPU", "cold, ms", "warm, ms", "$ a million cold", "$ a million warm"]
    rows = [
        [
            f"{memory}{' (chosen)' if memory == function.chosen else ''}",
            f"{share(memory):.0%}",
            *(f"{work.milliseconds(memory):.0f}" for work in (function.cold, function.warm)),
            *(f"{work.dollars(memory):.2f}" for work in (function.cold, function.warm)),
        ]
        for memory in sorted({*SIZES_MB, function.chosen})
    ]
    return Table(f"{function.name}, derived", header, rows)


def checked(checks: Sequence[Check]) -> Table:
    """Derived and measured figures side by side."""
    header = ["", "MB", "cold, derived", "measured", "off", "warm, derived", "measured", "off"]
    return Table("The derivation, checked at some sizes, in ms", header, [_row(each) for each in checks])


def _row(check: Check) -> list[str]:
    cells = [
        cell
        for derived, measured in (check.cold, check.warm)
        for cell in (f"{derived:.0f}", f"{measured:.0f}", f"{(measured - derived) / derived:+.0%}")
    ]
    return [check.name, str(check.memory), *cells]


def measured(functions: Iterable[Function]) -> Table:
    """What was measured of each function, in a row."""
    header = ["", "cold, ms of CPU", "waiting", "warm, ms of CPU", "waiting", "MiB at most"]
    rows = [
        [
            each.name,
            f"{each.cold.cpu:.0f}",
            f"{each.cold.waiting:.0f}",
            f"{each.warm.cpu:.1f}",
            f"{each.warm.waiting:.0f}",
            f"{each.peak_mib:.0f}",
        ]
        for each in functions
    ]
    return Table(f"Measured, with a whole CPU and a round trip of {_ROUND_TRIP_MS} ms", header, rows)


if __name__ == "__main__":
    main()
