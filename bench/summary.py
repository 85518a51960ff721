"""The results of a run: medians, quartiles and sums of its samples."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of samples and their quartiles."""

    median: float
    low: float
    high: float


def spread(samples: Sequence[float]) -> Spread:
    """The spread of at least one sample."""
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0])
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(median, low, high)


def percentile(samples: Sequence[float], percent: int) -> float:
    """The smallest sample that is at least as large as ``percent`` of all samples."""
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
    """Calls of one running candidate. Times are milliseconds, memory is MiB at the end.

    ``asked`` is how many requests the candidate makes per call, by operation.
    """

    latency: Spread
    p99: float
    cpu: float
    peak: float
    asked: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Size:
    """The size of what is uploaded, in MiB."""

    unzipped: float
    zipped: float


@dataclass(frozen=True, slots=True)
class Results:
    """One run. The measurements are by round trip in milliseconds, then by candidate."""

    machine: Mapping[str, str | int]
    cold_starts: int
    warm_calls: Mapping[int, int]
    stub_floor: Spread
    """Milliseconds of one exchange with the stubs alone."""
    mint_cold: Mapping[int, Mapping[str, Cold]]
    mint_warm: Mapping[int, Mapping[str, Warm]]
    sign_up_cold: Mapping[int, Mapping[str, Cold]]
    sizes: Mapping[str, Size]
