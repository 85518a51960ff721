"""A user's name in the company: the pool attributes that it comes from, and its normal form."""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Mapping

MAX_NAME_LENGTH = 100  # Whop, "Update user"
NEUTRAL_NAME = "Deleted user"

NameRule = tuple[tuple[str, ...], ...]
"""Choices in order of preference. Each choice names the attributes that it joins."""

_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER = "\u200c", "\u200d"
# Control and format characters, and halves of surrogate pairs, which cannot be encoded.
_UNWANTED = ("Cc", "Cf", "Cs")
# Letters and symbols without a shape: the fillers of Hangul, and the empty pattern of Braille.
_BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
_FIRST_TAG, _LAST_TAG = "\U000e0020", "\U000e007f"
# A flag of a part of a country, such as Scotland: a black flag, and its region in tags (Unicode, UTS #51, ED-14a).
_TAGGED_FLAG = re.compile(f"(\U0001f3f4[{_FIRST_TAG}-{_LAST_TAG}]+)")


def name_rule(text: str) -> NameRule:
    """The rule in ``text``, such as ``name,given_name+family_name``. Raises `ValueError` if an attribute is empty."""
    rule = tuple(tuple(part.strip() for part in choice.split("+")) for choice in text.split(","))
    if not all(attribute for choice in rule for attribute in choice):
        raise ValueError("is not like name,given_name+family_name")
    return rule


def display_name(attributes: Mapping[str, str], rule: NameRule) -> str | None:
    """The name by the first choice of ``rule`` of which the user has a visible part, or None.

    It has no control characters, and at most `MAX_NAME_LENGTH` code points, as Whop requires.
    """
    for choice in rule:
        name = _clean(" ".join(attributes.get(attribute, "") for attribute in choice))
        if any(map(_is_visible, name)):
            return _cut(name, MAX_NAME_LENGTH)
    return None


def profile_digest(sub: str, text: str) -> str:
    """The digest that a record stores of a text of the profile, such as the name at Whop, to notice a new one.

    It is keyed with ``sub``, so that the texts of two users cannot be compared.
    """
    return hmac.new(sub.encode(), text.encode(), hashlib.sha256).hexdigest()


def _clean(text: str) -> str:
    """``text`` with single plain spaces, and without control characters, such as those that reverse text."""
    # Every second piece is a flag, which stays whole.
    pieces = _TAGGED_FLAG.split(text)
    allowed = (piece if number % 2 else "".join(filter(_is_allowed, piece)) for number, piece in enumerate(pieces))
    return " ".join("".join(allowed).split())


def _is_allowed(character: str) -> bool:
    joiners = (_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER)
    return character.isspace() or character in joiners or unicodedata.category(character) not in _UNWANTED


def _is_visible(character: str) -> bool:
    """Whether a reader sees ``character`` by itself. Joiners, marks and variation selectors need another one."""
    category = unicodedata.category(character)
    return not (character.isspace() or character in _BLANKS or category in _UNWANTED or category.startswith("M"))


def _cut(text: str, limit: int) -> str:
    """``text``, cut to ``limit`` code points between two visible characters (most rules of Unicode, UAX #29)."""
    if len(text) <= limit:
        return text
    end = limit
    while end and _continues(text, end):
        end -= 1
    return text[: end or limit].rstrip()


def _continues(text: str, index: int) -> bool:
    """Whether the code point at ``index`` belongs to the visible character before it."""
    before, here = text[index - 1], text[index]
    return (
        unicodedata.category(here).startswith("M")
        or _ZERO_WIDTH_JOINER in (before, here)
        or "\U0001f3fb" <= here <= "\U0001f3ff"  # skin tones
        or _FIRST_TAG <= here <= _LAST_TAG  # flags of a part of a country
        or (_regional(here) and _regionals_before(text, index) % 2 == 1)  # flags are pairs
    )


def _regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _regionals_before(text: str, index: int) -> int:
    count = 0
    while count < index and _regional(text[index - 1 - count]):
        count += 1
    return count
