"""CloudWatch's metric math, as far as it is in use."""

import pytest

from tools.watch.expressions import Value, value_of

KNOWN: dict[str, Value] = {"one": 1.0, "five": 5.0, "none": None}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("one + five * 2", 11),
        ("five / 0", None),
        ("none + one", None),
        ("FILL(none, 0) + one", 1),
        ("SUM(FILL([one, none, five], 0))", 6),
        ("SUM([one, none])", 1),
        ("SUM([none])", None),
        ("SUM(FILL(METRICS(), 0))", 6),
        ("MAX(FILL([one, five, none], 0))", 5),
        ("IF(five >= 5 AND five > 0.2 * (five + one), 1, 0)", 1),
        ("IF(five >= 5 AND one > five, 1, 0)", 0),
        ("IF(none > 5, 1, 0)", None),
        ("IF(none > 5 AND one > 0, 1, 0)", None),
    ],
)
def test_an_expression_comes_to_its_value(expression: str, value: Value) -> None:
    assert value_of(expression, KNOWN, KNOWN) == value


@pytest.mark.parametrize("expression", ["RATE(one)", "one ** 2", "[one]", "IF(one, five)"])
def test_what_is_not_known_is_not_guessed(expression: str) -> None:
    with pytest.raises(ValueError, match=r"not known|a list"):
        value_of(expression, KNOWN, KNOWN)
