"""Lays a bundle of root certificates out as OpenSSL's certificate directory.

OpenSSL reads a bundle as a whole, for each new context: 13 ms. In a directory, each certificate under the hash of its
subject, it looks up the one it needs (OpenSSL, openssl-rehash). Python has no function for the hash, and the machine
that builds may have no OpenSSL command, so it is computed here, as X509_NAME_hash does.
"""

import hashlib
import re
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _SET, _UTF8_STRING = 0x30, 0x31, 0x0C
_VERSION = 0xA0
# The string types that are compared by their text (OpenSSL, ASN1_MASK_CANON), and how each is encoded.
_TEXTS = {12: "utf-8", 19: "ascii", 20: "latin-1", 22: "ascii", 26: "ascii", 28: "utf-32-be", 30: "utf-16-be"}
_SPACE = " \t\n\v\f\r"


def write_ca_directory(bundle: Path, folder: Path) -> None:
    """Writes each certificate of the PEM file ``bundle`` into ``folder``, under the name that OpenSSL looks for."""
    folder.mkdir(parents=True)
    taken: Counter[str] = Counter()
    for certificate in _CERTIFICATE.findall(bundle.read_text()):
        name = subject_hash(ssl.PEM_cert_to_DER_cert(certificate))
        (folder / f"{name}.{taken[name]}").write_text(f"{certificate}\n")
        taken[name] += 1


def subject_hash(der: bytes) -> str:
    """What ``openssl x509 -subject_hash`` prints for a certificate: SHA-1 of the subject in its canonical form."""
    certificate = next(_members(der))[1]
    to_be_signed = next(_members(certificate))[1]
    fields = [content for tag, content, _ in _members(to_be_signed) if tag != _VERSION]
    subject = fields[4]  # after serial number, algorithm, issuer and validity (RFC 5280, section 4.1)
    canonical = b"".join(_encoded(_SET, _relative_name(content)) for _, content, _ in _members(subject))
    return f"{int.from_bytes(hashlib.sha1(canonical, usedforsecurity=False).digest()[:4], 'little'):08x}"


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
