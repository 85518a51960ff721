"""Draws the dashboard as it would look, as SVG, from log lines that functions have written.

``python -m tools.watch.draw LINES >dashboard.svg``. The metrics of AWS are not in the lines. Their widgets are empty
unless ``--also FILE`` names a JSON list of ``[namespace, metric, {dimension: value}, epoch seconds, value]``.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from tools.watch.dashboard import Series, series_of, widgets_of
from tools.watch.expressions import Value
from tools.watch.samples import Name, Samples

_ROOT = Path(__file__).resolve().parents[2]
_COLUMN, _ROW, _GAP = 60, 44, 8
_PERIODS = 36
_COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the picture to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", type=Path, help="log lines of the functions")
    parser.add_argument("--stack", default="whop-chat-dev", help="the stack's name (%(default)s)")
    parser.add_argument("--also", type=Path, help="samples of AWS's metrics")
    given = parser.parse_args(arguments)
    samples = Samples()
    samples.add_lines(given.lines.read_text().splitlines())
    for namespace, metric, dimensions, at, value in json.loads(given.also.read_text()) if given.also else []:
        samples.add(Name.of(namespace, metric, dimensions), value, at=at)
    template = yaml_parse((_ROOT / "template.yaml").read_text())
    sys.stdout.write(picture(widgets_of(template, given.stack), samples))


def picture(widgets: Sequence[dict[str, Any]], samples: Samples) -> str:
    """The dashboard as an SVG document, over all the time that ``samples`` cover."""
    first, last = samples.span
    period = max(60.0, (last - first) / _PERIODS // 60 * 60 + 60)
    starts = [first // period * period + number * period for number in range(int((last - first) // period) + 2)]
    height = max(each["y"] + each["height"] for each in widgets) * _ROW
    drawn = "".join(_widget(each, samples, starts, period) for each in widgets)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{24 * _COLUMN}" height="{height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#f2f3f3"/>{drawn}</svg>\n'
    )


def _widget(widget: dict[str, Any], samples: Samples, starts: list[float], period: float) -> str:
    width, height = widget["width"] * _COLUMN - _GAP, widget["height"] * _ROW - _GAP
    properties = widget["properties"]
    match widget["type"]:
        case "metric":
            series = series_of(widget, samples, starts, period)
            inside = _chart(series, properties, width, height)
        case "text":
            inside = _paragraph(properties["markdown"].replace("# ", "").replace("**", ""), width)
        case "alarm":
            names = [each.removesuffix("Alarm") for each in properties["alarms"]]
            inside = "".join(_alarm(name, number, width) for number, name in enumerate(names))
        case _:
            inside = _paragraph(properties["query"], width, y=36)
    title = f'<text x="10" y="18" font-weight="bold">{escape(properties.get("title", ""))}</text>'
    frame = f'<rect width="{width}" height="{height}" fill="white" stroke="#d5dbdb"/>'
    return f'<g transform="translate({widget["x"] * _COLUMN},{widget["y"] * _ROW})">{frame}{title}{inside}</g>'


def _paragraph(text: str, width: int, *, y: int = 20) -> str:
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            if len(line) + len(word) > width // 7:
                lines.append(line)
                line = ""
            line = f"{line} {word}".strip()
        lines.append(line)
    return "".join(f'<text x="10" y="{y + 18 * number}">{escape(line)}</text>' for number, line in enumerate(lines))


def _alarm(name: str, number: int, width: int) -> str:
    """A place for an alarm. Its state is not drawn."""
    x, y = 10 + number % 6 * (width // 6), 34 + number // 6 * 40
    return (
        f'<rect x="{x}" y="{y}" width="{width // 6 - 10}" height="30" fill="#687078"/>'
        f'<text x="{x + 8}" y="{y + 20}" fill="white">{escape(name)}</text>'
    )


def _chart(series: list[Series], properties: dict[str, Any], width: int, height: int) -> str:
    left, right, top, bottom = 52, width - 10, 32, height - 18 * -(-len(series) // 3) - 14
    marks = properties.get("annotations", {}).get("horizontal", [])
    layers = _stacked(series) if properties.get("stacked") else [each.values for each in series]
    shown = [value for layer in layers for value in layer if value is not None]
    most = max([*shown, *(each["value"] for each in marks), 1.0]) * 1.05

    def point(number: int, value: float) -> str:
        across = number / max(1, len(series[0].values) - 1)
        return f"{left + (right - left) * across:.1f},{bottom - (bottom - top) * value / most:.1f}"

    parts = [_axis(left, right, top, bottom, most)]
    for mark in marks:
        y = bottom - (bottom - top) * mark["value"] / most
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#d62728" stroke-dasharray="4"/>')
        parts.append(f'<text x="{left + 4}" y="{y - 4:.1f}" fill="#d62728">{escape(mark["label"])}</text>')
    for number, (each, layer) in enumerate(zip(series, layers, strict=True)):
        color = each.color or _COLORS[number % len(_COLORS)]
        points = [point(place, value) for place, value in enumerate(layer) if value is not None]
        if points:
            parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{color}" stroke-width="2"/>')
            parts += [
                f'<circle cx="{at.split(",")[0]}" cy="{at.split(",")[1]}" r="2" fill="{color}"/>' for at in points
            ]
        x, y = 10 + number % 3 * ((width - 20) // 3), bottom + 22 + number // 3 * 18
        faded = "" if points else ' fill="#879596"'
        parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{color}"/>')
        parts.append(f'<text x="{x + 14}" y="{y}" font-size="11"{faded}>{escape(each.label)}</text>')
    return "".join(parts)


def _stacked(series: list[Series]) -> list[list[Value]]:
    total = [0.0] * len(series[0].values)
    layers: list[list[Value]] = []
    for each in series:
        total = [below + (value or 0.0) for below, value in zip(total, each.values, strict=True)]
        has_values = any(value is not None for value in each.values)
        layers.append(list(total) if has_values else [None] * len(total))
    return layers


def _axis(left: float, right: float, top: float, bottom: float, most: float) -> str:
    lines = f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#879596"/>'
    return lines + "".join(
        f'<text x="{left - 6}" y="{bottom - (bottom - top) * share + 4:.1f}" text-anchor="end" font-size="11">'
        f"{most / 1.05 * share:.4g}</text>"
        for share in (0, 0.5, 0.95)
    )


if __name__ == "__main__":
    main()
