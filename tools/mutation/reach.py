"""Which tests run which line, how long each takes, and which packages of others they import."""

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools.mutation.mutants import Mutant
from tools.mutation.sample import source_of

# The last one is about plugins that are imported already, for an earlier package or by `tools.mutation.trial`.
PYTEST = ("-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""The options of every run."""
_OURS = ("whop_chat", "tests", "functions", "local", "manage", "soak", "bench", "tools", "conftest", "__main__")


@dataclass(frozen=True, slots=True)
class Reach:
    """``tests`` maps each test to its seconds, ``lines`` each file to its lines and their tests."""

    tests: dict[str, float]
    lines: dict[str, dict[str, list[str]]]
    imports: list[str]

    def of(self, mutant: Mutant) -> set[str]:
        """The tests that run the mutant's statement, or anything of its module if the statement runs at import."""
        lines = self.lines.get(str(source_of(mutant.module)), {})
        touched = map(str, mutant.lines) if mutant.in_function else iter(lines)
        return {test for line in touched for test in lines.get(line, [])}


class _Recorder:
    """A plugin of pytest. Coverage's own contexts by test function leave out what other threads run."""

    def __init__(self, coverage: Any) -> None:
        self._coverage = coverage
        self.tests: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        start = time.monotonic()
        try:
            return (yield)
        finally:
            self.tests[item.nodeid] = time.monotonic() - start


def measure(tests: Path, into: Path, *, of: Path) -> Reach:
    """Run ``tests`` in a process of its own, with the coverage of a folder. ``into`` is a file for the findings."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(_record(tests, into, of))
        finally:
            os._exit(70)
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"{tests} has to pass before mutants are tried")
    return Reach(**json.loads(into.read_text()))


def _record(tests: Path, into: Path, of: Path) -> int:
    import coverage

    recorded = coverage.Coverage(data_file=None, source=[str(of)], config_file=False)
    recorder = _Recorder(recorded)
    recorded.start()
    code = pytest.main([*PYTEST, str(tests)], plugins=[recorder])
    recorded.stop()
    lines: dict[str, dict[str, list[str]]] = defaultdict(dict)
    data = recorded.get_data()
    for file in data.measured_files():
        for line, contexts in data.contexts_by_lineno(file).items():
            lines[file][str(line)] = [context for context in contexts if context]
    imports = sorted(name for name in sys.modules if name.partition(".")[0] not in _OURS)
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text(json.dumps({"tests": recorder.tests, "lines": lines, "imports": imports}))
    return int(code)
