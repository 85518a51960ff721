"""``make demo``: it succeeds, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.sam import ROOT


@pytest.mark.thorough
def test_the_demo_leaves_nothing_in_the_temporary_and_the_home_directory(tmp_path: Path) -> None:
    temporary, home = tmp_path / "tmp", tmp_path / "home"
    temporary.mkdir()
    home.mkdir()
    before = set((ROOT / ".local").iterdir())

    demo = subprocess.run(
        [sys.executable, "-m", "local.demo"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary), "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert [*temporary.iterdir(), *home.iterdir()] == []
    assert set((ROOT / ".local").iterdir()) == before
