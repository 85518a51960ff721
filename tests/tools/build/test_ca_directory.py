"""The directory of root certificates: OpenSSL finds in it what it finds in the bundle."""

import datetime
import hashlib
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from tools.build.ca_directory import AMAZON_KEYS, write_ca_directory

NOW = datetime.datetime.now(datetime.UTC)

type Key = ec.EllipticCurvePrivateKey
type Name = list[list[x509.NameAttribute[str]]]
NAMES: dict[str, Name] = {
    "plain": [[x509.NameAttribute(NameOID.COUNTRY_NAME, "US")], [x509.NameAttribute(NameOID.COMMON_NAME, "Root CA")]],
    "not ASCII, and longer than 127 bytes": [
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Főtanúsítvány" * 3)],
        [x509.NameAttribute(NameOID.COMMON_NAME, "ÄÖÜ Ärger" * 4)],
    ],
    "spaces and letters in any number and case": [[x509.NameAttribute(NameOID.COMMON_NAME, "  A   Root\tca ")]],
    "two attributes in one part": [
        [x509.NameAttribute(NameOID.COMMON_NAME, "Z"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A")]
    ],
    "other string types": [
        [x509.NameAttribute(NameOID.COMMON_NAME, "Wide", _ASN1Type.BMPString)],
        [x509.NameAttribute(NameOID.EMAIL_ADDRESS, "Root@Example.test", _ASN1Type.IA5String)],
    ],
}


def certificate(subject: x509.Name, key: Key, issuer: x509.Name, signer: Key, *, authority: bool) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if authority:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return builder.add_extension(usage, critical=True).sign(signer, SHA256())
    names = x509.SubjectAlternativeName([x509.DNSName("service.test")])
    return builder.add_extension(names, critical=False).sign(signer, SHA256())


def shakes_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """A handshake in memory; raises `ssl.SSLCertVerificationError` if the client finds no root."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="service.test")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    steps: list[Callable[[], None]] = [ours.do_handshake, theirs.do_handshake]
    for _ in range(4):
        for step in steps:
            try:
                step()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_server_under_a_root_of_the_directory_is_trusted(tmp_path: Path, name: Name) -> None:
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = x509.Name([x509.RelativeDistinguishedName(part) for part in name])
    leaf = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "service.test")])
    (tmp_path / "bundle.pem").write_bytes(
        certificate(root, root_key, root, root_key, authority=True).public_bytes(Encoding.PEM)
    )
    chain = tmp_path / "chain.pem"
    chain.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate(leaf, key, root, root_key, authority=False).public_bytes(Encoding.PEM)
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(chain)
    write_ca_directory(tmp_path / "bundle.pem", tmp_path / "roots")

    shakes_hands(ssl.create_default_context(capath=tmp_path / "roots"), server)
    (tmp_path / "none").mkdir()
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get"):
        shakes_hands(ssl.create_default_context(capath=tmp_path / "none"), server)


def test_every_root_of_the_bundle_is_in_the_directory(tmp_path: Path) -> None:
    bundle = Path(certifi.where())
    write_ca_directory(bundle, tmp_path / "roots")
    laid_out = [path.read_text() for path in (tmp_path / "roots").iterdir()]

    assert len(laid_out) == bundle.read_text().count("-----BEGIN CERTIFICATE-----") > 100
    assert all(text.strip() in bundle.read_text() for text in laid_out)
    assert all(re.fullmatch(r"[0-9a-f]{8}\.\d", path.name) for path in (tmp_path / "roots").iterdir())


@pytest.mark.parametrize(
    ("name", "printed_by_openssl"),
    [("ISRG Root X1", "4042bcee"), ("Amazon Root CA 1", "ce5e74ef"), ("NetLock Arany", "988a38cb")],
)
def test_a_known_root_has_its_known_name(tmp_path: Path, name: str, printed_by_openssl: str) -> None:
    write_ca_directory(Path(certifi.where()), tmp_path / "roots")
    laid_out = x509.load_pem_x509_certificate((tmp_path / "roots" / f"{printed_by_openssl}.0").read_bytes())

    assert name in laid_out.subject.rfc4514_string()


def test_two_roots_with_one_name_are_both_there(tmp_path: Path) -> None:
    pem = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")
    (tmp_path / "bundle.pem").write_text(f"{pem[0]}{pem[1]}\n" * 2)
    write_ca_directory(tmp_path / "bundle.pem", tmp_path / "roots")

    assert sorted(path.suffix for path in (tmp_path / "roots").iterdir()) == [".0", ".1"]


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # Starfield's root has the number 0
def test_amazons_roots_are_found_in_the_bundle_by_their_keys(tmp_path: Path) -> None:
    """The names and keys as https://www.amazontrust.com/repository/ has them."""
    write_ca_directory(Path(certifi.where()), tmp_path / "roots", AMAZON_KEYS)
    laid_out = [x509.load_pem_x509_certificate(path.read_bytes()) for path in (tmp_path / "roots").iterdir()]

    assert {root.subject.rfc4514_string().split(",")[0] for root in laid_out} == {
        *(f"CN=Amazon Root CA {number}" for number in (1, 2, 3, 4)),
        "CN=Starfield Services Root Certificate Authority - G2",
    }
    keys = [root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for root in laid_out]
    assert {hashlib.sha256(key).hexdigest() for key in keys} == set(AMAZON_KEYS)


def test_a_bundle_without_one_of_the_wanted_keys_fails(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no root with the key 00ff"):
        write_ca_directory(Path(certifi.where()), tmp_path / "roots", [*AMAZON_KEYS, "00ff"])
