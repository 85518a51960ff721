"""`make mutation`: it tries what is left, and fails for what nobody has explained."""

from pathlib import Path
from typing import Any

import pytest

from tools.mutation import __main__ as command
from tools.mutation.mutants import Mutant
from tools.mutation.trial import Result


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The journals of runs in which nothing is forked but the trials, and each mutant is killed."""
    monkeypatch.setattr(command, "STATE", tmp_path)
    monkeypatch.setattr(command, "PACKAGES", ("minting",))
    monkeypatch.setattr(command, "_prepare", lambda *_: None)
    monkeypatch.setattr(command, "_reach", None, raising=False)
    monkeypatch.setattr(command, "try_mutant", killed)
    monkeypatch.setattr(command, "write", lambda *_: None)
    return tmp_path


def killed(_mutant: Mutant, _reach: Any) -> Result:
    return Result("killed", "test")


def survived(_mutant: Mutant, _reach: Any) -> Result:
    return Result("survived")


def journal(state: Path) -> list[str]:
    return (state / "minting.jsonl").read_text().splitlines()


def test_a_run_resumes(state: Path) -> None:
    command.main(["--count", "3"])
    first = journal(state)
    command.main(["--count", "3"])
    assert journal(state) == first

    command.main(["--count", "5"])
    assert journal(state)[:3] == first
    assert len(journal(state)) == 5


def test_a_run_that_was_cut_off_resumes(state: Path) -> None:
    command.main(["--count", "5"])
    whole = journal(state)
    (state / "minting.jsonl").write_text("".join(f"{line}\n" for line in whole[:2]))
    command.main(["--count", "5"])

    assert sorted(journal(state)) == sorted(whole)


def test_a_survivor_needs_an_explanation(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "try_mutant", survived)
    monkeypatch.setattr(command, "read_explained", dict)
    with pytest.raises(SystemExit, match="survivors without an explanation: 1"):
        command.main(["--count", "1"])

    assert "whop_chat.minting." in capsys.readouterr().out


def test_an_explanation_does_not_make_up_for_too_many_survivors(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "try_mutant", survived)
    monkeypatch.setattr(command, "read_explained", AnyReason)
    with pytest.raises(SystemExit, match=r"^fewer than 90% killed: minting$"):
        command.main(["--count", "1"])


class AnyReason(dict[str, str]):
    """A reason for each survivor."""

    def __contains__(self, _key: object) -> bool:
        return True
