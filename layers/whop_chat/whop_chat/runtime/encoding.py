"""The two encodings that tokens and key sets are made of, read strictly.

A lenient reader lets one text mean two things to two programs: a member twice, padding that some ignore, `NaN`.
Nothing here repairs its input: it is exactly what the standard describes, or it is `Malformed`.
"""

import base64
import json
import math


class Malformed(ValueError):
    """Not what the standard describes. Carries nothing of the text, which may be secret."""


def read_base64url(text: str) -> bytes:
    """Decode base64url without padding (RFC 7515 section 2), in its one canonical spelling (RFC 4648 section 3.5).

    Raises `Malformed`.
    """
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        data = b""
    # The decoder skips what it does not know and ignores spare bits; only the canonical text survives the way back.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != text.encode(errors="replace"):
        raise Malformed
    return data


def read_json(data: bytes) -> object:
    """Parse UTF-8 JSON (RFC 8259) whose objects name each member once, and whose numbers and texts are such.

    Raises `Malformed`, for a nesting or a number too large to parse as well.
    """
    try:
        value = _DECODER.decode(data.decode())
        if b"\\u" in data:
            # Half of a surrogate pair can be escaped, but is no character (RFC 7493, section 2.1): nothing encodes it.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        pass
    else:
        return value
    # Outside the handler, because the decoder's exception holds the whole text and would be this one's context.
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
