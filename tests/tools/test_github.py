"""What the linters of `make github` cannot know about the workflows and the hooks before a commit."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.fakes.source_tree import ROOT
from tools import release

WORKFLOWS = {path.stem: path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml")}
# The base loader makes texts of all values, where YAML 1.1 reads the key `on` as true.
PARSED: dict[str, Any] = {name: yaml.load(text, yaml.BaseLoader) for name, text in WORKFLOWS.items()}  # noqa: S506
HOOKS: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every job, as `workflow.job`."""
    for name, workflow in PARSED.items():
        for job, content in workflow["jobs"].items():
            yield f"{name}.{job}", content


def commands(workflow: str) -> str:
    """All commands of a workflow."""
    return "\n".join(step["run"] for job in PARSED[workflow]["jobs"].values() for step in job["steps"] if "run" in step)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_action_is_pinned_by_commit_and_says_its_version(workflow: str) -> None:
    used = re.findall(r"uses: (.+)", WORKFLOWS[workflow])

    assert used
    assert [each for each in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []


def test_all_workflows_use_the_same_commit_of_an_action() -> None:
    used = {tuple(each.split("@")) for text in WORKFLOWS.values() for each in re.findall(r"uses: (\S+)", text)}

    assert len({action for action, _ in used}) == len(used)


def test_a_job_may_only_read_the_sources_unless_it_is_here() -> None:
    assert all(workflow["permissions"] == {} for workflow in PARSED.values())
    assert {name: job["permissions"] for name, job in jobs() if job["permissions"] != {"contents": "read"}} == {
        "deploy.deploy": {"contents": "read", "id-token": "write"},
        "release.publish": {"contents": "write"},
    }


def test_a_pull_request_runs_what_ci_runs() -> None:
    assert "pull_request" in PARSED["test"]["on"]
    assert commands("test") == commands("release").splitlines()[0] == "bash .ci/run"


def test_a_release_is_of_the_tag_and_attaches_all_but_its_notes() -> None:
    done = commands("release")
    attached = set(re.findall(r"dist/(\S+)", done.partition("gh release create")[2]))

    assert 'make dist ARGS="--tag $GITHUB_REF_NAME"' in done
    assert "--notes-file dist/NOTES.md" in done
    assert attached - {"NOTES.md"} == {"*.cdx.json", "*.zip", "SHA256SUMS", *set(release.LICENSES) - {"LICENSE"}}


def test_the_stages_that_can_be_deployed_are_those_of_samconfig() -> None:
    stages = set(tomllib.loads((ROOT / "samconfig.toml").read_text())) - {"version"}

    assert set(PARSED["deploy"]["on"]["workflow_dispatch"]["inputs"]["stage"]["options"]) == stages
    assert PARSED["deploy"]["jobs"]["deploy"]["environment"] == "${{ inputs.stage }}"


def test_no_workflow_holds_a_key_of_aws() -> None:
    assert not any(re.search(r"secrets\.|access-key|AKIA", text, re.IGNORECASE) for text in WORKFLOWS.values())


def test_the_hooks_are_tools_of_this_repository() -> None:
    assert [each["repo"] for each in HOOKS["repos"]] == ["local"]
    hooks = HOOKS["repos"][0]["hooks"]
    assert {hook["language"] for hook in hooks} == {"unsupported"}
    assert all(hook["entry"].startswith((".venv/dev/bin/python -m ", "make ")) for hook in hooks)
