"""The rules by which the emulator and the unit tests update a user pool."""

from typing import Any

import pytest

from local.emulator import pool_updates
from tests.fakes import whole_pool
from tests.tools.manage.pools_at_aws import OURS, POOL_ID, Aws


def _input() -> Any:
    return Aws().session().client("cognito-idp").meta.service_model.operation_model("UpdateUserPool").input_shape


def _paths(shape: Any, value: Any, path: str = "") -> set[str]:
    """The members that ``shape`` has and ``value`` has not."""
    if shape.type_name == "structure":
        return {
            each
            for name, inner in shape.members.items()
            for each in (_paths(inner, value[name], f"{path}{name}.") if name in value else {f"{path}{name}"})
        }
    if shape.type_name == "list":
        return {each for inner in value for each in _paths(shape.member, inner, path)}
    return set()


def test_there_is_a_default_for_everything_that_the_api_can_set() -> None:
    assert pool_updates.DEFAULTS.keys() == _input().members.keys() - {"UserPoolId", "PoolName"}


def test_the_whole_pool_has_everything_that_the_api_can_set() -> None:
    given_otherwise = {
        "UserPoolId",
        "PoolName",
        "LambdaConfig.PostConfirmation",
        "AdminCreateUserConfig.UnusedAccountValidityDays",  # not together with TemporaryPasswordValidityDays
    }

    assert _paths(_input(), whole_pool.SETTINGS) == given_otherwise


def test_nothing_of_the_whole_pool_is_at_its_default() -> None:
    assert [name for name, value in pool_updates.DEFAULTS.items() if whole_pool.SETTINGS[name] == value] == []


def test_the_naive_call_loses_every_other_setting() -> None:
    aws = Aws()

    aws.session().client("cognito-idp").update_user_pool(UserPoolId=POOL_ID, LambdaConfig={"PostConfirmation": OURS})

    mirrored = {"AdminCreateUserConfig": {"AllowAdminCreateUserOnly": False, "UnusedAccountValidityDays": 7}}
    assert aws.pool.settings == {
        **pool_updates.DEFAULTS,
        **mirrored,
        "LambdaConfig": {"PostConfirmation": OURS},
    }


@pytest.mark.parametrize(
    "update",
    [
        {"AdminCreateUserConfig": {"UnusedAccountValidityDays": 3}, "Policies": whole_pool.SETTINGS["Policies"]},
        {"UserPoolTags": {"aws:cloudformation:stack-name": "people"}},
        {
            "LambdaConfig": {
                "PreTokenGeneration": whole_pool.function("one"),
                "PreTokenGenerationConfig": {"LambdaVersion": "V2_0", "LambdaArn": whole_pool.function("other")},
            }
        },
        {"LambdaConfig": {"CustomSMSSender": {"LambdaVersion": "V1_0", "LambdaArn": whole_pool.function("sender")}}},
        {"EmailVerificationMessage": "One {####}", "VerificationMessageTemplate": {"EmailMessage": "Other {####}"}},
    ],
    ids=["two validities", "a tag of AWS", "two functions for tokens", "a sender without a key", "two messages"],
)
def test_an_update_that_contradicts_itself_is_refused(update: dict[str, Any]) -> None:
    assert pool_updates.refusal(whole_pool.SETTINGS) is None
    assert pool_updates.refusal(update)
