"""What the demo says, and how it ends."""

import base64
import io
import json
from pathlib import Path

import pytest

from local.demo import steps as demo


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_forged_token_is_another_person_under_the_old_signature() -> None:
    forged = demo._forged(f"{_encoded({'alg': 'RS256'})}.{_encoded({'sub': 'me', 'iss': 'pool'})}.signature")
    header, payload, signature = forged.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert (header, signature, claims["iss"]) == (_encoded({"alg": "RS256"}), "signature", "pool")
    assert claims["sub"] != "me"


def test_a_step_is_a_line_without_colours_when_nobody_watches() -> None:
    out = io.StringIO()
    with demo.Narrator(out).step("sign in") as tell:
        tell("a token")
    assert out.getvalue().startswith("  ✓ sign in ")
    assert out.getvalue().endswith("0.0 s   a token\n")


def test_a_step_that_fails_is_marked_so() -> None:
    out = io.StringIO()
    with pytest.raises(demo.UnexpectedError), demo.Narrator(out).step("sign in"):
        raise demo.UnexpectedError("refused")
    assert out.getvalue().startswith("  ✗ sign in ")


def test_a_missing_environment_ends_the_demo_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_ENVIRONMENTS", str(tmp_path))
    assert demo.main() == 1
    assert "make environments" in capsys.readouterr().out
