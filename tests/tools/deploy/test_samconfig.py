"""What the tools read of samconfig.toml."""

from pathlib import Path

import pytest

from tests.fakes.source_tree import ROOT
from tools.deploy.errors import DeployError
from tools.deploy.samconfig import read


def _config(folder: Path, *overrides: str) -> Path:
    path = folder / "samconfig.toml"
    lines = ",".join(f"'{each}'" for each in overrides)
    path.write_text(f'[prod.global.parameters]\nstack_name = "chat"\nparameter_overrides = [{lines}]\n')
    return path


@pytest.mark.parametrize("stage", ["dev", "staging", "prod"])
def test_the_stages_of_the_project_have_a_stack_and_their_stage(stage: str) -> None:
    found = read(ROOT / "samconfig.toml", stage)

    assert found.stack == f"whop-chat-{stage}"
    assert found.parameters["Stage"] == stage


def test_values_are_read_as_sam_reads_them(tmp_path: Path) -> None:
    path = _config(tmp_path, "Stage=prod", 'ReconcileSchedule="rate(6 hours)"', "DeniedGroups=banned,spammers", "X=a=b")

    found = read(path, "prod")

    assert found.stack == "chat"
    assert found.parameters == {
        "Stage": "prod",
        "ReconcileSchedule": "rate(6 hours)",
        "DeniedGroups": "banned,spammers",
        "X": "a=b",
    }


def test_a_list_that_sam_would_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="spammers"):
        read(_config(tmp_path, "DeniedGroups=banned, spammers"), "prod")


def test_another_stage_has_a_stack_of_its_own_name(tmp_path: Path) -> None:
    for path in (_config(tmp_path), tmp_path / "none.toml"):
        found = read(path, "review")

        assert (found.stack, found.parameters) == ("whop-chat-review", {})
