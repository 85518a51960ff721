"""How far a command has come: a bar on a terminal, elsewhere a line now and then."""

import time
from collections.abc import Callable
from typing import Self, TextIO

import rich.progress
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

_LINE_SECONDS = 30.0


class Progress:
    """A context manager that shows progress on ``out``. ``total`` may be an estimate; None means unknown."""

    def __init__(
        self, out: TextIO, title: str, total: int | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._last_line = clock()
        # Set here, because with FORCE_COLOR rich would write control codes to a log.
        self._console = Console(file=out, force_terminal=out.isatty())
        of_total = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self._bar = rich.progress.Progress(
            TextColumn("{task.description}"),
            *(of_total if total else [TextColumn("{task.completed}")]),
            console=self._console,
            redirect_stdout=False,
            get_time=clock,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=total or None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, *, total: int | None = None, title: str | None = None) -> None:
        """Show that ``done`` pieces are done. ``total`` and ``title`` replace the former ones."""
        self._bar.update(self._task, completed=done, total=total, description=title)
        if not self._console.is_terminal and self._clock() - self._last_line >= _LINE_SECONDS:
            self._last_line = self._clock()
            self._console.print(self._bar)
