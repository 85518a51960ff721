"""Strict parsers of base64url and JSON, the two encodings of tokens and JWK sets.

With lenient parsers, one text can mean two things to two programs: a repeated member, ignored padding, `NaN`. These
parsers repair nothing. Input that is not exactly what the standard describes is `Malformed`.
"""

import base64
import json
import math


class Malformed(ValueError):
    """The text is not what the standard describes. The error contains no part of it, because it may be secret."""


def read_base64url(text: str) -> bytes:
    """Decode base64url without padding (RFC 7515 section 2), in its one canonical spelling (RFC 4648 section 3.5).

    Raises `Malformed`.
    """
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        data = b""
    # The decoder skips unknown characters and ignores spare bits. So only a canonical text encodes back to itself.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != text.encode(errors="replace"):
        raise Malformed
    return data


def read_json(data: bytes) -> object:
    """Parse UTF-8 JSON (RFC 8259) without repeated members, non-finite numbers or half surrogate pairs.

    Raises `Malformed`, also if the nesting is too deep or a number too large to parse.
    """
    try:
        value = _DECODER.decode(data.decode())
        if b"\\u" in data:
            # JSON can escape half of a surrogate pair. It is no character (RFC 7493, section 2.1), so encoding fails.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        pass
    else:
        return value
    # Raised outside the handler: the decoder's exception has the whole text, and would be the context of this one.
    raise Malformed


def _object_with_unique_names(members: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(members)
    if len(result) != len(members):
        raise Malformed
    return result


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Malformed
    return number


def _no_such_constant(_name: str) -> object:
    raise Malformed


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object_with_unique_names, parse_float=_finite, parse_constant=_no_such_constant
)
