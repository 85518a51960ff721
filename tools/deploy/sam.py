"""The SAM CLI, as far as a deployment needs it: its version, build and package."""

import re
import subprocess  # nosec B404  # the SAM CLI, without a shell
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.deploy.errors import DeployError

MINIMUM = (1, 131, 0)
"""The oldest version that we support, and with which this template was built."""


class Sam:
    """Runs the SAM CLI that ``command`` starts, without the `samconfig.toml` of the project."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def require_version(self) -> None:
        """Raises `DeployError` if there is no SAM CLI, or if it is older than `MINIMUM`."""
        wanted = ".".join(map(str, MINIMUM))
        try:
            command = [*self._command, "--version"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)  # nosec B603  # the operator's SAM
        except (OSError, subprocess.CalledProcessError):
            raise DeployError(
                f"{' '.join(self._command)} does not run. Install the SAM CLI {wanted} or newer."
            ) from None
        found = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
        if not found or tuple(map(int, found.groups())) < MINIMUM:
            version = found.group() if found else done.stdout.strip()
            raise DeployError(f"The SAM CLI is {version}. This template needs {wanted} or newer.")

    def build(self, template: Path, folder: Path, architecture: str) -> Path:
        """Build into ``folder``; the path of the built template. Raises `DeployError`."""
        self._run(
            *("build", "--template", str(template), "--build-dir", str(folder)),
            *("--parameter-overrides", f"Architecture={architecture}"),
        )
        return folder / "template.yaml"

    def package(self, built: Path, prefix: str, region: str) -> str:
        """Upload what ``built`` refers to into SAM's own bucket, below ``prefix``; the text of the packaged template.

        SAM creates the bucket if the region has none. Raises `DeployError`.
        """
        with tempfile.TemporaryDirectory() as folder:
            packaged = Path(folder, "template.yaml")
            self._run(
                *("package", "--template-file", str(built), "--output-template-file", str(packaged)),
                *("--resolve-s3", "--s3-prefix", prefix, "--region", region, "--no-progressbar"),
            )
            return packaged.read_text()

    def _run(self, *arguments: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder, "samconfig.toml")
            config.write_text("version = 0.1\n")
            done = subprocess.run(  # nosec B603  # no shell reads the arguments
                [*self._command, *arguments, "--config-file", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        if done.returncode:
            raise DeployError(f"sam {arguments[0]} failed:\n{done.stdout[-4000:].strip()}")
