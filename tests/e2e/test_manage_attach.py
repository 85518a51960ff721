"""attach and detach, run as an operator runs them, on a pool that has every setting there is."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.stack import Deployment, LocalStack
from tests.e2e.harness import OwnPool, deploy_again, manage
from tests.fakes import whole_pool

# What changes by itself.
_MOVING = ("LastModifiedDate", "EstimatedNumberOfUsers")


def _make(cloud: LocalStack) -> str:
    made: Any = cloud.cognito.create_user_pool(PoolName=whole_pool.NAME, **whole_pool.SETTINGS)
    pool_id: str = made["UserPool"]["Id"]
    cloud.cognito.set_user_pool_mfa_config(UserPoolId=pool_id, **whole_pool.MFA)
    return pool_id


def _all_of(cloud: LocalStack, pool_id: str) -> dict[str, Any]:
    """The pool as AWS tells it, MFA included."""
    pool: Any = cloud.cognito.describe_user_pool(UserPoolId=pool_id)["UserPool"]
    mfa: Any = cloud.cognito.get_user_pool_mfa_config(UserPoolId=pool_id)
    del mfa["ResponseMetadata"]
    return {name: value for name, value in pool.items() if name not in _MOVING} | {"mfa": mfa}


@pytest.fixture(scope="module")
def whole(cloud: LocalStack, stack: Deployment) -> Deployment:
    """A stack for a pool with every setting."""
    pool_id = _make(cloud)
    client = cloud.cognito.create_user_pool_client(UserPoolId=pool_id, ClientName="web")["UserPoolClient"]["ClientId"]
    parameters = {"UserPoolId": pool_id, "UserPoolClientIds": client, "UserPoolIssuer": "updated"}
    return deploy_again(cloud, stack, "whole-pool", parameters)


@pytest.fixture
def pool_id(cloud: LocalStack, whole: Deployment) -> Iterator[str]:
    """The pool of ``whole``, with nothing of ours attached, also after a test that failed."""
    pool_id = whole["UserPoolId"]
    yield pool_id
    cloud.cognito.update_user_pool(UserPoolId=pool_id, PoolName=whole_pool.NAME, **whole_pool.SETTINGS)


def test_the_naive_call_loses_what_it_does_not_name(cloud: LocalStack, whole: Deployment) -> None:
    pool_id = _make(cloud)
    before = _all_of(cloud, pool_id)

    cloud.cognito.update_user_pool(UserPoolId=pool_id, LambdaConfig={"PostConfirmation": whole["OnSignupFunctionArn"]})

    after = _all_of(cloud, pool_id)
    assert {name for name in whole_pool.SETTINGS if before[name] == after.get(name)} == set()


def test_attach_keeps_all_settings_and_detach_undoes_it(cloud: LocalStack, whole: Deployment, pool_id: str) -> None:
    before = _all_of(cloud, pool_id)
    assert {name for name, value in whole_pool.SETTINGS.items() if name not in before} == set()

    attached = manage(cloud, whole.name, "attach", pool_id, "--yes")

    assert (attached.returncode, json.loads(attached.stdout)["outcome"]) == (0, "attached"), attached.stderr
    ours = {**before["LambdaConfig"], "PostConfirmation": whole["OnSignupFunctionArn"]}
    assert _all_of(cloud, pool_id) == {**before, "LambdaConfig": ours}

    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        cloud.cloudformation.delete_stack(StackName=whole.name)
    again = manage(cloud, whole.name, "attach", pool_id, "--yes")
    assert (again.returncode, json.loads(again.stdout)["outcome"]) == (0, "already_attached")

    detached = manage(cloud, whole.name, "detach", "--yes")

    assert (detached.returncode, json.loads(detached.stdout)["outcome"]) == (0, "detached"), detached.stderr
    assert _all_of(cloud, pool_id) == before
    assert not cloud.cloudformation.describe_stacks(StackName=whole.name)["Stacks"][0]["EnableTerminationProtection"]


def test_another_function_stays(cloud: LocalStack, whole: Deployment, pool_id: str) -> None:
    theirs = {**whole_pool.SETTINGS["LambdaConfig"], "PostConfirmation": whole_pool.function("theirs")}
    settings: Any = {**whole_pool.SETTINGS, "LambdaConfig": theirs}
    cloud.cognito.update_user_pool(UserPoolId=pool_id, PoolName=whole_pool.NAME, **settings)
    before = _all_of(cloud, pool_id)

    refused = manage(cloud, whole.name, "attach", pool_id, "--yes")

    answer = json.loads(refused.stdout)
    queue = cloud.sqs.get_queue_attributes(QueueUrl=whole["SyncQueueUrl"], AttributeNames=["QueueArn"])["Attributes"]
    assert (refused.returncode, answer["outcome"]) == (1, "other_function")
    assert json.loads(answer["iam_statement"])["Resource"] == queue["QueueArn"]
    assert _all_of(cloud, pool_id) == before


def test_nothing_is_written_without_a_yes(cloud: LocalStack, whole: Deployment, pool_id: str) -> None:
    before = _all_of(cloud, pool_id)

    assert manage(cloud, whole.name, "attach", pool_id, "--dry-run").returncode == 0
    assert manage(cloud, whole.name, "attach", pool_id).returncode == 1

    assert _all_of(cloud, pool_id) == before


@pytest.mark.parametrize("command", ["attach", "detach"])
def test_the_pool_that_a_stack_made_is_left_to_it(cloud: LocalStack, stack: Deployment, command: str) -> None:
    refused = manage(cloud, stack.name, command, stack["UserPoolId"], "--yes")

    assert (refused.returncode, "PoolTriggers" in refused.stderr) == (1, True)


def test_a_pool_of_another_stack_is_refused(cloud: LocalStack, whole: Deployment, own_pool: OwnPool) -> None:
    refused = manage(cloud, whole.name, "attach", own_pool.pool_id, "--yes")

    assert (refused.returncode, f"deployed for user pool {whole['UserPoolId']}" in refused.stderr) == (1, True)


def test_a_stack_that_is_not_there_is_one_line(cloud: LocalStack) -> None:
    refused = manage(cloud, "no-such-stack", "detach")

    assert (refused.returncode, refused.stderr) == (
        1,
        f"There is no stack no-such-stack in {whole_pool.REGION} of account {whole_pool.ACCOUNT}.\n",
    )
