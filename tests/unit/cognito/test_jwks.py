"""Which keys a document brings, and what may be fetched from where."""

import itertools
import json
import random
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.fakes.tokens import POOL_ID, base64url, jwk, key_set_document, signing_key
from whop_chat.cognito.issuer import issuer, jwks_url
from whop_chat.cognito.jwks import JwksError, JwkSet, UnknownKey, http_fetch, read_jwk_set
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.http import HttpClient

GOOD = signing_key()
URL = "https://keys.example.test/jwks.json"


def odd_number(bits: int) -> int:
    """Not a product of primes, but to whoever looks at its size and parity, a modulus."""
    return random.Random(bits).getrandbits(bits) | 1 << bits - 1 | 1


def kids(*entries: object) -> list[str]:
    document = json.dumps({"keys": [GOOD.jwk(), *entries]}).encode()
    return [kid for kid in read_jwk_set(document) if kid != GOOD.kid]


# Which keys count


def test_the_keys_of_a_pool_are_read_by_their_ids() -> None:
    second = signing_key("second")

    keys = read_jwk_set(key_set_document(GOOD, second))

    assert keys == {GOOD.kid: GOOD.private.public_key(), second.kid: second.private.public_key()}


def test_the_keys_that_were_read_cannot_be_changed() -> None:
    keys = read_jwk_set(key_set_document(GOOD))

    with pytest.raises(TypeError):
        keys["mine"] = signing_key("stranger").private.public_key()  # type: ignore[index]


@pytest.mark.parametrize("bits", [2048, 2049, 3072, 4096])
def test_a_modulus_of_2048_to_4096_bits_counts(bits: int) -> None:
    assert kids(jwk("other", odd_number(bits))) == ["other"]


@pytest.mark.parametrize("bits", [512, 1024, 2047, 4097, 8192])
def test_a_modulus_of_any_other_size_does_not(bits: int) -> None:
    assert kids(jwk("other", odd_number(bits))) == []


def test_an_even_modulus_does_not_count() -> None:
    assert kids(jwk("other", odd_number(2048) + 1)) == []


@pytest.mark.parametrize("exponent", [3, 17, 65537])
def test_an_odd_exponent_from_3_counts(exponent: int) -> None:
    assert kids(jwk("other", odd_number(2048), exponent)) == ["other"]


@pytest.mark.parametrize("exponent", [0, 1, 2, 4, 65536, odd_number(2048), odd_number(2050)])
def test_any_other_exponent_does_not(exponent: int) -> None:
    assert kids(jwk("other", odd_number(2048), exponent)) == []


@pytest.mark.parametrize(
    "members",
    [
        {"alg": None},
        {"key_ops": ["verify"]},
        {"key_ops": ["verify", "encrypt"]},
        {"x5t": "abc", "note": ["anything", {"else": 1}]},
    ],
    ids=str,
)
def test_what_a_key_need_not_say_does_not_matter(members: dict[str, object]) -> None:
    assert kids(jwk("other", odd_number(2048), **members)) == ["other"]


@pytest.mark.parametrize(
    "members",
    [
        {"kty": None},
        {"kty": "EC"},
        {"kty": "oct", "k": base64url(b"secret")},
        {"kty": "rsa"},
        {"use": None},
        {"use": "enc"},
        {"use": ["sig"]},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"alg": "RSA-OAEP"},
        {"alg": ["RS256"]},
        {"key_ops": []},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"kid": None},
        {"kid": ""},
        {"kid": 7},
        {"kid": ["other"]},
        {"n": None},
        {"n": 65537},
        {"n": ""},
        {"n": "not base64url!"},
        {"n": base64url(odd_number(2048).to_bytes(256)) + "=="},
        {"e": None},
        {"e": 65537},
        {"e": "AQAB="},
        {"e": "AQAC"},
    ],
    ids=str,
)
def test_a_foreign_key_is_passed_over(members: dict[str, object]) -> None:
    assert kids(jwk("other", odd_number(2048), **members)) == []


@pytest.mark.parametrize("name", ["alg", "key_ops"])
def test_an_optional_member_that_is_null_is_not_left_out(name: str) -> None:
    assert kids({**jwk("other", odd_number(2048)), name: None}) == []


@pytest.mark.parametrize("entry", [None, "key", 1, [], {}])
def test_an_entry_that_is_no_key_is_passed_over(entry: object) -> None:
    assert kids(entry) == []


def test_a_foreign_key_may_share_an_id_with_one_that_counts() -> None:
    keys = read_jwk_set(key_set_document(GOOD, {**GOOD.jwk(), "use": "enc"}))

    assert list(keys) == [GOOD.kid]


# Which documents count


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html></html>",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": null}',
        b'{"keys": {}}',
        b'{"keys": "abc"}',
        b'{"keys": NaN}',
        b'{"keys": [1e999]}',
        b'{"keys": [], "keys": []}',
        b'{"keys": [{"kty": "RSA", "kty": "RSA"}]}',
        b"\xff\xfe",
        b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        json.dumps({"keys": [GOOD.jwk()]}).encode("utf-16"),
    ],
    ids=lambda document: str(document[:20]),
)
def test_anything_but_a_key_set_is_an_error(document: bytes) -> None:
    with pytest.raises(JwksError):
        read_jwk_set(document)


def test_a_key_set_without_a_key_that_counts_is_an_error() -> None:
    with pytest.raises(JwksError, match="no usable key"):
        read_jwk_set(key_set_document(GOOD.jwk(use="enc"), GOOD.jwk(kty="EC")))


def test_a_key_that_is_listed_twice_is_one() -> None:
    assert list(read_jwk_set(key_set_document(GOOD, GOOD, GOOD.jwk(alg=None)))) == [GOOD.kid]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_an_id_of_two_keys_is_left_out_because_either_could_be_meant(order: tuple[int, ...]) -> None:
    one, other = jwk("twice", odd_number(2048)), jwk("twice", odd_number(2050))
    entries = [one, other, one]

    assert kids(*(entries[index] for index in order)) == []


def test_a_key_set_with_nothing_but_an_ambiguous_id_is_an_error() -> None:
    with pytest.raises(JwksError, match="no usable key"):
        read_jwk_set(key_set_document(GOOD, signing_key("second").jwk(kid=GOOD.kid)))


def test_a_document_over_64_kib_is_not_parsed() -> None:
    fits = key_set_document(GOOD).ljust(64 * 1024)
    assert list(read_jwk_set(fits)) == [GOOD.kid]

    with pytest.raises(JwksError, match="64 KiB"):
        read_jwk_set(fits + b" ")


# Where keys are


@pytest.mark.parametrize(
    ("pool_id", "host"),
    [
        ("us-east-1_Ab3dEf6Gh", "cognito-idp.us-east-1.amazonaws.com"),
        ("ap-southeast-7_Ab3", "cognito-idp.ap-southeast-7.amazonaws.com"),
        ("us-gov-west-1_Ab3", "cognito-idp.us-gov-west-1.amazonaws.com"),
        ("cn-north-1_Ab3", "cognito-idp.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1_Ab3", "cognito-idp.eusc-de-east-1.amazonaws.eu"),
        ("us-iso-east-1_Ab3", "cognito-idp.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1_Ab3", "cognito-idp.us-isob-east-1.sc2s.sgov.gov"),
        ("us-isof-south-1_Ab3", "cognito-idp.us-isof-south-1.csp.hci.ic.gov"),
        ("eu-isoe-west-1_Ab3", "cognito-idp.eu-isoe-west-1.cloud.adc-e.uk"),
    ],
)
def test_issuer_and_keys_follow_from_the_pool_id_in_every_partition(pool_id: str, host: str) -> None:
    assert issuer(pool_id) == f"https://{host}/{pool_id}"
    assert jwks_url(pool_id, None) == f"https://{host}/{pool_id}/.well-known/jwks.json"


def test_the_updated_issuer_has_another_host_for_tokens_and_keys() -> None:
    host = "https://issuer-cognito-idp.eu-west-1.amazonaws.com"

    assert issuer(POOL_ID, "updated") == f"{host}/{POOL_ID}"
    assert jwks_url(POOL_ID, None, "updated") == f"{host}/{POOL_ID}/.well-known/jwks.json"
    assert jwks_url(POOL_ID, "http://127.0.0.1:4566", "updated") == jwks_url(POOL_ID, "http://127.0.0.1:4566")


@pytest.mark.parametrize(
    "pool_id",
    [
        "",
        "us-east-1",
        "us-east-1_",
        "_Ab3",
        "us-east-1_Ab3\n",
        " us-east-1_Ab3",
        "us-east-1_Ab3/../x",
        "us-east-1_Ab_3",
        "us-east-1_Ab-3",
        "us-east-1_Ab3é",
        "us-east-1_٣",
        "US-EAST-1_Ab3",
        "useast1_Ab3",
        "us-east-_Ab3",
        "us-east-1.attacker.test/x-1_Ab3",
        "attacker.test/us-east-1_Ab3",
        "us-east-1@attacker.test_Ab3",
        "us-east-1#_Ab3",
        "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_Ab3",
        "us-east-1:00000000-0000-0000-0000-000000000000",
        "us-east-1_" + "a" * 60,
    ],
)
def test_a_pool_id_of_another_form_is_an_error(pool_id: str) -> None:
    with pytest.raises(ValueError, match="user pool id"):
        issuer(pool_id)
    with pytest.raises(ValueError, match="user pool id"):
        jwks_url(pool_id, None)
    with pytest.raises(ValueError, match="user pool id"):
        jwks_url(pool_id, "http://127.0.0.1:4566")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4566", "https://127.0.0.1", "http://[::1]:4566/"])
def test_a_loopback_endpoint_moves_the_keys_but_not_the_issuer(endpoint: str) -> None:
    assert jwks_url(POOL_ID, endpoint) == f"{endpoint.rstrip('/')}/{POOL_ID}/.well-known/jwks.json"
    assert issuer(POOL_ID) == f"https://cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "127.0.0.1:4566",
        "//127.0.0.1",
        "ftp://127.0.0.1",
        "HTTP://127.0.0.1\n",
        "http://localhost:4566",
        "http://127.0.0.1.attacker.test",
        "http://127.0.0.1@attacker.test",
        "http://127.0.0.1:80@attacker.test",
        "http://attacker.test@127.0.0.1",
        "http://127.0.0.1\\@attacker.test",
        "http://127.0.0.1/@attacker.test",
        "http://127.0.0.1#attacker.test",
        "http://127.0.0.1?attacker.test",
        "http://127.0.0.1/path",
        "http://127.0.0.1//",
        "http://127.0.0.1:",
        "http://127.0.0.1:port",
        "http://127.0.0.1:123456",
        "http://127.1",
        "http://127.0.0.2",
        "http://127x0x0x1",
        "http://2130706433",
        "http://0x7f000001",
        "http://0.0.0.0",
        "http://[::]",
        "http://::1",
        "http://[::ffff:127.0.0.1]",
        "http://[0:0:0:0:0:0:0:1]",
        "http://169.254.169.254",
        "http://10.0.0.1",
        "https://vpce-1.cognito-idp.eu-west-1.vpce.amazonaws.com",
        " http://127.0.0.1",
        "http://１27.0.0.1",
    ],
)
def test_keys_are_never_taken_from_any_other_endpoint(endpoint: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        jwks_url(POOL_ID, endpoint)


# How keys are fetched


def fetch_from(answer: Callable[[httpx.Request], httpx.Response]) -> bytes:
    return http_fetch(HttpClient(httpx.MockTransport(answer)), URL)(Deadline(1))


def test_the_body_of_a_200_is_the_document() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=b"document")

    assert fetch_from(answer) == b"document"
    assert [(request.method, str(request.url)) for request in asked] == [("GET", URL)]


@pytest.mark.parametrize("status", [201, 204, 206, 301, 302, 307, 308, 304, 400, 403, 404, 429, 500, 503])
def test_any_other_status_brings_no_keys_and_no_redirect_is_followed(status: int) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(status, headers={"location": "https://attacker.test/"}, content=key_set_document(GOOD))

    with pytest.raises(JwksError, match=f"^status {status}$"):
        fetch_from(answer)

    assert asked == [URL]


def test_a_body_over_64_kib_is_not_read_to_its_end() -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1024

    with pytest.raises(JwksError, match="BodyTooLarge"):
        fetch_from(lambda _request: httpx.Response(200, content=endless()))

    assert sent <= 66


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_a_failure_is_told_by_its_kind_alone(error: type[httpx.TransportError]) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error("secret-host.test")

    with pytest.raises(JwksError, match=f"^{error.__name__}$"):
        fetch_from(answer)


def test_nothing_is_asked_when_the_time_is_up() -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        pytest.fail("asked")

    with pytest.raises(DeadlineExceeded):
        http_fetch(HttpClient(httpx.MockTransport(answer)), URL)(Deadline(0))


def test_a_fetched_key_set_answers_for_its_keys() -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=key_set_document(GOOD)))
    jwks = JwkSet(http_fetch(HttpClient(transport), URL))

    with pytest.raises(UnknownKey):
        jwks.key("other", deadline=Deadline(1))
    assert jwks.key(GOOD.kid, deadline=Deadline(1)) == GOOD.private.public_key()
