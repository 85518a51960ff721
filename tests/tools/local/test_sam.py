"""One build for each content of the tree."""

from pathlib import Path

import pytest

from local.sam import Sam, SamError

# A SAM CLI that records its calls and writes the template of a build.
_FAKE = """#!/bin/sh
echo "$*" >> "{calls}"
env > "{calls}.env"
[ -e "{calls}.fail" ] && echo "no such layer" && exit 1
while [ $# -gt 0 ]; do [ "$1" = --build-dir ] && mkdir -p "$2" && echo built > "$2/template.yaml"; shift; done
exit 0
"""


class Tree:
    """A small project with a fake SAM CLI."""

    def __init__(self, folder: Path) -> None:
        self.root, self.calls = folder / "project", folder / "calls"
        (self.root / "functions" / "one").mkdir(parents=True)
        (self.root / "layers").mkdir()
        (self.root / "template.yaml").write_text("Resources: {}\n")
        (self.root / "functions" / "one" / "app.py").write_text("one = 1\n")
        python = folder / "environments" / "sam" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(_FAKE.format(calls=self.calls))
        python.chmod(0o755)
        self.sam = Sam(folder / "run", root=self.root)

    def builds(self) -> int:
        """How often the SAM CLI was asked to build."""
        return self.calls.read_text().count(" build ") if self.calls.exists() else 0


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setenv("LOCAL_ENVIRONMENTS", str(tmp_path / "environments"))
    return Tree(tmp_path)


def test_an_unchanged_tree_is_built_once(tree: Tree) -> None:
    first = tree.sam.build()
    (tree.root / "functions" / "one" / "__pycache__").mkdir()
    (tree.root / "functions" / "one" / "__pycache__" / "app.cpython-313.pyc").write_bytes(b"\0")
    assert tree.sam.build() == first
    assert first.read_text() == "built\n"
    assert tree.builds() == 1


@pytest.mark.parametrize("changed", ["template.yaml", "functions/one/app.py", "functions/one/new.py", "layers/new.txt"])
def test_a_changed_source_is_built_again(tree: Tree, changed: str) -> None:
    first = tree.sam.build()
    (tree.root / changed).write_text("# changed\n")
    assert tree.sam.build() != first
    assert tree.builds() == 2


def test_a_failed_build_leaves_nothing_that_looks_finished(tree: Tree) -> None:
    failing = Path(f"{tree.calls}.fail")
    failing.touch()
    with pytest.raises(SamError, match="no such layer"):
        tree.sam.build()
    failing.unlink()
    assert tree.sam.build().exists()
    assert tree.builds() == 2


def test_old_builds_are_deleted(tree: Tree) -> None:
    for number in range(8):
        (tree.root / "template.yaml").write_text(f"# {number}\n")
        newest = tree.sam.build()
    assert newest.exists()
    assert len(list(newest.parent.parent.iterdir())) < 8


def test_the_operators_account_never_reaches_the_sam_cli(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "theirs")
    template = tree.sam.build()
    tree.sam.deploy(template, "stack", {"Origins": "a,b"}, endpoint="http://127.0.0.1:1", bucket="bucket")
    seen = dict(line.split("=", 1) for line in Path(f"{tree.calls}.env").read_text().splitlines() if "=" in line)
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN"} & seen.keys()
    assert (seen["AWS_ACCESS_KEY_ID"], seen["AWS_ENDPOINT_URL"]) == ("test", "http://127.0.0.1:1")
