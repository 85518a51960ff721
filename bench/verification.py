"""The cost of verifying a token, as a ratio to the RSA check in it: `python -m bench.verification`, in `make bench`.

The candidates take turns in one run. Each ratio is the median of the turns.
"""

import base64
import json
import statistics
import time
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from bench import job
from tools.figures import Table, as_text
from whop_chat.cognito.jwks import JwkSet
from whop_chat.cognito.verifier import MAX_TOKEN_BYTES, TokenRefused, TokenVerifier
from whop_chat.runtime.deadline import Deadline

TURNS, CALLS = 41, 50
BARE = "the bare RSA check"


def main() -> None:
    """Measure, and print the table."""
    medians = _median_microseconds(_candidates(job.Pool()))
    rows = [[name, f"{value:.1f}", f"{value / medians[BARE]:.2f}"] for name, value in medians.items()]
    print(as_text(Table("Verification", ["", "microseconds", "ratio"], rows)))


def _candidates(pool: job.Pool) -> Mapping[str, Callable[[], object]]:
    key_set = pool.key_set()
    verifier = TokenVerifier(
        pool_id=job.POOL, client_ids=[job.CLIENT], token_use="access", jwks=JwkSet(lambda _deadline: key_set)
    )

    def refuse(token: str) -> None:
        try:
            verifier.verify(token, deadline=Deadline(1))
        except TokenRefused:
            return
        raise SystemExit("a hostile token was accepted")

    good, hostile = pool.access_token(), _hostile(pool)
    signed, _, signature = good.rpartition(".")
    raw_signature, public_key = base64.urlsafe_b64decode(signature + "=="), pool.public_key
    return {
        BARE: lambda: public_key.verify(raw_signature, signed.encode(), PKCS1v15(), SHA256()),
        "a good token": lambda: verifier.verify(good, deadline=Deadline(1)),
        f"refusing {len(hostile)} hostile bytes": lambda: refuse(hostile),
        f"refusing {2 * MAX_TOKEN_BYTES} bytes": lambda: refuse("a" * 2 * MAX_TOKEN_BYTES),
    }


def _hostile(pool: job.Pool) -> str:
    """The most expensive token of its size: deeply nested JSON as large as fits, and 256 bytes as its signature."""
    room = (MAX_TOKEN_BYTES - 600) * 3 // 4
    nested = json.loads("[" * 900 + "]" * 900)
    token = pool.signed({"sub": job.SUB}, x=nested, y="a" * (room - 2600))
    return f"{token.rpartition('.')[0]}.{base64.urlsafe_b64encode(bytes(256)).rstrip(b'=').decode()}"


def _median_microseconds(candidates: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The candidates take turns, so a slow moment of the machine hits all of them."""
    turns: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(TURNS):
        for name, call in candidates.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            turns[name].append((time.perf_counter() - start) / CALLS * 1e6)
    return {name: statistics.median(values) for name, values in turns.items()}


if __name__ == "__main__":
    main()
