"""How far a command says it is."""

import io
import re

import pytest

from manage.progress import Progress
from tests.fakes.clock import Clock


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the developer's own terminal is; with FORCE_COLOR a library may write colours to a log."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)


def shown(monkeypatch: pytest.MonkeyPatch, total: int | None, *, terminal: bool) -> str:
    """What is written about work with one piece every ten seconds, four in all."""
    out, clock = io.StringIO(), Clock()
    monkeypatch.setattr(out, "isatty", lambda: terminal)
    with Progress(out, "working", total, clock=clock) as progress:
        for number in range(1, 5):
            clock.advance(10)
            progress.show(number)
    return out.getvalue()


def last_line(text: str) -> str:
    """What a terminal shows in the end, without colours."""
    return re.sub(r"\033\[[?0-9;]*[a-zA-Z]", "", text).replace("\r", "\n").strip().splitlines()[-1]


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, 4, terminal=True)

    assert "\r\033[2K" in text  # One line, written over.
    assert re.fullmatch(r"working ━+ 4/4 0:00:00", last_line(text))


def test_a_log_has_a_line_now_and_then_in_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = shown(monkeypatch, 4, terminal=False).splitlines()

    assert re.fullmatch(r"working ━+ +3/4 0:00:10", line)


@pytest.mark.parametrize("total", [None, 0])
def test_without_a_total_it_counts(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    assert last_line(shown(monkeypatch, total, terminal=True)) == "working 4"
    assert shown(monkeypatch, total, terminal=False) == "working 3\n"


def test_an_estimate_may_be_too_low(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(r"working ━+ 4/3 0:00:00", last_line(shown(monkeypatch, 3, terminal=True)))
