"""Builds the layer and the functions; `sam build` calls it through the makefiles beside it.

The same sources and the same CPython give the same bytes, so a build that changed nothing deploys nothing.

Lambda's zip dates every file 1980 and its folders are read-only: bytecode that is checked against the source's time is
never valid there and never replaced. Every module is therefore compiled with hash-based, unchecked bytecode
(https://docs.python.org/3/reference/import.html#pyc-invalidation), under the path that it has on Lambda.
"""

import argparse
import hashlib
import os
import shutil
import subprocess  # nosec B404  # pip and compileall, without a shell
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools.build.ca_directory import AMAZON_KEYS, write_ca_directory
from tools.build.prune import prune

ROOT = Path(__file__).resolve().parents[2]
LAYER = ROOT / "layers" / "whop_chat"
PACKAGE = LAYER / "whop_chat"
LOCK = LAYER / "requirements.txt"
CACHE = ROOT / ".aws-sam" / "layer"
RECIPE = sorted(Path(__file__).parent.glob("*.py"))

HASH_FILE = "layer.sha256"
PYTHON = (3, 13)
# Amazon Linux 2023, which runs python3.13, has glibc 2.34. The newest tag goes first: it is the one pip prefers.
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
GLIBC_MINORS = range(34, 16, -1)

NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "*.pyc")


def build_layer(artifacts: Path, architecture: str) -> None:
    """Writes `python/` (the locked wheels and the package) into `artifacts`, as Lambda unpacks it to /opt.

    Also `ca-certificates/`: the package trusts `aws` for AWS's own endpoints and `mozilla` for all others.
    """
    python, roots = artifacts / "python", artifacts / "ca-certificates"
    shutil.copytree(dependencies(architecture), python)
    bundle = python / "certifi" / "cacert.pem"
    write_ca_directory(bundle, roots / "mozilla")
    write_ca_directory(bundle, roots / "aws", keys=AMAZON_KEYS)
    # The same as one file, which is all that urllib3 takes.
    (roots / "aws.pem").write_text("".join(root.read_text() for root in sorted((roots / "aws").iterdir())))
    shutil.copytree(PACKAGE, python / PACKAGE.name, ignore=NOT_SHIPPED)
    compile_all(python / PACKAGE.name, f"/opt/python/{PACKAGE.name}")


def build_packages(artifacts: Path, lock: Path, architecture: str) -> None:
    """Writes `python/` with the wheels of `lock` into `artifacts`: a layer without code of ours."""
    shutil.copytree(dependencies(architecture, lock), artifacts / "python")


def build_function(artifacts: Path, source: Path, architecture: str) -> None:
    """Copies the handler into `artifacts` and writes the layer's hash beside it.

    SAM names a function's version after the function's own content. Without the hash a change in the layer alone would
    publish no version, and the alias would go on running the old layer.
    """
    shutil.copytree(source, artifacts, ignore=NOT_SHIPPED, dirs_exist_ok=True)
    (artifacts / HASH_FILE).write_text(layer_hash(architecture) + "\n")
    compile_all(artifacts, "/var/task")


def dependencies(architecture: str, lock: Path = LOCK) -> Path:
    """The wheels of `lock` for `architecture`, compiled, from the cache if nothing they depend on changed.

    Those of the package are pruned. Raises CalledProcessError if pip finds no wheel whose hash is in the lock.
    """
    cached = CACHE / digest([lock, *RECIPE], architecture, sys.version)
    if not cached.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            python = Path(scratch) / "python"
            install(python, lock, architecture)
            if lock == LOCK:
                prune(python)
            compile_all(python, "/opt/python")
            # another build may have been as fast; whichever comes second has made the same bytes
            if not cached.is_dir():
                python.rename(cached)
    return cached


def install(target: Path, lock: Path, architecture: str) -> None:
    """Unpacks the locked wheels into `target` without what names this machine (scripts, installation records)."""
    machine = MACHINES[architecture]
    tags = [*(f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS), f"manylinux2014_{machine}"]
    command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    command += ["--no-compile", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--python-version", ".".join(map(str, PYTHON)), "--implementation", "cp"]
    command += [f"--platform={tag}" for tag in tags]
    command += ["--target", str(target), "--requirement", str(lock)]
    environment = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    subprocess.run(command, check=True, env=environment)  # nosec B603  # our own arguments
    shutil.rmtree(target / "bin", ignore_errors=True)
    for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        for record in target.glob(f"*.dist-info/{name}"):
            record.unlink()


def compile_all(folder: Path, runtime_folder: str) -> None:
    """Compiles every module below `folder`; tracebacks will name it `runtime_folder`.

    In a process of its own: how marshal writes a string depends on who else holds it, so an interpreter that has done
    other work first would write other bytes.
    """
    command = [sys.executable, "-I", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(folder), "-p", runtime_folder, str(folder)]
    subprocess.run(command, check=True)  # nosec B603  # our own arguments


def layer_hash(architecture: str) -> str:
    """What the layer is made of, as one hash: package, lock, recipe and architecture."""
    return digest([*package_files(), LOCK, *RECIPE], architecture)


def package_files() -> Iterator[Path]:
    return (path for path in sorted(PACKAGE.rglob("*")) if path.is_file() and path.suffix != ".pyc")


def digest(files: list[Path], *facts: str) -> str:
    """SHA-256, in hex, over `facts` and the names and contents of `files`."""
    total = hashlib.sha256("\0".join(facts).encode())
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"\0{path.relative_to(ROOT).as_posix()}\0{content}".encode())
    return total.hexdigest()


def main() -> None:
    """Command line: `build.py layer|packages|function --architecture NAME --artifacts FOLDER [--source FOLDER]`."""
    parser = argparse.ArgumentParser(prog="build.py")
    parser.add_argument("what", choices=["layer", "packages", "function"])
    parser.add_argument("--architecture", choices=sorted(MACHINES), required=True)
    parser.add_argument("--artifacts", type=Path, required=True)
    parser.add_argument("--source", type=Path)
    asked = parser.parse_args()
    if sys.version_info[:2] != PYTHON:
        raise SystemExit(f"the bytecode must be that of Python 3.13, not {sys.version_info[0]}.{sys.version_info[1]}")
    if asked.what == "layer":
        build_layer(asked.artifacts, asked.architecture)
    elif asked.what == "packages":
        build_packages(asked.artifacts, ROOT / asked.source / LOCK.name, asked.architecture)
    else:
        build_function(asked.artifacts, asked.source, asked.architecture)


if __name__ == "__main__":
    main()
