"""doctor: settings that cannot be read, lists as they arrived, groups that the pool lacks, origins of developers."""

import pytest

from tests.tools.manage.deployment import DeployedStack


def findings(run: DeployedStack, code: str) -> list[str]:
    """The meanings of the findings of one kind."""
    return [each["meaning"] for each in run("--json", "doctor").json["findings"] if each["code"] == code]


def test_each_list_is_shown_entry_by_entry(run: DeployedStack) -> None:
    run.cloud.environment |= {"DENIED_GROUPS": "banned,spam mers", "GROUP_FEATURES": "a=channels+dms,b=dms"}

    shown = findings(run, "list")

    assert 'DeniedGroups: "banned", "spam mers".' in shown
    assert 'GroupFeatures: "a=channels+dms", "b=dms".' in shown
    assert 'ProfileName: "name", "given_name+family_name".' in shown
    assert "TrustedProviders: empty." in shown
    assert len(shown) == 6


def test_groups_that_the_pool_lacks_are_named_with_their_parameter(run: DeployedStack) -> None:
    for number in range(61):  # more than one page
        run.cloud.cognito.create_group(UserPoolId=run.cloud.pool_id, GroupName=f"group-{number}")
    run.cloud.environment |= {"DENIED_GROUPS": "group-0,Group-1", "GROUP_FEATURES": "group-60=dms,guests=dms"}

    missing = findings(run, "group_missing")

    assert [each.split(". ")[0] for each in missing] == [
        'The user pool has no group "Group-1", which DeniedGroups names',
        'The user pool has no group "guests", which GroupFeatures names',
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DENIED_GROUPS", "banned,"),
        ("TRUSTED_PROVIDERS", "Google,,Okta"),
        ("ALIAS_EMAIL_TEMPLATE", "a-prefix-of-more-than-28-octets{sub}@example.test"),
        ("ALIAS_EMAIL_TEMPLATE", "chat..{sub}@example.test"),
    ],
)
def test_a_setting_that_no_function_can_read_is_a_problem(run: DeployedStack, name: str, value: str) -> None:
    run.cloud.environment[name] = value

    done = run("--json", "doctor")

    assert done.status == 1
    (problem,) = [each for each in done.json["findings"] if each["severity"] == "problem"]
    assert problem["code"] == "settings_unusable"
    assert name in problem["meaning"]


def test_an_origin_of_a_developer_is_noticed_in_production_only(run: DeployedStack) -> None:
    origins = "https://app.example.test,http://localhost,capacitor://localhost,http://localhost:3000"
    run.parameters |= {"Stage": "prod", "AllowedOrigins": origins}
    (found,) = findings(run, "local_origin")
    assert "http://localhost:3000" in found

    run.parameters["Stage"] = "dev"
    assert findings(run, "local_origin") == []
