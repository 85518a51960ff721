"""What the page can do to the running stack, besides what every app can do."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from local.demo.chat_app import ChatApp, Tokens, User
from local.dev.log import entries
from local.dev.running import CHANNEL
from local.sam import REGION, ROOT
from local.stack import Deployment, LocalStack
from local.whop_simulator import DEFAULT_COMPANY, Fault

LIMITED_SECONDS = 20
SLOW_SECONDS = 2.0


class NotDoneError(Exception):
    """An action of the page failed; the message says why."""


class Playground:
    """The actions of the page on one deployment."""

    def __init__(self, cloud: LocalStack, deployment: Deployment) -> None:
        self._cloud = cloud
        self._deployment = deployment
        self._app = ChatApp(cloud, deployment)
        self.breakages: Mapping[str, Callable[[], None]] = {
            "expire": self._expire_tokens,
            "down": lambda: self._fault(Fault("*", "unreachable", count=None)),
            "limit": lambda: self._fault(
                Fault("*", "status", status=429, wait=LIMITED_SECONDS, count=None, lasts=LIMITED_SECONDS)
            ),
            "slow": lambda: self._fault(Fault("*", "delay", seconds=SLOW_SECONDS, count=None)),
            "repair": cloud.whop.clear_faults,
            "rotate": self._rotate_key,
            "readable-401": lambda: cloud.switch(readable_401=True),
            "unreadable-401": lambda: cloud.switch(readable_401=False),
        }
        self.user_actions: Mapping[str, Callable[[str], None]] = {
            "deny": lambda sub: self._manage("deny", sub),
            "allow": lambda sub: self._manage("allow", sub),
            "delete": self._delete,
        }

    @property
    def api_url(self) -> str:
        """The stack's API."""
        return self._deployment.api_url

    @property
    def whop_url(self) -> str:
        """Where the simulator serves its chat scripts."""
        return self._cloud.whop_url

    @property
    def cognito_url(self) -> str:
        """Where the emulator is."""
        return self._cloud.emulator_url

    def configuration(self) -> dict[str, Any]:
        """What an app on this stack is configured with."""
        return {
            "apiUrl": self.api_url,
            "region": REGION,
            "userPoolId": self._deployment["UserPoolId"],
            "userPoolClientId": self._deployment["UserPoolClientId"],
            "cognitoUrl": self.cognito_url,
            "whopUrl": self.whop_url,
            "companyId": DEFAULT_COMPANY,
            "channelId": CHANNEL,
            "limitedSeconds": LIMITED_SECONDS,
        }

    def mails(self) -> list[dict[str, str]]:
        """Every mail that Cognito sent: ``to`` and ``text``, newest first."""
        return self._cloud.mails()

    def sign_in(self, email: str, password: str) -> Tokens:
        """Sign in by SRP, as Cognito's own SDKs do. Raises botocore's ClientError."""
        return self._app.sign_in(User(email, "", password))

    def record(self, sub: str) -> dict[str, str]:
        """The user's record in the users table. Empty if there is none."""
        return self._cloud.user_record(self._deployment, sub)

    def log(self, after: int) -> dict[str, Any]:
        """The entries of the log after the first ``after`` lines, and the number of lines now."""
        lines = self._cloud.function_lines()
        return {"entries": [*entries(lines[after:])], "next": len(lines)}

    def _fault(self, fault: Fault) -> None:
        self._cloud.whop.clear_faults()
        self._cloud.whop.add_fault(fault)

    def _expire_tokens(self) -> None:
        """Every token is over at Whop, and so are those that the service keeps for users' own accounts."""
        self._cloud.whop.expire_tokens()
        self._cloud.expire_own_tokens(self._deployment)

    def _rotate_key(self) -> None:
        """As an operator does it: the new key is in the secret before the old one ends."""
        new = f"apik_{secrets.token_urlsafe(24)}"
        old = self._cloud.secretsmanager.get_secret_value(SecretId=self._deployment["WhopSecretArn"])["SecretString"]
        self._cloud.whop.add_key(new)
        self._cloud.put_api_key(self._deployment, new)
        self._cloud.whop.revoke_key(old)

    def _delete(self, sub: str) -> None:
        found = self._cloud.cognito.list_users(UserPoolId=self._app.pool_id, Filter=f'sub = "{sub}"')["Users"]
        for user in found:
            self._cloud.cognito.admin_delete_user(UserPoolId=self._app.pool_id, Username=user["Username"])

    def _manage(self, command: str, sub: str) -> None:
        path = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT / "layers" / "whop_chat")}
        ended = subprocess.run(
            [sys.executable, "-m", "manage", "--stack", self._deployment.name, "--json", command, sub],
            cwd=ROOT,
            env=path | self._cloud.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if ended.returncode:
            raise NotDoneError(ended.stderr.strip() or ended.stdout.strip())
