"""Each token of the attack corpus is refused, for the right reason, and nothing of it is told."""

import logging

import pytest

from tests.fakes.keys import eager_jwks
from tests.fakes.tokens import CLIENT_ID, NOW, POOL_ID, key_set_document
from tests.unit.cognito.attack_corpus import Attack, attack_corpus, attack_target
from whop_chat.cognito.verifier import Reason, TokenRefused, TokenVerifier
from whop_chat.runtime.deadline import Deadline

TARGET = attack_target()
CORPUS = attack_corpus(TARGET)
DOCUMENT = key_set_document(TARGET.signer, TARGET.second)


@pytest.fixture(scope="module")
def verifier() -> TokenVerifier:
    jwks = eager_jwks(lambda _deadline: DOCUMENT)
    return TokenVerifier(
        pool_id=POOL_ID, client_ids=[CLIENT_ID], token_use="access", jwks=jwks, clock=lambda: float(NOW)
    )


def test_the_token_that_the_attacks_are_made_of_is_accepted(verifier: TokenVerifier) -> None:
    assert verifier.verify(TARGET.with_header(), deadline=Deadline(1)).sub == TARGET.claims["sub"]


@pytest.mark.parametrize("attack", CORPUS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_for_its_reason(
    attack: Attack, verifier: TokenVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with pytest.raises(TokenRefused) as refusal:
        verifier.verify(attack.token, deadline=Deadline(1))

    assert refusal.value.reason == attack.reason
    assert str(refusal.value) == attack.reason
    assert caplog.records == []


def test_the_names_of_the_attacks_are_unique() -> None:
    assert len({attack.name for attack in CORPUS}) == len(CORPUS)


def test_every_reason_for_a_refusal_is_met_by_an_attack() -> None:
    refusals = set(Reason) - {Reason.SCOPE_MISSING, Reason.KEYS_UNAVAILABLE}

    assert {attack.reason for attack in CORPUS} == refusals
