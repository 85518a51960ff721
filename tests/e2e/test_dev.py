"""``make dev``: it stays up until Ctrl-C, and then leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from local.sam import ROOT


@pytest.mark.thorough
def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    temporary, home = tmp_path / "tmp", tmp_path / "home"
    temporary.mkdir()
    home.mkdir()
    runs = ROOT / ".local"
    before = set(runs.iterdir()) if runs.exists() else set()
    printed = ""

    with subprocess.Popen(
        [sys.executable, "-m", "local.dev", "--origin", "http://localhost:5173"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary), "HOME": str(home)},
        # Tests in the background of a shell ignore Ctrl-C, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as dev:
        try:
            assert dev.stdout is not None
            while "Ctrl-C" not in printed:
                line = dev.stdout.readline()
                assert line, printed
                printed += line
            urls = re.findall(r"^ +(?:page|ApiUrl|Cognito's endpoint|Whop's API) +(\S+)$", printed, re.MULTILINE)
            statuses = [httpx.get(url, trust_env=False).status_code for url in (urls[0], f"{urls[1]}/health")]
        finally:
            dev.send_signal(signal.SIGINT)
        rest = dev.stdout.read()
        status = dev.wait(60)

    assert statuses == [200, 200]
    assert (status, rest.strip()) == (0, "Stopped. Nothing is left running.")
    assert [*temporary.iterdir(), *home.iterdir()] == []
    assert set(runs.iterdir()) == before
    for url in urls:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, trust_env=False)
