"""A set of users that takes the same memory for a thousand of them as for the largest pool: a Bloom filter.

It never forgets a user. It takes a stranger for one it knows with a chance of 5 in 100 million at a million users, 4 in
10,000 at ten million, and 4 in 100 at the 40 million that a pool may have (Cognito, "Quotas"). The chance is drawn anew
with each run's salt, so who slips through one run is found by a later one.
"""

import hashlib

PRINT_BYTES = 8
_BITS = 1 << 28  # 32 MiB
_PROBES = 4


def fingerprint(salt: str, sub: str) -> bytes:
    """What is kept of a user while a run lasts, `PRINT_BYTES` long."""
    return hashlib.blake2b(sub.encode(), key=salt.encode()[:64], digest_size=PRINT_BYTES).digest()


class BloomFilter:
    """Knows the users whose fingerprints it was given."""

    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)

    def add(self, fingerprints: bytes) -> None:
        """Any number of fingerprints, one after the other."""
        for start in range(0, len(fingerprints), PRINT_BYTES):
            for place in _places(fingerprints[start : start + PRINT_BYTES]):
                self._bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, print_: bytes) -> bool:
        return all(self._bits[place >> 3] & 1 << (place & 7) for place in _places(print_))


def _places(print_: bytes) -> list[int]:
    """Double hashing (Kirsch and Mitzenmacher, "Less Hashing, Same Performance")."""
    first, step = int.from_bytes(print_[:4]), int.from_bytes(print_[4:]) | 1
    return [(first + probe * step) % _BITS for probe in range(_PROBES)]
