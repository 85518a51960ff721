"""What the demo prints, and how it ends."""

import base64
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from local.demo.__main__ import main
from local.demo.console import StepPrinter
from local.demo.steps import UnexpectedError, forged


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def printer(out: io.StringIO) -> StepPrinter:
    return StepPrinter(Console(file=out, width=40))


def test_a_step_is_one_line_without_colours_in_a_file(printer: StepPrinter, out: io.StringIO) -> None:
    with printer.step("sign in") as report:
        report("a first result")
        report("a token [red]with brackets[/red] that is longer than a line")
    result = "a token [red]with brackets[/red] that is longer than a line"
    assert _timeless(out) == f"  ✓ {'sign in':<27}  … s   {result}\n"


def test_a_failed_step_is_marked(printer: StepPrinter, out: io.StringIO) -> None:
    with pytest.raises(UnexpectedError), printer.step("sign in"):
        raise UnexpectedError("refused")
    assert _timeless(out) == f"  ✗ {'sign in':<27}  … s\n"


def test_a_forged_token_has_another_sub_and_the_old_signature() -> None:
    changed = forged(f"{_encoded({'alg': 'RS256'})}.{_encoded({'sub': 'me', 'iss': 'pool'})}.signature")
    header, payload, signature = changed.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (header, signature, claims["iss"]) == (_encoded({"alg": "RS256"}), "signature", "pool")
    assert claims["sub"] != "me"


def test_a_missing_environment_ends_the_demo_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_ENVIRONMENTS", str(tmp_path))
    assert main() == 1
    assert "make environments" in capsys.readouterr().out


def _timeless(out: io.StringIO) -> str:
    return re.sub(r"\d+\.\d s", "… s", out.getvalue())


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
