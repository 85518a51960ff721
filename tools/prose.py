"""``make prose``: how long the sentences of the documents are.

Prints the median and the 90th percentile of words a sentence, for each document and for all of them. Exits with
status 1 if all of them together exceed a limit. Tables, code, headings and link targets are left out. A list item is a
sentence or more. Code within a sentence is one word, and code alone is no sentence.
"""

import math
import re
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
MEDIAN, NINETIETH = 18, 30

_CODE = "Code"
_PARSER = MarkdownIt("commonmark").enable("table")
# A sentence ends at a full stop, but not before a small letter ("e.g. this").
_END = re.compile(r"(?<=[.!?])[\"')”’]*\s+(?![a-z])")


def documents(root: Path) -> list[Path]:
    """README.md and its neighbours, and the documents in docs/ without the generated figures."""
    figures = root / "docs" / "figures"
    return sorted(
        [*root.glob("*.md"), *(each for each in (root / "docs").rglob("*.md") if figures not in each.parents)]
    )


def lengths(markdown: str) -> list[int]:
    """The number of words of each sentence."""
    sentences = (sentence for block in _blocks(_PARSER.parse(markdown)) for sentence in _END.split(block))
    spoken = ([word for word in sentence.split() if any(map(str.isalnum, word))] for sentence in sentences)
    return [len(words) for words in spoken if set(words) - {_CODE}]


def median(words: Sequence[int]) -> float:
    """The length that half of the sentences do not exceed."""
    return statistics.median(words)


def ninetieth(words: Sequence[int]) -> int:
    """The length that nine in ten sentences do not exceed."""
    return sorted(words)[math.ceil(0.9 * len(words)) - 1]


def within_limits(words: Sequence[int]) -> bool:
    """Whether sentences of these lengths are short enough."""
    return median(words) <= MEDIAN and ninetieth(words) <= NINETIETH


def main(root: Path) -> int:
    """Print a line for each document and one for all; the exit status."""
    found = {path.relative_to(root).as_posix(): lengths(path.read_text()) for path in documents(root)}
    found["all"] = [count for words in found.values() for count in words]
    width = max(map(len, found))
    print(f"{'words a sentence':{width}}  median  90th  sentences")
    for name, words in found.items():
        print(f"{name:{width}}  {median(words):6.1f}  {ninetieth(words):4}  {len(words):9}")
    return 0 if within_limits(found["all"]) else 1


def _blocks(tokens: Sequence[Token]) -> Iterator[str]:
    """The text of each paragraph and list item."""
    outside = True
    for token in tokens:
        if token.type in ("heading_open", "table_open"):
            outside = False
        elif token.type in ("heading_close", "table_close"):
            outside = True
        elif token.type == "inline" and outside:
            yield _text(_without_run_in(token.children or []))


def _without_run_in(children: Sequence[Token]) -> Sequence[Token]:
    """Without the bold words that stand before a paragraph as its heading."""
    types = [child.type for child in children]
    if "strong_close" not in types or _text(children[: types.index("strong_open")]).strip():
        return children
    end = types.index("strong_close") + 1
    is_heading = _text(children[:end]).endswith((".", "?")) or not _text(children[end:]).strip()
    return children[end:] if is_heading else children


def _text(children: Sequence[Token]) -> str:
    return "".join(map(_word, children))


def _word(token: Token) -> str:
    match token.type:
        case "text":
            return token.content
        case "code_inline":
            return _CODE
        case "softbreak" | "hardbreak":
            return " "
    return ""


if __name__ == "__main__":
    sys.exit(main(ROOT))
