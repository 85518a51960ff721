"""README.md, its neighbours and the documents in docs/ are in short sentences."""

import pytest

from tests.fakes.source_tree import ROOT
from tools import prose

LENGTHS = {path.relative_to(ROOT).as_posix(): prose.lengths(path.read_text()) for path in prose.documents(ROOT)}


def test_all_documents_together_are_in_short_sentences() -> None:
    assert prose.within_limits([count for words in LENGTHS.values() for count in words])


@pytest.mark.parametrize("document", LENGTHS)
def test_each_document_is_in_short_sentences(document: str) -> None:
    assert prose.within_limits(LENGTHS[document])
