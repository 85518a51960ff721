"""Runs a command as an operator does."""

import io

import pytest

from manage import __main__ as manage
from tests.tools.manage.run import Run


def run_command(
    patch: pytest.MonkeyPatch,
    capture: pytest.CaptureFixture[str],
    *arguments: str,
    says: str | None,
    pipe: str | None = None,
) -> Run:
    """Run ``manage --stack chat …`` with ``says`` as the answer at the terminal, or with a ``pipe``."""
    stdin = io.StringIO((pipe or "") if says is None else f"{says}\n")
    patch.setattr(stdin, "isatty", lambda: says is not None)
    patch.setattr("sys.stdin", stdin)
    status = manage.main(["--stack", "chat", *arguments])
    return Run(status, *capture.readouterr())
