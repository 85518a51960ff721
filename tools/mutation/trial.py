"""One mutant against tests, in a forked process that has the packages of others imported already, and none of ours."""

import ast
import contextlib
import gc
import importlib
import importlib.machinery
import importlib.util
import os
import select
import signal
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any, Literal

import pytest

from tools.mutation.mutants import Mutant, mutated
from tools.mutation.reach import PYTEST, Reach
from tools.mutation.sample import source_of

type Outcome = Literal["killed", "timed out", "survived"]

# A module that cannot be imported interrupts the collection, or is a usage error if a conftest.py needs it.
_OUTCOMES: dict[int, Outcome] = {
    pytest.ExitCode.OK: "survived",
    pytest.ExitCode.TESTS_FAILED: "killed",
    pytest.ExitCode.INTERRUPTED: "killed",
    pytest.ExitCode.USAGE_ERROR: "killed",
}
_LONGEST_FINDINGS = 4096
_GRACE_SECONDS = 20
_SLOWER = 5
"""A mutant has this many times the seconds that its tests took, and the grace, before it counts as one that hangs."""


@dataclass(frozen=True, slots=True)
class Result:
    """``test`` is the first test that failed, if one did."""

    outcome: Outcome
    test: str = ""


def warm_up(modules: Iterable[str]) -> None:
    """Import what the tests import of others, once for all trials."""
    for name in modules:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def require_sound(reach: Reach) -> None:
    """Raise `SystemExit` if the tests fail here without a mutant: each mutant would then count as killed."""
    if _run(None, reach.tests.keys(), reach.tests) != Result("survived"):
        raise SystemExit("the tests fail without any mutant")


def try_mutant(mutant: Mutant, reach: Reach) -> Result:
    """What the tests say: first those that run the changed statement, and then, if they all pass, the others."""
    touching = reach.of(mutant)
    for tests in (touching, reach.tests.keys() - touching):
        result = _run(mutant, tests, reach.tests) if tests else Result("survived")
        if result.outcome != "survived":
            return result
    return Result("survived")


def _run(mutant: Mutant | None, tests: Collection[str], seconds: dict[str, float]) -> Result:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os._exit(_in_child(mutant, in_order(tests, seconds), writing))
        finally:
            os._exit(70)
    os.close(writing)
    try:
        ended = _wait_for_end(pid, _GRACE_SECONDS + _SLOWER * sum(seconds[test] for test in tests))
        if ended is None:
            return Result("timed out")
        failed = os.read(reading, _LONGEST_FINDINGS).decode().partition("\n")[0]
        return Result(_OUTCOMES[os.waitstatus_to_exitcode(ended)], failed)
    finally:
        os.close(reading)


def _wait_for_end(pid: int, seconds: float) -> int | None:
    """The exit status of a process, or None if it had to be stopped after ``seconds``. What it started ends too."""
    handle = os.pidfd_open(pid)
    ended: list[int] = []
    try:
        ended, _, _ = select.select([handle], [], [], seconds)
    finally:
        os.close(handle)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    return status if ended else None


def in_order(tests: Collection[str], seconds: dict[str, float]) -> list[str]:
    """File by file, because files share fixtures; the quickest file and the quickest test first."""
    files: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        files[test.partition("::")[0]].append(test)
    by_time = sorted(files.values(), key=lambda names: sum(seconds[name] for name in names))
    return [test for names in by_time for test in sorted(names, key=lambda name: (seconds[name], name))]


def _in_child(mutant: Mutant | None, tests: Sequence[str], findings: int) -> int:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    if mutant:
        sys.meta_path.insert(0, _Finder(mutant.module, mutated(source_of(mutant.module).read_text(), mutant)))
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    options = [*PYTEST, "--exitfirst", "--tb=no", "--hypothesis-seed=0"]
    return int(pytest.main([*options, *files], plugins=[_Chosen(tests, findings)]))


class _Chosen:
    """A plugin of pytest that runs the chosen tests only, in their order, and reports the first failure."""

    def __init__(self, tests: Sequence[str], findings: int) -> None:
        self._place = {test: place for place, test in enumerate(tests)}
        self._findings = findings

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        # A smaller example kills no better, and takes long to find.
        settings.register_profile("mutation", phases=[Phase.explicit, Phase.generate], database=None)
        settings.load_profile("mutation")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._place]
        items[:] = sorted(chosen, key=lambda item: self._place[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self._findings, f"{report.nodeid}\n".encode())


class _Finder:
    """Finds one module, as its mutant. Nothing is written to a file."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self._module = module
        self._tree = tree

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        if name != self._module:
            return None
        file = str(source_of(name))
        return importlib.util.spec_from_file_location(name, file, loader=_Loader(name, file, self._tree))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, file: str, tree: ast.Module) -> None:
        super().__init__(name, file)
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._tree, self.path, "exec", dont_inherit=True)
