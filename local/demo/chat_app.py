"""A team's own app: it signs a user up and in with Cognito, and asks for the chat token."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from pycognito import AWSSRP

from local.stack import Deployment, LocalStack


@dataclass(frozen=True, slots=True)
class User:
    """A user of the pool, with their password."""

    email: str
    sub: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one sign-in."""

    access: str = field(repr=False)
    id: str = field(repr=False)
    refresh: str = field(repr=False)


class ChatApp:
    """An app client of one deployment's user pool, and the API that the app calls."""

    def __init__(
        self, cloud: LocalStack, deployment: Deployment, *, pool_id: str | None = None, client_id: str | None = None
    ) -> None:
        self._cloud = cloud
        self._url = deployment.api_url
        self.pool_id = pool_id or deployment["UserPoolId"]
        self.client_id = client_id or deployment["UserPoolClientId"]

    def sign_up(self, email: str | None = None, *, username: str | None = None, confirm: bool = True) -> User:
        """Sign a new user up, and confirm them with the code from the mail unless ``confirm`` is False.

        ``username`` is for pools whose users do not sign in by e-mail address. Raises botocore's ClientError.
        """
        email = email or made_up_email()
        user = User(email, self._sign_up(email, username or email, password := made_up_password()), password)
        if confirm:
            self.confirm(user, username=username)
        return user

    def _sign_up(self, email: str, username: str, password: str) -> str:
        return self._cloud.cognito.sign_up(
            ClientId=self.client_id,
            Username=username,
            Password=password,
            UserAttributes=[{"Name": "email", "Value": email}],
        )["UserSub"]

    def confirm(self, user: User, *, username: str | None = None) -> None:
        """Confirm with the code from the newest mail. Cognito calls the pool's trigger before this returns."""
        self._cloud.cognito.confirm_sign_up(
            ClientId=self.client_id,
            Username=username or user.email,
            ConfirmationCode=self._cloud.confirmation_code(user.email),
        )

    def create_by_admin(self, email: str | None = None, *, username: str | None = None, verified: bool = True) -> User:
        """Create a user as an administrator, with a permanent password. Cognito calls no trigger."""
        email = email or made_up_email()
        user = User(email, "", made_up_password())
        created = self._cloud.cognito.admin_create_user(
            UserPoolId=self.pool_id,
            Username=username or email,
            MessageAction="SUPPRESS",
            UserAttributes=[
                {"Name": "email", "Value": email},
                {"Name": "email_verified", "Value": "true" if verified else "false"},
            ],
        )["User"]
        self._cloud.cognito.admin_set_user_password(
            UserPoolId=self.pool_id, Username=username or email, Password=user.password, Permanent=True
        )
        attributes = {attribute["Name"]: attribute["Value"] for attribute in created["Attributes"]}
        return User(email, attributes["sub"], user.password)

    def sign_in(self, user: User, *, username: str | None = None) -> Tokens:
        """Sign in by SRP, as the app SDKs do. Raises botocore's ClientError."""
        srp = AWSSRP(username or user.email, user.password, self.pool_id, self.client_id, client=self._cloud.cognito)
        result = srp.authenticate_user()["AuthenticationResult"]
        return Tokens(result["AccessToken"], result["IdToken"], result["RefreshToken"])

    def mint(
        self, token: str | None, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST /chat/token with the Cognito ``token``, and ``body`` as JSON if it is not None."""
        authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self._cloud.http.post(
            f"{self._url}/chat/token",
            headers=authorization | dict(headers or {}),
            **({} if body is None else {"json": body}),  # type: ignore[arg-type]
        )

    def call(self, method: str, path: str, token: str | None, body: object = None) -> httpx.Response:
        """Any other request of the app, with the Cognito ``token`` if it is not None."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self._cloud.http.request(method, f"{self._url}{path}", headers=headers, json=body)

    def health(self) -> httpx.Response:
        """GET /health."""
        return self._cloud.http.get(f"{self._url}/health")

    def ready(self) -> httpx.Response:
        """GET /health/ready."""
        return self._cloud.http.get(f"{self._url}/health/ready")


def made_up_email() -> str:
    """A new address that belongs to nobody."""
    return f"user-{secrets.token_hex(6)}@people.example.test"


def made_up_password() -> str:
    """A new password that meets any password policy."""
    return f"Aa1!{secrets.token_urlsafe(12)}"
