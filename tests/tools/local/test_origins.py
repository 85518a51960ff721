"""Which web pages may use a control endpoint."""

import pytest

from local.origins import may_control


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8400", None),
        ("localhost:8400", None),
        ("[::1]:8400", None),
        ("127.0.0.1:8400", "http://127.0.0.1:8400"),
    ],
)
def test_programs_and_the_server_s_own_page_may(host: str, origin: str | None) -> None:
    assert may_control(host, origin)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8400", "https://evil.example.test"),
        ("127.0.0.1:8400", "http://127.0.0.1:8401"),
        ("127.0.0.1:8400", "null"),
        ("evil.example.test:8400", None),
        ("evil.example.test:8400", "http://evil.example.test:8400"),
        ("127.0.0.1.evil.example.test", None),
        ("[not-an-address", None),
        ("", None),
    ],
)
def test_other_pages_and_rebound_names_may_not(host: str, origin: str | None) -> None:
    assert not may_control(host, origin)
