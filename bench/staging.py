"""Copies each candidate into folders as Lambda unpacks it, with bytecode that is valid without its source."""

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench import job

BUILT = job.ROOT / ".aws-sam" / "build"
PEERS = job.ROOT / "bench" / "peers"
NODE = job.ROOT / "bench" / "node"
RUNTIME = job.ROOT / ".venv" / "bench"
_PEER = job.ROOT / ".venv" / "peer"
_STAGE = job.ROOT / ".local" / "bench"


@dataclass(frozen=True, slots=True)
class Staged:
    """Folders of the candidates. The packages of the everything-included one exist with and without bytecode."""

    functions: Path
    compiled_packages: Path
    uncompiled_packages: Path
    node_bundle: Path | None


def stage() -> Staged:
    """Stage all but this project, which ``make build`` builds."""
    functions = _STAGE / "functions"
    shutil.rmtree(functions, ignore_errors=True)
    shutil.copytree(PEERS, functions, ignore=shutil.ignore_patterns("__pycache__"))
    _compile(functions)
    _compile_once(site_packages(RUNTIME))
    uncompiled = site_packages(_PEER)
    return Staged(functions, _compiled_copy(uncompiled), uncompiled, _bundle())


def site_packages(environment: Path) -> Path:
    """The folder of an environment's packages."""
    (found,) = environment.glob("lib/python3*/site-packages")
    return found


def _compiled_copy(packages: Path) -> Path:
    """A copy with bytecode. It is made again when the lock has changed."""
    lock = hashlib.sha256((job.ROOT / "requirements" / "peer.txt").read_bytes()).hexdigest()[:16]
    copy = _STAGE / f"packages-{lock}"
    if not copy.exists():
        unfinished = copy.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(packages, unfinished, ignore=shutil.ignore_patterns("__pycache__"))
        _compile(unfinished)
        unfinished.rename(copy)
    return copy


def _compile_once(packages: Path) -> None:
    """Compile once. `make` removes the mark with the environment when its lock changes."""
    mark = packages / "compiled-for-the-benchmark"
    if not mark.exists():
        _compile(packages)
        mark.touch()


def _compile(folder: Path) -> None:
    command = [str(RUNTIME / "bin" / "python"), "-I", "-m", "compileall", "-q", "-f", "-j", "0"]
    command += ["--invalidation-mode", "unchecked-hash", str(folder)]
    # A package may contain files for other versions of Python, so a file that does not compile is no failure.
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


def _bundle() -> Path | None:
    """The Node candidate as one minified file; None on a machine without Node."""
    esbuild = NODE / "node_modules" / ".bin" / "esbuild"
    if not (esbuild.exists() and shutil.which("node")):
        return None
    folder = _STAGE / "node"
    command = [str(esbuild), str(NODE / "handler.mjs"), "--bundle", "--minify", "--platform=node", "--target=node20"]
    command += ["--main-fields=module,main", "--log-level=warning", f"--outfile={folder / 'index.js'}"]
    subprocess.run(command, check=True)
    return folder
