"""A user's name: from the attributes that the team prefers, and such that Whop and its readers can take it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whop_chat.cognito.display_name import MAX_NAME_LENGTH, display_name, name_rule, profile_digest

USUAL = name_rule("name,given_name+family_name")
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
FLAG = "\U0001f1f3\U0001f1f4"


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"name": " Ada ", "given_name": "A.", "family_name": "L."}, "Ada"),
        ({"name": " ", "given_name": "Ada", "family_name": "Lovelace"}, "Ada Lovelace"),
        ({"given_name": " Ada "}, "Ada"),
        ({"family_name": "Lovelace"}, "Lovelace"),
        ({"name": "\x00\u202e"}, None),
        ({"name": ""}, None),
        ({"name": "\u3164", "given_name": "Ada"}, "Ada"),
        ({"name": "\u2800\u2800", "given_name": "Ada"}, "Ada"),
        ({"name": "\u115f \u1160", "given_name": "Ada"}, "Ada"),
        ({"name": "\uffa0", "given_name": "Ada"}, "Ada"),
        ({"name": "\u200d\u200c", "given_name": "Ada"}, "Ada"),
        ({"name": "\ufe0f\U000e0100", "given_name": "Ada"}, "Ada"),
        ({"name": "\u00a0\u2003", "given_name": "Ada"}, "Ada"),
        ({"name": "\u3164"}, None),
        ({"name": "\u3164Ada\u3164"}, "\u3164Ada\u3164"),
        ({}, None),
    ],
)
def test_the_name_is_the_first_choice_that_the_user_has(attributes: dict[str, str], name: str | None) -> None:
    assert display_name(attributes, USUAL) == name


def test_the_team_chooses_the_attributes() -> None:
    rule = name_rule("custom:handle, preferred_username ,given_name+family_name")
    everything = {"given_name": "Ada", "preferred_username": "countess", "custom:handle": "ada99", "name": "A. L."}

    assert rule == (("custom:handle",), ("preferred_username",), ("given_name", "family_name"))
    assert display_name(everything, rule) == "ada99"
    assert display_name({**everything, "custom:handle": ""}, rule) == "countess"
    assert display_name({"name": "A. L."}, rule) is None


@pytest.mark.parametrize("text", ["", ",", "name,", "name++nickname", "+name"])
def test_a_rule_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="given_name\\+family_name"):
        name_rule(text)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Ada\nLovelace\t", "Ada Lovelace"),
        ("A\x07da", "Ada"),
        ("\u202eecnahc\u202c Ada", "ecnahc Ada"),
        ("Ada\ud800", "Ada"),
        (FAMILY, FAMILY),
        (SCOTLAND, SCOTLAND),
        ("Ada\U000e0067\U000e007f", "Ada"),
        ("1\ufe0f\u20e3", "1\ufe0f\u20e3"),
        ("\u0646\u0645\u06cc\u200c\u062f\u0627\u0646\u0645", "\u0646\u0645\u06cc\u200c\u062f\u0627\u0646\u0645"),
    ],
    ids=["whitespace", "bell", "reversed", "half a pair", "family", "Scotland", "tags alone", "keycap", "Persian"],
)
def test_control_characters_are_left_out(written: str, name: str) -> None:
    assert display_name({"name": written}, USUAL) == name


@pytest.mark.parametrize(
    ("character", "kept"),
    [
        ("x", 100),
        ("e\u0301", 50),
        (FAMILY, 20),
        (FLAG, 50),
        (SCOTLAND, 14),
        ("\U0001f44d\U0001f3fe", 50),
        ("\u2764\ufe0f", 50),
    ],
    ids=["letter", "accent", "family", "flag", "Scotland", "skin tone", "variation"],
)
@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_name_is_cut_between_characters_as_a_reader_sees_them(character: str, kept: int, before: str) -> None:
    name = display_name({"name": before + character * 101}, USUAL)

    assert name is not None
    whole = (MAX_NAME_LENGTH - len(before)) // len(character)
    assert name == before + character * whole
    assert before or whole == kept


def test_a_character_longer_than_all_is_cut_all_the_same() -> None:
    assert len(display_name({"name": "e" + "\u0301" * 200}, USUAL) or "") == MAX_NAME_LENGTH


def test_a_cut_leaves_no_space_at_the_end() -> None:
    assert display_name({"name": "a" * 99 + " b"}, USUAL) == "a" * 99


@given(st.text(max_size=300))
def test_whatever_the_name_it_fits_and_stays_as_it_is_when_taken_again(text: str) -> None:
    name = display_name({"name": text}, USUAL)

    if name is not None:
        assert 0 < len(name) <= MAX_NAME_LENGTH
        assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in name)
        assert name.encode()
        assert display_name({"name": name}, USUAL) == name


def test_a_digest_tells_names_apart_and_users_too() -> None:
    digests = {profile_digest(sub, name) for sub in ("sub-ada", "sub-bob") for name in ("Ada", "Bob")}

    assert len(digests) == 4
    assert profile_digest("sub-ada", "Ada") in digests
