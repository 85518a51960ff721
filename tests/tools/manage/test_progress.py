"""How far a command says it is."""

import io

import pytest

from manage.progress import Progress
from tests.fakes.shared import Clock


def shown(monkeypatch: pytest.MonkeyPatch, total: int | None, *, terminal: bool) -> list[str]:
    """What is to be read of something with an item every ten seconds, four in all."""
    out, clock = io.StringIO(), Clock()
    monkeypatch.setattr(out, "isatty", lambda: terminal)
    with Progress(out, "working", total, clock=clock) as progress:
        for number in range(1, 5):
            clock.advance(10)
            progress.show(number)
    return [each for each in out.getvalue().replace("\r\033[2K", "\n").splitlines() if each]


def test_a_terminal_has_a_bar_and_the_time_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = shown(monkeypatch, 4, terminal=True)

    assert bars[0] == f"working [{'-' * 30}] 0 of 4"
    assert bars[2] == f"working [{'#' * 15}{'-' * 15}] 2 of 4, 0:00:20 to go"
    assert bars[-1] == f"working [{'#' * 30}] 4 of 4"


def test_elsewhere_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 4, terminal=False) == [f"working [{'#' * 22}{'-' * 8}] 3 of 4, 0:00:10 to go"]


@pytest.mark.parametrize("total", [None, 0])
def test_without_a_total_it_counts(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    assert shown(monkeypatch, total, terminal=True)[-1] == "working: 4"


def test_an_estimate_that_was_too_low_is_no_more_than_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 3, terminal=True)[-1] == f"working [{'#' * 30}] 4 of 3"


def test_no_more_is_written_than_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    with Progress(out, "working", 10_000, clock=Clock()) as progress:
        for number in range(10_000):
            progress.show(number)

    assert out.getvalue().count("working") == 2
