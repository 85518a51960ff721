"""The deployed stack that a command works on, and the check that the credentials belong to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from manage.errors import Refused

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

# The status of a stack that is gone (CloudFormation, "Stack status codes").
DELETED = "DELETE_COMPLETE"
# An operator prefers a wait to a failure.
_PATIENT = Config(retries={"total_max_attempts": 5, "mode": "standard"})


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that exists in the account and region of ``session``.

    ``arn`` is ``arn:<partition>:cloudformation:<region>:<account>:stack/<name>/<id>``.
    """

    name: str
    arn: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    session: boto3.Session
    operator: str
    """The ARN of the operator."""
    is_protected: bool = False
    """Whether the termination protection is on."""

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn``, …"""
        return self.arn.split(":")[1]

    @property
    def region(self) -> str:
        """The region of the stack."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """The account that owns the stack: twelve digits."""
        return self.arn.split(":")[4]

    @property
    def enrols_users(self) -> bool:
        """Whether the stack enrols users in the company. Without it, there are no triggers, queue and reconcile."""
        return self.parameters.get("AuthModes", "company") != "oauth"

    @property
    def links_accounts(self) -> bool:
        """Whether users of the stack can link Whop accounts of their own."""
        return self.parameters.get("AuthModes", "company") != "company"

    def output(self, name: str) -> str:
        """The value of an output. Raises `Refused` if the stack has no output of this name."""
        try:
            return self.outputs[name]
        except KeyError:
            raise Refused(
                f"Stack {self.name} has no output {name} (its status is {self.status}): "
                "finish its deployment, from this repository's template."
            ) from None

    def environment(self, output: str) -> Mapping[str, str]:
        """The environment of the function that ``output`` names. Raises `Refused` and botocore's errors."""
        return self.environment_of(self.output(output))

    def environment_of(self, function: str) -> Mapping[str, str]:
        """The environment of the function of this name. Raises botocore's errors."""
        answer = self.client("lambda").get_function_configuration(FunctionName=function)
        variables: Mapping[str, str] = answer.get("Environment", {}).get("Variables", {})
        return variables

    def resources(self) -> Mapping[str, str]:
        """The physical id of each resource, by its name in the template. Raises botocore's errors."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.arn)
        found = [each for page in pages for each in page["StackResourceSummaries"]]
        return {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in found}

    def client(self, service: str) -> Any:
        """A new boto3 client with the operator's credentials, which repeats a call that may succeed later."""
        client: Any = self.session.client(service, config=_PATIENT)  # type: ignore[call-overload]
        return client

    @property
    def cognito(self) -> "CognitoIdentityProviderClient":
        """A new client for the user pools of the stack's region."""
        client: CognitoIdentityProviderClient = self.client("cognito-idp")
        return client


def deleted(session: boto3.Session, name: str, outputs: Mapping[str, str]) -> Stack:
    """Stands for the stack ``name`` that is gone, or not there yet, of which only these ``outputs`` are known.

    Raises `Refused` if one of them is in another account or region than ``session``.
    """
    operator, here = _caller(session)
    _require_all(outputs, here)
    partition = operator.split(":")[1]
    return Stack(
        name=name,
        arn=f"arn:{partition}:cloudformation:{here[0]}:{here[1]}:stack/{name}/{DELETED}",
        status=DELETED,
        parameters={},
        outputs=outputs,
        session=session,
        operator=operator,
    )


def find(session: boto3.Session, name: str) -> Stack:
    """The stack of this name or ARN, if the credentials of ``session`` belong to it.

    An ARN names the account and the region, so a stack of the same name elsewhere is never taken for it.

    Raises `Refused` if there is no such stack, or if the stack or one of its parts is in another account or region than
    the session. Raises botocore's errors if there are no credentials, or if they do not allow to look.
    """
    operator, here = _caller(session)
    if name.startswith("arn:"):
        _require(name, name, here)
    found = _describe(session, name, here[1])
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    _require_all({f"Stack {found['StackName']}": found["StackId"], **outputs}, here)
    return Stack(
        name=found["StackName"],
        arn=found["StackId"],
        status=found["StackStatus"],
        parameters={each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])},
        outputs=outputs,
        session=session,
        operator=operator,
        is_protected=bool(found.get("EnableTerminationProtection")),
    )


def _caller(session: boto3.Session) -> tuple[str, tuple[str, str]]:
    """The operator's ARN, and the region and account of ``session``. Raises `Refused` if no region is set."""
    if session.region_name is None:
        raise Refused("No region is set. Name the region of the stack by --region, AWS_REGION or your AWS profile.")
    sts: Any = session.client("sts", config=_PATIENT)
    caller = sts.get_caller_identity()
    return caller["Arn"], (session.region_name, caller["Account"])


def _require_all(parts: Mapping[str, str], here: tuple[str, str]) -> None:
    for part, value in parts.items():
        if value.startswith("arn:"):
            _require(part, value, here)


def _require(part: str, arn: str, here: tuple[str, str]) -> None:
    """Raise `Refused` unless ``arn`` is in the region and the account of ``here``."""
    _, _, _, region, account, *_ = [*arn.split(":"), "", "", "", ""]
    if (region, account) != here:
        raise Refused(
            f"{part} is in {region} of account {account}, but the credentials are for {here[0]} of account {here[1]}."
        )


def _describe(session: boto3.Session, name: str, account: str) -> Any:
    try:
        return session.client("cloudformation", config=_PATIENT).describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        # CloudFormation's code for a stack that does not exist (AWS, DescribeStacks).
        if error.response.get("Error", {}).get("Code") != "ValidationError":
            raise
        raise Refused(f"There is no stack {name} in {session.region_name} of account {account}.") from None
