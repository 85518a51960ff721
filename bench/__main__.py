"""Measures this project, its peers and its limits in one run: `make bench`."""

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import job, measure, upstream
from bench.candidates import candidates_of
from bench.plot import plot
from bench.report import tables
from bench.sizes import sizes
from bench.staging import stage
from bench.summary import Results, spread
from tools.figures import FIGURES, as_markdown, as_text, write

# With a round trip a call takes longer and varies less, so fewer calls are enough.
_FEWER = 5


def main() -> None:
    """Measure, print, and write docs/figures/performance.md."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--cold", type=int, default=15, metavar="N", help="starts of each candidate (15)")
    parser.add_argument("--warm", type=int, default=1000, metavar="N", help="calls without a round trip (1000)")
    parser.add_argument("--round-trips", type=int, nargs="+", default=[0, 30], metavar="MS", help="(0 30)")
    parser.add_argument("--print-only", action="store_true", help="write no file")
    asked = parser.parse_args()
    if sys.platform != "linux":
        raise SystemExit("The benchmark reads /proc and starts AWS's runtime client: it needs Linux.")
    results = _run(asked.round_trips, asked.cold, asked.warm)
    shown = tables(results)
    print("\n\n".join(map(as_text, shown)))
    if not asked.print_only:
        (FIGURES / "performance.json").write_text(_json(results))
        (FIGURES / "performance.svg").write_text(plot(results))
        picture = "![Cold start to first answer](performance.svg)"
        write("performance", "Performance", "make bench", _about(results), *map(as_markdown, shown), picture)


def _run(trips: list[int], starts: int, calls: int) -> Results:
    staged, pool = stage(), job.Pool()
    mint_cold, mint_warm, sign_up_cold = {}, {}, {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name, upstream.running(pool, Path(name)) as stubs:
        folder = Path(name)
        floor = spread([1000 * seconds for seconds in stubs.floor()])
        candidates = candidates_of(staged, stubs)
        warm_calls = {trip: calls // _FEWER if trip else calls for trip in trips}
        for trip in trips:
            stubs.set_round_trip(trip / 1000)
            print(f"measuring at {trip} ms round trip", file=sys.stderr)
            mint_cold[trip] = measure.cold(candidates.mint_cold, lambda: job.mint_event(pool), stubs, folder, starts)
            sign_up_cold[trip] = measure.cold(candidates.sign_up_cold, job.sign_up_event, stubs, folder, starts)
            mint_warm[trip] = measure.warm(
                candidates.mint_warm, lambda: job.mint_event(pool), stubs, folder, warm_calls[trip]
            )
    return Results(
        machine=_machine(with_node=staged.node_bundle is not None),
        cold_starts=starts,
        warm_calls=warm_calls,
        stub_floor=floor,
        mint_cold=mint_cold,
        mint_warm=mint_warm,
        sign_up_cold=sign_up_cold,
        sizes=sizes(staged),
    )


def _json(results: Results) -> str:
    rounded = json.loads(json.dumps(dataclasses.asdict(results)), parse_float=lambda text: round(float(text), 3))
    return json.dumps(rounded, indent=1) + "\n"


def _machine(*, with_node: bool) -> dict[str, str | int]:
    facts: dict[str, str | int] = {
        "cpus": os.cpu_count() or 0,
        "processor": platform.machine(),
        "python": platform.python_version(),
    }
    if with_node:
        version = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True)  # noqa: S607
        facts["node"] = version.stdout.strip().removeprefix("v")
    return facts


def _about(results: Results) -> str:
    machine = results.machine
    node = f", Node {machine['node']}" if "node" in machine else ""
    calls = " and ".join(f"{count} calls at {trip} ms" for trip, count in results.warm_calls.items())
    return (
        f"{machine['cpus']} CPUs ({machine['processor']}), Python {machine['python']}{node}. {results.cold_starts} cold"
        f" starts of each candidate at each round trip; warm {calls}. Cold starts are medians with quartiles, in"
        f" milliseconds from the start of the process. The stubs alone answer in {results.stub_floor.median:.2f} ms."
    )


if __name__ == "__main__":
    main()
