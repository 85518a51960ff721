"""The documents name files, modules, make targets and headings. All of them exist."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.fakes.source_tree import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PARSER = MarkdownIt("commonmark").enable("table")
SUFFIXES = (".cjs", ".in", ".json", ".md", ".mjs", ".py", ".svg", ".toml", ".txt", ".yaml")
MADE_HERE = (".aws-sam/", ".deploy/", ".local/", ".venv/")
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


def tokens(document: Path) -> Iterator[Token]:
    """Every token of a document, with those inside of paragraphs and cells."""
    for token in PARSER.parse(document.read_text()):
        yield token
        yield from token.children or ()


def code(document: Path) -> list[str]:
    """What stands in backticks within a sentence or a cell."""
    return [token.content for token in tokens(document) if token.type == "code_inline"]


def links(document: Path) -> list[str]:
    """The targets of links and images within the repository."""
    targets = [str(token.attrGet("href") or token.attrGet("src") or "") for token in tokens(document)]
    return [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]


def anchors(document: Path) -> set[str]:
    """The names by which GitHub links to the headings of a document."""
    parsed = PARSER.parse(document.read_text())
    headings = [parsed[at + 1].content for at, token in enumerate(parsed) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_path(text: str) -> bool:
    """Whether code names a file or folder of the repository."""
    if not re.fullmatch(r"[\w.<>*/-]+", text) or text.startswith(("/", "*", *MADE_HERE)):
        return False
    top, slash, _ = text.partition("/")
    return text.endswith(SUFFIXES) or (slash == "/" and (ROOT / top).is_dir())


def is_there(path: str) -> bool:
    """Whether a path of the repository exists; ``<name>`` stands for any name."""
    return any(ROOT.glob(re.sub(r"<\w+>", "*", path.rstrip("/"))))


def is_defined(name: str) -> bool:
    """Whether ``whop_chat.package.module`` exists, or what it names in a module."""
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return "." in module and hasattr(importlib.import_module(module), attribute)
    return True


@each_document
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    assert [text for text in code(document) if is_path(text) and not is_there(text)] == []


@each_document
def test_every_module_that_a_document_names_exists(document: Path) -> None:
    names = [text for text in code(document) if re.fullmatch(r"whop_chat(\.\w+)+", text)]

    assert [name for name in names if not is_defined(name)] == []


@each_document
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    broken = []
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = document.parent / unquote(path) if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


@each_document
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    blocks = [token.content for token in tokens(document) if token.type == "fence"]
    named = {name for text in [*code(document), *blocks] for name in re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)}

    assert named - targets == set()


def test_a_missing_file_module_or_heading_is_noticed() -> None:
    assert is_path("docs/no.md")
    assert not is_there("docs/no.md")
    assert is_there("functions/<name>/app.py")
    assert not is_defined("whop_chat.users.no")
    assert is_defined("whop_chat.users.lifecycle")
    assert "the-api" in anchors(ROOT / "README.md")
