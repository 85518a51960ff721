"""``make dev`` as a child process, for the programs that drive a browser on it."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.processes import HOST, Command, running
from local.sam import ROOT

NO_CHROMIUM = "no browser is here: install Chromium (on Debian `apt-get install chromium`), or name one in CHROMIUM"
_SECONDS = 300.0


def chromium() -> str | None:
    """The browser: the variable ``CHROMIUM`` names it, or it is on PATH."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def started(folder: Path, origins: Sequence[str] = ()) -> Iterator[str]:
    """Run it until the end of the block, with its log in ``folder``; the page's URL, without a slash at its end.

    Raises `local.processes.ServerError` if it cannot start.
    """
    log = folder / "dev.log"
    arguments = [sys.executable, "-m", "local.dev", *(f"--origin={origin}" for origin in origins)]
    with running(Command(arguments, os.environ, folder=ROOT, log=log)) as server:
        server.wait_until(lambda: "Press Ctrl-C" in log.read_text(), _SECONDS)
        [page] = re.findall(rf"page +(http://{re.escape(HOST)}:\d+)/", log.read_text())
        try:
            yield page
        finally:
            # It stops its own servers, which takes longer than `running` waits.
            server.process.terminate()
            server.process.wait(_SECONDS)
