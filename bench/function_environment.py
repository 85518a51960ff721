"""The environment variables of a function on Lambda: those of the template and those of the runtime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from bench import job

# A deployment to a pool that exists, with every other parameter at its default.
_GIVEN = {
    "UserPoolId": job.POOL,
    "UserPoolClientIds": job.CLIENT,
    "WhopCompanyId": job.COMPANY,
    "UsersTable": job.TABLE,
    "SyncQueue": job.QUEUE_URL,
    "SyncDeadLetterQueue": job.DEAD_LETTER_QUEUE_URL,
    "WhopSecret": job.SECRET_ARN,
}
_CONDITIONS = {
    "CreateUserPool": False,
    "CreateUsersTable": True,
    "EnrolUsers": True,
    "KeepTokens": False,
    "LinkAccounts": False,
    "SetPictures": False,
}


def function_environment(template: Path, function: str) -> dict[str, str]:
    """All environment variables of ``function``, except those for the place where it runs."""
    content = yaml_parse(template.read_text())
    properties = content["Resources"][function]["Properties"]
    variables = content["Globals"]["Function"]["Environment"]["Variables"] | properties["Environment"]["Variables"]
    own = {name: _text(node, content["Parameters"]) for name, node in variables.items()}
    # AWS, "Using environment variables": defined runtime variables
    return own | {
        "AWS_REGION": job.REGION,
        "AWS_DEFAULT_REGION": job.REGION,
        "AWS_ACCESS_KEY_ID": "ASIABENCHMARK",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_SESSION_TOKEN": "benchmark" * 40,
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(properties["MemorySize"]),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2027/01/15/[1]0123456789abcdef",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": "INFO",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
    }


def _text(node: Any, parameters: Mapping[str, Any]) -> str:
    match node:
        case {"Ref": name}:
            return _GIVEN.get(name) or str(parameters[name]["Default"])
        case {"Fn::Join": [_, {"Ref": name}]}:  # a list parameter, whose value is its members with commas between
            return _text({"Ref": name}, parameters)
        case {"Fn::If": [condition, yes, no]}:
            return _text(yes if _CONDITIONS[condition] else no, parameters)
        case {"Fn::Sub": str(text)}:
            return text.replace("${AWS::StackName}", "benchmark")
        case str() | int():
            return str(node)
    raise ValueError(f"{node} is not known here")
