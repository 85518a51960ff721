"""A user's name in the company: which attributes of the pool it comes from, and how it is written down."""

import hashlib
import hmac
import unicodedata
from collections.abc import Mapping

MAX_NAME_LENGTH = 100  # Whop, "Update user"
NEUTRAL_NAME = "Deleted user"

NameRule = tuple[tuple[str, ...], ...]
"""Attributes in order of preference; each choice joins the attributes that it names."""

_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER = "\u200c", "\u200d"
# Controls, formatting, and halves of surrogate pairs, which no encoding takes.
_UNWANTED = ("Cc", "Cf", "Cs")


def name_rule(text: str) -> NameRule:
    """The rule that ``name,given_name+family_name`` writes; raises `ValueError`."""
    rule = tuple(tuple(part.strip() for part in choice.split("+")) for choice in text.split(","))
    if not all(attribute for choice in rule for attribute in choice):
        raise ValueError("is not like name,given_name+family_name")
    return rule


def display_name(attributes: Mapping[str, str], rule: NameRule) -> str | None:
    """The first choice of ``rule`` of which the user has a part, as Whop takes it; None without any."""
    for choice in rule:
        name = _clean(" ".join(attributes.get(attribute, "") for attribute in choice))
        if name:
            return _cut(name, MAX_NAME_LENGTH)
    return None


def profile_digest(sub: str, name: str) -> str:
    """What is kept of a name that was set, to tell another one from it; keyed, so that names cannot be compared."""
    return hmac.new(sub.encode(), name.encode(), hashlib.sha256).hexdigest()


def _clean(text: str) -> str:
    """Without control characters, among them those that reverse the text around them, and with plain spaces."""
    joiners = (_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER)
    kept = (c for c in text if c.isspace() or c in joiners or unicodedata.category(c) not in _UNWANTED)
    return " ".join("".join(kept).split())


def _cut(text: str, limit: int) -> str:
    """At most ``limit`` code points, without half a character as a reader sees it (Unicode, UAX #29, in the main)."""
    if len(text) <= limit:
        return text
    end = limit
    while end and _continues(text, end):
        end -= 1
    return text[: end or limit].rstrip()


def _continues(text: str, place: int) -> bool:
    """Whether what stands at ``place`` belongs to the character before it."""
    before, here = text[place - 1], text[place]
    return (
        unicodedata.category(here).startswith("M")
        or _ZERO_WIDTH_JOINER in (before, here)
        or "\U0001f3fb" <= here <= "\U0001f3ff"  # skin tones
        or (_regional(here) and _regionals_before(text, place) % 2 == 1)  # flags are pairs
    )


def _regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _regionals_before(text: str, place: int) -> int:
    count = 0
    while count < place and _regional(text[place - 1 - count]):
        count += 1
    return count
