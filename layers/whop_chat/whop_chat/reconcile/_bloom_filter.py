"""A Bloom filter: a set of users that takes the same memory for a thousand users as for the largest pool.

It has no false negatives. The chance of a false positive is 5 in 100 million at a million users, 4 in 10,000 at ten
million, and 4 in 100 at the 40 million that a pool may have (Cognito, "Quotas"). Each run has another salt, so a later
run finds a user that one run missed.
"""

import hashlib

FINGERPRINT_BYTES = 8
_BITS = 1 << 28  # 32 MiB
_PROBES = 4


def fingerprint(salt: str, sub: str) -> bytes:
    """The fingerprint of a user, `FINGERPRINT_BYTES` long: all that a run stores of a listed user."""
    return hashlib.blake2b(sub.encode(), key=salt.encode()[:64], digest_size=FINGERPRINT_BYTES).digest()


class BloomFilter:
    """The set of the users whose fingerprints were added."""

    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)

    def add(self, fingerprints: bytes) -> None:
        """Add any number of fingerprints, joined to one text of bytes."""
        for start in range(0, len(fingerprints), FINGERPRINT_BYTES):
            for bit in _bits_of(fingerprints[start : start + FINGERPRINT_BYTES]):
                self._bits[bit >> 3] |= 1 << (bit & 7)

    def __contains__(self, fingerprint_: bytes) -> bool:
        return all(self._bits[bit >> 3] & 1 << (bit & 7) for bit in _bits_of(fingerprint_))


def _bits_of(fingerprint_: bytes) -> list[int]:
    """The bits of a fingerprint, by double hashing (Kirsch and Mitzenmacher, "Less Hashing, Same Performance")."""
    first, step = int.from_bytes(fingerprint_[:4]), int.from_bytes(fingerprint_[4:]) | 1
    return [(first + probe * step) % _BITS for probe in range(_PROBES)]
