"""clients/kotlin: compiled with Debian's compiler, and every case run."""

import re
import shutil
from pathlib import Path

import pytest

from tests.clients.runner import CLIENTS, NAMES, run, succeeded

CLIENT = CLIENTS / "kotlin"
COMPILER = shutil.which("kotlinc") or ""
JAVA = shutil.which("java") or ""
FROM_CORE = re.compile(r"^import (?!java\.|kotlin\.)", re.MULTILINE)


@pytest.mark.thorough
@pytest.mark.skipif(
    not COMPILER or not JAVA,
    reason="kotlinc is not here: the Kotlin client is not run (Debian: apt-get install kotlin)",
)
def test_every_case_is_run(tmp_path: Path) -> None:
    jar = tmp_path / "cases.jar"
    run([COMPILER, *CLIENT.glob("src/*.kt"), *CLIENT.glob("test/*.kt"), "-include-runtime", "-d", jar], CLIENT)

    done = succeeded(run([JAVA, "-cp", jar, "whopchat.CasesKt", CLIENTS / "cases.json"], CLIENT))

    assert {name for name in done if not name.startswith("network ")} == NAMES
    assert "network a cancellation stops the call" in done


@pytest.mark.parametrize("source", list(CLIENT.glob("src/*.kt")), ids=lambda path: path.name)
def test_the_client_has_no_android_types(source: Path) -> None:
    assert not FROM_CORE.search(source.read_text())
