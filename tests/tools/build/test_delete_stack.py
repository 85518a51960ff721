"""Deleting a stack leaves a pool in which people can still sign up."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from tools.delete_stack import StillAttached, detach

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

type CloudFormation = tuple["CloudFormationClient", Stubber]
type Cognito = tuple["CognitoIdentityProviderClient", Stubber]

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:chat-on-signup:live"


@pytest.fixture
def session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")


@pytest.fixture
def cloudformation(session: boto3.Session) -> Iterator[CloudFormation]:
    client = session.client("cloudformation")
    yield from _stubbed(client)


@pytest.fixture
def cognito(session: boto3.Session) -> Iterator[Cognito]:
    client = session.client("cognito-idp")
    yield from _stubbed(client)


def _stubbed(client: Any) -> Iterator[tuple[Any, Stubber]]:
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def _stack(status: str, **parameters: str) -> dict[str, Any]:
    return {
        "Stacks": [
            {
                "StackName": "chat",
                "CreationTime": 0,
                "StackStatus": status,
                "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
                "Outputs": [
                    {"OutputKey": "UserPoolId", "OutputValue": "us-east-1_AbCdEfGhI"},
                    {"OutputKey": "OnSignupFunctionArn", "OutputValue": FUNCTION},
                ],
            }
        ]
    }


def _pool(**triggers: str) -> dict[str, Any]:
    return {"UserPool": {"Id": "us-east-1_AbCdEfGhI", "LambdaConfig": triggers}}


@pytest.mark.parametrize("triggers", ["sign-up", "sign-up-and-sign-in"])
def test_the_triggers_of_the_stacks_own_pool_are_detached_by_their_parameter(
    cloudformation: CloudFormation, cognito: Cognito, triggers: str
) -> None:
    (formation, stack), (idp, pool) = cloudformation, cognito
    stack.add_response("describe_stacks", _stack("CREATE_COMPLETE", UserPoolId="", Stage="prod", PoolTriggers=triggers))
    stack.add_response(
        "update_stack",
        {},
        {
            "StackName": "chat",
            "UsePreviousTemplate": True,
            "Parameters": [
                {"ParameterKey": "UserPoolId", "UsePreviousValue": True},
                {"ParameterKey": "Stage", "UsePreviousValue": True},
                {"ParameterKey": "PoolTriggers", "ParameterValue": "none"},
            ],
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        },
    )
    stack.add_response("describe_stacks", _stack("UPDATE_COMPLETE"))
    pool.add_response("describe_user_pool", _pool(), {"UserPoolId": "us-east-1_AbCdEfGhI"})

    detach(formation, idp, "chat")


@pytest.mark.parametrize(
    "parameters",
    [
        {"UserPoolId": "", "PoolTriggers": "none"},
        {"UserPoolId": "us-east-1_AbCdEfGhI", "PoolTriggers": "sign-up"},
    ],
)
def test_a_stack_that_attaches_nothing_is_not_updated(
    cloudformation: CloudFormation, cognito: Cognito, parameters: dict[str, str]
) -> None:
    (formation, stack), (idp, pool) = cloudformation, cognito
    stack.add_response("describe_stacks", _stack("CREATE_COMPLETE", **parameters))
    pool.add_response("describe_user_pool", _pool(PostConfirmation="arn:aws:lambda:us-east-1:123456789012:function:x"))

    detach(formation, idp, "chat")


@pytest.mark.parametrize("named", [FUNCTION, FUNCTION.removesuffix(":live"), FUNCTION.replace(":live", ":1")])
def test_nothing_is_deleted_while_a_pool_of_your_own_names_the_function(
    cloudformation: CloudFormation, cognito: Cognito, named: str
) -> None:
    parameters = {"UserPoolId": "us-east-1_AbCdEfGhI", "PoolTriggers": "sign-up"}
    (formation, stack), (idp, pool) = cloudformation, cognito
    stack.add_response("describe_stacks", _stack("CREATE_COMPLETE", **parameters))
    pool.add_response("describe_user_pool", _pool(PostConfirmation=named))

    with pytest.raises(StillAttached):
        detach(formation, idp, "chat")
