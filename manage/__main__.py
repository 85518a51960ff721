"""The command line: ``python -m manage --stack NAME [--region R] [--json] COMMAND …``."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Protocol

import boto3

from manage import stack
from manage.commands import (
    adopt_table,
    allow,
    attach,
    close_circuit,
    create_oauth_app,
    dead_letters,
    deny,
    detach,
    doctor,
    list_users,
    reconcile,
    relink,
    report,
    rotate_data_key,
    rotate_key,
    status,
    sync,
)
from manage.console import Console
from manage.errors import AWS_ERRORS, NotDone, Refused, reason


class Command(Protocol):
    """A module of `manage.commands`, which describes it."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the command to ``parser``."""

    def run(self, arguments: argparse.Namespace, stack: stack.Stack, console: Console) -> int:
        """Do the work and return the exit status. Raises `Refused`, `NotDone` or one of `AWS_ERRORS`."""


COMMANDS: tuple[Command, ...] = (
    attach,
    detach,
    adopt_table,
    doctor,
    status,
    list_users,
    sync,
    deny,
    allow,
    relink,
    reconcile,
    close_circuit,
    rotate_key,
    rotate_data_key,
    create_oauth_app,
    report,
    dead_letters,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0: the work is done, or there was nothing to do. 1: it is not done. 130: it was interrupted. A wrong command line
    exits with 2.
    """
    parsed = _parser().parse_args(arguments)
    console = Console(as_json=parsed.json, stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr)
    command: Command = parsed.command
    # The AWS CLI reads this variable, boto3 reads AWS_DEFAULT_REGION only.
    region = parsed.region or os.environ.get("AWS_REGION")
    try:
        session = boto3.Session(region_name=region)
        if parsed.outputs:
            return command.run(parsed, stack.deleted(session, parsed.stack, parsed.outputs), console)
        return command.run(parsed, stack.find(session, parsed.stack), console)
    except NotDone as error:
        console.answer(str(error), **error.data)
        return error.status
    except Refused as error:
        console.refuse(error)
    except AWS_ERRORS as error:
        console.refuse(Refused(reason(error), outcome="failed"))
    except KeyboardInterrupt:
        console.say("\nInterrupted. Run it again to see what is done.")
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="manage", description="Work on a deployed stack, with the AWS credentials of your environment."
    )
    parser.add_argument("--stack", required=True, metavar="NAME", help="the stack's name (whop-chat-dev) or its ARN")
    parser.add_argument("--region", metavar="R", help="its region, if it is not the one of your AWS profile")
    parser.add_argument("--json", action="store_true", help="answer with one JSON object")
    # Commands that also work without the stack have an option for the output that they need of it.
    parser.set_defaults(outputs=None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        description = f"{command.HELP[0].upper()}{command.HELP[1:]}."
        sub = commands.add_parser(command.NAME, help=command.HELP, description=description)
        command.add_arguments(sub)
        sub.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
