"""The command line: ``python -m tools.deploy {deploy,rollback} --stage STAGE …``."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from tools.deploy import release, samconfig
from tools.deploy.answers import Overlay
from tools.deploy.errors import Declined, DeployError
from tools.deploy.release import ROOT, Target
from tools.deploy.sam import Sam
from tools.deploy.screen import Screen


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0: it is deployed, or there was nothing to change. 1: it is not. 130: the operator interrupted it.
    """
    parsed = _parser().parse_args(arguments)
    screen = Screen(Console(), yes=parsed.yes)
    try:
        _run(parsed, screen)
    except Declined:
        screen.say("Nothing was deployed.")
    except (DeployError, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted. A deployment that had begun goes on at AWS.", file=sys.stderr)
        return 130
    else:
        return 0
    return 1


def _run(parsed: argparse.Namespace, screen: Screen) -> None:
    stage = samconfig.read(ROOT / "samconfig.toml", parsed.stage)
    # The AWS CLI reads AWS_REGION, boto3 reads AWS_DEFAULT_REGION only.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    if session.region_name is None:
        raise DeployError("No region is set. Name it by AWS_REGION or in your AWS profile.")
    target = Target(session, stage, screen, may_change_table=parsed.change_users_table)
    if parsed.command == "rollback":
        release.rollback(target, parsed.version)
        return
    overlay = Overlay(Path(parsed.answers, f"{stage.name}.toml"))
    release.deploy(target, Sam(shlex.split(parsed.sam)), overlay, os.environ, parsed.built)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--stage", required=True, type=_stage, help="dev, staging, prod, or a name of your own")
    common.add_argument("--yes", action="store_true", help="ask nothing: for a pipeline")
    common.add_argument(
        "--change-users-table",
        action="store_true",
        help="allow another users table: Whop mails everybody who has no record in it",
    )
    parser = argparse.ArgumentParser(prog="deploy", description="Deploy a stage, with your AWS credentials.")
    commands = parser.add_subparsers(dest="command", required=True)
    deploy = commands.add_parser("deploy", parents=[common], help="build this tree and deploy it")
    deploy.add_argument("--sam", default=f"{shlex.quote(sys.executable)} -m samcli", help="the SAM CLI to run")
    deploy.add_argument("--built", type=Path, metavar="TEMPLATE", help="deploy this built template instead of building")
    deploy.add_argument("--answers", default=ROOT / ".deploy", metavar="FOLDER", help="where the answers are kept")
    rollback = commands.add_parser("rollback", parents=[common], help="deploy a stored version again, or list them")
    rollback.add_argument("--version", help="the version to deploy again")
    return parser


def _stage(text: str) -> str:
    """A stage names a file and a stack, so it has letters, digits and hyphens only."""
    if not text.replace("-", "").isalnum() or not text.isascii() or not text[0].isalpha():
        raise argparse.ArgumentTypeError("name a stage: make deploy STAGE=dev")
    return text


if __name__ == "__main__":
    sys.exit(main())
