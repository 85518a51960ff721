"""Whether the checks can see: plants each bug in a copy of the package, and runs the check that must fail on it.

First every check runs on an unchanged copy, and must pass there. A check is a small scenario of the soak, or some tests
of `tests/model`: the protocols, where real code goes through every order of its calls, and the model. A scenario is
repeated with other seeds until one fails.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from soak.planted_bugs import BUGS, Bug

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "layers" / "whop_chat" / "whop_chat"
_TESTS_FAILED = 1  # pytest, "Exit codes"


class Broken(Exception):
    """A check ended without an answer."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``runs`` are the arguments of each run, of `python -m soak` or of pytest."""

    kind: Literal["soak", "protocol", "model"]
    runs: Sequence[Sequence[str]]


def _scenario(*arguments: str, seeds: Sequence[int] = (1,)) -> Check:
    return Check("soak", [(*arguments, "--seed", str(seed)) for seed in seeds])


CHECKS: Mapping[str, Check] = {
    "faults": _scenario("faults", "--users", "60", seeds=(1, 2, 3)),
    "faults, tokens kept": _scenario("faults", "--users", "60", seeds=(3, 6)),
    "runs": _scenario("runs", seeds=(1, 2)),
    "runs, AWS fails often": _scenario("runs", "--aws", "0.2", seeds=(1, 2, 3)),
    "pipeline, a low limit": _scenario("pipeline", "--users", "150", "--limit", "40"),
    "pipeline, waits in headers": _scenario("pipeline", "--users", "150", "--limit", "120", "--wait-in", "header"),
    "protocol on the table": Check("protocol", [("tests/model/test_table_protocol.py",)]),
    "repair protocol": Check("protocol", [("tests/model/test_repair_protocol.py",)]),
    "deletion protocol": Check("protocol", [("tests/model/test_deletion_protocol.py",)]),
    "enrolment model": Check("model", [("tests/model/test_enrolment_model.py",)]),
}


@contextmanager
def package_with(bug: Bug | None) -> Iterator[Path]:
    """A copy of the package with ``bug``, in a folder to be put on the path. Raises `DoesNotApply`."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "whop_chat"
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        if bug is not None:
            bug.plant(copy)
        yield Path(folder)


def failures(check: Check, run: Sequence[str], path: Path) -> list[str]:
    """What a run of ``check`` finds wrong with the package at ``path``. Raises `Broken`."""
    command = [sys.executable, *_arguments(check, run)]
    environment = {**os.environ, "PYTHONPATH": str(path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    pattern = r"^  ✗ (.+?)  " if check.kind == "soak" else r"^FAILED \S+::(\S+)"
    found = re.findall(pattern, ended.stdout, re.MULTILINE)
    if bool(found) != (ended.returncode == _TESTS_FAILED) or ended.returncode not in (0, _TESTS_FAILED):
        raise Broken(f"{' '.join(command)}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}")
    return found


def _arguments(check: Check, run: Sequence[str]) -> list[str]:
    if check.kind == "soak":
        return ["-m", "soak", *run]
    # The path of the tests would put the unchanged package first.
    return ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-o", "pythonpath=.", *run]


def control(run: tuple[str, Sequence[str]]) -> str | None:
    """What one check finds wrong with the unchanged package, or None."""
    name, arguments = run
    with package_with(None) as path:
        found = failures(CHECKS[name], arguments, path)
    return f"✗ without a bug, {name} ({' '.join(arguments)}) fails: {'; '.join(found)}" if found else None


def killer(bug: Bug) -> str | None:
    """The check that fails on ``bug``, with what it finds, or None."""
    check = CHECKS[bug.check]
    with package_with(bug) as path:
        for run in check.runs:
            found = failures(check, run, path)
            if found:
                return f"{check.kind}: {' '.join(run)}: {'; '.join(found)}"
    return None


def main(named: str = "") -> bool:
    """Run everything, or only bugs whose name contains ``named``. Returns whether each bug was found, and no other."""
    began = time.perf_counter()
    bugs = [bug for bug in BUGS if named in bug.name]
    checks = dict.fromkeys(bug.check for bug in bugs)
    runs = [(name, run) for name in checks for run in CHECKS[name].runs]
    wrong = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        controlled, killed = pool.map(control, runs), pool.map(killer, bugs)
        for complaint in controlled:
            wrong += complaint is not None
            print(complaint, flush=True) if complaint else None
        print(f"{len(runs)} control runs", flush=True)
        for bug, found in zip(bugs, killed, strict=True):
            wrong += found is None
            print(f"{'✓' if found else '✗'} {bug.name}\n      {found or 'nobody noticed'}", flush=True)
    print(f"{len(bugs)} planted bugs, {wrong} complaints, in {time.perf_counter() - began:.0f} s")
    return not wrong
