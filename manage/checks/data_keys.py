"""Whether the data keys can be used, and whether a rotation of them is unfinished."""

from collections.abc import Iterator

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from manage.secret import Secret
from whop_chat.runtime.sealed import KeyRing, UnusableDataKey


def check(deployment: Deployment) -> Iterator[Finding]:
    """A problem if functions cannot read the ring. Raises botocore's errors."""
    stack = deployment.stack
    if "DataKeySecretArn" not in stack.outputs:
        return
    version = Secret(stack.client("secretsmanager"), stack.output("DataKeySecretArn")).current()
    try:
        ring = KeyRing.from_secret(version and version.text)
    except UnusableDataKey as error:
        yield Finding(
            Severity.PROBLEM,
            "data_keys_unusable",
            f"No sealed token can be read or written: {error}.",
            "Restore a former version of the secret <DataKeySecretArn>.",
        )
        return
    if len(ring.keys) > 1:
        yield Finding(
            Severity.INFO,
            "data_key_rotation_unfinished",
            f"The ring has {len(ring.keys)} data keys, so a rotation is not finished.",
            f'Run: make manage ARGS="--stack {stack.name} rotate-data-key"',
        )
