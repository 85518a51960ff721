"""The SAM CLI is another program: here a script stands for it."""

import sys
from pathlib import Path

import pytest

from tools.deploy.errors import DeployError
from tools.deploy.sam import Sam


def _sam(folder: Path, source: str) -> Sam:
    script = folder / "sam.py"
    script.write_text(f"import shutil, sys\narguments = sys.argv[1:]\n{source}\n")
    return Sam([sys.executable, str(script)])


@pytest.mark.parametrize("version", ["1.131.0", "1.170.2", "2.0.0"])
def test_a_version_that_is_new_enough_is_accepted(tmp_path: Path, version: str) -> None:
    _sam(tmp_path, f"print('SAM CLI, version {version}')").require_version()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("print('SAM CLI, version 1.130.9')", r"1\.130\.9.*1\.131\.0"),
        ("print('SAM CLI, version 1.9.0')", r"1\.9\.0.*1\.131\.0"),
        ("print('something else')", r"something else.*1\.131\.0"),
        ("sys.exit(1)", r"does not run.*1\.131\.0"),
    ],
)
def test_an_older_version_and_another_program_are_refused(tmp_path: Path, source: str, reason: str) -> None:
    with pytest.raises(DeployError, match=reason):
        _sam(tmp_path, source).require_version()


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="no-such-sam does not run"):
        Sam([str(tmp_path / "no-such-sam")]).require_version()


def test_the_packaged_template_is_what_sam_writes(tmp_path: Path) -> None:
    built = tmp_path / "built.yaml"
    built.write_text("packaged: true\n")
    copy = """
def value(option):
    return arguments[arguments.index(option) + 1]
shutil.copy(value("--template-file"), value("--output-template-file"))
"""

    assert _sam(tmp_path, copy).package(built, "chat", "eu-west-1") == "packaged: true\n"


def test_what_sam_says_when_it_fails_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"sam build failed:\nno python3.13"):
        _sam(tmp_path, "sys.exit('no python3.13')").build(tmp_path / "template.yaml", tmp_path, "x86_64")
