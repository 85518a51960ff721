"""The trigger gives the event back, whatever of it does not work."""

import sys

import pytest

from tests.fakes.functions import Context, event, load_function

IMPORTED = ("whop_chat.sync.queue", "whop_chat.runtime.botocore_clients", "whop_chat.runtime.telemetry")


@pytest.mark.parametrize("missing", IMPORTED)
def test_an_import_that_fails_fails_no_sign_up(
    missing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "whop_chat.sync.trigger", raising=False)
    request = event("post_confirmation_sign_up")

    assert load_function("on_signup").handler(request, Context()) == event("post_confirmation_sign_up")
    assert "not enqueued" in caplog.text or "the sign-up trigger failed" in caplog.text
