"""What a command tells and asks the operator, as text or as JSON."""

import getpass
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from manage.errors import NotDone, Refused
from manage.progress import Progress


class Console:
    """Standard output has the answer of the command: text, or one JSON object.

    With JSON, the text that comes before the answer goes to standard error.
    """

    def __init__(self, *, as_json: bool, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self._as_json = as_json
        self._in, self._out, self._err = stdin, stdout, stderr

    def say(self, text: str) -> None:
        """Write text that the operator reads before the answer."""
        _write(self._err if self._as_json else self._out, text)

    def read_secret(self, prompt: str) -> str:
        """What standard input has, or what the operator types at ``prompt``, without an echo."""
        return getpass.getpass(prompt, stream=self._err) if self._in.isatty() else self._in.read()

    def progress(self, title: str, total: int | None) -> Progress:
        """A progress display on standard error; ``total`` as for `Progress`."""
        return Progress(self._err, title, total)

    def answer(self, text: str, **data: Any) -> None:
        """Write the answer of the command: ``text``, or ``data`` as JSON. Call this once a run."""
        _write(self._out, json.dumps(data, indent=2) if self._as_json else text)

    def refuse(self, error: Refused) -> None:
        """Write why the command did not do its work, to standard error and as the JSON answer."""
        _write(self._err, str(error))
        if self._as_json:
            self.answer("", **{"outcome": "refused", **error.data, "error": str(error)})

    def approve(
        self,
        question: str,
        data: Mapping[str, Any],
        *,
        yes: bool,
        dry_run: bool | None = None,
        otherwise: str = "Nothing was written.",
    ) -> None:
        """Return if the operator wants the work done: ``yes``, or a "yes" to ``question``.

        ``dry_run`` is None for a command without this option. Raises `NotDone` for a dry run and for any other answer;
        it answers the text ``otherwise``, or ``data`` as JSON.
        Raises `Refused` if there is no terminal to ask on.
        """
        if dry_run:
            raise NotDone(otherwise, status=0, outcome="dry_run", **data)
        if not yes and not self._confirm(question, "--yes" if dry_run is None else "--yes to go ahead, or --dry-run"):
            raise NotDone(otherwise, status=1, outcome="declined", **data)

    def _confirm(self, question: str, options: str) -> bool:
        if not self._in.isatty():
            raise Refused(f"There is no terminal to ask on: add {options}.")
        self._err.write(f"{question} [y/N] ")
        self._err.flush()
        return self._in.readline().strip().lower() in {"y", "yes"}


def count_lines(counts: Iterable[tuple[str, int]]) -> list[str]:
    """One line for each count, with the numbers in one column."""
    return [f"  {name:<28}{count:>8}" for name, count in counts]


def timestamp(seconds: float) -> str:
    """Epoch seconds as an operator reads them, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _write(out: TextIO, text: str) -> None:
    out.write(f"{text}\n")
    out.flush()
