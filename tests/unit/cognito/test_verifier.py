"""What a verified token says, what a verifier insists on, and which failures mean 401, 403 and 503."""

import itertools
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.fakes import tokens
from tests.fakes.tokens import (
    CLIENT_ID,
    ISSUER,
    NOW,
    OTHER_CLIENT_ID,
    POOL_ID,
    SUB,
    USERNAME,
    access_claims,
    id_claims,
    key_set_document,
    sign,
    sign_raw,
    signing_key,
)
from whop_chat.cognito.jwks import JwkSet
from whop_chat.cognito.verifier import (
    CLOCK_SKEW_SECONDS,
    Caller,
    KeysUnavailable,
    Reason,
    TokenNotAllowed,
    TokenRefused,
    TokenVerifier,
    VerificationError,
)
from whop_chat.runtime.deadline import Deadline


def served(_deadline: Deadline) -> bytes:
    return key_set_document(signing_key(), signing_key("second"))


def unreachable(_deadline: Deadline) -> bytes:
    raise ConnectionError("secret-host.test refused")


def verifier(**changes: Any) -> TokenVerifier:
    settings: dict[str, Any] = {
        "pool_id": POOL_ID,
        "client_ids": [CLIENT_ID],
        "token_use": "access",
        "jwks": JwkSet(served),
        "clock": lambda: float(NOW),
    }
    return TokenVerifier(**{**settings, **changes})


def verify(token: str, **changes: Any) -> Caller:
    return verifier(**changes).verify(token, deadline=Deadline(1))


def reason_for(token: str, **changes: Any) -> str:
    with pytest.raises(VerificationError) as refusal:
        verify(token, **changes)
    return refusal.value.reason


# What a good token says


def test_an_access_token_tells_whom_it_speaks_for() -> None:
    token = sign(access_claims({"cognito:groups": ["staff", "beta"], "scope": "openid chat/mint"}))

    assert verify(token) == Caller(
        sub=SUB,
        username=USERNAME,
        client_id=CLIENT_ID,
        groups=("staff", "beta"),
        scopes=frozenset({"openid", "chat/mint"}),
        expires_at=NOW + 3540,
    )


def test_an_id_token_tells_whom_it_speaks_for() -> None:
    token = sign(id_claims({"cognito:groups": ["staff"]}))

    assert verify(token, token_use="id") == Caller(
        sub=SUB,
        username=USERNAME,
        client_id=CLIENT_ID,
        groups=("staff",),
        scopes=frozenset(),
        expires_at=NOW + 3540,
    )


def test_a_token_without_groups_or_scopes_has_none() -> None:
    caller = verify(sign(access_claims({"scope": None})))

    assert (caller.groups, caller.scopes) == ((), frozenset())


def test_scopes_are_separated_by_spaces_and_by_nothing_else() -> None:
    assert verify(sign(access_claims({"scope": " a  b\tc "}))).scopes == {"a", "b\tc"}


def test_a_token_of_any_listed_client_is_accepted() -> None:
    token = sign(access_claims({"client_id": OTHER_CLIENT_ID}))

    assert verify(token, client_ids={CLIENT_ID, OTHER_CLIENT_ID}).client_id == OTHER_CLIENT_ID


def test_any_key_of_the_pool_will_do() -> None:
    assert verify(sign(access_claims(), signing_key("second"))).sub == SUB


@pytest.mark.parametrize("typ", ["JWT", "at+jwt"])
def test_a_type_that_fits_is_accepted(typ: str) -> None:
    assert verify(sign(access_claims(), typ=typ)).sub == SUB


def test_an_unknown_harmless_header_parameter_is_ignored() -> None:
    assert verify(sign(access_claims(), x5t="abc", note="hello")).sub == SUB


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk"])
def test_a_key_that_the_token_brings_is_not_even_looked_at(name: str) -> None:
    header = {"alg": "RS256", "kid": signing_key().kid, name: {"not": ["a", "key"]}}

    assert verify(sign_raw(header, access_claims(), signing_key())).sub == SUB


def test_a_resource_bound_access_token_is_accepted_whatever_its_audience() -> None:
    assert verify(sign(access_claims({"aud": "https://api.example.test"}))).client_id == CLIENT_ID


def test_the_largest_token_that_is_read_has_10_kib() -> None:
    short = sign(access_claims({"filler": "x" * 5000}))
    room = 5000 + (10240 - len(short)) // 4 * 3
    # Three bytes are four characters, so not each length can be reached by the payload alone.
    sizes = itertools.product(range(room - 9, room), range(9))
    tokens = {len(token): token for token in (sign(access_claims({"filler": "x" * n}), note="x" * m) for n, m in sizes)}

    assert verify(tokens[10240]).sub == SUB
    assert reason_for(tokens[10241]) == Reason.TOO_LARGE


def test_a_user_in_as_many_groups_as_cognito_allows_gets_in() -> None:
    groups = [f"{number:03}-{'a group with a name that is long ' * 2}"[:58] for number in range(100)]
    token = sign(access_claims({"cognito:groups": groups}))

    assert len(token) > 8192
    assert verify(token).groups == tuple(groups)


def test_a_caller_in_a_log_line_does_not_show_the_user_name() -> None:
    caller = verify(sign(access_claims({"username": "ada@example.test"})))

    assert "ada@example.test" not in repr(caller)


# Time


@pytest.mark.parametrize(
    ("claims", "outcome"),
    [
        ({"exp": NOW + 1}, None),
        ({"exp": NOW + 0.5}, None),
        ({"exp": NOW}, Reason.EXPIRED),
        ({"nbf": NOW + CLOCK_SKEW_SECONDS}, None),
        ({"nbf": NOW + CLOCK_SKEW_SECONDS + 0.5}, Reason.NOT_YET_VALID),
        ({"nbf": 0}, None),
        ({"iat": NOW + CLOCK_SKEW_SECONDS}, None),
        ({"iat": NOW + CLOCK_SKEW_SECONDS + 0.5}, Reason.ISSUED_IN_FUTURE),
        ({"iat": -1}, None),
    ],
)
def test_the_times_hold_to_the_second(claims: Mapping[str, object], outcome: Reason | None) -> None:
    token = sign_raw({"alg": "RS256", "kid": signing_key().kid}, access_claims(claims), signing_key())

    if outcome is None:
        assert verify(token).sub == SUB
    else:
        assert reason_for(token) == outcome


def test_a_fraction_of_a_second_in_the_expiry_is_rounded_down() -> None:
    assert verify(sign(access_claims({"exp": NOW + 9.9}))).expires_at == NOW + 9


def test_a_token_expires_while_the_verifier_lives() -> None:
    now = float(NOW)
    long_lived = verifier(clock=lambda: now)
    token = sign(access_claims({"exp": NOW + 60}))
    assert long_lived.verify(token, deadline=Deadline(1)).sub == SUB

    now += 60
    with pytest.raises(TokenRefused, match=Reason.EXPIRED):
        long_lived.verify(token, deadline=Deadline(1))


# Tokens of the wrong use


UPDATED = ISSUER.replace("cognito-idp", "issuer-cognito-idp")


def test_a_pool_with_the_updated_issuer_signs_under_that_host() -> None:
    assert verify(sign(access_claims({"iss": UPDATED})), pool_issuer="updated").sub == SUB


@pytest.mark.parametrize(
    ("pool_issuer", "iss"),
    [
        ("original", UPDATED),
        ("updated", ISSUER),
        ("updated", UPDATED.replace("eu-west-1.", "us-east-1.")),
        ("updated", UPDATED + "x"),
        ("updated", UPDATED.replace(".amazonaws.com", ".amazonaws.com.attacker.test")),
        ("updated", UPDATED.replace("issuer-", "issuer.")),
        ("updated", UPDATED.upper()),
    ],
)
def test_any_other_issuer_is_refused(pool_issuer: str, iss: str) -> None:
    assert reason_for(sign(access_claims({"iss": iss})), pool_issuer=pool_issuer) == Reason.ISSUER


def test_an_access_token_is_not_an_id_token() -> None:
    assert reason_for(sign(access_claims()), token_use="id") == Reason.TOKEN_USE


def test_an_id_token_is_not_an_access_token() -> None:
    assert reason_for(sign(id_claims())) == Reason.TOKEN_USE


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": OTHER_CLIENT_ID}, Reason.CLIENT),
        ({"aud": [CLIENT_ID]}, Reason.CLIENT),
        ({"aud": [CLIENT_ID, OTHER_CLIENT_ID]}, Reason.CLIENT),
        ({"aud": None, "client_id": CLIENT_ID}, Reason.CLIENT),
        ({"cognito:username": None}, Reason.MACHINE),
        ({"cognito:username": None, "username": USERNAME}, Reason.MACHINE),
        ({"cognito:username": ["ada"]}, Reason.USERNAME),
        ({"sub": CLIENT_ID}, Reason.MACHINE),
    ],
)
def test_an_id_token_is_held_to_its_own_claims(claims: Mapping[str, object], reason: Reason) -> None:
    assert reason_for(sign_raw(_header(), id_claims(claims), signing_key()), token_use="id") == reason


def _header() -> dict[str, object]:
    return {"alg": "RS256", "kid": signing_key().kid}


# 403


def test_a_token_with_the_required_scope_among_others_is_accepted() -> None:
    token = sign(access_claims({"scope": "openid chat/mint email"}))

    assert verify(token, required_scope="chat/mint").sub == SUB


@pytest.mark.parametrize("scope", [None, "", "openid", "chat/minting", "chat/min", "CHAT/MINT", "chat/mint,openid"])
def test_a_good_token_without_the_required_scope_is_not_allowed(scope: str | None) -> None:
    with pytest.raises(TokenNotAllowed) as refusal:
        verify(sign(access_claims({"scope": scope})), required_scope="chat/mint")

    assert refusal.value.reason == Reason.SCOPE_MISSING


def test_a_bad_token_without_the_required_scope_is_a_bad_token() -> None:
    with pytest.raises(TokenRefused):
        verify(sign(access_claims({"exp": NOW - 1})), required_scope="chat/mint")


# 503


def test_without_keys_a_token_can_be_neither_accepted_nor_refused() -> None:
    with pytest.raises(KeysUnavailable) as failure:
        verify(sign(access_claims()), jwks=JwkSet(unreachable))

    assert failure.value.reason == Reason.KEYS_UNAVAILABLE
    assert failure.value.retry_after >= 1
    assert isinstance(failure.value.retry_after, int)


def test_why_the_keys_could_not_be_had_is_told_without_details() -> None:
    with pytest.raises(KeysUnavailable) as failure:
        verify(sign(access_claims()), jwks=JwkSet(unreachable))

    assert failure.value.detail == "ConnectionError"
    assert "secret-host" not in "".join(traceback.format_exception(failure.value))


def test_a_token_whose_header_is_wrong_costs_no_fetch() -> None:
    fetches: list[Deadline] = []

    def count(deadline: Deadline) -> bytes:
        fetches.append(deadline)
        return served(deadline)

    for token in ("", "a.b.c", "A" * 9000, sign(access_claims(), crit=["exp"]), sign(access_claims(), kid="")):
        reason_for(token, jwks=JwkSet(count))

    assert fetches == []


# What is not told


def test_no_part_of_a_token_is_in_the_error_or_in_what_caused_it() -> None:
    secret = "c2VjcmV0"
    header, _, signature = sign(access_claims()).split(".")
    hostile = [
        f"{secret}.{secret}.{secret}",
        f"{header}.{secret}.{signature}",
        sign_raw(b'{"secret":"c2VjcmV0"', b"{}", signing_key()),
        sign_raw({"alg": "RS256", "kid": secret}, b"{}", signing_key()),
        sign_raw(_header(), b'{"secret":"c2VjcmV0"', signing_key()),
        sign_raw(_header(), {"iss": secret}, signing_key()),
    ]
    for token in hostile:
        with pytest.raises(TokenRefused) as refusal:
            verify(token)
        for error in _chain(refusal.value):
            assert secret not in f"{error!r} {vars(error)}"


def _chain(error: BaseException | None) -> list[BaseException]:
    return [error, *_chain(error.__cause__ or error.__context__)] if error else []


def test_the_reasons_are_stable() -> None:
    assert sorted(Reason) == [
        "algorithm",
        "client",
        "expired",
        "expiry",
        "form",
        "groups",
        "header",
        "issued_at",
        "issued_in_future",
        "issuer",
        "key_id",
        "keys_unavailable",
        "machine",
        "not_before",
        "not_yet_valid",
        "parameter",
        "payload",
        "scope",
        "scope_missing",
        "signature",
        "subject",
        "token_use",
        "too_large",
        "type",
        "unknown_key",
        "username",
    ]


# What cannot be configured


@pytest.mark.parametrize("missing", ["pool_id", "client_ids", "token_use", "jwks"])
def test_a_verifier_cannot_be_made_without_saying_what_it_checks(missing: str) -> None:
    settings: dict[str, Any] = {
        "pool_id": POOL_ID,
        "client_ids": [CLIENT_ID],
        "token_use": "access",
        "jwks": JwkSet(served),
    }
    del settings[missing]

    with pytest.raises(TypeError, match=missing):
        TokenVerifier(**settings)


def test_a_verifier_takes_its_settings_by_name_only() -> None:
    make: Callable[..., TokenVerifier] = TokenVerifier

    with pytest.raises(TypeError, match="positional"):
        make(POOL_ID, [CLIENT_ID], "access", JwkSet(served))


@pytest.mark.parametrize("client_ids", [[], (), set(), {}, [""], [CLIENT_ID, ""], [None]])
def test_a_verifier_needs_a_client(client_ids: object) -> None:
    with pytest.raises(ValueError, match="client_ids"):
        verifier(client_ids=client_ids)


@pytest.mark.parametrize("client_ids", [CLIENT_ID, CLIENT_ID.encode(), "", None])
def test_a_lone_client_id_is_not_a_list_of_its_letters(client_ids: object) -> None:
    with pytest.raises(TypeError):
        verifier(client_ids=client_ids)


def test_the_allow_list_does_not_change_after_the_verifier_is_made() -> None:
    client_ids = [CLIENT_ID]
    made = verifier(client_ids=client_ids)
    client_ids.append(OTHER_CLIENT_ID)

    with pytest.raises(TokenRefused, match=Reason.CLIENT):
        made.verify(sign(access_claims({"client_id": OTHER_CLIENT_ID})), deadline=Deadline(1))


@pytest.mark.parametrize("token_use", ["", "ACCESS", "refresh", "any", None])
def test_a_verifier_is_for_access_or_for_id_tokens(token_use: object) -> None:
    with pytest.raises(ValueError, match="token_use"):
        verifier(token_use=token_use)


@pytest.mark.parametrize("scope", ["", "two scopes", " "])
def test_a_required_scope_is_one_scope(scope: str) -> None:
    with pytest.raises(ValueError, match="required_scope"):
        verifier(required_scope=scope)


def test_no_scope_can_be_required_of_id_tokens() -> None:
    with pytest.raises(ValueError, match="required_scope"):
        verifier(required_scope="openid", token_use="id")


def test_the_pool_is_checked_when_the_verifier_is_made() -> None:
    with pytest.raises(ValueError, match="user pool id"):
        verifier(pool_id="attacker.test/x_y")


def test_tokens_of_another_pool_are_refused_even_with_a_key_in_common() -> None:
    other = tokens.access_claims({"iss": ISSUER[:-1] + "X"})

    assert reason_for(sign(other)) == Reason.ISSUER
