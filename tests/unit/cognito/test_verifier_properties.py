"""Rules that hold for every token, tried on every bit of one and on many."""

import itertools
import json

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.keys import eager_jwks
from tests.fakes.tokens import (
    CLIENT_ID,
    ISSUER,
    NOW,
    OTHER_CLIENT_ID,
    POOL_ID,
    access_claims,
    base64url,
    id_claims,
    key_set_document,
    sign,
    sign_raw,
    signing_key,
)
from whop_chat.cognito.verifier import CLOCK_SKEW_SECONDS, TokenRefused, TokenUse, TokenVerifier
from whop_chat.runtime.deadline import Deadline

KEYS = ["current", "second"]
KEY_SET = eager_jwks(lambda _deadline: key_set_document(*map(signing_key, KEYS)))
VERIFIER = TokenVerifier(
    pool_id=POOL_ID,
    client_ids=[CLIENT_ID, OTHER_CLIENT_ID],
    token_use="access",
    jwks=KEY_SET,
    clock=lambda: float(NOW),
)

text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
times = st.integers(0, 10**6) | st.floats(0, 10**6)


@st.composite
def good_claims(draw: st.DrawFn) -> dict[str, object]:
    """Whatever a pool may say in an access token of one of the two clients that is valid now."""
    claims: dict[str, object] = draw(st.dictionaries(text.map(lambda name: f"custom:{name}"), json_values, max_size=3))
    claims |= {
        "iss": ISSUER,
        "token_use": "access",
        "client_id": draw(st.sampled_from([CLIENT_ID, OTHER_CLIENT_ID])),
        "sub": draw(text.filter(lambda sub: sub not in (CLIENT_ID, OTHER_CLIENT_ID))),
        "username": draw(text),
        "exp": NOW + 1 + draw(times),
        "iat": NOW - draw(times),
    }
    if draw(st.booleans()):
        claims["nbf"] = NOW - draw(times)
    if draw(st.booleans()):
        claims["cognito:groups"] = draw(st.lists(text, max_size=3))
    if draw(st.booleans()):
        claims["scope"] = draw(st.text(st.characters(codec="utf-8"), max_size=20))
    return claims


def refused(token: str) -> bool:
    try:
        VERIFIER.verify(token, deadline=Deadline(1))
    except TokenRefused:
        return True
    return False


def accepted_token() -> str:
    token = sign(access_claims())
    assert not refused(token)
    return token


@settings(max_examples=30, deadline=None)
@given(good_claims(), st.sampled_from(KEYS))
def test_any_valid_token_of_the_pool_is_accepted(claims: dict[str, object], key: str) -> None:
    token = sign(claims, signing_key(key))

    caller = VERIFIER.verify(token, deadline=Deadline(1))

    assert (caller.sub, caller.username, caller.client_id) == (claims["sub"], claims["username"], claims["client_id"])


@settings(max_examples=30, deadline=None)
@given(good_claims(), good_claims(), st.sampled_from(KEYS), st.sampled_from(KEYS))
def test_a_token_put_together_from_two_valid_ones_is_refused(
    first: dict[str, object], second: dict[str, object], first_key: str, second_key: str
) -> None:
    originals = [sign(first, signing_key(first_key)), sign(second, signing_key(second_key))]

    for parts in itertools.product(*zip(*(original.split(".") for original in originals), strict=True)):
        token = ".".join(parts)
        assert token in originals or refused(token)


@settings(max_examples=30, deadline=None)
@given(good_claims(), st.data())
def test_a_claim_taken_from_another_valid_token_breaks_the_signature(
    claims: dict[str, object], data: st.DataObject
) -> None:
    other = data.draw(good_claims())
    name = data.draw(st.sampled_from(sorted(claims.keys() & other.keys())))
    header, payload, signature = sign(claims).split(".")
    mixed = sign({**claims, name: other[name]}).split(".")[1]

    assert mixed == payload or refused(f"{header}.{mixed}.{signature}")


def test_a_token_with_any_single_bit_flipped_is_refused() -> None:
    token = accepted_token()

    accepted = [
        (index, bit)
        for index in range(len(token))
        for bit in range(8)
        if not refused(token[:index] + chr(ord(token[index]) ^ 1 << bit) + token[index + 1 :])
    ]

    assert accepted == []


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
def test_a_token_with_any_single_bit_of_the_decoded_part_flipped_is_refused(part: int) -> None:
    parts = accepted_token().split(".")
    data = jwt.utils.base64url_decode(parts[part])

    accepted = []
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        if not refused(".".join([*parts[:part], base64url(bytes(flipped)), *parts[part + 1 :]])):
            accepted.append(bit)

    assert accepted == []


def test_a_token_cut_short_anywhere_is_refused() -> None:
    token = accepted_token()

    assert [end for end in range(len(token)) if not refused(token[:end])] == []
    assert [start for start in range(1, len(token)) if not refused(token[start:])] == []


def test_a_token_with_any_one_character_left_out_is_refused() -> None:
    token = accepted_token()

    assert [index for index in range(len(token)) if not refused(token[:index] + token[index + 1 :])] == []


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60) | st.text("ab._-=", max_size=20))
def test_whatever_else_comes_is_refused_and_never_a_crash(token: str) -> None:
    assert refused(token)


@settings(max_examples=30, deadline=None)
@given(json_values | st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit"]), json_values))
def test_a_header_that_holds_anything_but_what_it_should_is_refused(header: object) -> None:
    assert refused(sign_raw(json.dumps(header).encode(), access_claims(), signing_key()))


def fits(name: str, value: object) -> bool:
    """Whether a token that is good otherwise may say this: the rules, said again."""
    number = type(value) in (int, float)
    return {
        "iss": value == ISSUER,
        "exp": number and value > NOW,  # type: ignore[operator]
        "nbf": number and value <= NOW + CLOCK_SKEW_SECONDS,  # type: ignore[operator]
        "iat": number and value <= NOW + CLOCK_SKEW_SECONDS,  # type: ignore[operator]
        "token_use": value == "access",
        "client_id": value in (CLIENT_ID, OTHER_CLIENT_ID),
        "sub": isinstance(value, str) and value not in ("", CLIENT_ID),
        "username": isinstance(value, str) and value != "",
    }[name]


near_misses = st.sampled_from(["access", CLIENT_ID, ISSUER, ""]) | st.integers(NOW - 60, NOW + 60)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["iss", "exp", "nbf", "iat", "token_use", "client_id", "sub", "username"]),
    near_misses | json_values,
)
def test_a_claim_that_is_checked_is_right_or_the_token_is_refused(name: str, value: object) -> None:
    header = {"alg": "RS256", "kid": signing_key().kid}
    token = sign_raw(header, {**access_claims(), name: value}, signing_key())

    assert refused(token) is not fits(name, value)


@pytest.mark.parametrize(("claims", "use"), [(access_claims(), "access"), (id_claims(), "id")], ids=["access", "id"])
def test_what_is_accepted_here_is_accepted_by_another_verifier(claims: dict[str, object], use: TokenUse) -> None:
    token = sign(claims)
    verifier = TokenVerifier(
        pool_id=POOL_ID, client_ids=[CLIENT_ID], token_use=use, jwks=KEY_SET, clock=lambda: float(NOW)
    )

    caller = verifier.verify(token, deadline=Deadline(1))

    decoded = jwt.decode(
        token,
        signing_key().private.public_key(),
        algorithms=["RS256"],
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False, "verify_aud": False},
    )
    assert caller.sub == decoded["sub"]
