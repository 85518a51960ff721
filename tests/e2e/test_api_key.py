"""The Whop API key: not there yet, then there, without another deployment."""

from tests.e2e.harness import KeyedLater, assert_problem


def test_a_stack_without_a_key_says_so_and_works_once_the_key_is_put(keyed_later: KeyedLater) -> None:
    assert_problem(keyed_later.without_key[0], "not_configured")
    assert_problem(keyed_later.with_useless_key, "not_configured")
    assert keyed_later.with_key.status_code == 200


def test_who_asks_again_before_the_key_is_there_is_told_the_same(keyed_later: KeyedLater) -> None:
    assert_problem(keyed_later.without_key[1], "not_configured")
