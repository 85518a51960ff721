"""Settings: read whole or not at all, and no value is ever repeated in an error."""

import dataclasses

import pytest

from tests.fakes.settings import ALIASES, BAD_ALIASES
from whop_chat.settings import (
    AvatarSettings,
    AwsSettings,
    EnrolmentSettings,
    LinkSettings,
    MintSettings,
    PictureSettings,
    PoolSettings,
    SettingsError,
    SignUpSettings,
    SyncSettings,
)

ENV = {
    "SYNC_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/SyncQueue",
    "SYNC_DEAD_LETTER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/Dead",
    "USER_POOL_ID": "eu-west-1_Ab3dEf6Gh",
    "USERS_TABLE": "users",
    "WHOP_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:whop-AbCdEf",
    "WHOP_COMPANY_ID": "biz_Company1",
    "WHOP_BASE_URL": "https://api.whop.com",
    "WHOP_API_VERSION": "2026-10-15-1",
    "WHOP_COMPANY_FIELD": "account_id",
    "ENROLMENT_EMAIL": "verified",
    "ALIAS_EMAIL_TEMPLATE": "",
    "TRUSTED_PROVIDERS": "",
    "EMAIL_REUSE": "refuse",
    "PROFILE_NAME": "name,given_name+family_name",
    "DELETE_POLICY": "keep-account",
    "USER_POOL_CLIENT_IDS": "web, mobile",
    "USER_POOL_ISSUER": "original",
    "TOKEN_USE": "access",
    "CHAT_FEATURES": "channels,dms",
    "TOKEN_TTL_MINUTES": "60",
    "REQUIRED_SCOPE": "",
    "DENIED_GROUPS": "",
    "GROUP_FEATURES": "",
    "MINTS_PER_MINUTE": "30",
    "TOKEN_REUSE": "never",
}
OAUTH_ENV = {
    "OAUTH_CLIENT_ID": "app_Team",
    "OAUTH_REDIRECT_URI": "https://api.team.test/oauth/whop/callback",
    "OAUTH_RETURN_URLS": "https://app.team.test/linked,com.team.app://linked",
    "OAUTH_ISSUER": "https://api.whop.com",
    "OAUTH_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:client-secret",
    "DATA_KEY_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:data-key",
}
AVATAR_ENV = {
    "AVATAR_SOURCE": "picture",
    "AVATAR_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/Avatars",
    "AVATAR_DEAD_LETTER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/DeadAvatars",
    "FETCH_PICTURE_FUNCTION": "fetch-picture",
}
ENROLMENT_NAMES = frozenset(list(ENV)[2:14]) | {"SYNC_QUEUE_URL"}


LISTS = (
    "USER_POOL_CLIENT_IDS",
    "TRUSTED_PROVIDERS",
    "DENIED_GROUPS",
    "GROUP_FEATURES",
    "CHAT_FEATURES",
    "PROFILE_NAME",
)


def error_for(**changes: str) -> str:
    with pytest.raises(SettingsError) as caught:
        MintSettings.from_env({**ENV, **changes})
    return str(caught.value)


def test_every_value_arrives_in_its_own_form() -> None:
    settings = MintSettings.from_env(ENV)

    assert settings == MintSettings(
        sync_queue_url=ENV["SYNC_QUEUE_URL"],
        user_pool_id="eu-west-1_Ab3dEf6Gh",
        users_table="users",
        whop_secret_arn=ENV["WHOP_SECRET_ARN"],
        whop_company_id="biz_Company1",
        whop_base_url="https://api.whop.com",
        whop_api_version="2026-10-15-1",
        whop_company_field="account_id",
        enrolment_email="verified",
        alias_email_template="",
        trusted_providers=(),
        email_reuse="refuse",
        profile_name=(("name",), ("given_name", "family_name")),
        avatar_source=None,
        user_pool_client_ids=("web", "mobile"),
        user_pool_issuer="original",
        token_use="access",
        chat_features=("channels", "dms"),
        token_ttl_minutes=60,
        required_scope=None,
        denied_groups=(),
        group_features={},
        mints_per_minute=30,
        token_reuse="never",
        data_key_secret_arn=None,
        oauth=False,
    )


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        (SignUpSettings, {"SYNC_QUEUE_URL"}),
        (EnrolmentSettings, ENROLMENT_NAMES),
        (MintSettings, ENV.keys() - {"SYNC_DEAD_LETTER_QUEUE_URL", "DELETE_POLICY"}),
        (SyncSettings, ENROLMENT_NAMES | {"SYNC_DEAD_LETTER_QUEUE_URL", "DELETE_POLICY", "USER_POOL_CLIENT_IDS"}),
        (
            AvatarSettings,
            {name for name in ENROLMENT_NAMES if name.startswith(("WHOP_", "USER"))} | AVATAR_ENV.keys(),
        ),
        (PictureSettings, {"AVATAR_SOURCE"}),
        (
            PoolSettings,
            {name for name in ENROLMENT_NAMES - {"EMAIL_REUSE"} if not name.startswith("WHOP_")},
        ),
    ],
)
def test_an_empty_environment_is_told_every_name_at_once(settings: type[SignUpSettings], needed: set[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.from_env({})

    assert sorted(str(caught.value).split("; ")) == sorted(f"{name} is missing" for name in needed)


def test_a_policy_for_deletions_is_one_of_two() -> None:
    assert SyncSettings.from_env(ENV).delete_policy == "keep-account"
    with pytest.raises(SettingsError, match="DELETE_POLICY is none of keep-account, delete-account"):
        SyncSettings.from_env({**ENV, "DELETE_POLICY": "delete"})


@pytest.mark.parametrize(
    "source", ["picture", "s3://my-bucket/avatars/{sub}", "s3://bucket/{sub}", "s3://b.c-d/a/b_c/{sub}"]
)
def test_pictures_come_from_an_attribute_or_from_an_object_of_the_user(source: str) -> None:
    env = {**ENV, **AVATAR_ENV, "AVATAR_SOURCE": source}

    assert PictureSettings.from_env(env).avatar_source == source
    assert SyncSettings.from_env(env).avatar_source == source
    assert AvatarSettings.from_env(env).avatar_source == source


@pytest.mark.parametrize(
    "source",
    [
        "email",
        "s3://bucket/prefix/",
        "s3://bucket/{sub}/{sub}",
        "s3://bucket/{sub}.png",
        "s3://bucket/../{sub}*",
        "s3://*/{sub}",
        "s3:///{sub}",
        "s3://bucket/prefix*/{sub}",
        "s3://Bucket/{sub}",
        "https://bucket/{sub}",
        "s3://bucket/{username}",
    ],
)
def test_pictures_come_from_nowhere_else(source: str) -> None:
    for settings in (PictureSettings, SyncSettings, AvatarSettings):
        with pytest.raises(SettingsError, match="AVATAR_SOURCE is not picture or like s3://bucket/prefix/"):
            settings.from_env({**ENV, **AVATAR_ENV, "AVATAR_SOURCE": source})


@pytest.mark.parametrize("value", ["", "off"])
def test_without_pictures_there_is_no_source_of_them(value: str) -> None:
    assert SyncSettings.from_env({**ENV, "AVATAR_SOURCE": value}).avatar_source is None
    with pytest.raises(SettingsError):
        PictureSettings.from_env({"AVATAR_SOURCE": value})


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("2026-08-21-1", True),
        ("2026-08-25", True),
        ("2026-10-15-1", True),
        ("2026-08-21-10", True),
        ("2026-08-21", False),
        ("2026-08-20-9", False),
        ("2025-01-01", False),
    ],
)
def test_pictures_need_a_version_that_has_files(version: str, enough: bool) -> None:
    env = {**ENV, **AVATAR_ENV, "WHOP_API_VERSION": version}
    if enough:
        assert AvatarSettings.from_env(env).whop_api_version == version
    else:
        with pytest.raises(SettingsError, match="WHOP_API_VERSION is older than 2026-08-21-1, which pictures need"):
            AvatarSettings.from_env(env)
    assert SyncSettings.from_env(env).whop_api_version == version


def test_a_data_key_is_needed_where_tokens_are_kept_and_not_looked_at_elsewhere() -> None:
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:data-AbCdEf"

    assert error_for(TOKEN_REUSE="on-error") == "DATA_KEY_SECRET_ARN is needed unless TOKEN_REUSE is never"
    kept = MintSettings.from_env({**ENV, "TOKEN_REUSE": "always", "DATA_KEY_SECRET_ARN": arn})
    assert (kept.token_reuse, kept.data_key_secret_arn) == ("always", arn)
    assert MintSettings.from_env({**ENV, "DATA_KEY_SECRET_ARN": arn}).data_key_secret_arn is None


def test_missing_and_malformed_names_are_told_together() -> None:
    env = {name: value for name, value in ENV.items() if name != "USERS_TABLE"} | {"TOKEN_USE": "refresh"}

    with pytest.raises(SettingsError) as caught:
        MintSettings.from_env(env)

    assert str(caught.value) == "USERS_TABLE is missing; TOKEN_USE is none of access, id"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SYNC_QUEUE_URL", ""),
        ("USER_POOL_ID", "   "),
        ("WHOP_COMPANY_ID", "company-1"),
        ("WHOP_COMPANY_ID", "biz_"),
        ("WHOP_COMPANY_ID", "biz_Company1/../other"),
        ("WHOP_API_VERSION", "latest"),
        ("WHOP_API_VERSION", "2026-10-15\n"),
        ("WHOP_COMPANY_FIELD", "user_id"),
        ("ENROLMENT_EMAIL", "Verified"),
        *(
            ("ALIAS_EMAIL_TEMPLATE", value)
            for value in (
                "chat@team.example.test",
                "talk+{sub}",
                "{sub}{sub}@team.example.test",
                "chat@{sub}.example.test",
                "{sub}@localhost",
                "{sub}@team.example.test\n",
                "{sub}, eve@team.example.test",
                "{sub}@team.example.test@example.test",
                "{sub}@-team.example.test",
                "{sub}@team..example.test",
                "{sub}@" + "a" * 64 + ".test",
                "{sub}@" + "a.b." * 60 + "test",
                *BAD_ALIASES,
            )
        ),
        ("USER_POOL_CLIENT_IDS", " , "),
        ("USER_POOL_ISSUER", "UPDATED"),
        ("USER_POOL_ISSUER", ""),
        ("TOKEN_USE", "access,id"),
        ("PROFILE_NAME", "name++nick"),
        ("EMAIL_REUSE", "share"),
        ("CHAT_FEATURES", ""),
        ("CHAT_FEATURES", "channels,payments"),
        *((name, value) for name in LISTS for value in ("one=dms,", ",one=dms", "one=dms,,two=dms", ", ,")),
        ("GROUP_FEATURES", "guests=channels+"),
        ("GROUP_FEATURES", "guests"),
        ("GROUP_FEATURES", "guests="),
        ("GROUP_FEATURES", "=dms"),
        ("GROUP_FEATURES", "guests=payments"),
        ("GROUP_FEATURES", "guests=channels,guests=dms"),
        *(("TOKEN_TTL_MINUTES", value) for value in ("4", "181", "60.0", "-60", "+60", "", " 60", "٦٠", "1e2")),
        *(
            ("WHOP_BASE_URL", value)
            for value in (
                "",
                "http://api.whop.com",
                "https://whop.com",
                "https://api.whop.com.example.test",
                "https://api.whop.com:8443",
                "https://user:secret@api.whop.com",
                "https://api.whop.com/api/v1",
                "https://api.whop.com?account=1",
                "https://api.whop.com#part",
                "https://127.0.0.1",
                "http://localhost:8000",
                "http://127.0.0.1.example.test",
                "http://127.0.0.1@example.test",
                "http://127x0.0.1",
                "https://apixwhop.com",
                "http://10.0.0.1",
                "http://[::2]",
                "http://[::1",
            )
        ),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_name_and_not_repeated(name: str, value: str) -> None:
    message = error_for(**{name: value})

    assert message.startswith(f"{name} ")
    assert ";" not in message
    if len(value.strip()) > 4:
        assert value.strip() not in message


@pytest.mark.parametrize("template", ALIASES)
def test_a_template_whose_addresses_a_server_takes_is_read(template: str) -> None:
    assert EnrolmentSettings.from_env({**ENV, "ALIAS_EMAIL_TEMPLATE": template}).alias_email_template == template


@pytest.mark.parametrize(
    "url", ["https://api.whop.com", "https://sandbox-api.whop.com", "http://127.0.0.1:8123", "http://[::1]:8123"]
)
def test_whop_is_reached_at_its_own_hosts_or_at_this_machine(url: str) -> None:
    assert MintSettings.from_env({**ENV, "WHOP_BASE_URL": url}).whop_base_url == url


@pytest.mark.parametrize(
    "value",
    [
        "https://api.whop.com/",
        "https://api.whop.com?",
        "https://api.whop.com#",
        " https://api.whop.com",
        "https://api.whop.com\n",
        "https://api.wh\top.com",
        "http://127.0.0.1:port",
        "http://[::1].example.test",
    ],
)
def test_a_base_url_that_would_not_work_as_one_is_refused(value: str) -> None:
    assert error_for(WHOP_BASE_URL=value).startswith("WHOP_BASE_URL ")


@pytest.mark.parametrize("minutes", [5, 180])
def test_the_limits_of_a_tokens_life_are_within_it(minutes: int) -> None:
    assert MintSettings.from_env({**ENV, "TOKEN_TTL_MINUTES": str(minutes)}).token_ttl_minutes == minutes


def test_optional_values_are_read_when_they_are_there() -> None:
    changes = {"ALIAS_EMAIL_TEMPLATE": "chat+{sub}@team.example.test", "TRUSTED_PROVIDERS": "Google, Okta"}

    settings = EnrolmentSettings.from_env({**ENV, **changes})

    assert settings.alias_email_template == "chat+{sub}@team.example.test"
    assert settings.trusted_providers == ("Google", "Okta")


def test_an_alias_for_everybody_needs_a_template() -> None:
    assert error_for(ENROLMENT_EMAIL="alias").startswith("ALIAS_EMAIL_TEMPLATE ")


def test_groups_and_a_scope_are_read_when_they_are_there() -> None:
    changes = {
        "REQUIRED_SCOPE": "chat/use",
        "DENIED_GROUPS": "banned, left",
        "GROUP_FEATURES": "guests=channels, a=b=channels+dms",
    }

    settings = MintSettings.from_env({**ENV, **changes})

    assert settings.required_scope == "chat/use"
    assert settings.denied_groups == ("banned", "left")
    assert settings.group_features == {"guests": ("channels",), "a=b": ("channels", "dms")}


def test_a_space_does_not_make_another_group_whose_members_nobody_narrows() -> None:
    settings = MintSettings.from_env({**ENV, "GROUP_FEATURES": "guests = channels"})

    assert settings.group_features == {"guests": ("channels",)}


def test_settings_cannot_be_changed() -> None:
    settings = SignUpSettings.from_env(ENV)

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.sync_queue_url = "elsewhere"  # type: ignore[misc]


AWS_ENV = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "a-secret"}


@pytest.mark.parametrize("env", [{}, {"AWS_ENDPOINT_URL": ""}])
def test_without_an_endpoint_aws_is_aws(env: dict[str, str]) -> None:
    assert AwsSettings.from_env(AWS_ENV | env).endpoint is None


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4566", "https://[::1]:443/", "http://127.0.0.1"])
def test_an_endpoint_on_this_machine_is_taken_as_it_is(endpoint: str) -> None:
    assert AwsSettings.from_env(AWS_ENV | {"AWS_ENDPOINT_URL": endpoint}).endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://localhost:4566",
        "https://aws.example.test",
        "http://127.0.0.1.example.test",
        "http://127.0.0.1@example.test",
        "http://127.0.0.1:4566/path",
        "file:///etc",
    ],
)
def test_secrets_are_asked_for_at_no_other_endpoint(endpoint: str) -> None:
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL is not a loopback address") as error:
        AwsSettings.from_env(AWS_ENV | {"AWS_ENDPOINT_URL": endpoint})
    assert endpoint not in str(error.value)


@pytest.mark.parametrize(
    ("env", "message"), [({}, "AWS_REGION is missing"), ({"AWS_REGION": ""}, "AWS_REGION is empty")]
)
def test_a_function_has_to_know_its_region(env: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        AwsSettings.from_env(env)

    assert str(caught.value) == message
    assert caught.value.__context__ is None


def test_a_url_that_cannot_even_be_read_is_not_repeated() -> None:
    assert "netloc" not in error_for(WHOP_BASE_URL="http://secret\u2100.example.test")


def link_settings(**changes: str) -> LinkSettings:
    return LinkSettings.from_env({**ENV, **OAUTH_ENV, **changes})


def test_the_settings_of_linking_arrive_in_their_own_form() -> None:
    settings = link_settings()
    assert settings.oauth_return_urls == ("https://app.team.test/linked", "com.team.app://linked")
    assert settings.user_pool_client_ids == ("web", "mobile")
    assert link_settings(SYNC_QUEUE_URL="").sync_queue_url is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OAUTH_CLIENT_ID", "biz_Team"),
        ("OAUTH_REDIRECT_URI", "http://api.team.test/oauth/whop/callback"),
        ("OAUTH_REDIRECT_URI", "https://api.team.test/callback?next=1"),
        ("OAUTH_RETURN_URLS", ""),
        ("OAUTH_RETURN_URLS", "myapp://linked"),
        ("OAUTH_RETURN_URLS", "javascript:alert(1)"),
        ("OAUTH_RETURN_URLS", "https://app.team.test/#x"),
        ("OAUTH_RETURN_URLS", "http://127.0.0.1:3000/linked"),
        ("OAUTH_REDIRECT_URI", "http://127.0.0.1:3000/callback"),
        ("DATA_KEY_SECRET_ARN", ""),
    ],
)
def test_a_setting_that_would_let_codes_or_results_leave_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        link_settings(**{name: value})


def test_the_local_cloud_may_return_to_this_machine() -> None:
    settings = link_settings(WHOP_BASE_URL="http://127.0.0.1:8080", OAUTH_RETURN_URLS="http://127.0.0.1:3000/linked")
    assert settings.oauth_return_urls == ("http://127.0.0.1:3000/linked",)
