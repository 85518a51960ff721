"""clients/swift: every case is run, where a Swift toolchain is."""

import re
import shutil

import pytest

from tests.clients.runner import CLIENTS, NAMES, run, succeeded

CLIENT = CLIENTS / "swift"
SWIFT = shutil.which("swift") or ""


@pytest.mark.thorough
@pytest.mark.skipif(not SWIFT, reason="swift is not here: the Swift client is neither compiled nor run")
def test_every_case_is_run() -> None:
    assert succeeded(run([SWIFT, "run", "--package-path", CLIENT, "Cases", CLIENTS / "cases.json"], CLIENT)) == NAMES


def test_the_core_needs_foundation_only() -> None:
    sources = [path.read_text() for path in (CLIENT / "Sources" / "WhopChatAuth").glob("*.swift")]

    assert set(re.findall(r"^import (\w+)$", "\n".join(sources), re.MULTILINE)) == {
        "Foundation",
        "FoundationNetworking",
    }
