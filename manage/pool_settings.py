"""A user pool's settings, read and written as a whole.

UpdateUserPool resets every setting that a call leaves out (AWS, "UpdateUserPool"), so a write contains all of them. The
SDK's description of the API says which settings exist: a list of our own would age.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manage.errors import Refused

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

type Settings = dict[str, Any]
type Shape = Any  # botocore.model.Shape; its members depend on its type_name

# CloudFormation and other services set tags with this prefix. Only AWS can set or remove them (AWS, "Tagging").
_TAG_OF_AWS = "aws:"


@dataclass(frozen=True, slots=True)
class PoolState:
    """The settings of a user pool at one time.

    ``settings`` has the names and values of UpdateUserPool, without those that are not set. ``mfa`` is the answer of
    GetUserPoolMfaConfig: UpdateUserPool has one of its settings, and must not change the others.
    """

    name: str
    arn: str
    settings: Settings
    mfa: Settings

    def with_triggers(self, triggers: Mapping[str, Any]) -> "PoolState":
        """The same settings with another LambdaConfig."""
        settings = {name: value for name, value in self.settings.items() if name != "LambdaConfig"}
        if triggers:
            settings["LambdaConfig"] = dict(triggers)
        return PoolState(self.name, self.arn, settings, self.mfa)

    @property
    def issuer(self) -> str:
        """The pool's issuer, as the parameter UserPoolIssuer says it. A pool without the setting has the original."""
        kind: str = self.settings.get("IssuerConfiguration", {}).get("Type", "ORIGINAL")
        return kind.lower()

    @property
    def triggers(self) -> Mapping[str, Any]:
        """The LambdaConfig."""
        triggers: Mapping[str, Any] = self.settings.get("LambdaConfig", {})
        return triggers


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting, named by its path such as ``LambdaConfig.PostConfirmation``. A value is None if it is not set."""

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
    """The settings that differ, by path. The order in a list does not count: the lists of a user pool are sets."""
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
    """Whether two values mean the same. A missing member means the same as an empty or false one.

    A missing structure differs from one whose members are all false. Cognito remembers devices if there is a
    DeviceConfiguration, even with two false members, and does not if there is none.
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
        cognito.meta.events.register("before-parse.cognito-idp.DescribeUserPool", self._note_unknown)

    def read(self) -> PoolState:
        """The settings as they are now.

        Raises `Refused` if there is no such pool, or if the pool has a setting that this SDK does not know: a write
        would lose it.
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
            mfa=_fitting(mfa, self._input("SetUserPoolMfaConfig")),
        )

    def write(self, settings: Settings) -> None:
        """Set all settings of the pool. Cognito resets those that are not in ``settings``."""
        # Named even if it is empty: that removes the last trigger.
        whole: Any = {"LambdaConfig": {}, **settings}
        self._cognito.update_user_pool(UserPoolId=self.id, **whole)

    def write_mfa(self, mfa: Settings) -> None:
        """Set the MFA settings of the pool."""
        self._cognito.set_user_pool_mfa_config(UserPoolId=self.id, **mfa)

    def _input(self, operation: str) -> Shape:
        return self._service.operation_model(operation).input_shape

    def _note_unknown(self, response_dict: Mapping[str, Any], **_: Any) -> None:
        """Read the answer before the SDK parses it, because the SDK drops silently what it does not know."""
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
    """The settings in ``pool`` that UpdateUserPool needs, so that the pool keeps all of them.

    UpdateUserPool refuses three things that DescribeUserPool answers, so they are left out: AWS's own tags, values that
    are too short (they stand for "not set"), and UnusedAccountValidityDays in a pool that has its replacement,
    TemporaryPasswordValidityDays (AWS, "AdminCreateUserConfigType").

    Some settings have two names: the messages at the top and in VerificationMessageTemplate, and the function in
    PreTokenGeneration and PreTokenGenerationConfig. Both are sent, because Cognito accepts them as long as they are
    equal, and its own answer makes them equal.
    """
    settings: Settings = copy.deepcopy(_fitting(pool, update))
    if "TemporaryPasswordValidityDays" in settings.get("Policies", {}).get("PasswordPolicy", {}):
        settings.get("AdminCreateUserConfig", {}).pop("UnusedAccountValidityDays", None)
    if "UserPoolTags" in settings:
        tags = settings["UserPoolTags"].items()
        settings["UserPoolTags"] = {key: value for key, value in tags if not key.startswith(_TAG_OF_AWS)}
    return settings


def _fitting(value: Any, shape: Shape) -> Any:
    """The members of ``value`` that ``shape`` has."""
    if shape.type_name == "structure":
        members = {name: _fitting(value[name], inner) for name, inner in shape.members.items() if name in value}
        return {name: inner for name, inner in members.items() if _is_set(inner, shape.members[name])}
    if shape.type_name == "list":
        return [_fitting(each, shape.member) for each in value]
    return value


def _is_set(value: Any, shape: Shape) -> bool:
    if shape.type_name == "structure":
        return bool(value)
    if shape.type_name in ("string", "list"):
        return bool(len(value) >= shape.metadata.get("min", 0))
    return True
