"""The table of rules, and the readings."""

from dataclasses import fields

import pytest

from local.whop_simulator import Readings
from local.whop_simulator.__main__ import main
from local.whop_simulator.readings import choices
from local.whop_simulator.rules import RULES, Evidence, implemented_by, listing


def test_every_rule_is_implemented_somewhere() -> None:
    assert [rule.id for rule in RULES if not implemented_by(rule)] == []


def test_every_rule_has_its_own_name_and_a_source() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert all(rule.source and rule.text for rule in RULES)


def test_every_reading_belongs_to_a_guess() -> None:
    named = {name for rule in RULES if rule.evidence is Evidence.GUESSED for name in rule.readings}
    assert named == {field.name for field in fields(Readings)}
    assert not [rule.id for rule in RULES if rule.readings and rule.evidence is not Evidence.GUESSED]


def test_the_command_prints_the_table_of_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rules"]) == 0
    assert capsys.readouterr().out == listing()
    assert all(rule.id in listing() for rule in RULES)


def test_the_command_refuses_a_reading_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--reading", "moon_phase=full"]) == 2
    assert "no such reading" in capsys.readouterr().err


def test_a_reading_takes_only_its_own_values() -> None:
    with pytest.raises(ValueError, match="long_expiry"):
        Readings().with_changes({"long_expiry": "ignored"})
    with pytest.raises(ValueError, match="external_id_ignored"):
        Readings().with_changes({"external_id_ignored": 1})


@pytest.mark.parametrize("name", sorted(choices()))
def test_every_value_of_a_reading_can_be_chosen_by_name(name: str) -> None:
    for value in choices()[name]:
        assert Readings().with_changes({name: value}).as_dict()[name] == value
