"""The steps of a deployment and of a rollback, which end in the same way: a change set that somebody approves."""

import subprocess  # nosec B404  # git, without a shell
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from manage.table_change import OtherTable, require_same_table
from tools.deploy import answers, artifacts, stacks, template
from tools.deploy.answers import Overlay
from tools.deploy.artifacts import Artifacts
from tools.deploy.errors import DeployError
from tools.deploy.sam import Sam
from tools.deploy.samconfig import Stage
from tools.deploy.screen import Screen
from tools.deploy.template import Parameter

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Target:
    """The stack of a stage, in the account and region of ``session``."""

    session: boto3.Session
    stage: Stage
    screen: Screen
    may_change_table: bool
    """Whether the operator allows a deployment that gives the stack another users table."""

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """A client with the operator's credentials."""
        return self.session.client("cloudformation")

    @property
    def place(self) -> str:
        """Where the stack is, for a question."""
        sts: Any = self.session.client("sts")
        return f"{self.session.region_name} of account {sts.get_caller_identity()['Account']}"

    def artifacts(self) -> Artifacts:
        """The versions of the stack. Raises `DeployError` if the SAM CLI has no bucket in the region."""
        s3: Any = self.session.client("s3")
        return Artifacts(s3, artifacts.bucket(self.cloudformation), self.stage.stack)


def deploy(target: Target, sam: Sam, overlay: Overlay, given: Mapping[str, str], built: Path | None) -> None:
    """Build this tree, or take ``built``, and deploy it with the answers of the stage.

    ``given`` are the values of the environment. Raises `DeployError`, and `Declined` if the operator says no.
    """
    sam.require_version()
    kept = overlay.read()
    parameters, asked = _parameters(target, kept, given)
    # A question is asked once, even if the build fails. What the environment gives is kept once it is deployed.
    overlay.write(kept | asked)
    if built is None:
        with target.screen.waiting("building"):
            built = sam.build(ROOT / "template.yaml", ROOT / ".aws-sam" / "build", parameters["Architecture"])
    with target.screen.waiting("uploading"):
        packaged = sam.package(built, target.stage.stack, target.session.region_name)
    _deploy_as_version(target, packaged, parameters)
    overlay.write({name: value for name, value in parameters.items() if name in {*kept, *asked, *given}})
    _finish(target, parameters)


def _deploy_as_version(target: Target, packaged: str, parameters: Mapping[str, str]) -> None:
    """Deploy a packaged template and store it as a new version, unless it would change nothing."""
    versions, version = target.artifacts(), _new_version()
    versions.upload(version, packaged)
    is_deployed = False
    try:
        change_set = _reviewed(target, "deploy", versions.url(version), parameters)
        if change_set:
            # Recorded before it is executed, so that an interrupted wait does not lose the version.
            versions.record(version, parameters)
            is_deployed = True
            _execute(target, change_set)
            target.screen.say(f"Version {version} is deployed.")
    except DeployError:
        is_deployed = False
        raise
    finally:
        if not is_deployed:
            versions.remove(version)


def rollback(target: Target, version: str | None) -> None:
    """Deploy a stored ``version`` again, with the parameters that it had. Without one, list what is stored.

    Raises `DeployError`, and `Declined` if the operator says no.
    """
    versions = target.artifacts()
    if version is None:
        target.screen.show_versions(versions.versions())
        target.screen.say(f"Deploy one again: make rollback STAGE={target.stage.name} VERSION=…")
        return
    parameters = versions.parameters(version)
    change_set = _reviewed(target, "rollback", versions.url(version), parameters)
    if change_set:
        _execute(target, change_set)
        target.screen.say(f"Version {version} is deployed again. The answers of the stage are as they were.")
    versions.record(version, parameters)
    _finish(target, parameters)


def _parameters(
    target: Target, kept: Mapping[str, str], given: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Every parameter of the deployment, and the answers to what nobody knew.

    A stronger source replaces a weaker one: the default, what is deployed, `samconfig.toml`, the kept answers, the
    environment. So a colleague or a pipeline without the answers deploys what is deployed.
    """
    declared = template.parameters(ROOT / "template.yaml")
    stack = stacks.find(target.cloudformation, target.stage.stack)
    deployed = {name: value for name, value in (stack.parameters if stack else {}).items() if name in declared}
    environment = {name: value for name, value in given.items() if name in declared}
    known = deployed | _of_stage(target.stage, declared) | dict(kept) | environment
    asked = answers.complete(declared, known, target.screen.ask if target.screen.can_ask else None)
    values = answers.checked(declared, template.defaults(declared) | known | asked)
    return values, asked


def _of_stage(stage: Stage, declared: Mapping[str, Parameter]) -> dict[str, str]:
    """What `samconfig.toml` says of the stage, and ``Stage`` itself if the template knows one of this name."""
    named = {"Stage": stage.name} if stage.name in declared["Stage"].allowed else {}
    return named | dict(stage.parameters)


def _reviewed(target: Target, purpose: str, url: str, parameters: Mapping[str, str]) -> stacks.ChangeSet | None:
    """The change set, once the operator has seen and approved it. None if there is nothing to change."""
    stack, client = target.stage.stack, target.cloudformation
    if not target.may_change_table:
        _require_same_table(target, parameters)
    before = stacks.find(client, stack)
    with target.screen.waiting("asking CloudFormation what would change"):
        change_set = stacks.ChangeSet.create(client, stack, f"{purpose}-{_timestamp()}", url, parameters)
    if change_set is None:
        target.screen.say("There is nothing to change.")
        return None
    try:
        defaults = template.defaults(template.parameters(ROOT / "template.yaml"))
        target.screen.show_parameters(before.parameters if before else None, defaults, parameters)
        target.screen.show_changes(change_set.changes)
        target.screen.approve(f"Deploy these changes to {stack} in {target.place}?")
    except BaseException:  # Also an interrupt at the question.
        change_set.discard()
        raise
    return change_set


def _require_same_table(target: Target, parameters: Mapping[str, str]) -> None:
    try:
        require_same_table(target.session, target.stage.stack, parameters)
    except OtherTable as error:
        raise DeployError(f'{error} If you mean it, add ARGS="--change-users-table".') from None


def _execute(target: Target, change_set: stacks.ChangeSet) -> None:
    with target.screen.waiting(f"deploying {target.stage.stack}"):
        change_set.execute()


def _finish(target: Target, parameters: Mapping[str, str]) -> None:
    """Protect a stack whose pool names its function, and show the outputs.

    A pool whose trigger names a deleted function refuses every sign-up. ``attach`` protects the stack of another pool,
    and ``make delete`` unprotects.
    """
    if parameters["UserPoolId"] == "" and parameters["PoolTriggers"] != "none":
        target.cloudformation.update_termination_protection(
            StackName=target.stage.stack, EnableTerminationProtection=True
        )
    stack = stacks.find(target.cloudformation, target.stage.stack)
    target.screen.show_outputs(stack.outputs if stack else {})


def _new_version() -> str:
    """A name that sorts by time and tells the commit, such as ``20261129T034500Z-0c935f9``."""
    try:
        command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # nosec B603  # git
        commit = done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return _timestamp()
    return f"{_timestamp()}-{commit}"


def _timestamp() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
