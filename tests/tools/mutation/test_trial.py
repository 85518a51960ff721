"""Mutants of a small module, against its tests, in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.mutation import sample
from tools.mutation.mutants import Mutant, mutants_of
from tools.mutation.reach import Reach, measure
from tools.mutation.trial import Outcome, in_order, require_sound, try_mutant

pytestmark = pytest.mark.thorough

SOURCE = """
LIMIT = 3
MOST = 7
assert MOST != 0

def allows(count):
    return count < LIMIT

def countdown(count):
    while count > 0:
        count -= 1
    return count

def unused(count):
    return -count
"""
TESTS = """
import threading
from counted import LIMIT, allows, countdown

def test_low():
    assert allows(1)

def test_high():
    assert not allows(5)

def test_the_end():
    thread = threading.Thread(target=lambda: ended.append(countdown(2)))
    ended = []
    thread.start()
    thread.join()
    assert ended == [0]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "layer").mkdir()
    (folder / "layer" / "counted.py").write_text(SOURCE)
    options = "--import-mode=importlib -p no:schemathesis"
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = layer\naddopts = {options}\n")
    (folder / "test_counted.py").write_text(TESTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "LAYER", folder / "layer")
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def measured(project: Path) -> Reach:
    return measure(project / "test_counted.py", project / "reach.json", of=project / "layer")


def mutant(after: str) -> Mutant:
    return next(each for each in mutants_of("counted", SOURCE) if each.after == after)


def test_a_line_is_known_with_its_tests_in_whatever_thread_it_runs(measured: Reach) -> None:
    assert measured.of(mutant("count <= LIMIT")) == {f"test_counted.py::test_{name}" for name in ("low", "high")}
    assert measured.of(mutant("count += 1")) == {"test_counted.py::test_the_end"}
    assert measured.of(mutant("count")) == set()
    assert measured.of(mutant("4")) == measured.tests.keys()


@pytest.mark.parametrize(
    ("after", "outcome", "test"),
    [
        ("count >= LIMIT", "killed", "test_counted.py::test_"),
        ("return None", "killed", "test_counted.py::test_"),
        ("count <= LIMIT", "survived", ""),
        ("count", "survived", ""),
    ],
)
def test_a_mutant_is_killed_by_a_failing_test(measured: Reach, after: str, outcome: Outcome, test: str) -> None:
    result = try_mutant(mutant(after), measured)

    assert result.outcome == outcome
    assert result.test.startswith(test)


def test_a_mutant_that_hangs_is_stopped(measured: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.mutation.trial._GRACE_SECONDS", 1)

    assert try_mutant(mutant("count += 1"), measured).outcome == "timed out"


def test_a_mutant_that_cannot_be_imported_is_killed(measured: Reach) -> None:
    assert try_mutant(mutant("MOST == 0"), measured).outcome == "killed"


def test_no_file_is_written(project: Path, measured: Reach) -> None:
    try_mutant(mutant("count >= LIMIT"), measured)

    assert (project / "layer" / "counted.py").read_text() == SOURCE


def test_tests_that_fail_without_a_mutant_prove_nothing(project: Path, measured: Reach) -> None:
    failing = project / "test_failing.py"
    failing.write_text("def test(): assert False")

    with pytest.raises(SystemExit, match="has to pass"):
        measure(failing, project / "other.json", of=project / "layer")
    with pytest.raises(SystemExit, match="without any mutant"):
        require_sound(Reach({"test_failing.py::test": 0}, {}, []))


def test_files_stay_together_and_the_quickest_is_first() -> None:
    seconds = {"a::1": 3.0, "a::2": 1.0, "b::1": 1.5, "b::2": 0.5}

    assert in_order(seconds.keys(), seconds) == ["b::2", "b::1", "a::2", "a::1"]
