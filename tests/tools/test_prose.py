"""`make prose` counts words of sentences, and nothing that is not a sentence."""

from pathlib import Path

import pytest

from tools import prose


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("One two three. Four five.", [3, 2]),
        ("One two\nthree four.", [4]),
        ("One two three\n\nfour five", [3, 2]),
        ("Is it? Yes! It is.", [2, 1, 2]),
        ("It takes 1.5 seconds, e.g. here.", [6]),
        ("It ends (mostly.) Then more.", [3, 2]),
        ("A dash – is no word – here.", [6]),
        ("- one two\n- three four five\n- six. seven Eight", [2, 3, 3]),
        ("Call `make test now`, then wait.", [4]),
        ("[One two](https://example.test/a/b) three.", [3]),
        ("![Two words](picture.svg)", []),
        ("# Four words as heading\n\nOne.", [1]),
        ("**Run in.** One two.", [2]),
        ("**Alone**", []),
        ("**Bold** words stay.", [3]),
        ("- **Run in.** One two.", [2]),
        ("```\nnot a sentence\n```\nOne.", [1]),
        ("- `make soak`", []),
        ("| a | b |\n|---|---|\n| one two | three |\n\nOne.", [1]),
        ("<!-- a comment -->\n\nOne.", [1]),
    ],
)
def test_only_words_of_sentences_count(markdown: str, expected: list[int]) -> None:
    assert prose.lengths(markdown) == expected


@pytest.mark.parametrize(
    ("words", "good"),
    [
        ([18] * 10, True),
        ([19] * 10, False),
        ([5] * 9 + [90], True),
        ([5] * 8 + [30, 90], True),
        ([5] * 8 + [31, 90], False),
    ],
)
def test_half_may_have_18_words_and_nine_in_ten_30(words: list[int], good: bool) -> None:
    assert prose.within_limits(words) is good


def test_generated_figures_are_no_prose(tmp_path: Path) -> None:
    for name in ("README.md", "docs/a.md", "docs/decisions/0001-b.md", "docs/figures/c.md", "docs/openapi.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    found = [path.relative_to(tmp_path).as_posix() for path in prose.documents(tmp_path)]

    assert found == ["README.md", "docs/a.md", "docs/decisions/0001-b.md"]


@pytest.mark.parametrize(("sentence", "status"), [("Short enough.", 0), ("word " * 31, 1)])
def test_the_exit_status_says_whether_it_is_short(
    sentence: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(sentence)

    assert prose.main(tmp_path) == status
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["words", "README.md", "all"]
