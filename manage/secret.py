"""A secret of the stack that gets a new value by way of a pending version, which no function reads.

Secrets Manager moves the label AWSCURRENT in one step (AWS, "UpdateSecretVersionStage"). So whatever interrupts a
rotation, the functions find either the old value or the new one.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_CURRENT, _PENDING = "AWSCURRENT", "AWSPENDING"


@dataclass(frozen=True, slots=True)
class Version:
    """One value of the secret. ``created_at`` is when it was stored."""

    id: str
    text: str = field(repr=False)
    created_at: datetime


class Secret:
    """The secret under ``arn``. Every method raises botocore's errors."""

    def __init__(self, client: "SecretsManagerClient", arn: str) -> None:
        self._client = client
        self._arn = arn

    def current(self) -> Version | None:
        """The version that functions read, or None if the secret has no value yet."""
        try:
            return self._read(VersionStage=_CURRENT)
        except self._client.exceptions.ResourceNotFoundException:
            return None

    def stage(self, text: str) -> Version:
        """Store ``text`` as the pending version, and return what is stored.

        The secret must have a value: Secrets Manager makes the first version the current one at once.
        """
        stored = self._client.put_secret_value(SecretId=self._arn, SecretString=text, VersionStages=[_PENDING])
        return self._read(VersionId=stored["VersionId"])

    def promote(self, pending: Version, *, replacing: Version) -> None:
        """Make ``pending`` the current version. Secrets Manager refuses that if ``replacing`` is not it any more."""
        self._client.update_secret_version_stage(
            SecretId=self._arn, VersionStage=_CURRENT, MoveToVersionId=pending.id, RemoveFromVersionId=replacing.id
        )

    def withdraw(self, pending: Version) -> None:
        """Take the label of a pending version away, after which Secrets Manager may delete an unused version."""
        self._client.update_secret_version_stage(
            SecretId=self._arn, VersionStage=_PENDING, RemoveFromVersionId=pending.id
        )

    def _read(self, **which: str) -> Version:
        answer = self._client.get_secret_value(SecretId=self._arn, **which)
        return Version(answer["VersionId"], answer.get("SecretString", ""), answer["CreatedDate"])
