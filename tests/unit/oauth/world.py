"""OAuth with everything around it: moto's DynamoDB and secrets, and the simulator's OAuth server, on one clock."""

import dataclasses
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from local.whop_simulator import Simulator, as_httpx_transport
from tests.fakes.clock import Clock
from tests.fakes.moto_aws import AN_HOUR, aws_at_moto, client
from tests.fakes.telemetry import RecordingTelemetry
from whop_chat.cognito.user import UserRef
from whop_chat.oauth.attempts import Attempts
from whop_chat.oauth.authorization import OAuthClient
from whop_chat.oauth.id_token import IdTokenVerifier, WhopProfile
from whop_chat.oauth.linking import Linking, Return
from whop_chat.oauth.links import OwnLink, OwnLinks
from whop_chat.oauth.revocations import Revocations
from whop_chat.oauth.server import OAuthServer, client_secret
from whop_chat.oauth.token import OwnToken, OwnTokens
from whop_chat.oauth.unlinking import Unlinking
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.sealed import KeyRing, data_keys
from whop_chat.users.record import Record
from whop_chat.users.repository import DynamoDBUserRepository

TABLE = "users"
BASE = "https://api.whop.com"
CLIENT = OAuthClient("app_Team", "https://api.team.test/oauth/whop/callback")
RETURN_TO = "https://app.team.test/linked"
APP_SCHEME = "com.team.app://linked"
ADA = UserRef(pool_id="eu-west-1_Ab3dEf6Gh", sub="sub-ada", username="ada")
BEN = UserRef(pool_id="eu-west-1_Ab3dEf6Gh", sub="sub-ben", username="ben")
SCOPES = ("chat:message:create", "chat:read")
EMAIL = "ada@mail.test"


class World:
    """One table, one secret, one Whop. ``instance`` is a function that has just started."""

    def __init__(self) -> None:
        self.clock = Clock(1_800_000_000)
        self.simulator = Simulator(clock=self.clock)
        self.simulator.add_company()
        self.simulator.add_oauth_app(CLIENT.client_id, [CLIENT.redirect_uri])
        self.browser = httpx.Client(transport=as_httpx_transport(self.simulator), base_url=BASE)
        self.secret = client("secretsmanager").create_secret(
            Name="data-keys", SecretString="".join(map(str, range(40)))
        )["ARN"]
        self.client_secret = client("secretsmanager").create_secret(Name="client-secret")["ARN"]
        self.enqueued: list[UserRef] = []
        self.instance()

    def instance(
        self,
        *,
        oauth_client: OAuthClient = CLIENT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Start a new instance, with nothing in memory."""
        aws = aws_at_moto()
        keys = data_keys(aws, self.secret)
        self.telemetry = RecordingTelemetry()
        self.users = DynamoDBUserRepository(aws, TABLE)
        http = HttpClient(transport or as_httpx_transport(self.simulator))
        secret = client_secret(aws, self.client_secret)
        self.server = OAuthServer(http, oauth_client, self.telemetry, base_url=BASE, secret=secret)
        self.links = OwnLinks(aws, TABLE, keys, oauth_client.client_id)
        self.revocations = Revocations(aws, TABLE, keys, self.server, self.telemetry, self.enqueued.append)
        self.attempts = Attempts(aws, TABLE, keys, clock=self.clock)
        self.linking = Linking(
            self.users,
            self.attempts,
            self.links,
            self.revocations,
            self.server,
            IdTokenVerifier(issuer=BASE, client_id=oauth_client.client_id, clock=self.clock),
            return_urls=[RETURN_TO, APP_SCHEME],
            issuer=BASE,
            clock=self.clock,
        )
        self.unlinking = Unlinking(self.users, self.links, self.revocations)
        self.tokens = OwnTokens(
            self.links, self.revocations, self.server, self.telemetry, clock=self.clock, sleep=self.clock.advance
        )

    # What users and their browsers do

    def begin(self, user: UserRef = ADA, return_to: str = RETURN_TO) -> str:
        """The URL at Whop."""
        return self.linking.begin(user, SCOPES, return_to, deadline=AN_HOUR)

    def consent(self, url: str, email: str = EMAIL, *, decision: str = "allow") -> dict[str, str]:
        """Decide on the page at Whop; the query of the callback."""
        form = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        answer = self.browser.post(
            "/oauth/authorize", content=urlencode({**form, "email": email, "decision": decision}).encode()
        )
        location = answer.headers["location"]
        assert location.startswith(f"{CLIENT.redirect_uri}?")
        return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}

    def callback(self, query: dict[str, str]) -> Return:
        """What the callback answers."""
        return self.linking.callback(query, deadline=AN_HOUR)

    def result(self, user: UserRef = ADA, email: str = EMAIL) -> str:
        """The one-time result of a link that ``user`` began and ``email`` consented to."""
        returned = self.callback(self.consent(self.begin(user), email))
        assert returned.result is not None
        return returned.result

    def complete(self, result: str, user: UserRef = ADA) -> WhopProfile:
        """What `complete` answers."""
        return self.linking.complete(user, result, deadline=AN_HOUR)

    def link(self, user: UserRef = ADA, email: str = EMAIL) -> WhopProfile:
        """Link ``user`` to the account of ``email``."""
        return self.complete(self.result(user, email), user)

    def token(self, user: UserRef = ADA, allowed: tuple[str, ...] = SCOPES) -> OwnToken:
        """The user's token."""
        return self.tokens.current(user, self.record(user), allowed, deadline=AN_HOUR)

    # What there is afterwards

    def record(self, user: UserRef = ADA) -> Record | None:
        return self.users.get(user, deadline=AN_HOUR)

    def own_link(self, user: UserRef = ADA) -> OwnLink:
        found = self.links.get(user, deadline=AN_HOUR)
        assert found is not None
        return found

    def change_link(self, user: UserRef = ADA, **changes: object) -> None:
        """Change the user's link behind everybody's back."""
        link = self.own_link(user)
        self.links.put(user, dataclasses.replace(link, **changes), expected=link, deadline=AN_HOUR)  # type: ignore[arg-type]

    def whop_user_of(self, token: str) -> str | None:
        """Whom Whop takes the bearer of ``token`` for; None if it refuses it."""
        answer = self.browser.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})
        return str(answer.json()["sub"]) if answer.status_code == 200 else None

    def grants(self) -> int:
        """How many consents are alive at Whop."""
        dumped: Any = self.simulator.dump()["oauth"]
        return len(dumped[0]["grants"])

    def refreshes(self) -> int:
        """How often the token endpoint was called."""
        return len(self.simulator.calls("oauth.token"))

    def rotate_data_key(self) -> KeyRing:
        """Add a data key, which seals from now on."""
        secrets = client("secretsmanager")
        ring = KeyRing.from_secret(secrets.get_secret_value(SecretId=self.secret)["SecretString"]).with_new_key()
        secrets.put_secret_value(SecretId=self.secret, SecretString=ring.to_secret())
        return ring
