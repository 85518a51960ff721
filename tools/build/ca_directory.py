"""Lays a bundle of root certificates out as OpenSSL's certificate directory.

OpenSSL reads a bundle as a whole, for each new context: 13 ms. In a directory, each certificate under the hash of its
subject, it looks up the one it needs (OpenSSL, openssl-rehash). Python has no function for the hash, and the machine
that builds may have no OpenSSL command, so it is computed here, as X509_NAME_hash does.
"""

import hashlib
import re
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _SET, _UTF8_STRING = 0x30, 0x31, 0x0C
_VERSION = 0xA0
# The string types that are compared by their text (OpenSSL, ASN1_MASK_CANON), and how each is encoded.
_TEXTS = {12: "utf-8", 19: "ascii", 20: "latin-1", 22: "ascii", 26: "ascii", 28: "utf-32-be", 30: "utf-16-be"}
_SPACE = " \t\n\v\f\r"

# The roots of Amazon Trust Services, each by the SHA-256 of its public key (https://www.amazontrust.com/repository/).
# Amazon recommends to trust all five together, and to name them by their keys.
AMAZON_KEYS = (
    "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2",  # Amazon Root CA 1
    "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461",  # Amazon Root CA 2
    "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9",  # Amazon Root CA 3
    "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5",  # Amazon Root CA 4
    "2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92",  # Starfield Services Root CA - G2
)


def write_ca_directory(bundle: Path, folder: Path, keys: Sequence[str] | None = None) -> None:
    """Writes each certificate of the PEM file ``bundle`` into ``folder``, under the name that OpenSSL looks for.

    With ``keys``, only the certificates with these keys; raises `LookupError` if the bundle lacks one of them.
    """
    certificates = [ssl.PEM_cert_to_DER_cert(pem) for pem in _CERTIFICATE.findall(bundle.read_text())]
    if keys is not None:
        certificates = _with_keys(keys, certificates)
    folder.mkdir(parents=True)
    taken: Counter[str] = Counter()
    for certificate in certificates:
        name = subject_hash(certificate)
        (folder / f"{name}.{taken[name]}").write_text(ssl.DER_cert_to_PEM_cert(certificate))
        taken[name] += 1


def _with_keys(keys: Sequence[str], certificates: list[bytes]) -> list[bytes]:
    by_key = {key_hash(certificate): certificate for certificate in certificates}
    if missing := set(keys) - by_key.keys():
        raise LookupError(f"the bundle has no root with the key {', '.join(sorted(missing))}")
    return [by_key[key] for key in keys]


def subject_hash(der: bytes) -> str:
    """What ``openssl x509 -subject_hash`` prints for a certificate: SHA-1 of the subject in its canonical form."""
    _, subject, _ = _fields(der)[4]
    canonical = b"".join(_encoded(_SET, _relative_name(content)) for _, content, _ in _members(subject))
    return f"{int.from_bytes(hashlib.sha1(canonical, usedforsecurity=False).digest()[:4], 'little'):08x}"


def key_hash(der: bytes) -> str:
    """SHA-256, in hex, of a certificate's SubjectPublicKeyInfo."""
    _, _, whole = _fields(der)[5]
    return hashlib.sha256(whole).hexdigest()


def _fields(der: bytes) -> list[tuple[int, bytes, bytes]]:
    """Serial number, algorithm, issuer, validity, subject, key and what follows (RFC 5280, section 4.1)."""
    certificate = next(_members(der))[1]
    to_be_signed = next(_members(certificate))[1]
    return [field for field in _members(to_be_signed) if field[0] != _VERSION]


def _relative_name(content: bytes) -> bytes:
    attributes = []
    for _, attribute, _ in _members(content):
        (_, _, kind), (tag, value, whole) = _members(attribute)
        attributes.append(_encoded(_SEQUENCE, kind + _canonical(tag, value, whole)))
    return b"".join(sorted(attributes))


def _canonical(tag: int, value: bytes, whole: bytes) -> bytes:
    """A text in UTF-8, in lower case as far as it is ASCII, with single spaces; anything else as it is."""
    if tag not in _TEXTS:
        return whole
    text = re.sub(f"[{_SPACE}]+", " ", value.decode(_TEXTS[tag]).strip(_SPACE))
    return _encoded(_UTF8_STRING, "".join(letter.lower() if letter.isascii() else letter for letter in text).encode())


def _members(der: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Tag, content and whole encoding of each value in ``der`` (ITU-T X.690)."""
    at = 0
    while at < len(der):
        tag, length, start = der[at], der[at + 1], at + 2
        if length & 0x80:
            octets = length & 0x7F
            length, start = int.from_bytes(der[start : start + octets]), start + octets
        end = start + length
        yield tag, der[start:end], der[at:end]
        at = end


def _encoded(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content
