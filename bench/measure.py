"""Measures candidates in turns of random order, so a slow moment of the machine hits all of them."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.answers import Operation
from bench.candidates import Candidate
from bench.instance import FirstAnswer, started
from bench.summary import Cold, Warm, percentile, spread
from bench.upstream import Upstream

_WARM_UP_CALLS = 20

type Event = Callable[[], bytes]


def cold(
    candidates: Sequence[Candidate], event: Event, upstream: Upstream, folder: Path, starts: int
) -> Mapping[str, Cold]:
    """Start each candidate ``starts`` times, up to its first answer."""
    samples: dict[str, list[FirstAnswer]] = {candidate.name: [] for candidate in candidates}
    for candidate in _turns(candidates, starts):
        upstream.counts()
        with started(candidate, folder / "candidate.log") as instance:
            samples[candidate.name].append(instance.first_answer(event()))
        asked = upstream.counts()
        if asked.keys() != candidate.asks:
            raise SystemExit(f"{candidate.name} asked for {asked}, and its job is {sorted(candidate.asks)}")
    return {name: _cold(answers) for name, answers in samples.items()}


def _cold(answers: Sequence[FirstAnswer]) -> Cold:
    return Cold(
        first_answer=spread([1000 * answer.seconds for answer in answers]),
        init=spread([1000 * answer.init_seconds for answer in answers]),
        cpu=spread([1000 * answer.cpu_seconds for answer in answers]),
        peak=spread([answer.peak_mib for answer in answers]),
    )


def warm(
    candidates: Sequence[Candidate], event: Event, upstream: Upstream, folder: Path, calls: int
) -> Mapping[str, Warm]:
    """Call each candidate ``calls`` times. All are running, one at a time works."""
    seconds: dict[str, list[float]] = defaultdict(list)
    asked: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    with ExitStack() as stack:
        running = {
            each.name: stack.enter_context(started(each, folder / f"{index}.log"))
            for index, each in enumerate(candidates)
        }
        for instance in running.values():
            instance.first_answer(event())
            for _ in range(_WARM_UP_CALLS):
                instance.invoke(event())
        before = {name: instance.cpu_seconds() for name, instance in running.items()}
        upstream.counts()
        for candidate in _turns(candidates, calls):
            seconds[candidate.name].append(running[candidate.name].invoke(event()))
            for operation, count in upstream.counts().items():
                asked[candidate.name][operation] += count
        cpu = {name: instance.cpu_seconds() - before[name] for name, instance in running.items()}
        peaks = {name: instance.peak_mib() for name, instance in running.items()}
    for name, counts in asked.items():
        if Operation.REFUSED in counts:
            raise SystemExit(f"{name}: the stubs refused {counts[Operation.REFUSED]} requests")
    return {
        name: Warm(
            latency=spread([1000 * each for each in samples]),
            p99=1000 * percentile(samples, 99),
            cpu=1000 * cpu[name] / calls,
            peak=peaks[name],
            asked={operation: count / calls for operation, count in asked[name].items()},
        )
        for name, samples in ((each.name, seconds[each.name]) for each in candidates)
    }


def _turns(candidates: Sequence[Candidate], turns: int) -> Iterator[Candidate]:
    command = random.Random(0)  # noqa: S311 - the same order in each run
    for _ in range(turns):
        yield from command.sample(candidates, len(candidates))
