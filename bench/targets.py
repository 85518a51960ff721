"""What a run is measured against: ratios to peers of the same run, and the size of the package."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.candidates import BARE, EVERYTHING, NODE_NAME, OURS
from bench.summary import Results

MINT_COLD_TO_EVERYTHING = 0.48
MINT_COLD_TO_NODE = 1.65
SIGN_UP_COLD_TO_EVERYTHING = 0.70
WARM_TO_BARE = 1.12
MEMORY_TO_EVERYTHING = 0.63
UNZIPPED_MIB = 34


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of this run and its upper limit."""

    name: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        """Compares the two decimals that the table shows."""
        return round(self.value, 2) <= self.limit


def targets(results: Results) -> Iterator[Target]:
    """All targets that this run can tell: without Node there is no ratio to it."""
    for trip, cold in results.mint_cold.items():
        for peer, limit in ((EVERYTHING, MINT_COLD_TO_EVERYTHING), (NODE_NAME, MINT_COLD_TO_NODE)):
            if peer in cold:
                ratio = cold[OURS].first_answer.median / cold[peer].first_answer.median
                yield Target(f"mint_token cold to first answer, to {peer}, {trip} ms", ratio, limit)
    for trip, cold in results.sign_up_cold.items():
        ratio = cold[OURS].first_answer.median / cold[EVERYTHING].first_answer.median
        yield Target(f"on_signup cold, to {EVERYTHING}, {trip} ms", ratio, SIGN_UP_COLD_TO_EVERYTHING)
    for trip, warm in results.mint_warm.items():
        # Without a network, a call is CPU time only, and the bare calls do nothing of what a service has to do.
        if trip:
            ratio = warm[OURS].latency.median / warm[BARE].latency.median
            yield Target(f"warm p50, to {BARE}, {trip} ms", ratio, WARM_TO_BARE)
    warm = next(iter(results.mint_warm.values()))
    yield Target(f"peak memory, to {EVERYTHING}", warm[OURS].peak / warm[EVERYTHING].peak, MEMORY_TO_EVERYTHING)
    yield Target("unzipped layer and function, MiB", results.sizes[OURS].unzipped, UNZIPPED_MIB)
