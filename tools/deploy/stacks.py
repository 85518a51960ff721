"""A CloudFormation stack and its change sets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, WaiterError

from tools.deploy.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

# An hour, which is far more than a deployment takes.
_OFTEN: Any = {"Delay": 1, "MaxAttempts": 3600}
_NOT_THERE = ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")
# CloudFormation has no code for this (AWS, "Validate change sets"). The SAM CLI looks for the same words.
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack."""

    name: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """What a change set does to one resource. ``action`` is Add, Modify, Remove, Import or Dynamic."""

    action: str
    resource: str
    kind: str
    replacement: str
    """``True``, ``False`` or ``Conditional`` for Modify, else empty."""


def find(client: "CloudFormationClient", name: str) -> Stack | None:
    """The stack ``name``, or None if there is none."""
    try:
        found = client.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        # CloudFormation's code for a stack that does not exist (AWS, DescribeStacks).
        if error.response.get("Error", {}).get("Code") != "ValidationError":
            raise
        return None
    if found["StackStatus"] in _NOT_THERE:
        return None
    return Stack(
        name=name,
        status=found["StackStatus"],
        parameters={each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])},
        outputs={each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])},
    )


class ChangeSet:
    """A change set that waits for its execution."""

    def __init__(self, client: "CloudFormationClient", stack: str, arn: str, *, is_new: bool) -> None:
        self._client, self._stack, self._arn, self._is_new = client, stack, arn, is_new

    @classmethod
    def create(
        cls, client: "CloudFormationClient", stack: str, name: str, url: str, parameters: Mapping[str, str]
    ) -> "ChangeSet | None":
        """A change set of the template at ``url``. None if it would change nothing.

        It creates the stack if there is none. Raises `DeployError` if CloudFormation refuses the template or the
        parameters.
        """
        is_new = _is_new(find(client, stack))
        try:
            arn = client.create_change_set(
                StackName=stack,
                ChangeSetName=name,
                ChangeSetType="CREATE" if is_new else "UPDATE",
                TemplateURL=url,
                Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            )["Id"]
        except ClientError as error:
            raise DeployError(f"CloudFormation refuses the deployment. {_message(error)}") from None
        change_set = cls(client, stack, arn, is_new=is_new)
        try:
            client.get_waiter("change_set_create_complete").wait(
                StackName=stack, ChangeSetName=arn, WaiterConfig=_OFTEN
            )
        except WaiterError as error:
            problem = str(error.last_response.get("StatusReason", error))
            change_set.discard()
            if any(each in problem for each in _NO_CHANGES):
                return None
            raise DeployError(f"CloudFormation refuses the deployment. {problem}") from None
        return change_set

    @property
    def changes(self) -> Sequence[Change]:
        """What it does, one entry a resource."""
        pages = self._client.get_paginator("describe_change_set").paginate(
            StackName=self._stack, ChangeSetName=self._arn
        )
        found: Iterator[Any] = (each["ResourceChange"] for page in pages for each in page["Changes"])
        return [
            Change(each["Action"], each["LogicalResourceId"], each["ResourceType"], each.get("Replacement", ""))
            for each in found
        ]

    def execute(self) -> None:
        """Deploy it and wait.

        Raises `DeployError` if CloudFormation fails, and has undone what it did. Raises botocore's `WaiterError` if
        nobody knows how it ends, such as with credentials that have expired meanwhile: it goes on at AWS.
        """
        self._client.execute_change_set(StackName=self._stack, ChangeSetName=self._arn)
        waiter = self._client.get_waiter("stack_create_complete" if self._is_new else "stack_update_complete")
        try:
            waiter.wait(StackName=self._stack, WaiterConfig=_OFTEN)
        except WaiterError as error:
            if not _has_ended(error.last_response):
                raise
            raise DeployError("\n".join(["The deployment failed.", *_failures(self._client, self._stack)])) from None

    def discard(self) -> None:
        """Delete it, with the empty stack that stands for one to be created."""
        self._client.delete_change_set(StackName=self._stack, ChangeSetName=self._arn)
        if self._is_new:
            self._client.delete_stack(StackName=self._stack)


def _is_new(stack: Stack | None) -> bool:
    """Whether a deployment creates the stack. Raises `DeployError` if the stack cannot be deployed now."""
    if stack is None:
        return True
    if stack.status.endswith("_IN_PROGRESS"):
        raise DeployError(f"Stack {stack.name} is busy ({stack.status}). Try again when that is over.")
    if stack.status == "ROLLBACK_COMPLETE":
        raise DeployError(
            f"The creation of stack {stack.name} failed and was rolled back. Such a stack can only be deleted:\n"
            f"aws cloudformation delete-stack --stack-name {stack.name}"
        )
    return False


def _has_ended(answer: Any) -> bool:
    """Whether the answer of DescribeStacks shows a stack that nothing changes any more. An error shows none."""
    return any(not each["StackStatus"].endswith("_IN_PROGRESS") for each in answer.get("Stacks", []))


def _failures(client: "CloudFormationClient", stack: str) -> list[str]:
    """Why the last operation on the stack failed, one line a resource, in the order of time."""
    events = client.describe_stack_events(StackName=stack)["StackEvents"]  # the newest first
    latest = takewhile(
        lambda each: (
            not (
                each.get("PhysicalResourceId") == each["StackId"]
                and each.get("ResourceStatus") in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
            )
        ),
        events,
    )
    failed = [each for each in latest if each.get("ResourceStatus", "").endswith("_FAILED")]
    return [f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason', '')}" for each in reversed(failed)]


def _message(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Message", "")
