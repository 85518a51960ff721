"""What the tests of the clients share: the names of all cases, and how a runner's report is read."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.fakes.source_tree import ROOT

CLIENTS = ROOT / "clients"
DOCUMENT: dict[str, Any] = json.loads((CLIENTS / "cases.json").read_text())
NAMES = {case["name"] for case in DOCUMENT["cases"]} | {f"problem {code}" for code in DOCUMENT["problems"]}


def run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a program prints, which ends well. ``environment`` is added to that of the tests."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def succeeded(report: str) -> set[str]:
    """The names of the cases that a runner reports as done."""
    return set(re.findall(r"^ok (.+)$", report, re.MULTILINE))
