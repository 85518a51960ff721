"""What the samples come to, and how it stands to the targets."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of samples and their quartiles."""

    median: float
    low: float
    high: float


def spread(samples: Sequence[float]) -> Spread:
    """Of at least one sample."""
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0])
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(median, low, high)


def percentile(samples: Sequence[float], percent: int) -> float:
    """The smallest sample that at least ``percent`` of all do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


@dataclass(frozen=True, slots=True)
class Cold:
    """Starts of one candidate. Milliseconds from the start of the process; memory in MiB at the first answer."""

    first_answer: Spread
    init: Spread
    cpu: Spread
    peak: Spread


@dataclass(frozen=True, slots=True)
class Warm:
    """Calls of one running candidate. Milliseconds, and MiB at the end; ``asked`` is calls per call, by operation."""

    latency: Spread
    p99: float
    cpu: float
    peak: float
    asked: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Size:
    """What is uploaded, in MiB."""

    unzipped: float
    zipped: float


@dataclass(frozen=True, slots=True)
class Results:
    """One run. The measurements are by round trip in milliseconds, then by candidate."""

    machine: Mapping[str, str | int]
    cold_starts: int
    warm_calls: Mapping[int, int]
    stub_floor: Spread
    """Milliseconds of one exchange with the stubs, without any candidate."""
    mint_cold: Mapping[int, Mapping[str, Cold]]
    mint_warm: Mapping[int, Mapping[str, Warm]]
    sign_up_cold: Mapping[int, Mapping[str, Cold]]
    sizes: Mapping[str, Size]


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio (or a size) of this run beside what it is to be at most."""

    name: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        """Judged by the two decimals that are shown."""
        return round(self.value, 2) <= self.limit


def targets(results: Results, *, ours: str, everything: str, node: str, bare: str) -> list[Target]:
    """What this project wants to be, as far as the run can tell."""
    return [*_by_round_trip(results, ours, everything, node, bare), *_at_rest(results, ours, everything)]


def _by_round_trip(results: Results, ours: str, everything: str, node: str, bare: str) -> Iterable[Target]:
    for trip, cold in results.mint_cold.items():
        start = cold[ours].first_answer.median
        for peer, limit in ((everything, 0.40), (node, 1.0)):
            if peer in cold:
                name = f"cold start to first answer, to {peer}, {trip} ms"
                yield Target(name, start / cold[peer].first_answer.median, limit)
    for trip, warm in results.mint_warm.items():
        yield Target(f"warm p50, to {bare}, {trip} ms", warm[ours].latency.median / warm[bare].latency.median, 1.15)
    for trip, cold in results.sign_up_cold.items():
        ratio = cold[ours].first_answer.median / cold[everything].first_answer.median
        yield Target(f"on_signup cold start, to {everything}, {trip} ms", ratio, 0.35)


def _at_rest(results: Results, ours: str, everything: str) -> Iterable[Target]:
    warm = next(iter(results.mint_warm.values()))
    yield Target(f"peak memory, to {everything}", warm[ours].peak / warm[everything].peak, 0.6)
    yield Target("unzipped layer and function, MiB", results.sizes[ours].unzipped, 30)
