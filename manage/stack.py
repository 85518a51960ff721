"""The deployed stack that a command is about, and the certainty that the credentials at hand are its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from manage.console import Refused
from manage.errors import PATIENT

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient


# The alias that each function of the template is called by.
LIVE = "live"


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that exists, in the account and region of ``session``.

    ``arn`` is ``arn:<partition>:cloudformation:<region>:<account>:stack/<name>/<id>``.
    """

    name: str
    arn: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    session: boto3.Session
    operator: str
    """The ARN of whoever the credentials are."""

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn``, …"""
        return self.arn.split(":")[1]

    @property
    def region(self) -> str:
        """Where the stack is."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """Whose the stack is: twelve digits."""
        return self.arn.split(":")[4]

    def output(self, name: str) -> str:
        """One output; raises `Refused` when the stack has none of that name."""
        try:
            return self.outputs[name]
        except KeyError:
            raise Refused(
                f"Stack {self.name} has no output {name} (its status is {self.status}): "
                "deploy it to the end, from this repository's template."
            ) from None

    def environment(self, output: str) -> Mapping[str, str]:
        """The environment of the function that ``output`` names, as its callers reach it."""
        client = self.session.client("lambda", config=PATIENT)
        answer = client.get_function_configuration(FunctionName=self.output(output), Qualifier=LIVE)
        variables: Mapping[str, str] = answer.get("Environment", {}).get("Variables", {})
        return variables

    @property
    def cognito(self) -> "CognitoIdentityProviderClient":
        """A new client for the user pools of the stack's region."""
        return self.session.client("cognito-idp", config=PATIENT)


def find(session: boto3.Session, name: str) -> Stack:
    """The stack of this name or ARN that the credentials of ``session`` lead to.

    An ARN says which account and region are meant, so that a stack of the same name elsewhere is never taken for it.
    Raises `Refused` when there is none, or when it or what it consists of is of another account or region than the
    session; botocore's errors when there are no credentials, or when they do not allow to look.
    """
    if session.region_name is None:
        raise Refused("In which region is the stack? Say so with --region, AWS_REGION or your AWS profile.")
    sts: Any = session.client("sts", config=PATIENT)
    caller = sts.get_caller_identity()
    here = session.region_name, caller["Account"]
    if name.startswith("arn:"):
        _require(name, name, here)
    found = _describe(session, name, here[1])
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    for part, arn in {f"Stack {found['StackName']}": found["StackId"], **outputs}.items():
        if arn.startswith("arn:"):
            _require(part, arn, here)
    return Stack(
        name=found["StackName"],
        arn=found["StackId"],
        status=found["StackStatus"],
        parameters={each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])},
        outputs=outputs,
        session=session,
        operator=caller["Arn"],
    )


def _require(what: str, arn: str, here: tuple[str, str]) -> None:
    """``arn`` is in this region of this account."""
    _, _, _, region, account, *_ = [*arn.split(":"), "", "", "", ""]
    if (region, account) != here:
        raise Refused(
            f"{what} is in {region} of account {account}, but the credentials are for {here[0]} of account {here[1]}."
        )


def _describe(session: boto3.Session, name: str, account: str) -> Any:
    try:
        return session.client("cloudformation", config=PATIENT).describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        # What CloudFormation says of a stack that is not there (AWS, DescribeStacks).
        if error.response.get("Error", {}).get("Code") != "ValidationError":
            raise
        raise Refused(f"There is no stack {name} in {session.region_name} of account {account}.") from None
