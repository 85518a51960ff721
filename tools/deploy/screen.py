"""What the operator sees and is asked."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.prompt import Confirm, Prompt
from rich.table import Table
from rich.text import Text

from tools.deploy.artifacts import Version
from tools.deploy.errors import Declined, DeployError
from tools.deploy.stacks import Change
from tools.deploy.template import Parameter

_COLOURS = {"Add": "green", "Modify": "yellow", "Remove": "red"}


class Screen:
    """The terminal. ``yes`` answers every question for a change set, as a pipeline needs it."""

    def __init__(self, console: Console, *, yes: bool) -> None:
        self._console, self._yes = console, yes

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody to ask for answers."""
        return sys.stdin.isatty() and not self._yes

    def say(self, text: str) -> None:
        """Write a line."""
        self._console.print(Text(text))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show that something takes its time."""
        if not self._console.is_terminal:
            self.say(f"{text} …")
        with self._console.status(Text(text)):
            yield

    def ask(self, parameter: Parameter, problem: str | None) -> str:
        """What the operator types for a parameter. An empty line is its default."""
        self.say("" if problem is None else problem)
        if problem is None:
            self.say(parameter.description)
        default = parameter.default or ""
        return Prompt.ask(Text(parameter.name), console=self._console, default=default, show_default=bool(default))

    def approve(self, question: str) -> None:
        """Return if the operator says yes. Raises `Declined` for a no, `DeployError` if there is nobody to ask."""
        if self._yes:
            return
        if not sys.stdin.isatty():
            raise DeployError('There is no terminal to ask on. Add ARGS="--yes".')
        if not Confirm.ask(Text(question), console=self._console, default=False):
            raise Declined

    def show_parameters(
        self, deployed: Mapping[str, str] | None, defaults: Mapping[str, str], after: Mapping[str, str]
    ) -> None:
        """Which parameters the deployment changes, or which a new stack, with nothing ``deployed``, has set."""
        known = defaults if deployed is None else deployed
        table = Table("parameter", "default" if deployed is None else "before", "after")
        for name, value in after.items():
            if value != known.get(name):
                table.add_row(Text(name), Text(known.get(name, "")), Text(value))
        if table.row_count:
            self._console.print(table)

    def show_changes(self, changes: Sequence[Change]) -> None:
        """What the change set does. A replaced resource stands out: its data do not come along."""
        table = Table("change", "resource", "type", "replaced")
        for each in changes:
            replaced = {"True": "yes", "Conditional": "perhaps"}.get(each.replacement, "")
            table.add_row(
                Text(each.action, style=_COLOURS.get(each.action, "")),
                Text(each.resource),
                Text(each.kind),
                Text(replaced, style="bold red"),
            )
        self._console.print(table)

    def show_versions(self, versions: Sequence[Version]) -> None:
        """The versions of a stack, the one deployed last first."""
        table = Table("version", "deployed last")
        for each in versions:
            table.add_row(Text(each.name), f"{each.deployed_at:%Y-%m-%d %H:%M:%S} UTC")
        self._console.print(table)

    def show_outputs(self, outputs: Mapping[str, str]) -> None:
        """The outputs of the stack, a line each, so that a program can read them too."""
        for name, value in outputs.items():
            self._console.print(Text(f"{name} = {value}"), soft_wrap=True)
