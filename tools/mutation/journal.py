"""What became of each mutant, in a file that grows by a line for each. A run that was cut off resumes from it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.mutation.mutants import Mutant
from tools.mutation.trial import Result


def digest(files: Iterable[Path]) -> str:
    """Of the content of ``files``."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(files))).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Version:
    """What a result rests on: the digest of the mutated module, and of the tests."""

    module: str
    tests: str


class Journal:
    """The results in ``path``. A result is forgotten once the module changes, and a survivor once the tests change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._entries = {entry["id"]: entry for entry in map(json.loads, lines)}

    def get(self, mutant: Mutant, version: Version) -> Result | None:
        """What became of ``mutant``, or None if that is not known of this version."""
        entry = self._entries.get(mutant.id)
        if entry is None or entry["module_digest"] != version.module:
            return None
        if entry["outcome"] == "survived" and entry["tests_digest"] != version.tests:
            return None
        return Result(entry["outcome"], entry["test"])

    def add(self, mutant: Mutant, version: Version, result: Result, seed: int) -> None:
        """Write one line."""
        entry = {
            "id": mutant.id,
            "module": mutant.module,
            "module_digest": version.module,
            "tests_digest": version.tests,
            "name": mutant.name,
            "line": mutant.line,
            "operator": mutant.operator,
            "before": mutant.before,
            "after": mutant.after,
            "outcome": result.outcome,
            "test": result.test,
            "seed": seed,
        }
        self._entries[mutant.id] = entry
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(f"{json.dumps(entry)}\n")
