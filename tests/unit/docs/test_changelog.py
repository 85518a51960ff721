"""The version stands in one place, and CHANGELOG.md follows Keep a Changelog 1.1.0."""

import re
import subprocess
from datetime import date

from tests.fakes.source_tree import ROOT
from whop_chat.runtime.version import VERSION

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
RELEASES = re.findall(r"^## \[(.+)\] - (.+)$", CHANGELOG, re.MULTILINE)
# A lock may hold a package of the same version.
LOCKS = (".txt", "package-lock.json")


def tracked() -> list[str]:
    """The paths of all files that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.rstrip("\0").split("\0")


def test_the_version_is_semantic() -> None:
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?", VERSION)


def test_the_newest_release_is_the_current_version() -> None:
    assert RELEASES[0][0] == VERSION


def test_the_releases_are_dated_and_the_newest_comes_first() -> None:
    dates = [date.fromisoformat(day) for _, day in RELEASES]

    assert dates == sorted(dates, reverse=True)
    assert CHANGELOG.index("## [Unreleased]") < CHANGELOG.index(f"## [{VERSION}]")


def test_the_changes_have_the_kinds_of_keep_a_changelog() -> None:
    kinds = set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE))

    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_nothing_but_the_history_repeats_the_current_version() -> None:
    naming = {
        path
        for path in tracked()
        if not path.endswith(LOCKS)
        and (ROOT / path).is_file()
        and re.search(rf"(?<![\d.]){re.escape(VERSION)}(?![\d.])", (ROOT / path).read_text(errors="ignore"))
    }

    assert naming == {"CHANGELOG.md", "docs/upgrading.md", "layers/whop_chat/whop_chat/runtime/version.py"}
