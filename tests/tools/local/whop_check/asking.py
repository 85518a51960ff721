"""One run of the check, and what it printed."""

import io
from typing import TextIO

from rich.console import Console

from local.whop_check.client import Sandbox
from local.whop_check.questions import OAUTH_CLIENT, OTHER_USER, QUESTIONS, RATE_LIMIT, Question
from local.whop_check.report import ask_all
from local.whop_simulator import Simulator

EMAIL = "whop-check+{n}@people.test"
OAUTH_APP = "app_Check"
ALL_OPTIONS = frozenset({OTHER_USER, OAUTH_CLIENT, RATE_LIMIT})
ALL_DELETED = "Every account that was created is deleted."
_COLUMNS = ("question", "answer", "what we assume", "what to change")
_WIDE = 2000  # no cell wraps, so each row is one line


class Run:
    """Asks ``questions``, and reads the printed table back."""

    def __init__(self, sandbox: Sandbox, *questions: Question, given: frozenset[str] = ALL_OPTIONS) -> None:
        out = io.StringIO()
        self.answered = ask_all(sandbox, questions, console(out), given=given)
        self.text = out.getvalue()
        self.rows, self.after = _parts(self.text, len(questions))

    @property
    def answers(self) -> list[str]:
        """The answers, in the order of the questions."""
        return [row["answer"] for row in self.rows]


def console(out: TextIO) -> Console:
    """A console that writes to ``out``."""
    return Console(file=out, width=_WIDE, highlight=False)


def about(words: str) -> Question:
    """The question with these words."""
    (question,) = (question for question in QUESTIONS if words in question.text)
    return question


def remaining(simulator: Simulator) -> list[object]:
    """The ids of the connected accounts that exist."""
    accounts = simulator.dump()["accounts"]
    assert isinstance(accounts, list)
    return [account["id"] for account in accounts if account["parent_id"] is not None]


def _parts(text: str, count: int) -> tuple[list[dict[str, str]], list[str]]:
    """The rows of the table, and the lines after it."""
    lines = [line for line in text.splitlines() if line.strip() and not set(line.strip()) <= {"─"}]
    head, *rest = lines
    starts = [head.index(name) for name in _COLUMNS]
    spans = list(zip(starts, [*starts[1:], None], strict=True))
    rows = [
        dict(zip(_COLUMNS, (line[start:end].strip() for start, end in spans), strict=True)) for line in rest[:count]
    ]
    return rows, rest[count:]
