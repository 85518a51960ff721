"""A copy of the sources that `sam build` reads, for tests that change and build them."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(".aws-sam") / "layer"
_SOURCES = ("template.yaml", "functions", "layers", "tools")


def copy_sources(folder: Path) -> Path:
    """Copy the sources into ``folder``, with the wheels that earlier builds have installed; returns ``folder``."""
    folder.mkdir(exist_ok=True)
    for name in _SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    if (ROOT / CACHE).is_dir():
        shutil.copytree(ROOT / CACHE, folder / CACHE, ignore=shutil.ignore_patterns("tmp*"))
    return folder
