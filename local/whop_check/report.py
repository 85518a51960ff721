"""Asks the questions, cleans up, and prints what Whop answered as a table."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import httpx
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.whop_check.cleanup import clean_up
from local.whop_check.client import Sandbox
from local.whop_check.questions import Question
from local.whop_check.responses import NotAnsweredError, reason


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table. ``failed``: the question was asked and not answered."""

    question: str
    answer: str
    assumed: str
    change: str = ""
    failed: bool = False


def ask_all(sandbox: Sandbox, questions: Sequence[Question], console: Console, *, given: Collection[str] = ()) -> bool:
    """Ask, clean up, print. Returns whether every question that was asked is answered.

    ``given`` are the command's options that questions can need.
    """
    rows: list[Row] = []
    try:
        rows.extend(_ask(sandbox, question, given) for question in questions)
    finally:
        # The clean-up comes first: printing fails when the reader of a pipe is gone.
        left = clean_up(sandbox)
        console.print(_table(rows))
        for line in left:
            console.print(Text(sandbox.redacted(line)))
    return not any(row.failed for row in rows)


def _ask(sandbox: Sandbox, question: Question, given: Collection[str]) -> Row:
    if question.needs is not None and question.needs not in given:
        return Row(question.text, f"not asked: needs {question.needs}", question.assumed)
    try:
        answer = question.probe(sandbox)
    except (NotAnsweredError, httpx.HTTPError) as error:
        return Row(question.text, sandbox.redacted(f"not answered: {reason(error)}"), question.assumed, failed=True)
    change = "as assumed" if answer.verdict == question.assumed else question.otherwise
    text = f"{answer.verdict} ({answer.detail})" if answer.detail else answer.verdict
    return Row(question.text, sandbox.redacted(text), question.assumed, change)


def _table(rows: Sequence[Row]) -> Table:
    table = Table("question", "answer", "what we assume", "what to change", box=box.SIMPLE_HEAD, padding=(0, 1, 1, 0))
    for row in rows:
        # As Text, because what Whop says can look like rich's markup.
        table.add_row(*map(Text, (row.question, row.answer, row.assumed, row.change)))
    return table
