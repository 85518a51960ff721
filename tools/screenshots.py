"""``make screenshots``: the pictures of the page of ``make dev`` in the README, in light and dark."""

import os
import shutil
import subprocess  # nosec B404  # node, without a shell
import sys
import tempfile
from pathlib import Path

from local.dev.started import NO_CHROMIUM, chromium, started
from local.processes import interruptible
from local.sam import ROOT

_SCRIPT = ROOT / "tests" / "browser" / "screenshots.js"
_PICTURES = ROOT / "docs" / "figures"


def main() -> int:
    """Take the pictures; the exit status."""
    browser, node = chromium(), shutil.which("node")
    if not browser or not node:
        print("node is not here" if browser else NO_CHROMIUM, file=sys.stderr)
        return 1
    with interruptible(), tempfile.TemporaryDirectory() as folder, started(Path(folder)) as page:
        environment = {**os.environ, "PAGE_URL": page, "CHROMIUM": browser}
        command = [node, str(_SCRIPT), str(_PICTURES)]
        return subprocess.run(command, env=environment, check=False).returncode  # nosec B603  # our own arguments


if __name__ == "__main__":
    sys.exit(main())
