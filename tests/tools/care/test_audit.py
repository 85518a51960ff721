"""What pip-audit's answers mean. The answers are those of pip-audit 2.10.1, shortened."""

import json

from tools.care.audit import read, report

NOTHING_KNOWN = {"name": "urllib3", "version": "2.8.0", "vulns": []}
# The example of pip-audit's README, in the format of the version that is locked.
VULNERABLE = {
    "name": "flask",
    "version": "0.5",
    "vulns": [
        {"id": "PYSEC-2019-179", "fix_versions": ["1.0"], "aliases": ["CVE-2019-1010083"], "description": "…"},
        {"id": "PYSEC-2018-66", "fix_versions": [], "aliases": ["CVE-2018-1000656"], "description": "…"},
    ],
}
# Recorded where the index serves packages and knows no vulnerabilities. pip-audit ended with status 0.
UNKNOWN = {"name": "anyio", "skip_reason": "Dependency not found on PyPI and could not be audited: anyio (4.16.0)"}


def answer(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_packages_without_a_known_vulnerability_pass() -> None:
    assert report(read(answer(NOTHING_KNOWN))) == ("pip-audit: 1 packages audited, 0 vulnerabilities", 0)


def test_a_vulnerability_fails_and_says_what_fixes_it() -> None:
    text, status = report(read(answer(NOTHING_KNOWN, VULNERABLE)))

    assert status == 1
    assert text.splitlines() == [
        "pip-audit: 2 packages audited, 2 vulnerabilities",
        "  flask 0.5: PYSEC-2019-179, fixed in 1.0",
        "  flask 0.5: PYSEC-2018-66, fixed in no version",
    ]


def test_a_package_that_the_service_does_not_know_is_not_called_sound() -> None:
    text, status = report(read(answer(NOTHING_KNOWN, UNKNOWN)))

    assert status == 0
    assert "1 packages audited" in text
    assert "NOT AUDITED, the service does not know them: anyio" in text


def test_an_audit_without_an_answer_is_said_and_fails_nothing() -> None:
    """Such as without a network: a stack trace on standard error, nothing on standard output, and status 1."""
    assert report(read("")) == ("pip-audit: NOT AUDITED, it has no answer", 0)
