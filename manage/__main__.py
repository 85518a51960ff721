"""The command line: ``python -m manage --stack NAME [--region R] [--json] COMMAND …``."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Protocol

import boto3

from manage import stack
from manage.commands import (
    allow,
    attach,
    dead_letters,
    deny,
    detach,
    reconcile,
    relink,
    report,
    status,
    sync,
)
from manage.console import Console, Refused
from manage.errors import ERRORS, reason


class Command(Protocol):
    """A module that is a command; see `manage`."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Tell ``parser`` what it takes."""

    def run(self, arguments: argparse.Namespace, stack: stack.Stack, console: Console) -> int:
        """Do it; the exit status. Raises `Refused` or botocore's errors."""


COMMANDS: tuple[Command, ...] = (
    attach,
    detach,
    status,
    sync,
    deny,
    allow,
    relink,
    reconcile,
    report,
    dead_letters,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    0 when it is done or there was nothing to do, 1 when not, 2 for a wrong command line, 130 when it was interrupted.
    """
    parsed = _parser().parse_args(arguments)
    console = Console(as_json=parsed.json, stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr)
    command: Command = parsed.command
    # boto3 reads AWS_DEFAULT_REGION only, the AWS CLI this one too.
    region = parsed.region or os.environ.get("AWS_REGION")
    try:
        return command.run(parsed, stack.find(boto3.Session(region_name=region), parsed.stack), console)
    except Refused as error:
        console.refuse(error)
    except ERRORS as error:
        console.refuse(Refused(reason(error), outcome="failed"))
    except KeyboardInterrupt:
        console.say("\nStopped. Run it again to see what is done.")
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="manage", description="Work on a deployed stack, with the AWS credentials of your environment."
    )
    parser.add_argument("--stack", required=True, metavar="NAME", help="the stack's name (whop-chat-dev) or its ARN")
    parser.add_argument("--region", metavar="R", help="its region, if not that of your AWS profile")
    parser.add_argument("--json", action="store_true", help="answer with one JSON object")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        description = f"{command.HELP[0].upper()}{command.HELP[1:]}."
        sub = commands.add_parser(command.NAME, help=command.HELP, description=description)
        command.add_arguments(sub)
        sub.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
