"""close-circuit, as an operator runs it: all functions call Whop again."""

import time

from tests.fakes.moto_aws import AN_HOUR, aws_at_moto
from tests.tools.manage.deployment import OPERATOR, DeployedStack
from whop_chat.whop.circuit_state import CircuitState, DynamoDBCircuitStore, Reason

LATER = CircuitState(time.time() + 3600, Reason.LIMITED)


def store(run: DeployedStack) -> DynamoDBCircuitStore:
    return DynamoDBCircuitStore(aws_at_moto(), "users", run.cloud.environment["WHOP_COMPANY_ID"])


def test_every_wait_is_lifted_and_it_is_in_the_audit(run: DeployedStack) -> None:
    for operation in ("mint_token", "create_account"):
        store(run).extend(operation, LATER, deadline=AN_HOUR)
    done = run("--json", "close-circuit")

    assert (done.status, done.json["outcome"]) == (0, "closed")
    assert sorted(done.json["operations"]) == ["create_account", "mint_token"]
    assert store(run).load(deadline=AN_HOUR) == {}
    ((operator, action, outcome),) = run.acts()
    assert (operator, action) == (OPERATOR, "close-circuit")
    assert outcome
    assert outcome.startswith("closed ")


def test_without_a_wait_there_is_nothing_to_do(run: DeployedStack) -> None:
    store(run).extend("mint_token", CircuitState(time.time() - 5, Reason.LIMITED), deadline=AN_HOUR)

    assert run("--json", "close-circuit").json["outcome"] == "nothing_to_do"
    assert run.acts() == []
