"""The attack corpus sent through the gateway, as far as a header can carry it, and good tokens with one bit changed.

The attacker knows the pool, its client, a user of it and the ids of its keys: all but the private key. What only that
key could sign goes straight to the function instead, in tests/unit/cognito/test_attacks_by_event.py.
"""

import base64
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import httpx
import pytest

from local.demo.chat_app import Tokens
from local.whop_simulator.control import SimulatorControl
from tests.e2e.harness import TeamApp, assert_problem
from tests.fakes.tokens import SigningKey, base64url, signing_key
from tests.unit.cognito.attack_corpus import Attack, Target, attack_corpus
from whop_chat.cognito.verifier import Reason

# AWS, "Quotas for configuring and running an HTTP API": of request line and headers together, most is for the token.
_ROOM = 10_240 - 1024
# The emulated gateway fails at a header that is JSON and no object; AWS's answers 401 to whatever it cannot read.
_FAIL_THE_EMULATOR = {f"header: {name}" for name in ("array", "brackets in depth", "null", "number", "string")}
# What is too large for the function does not pass the gateway either.
_REFUSALS = sorted(set(Reason) - {Reason.SCOPE_MISSING, Reason.KEYS_UNAVAILABLE, Reason.TOO_LARGE})
# Tried in every part of a token: each bit of a byte, all over the part, in few enough requests.
_EVERY_BITS = 37


@pytest.fixture(scope="module")
def corpus(member_tokens: Tokens) -> Sequence[Attack]:
    """Every attack that a header can carry."""
    header, claims, _ = (_decoded(part) for part in member_tokens.access.split("."))
    signer = SigningKey(str(json.loads(header)["kid"]), signing_key("attacker").private)
    target = Target(signer, signing_key("second"), signing_key("stranger"), json.loads(claims), int(time.time()))
    return [attack for attack in attack_corpus(target) if _fits_a_header(attack.token)]


def _fits_a_header(token: str) -> bool:
    # White space around a value is no part of it, and an empty value no token.
    return 0 < len(token.strip()) == len(token) <= _ROOM and token.isascii() and token.isprintable()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.fixture(autouse=True)
def nothing_is_minted(whop: SimulatorControl) -> Iterator[None]:
    """Whatever the answer, nobody asks Whop for a token."""
    before = len(whop.calls("access_tokens.create"))
    yield
    assert len(whop.calls("access_tokens.create")) == before


def _answers(app: TeamApp, tokens: Mapping[str, str]) -> dict[str, httpx.Response]:
    return {name: app.mint(token) for name, token in tokens.items()}


def _assert_refused(answers: Mapping[str, httpx.Response], tokens: Mapping[str, str]) -> None:
    """Each is a 401 with a challenge, and tells nothing of the token."""
    statuses = {name: answer.status_code for name, answer in answers.items()}
    expected = {name: {401, 500} if name in _FAIL_THE_EMULATOR else {401} for name in answers}
    assert {name: status for name, status in statuses.items() if status not in expected[name]} == {}
    for name, answer in answers.items():
        assert answer.status_code == 500 or answer.headers["www-authenticate"].split()[0] == "Bearer", name
        assert not any(len(part) > 12 and part in answer.text for part in tokens[name].split(".")), name


@pytest.mark.parametrize("reason", _REFUSALS)
def test_no_attack_passes_the_gateway(app: TeamApp, corpus: Sequence[Attack], reason: Reason) -> None:
    tokens = {attack.name: attack.token for attack in corpus if attack.reason == reason}

    assert tokens
    _assert_refused(_answers(app, tokens), tokens)


def test_most_of_the_corpus_fits_a_header(corpus: Sequence[Attack]) -> None:
    assert len(corpus) > 300


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
def test_a_good_token_with_one_bit_changed_is_refused(app: TeamApp, member_tokens: Tokens, part: int) -> None:
    parts = member_tokens.access.split(".")
    tokens = {f"bit {bit}": changed for bit, changed in _with_one_bit_changed(parts, part)}

    assert len(tokens) > 10
    _assert_refused(_answers(app, tokens), tokens)


def _with_one_bit_changed(parts: Sequence[str], part: int) -> Iterable[tuple[int, str]]:
    data = _decoded(parts[part])
    for bit in range(0, 8 * len(data), _EVERY_BITS):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, ".".join([*parts[:part], base64url(bytes(changed)), *parts[part + 1 :]])


def test_a_good_token_cut_anywhere_is_refused(app: TeamApp, member_tokens: Tokens) -> None:
    token = member_tokens.access
    tokens = {f"{end} characters": token[:end] for end in [*range(1, len(token), 41), len(token) - 1]}

    _assert_refused(_answers(app, tokens), tokens)


@pytest.mark.parametrize(
    "spelling",
    [
        "Bearer {0},Bearer {0}",
        "Bearer {0}, Bearer {0}",
        "Bearer {0} {0}",
        "Bearer Bearer {0}",
        "Basic {0}",
        "Basic x, {0}",
    ],
)
def test_a_good_token_counts_only_once_and_only_as_a_bearer_token(
    app: TeamApp, member_tokens: Tokens, spelling: str
) -> None:
    answer = app.mint(None, headers={"Authorization": spelling.format(member_tokens.access)})

    assert answer.status_code == 401
    assert member_tokens.access not in answer.text


def test_a_good_token_without_a_scheme_passes_the_gateway_and_not_the_function(
    app: TeamApp, member_tokens: Tokens
) -> None:
    """AWS, "Control access to HTTP APIs with JWT authorizers": the gateway takes a token with or without the scheme."""
    assert_problem(app.mint(None, headers={"Authorization": member_tokens.access}), "missing_token")


def test_two_authorization_headers_are_refused_by_gateway_or_function(app: TeamApp, member_tokens: Tokens) -> None:
    value = f"Bearer {member_tokens.access}"

    answer = app.mint(None, headers=httpx.Headers([("Authorization", value), ("Authorization", value)]))

    assert answer.status_code == 401


def test_a_good_token_anywhere_else_is_none(app: TeamApp, member_tokens: Tokens) -> None:
    token = member_tokens.access
    for headers in (
        {"Cookie": f"access_token={token}"},
        {"Proxy-Authorization": f"Bearer {token}"},
        {"X-Token": token},
    ):
        assert app.mint(None, headers=headers).status_code == 401
