"""Bad input, in short: as many cases as take a few seconds. ``make fuzz`` makes as many as it is told to."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.cases import told_too_much
from tests.fuzz.neighbours import API_KEY, EMAIL

ROOT = Path(__file__).parents[2]


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, because time is another there."""
    paths = f"{ROOT}:{ROOT / 'layers/whop_chat'}"
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    return subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": paths}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("seed", ["11", "12"])
def test_whatever_comes_in_is_answered_as_documented_and_nothing_secret_comes_out(seed: str) -> None:
    done = fuzz("--runs", "400", "--seed", seed)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "mint_token: 200 token" in done.stdout


@pytest.mark.parametrize(
    "line",
    [
        API_KEY,
        f"for {EMAIL.replace('@', '%40')}",
        EMAIL.encode().hex(),
        base64.b64encode(f"Bearer {API_KEY}, and more".encode()).decode(),
        '{"exception": "…"}',
        "Traceback (most recent call last):",
        '{"Defects": [1.0]}',
    ],
)
def test_what_should_not_be_written_is_found_however_it_is_written(line: str) -> None:
    assert told_too_much(f"a line\n{line}\n")
    assert not told_too_much("a line\n")


def test_a_case_can_be_played_again_alone_with_some_of_its_changes() -> None:
    first, second = (fuzz("--seed", "11", "--case", "3", "--changes", "0").stdout.splitlines() for _ in range(2))

    # What lies between holds a signature, by a key that each process makes for itself.
    assert (first[0], first[-2:]) == (second[0], second[-2:])
    assert first[-1] == "nothing is wrong"
