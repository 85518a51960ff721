"""The code of docs/clients.md and README.md stands in files that are compiled."""

import re

import pytest

from tests.clients.runner import CLIENTS
from tests.fakes.source_tree import ROOT

GUIDE = (ROOT / "docs" / "clients.md").read_text()
COMPILED = {
    "tsx": CLIENTS / "typescript" / "test" / "types" / "pull.tsx",
    "js": CLIENTS / "typescript" / "test" / "types" / "plain.js",
    "kotlin": CLIENTS / "kotlin" / "test" / "Guide.kt",
}


def blocks(document: str, language: str) -> list[str]:
    """The code of a language in a document, without its imports."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^import .*\n+", "", block, flags=re.MULTILINE) for block in found]


def _modules(code: str) -> set[str]:
    return set(re.findall(r'^import .* from "(.*)";$', code, re.MULTILINE))


@pytest.mark.parametrize("language", COMPILED)
def test_the_code_of_the_guide_is_compiled(language: str) -> None:
    source = re.sub(r"/\*\* .*? \*/ ", "", COMPILED[language].read_text())
    parts = [part for block in blocks(GUIDE, language) for part in block.split("\n\n")]

    assert parts
    assert [part for part in parts if _lines(part) not in _lines(source)] == []


def test_the_compiled_files_import_what_the_guide_imports() -> None:
    compiled = _modules(COMPILED["tsx"].read_text()) | _modules(COMPILED["js"].read_text())

    # The app brings Amplify, and the browser tests bundle the example with it.
    assert _modules(GUIDE) - compiled == {"aws-amplify/auth"}


@pytest.mark.parametrize("language", [*COMPILED, "swift"])
def test_each_example_is_short(language: str) -> None:
    for block in blocks(GUIDE, language):
        assert len([line for line in block.splitlines() if line and not line.lstrip().startswith("//")]) <= 15


def test_the_readme_shows_the_beginning_of_the_guide() -> None:
    readme = (ROOT / "README.md").read_text().partition("## In your app")[2]

    assert blocks(readme, "js")[0].strip() in blocks(GUIDE, "js")[0]


def _lines(code: str) -> str:
    """Code without its indentation."""
    return "".join(f"{line.strip()}\n" for line in code.splitlines())
