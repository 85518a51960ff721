"""Known vulnerabilities of the packages in the layers, by pip-audit.

pip-audit says "No known vulnerabilities found", with status 0, even if its service knew no package at all. So this
module reads its answer, and says which packages nobody has looked at.
"""

import json
import subprocess  # nosec B404  # pip-audit, without a shell
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tools.care import PYTHON, ROOT
from tools.third_party_licenses import LOCKS

# For one package.
_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Audit:
    """What the service knows."""

    audited: Sequence[str]
    """Packages that it knows, as `name version`."""
    unknown: Sequence[str]
    """Packages that it does not know, so that nothing is known about them."""
    vulnerable: Sequence[str]
    """A line for each vulnerability."""


def read(answer: str) -> Audit | None:
    """What pip-audit's JSON says. None if there is none: its service could not be reached, or it failed otherwise."""
    try:
        packages = json.loads(answer)["dependencies"]
    except ValueError:
        return None
    known = [each for each in packages if "skip_reason" not in each]
    return Audit(
        audited=[f"{each['name']} {each['version']}" for each in known],
        unknown=[each["name"] for each in packages if "skip_reason" in each],
        vulnerable=[
            f"{each['name']} {each['version']}: {found['id']}, fixed in {_any_of(found['fix_versions'])}"
            for each in known
            for found in each["vulns"]
        ],
    )


def report(audit: Audit | None) -> tuple[str, int]:
    """What to print, and the exit status: 1 if a package is known to be vulnerable."""
    if audit is None:
        return "pip-audit: NOT AUDITED, it has no answer", 0
    lines = [f"pip-audit: {len(audit.audited)} packages audited, {len(audit.vulnerable)} vulnerabilities"]
    lines += [f"  {each}" for each in audit.vulnerable]
    if audit.unknown:
        lines.append(f"  NOT AUDITED, the service does not know them: {', '.join(audit.unknown)}")
    return "\n".join(lines), 1 if audit.vulnerable else 0


def _any_of(versions: Sequence[str]) -> str:
    return ", ".join(versions) or "no version"


def main() -> None:
    """Audit the locks of the layers."""
    command = [str(PYTHON), "-m", "pip_audit", "--disable-pip", "--require-hashes"]
    command += [f"--requirement={lock}" for lock in LOCKS]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", str(_SECONDS)]
    # Its status is 1 for a vulnerability and for a failure alike. What it prints tells them apart.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # nosec B603  # our own arguments
    text, status = report(audit := read(done.stdout))
    print(text)
    if audit is None:
        # Such as that the service could not be reached.
        print(*done.stderr.strip().splitlines()[-1:], sep="\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
