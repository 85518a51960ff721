"""The answers of an operator: asked once, and kept in a file of this clone that Git ignores."""

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.deploy.errors import DeployError
from tools.deploy.template import Parameter

QUESTIONS = ("AllowedOrigins", "WhopCompanyId", "UserPoolId", "UserPoolClientIds", "AlarmEmail")
"""What no default can know. A template that lacks one of them is not asked for it."""

type Ask = Callable[[Parameter, str | None], str]
"""Asks for a parameter. The second argument is what was wrong with the last answer, or None."""


class Overlay:
    """The file of a stage with its answers, such as ``.deploy/dev.toml``: ``Name = "value"``, one a line.

    Only its owner can read it, because it can have an address for alarms.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, str]:
        """The kept answers; empty if there are none yet. Raises `DeployError` if the file cannot be read."""
        try:
            return {name: str(value) for name, value in tomllib.loads(self._path.read_text()).items()}
        except FileNotFoundError:
            return {}
        except tomllib.TOMLDecodeError as error:
            raise DeployError(f"{self._path}: {error}") from None

    def write(self, answers: Mapping[str, str]) -> None:
        """Replace the kept answers."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in answers.items()]
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(["# Parameters of this stage. make deploy reads and rewrites this file.\n", *lines])
        new.replace(self._path)


def complete(parameters: Mapping[str, Parameter], known: Mapping[str, str], ask: Ask | None) -> dict[str, str]:
    """The answers to all `QUESTIONS` that ``known`` leaves open. Each suits its parameter.

    A pool of the stack's own has no app clients to name. Without ``ask``, a parameter with a default keeps it. Raises
    `DeployError` if another one is open.
    """
    answers: dict[str, str] = {}
    for name in QUESTIONS:
        if name not in parameters or name in known:
            continue
        if name == "UserPoolClientIds" and not {**known, **answers}.get("UserPoolId"):
            continue
        if ask:
            answers[name] = _answer(parameters[name], ask)
        elif parameters[name].default is None:
            raise DeployError(
                f"{name} has no value. Set the environment variable {name}: {parameters[name].description}"
            )
    return answers


def _answer(parameter: Parameter, ask: Ask) -> str:
    answer = parameter.clean(ask(parameter, None))
    while problem := parameter.problem(answer):
        answer = parameter.clean(ask(parameter, problem))
    return answer


def checked(parameters: Mapping[str, Parameter], values: Mapping[str, str]) -> dict[str, str]:
    """``values``, cleaned. Raises `DeployError` for a name that is no parameter, and for a value that does not suit."""
    if unknown := sorted(values.keys() - parameters.keys()):
        raise DeployError(f"The template has no parameter {', '.join(unknown)}.")
    cleaned = {name: parameters[name].clean(value) for name, value in values.items()}
    if problems := [found for name, value in cleaned.items() if (found := parameters[name].problem(value))]:
        raise DeployError("\n".join(problems))
    return cleaned
