"""How the settings of a user pool are read, compared and written back."""

import copy
from typing import Any

import pytest

from manage.errors import Refused
from manage.pool_settings import Difference, PoolState, UserPool, differences
from tests.fakes import whole_pool
from tests.tools.manage.pools_at_aws import POOL_ID, Aws


@pytest.fixture
def pool(aws: Aws) -> UserPool:
    return UserPool(aws.session().client("cognito-idp"), POOL_ID)


def test_a_pool_written_as_it_was_read_stays_the_same(aws: Aws, pool: UserPool) -> None:
    before = aws.pool.described(POOL_ID)

    pool.write(pool.read().settings)

    assert aws.pool.described(POOL_ID) == before
    assert aws.pool.mfa == whole_pool.MFA


def test_every_member_without_a_setting_is_known(pool: UserPool) -> None:
    """A new member of DescribeUserPool is a setting, or belongs in this list of those that are not written back."""
    service: Any = pool._service
    described = service.operation_model("DescribeUserPool").output_shape.members["UserPool"].members.keys()
    accepted = service.operation_model("UpdateUserPool").input_shape.members.keys()

    assert described - accepted == {
        "Name",  # PoolName
        *("Id", "Arn", "Status", "CreationDate", "LastModifiedDate", "EstimatedNumberOfUsers"),
        *("SchemaAttributes", "AliasAttributes", "UsernameAttributes", "UsernameConfiguration"),
        *("SmsConfigurationFailure", "EmailConfigurationFailure"),
        *("Domain", "CustomDomain"),
    }
    assert accepted - described == {"UserPoolId", "PoolName"}


def test_an_old_pool_keeps_the_validity_that_it_has(aws: Aws, pool: UserPool) -> None:
    del aws.pool.settings["Policies"]["PasswordPolicy"]["TemporaryPasswordValidityDays"]
    aws.pool.settings["AdminCreateUserConfig"]["UnusedAccountValidityDays"] = 30

    pool.write(pool.read().settings)

    assert aws.pool.settings["AdminCreateUserConfig"]["UnusedAccountValidityDays"] == 30


def test_the_tags_of_aws_are_left_to_aws(aws: Aws, pool: UserPool) -> None:
    aws.pool.settings["UserPoolTags"]["aws:cloudformation:stack-name"] = "people"

    assert pool.read().settings["UserPoolTags"] == whole_pool.SETTINGS["UserPoolTags"]


@pytest.mark.parametrize(
    "unset",
    [
        {"EmailVerificationMessage": ""},
        {"SmsConfiguration": {}},
        {"AccountRecoverySetting": {"RecoveryMechanisms": []}},
    ],
)
def test_what_is_not_set_is_not_written(aws: Aws, pool: UserPool, unset: dict[str, Any]) -> None:
    aws.pool.settings = unset

    assert pool.read().settings.keys() & unset.keys() == set()


def test_device_tracking_with_false_settings_is_kept(pool: UserPool) -> None:
    state = pool.read()
    others = {name: value for name, value in state.settings.items() if name != "DeviceConfiguration"}
    without = PoolState(state.name, state.arn, others, state.mfa)

    assert state.settings["DeviceConfiguration"] == whole_pool.SETTINGS["DeviceConfiguration"]
    assert [each.setting for each in differences(state, without)] == ["DeviceConfiguration"]


@pytest.mark.parametrize(
    ("where", "path"),
    [
        (lambda pool: pool.fixed, "BrandNew"),
        (lambda pool: pool.settings["Policies"]["PasswordPolicy"], "Policies.PasswordPolicy.BrandNew"),
        (
            lambda pool: pool.settings["AccountRecoverySetting"]["RecoveryMechanisms"][0],
            "AccountRecoverySetting.RecoveryMechanisms.BrandNew",
        ),
    ],
    ids=["at the top", "in a structure", "in a list"],
)
def test_a_setting_that_the_sdk_does_not_know_is_refused(aws: Aws, pool: UserPool, where: Any, path: str) -> None:
    where(aws.pool)["BrandNew"] = "on"

    with pytest.raises(Refused, match=f"does not know, and would lose them: {path}\\. "):
        pool.read()


def test_a_missing_pool_is_refused(aws: Aws) -> None:
    with pytest.raises(Refused, match="There is no user pool us-east-1_Other"):
        UserPool(aws.session().client("cognito-idp"), "us-east-1_Other").read()


def test_every_difference_is_named_by_its_path(pool: UserPool) -> None:
    before = pool.read()
    settings, mfa = copy.deepcopy(before.settings), copy.deepcopy(before.mfa)
    settings["Policies"]["PasswordPolicy"]["MinimumLength"] = 6
    del settings["UserPoolTags"]["team"]
    settings["LambdaConfig"]["PostConfirmation"] = whole_pool.function("new")
    mfa["SoftwareTokenMfaConfiguration"]["Enabled"] = False

    found = differences(before, PoolState(before.name, before.arn, settings, mfa))

    assert [str(each) for each in found] == [
        "~ GetUserPoolMfaConfig.SoftwareTokenMfaConfiguration.Enabled: true → false",
        f"+ LambdaConfig.PostConfirmation: {whole_pool.function('new')}",
        "~ Policies.PasswordPolicy.MinimumLength: 14 → 6",
        "- UserPoolTags.team: chat",
    ]


def test_order_and_empty_values_are_no_difference(pool: UserPool) -> None:
    before = pool.read()
    settings = copy.deepcopy(before.settings)
    settings["AutoVerifiedAttributes"].reverse()
    settings["AccountRecoverySetting"]["RecoveryMechanisms"].reverse()
    del settings["Policies"]["PasswordPolicy"]["RequireSymbols"]
    after = PoolState(before.name, before.arn, settings, before.mfa)

    assert differences(before, after) == []
    settings["AutoVerifiedAttributes"].pop()
    assert differences(before, after) == [Difference("AutoVerifiedAttributes", ["phone_number", "email"], ["email"])]
