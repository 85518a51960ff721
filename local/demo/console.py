"""How the demo shows its steps: one line a step, with its time and its result."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

_TITLE_WIDTH = 27

type Report = Callable[[str], None]


class StepPrinter:
    """Prints a line for each step when it ends. A terminal shows a spinner while the step runs."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, title: str) -> Iterator[Report]:
        """Time the block as one step. The block reports its result; the last report is printed."""
        results = [""]
        begun = time.monotonic()
        try:
            with self._console.status(title):
                yield results.append
        except BaseException:
            self._print("red", "✗", title, begun, "")
            raise
        self._print("green", "✓", title, begun, results[-1])

    def _print(self, colour: str, mark: str, title: str, begun: float, result: str) -> None:
        seconds = f"{time.monotonic() - begun:5.1f} s"
        line = Text.assemble("  ", (mark, colour), f" {title:<{_TITLE_WIDTH}}{seconds}   {result}".rstrip())
        self._console.print(line, soft_wrap=True, highlight=False)
