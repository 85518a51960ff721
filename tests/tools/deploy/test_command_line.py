"""The command line of make deploy and make rollback."""

import pytest

from tools.deploy.__main__ import main


@pytest.mark.parametrize("stage", ["", "../dev", "a b", "-dev", "dev/x"])
@pytest.mark.parametrize("command", ["deploy", "rollback"])
def test_a_stage_is_a_plain_name(command: str, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, f"--stage={stage}"])

    assert stopped.value.code == 2
    assert "make deploy STAGE=dev" in capsys.readouterr().err


def test_without_a_region_nothing_is_tried(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    assert main(["rollback", "--stage", "dev"]) == 1
    assert "AWS_REGION" in capsys.readouterr().err
