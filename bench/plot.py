"""The cold starts as a bar chart in SVG.

Written by hand, because it is rectangles and texts. matplotlib would bring ten more packages. The developers'
environment should not carry them for one picture, so they would need a lock and an environment of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from bench.candidates import OURS
from bench.summary import Results, Spread

_WIDTH, _LABELS, _BAR, _GAP, _TITLE = 760, 190, 18, 6, 34
_COLOURS = {True: "#1f6feb", False: "#8b949e"}


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    bars: Mapping[str, Spread]

    @property
    def height(self) -> int:
        return _TITLE + len(self.bars) * (_BAR + _GAP) + _GAP


def plot(results: Results) -> str:
    """The SVG: a bar for each median, and a line from quartile to quartile."""
    panels = [
        _Panel(f"{function}, {trip} ms round trip", {name: cold.first_answer for name, cold in measured.items()})
        for function, by_trip in (("mint_token", results.mint_cold), ("on_signup", results.sign_up_cold))
        for trip, measured in by_trip.items()
    ]
    scale = (_WIDTH - _LABELS - 70) / max(value.high for panel in panels for value in panel.bars.values())
    height = sum(panel.height for panel in panels) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        "<style>text {font: 12px sans-serif}</style>",
        "<title>Cold start to first answer, in milliseconds</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    top = 0
    for panel in panels:
        parts += _drawn(panel, top, scale)
        top += panel.height
    return "\n".join([*parts, "</svg>", ""])


def _drawn(panel: _Panel, top: int, scale: float) -> Sequence[str]:
    parts = [f'<text x="10" y="{top + 22}" font-weight="bold">{escape(panel.title)}: ms to first answer</text>']
    for index, (name, value) in enumerate(panel.bars.items()):
        y = top + _TITLE + index * (_BAR + _GAP)
        middle, baseline = y + _BAR // 2, y + _BAR // 2 + 4
        low, median, high = (round(_LABELS + each * scale, 1) for each in (value.low, value.median, value.high))
        width, colour = round(median - _LABELS, 1), _COLOURS[name == OURS]
        parts += [
            f'<text x="{_LABELS - 8}" y="{baseline}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LABELS}" y="{y}" width="{width}" height="{_BAR}" fill="{colour}"/>',
            f'<line x1="{low}" x2="{high}" y1="{middle}" y2="{middle}" stroke="#000000"/>',
            f'<text x="{max(median, high) + 6:.1f}" y="{baseline}">{value.median:.0f}</text>',
        ]
    return parts
