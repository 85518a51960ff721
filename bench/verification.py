"""What verifying a token costs, as a ratio to the bare RSA check inside it: `python -m bench.verification`.

The candidates take turns in one run, and each ratio is the median of the turns. Nothing here is a test.
"""

import base64
import json
import statistics
import time
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from whop_chat.cognito.issuer import issuer
from whop_chat.cognito.jwks import KeySet
from whop_chat.cognito.verifier import MAX_TOKEN_BYTES, TokenRefused, TokenVerifier
from whop_chat.runtime.deadline import Deadline

POOL, CLIENT = "eu-west-1_Benchmark", "client"
TURNS, CALLS = 41, 50


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8))


def _token(key: rsa.RSAPrivateKey, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{_base64url(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _median_microseconds(candidates: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The candidates take turns, so that a slow moment of the machine hits all of them."""
    turns: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(TURNS):
        for name, call in candidates.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            turns[name].append((time.perf_counter() - start) / CALLS * 1e6)
    return {name: statistics.median(values) for name, values in turns.items()}


def main() -> None:
    """Print the table."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k", "n": _number(numbers.n), "e": _number(numbers.e)}
    document = json.dumps({"keys": [jwk]}).encode()
    verifier = TokenVerifier(
        pool_id=POOL,
        client_ids=[CLIENT],
        token_use="access",
        key_set=KeySet(lambda _deadline: document),
    )
    header: dict[str, object] = {"alg": "RS256", "kid": "k"}
    now = int(time.time())
    claims = {
        "iss": issuer(POOL), "sub": "a-user", "username": "a-user", "client_id": CLIENT, "token_use": "access",
        "scope": "aws.cognito.signin.user.admin", "iat": now, "exp": now + 3600,
    }  # fmt: skip
    good = _token(key, header, claims)
    signed, _, signature = good.rpartition(".")
    raw_signature = base64.urlsafe_b64decode(signature + "==")
    # The dearest of its size: as much JSON as fits, nested as deep as it goes, and no signature to fail at early.
    room = (MAX_TOKEN_BYTES - 600) * 3 // 4
    largest = _token(key, {**header, "x": json.loads("[" * 900 + "]" * 900), "y": "a" * (room - 2600)}, claims)
    largest = largest[: largest.rindex(".")] + "." + _base64url(bytes(256))

    def refused(token: str) -> None:
        try:
            verifier.verify(token, deadline=Deadline(1))
        except TokenRefused:
            return
        raise SystemExit("a hostile token was accepted")

    public_key = key.public_key()
    medians = _median_microseconds(
        {
            "the bare RSA check": lambda: public_key.verify(raw_signature, signed.encode(), PKCS1v15(), SHA256()),
            "a good token": lambda: verifier.verify(good, deadline=Deadline(1)),
            f"refusing {len(largest)} hostile bytes": lambda: refused(largest),
            f"refusing {2 * MAX_TOKEN_BYTES} bytes": lambda: refused("a" * 2 * MAX_TOKEN_BYTES),
        }
    )
    unit = medians["the bare RSA check"]
    print(f"{'verification':34} {'microseconds':>12} {'ratio':>7}")
    for name, value in medians.items():
        print(f"{name:34} {value:12.1f} {value / unit:7.2f}")


if __name__ == "__main__":
    main()
