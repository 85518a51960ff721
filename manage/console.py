"""What a command says, to a person or as JSON, and what it asks."""

import json
from collections.abc import Mapping
from typing import Any, TextIO

from manage.progress import Progress


class Refused(Exception):
    """A command will not or cannot do it. The message is for the operator: why, and what to do.

    ``data`` are further members of the JSON answer.
    """

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.data: Mapping[str, Any] = data


class Console:
    """Standard output is the answer: lines for a person, or one JSON object.

    With JSON, what a person should read before they answer a question goes to standard error.
    """

    def __init__(self, *, as_json: bool, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self._as_json = as_json
        self._in, self._out, self._err = stdin, stdout, stderr

    def say(self, text: str) -> None:
        """Lines for a person, before the answer."""
        _write(self._err if self._as_json else self._out, text)

    def progress(self, title: str, total: int | None) -> Progress:
        """How far something has come, on standard error; ``total`` as for `Progress`."""
        return Progress(self._err, title, total)

    def answer(self, text: str, **data: Any) -> None:
        """The answer of a command: ``text`` for a person, ``data`` as JSON. Once a run."""
        _write(self._out, json.dumps(data, indent=2) if self._as_json else text)

    def refuse(self, error: Refused) -> None:
        """The answer of a command that did not do it."""
        _write(self._err, str(error))
        if self._as_json:
            self.answer("", **{"outcome": "refused", **error.data, "error": str(error)})

    def confirm(self, question: str) -> bool:
        """Whether a person says yes; anything but "y" and "yes" is no. Raises `Refused` when nobody can be asked."""
        if not self._in.isatty():
            raise Refused("There is no terminal to ask on: add --yes to go ahead, or --dry-run to only look.")
        self._err.write(f"{question} [y/N] ")
        self._err.flush()
        return self._in.readline().strip().lower() in {"y", "yes"}


def _write(out: TextIO, text: str) -> None:
    out.write(f"{text}\n")
    out.flush()
