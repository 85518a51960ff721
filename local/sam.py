"""Runs the SAM CLI on this tree: one build for each content, and deployments to the emulator."""

import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from local.processes import Command, run

ROOT = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
# Keys that AWS does not know. Use them only together with the emulator's endpoint.
FAKE_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
_BUILT_FROM = ("template.yaml", "functions", "layers", "tools/build", "requirements/sam.txt")
_BUILDS_KEPT = 4


class SamError(Exception):
    """The SAM CLI failed; the message is the end of its output."""


class EnvironmentMissingError(Exception):
    """An environment that ``make environments`` installs is missing."""


def interpreter(environment: str) -> Path:
    """The Python of an environment: ``sam``, ``emulator`` or ``lambda``. Raises `EnvironmentMissingError`.

    The variable ``LOCAL_ENVIRONMENTS`` names a folder of environments other than the clone's ``.venv``.
    """
    python = Path(os.environ.get("LOCAL_ENVIRONMENTS") or ROOT / ".venv") / environment / "bin" / "python"
    if not python.exists():
        raise EnvironmentMissingError(f"{python} is missing; `make environments` installs it")
    return python


def architecture() -> str:
    """Lambda's name for this machine's processor. Functions built for it run here."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


class Sam:
    """Runs ``sam`` in its own environment, with its state in ``folder`` and without the network.

    The real Python comes first on PATH. ``sam build`` takes the first ``python3.13`` that it finds, and the shim of a
    version manager may not run there.
    """

    def __init__(self, folder: Path, *, root: Path = ROOT) -> None:
        self._root = root
        self._state = folder / "sam"
        self._state.mkdir(parents=True, exist_ok=True)
        self._no_config = self._state / "samconfig.toml"
        self._no_config.write_text("version = 0.1\n")  # the project's samconfig.toml is for real accounts
        # With a new state folder, SAM would ask the package index for a newer version.
        (self._state / "metadata.json").write_text(json.dumps({"lastVersionCheck": time.time()}))

    def build(self) -> Path:
        """Build the tree as it is now; the path of the built template. An unchanged tree is not built again.

        Each build has a folder that is named by a digest of its sources. The folder gets that name when the build is
        complete, so two runs can build concurrently.
        """
        builds = self._root / ".aws-sam" / "local"
        built = builds / self.digest()
        if not built.exists():
            builds.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=builds, prefix="unfinished-") as unfinished:
                self._run(
                    *("build", "--template", str(self._root / "template.yaml"), "--build-dir", f"{unfinished}/build"),
                    *("--parameter-overrides", f"Architecture={architecture()}"),
                )
                if not built.exists():
                    Path(unfinished, "build").rename(built)
            _prune(builds)
        os.utime(built)
        return built / "template.yaml"

    def deploy(self, template: Path, stack: str, parameters: Mapping[str, str], *, endpoint: str, bucket: str) -> None:
        """Create or update ``stack`` at the emulator. Raises `SamError` if that fails."""
        overrides = [f'{name}="{value}"' for name, value in parameters.items()]
        self._run(
            *("deploy", "--template-file", str(template), "--stack-name", stack, "--s3-bucket", bucket),
            *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND", "--region", REGION),
            *("--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
            *(["--parameter-overrides", *overrides] if overrides else []),
            environment={**FAKE_KEYS, "AWS_ENDPOINT_URL": endpoint},
        )

    def _run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        log = self._state / f"{arguments[0]}-{time.monotonic_ns()}.log"
        command = Command(
            [str(interpreter("sam")), "-m", "samcli", *arguments, "--config-file", str(self._no_config)],
            self._environment() | dict(environment or {}),
            folder=self._root,
            log=log,
        )
        if run(command):
            raise SamError(f"sam {arguments[0]} failed:\n{log.read_text(errors='replace')[-4000:].strip()}")

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not _leads_elsewhere(name)}
        return kept | {
            "PATH": f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "NO_PROXY": "127.0.0.1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_DEFAULT_REGION": REGION,
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
            "__SAM_CLI_APP_DIR": str(self._state),
            # SAM leaves a folder there for everything that it builds by a makefile.
            "TMPDIR": str(self._state),
        }

    def digest(self, *, without: Path | None = None) -> str:
        """A digest of everything a build reads: sources, processor, Python, and the SAM CLI's version.

        ``without`` is a folder whose files do not count.
        """
        digest = hashlib.sha256(f"{architecture()} {sys.version}".encode())
        for path in self._sources():
            if without in path.parents:
                continue
            digest.update(f"\0{path.relative_to(self._root)}\0".encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]

    def _sources(self) -> Iterator[Path]:
        for name in _BUILT_FROM:
            source = self._root / name
            yield from [source] if source.is_file() else sorted(filter(_is_source, source.rglob("*")))


def _is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"


# PYTHONDONTWRITEBYTECODE is here because the SAM CLI starts in 4.5 s without bytecode and in 1.5 s with it.
_NOT_FOR_SAM = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "no_proxy", "NO_PROXY"}


def _leads_elsewhere(name: str) -> bool:
    """Whether a variable could change the build, send a call to a real account, or slow SAM down."""
    return name.startswith("AWS_") or name in _NOT_FOR_SAM


def _prune(builds: Path) -> None:
    finished = [each for each in builds.iterdir() if not each.name.startswith("unfinished-")]
    for old in sorted(finished, key=lambda each: each.stat().st_mtime)[:-_BUILDS_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
