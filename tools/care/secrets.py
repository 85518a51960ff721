"""Secrets in the sources, by detect-secrets: whatever is not in `.secrets.baseline` fails.

detect-secrets' own hook also fails when a known text has moved to another line. Here a text is known by its file, its
kind and its hash. Every text in the baseline was looked at by a person: it is made up for tests and examples, or it is
public. `--update` writes the baseline anew.
"""

import argparse
import json
import subprocess  # nosec B404  # detect-secrets, without a shell
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tools.care import PYTHON, ROOT

BASELINE = ROOT / ".secrets.baseline"
# Locks hold nothing but names and hashes. The detector of keywords takes any `token = ...` for a secret, and ruff and
# bandit look at the same assignments. Without --no-verify, a finding would be tried at the service that it is for.
_SCAN = (
    "scan",
    "--no-verify",
    *("--disable-plugin", "KeywordDetector"),
    *("--exclude-files", r"(^|/)requirements.*\.txt$|package-lock\.json$|^\.secrets\.baseline$"),
)


class Finding(NamedTuple):
    """A text that looks like a secret."""

    file: str
    kind: str
    hash: str


def findings(document: Mapping[str, Any]) -> dict[Finding, int]:
    """What a scan or a baseline holds, with the line of each."""
    return {
        Finding(file, each["type"], each["hashed_secret"]): each["line_number"]
        for file, found in document["results"].items()
        for each in found
    }


def compare(baseline: Mapping[str, Any], scan: Mapping[str, Any]) -> Iterator[str]:
    """A line for each text that only one of the two has."""
    known, found = findings(baseline), findings(scan)
    for each in sorted(found.keys() - known.keys()):
        yield f"{each.file}:{found[each]}: {each.kind}. Take it out, or add it to the baseline (CONTRIBUTING.md)"
    for each in sorted(known.keys() - found.keys()):
        yield f"{each.file}: a {each.kind} of the baseline is gone. Take it out of the baseline"


def main() -> None:
    """Scan what git knows. Command line: `python -m tools.care.secrets [--update]`."""
    parser = argparse.ArgumentParser(prog="python -m tools.care.secrets")
    parser.add_argument("--update", action="store_true", help="write the baseline anew")
    asked = parser.parse_args()
    command = [str(PYTHON), "-m", "detect_secrets", *_SCAN]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # nosec B603  # our own arguments
    scan = json.loads(done.stdout)
    if asked.update:
        del scan["generated_at"]
        BASELINE.write_text(json.dumps(scan, indent=2, sort_keys=True) + "\n")
        return
    differences = list(compare(json.loads(BASELINE.read_text()), scan))
    print("\n".join(["detect-secrets: nothing new" if not differences else "detect-secrets:", *differences]))
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
