"""ID tokens: ES256 of Whop's key, for this client and this very link, and nothing else."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from whop_chat.oauth.errors import LinkFailed
from whop_chat.oauth.id_token import IdTokenVerifier

ISSUER, CLIENT_ID, NONCE, NOW = "https://api.whop.com", "app_Team", "a-nonce", 1_800_000_000
KEY, OTHER_KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
CLAIMS = {
    "iss": ISSUER,
    "aud": CLIENT_ID,
    "sub": "user_Ada",
    "nonce": NONCE,
    "iat": NOW - 5,
    "exp": NOW + 3600,
    "name": "Ada",
}


def entry(key: ec.EllipticCurvePrivateKey = KEY, **changes: object) -> dict[str, Any]:
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return {**public, "kid": "1", "use": "sig", "alg": "ES256", **changes}


def sign(key: Any = KEY, algorithm: str = "ES256", /, **changes: object) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": "1"})


def verify(token: str | None, *keys: Mapping[str, Any], nonce: str = NONCE) -> str:
    verifier = IdTokenVerifier(issuer=ISSUER, client_id=CLIENT_ID, clock=lambda: NOW)
    return verifier.verify(token, {"keys": list(keys or (entry(),))}, nonce=nonce).id


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_good_token_names_its_user() -> None:
    assert verify(sign()) == "user_Ada"
    assert verify(sign(aud=[CLIENT_ID], azp=CLIENT_ID)) == "user_Ada"
    assert verify(sign(), entry(OTHER_KEY, kid="2"), entry()) == "user_Ada"


def test_the_nonce_is_that_of_this_very_link() -> None:
    with pytest.raises(LinkFailed, match="nonce"):
        verify(sign(), nonce="of another attempt")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.test"},
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"aud": "app_Other"},
        {"aud": [CLIENT_ID, "app_Other"]},
        {"aud": None},
        {"azp": "app_Other"},
        {"nonce": None},
        {"nonce": 1},
        {"exp": NOW},
        {"exp": None},
        {"exp": True},
        {"exp": "1800003600"},
        {"iat": NOW + 31},
        {"iat": None},
        {"nbf": NOW + 31},
        {"sub": None},
        {"sub": "ada"},
        {"sub": "user_../x"},
    ],
    ids=str,
)
def test_a_token_with_another_claim_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(LinkFailed):
        verify(sign(**changes))


def test_a_token_of_another_key_or_algorithm_is_refused() -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = entry()
    tokens = [
        sign(OTHER_KEY),
        sign(rsa_key, "RS256"),
        sign("a-shared-secret-of-enough-characters", "HS256"),
        sign(ec.generate_private_key(ec.SECP384R1()), "ES384"),
        sign().rpartition(".")[0] + ".",
        sign()[:-8] + "AAAAAAAA",
        f"{b64(json.dumps({'alg': 'none', 'kid': '1'}).encode())}.{sign().split('.')[1]}.",
    ]
    for token in tokens:
        with pytest.raises(LinkFailed):
            verify(token, public)


@pytest.mark.parametrize("token", [None, "", "a.b", "a.b.c", "é.b.c", "." * 20_000, f"{sign()}.x"], ids=repr)
def test_what_is_no_token_is_refused(token: str | None) -> None:
    with pytest.raises(LinkFailed):
        verify(token)


@pytest.mark.parametrize("name", ["crit", "b64", "zip", "cty", "jwk", "jku", "x5c", "x5u"])
def test_a_header_that_changes_the_meaning_is_refused(name: str) -> None:
    header = {"alg": "ES256", "kid": "1", name: ["x"]}
    signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(CLAIMS).encode())}"
    signature = jwt.get_algorithm_by_name("ES256").sign(signed.encode(), KEY)
    token = f"{signed}.{b64(signature)}"
    with pytest.raises(LinkFailed, match="parameter"):
        verify(token)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [entry(kid="2")],
        [entry(), entry(OTHER_KEY)],
        [entry(use="enc")],
        [entry(alg="ES384")],
        [{"kid": "1"}],
        ["x"],
    ],
    ids=["none", "another id", "two of one id", "not for signatures", "another algorithm", "no key", "no object"],
)
def test_without_exactly_one_key_of_that_id_nothing_is_accepted(keys: list[Any]) -> None:
    verifier = IdTokenVerifier(issuer=ISSUER, client_id=CLIENT_ID, clock=lambda: NOW)
    for document in ({"keys": keys}, {"keys": None}, {}):
        with pytest.raises(LinkFailed):
            verifier.verify(sign(), document, nonce=NONCE)


def test_a_refusal_contains_nothing_of_the_token() -> None:
    token = sign(iss="https://evil.test")
    with pytest.raises(LinkFailed) as refusal:
        verify(token)
    assert not [part for part in (*token.split("."), "evil") if part in str(refusal.value)]
