"""How far a command has come: a bar on a terminal, elsewhere a line now and then."""

import time
from collections.abc import Callable
from typing import TextIO

_WIDTH = 30
_BAR_SECONDS, _LINE_SECONDS = 0.1, 30.0


class Progress:
    """A context manager; ``total`` is None where nobody knows it, and may be an estimate."""

    def __init__(
        self, out: TextIO, title: str, total: int | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._title = title
        self._total = total
        self._clock = clock
        self._begun = self._told = clock()
        self._done = 0
        self._on_a_terminal = out.isatty()

    def __enter__(self) -> "Progress":
        if self._on_a_terminal:
            self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        if self._on_a_terminal:
            self._draw()
            self._write("\n")

    def show(self, done: int) -> None:
        """``done`` of them are done with."""
        self._done = done
        if self._clock() - self._told >= (_BAR_SECONDS if self._on_a_terminal else _LINE_SECONDS):
            self._told = self._clock()
            if self._on_a_terminal:
                self._draw()
            else:
                self._write(f"{self._line(done)}\n")

    def _draw(self) -> None:
        self._write(f"\r\033[2K{self._line(self._done)}")

    def _line(self, done: int) -> str:
        if not self._total:
            return f"{self._title}: {done}"
        share = min(1.0, done / self._total)
        full = round(share * _WIDTH)
        bar = "#" * full + "-" * (_WIDTH - full)
        return f"{self._title} [{bar}] {done} of {self._total}{self._left(share)}"

    def _left(self, share: float) -> str:
        """The time to go, once there is something to tell it by."""
        passed = self._clock() - self._begun
        if not 0 < share < 1 or passed < 1:
            return ""
        left = round(passed / share * (1 - share))
        return f", {left // 3600}:{left // 60 % 60:02}:{left % 60:02} to go"

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
