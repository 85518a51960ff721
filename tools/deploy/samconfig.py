"""What `samconfig.toml` says about a stage: the stack's name and the parameters that the team shares."""

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.deploy.errors import DeployError


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: ``dev``, ``staging``, ``prod``, or a name of your own."""

    name: str
    stack: str
    parameters: Mapping[str, str]


def read(path: Path, stage: str) -> Stage:
    """The stage as ``path`` describes it. A stage that is not in there gets a stack of its own name.

    Raises `DeployError` if its parameters cannot be read.
    """
    config = tomllib.loads(path.read_text()) if path.exists() else {}
    settings: Mapping[str, Any] = config.get(stage, {}).get("global", {}).get("parameters", {})
    overrides = settings.get("parameter_overrides", [])
    entries = [overrides] if isinstance(overrides, str) else overrides
    return Stage(stage, settings.get("stack_name", f"whop-chat-{stage}"), _values(entries, path))


def _values(entries: list[str], path: Path) -> dict[str, str]:
    """``Name=Value`` and ``Name="a value"``, as the SAM CLI reads them.

    SAM cuts an unquoted value at a space without a word, so that ``Name=a, b`` is refused here.
    https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-config.html
    """
    values = {}
    for word in (word for entry in entries for word in shlex.split(entry)):
        name, equals, value = word.partition("=")
        if not equals:
            raise DeployError(f'{path.name}: "{word}" is no Name=Value. Quote a value that has a space: Name="a, b".')
        values[name] = value
    return values
