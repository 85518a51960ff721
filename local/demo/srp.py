"""Sign-in with Cognito's USER_SRP_AUTH, as the mobile and web SDKs do it: the password never leaves the client.

SRP-6a (RFC 5054) over the 3072-bit group of RFC 3526 with SHA-256. What Cognito adds, the key derivation and the signed
claim, is as in AWS's own client libraries (amazon-cognito-identity-js, ``AuthenticationHelper``).
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

_N = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7"
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C"
    "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    16,
)
_G = 2
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class SrpSession:
    """One sign-in: send ``a`` as SRP_A with InitiateAuth, answer the PASSWORD_VERIFIER challenge with `responses`."""

    def __init__(self, pool_id: str, password: str) -> None:
        self._pool = pool_id.split("_", 1)[1]
        self._password = password
        self._secret = secrets.randbits(1024)
        self._public = pow(_G, self._secret, _N)
        self.a = format(self._public, "x")

    def responses(self, challenge: Mapping[str, str]) -> dict[str, str]:
        """The challenge responses for the challenge parameters of InitiateAuth."""
        user, block, stamp = challenge["USER_ID_FOR_SRP"], challenge["SECRET_BLOCK"], _timestamp(datetime.now(UTC))
        message = f"{self._pool}{user}".encode() + base64.b64decode(block) + stamp.encode()
        signature = hmac.digest(self._key(challenge, user), message, "sha256")
        return {
            "USERNAME": user,
            "PASSWORD_CLAIM_SECRET_BLOCK": block,
            "PASSWORD_CLAIM_SIGNATURE": base64.b64encode(signature).decode(),
            "TIMESTAMP": stamp,
        }

    def _key(self, challenge: Mapping[str, str], user: str) -> bytes:
        theirs, salt = int(challenge["SRP_B"], 16), int(challenge["SALT"], 16)
        scrambler = _hash(_padded(self._public), _padded(theirs))
        identity = hashlib.sha256(f"{self._pool}{user}:{self._password}".encode()).digest()
        private = _hash(_padded(salt), identity)
        multiplier = _hash(_padded(_N), _padded(_G))
        base = (theirs - multiplier * pow(_G, private, _N)) % _N
        shared = pow(base, self._secret + scrambler * private, _N)
        # HKDF (RFC 5869) of one block, of which Cognito takes 16 bytes.
        extracted = hmac.digest(_padded(scrambler), _padded(shared), "sha256")
        return hmac.digest(extracted, b"Caldera Derived Key\x01", "sha256")[:16]


def _padded(number: int) -> bytes:
    """Big-endian, with a zero in front where the first bit would be a sign."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _hash(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest(), "big")


def _timestamp(now: datetime) -> str:
    """``Tue Mar 4 09:05:07 UTC 2025``: English whatever the locale, and the day without a zero."""
    return f"{_DAYS[now.weekday()]} {_MONTHS[now.month - 1]} {now.day} {now:%H:%M:%S} UTC {now.year}"
