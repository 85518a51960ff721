"""The results of a run as tables."""

from collections.abc import Iterable, Mapping

from bench.answers import Operation
from bench.candidates import BARE, NOTHING
from bench.summary import Cold, Results, Spread, Warm
from bench.targets import Target, targets
from tools.figures import Table


def tables(results: Results) -> list[Table]:
    """All tables, the targets first."""
    return [
        _targets(targets(results)),
        _cold("mint_token: cold start to first answer", results.mint_cold),
        _warm(results.mint_warm),
        _cold("on_signup: cold start to return", results.sign_up_cold),
        _sizes(results),
    ]


def _targets(found: Iterable[Target]) -> Table:
    rows = [
        [target.name, f"{target.value:.2f}", f"{target.limit:.2f}", "yes" if target.met else "no"] for target in found
    ]
    return Table("Targets", ["", "value", "at most", "met"], rows)


def _cold(title: str, measured: Mapping[int, Mapping[str, Cold]]) -> Table:
    trips = list(measured)
    header = ["", *(f"ms at {trip} ms" for trip in trips), "init", "CPU", "peak memory"]
    first = measured[trips[0]]
    rows = [
        [
            name,
            *(_milliseconds(measured[trip][name].first_answer) for trip in trips),
            f"{cold.init.median:.0f} ms",
            f"{cold.cpu.median:.0f} ms",
            f"{cold.peak.median:.0f} MiB",
        ]
        for name, cold in first.items()
    ]
    return Table(title, header, rows)


def _warm(measured: Mapping[int, Mapping[str, Warm]]) -> Table:
    """``+`` is what a call takes on top of the bare calls."""
    trips = list(measured)
    header = ["", *(f"{what}, {trip} ms" for trip in trips for what in ("p50", "+", "p99"))]
    header += ["CPU a call", "peak memory", "calls to Whop a token"]
    rows = []
    for name, first in measured[trips[0]].items():
        row = [name]
        for trip in trips:
            warm = measured[trip][name]
            beyond = warm.latency.median - measured[trip][BARE].latency.median
            shown = "" if name in (BARE, NOTHING) else f"{beyond:.2f}"
            row += [f"{warm.latency.median:.2f}", shown, f"{warm.p99:.2f}"]
        asked = first.asked.get(Operation.WHOP, 0)
        rows.append([*row, f"{first.cpu:.2f} ms", f"{first.peak:.0f} MiB", f"{asked:.2f}"])
    return Table("mint_token: warm, in ms by round trip", header, rows)


def _sizes(results: Results) -> Table:
    rows = [[name, f"{size.unzipped:.1f} MiB", f"{size.zipped:.1f} MiB"] for name, size in results.sizes.items()]
    return Table("Package of mint_token, layer and function", ["", "unzipped", "zipped"], rows)


def _milliseconds(value: Spread) -> str:
    return f"{value.median:.0f} ({value.low:.0f}–{value.high:.0f})"
