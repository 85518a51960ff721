"""A secret of the stack that gets a new value by way of a pending version, which no function reads.

Secrets Manager moves the label AWSCURRENT in one step (AWS, "UpdateSecretVersionStage"). So whatever interrupts a
rotation, the functions find either the old value or the new one.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from manage.errors import AWS_ERRORS
from whop_chat.runtime.secrets import MAX_AGE_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_CURRENT, _PENDING = "AWSCURRENT", "AWSPENDING"
# A request that began with the former value ends within this time.
_REQUEST_SECONDS = 60


def known_everywhere(stored_at: float) -> float:
    """When no function uses the value before the one that was stored at ``stored_at``. Both in epoch seconds."""
    return stored_at + MAX_AGE_SECONDS + _REQUEST_SECONDS


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

    def promote(self, pending: Version, *, replacing: Version) -> None:
        """Make ``pending`` the current version. Secrets Manager refuses that if ``replacing`` is not it any more."""
        self._client.update_secret_version_stage(
            SecretId=self._arn, VersionStage=_CURRENT, MoveToVersionId=pending.id, RemoveFromVersionId=replacing.id
        )

    @contextlib.contextmanager
    def pending(self, text: str) -> Iterator[Version]:
        """Store ``text`` as the pending version for a block that may `promote` it.

        The secret must have a value: Secrets Manager makes the first version the current one at once. After the block
        the version is not pending any more. An unused one is deleted by Secrets Manager in time.
        """
        stored = self._client.put_secret_value(SecretId=self._arn, SecretString=text, VersionStages=[_PENDING])
        version_id = stored["VersionId"]
        try:
            yield self._read(VersionId=version_id)
        finally:
            # The label does no harm, and must not hide how the block ended.
            with contextlib.suppress(*AWS_ERRORS):
                self._client.update_secret_version_stage(
                    SecretId=self._arn, VersionStage=_PENDING, RemoveFromVersionId=version_id
                )

    def _read(self, **which: str) -> Version:
        answer = self._client.get_secret_value(SecretId=self._arn, **which)
        return Version(answer["VersionId"], answer.get("SecretString", ""), answer["CreatedDate"])
