"""What a release attaches, and that a tag, the sources and CHANGELOG.md agree."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from tests.fakes.source_tree import ROOT
from tools.release import NoSuchRelease, for_one_architecture, notes, write_archive, write_release
from whop_chat.runtime.version import VERSION

CHANGELOG = """\
# Changelog

## [Unreleased]

## [3.2.0] - 2027-01-15

### Added

- Avatars.

## [3.1.0] - 2026-11-29

The first.
"""
TEMPLATE = """\
Parameters:
  Architecture: {Type: String, Default: x86_64, AllowedValues: [x86_64, arm64]}
Resources: {}
"""


@pytest.fixture
def builds(tmp_path: Path) -> Path:
    """A folder with a small build for each architecture."""
    for architecture in ("x86_64", "arm64"):
        function = tmp_path / "builds" / architecture / "MintTokenFunction"
        function.mkdir(parents=True)
        (function / "app.py").write_text("handler = None\n")
        (function.parent / "template.yaml").write_text(TEMPLATE)
    return tmp_path / "builds"


def test_the_notes_are_what_the_changelog_says_about_the_version() -> None:
    assert notes(CHANGELOG, "3.2.0") == "### Added\n\n- Avatars.\n"
    assert notes(CHANGELOG, "3.1.0") == "The first.\n"


@pytest.mark.parametrize("version", ["3.3.0", "3.1", "Unreleased"])
def test_a_version_without_notes_is_no_release(version: str) -> None:
    with pytest.raises(NoSuchRelease):
        notes(CHANGELOG, version)


def test_a_release_is_two_stacks_the_licences_checksums_and_notes(builds: Path, tmp_path: Path) -> None:
    write_release(builds, tmp_path / "dist", tag=f"v{VERSION}")

    stacks = {
        f"whop-chat-auth-{VERSION}-{each}" for each in ("x86_64.zip", "x86_64.cdx.json", "arm64.zip", "arm64.cdx.json")
    }
    assert {path.name for path in (tmp_path / "dist").iterdir()} == {
        *stacks,
        "THIRD_PARTY_LICENSES",
        "SHA256SUMS",
        "NOTES.md",
    }
    assert (tmp_path / "dist" / "NOTES.md").read_text() in (ROOT / "CHANGELOG.md").read_text()


def test_sha256sum_accepts_the_checksums(builds: Path, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    write_release(builds, dist)

    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=dist, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert hashlib.sha256((dist / "THIRD_PARTY_LICENSES").read_bytes()).hexdigest() in (dist / "SHA256SUMS").read_text()


@pytest.mark.parametrize("tag", ["v0.0.9", VERSION, "main"])
def test_a_tag_of_another_version_is_no_release(builds: Path, tmp_path: Path, tag: str) -> None:
    with pytest.raises(NoSuchRelease):
        write_release(builds, tmp_path / "dist", tag=tag)
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_the_template_of_an_archive_accepts_its_own_architecture_only(builds: Path, architecture: str) -> None:
    write_archive(builds / architecture, builds / "stack.zip", architecture)

    with ZipFile(builds / "stack.zip") as archive:
        parameter = yaml.safe_load(archive.read("template.yaml"))["Parameters"]["Architecture"]
        names = set(archive.namelist())
    assert (parameter["Default"], parameter["AllowedValues"]) == (architecture, [architecture])
    assert names == {"LICENSE", "MintTokenFunction/app.py", "THIRD_PARTY_LICENSES", "template.yaml"}


def test_nothing_else_of_a_template_changes() -> None:
    template: dict[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": {
            "Architecture": {"Type": "String", "Default": "x86_64", "AllowedValues": ["x86_64", "arm64"]},
            "WhopApiVersion": {"Type": "String", "Default": "2026-10-15-1"},
        },
        "Rules": {"Lists": [{"Fn::Equals": [{"Ref": "Architecture"}, "true"]}]},
    }
    changed = yaml.safe_load(for_one_architecture(yaml.safe_dump(template).encode(), "arm64"))

    template["Parameters"]["Architecture"] = {"Type": "String", "Default": "arm64", "AllowedValues": ["arm64"]}
    assert changed == template


def test_the_same_build_is_the_same_archive(builds: Path) -> None:
    for name in ("one.zip", "two.zip"):
        write_archive(builds / "arm64", builds / name, "arm64")

    assert (builds / "one.zip").read_bytes() == (builds / "two.zip").read_bytes()
