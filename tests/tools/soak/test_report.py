"""How a run looks in the terminal and on its page."""

from soak.report import Figure, Found, Outcome, as_markdown, as_text

GOOD = Found([Figure.none("users lost", []), Figure.known("users", 1234)], "digest")
BAD = Found([Figure.none("users lost", ["user-1"]), Figure.known("users", 1234)], "digest")


def test_a_failed_run_says_what_failed_and_how_to_repeat_it() -> None:
    outcome = Outcome("faults", 7, {"users": 60}, BAD)

    text = as_text(outcome)

    assert not outcome.met
    assert "✗ users lost" in text
    assert "user-1" in text
    assert 'make soak ARGS="faults --seed 7 --users 60"' in text


def test_a_run_that_meets_its_limits_is_met() -> None:
    outcome = Outcome("faults", 7, {}, GOOD)

    assert outcome.met
    assert "run it again" not in as_text(outcome)


def test_the_page_has_a_column_and_a_command_for_each_seed() -> None:
    document = as_markdown([Outcome("faults", 1, {}, GOOD), Outcome("faults", 2, {}, GOOD)])

    assert "|  | seed 1 | seed 2 | allowed |" in document
    assert "| users | 1,234 | 1,234 |  |" in document
    assert '`make soak ARGS="faults --seed 2"`' in document


def test_a_limit_that_differs_from_run_to_run_is_shown_for_each() -> None:
    runs = [Found([figure], "digest") for figure in (Figure.known("share", 0), Figure.at_least("share", 100, 99))]

    document = as_markdown([Outcome("outage", number, {}, found) for number, found in enumerate(runs)])

    assert "| share | 0 | 100 | any / at least 99 |" in document


def test_a_figure_beyond_its_limit_is_not_met() -> None:
    assert Figure.at_most("seconds", 3, 3).met
    assert not Figure.at_most("seconds", 3.1, 3).met
    assert Figure.at_least("share", 99, 99).met
    assert not Figure.at_least("share", 98.9, 99).met
