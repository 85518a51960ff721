"""What Cognito says of a user: only an active user with the same sub is one."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from tests.fakes.moto_aws import AN_HOUR, aws_at_moto, aws_over
from tests.fakes.moto_aws import client as sdk_client
from whop_chat.cognito.display_name import name_rule, profile_digest
from whop_chat.cognito.pool import (
    ListedUser,
    NotActive,
    PoolStatus,
    PoolUser,
    UserDisabled,
    UserGone,
    UserInactive,
    UserPool,
    not_active,
)
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.aws import AwsError

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

_numbers = itertools.count()
NAMES = name_rule("name,given_name+family_name")
ADA = UserRef(pool_id="eu-west-1_Ab3dEf6Gh", sub="sub-ada", username="ada")


def made_up(name: str) -> str:
    """A user name that no other test uses."""
    return f"{name}-{next(_numbers)}"


class Pool:
    """A user pool at moto."""

    def __init__(self, client: "CognitoIdentityProviderClient") -> None:
        self.client = client
        self.id = client.create_user_pool(PoolName="people")["UserPool"]["Id"]
        self.users = UserPool(aws_at_moto(), self.id, NAMES)

    def sign_up(self, username: str, *, confirmed: bool = True, **attributes: str) -> UserRef:
        answer = self.client.admin_create_user(
            UserPoolId=self.id,
            Username=username,
            UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
            MessageAction="SUPPRESS",
        )
        if confirmed:
            self.client.admin_set_user_password(
                UserPoolId=self.id, Username=username, Password="Correct-horse-1", Permanent=True
            )
        sub = next(item["Value"] for item in answer["User"]["Attributes"] if item["Name"] == "sub")
        return UserRef(pool_id=self.id, sub=sub, username=username)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with mock_aws():
        yield Pool(sdk_client("cognito-idp"))


def test_a_confirmed_user_is_read_with_what_enrolment_needs(pool: Pool) -> None:
    ada = pool.sign_up("ada", email="ada@example.test", email_verified="true", name="Ada Lovelace")

    assert pool.users.admin_get(ada, deadline=AN_HOUR) == PoolUser(
        sub=ada.sub, email="ada@example.test", email_verified=True, name="Ada Lovelace", providers=()
    )


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (None, None),
        ("picture", "https://pictures.example/ada.jpg"),
        ("s3://bucket/prefix/{sub}", "s3://bucket/prefix/"),
    ],
)
def test_a_picture_is_where_the_source_says(pool: Pool, source: str | None, found: str | None) -> None:
    user = pool.sign_up(made_up("pictured"), picture="https://pictures.example/ada.jpg", name="../s3://other/key")
    users = UserPool(aws_at_moto(), pool.id, NAMES, source)
    expected = f"{found}{user.sub}" if found and found.startswith("s3:") else found

    assert users.admin_get(user, deadline=AN_HOUR).picture == expected
    assert users.lookup(user, deadline=AN_HOUR).pool_user.picture == expected


def test_a_picture_has_a_digest_for_the_record_and_none_has_none() -> None:
    shown, bare, unset = (
        PoolUser(sub=ADA.sub, email=None, email_verified=False, name=None, providers=(), picture=picture)
        for picture in ("https://pictures.example/ada.jpg", "", None)
    )

    assert shown.picture_digest == profile_digest(ADA.sub, "https://pictures.example/ada.jpg")
    assert (bare.picture_digest, unset.picture_digest) == (None, None)
    assert not any(user.picture_is_object for user in (shown, bare, unset))


def test_a_log_line_with_a_user_shows_none_of_their_attributes() -> None:
    user = PoolUser(sub=ADA.sub, email="hidden", email_verified=True, name="hidden", providers=(), picture="hidden")

    assert "hidden" not in repr(user)


@pytest.mark.parametrize(
    ("status", "error"),
    [(PoolStatus.GONE, UserGone), (PoolStatus.DISABLED, UserDisabled), (PoolStatus.INACTIVE, UserInactive)],
)
def test_a_status_that_was_stored_is_the_same_refusal_again(status: PoolStatus, error: type[NotActive]) -> None:
    assert type(not_active(status)) is error


def test_the_words_for_a_status_are_stored_so_they_stay() -> None:
    assert [*PoolStatus] == ["active", "disabled", "password_due", "inactive", "gone"]


def test_a_user_may_have_no_picture(pool: Pool) -> None:
    user = pool.sign_up(made_up("faceless"))

    assert UserPool(aws_at_moto(), pool.id, NAMES, "picture").admin_get(user, deadline=AN_HOUR).picture == ""


def test_the_key_of_an_object_is_never_what_a_user_wrote(pool: Pool) -> None:
    """Another user's key in the bucket, in the attribute that a user may write."""
    other = "s3://bucket/prefix/0a1b2c3d-4e5f-6789-abcd-ef0123456789"
    user = pool.sign_up(made_up("thief"), picture=other)
    found = UserPool(aws_at_moto(), pool.id, NAMES, "s3://bucket/prefix/{sub}").admin_get(user, deadline=AN_HOUR)

    assert found.picture == f"s3://bucket/prefix/{user.sub}"
    assert other not in repr(found)
    assert found.picture_is_object


def test_a_user_with_a_phone_only_has_no_address(pool: Pool) -> None:
    user = pool.users.admin_get(pool.sign_up("phone-only", phone_number="+15550100"), deadline=AN_HOUR)

    assert (user.email, user.email_verified, user.name) == (None, False, None)


# Two ways of asking, which must come to the same: AdminGetUser and ListUsers.

ASK: list[Callable[[UserPool, UserRef], PoolUser]] = [
    lambda users, user: users.admin_get(user, deadline=AN_HOUR),
    lambda users, user: users.lookup(user, deadline=AN_HOUR).require_may_sign_in(),
]
either_way = pytest.mark.parametrize("ask", ASK, ids=["read", "find"])


@either_way
def test_a_user_is_read_the_same_either_way(pool: Pool, ask: Callable[[UserPool, UserRef], PoolUser]) -> None:
    user = pool.sign_up(made_up("same"), email="same@example.test", email_verified="true", given_name="Ada")

    assert ask(pool.users, user) == PoolUser(
        sub=user.sub, email="same@example.test", email_verified=True, name="Ada", providers=()
    )


@either_way
def test_a_user_name_taken_by_somebody_else_is_not_the_user(
    pool: Pool, ask: Callable[[UserPool, UserRef], PoolUser]
) -> None:
    name = made_up("shared")
    first = pool.sign_up(name, email="first@example.test")
    pool.client.admin_delete_user(UserPoolId=pool.id, Username=name)
    second = pool.sign_up(name, email="second@example.test")

    with pytest.raises(UserGone):
        ask(pool.users, first)
    assert ask(pool.users, second).email == "second@example.test"


@either_way
def test_a_deleted_user_is_gone(pool: Pool, ask: Callable[[UserPool, UserRef], PoolUser]) -> None:
    user = pool.sign_up(made_up("leaver"))
    pool.client.admin_delete_user(UserPoolId=pool.id, Username=user.username)

    with pytest.raises(UserGone):
        ask(pool.users, user)


@either_way
def test_a_disabled_user_is_just_that_until_enabled_again(
    pool: Pool, ask: Callable[[UserPool, UserRef], PoolUser]
) -> None:
    user = pool.sign_up(made_up("paused"))
    pool.client.admin_disable_user(UserPoolId=pool.id, Username=user.username)
    with pytest.raises(UserDisabled):
        ask(pool.users, user)
    pool.client.admin_enable_user(UserPoolId=pool.id, Username=user.username)

    assert ask(pool.users, user).sub == user.sub


@either_way
def test_a_user_who_has_not_set_their_own_password_may_sign_in_without_one(
    pool: Pool, ask: Callable[[UserPool, UserRef], PoolUser]
) -> None:
    user = pool.sign_up(made_up("invited"), confirmed=False)

    assert ask(pool.users, user).sub == user.sub
    assert pool.users.lookup(user, deadline=AN_HOUR).status is PoolStatus.PASSWORD_DUE


def test_a_user_is_found_whatever_name_they_are_known_by(pool: Pool) -> None:
    user = pool.sign_up(made_up("renamed"))

    assert pool.users.lookup(dataclasses.replace(user, username="another"), deadline=AN_HOUR).user == user


def test_the_list_shows_who_is_in_the_pool_whatever_their_standing(pool: Pool) -> None:
    there, gone = pool.sign_up(made_up("there"), confirmed=False), pool.sign_up(made_up("gone"))
    pool.client.admin_delete_user(UserPoolId=pool.id, Username=gone.username)

    assert pool.users.exists(there.sub, deadline=AN_HOUR)
    assert not pool.users.exists(gone.sub, deadline=AN_HOUR)


def test_pages_of_a_group_hold_its_users_and_nobody_else() -> None:
    with mock_aws():
        pool = Pool(sdk_client("cognito-idp"))
        pool.client.create_group(UserPoolId=pool.id, GroupName="beta")
        users = [pool.sign_up(f"user-{number}") for number in range(70)]
        for user in users[:65]:
            pool.client.admin_add_user_to_group(UserPoolId=pool.id, Username=user.username, GroupName="beta")

        first = pool.users.list_group("beta", None, deadline=AN_HOUR)
        last = pool.users.list_group("beta", first.next_token, deadline=AN_HOUR)
        with pytest.raises(AwsError, match="ResourceNotFoundException"):
            pool.users.list_group("gamma", None, deadline=AN_HOUR)

    assert (len(first.users), len(last.users), last.next_token) == (60, 5, None)
    assert {each.user for each in (*first.users, *last.users)} == set(users[:65])


def test_pages_hold_each_user_once_as_they_stand() -> None:
    with mock_aws():
        pool = Pool(sdk_client("cognito-idp"))
        users = [pool.sign_up(f"user-{number}", confirmed=number != 3) for number in range(70)]
        pool.client.admin_disable_user(UserPoolId=pool.id, Username="user-5")

        first = pool.users.list_page(None, deadline=AN_HOUR)
        last = pool.users.list_page(first.next_token, deadline=AN_HOUR)

    assert (len(first.users), len(last.users), last.next_token) == (60, 10, None)
    listed = {each.user.username: each for each in (*first.users, *last.users)}
    assert {each.user for each in listed.values()} == set(users)
    assert {name: each.status for name, each in listed.items() if each.status is not PoolStatus.ACTIVE} == {
        "user-3": PoolStatus.PASSWORD_DUE,
        "user-5": PoolStatus.DISABLED,
    }
    assert listed["user-0"] == ListedUser(
        users[0],
        PoolStatus.ACTIVE,
        PoolUser(sub=users[0].sub, email=None, email_verified=False, name=None, providers=()),
    )


# What follows cannot be brought about at moto.


@pytest.fixture(scope="module")
def client() -> "CognitoIdentityProviderClient":
    return aws_at_moto().cognito


@pytest.fixture
def cognito(client: "CognitoIdentityProviderClient") -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def answer(attributes: Mapping[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    """Cognito's answer about Ada; a change to None leaves the member out."""
    named = [{"Name": name, "Value": value} for name, value in {"sub": ADA.sub, **(attributes or {})}.items()]
    usual = {"Username": ADA.username, "UserAttributes": named, "UserStatus": "CONFIRMED", "Enabled": True}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def read(cognito: Stubber, client: "CognitoIdentityProviderClient", given: dict[str, Any]) -> PoolUser:
    cognito.add_response("admin_get_user", given, {"UserPoolId": ADA.pool_id, "Username": ADA.username})
    return UserPool(aws_at_moto(), ADA.pool_id, NAMES).admin_get(ADA, deadline=AN_HOUR)


IDENTITIES = json.dumps([{"userId": "1", "providerName": "Google"}, {"userId": "2", "providerName": "Okta"}])


@pytest.mark.parametrize(
    ("identities", "providers"),
    [
        ({"identities": IDENTITIES}, ("Google", "Okta")),
        ({}, ("",)),
        ({"identities": ""}, ("",)),
        ({"identities": "[]"}, ("",)),
        ({"identities": "{}"}, ("",)),
        ({"identities": "null"}, ("",)),
        ({"identities": '["Google"]'}, ("",)),
        ({"identities": '[{"providerName": "Google"}, {"userId": "2"}]'}, ("",)),
        ({"identities": "not json"}, ("",)),
    ],
)
def test_a_federated_user_has_the_providers_that_can_be_read_or_one_that_nobody_trusts(
    cognito: Stubber, client: "CognitoIdentityProviderClient", identities: dict[str, str], providers: tuple[str, ...]
) -> None:
    assert read(cognito, client, answer(identities, UserStatus="EXTERNAL_PROVIDER")).providers == providers


def test_a_native_user_who_is_linked_to_a_provider_has_that_provider(
    cognito: Stubber, client: "CognitoIdentityProviderClient"
) -> None:
    # At each sign-in through the provider, Cognito overwrites the linked local profile with the claims mapped from it
    # (Cognito developer guide, "Linking federated users to an existing user profile").
    assert read(cognito, client, answer({"identities": IDENTITIES})).providers == ("Google", "Okta")


@pytest.mark.parametrize("status", ["RESET_REQUIRED", "FORCE_CHANGE_PASSWORD"])
def test_a_user_who_has_just_signed_in_may_have_their_password_due(
    cognito: Stubber, client: "CognitoIdentityProviderClient", status: str
) -> None:
    assert read(cognito, client, answer(UserStatus=status)).sub == ADA.sub


@pytest.mark.parametrize("status", ["RESET_REQUIRED", "FORCE_CHANGE_PASSWORD"])
def test_a_user_whose_password_is_due_and_who_is_disabled_is_disabled(
    cognito: Stubber, client: "CognitoIdentityProviderClient", status: str
) -> None:
    with pytest.raises(UserDisabled):
        read(cognito, client, answer(UserStatus=status, Enabled=False))


@pytest.mark.parametrize("status", ["UNCONFIRMED", "ARCHIVED", "COMPROMISED", "UNKNOWN", "", "confirmed"])
def test_a_user_in_no_active_status_is_inactive(
    cognito: Stubber, client: "CognitoIdentityProviderClient", status: str
) -> None:
    with pytest.raises(UserInactive):
        read(cognito, client, answer(UserStatus=status))


def test_a_user_of_whom_cognito_does_not_say_that_they_are_enabled_is_not_active(
    cognito: Stubber, client: "CognitoIdentityProviderClient"
) -> None:
    with pytest.raises(UserDisabled):
        read(cognito, client, answer(Enabled=None))


@pytest.mark.parametrize("verified", ["", "1", "false", "False", " true", "true ", "truе", "yes", "t"])
def test_only_the_word_true_makes_an_address_verified(
    cognito: Stubber, client: "CognitoIdentityProviderClient", verified: str
) -> None:
    given = answer({"email": "ada@example.test", "email_verified": verified})

    assert read(cognito, client, given).email_verified is False


@pytest.mark.parametrize("verified", ["true", "True", "TRUE"])
def test_the_letter_case_of_true_does_not_matter(
    cognito: Stubber, client: "CognitoIdentityProviderClient", verified: str
) -> None:
    given = answer({"email": "ada@example.test", "email_verified": verified})

    assert read(cognito, client, given).email_verified is True


def test_half_a_surrogate_pair_makes_no_address(cognito: Stubber, client: "CognitoIdentityProviderClient") -> None:
    assert read(cognito, client, answer({"email": "ada\ud800@example.test"})).email is None


@pytest.mark.parametrize("username", ["ada", 7])
def test_an_attribute_that_is_no_text_is_an_error_of_aws(username: object) -> None:
    attributes = [{"Name": "sub", "Value": ADA.sub}, {"Name": "email", "Value": 5 if username == "ada" else "a@b.test"}]
    user = {"Username": username, "UserAttributes": attributes, "UserStatus": "CONFIRMED", "Enabled": True}
    aws = aws_over(httpx.MockTransport(lambda _: httpx.Response(200, json=user)))

    with pytest.raises(AwsError, match="AdminGetUser: InvalidResponse"):
        UserPool(aws, ADA.pool_id, NAMES).admin_get(ADA, deadline=AN_HOUR)


def test_an_empty_address_is_none(cognito: Stubber, client: "CognitoIdentityProviderClient") -> None:
    assert read(cognito, client, answer({"email": "", "email_verified": "true"})).email is None


@pytest.mark.parametrize("code", ["TooManyRequestsException", "InternalErrorException", "ResourceNotFoundException"])
def test_a_failure_of_cognito_says_nothing_about_the_user(
    cognito: Stubber, client: "CognitoIdentityProviderClient", code: str
) -> None:
    cognito.add_client_error("admin_get_user", code, "about ada@example.test")

    with pytest.raises(AwsError) as caught:
        UserPool(aws_at_moto(), ADA.pool_id, NAMES).admin_get(ADA, deadline=AN_HOUR)

    assert caught.value.code == code
    assert str(caught.value) == f"AdminGetUser: {code}"


def test_a_user_whom_the_list_does_not_show_yet_is_not_gone(
    cognito: Stubber, client: "CognitoIdentityProviderClient"
) -> None:
    asked = {"UserPoolId": ADA.pool_id, "Filter": f'sub = "{ADA.sub}"', "Limit": 1}
    cognito.add_response("list_users", {"Users": []}, asked)
    cognito.add_response("admin_get_user", answer(), {"UserPoolId": ADA.pool_id, "Username": ADA.username})

    assert UserPool(aws_at_moto(), ADA.pool_id, NAMES).lookup(ADA, deadline=AN_HOUR).user == ADA


def test_a_list_that_shows_another_user_does_not_show_this_one(
    cognito: Stubber, client: "CognitoIdentityProviderClient"
) -> None:
    other = {"Username": "bob", "Attributes": [{"Name": "sub", "Value": "sub-bob"}], "UserStatus": "CONFIRMED"}
    cognito.add_response("list_users", {"Users": [{**other, "Enabled": True}]})
    cognito.add_client_error("admin_get_user", "UserNotFoundException")

    with pytest.raises(UserGone):
        UserPool(aws_at_moto(), ADA.pool_id, NAMES).lookup(ADA, deadline=AN_HOUR)


@pytest.mark.parametrize("sub", ["", 'x" or sub ^= "', "x y", "x\n"])
def test_only_a_sub_goes_into_a_filter(sub: str) -> None:
    with pytest.raises(ValueError, match="not a sub"):
        UserPool(aws_at_moto(), ADA.pool_id, NAMES).lookup(dataclasses.replace(ADA, sub=sub), deadline=AN_HOUR)


def test_a_page_is_as_large_as_cognito_allows(cognito: Stubber) -> None:
    users = UserPool(aws_at_moto(), ADA.pool_id, NAMES)
    cognito.add_response("list_users", {"Users": []}, {"UserPoolId": ADA.pool_id, "Limit": 60})
    of_group = {"UserPoolId": ADA.pool_id, "GroupName": "beta", "Limit": 60}
    cognito.add_response("list_users_in_group", {"Users": []}, of_group)

    assert users.list_page(None, deadline=AN_HOUR).users == ()
    assert users.list_group("beta", None, deadline=AN_HOUR).users == ()


def test_a_failure_of_the_list_says_nothing_about_the_user(
    cognito: Stubber, client: "CognitoIdentityProviderClient"
) -> None:
    cognito.add_client_error("list_users", "ResourceNotFoundException")

    with pytest.raises(AwsError) as caught:
        UserPool(aws_at_moto(), ADA.pool_id, NAMES).lookup(ADA, deadline=AN_HOUR)
    assert not isinstance(caught.value, NotActive)


def test_users_are_found_by_sub_user_name_or_address(pool: Pool) -> None:
    name, address = made_up("wanted"), f"{made_up('wanted')}@example.test"
    user = pool.sign_up(name, email=address)
    twin = pool.sign_up(made_up("twin"), email=address)

    def found(attribute: Literal["sub", "username", "email"], value: str) -> set[UserRef]:
        return {listed.user for listed in pool.users.list_by(attribute, value, deadline=AN_HOUR)}

    assert found("sub", user.sub) == found("username", name) == {user}
    assert found("email", address) == {user, twin}
    assert found("username", address) == found("sub", name) == set()


def test_a_quotation_mark_does_not_end_what_is_looked_for(pool: Pool) -> None:
    asked: list[str] = []

    def note(params: Mapping[str, Any], **_: Any) -> None:
        asked.append(json.loads(params["body"])["Filter"])

    events = aws_at_moto().cognito.meta.events
    events.register("before-call.cognito-identity-provider.ListUsers", note)
    try:
        pool.users.list_by("username", 'a" or \\', deadline=AN_HOUR)
    finally:
        events.unregister("before-call.cognito-identity-provider.ListUsers", note)

    # Cognito, ListUsers: quotation marks in a filter are escaped by a backslash.
    assert asked == ['username = "a\\" or \\\\"']
