"""Clients in Chromium against ``make dev``. A short form runs always, the whole with ``make clients``."""

import os
import re
from collections.abc import Iterator, Mapping

import pytest

from local.dev.started import NO_CHROMIUM, chromium, started
from local.processes import free_ports
from tests.clients.runner import run
from tests.clients.test_typescript import NODE
from tests.fakes.source_tree import ROOT

TESTS = ROOT / "tests" / "browser"
CHROMIUM = chromium() or ""
LONG = os.environ.get("BROWSER_TESTS") == "all"

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(not CHROMIUM, reason=NO_CHROMIUM),
    pytest.mark.skipif(
        not (NODE and (TESTS / "node_modules" / ".ready").exists()),
        reason="node or its packages are not here: `make clients` installs the packages",
    ),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A running ``make dev``, as environment variables of the tests in the browser."""
    allowed, other = (f"http://localhost:{port}" for port in free_ports(2))
    with started(tmp_path_factory.mktemp("dev"), [allowed]) as page:
        yield {"PAGE_URL": page, "ALLOWED_ORIGIN": allowed, "OTHER_ORIGIN": other, "CHROMIUM": CHROMIUM}


def _run(test: str, stack: Mapping[str, str]) -> None:
    report = run([NODE, "--test", "--test-reporter=tap", TESTS / test], TESTS, stack)
    assert re.findall(r"^# (?:skipped|todo) [^0]", report, re.MULTILINE) == []
    assert re.findall(r"^# pass [^0]", report, re.MULTILINE)


@pytest.mark.parametrize("test", ["client.test.js", "page.test.js", "link.test.js"])
def test_in_a_browser(test: str, stack: Mapping[str, str]) -> None:
    _run(test, stack)


@pytest.mark.skipif(not LONG, reason="`make clients` runs it")
@pytest.mark.parametrize("test", ["outage.test.js", "recipes.test.js"])
def test_at_length_in_a_browser(test: str, stack: Mapping[str, str]) -> None:
    _run(test, stack)


def test_no_test_is_left_out() -> None:
    named = {"client.test.js", "page.test.js", "link.test.js", "outage.test.js", "recipes.test.js"}
    assert {path.name for path in TESTS.glob("*.test.js")} == named
