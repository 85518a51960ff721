"""Which changes make a new layer hash, and so a new version of the function with an alias."""

from pathlib import Path

import pytest

from tools.build import build


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree in the place of this one."""
    for name, content in {
        "layers/whop_chat/whop_chat/__init__.py": "",
        "layers/whop_chat/whop_chat/deep/module.py": "x = 1\n",
        "layers/whop_chat/requirements.txt": "httpx==1\n",
        "tools/build/build.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "PACKAGE", tmp_path / "layers" / "whop_chat" / "whop_chat")
    monkeypatch.setattr(build, "LOCK", tmp_path / "layers" / "whop_chat" / "requirements.txt")
    monkeypatch.setattr(build, "RECIPE", [tmp_path / "tools" / "build" / "build.py"])
    return tmp_path


@pytest.mark.parametrize(
    "changed",
    ["layers/whop_chat/whop_chat/deep/module.py", "layers/whop_chat/requirements.txt", "tools/build/build.py"],
)
def test_a_changed_source_lock_or_recipe_changes_it(tree: Path, changed: str) -> None:
    before = build.layer_hash("x86_64")
    (tree / changed).write_text((tree / changed).read_text() + "# more\n")

    assert build.layer_hash("x86_64") != before


def test_the_recipe_is_all_that_decides_what_is_built() -> None:
    """The list of AWS's services and the pruner among it."""
    assert {path.name for path in build.RECIPE} == {"build.py", "ca_directory.py", "prune.py"}


def test_a_renamed_module_changes_it(tree: Path) -> None:
    before = build.layer_hash("x86_64")
    module = tree / "layers" / "whop_chat" / "whop_chat" / "deep" / "module.py"
    module.rename(module.with_name("other.py"))

    assert build.layer_hash("x86_64") != before


def test_another_processor_changes_it(tree: Path) -> None:
    assert build.layer_hash("x86_64") != build.layer_hash("arm64")


def test_bytecode_of_local_runs_does_not_change_it(tree: Path) -> None:
    before = build.layer_hash("x86_64")
    cache = tree / "layers" / "whop_chat" / "whop_chat" / "__pycache__"
    cache.mkdir()
    (cache / "module.cpython-313.pyc").write_bytes(b"bytecode")

    assert build.layer_hash("x86_64") == before
