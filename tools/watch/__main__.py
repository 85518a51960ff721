"""The state of each alarm of a stack on the local cloud, which evaluates none: ``python -m tools.watch STACK``.

The alarms are those of the deployed template. The samples are in the logs of its functions. The metrics of AWS (queues,
invocations, the API) are not there, so an alarm that reads them has no state.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from tools.watch.alarms import Alarm, alarms_of
from tools.watch.samples import Samples


def main(stack: str) -> int:
    """Print the states, those in alarm first. The exit status is 1 if they cannot be told."""
    if not os.environ.get("AWS_ENDPOINT_URL"):
        print("AWS_ENDPOINT_URL is not set. On AWS, CloudWatch evaluates the alarms itself.", file=sys.stderr)
        return 1
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    try:
        states = states_of(session, stack, now=time.time())
    except (BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 1
    if not states:
        print(f"{stack} has no alarms. Set AlarmEmail.", file=sys.stderr)
        return 1
    for name, (state, description) in sorted(states.items(), key=lambda each: (each[1][0] != "ALARM", each[0])):
        print(f"{state:8} {name}")
        if state == "ALARM":
            print(f"         {description}")
    return 0


def states_of(session: boto3.Session, stack: str, *, now: float) -> dict[str, tuple[str, str]]:
    """The state and the description of each alarm by logical id. ``now`` is in epoch seconds.

    The state is ``ALARM``, ``OK``, or ``NO DATA`` for an alarm of metrics that are AWS's own. Raises botocore's errors.
    """
    cloudformation: Any = session.client("cloudformation")
    resources = _resources(cloudformation, stack)
    physical = {name: each["PhysicalResourceId"] for name, each in resources.items()}
    alarms = alarms_of(_template(cloudformation, stack)["Resources"], stack, lambda name: physical.get(name, name))
    samples = Samples()
    for name, each in resources.items():
        if each["ResourceType"] == "AWS::Logs::LogGroup":
            samples.add_lines(_lines(session, physical[name]))
    return {
        name: (_state(alarm, samples, now), alarm.properties["AlarmDescription"])
        for name, alarm in alarms.items()
        if name in resources
    }


def _state(alarm: Alarm, samples: Samples, now: float) -> str:
    if all(each.namespace.startswith("AWS/") for each in alarm.metrics):
        return "NO DATA"
    return "ALARM" if alarm.is_in_alarm(samples, now=now) else "OK"


def _resources(cloudformation: Any, stack: str) -> dict[str, Mapping[str, Any]]:
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    return {each["LogicalResourceId"]: each for page in pages for each in page["StackResourceSummaries"]}


def _template(cloudformation: Any, stack: str) -> Any:
    body = cloudformation.get_template(StackName=stack, TemplateStage="Original")["TemplateBody"]
    return yaml_parse(body if isinstance(body, str) else json.dumps(body))


def _lines(session: boto3.Session, group: str) -> Iterator[str]:
    logs: Any = session.client("logs")
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
        yield from (each["message"] for each in page["events"])


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit("name a stack: make alarms STACK=whop-chat-local")
    sys.exit(main(sys.argv[1]))
