"""Hostile access tokens, each with the reason for which it must be refused.

Where a token is signed by the pool's own key, the attack is one that a good signature must not save: a bug or a
misconfiguration at the issuer, or a token that was meant for somebody else.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

from tests.fakes import tokens
from tests.fakes.tokens import SigningKey, base64url, sign_raw

Claims = dict[str, object]
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Attack(NamedTuple):
    """``reason`` is the `Reason` with which a verifier of access tokens refuses ``token``."""

    name: str
    token: str
    reason: str


@dataclass(frozen=True)
class Target:
    """The pool under attack, and the keys that play a part.

    The pool publishes ``signer`` and ``second``; ``stranger`` is the attacker's own. Times in ``claims``, those of a
    good access token, are relative to ``now``, the verifier's time in epoch seconds.
    """

    signer: SigningKey
    second: SigningKey
    stranger: SigningKey
    claims: Mapping[str, object]
    now: int

    @property
    def header(self) -> dict[str, object]:
        return {"kid": self.signer.kid, "alg": "RS256"}

    def with_header(self, **changes: object) -> str:
        """A token by the pool whose header is changed; unlike in `tokens`, None stands for null."""
        return sign_raw({**self.header, **changes}, self.claims, self.signer)

    def with_claims(self, **changes: object) -> str:
        """A token by the pool whose claims are changed; unlike in `tokens`, None stands for null."""
        return sign_raw(self.header, {**self.claims, **changes}, self.signer)

    def without_claim(self, name: str) -> str:
        return sign_raw(self.header, {key: value for key, value in self.claims.items() if key != name}, self.signer)

    def with_header_text(self, text: str | bytes) -> str:
        return sign_raw(_encoded(text), self.claims, self.signer)

    def with_payload_text(self, text: str | bytes) -> str:
        return sign_raw(self.header, _encoded(text), self.signer)


def attack_target(*, now: int = tokens.NOW, claims: Mapping[str, object] | None = None) -> Target:
    """The pool of `tests.fakes.tokens`, with its keys."""
    return Target(
        signer=tokens.signing_key("current"),
        second=tokens.signing_key("second"),
        stranger=tokens.signing_key("stranger"),
        claims=claims or tokens.access_claims(now=now),
        now=now,
    )


def attack_corpus(target: Target) -> list[Attack]:
    """Every attack on ``target``."""
    return [Attack(name, token, reason) for family in _FAMILIES for name, token, reason in family(target)]


Cases = Iterator[tuple[str, str, str]]


def _size_and_form(target: Target) -> Cases:
    good = target.with_header()
    header, payload, signature = good.split(".")
    padded = target.with_claims(filler="x" * 7700)
    yield "one byte over the cap", good + "A" * (10 * 1024 + 1 - len(good)), "too_large"
    yield "a good signature over too much", padded, "too_large"
    yield "two megabytes", "A" * 2_000_000, "too_large"
    yield "a hundred thousand dots", "." * 100_000, "too_large"
    yield "nothing", "", "form"
    yield "only dots", "..", "form"
    yield "one part", header, "form"
    yield "two parts", f"{header}.{payload}", "form"
    yield "four parts", f"{good}.{signature}", "form"
    yield "a dot at the end", f"{good}.", "form"
    yield "eight thousand dots", "." * 8000, "form"
    yield "no header", f".{payload}.{signature}", "form"
    yield "no payload (detached)", f"{header}..{signature}", "form"
    yield "no signature", f"{header}.{payload}.", "form"
    yield "space before", f" {good}", "form"
    yield "space after", f"{good} ", "form"
    yield "newline after", f"{good}\n", "form"
    yield "the scheme left in", f"Bearer {good}", "form"
    yield "in quotes", f'"{good}"', "form"
    yield "zero byte after", f"{good}\0", "form"
    yield "full-width dots", good.replace(".", "．"), "form"
    yield "a letter that only looks like one", good.replace("e", "е", 1), "form"
    yield "zero-width space inside", f"{header}.{payload[:9]}\u200b{payload[9:]}.{signature}", "form"
    yield "a lone surrogate inside", f"{header}.{payload}.\ud800", "form"
    yield "JSON serialisation", json.dumps({"protected": header, "payload": payload, "signature": signature}), "form"
    yield "encrypted (five parts)", f"{header}.{payload}.{signature}.{payload}.{signature}", "form"
    for index, name in enumerate(("header", "payload", "signature")):

        def spelled(text: str, index: int = index) -> str:
            parts = [header, payload, signature]
            parts[index] = text
            return ".".join(parts)

        part = (header, payload, signature)[index]
        yield f"padded {name}", spelled(part + "=" * (-len(part) % 4 or 4)), "form"
        yield f"{name} with whitespace", spelled(f"{part[:8]}\r\n{part[8:]}"), "form"
        yield f"{name} with percent", spelled(f"{part[:8]}%3D{part[8:]}"), "form"
        yield f"{name} of an impossible length", spelled(part[: len(part) // 4 * 4] + "A"), "form"
        yield f"{name} with spare bits set", spelled(_with_spare_bits(part)), "form"
    standard = base64.b64encode(b'{"kid":"\xfb\xff\xfe"}').decode()
    yield "the other base64 alphabet", f"{standard}.{payload}.{signature}", "form"


def _header_json(target: Target) -> Cases:
    kid = json.dumps(target.signer.kid)
    cases: dict[str, str | bytes] = {
        "not JSON": "hello",
        "empty JSON text": " ",
        "array": f'[{{"alg":"RS256","kid":{kid}}}]',
        "string": '"RS256"',
        "null": "null",
        "number": "1",
        "alg twice": f'{{"alg":"none","kid":{kid},"alg":"RS256"}}',
        "alg twice, one escaped": f'{{"\\u0061lg":"HS256","kid":{kid},"alg":"RS256"}}',
        "kid twice": f'{{"alg":"RS256","kid":"x","kid":{kid}}}',
        "unknown member twice": f'{{"alg":"RS256","kid":{kid},"x":1,"x":1}}',
        "nested member twice": f'{{"alg":"RS256","kid":{kid},"x":{{"y":1,"y":2}}}}',
        "NaN": f'{{"alg":"RS256","kid":{kid},"x":NaN}}',
        "Infinity": f'{{"alg":"RS256","kid":{kid},"x":-Infinity}}',
        "a number beyond all numbers": f'{{"alg":"RS256","kid":{kid},"x":1e999}}',
        "a number of five thousand digits": f'{{"alg":"RS256","kid":{kid},"x":{"9" * 5000}}}',
        "brackets without end": "[" * 5000,
        "brackets in depth": "[" * 2500 + "]" * 2500,
        "objects without end": '{"a":' * 1000,
        "comment": f'{{"alg":"RS256",/**/"kid":{kid}}}',
        "trailing comma": f'{{"alg":"RS256","kid":{kid},}}',
        "single quotes": "{'alg':'RS256'}",
        "something behind": f'{{"alg":"RS256","kid":{kid}}}{{}}',
        "control character in a string": f'{{"alg":"RS256","kid":{kid},"x":"\n"}}',
        "byte order mark": b"\xef\xbb\xbf" + f'{{"alg":"RS256","kid":{kid}}}'.encode(),
        "UTF-16": f'{{"alg":"RS256","kid":{kid}}}'.encode("utf-16-le"),
        "not UTF-8": b'{"alg":"RS256","x":"\xff\xfe"}',
        "overlong UTF-8": b'{"alg":"RS256","x":"\xc0\xae"}',
        "surrogates in UTF-8": b'{"alg":"RS256","x":"\xed\xa0\x80"}',
    }
    for name, text in cases.items():
        yield f"header: {name}", target.with_header_text(text), "header"
    yield "header: objects in depth", target.with_header_text('{"a":' * 900 + "1" + "}" * 900), "algorithm"


def _algorithm(target: Target) -> Cases:
    payload = base64url(json.dumps(target.claims).encode())
    for alg in ("none", "None", "NONE", "nOnE", "none ", ""):
        yield f"alg {alg!r} without signature", _join({**target.header, "alg": alg}, payload, b""), "form"
        yield f"alg {alg!r} with the signature left on", target.with_header(alg=alg), "algorithm"
    for other in ("rs256", "Rs256", "RS256 ", " RS256", "RS256\0", "ＲＳ256", "RS-256", "RSA256", "SHA256"):
        yield f"alg {other!r}", target.with_header(alg=other), "algorithm"
    for named in ("RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES256K", "EdDSA", "HS384", "RSA-OAEP", "dir"):
        yield f"alg {named}", target.with_header(alg=named), "algorithm"
    for value in (None, True, 256, ["RS256"], {"name": "RS256"}):
        yield f"alg {json.dumps(value)}", target.with_header(alg=value), "algorithm"
    yield "alg missing", sign_raw({"kid": target.signer.kid}, target.claims, target.signer), "algorithm"
    yield (
        "alg in capitals",
        sign_raw({"kid": target.signer.kid, "ALG": "RS256"}, target.claims, target.signer),
        "algorithm",
    )
    yield "encryption header", target.with_header(alg="RSA-OAEP", enc="A256GCM"), "algorithm"
    header = {**target.header, "alg": "HS256"}
    for name, secret in _public_key_spellings(target.signer).items():
        signature = hmac.digest(secret, _signed(header, payload), hashlib.sha256)
        yield f"HS256 with the public key as {name}", _join(header, payload, signature), "algorithm"
    header = {**target.header, "alg": "ES256", "jwk": {"kty": "EC"}}
    elliptic = ec.generate_private_key(ec.SECP256R1()).sign(_signed(header, payload), ec.ECDSA(hashes.SHA256()))
    yield "ES256 with a key of its own", _join(header, payload, elliptic), "algorithm"
    header = {**target.header, "alg": "EdDSA"}
    edwards = ed25519.Ed25519PrivateKey.generate().sign(_signed(header, payload))
    yield "EdDSA with a key of its own", _join(header, payload, edwards), "algorithm"


def _header_parameters(target: Target) -> Cases:
    for crit in (["exp"], ["b64"], [], None, "exp"):
        yield f"crit {json.dumps(crit)}", target.with_header(crit=crit), "parameter"
    for b64 in (False, True, None):
        yield f"b64 {json.dumps(b64)}", target.with_header(b64=b64), "parameter"
    yield "b64 false, announced in crit", target.with_header(b64=False, crit=["b64"]), "parameter"
    yield "compressed", target.with_header(zip="DEF"), "parameter"
    yield "nested token", target.with_header(cty="JWT"), "parameter"
    yield "content type null", target.with_header(cty=None), "parameter"
    for typ in ("jwt", "JWS", "JOSE", "JOSE+JSON", "JWE", "AT+JWT", "application/at+jwt", "dpop+jwt", "logout+jwt", ""):
        yield f"typ {typ!r}", target.with_header(typ=typ), "type"
    for value in (None, True, 1, ["JWT"], {"JWT": 1}):
        yield f"typ {json.dumps(value)}", target.with_header(typ=value), "type"


def _key_choice(target: Target) -> Cases:
    own = target.stranger.jwk()
    places: dict[str, object] = {
        "jwk": own,
        "jku": "https://attacker.test/jwks.json",
        "x5u": "https://attacker.test/chain.pem",
        "x5c": [base64.b64encode(b"certificate").decode()],
        "x5t": base64url(hashlib.sha256(b"certificate").digest()),
    }
    for name, value in places.items():
        theirs: dict[str, object] = {**target.header, name: value}
        yield f"own key in {name}, the pool's kid", sign_raw(theirs, target.claims, target.stranger), "signature"
        mine = {**theirs, "kid": target.stranger.kid}
        yield f"own key in {name}, own kid", sign_raw(mine, target.claims, target.stranger), "unknown_key"
    yield "own key, own kid", sign_raw({**target.header, "kid": "mine"}, target.claims, target.stranger), "unknown_key"
    yield "own key, the pool's kid", sign_raw(target.header, target.claims, target.stranger), "signature"
    yield "the pool's other key under this kid", sign_raw(target.header, target.claims, target.second), "signature"
    no_kid: dict[str, object] = {"alg": "RS256"}
    yield "kid missing", sign_raw(no_kid, target.claims, target.signer), "key_id"
    yield "kid missing, key brought along", sign_raw({**no_kid, "jwk": own}, target.claims, target.stranger), "key_id"
    for value in (None, True, 0, 1.5, "", [target.signer.kid], {"kid": target.signer.kid}):
        yield f"kid {json.dumps(value)[:20]}", target.with_header(kid=value), "key_id"
    kid = target.signer.kid
    variants = {
        "with a space": f"{kid} ",
        "with a zero byte": f"{kid}\0",
        "in other letters": kid.swapcase(),
        "cut short": kid[:-1],
        "as a path": f"./{kid}",
        "climbing": "../../../../dev/null",
        "as a query": f"' OR kid='{kid}",
        "as a command": f"{kid}; cat /etc/passwd",
        "as an address": "http://169.254.169.254/latest/meta-data/",
        "of a Python attribute": "__class__",
        "very long": kid * 60,
    }
    for name, variant in variants.items():
        yield f"kid {name}", target.with_header(kid=variant), "unknown_key"
    yield "kid with a lone surrogate", target.with_header(kid=f"{kid}\ud800"), "header"


def _signature(target: Target) -> Cases:
    header = target.header
    payload = base64url(json.dumps(target.claims).encode())
    signed = _signed(header, payload)
    private, numbers = target.signer.private, target.signer.private.private_numbers()
    modulus, size = numbers.public_numbers.n, private.key_size // 8
    good = target.signer.sign(signed)
    digest = int.from_bytes(hashlib.sha256(signed).digest())
    value = int.from_bytes(good)
    signatures = {
        "one byte": b"\0",
        "all zero": bytes(size),
        "one": (1).to_bytes(size),
        "all ones": b"\xff" * size,
        "the modulus": modulus.to_bytes(size),
        "one less than the modulus": (modulus - 1).to_bytes(size),
        "cut by one byte": good[:-1],
        "cut in front": good[1:],
        "longer by a zero in front": b"\0" + good,
        "longer by a zero behind": good + b"\0",
        "twice": good + good,
        "reversed": good[::-1],
        "negated": (modulus - value).to_bytes(size),
        "the same residue, one modulus up": (value + modulus).to_bytes(size + 1),
        "without the padding": pow(digest, numbers.d, modulus).to_bytes(size),
        "the bare padded digest": b"\0\1" + b"\xff" * (size - 35) + b"\0" + digest.to_bytes(32),
        "PSS": private.sign(signed, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
        "SHA-512": private.sign(signed, padding.PKCS1v15(), hashes.SHA512()),
        "over the header alone": target.signer.sign(signed.partition(b".")[0]),
        "over the payload alone": target.signer.sign(signed.partition(b".")[2]),
        "over the decoded parts": target.signer.sign(json.dumps(header).encode() + json.dumps(target.claims).encode()),
        "HMAC with no secret": hmac.digest(b"\0", signed, hashlib.sha256),
        "of another token": target.signer.sign(signed + b"A"),
    }
    for name, signature in signatures.items():
        yield f"signature: {name}", _join(header, payload, signature), "signature"
    admin = base64url(json.dumps({**target.claims, "cognito:groups": ["admins"]}).encode())
    yield "claims changed after signing", _join(header, admin, good), "signature"
    respaced = base64url(json.dumps(target.claims, separators=(",", ":")).encode())
    yield "claims written differently after signing", _join(header, respaced, good), "signature"
    yield "header changed after signing", _join({**header, "typ": "JWT"}, payload, good), "signature"
    yield "not JSON, and not signed", _join(header, base64url(b"hello"), good), "signature"


def _payload_json(target: Target) -> Cases:
    inside = json.dumps(target.claims)[1:-1]
    cases: dict[str, str | bytes] = {
        "not JSON": "hello",
        "array": f"[{{{inside}}}]",
        "string": '"sub"',
        "null": "null",
        "true": "true",
        "a token": target.with_header(),
        "sub twice": f'{{"sub":"somebody-else",{inside}}}',
        "sub twice, one escaped": f'{{{inside},"\\u0073ub":"somebody-else"}}',
        "exp twice": f'{{{inside},"exp":{target.now + 10**9}}}',
        "unknown claim twice": f'{{{inside},"x":1,"x":1}}',
        "nested claim twice": f'{{{inside},"x":[{{"y":1,"y":2}}]}}',
        "NaN": f'{{{inside},"x":NaN}}',
        "Infinity": f'{{{inside},"x":Infinity}}',
        "minus Infinity": f'{{{inside},"x":-Infinity}}',
        "a number beyond all numbers": f'{{{inside},"x":-1e999}}',
        "a number of five thousand digits": f'{{{inside},"x":{"9" * 5000}}}',
        "a number with leading zeros": f'{{{inside},"x":007}}',
        "a hexadecimal number": f'{{{inside},"x":0x10}}',
        "brackets without end": f'{{{inside},"x":{"[" * 4000}',
        "objects without end": f'{{{inside},"x":{'{"a":' * 900}',
        "trailing comma": f"{{{inside},}}",
        "something behind": f"{{{inside}}} x",
        "byte order mark": b"\xef\xbb\xbf" + f"{{{inside}}}".encode(),
        "UTF-16": f"{{{inside}}}".encode("utf-16-le"),
        "not UTF-8": f"{{{inside}".encode() + b',"x":"\xff"}',
    }
    for name, text in cases.items():
        yield f"payload: {name}", target.with_payload_text(text), "payload"
    yield "payload: exp NaN", target.with_claims(exp=float("nan")), "payload"
    yield "payload: exp Infinity", target.with_claims(exp=float("inf")), "payload"
    yield "payload: empty object", target.with_payload_text("{}"), "issuer"


def _issuer(target: Target) -> Cases:
    issuer = str(target.claims["iss"])
    host, pool_id = issuer.removeprefix("https://").split("/")
    look_alikes = {
        "with a slash behind": f"{issuer}/",
        "over http": issuer.replace("https", "http"),
        "without scheme": f"{host}/{pool_id}",
        "in capitals": issuer.upper(),
        "host in capitals": issuer.replace(host, host.upper()),
        "another pool": f"https://{host}/{pool_id[:-1]}{'x' if pool_id[-1] != 'x' else 'y'}",
        "pool id in other letters": f"https://{host}/{pool_id.partition('_')[0]}_{pool_id.partition('_')[2].swapcase()}",
        "another region": issuer.replace(host, "cognito-idp.ap-south-2.amazonaws.com"),
        "another partition": issuer.replace(host, f"{host}.cn"),
        "a host that begins alike": f"https://{host}.attacker.test/{pool_id}",
        "a host that ends alike": f"https://attacker.test.{host}/{pool_id}",
        "a user in front": f"https://{host}@attacker.test/{pool_id}",
        "with a port": f"https://{host}:443/{pool_id}",
        "with a query": f"{issuer}?x=1",
        "with a fragment": f"{issuer}#x",
        "climbing": f"https://{host}/x/../{pool_id}",
        "percent-encoded": issuer.replace("_", "%5F"),
        "with a space": f"{issuer} ",
        "with a zero byte": f"{issuer}\0",
        "with a letter that only looks like one": issuer.replace("o", "о", 1),
        "cut short": issuer[:-1],
        "the pool id alone": pool_id,
        "empty": "",
    }
    for name, value in look_alikes.items():
        yield f"iss {name}", target.with_claims(iss=value), "issuer"
    for other in (None, True, 1, [issuer], {"url": issuer}):
        yield f"iss {json.dumps(other)[:20]}", target.with_claims(iss=other), "issuer"
    yield "iss missing", target.without_claim("iss"), "issuer"


def _times(target: Target) -> Cases:
    now = target.now
    for claim, reason in (("exp", "expiry"), ("nbf", "not_before"), ("iat", "issued_at")):
        for value in (None, True, False, "", str(now), [now], {"time": now}, "2100-01-01T00:00:00Z"):
            yield f"{claim} {json.dumps(value)}", target.with_claims(**{claim: value}), reason
    yield "exp missing", target.without_claim("exp"), "expiry"
    yield "iat missing", target.without_claim("iat"), "issued_at"
    for name, at in {
        "now": now,
        "a moment ago": now - 0.001,
        "a second ago": now - 1,
        "at zero": 0,
        "before time": -1,
        "almost before time": -1e300,
    }.items():
        yield f"expired {name}", target.with_claims(exp=at), "expired"
    for name, at in {
        "in thirty-one seconds": now + 31,
        "in a day": now + 86400,
        "in milliseconds": now * 1000,
        "in the end": 1e300,
        "beyond a float": 10**400,
    }.items():
        yield f"valid from {name}", target.with_claims(nbf=at), "not_yet_valid"
        yield f"issued {name}", target.with_claims(iat=at), "issued_in_future"


def _use_and_client(target: Target) -> Cases:
    client_id = str(target.claims["client_id"])
    for value in ("id", "refresh", "ACCESS", "access ", "accessid", "", None, True, ["access"], {"access": 1}):
        yield f"token_use {json.dumps(value)}", target.with_claims(token_use=value), "token_use"
    yield "token_use missing", target.without_claim("token_use"), "token_use"
    id_token = {key: value for key, value in target.claims.items() if key not in ("client_id", "scope", "username")}
    id_token |= {"aud": client_id, "token_use": "id", "cognito:username": "ada", "email_verified": True}
    yield "the user's ID token", sign_raw(target.header, id_token, target.signer), "token_use"
    yield (
        "an ID token that says access",
        sign_raw(target.header, {**id_token, "token_use": "access"}, target.signer),
        ("client"),
    )
    yield "client_id missing", target.without_claim("client_id"), "client"
    for other in (
        tokens.OTHER_CLIENT_ID,
        client_id.upper(),
        f"{client_id} ",
        client_id[:-1],
        f"{client_id} {tokens.OTHER_CLIENT_ID}",
        "",
        "*",
        None,
        True,
        0,
        [client_id],
        {client_id: 1},
    ):
        yield f"client_id {json.dumps(other)}", target.with_claims(client_id=other), "client"
    yield "another client's, ours in aud", target.with_claims(client_id=tokens.OTHER_CLIENT_ID, aud=client_id), "client"


def _user(target: Target) -> Cases:
    client_id = target.claims["client_id"]
    yield "sub missing", target.without_claim("sub"), "subject"
    for value in ("", None, True, 0, 7, ["a"], {"a": 1}):
        yield f"sub {json.dumps(value)}", target.with_claims(sub=value), "subject"
    machine = {key: value for key, value in target.claims.items() if key != "username"} | {"sub": client_id}
    yield "a machine's token", sign_raw(target.header, machine, target.signer), "machine"
    yield "a machine with a user name", target.with_claims(sub=client_id), "machine"
    yield (
        "a machine with groups",
        sign_raw(target.header, {**machine, "cognito:groups": ["a"]}, target.signer),
        "machine",
    )
    yield "username missing", target.without_claim("username"), "machine"
    for name in ("", None, True, 1, ["ada"], {"ada": 1}):
        yield f"username {json.dumps(name)}", target.with_claims(username=name), "username"
    for groups in (None, "admins", 1, True, {"admins": 1}, [1], [None], [""], ["a", ["b"]]):
        yield f"groups {json.dumps(groups)}", target.with_claims(**{"cognito:groups": groups}), "groups"
    for scope in (None, 1, True, ["openid"], {"openid": 1}):
        yield f"scope {json.dumps(scope)}", target.with_claims(scope=scope), "scope"


_FAMILIES: tuple[Callable[[Target], Cases], ...] = (
    _size_and_form,
    _header_json,
    _algorithm,
    _header_parameters,
    _key_choice,
    _signature,
    _payload_json,
    _issuer,
    _times,
    _use_and_client,
    _user,
)


def _public_key_spellings(key: SigningKey) -> dict[str, bytes]:
    """Each way in which somebody may hold the public key, and take it for a shared secret."""
    public = key.private.public_key()
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    spki, pkcs1 = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1
    modulus = public.public_numbers().n
    return {
        "PEM": public.public_bytes(pem, spki),
        "PEM without the last newline": public.public_bytes(pem, spki).rstrip(b"\n"),
        "PKCS #1 PEM": public.public_bytes(pem, pkcs1),
        "DER": public.public_bytes(der, spki),
        "PKCS #1 DER": public.public_bytes(der, pkcs1),
        "OpenSSH": public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH),
        "JWK": json.dumps(key.jwk()).encode(),
        "JWK without spaces": json.dumps(key.jwk(), separators=(",", ":")).encode(),
        "modulus": modulus.to_bytes((modulus.bit_length() + 7) // 8),
        "modulus in base64url": str(key.jwk()["n"]).encode(),
        "key id": key.kid.encode(),
        "nothing": b"",
    }


def _signed(header: Mapping[str, object], payload: str) -> bytes:
    return f"{base64url(json.dumps(header).encode())}.{payload}".encode()


def _join(header: Mapping[str, object], payload: str, signature: bytes) -> str:
    return f"{_signed(header, payload).decode()}.{base64url(signature)}"


def _with_spare_bits(part: str) -> str:
    """The same bytes in another spelling: the bits of the last letter that carry nothing are set."""
    if len(part) % 4 == 0:
        # No spare bits here: drop a byte first, so that there are.
        part = base64url(base64.urlsafe_b64decode(part)[:-1])
    return part[:-1] + _ALPHABET[_ALPHABET.index(part[-1]) | 1]


def _encoded(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
