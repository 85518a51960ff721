"""Deletes a deployed stack so that sign-up and sign-in go on working in the user pool, which stays.

A pool whose trigger names a deleted function refuses every sign-up, or every sign-in. So the triggers are detached
first, and nothing is deleted while the pool still names the function.
"""

import os
import subprocess  # nosec B404  # the SAM CLI, without a shell
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackTypeDef
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient


class StillAttached(Exception):
    """The user pool names the stack's function as a trigger."""


def allow_deletion(cloudformation: "CloudFormationClient", stack: str) -> None:
    """Turns the termination protection off. Call this only after `detach`."""
    cloudformation.update_termination_protection(StackName=stack, EnableTerminationProtection=False)


def detach(cloudformation: "CloudFormationClient", cognito: "CognitoIdentityProviderClient", stack: str) -> None:
    """Makes sure that the stack's user pool does not name its function, by an update of the stack if need be.

    The update changes the parameter PoolTriggers alone and keeps the template. Raises StillAttached if the pool is not
    the stack's own and names the function all the same.
    """
    found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])}
    outputs = outputs_of(found)
    if parameters["UserPoolId"] == "" and parameters["PoolTriggers"] != "none":
        cloudformation.update_stack(
            StackName=stack,
            UsePreviousTemplate=True,
            Parameters=_without_triggers(parameters),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        cloudformation.get_waiter("stack_update_complete").wait(StackName=stack)
    pool, function = outputs["UserPoolId"], outputs["OnSignupFunctionArn"]
    triggers = cognito.describe_user_pool(UserPoolId=pool)["UserPool"].get("LambdaConfig", {}).values()
    if any(_unversioned(each) == _unversioned(function) for each in triggers if isinstance(each, str)):
        raise StillAttached(
            f"User pool {pool} still names {function} as a trigger. Detach it first:\n"
            f'make manage ARGS="--stack {stack} detach"'
        )


def outputs_of(stack: "StackTypeDef") -> dict[str, str]:
    """The outputs of a stack, as CloudFormation describes it, by name."""
    return {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}


def _unversioned(arn: str) -> list[str]:
    """The ARN of a function without the version or alias that may follow."""
    return arn.split(":")[:7]


def _without_triggers(parameters: Mapping[str, str]) -> "list[ParameterTypeDef]":
    others: list[ParameterTypeDef] = [
        {"ParameterKey": name, "UsePreviousValue": True} for name in parameters if name != "PoolTriggers"
    ]
    return [*others, {"ParameterKey": "PoolTriggers", "ParameterValue": "none"}]


def name_what_stays(stack: str, outputs: Mapping[str, str]) -> None:
    """Say which parts outlive the stack, and how a later stack uses them: its outputs are gone with it.

    AWS charges for the table, and counts the layers' size for the account.
    """
    kept = {
        "UsersTableName": outputs["UsersTableName"],
        "UserPoolId": outputs["UserPoolId"],
        "UserPoolClientIds": outputs["UserPoolClientId"],
    }
    print(
        "These stay: the users table, a user pool that the stack made, and each version of the layer "
        f"{stack}-whop-chat.\n"
        "To deploy again for the same users, give make deploy these parameters: "
        f"{' '.join(f'{name}={value}' for name, value in kept.items())}\n"
        "Without them, the next stack has an empty pool and an empty table.\n"
        f"List the versions: aws lambda list-layer-versions --layer-name {stack}-whop-chat\n"
        "Delete one: aws lambda delete-layer-version --layer-name "
        f"{stack}-whop-chat --version-number N"
    )


def main() -> None:
    """Command line: `delete_stack.py NAME`; asks for the name once more before anything happens."""
    stack = sys.argv[1] if len(sys.argv) > 1 else ""
    if not stack:
        raise SystemExit("Which stack? make delete STACK=whop-chat-dev")
    if input(f"Type {stack} to delete that stack; its users table and user pool stay: ") != stack:
        raise SystemExit("Nothing was deleted.")
    # The AWS CLI reads AWS_REGION, boto3 reads AWS_DEFAULT_REGION only.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    cloudformation = session.client("cloudformation")
    outputs = outputs_of(cloudformation.describe_stacks(StackName=stack)["Stacks"][0])
    try:
        detach(cloudformation, session.client("cognito-idp"), stack)
    except StillAttached as error:
        raise SystemExit(str(error)) from None
    allow_deletion(cloudformation, stack)
    region = ["--region", session.region_name] if session.region_name else []
    name_what_stays(stack, outputs)
    command = [sys.executable, "-m", "samcli", "delete", "--stack-name", stack, *region, "--no-prompts"]
    raise SystemExit(subprocess.run(command, check=False).returncode)  # nosec B603  # no shell reads the name


if __name__ == "__main__":
    main()
