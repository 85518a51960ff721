"""docs/security.md promises tests, reasons and bounds; here it is held to them."""

import ast
import re
from collections import Counter

import pytest

from tests.fakes.source_tree import ROOT
from whop_chat.cognito import jwks, verifier
from whop_chat.cognito.verifier import Reason

DOCUMENT = (ROOT / "docs" / "security.md").read_text()
RFC_8725 = {
    "3.1": "Perform Algorithm Verification",
    "3.2": "Use Appropriate Algorithms",
    "3.3": "Validate All Cryptographic Operations",
    "3.4": "Validate Cryptographic Inputs",
    "3.5": "Ensure Cryptographic Keys Have Sufficient Entropy",
    "3.6": "Avoid Compression of Encryption Inputs",
    "3.7": "Use UTF-8",
    "3.8": "Validate Issuer and Subject",
    "3.9": "Use and Validate Audience",
    "3.10": "Do Not Trust Received Claims",
    "3.11": "Use Explicit Typing",
    "3.12": "Use Mutually Exclusive Validation Rules for Different Kinds of JWTs",
}


def named_tests() -> list[str]:
    return sorted(set(re.findall(r"`(test_\w+)`", DOCUMENT)))


def existing_tests() -> Counter[str]:
    trees = (ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("test_*.py"))
    return Counter(
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under ``heading``, row by row."""
    section = re.split(r"^#{2,3} ", DOCUMENT.partition(f"# {heading}\n")[2], flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_test_that_the_document_names_exists_once() -> None:
    existing = existing_tests()

    assert {name: existing[name] for name in named_tests() if existing[name] != 1} == {}


def test_every_reason_for_a_refusal_is_in_the_table_once() -> None:
    reasons = [reason for row in rows("aws-jwt-verify") for reason in re.findall(r"`(\w+)`", row[2])]

    assert sorted(reasons) == sorted(Reason)


@pytest.mark.parametrize("heading", ["Who could do what", "aws-jwt-verify", "RFC 8725", "RFC 6750", "The pool's keys"])
def test_every_row_has_as_many_cells_as_its_table(heading: str) -> None:
    table = rows(heading)

    assert table
    assert len({len(row) for row in table}) == 1


def test_whatever_is_checked_is_shown_by_a_test() -> None:
    unproven = [row[0] for row in rows("aws-jwt-verify") if row[2] and "`test_" not in row[3]]
    for heading in ("Who could do what", "RFC 8725", "RFC 6750", "The pool's keys", "Least privilege"):
        unproven += [row[0] for row in rows(heading) if "`test_" not in row[-1]]

    assert unproven == []


def test_every_section_of_rfc_8725_is_there_under_its_title() -> None:
    assert [row[0] for row in rows("RFC 8725")] == [f"{number} {title}" for number, title in RFC_8725.items()]


def test_the_bounds_are_those_of_the_code() -> None:
    known = {**vars(verifier), **vars(jwks)}
    for bound, value, *_ in rows("The pool's keys"):
        number, unit = value.split(" ")
        name = bound.strip("`")
        unit_of_name = {"BYTES": "bytes", "KIDS": "ids"}.get(name.rpartition("_")[2], "s")
        assert (float(number), unit) == (known[name], unit_of_name), name
