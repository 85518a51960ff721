"""A text that looks like a secret is known by its file, its kind and its hash."""

import json
from typing import Any

from tests.fakes.source_tree import ROOT
from tools.care.secrets import BASELINE, compare

KNOWN = {"type": "Hex High Entropy String", "hashed_secret": "one", "line_number": 3}


def document(**results: list[dict[str, Any]]) -> dict[str, Any]:
    return {"results": {f"{name}.py": found for name, found in results.items()}}


def test_what_is_in_the_baseline_passes_wherever_its_line_has_moved() -> None:
    assert list(compare(document(a=[KNOWN]), document(a=[{**KNOWN, "line_number": 30}]))) == []


def test_a_new_text_is_found_in_each_file() -> None:
    new = {"type": "AWS Access Key", "hashed_secret": "two", "line_number": 7}

    (line,) = compare(document(a=[KNOWN]), document(a=[KNOWN, new]))
    assert line.startswith("a.py:7: AWS Access Key.")
    (line,) = compare(document(a=[KNOWN]), document(a=[KNOWN], b=[KNOWN]))
    assert line.startswith("b.py:3: Hex High Entropy String.")


def test_a_text_that_is_gone_leaves_the_baseline() -> None:
    (line,) = compare(document(a=[KNOWN]), document())

    assert "is gone" in line


def test_the_baseline_is_about_files_that_exist_and_tries_no_secret_at_its_service() -> None:
    baseline = json.loads(BASELINE.read_text())

    assert all((ROOT / file).is_file() for file in baseline["results"])
    assert not any("verification" in each["path"] for each in baseline["filters_used"])
    assert {"AWSKeyDetector", "JwtTokenDetector", "PrivateKeyDetector", "Base64HighEntropyString"} <= {
        each["name"] for each in baseline["plugins_used"]
    }
