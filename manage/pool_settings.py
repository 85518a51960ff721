"""A user pool's settings, read and written as a whole.

UpdateUserPool sets whatever a call leaves out to its default (AWS, "UpdateUserPool"), so everything that can be written
is written back. What that is, is asked of the SDK's description of the API, not of a list of ours that would age.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manage.console import Refused

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

type Settings = dict[str, Any]
type Shape = Any  # botocore.model.Shape; which members it has follows from its type_name

# CloudFormation and others leave tags with this prefix; nobody but AWS can set or remove them (AWS, "Tagging").
_TAG_OF_AWS = "aws:"


@dataclass(frozen=True, slots=True)
class PoolState:
    """``settings`` is what UpdateUserPool takes, under its names; what is not set is not in it.

    ``mfa`` is what GetUserPoolMfaConfig says: UpdateUserPool has one setting of it, and must not touch the others.
    """

    name: str
    arn: str
    settings: Settings
    mfa: Settings

    def with_triggers(self, triggers: Mapping[str, Any]) -> "PoolState":
        """The same pool with this LambdaConfig."""
        settings = {name: value for name, value in self.settings.items() if name != "LambdaConfig"}
        if triggers:
            settings["LambdaConfig"] = dict(triggers)
        return PoolState(self.name, self.arn, settings, self.mfa)

    @property
    def triggers(self) -> Mapping[str, Any]:
        """Its LambdaConfig."""
        triggers: Mapping[str, Any] = self.settings.get("LambdaConfig", {})
        return triggers


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting by its path, such as ``LambdaConfig.PostConfirmation``; None where it is not set."""

    setting: str
    before: Any
    after: Any

    def __str__(self) -> str:
        before, after = (value if isinstance(value, str) else json.dumps(value) for value in (self.before, self.after))
        if self.before is None:
            return f"+ {self.setting}: {after}"
        if self.after is None:
            return f"- {self.setting}: {before}"
        return f"~ {self.setting}: {before} → {after}"


def differences(before: PoolState, after: PoolState) -> list[Difference]:
    """What differs, by path. A list counts as the same in any order: those of a user pool are sets."""
    return _differences("", _everything(before), _everything(after))


def _everything(state: PoolState) -> Settings:
    return {**state.settings, "GetUserPoolMfaConfig": state.mfa}


def _differences(path: str, before: Any, after: Any) -> list[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            each
            for name in sorted(before.keys() | after.keys())
            for each in _differences(f"{path}.{name}" if path else name, before.get(name), after.get(name))
        ]
    return [] if _same(before, after) else [Difference(path, before, after)]


def _same(before: Any, after: Any) -> bool:
    """A member that is missing is the same as an empty or false one.

    A structure that is missing is not the same as one of false members: those of DeviceConfiguration mean that devices
    are remembered, and without it they are not.
    """
    return _in_order(before) == _in_order(after) or (not before and not after)


def _in_order(value: Any) -> Any:
    return sorted(value, key=lambda each: json.dumps(each, sort_keys=True)) if isinstance(value, list) else value


class UserPool:
    """One user pool. Every method raises botocore's errors."""

    def __init__(self, cognito: "CognitoIdentityProviderClient", pool_id: str) -> None:
        self.id = pool_id
        self._cognito = cognito
        self._service = cognito.meta.service_model
        self._unknown: list[str] = []
        cognito.meta.events.register("before-parse.cognito-idp.DescribeUserPool", self._note_what_is_unknown)

    def read(self) -> PoolState:
        """The pool as it is now.

        Raises `Refused` when there is no such pool, or when it has a setting that this SDK does not know: it would not
        be written back.
        """
        self._unknown.clear()
        try:
            pool: Any = self._cognito.describe_user_pool(UserPoolId=self.id)["UserPool"]
            mfa: Any = self._cognito.get_user_pool_mfa_config(UserPoolId=self.id)
        except self._cognito.exceptions.ResourceNotFoundException:
            raise Refused(f"There is no user pool {self.id} in the account and region of the stack.") from None
        if self._unknown:
            raise Refused(
                f"User pool {self.id} has settings that the installed AWS SDK does not know, and would lose them: "
                f"{', '.join(self._unknown)}. Install a newer boto3 (make lock), or use the console, which keeps them."
            )
        return PoolState(
            name=pool["Name"],
            arn=pool["Arn"],
            settings=_settable({**pool, "PoolName": pool["Name"]}, self._input("UpdateUserPool")),
            mfa=_taken(mfa, self._input("SetUserPoolMfaConfig")),
        )

    def write(self, settings: Settings) -> None:
        """Make these the pool's settings; what is not among them is set to its default."""
        # The triggers are always named: to remove the last one, and to leave nothing of them to a default.
        whole: Any = {"LambdaConfig": {}, **settings}
        self._cognito.update_user_pool(UserPoolId=self.id, **whole)

    def write_mfa(self, mfa: Settings) -> None:
        """Make these the pool's MFA settings."""
        self._cognito.set_user_pool_mfa_config(UserPoolId=self.id, **mfa)

    def _input(self, operation: str) -> Shape:
        return self._service.operation_model(operation).input_shape

    def _note_what_is_unknown(self, response_dict: Mapping[str, Any], **_: Any) -> None:
        """The SDK drops silently what it does not know, so the answer is looked at before it is parsed."""
        if response_dict["status_code"] == 200:
            answer: Shape = self._service.operation_model("DescribeUserPool").output_shape
            self._unknown += _unknown("", json.loads(response_dict["body"])["UserPool"], answer.members["UserPool"])


def _unknown(path: str, value: Any, shape: Shape) -> list[str]:
    """The paths of the members in ``value`` that ``shape`` does not have."""
    if shape.type_name == "structure":
        given = {name: inner for name, inner in value.items() if inner is not None}
        known = given.keys() & shape.members.keys()
        return [f"{path}{name}" for name in given if name not in known] + [
            each for name in known for each in _unknown(f"{path}{name}.", given[name], shape.members[name])
        ]
    if shape.type_name == "list":
        return [each for inner in value for each in _unknown(path, inner, shape.member)]
    return []


def _settable(pool: Mapping[str, Any], update: Shape) -> Settings:
    """What of ``pool`` is to be given to UpdateUserPool so that all of it stays.

    Three things that DescribeUserPool says are no settings. UnusedAccountValidityDays is refused where
    TemporaryPasswordValidityDays is given, which replaces it (AWS, "AdminCreateUserConfigType"). AWS's own tags are
    refused. And a value too short to be set stands for none. The messages that stand both at the top and in
    VerificationMessageTemplate, and the function that stands in PreTokenGeneration and in PreTokenGenerationConfig, are
    one thing under two names: Cognito takes both while they are equal, and equal it gives them.
    """
    settings: Settings = copy.deepcopy(_taken(pool, update))
    if "TemporaryPasswordValidityDays" in settings.get("Policies", {}).get("PasswordPolicy", {}):
        settings.get("AdminCreateUserConfig", {}).pop("UnusedAccountValidityDays", None)
    if "UserPoolTags" in settings:
        tags = settings["UserPoolTags"].items()
        settings["UserPoolTags"] = {key: value for key, value in tags if not key.startswith(_TAG_OF_AWS)}
    return settings


def _taken(value: Any, shape: Shape) -> Any:
    """The part of ``value`` that fits ``shape``."""
    if shape.type_name == "structure":
        taken = {name: _taken(value[name], inner) for name, inner in shape.members.items() if name in value}
        return {name: inner for name, inner in taken.items() if _is_set(inner, shape.members[name])}
    if shape.type_name == "list":
        return [_taken(each, shape.member) for each in value]
    return value


def _is_set(value: Any, shape: Shape) -> bool:
    if shape.type_name == "structure":
        return bool(value)
    if shape.type_name in ("string", "list"):
        return bool(len(value) >= shape.metadata.get("min", 0))
    return True
