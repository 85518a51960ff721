"""What CloudFormation refuses before it creates anything."""

import itertools
import re

import pytest

from tests.fakes.settings import ALIASES, BAD_ALIASES
from tests.template.translation import ROOT, accepts, holds, parameter_values, template

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/7c9f2f0e"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.whop.com",
        "https://sandbox-api.whop.com",
        "http://127.0.0.1:8080",
        "http://[::1]:1",
    ],
)
def test_the_api_key_goes_to_whop_or_to_this_machine(url: str) -> None:
    assert accepts("WhopBaseUrl", url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://api.whop.com",
        "https://api.whop.com/",
        "https://api.whop.com:443",
        "https://api.whop.com.evil.test",
        "https://api.whop.com@evil.test",
        "https://evil.test/https://api.whop.com",
        "https://evil.test#https://api.whop.com",
        "https://user@api.whop.com",
        "https://apixwhop.com",
        "https://api-whop.com",
        "https://xapi.whop.com",
        "https://API.WHOP.COM.",
        "https://api.whop.com\n",
        "https://api.whop.com\nhttps://evil.test",
        "https://127.0.0.1:8080",
        "http://127.0.0.1",
        "http://127.0.0.1:",
        "http://127.0.0.1:8080/",
        "http://127.0.0.1:8080@evil.test",
        "http://127.0.0.1:8080.evil.test",
        "http://127.0.0.1.evil.test:8080",
        "http://127a0b0c1:8080",
        "http://user@127.0.0.1:8080",
        "http://localhost",
        "http://localhost:8080",
        "http://0.0.0.0:8080",
        "http://[::1].evil.test:1",
        "http://[::ffff:127.0.0.1]:1",
        "http://2130706433:8080",
    ],
)
def test_the_api_key_goes_nowhere_else(url: str) -> None:
    assert not accepts("WhopBaseUrl", url)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("UserPoolId", ""),
        ("UserPoolId", "us-east-1_AbCdEfGhI"),
        ("UserPoolId", "us-gov-west-1_AbCdEfGhI"),
        ("UserPoolId", "eusc-de-east-1_AbCdEfGhI"),
        ("UserPoolClientIds", "1example23456789"),
        ("UsersTableName", ""),
        ("UsersTableName", "whop-chat-prod-UsersTable-1ABCDEFGHIJKL"),
        ("AllowedOrigins", "*"),
        ("AllowedOrigins", "https://app.example.test"),
        ("AllowedOrigins", "http://localhost:5173"),
        ("AllowedOrigins", "http://localhost"),
        ("AllowedOrigins", "http://127.0.0.1:8100"),
        ("AllowedOrigins", "http://[::1]:8100"),
        ("AllowedOrigins", "https://localhost"),
        ("AllowedOrigins", "https://app.example.test:8443"),
        ("AllowedOrigins", "capacitor://localhost"),
        ("AllowedOrigins", "ionic://localhost"),
        ("WhopCompanyId", "biz_0123456789"),
        ("WhopApiVersion", "2026-10-15-1"),
        ("WhopApiVersion", "2026-10-15"),
        ("ChatFeatures", "dms"),
        ("AliasEmailTemplate", ""),
        ("AliasEmailTemplate", "chat+{sub}@example.test"),
        *(("AliasEmailTemplate", value) for value in ALIASES),
        ("ReconcileSchedule", "rate(1 hour)"),
        ("ReconcileSchedule", "rate(10 hours)"),
        ("TrustedProviders", "Google"),
        ("ProfileName", "given_name+family_name"),
        ("ProfileName", "custom:handle"),
        ("RequiredScope", "chat/use"),
        ("ReconcileSchedule", ""),
        ("ReconcileSchedule", "rate(1 day)"),
        ("ReconcileSchedule", "rate(90 minutes)"),
        ("ReconcileSchedule", "cron(0 3 ? * MON-FRI *)"),
        ("GroupFeatures", "guests=channels+support"),
        ("DomainName", ""),
        ("DomainName", "chat.example.test"),
        ("CertificateArn", ""),
        ("CertificateArn", CERTIFICATE),
    ],
)
def test_a_value_as_it_should_be_is_accepted(parameter: str, value: str) -> None:
    assert accepts(parameter, value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("UserPoolId", "AbCdEfGhI"),
        ("UserPoolId", "us-east-1_AbC/../x"),
        ("UserPoolClientIds", "a b"),
        ("UsersTableName", "no"),
        ("UsersTableName", "*"),
        ("UsersTableName", "users/index/all"),
        ("UsersTableName", "arn:aws:dynamodb:us-east-1:123456789012:table/users"),
        ("AllowedOrigins", ""),
        ("AllowedOrigins", "app.example.test"),
        ("AllowedOrigins", "https://app.example.test/"),
        ("AllowedOrigins", "https://*.example.test"),
        ("AllowedOrigins", "null"),
        ("AllowedOrigins", "http://app.example.test"),
        ("AllowedOrigins", "http://localhost.example.test"),
        ("AllowedOrigins", "http://192.168.0.2:3000"),
        ("AllowedOrigins", "http://127a0b0c1"),
        ("AllowedOrigins", "capacitor://app.example.test"),
        ("AllowedOrigins", "file://localhost"),
        ("AllowedOrigins", "chrome-extension://abcdefghijklmnopabcdefghijklmnop"),
        ("WhopCompanyId", ""),
        ("WhopCompanyId", "biz_…"),
        ("WhopCompanyId", "user_0123456789"),
        ("WhopApiVersion", "latest"),
        ("ChatFeatures", ""),
        ("ChatFeatures", "admin"),
        ("AliasEmailTemplate", "chat@example.test"),
        ("AliasEmailTemplate", "chat@{sub}.example.test"),
        ("AliasEmailTemplate", "{sub}@localhost"),
        *(("AliasEmailTemplate", value) for value in BAD_ALIASES),
        ("ReconcileSchedule", "rate(6"),
        ("ReconcileSchedule", "rate(1 days)"),
        ("ReconcileSchedule", "rate(2 hour)"),
        ("TrustedProviders", "Google, Facebook"),
        ("ProfileName", ""),
        ("ProfileName", "given_name family_name"),
        ("ProfileName", "given_name+"),
        ("RequiredScope", "chat/use chat/admin"),
        ("ReconcileSchedule", "daily"),
        ("ReconcileSchedule", "rate(0 days)"),
        ("ReconcileSchedule", "at(2027-01-01T00:00:00)"),
        ("GroupFeatures", "guests"),
        ("GroupFeatures", "guests=payments"),
        ("DomainName", "https://chat.example.test"),
        ("DomainName", "chat.example.test/api"),
        ("DomainName", "Chat.example.test"),
        ("DomainName", "localhost"),
        ("DomainName", f"{'a' * 64}.example.test"),
        ("CertificateArn", "arn:aws:iam::123456789012:server-certificate/chat"),
    ],
)
def test_a_value_that_cannot_work_is_refused(parameter: str, value: str) -> None:
    assert not accepts(parameter, value)


def _broken_rules(**given: str) -> set[str]:
    values = parameter_values(**given)
    return {
        name
        for name, rule in template()["Rules"].items()
        if holds(rule.get("RuleCondition", True), values)
        and not all(holds(assertion["Assert"], values) for assertion in rule["Assertions"])
    }


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Stage": "prod"},
        {"Stage": "staging", "WhopBaseUrl": "https://sandbox-api.whop.com"},
        {"Stage": "dev", "AllowedOrigins": "*"},
        {"Stage": "local", "WhopBaseUrl": "http://127.0.0.1:8080", "AllowedOrigins": "*"},
        {"Stage": "local", "WhopBaseUrl": "http://[::1]:8080"},
        {"EnrolmentEmail": "alias", "AliasEmailTemplate": "chat+{sub}@example.test"},
        {"UserPoolId": "us-east-1_AbCdEfGhI", "UserPoolClientIds": "web,ios"},
        {"DomainName": "chat.example.test", "CertificateArn": CERTIFICATE},
        {"UserPoolId": "us-east-1_AbCdEfGhI", "UserPoolClientIds": "web", "UsersTableName": "kept"},
    ],
)
def test_parameters_that_go_together_break_no_rule(given: dict[str, str]) -> None:
    assert _broken_rules(**given) == set()


POOL = "us-east-1_AbCdEfGhI"
LISTS = sorted(name for name, each in template()["Parameters"].items() if each["Type"] == "CommaDelimitedList")
CUT = [{name: value} for name in LISTS for value in ("one,", ",one", "one,,two")]


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        *(
            ({"Stage": "local", "WhopBaseUrl": url}, "LocalRunsReplaceWhop")
            for url in ("https://api.whop.com", "https://sandbox-api.whop.com")
        ),
        ({"Stage": "prod", "WhopBaseUrl": "https://sandbox-api.whop.com"}, "ProductionIsReal"),
        ({"Stage": "prod", "AllowedOrigins": "*"}, "ProductionIsReal"),
        ({"Stage": "prod", "AllowedOrigins": "https://app.example.test,*"}, "ProductionIsReal"),
        ({"EnrolmentEmail": "alias"}, "AliasNeedsTemplate"),
        *(({"UserPoolId": POOL, "UserPoolClientIds": "web"} | given, "ListsAreWhole") for given in CUT),
        ({"TokenUse": "id", "RequiredScope": "chat/use"}, "IdTokensHaveNoScopes"),
        ({"UserPoolId": "us-east-1_AbCdEfGhI"}, "NamedPoolNeedsClients"),
        ({"UserPoolClientIds": "web"}, "ClientsNeedNamedPool"),
        ({"DomainName": "chat.example.test"}, "DomainNeedsCertificate"),
        ({"CertificateArn": CERTIFICATE}, "CertificateNeedsDomain"),
        ({"UsersTableName": "kept"}, "KeptTableNeedsItsPool"),
        ({"UsersTableName": "kept", "UserPoolId": POOL}, "NamedPoolNeedsClients"),
    ],
)
def test_parameters_that_contradict_each_other_break_a_rule(given: dict[str, str], rule: str) -> None:
    assert _broken_rules(**given) == {rule}


@pytest.mark.parametrize("stage", ["dev", "staging", "prod"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://[::1]:8080"])
def test_only_a_local_run_may_send_the_api_key_to_this_machine(stage: str, url: str) -> None:
    assert "OnlyLocalRunsReplaceWhop" in _broken_rules(Stage=stage, WhopBaseUrl=url)


NEEDED = ["AllowedOrigins", "WhopCompanyId"]


def test_every_parameter_is_described() -> None:
    assert [name for name, each in template()["Parameters"].items() if not each.get("Description")] == []


def test_no_parameter_is_added_without_a_thought() -> None:
    """Each one is a question at deployment. All but two have a default."""
    assert len(template()["Parameters"]) <= 41


def test_only_what_nobody_else_can_know_has_no_default() -> None:
    assert [name for name, each in template()["Parameters"].items() if "Default" not in each] == NEEDED


def test_the_console_groups_all_parameters_in_order_and_labels_them() -> None:
    interface = template()["Metadata"]["AWS::CloudFormation::Interface"]
    groups = [group["Parameters"] for group in interface["ParameterGroups"]]

    assert list(itertools.chain(*groups)) == list(template()["Parameters"])
    assert groups[0] == NEEDED, "what needs an answer comes first"
    assert all(group["Label"]["default"] for group in interface["ParameterGroups"])
    assert interface["ParameterLabels"].keys() == template()["Parameters"].keys()
    assert all(label["default"] for label in interface["ParameterLabels"].values())


def test_the_table_of_the_readme_is_that_of_the_template() -> None:
    rows = re.findall(r"^\| `([A-Z]\w+)` \| (.*?) \| ", (ROOT / "README.md").read_text(), re.MULTILINE)
    defaults = {name: each.get("Default") for name, each in template()["Parameters"].items()}

    assert rows == [(name, _in_the_table(default)) for name, default in defaults.items()]


def _in_the_table(default: object) -> str:
    return "required" if default is None else f"`{default}`" if default != "" else "empty"
