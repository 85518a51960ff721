"""Valid input made invalid: a value somewhere inside is dropped, replaced, doubled or blown up."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

# What is odd about each: lone surrogates, direction marks, zero bytes, what looks like a number, a path, a header.
ODD_TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "true",
    "null",
    "NaN",
    "1e999",
    "\x00",
    "\r\nX-Injected: 1",
    "\ud800",
    "a\udfffb",
    "\u202egnp.exe",
    "\ufeff",
    "ı",
    "ß" * 40,
    "e\u0301" * 60,
    "👩‍👩‍👧‍👦" * 30,
    "٣",
    "../../etc",
    "%00%ff%",
    "' OR 1=1 --",
    '"\\"',
    "{{7*7}}",
    "2027-13-45T99:99:99Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "application/json; charset=utf-7",
    "x" * 5_000,
)
ODD_NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.5, 1e308, -1e308)


def odd(chance: random.Random) -> Any:
    """A value of any type that nobody expects."""
    makers: tuple[Callable[[], Any], ...] = (
        lambda: None,
        lambda: chance.choice((True, False)),
        lambda: chance.choice(ODD_NUMBERS),
        lambda: chance.choice(ODD_TEXTS),
        lambda: chance.choice(ODD_TEXTS),
        list,
        dict,
        lambda: [chance.choice(ODD_TEXTS)] * chance.choice((1, 3, 400)),
        lambda: {chance.choice(ODD_TEXTS): chance.choice(ODD_NUMBERS)},
        lambda: nested(chance.choice((3, 60, 400))),
    )
    return chance.choice(makers)()


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def copied(value: Any) -> Any:
    """``value`` as it would arrive elsewhere."""
    return json.loads(json.dumps(value))


def mutated(value: Any, chance: random.Random) -> Any:
    """``value``, of what JSON is made of, with one thing in it changed."""
    value = copied(value)
    places = [(holder, key) for holder, key in _places(value)]
    if not places or chance.random() < 0.03:
        return odd(chance)
    holder, key = chance.choice(places)
    match chance.choice(("drop", "odd", "odd", "twist", "twist", "add")):
        case "drop":
            del holder[key]
        case "odd":
            holder[key] = odd(chance)
        case "twist":
            holder[key] = twisted(holder[key], chance)
        case _ if isinstance(holder, dict):
            name = chance.choice((str(key).upper(), f"{key} ", chance.choice(ODD_TEXTS)))
            holder[name] = chance.choice((copied(holder[key]), odd(chance)))
        case _:
            holder.insert(0, odd(chance))
    return value


def twisted(value: Any, chance: random.Random) -> Any:
    """``value`` as something near to it: another type, another case, cut, repeated, or with a strange character."""
    match value:
        case bool():
            return chance.choice((not value, str(value).lower(), int(value)))
        case int() | float():
            return chance.choice((-value, value + 1, value * 1000, str(value), [value]))
        case str():
            return twisted_text(value, chance)
        case list():
            return chance.choice((value * 2, value[:-1], {str(n): each for n, each in enumerate(value)}, [value]))
        case dict():
            return chance.choice((list(value.values()), [value], list(value), {"value": value}))
    return odd(chance)


def twisted_text(value: str, chance: random.Random) -> str:
    """A text near to ``value``."""
    place = chance.randrange(len(value) + 1)
    strange = chance.choice(ODD_TEXTS)
    return chance.choice(
        (
            value.swapcase(),
            value[:place],
            value[place:],
            value[:place] + strange + value[place:],
            value + value,
            f" {value}\t",
            f"{value},{value}",
            value[::-1],
            base64.b64encode(value.encode(errors="replace")).decode(),
            json.dumps(value),
        )
    )


def mutated_json(text: bytes, chance: random.Random) -> bytes:
    """A JSON text with one thing changed: in what it says, or in how."""
    match chance.choice(("value", "value", "value", "value", "cut", "bytes", "deep", "number", "twice", "encoding")):
        case "value":
            try:
                return json.dumps(mutated(json.loads(text), chance)).encode()
            except (ValueError, RecursionError):
                return text[::-1]  # It is no JSON any more.
        case "cut":
            return text[: chance.randrange(len(text) + 1)]
        case "bytes":
            place = chance.randrange(len(text) + 1)
            return text[:place] + chance.randbytes(chance.choice((1, 4, 40))) + text[place:]
        case "deep":
            depth = chance.choice((10, 1_000, 40_000))
            return chance.choice((b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth))
        case "number":
            return text.replace(b":", b": " + chance.choice((b"1" * 5_000, b"NaN", b"-Infinity", b"0x10")) + b", ", 1)
        case "twice":
            return text.replace(b"{", b'{"x": 1, "x": 2, ', 1)
        case _:
            decoded = text.decode(errors="replace")
            return chance.choice((decoded.encode("utf-16"), b"\xef\xbb\xbf" + text, b"<html>" + text, b"x" * 2**21))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every member and item, with what holds it."""
    found: list[tuple[Any, Any]] = []
    queue = [value]
    for holder in queue:
        items = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, item in items:
            found.append((holder, key))
            queue.append(item)
    return found
