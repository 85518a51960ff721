"""Whether an origin that only a developer needs is left in production."""

from collections.abc import Iterator

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment


def check(deployment: Deployment) -> Iterator[Finding]:
    """A warning for each origin with a port on this machine in stage prod. An app shell's origin has no port."""
    parameters = deployment.stack.parameters
    if parameters.get("Stage") != "prod":
        return
    for origin in parameters.get("AllowedOrigins", "").split(","):
        if origin.strip() == "*":
            yield Finding(
                Severity.PROBLEM,
                "any_origin",
                "AllowedOrigins of stage prod is *, so every web page can use the tokens of its visitors.",
                "Name the origins of your apps.",
            )
        if origin.strip().startswith("http://") and origin.strip() != "http://localhost":
            yield Finding(
                Severity.WARNING,
                "local_origin",
                f"AllowedOrigins of stage prod names {origin.strip()}, which is a developer's own server.",
                "Remove it, unless an app shell has this origin.",
            )
